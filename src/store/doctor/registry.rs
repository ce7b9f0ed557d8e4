//! The registry that is in the store, if there is one, and the store's clock.

use super::{
    bench::Bench,
    finding::{Check, Finding, brief},
};
use crate::{
    Result,
    format::{PackageLines, Snapshot, keys, limits},
    index::Node,
    package::{Link, Timestamp},
    store::{Fetched, Store},
    trust::{Checkpoint, Freshness, VerifierKey, decide},
};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use std::{sync::Arc, time::Duration};

const CLOCK: Check = Check {
    id: "clock",
    tried: "compare the store's clock with this machine's",
    breaks: "claims are dated by this machine and held against the store's time: with five minutes between them a publish is \
             refused, and `gc` takes young objects for old ones",
    remedy: "set the clock that is wrong; let NTP keep both",
};

const CHECKPOINT: Check = Check {
    id: "checkpoint",
    tried: "open the registry's checkpoint with its public key, and see how long it still holds",
    breaks: "once it has expired no reader resolves anything by this registry any more",
    remedy: "run `ggen-market refresh` (or a build) now, and once a day by a schedule",
};

/// The key does not fit, or the store holds something else.
const FOREIGN: Check = Check {
    breaks: "no reader that pins this key reads this registry",
    remedy: "check --key and --store; `ggen-market verify` says more",
    ..CHECKPOINT
};

/// The alarm of invariant I21.
const QUIET: Duration = Duration::from_secs(48 * 3600);

/// With less than this left somebody should look, unless checkpoints are made for less than twice as long.
const SHORT: Duration = Duration::from_secs(48 * 3600);

/// Claims may not be dated further ahead of the store's time (invariant I6).
const MAX_SKEW: i64 = 300;

pub(super) async fn clock(bench: &mut Bench) -> Finding {
    let key = bench.key("clock");
    let run = async {
        let before = Timestamp::now().unix();
        bench.put(&key, Bytes::from_static(b"clock\n")).await?;
        let after = Timestamp::now().unix();
        let meta = bench.store.inner.head(&key).await.map_err(|e| bench.error("look for", &key, e))?;
        let dated = meta.last_modified.timestamp();
        // Dated while the request was under way, it agrees; a second is what the date leaves out.
        let dated = if dated < before - 1 { dated - before } else { (dated - after).max(0) };
        // An answer's date, and that of an object, can be of two machines.
        let told = bench.store.clock_ahead().unwrap_or(0);
        let skew = if told.abs() > dated.abs() { told } else { dated };
        let detail = match skew {
            -1..=1 => "the same as this machine's".to_owned(),
            2.. => format!("{skew} s ahead of this machine's"),
            _ => format!("{} s behind this machine's", -skew),
        };
        Ok(match skew.abs() {
            0..=60 => CLOCK.ok(detail),
            61..=MAX_SKEW => CLOCK.warning(detail),
            _ => CLOCK.failed(detail),
        })
    };
    CLOCK.settle(run.await)
}

/// What is known of the registry, for the checks of the public side.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) bytes: Bytes,
    /// `None` without a key.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Looks at the registry. `absence` is whether the store tells absent objects from forbidden ones.
pub(super) async fn checkpoint(store: &Store, keys: &[VerifierKey], absence: bool) -> (Finding, Option<Head>) {
    let bytes = match store.get_signed(keys::CHECKPOINT, None).await {
        Ok(Fetched::New { bytes, .. }) => bytes,
        Ok(Fetched::Absent | Fetched::NotModified) => {
            return (CHECKPOINT.skipped("there is no registry in the store yet"), None);
        }
        Err(_) if !absence => {
            return (CHECKPOINT.skipped("it is absent or forbidden, and the store does not say which"), None);
        }
        Err(e) => return (CHECKPOINT.failed(brief(&e)), None),
    };
    if keys.is_empty() {
        let finding = CHECKPOINT.skipped("there is one; with its public key (--key) it is opened");
        return (finding, Some(Head { bytes, checkpoint: None }));
    }
    match Checkpoint::open(bytes.clone(), keys) {
        Err(e) => (FOREIGN.failed(brief(&e.into())), None),
        Ok(checkpoint) => {
            (freshness(&checkpoint, Timestamp::now()), Some(Head { bytes, checkpoint: Some(checkpoint) }))
        }
    }
}

fn freshness(checkpoint: &Checkpoint, now: Timestamp) -> Finding {
    let claim = checkpoint.slot().claim();
    let (generation, time, expires) = (claim.generation, claim.time, claim.expires);
    match decide(None, checkpoint, now).freshness {
        Freshness::Expired { expires } => CHECKPOINT.failed(format!("generation {generation} expired at {expires}")),
        Freshness::Fresh { left } if left < SHORT.min(expires.since(time) / 2) => {
            CHECKPOINT.warning(format!("generation {generation} expires soon, at {expires}"))
        }
        Freshness::Fresh { .. } if now.since(time) > QUIET => {
            CHECKPOINT.warning(format!("generation {generation} is of {time}, and there is no newer one"))
        }
        Freshness::Fresh { .. } => CHECKPOINT.ok(format!("generation {generation} holds until {expires}")),
    }
}

/// Links of the newest generation to fetch through the public URL: the snapshot, and a small archive if there is one.
pub(super) async fn samples(store: &Store, checkpoint: &Checkpoint) -> Result<Vec<(&'static str, Link)>> {
    let link = checkpoint.slot().claim().snapshot;
    let place = || store.place(&keys::blob(&link.sha256));
    let raw = store.get_raw(&link, limits::NODE, limits::NODE_RAW).await?;
    let mut page = Snapshot::read(&raw).and_then(|s| s.top()).map_err(|e| e.at(place()))?;
    let mut out = vec![("snapshot", link)];
    // Down the left edge; each step is a level of the tree, and a page never stands below itself.
    while let Some(entry) = page.entries().first().copied() {
        match store.get_node::<Arc<PackageLines>>(None, &entry).await? {
            Node::Page(next) => page = next.as_ref().clone(),
            Node::Leaf(shard) => {
                let records = shard.items.iter().flat_map(|p| &p.lines).filter_map(|line| line.record().ok());
                let here = records.filter(|r| r.archive.url.is_none() && r.removed.is_none());
                let smallest = here.map(|r| r.archive).min_by_key(|a| a.size);
                out.extend(smallest.map(|a| ("archive", Link { raw: None, sha256: a.sha256, size: a.size })));
                break;
            }
        }
    }
    // What is large would take long and prove no more.
    out.retain(|(_, link)| link.size <= limits::NODE);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        package::Sha256,
        store::doctor::Outcome,
        trust::{Claim, SigningKey},
    };

    #[test]
    fn i21_a_registry_that_nobody_renews_is_told_in_time() {
        let key = SigningKey::generate("registry.example.com".parse().unwrap()).unwrap();
        let time = Timestamp::from_unix(1_800_000_000);
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let found = |valid: u64, age: u64| {
            let claim = Claim {
                origin: key.origin().clone(),
                generation: 0,
                previous: None,
                snapshot: Link { raw: Some(1), sha256: Sha256::of(b""), size: 1 },
                time,
                expires: time.plus(hours(valid)),
                nonce: [0; 16],
            };
            let checkpoint = Checkpoint::sign(&claim.sign(&key).unwrap(), &key).unwrap();
            freshness(&checkpoint, time.plus(hours(age))).outcome
        };
        let week = [0, 47, 49, 121, 168].map(|age| found(168, age));
        use Outcome::{Failed, Ok, Warning};
        assert_eq!(week, [Ok, Ok, Warning, Warning, Failed]);
        // One that is made for a day is not about to expire all of the time.
        assert_eq!([0, 11, 13, 24].map(|age| found(24, age)), [Ok, Ok, Warning, Failed]);
    }
}
