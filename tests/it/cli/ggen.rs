//! Point 6 of what a drop-in for ggen's tools has to do: its record of packs, and the lines of its configuration.

use super::{
    Sandbox,
    install::{pack, packs},
};
use crate::support::second_reader;
use serde::Deserialize;
use std::{collections::BTreeMap, fs};

/// `.ggen/packs.lock`, by ggen's own words.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackLockfile {
    packs: BTreeMap<String, LockedPack>,
    updated_at: chrono::DateTime<chrono::Utc>,
    ggen_version: String,
    profile: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedPack {
    version: String,
    source: PackSource,
    integrity: Option<String>,
    installed_at: chrono::DateTime<chrono::Utc>,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum PackSource {
    Registry { url: String },
    GitHub { org: String, repo: String, branch: String },
    Local { path: String },
}

/// Reads it as ggen does, which wants every pack that another one needs to be in it.
fn record(s: &Sandbox) -> PackLockfile {
    let record: PackLockfile = serde_json::from_str(&s.read(".ggen/packs.lock")).unwrap();
    for (id, pack) in &record.packs {
        assert!(!id.is_empty() && id.to_ascii_lowercase() == *id, "{id}");
        assert!(pack.dependencies.iter().all(|d| record.packs.contains_key(d)), "{id}: {record:?}");
    }
    record
}

fn paths(s: &Sandbox) -> BTreeMap<String, String> {
    let config: toml::Table = s.read("ggen.toml").parse().unwrap();
    let packs = config["packs"].as_table().unwrap().iter();
    packs
        .map(|(name, pack)| (name.clone(), pack.get("path").and_then(|p| p.as_str()).unwrap_or_default().to_owned()))
        .collect()
}

/// The digest of the archive that the registry gives.
fn sha256(s: &Sandbox, spec: &str) -> String {
    s.run(&["fetch", spec, "--output", "archive"]).ok();
    let digest = second_reader::hex(&fs::read(s.path("archive")).unwrap());
    fs::remove_file(s.path("archive")).unwrap();
    digest
}

#[test]
fn what_is_installed_is_told_to_ggen() {
    let mut s = packs();
    s.set("GGEN_MARKET_REGISTRY", "registry");
    s.run(&["ggen-config"]).code(2).says(&["nothing is locked in ggen.lock"]);
    s.run(&["install", "app", "tool@^0.3"]).ok();

    // Printed, and nothing written.
    let lines = "[packs]\napp = { path = \".ggen/packages/pack/app\" }\nbase = { path = \".ggen/packages/pack/base\" }\n\
                 tool = { path = \".ggen/packages/pack/tool\" }\n";
    assert_eq!(s.run(&["ggen-config"]).ok().out, lines);
    assert!(!s.path("ggen.toml").exists() && !s.path(".ggen/packs.lock").exists());

    // Written: what the paths lead to is what ggen's engine loads.
    let run = s.run(&["ggen-config", "--write", "--json"]).ok();
    assert_eq!(run.json()["written"], serde_json::json!(["ggen.toml", ".ggen/packs.lock"]));
    assert_eq!(s.read("ggen.toml"), lines);
    for (name, path) in paths(&s) {
        let manifest: toml::Table = s.read(&format!("{path}/pack.toml")).parse().unwrap();
        assert_eq!(manifest["pack"]["name"].as_str(), Some(name.as_str()));
    }
    let first = record(&s);
    assert_eq!(first.packs.keys().collect::<Vec<_>>(), ["app", "base", "tool"]);
    assert_eq!(
        (first.packs["app"].dependencies.as_slice(), first.packs["base"].dependencies.len()),
        (&["base".to_owned()][..], 0)
    );
    for (id, pack) in &first.packs {
        let digest = sha256(&s, &format!("pack:{id}@{}", pack.version));
        assert_eq!(pack.integrity.as_deref(), Some(format!("sha256-{digest}").as_str()));
        assert_eq!(pack.source, PackSource::Registry { url: format!("https://{}", super::ORIGIN) });
    }

    // Nothing new, nothing written.
    let before =
        ["ggen.toml", ".ggen/packs.lock"].map(|f| (s.read(f), fs::metadata(s.path(f)).unwrap().modified().unwrap()));
    s.run(&["ggen-config", "--write"]).ok().says(&["nothing had to be written"]);
    let after =
        ["ggen.toml", ".ggen/packs.lock"].map(|f| (s.read(f), fs::metadata(s.path(f)).unwrap().modified().unwrap()));
    assert_eq!(before, after);
}

#[test]
fn what_others_wrote_stays_and_what_is_locked_no_more_goes() {
    let mut s = packs();
    s.set("GGEN_MARKET_REGISTRY", "registry");
    s.set("SOURCE_DATE_EPOCH", "1790000000");
    s.write(
        "ggen.toml",
        "# ours\n[project]\nname = \"shop\"\n\n[packs]\n# by hand\nmine = { path = \"packs/mine\" }\ntool = { git = \"https://example.com/tool\" } # a fork\n",
    );
    s.write(
        ".ggen/packs.lock",
        "{\"packs\":{\"mine\":{\"version\":\"0.1.0\",\"source\":{\"type\":\"Local\",\"path\":\"packs/mine\"},\"installed_at\":\"2026-01-01T00:00:00.5Z\",\"dependencies\":[]}},\
         \"updated_at\":\"2026-01-01T00:00:00Z\",\"ggen_version\":\"26.8.1\",\"profile\":\"regulated\"}",
    );
    s.run(&["install", "app", "tool"]).ok();
    s.run(&["ggen-config", "--write"])
        .ok()
        .says(&["warning: tool is in ggen.toml from elsewhere, and is left as it is"]);
    assert_eq!(
        s.read("ggen.toml"),
        "# ours\n[project]\nname = \"shop\"\n\n[packs]\n# by hand\nmine = { path = \"packs/mine\" }\ntool = { git = \"https://example.com/tool\" } # a fork\n\
         app = { path = \".ggen/packages/pack/app\" }\nbase = { path = \".ggen/packages/pack/base\" }\n"
    );
    let first = record(&s);
    assert_eq!((first.ggen_version.as_str(), first.profile.as_deref()), ("26.8.1", Some("regulated")));
    assert_eq!(first.packs["mine"].source, PackSource::Local { path: "packs/mine".into() });
    assert_eq!(first.packs["mine"].installed_at.timestamp_subsec_millis(), 500);

    // A newer version is another installation; the others are the same as before.
    pack(&s, "base", "1.2.0", "");
    s.run(&["build", "--source", "packages"]).ok();
    s.set("SOURCE_DATE_EPOCH", "1790000500");
    s.run(&["update", "base"]).ok();
    s.run(&["ggen-config", "--write"]).ok().says(&[".ggen/packs.lock written"]);
    let second = record(&s);
    assert_eq!(
        (second.packs["base"].version.as_str(), second.packs["base"].installed_at.timestamp()),
        ("1.2.0", 1_790_000_500)
    );
    assert_eq!(second.updated_at.timestamp(), 1_790_000_500);
    for same in ["app", "tool", "mine"] {
        assert_eq!(second.packs[same], first.packs[same]);
    }

    // What is asked for no more leaves both; what is not ours stays.
    s.run(&["remove", "app"]).ok();
    s.run(&["ggen-config", "--write"]).ok();
    // (`tool` needs `base`, too.)
    assert_eq!(record(&s).packs.keys().collect::<Vec<_>>(), ["base", "mine", "tool"]);
    assert_eq!(paths(&s).keys().collect::<Vec<_>>(), ["base", "mine", "tool"]);
}

/// A stranger's checkout may hold links to anywhere.
#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let mut s = packs();
    s.set("GGEN_MARKET_REGISTRY", "registry");
    s.run(&["install", "base", "--into", "vendor"]).ok();
    let elsewhere = s.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("ggen.toml"), "").unwrap();
    for (link, to) in [(".ggen", elsewhere.clone()), ("ggen.toml", elsewhere.join("ggen.toml"))] {
        std::os::unix::fs::symlink(to, s.path(link)).unwrap();
        let run = s.run(&["ggen-config", "--write", "--into", "vendor"]).code(2);
        assert!(run.err.contains(&format!("{link} is a link, which may lead anywhere")), "{}", run.err);
        fs::remove_file(s.path(link)).unwrap();
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    assert_eq!(fs::read(elsewhere.join("ggen.toml")).unwrap(), b"");
}

/// Also where the packages are installed in the project's own folder, beside packs that somebody wrote there.
#[test]
fn packs_of_the_projects_own_stay_wherever_the_others_are_installed() {
    let mut s = packs();
    s.set("GGEN_MARKET_REGISTRY", "registry");
    s.write("ggen.toml", "[packs]\nmine = { path = \"vendor/mine\" }\nold = { path = \"./pack/old\" }\n");
    s.run(&["install", "base", "--into", "."]).ok();
    s.run(&["ggen-config", "--write", "--into", "."]).ok();
    let paths: Vec<_> = paths(&s).into_iter().collect();
    assert_eq!(paths, [("base".into(), "pack/base".into()), ("mine".into(), "vendor/mine".into())]);
}

#[test]
fn what_is_not_there_or_cannot_be_read_is_told() {
    let mut s = packs();
    s.set("GGEN_MARKET_REGISTRY", "registry");
    s.run(&["install", "app"]).ok();
    fs::remove_dir_all(s.path(".ggen/packages/pack/base")).unwrap();
    s.run(&["ggen-config", "--write"]).code(6).says(&["pack:base is locked, and not installed in .ggen/packages"]);
    s.run(&["install"]).ok();
    for (path, text, why) in [
        ("ggen.toml", "packs = 3\n", "ggen.toml cannot be read: `packs` is no table"),
        ("ggen.toml", "[packs\n", "ggen.toml cannot be read: "),
        (".ggen/packs.lock", "{\"packs\":", ".ggen/packs.lock cannot be read: "),
        (".ggen/packs.lock", "{\"packs\":[]}", ".ggen/packs.lock cannot be read: `packs` is no object"),
    ] {
        s.write(path, text);
        s.run(&["ggen-config", "--write"]).code(2).says(&[why]);
        assert_eq!(s.read(path), text, "nothing of it is lost");
        fs::remove_file(s.path(path)).unwrap();
    }
}
