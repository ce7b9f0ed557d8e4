//! Folders that somebody else has made: a checkout of a stranger's.

use super::{Sandbox, install::packs};
use std::{fs, os::unix::fs::symlink, path::Path};

/// Everything below a folder, with the content of files.
fn tree(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    entries.map(|e| format!("{} {:?}", e.path().display(), fs::read(e.path()).ok())).collect()
}

/// What a stranger would like to have: a folder outside of the checkout, and links in the checkout that lead there.
fn lured(s: &Sandbox, link: &str) {
    let _ = fs::remove_dir_all(s.path("checkout"));
    let _ = fs::remove_dir_all(s.path("outside"));
    for file in ["precious/a.txt", "run-1/a.txt", "tmp/run-2/a.txt", "pack/base/a.txt", "base/a.txt", "base.txt"] {
        s.write(&format!("outside/{file}"), "precious");
    }
    let marker = format!(
        r#"{{"kind":"pack","name":"precious","version":"1.0.0","registry":"{}","sha256":"{}","files":1,"bytes":1}}"#,
        super::ORIGIN,
        "0".repeat(64)
    );
    for place in ["outside/precious.json", "outside/pack/precious.json", "outside/installed/pack/precious.json"] {
        s.write(place, &marker);
    }
    s.write("checkout/.ggen/packages/.ggen-market/installed/pack/precious.json", &marker);
    for kind in ["tmp", "installed/crate"] {
        fs::create_dir_all(s.path("checkout/.ggen/packages/.ggen-market").join(kind)).unwrap();
    }
    s.write(
        "checkout/ggen.lock",
        format!("[market]\nversion = 1\nregistry = \"{}\"\n\n[market.wants]\n", super::ORIGIN),
    );
    let link = s.path("checkout").join(link);
    let _ = fs::remove_dir_all(&link);
    symlink(s.path("outside"), link).unwrap();
}

/// Whoever runs the program in a stranger's checkout changes nothing outside of it, whatever links are in it.
#[test]
fn no_link_in_a_checkout_leads_an_installation_out_of_it() {
    let mut s = packs();
    s.set("GGEN_MARKET_REGISTRY", s.path("registry").to_str().unwrap().to_owned().as_str());
    let key = s.key();
    s.set("GGEN_MARKET_KEY", &key);
    let own = ".ggen/packages/.ggen-market";
    let links = [
        ".ggen".to_owned(),
        ".ggen/packages".to_owned(),
        ".ggen/packages/pack".to_owned(),
        ".ggen/packages/crate".to_owned(),
        own.to_owned(),
        format!("{own}/tmp"),
        format!("{own}/lock"),
        format!("{own}/installed"),
        format!("{own}/installed/pack"),
        format!("{own}/installed/crate"),
    ];
    for link in &links {
        for verb in [&["install", "--frozen"][..], &["install", "base"], &["installed"]] {
            lured(&s, link);
            let before = tree(&s.path("outside"));
            let output = s.command(verb).current_dir(s.path("checkout")).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!(tree(&s.path("outside")), before, "{link}, {verb:?}");
            assert_eq!(output.status.code(), Some(2), "{link}, {verb:?}: {err}");
            assert!(err.contains("is a link"), "{link}, {verb:?}: {err}");
        }
    }
    // A link in the place of a package is not that package, and is replaced as a link.
    lured(&s, ".ggen/packages/pack");
    fs::remove_file(s.path("checkout/.ggen/packages/pack")).unwrap();
    let before = tree(&s.path("outside"));
    let install = |args: &[&str]| s.command(args).current_dir(s.path("checkout")).output().unwrap();
    assert!(install(&["install", "base"]).status.success());
    let base = s.path("checkout/.ggen/packages/pack/base");
    fs::remove_dir_all(&base).unwrap();
    symlink(s.path("outside"), &base).unwrap();
    assert!(install(&["install"]).status.success());
    assert!(base.symlink_metadata().unwrap().is_dir() && base.join("templates/main.tmpl").exists());
    assert_eq!(tree(&s.path("outside")), before);
    // A folder that the user names from the root is the user's own, and so are the links to it.
    symlink(s.path("elsewhere"), s.path("link")).unwrap();
    fs::create_dir(s.path("elsewhere")).unwrap();
    s.run(&["install", "base", "--into", s.path("link").to_str().unwrap()]).ok();
    assert!(s.path("elsewhere/pack/base/templates/main.tmpl").exists());
}

/// Only what a run of this program can have left behind is taken away, and what it shows is not a link.
#[test]
fn only_what_a_killed_run_left_is_swept_away() {
    let s = packs();
    s.run(&["install", "base", "--into", "deps"]).ok();
    s.write("outside/a.txt", "precious");
    let tmp = "deps/.ggen-market/tmp";
    for file in ["notes/a.txt", "notes.lock", "run-dead/0/a.txt", "run-dead.lock", "run-file", "run-gone.lock"] {
        s.write(&format!("{tmp}/{file}"), "");
    }
    symlink(s.path("outside"), s.path(tmp).join("run-link")).unwrap();
    symlink(s.path("outside/made"), s.path(tmp).join("run-to.lock")).unwrap();
    fs::create_dir(s.path(tmp).join("run-to")).unwrap();
    s.run(&["install", "--into", "deps"]).ok();
    let mut left: Vec<_> =
        fs::read_dir(s.path(tmp)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["notes", "notes.lock", "run-file", "run-link", "run-to", "run-to.lock"]);
    assert_eq!(tree(&s.path("outside")).len(), 2);
}
