//! A package registry that is only files.
//!
//! A registry is an append-only log of commits and a heap of immutable objects named by their hashes, in any store: a
//! folder, memory, an HTTP server to read from, or any [`object_store`]. Nothing has to run to serve it.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | [package](package::PackageId) | a named thing, of a [kind](package::Kind); its name is normalised once, at the edge |
//! | release | one version of a package; immutable once committed, but for being yanked or removed |
//! | [record](package::Record) | the JSON line that describes a release |
//! | blob | the bytes of an archive or of any other immutable object, stored under its sha256 |
//! | shard, [page](format::Page) | leaf and inner node of the index, a Merkle tree |
//! | [link](package::Link) | digest and size of a stored object |
//! | [snapshot](format::Snapshot) | one whole state of the registry, by links |
//! | [slot](trust::Slot) | `log/<generation>`: the create-only object that is a commit |
//! | [checkpoint](trust::Checkpoint) | the one mutable object: a signed statement of the newest slot |
//! | [view](View) | files derived from a snapshot for other readers |
//! | [source] | where published packages come from |
//!
//! # Which way it goes
//!
//! Writing: [`source`] finds packages, [`Registry`] plans what changes, puts what is new into a [`Store`], claims the next
//! slot and signs its checkpoint. Reading: a [`Client`] fetches the checkpoint, checks it against a key that it knows, and
//! hands out a [`SnapshotReader`], which follows links and believes nothing that does not match one. [`Client::resolve`] finds
//! versions that fit together, a [`Lock`](resolve::Lock) keeps them, and [`Client::install`] installs what is locked.
//!
//! ```
//! use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, SigningKey, Store};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let sources = dir.path().join("packages");
//! # std::fs::create_dir_all(sources.join("hello"))?;
//! # std::fs::write(sources.join("hello/pack.toml"), "[pack]\nname = \"hello\"\nversion = \"1.0.0\"\n")?;
//! # let state = dir.path().join("state");
//! // The writer has the secret key.
//! let key = SigningKey::generate("packages.example.com".parse()?)?;
//! let pinned = key.verifier().clone();
//! let store = Store::open("memory:")?;
//! let registry = Registry::new(store.clone(), key, &state);
//! registry.init(&BuildOptions::now()).await?;
//! let report = registry.build(&[sources], &BuildOptions::now()).await?;
//! assert_eq!(report.added, 1);
//!
//! // The reader has the public one, and needs nothing else.
//! let client = Client::new(store, &[pinned], ClientOptions::default())?;
//! let newest = client.latest().await?;
//! let release = newest.find_release(&"hello".parse()?).await?;
//! assert_eq!(release.version.to_string(), "1.0.0");
//! # Ok(()) }
//! ```
//!
//! # Errors
//!
//! One type, [`Error`], whose [kind](ErrorKind) says what can be done about it. A package that cannot be published is not an
//! error of the run: it is in [`Report::refused`].
//!
//! The stored format is specified in `docs/format.md`, the code's layout in `docs/architecture.md`.

#![forbid(unsafe_code)]

mod client;
mod cpu;
mod error;
pub mod format;
mod index;
pub mod package;
mod publish;
pub mod resolve;
mod search;
mod serve;
pub mod source;
mod store;
pub mod trust;
mod view;

pub use client::{
    Bundle, Client, ClientOptions, Generation, InstallPlan, InstallReport, Installed, Installer, MirrorOptions,
    MirrorProgress, MirrorReport, NotMirrored, Package, Pin, Problem, Resolver, SearchMode, Searcher, SnapshotReader,
    Verified, VerifyOptions, default_cache, installed,
};
pub use error::{Error, ErrorKind, Result};
pub use publish::{Amount, BuildOptions, GcOptions, GcReport, Progress, RandomSource, Registry, Report, ViewReport};
pub use search::{Correction, Facet, SearchHit, SearchOrder, SearchRequest, SearchResults};
pub use serve::{FileServer, ServeOptions};
pub use store::{
    CachePart, Diagnosis, DoctorOptions, Finding, MeasureOptions, Measurement, MirrorOrder, Outcome, Store,
    StoreOptions, TransportOptions, cache_usage, clean_cache,
};
pub use trust::{SigningKey, VerifierKey};
pub use view::{CargoDependencies, Note, SiteOptions, Theme, View, ViewOptions};

/// Every parser of an unsigned remote object, for `fuzz/`.
#[cfg(fuzzing)]
pub fn fuzz_format(raw: &[u8]) {
    format::parse_all(raw);
}

/// A search bundle of any bytes, opened and asked, for `fuzz/`.
#[cfg(fuzzing)]
pub fn fuzz_search(raw: &[u8]) {
    search::ask_any(raw);
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/client.md")]
struct ClientPage;
