//! Mirrors: copies of a registry that verify as it does. Bytes are copied and nothing is signed, so a mirror takes the public
//! key and no other, and whoever reads from it need not trust it.
//!
//! What is there first is what is linked: archives, the nodes of both trees, children before parents, the change list and whatever else a snapshot
//! links, the snapshot, the slots in order, and the checkpoint last. A run that dies leaves a mirror that is as it was, and
//! more objects; the next one finds them.

mod closure;
mod copy;
mod there;

pub(super) use closure::{Closure, closure};

use super::{Client, in_doubt, no_registry};
use crate::{
    Error, ErrorKind, Result,
    format::{
        MirrorNote,
        keys::{self, Class},
        limits,
    },
    package::{Pattern, Timestamp},
    store::{Fetched, Same, Store, may_be_absent},
    trust::{Boundary, Checkpoint, Slot, Verdict, decide},
};
use copy::{Base, Copier, State};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};
use there::There;

/// How often the pointer is looked at again, when others write it at the same time.
const POINTER_TRIES: u32 = 10;

/// What to mirror.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct MirrorOptions {
    /// Only these packages and what they depend on, in all their releases; everything where there is none.
    pub only: Vec<Pattern>,
    /// Older generations too, as far as the source still has them.
    pub history: bool,
    /// Work out what would be copied, and write nothing. What the destination has is then judged by its size alone.
    pub dry_run: bool,
    /// Told how it goes on.
    pub progress: Option<Arc<dyn Fn(MirrorProgress) + Send + Sync>>,
}

impl fmt::Debug for MirrorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { only, history, dry_run, progress } = self;
        let told = progress.is_some();
        write!(f, "MirrorOptions {{ only: {only:?}, history: {history}, dry_run: {dry_run}, progress: {told} }}")
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorProgress {
    /// Objects copied so far.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Shards of the index that are done with all that they link, of the generation that is being copied.
    pub shards: u64,
    /// Of so many.
    pub of_shards: u64,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorReport {
    /// The newest generation of the source.
    pub generation: u64,
    /// The newest generation that the destination had before, if it had one.
    pub previous: Option<u64>,
    /// Objects copied: of a dry run, those that would be.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were looked for at the destination, and found there.
    pub present: u64,
    /// Packages in the shards that were copied.
    pub packages: u64,
    /// Slots copied.
    pub slots: u64,
    /// Older generations that were asked for and that the source does not hold any more.
    pub gone: u64,
}

impl Client {
    /// Copies the newest state of this client's registry into a store: what is new since the last time, or what is missing
    /// of it. Everything is checked by its link before it is there, and nothing is ever replaced but the checkpoint and
    /// `mirror.json`, by newer ones.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the destination holds another registry, [`ErrorKind::NotFound`] for a pattern that means
    /// no package, [`ErrorKind::Expired`] for a source that has expired, and whatever reading and writing may come to.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ggen_marketplace::Error> {
    /// use ggen_marketplace::{Client, ClientOptions, MirrorOptions, Store};
    /// let store = Store::open("https://packages.example.com/ggen")?;
    /// let client = Client::new(store, &["packages.example.com/ggen+c5ac1d3d+AYx…".parse()?], ClientOptions::default())?;
    /// let mut options = MirrorOptions::default();
    /// options.only = vec!["pack:io.ggen.*".parse()?];
    /// let report = client.mirror(&Store::create("./mirror")?, &options).await?;
    /// println!("{} objects copied", report.objects);
    /// # Ok(()) }
    /// ```
    pub async fn mirror(&self, to: &Store, options: &MirrorOptions) -> Result<MirrorReport> {
        let mut options = options.clone();
        options.only.sort();
        options.only.dedup();
        // Past every cache: what is copied comes from the source itself.
        self.online("a registry that is to be copied")?;
        let source = self.without_caches();
        let head = source.newest_here().await?;
        let there = There::look(&source, to).await?;
        let only = Some(options.only.clone()).filter(|o| !o.is_empty());
        let mut note = MirrorNote::new(head.origin().as_str(), head.generation(), only);
        note.history = options.history;
        let mut report =
            MirrorReport { generation: head.generation(), previous: there.generation(), ..Default::default() };
        if let Some(newest) = &there.newest {
            decide(Some(newest), &head, Timestamp::now())
                .require_honest()
                .map_err(|e| in_doubt(&to.place(keys::CHECKPOINT), e))?;
            let older = newest.generation() > head.generation();
            if older || newest.generation() == head.generation() && there.holds(&note) {
                return Ok(report);
            }
        }
        let copier = Copier::new(source, to.clone(), options);
        let run = Run { copier, head, there };
        run.all(&mut note, &mut report).await?;
        let tally = &run.copier.tally;
        report.objects = tally.objects.load(Ordering::Relaxed);
        report.bytes = tally.bytes.load(Ordering::Relaxed);
        report.present = tally.present.load(Ordering::Relaxed);
        report.packages = tally.packages.load(Ordering::Relaxed);
        Ok(report)
    }

    /// The checkpoint that the store itself has, also where this machine has seen a newer one elsewhere: what is copied is
    /// what is here.
    async fn newest_here(&self) -> Result<Checkpoint> {
        let store = &self.inner.store;
        let Fetched::New { bytes, .. } = self.timed(store.get_signed(keys::CHECKPOINT, None)).await? else {
            return Err(no_registry(store));
        };
        let seen =
            Checkpoint::open(bytes, &self.inner.keys).map_err(|e| in_doubt(&store.place(keys::CHECKPOINT), e))?;
        let decision = match &self.inner.trusted {
            Some(state) => state.see(&seen, Timestamp::now())?.0,
            None => decide(None, &seen, Timestamp::now()),
        };
        decision.require_honest().map_err(|e| in_doubt(&store.place(keys::CHECKPOINT), e))?;
        if let Verdict::StaleMirror { behind } = decision.verdict {
            tracing::warn!("{store} is {behind} generations behind what was read before; copying what it has");
        }
        self.require_fresh(&seen)?;
        Ok(seen)
    }
}

/// One run, from one checkpoint to one destination.
struct Run {
    copier: Arc<Copier>,
    head: Checkpoint,
    there: There,
}

impl Run {
    async fn all(&self, note: &mut MirrorNote, report: &mut MirrorReport) -> Result<()> {
        let (source, options) = (&self.copier.source, self.copier.options());
        let newest = self.head.generation();
        let first = self.there.generation().map_or(0, |g| g + 1);
        let goes_on = self.there.is_of(note);
        let history_goes_on = goes_on && self.there.has_history();
        let from = if options.history && !history_goes_on { 0 } else { first };
        let slots = if from > newest { Vec::new() } else { source.chain(from, self.head.slot().clone()).await? };
        let new: Vec<Slot> = slots.iter().filter(|s| s.claim().generation >= first).cloned().collect();
        self.there.require_followed_by(new.first(), &self.copier.to)?;
        // Before anything is written.
        let new = self.there.lacking(new, &self.copier).await?;

        let older: &[Slot] = if options.history { slots.split_last().map_or(&[], |(_, older)| older) } else { &[] };
        let mut base =
            if goes_on && from == first { self.there.base(&self.copier, note).await } else { Base::default() };
        note.since = match (options.history, history_goes_on) {
            (false, _) => newest,
            (true, true) => self.there.since(),
            (true, false) => 0,
        };
        let mut last = None;
        for slot in older {
            let link = slot.claim().snapshot;
            if last == Some(link.sha256) || link == self.head.slot().claim().snapshot {
                continue; // a renewal
            }
            last = Some(link.sha256);
            match self.state(slot, &base, note, false).await {
                Ok(copied) => base = copied,
                Err(e) if may_be_absent(&e) => {
                    report.gone += 1;
                    note.since = slot.claim().generation + 1;
                }
                Err(e) => return Err(e),
            }
        }
        let copied = self.state(self.head.slot(), &base, note, true).await;
        source.explained(newest, format!("generation {newest}"), copied).await?;
        self.finish(&new, note, report).await
    }

    /// Copies the state of one slot, and gives it as the base of the next.
    async fn state(&self, slot: &Slot, base: &Base, note: &MirrorNote, strict: bool) -> Result<Base> {
        let state = self.copier.state(&slot.claim().snapshot, slot.claim().generation).await?;
        let part = match &note.only {
            Some(only) => Some(Arc::new(self.part(&state, only, strict).await?)),
            None => None,
        };
        self.copier.copy(&state, base, part.as_ref()).await?;
        Ok(Base::of(state, part))
    }

    /// What patterns mean in a state. Of an older one it may be nothing.
    async fn part(&self, state: &State, only: &[Pattern], strict: bool) -> Result<Closure> {
        let mut part = closure(
            (&state.top, &state.details),
            self.copier.source.origin(),
            only,
            self.copier.to.parallel(),
            |entry| async move { self.copier.node(&entry).await },
            |entry| async move { self.copier.node(&entry).await },
        )
        .await;
        if let Some((_, e)) = part.lacking.pop() {
            return Err(e);
        }
        if let Some((_, e)) = part.unlisted.pop() {
            // Of a source that is itself the mirror of a part, all that it has of what a `*` means.
            let store = &self.copier.source.inner.store;
            match self.copier.source.mirror_note().await.filter(|n| n.only.is_some() && may_be_absent(&e)) {
                Some(note) => tracing::warn!("{store} is a mirror of a part itself ({})", note.holds()),
                None => return Err(e),
            }
        }
        match part.unmatched.first().filter(|_| strict) {
            Some(pattern) => {
                let message = format!("{} has no package {pattern}", state.snapshot.origin);
                Err(Error::new(ErrorKind::NotFound, message).with_hint("`ggen-market list` shows what there is"))
            }
            None => Ok(part),
        }
    }

    /// Writes what makes all that was copied visible.
    async fn finish(&self, new: &[Slot], note: &MirrorNote, report: &mut MirrorReport) -> Result<()> {
        let (copier, to) = (&self.copier, &self.copier.to);
        report.slots = new.len() as u64;
        if copier.options().dry_run {
            new.iter().for_each(|s| copier.written(s.bytes().len() as u64));
            return Ok(());
        }
        to.flush().await?;
        for slot in new {
            let key = keys::slot(slot.claim().generation);
            if to.put_same(&key, Class::Slot, slot.bytes()).await? == Same::Other {
                return Err(there::another(to));
            }
            copier.written(slot.bytes().len() as u64);
        }
        if note.history {
            self.boundary().await?;
        }
        let bytes = note.write();
        if bytes.len() as u64 > limits::MIRROR {
            return Err(Error::new(ErrorKind::Invalid, "too many patterns for a mirror to remember")
                .with_hint("shorten the list with `*`"));
        }
        let partial = note.only.is_some() || note.since > 0;
        if self.there.note.as_deref() != Some(&bytes) && (partial || self.there.note.is_some()) {
            copier.written(bytes.len() as u64);
            to.put_pointer(keys::MIRROR, Class::Pointer, bytes.into(), None).await?;
        }
        to.flush().await?;
        self.checkpoint().await
    }

    /// What was collected of the past at the source is told by a signed statement: it comes along.
    async fn boundary(&self) -> Result<()> {
        let (source, to) = (&self.copier.source, &self.copier.to);
        let open = |got: Fetched| match got {
            Fetched::New { bytes, .. } => Boundary::open(&bytes, &source.inner.keys).ok().map(|b| (b, bytes)),
            Fetched::NotModified | Fetched::Absent => None,
        };
        let Some((theirs, bytes)) = open(source.inner.store.get_signed(keys::BOUNDARY, None).await?) else {
            return Ok(());
        };
        let ours = open(to.get_signed(keys::BOUNDARY, None).await?);
        if ours.is_none_or(|(ours, _)| ours.generation < theirs.generation) {
            self.copier.written(bytes.len() as u64);
            to.put_pointer(keys::BOUNDARY, Class::Pointer, bytes, None).await?;
        }
        Ok(())
    }

    /// Moves the pointer forward, never back (invariant I12): another run may have come further meanwhile.
    async fn checkpoint(&self) -> Result<()> {
        let (to, head) = (&self.copier.to, &self.head);
        for _ in 0..POINTER_TRIES {
            let mut known = None;
            if let Fetched::New { bytes, version } = to.get_signed(keys::CHECKPOINT, None).await? {
                known = Some(version);
                if let Ok(there) = Checkpoint::open(bytes, &self.copier.source.inner.keys)
                    && there.generation() >= head.generation()
                {
                    return Ok(());
                }
            }
            if to.put_pointer(keys::CHECKPOINT, Class::Pointer, head.bytes().clone(), known).await? {
                self.copier.written(head.bytes().len() as u64);
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, format!("other runs wrote {} each time", to.place(keys::CHECKPOINT)))
            .with_hint("all is copied; run it again when no other does"))
    }
}
