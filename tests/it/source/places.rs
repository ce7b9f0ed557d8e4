//! Where nothing is looked for, and what cannot be a source.

use super::*;

const PACK: &str = "[pack]\nname = \"NAME\"\nversion = \"1.0.0\"\ndescription = \"D\"\n";

fn pack(folder: &Path, name: &str) {
    write(folder, &[("pack.toml", &PACK.replace("NAME", name))]);
}

/// Packages that are installed in a project are others', wherever they are installed; unless somebody names them.
#[test]
fn what_is_installed_is_not_published() {
    let dir = tempfile::tempdir().unwrap();
    pack(&dir.path().join("packs/mine"), "mine");
    pack(&dir.path().join(".ggen/packages/pack/theirs"), "theirs");
    pack(&dir.path().join("vendor/pack/theirs"), "theirs");
    write(&dir.path().join("vendor/.ggen-market/installed/pack"), &[("theirs.json", "{}")]);
    assert_eq!(run(&[dir.path()], &options()).names(), ["mine 1.0.0"]);
    let named = dir.path().join(".ggen/packages");
    assert_eq!(run(&[&named], &options()).names(), ["theirs 1.0.0"]);
}

/// It would be read as one without packages, and by `--delete` all of them would go.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_source_and_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("list.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let e = scan(std::slice::from_ref(&pipe), &options(), &Spool::new().unwrap(), |_| {}).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid);
    assert!(e.to_string().contains("is neither a folder nor a file") && e.hint().is_some(), "{e:?}");
    // Inside of a folder, nobody has named it.
    assert_eq!(run(&[dir.path()], &options()).names(), [""; 0]);
}
