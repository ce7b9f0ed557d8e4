//! `refresh`: nothing new, and good for longer.

use crate::{
    args::Refresh,
    failure::{Code, Failure},
    settings::Settings,
};
use ggen_marketplace::package::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    generation: u64,
    expires: Timestamp,
}

pub(crate) async fn run(args: &Refresh, settings: &Settings) -> Result<Code, Failure> {
    let writing = settings.writer(&args.writer)?;
    let report = writing.registry.refresh(&writing.options).await?;
    let (generation, expires) = (report.generation, report.expires);
    settings.ui.note(&format!("generation {generation} holds until {expires}"));
    if settings.ui.json {
        settings.ui.document(&Document { generation, expires })?;
    }
    report.view_error.map_or(Ok(Code::Done), |e| Err(e.into()))
}
