//! The commit: put what is new, claim a slot, sign its checkpoint.

use super::{
    head::Head,
    plan::{BlobAt, Change, Outcome, Plan, What, plan},
    registry::{BuildOptions, Progress, Registry},
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{Changes, Entry, FORMAT_VERSION, NodeType, Object, Snapshot, keys, limits},
    index::{Edited, edit},
    package::{Link, Sha256},
    source::Spool,
    store::{Created, Fetched, Later, PARALLEL, Payload, Put},
    trust::{Checkpoint, Claim, Slot},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// How often a writer that loses its slot plans anew. Each loss means that somebody else won, so the registry moves on.
const ATTEMPTS: u32 = 200;

/// How often a claim is repeated whose outcome stays unknown.
const CLAIM_TRIES: u32 = 8;

/// What a run brings to the commit: its changes, sorted, and the place where their bytes wait.
pub(super) struct Batch {
    pub(super) changes: Arc<Vec<Change>>,
    pub(super) spool: Arc<Spool>,
}

/// What came of it.
pub(super) struct Committed {
    pub(super) generation: u64,
    /// Whether this run made that generation.
    pub(super) new: bool,
    /// One for each change.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) changed: Changes,
    pub(super) tally: Tally,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) puts: u64,
    pub(super) bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: u64) {
        self.puts += 1;
        self.bytes += bytes;
    }
}

/// What one run has written so far: it is not written again when the run plans anew.
#[derive(Default)]
struct Session {
    done: HashSet<Sha256>,
    tally: Tally,
}

/// An object to put, whose bytes are at hand.
fn whole(object: Object) -> (Link, Payload) {
    (object.link, Payload::Bytes(object.bytes))
}

/// Whether readers take an object of that size.
fn fits(link: &Link, max: u64, max_raw: u64) -> bool {
    link.size <= max && link.raw.is_none_or(|raw| raw <= max_raw)
}

impl Registry {
    /// Brings the changes into the registry. Returns without writing anything when nothing changes, when `dry_run` asks for
    /// it, or when some release has to be read again first ([`Outcome::Stale`]).
    pub(super) async fn commit(&self, batch: &Batch, options: &BuildOptions) -> Result<Committed> {
        let mut session = Session::default();
        for attempt in 0..ATTEMPTS {
            let mut head = self.head(options.now, !options.dry_run).await?;
            let changes = Arc::clone(&batch.changes);
            let Plan { packages, outcomes, changed } = self.with_tree(&mut head, move |t| plan(t, &changes)).await?;
            let changed = Arc::new(changed);
            let stale = outcomes.iter().any(|o| matches!(o, Outcome::Stale));
            let idle = packages.is_empty() && !self.wants_renewal(&head.slot, options);
            if stale || idle || options.dry_run {
                let generation = head.slot.claim().generation;
                return Ok(Committed {
                    generation,
                    new: false,
                    outcomes,
                    changed: Arc::unwrap_or_clone(changed),
                    tally: session.tally,
                });
            }
            let link = if packages.is_empty() {
                head.slot.claim().snapshot
            } else {
                self.put_blobs(batch, &outcomes, &mut session, options).await?;
                let packages = Arc::new(packages);
                let edited = self.with_tree(&mut head, move |t| edit(&t.top, &t.nodes, &packages)).await?;
                self.put_snapshot(&head, edited, &changed, &mut session, options).await?
            };
            // Everything that the slot will cite survives a crash before the slot exists (I1).
            self.store.flush().await?;
            let slot = self.next_slot(&head.slot, link, options)?;
            if self.claim(&slot).await? {
                session.tally.add(slot.bytes().len() as u64);
                self.publish_checkpoint(&slot, options, &mut session.tally).await?;
                let generation = slot.claim().generation;
                return Ok(Committed {
                    generation,
                    new: true,
                    outcomes,
                    changed: Arc::unwrap_or_clone(changed),
                    tally: session.tally,
                });
            }
            tracing::info!("generation {} went to another writer; planning anew", slot.claim().generation);
            pause(attempt).await;
        }
        Err(Error::new(ErrorKind::Unavailable, format!("lost {ATTEMPTS} generations in a row to other writers"))
            .with_hint("nothing of this run is in the registry; run it again when fewer jobs publish at once"))
    }

    /// A registry that nothing happens to must not expire: the scheduled build renews it in the second half of its time.
    fn wants_renewal(&self, slot: &Slot, options: &BuildOptions) -> bool {
        slot.claim().expires.since(options.now) < options.validity / 2
    }

    fn next_slot(&self, before: &Slot, snapshot: Link, options: &BuildOptions) -> Result<Slot> {
        // Time never goes back in the log (I6), also when this machine's clock, or a pinned one, is behind.
        let time = options.now.max(before.claim().time);
        let claim = Claim {
            origin: self.key.origin().clone(),
            generation: before.next_generation()?,
            previous: Some(before.digest()),
            snapshot,
            time,
            expires: time.plus(options.validity),
            nonce: Claim::random_nonce()?,
        };
        Ok(claim.sign(&self.key)?)
    }

    /// Puts the archives and details of the releases that are new.
    async fn put_blobs(
        &self,
        batch: &Batch,
        outcomes: &[Outcome],
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<()> {
        let new = batch.changes.iter().zip(outcomes).filter_map(|(change, outcome)| match (&change.what, outcome) {
            (What::Add { blobs, .. }, Outcome::Added | Outcome::Restored) => Some(blobs),
            _ => None,
        });
        let puts = new.flatten().map(|blob| (blob.link, payload(&blob.at, &batch.spool))).collect();
        self.put_all(puts, session, options).await
    }

    /// Puts objects, many at a time, each once in a session.
    async fn put_all(
        &self,
        mut puts: Vec<(Link, Payload)>,
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<()> {
        puts.retain(|(link, _)| session.done.insert(link.sha256));
        let total = puts.len() as u64;
        let mut finished = 0;
        let mut running = futures::stream::iter(puts)
            .map(|(link, payload)| async move { self.store.put_linked(&link, payload).await.map(|put| (link, put)) })
            .buffer_unordered(PARALLEL);
        while let Some((link, put)) = running.try_next().await? {
            if put == Put::Written {
                session.tally.add(link.size);
            }
            finished += 1;
            options.report(Progress::Put { finished, total });
        }
        Ok(())
    }

    /// Puts the new nodes, children before their parents, then the change list and the snapshot.
    async fn put_snapshot(
        &self,
        head: &Head,
        edited: Edited,
        changed: &Arc<Changes>,
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<Link> {
        let Edited { top, nodes } = edited;
        if let Some((entry, _)) = nodes.iter().find(|(_, o)| !fits(&o.link, limits::NODE, limits::NODE_RAW)) {
            let what = format!("the releases below {:?} do not fit into a shard any more", entry.prefix);
            return Err(Error::new(ErrorKind::Refused, what)
                .with_hint("one package has far too many releases, or records that are far too large"));
        }
        let sealed = Arc::clone(changed);
        let list = cpu::run(move || sealed.seal()).await;
        let list = Some(list).filter(|l| fits(&l.link, limits::CHANGES, limits::CHANGES_RAW));
        let changes = list.as_ref().map(|l| l.link);
        // The change list and all shards at once; then the pages, the deepest first; the snapshot last.
        let mut puts: Vec<_> = list.into_iter().map(whole).collect();
        let level = |e: &Entry| (e.node == NodeType::Page).then_some(e.prefix.depth());
        for nodes in nodes.chunk_by(|(a, _), (b, _)| level(a) == level(b)) {
            puts.extend(nodes.iter().map(|(_, object)| whole(object.clone())));
            self.put_all(std::mem::take(&mut puts), session, options).await?;
        }
        let snapshot = Snapshot {
            changes,
            created: options.now,
            format: FORMAT_VERSION,
            generation: head.slot.next_generation()?,
            packages: top.iter().map(|e| e.packages).sum(),
            releases: top.iter().map(|e| e.releases).sum(),
            index: top,
            previous: Some(head.slot.claim().snapshot),
            ..head.snapshot.clone()
        }
        .seal();
        self.put_all(puts, session, options).await?;
        self.put_all(vec![whole(snapshot.clone())], session, options).await?;
        Ok(snapshot.link)
    }

    /// Claims a slot: true when it is ours, false when it is another's. Never answers while it does not know (I4), and
    /// reports a success only after having read it back (I3). Nothing is ever deleted here (I5).
    pub(super) async fn claim(&self, slot: &Slot) -> Result<bool> {
        let key = keys::slot(slot.claim().generation);
        let mut last = None;
        for attempt in 0..CLAIM_TRIES {
            if let Created::Unknown(e) = self.store.put_new(&key, slot.bytes().clone()).await {
                last = Some(e);
            }
            match self.store.get_signed(&key, None).await {
                Ok(Fetched::New { bytes, .. }) => return Ok(bytes == *slot.bytes()),
                // A store on this machine that says no and holds nothing means it.
                Ok(_) if self.store.is_local() && last.is_some() => break,
                Ok(_) => {}
                Err(e) => last = Some(e),
            }
            pause(attempt).await;
        }
        let generation = slot.claim().generation;
        let cause = last.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the slot cannot be read back"));
        Err(Error::new(cause.kind(), format!("could not commit generation {generation}"))
            .with_hint(
                "run the same command again: it finds out whether this commit took place, and goes on from there",
            )
            .with_source(cause))
    }

    /// Signs the checkpoint of the slot that was won, and moves the pointer forward, never back (I12): whoever writes it
    /// looks at the log again afterwards, and writes again if it has gone on.
    pub(super) async fn publish_checkpoint(
        &self,
        slot: &Slot,
        options: &BuildOptions,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut slot = slot.clone();
        loop {
            let checkpoint = Checkpoint::sign(&slot, &self.key)?;
            self.trusted.see(&checkpoint, options.now)?.0.require_honest()?;
            let behind = match self.store.get_signed(keys::CHECKPOINT, None).await? {
                Fetched::New { bytes, .. } => Checkpoint::open(bytes, &self.keys)
                    .map_or(true, |there| there.generation() < checkpoint.generation()),
                _ => true,
            };
            if behind {
                let put = self.store.put_pointer(keys::CHECKPOINT, checkpoint.bytes().clone()).await;
                put.map_err(|e| {
                    let message =
                        format!("generation {} is committed, but readers do not see it yet", checkpoint.generation());
                    Error::new(e.kind(), message)
                        .with_source(e)
                        .with_hint("run the command again: it only finishes this step")
                })?;
                tally.add(checkpoint.bytes().len() as u64);
            }
            match self.follow_log(Some(slot.clone())).await? {
                Some(newest) if newest != slot => slot = newest,
                _ => return Ok(()),
            }
        }
    }
}

/// The bytes of a blob, to be read when its turn has come.
fn payload(at: &BlobAt, spool: &Arc<Spool>) -> Payload {
    Payload::Later(match at {
        BlobAt::File(path) => {
            let file = path.clone();
            Later { read: Arc::new(move |offset, len| read_file(&file, offset, len)), place: path.clone() }
        }
        BlobAt::Spool(range) => {
            let (spool, range) = (Arc::clone(spool), *range);
            let read = move |offset, len| spool.read(crate::source::SpoolRange { offset: range.offset + offset, len });
            Later { read: Arc::new(read), place: std::env::temp_dir() }
        }
    })
}

fn read_file(path: &std::path::Path, offset: u64, len: u64) -> std::io::Result<Bytes> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    // Not zeroed first: this is every byte that is published.
    let mut out = Vec::with_capacity(usize::try_from(len).map_err(|_| std::io::ErrorKind::OutOfMemory)?);
    if file.take(len).read_to_end(&mut out)? as u64 != len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(out.into())
}

/// Waits before the next attempt, with full jitter so that writers who collided do not collide again.
async fn pause(attempt: u32) {
    let ceiling = Duration::from_millis(20 << attempt.min(6));
    let mut random = [0u8; 4];
    // Without randomness everybody waits alike, which is slower and still right.
    let _ = getrandom::fill(&mut random);
    tokio::time::sleep(ceiling.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))).await;
}
