//! The shapes that several verbs print as JSON. Member names are stable: see `docs/cli.md`.

use ggen_marketplace::{
    Package,
    format::{ChangedRelease, Changes},
    package::{Kind, PackageId, Record, Removed, Sha256, Timestamp, Version, Yanked},
};
use serde::Serialize;

/// What happened to one release.
#[derive(Serialize)]
pub(crate) struct Changed {
    change: &'static str,
    package: String,
    version: Version,
}

pub(crate) fn changed(changes: &Changes) -> Vec<Changed> {
    let one = |c: &ChangedRelease| Changed {
        change: c.change.as_str(),
        package: shown(&c.package),
        version: c.version.clone(),
    };
    changes.0.iter().map(one).collect()
}

/// The same as rows: what happened, package, version.
pub(crate) fn change_rows(changes: &Changes) -> Vec<Vec<String>> {
    let row = |c: &ChangedRelease| vec![c.change.to_string(), shown(&c.package), c.version.to_string()];
    changes.0.iter().map(row).collect()
}

/// `kind:name` of a stored label, as people type it.
fn shown(label: &str) -> String {
    label.replacen('/', ":", 1)
}

/// So many objects.
#[derive(Serialize)]
pub(crate) struct Amount {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
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
