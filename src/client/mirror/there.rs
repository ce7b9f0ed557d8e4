//! What a destination holds already.

use super::{
    Client,
    closure::closure,
    copy::{Base, Copier},
};
use crate::{
    Error, ErrorKind, Result,
    format::{MirrorNote, keys, limits},
    store::{Fetched, Store},
    trust::{Checkpoint, Slot},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// What a destination says that it holds. Its checkpoint is signed; what `mirror.json` says can at worst make a copy that
/// lacks something, which every reader notices and `verify` finds.
pub(super) struct There {
    pub(super) newest: Option<Checkpoint>,
    /// The bytes of `mirror.json`.
    pub(super) note: Option<Bytes>,
    read: Option<MirrorNote>,
    /// A checkpoint that does not verify, damaged or another registry's: the log tells.
    doubtful: bool,
}

impl There {
    pub(super) async fn look(source: &Client, to: &Store) -> Result<Self> {
        let keys = &source.inner.keys;
        let (newest, doubtful) = match to.get_signed(keys::CHECKPOINT, None).await? {
            Fetched::New { bytes, .. } => {
                let opened = Checkpoint::open(bytes, keys).ok();
                let doubtful = opened.is_none();
                (opened, doubtful)
            }
            Fetched::NotModified | Fetched::Absent => (None, false),
        };
        let note = to.get_note(keys::MIRROR, limits::MIRROR).await?;
        let origin = keys.first().map(|k| k.origin().as_str());
        let read = note.as_ref().and_then(|n| MirrorNote::read(n).ok()).filter(|n| Some(n.origin.as_str()) == origin);
        Ok(Self { newest, note, read, doubtful })
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.newest.as_ref().map(Checkpoint::generation)
    }

    /// Whether it holds, of its newest generation, what that note asks for: neither more nor less.
    pub(super) fn is_of(&self, wanted: &MirrorNote) -> bool {
        match (&self.note, &self.read) {
            // A whole copy, however it was made.
            (None, _) => self.newest.is_some() && wanted.only.is_none(),
            // One that was written for another generation is of a run that did not come to its end.
            (_, Some(note)) => Some(note.generation) == self.generation() && note.only == wanted.only,
            (Some(_), None) => false,
        }
    }

    pub(super) fn has_history(&self) -> bool {
        match &self.note {
            None => self.newest.is_some(),
            Some(_) => self.read.as_ref().is_some_and(|n| n.history),
        }
    }

    /// The first generation of those that it holds whole.
    pub(super) fn since(&self) -> u64 {
        self.read.as_ref().map_or(0, |n| n.since)
    }

    /// Whether all that is asked for is there.
    pub(super) fn holds(&self, wanted: &MirrorNote) -> bool {
        self.is_of(wanted) && (self.has_history() || !wanted.history)
    }

    /// The log of the source has to go on where that of the destination ends.
    pub(super) fn require_followed_by(&self, next: Option<&Slot>, to: &Store) -> Result<()> {
        let (Some(newest), Some(next)) = (&self.newest, next) else { return Ok(()) };
        if next.claim().previous == Some(newest.slot().digest()) {
            return Ok(());
        }
        let generation = newest.generation();
        let what = format!("generation {generation} in {to} is not the one that the source's log holds");
        Err(Error::new(ErrorKind::Untrusted, what)
            .with_hint("the registry signed two histories: keep both copies, and ask its operator"))
    }

    /// Which of these slots are not there yet.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when others are there in their place.
    pub(super) async fn lacking(&self, slots: Vec<Slot>, copier: &Copier) -> Result<Vec<Slot>> {
        let to = &copier.to;
        let looked: Vec<_> = futures::stream::iter(slots)
            .map(|slot| async move {
                let found = to.get_signed(&keys::slot(slot.claim().generation), None).await?;
                Ok::<_, Error>(match found {
                    Fetched::New { bytes, .. } if bytes == *slot.bytes() => None,
                    Fetched::New { .. } => return Err(another(to)),
                    Fetched::NotModified | Fetched::Absent => Some(slot),
                })
            })
            .buffered(to.parallel())
            .try_collect()
            .await?;
        let begins_here = looked.first().is_some_and(Option::is_none);
        if self.doubtful && !begins_here {
            return Err(another(to));
        }
        Ok(looked.into_iter().flatten().collect())
    }

    /// The state that it holds, as far as it can be read there.
    pub(super) async fn base(&self, copier: &Arc<Copier>, note: &MirrorNote) -> Base {
        let Some(newest) = &self.newest else { return Base::default() };
        let claim = newest.slot().claim();
        let Ok(state) = copier.state(&claim.snapshot, claim.generation).await else { return Base::default() };
        let Some(only) = &note.only else { return Base::of(state, None) };
        let part = closure(
            (&state.top, &state.details),
            copier.source.origin(),
            only,
            copier.to.parallel(),
            |entry| async move { copier.node_there(&entry).await },
            |entry| async move { copier.node_there(&entry).await },
        )
        .await;
        // What a `*` means is found in the shards that are there, and those are there.
        if part.lacking.is_empty() { Base::of(state, Some(Arc::new(part))) } else { Base::default() }
    }
}

pub(super) fn another(to: &Store) -> Error {
    Error::new(ErrorKind::Conflict, format!("{to} holds another registry"))
        .with_hint("name an empty place, or the one that this registry was mirrored to before")
}
