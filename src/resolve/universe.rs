//! What is known of the registries so far.

use super::{Candidates, Question, RegistryNames, solver::Edges};
use crate::package::{PackageId, Version, address};
use pubgrub::Map;
use smallvec::SmallVec;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    sync::Arc,
};

/// A package of one of the registries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The number of the registry.
    pub(crate) registry: u16,
    pub(crate) id: PackageId,
}

/// What is at hand of a package: `Some(None)` where it is certain that its registry does not have it, `None` where nothing
/// is known without asking.
pub(crate) type AtHand<'a> = &'a dyn Fn(&Key) -> Option<Option<Arc<Candidates>>>;

/// What is known of a package.
#[derive(Clone)]
pub(super) enum Known {
    /// Nothing yet.
    Unasked,
    /// Its registry does not have it.
    Absent,
    Present(Arc<View>),
}

/// A package as one question sees it.
pub(super) struct View {
    pub(super) candidates: Arc<Candidates>,
    /// Places of versions that are locked.
    pub(super) locked: Vec<u32>,
}

/// A package by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Id(pub(super) u32);

/// Every package that was heard of.
pub(super) struct Universe {
    registries: Vec<RegistryNames>,
    locked: HashMap<Key, Vec<Version>>,
    /// Whether anything was learned without being asked for.
    took: Cell<bool>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    packages: Vec<(Key, Known)>,
    // Names are a stranger's: a hash without a secret could be made to collide.
    ids: HashMap<PackageId, SmallVec<[(u16, Id); 1]>>,
    /// What releases need, of those of which all of that is known.
    edges: Map<(Id, u32), Edges>,
}

impl Universe {
    pub(super) fn new(question: &Question) -> Self {
        let mut locked: HashMap<Key, Vec<Version>> = HashMap::new();
        for (key, version) in &question.locked {
            locked.entry(key.clone()).or_default().push(version.clone());
        }
        Self { registries: question.registries.clone(), locked, took: Cell::new(false), inner: RefCell::default() }
    }

    /// The number of a package.
    pub(super) fn id(&self, registry: u16, package: &PackageId) -> Id {
        let mut inner = self.inner.borrow_mut();
        let known = inner.ids.get(package).and_then(|all| all.iter().find(|(r, _)| *r == registry));
        if let Some((_, id)) = known {
            return *id;
        }
        // Packages are limited to far fewer.
        let id = Id(u32::try_from(inner.packages.len()).unwrap_or(u32::MAX));
        inner.packages.push((Key { registry, id: package.clone() }, Known::Unasked));
        inner.ids.entry(package.clone()).or_default().push((registry, id));
        id
    }

    pub(super) fn id_of(&self, key: &Key) -> Id {
        self.id(key.registry, &key.id)
    }

    pub(super) fn len(&self) -> usize {
        self.inner.borrow().packages.len()
    }

    pub(super) fn key(&self, id: Id) -> Key {
        self.inner.borrow().packages[id.0 as usize].0.clone()
    }

    /// The number of its registry.
    pub(super) fn registry_of(&self, id: Id) -> u16 {
        self.inner.borrow().packages[id.0 as usize].0.registry
    }

    pub(super) fn known(&self, id: Id) -> Known {
        self.inner.borrow().packages[id.0 as usize].1.clone()
    }

    /// The same; what was not asked for yet and is at hand is learned now.
    pub(super) fn known_or_at_hand(&self, id: Id, at_hand: AtHand<'_>) -> Known {
        match self.known(id) {
            Known::Unasked => match at_hand(&self.key(id)) {
                Some(found) => {
                    self.took.set(true);
                    self.set(id, found)
                }
                None => Known::Unasked,
            },
            known => known,
        }
    }

    pub(super) fn took_what_was_at_hand(&self) -> bool {
        self.took.get()
    }

    pub(super) fn view(&self, id: Id) -> Option<Arc<View>> {
        match &self.inner.borrow().packages[id.0 as usize].1 {
            Known::Present(view) => Some(Arc::clone(view)),
            Known::Unasked | Known::Absent => None,
        }
    }

    /// What a release needs. `work_out` says as well whether it knew all that it has to know; else it is asked again next time.
    pub(super) fn edges(&self, id: Id, at: u32, work_out: impl FnOnce() -> (Edges, bool)) -> Edges {
        if let Some(edges) = self.inner.borrow().edges.get(&(id, at)) {
            return Arc::clone(edges);
        }
        let (edges, certain) = work_out();
        if certain {
            self.inner.borrow_mut().edges.insert((id, at), Arc::clone(&edges));
        }
        edges
    }

    pub(super) fn candidates(&self, id: Id) -> Option<Arc<Candidates>> {
        self.view(id).map(|view| Arc::clone(&view.candidates))
    }

    pub(super) fn learn(&self, key: &Key, candidates: Option<Arc<Candidates>>) {
        self.set(self.id_of(key), candidates);
    }

    fn set(&self, id: Id, candidates: Option<Arc<Candidates>>) -> Known {
        let locked = self.locked.get(&self.key(id)).map(Vec::as_slice).unwrap_or_default();
        let known = candidates.map_or(Known::Absent, |candidates| {
            let locked = locked.iter().filter_map(|v| candidates.find(v)).collect();
            Known::Present(Arc::new(View { candidates, locked }))
        });
        self.inner.borrow_mut().packages[id.0 as usize].1 = known.clone();
        known
    }

    /// The registry that a dependency of a package in `own` is looked up in. There is no other way from one registry to
    /// another, and none at all to one that was not configured.
    pub(super) fn registry(&self, own: u16, named: Option<&str>) -> Option<u16> {
        let Some(named) = named else { return Some(own) };
        address::meanings(named).find_map(|meant| {
            let is = |r: &RegistryNames| address::is_of(meant, &r.origin, &r.aliases);
            (0..).zip(&self.registries).find(|(_, r)| is(r)).map(|(number, _)| number)
        })
    }

    pub(super) fn origin(&self, registry: u16) -> &str {
        &self.registries[registry as usize].origin
    }

    /// A package's name for people; with its registry where there are several.
    pub(super) fn shown(&self, id: Id) -> String {
        let key = self.key(id);
        match self.registries.len() {
            0 | 1 => key.id.to_string(),
            _ => format!("{} of {}", key.id, self.origin(key.registry)),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
