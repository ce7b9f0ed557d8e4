//! Which versions of packages fit together. No I/O: a `Session` says which packages it has to know, whoever runs it fetches
//! them, and it goes on; so the same code is tested with a million made-up graphs and run against a registry.
//!
//! # Rules
//!
//! * Of a pack there is one version in a solution; of a crate one for each range of versions that can replace each other, as
//!   with cargo (features are left aside, and so are optional dependencies unless they are asked for).
//! * A pre-release is taken only by a requirement that names one of its version; a yanked release only when it is locked; a
//!   removed one never.
//! * What a package needs is looked up in its own registry, or in the one that the dependency names. A name that is missing
//!   there is missing: no other registry is asked for it, so nobody can slip in a package of that name elsewhere.
//! * The same records and the same question give the same answer, however and in whatever order they were fetched.
//!
//! The search is [`pubgrub`]'s: whole ranges of versions are ruled out with a reason, and when nothing is left the reasons are
//! the explanation.

mod candidates;
mod explain;
mod lock;
mod session;
mod set;
mod solver;
#[cfg(test)]
mod tests;
mod universe;

pub(crate) use candidates::Candidates;
pub(crate) use lock::install_path;
pub(crate) use session::{Session, Step};
pub(crate) use universe::Key;

pub use lock::{Ggen, Lock, LockError, Locked, LockedId};

use crate::{
    Error, ErrorKind,
    package::{Archive, Kind, PackageId, PackageName, Timestamp, Version},
};
use semver::VersionReq;
use set::Set;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};

/// Which of the versions that fit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Prefer {
    /// The highest.
    #[default]
    Highest,
    /// The lowest: what a package claims to work with at least.
    Minimal,
    /// The one that is locked, where it fits; else the highest.
    Locked,
}

/// A package that is wanted, and in which versions: `NAME`, `KIND:NAME`, either with `@REQUIREMENT`.
///
/// A requirement is read as cargo reads it (`^1.2`, `>=1, <3`, `~1.4`, `1`), but for one thing: a whole version (`1.2.3`) means
/// that one alone, as everywhere on the command line.
///
/// ```
/// use ggen_marketplace::resolve::Want;
/// let want: Want = "crate:serde@1.0".parse()?;
/// assert_eq!(want.to_string(), "crate:serde@^1.0");
/// assert_eq!("hello@1.2.3".parse::<Want>()?.to_string(), "hello@=1.2.3");
/// assert_eq!("hello".parse::<Want>()?.to_string(), "hello");
/// # Ok::<(), ggen_marketplace::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Want {
    /// The kind, where one was given.
    pub kind: Option<Kind>,
    /// The name as typed.
    pub name: PackageName,
    /// The versions that will do.
    pub req: VersionReq,
}

impl Want {
    /// A package of that kind and name in these versions.
    pub fn new(kind: Kind, name: PackageName, req: VersionReq) -> Self {
        Self { kind: Some(kind), name, req }
    }
}

impl FromStr for Want {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        let (package, req) = s.split_once('@').unwrap_or((s, "*"));
        let spec: crate::package::PackageSpec = package.parse().map_err(Error::from)?;
        let req = match req.parse::<Version>() {
            Ok(version) => exactly(&version),
            Err(_) => requirement(req).map_err(|e| {
                Error::new(ErrorKind::Invalid, format!("{req:?} is not a requirement: {e}"))
                    .with_hint("for instance ^1.2, ~1.2.3, =1.2.3, >=1, <3 or *")
            })?,
        };
        Ok(Self { kind: spec.kind, name: spec.name, req })
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind}:")?;
        }
        f.write_str(self.name.as_str())?;
        if self.req == VersionReq::STAR { Ok(()) } else { write!(f, "@{}", self.req) }
    }
}

/// The requirement that only this version meets (and what differs from it in build metadata, which is the same release).
pub(crate) fn exactly(version: &Version) -> VersionReq {
    let v = version.semver();
    let comparator = semver::Comparator {
        op: semver::Op::Exact,
        major: v.major,
        minor: Some(v.minor),
        patch: Some(v.patch),
        pre: v.pre.clone(),
    };
    VersionReq { comparators: vec![comparator] }
}

pub(crate) fn requirement(text: &str) -> Result<VersionReq, semver::Error> {
    VersionReq::parse(text.trim())
}

/// What is to be resolved, and how.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The registries by number; the first is that of what is wanted.
    pub(crate) registries: Vec<RegistryNames>,
    pub(crate) wants: Vec<(Key, VersionReq)>,
    pub(crate) prefer: Prefer,
    /// What is newer than this is not there, unless it is locked.
    pub(crate) cutoff: Option<Timestamp>,
    /// Of these packages the optional dependencies are taken as well.
    pub(crate) optional: BTreeSet<Key>,
    /// Whoever wants one of these packages wants it so.
    pub(crate) overrides: Vec<(Key, VersionReq)>,
    pub(crate) locked: Vec<(Key, Version)>,
    /// What is not locked is not there.
    pub(crate) only_locked: bool,
    pub(crate) budget: Budget,
}

/// A registry as dependencies name it.
#[derive(Debug, Clone)]
pub(crate) struct RegistryNames {
    pub(crate) origin: String,
    /// Its addresses, as in a dependency's `registry`; `https://` and the origin is one without being named.
    pub(crate) aliases: Vec<String>,
}

/// How much work a search may be. A graph that was made to be hard ends in an error, and soon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) steps: u64,
    pub(crate) time: Duration,
    /// Packages that are looked at.
    pub(crate) packages: usize,
    /// How often more packages may be asked for.
    pub(crate) rounds: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 200_000, time: Duration::from_secs(3), packages: 20_000, rounds: 500 }
    }
}

/// Versions that fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    /// Every package of it, in the order of kind, name, registry and version.
    pub packages: Vec<Resolved>,
    /// The places in `packages` of what was wanted, in the order in which it was.
    pub wanted: Vec<usize>,
    /// The generation of each registry that was asked, by its origin.
    pub generations: BTreeMap<String, u64>,
}

/// One package of a [`Resolution`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// Which package.
    pub id: PackageId,
    /// Its name as its author writes it.
    pub name: PackageName,
    /// In which version.
    pub version: Version,
    /// The origin of the registry that it is in.
    pub registry: String,
    /// What to download.
    pub archive: Archive,
    /// The places in [`Resolution::packages`] of what it needs, in order.
    pub dependencies: Vec<usize>,
    /// Set when it should not be chosen any more, and only was since it is locked.
    pub yanked: bool,
}

impl Resolved {
    /// By what it is known in a lock file.
    pub fn locked_id(&self) -> LockedId {
        LockedId { id: self.id.clone(), registry: self.registry.clone(), version: self.version.clone() }
    }
}

impl Resolution {
    /// The first package of that identity.
    pub fn get(&self, id: &PackageId) -> Option<&Resolved> {
        self.packages.iter().find(|p| p.id == *id)
    }
}
