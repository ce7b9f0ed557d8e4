//! The bridge to `pubgrub`.

use super::{
    Candidates, Prefer, Question, Set,
    candidates::{Need, Release},
    requirement,
    universe::{Id, Known, Universe},
};
use crate::package::Timestamp;
use pubgrub::{
    Dependencies, DependencyConstraints, DependencyProvider, Map, PackageResolutionStatistics, VersionSet as _,
};
use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
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
pub(super) struct Wide {
    pub(super) id: Id,
    pub(super) parts: Vec<(u32, Set)>,
}

/// Why the search was given up.
#[derive(Debug, thiserror::Error)]
#[error("too much work")]
pub(super) struct Exhausted;

/// What the versions of one package are, for one question.
struct View {
    candidates: Arc<Candidates>,
    /// Places of versions that are locked.
    locked: Vec<u32>,
}

/// Why a release cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Barred {
    Removed,
    Yanked,
    NotLocked,
    TooNew(Timestamp),
    Unreadable,
}

pub(super) struct Solver<'a> {
    pub(super) universe: &'a Universe,
    pub(super) question: &'a Question,
    views: RefCell<HashMap<Id, Arc<View>>>,
    locked: HashMap<Id, Vec<&'a crate::package::Version>>,
    overrides: HashMap<Id, String>,
    optional: BTreeSet<Id>,
    pub(super) wides: RefCell<Vec<Wide>>,
    wide_ids: RefCell<HashMap<(Id, Box<str>), u32>>,
    pub(super) libraries: RefCell<Vec<Box<str>>>,
    linkers: RefCell<Map<(Id, u32), u32>>,
    /// Packages that have to be known before the answer is one.
    pub(super) needed: RefCell<BTreeSet<Id>>,
    pub(super) steps: Cell<u64>,
    deadline: Instant,
}

/// A dependency as `pubgrub` takes it.
type Edge = (Node, Set);

impl<'a> Solver<'a> {
    pub(super) fn new(universe: &'a Universe, question: &'a Question, steps: u64, deadline: Instant) -> Self {
        let mut locked: HashMap<Id, Vec<_>> = HashMap::new();
        for (key, version) in &question.locked {
            locked.entry(universe.id(key)).or_default().push(version);
        }
        Self {
            universe,
            question,
            views: RefCell::default(),
            locked,
            overrides: question.overrides.iter().map(|(key, req)| (universe.id(key), req.to_string())).collect(),
            optional: question.optional.iter().map(|key| universe.id(key)).collect(),
            wides: RefCell::default(),
            wide_ids: RefCell::default(),
            libraries: RefCell::default(),
            linkers: RefCell::default(),
            needed: RefCell::default(),
            steps: Cell::new(steps),
            deadline,
        }
    }

    fn view(&self, id: Id) -> Option<Arc<View>> {
        if let Some(view) = self.views.borrow().get(&id) {
            return Some(Arc::clone(view));
        }
        let candidates = self.universe.candidates(id)?;
        let locked = self.locked.get(&id).into_iter().flatten().filter_map(|v| candidates.find(v)).collect();
        let view = Arc::new(View { candidates, locked });
        self.views.borrow_mut().insert(id, Arc::clone(&view));
        Some(view)
    }

    /// Why a release cannot be taken, if it cannot.
    pub(super) fn barred(&self, id: Id, at: u32) -> Option<Barred> {
        let view = self.view(id)?;
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
        let view = self.view(id)?;
        let end = view.candidates.len();
        let free = |at: &u32| self.barred(id, *at).is_none();
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
        self.overrides.get(&id).map_or(req, String::as_str)
    }

    /// What a release needs, as far as it matters here.
    pub(super) fn needs<'r>(&self, id: Id, release: &'r Release) -> impl Iterator<Item = &'r Need> + use<'r> {
        let optional = self.optional.contains(&id);
        release.needs.iter().filter(move |n| optional || !n.optional)
    }

    /// The package that a need of a package of `own` is about.
    pub(super) fn target(&self, own: u16, need: &Need) -> Result<Id, String> {
        let registry = self.universe.registry(own, need.registry.as_deref()).ok_or_else(|| {
            let named = need.registry.as_deref().unwrap_or_default();
            format!("it needs {} of {named}, a registry that is not configured", need.id)
        })?;
        Ok(self.universe.id(&super::Key { registry, id: need.id.clone() }))
    }

    fn edge(&self, id: Id, req: &str) -> Result<Edge, String> {
        let candidates = match self.universe.known(id) {
            Known::Unasked => {
                self.needed.borrow_mut().insert(id);
                return Ok((Node::Unasked(id), Set::all()));
            }
            // With no version to take, whoever needs it cannot be taken.
            Known::Absent => return Ok((Node::Group(id, 0), Set::NONE)),
            Known::Present(candidates) => candidates,
        };
        let req = self.asked(id, req);
        let meaning = candidates.meaning(req);
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
        let mut ids = self.wide_ids.borrow_mut();
        if let Some(wide) = ids.get(&(id, req.into())) {
            return *wide;
        }
        let mut wides = self.wides.borrow_mut();
        let wide = u32::try_from(wides.len()).unwrap_or(u32::MAX);
        wides.push(Wide { id, parts: parts.to_vec() });
        ids.insert((id, req.into()), wide);
        wide
    }

    /// The number of a requirement that several groups meet.
    pub(super) fn wide_id(&self, id: Id, req: &str) -> Option<u32> {
        self.wide_ids.borrow().get(&(id, req.into())).copied()
    }

    fn library(&self, id: Id, group: u32, name: &str) -> Edge {
        let mut libraries = self.libraries.borrow_mut();
        let library = libraries.iter().position(|l| **l == *name).unwrap_or_else(|| {
            libraries.push(name.into());
            libraries.len() - 1
        });
        let mut linkers = self.linkers.borrow_mut();
        let next = u32::try_from(linkers.len()).unwrap_or(u32::MAX);
        let linker = *linkers.entry((id, group)).or_insert(next);
        (Node::Links(u32::try_from(library).unwrap_or(u32::MAX)), Set::singleton(linker))
    }

    /// What a release needs. An error is a reason for which it cannot be taken.
    fn edges(&self, id: Id, group: u32, at: u32) -> Result<Vec<Edge>, String> {
        let Some(view) = self.view(id) else { return Ok(Vec::new()) };
        let release = view.candidates.release(at)?;
        let own = self.universe.key(id).registry;
        let mut out: Vec<Edge> = Vec::with_capacity(release.needs.len());
        for need in self.needs(id, release) {
            let target = self.target(own, need)?;
            let (node, set) = self.edge(target, &need.req)?;
            if node == Node::Group(id, group) {
                if !set.contains(&at) {
                    return Err(format!("it needs another version of itself ({})", need.req));
                }
                continue;
            }
            // One edge for each package: `pubgrub` takes no two.
            match out.iter_mut().find(|e| e.0 == node) {
                Some(edge) => edge.1 = edge.1.intersection(&set),
                None => out.push((node, set)),
            }
        }
        out.extend(release.links.as_deref().map(|name| self.library(id, group, name)));
        Ok(out)
    }

    fn wanted(&self) -> Vec<Edge> {
        let mut out: Vec<Edge> = Vec::new();
        for (key, req) in &self.question.wants {
            // A requirement that was parsed is one.
            let Ok((node, set)) = self.edge(self.universe.id(key), &req.to_string()) else { continue };
            match out.iter_mut().find(|e| e.0 == node) {
                Some(edge) => edge.1 = edge.1.intersection(&set),
                None => out.push((node, set)),
            }
        }
        out
    }

    /// The part of a wide requirement to take: as with versions, but by group.
    fn choose_part(&self, wide: u32, set: &Set) -> Option<u32> {
        let wides = self.wides.borrow();
        let wide = &wides[wide as usize];
        let end = u32::try_from(wide.parts.len()).unwrap_or(u32::MAX);
        let part = |at: u32| &wide.parts[at as usize].1;
        if self.question.prefer == Prefer::Locked
            && let Some(view) = self.view(wide.id)
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
            Node::Group(id, _) => (1, self.view(*id).map_or(0, |v| v.candidates.len())),
            // After all that is certain, so that what is there already can be taken.
            Node::Wide(wide) => (0, u32::try_from(self.wides.borrow()[*wide as usize].parts.len()).unwrap_or(u32::MAX)),
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
        let edges = match node {
            Node::Root => Ok(self.wanted()),
            Node::Unasked(_) | Node::Links(_) => Ok(Vec::new()),
            Node::Group(id, group) => self.edges(*id, *group, *at),
            Node::Wide(wide) => {
                let wides = self.wides.borrow();
                let wide = &wides[*wide as usize];
                let (group, set) = &wide.parts[*at as usize];
                Ok(vec![(Node::Group(wide.id, *group), set.clone())])
            }
        };
        Ok(match edges {
            Ok(edges) => Dependencies::Available(DependencyConstraints::from_iter(edges)),
            Err(reason) => Dependencies::Unavailable(reason),
        })
    }

    fn should_cancel(&self) -> Result<(), Exhausted> {
        let left = self.steps.get();
        if left == 0 || Instant::now() >= self.deadline {
            return Err(Exhausted);
        }
        self.steps.set(left - 1);
        Ok(())
    }
}
