//! How a run is to be done, and what it says that it did.

use super::{
    commit::{Batch, Committed},
    plan::{Outcome, shown},
    views::ViewReport,
};
use crate::{
    Error, ErrorKind, Result,
    format::Changes,
    package::{PackageId, Timestamp, archive},
    source::{Place, Refusal, ScanStats},
    trust::MAX_VALIDITY,
    view::{View, ViewOptions},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Fills bytes with what nobody can foresee.
pub type RandomSource = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// How to write.
#[derive(Clone)]
#[non_exhaustive]
pub struct BuildOptions {
    /// The time that is stamped on what is new.
    pub now: Timestamp,
    /// What time it is, where that is another: by it, it is told how old an object in the store is.
    pub clock: Timestamp,
    /// How long a checkpoint holds: at most seven days. A build renews it in the second half of that time.
    pub validity: Duration,
    /// Work everything out, and write nothing.
    pub dry_run: bool,
    /// Turn releases that the sources no longer have into tombstones.
    pub delete: bool,
    /// The scan cache: which files were read before. None: every file is read.
    pub cache: Option<PathBuf>,
    /// Make a search index, so that packages are found by anything else than their names. Without it a commit leaves the
    /// registry without one.
    pub search: bool,
    /// How often packages were downloaded. What is not told stays as it was told last.
    pub downloads: Arc<BTreeMap<PackageId, u64>>,
    /// Read every file, whatever the cache says.
    pub rescan: bool,
    /// What an archive may be.
    pub limits: archive::Limits,
    /// The views to bring up to date after the commit, also where nothing changed: a run that died may have left them behind.
    pub views: Option<ViewOptions>,
    /// Told how it goes on.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    /// Where the random bytes of a claim, and of the pauses between two of them, come from: the system, if nothing else is
    /// given. Only for simulations, which want the same run twice: a claim whose bytes repeat can be taken for another's.
    pub random: Option<RandomSource>,
}

impl BuildOptions {
    /// The usual ways, at that time.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            clock: now,
            validity: MAX_VALIDITY,
            dry_run: false,
            delete: false,
            cache: None,
            rescan: false,
            search: true,
            downloads: Arc::default(),
            limits: archive::Limits::default(),
            views: None,
            progress: None,
            random: None,
        }
    }

    /// The usual ways, now.
    pub fn now() -> Self {
        Self::at(Timestamp::now())
    }

    /// Fills bytes with what nobody can foresee.
    pub(super) fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        match &self.random {
            Some(fill) => fill(bytes),
            None => getrandom::fill(bytes).map_err(|e| {
                Error::new(ErrorKind::Io, "this machine gives no random numbers").with_source(e.to_string())
            })?,
        }
        Ok(())
    }

    /// When what is committed at that time expires.
    pub(super) fn expiry(&self, time: Timestamp) -> Result<Timestamp> {
        if self.validity > MAX_VALIDITY {
            let days = MAX_VALIDITY.as_secs() / 86_400;
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("a registry cannot be valid for more than {days} days"),
            )
            .with_hint("it is renewed by each run: let one run more often instead"));
        }
        Ok(time.plus(self.validity))
    }

    pub(super) fn nonce(&self) -> Result<[u8; 16]> {
        let mut nonce = [0; 16];
        self.fill_random(&mut nonce)?;
        Ok(nonce)
    }

    pub(super) fn report(&self, progress: Progress) {
        if let Some(tell) = &self.progress {
            tell(progress);
        }
    }
}

impl fmt::Debug for BuildOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            now,
            clock,
            validity,
            dry_run,
            delete,
            cache,
            rescan,
            search,
            limits,
            views,
            progress,
            downloads,
            random: _,
        } = self;
        write!(
            f,
            "BuildOptions {{ now: {now}, clock: {clock}, validity: {validity:?}, dry_run: {dry_run}, delete: {delete}, "
        )?;
        write!(
            f,
            "cache: {cache:?}, rescan: {rescan}, search: {search}, downloads: {}, limits: {limits:?}, views: {views:?}, progress: {} }}",
            downloads.len(),
            progress.is_some()
        )
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// So many releases were found.
    Scanned(u64),
    /// So many objects of a batch are stored.
    Put {
        /// Stored so far.
        finished: u64,
        /// In this batch.
        total: u64,
    },
    /// So many files of a view were written, or found to be right.
    View {
        /// Which one.
        view: View,
        /// So far.
        finished: u64,
        /// Of those that are known to be looked at.
        total: u64,
    },
}

/// What a run did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The registry's generation now.
    pub generation: u64,
    /// Whether this run made that generation.
    pub committed: bool,
    /// Until when readers may go by it.
    pub expires: Timestamp,
    /// Releases published.
    pub added: u64,
    /// Releases that the registry had already.
    pub unchanged: u64,
    /// Releases marked as yanked.
    pub yanked: u64,
    /// Yanks taken back.
    pub unyanked: u64,
    /// Releases turned into tombstones.
    pub removed: u64,
    /// What was not published, and why.
    pub refused: Vec<Refusal>,
    /// Set when `delete` was asked for and left undone, because something was refused: what a refused file holds is not
    /// known, so nothing can be said to be missing.
    pub deletion_skipped: bool,
    /// What changed, by package.
    pub changes: Changes,
    /// What the scan saw.
    pub scan: ScanStats,
    /// Objects written.
    pub puts: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What became of the views, in their order.
    pub views: Vec<ViewReport>,
    /// Why the view after those is not up to date; it and later ones stay behind until a run brings them up to date. What was
    /// committed, is.
    pub view_error: Option<Error>,
}

impl Report {
    /// The same, or why a view is not up to date: for callers to whom that is an error like any other.
    ///
    /// # Errors
    /// [`Report::view_error`], where there is one.
    pub fn require_views(mut self) -> Result<Self> {
        self.view_error.take().map_or(Ok(self), Err)
    }

    /// What came of a batch.
    pub(super) fn of(batch: &Batch, committed: Committed, mut refused: Vec<Refusal>, scan: ScanStats) -> Self {
        let (mut added, mut unchanged, mut yanked, mut unyanked, mut removed) = (0, 0, 0, 0, 0);
        for (change, outcome) in batch.changes.iter().zip(committed.outcomes) {
            match outcome {
                Outcome::Added | Outcome::Restored => added += 1,
                Outcome::Unchanged => unchanged += 1,
                Outcome::Yanked => yanked += 1,
                Outcome::Unyanked => unyanked += 1,
                Outcome::Removed => removed += 1,
                // A file that changes between two readings of one run; the next run sees it.
                Outcome::Stale => {}
                Outcome::Refused(error) => {
                    let place = change
                        .place
                        .clone()
                        .unwrap_or_else(|| Place { path: Path::new(&shown(&change.label)).into(), line: None });
                    refused.push(Refusal { place, error });
                }
            }
        }
        Self {
            generation: committed.generation,
            committed: committed.new,
            expires: committed.expires,
            added,
            unchanged,
            yanked,
            unyanked,
            removed,
            refused,
            deletion_skipped: false,
            views: Vec::new(),
            view_error: None,
            changes: committed.changed,
            scan,
            puts: committed.tally.puts,
            bytes: committed.tally.bytes,
        }
    }
}

/// What to keep, and how patiently to collect the rest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GcOptions {
    /// What time it is.
    pub now: Timestamp,
    /// How many of the newest generations are kept whole: at least one. Those that readers may still go by are kept anyway.
    pub keep: u64,
    /// How long something stays after it was marked, after it was written, and after the checkpoint that cites it expired.
    /// Shorter than [`GcOptions::MIN_GRACE`] is for tests: then a slow writer's objects may be taken from under it.
    pub grace: Duration,
    /// Earlier generations that are kept whole: at most 64.
    pub pins: Vec<u64>,
    /// How long what was collected stays in the trash.
    pub purge_after: Duration,
    /// Work everything out, and write nothing.
    pub dry_run: bool,
}

impl GcOptions {
    /// The shortest grace period that is safe: four times the 12 hours that a writer may take from its first object to its
    /// commit, which leaves room for the caches of a CDN and for clocks that differ.
    pub const MIN_GRACE: Duration = Duration::from_secs(48 * 3600);

    /// The usual ways, at that time: ten generations, 48 hours of grace, 30 days in the trash.
    pub fn at(now: Timestamp) -> Self {
        let purge_after = Duration::from_secs(30 * 86_400);
        Self { now, keep: 10, grace: Self::MIN_GRACE, pins: Vec::new(), purge_after, dry_run: false }
    }

    /// The usual ways, now.
    pub fn now() -> Self {
        Self::at(Timestamp::now())
    }
}

/// So many objects, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Objects.
    pub objects: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// What a collection found and did; of a dry run, what it would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcReport {
    /// The newest generation.
    pub generation: u64,
    /// This generation and all later ones are kept whole.
    pub keeps: u64,
    /// Earlier ones that are kept whole as well.
    pub pins: Vec<u64>,
    /// What the generations that are kept refer to.
    pub live: Amount,
    /// What they do not refer to, written less than a grace period ago: perhaps by a writer that is about to commit it.
    pub young: Amount,
    /// What is marked as garbage, and stays until its grace period is over.
    pub marked: Amount,
    /// When the first of it can go.
    pub ready: Option<Timestamp>,
    /// What was moved to the trash.
    pub collected: Amount,
    /// What was about to be moved and was written again in the meantime.
    pub spared: u64,
    /// What was brought back from the trash, because something refers to it again.
    pub restored: u64,
    /// What is in the trash now.
    pub trash: Amount,
    /// What was deleted from it for good.
    pub purged: Amount,
    /// Files that killed runs left beside their places in a folder, half written, and that were removed.
    pub leftovers: Amount,
    /// Keys among the objects and in the trash that are not of this layout: they are left alone.
    pub unknown: u64,
}
