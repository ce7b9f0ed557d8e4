//! What each operation does to the state. All of this runs under the one lock.

use super::{
    ACCESS_KEY, BUCKET,
    state::{Conditions, Meta, State, tag},
    wire::{Asked, Op, Reply, elements, escape, http_date, parse_http_date, unescape_url},
};
use crate::support::second_reader;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

/// What is kept with an object and given back with it.
const KEPT: &[&str] = &["content-type", "cache-control", "content-encoding", "content-disposition", "content-language"];

/// Whether the request gets as far as its operation.
pub(super) fn admit(state: &State, asked: &Asked, body: &[u8]) -> Result<(), Reply> {
    let refused = |code, message| Err(Reply::error(403, code, message, &asked.key));
    match asked.header("authorization") {
        None if state.settings.public_read && matches!(asked.op, Op::Get | Op::Head) => {}
        None => return refused("AccessDenied", "Access Denied"),
        Some(text) => {
            let credential = text.strip_prefix("AWS4-HMAC-SHA256 ").and_then(|t| t.split("Credential=").nth(1));
            let Some(credential) = credential else { return refused("AccessDenied", "Access Denied") };
            if credential.split('/').next() != Some(ACCESS_KEY) {
                return refused("InvalidAccessKeyId", "The access key does not exist in our records.");
            }
        }
    }
    if asked.bucket != BUCKET {
        return Err(Reply::error(404, "NoSuchBucket", "The specified bucket does not exist", &asked.bucket));
    }
    digests(asked, body)
}

/// The digests that were sent with a body.
fn digests(asked: &Asked, body: &[u8]) -> Result<(), Reply> {
    let wrong = |code, message| Err(Reply::error(400, code, message, &asked.key));
    let sha256 = second_reader::hex(body);
    if let Some(claimed) = asked.header("x-amz-content-sha256") {
        if claimed.starts_with("STREAMING-") {
            return Err(Reply::error(501, "NotImplemented", "Bodies in signed chunks are not spoken here", &asked.key));
        }
        if claimed != "UNSIGNED-PAYLOAD" && claimed != sha256 {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return wrong("XAmzContentSHA256Mismatch", message);
        }
    }
    if let Some(claimed) = asked.header("x-amz-checksum-sha256")
        && claimed != BASE64_STANDARD.encode(hex::decode(&sha256).unwrap())
    {
        return wrong("BadDigest", "The SHA256 you specified did not match the calculated checksum.");
    }
    Ok(())
}

/// The conditions of a write; an answer where one does not hold.
pub(super) fn condition(state: &State, asked: &Asked) -> Option<Reply> {
    let failed = || {
        let message = "At least one of the pre-conditions you specified did not hold";
        Some(Reply::error(412, "PreconditionFailed", message, &asked.key))
    };
    let there = state.metas.get(&asked.key);
    if asked.header("if-none-match") == Some("*") && there.is_some() {
        return failed();
    }
    let wanted = asked.header("if-match")?;
    match there {
        None => Some(Reply::error(404, "NoSuchKey", "The specified key does not exist.", &asked.key)),
        Some(meta) if wanted == "*" || wanted == meta.etag => None,
        Some(_) => failed(),
    }
}

pub(super) fn perform(state: &mut State, asked: &Asked, body: Bytes, check: bool) -> Reply {
    let writes_object = matches!(asked.op, Op::Put | Op::Copy | Op::CompleteUpload);
    if writes_object
        && check
        && state.settings.conditions != Conditions::Ignored
        && let Some(failed) = condition(state, asked)
    {
        return failed;
    }
    match asked.op {
        Op::Put => put(state, asked, body),
        Op::Get | Op::Head => get(state, asked),
        Op::Delete => {
            state.delete(&asked.key);
            Reply::new(204)
        }
        Op::BulkDelete => bulk_delete(state, &body),
        Op::Copy => copy(state, asked),
        Op::List => super::list::list(state, asked),
        Op::CreateUpload => super::upload::create(state, asked),
        Op::UploadPart => super::upload::part(state, asked, body),
        Op::CompleteUpload => super::upload::complete(state, asked, &body),
        Op::AbortUpload => super::upload::abort(state, asked),
        Op::Unknown => Reply::error(501, "NotImplemented", "This operation is not spoken here", &asked.key),
    }
}

pub(super) fn kept_headers(asked: &Asked) -> Vec<(String, String)> {
    let kept = |name: &str| KEPT.contains(&name) || name.starts_with("x-amz-meta-") || name == "x-amz-storage-class";
    let headers = asked.headers.iter().filter(|(name, _)| kept(name.as_str()));
    headers.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or("").to_owned())).collect()
}

fn put(state: &mut State, asked: &Asked, body: Bytes) -> Reply {
    let etag = state.write(&asked.key, body.into(), kept_headers(asked), None, asked.is_conditional());
    Reply::new(200).header("ETag", etag)
}

fn get(state: &mut State, asked: &Asked) -> Reply {
    if asked.op == Op::Get {
        state.read(&asked.key);
    }
    let Some(meta) = state.metas.get(&asked.key) else {
        let reply = state.absent(&asked.key);
        return if asked.op == Op::Head { Reply { body: Bytes::new(), ..reply } } else { reply };
    };
    let bytes = &state.objects[&asked.key];
    let mut reply = Reply::new(200).header("ETag", &meta.etag).header("Last-Modified", http_date(meta.modified));
    if let Some(status) = unwanted(meta, asked) {
        reply.status = status;
        if status == 304 || asked.op == Op::Head {
            return reply;
        }
        return Reply::error(412, "PreconditionFailed", "A condition did not hold", &asked.key);
    }
    reply = reply.header("Accept-Ranges", "bytes");
    if !meta.headers.iter().any(|(name, _)| name == "content-type") {
        reply = reply.header("Content-Type", "binary/octet-stream");
    }
    reply.headers.extend(meta.headers.iter().cloned());
    let whole = bytes.len() as u64;
    let range = match asked.header("range").and_then(|text| parse_range(text, whole)) {
        None => 0..whole,
        Some(Ok(range)) => {
            reply.status = 206;
            reply = reply.header("Content-Range", format!("bytes {}-{}/{whole}", range.start, range.end - 1));
            range
        }
        Some(Err(())) => {
            let message = "The requested range is not satisfiable";
            return Reply::error(416, "InvalidRange", message, &asked.key)
                .header("Content-Range", format!("bytes */{whole}"));
        }
    };
    reply = reply.header("Content-Length", (range.end - range.start).to_string());
    if asked.op == Op::Get {
        reply.body = Bytes::copy_from_slice(&bytes[range.start as usize..range.end as usize]);
    }
    reply
}

/// The status of a conditional read that gives no bytes.
fn unwanted(meta: &Meta, asked: &Asked) -> Option<u16> {
    let matches = |list: &str| list.split(',').any(|t| t.trim() == "*" || t.trim() == meta.etag);
    let date = |name: &str| asked.header(name).and_then(parse_http_date);
    // A condition on the tag takes precedence over one on the time.
    let changed = match asked.header("if-match") {
        Some(list) => !matches(list),
        None => date("if-unmodified-since").is_some_and(|t| meta.modified > t),
    };
    let known = match asked.header("if-none-match") {
        Some(list) => matches(list),
        None => date("if-modified-since").is_some_and(|t| meta.modified <= t),
    };
    match (changed, known) {
        (true, _) => Some(412),
        (false, true) => Some(304),
        (false, false) => None,
    }
}

/// `None` for what is no range at all, which is ignored; an error for one that holds nothing.
fn parse_range(text: &str, whole: u64) -> Option<Result<std::ops::Range<u64>, ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..whole.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..whole,
        (Err(_), Ok(suffix)) if first.is_empty() => whole.saturating_sub(suffix)..whole,
        _ => return None,
    };
    Some(if range.start < range.end { Ok(range) } else { Err(()) })
}

fn bulk_delete(state: &mut State, body: &[u8]) -> Reply {
    let mut out = String::from("<DeleteResult>");
    for key in elements(&String::from_utf8_lossy(body), "Key") {
        state.delete(&key);
        out += &format!("<Deleted><Key>{}</Key></Deleted>", escape(&key));
    }
    Reply::xml(out + "</DeleteResult>")
}

/// The key that a copy reads.
pub(super) fn copy_source(asked: &Asked) -> Option<String> {
    let source = unescape_url(asked.header("x-amz-copy-source")?);
    source.trim_start_matches('/').strip_prefix(BUCKET)?.strip_prefix('/').map(Into::into)
}

fn copy(state: &mut State, asked: &Asked) -> Reply {
    let from = copy_source(asked).unwrap_or_default();
    state.read(&from);
    let Some(meta) = state.metas.get(&from).cloned() else { return state.absent(&from) };
    let bytes = state.objects[&from].clone();
    let etag = tag(&bytes);
    state.write(&asked.key, bytes, meta.headers, Some(etag.clone()), asked.is_conditional());
    let modified = state.now().format("%Y-%m-%dT%H:%M:%S.000Z");
    Reply::xml(format!(
        "<CopyObjectResult><ETag>{}</ETag><LastModified>{modified}</LastModified></CopyObjectResult>",
        escape(&etag)
    ))
}
