//! The lock file: what it says of overrides, who else writes to it, and what `outdated` makes of it.

use super::{
    Sandbox,
    install::{pack, packs},
};
use std::{fs, time::Duration};

/// An override decides over what was asked for as well, and all verbs read the lock file so.
#[test]
fn an_override_of_what_is_wanted_is_locked_whole() {
    let s = packs();
    s.run(&["install", "base@^1", "tool", "--override", "base@^2", "--into", "deps"]).ok();
    assert_eq!(s.read("deps/pack/base/templates/main.tmpl"), "base 2.0.0\n");
    for how in ["--frozen", "--locked"] {
        s.run(&["install", how, "--into", "deps"]).ok();
    }
    assert_eq!(s.run(&["why", "base"]).ok().out, "pack:base 2.0.0\npack:tool 0.3.0 -> pack:base 2.0.0\n");
    s.run(&["export", "bundle.tar"]).ok();
    s.run(&["import", "bundle.tar", "--cache", "new", "--lock-file", "new.lock"]).ok();
    assert_eq!(s.read("new.lock"), s.read("ggen.lock"));
    s.run(&["remove", "tool", "--into", "deps"]).ok();
    assert_eq!(s.read("deps/pack/base/templates/main.tmpl"), "base 2.0.0\n");
    s.run(&["install", "--frozen", "--into", "deps"]).ok().says(&["1 there already"]);
}

/// Two that ask for different things at once: both get them, and the lock file holds both.
#[test]
fn what_two_install_at_once_is_locked_and_there() {
    let s = packs();
    for round in 0..6 {
        let (lock, into) = (format!("{round}.lock"), format!("deps-{round}"));
        // The last rounds without a cache, in which they would wait for each other.
        let more: &[&str] = if round < 3 || !cfg!(unix) { &[] } else { &["--no-cache"] };
        let start = |name| s.start(&[&["install", name, "--lock-file", &lock, "--into", &into], more].concat());
        for child in [start("app"), start("tool"), start("base@^1")] {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        for name in ["app", "tool", "base"] {
            assert!(s.read(&lock).contains(&format!("\n\"pack:{name}\" = ")), "{name}: {}", s.read(&lock));
            assert!(s.path(&into).join("pack").join(name).is_dir(), "{name}");
        }
        s.run(&["install", "--frozen", "--lock-file", &lock, "--into", &into]).ok().says(&["0 removed, 3 there"]);
    }
}

/// What another program writes into the lock file while packages are fetched stays, and so does what it changes in ours.
#[test]
fn what_others_write_meanwhile_is_not_lost() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    let held = fs::OpenOptions::new().read(true).write(true).open(s.path("deps/.ggen-market/lock")).unwrap();
    held.lock().unwrap();
    let child = s.start(&["install", "tool", "--into", "deps"]);
    // It has unpacked all, and waits for its turn to give it its name.
    let unpacked = || {
        let files = walkdir::WalkDir::new(s.path("deps/.ggen-market/tmp")).into_iter().flatten();
        files.into_iter().any(|f| f.path().extension().is_some_and(|e| e == "done"))
    };
    while !unpacked() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let ggen = "[packs.mine]\nsource = \"git+https://example.com/mine\"\ncontent_hash = \"blake3:00\"\n\n";
    let changed = s.read("ggen.lock").replace("\"^1.0.0\"", "\"^1\"");
    s.write("ggen.lock", format!("{ggen}{changed}"));
    held.unlock().unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(err.contains("ggen.lock was changed by another program"), "{err}");
    let lock = s.read("ggen.lock");
    assert!(lock.starts_with(ggen), "{lock}");
    assert!(lock.contains("\"pack:app\" = \"^1\"\n\"pack:tool\" = \"^0.3.0\"\n"), "{lock}");
    s.run(&["install", "--frozen", "--into", "deps"]).ok().says(&["3 there already"]);
}

/// Somebody may have thought of a lock of their own, and hold it while this program runs (`flock ggen.lock ggen-market install`).
#[test]
fn who_has_locked_the_lock_file_is_not_waited_for_without_end() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    let held = fs::File::open(s.path("ggen.lock")).unwrap();
    held.lock().unwrap();
    s.run(&["install", "tool", "--into", "deps"]).ok();
    assert!(s.read("ggen.lock").contains("\n\"pack:tool\" = "));
}

/// Whoever installs what is locked does not write to the lock file, however it is written.
#[test]
fn what_is_installed_as_it_is_locked_leaves_the_lock_file_alone() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    let by_hand = s.read("ggen.lock").replace("version = 1\n", "version = 1   # by hand\n");
    s.write("ggen.lock", &by_hand);
    for how in ["--frozen", "--locked"] {
        s.run(&["install", how, "--into", "deps"]).ok();
        assert_eq!(s.read("ggen.lock"), by_hand, "{how}");
    }
}

/// `outdated` says what `update` would do, by all that `update` goes by.
#[test]
fn what_is_outdated_is_what_an_update_changes() {
    let mut s = packs();
    pack(&s, "rich", "1.0.0", "app = \"*\"\ntool = { version = \"*\", optional = true }");
    pack(&s, "odd", "1.0.0", "base = \"^3\"");
    s.run(&["build", "--source", "packages"]).ok();
    // Without the override nothing fits, and without what is optional `tool` would go.
    s.run(&["install", "rich", "odd", "--override", "base@^1", "--optional", "--into", "deps"]).ok();
    assert_eq!(s.run(&["outdated"]).ok().out, "pack:base\t1.1.0\t1.1.0\t2.0.0\n");
    assert_eq!(s.run(&["update", "--dry-run", "--into", "deps"]).ok().out, "");
    assert_eq!(
        s.run(&["outdated", "--optional=false", "--override", "base@=1.0.0"]).ok().out,
        "pack:base\t1.1.0\t1.0.0\t2.0.0\npack:tool\t0.3.0\t-\t0.3.0\n"
    );
    // What is too young is not updated to, be it said by an option or by a rule of this machine.
    let mut old = Sandbox::with_registry();
    pack(&old, "base", "1.0.0", "");
    old.set("SOURCE_DATE_EPOCH", "1700000000");
    old.run(&["build", "--source", "packages"]).ok();
    old.run(&["install", "base@^1", "--into", "deps"]).ok();
    old.set("SOURCE_DATE_EPOCH", &ggen_marketplace::package::Timestamp::now().unix().to_string());
    pack(&old, "base", "1.1.0", "");
    old.run(&["build", "--source", "packages"]).ok();
    let row = |update: &str| format!("pack:base\t1.0.0\t{update}\t1.1.0\n");
    assert_eq!(old.run(&["outdated"]).ok().out, row("1.1.0"));
    assert_eq!(old.run(&["outdated", "--min-age", "7d"]).ok().out, row("1.0.0"));
    assert_eq!(old.run(&["outdated", "--exclude-newer", "2024-01-01"]).ok().out, row("1.0.0"));
    old.set("GGEN_MARKET_MIN_AGE", "7d");
    assert_eq!(old.run(&["outdated"]).ok().out, row("1.0.0"));
    // And what is locked is not kept by being locked.
    old.run(&["install", "base@^1", "--min-age", "", "--into", "deps"]).ok();
    old.run(&["update", "--min-age", "", "--into", "deps"]).ok();
    assert_eq!(old.run(&["outdated"]).ok().out, "pack:base\t1.1.0\t1.0.0\t1.1.0\n");
    s.set("GGEN_MARKET_EXCLUDE_NEWER", "2020-01-01");
    s.run(&["outdated"]).code(8).says(&["is newer than 2020-01-01"]);
}
