//! Snapshots: one whole state of the registry, by links.

use super::{Effort, Entry, FormatError, Object, Page, SearchBundle, TreeKind, require_format};
use crate::package::{Link, Timestamp};
use serde::{Deserialize, Serialize};

/// One whole state of the registry. Everything that is in it is reached from here by links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it added, yanked or removed: a [`Changes`](super::Changes) object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Link>,
    /// When it was made.
    pub created: Timestamp,
    /// The root of the tree of details; none where no release has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Entry>,
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION).
    pub format: u32,
    /// The generation it was made for.
    pub generation: u64,
    /// The top page of the index.
    pub index: Vec<Entry>,
    /// The registry it belongs to.
    pub origin: String,
    /// Packages in it.
    pub packages: u64,
    /// Who may do what: the root of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Link>,
    /// The snapshot it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Link>,
    /// Releases in it, tombstones included.
    pub releases: u64,
    /// The search bundles, in the order they were made: later ones replace documents of earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<SearchBundle>,
    /// Download counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Link>,
    /// Always `snapshot`.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
struct Probe {
    format: u32,
}

impl Snapshot {
    /// The top page of the index.
    pub fn top(&self) -> Result<Page, FormatError> {
        Page::top(TreeKind::Index, self.index.clone())
    }

    /// What leads to the root of the details.
    pub(crate) fn details_top(&self) -> Result<Page, FormatError> {
        Page::top(TreeKind::Details, self.details.into_iter().collect())
    }

    /// Reads the decompressed bytes.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "snapshot";
        let probe: Probe = serde_json::from_slice(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        require_format(WHAT, probe.format)?;
        let out: Self = serde_json::from_slice(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        if out.kind != WHAT {
            return Err(FormatError::malformed(WHAT, format!("it is a {}", out.kind)));
        }
        out.top()?;
        out.details_top()?;
        let sum = |f: fn(&Entry) -> u64| out.index.iter().try_fold(0u64, |a, e| a.checked_add(f(e)));
        if sum(|e| e.packages) != Some(out.packages) || sum(|e| e.releases) != Some(out.releases) {
            return Err(FormatError::malformed(WHAT, "its counts are not the sums of its index"));
        }
        Ok(out)
    }

    /// Writes it.
    pub(crate) fn seal(&self) -> Object {
        let raw = serde_json::to_vec(self).unwrap_or_else(|e| unreachable!("a snapshot serialises: {e}"));
        Object::seal(&raw, Effort::Digests)
    }
}
