//! Wrong input and broken registries: each has its exit code, its place and a way on.

use super::{ORIGIN, Sandbox, flip};
use ggen_marketplace::{SigningKey, trust::Note};

#[test]
fn usage_is_2() {
    let s = Sandbox::published();
    s.run(&[]).code(2);
    s.run(&["publish"]).code(2).says(&["publish"]);
    s.run(&["info"]).code(2);
    s.run(&["info", "../etc"]).code(2).says(&["only ASCII letters"]);
    s.run(&["info", "gem:hello"]).code(2).says(&["unknown kind of package \"gem\" (known: crate, pack)"]);
    s.run(&["show", "hello@1.0"]).code(2).says(&["\"1.0\" is not a semantic version"]);
    s.run(&["versions", "hello@1.0.0"]).code(2).says(&["leave out @1.0.0"]);
    s.run(&["list", "--kind", "gem"]).code(2).says(&["possible values: crate, pack"]);
    s.run(&["list", "--prefix", "a b"]).code(2).says(&["no package's name begins with \"a b\""]);
    s.run(&["list", "--at", "newest"]).code(2).says(&["neither a generation nor a snapshot's sha256"]);
    s.run(&["yank", "hello"]).code(2).says(&["names no version", "hello@VERSION"]);
    s.run(&["yank", "hello@1.0.0", "--reason", "two\nlines"]).code(2).says(&["not one line"]);
    s.run(&["list", "--registry", "ftp://example.com"]).code(2).says(&["unknown scheme \"ftp\""]);
    s.run(&["list", "--key", "nonsense"]).code(2).says(&["not a verifier key", "hint:"]);
    s.run(&["init", "--store", "r", "--origin", "https://example.com", "--force"]).code(2).says(&["it has a scheme"]);
    s.run(&["completions", "tcsh"]).code(2);
    s.run(&["verify", "--offline"]).code(2).says(&["--offline forbids that"]);
}

#[test]
fn the_local_machine_is_1() {
    let s = Sandbox::published();
    s.run(&["list", "--registry", "nowhere"]).code(1).says(&["cannot open nowhere", "caused by: No such file", "init"]);
    s.run(&["build", "--source", "nowhere"]).code(1).says(&["nowhere"]);
    s.run(&["fetch", "hello", "-o", "no/such/folder/x"]).code(1).says(&["cannot write no/such/folder/x"]);
    // A file where a folder is expected: what a store that cannot be written to looks like, also to root.
    s.write("file", "");
    s.run(&["list", "--registry", "file"]).code(1).says(&["cannot open file"]);
    s.run(&["init", "--store", "file/registry", "--origin", ORIGIN, "--force"])
        .code(1)
        .says(&["cannot create file/registry"]);
    std::fs::rename(s.path("registry/log"), s.path("log")).unwrap();
    s.write("registry/log", "");
    s.a_crate("hello", "2.0.0", "new");
    let run = s.run(&["build", "--source", "packages"]);
    assert_ne!(run.code, 0, "{}", run.err);
}

#[test]
fn refusals_and_conflicts_are_3_and_the_rest_lands() {
    let s = Sandbox::published();
    s.a_crate("hello", "1.0.0", "Other bytes");
    s.a_crate("hello", "1.2.0", "New");
    s.write("packages/broken/pack.toml", "[pack]\nname = \"broken\"\n");
    s.write("packages/empty.crate", "");
    let run = s.run(&["build", "--source", "packages", "--json"]).code(3).says(&[
        "refused: packages/hello-1.0.0.crate: crate:hello@1.0.0 is already published with other bytes: sha256",
        "hint: a release never changes once it is published",
        "packages/broken",
        "`pack.version` is missing",
        "packages/empty.crate",
        "1 release added, 2 unchanged, 3 refused; generation 2;",
    ]);
    let refused = run.json()["refused"].as_array().unwrap().clone();
    let kinds: Vec<_> = refused.iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "conflict").count(), 1, "{kinds:?}");
    assert_eq!(refused.len(), 3);
    assert_eq!(s.run(&["info", "hello", "--json"]).ok().json()["newest"], "1.2.0");
}

#[test]
fn what_cannot_be_had_is_4() {
    let s = Sandbox::published();
    std::fs::create_dir(s.path("empty")).unwrap();
    s.run(&["list", "--registry", "empty"]).code(4).says(&["there is no registry", "hint: check the address"]);
    s.run(&["list", "--offline", "--cache", "fresh"]).code(4).says(&["--offline", "run once without"]);
    let shards = s.objects("shard");
    assert_eq!(shards.len(), 1);
    std::fs::remove_file(&shards[0]).unwrap();
    let name = shards[0].file_name().unwrap().to_str().unwrap();
    s.run(&["info", "hello", "--no-cache"]).code(4).says(&[
        "cannot read",
        name,
        "an object that is cited must be there",
    ]);
}

#[test]
fn building_where_no_registry_is_points_to_init() {
    let s = Sandbox::published();
    std::fs::create_dir(s.path("empty")).unwrap();
    let build = ["build", "--source", "packages", "--store", "empty", "--cache", "fresh"];
    s.run(&build).code(2).says(&["there is no registry in empty", "ggen-market init"]);
    s.run(&["build", "--source", "packages", "--store", "nowhere"]).code(1).says(&["ggen-market init"]);
    assert_eq!(std::fs::read_dir(s.path("empty")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_trusted_is_5() {
    let s = Sandbox::published();
    let other = SigningKey::generate(ORIGIN.parse().unwrap()).unwrap().verifier().to_string();
    s.run(&["list", "--key", &other]).code(5).says(&["cannot be trusted", "check the pinned key"]);
    let shards = s.objects("shard");
    assert_eq!(shards.len(), 1);
    let shard = &shards[0];
    flip(shard);
    let name = shard.file_name().unwrap().to_str().unwrap();
    s.run(&["info", "hello", "--no-cache"]).code(5).says(&[name, "is not what it is cited as", "caused by:", "hint:"]);
    let run = s.run(&["verify", "--json"]).code(5).says(&["problem: generation 1:", name, "not to be relied on"]);
    assert_eq!(run.json()["problems"][0]["kind"], "untrusted");
    // A damaged snapshot leaves nothing to audit by: told as an error or as a problem, with the same code.
    let snapshot = s.run(&["history", "--json", "-n", "1"]).ok().json()["generations"][0]["snapshot"].clone();
    let snapshot = snapshot.as_str().unwrap();
    flip(&s.path(&format!("registry/blobs/sha256/{snapshot}")));
    s.run(&["verify", "--json"]).code(5).says(&[snapshot, "is not what it is cited as"]);
    flip(&s.path("registry/checkpoint"));
    s.run(&["list", "--no-cache"]).code(5).says(&["checkpoint cannot be trusted"]);
}

#[test]
fn an_expired_registry_is_5_until_it_is_built_again() {
    let mut s = Sandbox::new();
    s.set("SOURCE_DATE_EPOCH", "1600000000");
    s.run(&["init", "--store", "registry", "--origin", ORIGIN]).ok();
    s.a_crate("hello", "1.0.0", "Says hello");
    s.run(&["build", "--source", "packages"]).ok();
    s.run(&["list"]).code(5).says(&["expired at 2020-09-20T12:26:40Z", "tell its operator"]);
    let run = s.run(&["list", "--allow-expired"]).ok().says(&["WARN", "expired"]);
    assert_eq!(run.out.lines().count(), 1);
    // Its writer may look up a bare name all the same.
    s.run(&["yank", "hello@1.0.0"]).ok();
    s.set("SOURCE_DATE_EPOCH", "yesterday");
    s.run(&["build", "--source", "packages"]).code(2).says(&["SOURCE_DATE_EPOCH is not a number of seconds"]);
    s.env.clear();
    s.run(&["build", "--source", "packages"]).ok().says(&["renews the registry's validity"]);
    s.run(&["list"]).ok();
}

#[test]
fn what_is_not_there_is_6() {
    let s = Sandbox::published();
    s.run(&["info", "nothing"]).code(6).says(&["has no package nothing", "list --prefix"]);
    s.run(&["info", "pack:hello"]).code(6).says(&["has no pack hello"]);
    s.run(&["show", "hello@9.9.9"]).code(6).says(&["crate:hello has no release 9.9.9", "versions crate:hello"]);
    s.run(&["list", "--at", "7"]).code(6).says(&["there is no generation 7", "the newest is 1"]);
    s.run(&["yank", "hello@9.9.9"]).code(6).says(&["the registry has no release crate:hello@9.9.9"]);
    s.run(&["unyank", "pack:nothing@1.0.0"]).code(6);
}

#[test]
fn what_is_newer_is_7() {
    let s = Sandbox::published();
    let key = SigningKey::from_secret_text(&s.read("ggen-market.key")).unwrap();
    let checkpoint = s.read("registry/checkpoint").replacen("checkpoint/v1", "checkpoint/v2", 1);
    let text = &checkpoint[..checkpoint.rfind("\n\n").unwrap() + 1];
    s.write("registry/checkpoint", Note::sign(text, &key).unwrap());
    s.run(&["list"]).code(7).says(&["format version 2", "upgrade"]);
}

#[test]
fn a_name_of_two_packages_has_to_be_told_apart() {
    let s = Sandbox::published();
    s.a_pack("hello", "1.0.0", "A pack of the same name");
    s.run(&["build", "--source", "packages"]).ok();
    let hint = ["hello is the name of several packages", "crate:hello or pack:hello"];
    s.run(&["info", "hello"]).code(2).says(&hint);
    s.run(&["yank", "hello@1.0.0"]).code(2).says(&hint);
    s.run(&["yank", "pack:hello@1.0.0"]).ok().says(&["pack:hello@1.0.0 is yanked"]);
    assert_eq!(s.run(&["info", "crate:hello", "--json"]).ok().json()["yanked"], 0);
}

#[test]
fn a_cause_is_printed_once() {
    let s = Sandbox::published();
    let run = s.run(&["list", "--registry", "nowhere"]).code(1);
    assert_eq!(run.err.matches("No such file").count(), 1, "{}", run.err);
    assert_eq!(run.err.matches("error:").count(), 1, "{}", run.err);
}

/// As anybody but root sees it: a folder that can be listed, and nothing in it looked at. What is in it is not known, and not gone.
#[cfg(unix)]
#[test]
fn a_package_that_cannot_be_looked_at_is_refused_and_not_taken_for_one_that_is_gone() {
    use std::os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    };
    const NOBODY: u32 = 65_534;
    let s = Sandbox::published();
    let is_root = s.dir.path().metadata().unwrap().uid() == 0;
    // Where nobody may start it.
    std::fs::copy(env!("CARGO_BIN_EXE_ggen-market"), s.path("ggen-market")).unwrap();
    let mode = |mode| {
        std::fs::set_permissions(s.path("packages/greeter"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    if is_root {
        for entry in walkdir::WalkDir::new(s.dir.path()) {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let build = |delete: bool| {
        let mut command = std::process::Command::new(s.path("ggen-market"));
        command.args(["build", "--source", "packages"]).current_dir(s.dir.path()).env_clear();
        command.env("HOME", s.path("home")).env("XDG_CACHE_HOME", s.path("cache"));
        if delete {
            command.arg("--delete");
        }
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for delete in [false, true] {
        let (code, told) = build(delete);
        assert!(code == Some(3) && told.contains("packages/greeter"), "{code:?} {told}");
    }
    mode(0o755);
    let (code, told) = build(true);
    assert!(code == Some(0) && told.contains("3 unchanged"), "{code:?} {told}");
}
