//! Which packages some patterns mean, what those depend on, and where in the index all of them stand.

use crate::{
    Error, Result,
    format::{DetailLine, Entry, NodeType, Page},
    index::{self, Node, Nodes, Tree},
    package::{DependencyKind, Kind, PackageId, Pattern, Record, Sha256, address},
};
use futures::StreamExt;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many packages are looked up at once, and how many nodes are listed: bounds what is in memory.
const BATCH: usize = 1024;

/// The packages that patterns mean, with all that they depend on: every release of each package that is reached through
/// normal and build dependencies, the optional ones included.
#[derive(Default)]
pub(in crate::client) struct Closure {
    /// The nodes on the way to each of the packages: also to those that turned out not to be there, which those nodes prove.
    pub(in crate::client) nodes: HashMap<Sha256, Entry>,
    /// The same to the details of each of their releases.
    pub(in crate::client) details: HashMap<Sha256, Entry>,
    /// The keys of the packages.
    pub(in crate::client) packages: HashSet<Sha256>,
    /// Patterns that mean nothing there.
    pub(in crate::client) unmatched: Vec<Pattern>,
    /// Nodes on the way to a package that could not be read.
    pub(in crate::client) lacking: Vec<(Entry, Error)>,
    /// Nodes that could not be read while all packages were listed, to find those that a `*` means.
    pub(in crate::client) unlisted: Vec<(Entry, Error)>,
}

/// Works it out below the tops of the index and of the details, through what reads a node of each, so many at once.
pub(in crate::client) async fn closure<F, R, G, S>(
    (top, details): (&Page, &Page),
    origin: &str,
    patterns: &[Pattern],
    parallel: usize,
    load: F,
    load_details: G,
) -> Closure
where
    F: Fn(Entry) -> R,
    R: Future<Output = Result<Node>>,
    G: Fn(Entry) -> S,
    S: Future<Output = Result<Node<DetailLine>>>,
{
    let (out, seen, releases) = (Closure::default(), HashSet::new(), Vec::new());
    let mut walk = Walk { top, origin, parallel, load, out, seen, releases };
    let globs: Vec<_> = patterns.iter().filter(|p| p.is_glob()).collect();
    let mut start: BTreeMap<Sha256, PackageId> = BTreeMap::new();
    let mut matched = HashSet::new();
    if !globs.is_empty() {
        for id in walk.list(&globs, &mut matched).await {
            start.insert(id.key(), id);
        }
    }
    for id in patterns.iter().filter(|p| !p.is_glob()).flat_map(Pattern::candidates) {
        start.insert(id.key(), id);
    }
    walk.seen.extend(start.keys());
    while !start.is_empty() {
        start = walk.round(start).await;
    }
    let Walk { mut out, releases, .. } = walk;
    way_to(details, releases, parallel, load_details, &mut out).await;
    let found = |p: &Pattern| p.candidates().iter().any(|id| out.packages.contains(&id.key()));
    out.unmatched =
        patterns.iter().filter(|p| if p.is_glob() { !matched.contains(*p) } else { !found(p) }).cloned().collect();
    out
}

struct Walk<'a, F> {
    top: &'a Page,
    /// The registry's own, by which a dependency may name it.
    origin: &'a str,
    parallel: usize,
    load: F,
    out: Closure,
    /// Packages that were looked up, or will be.
    seen: HashSet<Sha256>,
    /// Where the details of the packages' releases stand.
    releases: Vec<Sha256>,
}

/// Nodes, many at a time.
async fn all_of<I, R>(entries: Vec<Entry>, parallel: usize, load: impl Fn(Entry) -> R) -> Vec<(Entry, Result<Node<I>>)>
where
    R: Future<Output = Result<Node<I>>>,
{
    let load = &load;
    futures::stream::iter(entries)
        .map(|entry| async move { (entry, load(entry).await) })
        .buffer_unordered(parallel)
        .collect()
        .await
}

/// Finds the nodes on the way to some details. Their leaves need not be read for that.
async fn way_to<R>(top: &Page, mut keys: Vec<Sha256>, parallel: usize, load: impl Fn(Entry) -> R, out: &mut Closure)
where
    R: Future<Output = Result<Node<DetailLine>>>,
{
    keys.sort_unstable();
    let (mut pages, mut failed) = (Nodes::new(), HashSet::new());
    loop {
        let mut lacking = index::missing(top, &pages, &keys);
        out.details.extend(lacking.iter().filter(|e| e.node != NodeType::Page).map(|e| (e.link.sha256, *e)));
        lacking.retain(|e| e.node == NodeType::Page && !failed.contains(&e.link.sha256));
        if lacking.is_empty() {
            return;
        }
        for (entry, node) in all_of(lacking, parallel, &load).await {
            match node {
                Ok(node) => {
                    out.details.insert(entry.link.sha256, entry);
                    pages.insert(entry.link.sha256, node);
                }
                Err(e) => {
                    failed.insert(entry.link.sha256);
                    out.lacking.push((entry, e));
                }
            }
        }
    }
}

impl<F, R> Walk<'_, F>
where
    F: Fn(Entry) -> R,
    R: Future<Output = Result<Node>>,
{
    async fn nodes(&self, entries: Vec<Entry>) -> Vec<(Entry, Result<Node>)> {
        all_of(entries, self.parallel, &self.load).await
    }

    /// Every package that one of these patterns means.
    async fn list(&mut self, globs: &[&Pattern], matched: &mut HashSet<Pattern>) -> Vec<PackageId> {
        let mut out = Vec::new();
        let mut rest = self.top.entries().to_vec();
        while !rest.is_empty() {
            let batch = rest.split_off(rest.len().saturating_sub(BATCH / 4));
            for (entry, node) in self.nodes(batch).await {
                match node {
                    Err(e) => self.out.unlisted.push((entry, e)),
                    Ok(Node::Page(page)) => rest.extend(page.entries()),
                    Ok(Node::Leaf(shard)) => {
                        for id in shard.items.iter().filter_map(|p| super::super::snapshot::id_of(&p.label)) {
                            let hits: Vec<_> = globs.iter().filter(|p| p.matches(&id)).collect();
                            matched.extend(hits.iter().map(|p| (**p).clone()));
                            if !hits.is_empty() {
                                out.push(id);
                            }
                        }
                    }
                }
            }
        }
        out
    }

    /// Looks packages up, in the order of their keys, and gives those that they depend on and that are new.
    async fn round(&mut self, wanted: BTreeMap<Sha256, PackageId>) -> BTreeMap<Sha256, PackageId> {
        let mut next = BTreeMap::new();
        let keys: Vec<Sha256> = wanted.into_keys().collect();
        for keys in keys.chunks(BATCH) {
            let tree = self.fetch(keys).await;
            for key in keys {
                // A node that could not be read is in `lacking` already.
                let Ok(Some(lines)) = index::lookup(&tree, key) else { continue };
                self.out.packages.insert(*key);
                let records: Vec<Record> = lines.lines.iter().filter_map(|l| l.record().ok()).collect();
                let released = records.iter().filter(|r| r.removed.is_none());
                self.releases.extend(released.filter_map(Record::detail_key));
                for id in records.iter().flat_map(|r| dependencies(r, self.origin)).collect::<HashSet<_>>() {
                    let key = id.key();
                    if self.seen.insert(key) {
                        next.insert(key, id);
                    }
                }
            }
        }
        next
    }

    /// The tree with the nodes on the way to these keys.
    async fn fetch(&mut self, keys: &[Sha256]) -> Tree {
        let mut nodes = Nodes::new();
        let mut failed: HashSet<Sha256> = HashSet::new();
        loop {
            let mut lacking = index::missing(self.top, &nodes, keys);
            lacking.retain(|e| !failed.contains(&e.link.sha256));
            if lacking.is_empty() {
                return Tree { top: self.top.clone(), nodes };
            }
            for (entry, node) in self.nodes(lacking).await {
                match node {
                    Ok(node) => {
                        self.out.nodes.insert(entry.link.sha256, entry);
                        nodes.insert(entry.link.sha256, node);
                    }
                    Err(e) => {
                        failed.insert(entry.link.sha256);
                        self.out.lacking.push((entry, e));
                    }
                }
            }
        }
    }
}

/// What a release needs of this registry, to be used or built. Only by its origin is it known to be this one to whoever makes
/// a copy and whoever audits it, wherever they read: they have to come to the same.
fn dependencies(record: &Record, origin: &str) -> Vec<PackageId> {
    let kind: Kind = record.kind;
    let is_here = |named: &str| address::meanings(named).any(|meant| address::is_of(meant, origin, &[]));
    let needed = record.dependencies.iter().filter(|d| d.kind != DependencyKind::Dev);
    let here = needed.filter(|d| d.registry.as_deref().is_none_or(is_here));
    here.filter_map(|d| PackageId::new(kind, &d.name).ok()).collect()
}
