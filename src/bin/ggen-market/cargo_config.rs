//! `cargo-config`: the lines for `.cargo/config.toml`.

use crate::{
    args::CargoConfig,
    failure::{Code, Failure},
    settings::Settings,
};
use ggen_marketplace::{View, ViewOptions};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    name: String,
    index: String,
    config: String,
}

pub(crate) fn run(args: &CargoConfig, settings: &Settings) -> Result<Code, Failure> {
    let views = settings.view_options(&[View::Cargo], &args.address)?;
    let index = views.cargo_index()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => {
            let origin = settings.config.origin.as_ref().map_or_else(|| "registry".to_owned(), ToString::to_string);
            ViewOptions::cargo_name(&origin)
        }
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if name.is_empty() || !name.chars().all(legal) || ["crates-io", "local-registry"].contains(&name.as_str()) {
        return Err(Failure::usage(format!("{name:?} is no name for a registry of Cargo's"))
            .hint("letters, digits, - and _; not crates-io"));
    }
    let mut config = format!("[registries.{name}]\nindex = \"{index}\"\n");
    if views.cargo_auth {
        // Without it, Cargo asks no variable and no file for the token.
        config += "\n[registry]\nglobal-credential-providers = [\"cargo:token\"]\n";
    }
    if args.replace_crates_io {
        config += &format!("\n[source.crates-io]\nreplace-with = \"{name}\"\n");
    }
    if settings.ui.json {
        settings.ui.document(&Document { name, index, config })?;
    } else {
        settings.ui.write(|out| write!(out, "{config}"))?;
    }
    Ok(Code::Done)
}
