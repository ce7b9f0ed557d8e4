//! `outdated`: what is locked, and what there is by now.

use crate::{
    args::Outdated,
    failure::{Code, Failure},
    lockfile::{self, LockFile},
    settings::Settings,
};
use ggen_marketplace::package::{Kind, PackageId};
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
    let mut resolver = client.resolve().wants(lockfile::wants(&file.lock));
    for (address, other) in settings.others(&args.reader)? {
        resolver = resolver.registry(address, other);
    }
    let found = resolver.run().await?;
    let here: Vec<_> = file.lock.packages().iter().filter(|p| p.registry == client.origin()).collect();
    let ids: Vec<PackageId> = here.iter().map(|p| p.id.clone()).collect();
    let packages = client.latest().await?.get_many(&ids).await?;
    let mut rows = Vec::new();
    for (locked, package) in here.into_iter().zip(packages) {
        let newest = package.as_ref().and_then(|p| p.newest()).map(|r| r.version.clone());
        // Of a crate there may be several: the one that takes the place of this one is the next that is not lower.
        let mut updates = found.packages.iter().filter(|p| p.id == locked.id && p.registry == locked.registry);
        let update = updates.find(|p| p.version >= locked.version).map(|p| p.version.clone());
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
