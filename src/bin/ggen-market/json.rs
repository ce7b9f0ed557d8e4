//! The shapes that several verbs print as JSON. Member names are stable: see `docs/cli.md`.

use ggen_marketplace::{
    Package,
    format::{ChangedPackage, Changes},
    package::{Kind, PackageId, Record, Removed, Sha256, Timestamp, Version, Yanked},
};
use serde::Serialize;

/// What happened to one package.
#[derive(Serialize)]
pub(crate) struct Changed {
    package: String,
    added: Vec<Version>,
    yanked: Vec<Version>,
    unyanked: Vec<Version>,
    removed: Vec<Version>,
}

impl From<&ChangedPackage> for Changed {
    fn from(c: &ChangedPackage) -> Self {
        Self {
            package: shown(&c.package),
            added: c.added.clone(),
            yanked: c.yanked.clone(),
            unyanked: c.unyanked.clone(),
            removed: c.removed.clone(),
        }
    }
}

pub(crate) fn changed(changes: &Changes) -> Vec<Changed> {
    changes.0.iter().map(Changed::from).collect()
}

/// The same as rows: what happened, package, version.
pub(crate) fn change_rows(changes: &Changes) -> Vec<Vec<String>> {
    let rows = changes.0.iter().flat_map(|c| {
        let name = shown(&c.package);
        let lists = [("added", &c.added), ("yanked", &c.yanked), ("unyanked", &c.unyanked), ("removed", &c.removed)];
        lists.into_iter().flat_map(move |(what, versions)| {
            let name = name.clone();
            versions.iter().map(move |v| vec![what.to_owned(), name.clone(), v.to_string()])
        })
    });
    rows.collect()
}

/// `kind:name` of a stored label, as people type it.
fn shown(label: &str) -> String {
    label.replacen('/', ":", 1)
}

/// One release in a list of versions.
#[derive(Serialize)]
pub(crate) struct Release<'a> {
    version: &'a Version,
    published: Timestamp,
    size: u64,
    sha256: Sha256,
    yanked: Option<&'a Yanked>,
    removed: Option<&'a Removed>,
}

impl<'a> From<&'a Record> for Release<'a> {
    fn from(r: &'a Record) -> Self {
        Self {
            version: &r.version,
            published: r.published,
            size: r.archive.size,
            sha256: r.archive.sha256,
            yanked: r.yanked.as_ref(),
            removed: r.removed.as_ref(),
        }
    }
}

/// Which package: the members that every document about one has.
#[derive(Serialize)]
pub(crate) struct Which {
    kind: Kind,
    /// As its author writes it.
    name: String,
}

impl Which {
    pub(crate) fn of(package: &Package) -> Self {
        let name = package.name().map_or_else(|| package.id.name().to_owned(), ToString::to_string);
        Self { kind: package.id.kind(), name }
    }

    pub(crate) fn id(id: &PackageId) -> Self {
        Self { kind: id.kind(), name: id.name().to_owned() }
    }

    pub(crate) fn record(record: &Record) -> Self {
        Self { kind: record.kind, name: record.name.to_string() }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// The release to show of a package when nobody says which: the newest one, else the highest that is there at all.
pub(crate) fn to_show(package: &Package) -> Option<&Record> {
    let there = || package.releases.iter().rev().find(|r| r.removed.is_none());
    package.newest().or_else(there).or_else(|| package.releases.last())
}

/// Why a release should not be chosen, for people.
pub(crate) fn note(record: &Record) -> String {
    let with = |word: &str, reason: Option<&String>, time: Timestamp| match reason {
        Some(reason) => format!("{word} {}: {reason}", crate::output::day(time)),
        None => format!("{word} {}", crate::output::day(time)),
    };
    match (&record.removed, &record.yanked) {
        (Some(r), _) => with("removed", r.reason.as_ref(), r.time),
        (None, Some(y)) => with("yanked", y.reason.as_ref(), y.time),
        (None, None) => String::new(),
    }
}
