//! The writer's side of a registry, and what its verbs do.

use super::{
    commit::{Batch, Committed},
    early::{Early, early},
    plan::{self, Change, Outcome, What, shown},
    put::{Session, Tally},
    search::counts,
    stage::stage,
    views::ViewReport,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{Changes, FORMAT_VERSION, Snapshot},
    index,
    package::{PackageId, Timestamp, Version, Yanked, archive},
    source::{self, Place, Refusal, ScanOptions, ScanStats, Spool},
    store::{DiskCache, Payload, Store, TrustedState},
    trust::{Claim, MAX_VALIDITY, SigningKey, VerifierKey},
    view::{View, ViewOptions},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A registry, for those who may write to it.
///
/// ```no_run
/// # async fn example() -> Result<(), ggen_marketplace::Error> {
/// use ggen_marketplace::{BuildOptions, Registry, SigningKey, Store};
/// let key = SigningKey::generate("packages.example.com".parse()?)?;
/// let registry = Registry::new(Store::create("./registry")?, key, "./state".as_ref());
/// let options = BuildOptions::now();
/// registry.init(&options).await?;
/// let report = registry.build(&["./packages".into()], &options).await?;
/// println!("{} releases added", report.added);
/// # Ok(()) }
/// ```
pub struct Registry {
    pub(super) store: Store,
    pub(super) key: SigningKey,
    pub(super) keys: Vec<VerifierKey>,
    pub(super) trusted: TrustedState,
    /// The index as it was last read or written, so that a run with nothing to do asks the store for nothing but whether
    /// somebody else had something to do. Only for a bucket: a folder is near enough.
    pub(super) cache: Option<Arc<DiskCache>>,
}

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
}

impl Registry {
    /// The registry in that store whose key this is. `state` is a folder of this machine, kept from run to run, that
    /// remembers the newest generation, so that a store that was put back to an older one is noticed; and the index, so
    /// that it is not fetched from a bucket each time. A [`Client`](crate::Client) may have the same folder as its cache.
    pub fn new(store: Store, key: SigningKey, state: &Path) -> Self {
        let keys = vec![key.verifier().clone()];
        let trusted = TrustedState::new(state, &keys);
        let cache = store.is_bucket().then(|| Arc::new(DiskCache::new(state)));
        Self { store, key, keys, trusted, cache }
    }

    /// Makes an empty registry: generation 0.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where one is already.
    pub async fn init(&self, options: &BuildOptions) -> Result<()> {
        let exists = || {
            Error::new(ErrorKind::Invalid, format!("there is a registry in {} already", self.store))
                .with_hint("use it as it is, or take an empty folder")
        };
        let watch = Watch::start(options.now);
        match self.read_slot(0).await {
            Ok(None) => {}
            Ok(Some(_)) => return Err(exists()),
            // There is one, of another key.
            Err(e) if matches!(e.kind(), ErrorKind::Untrusted | ErrorKind::Unsupported) => {
                return Err(exists().with_source(e));
            }
            Err(e) => return Err(e),
        }
        self.store.require_fair().await?;
        let snapshot = Snapshot {
            changes: None,
            created: options.now,
            format: FORMAT_VERSION,
            generation: 0,
            index: Vec::new(),
            origin: self.key.origin().to_string(),
            packages: 0,
            policy: None,
            previous: None,
            releases: 0,
            search: Vec::new(),
            stats: None,
            kind: "snapshot".into(),
        }
        .seal();
        self.store.put_linked(&snapshot.link, Payload::Bytes(snapshot.bytes), options.clock).await?;
        self.store.flush().await?;
        let claim = Claim {
            origin: self.key.origin().clone(),
            generation: 0,
            previous: None,
            snapshot: snapshot.link,
            time: options.now,
            expires: options.now.plus(options.validity),
            nonce: options.nonce()?,
        };
        let slot = claim.sign(&self.key)?;
        if !self.claim(&slot, options).await? {
            return Err(exists());
        }
        self.publish_checkpoint(&slot, &watch, options, &mut Tally::default()).await
    }

    /// Publishes what the sources hold and the registry does not. Safe to repeat, to interrupt at any point and to run
    /// beside others: what is committed stays, and what is unchanged costs nothing.
    ///
    /// # Errors
    /// A package that cannot be published is no error: it is in [`Report::refused`]. An error means that nothing, or all
    /// that the message says, was committed.
    pub async fn build(&self, sources: &[PathBuf], options: &BuildOptions) -> Result<Report> {
        // First the store: a wrong key or an unreachable bucket should not wait for the end of a long scan.
        let watch = Watch::start(options.now);
        let seen = self.newest_slot(&watch, !options.dry_run).await?;
        let mut session = Session::begin(watch.showing(options.clock));
        let scan = if seen.claim().generation == 0 && !options.dry_run {
            self.require_safe_store(&seen, options.now).await?;
            let (early, waiting) = early(&self.store);
            let scan = self.scan(sources, watch, Some(early), options);
            let (scan, put) = futures::join!(scan, self.put_early(waiting, &mut session));
            put?;
            scan
        } else {
            self.scan(sources, watch, None, options).await
        };
        let (mut batch, mut refused, scan) = scan?;
        batch.seen = Some(seen);
        let deletion_skipped = options.delete && !refused.is_empty();
        if options.delete && !deletion_skipped {
            self.add_removals(&mut batch, options).await?;
        }
        let mut committed = self.commit_in(session, &batch, options).await?;
        if committed.outcomes.iter().any(|o| matches!(o, Outcome::Stale)) {
            refused.extend(self.read_again(&mut batch, &committed.outcomes, options).await?);
            committed = self.commit(&batch, options).await?;
        }
        let mut report = report(&batch, committed, refused, scan);
        report.deletion_skipped = deletion_skipped;
        report.views = self.bring_views(&batch.watch, false, options).await?;
        Ok(report)
    }

    /// Marks a release as not to be chosen any more; it stays available to those who have it locked.
    pub async fn yank(
        &self,
        package: &PackageId,
        version: &Version,
        reason: Option<&str>,
        options: &BuildOptions,
    ) -> Result<Report> {
        let yanked = Yanked { reason: reason.map(Into::into), time: options.now };
        self.mark(package, What::Yank { version: version.clone(), yanked }, options).await
    }

    /// Takes a yank back.
    pub async fn unyank(&self, package: &PackageId, version: &Version, options: &BuildOptions) -> Result<Report> {
        self.mark(package, What::Unyank { version: version.clone() }, options).await
    }

    /// Renews the time until which readers may go by the registry, with nothing new in it.
    pub async fn refresh(&self, options: &BuildOptions) -> Result<Report> {
        let batch = Batch {
            changes: Arc::default(),
            spool: new_spool()?,
            counts: Arc::default(),
            mend_search: false,
            renew: true,
            seen: None,
            watch: Watch::start(options.now),
        };
        let committed = self.commit(&batch, options).await?;
        let mut report = report(&batch, committed, Vec::new(), ScanStats::default());
        report.views = self.bring_views(&batch.watch, false, options).await?;
        Ok(report)
    }

    async fn mark(&self, package: &PackageId, what: What, options: &BuildOptions) -> Result<Report> {
        let change = Change { key: package.key(), label: package.label().into(), place: None, downloads: None, what };
        let batch = Batch {
            changes: Arc::new(vec![change]),
            spool: new_spool()?,
            counts: Arc::default(),
            mend_search: false,
            renew: false,
            seen: None,
            watch: Watch::start(options.now),
        };
        let committed = self.commit(&batch, options).await?;
        let mut report = report(&batch, committed, Vec::new(), ScanStats::default());
        match report.refused.pop() {
            Some(refusal) => Err(refusal.error),
            None => {
                report.views = self.bring_views(&batch.watch, false, options).await?;
                Ok(report)
            }
        }
    }

    async fn scan(
        &self,
        sources: &[PathBuf],
        watch: Watch,
        early: Option<Early>,
        options: &BuildOptions,
    ) -> Result<(Batch, Vec<Refusal>, ScanStats)> {
        let spool = new_spool()?;
        let told = options.clone();
        let (sources, options, shared) = (sources.to_vec(), options.clone(), Arc::clone(&spool));
        let (changes, refused, stats) = cpu::run(move || {
            // Not a channel: a million changes would stand in it until the scan is over, and then be moved.
            let staged = Mutex::new((Vec::new(), Vec::new()));
            let stats = source::scan(&sources, &scan_options(&options), &shared, |found| {
                // Sealing happens here, on the scan's own threads; only the push is under the lock.
                let found = found.and_then(|found| stage(found, &shared)).map(|found| {
                    if let Some(early) = &early {
                        early.offer(found.ready);
                    }
                    found.change
                });
                let mut staged = staged.lock().unwrap_or_else(PoisonError::into_inner);
                match found {
                    Ok(change) => staged.0.push(change),
                    Err(refusal) => staged.1.push(refusal),
                }
            })?;
            let (mut changes, mut refused): (Vec<Change>, Vec<Refusal>) =
                staged.into_inner().unwrap_or_else(PoisonError::into_inner);
            plan::sort(&mut changes);
            refused.sort_by(|a, b| a.place.cmp(&b.place));
            options.report(Progress::Scanned(changes.len() as u64));
            Ok::<_, Error>((changes, refused, stats))
        })
        .await?;
        let counts = Arc::new(counts(&changes, &told));
        let batch =
            Batch { changes: Arc::new(changes), spool, counts, mend_search: true, renew: false, seen: None, watch };
        Ok((batch, refused, stats))
    }

    /// Adds the tombstones of what the registry has and the sources do not. They are worked out once: what others publish
    /// while this run is under way is not taken away.
    async fn add_removals(&self, batch: &mut Batch, options: &BuildOptions) -> Result<()> {
        let mut head = self.head(&batch.watch, !options.dry_run).await?;
        let all = self.with_tree(&mut head, index::all).await?;
        let removals = plan::removals(all.iter(), &batch.changes, options.now);
        if let Some(changes) = Arc::get_mut(&mut batch.changes) {
            changes.extend(removals);
            plan::sort(changes);
        }
        Ok(())
    }

    /// Reads the files of releases that only the scan cache knew, and that the registry turned out not to have.
    async fn read_again(
        &self,
        batch: &mut Batch,
        outcomes: &[Outcome],
        options: &BuildOptions,
    ) -> Result<Vec<Refusal>> {
        let stale: Vec<bool> = outcomes.iter().map(|o| matches!(o, Outcome::Stale)).collect();
        let (options, spool) = (scan_options(options), Arc::clone(&batch.spool));
        let changes = std::mem::take(&mut batch.changes);
        let (changes, refused) = cpu::run(move || {
            let mut kept = Vec::new();
            let mut refused = Vec::new();
            let changes =
                Arc::try_unwrap(changes).unwrap_or_else(|_| unreachable!("the commit that shared it is over"));
            for (change, stale) in changes.into_iter().zip(stale) {
                let Some(place) = change.place.as_ref().filter(|_| stale) else {
                    kept.push(change);
                    continue;
                };
                let read = source::read_again(place, &options, &spool);
                match read.and_then(|c| stage(source::Found::Fresh(Box::new(c)), &spool)) {
                    Ok(found) => kept.push(found.change),
                    Err(refusal) => refused.push(refusal),
                }
            }
            plan::sort(&mut kept);
            (kept, refused)
        })
        .await;
        batch.changes = Arc::new(changes);
        Ok(refused)
    }
}

fn new_spool() -> Result<Arc<Spool>> {
    Spool::new().map(Arc::new).map_err(|e| Error::io("write to", &std::env::temp_dir(), e))
}

fn scan_options(options: &BuildOptions) -> ScanOptions {
    ScanOptions {
        now: options.now,
        limits: options.limits.clone(),
        cache: options.cache.clone(),
        rescan: options.rescan,
    }
}

fn report(batch: &Batch, committed: Committed, mut refused: Vec<Refusal>, scan: ScanStats) -> Report {
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
    Report {
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
        changes: committed.changed,
        scan,
        puts: committed.tally.puts,
        bytes: committed.tally.bytes,
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} in {})", self.key.origin(), self.store)
    }
}
