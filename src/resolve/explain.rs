//! Why no versions fit together, in words: who wants what, from what was asked for down to where it breaks.
//!
//! The search ends with a tree of derivations. Its leaves alone (this needs that, of that there is none) are enough to see
//! the contradiction, and in the order in which a person would look they are easier to read than the tree.

use super::{
    Key, Set, requirement,
    solver::{Barred, Node, Solver},
    universe::{Id, Known},
};
use crate::{Error, ErrorKind, package::Version};
use pubgrub::{DerivationTree, External, VersionSet as _};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// More reasons are too many to read.
const MAX_LINES: usize = 40;

type Tree = DerivationTree<Node, Set, String>;
type Fact = External<Node, Set, String>;

/// The reasons.
pub(super) struct Explained {
    lines: Vec<String>,
}

/// One line: versions of a package, and what is said about them. Ordered by what a person sees, so that it does not matter in which
/// order the search heard of packages.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// How far from what is wanted.
    depth: usize,
    /// The package, unless it is what is wanted.
    name: Option<Key>,
    text: String,
    subject: Node,
}

impl Explained {
    pub(super) fn new(solver: &Solver<'_>, tree: Tree) -> Self {
        let facts = leaves(tree);
        let depths = depths(&facts);
        let mut lines: BTreeMap<Line, Set> = BTreeMap::new();
        let mut last = BTreeSet::new();
        for fact in &facts {
            let depth = |node: &Node| depths.get(node).copied().unwrap_or(usize::MAX);
            match fact {
                External::NotRoot(..) => {}
                External::FromDependencyOf(Node::Wide(_), ..) => {}
                External::FromDependencyOf(from, set, to, met) => {
                    let text = solver.need(*from, set, *to, met);
                    let line = Line { depth: depth(from), name: solver.name(*from), text, subject: *from };
                    let versions = lines.entry(line).or_insert(Set::NONE);
                    *versions = versions.union(set);
                    if let Node::Links(library) = to {
                        let name = solver.library_name(*library);
                        last.insert(format!("only one crate can link the native library {name}"));
                    }
                }
                External::Custom(node, set, reason) => {
                    let text = format!("cannot be taken: {reason}");
                    let line = Line { depth: depth(node), name: solver.name(*node), text, subject: *node };
                    let versions = lines.entry(line).or_insert(Set::NONE);
                    *versions = versions.union(set);
                }
                External::NoVersions(node, set) => last.extend(solver.none_of(*node, set)),
            }
        }
        let lines = lines.into_iter().map(|(line, set)| match line.subject {
            Node::Group(id, _) => format!("{} {}", solver.versions(id, &set), line.text),
            _ => format!("you want {}", line.text),
        });
        let mut lines: Vec<String> = lines.chain(last).collect();
        if lines.len() > MAX_LINES {
            let more = lines.len() - MAX_LINES;
            lines.truncate(MAX_LINES);
            lines.push(format!("… and {more} more reasons"));
        }
        Self { lines }
    }

    pub(super) fn into_error(self) -> Error {
        Error::new(ErrorKind::Unsolvable, "no versions of these packages fit together").with_details(self.lines)
    }
}

/// The leaves, each once. The tree may be as deep as a stranger likes, so it is neither walked nor dropped by recursion: a
/// node is taken apart when the last that holds it lets go.
fn leaves(tree: Tree) -> Vec<Fact> {
    let mut out = Vec::new();
    let mut rest = vec![Arc::new(tree)];
    while let Some(node) = rest.pop() {
        match Arc::try_unwrap(node) {
            Ok(DerivationTree::External(fact)) => out.push(fact),
            Ok(DerivationTree::Derived(derived)) => rest.extend([derived.cause2, derived.cause1]),
            Err(_shared) => {}
        }
    }
    out
}

/// How many steps each package is away from what is wanted.
fn depths(facts: &[Fact]) -> BTreeMap<Node, usize> {
    let mut edges: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
    for fact in facts {
        if let External::FromDependencyOf(from, _, to, _) = fact {
            edges.entry(*from).or_default().insert(*to);
        }
    }
    let mut out = BTreeMap::from([(Node::Root, 0)]);
    let mut rest = VecDeque::from([Node::Root]);
    while let Some(node) = rest.pop_front() {
        let depth = out.get(&node).copied().unwrap_or_default();
        for to in edges.get(&node).into_iter().flatten() {
            if !out.contains_key(to) {
                out.insert(*to, depth + 1);
                rest.push_back(*to);
            }
        }
    }
    out
}

impl Solver<'_> {
    fn name(&self, node: Node) -> Option<Key> {
        match node {
            Node::Group(id, _) | Node::Unasked(id) => Some(self.universe.key(id)),
            Node::Root | Node::Wide(_) | Node::Links(_) => None,
        }
    }

    /// `needs pack:b ^2`, and what there is of it where nothing meets that.
    fn need(&self, from: Node, set: &Set, to: Node, met: &Set) -> String {
        let id = match to {
            Node::Group(id, _) | Node::Unasked(id) => id,
            Node::Wide(wide) => self.wide_parts(wide).0,
            Node::Links(library) => {
                return format!("links the native library {}", self.library_name(library));
            }
            Node::Root => return String::new(),
        };
        let mut reqs = self.requirements(from, set, to, id);
        if reqs.is_empty() {
            reqs.push("*".into());
        }
        let verb = if from == Node::Root { "" } else { "needs " };
        let mut out = format!("{verb}{} {}", self.universe.shown(id), reqs.join(" and "));
        if met.is_empty() {
            out += &match self.universe.known(id) {
                Known::Absent => {
                    format!(", which {} does not have", self.universe.origin(self.universe.registry_of(id)))
                }
                Known::Present(view) => format!("; there {}", self.existing(&view.candidates, &reqs)),
                Known::Unasked => String::new(),
            };
        }
        out
    }

    /// The requirements on `id` of the versions in a set, as they are written, where they lead to the node `to`.
    fn requirements(&self, from: Node, set: &Set, to: Node, id: Id) -> Vec<String> {
        let mut out = Vec::new();
        let mut add = |req: &str| {
            let req = self.asked(id, req);
            let leads = match (to, self.universe.candidates(id)) {
                (Node::Group(_, group), Some(c)) => {
                    let meaning = c.meaning(req);
                    meaning.0.is_empty() || meaning.0.len() == 1 && meaning.0[0].0 == group
                }
                (Node::Wide(wide), _) => self.wide_id(id, req) == Some(wide),
                _ => true,
            };
            if leads && !out.iter().any(|o| o == req) {
                out.push(req.to_owned());
            }
        };
        match from {
            Node::Root => {
                let wants = self.question.wants.iter().filter(|(key, _)| self.universe.id_of(key) == id);
                wants.for_each(|(_, req)| add(&req.to_string()));
            }
            Node::Group(source, _) => {
                let Some(candidates) = self.universe.candidates(source) else { return out };
                let own = self.universe.registry_of(source);
                // All versions of the set have the same need, or it would not be one fact.
                let first = set.below(candidates.len()).find_map(|at| candidates.release(at).ok());
                let Some(release) = first else { return out };
                let needs = self.needs(source, release).filter(|n| self.target(own, n).is_ok_and(|t| t == id));
                needs.for_each(|n| add(&n.req));
            }
            _ => {}
        }
        out
    }

    /// What there is of a package, none of which meets the requirements.
    fn existing(&self, candidates: &super::Candidates, reqs: &[String]) -> String {
        let end = candidates.len();
        let pre = (0..end).filter(|at| candidates.version(*at).is_prerelease());
        let almost = |at: &u32| {
            let mut release = candidates.version(*at).semver().clone();
            release.pre = semver::Prerelease::EMPTY;
            reqs.iter().filter_map(|r| requirement(r).ok()).all(|r| r.matches(&release))
        };
        if let Some(at) = pre.rev().find(almost) {
            let version = candidates.version(at);
            return format!("is only the pre-release {version}, which has to be asked for (={version})");
        }
        match end {
            0 => "is nothing".to_owned(),
            1 => format!("is only {}", candidates.version(0)),
            _ => format!("are only {} to {}", candidates.version(0), candidates.version(end - 1)),
        }
    }

    /// Why nothing in a set of versions can be taken.
    fn none_of(&self, node: Node, set: &Set) -> Vec<String> {
        let (id, set) = match node {
            Node::Group(id, _) => (id, set.clone()),
            Node::Wide(wide) => {
                let (id, parts) = self.wide_parts(wide);
                let parts = (0..).zip(&parts).filter(|(at, _)| set.contains(at));
                (id, parts.fold(Set::NONE, |all, (_, part)| all.union(&part.1)))
            }
            _ => return Vec::new(),
        };
        let Some(view) = self.universe.view(id) else { return Vec::new() };
        let mut why: BTreeMap<Barred, Set> = BTreeMap::new();
        for at in set.below(view.candidates.len()) {
            if let Some(barred) = self.barred(&view, at) {
                // One line for all that are too new, with the day of the first.
                let newest =
                    why.keys().find(|b| matches!((b, barred), (Barred::TooNew(_), Barred::TooNew(_)))).copied();
                why.entry(newest.unwrap_or(barred)).or_insert(Set::NONE).push(at, at + 1);
            }
        }
        why.iter().map(|(barred, set)| format!("{} {}", self.versions(id, set), self.said(id, *barred, set))).collect()
    }

    fn said(&self, id: Id, barred: Barred, set: &Set) -> String {
        match barred {
            Barred::Removed => "was removed from the registry".to_owned(),
            Barred::NotLocked => "is not in the lock file".to_owned(),
            Barred::TooNew(first) => {
                let cutoff = self.question.cutoff.map(|c| c.to_string()).unwrap_or_default();
                format!("is newer than {cutoff} (published {first})")
            }
            Barred::Yanked => {
                let reason = self.universe.candidates(id).and_then(|c| {
                    let at = set.below(c.len()).next_back()?;
                    c.release(at).ok()?.yanked.as_ref()?.reason.clone()
                });
                reason.map_or_else(|| "is yanked".to_owned(), |r| format!("is yanked: {r}"))
            }
            Barred::Unreadable => {
                let reason = self.universe.candidates(id).and_then(|c| {
                    let at = set.below(c.len()).next_back()?;
                    c.release(at).err().map(str::to_owned)
                });
                format!("cannot be taken: {}", reason.unwrap_or_default())
            }
        }
    }

    /// A package in some of its versions.
    fn versions(&self, id: Id, set: &Set) -> String {
        let name = self.universe.shown(id);
        let Some(candidates) = self.universe.candidates(id) else { return name };
        let end = candidates.len();
        let spans: Vec<_> = set.spans(end).collect();
        if end > 1 && spans == [(0, end)] {
            return format!("every version of {name}");
        }
        let span = |&(from, to): &(u32, u32)| {
            let (first, last): (&Version, &Version) = (candidates.version(from), candidates.version(to - 1));
            if to - from == 1 { first.to_string() } else { format!("{first} to {last}") }
        };
        let shown: Vec<_> = spans.iter().take(3).map(span).collect();
        let more = if spans.len() > 3 { ", …" } else { "" };
        format!("{name} {}{more}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubgrub::{Derived, Map};

    #[test]
    fn a_tree_as_deep_as_a_stranger_likes_is_taken_apart_without_running_out_of_stack() {
        let fact = |at: u32| Arc::new(Tree::External(External::NoVersions(Node::Links(at), Set::NONE)));
        let mut tree = Tree::clone(&fact(0));
        let mut shared = fact(1);
        for at in 0..300_000 {
            let (cause1, cause2) = (Arc::new(tree), Arc::clone(&shared));
            tree = Tree::Derived(Derived { terms: Map::default(), shared_id: None, cause1, cause2 });
            if at % 1000 == 0 {
                shared = fact(at);
            }
        }
        drop(shared);
        assert_eq!(leaves(tree).len(), 302, "each leaf once, however many share it");
    }
}
