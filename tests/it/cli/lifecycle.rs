//! A registry from its first day on.

use super::{ORIGIN, Sandbox};
use serde_json::json;

#[test]
fn from_init_to_verify() {
    let s = Sandbox::new();
    let init = s.run(&["init", "--store", "./registry", "--origin", ORIGIN]).ok();
    assert_eq!(init.out.trim(), s.key());
    s.a_crate("hello", "1.0.0", "Says hello");
    s.a_crate("hello", "1.1.0", "Says hello to everybody");
    s.a_pack("greeter", "0.1.0", "Templates of greetings");

    // The plan is data; nothing is written by it.
    let plan = s.run(&["build", "--source", "packages", "--dry-run"]).ok();
    assert_eq!(plan.out, "added\tcrate:hello\t1.0.0\nadded\tcrate:hello\t1.1.0\nadded\tpack:greeter\t0.1.0\n");
    assert_eq!(s.run(&["list"]).ok().out, "");

    let built = s.run(&["build", "--source", "packages"]).ok().says(&["3 releases added; generation 1;"]);
    assert_eq!(built.out, "");
    s.run(&["build", "--source", "packages"]).ok().says(&["0 releases added, 3 unchanged; generation 1 still holds"]);

    let list = s.run(&["list"]).ok();
    assert_eq!(list.out, "crate:hello\t1.1.0\tSays hello to everybody\npack:greeter\t0.1.0\tTemplates of greetings\n");
    assert_eq!(s.run(&["list", "--kind", "pack"]).ok().out.lines().count(), 1);
    assert_eq!(s.run(&["list", "--prefix", "HE"]).ok().out.lines().count(), 1);
    assert_eq!(s.run(&["info", "hello", "--json"]).ok().json()["newest"], "1.1.0");
    assert_eq!(s.run(&["info", "hello@1.0.0", "--json"]).ok().json()["release"]["version"], "1.0.0");
    let versions = s.run(&["versions", "Hello"]).ok();
    assert!(versions.out.starts_with("1.1.0\t") && versions.out.lines().nth(1).unwrap().starts_with("1.0.0\t"));

    s.run(&["yank", "hello@1.1.0", "--reason", "broken greeting"]).ok().says(&["is yanked; generation 2"]);
    assert_eq!(s.run(&["info", "hello", "--json"]).ok().json()["newest"], "1.0.0");
    assert!(s.run(&["versions", "hello"]).ok().out.contains("broken greeting"));
    s.run(&["yank", "hello@1.1.0", "--reason", "broken greeting"]).ok().says(&["was yanked already; generation 2"]);
    s.run(&["fetch", "hello@1.1.0", "-o", "yanked.crate"]).ok().says(&["warning: crate:hello 1.1.0 is yanked"]);
    s.run(&["unyank", "crate:hello@1.1.0"]).ok().says(&["is unyanked; generation 3"]);

    let history = s.run(&["history", "--json", "-n", "2"]).ok().json();
    let numbers: Vec<_> = history["generations"].as_array().unwrap().iter().map(|g| &g["generation"]).collect();
    assert_eq!(numbers, [3, 2]);
    assert_eq!(s.run(&["diff", "0", "1"]).ok().out, plan.out);
    assert_eq!(s.run(&["diff", "1", "2"]).ok().out, "yanked\tcrate:hello\t1.1.0\n");
    assert_eq!(s.run(&["diff", "2", "3"]).ok().out, "unyanked\tcrate:hello\t1.1.0\n");
    // Older states stay readable, by number and by digest.
    assert_eq!(s.run(&["list", "--at", "0"]).ok().out, "");
    let old = history["generations"][1]["snapshot"].as_str().unwrap();
    assert_eq!(s.run(&["info", "hello", "--json", "--at", old]).ok().json()["newest"], "1.0.0");

    s.run(&["verify"]).ok().says(&["generation 3 is whole"]);
    s.run(&["verify", "--all"]).ok().says(&["generation 3 is whole"]);
}

#[test]
fn fetch_brings_the_bytes_and_overwrites_nothing() {
    let s = Sandbox::published();
    let original = std::fs::read(s.path("packages/hello-1.1.0.crate")).unwrap();
    let fetched = s.run(&["fetch", "hello", "--json"]).ok();
    assert_eq!(fetched.json()["path"], "hello-1.1.0.crate");
    assert_eq!(std::fs::read(s.path("hello-1.1.0.crate")).unwrap(), original);

    s.write("hello-1.1.0.crate", "mine");
    s.run(&["fetch", "hello"]).code(2).says(&["hello-1.1.0.crate is there already", "--force"]);
    assert_eq!(s.read("hello-1.1.0.crate"), "mine");
    s.run(&["fetch", "hello", "--force"]).ok();
    assert_eq!(std::fs::read(s.path("hello-1.1.0.crate")).unwrap(), original);

    std::fs::create_dir(s.path("downloads")).unwrap();
    s.run(&["fetch", "pack:greeter@0.1.0", "-o", "downloads"]).ok();
    assert!(s.path("downloads/greeter-0.1.0.tar.gz").is_file());

    let piped = s.output(&["fetch", "hello@1.1.0", "-o", "-"]);
    assert_eq!(piped.stdout, original);
    s.run(&["fetch", "hello@1.1.0", "-o", "-", "--json"]).code(2);
}

#[test]
fn a_damaged_archive_never_appears_not_even_in_part() {
    let s = Sandbox::published();
    let sha256 =
        s.run(&["info", "hello", "--json"]).ok().json()["release"]["archive"]["sha256"].as_str().unwrap().to_owned();
    super::flip(&s.path(&format!("registry/blobs/sha256/{sha256}")));
    let run = s.run(&["fetch", "hello", "-o", "-"]).code(5).says(&[&sha256]);
    assert_eq!(run.out, "");
    s.run(&["fetch", "hello"]).code(5);
    assert!(!s.path("hello-1.1.0.crate").exists());
}

#[test]
fn what_the_sources_no_longer_have_is_taken_out_only_when_asked() {
    let s = Sandbox::published();
    std::fs::remove_file(s.path("packages/hello-1.0.0.crate")).unwrap();
    s.run(&["build", "--source", "packages"]).ok().says(&["0 releases added, 2 unchanged; generation 1 still holds"]);
    let built = s.run(&["build", "--source", "packages", "--delete", "--json"]).ok().json();
    assert_eq!(built["changes"], json!([{"change": "removed", "package": "crate:hello", "version": "1.0.0"}]));
    assert!(s.run(&["versions", "hello"]).ok().out.contains("removed"));
    s.run(&["fetch", "hello@1.0.0"]).code(6).says(&["was removed"]);
    // What is refused may hold anything: then nothing can be said to be missing.
    std::fs::remove_file(s.path("packages/hello-1.1.0.crate")).unwrap();
    s.write("packages/bad.crate", "no archive");
    let built =
        s.run(&["build", "--source", "packages", "--delete", "--json"]).code(3).says(&["nothing was taken out"]);
    assert_eq!(built.json()["deletion_skipped"], true);
}

#[test]
fn every_verb_prints_one_json_document() {
    let s = Sandbox::new();
    let members = |args: &[&str]| {
        let run = s.run(args).ok();
        let document = run.json();
        document.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let init = members(&["--json", "init", "--store", "registry", "--origin", ORIGIN]);
    assert_eq!(init, "config generation key key_file origin store templates");
    s.a_crate("hello", "1.0.0", "Says hello");
    let built = members(&["build", "--source", "packages", "--json"]);
    assert_eq!(
        built,
        "added bytes changes committed deletion_skipped dry_run generation objects refused removed scan seconds unchanged unyanked views yanked"
    );
    assert_eq!(
        members(&["info", "hello", "--json"]),
        "generation kind name newest origin release removed skipped versions yanked"
    );
    assert_eq!(members(&["versions", "hello", "--json"]), "kind name skipped versions");
    assert_eq!(members(&["list", "--json"]), "kind name summary version versions yanked");
    assert_eq!(members(&["show", "hello@1.0.0", "--json"]), "detail generation origin record");
    assert_eq!(members(&["fetch", "hello@1.0.0", "--json"]), "kind name path sha256 size version");
    assert_eq!(members(&["yank", "hello@1.0.0", "--json"]), "changed generation kind name version");
    assert_eq!(members(&["unyank", "hello@1.0.0", "--json"]), "changed generation kind name version");
    assert_eq!(members(&["history", "--json"]), "generations");
    assert_eq!(members(&["diff", "0", "1", "--json"]), "changes from to");
    assert_eq!(
        members(&["verify", "--json"]),
        "bytes collected generation marked not_mirrored objects packages problems releases skipped unreferenced"
    );
    assert_eq!(
        members(&["mirror", "registry", "copy", "--json"]),
        "bytes dry_run generation gone objects packages present previous seconds slots"
    );
    let gc = members(&["gc", "--dry-run", "--json"]);
    assert_eq!(
        gc,
        "collected dry_run generation keeps leftovers live marked pins purged ready restored spared trash unknown young"
    );
    assert_eq!(members(&["key", "--json"]), "hex key origin");
}

#[test]
fn a_key_that_is_there_is_used_and_never_written_over() {
    let s = Sandbox::with_registry();
    let (key, config) = (s.read("ggen-market.key"), s.read("ggen-market.toml"));
    s.run(&["init", "--store", "other", "--origin", ORIGIN])
        .code(2)
        .says(&["there is a ggen-market.toml here already"]);
    s.run(&["init", "--store", "other", "--origin", "else.example.com", "--force"])
        .code(2)
        .says(&["is of registry.example.com"]);
    // Interrupted before it wrote the pointer, it is run again as it was.
    let checkpoint = s.read("registry/checkpoint");
    std::fs::remove_file(s.path("registry/checkpoint")).unwrap();
    s.run(&["init", "--store", "registry", "--origin", ORIGIN]).ok();
    assert_eq!((s.read("registry/checkpoint"), s.read("ggen-market.toml")), (checkpoint, config.clone()));
    s.run(&["init", "--store", "registry", "--origin", ORIGIN]).code(2).says(&["there is a registry in registry"]);
    assert_eq!((s.read("ggen-market.key"), s.read("ggen-market.toml")), (key.clone(), config.clone()));
    // The registry is there: whatever this run made goes away again, and what was there stays.
    std::fs::remove_file(s.path("ggen-market.toml")).unwrap();
    s.run(&["init", "--store", "registry", "--origin", ORIGIN])
        .code(2)
        .says(&["there is a registry in registry already"]);
    assert!(!s.path("ggen-market.toml").exists());
    assert_eq!(s.read("ggen-market.key"), key);
    let mut anew = Sandbox::new();
    anew.set("GGEN_MARKET_KEY_FILE", "new.key");
    std::fs::rename(s.path("registry"), anew.path("registry")).unwrap();
    anew.run(&["init", "--store", "registry", "--origin", ORIGIN]).code(2).says(&["there is a registry"]);
    assert!(!anew.path("new.key").exists());
    assert_ne!(config, "");
}
