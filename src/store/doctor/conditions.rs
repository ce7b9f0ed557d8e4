//! Whether writes keep to their conditions: what the commit of a generation stands on.

use super::{
    bench::Bench,
    finding::{Check, Finding, brief},
};
use crate::{
    Result,
    format::keys::Class,
    store::{Created, probe},
};
use bytes::Bytes;
use object_store::{Error as E, ObjectStore, PutMode, PutOptions, PutPayload, PutResult, UpdateVersion, path::Path};

const CREATE_ONLY: Check = Check {
    id: "create_only",
    tried: "create an object, and then create it once more with other bytes",
    breaks: "a job that publishes replaces the commit of another one: releases are lost",
    remedy: "use a store that knows If-None-Match (AWS, a recent MinIO, R2, GCS, Azure); if only one job ever \
             writes to this one, say so: --single-writer",
};

const RACE: Check = Check {
    id: "race",
    tried: "let many writers create one key at the same moment, again and again: one of them may win",
    breaks: "of two jobs that publish at once both are told that they did, and the releases of one are lost",
    remedy: "use a store that creates objects atomically, or upgrade this one; if only one job ever writes to it, say so: \
             --single-writer",
};

const UPDATE: Check = Check {
    id: "update_conditional",
    tried: "replace an object on condition that it still is the one that was read (If-Match)",
    breaks: "nothing of this program, which does not rely on it; other programs on this store may",
    remedy: "nothing need be done; an upgrade of the store may bring it",
};

/// A create must be refused where there is something, and change nothing.
pub(super) async fn create_only(bench: &mut Bench) -> Finding {
    let key = bench.key("create-only");
    CREATE_ONLY.settle(create_twice(bench, &key).await)
}

async fn create_twice(bench: &Bench, key: &Path) -> Result<Finding> {
    let (first, second) = (Bytes::from_static(b"first\n"), Bytes::from_static(b"second\n"));
    let create = |bytes: &Bytes| {
        let bytes = bytes.clone();
        async { bench.store.put_new(key.as_ref(), Class::Pointer, bytes).await }
    };
    match create(&first).await {
        Created::Yes => {}
        Created::Exists => return Ok(CREATE_ONLY.failed("a key that nobody used before is refused as one that exists")),
        Created::Unknown(e) => return Err(e),
    }
    let told = create(&second).await;
    let kept = bench.get(key).await?;
    Ok(match told {
        Created::Exists if kept == first => CREATE_ONLY.ok("what exists is refused and stays as it is"),
        Created::Exists => CREATE_ONLY.failed("what exists is refused, and yet it was changed"),
        Created::Yes if kept == second => CREATE_ONLY.failed("the condition is ignored: what exists was replaced"),
        Created::Yes => CREATE_ONLY.failed("a create of what exists is reported as done, though it was not"),
        Created::Unknown(e) => return Err(e),
    })
}

pub(super) async fn race(bench: &mut Bench) -> Finding {
    let (writers, rounds) = if bench.quick { (8, 3) } else { probe::RACE };
    let keys: Vec<_> = (0..rounds).map(|round| bench.key(&format!("race-{round}")).to_string()).collect();
    let race = match bench.store.race(writers, &keys).await {
        Ok(race) => race,
        Err(e) => return RACE.failed(brief(&e)),
    };
    let of = format!("{writers} writers, {rounds} rounds");
    if race.unfair > 0 {
        let most = race.most_winners;
        return RACE.failed(format!("{of}: {} without one clear winner, up to {most} in one", race.unfair));
    }
    match race.unclear {
        0 => RACE.ok(format!("{of}: one winner in each")),
        unclear => RACE.ok(format!("{of}: no more than one winner in each; {unclear} requests without a clear answer")),
    }
}

/// A replacement must be refused where the object is another one, or none.
pub(super) async fn update(bench: &mut Bench) -> Finding {
    let (key, missing) = (bench.key("update"), bench.key("update-missing"));
    match update_stale(bench, &key, &missing).await {
        Ok(finding) => finding,
        Err(e) => UPDATE.warning(brief(&e)),
    }
}

async fn update_stale(bench: &Bench, key: &Path, missing: &Path) -> Result<Finding> {
    let stale = bench.put(key, Bytes::from_static(b"first\n")).await?;
    let current = bench.put(key, Bytes::from_static(b"second\n")).await?;
    if current.e_tag.is_none() && current.version.is_none() {
        return Ok(UPDATE.skipped("the store does not tell its objects apart by ETag or version"));
    }
    let mut broken = Vec::new();
    for (what, path, version) in [("of an older version", key, &stale), ("of a missing object", missing, &current)] {
        match replace(bench, path, version).await {
            Ok(_) => broken.push(what),
            Err(E::Precondition { .. } | E::NotFound { .. } | E::AlreadyExists { .. }) => {}
            Err(E::NotImplemented { .. } | E::NotSupported { .. }) => {
                return Ok(UPDATE.skipped("the store, or its client, does not know it"));
            }
            Err(e) => return Err(bench.error("replace", path, e)),
        }
    }
    if !broken.is_empty() {
        return Ok(UPDATE.warning(format!("not refused: the replacement {}", broken.join(" and "))));
    }
    match replace(bench, key, &current).await {
        Ok(_) => Ok(UPDATE.ok("only the current version is replaced")),
        Err(e) => Err(bench.error("replace", key, e)),
    }
}

/// Without retries, which could make of a success a refusal.
async fn replace(bench: &Bench, path: &Path, version: &PutResult) -> object_store::Result<PutResult> {
    let mode = PutMode::Update(UpdateVersion { e_tag: version.e_tag.clone(), version: version.version.clone() });
    let options = PutOptions { mode, ..PutOptions::default() };
    bench.store.commits.put_opts(path, PutPayload::from_static(b"third\n"), options).await
}
