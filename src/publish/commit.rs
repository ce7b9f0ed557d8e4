//! The commit: put what is new, claim a slot, sign its checkpoint.

use super::{
    options::BuildOptions,
    plan::{Change, Outcome, Plan, plan},
    put::{Session, Tally, Work},
    registry::Registry,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result,
    format::{
        Changes,
        keys::{self, Class},
    },
    index::Nodes,
    package::{Link, Timestamp},
    source::Spool,
    store::{Created, Fetched},
    trust::{Boundary, Checkpoint, Claim, Slot},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How often a writer that loses its slot plans anew. Each loss means that somebody else won, so the registry moves on.
const ATTEMPTS: u32 = 200;

/// How often a claim is repeated whose outcome stays unknown.
const CLAIM_TRIES: u32 = 8;

/// What a run brings to the commit: its changes, sorted, and the place where their bytes wait.
pub(super) struct Batch {
    pub(super) changes: Arc<Vec<Change>>,
    pub(super) spool: Arc<Spool>,
    /// Download counts that the run brings, by label.
    pub(super) counts: Arc<BTreeMap<String, u64>>,
    /// Make the search index also when nothing changes, where there is none.
    pub(super) mend_search: bool,
    /// Commit a generation also when nothing changes, so that readers may go by the registry for longer.
    pub(super) renew: bool,
    /// The newest slot, where the run has looked for it.
    pub(super) seen: Option<Slot>,
    /// Started when the run was.
    pub(super) watch: Watch,
}

/// What came of it.
pub(super) struct Committed {
    pub(super) generation: u64,
    /// Whether this run made that generation.
    pub(super) new: bool,
    pub(super) expires: Timestamp,
    /// One for each change.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) changed: Changes,
    pub(super) tally: Tally,
}

/// A store's clock and ours may differ by so much.
const SKEW: i64 = 5 * 60;

impl Registry {
    /// Brings the changes into the registry. Returns without writing anything when nothing changes, when `dry_run` asks for
    /// it, or when some release has to be read again first ([`Outcome::Stale`]).
    pub(super) async fn commit(&self, batch: &Batch, options: &BuildOptions) -> Result<Committed> {
        let session = Session::begin(batch.watch.showing(options.clock));
        self.commit_in(session, batch, options).await
    }

    /// The same in a session that has put some of it already.
    pub(super) async fn commit_in(
        &self,
        mut session: Session,
        batch: &Batch,
        options: &BuildOptions,
    ) -> Result<Committed> {
        // Nodes never change, so a writer that plans anew fetches only those that the winner wrote.
        let (mut nodes, mut details) = (Nodes::new(), Nodes::new());
        for attempt in 0..ATTEMPTS {
            // Who lost looks anew, and mends what the winner may have left undone.
            let seen = batch.seen.as_ref().filter(|_| attempt == 0);
            let mut head = self.head_since(seen, &batch.watch, !options.dry_run).await?;
            (head.tree.nodes, head.details.nodes) = (std::mem::take(&mut nodes), std::mem::take(&mut details));
            let changes = Arc::clone(&batch.changes);
            let Plan { packages, outcomes, changed } = self.with_tree(&mut head, move |t| plan(t, &changes)).await?;
            let work = Work { packages: Arc::new(packages), outcomes, changed: Arc::new(changed) };
            let stale = work.outcomes.iter().any(|o| matches!(o, Outcome::Stale));
            let renews = batch.renew || self.wants_renewal(&head.slot, options);
            if stale
                || options.dry_run
                || work.packages.is_empty() && !renews && !self.may_change_search(batch, &head, options)
            {
                return Ok(committed(&head.slot, false, work, session.tally));
            }
            self.require_safe_store(&head.slot, options.now).await?;
            let link = self.put_state(batch, &work, &mut head, &mut session, options).await?;
            if link == head.slot.claim().snapshot && !renews {
                return Ok(committed(&head.slot, false, work, session.tally));
            }
            if session.is_over() {
                // What was put so long ago may be about to be collected as garbage (I11).
                session = session.anew();
                continue;
            }
            let slot = self.next_slot(&head.slot, link, options)?;
            if self.claim(&slot, options).await? {
                session.tally.add(slot.bytes().len() as u64);
                if self.was_collected_since(session.base()).await {
                    // Garbage was collected between our first put, which may be many lost slots ago, and our claim: what the
                    // slot cites is put again where it is gone, before any reader is sent there (I15).
                    session = session.anew();
                    let put = self.put_state(batch, &work, &mut head, &mut session, options).await;
                    put.map_err(|e| incomplete(&slot, e))?;
                }
                self.publish_checkpoint(&slot, &batch.watch, options, &mut session.tally).await?;
                return Ok(committed(&slot, true, work, session.tally));
            }
            tracing::info!("generation {} went to another writer; planning anew", slot.claim().generation);
            (nodes, details) = (head.tree.nodes, head.details.nodes);
            pause(attempt, options).await;
        }
        Err(Error::new(ErrorKind::Unavailable, format!("lost {ATTEMPTS} generations in a row to other writers"))
            .with_hint("nothing of this run is in the registry; run it again when fewer jobs publish at once"))
    }

    /// What has to hold of a store before anything is committed to it: that it refuses to replace a slot, and that its clock
    /// and ours agree (I6). By a time in the future, all other writers would have to wait until it has come.
    pub(super) async fn require_safe_store(&self, slot: &Slot, now: Timestamp) -> Result<()> {
        self.store.require_conditional(&keys::slot(slot.claim().generation), Class::Slot, slot.bytes()).await?;
        let ahead = now.unix() - Timestamp::now().unix() - self.store.clock_ahead().unwrap_or_default();
        if self.store.clock_ahead().is_some() && ahead > SKEW {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("the time to be stamped, {now}, is {ahead} s ahead of the clock of {}", self.store),
            )
            .with_hint("set this machine's clock (or SOURCE_DATE_EPOCH) right"));
        }
        Ok(())
    }

    /// Whether garbage may have been collected after that generation was the newest. When the record of it cannot be read, it
    /// may. Nothing is lost where nothing was put.
    async fn was_collected_since(&self, base: Option<u64>) -> bool {
        let Some(base) = base else { return false };
        match self.store.get_signed(keys::BOUNDARY, None).await {
            Ok(Fetched::New { bytes, .. }) => match Boundary::open(&bytes, &self.keys) {
                Ok(boundary) => boundary.generation >= base,
                Err(e) => {
                    tracing::warn!("{} is not this registry's: {e}", self.store.place(keys::BOUNDARY));
                    true
                }
            },
            Ok(Fetched::Absent | Fetched::NotModified) => false,
            Err(_) => true,
        }
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
            expires: options.expiry(time)?,
            nonce: options.nonce()?,
        };
        Ok(claim.sign(&self.key)?)
    }

    /// Claims a slot: true when it is ours, false when it is another's. Never answers while it does not know (I4), and
    /// reports a success only after having read it back (I3). Nothing is ever deleted here (I5).
    pub(super) async fn claim(&self, slot: &Slot, options: &BuildOptions) -> Result<bool> {
        let key = keys::slot(slot.claim().generation);
        let mut last = None;
        for attempt in 0..CLAIM_TRIES {
            if let Created::Unknown(e) = self.store.put_new(&key, Class::Slot, slot.bytes().clone()).await {
                last = Some(e);
            }
            match self.store.get_signed(&key, None).await {
                Ok(Fetched::New { bytes, .. }) => return Ok(bytes == *slot.bytes()),
                // A store on this machine that says no and holds nothing means it.
                Ok(_) if self.store.is_local() && last.is_some() => break,
                Ok(_) => {}
                Err(e) => last = Some(e),
            }
            pause(attempt, options).await;
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
        watch: &Watch,
        options: &BuildOptions,
        tally: &mut Tally,
    ) -> Result<()> {
        self.move_pointer(slot.clone(), watch, options, tally).await.map_err(|e| unfinished(slot, e))
    }

    async fn move_pointer(
        &self,
        mut slot: Slot,
        watch: &Watch,
        options: &BuildOptions,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut lost = 0;
        loop {
            let checkpoint = Checkpoint::sign(&slot, &self.key)?;
            self.trusted.see(&checkpoint, watch.now())?.0.require_honest()?;
            let (there, version) = match self.store.get_signed(keys::CHECKPOINT, None).await? {
                Fetched::New { bytes, version } => (Checkpoint::open(bytes, &self.keys).ok(), Some(version)),
                Fetched::Absent | Fetched::NotModified => (None, None),
            };
            if there.is_none_or(|there| there.generation() < checkpoint.generation()) {
                // A store whose condition never holds is written without one.
                let version = version.filter(|_| lost < CLAIM_TRIES);
                let bytes = checkpoint.bytes().clone();
                if !self.store.put_pointer(keys::CHECKPOINT, Class::Pointer, bytes, version).await? {
                    // Somebody else moved it since we looked: perhaps on, perhaps not far enough.
                    pause(lost, options).await;
                    lost += 1;
                    continue;
                }
                tally.add(checkpoint.bytes().len() as u64);
            }
            match self.follow_log(Some(slot.clone())).await? {
                Some(newest) if newest != slot => slot = newest,
                _ => return Ok(()),
            }
        }
    }
}

/// What was collected meanwhile could not be put again.
fn incomplete(slot: &Slot, cause: Error) -> Error {
    let generation = slot.claim().generation;
    Error::new(
        cause.kind(),
        format!("generation {generation} is committed, but some of it was collected as garbage meanwhile"),
    )
    .with_source(cause)
    .with_hint("run `ggen-market gc` now: it brings back from the trash what is missing")
}

/// What failed behind a claim that was won.
fn unfinished(slot: &Slot, cause: Error) -> Error {
    let generation = slot.claim().generation;
    Error::new(cause.kind(), format!("generation {generation} is committed, but readers do not see it yet"))
        .with_source(cause)
        .with_hint("run the command again: it only finishes this step")
}

fn committed(slot: &Slot, new: bool, work: Work, tally: Tally) -> Committed {
    let changed = Arc::unwrap_or_clone(work.changed);
    let (generation, expires) = (slot.claim().generation, slot.claim().expires);
    Committed { generation, new, expires, outcomes: work.outcomes, changed, tally }
}

/// Waits before the next attempt, with full jitter so that writers who collided do not collide again.
pub(super) async fn pause(attempt: u32, options: &BuildOptions) {
    let ceiling = Duration::from_millis(20 << attempt.min(6));
    let mut random = [0u8; 4];
    // Without randomness everybody waits alike, which is slower and still right.
    let _ = options.fill_random(&mut random);
    tokio::time::sleep(ceiling.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))).await;
}
