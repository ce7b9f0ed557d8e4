//! What becomes of the registry: changes applied to the packages as they stand. Pure, so that `--dry-run`, a first attempt
//! and a retry after a lost slot are the same computation.

use crate::{
    Error, ErrorKind,
    format::{ChangedRelease, Changes, Line, PackageLines, Prefix, ReleaseChange, Shard, limits},
    index::{Missing, Tree, lookup},
    package::{Link, PackageName, Removed, Sha256, Timestamp, Version, Yanked},
    source::{Place, SpoolRange},
};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{path::PathBuf, sync::Arc};

/// Something that a run wants of the registry, about one release.
#[derive(Debug)]
pub(crate) struct Change {
    /// Place in the tree: sha256 of the label.
    pub(crate) key: Sha256,
    /// `<kind>/<normalised name>`.
    pub(crate) label: Arc<str>,
    /// Where it comes from; none for what a person asked by name.
    pub(crate) place: Option<Place>,
    /// How often its package was downloaded, where the source says so.
    pub(crate) downloads: Option<u64>,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// Publish this record.
    Add {
        line: Line,
        /// Its archive, where it is in this registry. Boxed: a list of a million releases hosted elsewhere has none.
        blob: Option<Box<Blob>>,
        /// The line of its detail, with the line end.
        detail: Option<SpoolRange>,
    },
    /// The scan cache says that this release is unchanged: nothing to do if the registry has it.
    Known {
        version: Version,
        sha256: Sha256,
    },
    Yank {
        version: Version,
        yanked: Yanked,
    },
    Unyank {
        version: Version,
    },
    Remove {
        version: Version,
        removed: Removed,
    },
}

impl What {
    fn version(&self) -> &Version {
        match self {
            Self::Add { line, .. } => &line.version,
            Self::Known { version, .. }
            | Self::Yank { version, .. }
            | Self::Unyank { version }
            | Self::Remove { version, .. } => version,
        }
    }
}

/// The archive that a new record links to, and where its bytes wait.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) link: Link,
    pub(crate) at: BlobAt,
}

#[derive(Debug, Clone)]
pub(crate) enum BlobAt {
    File(PathBuf),
    Spool(SpoolRange),
}

/// What came of one change.
#[derive(Debug)]
pub(crate) enum Outcome {
    Added,
    Restored,
    Unchanged,
    Yanked,
    Unyanked,
    Removed,
    /// Only the scan cache knows this release: its file has to be read again.
    Stale,
    Refused(Error),
}

impl Outcome {
    /// Whether the package is another one afterwards.
    fn changes(&self) -> bool {
        matches!(self, Self::Added | Self::Restored | Self::Yanked | Self::Unyanked | Self::Removed)
    }
}

/// The changes of a run, worked out.
#[derive(Default)]
pub(crate) struct Plan {
    /// The packages that are not as they were, in the order of their keys.
    pub(crate) packages: Vec<Arc<PackageLines>>,
    /// One for each change, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// What to tell readers.
    pub(crate) changed: Changes,
}

/// Puts changes into the order in which they are planned: by package, then by version, then by place, so that the same
/// input gives the same result whatever order a parallel scan found it in. "First" in "first publish wins" means this.
pub(crate) fn sort(changes: &mut [Change]) {
    changes.par_sort_unstable_by(|a, b| {
        a.key.cmp(&b.key).then_with(|| a.what.version().cmp(b.what.version())).then_with(|| a.place.cmp(&b.place))
    });
}

/// Works out what changes, which are sorted, do to the tree whose nodes are at hand.
pub(crate) fn plan(tree: &Tree, changes: &[Change]) -> Result<Plan, Missing> {
    // Each thread works out a run of packages; the runs are in order, and put together in order.
    let parts: Vec<_> = changes
        .par_chunk_by(|a, b| a.key == b.key)
        .fold(
            || Ok(Plan::default()),
            |part: Result<Plan, Missing>, package| match (part, lookup(tree, &package[0].key)) {
                (Ok(mut part), Ok(old)) => {
                    part.package(old, package);
                    Ok(part)
                }
                (Ok(_), Err(missing)) => Err(missing),
                (Err(Missing(mut lacking)), looked) => {
                    lacking.extend(looked.err().into_iter().flat_map(|m| m.0));
                    Err(Missing(lacking))
                }
            },
        )
        .collect();
    let mut out = Plan::default();
    let mut lacking = Vec::new();
    for part in parts {
        match part {
            Err(Missing(more)) => lacking.extend(more),
            Ok(part) => {
                out.packages.extend(part.packages);
                out.outcomes.extend(part.outcomes);
                out.changed.0.extend(part.changed.0);
            }
        }
    }
    if !lacking.is_empty() {
        return Err(Missing(lacking));
    }
    out.changed.sort();
    Ok(out)
}

impl Plan {
    /// Applies the changes of one package.
    fn package(&mut self, old: Option<&Arc<PackageLines>>, changes: &[Change]) {
        let label = &changes[0].label;
        let lines = old.map_or_else(|| PackageLines::new(Arc::clone(label)), |p| PackageLines::clone(p));
        let mut package = Package { lines, changed: Vec::new() };
        let first = self.outcomes.len();
        self.outcomes.extend(changes.iter().map(|c| package.apply(c).unwrap_or_else(Outcome::Refused)));
        if !package.changed.is_empty() {
            let lines = package.lines.share();
            if !fits(&lines) {
                // The package stays as it was, and all others go their way.
                self.outcomes[first..].iter_mut().filter(|o| o.changes()).for_each(|o| *o = too_large(label));
                return;
            }
            let changed = package.changed.into_iter();
            self.changed.0.extend(changed.map(|(version, change)| ChangedRelease {
                package: Arc::clone(label),
                version,
                change,
            }));
            self.packages.push(lines);
        }
    }
}

/// Whether a shard can hold the package, which stands alone in one when it is large.
fn fits(package: &Arc<PackageLines>) -> bool {
    // Less fits in any case: compressed, it is hardly longer.
    if package.bytes() < limits::NODE / 16 * 15 {
        return true;
    }
    let shard = Shard::seal(Prefix::ROOT, std::slice::from_ref(package));
    // Deeper down its header is a few bytes longer.
    shard.link.size < limits::NODE - 4096 && shard.link.raw.is_none_or(|raw| raw <= limits::NODE_RAW)
}

fn too_large(label: &str) -> Outcome {
    let message = format!("the releases of {} do not fit into the index any more", shown(label));
    Outcome::Refused(
        Error::new(ErrorKind::Refused, message).with_hint("it has far too many, or records that are far too large"),
    )
}

/// A package while changes are applied to it.
struct Package {
    lines: PackageLines,
    changed: Vec<(Version, ReleaseChange)>,
}

/// The members of a record that planning looks at.
#[derive(Deserialize)]
struct Identity {
    archive: ArchiveIdentity,
    name: PackageName,
    #[serde(default)]
    removed: Option<Removed>,
    #[serde(default)]
    yanked: Option<Yanked>,
}

#[derive(Deserialize)]
struct ArchiveIdentity {
    sha256: Sha256,
}

impl Package {
    fn apply(&mut self, change: &Change) -> Result<Outcome, Error> {
        let at = self.lines.lines.iter().position(|l| l.version.same_release(change.what.version()));
        match (&change.what, at) {
            (What::Add { line, .. }, at) => self.add(line, at),
            (What::Known { version, sha256 }, Some(at)) => {
                let (line, same) = (&self.lines.lines[at], self.identity(at)?);
                let known = line.version == *version && same.archive.sha256 == *sha256 && same.removed.is_none();
                Ok(if known { Outcome::Unchanged } else { Outcome::Stale })
            }
            (What::Known { .. }, None) => Ok(Outcome::Stale),
            (What::Yank { yanked, .. }, Some(at)) => self.yank(at, yanked),
            (What::Unyank { .. }, Some(at)) => {
                if self.identity(at)?.yanked.is_none() {
                    return Ok(Outcome::Unchanged);
                }
                self.edit(at, |record| drop(record.remove("yanked")))?;
                self.changed.push((self.lines.lines[at].version.clone(), ReleaseChange::Unyanked));
                Ok(Outcome::Unyanked)
            }
            (What::Remove { removed, .. }, Some(at)) => self.remove(at, removed),
            (What::Yank { version, .. } | What::Unyank { version } | What::Remove { version, .. }, None) => {
                let message = format!("the registry has no release {}@{version}", shown(&self.lines.label));
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    fn add(&mut self, line: &Line, at: Option<usize>) -> Result<Outcome, Error> {
        let label = shown(&self.lines.label);
        if self.lines.lines.is_empty() {
            // The usual case of a large first build, which need not look into the record.
            self.lines.lines.push(line.clone());
            self.changed.push((line.version.clone(), ReleaseChange::Added));
            return Ok(Outcome::Added);
        }
        let (wanted, known): (Identity, _) = (parse(&line.text)?, self.identity(0)?.name);
        if known != wanted.name {
            let name = wanted.name;
            let message = format!("{label} is already published under the spelling {known}; {name} would be its twin");
            return Err(Error::new(ErrorKind::Conflict, message).with_hint(
                "names that differ only in case or in '-' against '_' are one package: use the published spelling",
            ));
        }
        let Some(at) = at else {
            let before = self.lines.lines.partition_point(|l| l.version < line.version);
            self.lines.lines.insert(before, line.clone());
            self.changed.push((line.version.clone(), ReleaseChange::Added));
            return Ok(Outcome::Added);
        };
        let (there, same) = (self.lines.lines[at].version.clone(), self.identity(at)?);
        let sha256 = wanted.archive.sha256;
        if same.archive.sha256 != sha256 || there != line.version {
            let one = "versions that differ only in build metadata are one release";
            let (before, message) = (same.archive.sha256, format!("{label}@{there} is already published"));
            let message = match (before == sha256, there == line.version) {
                (true, _) => format!("{message}, and {} is the same release: {one}", line.version),
                (_, true) => format!("{message} with other bytes: sha256 {before} there, {sha256} here"),
                (..) => format!("{message} with other bytes: sha256 {before} there, {sha256} here ({one})"),
            };
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_hint("a release never changes once it is published: give the new bytes a new version"));
        }
        if same.removed.is_some() {
            self.lines.lines[at] = line.clone();
            self.changed.push((there, ReleaseChange::Added));
            return Ok(Outcome::Restored);
        }
        match wanted.yanked {
            Some(yanked) if same.yanked.is_none() => self.yank(at, &yanked),
            _ => Ok(Outcome::Unchanged),
        }
    }

    fn yank(&mut self, at: usize, yanked: &Yanked) -> Result<Outcome, Error> {
        let now = self.identity(at)?;
        if now.removed.is_some() || now.yanked.as_ref().is_some_and(|y| y.reason == yanked.reason) {
            return Ok(Outcome::Unchanged);
        }
        let value = to_value(yanked)?;
        self.edit(at, |record| drop(record.insert("yanked".into(), value)))?;
        self.changed.push((self.lines.lines[at].version.clone(), ReleaseChange::Yanked));
        Ok(Outcome::Yanked)
    }

    fn remove(&mut self, at: usize, removed: &Removed) -> Result<Outcome, Error> {
        if self.identity(at)?.removed.is_some() {
            return Ok(Outcome::Unchanged);
        }
        let value = to_value(removed)?;
        self.edit(at, |record| {
            // What identifies the release stays, so that its name and version are never given to other bytes (I9).
            record.retain(|member, _| {
                ["archive", "kind", "name", "published", "v", "version"].contains(&member.as_str())
            });
            record.insert("removed".into(), value);
        })?;
        self.changed.push((self.lines.lines[at].version.clone(), ReleaseChange::Removed));
        Ok(Outcome::Removed)
    }

    fn identity(&self, at: usize) -> Result<Identity, Error> {
        parse(&self.lines.lines[at].text)
    }

    /// Changes members of a stored line and keeps all others as they are, also those that a later version of the format
    /// has added: canonical form makes the result the same as if that version had written it.
    fn edit(&mut self, at: usize, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Error> {
        let line = &mut self.lines.lines[at];
        let mut record: Map<String, Value> = parse(&line.text)?;
        change(&mut record);
        line.text = Value::Object(record).to_string().into();
        Ok(())
    }
}

/// `kind:name` of a label, as people type it.
pub(crate) fn shown(label: &str) -> String {
    label.replacen('/', ":", 1)
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(line).map_err(|e| {
        Error::new(ErrorKind::Unsupported, "a stored record cannot be read")
            .with_source(e)
            .with_hint("upgrade ggen-market")
    })
}

fn to_value(mark: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(mark).map_err(|e| Error::new(ErrorKind::Invalid, "a mark cannot be written").with_source(e))
}

/// The tombstones that make the registry hold nothing but what `kept` says: a change for each release that is there and
/// not among them. `packages` is everything there is.
pub(crate) fn removals<'a>(
    packages: impl Iterator<Item = &'a Arc<PackageLines>>,
    kept: &[Change],
    time: Timestamp,
) -> Vec<Change> {
    let mut out = Vec::new();
    for package in packages {
        let begin = kept.partition_point(|c| c.key < package.key);
        let here = &kept[begin..][..kept[begin..].partition_point(|c| c.key == package.key)];
        for line in &package.lines {
            if !here.iter().any(|c| c.what.version().same_release(&line.version)) {
                out.push(Change {
                    key: package.key,
                    label: Arc::clone(&package.label),
                    place: None,
                    downloads: None,
                    what: What::Remove {
                        version: line.version.clone(),
                        removed: Removed { reason: Some("no longer in the sources".into()), time },
                    },
                });
            }
        }
    }
    out
}
