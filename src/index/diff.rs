//! Comparing two indexes by walking only the links that differ.

use super::{Missing, Nodes, below as all_below, both, halves, page};
use crate::format::{Entry, NodeType, PackageLines, Page, Prefix};
use std::sync::Arc;

/// A package that is not the same in two trees.
#[derive(Debug)]
pub(crate) struct Difference {
    /// As the old tree has it.
    pub(crate) old: Option<Arc<PackageLines>>,
    /// As the new tree has it.
    pub(crate) new: Option<Arc<PackageLines>>,
}

/// The packages in which two trees differ, in the order of their keys.
pub(crate) fn diff(old: &Page, new: &Page, nodes: &Nodes) -> Result<Vec<Difference>, Missing> {
    below(Prefix::ROOT, old.entries(), new.entries(), nodes)
}

fn below(at: Prefix, old: &[Entry], new: &[Entry], nodes: &Nodes) -> Result<Vec<Difference>, Missing> {
    if old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.link.sha256 == b.link.sha256) {
        return Ok(Vec::new());
    }
    // A shard holds all of its place, so the other side has to be spread out to be compared with it.
    let is_leaf = |side: &[Entry]| {
        matches!(side, [] | [Entry { node: NodeType::Shard, .. }]) && side.iter().all(|e| e.prefix == at)
    };
    if is_leaf(old) || is_leaf(new) {
        let (a, b) = both(all_below(nodes, old), all_below(nodes, new))?;
        return Ok(compare(a, b));
    }
    let (old, new) = both(open(at, old, nodes), open(at, new, nodes))?;
    let ((old_left, old_right), (new_left, new_right)) = (halves(at, old), halves(at, new));
    let (mut out, more) =
        both(below(at.child(false), old_left, new_left, nodes), below(at.child(true), old_right, new_right, nodes))?;
    out.extend(more);
    Ok(out)
}

/// The rows below a place, with a page that stands exactly there opened.
fn open<'a>(at: Prefix, side: &'a [Entry], nodes: &'a Nodes) -> Result<&'a [Entry], Missing> {
    match side {
        [one] if one.prefix == at && one.node == NodeType::Page => Ok(page(nodes, one)?.entries()),
        _ => Ok(side),
    }
}

fn compare(old: Vec<Arc<PackageLines>>, new: Vec<Arc<PackageLines>>) -> Vec<Difference> {
    let mut out = Vec::new();
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return out,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        let a = if order.is_le() { old.next() } else { None };
        let b = if order.is_ge() { new.next() } else { None };
        if a != b {
            out.push(Difference { old: a, new: b });
        }
    }
}
