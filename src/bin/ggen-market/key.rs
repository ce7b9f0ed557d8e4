//! `key`: the public half of the registry's key.

use crate::{
    args::Key,
    failure::{Code, Failure},
    settings::Settings,
};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    origin: String,
    key: String,
}

pub(crate) fn run(args: &Key, settings: &Settings) -> Result<Code, Failure> {
    // Not held to the configuration: this verb is how one that is wrong is put right.
    let (key, _) = settings.find_key(args)?;
    let (origin, key) = (key.origin().to_string(), key.verifier().to_string());
    if settings.ui.json {
        settings.ui.document(&Document { origin, key })?;
    } else {
        settings.ui.write(|out| writeln!(out, "{key}"))?;
    }
    Ok(Code::Done)
}
