//! The details: their tree is walked like the index, and its leaves are read like archives, many at a time.

use super::{Audit, blobs::Object, partial::What};
use crate::{
    Result,
    client::{Client, SnapshotReader},
    cpu,
    format::{Entry, FormatError, NodeType, PackageLines, TreeKind, keys},
    index::{self, Node},
    package::{Sha256, detail_key},
};
use futures::StreamExt;
use rayon::prelude::*;
use std::{collections::HashSet, sync::Arc};

/// The beginnings of the keys of what stands in a leaf: no two releases have one in common but by a search for it.
pub(super) type Places = Box<[u64]>;

impl Audit {
    /// Looks at all details of a state; of an older one, only at what no other has been seen to hold. `packages` are all that
    /// there are, where they could be read.
    pub(super) async fn details(
        &mut self,
        reader: &SnapshotReader,
        newest: bool,
        packages: Option<&Vec<Arc<PackageLines>>>,
    ) {
        let generation = reader.generation();
        let (mut rest, mut leaves, mut whole) = (reader.details().entries().to_vec(), Vec::new(), true);
        while !rest.is_empty() {
            rest.retain(|e| newest || e.node == NodeType::Details || !self.walked.contains(&e.link.sha256));
            let pages;
            (pages, rest) = rest.into_iter().partition(|e| e.node == NodeType::Page);
            leaves.append(&mut rest);
            let client = self.client.clone();
            let mut nodes = futures::stream::iter(pages)
                .map(|entry| {
                    let client = client.clone();
                    async move { (entry, client.detail_node(&entry).await) }
                })
                .buffer_unordered(self.client.inner.store.parallel());
            while let Some((entry, node)) = nodes.next().await {
                match node {
                    Err(error) => {
                        whole = false;
                        if !self.is_left_out(generation, &error, What::Node(&entry)) {
                            self.problem(generation, error);
                        }
                    }
                    Ok(node) => {
                        self.count(&entry.link);
                        self.walked.insert(entry.link.sha256);
                        let sum = |f: fn(&Entry) -> u64| node.entries().iter().map(f).sum();
                        self.counts(generation, &entry, (0, sum(|e| e.releases), sum(|e| e.bytes)));
                        rest.extend(node.entries());
                    }
                }
            }
        }
        for leaf in &leaves {
            let required = generation == self.out.generation && self.part.requires(&leaf.link.sha256);
            self.note_down(generation, Object::Details(*leaf), required);
        }
        self.read_blobs().await;
        leaves.sort_unstable_by_key(|e| e.prefix);
        let mut wrong = Vec::new();
        if newest && whole && !index::is_divided_right(TreeKind::Details, &leaves) {
            wrong.push("its details are not divided as the rule says".to_owned());
        }
        if let Some(packages) = packages.filter(|_| !leaves.is_empty()) {
            match self.strays(packages.clone(), &leaves).await {
                0 => {}
                n => wrong.push(format!("it holds {n} details of releases that are not there")),
            }
        }
        for reason in wrong {
            let place = self.client.inner.store.place(&keys::blob(&reader.link().sha256));
            self.problem(generation, FormatError::Malformed { what: "snapshot", reason }.at(place));
        }
    }

    /// How many details in these leaves, as far as they were read, are of no release.
    async fn strays(&self, packages: Vec<Arc<PackageLines>>, leaves: &[Entry]) -> usize {
        let released = move || packages.par_iter().flat_map_iter(|p| places(p)).collect::<HashSet<u64>>();
        let released = cpu::run(released).await;
        let there = leaves.iter().filter_map(|e| self.leaves.get(&e.link.sha256)).flat_map(|(_, places)| places);
        there.filter(|place| !released.contains(place)).count()
    }
}

/// Where the details of a package's releases may stand: of all but those that are known to be tombstones.
fn places(package: &PackageLines) -> Vec<u64> {
    let released = package.lines.iter().filter(|line| line.record().map_or(true, |r| r.removed.is_none()));
    released.map(|line| beginning(&detail_key(&package.key, &package.label, &line.version))).collect()
}

fn beginning(key: &Sha256) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&key.0[..8]);
    u64::from_be_bytes(first)
}

/// Reads a leaf, and all that is in it.
pub(super) async fn check(client: &Client, entry: &Entry) -> Result<Places> {
    let Node::Leaf(leaf) = client.detail_node(entry).await? else { return Ok(Places::default()) };
    let malformed = |reason: String| {
        let place = client.inner.store.place(&keys::blob(&entry.link.sha256));
        Err(FormatError::Malformed { what: "details", reason }.at(place))
    };
    if let Some(reason) = leaf.skipped.first() {
        return malformed(reason.clone());
    }
    for line in &leaf.items {
        match line.detail() {
            // What a later program wrote, that one reads.
            Ok(_) | Err(FormatError::Newer { .. }) => {}
            Err(e) => return malformed(e.to_string()),
        }
    }
    let sums = (leaf.items.len() as u64, leaf.items.iter().map(|i| i.bytes).sum::<u64>());
    if sums != (entry.releases, entry.bytes) {
        return malformed("its counts are not those of its entry".into());
    }
    Ok(leaf.items.iter().map(|i| beginning(&i.key)).collect())
}
