//! Mirrors that hold a part of their registry. What a mirror says about itself is not signed: it words messages, and never
//! makes a reader take anything for true.

use super::Client;
use crate::{
    Error, ErrorKind, Result,
    format::{Entry, MirrorNote, keys, limits},
    index::Node,
    package::{PackageId, Record},
    store::may_be_absent,
};
use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

impl Client {
    /// What the copy that is read says of itself, if it says anything about this registry.
    pub(super) async fn mirror_note(&self) -> Option<MirrorNote> {
        if self.inner.options.offline {
            return None;
        }
        let note = self.timed(self.inner.store.get_note(keys::MIRROR, limits::MIRROR)).await.ok()??;
        let origin = self.inner.keys.first().map(|k| k.origin().as_str());
        MirrorNote::read(&note).ok().filter(|n| Some(n.origin.as_str()) == origin)
    }

    /// Whether the copy says that it was not meant to hold all of that generation.
    pub(super) async fn leaves_out(&self, generation: u64) -> bool {
        self.mirror_note().await.is_some_and(|note| generation < note.since)
    }

    /// The error for something that seems to be absent: where the mirror was not meant to hold it, that is what is said.
    /// `generation` is the one that was read.
    pub(super) async fn or_not_mirrored(&self, generation: u64, what: impl Display, e: Error) -> Error {
        match self.mirror_note().await.filter(|n| n.only.is_some() || generation < n.since) {
            Some(note) => Error::new(ErrorKind::Unavailable, format!("{what} is not mirrored here ({})", note.holds()))
                .with_source(e)
                .with_hint("ask the registry itself, or a mirror that holds it"),
            None => e,
        }
    }

    /// A node of the index; `None` where a partial mirror was not meant to hold it, which is told once.
    pub(super) async fn node_if_mirrored(
        &self,
        generation: u64,
        entry: &Entry,
        left_out: &LeftOut,
    ) -> Result<Option<Node>> {
        let e = match self.node(entry).await {
            Ok(node) => return Ok(Some(node)),
            Err(e) => e,
        };
        if !left_out.0.load(Ordering::Relaxed) {
            let partial = if may_be_absent(&e) { self.mirror_note().await.filter(|n| n.only.is_some()) } else { None };
            let Some(note) = partial else {
                return self.explained(generation, part_of(generation), Err(e)).await;
            };
            if !left_out.0.swap(true, Ordering::Relaxed) {
                let store = &self.inner.store;
                tracing::warn!(
                    "{store} is a mirror of a part: what it does not hold is not in the list ({})",
                    note.holds()
                );
            }
        } else if !may_be_absent(&e) {
            return Err(e);
        }
        Ok(None)
    }
}

/// Whether something was left out of a listing, and told.
#[derive(Clone, Default)]
pub(super) struct LeftOut(Arc<AtomicBool>);

/// Whether an error is one of [`Client::or_not_mirrored`].
pub(super) fn is_not_mirrored(e: &Error) -> bool {
    let cause = std::error::Error::source(e).and_then(|e| e.downcast_ref::<Error>());
    e.kind() == ErrorKind::Unavailable && cause.is_some_and(may_be_absent)
}

/// How messages call some node of the index.
pub(super) fn part_of(generation: u64) -> String {
    format!("a part of generation {generation}")
}

/// How messages call a release.
pub(super) fn release(record: &Record) -> String {
    match PackageId::new(record.kind, &record.name) {
        Ok(id) => format!("{id} {}", record.version),
        Err(_) => format!("{} {}", record.name, record.version),
    }
}
