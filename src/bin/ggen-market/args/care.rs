//! The arguments of those who keep a registry going: renewing, collecting, looking it over, copying it.

use super::{Cache, Reader, Writer};
use clap::{Args, builder::FalseyValueParser};
use ggen_marketplace::package::Pattern;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Refresh {
    #[command(flatten)]
    pub(crate) writer: Writer,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) writer: Writer,
    /// Print what would be kept and what would go, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many of the newest generations to keep whole; those that readers may still go by are kept anyway
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep: u64,
    /// How long something stays after it was marked, after it was written, and after what cites it expired; at least 48h
    #[arg(long, value_name = "TIME", default_value = "48h")]
    pub(crate) grace: String,
    /// An earlier generation to keep whole; may be repeated, and has to be in every run
    #[arg(long = "pin", value_name = "GENERATION")]
    pub(crate) pins: Vec<u64>,
    /// How long what was taken away stays in the trash
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) purge_after: String,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Every object of every generation, archives included; without it, all that a lookup depends on
    #[arg(long)]
    pub(crate) all: bool,
    /// Go on where an audit of everything was interrupted within the last 24 hours
    #[arg(long, requires = "all")]
    pub(crate) resume: bool,
    /// The same as --registry
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The store: a folder, s3://bucket/prefix, gs://…, az://…
    #[arg(long, value_name = "STORE", env = "GGEN_MARKET_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Where readers get the registry from, to be tried out as well: https://…
    #[arg(long, value_name = "URL", env = "GGEN_MARKET_PUBLIC_URL", hide_env_values = true)]
    pub(crate) public_url: Option<String>,
    /// The registry's public key: with it the checkpoint is opened, and blobs are fetched through the public URL
    #[arg(long, value_name = "KEY", env = "GGEN_MARKET_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Nobody else ever writes to this store: that it ignores conditions is a warning then, and no failure
    #[arg(long, env = "GGEN_MARKET_SINGLE_WRITER", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) single_writer: bool,
    /// Fewer writers, rounds and objects: faster, and less certain
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The store, to be written to and read: a folder, s3://bucket/prefix, gs://…, az://…
    #[arg(long, value_name = "STORE", env = "GGEN_MARKET_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Leave the store alone: only read the registry
    #[arg(long)]
    pub(crate) read_only: bool,
    /// How many are under way at once, in the rows that do not measure one at a time
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) at_once: u16,
    /// How long each operation is repeated
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

/// A time of up to ten minutes.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds, from 0.001 to 600".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Mirror {
    /// The registry, or a mirror of it: https://…, http://…, file://…, s3://… or a folder
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// The copy: a folder (made if it is not there), s3://bucket/prefix, gs://…, az://…
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    /// Only these packages and what they depend on: NAME or KIND:NAME, where * stands for any text; may be repeated
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    pub(crate) only: Vec<Pattern>,
    /// Older generations too, as far as the source still has them
    #[arg(long)]
    pub(crate) history: bool,
    /// Tell what would be copied, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Certificates (PEM) to trust besides those of the system
    #[arg(long, value_name = "FILE", env = "GGEN_MARKET_CA_FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The registry's public key, which everything is checked against
    #[arg(long, value_name = "KEY", env = "GGEN_MARKET_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Copy a registry that has expired, with a warning
    #[arg(long, env = "GGEN_MARKET_ALLOW_EXPIRED", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) allow_expired: bool,
    #[command(flatten)]
    pub(crate) cache: Cache,
    /// Keep nothing on this machine's disk, not even which generation was seen last
    #[arg(long, env = "GGEN_MARKET_NO_CACHE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_cache: bool,
}
