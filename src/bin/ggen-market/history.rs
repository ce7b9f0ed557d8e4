//! `history`: the registry's commits, the newest first.

use crate::{
    args::History,
    failure::{Code, Failure},
    settings::Settings,
};
use ggen_marketplace::package::{Sha256, Timestamp};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    generations: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    generation: u64,
    time: Timestamp,
    expires: Timestamp,
    packages: Option<u64>,
    releases: Option<u64>,
    slot: Sha256,
    snapshot: Sha256,
}

pub(crate) async fn run(args: &History, settings: &Settings) -> Result<Code, Failure> {
    let generations = settings.client(&args.reader)?.history(args.limit).await?;
    if settings.ui.json {
        let generations = generations.iter().map(|g| Row {
            generation: g.number,
            time: g.time,
            expires: g.expires,
            packages: g.packages,
            releases: g.releases,
            slot: g.slot,
            snapshot: g.snapshot,
        });
        settings.ui.document(&Document { generations: generations.collect() })?;
        return Ok(Code::Done);
    }
    let rows: Vec<_> = generations
        .iter()
        .map(|g| {
            let [packages, releases] =
                [g.packages, g.releases].map(|n| n.map_or_else(|| "-".to_owned(), |n| n.to_string()));
            vec![g.number.to_string(), g.time.to_string(), packages, releases, g.snapshot.to_string()]
        })
        .collect();
    settings.ui.table(&["GENERATION", "TIME", "PACKAGES", "RELEASES", "SNAPSHOT"], &rows)?;
    Ok(Code::Done)
}
