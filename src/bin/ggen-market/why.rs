//! `why`: the chains of needs that lead to a locked package.

use crate::{
    args::Why,
    failure::{Code, Failure},
    lockfile::{LockFile, Row},
    settings::Settings,
};
use ggen_marketplace::resolve::Locked;
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    /// Each from what was asked for to the package.
    chains: Vec<Vec<Row>>,
}

pub(crate) fn run(args: &Why, settings: &Settings) -> Result<Code, Failure> {
    let file = LockFile::require(&args.lock.lock_file)?;
    let id = file.find(&args.package)?;
    let chains = file.lock.chains(&id);
    if settings.ui.json {
        let chains = chains.into_iter().map(|chain| chain.into_iter().map(Row::from).collect()).collect();
        settings.ui.document(&Document { chains })?;
        return Ok(Code::Done);
    }
    if chains.is_empty() {
        settings.ui.note(&format!("nothing that was asked for needs {id}"));
    }
    let one = |p: &&Locked| format!("{} {}", p.id, p.version);
    settings.ui.write(|out| {
        chains.iter().try_for_each(|chain| writeln!(out, "{}", chain.iter().map(one).collect::<Vec<_>>().join(" -> ")))
    })?;
    Ok(Code::Done)
}
