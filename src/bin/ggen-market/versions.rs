//! `versions`: every release of a package, the newest first.

use crate::{
    args::Lookup,
    failure::{Code, Failure},
    json::{self, Release, Which},
    output::{bytes, day},
    settings::Settings,
};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    package: Which,
    versions: Vec<Release<'a>>,
    skipped: &'a [String],
}

pub(crate) async fn run(args: &Lookup, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    if let Some(version) = &args.package.version {
        return Err(Failure::usage(format!("`versions` lists all of them: leave out @{version}"))
            .hint("`info` and `show` are about one release"));
    }
    let package = settings.snapshot(&args.state).await?.find(&args.package).await?;
    for reason in &package.skipped {
        ui.warn(&format!("not read: {reason}"));
    }
    if ui.json {
        let versions = package.releases.iter().rev().map(Release::from).collect();
        ui.document(&Document { package: Which::of(&package), versions, skipped: &package.skipped })?;
        return Ok(Code::Done);
    }
    let rows: Vec<_> = package
        .releases
        .iter()
        .rev()
        .map(|r| vec![r.version.to_string(), day(r.published), bytes(r.archive.size), json::note(r)])
        .collect();
    ui.table(&["VERSION", "PUBLISHED", "SIZE", "NOTE"], &rows)?;
    Ok(Code::Done)
}
