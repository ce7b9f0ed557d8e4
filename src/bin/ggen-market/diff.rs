//! `diff`: what changed between two states of the registry.

use crate::{
    args::Diff,
    failure::{Code, Failure},
    json::{self, Changed},
    output::count,
    settings::Settings,
};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    from: u64,
    to: u64,
    changes: Vec<Changed>,
}

pub(crate) async fn run(args: &Diff, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let (old, new) = (client.at(args.from).await?, client.at(args.to).await?);
    let changes = client.diff(&old, &new).await?;
    let (from, to) = (old.generation(), new.generation());
    if settings.ui.json {
        settings.ui.document(&Document { from, to, changes: json::changed(&changes) })?;
    } else {
        settings.ui.table(&["CHANGE", "PACKAGE", "VERSION"], &json::change_rows(&changes))?;
    }
    let releases = count(changes.0.len() as u64, "release");
    settings.ui.note(&format!("{releases} changed from generation {from} to {to}"));
    Ok(Code::Done)
}
