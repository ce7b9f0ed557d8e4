//! One package as resolving sees it: its versions in order, and of each what decides, read when it is first looked at.

use super::{Set, requirement};
use crate::{
    format::PackageLines,
    package::{
        Archive, Dependency, DependencyKind, Kind, PackageId, RECORD_VERSION, Removed, Timestamp, Version, Yanked,
    },
};
use pubgrub::VersionSet as _;
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The versions of one package. Never changes, so that all who resolve share it, and what one has read the next need not.
pub(crate) struct Candidates {
    pub(super) id: PackageId,
    lines: Arc<PackageLines>,
    releases: Box<[OnceLock<Result<Release, String>>]>,
    /// Where each group of versions that can replace each other begins. A pack is one group; of a crate there can be one
    /// version of each in a program.
    groups: Box<[u32]>,
    /// What requirements were found to mean, by their text.
    meanings: Mutex<HashMap<Box<str>, Arc<Meaning>>>,
}

/// The versions that a requirement matches, apart for each group in which there are any.
#[derive(Debug)]
pub(super) struct Meaning(pub(super) Box<[(u32, Set)]>);

/// What of a record decides. Everything else of the line is passed over.
#[derive(Deserialize)]
struct Line {
    archive: Archive,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    links: Option<String>,
    name: crate::package::PackageName,
    published: Timestamp,
    #[serde(default)]
    removed: Option<Removed>,
    v: u32,
    #[serde(default)]
    yanked: Option<Yanked>,
}

/// One release.
pub(super) struct Release {
    pub(super) archive: Archive,
    pub(super) needs: Box<[Need]>,
    pub(super) links: Option<Box<str>>,
    /// As its author writes it.
    pub(super) name: crate::package::PackageName,
    pub(super) published: Timestamp,
    pub(super) removed: bool,
    pub(super) yanked: Option<Yanked>,
}

/// What a release needs.
pub(super) struct Need {
    pub(super) id: PackageId,
    /// The registry that it names, where it is not its own.
    pub(super) registry: Option<Box<str>>,
    pub(super) req: Box<str>,
    pub(super) optional: bool,
}

impl Candidates {
    pub(crate) fn new(id: PackageId, lines: Arc<PackageLines>) -> Self {
        let releases = lines.lines.iter().map(|_| OnceLock::new()).collect();
        let mut groups = Vec::new();
        let mut last = None;
        for (at, line) in (0..).zip(&lines.lines) {
            let group = Some(group_of(id.kind(), &line.version));
            if group != last {
                groups.push(at);
                last = group;
            }
        }
        Self { id, lines, releases, groups: groups.into(), meanings: Mutex::default() }
    }

    pub(super) fn len(&self) -> u32 {
        // A shard is far too small for more.
        u32::try_from(self.lines.lines.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn version(&self, at: u32) -> &Version {
        &self.lines.lines[at as usize].version
    }

    /// The place of a version; build metadata does not make another one.
    pub(super) fn find(&self, version: &Version) -> Option<u32> {
        (0..).zip(&self.lines.lines).find(|(_, l)| l.version.same_release(version)).map(|(at, _)| at)
    }

    pub(super) fn release(&self, at: u32) -> Result<&Release, &str> {
        let read = || read(self.id.kind(), &self.lines.lines[at as usize].text);
        self.releases[at as usize].get_or_init(read).as_ref().map_err(String::as_str)
    }

    /// The group of a version.
    pub(super) fn group_of(&self, at: u32) -> u32 {
        let behind = self.groups.partition_point(|from| *from <= at);
        u32::try_from(behind.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The versions of a group.
    pub(super) fn group(&self, group: u32) -> (u32, u32) {
        let at = |group: u32| self.groups.get(group as usize).copied().unwrap_or_else(|| self.len());
        (at(group), at(group + 1))
    }

    /// What a requirement means here; one that cannot be read means nothing.
    pub(super) fn meaning(&self, req: &str) -> Arc<Meaning> {
        // What is inside is only added to, so a panic elsewhere cannot have left it half-done.
        let mut meanings = self.meanings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meaning) = meanings.get(req) {
            return Arc::clone(meaning);
        }
        let meaning = Arc::new(self.find_meaning(req));
        meanings.insert(req.into(), Arc::clone(&meaning));
        meaning
    }

    fn find_meaning(&self, req: &str) -> Meaning {
        let Ok(req) = requirement(req) else { return Meaning(Box::default()) };
        let mut all = Set::NONE;
        for (at, line) in (0..).zip(&self.lines.lines) {
            if req.matches(line.version.semver()) {
                all.push(at, at + 1);
            }
        }
        let groups = 0..u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let parts = groups.map(|g| {
            let (from, to) = self.group(g);
            (g, all.intersection(&Set::span(from, to)))
        });
        Meaning(parts.filter(|p| !p.1.is_empty()).collect())
    }

    /// About how many bytes it takes when all of it was read.
    pub(crate) fn weight(&self) -> u32 {
        u32::try_from(self.lines.bytes().saturating_mul(2)).unwrap_or(u32::MAX)
    }
}

/// Which versions can replace each other: cargo's rule for crates.
fn group_of(kind: Kind, version: &Version) -> (u8, u64) {
    let v = version.semver();
    match (kind, v.major, v.minor) {
        (Kind::Pack, ..) => (0, 0),
        (Kind::Crate, 0, 0) => (3, v.patch),
        (Kind::Crate, 0, minor) => (2, minor),
        (Kind::Crate, major, _) => (1, major),
    }
}

fn read(kind: Kind, text: &[u8]) -> Result<Release, String> {
    let line: Line = serde_json::from_slice(text).map_err(|e| format!("its record cannot be read: {e}"))?;
    if line.v != RECORD_VERSION {
        return Err(format!("its record is of version {}, newer than this program reads", line.v));
    }
    // What is needed to develop a package is of no concern to those who use it.
    let wanted = line.dependencies.into_iter().filter(|d| d.kind != DependencyKind::Dev);
    let needs = wanted.map(|d| {
        let id = PackageId::new(kind, &d.name).map_err(|e| format!("it needs what cannot be: {e}"))?;
        Ok(Need { id, registry: d.registry.map(Into::into), req: d.req.into(), optional: d.optional })
    });
    Ok(Release {
        archive: line.archive,
        needs: needs.collect::<Result<_, String>>()?,
        links: line.links.map(Into::into),
        name: line.name,
        published: line.published,
        removed: line.removed.is_some(),
        yanked: line.yanked,
    })
}
