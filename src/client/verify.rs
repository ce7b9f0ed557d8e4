//! The audit: is everything that a registry promises really there, and right?

mod blobs;
mod details;
mod journal;
mod partial;
mod search;

pub use partial::NotMirrored;

use super::{Client, ClientOptions, Inner, SnapshotReader};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, Changes, Entry, FormatError, Marks, PackageLines, Page, Shard, keys, limits},
    index::{self, NewLeaf, Node, Nodes},
    package::{Link, Record, Sha256},
    store::is_absent,
    trust::{Boundary, Slot},
};
use futures::{StreamExt, TryStreamExt};
use rayon::prelude::*;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How much to verify.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Every object of every generation, archives and details included. Without it: the log, the newest snapshot and its
    /// index, which is all that a lookup depends on.
    pub all: bool,
    /// Goes on where an audit of everything was interrupted, at most 24 hours ago and of the same generation: archives
    /// that it found to be right are not read again. Takes the client's cache folder, where each audit of everything
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
    /// Generations that a collection of garbage gave up, as its signed boundary says, and that are not whole any more.
    pub collected: u64,
    /// Objects that no generation refers to and no collection has marked yet, and their bytes: left by runs that were
    /// interrupted, and harmless. Only known of everything ([`VerifyOptions::all`]) and of stores that can be listed, which
    /// HTTP cannot.
    pub unreferenced: Option<(u64, u64)>,
    /// Objects that the last collection marked, and their bytes: a later one takes them away. Known when `unreferenced` is.
    pub marked: Option<(u64, u64)>,
    /// What is not there and was not meant to be, where this is a mirror of a part or without a history.
    pub not_mirrored: Option<NotMirrored>,
    /// Archives that were not read because the audit that this one goes on from found them to be right.
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
        audit.collected(options).await;
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
    /// The leaves of details among them, as they were cited, and what stands in them, as far as it was read.
    leaves: HashMap<Sha256, (Entry, details::Places)>,
    /// The nodes among them below which nothing has to be looked at again.
    walked: HashSet<Sha256>,
    /// What is not there, and which generation cites it: whether that is a problem is known in the end.
    absent: Vec<Problem>,
    out: Verified,
    /// What the mirror says that it was meant to hold, if it is one, and what follows from that.
    part: partial::Part,
    /// Archives and leaves of details to be read.
    pending: Vec<blobs::Pending>,
    journal: Option<journal::Journal>,
}

impl Audit {
    fn problem(&mut self, generation: u64, error: Error) {
        let problem = Problem { generation, error };
        if is_absent(&problem.error) { &mut self.absent } else { &mut self.out.problems }.push(problem);
    }

    /// Tells what was collected from what was lost. The boundary is read in the end: it is written before anything is taken
    /// away, so whatever was taken away while the audit was under way, it says so by now.
    async fn collected(&mut self, options: &VerifyOptions) {
        let newest = self.out.generation;
        let boundary = match self.client.boundary().await {
            Ok(boundary) => boundary,
            Err(error) => {
                self.out.problems.push(Problem { generation: newest, error });
                None
            }
        };
        let excused = |p: &Problem| boundary.as_ref().is_some_and(|b| !b.keeps(p.generation));
        let (collected, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut self.absent).into_iter().partition(excused);
        self.out.collected = collected.iter().map(|p| p.generation).collect::<HashSet<_>>().len() as u64;
        self.out.problems.extend(lost);
        if options.all {
            self.leftovers(boundary.as_ref()).await;
        }
        // Neighbouring generations share most of their objects: what is wrong with one is told once, where readers are.
        let mut told = HashSet::new();
        self.out.problems.sort_by_key(|p| std::cmp::Reverse(p.generation));
        self.out.problems.retain(|p| told.insert(p.error.to_string()));
        self.out.problems.reverse();
    }

    /// Counts what no generation refers to: what is marked already, and what is not.
    async fn leftovers(&mut self, boundary: Option<&Boundary>) {
        let mut marks = Marks::default();
        if let Some(boundary) = boundary {
            match self.client.marks(boundary).await {
                // A collection that replaces the boundary takes the list of the old one away.
                Err(e) if is_absent(&e) && self.client.boundary().await.ok().flatten().as_ref() != Some(boundary) => {
                    return;
                }
                Ok(list) => {
                    marks = list;
                    if let Some(link) = boundary.marks {
                        self.count(&link);
                    }
                }
                Err(error) => self.out.problems.push(Problem { generation: boundary.generation, error }),
            }
        }
        if self.out.problems.is_empty() {
            let left = self.client.inner.store.blobs_outside(&self.seen, &marks).await;
            (self.out.unreferenced, self.out.marked) = left.unzip();
        }
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
        let boundary = self.client.boundary().await.ok().flatten();
        let mut was_kept = false;
        for (i, slot) in wanted.iter().enumerate() {
            let (generation, link) = (slot.claim().generation, slot.claim().snapshot);
            let newest = i + 1 == wanted.len();
            if !newest && before.as_ref().is_some_and(|b| *b.link() == link) {
                continue; // a renewal
            }
            let kept = boundary.as_ref().is_none_or(|b| b.keeps(generation));
            if kept != was_kept {
                // What a generation that was given up may lack, another must not.
                self.walked.clear();
                was_kept = kept;
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
            rest.retain(|e| newest || !self.walked.contains(&e.link.sha256));
            let client = self.client.clone();
            let mut nodes = futures::stream::iter(std::mem::take(&mut rest))
                .map(|entry| {
                    let client = client.clone();
                    async move { (entry, client.node(&entry).await) }
                })
                .buffer_unordered(self.client.inner.store.parallel());
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
                        self.walked.insert(entry.link.sha256);
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
        if options.all {
            self.details(reader, newest, (newest && whole).then_some(&all)).await;
            self.search(reader, (newest && whole).then(|| all.clone())).await;
        }
        if newest {
            self.out.packages = reader.snapshot().packages;
            self.out.releases = reader.snapshot().releases;
            if whole {
                self.shape(reader, all).await;
            }
        }
        if options.all {
            self.change_list(reader).await;
        }
    }

    async fn change_list(&mut self, reader: &SnapshotReader) {
        let (generation, link) = (reader.generation(), reader.snapshot().changes);
        let Some(link) = link.filter(|l| !self.seen.contains(&l.sha256)) else { return };
        match self.client.object(&link, limits::CHANGES, limits::CHANGES_RAW).await {
            Err(error) if self.is_left_out(generation, &error, partial::What::Generation) => {}
            Err(error) => self.problem(generation, error),
            Ok(raw) => match Changes::read(&raw) {
                Ok(_) => drop(self.count(&link)),
                Err(e) => self.problem(generation, e.at(self.client.inner.store.place(&keys::blob(&link.sha256)))),
            },
        }
    }

    /// Checks a node against the entry that cites it, and gives the packages in it.
    fn node(&mut self, generation: u64, entry: &Entry, node: &Node, rest: &mut Vec<Entry>) -> Vec<Arc<PackageLines>> {
        let (sums, out) = match node {
            Node::Page(page) => {
                rest.extend(page.entries());
                let sum = |f: fn(&Entry) -> u64| page.entries().iter().map(f).sum();
                ((sum(|e| e.packages), sum(|e| e.releases), sum(|e| e.bytes)), Vec::new())
            }
            Node::Leaf(shard) => {
                let place = self.client.inner.store.place(&keys::blob(&entry.link.sha256));
                for reason in &shard.skipped {
                    let e = FormatError::Malformed { what: "shard", reason: reason.clone() };
                    self.problem(generation, e.at(&place));
                }
                let p = &shard.items;
                let releases = p.iter().map(|p| p.lines.len() as u64).sum();
                ((p.len() as u64, releases, p.iter().map(|p| p.bytes()).sum()), p.clone())
            }
        };
        self.counts(generation, entry, sums);
        out
    }

    /// Checks what an entry says of its node: packages, releases and bytes.
    fn counts(&mut self, generation: u64, entry: &Entry, sums: (u64, u64, u64)) {
        if sums != (entry.packages, entry.releases, entry.bytes) {
            let place = self.client.inner.store.place(&keys::blob(&entry.link.sha256));
            let e = FormatError::Malformed { what: "page", reason: "its counts are not those of the node".into() };
            self.problem(generation, e.at(place));
        }
    }

    /// The index must be the one tree that its records make: rebuilt from them, it has the same root.
    async fn shape(&mut self, reader: &SnapshotReader, mut packages: Vec<Arc<PackageLines>>) {
        let rebuilt = cpu::run(move || {
            packages.sort_by_key(|p| p.key);
            index::edit(&Page::root(), &Nodes::new(), &packages).map(|draft| {
                let seal = |leaf: &NewLeaf<_>| leaf.entry(Shard::seal(leaf.at, &leaf.items).link);
                let leaves: Vec<Entry> = draft.leaves.par_iter().map(seal).collect();
                draft.close(&leaves).top
            })
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

/// The archive of a release, where this registry has it.
pub(super) fn archive_of(record: &Record) -> Option<Link> {
    let here = record.archive.url.is_none() && record.removed.is_none();
    here.then_some(Link { raw: None, sha256: record.archive.sha256, size: record.archive.size })
}
