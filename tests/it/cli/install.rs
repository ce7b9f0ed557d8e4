//! Resolving, locking and installing with the real program.

use super::Sandbox;
use std::{fs, path::Path, process::Stdio, time::Duration};

/// A registry with packs that need each other: `app` needs `base` ^1, `tool` needs `base` *; `base` in three versions.
pub(super) fn packs() -> Sandbox {
    let s = Sandbox::with_registry();
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        pack(&s, "base", version, "");
    }
    pack(&s, "app", "1.0.0", "base = \"^1\"");
    pack(&s, "tool", "0.3.0", "base = \"*\"");
    s.run(&["build", "--source", "packages"]).ok();
    s
}

pub(super) fn pack(s: &Sandbox, name: &str, version: &str, needs: &str) {
    let folder = format!("packages/{name}-{version}");
    s.write(
        &format!("{folder}/pack.toml"),
        format!(
            "[pack]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"D\"\n\n[pack.dependencies]\n{needs}\n"
        ),
    );
    s.write(&format!("{folder}/templates/main.tmpl"), format!("{name} {version}\n"));
}

/// What is installed: paths of all files but our own, with the content of the templates.
fn seen(s: &Sandbox, folder: &str) -> Vec<String> {
    let root = s.path(folder);
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&root).unwrap();
        if entry.file_type().is_file() && !path.starts_with(".ggen-market") && path.ends_with("main.tmpl") {
            let text = fs::read_to_string(entry.path()).unwrap();
            out.push(format!("{}: {}", path.display().to_string().replace('\\', "/"), text.trim()));
        }
    }
    out
}

const APP: [&str; 2] = ["pack/app/templates/main.tmpl: app 1.0.0", "pack/base/templates/main.tmpl: base 1.1.0"];

#[test]
fn what_is_installed_is_locked_and_again_the_same() {
    let s = packs();
    let run = s.run(&["install", "app", "--into", "deps"]).ok();
    assert_eq!(run.out, "pack:app 1.0.0 added\npack:base 1.1.0 added\n");
    assert_eq!(seen(&s, "deps"), APP);
    let lock = s.read("ggen.lock");
    assert!(
        lock.contains("\"pack:app\" = \"^1.0.0\"") && lock.contains("registry = \"registry.example.com/ggen\""),
        "{lock}"
    );
    // Nothing to do, nothing done.
    let before = fs::metadata(s.path("ggen.lock")).unwrap().modified().unwrap();
    let run = s.run(&["install", "--into", "deps"]).ok().says(&["0 packages installed, 0 removed, 2 there already"]);
    assert_eq!(run.out, "");
    assert_eq!(fs::metadata(s.path("ggen.lock")).unwrap().modified().unwrap(), before);
    // Elsewhere, from the lock file alone.
    for how in ["--locked", "--frozen", "--offline"] {
        s.run(&["install", how, "--into", how.trim_start_matches('-')]).ok();
        assert_eq!(seen(&s, how.trim_start_matches('-')), APP);
    }
    let listed = s.run(&["installed", "--into", "deps"]).ok().out;
    assert_eq!(listed, "pack:app\t1.0.0\tdeps/pack/app\npack:base\t1.1.0\tdeps/pack/base\n");
}

#[test]
fn locks_hold_until_an_update() {
    let s = packs();
    s.run(&["install", "tool", "--into", "deps"]).ok();
    assert!(seen(&s, "deps").contains(&"pack/base/templates/main.tmpl: base 2.0.0".to_owned()));
    // What is wanted now does not fit what is locked: it gives way.
    s.run(&["install", "app", "--into", "deps"]).ok();
    assert_eq!(seen(&s, "deps")[1], "pack/base/templates/main.tmpl: base 1.1.0");
    pack(&s, "base", "1.2.0", "");
    s.run(&["build", "--source", "packages"]).ok();
    assert_eq!(s.run(&["install", "--into", "deps"]).ok().out, "");
    let outdated = s.run(&["outdated"]).ok().out;
    assert_eq!(outdated, "pack:base\t1.1.0\t1.2.0\t2.0.0\n");
    assert_eq!(s.run(&["update", "tool", "--into", "deps"]).ok().out, "");
    assert_eq!(s.run(&["update", "--dry-run", "--into", "deps"]).ok().out, "pack:base 1.1.0 -> 1.2.0\n");
    assert_eq!(seen(&s, "deps")[1], "pack/base/templates/main.tmpl: base 1.1.0");
    assert_eq!(s.run(&["update", "base", "--into", "deps"]).ok().out, "pack:base 1.1.0 -> 1.2.0\n");
    assert_eq!(seen(&s, "deps")[1], "pack/base/templates/main.tmpl: base 1.2.0");
    assert_eq!(
        s.run(&["why", "base"]).ok().out,
        "pack:app 1.0.0 -> pack:base 1.2.0\npack:tool 0.3.0 -> pack:base 1.2.0\n"
    );
    // `base` goes when nothing needs it any more.
    s.run(&["remove", "base", "--into", "deps"]).code(2).says(&["was not asked for"]);
    s.run(&["remove", "app", "--into", "deps"]).ok();
    assert_eq!(seen(&s, "deps").len(), 2);
    s.run(&["remove", "tool", "--into", "deps"]).ok();
    assert_eq!((seen(&s, "deps").len(), s.run(&["installed", "--into", "deps"]).ok().out.as_str()), (0, ""));
}

#[test]
fn drift_is_refused_and_told() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    s.run(&["install", "tool", "--locked"]).code(8).says(&["tool is not what is locked"]);
    let lock = s.read("ggen.lock");
    for how in ["--locked", "--frozen"] {
        let (head, base) = lock.rsplit_once("\n[[market.package]]").unwrap();
        assert!(base.contains("\"base\""));
        s.write("ggen.lock", head);
        s.run(&["install", how]).code(8).says(&["pack:app 1.0.0 needs pack:base 1.1.0, which is not locked"]);
    }
    // Another version of what is needed, as a careless merge may leave it.
    s.write("ggen.lock", lock.replace("\"1.1.0\"", "\"1.0.0\"").replace("base@1.1.0", "base@1.0.0"));
    s.run(&["install", "--locked"]).code(5).says(&["pack:base 1.0.0 is locked with sha256"]);
    s.write("ggen.lock", lock.replace("base@1.1.0", "base@2.0.0").replace("\"1.1.0\"", "\"2.0.0\""));
    s.run(&["install", "--locked"]).code(8);
    s.write("ggen.lock", &lock[..lock.len() / 2]);
    s.run(&["install"]).code(2).says(&["ggen.lock: line "]);
    s.write("ggen.lock", lock.replace("registry.example.com/ggen", "other.example"));
    s.run(&["install"]).code(2).says(&["ggen.lock is of other.example, and the registry is registry.example.com/ggen"]);
    // Somebody exchanged a digest, in the lock file or in the registry: never taken, whatever the way.
    let digest = lock.lines().find_map(|l| l.strip_prefix("sha256 = ")).unwrap();
    s.write("ggen.lock", lock.replacen(digest, &format!("\"{}\"", "0".repeat(64)), 1));
    s.run(&["install", "--into", "new"]).code(5);
    s.run(&["install", "--locked", "--into", "new"]).code(5);
    s.run(&["install", "--frozen", "--into", "new"]).code(4);
    assert!(seen(&s, "new").is_empty());
}

#[test]
fn an_expired_registry_is_not_resolved_from_but_what_is_locked_can_be_installed() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    s.run(&["refresh", "--valid-for", "1s"]).ok();
    std::thread::sleep(Duration::from_millis(2_100));
    s.run(&["install", "tool", "--into", "deps"]).code(5).says(&["expired"]);
    s.run(&["install", "--locked", "--into", "again"]).ok().says(&["going by the lock file alone"]);
    assert_eq!(seen(&s, "again"), APP);
}

#[test]
fn damage_in_the_cache_heals_and_what_is_in_the_way_stays() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    let archives = walkdir::WalkDir::new(s.path("cache/ggen-market/archives")).into_iter().map(Result::unwrap);
    let archives: Vec<_> = archives.filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path).collect();
    assert_eq!(archives.len(), 2);
    archives.iter().for_each(|a| super::flip(a));
    s.run(&["install", "--into", "again"]).ok().says(&["was damaged; fetching it again"]);
    assert_eq!(seen(&s, "again"), APP);
    archives.iter().for_each(|a| super::flip(a));
    s.run(&["install", "--frozen", "--into", "third"]).code(4);
    assert!(seen(&s, "third").is_empty());
    // A folder of the user's own is never replaced.
    s.write("mine/pack/app/templates/main.tmpl", "my own");
    s.run(&["install", "--into", "mine"]).code(2).says(&["is there already, and was not installed by this program"]);
    assert_eq!(s.read("mine/pack/app/templates/main.tmpl"), "my own");
    // And what somebody removed comes back.
    fs::remove_dir_all(s.path("deps/pack/base")).unwrap();
    s.run(&["install", "--into", "deps"]).ok().says(&["1 package installed"]);
    assert_eq!(seen(&s, "deps"), APP);
}

#[test]
fn a_conflict_is_told_by_who_wants_what() {
    let s = packs();
    let run = s.run(&["resolve", "app", "base@^2"]).code(8);
    assert_eq!(run.out, "");
    let run = run.says(&["no versions of these packages fit together"]);
    for line in ["  you want pack:app *", "  you want pack:base ^2", "  pack:app 1.0.0 needs pack:base ^1"] {
        assert!(run.err.lines().any(|l| l == line), "{line:?} is not in\n{}", run.err);
    }
    s.run(&["resolve", "nothing"]).code(6).says(&["has no package nothing"]);
    s.run(&["resolve", "app@nonsense"]).code(2).says(&["is not a requirement"]);
    let run = s.run(&["resolve", "app", "tool", "--tree"]).ok();
    assert_eq!(run.out, "pack:app 1.0.0\n└── pack:base 1.1.0\npack:tool 0.3.0\n└── pack:base 1.1.0\n");
    assert_eq!(
        s.run(&["resolve", "app", "--prefer", "minimal"]).ok().out.lines().last().unwrap().split('\t').nth(1),
        Some("1.0.0")
    );
    let run = s.run(&["resolve", "app", "--override", "base@^2"]).ok();
    assert!(run.out.contains("pack:base\t2.0.0"));
    s.run(&["resolve", "app", "--exclude-newer", "2020-01-01"]).code(8).says(&["is newer than 2020-01-01T23:59:59Z"]);
    s.run(&["resolve", "app", "--min-age", "1d"]).code(8);
    let json = s.run(&["resolve", "app", "--json"]).ok().json();
    assert_eq!(
        (&json["packages"][0]["name"], &json["packages"][0]["dependencies"]),
        (&"app".into(), &serde_json::json!([1]))
    );
}

/// By options, variables and configuration; what is locked stays, and an update does not take what is too young either.
#[test]
fn what_is_too_young_is_not_installed() {
    let mut s = Sandbox::with_registry();
    let line = |version: &str, published: &str| {
        format!(
            r#"{{"name":"base","version":"{version}","sha256":"{}","size":1,"download_url":"https://downloads.example.com/x"{published}}}"#,
            "0".repeat(64)
        )
    };
    s.write(
        "packages/list.jsonl",
        [line("1.0.0", r#","published":"2020-02-03T04:05:06Z""#), line("1.1.0", "")].join("\n"),
    );
    s.run(&["build", "--source", "packages"]).ok();
    let version = |run: super::Run| run.ok().out.split('\t').nth(1).map(str::to_owned).unwrap();
    assert_eq!(version(s.run(&["resolve", "base"])), "1.1.0");
    // A day means all of it.
    for (option, value) in [
        ("--min-age", "1d"),
        ("--min-age", "36h"),
        ("--exclude-newer", "2020-02-03"),
        ("--exclude-newer", "2020-02-03T04:05:06Z"),
    ] {
        assert_eq!(version(s.run(&["resolve", "base", option, value])), "1.0.0", "{option} {value}");
    }
    for (option, value) in
        [("--min-age", "9y"), ("--min-age", "-1d"), ("--exclude-newer", "yesterday"), ("--exclude-newer", "2020-13-01")]
    {
        s.run(&["resolve", "base", &format!("{option}={value}")]).code(2).says(&[option]);
    }
    let run = s.run(&["resolve", "base", "--exclude-newer", "2020-02-03T04:05:05Z"]).code(8);
    run.says(&["is newer than 2020-02-03T04:05:05Z (published 2020-02-03T04:05:06Z)"]);
    assert_eq!(s.run(&["install", "base", "--dry-run", "--min-age", "1d"]).ok().out, "pack:base 1.0.0 added\n");
    // As a rule of this machine.
    s.set("GGEN_MARKET_MIN_AGE", "1d");
    assert_eq!(version(s.run(&["resolve", "base"])), "1.0.0");
    assert_eq!(version(s.run(&["resolve", "base", "--min-age", ""])), "1.1.0");
    s.set("GGEN_MARKET_MIN_AGE", "");
    s.set("GGEN_MARKET_EXCLUDE_NEWER", "2020-12-31");
    assert_eq!(version(s.run(&["resolve", "base"])), "1.0.0");
}

#[test]
fn an_update_takes_nothing_that_is_too_young_and_what_is_locked_stays() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    let lock = s.read("ggen.lock");
    // All of it was published just now, and is locked.
    for args in [&["install"][..], &["install", "--locked"], &["resolve", "app", "--prefer", "locked"]] {
        s.run(&[args, &["--min-age", "30d"]].concat()).ok();
    }
    pack(&s, "base", "1.2.0", "");
    s.run(&["build", "--source", "packages"]).ok();
    // What is updated is not locked any more, and all that it could be is too young.
    s.run(&["update", "base", "--min-age", "30d", "--into", "deps"])
        .code(8)
        .says(&["pack:base 1.0.0 to 1.2.0 is newer"]);
    assert_eq!(s.read("ggen.lock"), lock);
    s.run(&["install", "tool", "--min-age", "30d", "--into", "deps"]).code(8).says(&["tool", "is newer than"]);
    assert_eq!(s.read("ggen.lock"), lock);
    assert_eq!(s.run(&["update", "base", "--into", "deps"]).ok().out, "pack:base 1.1.0 -> 1.2.0\n");
}

/// What is updated is not locked any more: of what is old enough the newest is taken, also where that is the older one.
#[test]
fn an_update_goes_back_to_what_is_old_enough() {
    let mut s = Sandbox::with_registry();
    pack(&s, "base", "1.0.0", "");
    // A release is as old as the file says that brings it first.
    s.set("SOURCE_DATE_EPOCH", "1700000000");
    s.run(&["build", "--source", "packages"]).ok();
    s.set("SOURCE_DATE_EPOCH", &ggen_marketplace::package::Timestamp::now().unix().to_string());
    pack(&s, "base", "1.1.0", "");
    s.run(&["build", "--source", "packages"]).ok();
    let seen = |version: &str| assert_eq!(seen(&s, "deps"), [format!("pack/base/templates/main.tmpl: base {version}")]);
    s.run(&["install", "base@^1", "--into", "deps"]).ok();
    seen("1.1.0");
    assert_eq!(s.run(&["update", "--min-age", "7d", "--into", "deps"]).ok().out, "pack:base 1.1.0 -> 1.0.0\n");
    seen("1.0.0");
    s.run(&["install", "--locked", "--into", "deps"]).ok();
    seen("1.0.0");
    assert_eq!(s.run(&["update", "base", "--into", "deps"]).ok().out, "pack:base 1.0.0 -> 1.1.0\n");
    seen("1.1.0");
}

#[test]
fn what_ggen_wrote_into_the_lock_file_stays() {
    let s = packs();
    let ggen = "[packs.base]\nsource = \"git+https://example.com/base\"\ncontent_hash = \"blake3:00\"\n# A comment of theirs\n";
    for ggen in [ggen.to_owned(), ggen.replace('\n', "\r\n")] {
        s.write("ggen.lock", &ggen);
        s.run(&["install", "app", "--into", "deps"]).ok().says(&["base is also locked by ggen itself"]);
        assert!(s.read("ggen.lock").starts_with(&ggen));
        // And again, now that ours are there, and with more of theirs after them.
        s.write("ggen.lock", s.read("ggen.lock") + &ggen.replace("base", "late"));
        s.run(&["install", "tool", "--into", "deps"]).ok();
        let lock = s.read("ggen.lock");
        assert!(lock.starts_with(&ggen) && lock.ends_with(&ggen.replace("base", "late")), "{lock}");
        assert_eq!(lock.matches("# Written by").count(), 1);
        s.run(&["install", "--frozen", "--into", "deps"]).ok();
    }
}

/// What was decided once for all packages holds for whoever resolves the lock file again.
#[test]
fn rules_are_remembered_until_they_are_taken_back() {
    let s = packs();
    pack(&s, "rich", "1.0.0", "base = \"^1\"\ntool = { version = \"*\", optional = true }");
    s.run(&["build", "--source", "packages"]).ok();
    let base = |version: &str| format!("pack/base/templates/main.tmpl: base {version}");
    s.run(&["install", "rich", "--override", "base@=1.0.0", "--optional", "--into", "deps"]).ok();
    let lock = s.read("ggen.lock");
    assert!(lock.contains("\n[market.overrides]\n\"pack:base\" = \"=1.0.0\"\n"), "{lock}");
    assert!(lock.contains("\noptional = true\n") && lock.contains("name = \"tool\""), "{lock}");
    for verb in ["install", "update"] {
        s.run(&[verb, "--into", "deps"]).ok();
        assert_eq!(s.read("ggen.lock"), lock, "{verb}");
    }
    assert!(seen(&s, "deps").contains(&base("1.0.0")), "{:?}", seen(&s, "deps"));
    s.run(&["install", "--locked", "--into", "deps"]).ok();
    s.run(&["install", "--locked", "--override", "base@=1.0.0", "--into", "deps"]).ok();
    for other in [["--locked", "--override=base@^1"], ["--frozen", "--optional=false"]] {
        let run = s.run(&[&["install", "--into", "deps"], &other[..]].concat());
        assert_eq!(run.code, 8, "{other:?}: {}", run.err);
        assert!(run.err.contains("say other than the lock file"), "{}", run.err);
    }
    assert_eq!(s.read("ggen.lock"), lock);
    let run = s.run(&["update", "--override", "base@*", "--optional=false", "--into", "deps"]).ok();
    assert_eq!(run.out, "pack:base 1.0.0 -> 1.1.0\npack:tool 0.3.0 removed\n");
    let lock = s.read("ggen.lock");
    assert!(!lock.contains("overrides") && !lock.contains("optional"), "{lock}");
    s.run(&["install", "--override", "tool@^9", "--into", "deps"]).ok().says(&["nothing needs tool@^9"]);
    assert_eq!(s.read("ggen.lock"), lock);
}

#[test]
fn across_an_air_gap() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    s.run(&["export", "bundle.tar"]).ok().says(&["2 archives"]);
    let paths = s.run(&["download", "--all-of", "ggen.lock", "-o", "archives"]).ok().out;
    assert_eq!(paths, "archives/app-1.0.0.tar.gz\narchives/base-1.1.0.tar.gz\n");
    // Another machine, which has the key and no way to the registry.
    let key = s.key();
    let far = || {
        let mut far = Sandbox::new();
        far.set("GGEN_MARKET_KEY", &key);
        far.set("GGEN_MARKET_REGISTRY", "http://127.0.0.1:9/");
        far
    };
    let bundle = fs::read(s.path("bundle.tar")).unwrap();
    let there = far();
    there.write("bundle.tar", &bundle);
    there.run(&["import", "bundle.tar"]).ok();
    there.run(&["install", "--frozen", "--into", "deps"]).ok();
    assert_eq!(seen(&there, "deps"), APP);
    there.run(&["install", "--offline", "--into", "again"]).ok();
    // Every byte of it is vouched for: wherever one is changed, nothing wrong gets in.
    let mut refused = 0;
    for at in (0..bundle.len()).step_by(bundle.len() / 40) {
        let there = far();
        let mut bundle = bundle.clone();
        bundle[at] ^= 0x20;
        there.write("bundle.tar", &bundle);
        let run = there.run(&["import", "bundle.tar"]);
        if run.code == 0 {
            // Padding, or a field of a header that says nothing.
            there.run(&["install", "--frozen", "--into", "deps"]).ok();
            assert_eq!(seen(&there, "deps"), APP);
        } else {
            assert!(matches!(run.code, 2 | 5 | 6), "{} {}", run.code, run.err);
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused}");
    // Signed by somebody else.
    let mut stranger = far();
    stranger.set("GGEN_MARKET_KEY", "registry.example.com/ggen+00000000+AQO5hfhsRC2bUnHHDfoUUYBFS+NwSaf/KplT30lv2XnG");
    stranger.write("bundle.tar", &bundle);
    assert_ne!(stranger.run(&["import", "bundle.tar"]).code, 0);
    assert!(!stranger.path("cache/ggen-market/archives").exists());
}

#[test]
fn two_that_install_the_same_at_once_both_succeed() {
    let s = packs();
    s.run(&["install", "app", "--into", "first"]).ok();
    for round in 0..4 {
        let into = format!("deps-{round}");
        let children: Vec<_> = (0..6).map(|_| s.start(&["install", "--into", &into])).collect();
        for child in children {
            let out = child.wait_with_output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        assert_eq!(seen(&s, &into), APP);
        let left = fs::read_dir(s.path(&into).join(".ggen-market/tmp")).unwrap().count();
        assert_eq!(left, 0, "nothing is left behind");
    }
}

/// Everything under a final name is whole: all files of the archive, each with its own content.
fn assert_whole(folder: &Path, files: usize) {
    for entry in fs::read_dir(folder.join("pack")).into_iter().flatten() {
        let pack = entry.unwrap().path();
        let mut count = 0;
        for file in walkdir::WalkDir::new(pack.join("templates")).into_iter().map(Result::unwrap) {
            if file.file_type().is_file() {
                let text = fs::read_to_string(file.path()).unwrap();
                assert_eq!(text.len(), 3_000, "{}", file.path().display());
                count += 1;
            }
        }
        assert_eq!(count, files, "{}", pack.display());
    }
}

#[test]
fn killed_at_any_moment_nothing_is_half_there() {
    const FILES: usize = 150;
    let s = Sandbox::with_registry();
    for (name, version) in [("big", "1.0.0"), ("big", "2.0.0"), ("other", "1.0.0"), ("third", "1.0.0")] {
        pack(&s, name, version, "");
        for file in 0..FILES {
            s.write(&format!("packages/{name}-{version}/templates/{file}.txt"), format!("{file:0>3000}"));
        }
        fs::remove_file(s.path(&format!("packages/{name}-{version}/templates/main.tmpl"))).unwrap();
    }
    s.run(&["build", "--source", "packages"]).ok();
    s.run(&["install", "big@2", "other", "third", "--lock-file", "two.lock", "--into", "two"]).ok();
    s.run(&["install", "big@1", "other", "--lock-file", "one.lock", "--into", "one"]).ok();
    let mut cut = 0;
    for round in 0..40u64 {
        // To and fro between two states, each run cut short at another moment.
        let lock = if round % 2 == 0 { "one.lock" } else { "two.lock" };
        if round % 8 == 0 {
            let _ = fs::remove_dir_all(s.path("cache/ggen-market/archives"));
        }
        let mut command = s.command(&["install", "--locked", "--lock-file", lock, "--into", "deps"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(3 + round * 5 % 83));
        cut += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_whole(&s.path("deps"), FILES);
    }
    assert!(cut >= 15, "only {cut} of 40 runs were still under way when they were killed");
    s.run(&["install", "--locked", "--lock-file", "two.lock", "--into", "deps"]).ok();
    assert_whole(&s.path("deps"), FILES);
    let listed = s.run(&["installed", "--into", "deps"]).ok().out;
    assert_eq!(listed.lines().count(), 3);
    assert!(!listed.contains("not whole"), "{listed}");
    assert_eq!(fs::read_dir(s.path("deps/.ggen-market/tmp")).unwrap().count(), 0, "what killed runs left is gone");
}

/// A pack and a crate may be taken away at once whose folders would have one name.
#[test]
fn what_is_taken_away_together_may_have_one_name() {
    let s = Sandbox::with_registry();
    s.a_crate("twin", "1.0.0", "A crate");
    pack(&s, "twin-1.0.0", "0.1.0", "");
    pack(&s, "stays", "0.1.0", "");
    s.run(&["build", "--source", "packages"]).ok();
    s.run(&["install", "crate:twin", "pack:twin-1.0.0", "stays", "--into", "deps"]).ok();
    s.run(&["install", "stays", "--lock-file", "other.lock", "--into", "deps"]).ok().says(&["2 removed"]);
}
