//! The past: the log of generations, older snapshots, and what lies between two of them.

use super::{Client, SnapshotReader};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, ChangedRelease, Changes, Line, PackageLines, ReleaseChange, Snapshot, keys, limits},
    index::{self, Missing, Nodes},
    package::{Link, Sha256, Timestamp, Version},
    store::{Answered, is_absent, may_be_absent},
    trust::Slot,
};
use futures::{StreamExt, TryStreamExt};
use std::{collections::BTreeMap, str::FromStr, sync::Arc};

/// The longest stretch of the log that is walked at once.
const MAX_WALK: u64 = 100_000;

/// Which state to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// The one that this generation committed.
    Generation(u64),
    /// The snapshot with this digest. Whoever names a digest needs no log: the digest itself is the proof.
    Snapshot(Sha256),
}

impl FromStr for Pin {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let invalid =
            || Error::new(ErrorKind::Invalid, format!("{s:?} is neither a generation nor a snapshot's sha256"));
        match s.strip_prefix("sha256:").unwrap_or(s) {
            hex if hex.len() == 64 => hex.parse().map(Self::Snapshot).map_err(|_| invalid()),
            number => number.parse().map(Self::Generation).map_err(|_| invalid()),
        }
    }
}

/// One commit of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it was committed.
    pub time: Timestamp,
    /// When its checkpoint expires.
    pub expires: Timestamp,
    /// The digest of its slot.
    pub slot: Sha256,
    /// The digest of its snapshot. The same as that of the generation before when only the expiry was renewed.
    pub snapshot: Sha256,
    /// Packages in it; `None` where its snapshot was collected as garbage, or where this copy of the registry does not hold
    /// it.
    pub packages: Option<u64>,
    /// Releases in it; likewise.
    pub releases: Option<u64>,
}

impl Client {
    /// An older state. A generation is proved to be one by the chain of digests that leads to it from the newest slot.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a generation that is not there yet, or was collected as garbage; of one that was
    /// collected in part, also the lookups in it may fail so.
    pub async fn at(&self, pin: Pin) -> Result<SnapshotReader> {
        match pin {
            Pin::Snapshot(sha256) => self.at_snapshot(&sha256).await,
            Pin::Generation(number) => {
                let slots = self.chain_down_to(number).await?;
                let slot = slots.first().ok_or_else(|| no_generation(number))?;
                let reader = self.reader(&slot.claim().snapshot, number).await;
                self.explained(number, format!("generation {number}"), reader).await
            }
        }
    }

    async fn at_snapshot(&self, sha256: &Sha256) -> Result<SnapshotReader> {
        let bytes = self.stored_unsized(sha256, limits::NODE).await?;
        let size = bytes.len() as u64;
        let raw = cpu::run(move || format::inflate(&bytes, limits::NODE_RAW))
            .await
            .map_err(|e| e.at(self.inner.store.place(&keys::blob(sha256))))?;
        let link = Link { raw: Some(raw.len() as u64), sha256: *sha256, size };
        let place = || self.inner.store.place(&keys::blob(sha256));
        let snapshot = Snapshot::read(&raw).map_err(|e| e.at(place()))?;
        self.check_origin(&snapshot, &place())?;
        let generation = snapshot.generation;
        SnapshotReader::new(self.clone(), snapshot, link, generation).map_err(|e| e.at(place()))
    }

    /// The newest commits, the newest first.
    pub async fn history(&self, newest: u64) -> Result<Vec<Generation>> {
        let head = self.head().await?;
        let last = head.claim().generation;
        let slots = self.chain_down_to((last + 1).saturating_sub(newest.max(1))).await?;
        let rows = futures::stream::iter(slots.into_iter().rev()).map(|slot| async move {
            let claim = slot.claim();
            let reader = match self.reader(&claim.snapshot, claim.generation).await {
                Ok(reader) => Some(reader),
                Err(e) if is_absent(&e) && self.was_collected(claim.generation).await?.is_some() => None,
                Err(e) if may_be_absent(&e) && self.leaves_out(claim.generation).await => None,
                Err(e) => return Err(e),
            };
            Ok::<_, Error>(Generation {
                number: claim.generation,
                time: claim.time,
                expires: claim.expires,
                slot: slot.digest(),
                snapshot: claim.snapshot.sha256,
                packages: reader.as_ref().map(|r| r.snapshot().packages),
                releases: reader.as_ref().map(|r| r.snapshot().releases),
            })
        });
        rows.buffered(self.inner.store.parallel()).try_collect().await
    }

    /// The newest slot.
    pub(super) async fn head(&self) -> Result<Slot> {
        let (checkpoint, _) = self.checkpoint(self.current().as_ref()).await?;
        Ok(checkpoint.slot().clone())
    }

    /// The slots from `first` to the newest, in order, each checked to be the one that the next one follows.
    pub(super) async fn chain_down_to(&self, first: u64) -> Result<Vec<Slot>> {
        self.chain(first, self.head().await?).await
    }

    /// The slots from `first` to that one, in order.
    pub(super) async fn chain(&self, first: u64, head: Slot) -> Result<Vec<Slot>> {
        let last = head.claim().generation;
        if first > last {
            return Err(no_generation(first).with_hint(format!("the newest is {last}")));
        }
        if last - first > MAX_WALK {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("generation {first} is more than {MAX_WALK} before the newest"),
            )
            .with_hint("name its snapshot by sha256 instead"));
        }
        let mut slots: Vec<Slot> = futures::stream::iter(first..last)
            .map(|number| self.slot(number))
            .buffered(self.inner.store.parallel())
            .try_collect()
            .await?;
        slots.push(head);
        for pair in slots.windows(2) {
            if pair[1].claim().previous != Some(pair[0].digest()) {
                let place = self.inner.store.place(&keys::slot(pair[0].claim().generation));
                return Err(Error::new(
                    ErrorKind::Untrusted,
                    format!("{place} is not the slot that the next one follows"),
                )
                .with_hint("somebody replaced a commit of the past; `ggen-market verify` shows how far it goes"));
            }
        }
        Ok(slots)
    }

    pub(super) async fn slot(&self, number: u64) -> Result<Slot> {
        let key = keys::slot(number);
        let store = self.online(&key).map_err(|e| {
            e.with_hint(
                "the log is never there: ask without --offline, or name a state that was read before by its sha256",
            )
        })?;
        let open =
            |bytes, place: &str| Slot::open(bytes, &self.inner.keys, number).map_err(|e| super::in_doubt(place, e));
        match self.timed(store.get_opened(&key, open)).await? {
            Answered::New { opened, .. } => Ok(opened),
            Answered::Absent | Answered::NotModified => Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} is not there, but the log goes on after it", store.place(&key)),
            )
            .with_hint("the copy of the registry is incomplete")),
        }
    }

    /// What changed from one state to another: the links that differ are walked, and no others.
    pub async fn diff(&self, old: &SnapshotReader, new: &SnapshotReader) -> Result<Changes> {
        let mut nodes = Nodes::new();
        let differences = loop {
            match index::diff(old.top(), new.top(), &nodes) {
                Ok(out) => break out,
                Err(Missing(lacking)) => {
                    let mut fetched = Box::pin(new.nodes(lacking));
                    while let Some((entry, node)) = fetched.try_next().await? {
                        nodes.insert(entry.link.sha256, node);
                    }
                }
            }
        };
        let mut out = Changes::default();
        differences.iter().for_each(|d| changed(d.old.as_deref(), d.new.as_deref(), &mut out));
        out.sort();
        Ok(out)
    }
}

fn no_generation(number: u64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no generation {number}"))
}

/// What became of one package.
fn changed(old: Option<&PackageLines>, new: Option<&PackageLines>, out: &mut Changes) {
    let marks = |lines: Option<&PackageLines>| -> BTreeMap<_, _> {
        let lines = lines.map_or(&[][..], |p| &p.lines);
        let mark = |l: &Line| l.record().map(|r| (r.yanked.is_some(), r.removed.is_some())).unwrap_or_default();
        lines.iter().map(|l| (l.version.clone(), mark(l))).collect()
    };
    let (before, after) = (marks(old), marks(new));
    let Some(package) = new.or(old).map(|p| Arc::clone(&p.label)) else { return };
    let mut tell = |version: &Version, change| {
        out.0.push(ChangedRelease { package: Arc::clone(&package), version: version.clone(), change });
    };
    for (version, &(yanked, removed)) in &after {
        let was = before.get(version).copied();
        if was.is_none_or(|w| w.1 && !removed) {
            tell(version, ReleaseChange::Added);
        }
        if removed && was.is_none_or(|w| !w.1) {
            tell(version, ReleaseChange::Removed);
        }
        match (was.is_some_and(|w| w.0), yanked) {
            (false, true) => tell(version, ReleaseChange::Yanked),
            (true, false) if !removed => tell(version, ReleaseChange::Unyanked),
            _ => {}
        }
    }
    // Only between states that are not of one log: there, a release never goes without a tombstone (I9).
    for version in before.keys().filter(|v| !after.contains_key(v)) {
        tell(version, ReleaseChange::Removed);
    }
}
