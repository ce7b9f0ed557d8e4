//! Changing the tree, and building it: the same code, since a new tree is an empty one with everything added.

use super::{Missing, Nodes, both, halves, packages, page, shard};
use crate::format::{Entry, NodeType, Object, PackageLines, Page, Prefix, Shard, limits};
use crate::package::Sha256;
use std::sync::Arc;

/// A changed tree.
pub(crate) struct Edited {
    /// The rows of its top page.
    pub(crate) top: Vec<Entry>,
    /// Nodes that the old tree does not have, children before their parents (invariant I1), in a fixed order.
    pub(crate) nodes: Vec<(Entry, Object)>,
}

/// Below this many changes or packages a second thread costs more than it helps.
const WORTH_A_THREAD: usize = 32;

/// The nodes that [`edit`] will certainly need for changes to these keys (in order) and does not have.
pub(crate) fn missing(top: &Page, nodes: &Nodes, keys: &[Sha256]) -> Vec<Entry> {
    let mut out = Vec::new();
    collect_missing(top, nodes, keys, &mut out);
    out
}

fn collect_missing(at: &Page, nodes: &Nodes, keys: &[Sha256], out: &mut Vec<Entry>) {
    let mut rest = keys;
    for entry in at.entries() {
        rest = &rest[rest.partition_point(|k| !entry.prefix.begins_at_or_before(k))..];
        let inside = rest.partition_point(|k| entry.prefix.covers(k));
        if inside == 0 {
            continue;
        }
        match nodes.get(&entry.link.sha256) {
            None => out.push(*entry),
            Some(super::Node::Page(page)) => collect_missing(page, nodes, &rest[..inside], out),
            Some(super::Node::Shard(_)) => {}
        }
        rest = &rest[inside..];
    }
}

/// Puts packages into the tree, in place of what it has under their keys; one without lines is taken out. `changes` are in
/// the order of their keys, none twice.
pub(crate) fn edit(top: &Page, nodes: &Nodes, changes: &[Arc<PackageLines>]) -> Result<Edited, Missing> {
    debug_assert!(changes.is_sorted_by(|a, b| a.key < b.key));
    let built = Editor { nodes }.below(Prefix::ROOT, top.entries(), changes)?;
    if built.body == Body::Kept {
        return Ok(Edited { top: top.entries().to_vec(), nodes: Vec::new() });
    }
    let (top, mut nodes) = built.seal(Prefix::ROOT, top.entries());
    nodes.sort_by_key(|(e, _)| (e.node == NodeType::Page, std::cmp::Reverse(e.prefix.depth()), e.prefix));
    Ok(Edited { top, nodes })
}

struct Editor<'a> {
    nodes: &'a Nodes,
}

/// The packages below some place, after the changes.
struct Built {
    bytes: u64,
    packages: u64,
    body: Body,
    /// Nodes made on the way.
    made: Vec<(Entry, Object)>,
}

#[derive(PartialEq)]
enum Body {
    /// Exactly what was there before.
    Kept,
    /// So little that one shard will hold it, here or further up.
    Light(Vec<Arc<PackageLines>>),
    /// Divided: the rows that the page above will have.
    Heavy(Vec<Entry>),
}

impl Built {
    fn kept(entries: &[Entry]) -> Self {
        let sum = |f: fn(&Entry) -> u64| entries.iter().map(f).sum();
        Self { bytes: sum(|e| e.bytes), packages: sum(|e| e.packages), body: Body::Kept, made: Vec::new() }
    }

    /// Its rows in the page above; a light body becomes a shard at `at`.
    fn seal(self, at: Prefix, old: &[Entry]) -> (Vec<Entry>, Vec<(Entry, Object)>) {
        let mut made = self.made;
        match self.body {
            Body::Kept => (old.to_vec(), made),
            Body::Heavy(entries) => (entries, made),
            Body::Light(packages) if packages.is_empty() => (Vec::new(), made),
            Body::Light(packages) => {
                let object = Shard::seal(at, &packages);
                let entry = Entry {
                    bytes: self.bytes,
                    link: object.link,
                    packages: self.packages,
                    prefix: at,
                    releases: packages.iter().map(|p| p.lines.len() as u64).sum(),
                    node: NodeType::Shard,
                };
                made.push((entry, object));
                (vec![entry], made)
            }
        }
    }
}

/// The rule of the tree: whether what is below `at` stands in one shard.
fn is_light(at: Prefix, bytes: u64, packages: u64) -> bool {
    bytes <= limits::SHARD_BODY || packages <= 1 || at.depth() == Prefix::MAX_DEPTH
}

impl Editor<'_> {
    /// What is below `at` after `changes`; `old` are the rows below it, or the one row that covers it.
    fn below(&self, at: Prefix, old: &[Entry], changes: &[Arc<PackageLines>]) -> Result<Built, Missing> {
        if changes.is_empty() {
            return Ok(Built::kept(old));
        }
        match old {
            [] => self.inside_shard(at, &[], changes),
            [one] if one.prefix == at && one.node == NodeType::Shard => {
                self.inside_shard(at, shard(self.nodes, one)?, changes)
            }
            [one] if one.prefix == at => {
                let built = self.halves_of(at, page(self.nodes, one)?.entries(), changes)?;
                Ok(self.close_page(at, built))
            }
            _ => self.halves_of(at, old, changes),
        }
    }

    fn halves_of(&self, at: Prefix, old: &[Entry], changes: &[Arc<PackageLines>]) -> Result<Built, Missing> {
        let (left, right) = (at.child(false), at.child(true));
        let (old_left, old_right) = halves(at, old);
        let (new_left, new_right) = changes.split_at(changes.partition_point(|c| !right.begins_at_or_before(&c.key)));
        let go_left = || self.below(left, old_left, new_left);
        let go_right = || self.below(right, old_right, new_right);
        let (a, b) =
            if changes.len() > WORTH_A_THREAD { rayon::join(go_left, go_right) } else { (go_left(), go_right()) };
        let (a, b) = both(a, b)?;
        self.join(at, (a, old_left), (b, old_right))
    }

    /// Puts two halves together: they become one shard again when they have grown light enough.
    fn join(&self, at: Prefix, (a, old_a): (Built, &[Entry]), (b, old_b): (Built, &[Entry])) -> Result<Built, Missing> {
        let (bytes, count) = (a.bytes + b.bytes, a.packages + b.packages);
        if a.body == Body::Kept && b.body == Body::Kept {
            return Ok(Built { bytes, packages: count, body: Body::Kept, made: Vec::new() });
        }
        if is_light(at, bytes, count) {
            let contents = |half: Built, old: &[Entry]| match half.body {
                Body::Light(packages) => Ok(packages),
                Body::Kept => packages(self.nodes, old),
                // Heavier than a shard in itself, so the sum above would be too.
                Body::Heavy(_) => unreachable!("a divided place inside a light one"),
            };
            let (mut all, more) = both(contents(a, old_a), contents(b, old_b))?;
            all.extend(more);
            return Ok(Built { bytes, packages: count, body: Body::Light(all), made: Vec::new() });
        }
        let (mut entries, mut made) = a.seal(at.child(false), old_a);
        let (more, more_made) = b.seal(at.child(true), old_b);
        entries.extend(more);
        made.extend(more_made);
        Ok(Built { bytes, packages: count, body: Body::Heavy(entries), made })
    }

    /// Applies changes to the packages of one shard, then divides the result as the rule wants.
    fn inside_shard(
        &self,
        at: Prefix,
        old: &[Arc<PackageLines>],
        changes: &[Arc<PackageLines>],
    ) -> Result<Built, Missing> {
        let mut all = Vec::with_capacity(old.len() + changes.len());
        let mut changed = false;
        let mut rest = old;
        for new in changes {
            let before = rest.partition_point(|p| p.key < new.key);
            all.extend_from_slice(&rest[..before]);
            rest = &rest[before..];
            let current = rest.first().filter(|p| p.key == new.key);
            changed |= current.map_or(!new.lines.is_empty(), |c| c.lines != new.lines);
            if !new.lines.is_empty() {
                all.push(Arc::clone(new));
            }
            rest = &rest[usize::from(current.is_some())..];
        }
        if !changed {
            let bytes = old.iter().map(|p| p.bytes()).sum();
            return Ok(Built { bytes, packages: old.len() as u64, body: Body::Kept, made: Vec::new() });
        }
        all.extend_from_slice(rest);
        self.divide(at, all)
    }

    /// Builds the tree of these packages, from the top.
    fn divide(&self, at: Prefix, mut all: Vec<Arc<PackageLines>>) -> Result<Built, Missing> {
        let bytes = all.iter().map(|p| p.bytes()).sum();
        let count = all.len() as u64;
        if is_light(at, bytes, count) {
            return Ok(Built { bytes, packages: count, body: Body::Light(all), made: Vec::new() });
        }
        let (left, right) = (at.child(false), at.child(true));
        let more = all.split_off(all.partition_point(|p| !right.begins_at_or_before(&p.key)));
        let (a, b) = if all.len() + more.len() > WORTH_A_THREAD {
            rayon::join(|| self.divide(left, all), || self.divide(right, more))
        } else {
            (self.divide(left, all), self.divide(right, more))
        };
        let (a, b) = both(a, b)?;
        let built = self.join(at, (a, &[]), (b, &[]))?;
        Ok(self.close_page(at, built))
    }

    /// Where a page begins, a divided place is written as one and stands above as a single row.
    fn close_page(&self, at: Prefix, mut built: Built) -> Built {
        if !at.is_page_boundary() || at.is_root() {
            return built;
        }
        if let Body::Heavy(entries) = &built.body {
            let object = Page::seal(at, entries);
            let entry = Entry {
                bytes: built.bytes,
                link: object.link,
                packages: built.packages,
                prefix: at,
                releases: entries.iter().map(|e| e.releases).sum(),
                node: NodeType::Page,
            };
            built.made.push((entry, object));
            built.body = Body::Heavy(vec![entry]);
        }
        built
    }
}
