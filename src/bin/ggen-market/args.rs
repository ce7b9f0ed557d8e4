//! The command line.
//!
//! Every setting is an option, an environment variable and a key of the configuration file. What a single run is asked to
//! do (`--delete`, `--force`, `--dry-run`, …) is an option only: a variable that was left over in some shell must not delete.

mod care;
mod packages;
mod search;
pub(crate) mod tuning;
mod views;

pub(crate) use care::{Bench, Doctor, Gc, Mirror, Refresh, Verify};
pub(crate) use packages::{
    Choice, Download, Export, Import, Install, Installed, Outdated, Preference, Remove, Resolve, Update, Why,
};
pub(crate) use search::{Search, Sort};
pub(crate) use tuning::{Limits, Tuning};
pub(crate) use views::{Address, CargoConfig, GgenConfig, PublicKey, ViewArgs, Views};

use crate::template::Template;
use clap::{
    ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum,
    builder::{FalseyValueParser, PossibleValuesParser, Resettable, TypedValueParser},
};
use ggen_marketplace::{
    Pin,
    package::{Kind, PackageSpec},
};
use std::{ffi::OsStr, path::PathBuf};

#[derive(Debug, Parser)]
#[command(
    name = "ggen-market",
    version,
    about = "A package registry that is only files: build one, serve it from anywhere, read it with trust",
    after_long_help = crate::exit_codes(),
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON document (for `list`, one on each line) on standard output
    #[arg(long, global = true, env = "GGEN_MARKET_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// Print nothing but errors on standard error
    #[arg(long, short, global = true, env = "GGEN_MARKET_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Log what happens on standard error; twice for more (GGEN_MARKET_LOG takes a filter as tracing understands it)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The configuration file [default: ggen-market.toml in the current directory]
    #[arg(long, global = true, value_name = "FILE", env = "GGEN_MARKET_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// When to color
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "GGEN_MARKET_COLOR",
        hide_env_values = true,
        value_enum,
        default_value_t
    )]
    pub(crate) color: ColorWhen,
    /// Write a flame graph of where the processors' time went (SVG)
    #[cfg(feature = "profiling")]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Count what is allocated, and write where it was (for the viewer of DHAT); the run gets much slower
    #[cfg(feature = "profiling")]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) allocations: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a new, empty registry, with a key pair and a configuration file in the current directory
    Init(Init),
    /// Publish what the sources hold and the registry does not
    Build(Build),
    /// Publish these files and folders now, whoever else publishes at the same time
    Publish(Publish),
    /// Renew the time until which readers may go by the registry, with nothing new in it
    Refresh(Refresh),
    /// Bring the views for other readers up to date, or make them anew
    Views(Views),
    /// Print what Cargo has to be told of the registry
    CargoConfig(CargoConfig),
    /// Print, or write, what ggen has to be told of the packs that are installed
    GgenConfig(GgenConfig),
    /// Take away what no generation that is kept needs: first mark it, and two days later move it to the trash
    Gc(Gc),
    /// Show a package
    Info(Lookup),
    /// List a package's versions, the newest first
    Versions(Lookup),
    /// List packages
    List(List),
    /// Find packages: by name, half a name, a misspelt name, or by what they do
    Search(Search),
    /// Show everything about one release
    Show(Lookup),
    /// Download a release's archive
    Fetch(Fetch),
    /// Find out which versions of packages fit together
    Resolve(Resolve),
    /// Resolve, download, verify and unpack packages, and lock what was chosen
    Install(Install),
    /// Take newer versions of what is locked, as far as what is wanted allows
    Update(Update),
    /// List locked packages of which there are newer versions
    Outdated(Outdated),
    /// List what is installed
    Installed(Installed),
    /// Install no longer what was asked for, nor what only that needed
    Remove(Remove),
    /// Show what needs a package
    Why(Why),
    /// Download the archives of everything that is locked
    Download(Download),
    /// Write everything that is locked, and what proves it, into one file for a machine without a network
    Export(Export),
    /// Take what was exported into this machine's cache
    Import(Import),
    /// Mark a release as not to be chosen any more; whoever has it locked still gets it
    Yank(Yank),
    /// Take a yank back
    Unyank(Unyank),
    /// List the registry's generations, the newest first
    History(History),
    /// Show what changed between two generations
    Diff(Diff),
    /// Audit a registry: is everything that it promises there, and right?
    Verify(Verify),
    /// Try out a store, and the CDN in front of it: does it keep what a registry needs?
    Doctor(Doctor),
    /// Measure how fast a deployment is: the store, and the registry as readers get it
    Bench(Bench),
    /// Serve a registry that lies in a folder, over HTTP, until told to stop
    Serve(Serve),
    /// Show, measure or clean the caches of this machine
    Cache(CacheVerb),
    /// Copy a registry, or a part of it, to another place; readers need not trust the copy
    Mirror(Mirror),
    /// Print the public key that readers pin
    Key(PublicKey),
    /// Print a completion script for a shell
    Completions(Completions),
}

impl Verb {
    /// What to say when somebody has ended it early.
    pub(crate) fn interrupted(&self) -> &'static str {
        match self {
            Self::Init(_)
            | Self::Build(_)
            | Self::Publish(_)
            | Self::Refresh(_)
            | Self::Views(_)
            | Self::Gc(_)
            | Self::Mirror(_)
            | Self::Yank(_)
            | Self::Unyank(_) => {
                "interrupted: nothing is lost. What was committed stays, and the same command goes on from there."
            }
            Self::Install(_) | Self::Update(_) | Self::Remove(_) | Self::Download(_) | Self::Import(_) => {
                "interrupted: nothing is half done. The same command goes on from there."
            }
            Self::Serve(_) => "stopping; what is under way is finished first (once more ends it at once)",
            Self::Doctor(_) | Self::Bench(_) => {
                "interrupted: what it wrote below doctor/ in the store may stay there, and does no harm"
            }
            _ => "interrupted",
        }
    }
}

/// Where to write, and with which key.
#[derive(Debug, Args)]
pub(crate) struct Writer {
    /// The store of the registry: a folder, s3://bucket/prefix, gs://…, az://…
    #[arg(long, value_name = "STORE", env = "GGEN_MARKET_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) key: Key,
    /// How long readers may go by what is written now: 7d, 36h, 90m; at most 7d [default: 7d]
    #[arg(long, value_name = "TIME", env = "GGEN_MARKET_VALID_FOR", hide_env_values = true)]
    pub(crate) valid_for: Option<String>,
    /// Nobody else ever writes to this store: it need not refuse to replace what exists, as some servers cannot
    #[arg(long, env = "GGEN_MARKET_SINGLE_WRITER", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) single_writer: bool,
    #[command(flatten)]
    pub(crate) views: ViewArgs,
    #[command(flatten)]
    pub(crate) cache: Cache,
    /// Leave the registry without a search index
    #[arg(long, env = "GGEN_MARKET_NO_SEARCH", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_search: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The file with the secret key (GGEN_MARKET_SECRET_KEY may hold the key itself)
    #[arg(long, value_name = "FILE", env = "GGEN_MARKET_KEY_FILE", hide_env_values = true)]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Cache {
    /// The folder for caches and for what this machine trusted last [default: the system's place for caches]
    #[arg(long, value_name = "FOLDER", env = "GGEN_MARKET_CACHE", hide_env_values = true)]
    pub(crate) cache: Option<PathBuf>,
}

/// Where to read, and what to trust.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reader {
    /// The registry: https://…, http://…, file://…, s3://… or a folder; may be repeated for mirrors of it [default: the store
    /// of the configuration]
    #[arg(long, value_name = "PLACE", env = "GGEN_MARKET_REGISTRY", hide_env_values = true)]
    pub(crate) registry: Vec<String>,
    /// Which mirror is asked first [default: listed]
    #[arg(long, value_name = "ORDER", value_enum, env = "GGEN_MARKET_MIRROR_ORDER", hide_env_values = true)]
    pub(crate) mirror_order: Option<Order>,
    /// Certificates (PEM) to trust besides those of the system
    #[arg(long, value_name = "FILE", env = "GGEN_MARKET_CA_FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The registry's public key, which everything is checked against
    #[arg(long, value_name = "KEY", env = "GGEN_MARKET_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Ask the network for nothing: use what was read before
    #[arg(long, env = "GGEN_MARKET_OFFLINE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) offline: bool,
    /// Read a registry that has expired, with a warning
    #[arg(long, env = "GGEN_MARKET_ALLOW_EXPIRED", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) allow_expired: bool,
    #[command(flatten)]
    pub(crate) cache: Cache,
    /// Keep nothing on this machine's disk, not even which generation was seen last
    #[arg(long, env = "GGEN_MARKET_NO_CACHE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// The next one only where one fails
    Listed,
    /// The one that answered fastest of late
    Fastest,
    /// Each in turn
    RoundRobin,
}

/// Which of the registry's states to read.
#[derive(Debug, Args)]
pub(crate) struct State {
    #[command(flatten)]
    pub(crate) reader: Reader,
    /// An older state: a generation's number, or a snapshot's sha256
    #[arg(long, value_name = "GENERATION|SHA256")]
    pub(crate) at: Option<Pin>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The store of the registry: a folder (made if it is not there), s3://bucket/prefix, gs://…, az://…
    #[arg(long, value_name = "STORE", env = "GGEN_MARKET_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// What the registry calls itself in everything it signs: host or host/path, for ever
    #[arg(long, value_name = "NAME", env = "GGEN_MARKET_ORIGIN", hide_env_values = true)]
    pub(crate) origin: Option<String>,
    #[command(flatten)]
    pub(crate) key: Key,
    /// How long readers may go by what is written now: 7d, 36h, 90m; at most 7d [default: 7d]
    #[arg(long, value_name = "TIME", env = "GGEN_MARKET_VALID_FOR", hide_env_values = true)]
    pub(crate) valid_for: Option<String>,
    /// Nobody else ever writes to this store: it need not refuse to replace what exists, as some servers cannot
    #[arg(long, env = "GGEN_MARKET_SINGLE_WRITER", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) single_writer: bool,
    #[command(flatten)]
    pub(crate) cache: Cache,
    /// Write out what an operator needs, too; may be repeated. Where a ggen-market.toml is, nothing else is done
    #[arg(long = "template", value_name = "NAME", value_enum)]
    pub(crate) templates: Vec<Template>,
    /// Write files also where there are some: the configuration file, or with --template there the templates' files (a key
    /// file is never written over)
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) writer: Writer,
    /// A folder that is searched for packages, or a file; may be repeated (GGEN_MARKET_SOURCES: several, as in PATH)
    #[arg(long = "source", value_name = "PATH")]
    pub(crate) sources: Vec<PathBuf>,
    /// Take out of the registry what the sources no longer have (its names and versions stay taken)
    #[arg(long)]
    pub(crate) delete: bool,
    /// Print what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Read every file again, also those that look unchanged
    #[arg(long)]
    pub(crate) rescan: bool,
    /// How often packages were downloaded: on each line a name, a tab or a comma, and a number
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// Archives, package folders, lists of records, or folders of such
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Print what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) writer: Writer,
}

#[derive(Debug, Args)]
pub(crate) struct Lookup {
    /// NAME or KIND:NAME, with @VERSION for one release
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: PackageSpec,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only packages whose name begins so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Only packages of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)).try_map(|k| k.parse::<Kind>()))]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// NAME or KIND:NAME, with @VERSION; without a version the newest
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: PackageSpec,
    /// Where to: a file, a folder, or - for standard output [default: NAME-VERSION.EXTENSION]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Yank {
    #[command(flatten)]
    pub(crate) release: Unyank,
    /// Why; everybody can read it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Unyank {
    /// NAME@VERSION or KIND:NAME@VERSION
    #[arg(value_name = "RELEASE")]
    pub(crate) package: PackageSpec,
    #[command(flatten)]
    pub(crate) writer: Writer,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// How many
    #[arg(short = 'n', long = "limit", value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The earlier state: a generation's number, or a snapshot's sha256
    #[arg(value_name = "FROM")]
    pub(crate) from: Pin,
    /// The later state
    #[arg(value_name = "TO")]
    pub(crate) to: Pin,
    #[command(flatten)]
    pub(crate) reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The folder of the registry [default: the store of the configuration]
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// The port; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 7878)]
    pub(crate) port: u16,
    /// The address of this machine to listen on; 0.0.0.0 lets everybody in who can reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) addr: std::net::IpAddr,
}

#[derive(Debug, Args)]
pub(crate) struct CacheVerb {
    /// What to do
    #[arg(value_name = "WHAT", value_enum)]
    pub(crate) what: CacheWhat,
    #[command(flatten)]
    pub(crate) cache: Cache,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheWhat {
    /// Print the folder
    Dir,
    /// Print how much is in it
    Size,
    /// Remove what can be fetched or found again; what this machine trusted last stays
    Clean,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    pub(crate) shell: clap_complete::Shell,
}

/// The whole command tree.
pub(crate) fn command() -> clap::Command {
    without_empty_variables(Cli::command())
}

/// A variable that is empty is as good as unset: that is how a CI job switches one off.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let unset = |arg: clap::Arg| match arg.get_env() {
        Some(name) if is_empty(name) => arg.env(Resettable::Reset),
        _ => arg,
    };
    command.mut_args(unset).mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests;
