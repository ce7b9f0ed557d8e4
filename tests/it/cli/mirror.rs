//! `mirror`, and audits of what it makes, as people call them.

use super::*;

#[test]
fn a_mirror_is_made_kept_up_and_audited() {
    let s = Sandbox::published();
    let dry = s.run(&["mirror", "registry", "copy", "--dry-run", "--json"]).ok();
    assert!(!s.path("copy").exists(), "a dry run makes no folder");
    let run = s.run(&["mirror", "registry", "copy", "--json"]).ok().says(&["generation 1 is mirrored", "packages/s"]);
    let (would, did) = (dry.json(), run.json());
    assert_eq!((&would["packages"], &did["packages"], &did["generation"]), (&2.into(), &2.into(), &1.into()));
    assert_eq!(
        (would["dry_run"].as_bool(), did["previous"].is_null(), did["slots"].as_u64()),
        (Some(true), true, Some(2))
    );
    assert_eq!(would["objects"].as_u64().unwrap() + 2, did["objects"].as_u64().unwrap());
    s.run(&["mirror", "registry", "copy"]).ok().says(&["nothing to copy: generation 1 is there"]);
    s.run(&["info", "hello", "--registry", "copy"]).ok();
    s.run(&["verify", "--all", "--store", "copy"]).ok().says(&["is whole", "not mirrored here: 1 generation"]);
    let history = s.run(&["history", "--registry", "copy"]).ok();
    assert!(history.out.lines().nth(1).unwrap().contains("\t-\t-\t"), "{}", history.out);
    let history = s.run(&["history", "--registry", "copy", "--json"]).ok().json();
    assert!(history["generations"][1]["packages"].is_null());
    s.run(&["diff", "0", "1", "--registry", "copy"]).code(4).says(&["generation 0 is not mirrored here"]);

    s.a_crate("later", "1.0.0", "Comes later");
    s.run(&["build", "--source", "packages"]).ok();
    s.run(&["mirror", "registry", "copy", "--history"]).ok().says(&["generation 2 (was 1) is mirrored"]);
    s.run(&["diff", "0", "2", "--registry", "copy"]).ok();
    s.run(&["mirror", "copy", "registry"]).ok().says(&["nothing to copy"]);
    s.run(&["yank", "hello@1.0.0"]).ok();
    s.run(&["mirror", "copy", "registry"]).ok().says(&["the copy is at generation 3, the source only at 2"]);
}

#[test]
fn a_part_is_mirrored_and_says_what_it_lacks() {
    let s = Sandbox::published();
    // Enough for several shards.
    let line = |i: u32| {
        format!(
            r#"{{"name":"far-{i}","version":"1.0.0","summary":"{}","sha256":"{:064x}","size":1,"download_url":"https://example.com/{i}"}}"#,
            "x".repeat(200),
            i
        )
    };
    s.write("more/list.jsonl", (1..2_000).map(|i| line(i) + "\n").collect::<String>());
    s.run(&["build", "--source", "packages", "--source", "more"]).ok();
    s.run(&["mirror", "registry", "part", "--only", "crate:hello", "green*"]).code(6).says(&["has no package green*"]);
    s.run(&["mirror", "registry", "part", "--only", "crate:hello", "greet*"]).ok();
    s.run(&["fetch", "crate:hello", "-o", "hello.crate", "--registry", "part"]).ok();
    let left_out = (1..2_000)
        .map(|i| s.run(&["info", &format!("pack:far-{i}"), "--registry", "part"]))
        .find(|r| r.code != 0)
        .unwrap();
    left_out.code(4).says(&[
        "is not mirrored here (this mirror holds only greet*, crate:hello, and what they depend on)",
        "ask the registry itself",
    ]);
    s.run(&["list", "--registry", "part"]).ok().says(&["what it does not hold is not in the list"]);
    let audit = s
        .run(&["verify", "--all", "--store", "part", "--json"])
        .ok()
        .says(&["is whole as far as it is mirrored", "not mirrored here: "])
        .json();
    assert!(audit["not_mirrored"]["nodes"].as_u64().unwrap() > 0 && audit["problems"].as_array().unwrap().is_empty());
    let whole = s.run(&["verify", "--all", "--store", "registry", "--json"]).ok().json();
    assert!(whole["not_mirrored"].is_null() && whole["skipped"] == 0);
    // Without its note it is a copy that lacks something.
    std::fs::remove_file(s.path("part/mirror.json")).unwrap();
    s.run(&["verify", "--store", "part"]).code(5);
    s.run(&["mirror", "registry", "part", "--only", "crate:he llo"]).code(2);
}

#[test]
fn mistakes_of_mirrors_and_audits_are_told() {
    let mut s = Sandbox::published();
    let other = Sandbox::with_registry();
    let place = other.path("registry").display().to_string();
    s.run(&["mirror", "registry", &place]).code(3).says(&["holds another registry", "name an empty place"]);
    s.run(&["mirror", "registry", "copy", "--key", &other.key()]).code(5);
    s.run(&["mirror", "nowhere", "copy"]).code(1);
    s.run(&["mirror", "registry"]).code(2);
    s.run(&["verify", "--store", "registry", "--registry", "registry"])
        .code(2)
        .says(&["--store and --registry name one thing"]);
    s.run(&["verify", "--resume"]).code(2);
    s.run(&["verify", "--all", "--resume", "--no-cache"]).code(2).says(&["--no-cache forbids that"]);
    s.run(&["verify", "--all", "--resume"]).ok();
    s.set("GGEN_MARKET_REGISTRY", "nowhere");
    s.run(&["verify", "--store", "registry"]).ok();
}

/// Killed in the middle, an audit goes on from what it had written down.
#[test]
fn a_killed_audit_goes_on() {
    let s = Sandbox::with_registry();
    for i in 0..400 {
        s.a_crate(&format!("crate-{i}"), "1.0.0", "One of many");
    }
    s.run(&["build", "--source", "packages"]).ok();
    let journals = || {
        std::fs::read_dir(s.path("cache/ggen-market/verify"))
            .map(|d| d.flatten().map(|e| e.path()).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    for patience in 0..60 {
        let mut child = s.start(&["verify", "--all"]);
        std::thread::sleep(std::time::Duration::from_millis(20 + 5 * patience));
        child.kill().unwrap();
        child.wait().unwrap();
        if !journals().is_empty() {
            break;
        }
    }
    let [journal] = &journals()[..] else { panic!("no audit was killed") };
    // What it may have written by then, had it taken longer than the second after which it does.
    let mut text = std::fs::read_to_string(journal).unwrap();
    for entry in std::fs::read_dir(s.path("registry/blobs/sha256")).unwrap().take(200) {
        text += &format!("{}\n", entry.unwrap().file_name().to_str().unwrap());
    }
    std::fs::write(journal, text).unwrap();
    let resumed = s.run(&["verify", "--all", "--resume", "--json"]).ok().says(&["were found to be right by the audit"]);
    let skipped = resumed.json()["skipped"].as_u64().unwrap();
    assert!(skipped > 150 && skipped <= 800, "{skipped}");
    assert!(journals().is_empty());
    assert_eq!(s.run(&["verify", "--all", "--resume", "--json"]).ok().json()["skipped"], 0);
}
