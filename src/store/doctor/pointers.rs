//! What is replaced, as the public side gives it out: whether each change of it is seen, and whether all of it can be read.

use super::{
    bench::Bench,
    finding::{Check, Finding, brief},
    http::{Answer, Public},
};
use crate::{
    Result,
    format::{
        keys::{self, Class},
        limits,
    },
};
use bytes::Bytes;
use reqwest::{
    StatusCode,
    header::{ETAG, IF_NONE_MATCH, LAST_MODIFIED},
};

pub(super) const REVALIDATE: Check = Check {
    id: "public_checkpoint_revalidate",
    tried: "ask for the checkpoint again, with its ETag; and see whether another object of the same size has another one",
    breaks: "nothing; every look at the registry transfers the whole checkpoint again",
    remedy: "let the server answer If-None-Match with 304, by an ETag made of the content",
};

/// What a change leaves as it was.
const STANDS_STILL: Check = Check {
    breaks: "of two publishes within one second readers and caches see the first alone, until there is another one",
    remedy: "send an ETag made of the content for `checkpoint`, or neither ETag nor Last-Modified: it is small (nginx: \
             etag off; if_modified_since off; add_header Last-Modified \"\")",
    ..REVALIDATE
};

pub(super) const NOTES: Check = Check {
    id: "public_notes",
    tried: "compare gc/boundary and mirror.json there with those in the store",
    breaks: "what was collected as garbage, or left out of a mirror, is taken for lost: `verify --all`, `history` and `--at` fail",
    remedy: "let the server, or the bucket's policy, give out gc/boundary and mirror.json as it does `checkpoint` (the files that \
             `init --template` writes do)",
};

/// They are there, and others.
const NOTES_BEHIND: Check = Check {
    breaks: "for as long as it stays so, what was just collected, or left out of a mirror, is taken for lost",
    remedy: "if it stays so, some cache on the way keeps them: serve both with Cache-Control: no-cache, as `checkpoint`",
    ..NOTES
};

/// How often two objects are compared, since a second may end between the two.
const ROUNDS: usize = 3;

/// `first` is an answer to a plain question for the checkpoint.
pub(super) async fn revalidate(bench: &mut Bench, public: &Public, first: &Answer) -> Result<Finding> {
    let Some(etag) = first.header(ETAG) else {
        return Ok(match first.header(LAST_MODIFIED) {
            Some(_) => STANDS_STILL.warning("it has no ETag, but Last-Modified, which knows whole seconds"),
            None => REVALIDATE.ok(format!("no ETag and no Last-Modified: {} bytes with each look", first.body.len())),
        });
    };
    let again = public.get(keys::CHECKPOINT, &[(IF_NONE_MATCH, etag)], limits::SIGNED + 1).await?;
    match again.status {
        StatusCode::NOT_MODIFIED => {}
        // It may have changed in the meantime.
        StatusCode::OK if again.header(ETAG).is_some_and(|new| new != etag) => {
            return Ok(REVALIDATE.skipped("it has just changed"));
        }
        _ => return Ok(REVALIDATE.warning(format!("{} where 304 was due", again.status()))),
    }
    Ok(match tells_apart(bench, public).await? {
        Some(true) => REVALIDATE.ok("304, without a body; other bytes have another ETag"),
        Some(false) => STANDS_STILL.warning("two objects of one size, written one after the other, have one ETag"),
        None => {
            REVALIDATE.ok("304, without a body; whether other bytes have another ETag can be tried only below doctor/")
        }
    })
}

/// Whether other bytes have another ETag, also where they are as many and of the same second; `None` where what lies below
/// `doctor/` is not to be had.
async fn tells_apart(bench: &mut Bench, public: &Public) -> Result<Option<bool>> {
    let key = bench.key("etag");
    for _ in 0..ROUNDS {
        let mut before = None;
        for text in ["one\n", "two\n"] {
            bench.put_as(&key, Class::Pointer, Bytes::from_static(text.as_bytes())).await?;
            let answer = public.get(key.as_ref(), &[], limits::SIGNED).await?;
            let etag = answer.header(ETAG).filter(|_| answer.status == StatusCode::OK && answer.body == text);
            let Some(etag) = etag.map(str::to_owned) else { return Ok(None) };
            if before.is_some_and(|before| before == etag) {
                return Ok(Some(false));
            }
            before = Some(etag);
        }
    }
    Ok(Some(true))
}

pub(super) async fn notes(bench: &Bench, public: &Public) -> Finding {
    let (mut same, mut other, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (key, max) in [(keys::BOUNDARY, limits::SIGNED), (keys::MIRROR, limits::MIRROR)] {
        let stored = match bench.store.get_note(key, max).await {
            Ok(Some(stored)) => stored,
            // What is not there is not asked for: caches would keep the answer.
            Ok(None) => continue,
            Err(e) => return NOTES.skipped(brief(&e)),
        };
        match public.get(key, &[], max + 1).await {
            Err(e) => missing.push(brief(&e)),
            Ok(served) if served.status != StatusCode::OK => missing.push(format!("{key}: {}", served.status())),
            Ok(served) if served.body == stored => same.push(key),
            // Somebody may have replaced it in the meantime.
            Ok(served) => match bench.store.get_note(key, max).await {
                Ok(Some(stored)) if served.body == stored => same.push(key),
                _ => other.push(key),
            },
        }
    }
    if !missing.is_empty() {
        return NOTES.failed(missing.join(", "));
    }
    match (same.is_empty(), other.is_empty()) {
        (_, false) => NOTES_BEHIND.warning(format!("{}: not the same as in the store", other.join(", "))),
        (true, true) => NOTES.skipped("the store has none of them yet"),
        (false, true) => NOTES.ok(format!("{}: the same as in the store", same.join(", "))),
    }
}
