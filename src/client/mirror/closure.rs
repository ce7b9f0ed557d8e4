//! Which packages some patterns mean, what those depend on, and where in the index all of them stand.

use crate::{
    Error, Result,
    format::{Entry, Line, PackageLines, Page},
    index::{self, Node, Nodes, Tree},
    package::{DependencyKind, Kind, PackageId, Pattern, Record, Sha256},
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
    /// The keys of the packages.
    pub(in crate::client) packages: HashSet<Sha256>,
    /// Patterns that mean nothing there.
    pub(in crate::client) unmatched: Vec<Pattern>,
    /// Nodes on the way to a package that could not be read.
    pub(in crate::client) lacking: Vec<(Entry, Error)>,
    /// Nodes that could not be read while all packages were listed, to find those that a `*` means.
    pub(in crate::client) unlisted: Vec<(Entry, Error)>,
}

/// Works it out below one top page, through `load`, which reads a node, so many at once.
pub(in crate::client) async fn closure<F, R>(top: &Page, patterns: &[Pattern], parallel: usize, load: F) -> Closure
where
    F: Fn(Entry) -> R,
    R: Future<Output = Result<Node>>,
{
    let mut walk = Walk { top, parallel, load, out: Closure::default(), seen: HashSet::new() };
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
    let mut out = walk.out;
    let found = |p: &Pattern| p.candidates().iter().any(|id| out.packages.contains(&id.key()));
    out.unmatched =
        patterns.iter().filter(|p| if p.is_glob() { !matched.contains(*p) } else { !found(p) }).cloned().collect();
    out
}

struct Walk<'a, F> {
    top: &'a Page,
    parallel: usize,
    load: F,
    out: Closure,
    /// Packages that were looked up, or will be.
    seen: HashSet<Sha256>,
}

impl<F, R> Walk<'_, F>
where
    F: Fn(Entry) -> R,
    R: Future<Output = Result<Node>>,
{
    /// Nodes, many at a time.
    async fn nodes(&self, entries: Vec<Entry>) -> Vec<(Entry, Result<Node>)> {
        let load = &self.load;
        futures::stream::iter(entries)
            .map(|entry| async move { (entry, load(entry).await) })
            .buffer_unordered(self.parallel)
            .collect()
            .await
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
                    Ok(Node::Shard(shard)) => {
                        for id in shard.packages.iter().filter_map(|p| super::super::snapshot::id_of(&p.label)) {
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
                for id in dependencies(lines) {
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

/// What any release of a package needs of this registry, to be used or built.
fn dependencies(lines: &PackageLines) -> HashSet<PackageId> {
    let records = lines.lines.iter().filter_map(|l: &Line| l.record().ok());
    records.flat_map(|r| of_record(&r)).collect()
}

fn of_record(record: &Record) -> Vec<PackageId> {
    let kind: Kind = record.kind;
    let here = record.dependencies.iter().filter(|d| d.kind != DependencyKind::Dev && d.registry.is_none());
    here.filter_map(|d| PackageId::new(kind, &d.name).ok()).collect()
}
