//! The secret key: where it may be, and that it is never seen.

use super::{ORIGIN, Sandbox};

#[test]
fn the_secret_key_is_in_no_output() {
    let mut s = Sandbox::new();
    s.set("GGEN_MARKET_LOG", "trace");
    let mut seen = String::new();
    let mut run = |s: &Sandbox, args: &[&str]| {
        let run = s.run(args);
        seen += &run.out;
        seen += &run.err;
        run.code
    };
    run(&s, &["init", "--store", "registry", "--origin", ORIGIN, "-vv"]);
    let secret = s.read("ggen-market.key").trim().to_owned();
    s.a_crate("hello", "1.0.0", "Says hello");
    for verb in ["build --source packages", "info hello", "list", "yank hello@1.0.0", "history", "verify --all", "key"]
    {
        let args: Vec<_> = verb.split(' ').chain(["-vv"]).collect();
        assert_eq!(run(&s, &args), 0, "{verb}");
    }
    // Put where it does not belong.
    assert_eq!(run(&s, &["list", "-vv", "--key", &secret]), 2);
    s.set("GGEN_MARKET_KEY", &secret);
    assert_eq!(run(&s, &["list", "-vv"]), 2);
    assert_eq!(run(&s, &["list", "--help"]), 0);
    s.env.clear();
    s.set("GGEN_MARKET_SECRET_KEY", &secret);
    assert_eq!(run(&s, &["build", "-vv", "--source", "packages"]), 0);
    assert_eq!(run(&s, &["build", "--help"]), 0);
    s.set("GGEN_MARKET_SECRET_KEY", &secret[..secret.len() - 2]);
    assert_eq!(run(&s, &["key", "-vv"]), 2);
    s.env.clear();
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", format!("{config}\nkey_file2 = \"{secret}\"\n").replace("key = ", "key_old = "));
    assert_eq!(run(&s, &["list"]), 2);
    s.write("ggen-market.toml", format!("key = \"{secret}\"\n"));
    assert_eq!(run(&s, &["list"]), 2);
    s.write("ggen-market.toml", format!("key = {secret}\n"));
    assert_eq!(run(&s, &["list"]), 2);

    assert!(seen.len() > 1000, "the runs have said something");
    let private = secret.rsplit_once('+').unwrap();
    // The base64 may hold a '+' itself: any long piece of it would be too much.
    for piece in secret.split('+').skip(4).chain([private.1]).filter(|p| p.len() >= 8) {
        assert!(!seen.contains(piece), "{seen}");
    }
    assert!(!seen.contains("PRIVATE+KEY+registry"), "{seen}");
}

#[test]
fn the_registry_holds_neither_the_key_nor_the_configuration() {
    let s = Sandbox::new();
    s.run(&["init", "--store", ".", "--origin", ORIGIN]).code(2).says(&["lies in the store", "public"]);
    s.run(&["init", "--store", "r", "--origin", ORIGIN, "--key-file", "r/secret.key"])
        .code(2)
        .says(&["lies in the store"]);
    s.run(&["init", "--store", ".", "--origin", ORIGIN, "--key-file", "/tmp/never-written.key"])
        .code(2)
        .says(&["lies in the store"]);
    assert!(!s.path("r/secret.key").exists() && !s.path("ggen-market.toml").exists());
    let s = Sandbox::published();
    std::fs::copy(s.path("ggen-market.key"), s.path("registry/copy.key")).unwrap();
    s.run(&["build", "--source", "packages", "--key-file", "registry/copy.key"]).code(2).says(&["lies in the store"]);
    // Nor is it packed with what is published.
    s.run(&["build", "--source", "."]).code(2).says(&["lies in the source"]);
}

#[test]
#[cfg(unix)]
fn a_key_file_is_private_and_one_that_is_not_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let s = Sandbox::with_registry();
    let path = s.path("ggen-market.key");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    for open in [0o644, 0o640, 0o604, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
        s.run(&["key"]).code(2).says(&[&format!("mode {open:04o}"), "chmod 600"]);
        s.run(&["build", "--source", "."]).code(2);
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    s.run(&["key"]).ok();
}

/// systemd shows the access list by which a service reads its credentials as a right of the group.
#[test]
#[cfg(unix)]
fn a_credential_of_systemd_may_be_readable_by_its_group_and_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut s = Sandbox::with_registry();
    s.write("credentials/key", s.read("ggen-market.key"));
    let path = s.path("credentials/key");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let key = ["key", "--key-file", "credentials/key"];
    mode(0o440);
    s.run(&key).code(2).says(&["mode 0440"]);
    s.set("CREDENTIALS_DIRECTORY", s.path("credentials").to_str().unwrap());
    s.run(&key).ok();
    for open in [0o444, 0o460, 0o450] {
        mode(open);
        s.run(&key).code(2).says(&[&format!("mode {open:04o}")]);
    }
    // That folder alone.
    s.set("CREDENTIALS_DIRECTORY", s.path("elsewhere").to_str().unwrap());
    mode(0o440);
    s.run(&key).code(2);
    // A configuration with a secret in it likewise.
    s.write("elsewhere/config", s.read("ggen-market.toml") + "[authorization]\n\"example.com\" = \"Bearer x\"\n");
    let config = ["key", "--key-file", "ggen-market.key", "--config", "elsewhere/config"];
    let path = s.path("elsewhere/config");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o440);
    s.run(&config).ok();
    mode(0o444);
    s.run(&config).code(2).says(&["holds `authorization`"]);
    mode(0o440);
    s.set("CREDENTIALS_DIRECTORY", "");
    s.run(&key).code(2);
    s.run(&config).code(2);
}

#[test]
fn a_key_in_the_environment_stands_in_for_a_file() {
    let mut s = Sandbox::with_registry();
    let (public, secret) = (s.key(), s.read("ggen-market.key"));
    std::fs::rename(s.path("ggen-market.key"), s.path("moved.key")).unwrap();
    s.run(&["key"]).code(1).says(&["cannot read the key file ggen-market.key"]);
    s.set("GGEN_MARKET_SECRET_KEY", &secret);
    assert_eq!(s.key(), public);
    // Before a file that the environment names, behind one on the command line.
    s.set("GGEN_MARKET_KEY_FILE", "nowhere");
    assert_eq!(s.key(), public);
    s.run(&["key", "--key-file", "nowhere"]).code(1);
    assert_eq!(s.run(&["key", "--key-file", "moved.key"]).ok().out.trim(), public);
    // A file that holds something else.
    s.env.clear();
    s.run(&["key", "--key-file", "ggen-market.toml"]).code(2);
}

#[test]
fn a_key_of_another_registry_is_noticed_before_anything_is_written() {
    let s = Sandbox::published();
    let other = Sandbox::with_registry();
    let key = other.path("ggen-market.key");
    let args = ["build", "--source", "packages", "--key-file", key.to_str().unwrap()];
    s.run(&args).code(2).says(&["no pair"]);
    std::fs::remove_file(s.path("ggen-market.toml")).unwrap();
    s.run(&[&args[..], &["--store", "registry"]].concat()).code(5).says(&["hint: check the pinned key"]);
}
