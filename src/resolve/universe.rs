//! What is known of the registries so far.

use super::{Candidates, Question, RegistryNames};
use crate::package::PackageId;
use std::{cell::RefCell, collections::HashMap, fmt, sync::Arc};

/// A package of one of the registries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The number of the registry.
    pub(crate) registry: u16,
    pub(crate) id: PackageId,
}

/// What is known of a package.
#[derive(Clone)]
pub(super) enum Known {
    /// Nothing yet.
    Unasked,
    /// Its registry does not have it.
    Absent,
    Present(Arc<Candidates>),
}

/// A package by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Id(pub(super) u32);

/// Every package that was heard of.
pub(super) struct Universe {
    registries: Vec<RegistryNames>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    keys: Vec<Key>,
    // Names are a stranger's: a hash without a secret could be made to collide.
    ids: HashMap<Key, Id>,
    known: Vec<Known>,
}

impl Universe {
    pub(super) fn new(question: &Question) -> Self {
        Self { registries: question.registries.clone(), inner: RefCell::default() }
    }

    /// The number of a package.
    pub(super) fn id(&self, key: &Key) -> Id {
        let mut inner = self.inner.borrow_mut();
        if let Some(id) = inner.ids.get(key) {
            return *id;
        }
        // Packages are limited to far fewer.
        let id = Id(u32::try_from(inner.keys.len()).unwrap_or(u32::MAX));
        inner.keys.push(key.clone());
        inner.known.push(Known::Unasked);
        inner.ids.insert(key.clone(), id);
        id
    }

    pub(super) fn len(&self) -> usize {
        self.inner.borrow().keys.len()
    }

    pub(super) fn key(&self, id: Id) -> Key {
        self.inner.borrow().keys[id.0 as usize].clone()
    }

    pub(super) fn known(&self, id: Id) -> Known {
        self.inner.borrow().known[id.0 as usize].clone()
    }

    pub(super) fn candidates(&self, id: Id) -> Option<Arc<Candidates>> {
        match &self.inner.borrow().known[id.0 as usize] {
            Known::Present(candidates) => Some(Arc::clone(candidates)),
            Known::Unasked | Known::Absent => None,
        }
    }

    pub(super) fn learn(&self, key: &Key, candidates: Option<Arc<Candidates>>) {
        let id = self.id(key);
        let known = candidates.map_or(Known::Absent, Known::Present);
        self.inner.borrow_mut().known[id.0 as usize] = known;
    }

    /// The registry that a dependency of a package in `own` is looked up in. There is no other way from one registry to
    /// another, and none at all to one that was not configured.
    pub(super) fn registry(&self, own: u16, named: Option<&str>) -> Option<u16> {
        let Some(named) = named else { return Some(own) };
        let is = |r: &RegistryNames| r.origin == named || r.aliases.iter().any(|a| bare(a) == bare(named));
        (0..).zip(&self.registries).find(|(_, r)| is(r)).map(|(number, _)| number)
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

/// An address without what different programs put around it.
fn bare(address: &str) -> &str {
    address.strip_prefix("sparse+").unwrap_or(address).trim_end_matches('/')
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
