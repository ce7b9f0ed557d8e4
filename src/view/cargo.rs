//! `cargo/`: a sparse registry, as unmodified Cargo reads it. Each crate has one file, whose lines are what crates.io would
//! say of the same releases; `dl` leads to the blobs, which Cargo names by their digest.

use super::{CargoDependencies, File, Note, Rendered, View, ViewOptions, inert};
use crate::{
    Error,
    format::{PackageLines, keys},
    package::{ArchiveFormat, Dependency, DependencyKind, Record, Timestamp},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// How Cargo's indexes call crates.io.
const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

/// `config.json`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    dl: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auth_required: bool,
}

pub(super) fn config(options: &ViewOptions) -> Result<String, Error> {
    let dl = format!("{}/{}/{{sha256-checksum}}", options.address(View::Cargo)?, keys::BLOBS);
    let config = Config { dl, auth_required: options.cargo_auth };
    // Two plain fields: this cannot fail.
    Ok(serde_json::to_string(&config).unwrap_or_else(|e| unreachable!("a config serialises: {e}")) + "\n")
}

/// A line of the index, its members in the order in which crates.io has them.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    vers: String,
    deps: Vec<Dep<'a>>,
    cksum: String,
    features: Features<'a>,
    /// Those that only a Cargo since 1.60 understands; an older one would take the whole line for broken.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    features2: Features<'a>,
    yanked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rust_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    pubtime: Timestamp,
}

#[derive(Serialize)]
struct Dep<'a> {
    /// What it is called in the crate; what it is really called is `package` then.
    name: &'a str,
    req: &'a str,
    features: &'a [String],
    optional: bool,
    default_features: bool,
    target: Option<&'a str>,
    kind: DependencyKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
}

/// The file of a crate, with a line for each release that Cargo can download from here.
pub(super) fn package(package: &PackageLines, options: &ViewOptions) -> Rendered {
    let mut out = Rendered::default();
    if !package.label.starts_with("crate/") {
        return out;
    }
    let own = options.cargo_index().unwrap_or_default();
    let (mut key, mut bytes) = (None, Vec::new());
    for line in &package.lines {
        let mut note = |why: String| {
            let what = format!("{}@{}", package.label.replacen('/', ":", 1), line.version);
            out.notes.push(Note { view: View::Cargo, what, why });
        };
        let record = match line.record() {
            Ok(record) => record,
            Err(e) => {
                note(e.to_string());
                continue;
            }
        };
        // All releases of a crate have one spelling.
        key.get_or_insert_with(|| keys::cargo_index(record.name.as_str()));
        if record.removed.is_some() {
            continue;
        }
        if record.archive.url.is_some() || record.archive.format != ArchiveFormat::Crate {
            note("its archive is hosted elsewhere, and Cargo downloads from here alone".into());
            continue;
        }
        serde_json::to_writer(&mut bytes, &row(&record, &own, options.cargo_dependencies))
            .unwrap_or_else(|e| unreachable!("a row serialises: {e}"));
        bytes.push(b'\n');
    }
    if let Some(key) = key {
        out.files.push(File { key, bytes: inert(&bytes) });
    }
    out
}

/// The features of a crate that any Cargo understands, and the others.
type Features<'a> = BTreeMap<&'a str, &'a [String]>;

/// Sets apart the features that only newer Cargos understand, and with them those that turn them on, as crates.io does:
/// an older Cargo would miss what they name.
fn split(features: &BTreeMap<String, Vec<String>>) -> (Features<'_>, Features<'_>) {
    let all = features.iter().map(|(k, v)| (k.as_str(), v.as_slice()));
    let (mut new, mut old): (Features<'_>, Features<'_>) = all.partition(|(_, v)| v.iter().any(|f| is_new(f)));
    loop {
        let turns_on_new = |v: &[String]| v.iter().any(|f| new.contains_key(f.as_str()));
        let (more, rest): (Features<'_>, Features<'_>) = old.into_iter().partition(|(_, v)| turns_on_new(v));
        old = rest;
        if more.is_empty() {
            return (old, new);
        }
        new.extend(more);
    }
}

fn row<'a>(record: &'a Record, own: &str, dependencies: CargoDependencies) -> Row<'a> {
    let (features, features2) = split(&record.features);
    Row {
        name: record.name.as_str(),
        vers: record.version.to_string(),
        deps: record.dependencies.iter().map(|d| dep(d, own, dependencies)).collect(),
        cksum: record.archive.sha256.to_string(),
        features,
        v: (!features2.is_empty()).then_some(2),
        features2,
        yanked: record.yanked.is_some(),
        links: record.links.as_deref(),
        rust_version: record.rust_version.as_deref(),
        pubtime: record.published,
    }
}

/// Whether what a feature turns on is written in a way that older Cargos do not know.
fn is_new(turned_on: &str) -> bool {
    turned_on.starts_with("dep:") || turned_on.contains("?/")
}

fn dep<'a>(d: &'a Dependency, own: &str, dependencies: CargoDependencies) -> Dep<'a> {
    let registry = match (d.registry.as_deref(), dependencies) {
        (Some(registry), _) if registry == own => None,
        (None, CargoDependencies::CratesIo) => Some(CRATES_IO),
        (registry, _) => registry,
    };
    Dep {
        name: d.alias.as_deref().unwrap_or(d.name.as_str()),
        req: &d.req,
        features: &d.features,
        optional: d.optional,
        default_features: d.default_features,
        target: d.target.as_deref(),
        kind: d.kind,
        registry,
        package: d.alias.is_some().then_some(d.name.as_str()),
    }
}
