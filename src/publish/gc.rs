//! Collecting garbage: what no generation that is kept refers to is marked, and what a collection a grace period earlier had
//! marked already is moved to the trash, which is purged later. The order of it all is in `docs/format.md`, section 12.

use super::{
    live::Live,
    options::{GcOptions, GcReport},
    registry::Registry,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result,
    format::{Marks, keys, limits},
    package::{Link, Sha256, Timestamp},
    store::{Discarded, Listed, Store, Versioned, is_absent},
    trust::{Boundary, MAX_PINS, MAX_VALIDITY, Slot},
};
use futures::{StreamExt, TryStreamExt};
use std::{collections::BTreeSet, time::Duration};

/// How often a collection begins again when another one was faster.
const ATTEMPTS: u32 = 5;

/// How often the head is looked at again before anything is moved. It need not stand still: what is committed later is
/// looked at once more in the end.
const LOOKS: u32 = 16;

/// So many slots of the log are read at once.
const STRETCH: u64 = 64;

/// The time, as this machine's clock and the store's tell it. An age is counted to the earlier of them, and what is
/// stamped is stamped with the later: so clocks that differ make it wait longer, and never shorter.
struct Clocks<'a> {
    store: &'a Store,
    watch: Watch,
}

impl Clocks<'_> {
    fn both(&self) -> (i64, i64) {
        let here = self.watch.now().unix();
        (here, here + self.store.clock_ahead().unwrap_or_default())
    }

    fn earlier(&self) -> Timestamp {
        let (here, there) = self.both();
        Timestamp::from_unix(here.min(there))
    }

    fn later(&self) -> Timestamp {
        let (here, there) = self.both();
        Timestamp::from_unix(here.max(there))
    }
}

/// One collection under way.
struct Run<'a> {
    options: &'a GcOptions,
    clocks: Clocks<'a>,
}

impl Run<'_> {
    fn is_past(&self, time: Timestamp, by: Duration) -> bool {
        self.clocks.earlier().since(time) > by
    }
}

/// The boundary as it was found.
struct Standing {
    boundary: Boundary,
    version: Versioned,
}

/// The generations that are kept.
struct Kept {
    keeps: u64,
    pins: Vec<u64>,
    slots: Vec<Slot>,
}

/// An object that nothing kept refers to.
#[derive(Clone, Copy)]
struct Dead {
    sha256: Sha256,
    size: u64,
    modified: Timestamp,
    marked: Timestamp,
}

impl Registry {
    /// Collects garbage: marks what no generation that is kept refers to, moves to the trash what was marked by an earlier
    /// collection at least a grace period ago, and purges the trash. Safe beside publishers and other collections, to
    /// interrupt and to repeat. Slots are never collected, nor is the archive of any release that is or was in the newest
    /// snapshot: a release becomes a tombstone, and its archive stays.
    ///
    /// # Errors
    /// When anything of what is kept cannot be read: nothing is deleted on doubt. [`ErrorKind::Invalid`] for more than 64
    /// pins, [`ErrorKind::NotFound`] for one that is not there, or was collected before.
    pub async fn collect(&self, options: &GcOptions) -> Result<GcReport> {
        if options.pins.iter().collect::<BTreeSet<_>>().len() > MAX_PINS {
            return Err(Error::new(ErrorKind::Invalid, format!("at most {MAX_PINS} generations can be pinned")));
        }
        let clocks = Clocks { store: &self.store, watch: Watch::start(options.now) };
        let run = Run { options, clocks };
        for _ in 0..ATTEMPTS {
            if let Some(mut report) = self.try_to_collect(&run).await? {
                self.sweep(&run, &mut report).await;
                return Ok(report);
            }
            tracing::info!("another collection was faster; beginning again");
        }
        Err(Error::new(ErrorKind::Unavailable, format!("other collections of {} were faster each time", self.store))
            .with_hint("nothing was deleted by this one; run it again when no other is under way"))
    }

    /// `None` when another collection came in between, before anything was moved.
    async fn try_to_collect(&self, run: &Run<'_>) -> Result<Option<GcReport>> {
        let writes = !run.options.dry_run;
        let before = self.standing().await?;
        let head = self.newest_slot(&run.clocks.watch, writes).await?;
        let kept = self.kept(&head, before.as_ref(), run).await?;
        let mut live = Live::default();
        self.walk(&mut live, &kept.slots, writes).await?;
        let (marks, list) = self.marks(before.as_ref()).await?;
        // The list that the boundary names is needed until the next boundary is there.
        list.iter().for_each(|l| live.add(l.sha256));
        let mut report = GcReport { generation: head.claim().generation, ..GcReport::default() };
        let trash = self.trash(&live, run, &mut report).await?;
        let dead = self.dead(&live, &marks, run, &mut report).await?;
        let (gone, waiting): (Vec<Dead>, Vec<Dead>) =
            dead.into_iter().partition(|d| run.is_past(d.marked, run.options.grace));
        let marks = Marks::new(gone.iter().chain(&waiting).map(|d| (d.sha256, d.marked)).collect());
        report.ready = waiting.iter().map(|d| d.marked).min().map(|m| m.plus(run.options.grace));
        waiting.iter().for_each(|d| report.marked.add(d.size));
        // As long as nothing goes, all stays promised that was.
        let promised = before.as_ref().map_or((0, Vec::new()), |b| (b.boundary.keeps, b.boundary.pins.clone()));
        (report.keeps, report.pins) = (kept.keeps, kept.pins.clone());
        let promise = if gone.is_empty() { promised } else { (kept.keeps, kept.pins) };
        if !writes {
            gone.iter().for_each(|d| report.collected.add(d.size));
            return Ok(Some(report));
        }
        let sealed = Some(marks).filter(|m| !m.is_empty()).map(|m| m.seal());
        if !gone.is_empty() || sealed.as_ref().map(|o| o.link) != list {
            let marks = match sealed {
                Some(object) if Some(object.link) != list => {
                    Some(self.store.put_object(object, run.clocks.later()).await?)
                }
                Some(object) => Some(object.link),
                None => None,
            };
            let boundary = Boundary {
                origin: self.key.origin().clone(),
                // Never back: a writer that is told of an earlier one would rely on what is gone.
                generation: before.as_ref().map_or(0, |b| b.boundary.generation).max(report.generation),
                keeps: promise.0,
                pins: promise.1,
                time: run.clocks.later(),
                marks,
            };
            let bytes = boundary.sign(&self.key)?;
            // Before anything is moved (I15).
            if !self.store.replace_signed(keys::BOUNDARY, before.as_ref().map(|b| &b.version), &bytes).await? {
                return Ok(None);
            }
            if let Some(list) = list.filter(|l| Some(*l) != boundary.marks) {
                self.drop_marks(&list).await?;
            }
            if !gone.is_empty() {
                self.clear(head, boundary, &mut live, gone, &mut report).await?;
            }
        }
        self.purge(trash, run, &mut report).await?;
        Ok(Some(report))
    }

    /// The boundary that is there. One that is not this registry's stops the collection: somebody meddles with the store.
    async fn standing(&self) -> Result<Option<Standing>> {
        let Some(version) = self.store.get_versioned(keys::BOUNDARY).await? else { return Ok(None) };
        let boundary = Boundary::open(&version.bytes, &self.keys).map_err(|e| {
            let e = Error::from(e);
            Error::new(e.kind(), format!("{} is not this registry's", self.store.place(keys::BOUNDARY)))
                .with_source(e)
                .with_hint("somebody else wrote it; find out who, and delete it by hand")
        })?;
        Ok(Some(Standing { boundary, version }))
    }

    /// Which generations are kept: the newest ones, those that readers may still go by, and those that are pinned.
    async fn kept(&self, head: &Slot, before: Option<&Standing>, run: &Run<'_>) -> Result<Kept> {
        let (newest, options) = (head.claim().generation, run.options);
        let collected = |g: u64| before.is_some_and(|b| !b.boundary.keeps(g));
        let floor = before.map_or(0, |b| b.boundary.keeps);
        if floor > newest {
            let message = format!("{} was put back: garbage was collected at generation {floor}", self.store);
            return Err(Error::new(ErrorKind::Untrusted, message).with_hint("restore the missing objects"));
        }
        let mut slots = vec![head.clone()];
        let mut keeps = newest;
        // Downwards, until neither a slot nor any before it can still be wanted: time never goes back in the log (I6).
        'log: while let Some(last) = slots.last().map(|s| s.claim().generation).filter(|g| *g > floor) {
            for slot in self.slots_before(last, floor, slots.last()).await? {
                let claim = slot.claim();
                if newest - claim.generation < options.keep || !run.is_past(claim.expires, options.grace) {
                    keeps = claim.generation;
                } else if run.is_past(claim.time, MAX_VALIDITY + options.grace) {
                    break 'log;
                }
                slots.push(slot);
            }
        }
        slots.retain(|s| s.claim().generation >= keeps);
        let pins: BTreeSet<u64> = options.pins.iter().copied().filter(|g| *g > newest || *g < keeps).collect();
        for pin in &pins {
            if *pin > newest {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no generation {pin} to pin"))
                    .with_hint(format!("the newest is {newest}")));
            }
            if collected(*pin) {
                let message = format!("generation {pin} cannot be pinned: an earlier collection did not keep it");
                return Err(Error::new(ErrorKind::NotFound, message).with_hint("leave it out"));
            }
            slots.push(self.read_slot(*pin).await?.ok_or_else(|| self.no_slot(*pin))?);
        }
        Ok(Kept { keeps, pins: pins.into_iter().collect(), slots })
    }

    /// A stretch of the log, backwards, each slot checked to be the one that the next one follows.
    async fn slots_before(&self, generation: u64, floor: u64, next: Option<&Slot>) -> Result<Vec<Slot>> {
        let first = generation.saturating_sub(STRETCH).max(floor);
        let numbers = (first..generation).rev();
        let slots: Vec<Slot> = futures::stream::iter(numbers)
            .map(|g| async move { self.read_slot(g).await?.ok_or_else(|| self.no_slot(g)) })
            .buffered(self.store.parallel())
            .try_collect()
            .await?;
        let mut next = next;
        for slot in &slots {
            if next.is_some_and(|n| n.claim().previous != Some(slot.digest())) {
                let place = self.store.place(&keys::slot(slot.claim().generation));
                return Err(Error::new(
                    ErrorKind::Untrusted,
                    format!("{place} is not the slot that the next one follows"),
                ));
            }
            next = Some(slot);
        }
        Ok(slots)
    }

    fn no_slot(&self, generation: u64) -> Error {
        let place = self.store.place(&keys::slot(generation));
        Error::new(ErrorKind::Untrusted, format!("{place} is not there, but the log goes on after it"))
            .with_hint("`ggen-market verify` shows what is missing")
    }

    /// What earlier collections marked, and the link of their list.
    async fn marks(&self, before: Option<&Standing>) -> Result<(Marks, Option<Link>)> {
        let Some(link) = before.and_then(|b| b.boundary.marks) else { return Ok((Marks::default(), None)) };
        let place = || self.store.place(&keys::blob(&link.sha256));
        let read = match self.store.get_raw(&link, limits::MARKS, limits::MARKS_RAW).await {
            Ok(raw) => Marks::read(&raw).map_err(|e| e.at(place())),
            Err(e) => Err(e),
        };
        match read {
            Ok(marks) => Ok((marks, Some(link))),
            // Then all is marked anew, and stays a grace period longer.
            Err(e) if is_absent(&e) || e.kind() == ErrorKind::Untrusted => {
                tracing::warn!("the marks of earlier collections are lost: {}", e.chain());
                Ok((Marks::default(), None))
            }
            Err(e) => Err(e),
        }
    }

    /// The list of the boundary before. It is nobody's but ours, so it need not be marked: lists of nothing but older lists
    /// would follow each other for ever.
    async fn drop_marks(&self, list: &Link) -> Result<()> {
        if let Some(written) = self.store.last_written(&keys::blob(&list.sha256)).await? {
            self.store.discard(&list.sha256, written).await?;
        }
        Ok(())
    }

    /// Looks through the trash, and gives what is in it. What is referred to and was taken away all the same, by a
    /// collection that died before it looked again, is brought back.
    async fn trash(&self, live: &Live, run: &Run<'_>, report: &mut GcReport) -> Result<Vec<(Sha256, Listed)>> {
        let mut trash = Vec::new();
        let mut listed = self.store.listed(keys::TRASH);
        while let Some(found) = listed.try_next().await? {
            let Some(sha256) = keys::parse_trash(&found.key) else {
                report.unknown += 1;
                continue;
            };
            if live.holds(&sha256) && self.store.last_written(&keys::blob(&sha256)).await?.is_none() {
                report.restored += u64::from(run.options.dry_run || self.store.restore(&sha256).await?);
                continue;
            }
            if run.is_past(found.modified, run.options.purge_after) {
                report.purged.add(found.size);
                trash.push((sha256, found));
            } else {
                report.trash.add(found.size);
            }
        }
        Ok(trash)
    }

    /// What nothing kept refers to, and was last written more than a grace period ago: with the time of its first mark, if
    /// it was not written again since, else with the present time.
    async fn dead(&self, live: &Live, marks: &Marks, run: &Run<'_>, report: &mut GcReport) -> Result<Vec<Dead>> {
        let mut dead = Vec::new();
        let now = run.clocks.later();
        let mut listed = self.store.listed(keys::BLOBS);
        while let Some(Listed { key, size, modified }) = listed.try_next().await? {
            let Some(sha256) = keys::parse_blob(&key) else {
                report.unknown += 1;
                continue;
            };
            if live.holds(&sha256) {
                report.live.add(size);
            } else if run.is_past(modified, run.options.grace) {
                let marked = marks.marked(&sha256).filter(|marked| *marked >= modified).unwrap_or(now);
                dead.push(Dead { sha256, size, modified, marked });
            } else {
                report.young.add(size);
            }
        }
        Ok(dead)
    }

    /// Moves to the trash what is to go, and looks at the log before and afterwards.
    async fn clear(
        &self,
        mut head: Slot,
        boundary: Boundary,
        live: &mut Live,
        mut gone: Vec<Dead>,
        report: &mut GcReport,
    ) -> Result<()> {
        for _ in 0..LOOKS {
            let Some(newest) = self.follow(&head, live).await? else { break };
            head = newest;
        }
        gone.retain(|d| !live.holds(&d.sha256));
        let cleared = self.move_all(&gone, report).await;
        // Also when it broke off: what was moved, was moved.
        self.settle(head, &boundary, live, &gone, report).await?;
        self.store.flush().await?;
        cleared
    }

    /// Adds what was committed after that slot to what is alive; gives the newest slot if there is a newer one.
    async fn follow(&self, head: &Slot, live: &mut Live) -> Result<Option<Slot>> {
        let Some(newest) = self.follow_log(Some(head.clone())).await?.filter(|n| n != head) else { return Ok(None) };
        let (first, last) = (head.claim().generation + 1, newest.claim().generation);
        let mut slots = self.slots_before(last, first, Some(&newest)).await?;
        while let Some(lowest) = slots.last().map(|s| s.claim().generation).filter(|g| *g > first) {
            slots.extend(self.slots_before(lowest, first, slots.last()).await?);
        }
        slots.push(newest.clone());
        self.walk(live, &slots, true).await?;
        Ok(Some(newest))
    }

    async fn move_all(&self, gone: &[Dead], report: &mut GcReport) -> Result<()> {
        let mut moves = futures::stream::iter(gone.to_vec())
            .map(|dead| async move { self.store.discard(&dead.sha256, dead.modified).await.map(|done| (dead, done)) })
            .buffer_unordered(self.store.parallel());
        while let Some((dead, done)) = moves.try_next().await? {
            match done {
                Discarded::Yes => {
                    report.collected.add(dead.size);
                    report.trash.add(dead.size);
                }
                Discarded::Changed => report.spared += 1,
                Discarded::Gone => {}
            }
        }
        Ok(())
    }

    /// Closes the gap between looking at an object and moving it. A writer may have written the object right in between and
    /// commit it now. If its commit is in the log when we look for the last time, what it cites is brought back here. If it
    /// is not, its writer looks at the boundary after that, and the boundary says by then that garbage was collected at its
    /// base or later. And a writer whose base we have not seen began after the last move.
    async fn settle(
        &self,
        head: Slot,
        boundary: &Boundary,
        live: &mut Live,
        gone: &[Dead],
        report: &mut GcReport,
    ) -> Result<()> {
        let head = self.follow(&head, live).await?.unwrap_or(head);
        if head.claim().generation > boundary.generation {
            self.advance(head.claim().generation).await?;
            self.follow(&head, live).await?;
        }
        for dead in gone.iter().filter(|d| live.holds(&d.sha256)) {
            if self.store.last_written(&keys::blob(&dead.sha256)).await?.is_none() {
                report.restored += u64::from(self.store.restore(&dead.sha256).await?);
            }
        }
        Ok(())
    }

    /// Says that garbage was collected while that generation was there already.
    async fn advance(&self, generation: u64) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(there) = self.standing().await?.filter(|s| s.boundary.generation < generation) else {
                return Ok(());
            };
            let bytes = Boundary { generation, ..there.boundary }.sign(&self.key)?;
            if self.store.replace_signed(keys::BOUNDARY, Some(&there.version), &bytes).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "other collections got in between each time")
            .with_hint("run it again: it makes sure that nothing is missing"))
    }

    /// Removes what killed runs left half written, of which none can be at work any more. What cannot be removed is told, and
    /// is no reason to keep quiet about the rest.
    async fn sweep(&self, run: &Run<'_>, report: &mut GcReport) {
        let left = self.store.leftovers().await.unwrap_or_else(|e| {
            tracing::warn!("what killed runs left is not known: {}", e.chain());
            Vec::new()
        });
        for file in left.iter().filter(|f| run.is_past(f.modified, run.options.grace)) {
            let removed = if run.options.dry_run { Ok(true) } else { self.store.remove_leftover(file).await };
            match removed {
                Ok(true) => report.leftovers.add(file.size),
                Ok(false) => {}
                Err(e) => tracing::warn!("{}", e.chain()),
            }
        }
    }

    /// Deletes from the trash what was in it for long enough.
    async fn purge(&self, trash: Vec<(Sha256, Listed)>, run: &Run<'_>, report: &mut GcReport) -> Result<()> {
        let keys = futures::stream::iter(trash).map(|(sha256, found)| async move {
            // It may have come here anew since it was listed.
            let there = self.store.last_written(&found.key).await?;
            let old = there.is_some_and(|t| run.is_past(t, run.options.purge_after));
            if old {
                self.store.purge(&sha256).await?;
            }
            Ok::<_, Error>((old, found.size))
        });
        let mut purges = keys.buffer_unordered(self.store.parallel());
        while let Some((purged, size)) = purges.try_next().await? {
            if !purged {
                report.purged.objects -= 1;
                report.purged.bytes -= size;
            }
        }
        Ok(())
    }
}
