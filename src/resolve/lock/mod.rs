//! The lock file: which versions, with which bytes.
//!
//! It is TOML in a file that other programs may write to as well (ggen keeps its own `[packs]` in a `ggen.lock`): all of ours
//! is in the table `market`, and whatever else is there stays as it is. Every package has a table of its own, all of them in
//! order, so that adding one adds lines and changes none, and two branches that each add one can be merged by lines.

mod read;
#[cfg(test)]
mod tests;

pub use read::LockError;

use super::Resolution;
use crate::{
    Error, ErrorKind, Result,
    package::{Archive, ArchiveFormat, Kind, PackageId, PackageName, Version},
};
use semver::VersionReq;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The version of the format of our table.
const VERSION: i64 = 1;

const HEAD: &str = "# Written by ggen-market. Two versions of it can be merged by lines; `ggen-market install` puts right what is left.\n";

/// A lock file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// What others wrote before our tables, as they wrote it.
    above: String,
    /// What they wrote between and after ours.
    below: String,
    /// Lines end as on Windows, where a checkout may make them do so.
    crlf: bool,
    ggen: Vec<Ggen>,
    registry: String,
    wants: BTreeMap<PackageId, VersionReq>,
    optional: bool,
    overrides: BTreeMap<PackageId, VersionReq>,
    packages: Vec<Locked>,
    /// Members of our table that this program does not know.
    extra: Vec<(String, String)>,
}

/// A locked package.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locked {
    /// Which package.
    pub id: PackageId,
    /// Its name as its author writes it.
    pub name: PackageName,
    /// In which version.
    pub version: Version,
    /// The origin of the registry that it is from.
    pub registry: String,
    /// The generation of that registry in which it was found first.
    pub generation: u64,
    /// What to download.
    pub archive: Archive,
    /// What it needs.
    pub dependencies: Vec<LockedId>,
    /// Members that this program does not know.
    extra: Vec<(String, String)>,
}

/// By what a locked package is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct LockedId {
    /// Which package.
    pub id: PackageId,
    /// The origin of its registry.
    pub registry: String,
    /// In which version.
    pub version: Version,
}

/// A pack that ggen itself has locked: `[packs.NAME]` of the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ggen {
    /// Its name.
    pub name: String,
    /// Where it came from, in ggen's words.
    pub source: String,
    /// The hash of its content, `blake3:` and hexadecimal digits.
    pub content_hash: String,
}

impl Locked {
    /// Where it is installed, below the folder that packages are installed in: a pack under its name, since there is one of
    /// it, a crate under its name and version.
    pub fn install_path(&self) -> PathBuf {
        install_path(&self.id, &self.version)
    }

    /// By what it is known.
    pub fn locked_id(&self) -> LockedId {
        LockedId { id: self.id.clone(), registry: self.registry.clone(), version: self.version.clone() }
    }
}

impl Lock {
    /// The origin of the registry that is asked for what is wanted; empty where nothing was ever locked.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// What was asked for.
    pub fn wants(&self) -> &BTreeMap<PackageId, VersionReq> {
        &self.wants
    }

    /// Whether the optional dependencies of what is wanted are taken as well.
    pub fn optional(&self) -> bool {
        self.optional
    }

    /// The versions in which everybody gets these packages, whatever they ask for.
    pub fn overrides(&self) -> &BTreeMap<PackageId, VersionReq> {
        &self.overrides
    }

    /// The same file with other rules by which it was resolved: whoever resolves it again goes by them.
    #[must_use]
    pub fn by(self, optional: bool, overrides: BTreeMap<PackageId, VersionReq>) -> Self {
        Self { optional, overrides, ..self }
    }

    /// Every locked package, in order.
    pub fn packages(&self) -> &[Locked] {
        &self.packages
    }

    /// What ggen itself has locked in the same file.
    pub fn ggen_packs(&self) -> &[Ggen] {
        &self.ggen
    }

    /// The locked versions of a package, in order.
    pub fn find(&self, id: &PackageId) -> impl Iterator<Item = &Locked> {
        self.packages.iter().filter(move |p| p.id == *id)
    }

    /// The same file with another answer in it. What did not change keeps the generation in which it was found.
    #[must_use]
    pub fn with(&self, registry: &str, wants: BTreeMap<PackageId, VersionReq>, found: &Resolution) -> Self {
        let before: HashMap<LockedId, &Locked> = self.packages.iter().map(|p| (p.locked_id(), p)).collect();
        let id = |place: &usize| found.packages[*place].locked_id();
        let packages = found.packages.iter().enumerate().map(|(place, p)| {
            let known = before.get(&id(&place)).filter(|b| b.archive == p.archive);
            let mut dependencies: Vec<_> = p.dependencies.iter().map(id).collect();
            dependencies.sort();
            Locked {
                id: p.id.clone(),
                name: p.name.clone(),
                version: p.version.clone(),
                registry: p.registry.clone(),
                generation: known
                    .map_or_else(|| found.generations.get(&p.registry).copied().unwrap_or(0), |k| k.generation),
                archive: p.archive.clone(),
                dependencies,
                extra: known.map(|k| k.extra.clone()).unwrap_or_default(),
            }
        });
        let mut out = Self { registry: registry.to_owned(), wants, packages: packages.collect(), ..self.clone() };
        out.packages.sort_by_cached_key(Locked::locked_id);
        out
    }

    /// The same file without one of the things that are wanted, and without what only that needed. `None` when it is not
    /// wanted.
    #[must_use]
    pub fn without(&self, id: &PackageId) -> Option<Self> {
        let mut out = self.clone();
        out.wants.remove(id)?;
        let needed = out.reachable();
        out.packages.retain(|p| needed.contains(&p.locked_id()));
        Some(out)
    }

    /// The same file with nothing locked of these packages, so that they can be resolved anew.
    #[must_use]
    pub fn unlocked(&self, ids: &[PackageId]) -> Self {
        let mut out = self.clone();
        out.packages.retain(|p| !ids.contains(&p.id));
        out
    }

    /// The locked packages that answer to what is wanted. An override decides here, too: whoever wants the package gets it so.
    fn roots(&self) -> impl Iterator<Item = &Locked> {
        self.packages.iter().filter(|p| {
            let wanted = self.wants.get(&p.id).filter(|_| p.registry == self.registry);
            let req = wanted.map(|req| self.overrides.get(&p.id).unwrap_or(req));
            req.is_some_and(|req| req.matches(p.version.semver()))
        })
    }

    fn reachable(&self) -> BTreeSet<LockedId> {
        let by_id: HashMap<LockedId, &Locked> = self.packages.iter().map(|p| (p.locked_id(), p)).collect();
        let mut out = BTreeSet::new();
        let mut rest: Vec<_> = self.roots().map(Locked::locked_id).collect();
        while let Some(id) = rest.pop() {
            if let Some(package) = by_id.get(&id)
                && out.insert(id)
            {
                rest.extend(package.dependencies.iter().cloned());
            }
        }
        out
    }

    /// The shortest chains of needs that lead to a package, one for each version of it and each thing wanted that leads there.
    pub fn chains(&self, id: &PackageId) -> Vec<Vec<&Locked>> {
        let by_id: HashMap<LockedId, &Locked> = self.packages.iter().map(|p| (p.locked_id(), p)).collect();
        let mut out = Vec::new();
        for root in self.roots() {
            let mut from: BTreeMap<LockedId, Option<LockedId>> = BTreeMap::from([(root.locked_id(), None)]);
            let mut rest = VecDeque::from([root]);
            while let Some(package) = rest.pop_front() {
                for need in &package.dependencies {
                    if let Some(next) = by_id.get(need).filter(|_| !from.contains_key(need)) {
                        from.insert(need.clone(), Some(package.locked_id()));
                        rest.push_back(next);
                    }
                }
            }
            for end in self.find(id).filter(|p| from.contains_key(&p.locked_id())) {
                let mut chain = vec![end];
                while let Some(Some(before)) = from.get(&chain[chain.len() - 1].locked_id()) {
                    chain.extend(by_id.get(before));
                }
                chain.reverse();
                out.push(chain);
            }
        }
        out
    }

    /// Whether the file holds what it has to for these wants, as far as that shows without asking a registry: an answer for
    /// each of them, everything that is needed, nothing else, and one version of each pack.
    ///
    /// # Errors
    /// [`ErrorKind::Unsolvable`], with everything that is wrong in [`Error::details`].
    pub fn check(&self, wants: &BTreeMap<PackageId, VersionReq>) -> Result<()> {
        let mut wrong = Vec::new();
        for (id, req) in wants {
            match self.wants.get(id) {
                None => wrong.push(format!("{id} is not locked")),
                Some(locked) if locked != req => wrong.push(format!("{id} is locked as {locked}, not as {req}")),
                Some(_) if self.roots().all(|p| p.id != *id) => wrong.push(format!("no version of {id} is locked")),
                Some(_) => {}
            }
        }
        wrong.extend(self.wants.keys().filter(|id| !wants.contains_key(*id)).map(|id| format!("{id} is not wanted")));
        let there: BTreeSet<_> = self.packages.iter().map(Locked::locked_id).collect();
        let needed = self.reachable();
        for package in &self.packages {
            let name = format!("{} {}", package.id, package.version);
            if !needed.contains(&package.locked_id()) {
                wrong.push(format!("nothing needs {name}"));
            }
            let lacking = package.dependencies.iter().filter(|d| !there.contains(d));
            wrong.extend(lacking.map(|d| format!("{name} needs {} {}, which is not locked", d.id, d.version)));
        }
        for pair in self.packages.windows(2) {
            let same = pair[0].id == pair[1].id && pair[0].registry == pair[1].registry;
            if same && pair[0].id.kind() == Kind::Pack {
                wrong.push(format!("two versions of {} are locked", pair[0].id));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(drift(wrong))
    }

    /// The text of the file. What others wrote is in it as they wrote it, and where they wrote it.
    pub fn to_text(&self) -> String {
        let mut ours = self.tables();
        let line_end = if self.crlf { "\r\n" } else { "\n" };
        if self.crlf {
            ours = ours.replace('\n', line_end);
        }
        let mut out = self.above.clone();
        if !ours.is_empty() && !out.is_empty() {
            // After a whole line, an empty one.
            let ends = if out.ends_with('\n') { 1 } else { 2 };
            out.push_str(&line_end.repeat(ends));
        }
        out + &ours + &self.below
    }

    /// All that is ours in it.
    fn tables(&self) -> String {
        let mut out = String::new();
        if self.registry.is_empty() && self.packages.is_empty() {
            return out;
        }
        out.push_str(HEAD);
        out.push_str("[market]\n");
        line(&mut out, "version", VERSION.to_string());
        line(&mut out, "registry", quoted(&self.registry));
        if self.optional {
            line(&mut out, "optional", "true");
        }
        self.extra.iter().for_each(|(key, value)| line(&mut out, key, value));
        out.push_str("\n[market.wants]\n");
        requirements(&mut out, &self.wants);
        if !self.overrides.is_empty() {
            out.push_str("\n[market.overrides]\n");
            requirements(&mut out, &self.overrides);
        }
        self.packages.iter().for_each(|p| p.write(&mut out));
        out
    }
}

impl Locked {
    fn write(&self, out: &mut String) {
        out.push_str("\n[[market.package]]\n");
        line(out, "kind", quoted(self.id.kind().as_str()));
        line(out, "name", quoted(self.name.as_str()));
        line(out, "version", quoted(&self.version.to_string()));
        line(out, "registry", quoted(&self.registry));
        line(out, "generation", self.generation.to_string());
        if let Some(url) = &self.archive.url {
            line(out, "url", quoted(url));
        }
        line(out, "format", quoted(format_word(self.archive.format)));
        line(out, "sha256", quoted(&self.archive.sha256.to_string()));
        line(out, "size", self.archive.size.to_string());
        if !self.dependencies.is_empty() {
            out.push_str("dependencies = [\n");
            for need in &self.dependencies {
                let at = if need.registry == self.registry { String::new() } else { format!(" in {}", need.registry) };
                // Writing to a text cannot fail.
                let _ = writeln!(out, "    {},", quoted(&format!("{}@{}{at}", need.id, need.version)));
            }
            out.push_str("]\n");
        }
        self.extra.iter().for_each(|(key, value)| line(out, key, value));
    }
}

/// Where a package is installed. Names and versions are of a form that is safe in a path.
pub(crate) fn install_path(id: &PackageId, version: &Version) -> PathBuf {
    match id.kind() {
        Kind::Pack => Path::new("pack").join(id.name()),
        Kind::Crate => Path::new("crate").join(format!("{}-{version}", id.name())),
    }
}

fn requirements(out: &mut String, of: &BTreeMap<PackageId, VersionReq>) {
    for (id, req) in of {
        line(out, &quoted(&id.to_string()), quoted(&req.to_string()));
    }
}

fn line(out: &mut String, key: &str, value: impl AsRef<str>) {
    let _ = writeln!(out, "{key} = {}", value.as_ref());
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

fn format_word(format: ArchiveFormat) -> &'static str {
    match format {
        ArchiveFormat::Crate => "crate",
        ArchiveFormat::TarGz => "tar.gz",
        ArchiveFormat::Zip => "zip",
        ArchiveFormat::Opaque => "opaque",
    }
}

/// The error for a lock file that does not hold what it has to.
pub(crate) fn drift(wrong: Vec<String>) -> Error {
    Error::new(ErrorKind::Unsolvable, "the lock file does not hold what it would have to")
        .with_details(wrong)
        .with_hint("run without --locked and --frozen to resolve anew")
}
