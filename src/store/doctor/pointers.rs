//! What is replaced, as the public side gives it out.

use super::{
    bench::Bench,
    finding::{Check, Finding, brief},
    http::Public,
};
use crate::format::{keys, limits};
use reqwest::StatusCode;

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
