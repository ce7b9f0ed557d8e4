//! Change lists: what one snapshot added, yanked or removed. A feed that mirrors and people can follow without comparing
//! two trees.

use super::{FormatError, Header, Object};
use crate::package::Version;
use serde::{Deserialize, Serialize};

/// What happened to one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPackage {
    /// Versions that are new, or that came back after they had been removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Version>,
    /// `<kind>/<normalised name>`.
    pub package: String,
    /// Versions that became tombstones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Version>,
    /// Versions whose yank was taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unyanked: Vec<Version>,
    /// Versions that were yanked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yanked: Vec<Version>,
}

impl ChangedPackage {
    pub(crate) fn new(package: &str) -> Self {
        Self { added: vec![], package: package.into(), removed: vec![], unyanked: vec![], yanked: vec![] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.unyanked.is_empty() && self.yanked.is_empty()
    }
}

/// What one snapshot changed, in the order of the packages' labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes(pub Vec<ChangedPackage>);

impl Changes {
    /// Reads the decompressed bytes.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "changes";
        let text = std::str::from_utf8(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        let body = Header::read(text, WHAT, None)?;
        body.lines()
            .map(|l| serde_json::from_str(l).map_err(|e| FormatError::malformed(WHAT, e)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Writes it.
    pub(crate) fn seal(&self) -> Object {
        let mut raw = Vec::with_capacity(self.0.len() * 64 + 64);
        Header::write(&mut raw, "changes", None);
        for package in &self.0 {
            serde_json::to_writer(&mut raw, package).unwrap_or_else(|e| unreachable!("a change serialises: {e}"));
            raw.push(b'\n');
        }
        Object::seal(&raw)
    }
}
