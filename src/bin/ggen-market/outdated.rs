//! `outdated`: what is locked, and what there is by now.

use crate::{
    args::Outdated,
    failure::{Code, Failure},
    lockfile::{self, LockFile, Rules},
    settings::Settings,
};
use ggen_marketplace::{
    package::{Kind, PackageId, Version},
    resolve::{Locked, Resolution},
};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    outdated: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    kind: Kind,
    name: String,
    locked: String,
    /// What `update` would take; null when it would take the package away.
    update: Option<String>,
    /// The newest there is; null when nothing is left.
    newest: Option<String>,
}

pub(crate) async fn run(args: &Outdated, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let file = LockFile::require(&args.lock.lock_file)?;
    file.require_origin(&client)?;
    // As `update` does it, so that the two say the same.
    let rules = Rules::of(&file.lock, &args.choice);
    let resolver = lockfile::resolver(&client, &args.choice, &rules, &args.reader, settings)?;
    let found = resolver.wants(lockfile::wants(&file.lock)).run().await?;
    let here: Vec<_> = file.lock.packages().iter().filter(|p| p.registry == client.origin()).collect();
    let ids: Vec<PackageId> = here.iter().map(|p| p.id.clone()).collect();
    let packages = client.latest().await?.get_many(&ids).await?;
    let mut rows = Vec::new();
    for (locked, package) in here.into_iter().zip(packages) {
        let newest = package.as_ref().and_then(|p| p.newest()).map(|r| r.version.clone());
        let update = in_place_of(locked, &found);
        if update.as_ref() != Some(&locked.version) || newest.as_ref().is_some_and(|n| *n > locked.version) {
            rows.push(Row {
                kind: locked.id.kind(),
                name: locked.name.to_string(),
                locked: locked.version.to_string(),
                update: update.map(|v| v.to_string()),
                newest: newest.map(|v| v.to_string()),
            });
        }
    }
    if settings.ui.json {
        settings.ui.document(&Document { outdated: rows })?;
        return Ok(Code::Done);
    }
    let dash = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".into());
    let row = |r: &Row| vec![format!("{}:{}", r.kind, r.name), r.locked.clone(), dash(&r.update), dash(&r.newest)];
    settings.ui.table(&["PACKAGE", "LOCKED", "UPDATE", "NEWEST"], &rows.iter().map(row).collect::<Vec<_>>())?;
    Ok(Code::Done)
}

/// The version that takes the place of a locked one: the next that is not lower, since of a crate there may be several. Else it is
/// one that it could have been instead, where the newer ones are yanked or too young by now.
fn in_place_of(locked: &Locked, found: &Resolution) -> Option<Version> {
    let same = found.packages.iter().filter(|p| p.id == locked.id && p.registry == locked.registry);
    let mut versions: Vec<&Version> = same.map(|p| &p.version).collect();
    versions.sort();
    let lower = || versions.iter().rev().find(|v| locked.id.kind() == Kind::Pack || replaces(v, &locked.version));
    versions.iter().find(|v| **v >= &locked.version).or_else(lower).map(|v| (*v).clone())
}

/// Whether two versions of a crate can take each other's place, as cargo sees it.
fn replaces(one: &Version, other: &Version) -> bool {
    let range = |v: &Version| match v.semver() {
        v if v.major > 0 => (v.major, 0, 0),
        v if v.minor > 0 => (0, v.minor, 0),
        v => (0, 0, v.patch),
    };
    range(one) == range(other)
}
