//! Manifests: real ones against what is known of them, and hostile ones.

use ggen_marketplace::{
    package::{
        DependencyKind, Kind, Record, Timestamp,
        manifest::{MAX_LIST, MAX_MANIFEST, Manifest, ManifestError, Problem, cargo, pack},
    },
    source::{Found, ScanOptions, Spool, scan},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// The real packages that lie beside the project on the machines that test it; nothing where they are missing.
pub(crate) fn corpus(what: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus").join(what);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

pub(crate) fn unpack(tar_xz: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("tar").arg("xf").arg(tar_xz).arg("-C").arg(folder.path()).status();
    assert!(status.unwrap().success());
    folder
}

/// A line of the real index, with what a registry derives from a manifest.
#[derive(serde::Deserialize)]
struct Line {
    name: String,
    vers: String,
    deps: Vec<Dep>,
    cksum: String,
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    features2: BTreeMap<String, Vec<String>>,
    links: Option<String>,
    rust_version: Option<String>,
}

#[derive(serde::Deserialize)]
struct Dep {
    name: String,
    req: String,
    features: Vec<String>,
    optional: bool,
    default_features: bool,
    target: Option<String>,
    kind: Option<String>,
    registry: Option<String>,
    package: Option<String>,
}

/// A dependency as text, with all that has to agree.
fn real_dep(d: &Dep) -> String {
    let features: BTreeSet<&str> = d.features.iter().map(String::as_str).filter(|f| !f.is_empty()).collect();
    format!(
        "{} ({}) {} kind={} target={:?} features={features:?} optional={} default={} registry={:?}",
        d.name,
        d.package.as_deref().unwrap_or(&d.name),
        d.req,
        d.kind.as_deref().unwrap_or("normal"),
        d.target,
        d.optional,
        d.default_features,
        d.registry,
    )
}

fn our_deps(r: &Record) -> Vec<String> {
    let one = |d: &ggen_marketplace::package::Dependency| {
        let kind = match d.kind {
            DependencyKind::Normal => "normal",
            DependencyKind::Dev => "dev",
            DependencyKind::Build => "build",
        };
        let features: BTreeSet<&str> = d.features.iter().map(String::as_str).collect();
        let name = d.name.as_str();
        format!(
            "{} ({name}) {} kind={kind} target={:?} features={features:?} optional={} default={} registry={:?}",
            d.alias.as_deref().unwrap_or(name),
            d.req,
            d.target,
            d.optional,
            d.default_features,
            d.registry,
        )
    };
    let mut all: Vec<_> = r.dependencies.iter().map(one).collect();
    all.sort();
    all
}

fn index_path(name: &str) -> String {
    let n = name.to_lowercase();
    match n.len() {
        1 => format!("index/1/{n}"),
        2 => format!("index/2/{n}"),
        3 => format!("index/3/{}/{n}", &n[..1]),
        _ => format!("index/{}/{}/{n}", &n[..2], &n[2..4]),
    }
}

#[test]
fn real_crates_give_what_their_real_index_lines_say() {
    let (Some(crates), Some(index)) = (corpus("crates"), corpus("cargo-index.tar.xz")) else { return };
    let index = unpack(&index);
    let records = Mutex::new(Vec::new());
    let spool = Spool::new().unwrap();
    let stats = scan(&[crates], &ScanOptions::new(Timestamp::from_unix(0)), &spool, |found| match found {
        Ok(Found::Fresh(c)) => records.lock().unwrap().push(c.record),
        other => panic!("{other:?}"),
    });
    assert_eq!(stats.unwrap().refused, 0);
    let records = records.into_inner().unwrap();
    assert_eq!(records.len(), 171);
    let mut differences = Vec::new();
    for r in &records {
        let lines = std::fs::read_to_string(index.path().join(index_path(r.name.as_str()))).unwrap();
        let lines = lines.lines().map(|l| serde_json::from_str::<Line>(l).unwrap());
        let version = r.version.to_string();
        let real = lines.into_iter().find(|l| l.vers == version).unwrap();
        let mut check = |what: &str, ours: String, real: String| {
            if ours != real {
                differences.push(format!("{} {version} {what}:\n  ours {ours}\n  real {real}", r.name));
            }
        };
        check("name", r.name.to_string(), real.name);
        check("cksum", r.archive.sha256.to_string(), real.cksum);
        check("links", format!("{:?}", r.links), format!("{:?}", real.links));
        check("rust_version", format!("{:?}", r.rust_version), format!("{:?}", real.rust_version));
        let mut features = real.features;
        features.extend(real.features2);
        check("features", format!("{:?}", r.features), format!("{features:?}"));
        let mut deps: Vec<_> = real.deps.iter().map(real_dep).collect();
        deps.sort();
        check("deps", format!("{:#?}", our_deps(r)), format!("{deps:#?}"));
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|e| e.unwrap().into_path());
    all.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect()
}

fn read_pack(path: &Path) -> Result<Manifest, ManifestError> {
    let name = |p: &Path| p.file_name().unwrap().to_str().unwrap().to_owned();
    pack::read(&name(path), &name(path.parent().unwrap()), &std::fs::read(path).unwrap())
}

#[test]
fn real_packs_are_all_read() {
    let Some(tar) = corpus("pack-manifests.tar.xz") else { return };
    let folder = unpack(&tar);
    let all = manifests(folder.path());
    assert_eq!(all.len(), 112);
    let read: Vec<_> = all.iter().map(|p| (p, read_pack(p))).collect();
    let refused: Vec<_> = read.iter().filter_map(|(_, r)| r.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(refused, [""; 0]);
    let by_name: BTreeMap<_, _> =
        read.iter().map(|(p, r)| (r.as_ref().unwrap().name.to_string(), (p, r.as_ref().unwrap()))).collect();
    assert_eq!(by_name.len(), 112);
    // Every one of these lies in a folder of its name.
    for (name, (path, _)) in &by_name {
        assert!(path.parent().unwrap().ends_with(name), "{name} in {}", path.display());
    }
    let count = |f: fn(&Manifest) -> bool| by_name.values().filter(|(_, m)| f(m)).count();
    println!("descriptions {}", count(|m| m.description.is_some()));
    println!("keywords {}", count(|m| !m.keywords.is_empty()));
    println!("categories {}", count(|m| !m.categories.is_empty()));
    println!("authors {}", count(|m| !m.authors.is_empty()));
    println!("licences {}", count(|m| m.license.is_some()));
    println!(
        "packs {:?}",
        by_name
            .iter()
            .filter(|(_, (_, m))| !m.dependencies.is_empty())
            .map(|(n, (_, m))| (n, m.dependencies.iter().map(|d| d.name.to_string()).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    );
    let external: Vec<_> = by_name.values().flat_map(|(_, m)| &m.external).collect();
    let mut ecosystems = BTreeMap::<&str, usize>::new();
    external.iter().for_each(|e| *ecosystems.entry(&e.ecosystem).or_default() += 1);
    println!("external {ecosystems:?}");
    println!("no req {:?}", external.iter().filter(|e| e.req.is_none()).count());
}
