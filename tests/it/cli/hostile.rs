//! Folders and caches that somebody else has made: a checkout of a stranger's, a cache that belongs to another user.

use super::{Run, Sandbox, flip, install::packs};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::Path,
    time::{Duration, Instant},
};

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

/// Runs as somebody who may not write to what is the owner's alone.
fn as_another(s: &Sandbox, args: &[&str]) -> Run {
    let mut command = s.command(args);
    if s.dir.path().metadata().unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let (out, err) = (s.path("open/stdout"), s.path("open/stderr"));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(60) => {
                child.kill().unwrap();
                panic!("{args:?} does not end");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let text = |path| fs::read_to_string(path).unwrap();
    Run { code: status.code().unwrap_or(-1), out: text(out), err: text(err) }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A damaged archive is not taken, also where it cannot be taken away: it lies in a cache of another user's.
#[test]
fn damage_in_a_cache_that_cannot_be_written_to_is_not_passed_on() {
    let s = packs();
    s.run(&["install", "app", "--into", "deps"]).ok();
    s.run(&["export", "right.tar"]).ok();
    s.run(&["download", "--all-of", "ggen.lock", "-o", "right"]).ok();
    // They may be second names of what is in the cache.
    let right = ["app-1.0.0.tar.gz", "base-1.1.0.tar.gz"].map(|n| (n, fs::read(s.path("right").join(n)).unwrap()));
    let archives = s.path("cache/ggen-market/archives");
    let all = |path: &Path| -> Vec<_> {
        walkdir::WalkDir::new(path).contents_first(true).into_iter().map(|e| e.unwrap().into_path()).collect()
    };
    fs::create_dir(s.path("open")).unwrap();
    all(s.dir.path()).iter().for_each(|p| mode(p, if p.is_dir() { 0o777 } else { 0o666 }));
    let files: Vec<_> = all(&archives).into_iter().filter(|p| p.is_file()).collect();
    assert_eq!(files.len(), 2);
    // One has other bytes, one is too short.
    flip(&files[0]);
    fs::write(&files[1], &fs::read(&files[1]).unwrap()[1..]).unwrap();
    let damaged: Vec<_> = files.iter().map(|f| fs::read(f).unwrap()).collect();
    all(&archives).iter().for_each(|p| mode(p, if p.is_dir() { 0o555 } else { 0o444 }));
    let run = as_another(&s, &["download", "--all-of", "ggen.lock", "-o", "open/archives"]).ok();
    assert_eq!(run.out, "open/archives/app-1.0.0.tar.gz\nopen/archives/base-1.1.0.tar.gz\n");
    for (name, right) in right {
        assert!(fs::read(s.path("open/archives").join(name)).unwrap() == right, "{name}");
    }
    as_another(&s, &["install", "--into", "open/deps"]).ok().says(&["2 packages installed"]);
    assert_eq!(fs::read_to_string(s.path("open/deps/pack/app/templates/main.tmpl")).unwrap(), "app 1.0.0\n");
    as_another(&s, &["export", "open/bundle.tar"]).ok();
    assert!(fs::read(s.path("open/bundle.tar")).unwrap() == fs::read(s.path("right.tar")).unwrap());
    as_another(&s, &["install", "--frozen", "--into", "open/frozen"]).code(4);
    for (file, damaged) in files.iter().zip(damaged) {
        assert!(fs::read(file).unwrap() == damaged, "nobody could write to it");
    }
    all(&archives).iter().filter(|p| p.is_dir()).for_each(|p| mode(p, 0o755));
}
