//! The writer's side of a registry, and what its verbs do.

use super::{
    commit::{Batch, Committed},
    early::{Early, early},
    options::{BuildOptions, Progress, Report},
    plan::{self, Change, Outcome, What},
    put::{Session, Tally},
    search::counts,
    stage::stage,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{FORMAT_VERSION, Snapshot, keys},
    index,
    package::{PackageId, Version, Yanked},
    source::{self, Refusal, ScanOptions, ScanStats, Spool},
    store::{DiskCache, Fetched, Payload, Store, TrustedState},
    trust::{Claim, SigningKey, VerifierKey},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// How often a run reads files again that only its scan cache knew.
const READINGS: u32 = 8;

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

    /// Makes an empty registry: generation 0. Where an earlier call was interrupted, it is finished.
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
            Ok(Some(_)) => {
                // Claimed by a run that was interrupted before it wrote the pointer.
                if let Fetched::Absent = self.store.get_signed(keys::CHECKPOINT, None).await? {
                    return self.newest_slot(&watch, true).await.map(drop);
                }
                return Err(exists());
            }
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
            details: None,
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
            expires: options.expiry(options.now)?,
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
    /// A package that cannot be published is no error: it is in [`Report::refused`]; nor is a view that cannot be written: it
    /// is in [`Report::view_error`]. An error means that nothing, or all that the message says, was committed.
    pub async fn build(&self, sources: &[PathBuf], options: &BuildOptions) -> Result<Report> {
        // First the store: a wrong key or an unreachable bucket should not wait for the end of a long scan.
        let watch = Watch::start(options.now);
        let seen = self.newest_slot(&watch, !options.dry_run).await?;
        let mut session = Session::begin(watch.showing(options.clock));
        let scan = if seen.claim().generation == 0 && !options.dry_run {
            self.require_safe_store(&seen, options.now).await?;
            let (early, waiting) = early(&self.store);
            session.puts_upon(seen.claim().generation);
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
        // Once, but for releases that another job takes away meanwhile.
        for _ in 0..READINGS {
            if !is_stale(&committed) {
                break;
            }
            refused.extend(self.read_again(&mut batch, &committed.outcomes, options).await?);
            committed = self.commit(&batch, options).await?;
        }
        if is_stale(&committed) {
            let message = "other jobs took releases away each time that they were looked for";
            return Err(Error::new(ErrorKind::Unavailable, message)
                .with_hint("nothing of this run is in the registry; run it again when fewer jobs publish at once"));
        }
        let mut report = Report::of(&batch, committed, refused, scan);
        report.deletion_skipped = deletion_skipped;
        (report.views, report.view_error) = self.bring_views(&batch.watch, false, options).await;
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
        let mut report = Report::of(&batch, committed, Vec::new(), ScanStats::default());
        (report.views, report.view_error) = self.bring_views(&batch.watch, false, options).await;
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
        let mut report = Report::of(&batch, committed, Vec::new(), ScanStats::default());
        match report.refused.pop() {
            Some(refusal) => Err(refusal.error),
            None => {
                (report.views, report.view_error) = self.bring_views(&batch.watch, false, options).await;
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
                // What is long happens here, on the scan's own threads; only the push is under the lock.
                let found = found.and_then(|found| stage(found, &shared)).map(|found| {
                    if let Some((early, ready)) = early.as_ref().zip(found.ready) {
                        early.offer(ready);
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

/// Whether nothing was committed yet, since files have to be read again first.
fn is_stale(committed: &Committed) -> bool {
    committed.outcomes.iter().any(|o| matches!(o, Outcome::Stale))
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

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} in {})", self.key.origin(), self.store)
    }
}
