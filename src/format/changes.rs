//! Change lists: what one snapshot added, yanked or removed. A feed that mirrors and people can follow without comparing
//! two trees.

use super::{Effort, FormatError, Header, Object};
use crate::package::Version;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// What happened to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ReleaseChange {
    /// It is new, or came back after it had been removed.
    Added,
    /// It became a tombstone.
    Removed,
    /// Its yank was taken back.
    Unyanked,
    /// It was yanked.
    Yanked,
}

impl ReleaseChange {
    /// Its word in a change list.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Unyanked => "unyanked",
            Self::Yanked => "yanked",
        }
    }
}

impl fmt::Display for ReleaseChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One release that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRelease {
    /// `<kind>/<normalised name>`.
    pub package: Arc<str>,
    /// Its version.
    pub version: Version,
    /// What happened to it.
    pub change: ReleaseChange,
}

/// What one snapshot changed, in the order of packages, then of versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes(pub Vec<ChangedRelease>);

/// A line of the stored form: one package.
#[derive(Default, Serialize, Deserialize)]
struct Row {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    added: Vec<Version>,
    package: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed: Vec<Version>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unyanked: Vec<Version>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    yanked: Vec<Version>,
}

impl Row {
    fn list(&mut self, change: ReleaseChange) -> &mut Vec<Version> {
        match change {
            ReleaseChange::Added => &mut self.added,
            ReleaseChange::Removed => &mut self.removed,
            ReleaseChange::Unyanked => &mut self.unyanked,
            ReleaseChange::Yanked => &mut self.yanked,
        }
    }
}

impl Changes {
    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable_by(|a, b| (&a.package, &a.version, a.change).cmp(&(&b.package, &b.version, b.change)));
    }

    /// Reads the decompressed bytes.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "changes";
        let text = std::str::from_utf8(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        let body = Header::read(text, WHAT, None)?;
        let mut out = Self::default();
        for line in body.lines() {
            let mut row: Row = serde_json::from_str(line).map_err(|e| FormatError::malformed(WHAT, e))?;
            let package: Arc<str> = std::mem::take(&mut row.package).into();
            use ReleaseChange::{Added, Removed, Unyanked, Yanked};
            for change in [Added, Removed, Unyanked, Yanked] {
                let versions = std::mem::take(row.list(change)).into_iter();
                out.0.extend(versions.map(|version| ChangedRelease { package: Arc::clone(&package), version, change }));
            }
        }
        out.sort();
        Ok(out)
    }

    /// Writes it; it is sorted.
    pub(crate) fn seal(&self) -> Object {
        let mut raw = Vec::with_capacity(self.0.len() * 64 + 64);
        Header::write(&mut raw, "changes", None);
        for package in self.0.chunk_by(|a, b| a.package == b.package) {
            let mut row = Row { package: package[0].package.to_string(), ..Row::default() };
            for release in package {
                row.list(release.change).push(release.version.clone());
            }
            serde_json::to_writer(&mut raw, &row).unwrap_or_else(|e| unreachable!("a change serialises: {e}"));
            raw.push(b'\n');
        }
        Object::seal(&raw, Effort::Dense)
    }
}
