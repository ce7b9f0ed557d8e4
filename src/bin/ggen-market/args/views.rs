//! The arguments of what is written for other programs.

use super::{
    Key, Writer,
    packages::{Folder, LockFile},
};
use clap::Args;
use std::path::PathBuf;

/// Which views to write, and the address that stands in them.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// The views to write for other readers: plain, cargo, ggen, site; separated by commas, or "none"
    #[arg(long, value_name = "LIST", env = "GGEN_MARKET_VIEWS", hide_env_values = true)]
    pub(crate) views: Option<String>,
    /// A folder of templates that take the place of the web site's own
    #[arg(long, value_name = "FOLDER", env = "GGEN_MARKET_SITE_TEMPLATES", hide_env_values = true)]
    pub(crate) site_templates: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) address: Address,
}

#[derive(Debug, Args)]
pub(crate) struct Address {
    /// Where readers find the store over HTTP [default: the registry of the configuration]
    #[arg(long, value_name = "URL", env = "GGEN_MARKET_PUBLIC_URL", hide_env_values = true)]
    pub(crate) public_url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PublicKey {
    #[command(flatten)]
    pub(crate) key: Key,
    /// Print its 32 bytes in hex, as ggen's installer wants them in GGEN_MARKETPLACE_PUBLIC_KEY
    #[arg(long)]
    pub(crate) hex: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Views {
    /// Look at every file of them, also where they seem to be up to date
    #[arg(long)]
    pub(crate) rebuild: bool,
    #[command(flatten)]
    pub(crate) writer: Writer,
}

#[derive(Debug, Args)]
pub(crate) struct CargoConfig {
    /// What Cargo is to call the registry [default: from the registry's origin]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Use it instead of crates.io as well
    #[arg(long)]
    pub(crate) replace_crates_io: bool,
    #[command(flatten)]
    pub(crate) address: Address,
}

#[derive(Debug, Args)]
pub(crate) struct GgenConfig {
    /// Put the lines into ggen.toml, and what is installed into .ggen/packs.lock
    #[arg(long)]
    pub(crate) write: bool,
    #[command(flatten)]
    pub(crate) into: Folder,
    #[command(flatten)]
    pub(crate) lock: LockFile,
}
