//! The audit: is everything that a registry promises really there, and right?

mod blobs;
mod journal;
mod partial;

pub use partial::NotMirrored;

use super::{Client, ClientOptions, Inner, SnapshotReader};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, Changes, Entry, FormatError, PackageLines, Page, keys, limits},
    index::{self, Node, Nodes},
    package::{Link, Record, Sha256},
    store::PARALLEL,
    trust::Slot,
};
use futures::{StreamExt, TryStreamExt};
use std::{collections::HashSet, sync::Arc};

/// How much to verify.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Every object of every generation, archives and details included. Without it: the log, the newest snapshot and its
    /// index, which is all that a lookup depends on.
    pub all: bool,
    /// Goes on where an audit of everything was interrupted, at most 24 hours ago and of the same generation: archives and
    /// details that it found to be right are not read again. Takes the client's cache folder, where each audit of everything
    /// leaves word of how far it is.
    pub resume: bool,
}

impl VerifyOptions {
    /// Everything.
    pub fn all() -> Self {
        Self { all: true, resume: false }
    }
}

/// What an audit found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// The newest generation.
    pub generation: u64,
    /// Objects that were read and hashed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packages in the newest snapshot.
    pub packages: u64,
    /// Releases in it.
    pub releases: u64,
    /// Objects that no generation refers to, and their bytes: left by runs that were interrupted, and harmless. Only known
    /// of everything ([`VerifyOptions::all`]) and of stores that can be listed, which HTTP cannot.
    pub unreferenced: Option<(u64, u64)>,
    /// What is not there and was not meant to be, where this is a mirror of a part or without a history.
    pub not_mirrored: Option<NotMirrored>,
    /// Objects that were not read because the audit that this one goes on from found them to be right.
    pub skipped: u64,
    /// What is wrong; empty when all is well.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a registry.
#[derive(Debug)]
pub struct Problem {
    /// The generation that shows it.
    pub generation: u64,
    /// What is wrong.
    pub error: Error,
}

impl Client {
    /// Audits the registry. Everything is read from the store itself, past every cache.
    ///
    /// # Errors
    /// Only when the audit cannot begin: no checkpoint, or one that cannot be trusted. Everything else is in
    /// [`Verified::problems`].
    pub async fn verify(&self, options: &VerifyOptions) -> Result<Verified> {
        // A client of its own: no cache may answer for the store. The trust state is the same.
        let fresh = self.without_caches();
        let head = fresh.head().await?;
        let mut audit = Audit::new(fresh).await;
        audit.out.generation = head.claim().generation;
        if options.all {
            audit.journal = self.journal(head.claim().generation, options.resume);
        }
        let slots = match audit.client.chain_down_to(0).await {
            Ok(slots) => slots,
            Err(error) => {
                audit.problem(head.claim().generation, error);
                vec![head]
            }
        };
        audit.newest_slot(&slots).await;
        audit.out.objects += slots.len() as u64 + 1;
        audit.snapshots(&slots, options).await;
        if let Some(journal) = audit.journal.take() {
            journal.finish();
        }
        if options.all && audit.out.problems.is_empty() {
            audit.out.unreferenced = audit.client.inner.store.blobs_outside(&audit.seen).await;
        }
        Ok(audit.out)
    }

    pub(super) fn without_caches(&self) -> Self {
        let Inner { store, keys, options, trusted, .. } = &*self.inner;
        let options = ClientOptions { cache: None, offline: false, memory: 0, ..options.clone() };
        Self::with_trust(store.clone(), keys.clone(), options, trusted.clone())
    }
}

struct Audit {
    client: Client,
    /// Objects that were found to be right: generations share most of theirs.
    seen: HashSet<Sha256>,
    out: Verified,
    /// What the mirror says that it was meant to hold, if it is one, and what follows from that.
    part: partial::Part,
    /// Archives and details to be read.
    pending: Vec<blobs::Pending>,
    journal: Option<journal::Journal>,
}

impl Audit {
    fn problem(&mut self, generation: u64, error: Error) {
        self.out.problems.push(Problem { generation, error });
    }

    /// The newest slot came inside the checkpoint; the log has to hold the same.
    async fn newest_slot(&mut self, slots: &[Slot]) {
        let Some(head) = slots.last() else { return };
        let generation = head.claim().generation;
        match self.client.slot(generation).await {
            Ok(slot) if slot == *head => {}
            Ok(_) => {
                let place = self.client.inner.store.place(&keys::slot(generation));
                let error =
                    Error::new(ErrorKind::Untrusted, format!("{place} is not the slot that the checkpoint holds"));
                self.problem(generation, error);
            }
            Err(error) => self.problem(generation, error),
        }
    }

    async fn snapshots(&mut self, slots: &[Slot], options: &VerifyOptions) {
        let wanted = if options.all { slots } else { &slots[slots.len().saturating_sub(1)..] };
        let mut before: Option<SnapshotReader> = None;
        for (i, slot) in wanted.iter().enumerate() {
            let (generation, link) = (slot.claim().generation, slot.claim().snapshot);
            let newest = i + 1 == wanted.len();
            if !newest && before.as_ref().is_some_and(|b| *b.link() == link) {
                continue; // a renewal
            }
            match self.client.reader(&link, generation).await {
                Err(error) if self.is_left_out(generation, &error, partial::What::Generation) => {}
                Err(error) => self.problem(generation, error),
                Ok(reader) => {
                    self.count(&link);
                    if newest && options.all {
                        self.require_part(&reader).await;
                    }
                    self.snapshot(&reader, newest, options).await;
                    if let Some(before) = &before {
                        self.superset(before, &reader).await;
                    }
                    before = Some(reader);
                }
            }
        }
    }

    fn count(&mut self, link: &Link) -> bool {
        let new = self.seen.insert(link.sha256);
        if new {
            self.out.objects += 1;
            self.out.bytes += link.size;
        }
        new
    }

    async fn snapshot(&mut self, reader: &SnapshotReader, newest: bool, options: &VerifyOptions) {
        let generation = reader.generation();
        let mut all = Vec::new();
        let mut whole = true;
        let mut rest: Vec<Entry> = reader.top().entries().to_vec();
        while !rest.is_empty() {
            // Of an older generation, only what no other one has been seen to hold.
            rest.retain(|e| newest || !self.seen.contains(&e.link.sha256));
            let client = self.client.clone();
            let mut nodes = futures::stream::iter(std::mem::take(&mut rest))
                .map(|entry| {
                    let client = client.clone();
                    async move { (entry, client.node(&entry).await) }
                })
                .buffer_unordered(PARALLEL);
            while let Some((entry, node)) = nodes.next().await {
                match node {
                    Err(error) => {
                        whole = false;
                        if !self.is_left_out(generation, &error, partial::What::Node(&entry)) {
                            self.problem(generation, error);
                        }
                    }
                    Ok(node) => {
                        self.count(&entry.link);
                        let packages = self.node(generation, &entry, &node, &mut rest);
                        if options.all {
                            self.blobs(generation, &packages).await;
                        }
                        all.extend(packages);
                    }
                }
            }
        }
        self.read_blobs().await;
        if newest {
            self.out.packages = reader.snapshot().packages;
            self.out.releases = reader.snapshot().releases;
            if whole {
                self.shape(reader, all).await;
            }
        }
        if options.all
            && let Some(link) = reader.snapshot().changes
            && !self.seen.contains(&link.sha256)
        {
            match self.client.object(&link, limits::CHANGES, limits::CHANGES_RAW).await {
                Err(error) if self.is_left_out(generation, &error, partial::What::Generation) => {}
                Err(error) => self.problem(generation, error),
                Ok(raw) => match Changes::read(&raw) {
                    Ok(_) => drop(self.count(&link)),
                    Err(e) => self.problem(generation, e.at(self.client.inner.store.place(&keys::blob(&link.sha256)))),
                },
            }
        }
    }

    /// Checks a node against the entry that cites it, and gives the packages in it.
    fn node(&mut self, generation: u64, entry: &Entry, node: &Node, rest: &mut Vec<Entry>) -> Vec<Arc<PackageLines>> {
        let place = self.client.inner.store.place(&keys::blob(&entry.link.sha256));
        let (packages, releases, bytes, out) = match node {
            Node::Page(page) => {
                rest.extend(page.entries());
                let sum = |f: fn(&Entry) -> u64| page.entries().iter().map(f).sum();
                (sum(|e| e.packages), sum(|e| e.releases), sum(|e| e.bytes), Vec::new())
            }
            Node::Shard(shard) => {
                for reason in &shard.skipped {
                    let e = FormatError::Malformed { what: "shard", reason: reason.clone() };
                    self.problem(generation, e.at(&place));
                }
                let p = &shard.packages;
                let releases = p.iter().map(|p| p.lines.len() as u64).sum();
                (p.len() as u64, releases, p.iter().map(|p| p.bytes()).sum(), p.clone())
            }
        };
        if (packages, releases, bytes) != (entry.packages, entry.releases, entry.bytes) {
            let e = FormatError::Malformed { what: "page", reason: "its counts are not those of the node".into() };
            self.problem(generation, e.at(place));
        }
        out
    }

    /// The index must be the one tree that its records make: rebuilt from them, it has the same root.
    async fn shape(&mut self, reader: &SnapshotReader, mut packages: Vec<Arc<PackageLines>>) {
        let rebuilt = cpu::run(move || {
            packages.sort_by_key(|p| p.key);
            index::edit(&Page::root(), &Nodes::new(), &packages).map(|e| e.top)
        })
        .await;
        if rebuilt.ok().as_deref() != Some(reader.top().entries()) {
            let place = self.client.inner.store.place(&keys::blob(&reader.link().sha256));
            let reason = "its index is not the tree of its records".to_owned();
            self.problem(reader.generation(), FormatError::Malformed { what: "snapshot", reason }.at(place));
        }
    }

    /// Nothing that was published is ever lost: every release of a generation is in the next one with the same archive, or
    /// has a tombstone there (I9).
    async fn superset(&mut self, before: &SnapshotReader, after: &SnapshotReader) {
        let mut nodes = Nodes::new();
        let differences = loop {
            match index::diff(before.top(), after.top(), &nodes) {
                Ok(differences) => break differences,
                Err(index::Missing(lacking)) => {
                    let mut fetched = Box::pin(after.nodes(lacking));
                    loop {
                        match fetched.try_next().await {
                            Ok(Some((entry, node))) => drop(nodes.insert(entry.link.sha256, node)),
                            Ok(None) => break,
                            // Reported already, where the node itself was audited.
                            Err(_) => return,
                        }
                    }
                }
            }
        };
        for difference in differences {
            let Some(old) = difference.old else { continue };
            for line in &old.lines {
                let now = difference.new.as_ref().and_then(|n| n.find(&line.version));
                let (Ok(was), now) = (line.record(), now.map(format::Line::record)) else { continue };
                let kept = matches!(&now, Some(Ok(now)) if now.archive.sha256 == was.archive.sha256);
                if !kept && !matches!(now, Some(Err(_))) {
                    let what =
                        format!("generation {} lost or changed {} {}", after.generation(), old.label, line.version);
                    let error = Error::new(ErrorKind::Untrusted, what)
                        .with_hint("a release never changes and never goes without a tombstone");
                    self.problem(after.generation(), error);
                }
            }
        }
    }
}

/// The objects of this registry that a record links to.
pub(super) fn links_of(record: &Record) -> Vec<Link> {
    let archive = Link { raw: None, sha256: record.archive.sha256, size: record.archive.size };
    let here = record.archive.url.is_none() && record.removed.is_none();
    here.then_some(archive).into_iter().chain(record.detail).collect()
}
