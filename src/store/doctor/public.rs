//! The web server or CDN that readers get the registry from.

use super::{
    bench::Bench,
    finding::{Check, Finding, brief},
    http::{Answer, Public},
    pointers::{self, NOTES, REVALIDATE},
    registry::{self, Head},
};
use crate::{
    Result,
    format::{
        keys::{self, Class},
        limits,
    },
    package::{Link, Sha256},
    store::Fetched,
    trust::{Checkpoint, VerifierKey},
};
use bytes::Bytes;
use reqwest::{
    StatusCode,
    header::{ACCEPT_ENCODING, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RANGE},
};
use std::time::{Duration, Instant};

const REACH: Check = Check {
    id: "public_reach",
    tried: "ask the public URL for anything",
    breaks: "nobody can read the registry from there",
    remedy: "check the address, its name in the DNS, and its certificate; a redirect from https to http is not followed",
};

const CHECKPOINT: Check = Check {
    id: "public_checkpoint",
    tried: "compare the checkpoint there with the one in the store",
    breaks: "nobody can read the registry from there",
    remedy: "the URL has to lead to the folder that holds `checkpoint`, without a login or a page of its own before it",
};

/// It is one, and an older one.
const BEHIND: Check = Check {
    breaks: "readers see what was published only later",
    remedy: "if it stays so, some cache on the way keeps the checkpoint: see public_checkpoint_cache",
    ..CHECKPOINT
};

const CHECKPOINT_CACHE: Check = Check {
    id: "public_checkpoint_cache",
    tried: "read how long caches may keep the checkpoint",
    breaks: "readers go by old checkpoints, for as long as some cache likes to keep them",
    remedy: "serve `checkpoint` with Cache-Control: no-cache, or max-age of at most 60 seconds, and let no CDN override it",
};

const BLOB: Check = Check {
    id: "public_blob",
    tried: "fetch the newest snapshot and a small archive, and hash them",
    breaks: "readers refuse what they get: lookups and downloads fail",
    remedy: "let the server pass on blobs/ as they are stored: no compression, no rewriting, no page of its own",
};

const BLOB_CACHE: Check = Check {
    id: "public_blob_cache",
    tried: "read how long caches may keep a blob",
    breaks: "nothing; blobs never change, and are transferred again and again",
    remedy: "serve blobs/ with Cache-Control: public, max-age=31536000, immutable",
};

const BLOB_TYPE: Check = Check {
    id: "public_blob_type",
    tried: "read the Content-Type of a blob",
    breaks: "nothing yet; caches and proxies compress and rewrite what they take for text",
    remedy: "serve blobs/ with Content-Type: application/octet-stream",
};

const ENCODING: Check = Check {
    id: "public_encoding",
    tried: "ask for blobs as a program does that takes gzip, br and zstd",
    breaks: "blobs are compressed already; compressed again they come without length and Range, and who hashes what came \
             over the wire refuses it",
    remedy: "switch compression off for blobs/ and application/octet-stream (nginx: gzip_types; CDNs: automatic compression)",
};

const RANGES: Check = Check {
    id: "public_range",
    tried: "ask for a few bytes of a blob",
    breaks: "downloads that broke off begin anew, and nothing can be read in place",
    remedy: "let the server or CDN support Range for blobs/ (compression on the way takes it away)",
};

const ABSENT: Check = Check {
    id: "public_absent",
    tried: "ask for a blob and for a slot of the log that are not there",
    breaks: "readers cannot tell what is missing from what is forbidden, or take a page for an object",
    remedy: "answer with 404: let the bucket's public policy include s3:ListBucket, or map 403 to 404 in the CDN, and switch \
             off pages that stand in for missing files",
};

const ABSENT_CACHE: Check = Check {
    id: "public_absent_cache",
    tried: "see how long it stays unknown that something is there which was absent before",
    breaks: "what is published stays invisible to whoever asked for it too early, for as long as the 404 is kept",
    remedy: "send no long Cache-Control with 404, and let the CDN keep errors for a few seconds at most (CloudFront: error \
             caching minimum TTL; nginx: no `always` with add_header, proxy_cache_valid 404)",
};

const PLUS: Check = Check {
    id: "public_plus",
    tried: "fetch an object whose key has a + in it, written as + and as %2B",
    breaks: "nothing that is verified; views for other programs, whose keys hold versions (1.0.0+build)",
    remedy: "let the CDN pass on the path as it comes, and encode + when it asks a bucket",
};

/// The longest that a checkpoint, or an absence, may be kept, in seconds.
const SHORT: u64 = 60;

/// The shortest that is long for a blob: a day.
const LONG: u64 = 86_400;

/// How long is waited for an object that was absent before: longer than CDNs keep an error unless told to.
const APPEARS: Duration = Duration::from_secs(15);

/// The same, where there is no time.
const APPEARS_QUICK: Duration = Duration::from_secs(5);

/// Bytes of a page that is looked at where none should be.
const PAGE: u64 = 64 * 1024;

pub(super) async fn examine(
    bench: &mut Bench,
    public: &Public,
    keys: &[VerifierKey],
    head: Option<&Head>,
) -> Vec<Finding> {
    let first = match public.get(keys::CHECKPOINT, &[], limits::SIGNED + 1).await {
        Ok(answer) => answer,
        Err(e) => return vec![REACH.failed(brief(&e))],
    };
    let mut detail = format!("answers over {}", first.version);
    if let Some(place) = &first.redirected {
        detail += &format!(", from {place}, to which it redirects");
    }
    let mut out = vec![REACH.ok(detail)];
    match head {
        Some(head) => {
            out.extend(checkpoint(bench, public, keys, head, &first).await);
            out.push(pointers::notes(bench, public).await);
        }
        None => out.extend([CHECKPOINT, CHECKPOINT_CACHE, REVALIDATE, NOTES].map(|c| c.skipped(NO_REGISTRY))),
    }
    match head.map(|h| &h.checkpoint) {
        None => out.extend(ON_BLOBS.map(|c| c.skipped(NO_REGISTRY))),
        Some(None) => out.extend(ON_BLOBS.map(|c| c.skipped("which blobs there are is known only with --key"))),
        Some(Some(checkpoint)) => match registry::samples(&bench.store, checkpoint).await {
            Ok(samples) => out.extend(blobs(public, &samples).await),
            Err(e) => {
                out.push(BLOB.failed(format!("not even the store has it: {}", brief(&e))));
                out.extend(ON_BLOBS[1..].iter().map(|c| c.skipped("there is no blob to try")));
            }
        },
    }
    let absent = absent(bench, public).await;
    out.extend(absent);
    out
}

const NO_REGISTRY: &str = "no checkpoint could be read from the store";

const ON_BLOBS: [Check; 5] = [BLOB, BLOB_CACHE, BLOB_TYPE, ENCODING, RANGES];

async fn checkpoint(
    bench: &mut Bench,
    public: &Public,
    keys: &[VerifierKey],
    head: &Head,
    first: &Answer,
) -> [Finding; 3] {
    if first.status != StatusCode::OK {
        let skipped = |c: Check| c.skipped("there is no checkpoint to look at");
        return [CHECKPOINT.failed(first.status()), skipped(CHECKPOINT_CACHE), skipped(REVALIDATE)];
    }
    let kept = first.header(AGE).and_then(|age| age.trim().parse::<u64>().ok()).unwrap_or(0);
    let said = first.cache_control();
    let cache = match first.fresh_for() {
        Some(seconds) if seconds > SHORT => CHECKPOINT_CACHE.failed(said),
        Some(_) if kept > SHORT => CHECKPOINT_CACHE.failed(format!("{said}; and yet it is {kept} s old (Age)")),
        Some(_) => CHECKPOINT_CACHE.ok(said),
        None => CHECKPOINT_CACHE.failed(format!("{said} that says how long: each cache decides by itself")),
    };
    let same = same(bench, keys, head, &first.body).await;
    [same, cache, REVALIDATE.settle(pointers::revalidate(bench, public, first).await)]
}

/// Compares what is served with what is stored.
async fn same(bench: &Bench, keys: &[VerifierKey], head: &Head, served: &Bytes) -> Finding {
    let mut stored = head.bytes.clone();
    if *served != stored
        && let Ok(Fetched::New { bytes, .. }) = bench.store.get_signed(keys::CHECKPOINT, None).await
    {
        // Somebody may have published in the meantime.
        stored = bytes;
    }
    if *served == stored {
        return CHECKPOINT.ok("the same as in the store");
    }
    if keys.is_empty() {
        return if served.starts_with(b"ggen-market/checkpoint/") {
            BEHIND.warning("another one than in the store; with --key it is told how old it is")
        } else {
            CHECKPOINT.failed("what is served is no checkpoint")
        };
    }
    let (seen, known) = match (Checkpoint::open(served.clone(), keys), Checkpoint::open(stored, keys)) {
        (Ok(seen), Ok(known)) => (seen.generation(), known.generation()),
        (Err(e), _) | (_, Err(e)) => {
            return CHECKPOINT.failed(format!("what is served is no checkpoint of this registry: {e}"));
        }
    };
    match known.checked_sub(seen) {
        Some(behind) if behind > 0 => BEHIND.warning(format!("generation {seen}: {behind} behind the store")),
        Some(_) => CHECKPOINT.failed(format!("generation {seen} in other bytes than in the store")),
        None => CHECKPOINT.failed(format!("generation {seen}, but the store has {known}: it is of another store")),
    }
}

async fn blobs(public: &Public, samples: &[(&'static str, Link)]) -> Vec<Finding> {
    let mut seen = None;
    let mut wrong = None;
    for (what, link) in samples {
        match whole(public, link).await {
            Ok(answer) => seen = Some((answer, *link)),
            Err(why) => wrong = wrong.or(Some(format!("the {what} {}: {why}", link.sha256.short()))),
        }
    }
    let names: Vec<_> = samples.iter().map(|(what, _)| *what).collect();
    let blob = match wrong {
        Some(why) => BLOB.failed(why),
        None => BLOB.ok(format!("{}: the bytes that the links promise", names.join(" and "))),
    };
    let mut out = vec![blob];
    match &seen {
        None => out.extend([BLOB_CACHE, BLOB_TYPE].map(|c| c.skipped("no blob came as it should"))),
        Some((answer, _)) => {
            let said = answer.cache_control();
            let long = answer.fresh_for().is_some_and(|seconds| seconds >= LONG);
            out.push(if long { BLOB_CACHE.ok(said) } else { BLOB_CACHE.warning(said) });
            let kind = answer.header(CONTENT_TYPE).unwrap_or("none");
            let text = ["text/", "application/json", "application/javascript", "application/xml"];
            let is_text = text.iter().any(|t| kind.to_ascii_lowercase().starts_with(t));
            out.push(if is_text { BLOB_TYPE.warning(kind) } else { BLOB_TYPE.ok(kind) });
        }
    }
    out.push(ENCODING.settle(encoding(public, samples).await));
    out.push(match seen {
        Some((_, link)) if link.size >= 16 => RANGES.settle(range(public, &link).await),
        _ => RANGES.skipped("no blob came as it should"),
    });
    out
}

/// Fetches a blob by GET and by HEAD, and gives the answer or what is wrong with it.
async fn whole(public: &Public, link: &Link) -> Result<Answer, String> {
    let key = keys::blob(&link.sha256);
    let answer = public.get(&key, &[], link.size + 1).await.map_err(|e| brief(&e))?;
    if answer.status != StatusCode::OK {
        return Err(answer.status());
    }
    if Sha256::of(&answer.body) != link.sha256 {
        let encoding = answer.header(CONTENT_ENCODING).map(|e| format!(", Content-Encoding: {e}")).unwrap_or_default();
        return Err(format!("other bytes came ({} of {}{encoding})", answer.body.len(), link.size));
    }
    let head = public.head(&key).await.map_err(|e| brief(&e))?;
    let length = head.header(CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok());
    match length {
        _ if head.status != StatusCode::OK => Err(format!("{} to HEAD", head.status())),
        Some(length) if length != link.size => Err(format!("HEAD says {length} bytes instead of {}", link.size)),
        _ => Ok(answer),
    }
}

async fn encoding(public: &Public, samples: &[(&'static str, Link)]) -> Result<Finding> {
    for (what, link) in samples {
        let accept = [(ACCEPT_ENCODING, "gzip, br, zstd")];
        let answer = public.get(&keys::blob(&link.sha256), &accept, link.size + 1).await?;
        if let Some(encoding) = answer.header(CONTENT_ENCODING).filter(|e| !e.eq_ignore_ascii_case("identity")) {
            return Ok(ENCODING.failed(format!("the {what} comes with Content-Encoding: {encoding}")));
        }
        if answer.status == StatusCode::OK && Sha256::of(&answer.body) != link.sha256 {
            return Ok(ENCODING.failed(format!("the {what} comes in other bytes, and no header says why")));
        }
    }
    Ok(ENCODING.ok("they come as they are stored"))
}

async fn range(public: &Public, link: &Link) -> Result<Finding> {
    let key = keys::blob(&link.sha256);
    let whole = public.get(&key, &[], link.size + 1).await?.body;
    let some = public.get(&key, &[(RANGE, "bytes=4-11")], link.size + 1).await?;
    Ok(match some.status {
        StatusCode::PARTIAL_CONTENT if whole.get(4..12) == Some(&some.body) => RANGES.ok("206, the right bytes"),
        StatusCode::PARTIAL_CONTENT => RANGES.failed(format!("206, but {} other bytes", some.body.len())),
        StatusCode::OK => RANGES.warning("it is ignored: 200 with all of the bytes"),
        _ => RANGES.warning(some.status()),
    })
}

/// Absent objects, and what appears where there was nothing.
async fn absent(bench: &mut Bench, public: &Public) -> [Finding; 3] {
    // Keys that nobody ever asked for or will ask for: to ask for the next slot could plant the very answer that is looked for.
    let random = Sha256::of(bench.folder.as_bytes());
    let number = random.0.iter().take(4).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let asked = [keys::blob(&random), keys::slot(9_000_000_000 + number % 999_999_999)];
    let mut answers = Vec::new();
    for key in &asked {
        match public.get(key, &[], PAGE).await {
            Ok(answer) => answers.push((key, answer)),
            Err(e) => {
                let skipped = |c: Check| c.skipped("see public_absent");
                return [ABSENT.failed(brief(&e)), skipped(ABSENT_CACHE), skipped(PLUS)];
            }
        }
    }
    let is_absent = |a: &Answer| matches!(a.status, StatusCode::NOT_FOUND | StatusCode::GONE);
    let told = match answers.iter().find(|(_, a)| !is_absent(a)) {
        None => ABSENT.ok("404"),
        Some((key, a)) => {
            let what = if a.status == StatusCode::OK { ", with a page" } else { "" };
            ABSENT.failed(format!("{}{what} for {key}", a.status()))
        }
    };
    let first = format!("{}/first", bench.folder);
    let visible = match public.get(&first, &[], PAGE).await {
        Ok(answer) if answer.status == StatusCode::OK && answer.body == "first\n" => Ok(()),
        Ok(answer) => Err(format!("what lies below doctor/ cannot be read there ({})", answer.status())),
        Err(e) => Err(brief(&e)),
    };
    let long = answers.iter().filter(|(_, a)| is_absent(a)).find(|(_, a)| a.fresh_for().is_some_and(|s| s > SHORT));
    let cache = match (long, &visible) {
        (Some((_, a)), _) => ABSENT_CACHE.failed(format!("404 with {}", a.cache_control())),
        (None, Err(_)) if told.outcome != super::Outcome::Ok => ABSENT_CACHE.skipped("see public_absent"),
        (None, Err(why)) => ABSENT_CACHE.skipped(format!("no header keeps a 404; {why}")),
        (None, Ok(())) => ABSENT_CACHE.settle(appears(bench, public).await),
    };
    let plus = match visible {
        Ok(()) => match plus(bench, public).await {
            Ok(finding) => finding,
            Err(e) => PLUS.warning(brief(&e)),
        },
        Err(why) => PLUS.skipped(why),
    };
    [told, cache, plus]
}

/// Asks for an object, writes it, and asks until it is there.
async fn appears(bench: &mut Bench, public: &Public) -> Result<Finding> {
    let key = bench.key("later");
    public.get(key.as_ref(), &[], PAGE).await?;
    bench.put_as(&key, Class::Pointer, Bytes::from_static(b"later\n")).await?;
    let patience = if bench.quick { APPEARS_QUICK } else { APPEARS };
    let begun = Instant::now();
    loop {
        let answer = public.get(key.as_ref(), &[], PAGE).await?;
        let waited = begun.elapsed();
        if answer.status == StatusCode::OK && answer.body == "later\n" {
            return Ok(match waited.as_secs() {
                0 => ABSENT_CACHE.ok("seen at once"),
                seconds => ABSENT_CACHE.ok(format!("seen after {seconds} s")),
            });
        }
        if waited > patience {
            return Ok(ABSENT_CACHE.failed(format!("not seen after {} s: {}", waited.as_secs(), answer.status())));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn plus(bench: &mut Bench, public: &Public) -> Result<Finding> {
    let key = bench.key("a+b");
    bench.put_as(&key, Class::Pointer, Bytes::from_static(b"plus\n")).await?;
    let mut wrong = Vec::new();
    for written in ["+", "%2B"] {
        let answer = public.get(&format!("{}/a{written}b", bench.folder), &[], PAGE).await?;
        if answer.status != StatusCode::OK || answer.body != "plus\n" {
            wrong.push(format!("{} for {written}", answer.status()));
        }
    }
    Ok(if wrong.is_empty() { PLUS.ok("found as + and as %2B") } else { PLUS.warning(wrong.join(", ")) })
}
