//! Uploads in parts.

use super::{
    protocol::{copy_source, kept_headers},
    state::{State, tag},
    wire::{Asked, Reply, elements, escape},
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The least that a part may have, but for the last.
const LEAST: usize = 5 * 1024 * 1024;

/// One that was begun.
pub(super) struct Upload {
    key: String,
    headers: Vec<(String, String)>,
    parts: BTreeMap<u32, Bytes>,
}

fn unknown(asked: &Asked) -> Reply {
    Reply::error(404, "NoSuchUpload", "The specified multipart upload does not exist.", &asked.key)
}

fn of<'a>(state: &'a mut State, asked: &Asked) -> Option<&'a mut Upload> {
    state.uploads.get_mut(asked.parameter("uploadId")?).filter(|u| u.key == asked.key)
}

pub(super) fn create(state: &mut State, asked: &Asked) -> Reply {
    let id = format!("upload-{}", state.request_id());
    let upload = Upload { key: asked.key.clone(), headers: kept_headers(asked), parts: BTreeMap::new() };
    state.uploads.insert(id.clone(), upload);
    let key = escape(&asked.key);
    Reply::xml(format!(
        "<InitiateMultipartUploadResult><Key>{key}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
    ))
}

pub(super) fn part(state: &mut State, asked: &Asked, body: Bytes) -> Reply {
    let copied = match copy_source(asked) {
        None => None,
        Some(from) => match state.objects.get(&from) {
            Some(bytes) => Some(Bytes::copy_from_slice(bytes)),
            None => return state.absent(&from),
        },
    };
    let number = asked.parameter("partNumber").and_then(|n| n.parse().ok()).filter(|n| (1..=10_000).contains(n));
    let Some(number) = number else {
        return Reply::error(400, "InvalidArgument", "Part number must be an integer between 1 and 10000", &asked.key);
    };
    let Some(upload) = of(state, asked) else { return unknown(asked) };
    let is_copy = copied.is_some();
    let bytes = copied.unwrap_or(body);
    let etag = tag(&bytes);
    upload.parts.insert(number, bytes);
    let reply = if is_copy {
        Reply::xml(format!("<CopyPartResult><ETag>{}</ETag></CopyPartResult>", escape(&etag)))
    } else {
        Reply::new(200)
    };
    let reply = reply.header("ETag", etag);
    match asked.header("x-amz-checksum-sha256") {
        Some(digest) => reply.header("x-amz-checksum-sha256", digest),
        None => reply,
    }
}

pub(super) fn complete(state: &mut State, asked: &Asked, body: &[u8]) -> Reply {
    let wrong = |code, message| Reply::error(400, code, message, &asked.key);
    let Some(upload) = of(state, asked) else { return unknown(asked) };
    let text = String::from_utf8_lossy(body);
    let numbers = elements(&text, "PartNumber").into_iter().filter_map(|n| n.parse::<u32>().ok());
    let named: Vec<(u32, String)> = numbers.zip(elements(&text, "ETag")).collect();
    if named.is_empty() {
        return wrong("MalformedXML", "The XML you provided was not well-formed");
    }
    if !named.is_sorted_by(|a, b| a.0 < b.0) {
        return wrong("InvalidPartOrder", "The list of parts was not in ascending order.");
    }
    let mut bytes = Vec::new();
    let mut tags = String::new();
    for (i, (number, etag)) in named.iter().enumerate() {
        match upload.parts.get(number) {
            Some(part) if tag(part).trim_matches('"') == etag.trim_matches('"') => {
                if part.len() < LEAST && i + 1 < named.len() {
                    return wrong("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size");
                }
                bytes.extend_from_slice(part);
                tags += etag;
            }
            _ => return wrong("InvalidPart", "One or more of the specified parts could not be found."),
        }
    }
    let headers = std::mem::take(&mut upload.headers);
    state.uploads.remove(asked.parameter("uploadId").unwrap_or_default());
    let etag = format!("\"{}-{}\"", tag(tags.as_bytes()).trim_matches('"'), named.len());
    let etag = state.write(&asked.key, bytes, headers, Some(etag), asked.is_conditional());
    Reply::xml(format!(
        "<CompleteMultipartUploadResult><Key>{}</Key><ETag>{}</ETag></CompleteMultipartUploadResult>",
        escape(&asked.key),
        escape(&etag)
    ))
}

pub(super) fn abort(state: &mut State, asked: &Asked) -> Reply {
    if of(state, asked).is_none() {
        return unknown(asked);
    }
    state.uploads.remove(asked.parameter("uploadId").unwrap_or_default());
    Reply::new(204)
}
