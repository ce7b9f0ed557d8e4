//! Real crates are built by the real Cargo from our registry: every one of the corpus all of whose dependencies are in it.

use super::{Desk, host::By, lines::lines, run, said};
use crate::{manifest::corpus, support::second_reader};
use semver::{Version, VersionReq};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

type Crates = BTreeMap<String, Value>;

/// It needs one of two libraries to be of use, both optional and neither here.
const USELESS_BARE: &str = "bzip2";
/// It has no library: nothing can depend on it.
const PROGRAM: &str = "rustfs";

/// The optional dependencies that the features of a release want which Cargo turns on by itself.
fn wanted_by_default(line: &Value) -> BTreeSet<String> {
    let tables = [&line["features"], &line["features2"]];
    let enables = |name: &str| tables.iter().find_map(|t| t[name].as_array());
    let (mut on, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    let mut next = vec!["default".to_owned()];
    while let Some(name) = next.pop() {
        let Some(list) = enables(&name).filter(|_| on.insert(name.clone())) else { continue };
        for what in list.iter().map(|w| w.as_str().unwrap()) {
            match what.split_once('/') {
                // Also of one that is only meant where something else wants it: Cargo locks it all the same.
                Some((name, _)) => drop(wanted.insert(name.trim_end_matches('?').to_owned())),
                None if enables(what).is_some() => next.push(what.to_owned()),
                None => drop(wanted.insert(what.trim_start_matches("dep:").to_owned())),
            }
        }
    }
    wanted
}

/// Whether all that a release needs, on any platform, is among these.
fn is_complete(line: &Value, default: bool, among: &Crates) -> bool {
    let wanted = if default { wanted_by_default(line) } else { BTreeSet::new() };
    let is_there = |dep: &Value| {
        let name = dep["name"].as_str().unwrap();
        let target = dep["package"].as_str().unwrap_or(name);
        let req: VersionReq = dep["req"].as_str().unwrap().parse().unwrap();
        dep["kind"] == "dev"
            || dep["optional"] == true && !wanted.contains(name)
            || among.get(target).is_some_and(|t| req.matches(&t["vers"].as_str().unwrap().parse::<Version>().unwrap()))
    };
    line["deps"].as_array().unwrap().iter().all(is_there)
}

/// The crates that need nothing else, with their usual features or without.
fn complete(mut all: Crates, default: bool) -> Crates {
    loop {
        let kept = all.iter().filter(|(_, line)| is_complete(line, default, &all));
        let kept: Crates = kept.map(|(name, line)| (name.clone(), line.clone())).collect();
        if kept.len() == all.len() {
            return kept;
        }
        all = kept;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_crate_whose_dependencies_are_here_is_built_from_here() {
    let Some(crates) = corpus("crates") else { return };
    let desk = Desk::served(By::Serve, |_| {}).await.unwrap();
    let report =
        desk.registry.build(std::slice::from_ref(&crates), &desk.options).await.unwrap().require_views().unwrap();
    assert_eq!(report.added, 171);
    let lines = lines(&desk.path("registry/cargo"), |_, _| true);
    let all: Crates = lines.into_iter().map(|((name, _), l)| (name, serde_json::from_str(&l).unwrap())).collect();
    let usual = complete(all.clone(), true);
    let mut bare = complete(all, false);
    assert!(bare.remove(USELESS_BARE).is_some() && !usual.contains_key(USELESS_BARE));
    let program = bare.remove(PROGRAM).unwrap();

    let mut dependencies = String::new();
    for (name, line) in &bare {
        let (version, default) = (line["vers"].as_str().unwrap(), usual.contains_key(name));
        let version = version.split('+').next().unwrap();
        let row = format!("version = \"={version}\", registry = \"ours\", default-features = {default}");
        writeln!(dependencies, "{name} = {{ {row} }}").unwrap();
    }
    dependencies += "[profile.dev]\ndebug = false\n";
    desk.project(&dependencies, "fn main() {}");
    let mut command = desk.command(&["build", "--message-format", "json"]);
    // Whoever runs the tests on few processors runs other things beside.
    command.args(["--jobs", "2"]);
    let out = run(command).await;
    assert!(out.status.success(), "{}", said(&out));

    // What was built came from here, and is what the archives say.
    let index = desk.options.views.as_ref().unwrap().cargo_index().unwrap();
    let mut built = BTreeSet::new();
    for message in String::from_utf8(out.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(message).unwrap();
        let package = message["package_id"].as_str().unwrap_or_default();
        if message["reason"] == "compiler-artifact" && package.starts_with(&index) {
            built.insert(package.rsplit_once('#').unwrap().1.split('@').next().unwrap().to_owned());
        }
    }
    let lock: toml::Table = desk.lock().parse().unwrap();
    let mut locked = BTreeSet::new();
    for package in lock["package"].as_array().unwrap().iter().filter(|p| p["name"].as_str() != Some("project")) {
        let text = |member: &str| package[member].as_str().unwrap();
        assert_eq!(text("source"), index);
        let archive = fs::read(crates.join(format!("{}-{}.crate", text("name"), text("version")))).unwrap();
        assert_eq!(text("checksum"), second_reader::hex(&archive), "{}", text("name"));
        locked.insert(text("name").to_owned());
    }
    assert_eq!(locked, bare.keys().cloned().collect());
    assert_eq!(built, locked);
    let spec = format!("{PROGRAM}@{}", program["vers"].as_str().unwrap());
    desk.cargo_ok(&["install", "--debug", "--registry", "ours", "--root", "installed", &spec]).await;
    assert!(desk.path("project/installed/bin").join(PROGRAM).exists());
    assert_eq!((built.len(), built.iter().filter(|name| usual.contains_key(*name)).count()), (44, 36));
}
