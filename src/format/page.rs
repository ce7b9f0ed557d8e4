//! Pages: tables of links to shards and to further pages, one JSON object a line.

use super::{Effort, FormatError, Header, Object, Prefix};
use crate::package::{Link, Sha256};
use serde::{Deserialize, Serialize};

/// What an entry links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// A further page.
    Page,
    /// A shard.
    Shard,
}

/// One row of a page: a link to the node that holds all packages below a prefix, and their sums, so that a writer can see
/// whether neighbours still need to be apart without fetching them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Record bytes below it: the lengths of all record lines with their line ends.
    pub bytes: u64,
    /// The stored node.
    pub link: Link,
    /// Packages below it.
    pub packages: u64,
    /// The place it covers.
    pub prefix: Prefix,
    /// Releases below it.
    pub releases: u64,
    /// What the link leads to.
    #[serde(rename = "type")]
    pub node: NodeType,
}

/// A page: the entries below one prefix, in order. No place is covered twice; a place that no entry covers holds no
/// package, which is a proof of absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    prefix: Prefix,
    entries: Vec<Entry>,
}

impl Page {
    /// Checks that the entries may stand in a page at `prefix`: in order, apart, and each at a depth where it belongs.
    pub(crate) fn new(prefix: Prefix, entries: Vec<Entry>) -> Result<Self, FormatError> {
        let wrong = |why: String| Err(FormatError::malformed("page", why));
        if !prefix.is_page_boundary() {
            return wrong(format!("no page stands at {prefix:?}"));
        }
        for e in &entries {
            let below = e.prefix.depth().saturating_sub(prefix.depth());
            let fits = match e.node {
                // A page of one shard that covers all of it is written as that shard, but at the root.
                NodeType::Shard => below <= Prefix::STRIDE && (below > 0 || prefix.is_root()),
                NodeType::Page => below == Prefix::STRIDE && e.prefix.depth() < Prefix::MAX_DEPTH,
            };
            if !prefix.contains(e.prefix) || !fits {
                return wrong(format!("entry {:?} does not belong into the page {prefix:?}", e.prefix));
            }
            if e.packages == 0 || e.releases < e.packages {
                return wrong(format!("entry {:?} has impossible counts", e.prefix));
            }
        }
        for pair in entries.windows(2) {
            if pair[0].prefix >= pair[1].prefix || pair[0].prefix.contains(pair[1].prefix) {
                return wrong(format!(
                    "entries {:?} and {:?} overlap or are out of order",
                    pair[0].prefix, pair[1].prefix
                ));
            }
        }
        Ok(Self { prefix, entries })
    }

    /// The top page of an empty registry.
    pub(crate) fn root() -> Self {
        Self { prefix: Prefix::ROOT, entries: Vec::new() }
    }

    /// The place it covers.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Its rows, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The row whose node has the package of that key, if any package is there at all.
    pub fn find(&self, key: &Sha256) -> Option<&Entry> {
        // The last entry that does not begin after the key is the only one that can cover it.
        let after = self.entries.partition_point(|e| e.prefix.begins_at_or_before(key));
        self.entries[..after].last().filter(|e| e.prefix.covers(key))
    }

    /// Reads the decompressed bytes of a page that was cited for `prefix`.
    pub(crate) fn read(raw: &[u8], prefix: Prefix) -> Result<Self, FormatError> {
        const WHAT: &str = "page";
        let text = std::str::from_utf8(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        let body = Header::read(text, WHAT, Some(prefix))?;
        let entries = body
            .lines()
            .map(|l| serde_json::from_str(l).map_err(|e| FormatError::malformed(WHAT, e)))
            .collect::<Result<Vec<Entry>, _>>()?;
        Self::new(prefix, entries)
    }

    /// Writes it.
    pub(crate) fn seal(prefix: Prefix, entries: &[Entry]) -> Object {
        let mut raw = Vec::with_capacity(entries.len() * 200 + 64);
        Header::write(&mut raw, "page", Some(prefix));
        for entry in entries {
            // Numbers, text and a digest: this cannot fail.
            serde_json::to_writer(&mut raw, entry).unwrap_or_else(|e| unreachable!("an entry serialises: {e}"));
            raw.push(b'\n');
        }
        Object::seal(&raw, Effort::Digests)
    }
}
