//! What the verbs take that resolve, lock and install.

use super::Reader;
use clap::{Args, ValueEnum};
use ggen_marketplace::{package::PackageSpec, resolve::Want};
use std::path::PathBuf;

/// The lock file.
#[derive(Debug, Args)]
pub(crate) struct LockFile {
    /// The lock file
    #[arg(
        long,
        value_name = "FILE",
        env = "GGEN_MARKET_LOCK_FILE",
        hide_env_values = true,
        default_value = "ggen.lock"
    )]
    pub(crate) lock_file: PathBuf,
}

/// Where packages are installed.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// The folder to install into; it is made to hold what is locked
    #[arg(
        long,
        value_name = "FOLDER",
        env = "GGEN_MARKET_INTO",
        hide_env_values = true,
        default_value = ".ggen/packages"
    )]
    pub(crate) into: PathBuf,
}

/// What may be chosen.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// Choose nothing that was published after this time (2026-11-23 or 2026-11-23T15:20:57Z); what is locked stays
    #[arg(long, value_name = "DATE", env = "GGEN_MARKET_EXCLUDE_NEWER", hide_env_values = true)]
    pub(crate) exclude_newer: Option<String>,
    /// Choose nothing that was published less than this long ago: 7d, 36h; what is locked stays
    #[arg(long, value_name = "TIME", env = "GGEN_MARKET_MIN_AGE", hide_env_values = true)]
    pub(crate) min_age: Option<String>,
    /// Take the optional dependencies of what is wanted as well, or not any more; the lock file remembers it
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) optional: Option<bool>,
    /// Whoever needs this package gets it so, whatever they say; the lock file remembers it, until NAME@* takes it back;
    /// may be repeated
    #[arg(long = "override", value_name = "NAME@REQUIREMENT")]
    pub(crate) overrides: Vec<Want>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Preference {
    /// The highest versions that fit
    #[default]
    Highest,
    /// The lowest
    Minimal,
    /// Those of the lock file, where they fit
    Locked,
}

#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// NAME or KIND:NAME, with @REQUIREMENT as cargo writes them [default: what is wanted in the lock file]
    #[arg(value_name = "PACKAGE")]
    pub(crate) wants: Vec<Want>,
    /// Show who needs what
    #[arg(long)]
    pub(crate) tree: bool,
    /// Which of the versions that fit are chosen
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    pub(crate) prefer: Preference,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// NAME or KIND:NAME, with @REQUIREMENT as cargo writes them; without any, what the lock file says
    #[arg(value_name = "PACKAGE")]
    pub(crate) wants: Vec<Want>,
    #[command(flatten)]
    pub(crate) into: Folder,
    /// Fail where the lock file would have to change
    #[arg(long)]
    pub(crate) locked: bool,
    /// As --locked, and ask the network for nothing: go by the lock file and the cache alone
    #[arg(long)]
    pub(crate) frozen: bool,
    /// Print what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// What to update: NAME or KIND:NAME [default: everything]
    #[arg(value_name = "PACKAGE")]
    pub(crate) packages: Vec<PackageSpec>,
    #[command(flatten)]
    pub(crate) into: Folder,
    /// Print what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Outdated {
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Installed {
    #[command(flatten)]
    pub(crate) into: Folder,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// NAME or KIND:NAME
    #[arg(value_name = "PACKAGE", required = true)]
    pub(crate) packages: Vec<PackageSpec>,
    #[command(flatten)]
    pub(crate) into: Folder,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// NAME or KIND:NAME
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: PackageSpec,
    #[command(flatten)]
    pub(crate) lock: LockFile,
}

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// The lock file with what to download
    #[arg(long, value_name = "LOCKFILE", default_value = "ggen.lock")]
    pub(crate) all_of: PathBuf,
    /// The folder to put the archives into, as NAME-VERSION.EXTENSION
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file to write, a tar archive
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// What `export` has written
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) lock: LockFile,
    #[command(flatten)]
    pub(crate) reader: Reader,
}
