//! The bridge to `pubgrub`.

use super::{
    Prefer, Question, Set,
    candidates::{Need, Release},
    requirement,
    universe::{AtHand, Id, Known, Universe, View},
};
use crate::package::Timestamp;
use pubgrub::{
    Dependencies, DependencyConstraints, DependencyProvider, Map, PackageResolutionStatistics, VersionSet as _,
};
use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
    time::Instant,
};

/// What `pubgrub` takes for a package.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Node {
    /// What is wanted.
    Root,
    /// A package that nobody has told about yet. It has one version, which needs nothing.
    Unasked(Id),
    /// One group of a package's versions.
    Group(Id, u32),
    /// A requirement that several groups of a package meet, by number. Its versions are the groups.
    Wide(u32),
    /// A native library, which one crate of a program may link. Its versions are the groups that do.
    Links(u32),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A requirement that several groups meet.
struct Wide {
    id: Id,
    parts: Vec<(u32, Set)>,
}

/// Why the search was given up.
#[derive(Debug, thiserror::Error)]
#[error("too much work")]
pub(super) struct Exhausted;

/// Why a release cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Barred {
    Removed,
    Yanked,
    NotLocked,
    TooNew(Timestamp),
    Unreadable,
}

/// So many steps are taken between two looks at the clock.
const CLOCK: u64 = 32;

/// What is kept of a search when it starts again with more packages known.
#[derive(Default)]
pub(super) struct Memo {
    wides: RefCell<Vec<Wide>>,
    wide_ids: RefCell<HashMap<(Id, Box<str>), u32>>,
    libraries: RefCell<Vec<Box<str>>>,
    linkers: RefCell<Map<(Id, u32), u32>>,
    overrides: HashMap<Id, String>,
    optional: BTreeSet<Id>,
}

impl Memo {
    pub(super) fn new(universe: &Universe, question: &Question) -> Self {
        Self {
            overrides: question.overrides.iter().map(|(key, req)| (universe.id_of(key), req.to_string())).collect(),
            optional: question.optional.iter().map(|key| universe.id_of(key)).collect(),
            ..Self::default()
        }
    }
}

pub(super) struct Solver<'a> {
    pub(super) universe: &'a Universe,
    pub(super) question: &'a Question,
    memo: &'a Memo,
    at_hand: AtHand<'a>,
    /// Packages that have to be known before the answer is one.
    pub(super) needed: RefCell<BTreeSet<Id>>,
    pub(super) steps: Cell<u64>,
    deadline: Instant,
}

/// A dependency as `pubgrub` takes it.
pub(super) type Edge = (Node, Set);

/// What a release needs, or a reason for which it cannot be taken.
pub(super) type Edges = Arc<Result<Box<[Edge]>, String>>;

impl<'a> Solver<'a> {
    pub(super) fn new(
        universe: &'a Universe,
        question: &'a Question,
        memo: &'a Memo,
        at_hand: AtHand<'a>,
        (steps, deadline): (u64, Instant),
    ) -> Self {
        Self { universe, question, memo, at_hand, needed: RefCell::default(), steps: Cell::new(steps), deadline }
    }

    /// Why a release cannot be taken, if it cannot.
    pub(super) fn barred(&self, view: &View, at: u32) -> Option<Barred> {
        let Ok(release) = view.candidates.release(at) else { return Some(Barred::Unreadable) };
        if release.removed {
            return Some(Barred::Removed);
        }
        if view.locked.contains(&at) {
            return None;
        }
        if self.question.only_locked {
            return Some(Barred::NotLocked);
        }
        if release.yanked.is_some() {
            return Some(Barred::Yanked);
        }
        let newer = self.question.cutoff.is_some_and(|cutoff| release.published > cutoff);
        newer.then_some(Barred::TooNew(release.published))
    }

    /// The version to take of those in a set.
    pub(super) fn choose(&self, id: Id, set: &Set) -> Option<u32> {
        let view = self.universe.view(id)?;
        let end = view.candidates.len();
        let free = |at: &u32| self.barred(&view, *at).is_none();
        if self.question.prefer == Prefer::Locked
            && let Some(at) = view.locked.iter().copied().filter(|at| set.contains(at) && free(at)).max()
        {
            return Some(at);
        }
        match self.question.prefer {
            Prefer::Minimal => set.below(end).find(free),
            Prefer::Highest | Prefer::Locked => set.below(end).rev().find(free),
        }
    }

    /// The requirement that holds for a package: what is asked, unless it is overridden.
    pub(super) fn asked<'r>(&'r self, id: Id, req: &'r str) -> &'r str {
        self.memo.overrides.get(&id).map_or(req, String::as_str)
    }

    /// What a release needs, as far as it matters here.
    pub(super) fn needs<'r>(&self, id: Id, release: &'r Release) -> impl Iterator<Item = &'r Need> + use<'r> {
        let optional = self.memo.optional.contains(&id);
        release.needs.iter().filter(move |n| optional || !n.optional)
    }

    /// The package that a need of a package of `own` is about.
    pub(super) fn target(&self, own: u16, need: &Need) -> Result<Id, String> {
        let registry = self.universe.registry(own, need.registry.as_deref()).ok_or_else(|| {
            let named = need.registry.as_deref().unwrap_or_default();
            format!("it needs {} of {named}, a registry that is not configured", need.id)
        })?;
        Ok(self.universe.id(registry, &need.id))
    }

    pub(super) fn edge(&self, id: Id, req: &str) -> Result<Edge, String> {
        let view = match self.universe.known_or_at_hand(id, self.at_hand) {
            Known::Unasked => {
                self.needed.borrow_mut().insert(id);
                return Ok((Node::Unasked(id), Set::all()));
            }
            // With no version to take, whoever needs it cannot be taken.
            Known::Absent => return Ok((Node::Group(id, 0), Set::NONE)),
            Known::Present(view) => view,
        };
        let req = self.asked(id, req);
        let meaning = view.candidates.meaning(req);
        match &*meaning.0 {
            [] => match requirement(req) {
                Ok(_) => Ok((Node::Group(id, 0), Set::NONE)),
                Err(e) => Err(format!("it needs {} {req:?}, which is no requirement: {e}", self.universe.shown(id))),
            },
            [(group, set)] => Ok((Node::Group(id, *group), set.clone())),
            parts => Ok((Node::Wide(self.wide(id, req, parts)), Set::all())),
        }
    }

    fn wide(&self, id: Id, req: &str, parts: &[(u32, Set)]) -> u32 {
        let mut ids = self.memo.wide_ids.borrow_mut();
        if let Some(wide) = ids.get(&(id, req.into())) {
            return *wide;
        }
        let mut wides = self.memo.wides.borrow_mut();
        let wide = u32::try_from(wides.len()).unwrap_or(u32::MAX);
        wides.push(Wide { id, parts: parts.to_vec() });
        ids.insert((id, req.into()), wide);
        wide
    }

    /// The number of a requirement that several groups meet.
    pub(super) fn wide_id(&self, id: Id, req: &str) -> Option<u32> {
        self.memo.wide_ids.borrow().get(&(id, req.into())).copied()
    }

    fn library(&self, id: Id, group: u32, name: &str) -> Edge {
        let mut libraries = self.memo.libraries.borrow_mut();
        let library = libraries.iter().position(|l| **l == *name).unwrap_or_else(|| {
            libraries.push(name.into());
            libraries.len() - 1
        });
        let mut linkers = self.memo.linkers.borrow_mut();
        let next = u32::try_from(linkers.len()).unwrap_or(u32::MAX);
        let linker = *linkers.entry((id, group)).or_insert(next);
        (Node::Links(u32::try_from(library).unwrap_or(u32::MAX)), Set::singleton(linker))
    }

    /// What a release needs.
    pub(super) fn edges(&self, id: Id, at: u32) -> Edges {
        self.universe.edges(id, at, || {
            let edges = self.find_edges(id, at);
            let unasked = |e: &Edge| matches!(e.0, Node::Unasked(_));
            let certain = edges.as_ref().is_ok_and(|edges| !edges.iter().any(unasked));
            (Arc::new(edges), certain)
        })
    }

    fn find_edges(&self, id: Id, at: u32) -> Result<Box<[Edge]>, String> {
        let Some(view) = self.universe.view(id) else { return Ok(Box::default()) };
        let group = view.candidates.group_of(at);
        let release = view.candidates.release(at)?;
        let own = self.universe.registry_of(id);
        let mut out = Gathered::default();
        for need in self.needs(id, release) {
            let target = self.target(own, need)?;
            let (node, set) = self.edge(target, &need.req)?;
            if node == Node::Group(id, group) {
                if !set.contains(&at) {
                    return Err(format!("it needs another version of itself ({})", need.req));
                }
                continue;
            }
            out.add(node, set);
        }
        out.edges.extend(release.links.as_deref().map(|name| self.library(id, group, name)));
        Ok(out.edges.into())
    }

    pub(super) fn wanted(&self) -> Vec<Edge> {
        let mut out = Gathered::default();
        for (key, req) in &self.question.wants {
            // A requirement that was parsed is one.
            let Ok((node, set)) = self.edge(self.universe.id_of(key), &req.to_string()) else { continue };
            out.add(node, set);
        }
        out.edges
    }

    /// The parts of a requirement that several groups meet: its package, and the group and versions of each.
    pub(super) fn wide_parts(&self, wide: u32) -> (Id, Vec<(u32, Set)>) {
        let wides = self.memo.wides.borrow();
        let wide = &wides[wide as usize];
        (wide.id, wide.parts.clone())
    }

    pub(super) fn library_name(&self, library: u32) -> Box<str> {
        self.memo.libraries.borrow()[library as usize].clone()
    }

    /// The part of a wide requirement to take: as with versions, but by group.
    fn choose_part(&self, wide: u32, set: &Set) -> Option<u32> {
        let wides = self.memo.wides.borrow();
        let wide = &wides[wide as usize];
        let end = u32::try_from(wide.parts.len()).unwrap_or(u32::MAX);
        let part = |at: u32| &wide.parts[at as usize].1;
        if self.question.prefer == Prefer::Locked
            && let Some(view) = self.universe.view(wide.id)
        {
            let is_locked = |at: &u32| view.locked.iter().any(|l| part(*at).contains(l));
            if let Some(at) = set.below(end).rev().find(is_locked) {
                return Some(at);
            }
        }
        let free = |at: &u32| self.choose(wide.id, part(*at)).is_some();
        match self.question.prefer {
            Prefer::Minimal => set.below(end).find(free),
            Prefer::Highest | Prefer::Locked => set.below(end).rev().find(free),
        }
    }
}

impl DependencyProvider for Solver<'_> {
    type P = Node;
    type V = u32;
    type VS = Set;
    /// Kind of node, conflicts so far, few versions before many.
    type Priority = (u8, u32, Reverse<u32>);
    type M = String;
    type Err = Exhausted;

    fn prioritize(&self, node: &Node, set: &Set, conflicts: &PackageResolutionStatistics) -> Self::Priority {
        let (class, end) = match node {
            Node::Root => (3, 1),
            Node::Links(_) | Node::Unasked(_) => (2, 1),
            Node::Group(id, _) => (1, self.universe.view(*id).map_or(0, |v| v.candidates.len())),
            // After all that is certain, so that what is there already can be taken.
            Node::Wide(wide) => {
                (0, u32::try_from(self.memo.wides.borrow()[*wide as usize].parts.len()).unwrap_or(u32::MAX))
            }
        };
        (class, conflicts.conflict_count(), Reverse(set.spans(end).map(|(from, to)| to - from).sum()))
    }

    fn choose_version(&self, node: &Node, set: &Set) -> Result<Option<u32>, Exhausted> {
        Ok(match node {
            Node::Root | Node::Unasked(_) | Node::Links(_) => set.below(u32::MAX).next(),
            Node::Group(id, _) => self.choose(*id, set),
            Node::Wide(wide) => self.choose_part(*wide, set),
        })
    }

    fn get_dependencies(&self, node: &Node, at: &u32) -> Result<Dependencies<Node, Set, String>, Exhausted> {
        let available = |edges: Vec<Edge>| Dependencies::Available(DependencyConstraints::from_iter(edges));
        Ok(match node {
            Node::Root => available(self.wanted()),
            Node::Unasked(_) | Node::Links(_) => available(Vec::new()),
            Node::Group(id, _) => match &*self.edges(*id, *at) {
                Ok(edges) => available(edges.to_vec()),
                Err(reason) => Dependencies::Unavailable(reason.clone()),
            },
            Node::Wide(wide) => {
                let wides = self.memo.wides.borrow();
                let wide = &wides[*wide as usize];
                let (group, set) = &wide.parts[*at as usize];
                available(vec![(Node::Group(wide.id, *group), set.clone())])
            }
        })
    }

    fn should_cancel(&self) -> Result<(), Exhausted> {
        let left = self.steps.get();
        if left == 0 || left.is_multiple_of(CLOCK) && Instant::now() >= self.deadline {
            return Err(Exhausted);
        }
        self.steps.set(left - 1);
        Ok(())
    }
}

/// Dependencies that are being gathered, one for each package: `pubgrub` takes no two.
#[derive(Default)]
struct Gathered {
    edges: Vec<Edge>,
    // A stranger may need very many.
    places: Map<Node, usize>,
}

impl Gathered {
    fn add(&mut self, node: Node, set: Set) {
        match self.places.entry(node) {
            Entry::Occupied(place) => {
                let edge = &mut self.edges[*place.get()];
                edge.1 = edge.1.intersection(&set);
            }
            Entry::Vacant(place) => {
                place.insert(self.edges.len());
                self.edges.push((node, set));
            }
        }
    }
}
