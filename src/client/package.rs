//! A package as a reader sees it.

use crate::{
    format::PackageLines,
    package::{PackageId, PackageName, Record, Version},
};

/// All releases of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// Which package it is.
    pub id: PackageId,
    /// Its releases, in the order of their versions, yanked ones and tombstones included.
    pub releases: Vec<Record>,
    /// Releases that this program cannot read, with the reason: written by a newer version, most likely.
    pub skipped: Vec<String>,
}

impl Package {
    pub(super) fn read(id: PackageId, lines: &PackageLines) -> Self {
        let mut out = Self { id, releases: Vec::with_capacity(lines.lines.len()), skipped: Vec::new() };
        for line in &lines.lines {
            match line.record() {
                Ok(record) => out.releases.push(record),
                Err(e) => out.skipped.push(format!("{}: {e}", line.version)),
            }
        }
        out
    }

    /// Its name as the author writes it.
    pub fn name(&self) -> Option<&PackageName> {
        self.releases.last().map(|r| &r.name)
    }

    /// The release to take when nobody says which: the highest available version that is no pre-release, else the highest
    /// available one.
    pub fn newest(&self) -> Option<&Record> {
        let available = || self.releases.iter().rev().filter(|r| r.is_available());
        available().find(|r| !r.version.is_prerelease()).or_else(|| available().next())
    }

    /// The release of that version; build metadata does not make another one.
    pub fn release(&self, version: &Version) -> Option<&Record> {
        self.releases.iter().find(|r| r.version.same_release(version))
    }
}
