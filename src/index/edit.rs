//! Changing a tree, and building it: the same code, since a new tree is an empty one with everything added.
//!
//! First it is worked out, from keys and lengths alone, which leaves there will be ([`edit`]). Then the leaves are made, by
//! whoever has their bytes, and the pages above them follow ([`Draft::close`]).

use super::{Missing, Node, Nodes, below, both, halves, leaf, page};
use crate::format::{Entry, Item, NodeType, Object, Page, Prefix, TreeKind};
use crate::package::{Link, Sha256};
use rayon::prelude::*;

/// A changed tree whose new leaves are yet to be made.
pub(crate) struct Draft<I> {
    /// In the order of their places.
    pub(crate) leaves: Vec<NewLeaf<I>>,
    rows: Vec<Row>,
}

/// A leaf that the old tree does not have.
pub(crate) struct NewLeaf<I> {
    /// Its place.
    pub(crate) at: Prefix,
    /// In the order of their keys.
    pub(crate) items: Vec<I>,
}

/// What a page will hold.
enum Row {
    Kept(Entry),
    Leaf(Prefix),
    Page(Prefix, Vec<Row>),
}

/// A changed tree.
pub(crate) struct Closed {
    /// The rows of its top page.
    pub(crate) top: Vec<Entry>,
    /// Pages that the old tree does not have, the deepest first, in a fixed order.
    pub(crate) pages: Vec<(Entry, Object)>,
}

/// Below this many changes or items a second thread costs more than it helps.
const WORTH_A_THREAD: usize = 32;

/// The nodes that [`edit`] will certainly need for changes to these keys (in order) and does not have.
pub(crate) fn missing<I>(top: &Page, nodes: &Nodes<I>, keys: &[Sha256]) -> Vec<Entry> {
    let mut out = Vec::new();
    collect_missing(top, nodes, keys, &mut out);
    out
}

fn collect_missing<I>(at: &Page, nodes: &Nodes<I>, keys: &[Sha256], out: &mut Vec<Entry>) {
    let mut rest = keys;
    for entry in at.entries() {
        rest = &rest[rest.partition_point(|k| !entry.prefix.begins_at_or_before(k))..];
        let inside = rest.partition_point(|k| entry.prefix.covers(k));
        if inside == 0 {
            continue;
        }
        match nodes.get(&entry.link.sha256) {
            None => out.push(*entry),
            Some(Node::Page(page)) => collect_missing(page, nodes, &rest[..inside], out),
            Some(Node::Leaf(_)) => {}
        }
        rest = &rest[inside..];
    }
}

/// Puts items into the tree, in place of what it has under their keys; one that weighs nothing is taken out. `changes` are in
/// the order of their keys, none twice.
pub(crate) fn edit<I: Item>(top: &Page, nodes: &Nodes<I>, changes: &[I]) -> Result<Draft<I>, Missing> {
    debug_assert!(changes.is_sorted_by(|a, b| a.key() < b.key()));
    let built = Editor { nodes }.below(Prefix::ROOT, top.entries(), changes)?;
    let (rows, leaves) = built.settle(Prefix::ROOT, top.entries());
    Ok(Draft { leaves, rows })
}

impl<I: Item> NewLeaf<I> {
    /// How many bytes of lines it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.items.iter().map(Item::bytes).sum()
    }

    /// Its row in the page above.
    pub(crate) fn entry(&self, link: Link) -> Entry {
        Entry {
            bytes: self.bytes(),
            link,
            packages: if I::TREE == TreeKind::Index { self.items.len() as u64 } else { 0 },
            prefix: self.at,
            releases: self.items.iter().map(Item::releases).sum(),
            node: I::TREE.leaf(),
        }
    }
}

impl<I> Draft<I> {
    /// Makes the pages; `leaves` are the rows of the new leaves, in the order of their places.
    pub(crate) fn close(self, leaves: &[Entry]) -> Closed {
        let made: Vec<_> = self.rows.into_par_iter().map(|row| row.close(leaves)).collect();
        let (mut top, mut pages) = (Vec::with_capacity(made.len()), Vec::new());
        for (entry, more) in made {
            top.push(entry);
            pages.extend(more);
        }
        pages.sort_by_key(|(e, _)| (std::cmp::Reverse(e.prefix.depth()), e.prefix));
        Closed { top, pages }
    }
}

impl Row {
    /// Its entry, and the pages that were made for it.
    fn close(self, leaves: &[Entry]) -> (Entry, Vec<(Entry, Object)>) {
        match self {
            Self::Kept(entry) => (entry, Vec::new()),
            Self::Leaf(at) => match leaves.binary_search_by_key(&at, |e| e.prefix) {
                Ok(found) => (leaves[found], Vec::new()),
                Err(_) => unreachable!("a leaf that was not made"),
            },
            Self::Page(at, rows) => {
                let (mut entries, mut pages) = (Vec::with_capacity(rows.len()), Vec::new());
                for (entry, more) in rows.into_iter().map(|row| row.close(leaves)) {
                    entries.push(entry);
                    pages.extend(more);
                }
                let object = Page::seal(at, &entries);
                let sum = |f: fn(&Entry) -> u64| entries.iter().map(f).sum();
                let entry = Entry {
                    bytes: sum(|e| e.bytes),
                    link: object.link,
                    packages: sum(|e| e.packages),
                    prefix: at,
                    releases: sum(|e| e.releases),
                    node: NodeType::Page,
                };
                pages.push((entry, object));
                (entry, pages)
            }
        }
    }
}

struct Editor<'a, I> {
    nodes: &'a Nodes<I>,
}

/// What is below some place, after the changes.
struct Built<I> {
    bytes: u64,
    /// How many items.
    units: u64,
    body: Body<I>,
    /// New leaves on the way.
    leaves: Vec<NewLeaf<I>>,
}

enum Body<I> {
    /// Exactly what was there before.
    Kept,
    /// So little that one leaf will hold it, here or further up.
    Light(Vec<I>),
    /// Divided: the rows that the page above will have.
    Heavy(Vec<Row>),
}

impl<I: Item> Built<I> {
    fn kept(entries: &[Entry]) -> Self {
        let bytes = entries.iter().map(|e| e.bytes).sum();
        let units = entries.iter().map(|e| e.units(I::TREE)).sum();
        Self { bytes, units, body: Body::Kept, leaves: Vec::new() }
    }

    fn light(items: Vec<I>) -> Self {
        let bytes = items.iter().map(Item::bytes).sum();
        Self { bytes, units: items.len() as u64, body: Body::Light(items), leaves: Vec::new() }
    }

    fn is_kept(&self) -> bool {
        matches!(self.body, Body::Kept)
    }

    /// Its rows in the page above, and the new leaves below them; a light body becomes a leaf at `at`.
    fn settle(self, at: Prefix, old: &[Entry]) -> (Vec<Row>, Vec<NewLeaf<I>>) {
        let mut leaves = self.leaves;
        match self.body {
            Body::Kept => (old.iter().copied().map(Row::Kept).collect(), leaves),
            Body::Heavy(rows) => (rows, leaves),
            Body::Light(items) if items.is_empty() => (Vec::new(), leaves),
            Body::Light(items) => {
                leaves.push(NewLeaf { at, items });
                (vec![Row::Leaf(at)], leaves)
            }
        }
    }
}

/// The rule of a tree: whether what is below `at` stands in one leaf.
fn is_light(tree: TreeKind, at: Prefix, bytes: u64, units: u64) -> bool {
    bytes <= tree.limit() || units <= 1 || at.depth() == Prefix::MAX_DEPTH
}

/// Whether these are the leaves of a tree, in the order of their places, by its rule: each light, and each place above one
/// divided because it had to be. Pages stand nowhere else than they may, or they could not be read.
pub(crate) fn is_divided_right(tree: TreeKind, leaves: &[Entry]) -> bool {
    fn at_place(tree: TreeKind, at: Prefix, leaves: &[Entry]) -> bool {
        let sums = leaves.iter().map(|e| (e.bytes, e.units(tree)));
        let (bytes, units) = sums.fold((0u64, 0u64), |a, b| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)));
        match leaves {
            [] => true,
            [one] if one.prefix == at => is_light(tree, at, bytes, units),
            _ if is_light(tree, at, bytes, units) => false,
            _ => {
                let (left, right) = halves(at, leaves);
                at_place(tree, at.child(false), left) && at_place(tree, at.child(true), right)
            }
        }
    }
    at_place(tree, Prefix::ROOT, leaves)
}

impl<I: Item> Editor<'_, I> {
    /// What is below `at` after `changes`; `old` are the rows below it, or the one row that covers it.
    fn below(&self, at: Prefix, old: &[Entry], changes: &[I]) -> Result<Built<I>, Missing> {
        if changes.is_empty() {
            return Ok(Built::kept(old));
        }
        match old {
            [] => self.inside_leaf(at, &[], changes),
            [one] if one.prefix == at && one.node == NodeType::Page => {
                let built = self.halves_of(at, page(self.nodes, one)?.entries(), changes)?;
                Ok(self.close_page(at, built))
            }
            [one] if one.prefix == at => self.inside_leaf(at, leaf(self.nodes, one)?, changes),
            _ => self.halves_of(at, old, changes),
        }
    }

    fn halves_of(&self, at: Prefix, old: &[Entry], changes: &[I]) -> Result<Built<I>, Missing> {
        let (left, right) = (at.child(false), at.child(true));
        let (old_left, old_right) = halves(at, old);
        let (new_left, new_right) = changes.split_at(changes.partition_point(|c| !right.begins_at_or_before(c.key())));
        let go_left = || self.below(left, old_left, new_left);
        let go_right = || self.below(right, old_right, new_right);
        let (a, b) =
            if changes.len() > WORTH_A_THREAD { rayon::join(go_left, go_right) } else { (go_left(), go_right()) };
        let (a, b) = both(a, b)?;
        self.join(at, (a, old_left), (b, old_right))
    }

    /// Puts two halves together: they become one leaf again when they have grown light enough.
    fn join(
        &self,
        at: Prefix,
        (a, old_a): (Built<I>, &[Entry]),
        (b, old_b): (Built<I>, &[Entry]),
    ) -> Result<Built<I>, Missing> {
        let (bytes, units) = (a.bytes + b.bytes, a.units + b.units);
        if a.is_kept() && b.is_kept() {
            return Ok(Built { bytes, units, body: Body::Kept, leaves: Vec::new() });
        }
        if is_light(I::TREE, at, bytes, units) {
            let contents = |half: Built<I>, old: &[Entry]| match half.body {
                Body::Light(items) => Ok(items),
                Body::Kept => below(self.nodes, old),
                // Heavier than a leaf in itself, so the sum above would be too.
                Body::Heavy(_) => unreachable!("a divided place inside a light one"),
            };
            let (mut all, more) = both(contents(a, old_a), contents(b, old_b))?;
            all.extend(more);
            return Ok(Built { bytes, units, body: Body::Light(all), leaves: Vec::new() });
        }
        let (mut rows, mut leaves) = a.settle(at.child(false), old_a);
        let (more, more_leaves) = b.settle(at.child(true), old_b);
        rows.extend(more);
        leaves.extend(more_leaves);
        Ok(Built { bytes, units, body: Body::Heavy(rows), leaves })
    }

    /// Applies changes to what is in one leaf, then divides the result as the rule wants.
    fn inside_leaf(&self, at: Prefix, old: &[I], changes: &[I]) -> Result<Built<I>, Missing> {
        let mut all = Vec::with_capacity(old.len() + changes.len());
        let mut changed = false;
        let mut rest = old;
        for new in changes {
            let before = rest.partition_point(|p| p.key() < new.key());
            all.extend_from_slice(&rest[..before]);
            rest = &rest[before..];
            let current = rest.first().filter(|p| p.key() == new.key());
            changed |= current.map_or(new.bytes() > 0, |c| !c.is_same(new));
            if new.bytes() > 0 {
                all.push(new.clone());
            }
            rest = &rest[usize::from(current.is_some())..];
        }
        if !changed {
            return Ok(Built { body: Body::Kept, ..Built::light(old.to_vec()) });
        }
        all.extend_from_slice(rest);
        self.divide(at, all)
    }

    /// Builds the tree of these items, from the top.
    fn divide(&self, at: Prefix, mut all: Vec<I>) -> Result<Built<I>, Missing> {
        let bytes = all.iter().map(Item::bytes).sum();
        if is_light(I::TREE, at, bytes, all.len() as u64) {
            return Ok(Built::light(all));
        }
        let (left, right) = (at.child(false), at.child(true));
        let more = all.split_off(all.partition_point(|p| !right.begins_at_or_before(p.key())));
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
    fn close_page(&self, at: Prefix, mut built: Built<I>) -> Built<I> {
        if !at.is_page_boundary() || at.is_root() && !I::TREE.has_root() {
            return built;
        }
        if let Body::Heavy(rows) = built.body {
            built.body = Body::Heavy(vec![Row::Page(at, rows)]);
        }
        built
    }
}
