//! Auditing a mirror of a part. What it says of itself (`mirror.json`) is not signed: it makes something that is missing one
//! thing that is told instead of another, and nothing that is there and wrong right.

use super::{Audit, blobs::Object};
use crate::{
    Error,
    client::{
        Client, SnapshotReader,
        mirror::{Closure, closure},
    },
    format::{Entry, MirrorNote},
    package::Sha256,
    store::may_be_absent,
};
use std::collections::{HashMap, HashSet};

/// What a mirror does not hold, and does not claim to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotMirrored {
    /// Older generations without their snapshot.
    pub generations: u64,
    /// Nodes of the index. What they link is not known.
    pub nodes: u64,
    /// Archives of releases whose records are there.
    pub archives: u64,
    /// Leaves of the tree of details.
    pub details: u64,
}

/// What a copy of a registry was meant to hold.
#[derive(Default)]
pub(super) struct Part {
    note: Option<MirrorNote>,
    /// What its patterns mean, where that was worked out.
    wanted: Option<Closure>,
    /// What was found to be left out, so that it is counted once. It is looked for again in each generation: what is left out
    /// of an older one may have to be there in the newest.
    left_out: HashSet<Sha256>,
}

impl Part {
    /// Whether a leaf of the newest details has to be there.
    pub(super) fn requires(&self, leaf: &Sha256) -> bool {
        self.wanted.as_ref().is_some_and(|w| w.details.contains_key(leaf))
    }
}

/// Something that is missing.
pub(super) enum What<'a> {
    /// The snapshot of a generation, or its change list.
    Generation,
    Node(&'a Entry),
    Object(&'a Object),
}

impl Audit {
    pub(super) async fn new(client: Client) -> Self {
        let note = client.mirror_note().await;
        let not_mirrored = note.as_ref().map(|_| NotMirrored::default());
        let out = super::Verified { not_mirrored, ..super::Verified::default() };
        let part = Part { note, ..Part::default() };
        Self {
            client,
            seen: HashSet::new(),
            leaves: HashMap::new(),
            walked: HashSet::new(),
            absent: Vec::new(),
            out,
            part,
            pending: Vec::new(),
            journal: None,
        }
    }

    /// Whether something that could not be read is not there, and was left out on purpose; then it is counted.
    pub(super) fn is_left_out(&mut self, generation: u64, error: &Error, what: What<'_>) -> bool {
        let (Some(note), Some(counts)) = (&self.part.note, &mut self.out.not_mirrored) else { return false };
        let older = generation < note.since;
        let left_out = match &what {
            What::Generation => older,
            What::Node(_) | What::Object(_) => older || note.only.is_some(),
        };
        if !left_out || !may_be_absent(error) {
            return false;
        }
        let (count, sha256) = match what {
            What::Generation => {
                counts.generations += 1;
                return true;
            }
            What::Node(entry) => (&mut counts.nodes, entry.link.sha256),
            What::Object(Object::Details(entry)) => (&mut counts.details, entry.link.sha256),
            What::Object(Object::Archive(link)) => (&mut counts.archives, link.sha256),
        };
        self.seen.remove(&sha256);
        *count += u64::from(self.part.left_out.insert(sha256));
        true
    }

    /// Works out what the patterns of a mirror mean in the newest state: that has to be there. What a `*` means is looked for
    /// in the part of the index that is there.
    pub(super) async fn require_part(&mut self, reader: &SnapshotReader) {
        let Some(only) = self.part.note.as_ref().and_then(|n| n.only.clone()) else { return };
        let client = self.client.clone();
        let tops = (reader.top(), reader.details());
        let load = |entry| {
            let client = client.clone();
            async move { client.node(&entry).await }
        };
        let load_details = |entry| {
            let client = client.clone();
            async move { client.detail_node(&entry).await }
        };
        let (origin, parallel) = (self.client.origin(), self.client.inner.store.parallel());
        let mut wanted = closure(tops, origin, &only, parallel, load, load_details).await;
        let mut told = HashSet::new();
        for (entry, error) in std::mem::take(&mut wanted.lacking) {
            if told.insert(entry.link.sha256) {
                self.problem(reader.generation(), error);
            }
        }
        // These are problems, and not left out.
        self.part.left_out.extend(told);
        self.part.wanted = Some(wanted);
    }

    /// Whether all that a package links has to be there.
    pub(super) fn is_required(&self, generation: u64, key: &Sha256) -> bool {
        let newest = generation == self.out.generation;
        newest && self.part.wanted.as_ref().is_some_and(|w| w.packages.contains(key))
    }
}
