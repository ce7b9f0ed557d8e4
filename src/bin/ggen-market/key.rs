//! `key`: the public half of the registry's key.

use crate::{
    args::PublicKey,
    failure::{Code, Failure},
    settings::Settings,
};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    origin: String,
    key: String,
    hex: String,
}

pub(crate) fn run(args: &PublicKey, settings: &Settings) -> Result<Code, Failure> {
    // Not held to the configuration: this verb is how one that is wrong is put right.
    let (key, _) = settings.find_key(&args.key)?;
    let (origin, hex, key) = (key.origin().to_string(), key.verifier().to_hex(), key.verifier().to_string());
    if settings.ui.json {
        settings.ui.document(&Document { origin, key, hex })?;
    } else {
        settings.ui.write(|out| writeln!(out, "{}", if args.hex { &hex } else { &key }))?;
    }
    Ok(Code::Done)
}
