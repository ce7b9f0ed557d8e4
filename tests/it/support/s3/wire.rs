//! Requests and answers as HTTP and XML have them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::http::HeaderMap;

/// An operation of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Put,
    Get,
    Head,
    Delete,
    BulkDelete,
    List,
    Copy,
    CreateUpload,
    UploadPart,
    CompleteUpload,
    AbortUpload,
    Unknown,
}

impl Op {
    /// What changes something.
    pub(crate) const WRITES: &[Self] = &[
        Self::Put,
        Self::Delete,
        Self::BulkDelete,
        Self::Copy,
        Self::CreateUpload,
        Self::UploadPart,
        Self::CompleteUpload,
        Self::AbortUpload,
    ];
}

/// A request without its body.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) op: Op,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
}

impl Asked {
    pub(super) fn new(parts: hyper::http::request::Parts) -> Self {
        let path = unescape_url(parts.uri.path().trim_start_matches('/'));
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
        let has = |name: &str| query.iter().any(|(n, _)| n == name);
        let copies = parts.headers.contains_key("x-amz-copy-source");
        let op = match (parts.method.as_str(), key.is_empty()) {
            ("GET", true) if has("list-type") => Op::List,
            ("POST", true) if has("delete") => Op::BulkDelete,
            (_, true) => Op::Unknown,
            ("PUT", _) if has("uploadId") => Op::UploadPart,
            ("PUT", _) if copies => Op::Copy,
            ("PUT", _) => Op::Put,
            ("GET", _) => Op::Get,
            ("HEAD", _) => Op::Head,
            ("DELETE", _) if has("uploadId") => Op::AbortUpload,
            ("DELETE", _) => Op::Delete,
            ("POST", _) if has("uploads") => Op::CreateUpload,
            ("POST", _) if has("uploadId") => Op::CompleteUpload,
            _ => Op::Unknown,
        };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        Self { op, bucket, key, query, headers: parts.headers }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find_map(|(n, v)| (n == name).then_some(v.as_str()))
    }

    pub(super) fn is_conditional(&self) -> bool {
        ["if-none-match", "if-match"].iter().any(|name| self.headers.contains_key(*name))
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn xml(body: String) -> Self {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
        Self { status: 200, headers: Vec::new(), body: body.into() }.header("Content-Type", "application/xml")
    }

    pub(super) fn error(status: u16, code: &str, message: &str, key: &str) -> Self {
        let (message, key) = (escape(message), escape(key));
        let body = format!(
            "<Error><Code>{code}</Code><Message>{message}</Message><Resource>/{key}</Resource><RequestId>{REQUEST}</RequestId></Error>"
        );
        Self { status, ..Self::xml(body) }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Where an error's body names the request.
pub(super) const REQUEST: &str = "REQUEST-ID";

/// The answer of a server that has trouble.
pub(super) fn trouble(status: u16, key: &str) -> Reply {
    let (code, message) = match status {
        503 => ("SlowDown", "Please reduce your request rate."),
        429 => ("TooManyRequests", "Please reduce your request rate."),
        409 => ("ConditionalRequestConflict", "A conflicting operation occurred during the request."),
        _ => ("InternalError", "We encountered an internal error. Please try again."),
    };
    let reply = Reply::error(status, code, message, key);
    if matches!(status, 503 | 429) { reply.header("Retry-After", "1") } else { reply }
}

pub(super) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub(super) fn parse_http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|t| t.with_timezone(&Utc))
}

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// The texts of all elements of that name. Enough for the few documents that a client sends.
pub(super) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close)).map(|(text, _)| unescape(text)).collect()
}

pub(super) fn unescape_url(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// As S3 does where `encoding-type=url` asks for it.
pub(super) fn escape_url(text: &str) -> String {
    let keep = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(b);
    text.bytes().map(|b| if keep(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
