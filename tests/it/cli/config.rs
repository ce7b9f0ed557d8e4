//! The configuration file, and what comes before it.

use super::{ORIGIN, Sandbox};

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let s = Sandbox::with_registry();
    s.write(
        "ggen-market.toml",
        "# comment\nsotre = \"registry\"\nvalid_for = \"9d\"\nkey = 5\n  sources = [\"a\", 7, \"\"]\norigin = \"https://x\"\n[colour]\n",
    );
    let run = s.run(&["list"]).code(2).says(&[
        "ggen-market.toml:2:1: unknown key `sotre`",
        "hint: did you mean `store`?",
        "ggen-market.toml:3:13: `valid_for`: 9d is out of range",
        "ggen-market.toml:4:7: `key` must be a string, not a number",
        "ggen-market.toml:5:19: `sources` must hold strings, not a number",
        "ggen-market.toml:5:22: `sources` holds an empty path",
        "ggen-market.toml:6:10: `origin`: \"https://x\" is not an origin",
        "ggen-market.toml:7:2: unknown key `colour`",
        "hint: known keys: origin, store,",
    ]);
    assert_eq!(run.err.matches("error:").count(), 7, "{}", run.err);
    let places: Vec<_> = run.err.lines().filter(|l| l.starts_with("error:")).map(|l| l.as_bytes()[24]).collect();
    assert!(places.is_sorted(), "{}", run.err);
}

#[test]
fn a_broken_file_is_told_with_every_place() {
    let s = Sandbox::new();
    s.write("ggen-market.toml", "store = \n\nkey = \"x\nvalid_for = \"1d\"\n");
    let run = s.run(&["list"]).code(2).says(&["ggen-market.toml:1:", "ggen-market.toml:3:", "not TOML"]);
    assert!(!run.err.contains("unknown key"), "{}", run.err);
    s.write("ggen-market.toml", [0xff, 0xfe]);
    s.run(&["list"]).code(2).says(&["is not UTF-8"]);
    s.run(&["list", "--config", "nowhere.toml"]).code(2).says(&["cannot read the configuration file nowhere.toml"]);
}

#[test]
fn paths_are_relative_to_the_file() {
    let s = Sandbox::published();
    std::fs::create_dir(s.path("elsewhere")).unwrap();
    let list = |sandbox: &Sandbox, config: &str| {
        let mut command = sandbox.command(&["list", "--config", config]);
        command.current_dir(sandbox.path("elsewhere"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(list(&s, "../ggen-market.toml").lines().count(), 2);
    assert_eq!(list(&s, s.path("ggen-market.toml").to_str().unwrap()).lines().count(), 2);
}

/// Every variable that `--help` names, of every verb.
#[test]
fn a_variable_that_is_empty_is_as_good_as_unset() {
    let mut s = Sandbox::published();
    let help = s.run(&["--help"]).ok().out;
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let verbs: Vec<&str> = list.lines().filter_map(|l| l.strip_prefix("  ")?.split_once(' ')).map(|(v, _)| v).collect();
    let mut names = std::collections::BTreeSet::new();
    for verb in verbs.iter().filter(|v| !v.is_empty() && **v != "help") {
        let help = s.run(&[verb, "--help"]).ok().out;
        names.extend(help.split("[env: ").skip(1).filter_map(|t| t.split(['=', ']']).next()).map(str::to_owned));
    }
    assert!(names.len() > 25 && names.contains("GGEN_MARKET_INTO"), "{names:?}");
    for name in &names {
        s.set(name, "");
    }
    s.run(&["build", "--source", "packages"]).ok();
    for run in [
        &["list"][..],
        &["search", "hello", "--local"],
        &["install", "greeter"],
        &["outdated"],
        &["verify", "--all"],
        &["gc", "--dry-run"],
        &["mirror", "registry", "copy"],
        &["doctor"],
        &["cache", "size"],
        &["key"],
    ] {
        s.run(run).ok();
    }
    assert!(s.path("ggen.lock").exists() && s.path(".ggen/packages/pack/greeter").exists());
}

#[test]
fn an_option_comes_before_the_environment_and_that_before_the_file() {
    let mut s = Sandbox::published();
    let config = s.read("ggen-market.toml").replace("\"registry\"", "\"from-file\"");
    s.write("ggen-market.toml", &config);
    s.run(&["list"]).code(1).says(&["from-file"]);
    s.set("GGEN_MARKET_REGISTRY", "from-env");
    s.run(&["list"]).code(1).says(&["from-env"]);
    s.run(&["list", "--registry", "from-option"]).code(1).says(&["from-option"]);
    s.run(&["list", "--registry", "registry"]).ok();
    // Empty is as good as unset.
    s.set("GGEN_MARKET_REGISTRY", "");
    s.run(&["list"]).code(1).says(&["from-file"]);
    // The registry is where the store is, unless somebody says otherwise.
    s.set("GGEN_MARKET_STORE", "registry");
    s.run(&["list"]).ok();
    // Built from what the environment says alone.
    s.set("GGEN_MARKET_SOURCES", "packages");
    s.run(&["build"]).ok().says(&["3 unchanged"]);
    s.set("GGEN_MARKET_VALID_FOR", "1y");
    s.run(&["build"]).code(2).says(&["--valid-for: \"1y\" is no length of time"]);
    s.run(&["build", "--valid-for", "2d"]).ok();
}

#[test]
fn global_options_stand_before_or_behind_the_verb() {
    let mut s = Sandbox::published();
    for args in [&["--json", "info", "hello"][..], &["info", "hello", "--json"], &["info", "--json", "hello"]] {
        s.run(args).ok().json();
    }
    let config = s.path("ggen-market.toml");
    std::fs::rename(&config, s.path("other.toml")).unwrap();
    s.run(&["--config", "other.toml", "list"]).ok();
    s.run(&["list", "--config", "other.toml"]).ok();
    s.set("GGEN_MARKET_CONFIG", "nowhere.toml");
    s.run(&["--config", "other.toml", "list"]).ok();
    s.run(&["list", "--config", "other.toml"]).ok();
    s.run(&["list"]).code(2);
    s.set("GGEN_MARKET_CONFIG", "other.toml");
    s.set("GGEN_MARKET_JSON", "1");
    s.run(&["info", "hello"]).ok().json();
    s.set("GGEN_MARKET_JSON", "0");
    assert!(s.run(&["info", "hello"]).ok().out.starts_with("crate:hello 1.1.0\n"));
    s.set("GGEN_MARKET_QUIET", "true");
    assert_eq!(s.run(&["yank", "hello@1.0.0"]).ok().err, "");
}

#[test]
fn a_missing_setting_is_told_with_every_way_to_set_it() {
    let s = Sandbox::new();
    s.run(&["list"]).code(2).says(&[
        "no registry is set",
        "--registry",
        "GGEN_MARKET_REGISTRY",
        "`registry = …` into ggen-market.toml",
    ]);
    s.run(&["list", "--registry", "."]).code(2).says(&[
        "no public key",
        "--key",
        "GGEN_MARKET_KEY",
        "`key = …`",
        "operator",
    ]);
    s.run(&["build"]).code(2).says(&["no store is set", "--store", "GGEN_MARKET_STORE", "`store = …`"]);
    s.run(&["build", "--store", "."]).code(2).says(&[
        "no secret key is set",
        "--key-file",
        "GGEN_MARKET_KEY_FILE",
        "GGEN_MARKET_SECRET_KEY",
    ]);
    s.run(&["init", "--store", "r"]).code(2).says(&["no origin is set", "--origin", "GGEN_MARKET_ORIGIN"]);
    s.run(&["init", "--origin", ORIGIN]).code(2).says(&["no store is set"]);
    assert_eq!(std::fs::read_dir(s.dir.path()).unwrap().count(), 0, "nothing is left behind");
    let s = Sandbox::with_registry();
    s.run(&["build"]).code(2).says(&["no source is set", "--source", "GGEN_MARKET_SOURCES", "`sources = …`"]);
}
