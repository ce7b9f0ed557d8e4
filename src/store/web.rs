//! A registry, or one file, on a web server: one question and its answer. Nothing is tried again here.

use super::{
    clock::Clock,
    fault::{Ask, Body, Fault, Got, Then},
    open::redact,
    transport::{Transport, TransportOptions},
};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, path::Path as Key,
};
use reqwest::{
    Response, StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use url::{Host, Url};

/// More hops lead nowhere.
const MAX_REDIRECTS: usize = 5;

#[derive(Clone)]
pub(super) struct Web {
    transport: Arc<Transport>,
    base: Url,
    /// The URL is that of the one object that is asked for, and not of a folder of keys.
    exact: bool,
    clock: Clock,
}

impl Web {
    /// A registry at that URL, or the object there. User and password of the URL become an `Authorization` for its host, under
    /// the same rules as any other.
    pub(super) fn new(url: &Url, exact: bool, transport: &Arc<Transport>, clock: &Clock) -> Self {
        let mut base = url.clone();
        base.set_fragment(None);
        Self { transport: Arc::clone(transport), base, exact, clock: clock.clone() }
    }

    fn url(&self, key: &str, past: bool) -> Url {
        let mut url = self.base.clone();
        if !self.exact {
            url.set_path(&format!("{}/{key}", self.base.path().trim_end_matches('/')));
        }
        if past && !self.exact && self.base.query().is_none() {
            // Caches take another query for another object, and servers of files take no notice of it. (Where a query is
            // signed, they would.)
            url.query_pairs_mut().append_pair("again", &format!("{:x}", getrandom::u64().unwrap_or_default()));
        }
        url
    }

    fn fault(&self, key: &str, then: Then, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
        let place = redact(self.url(key, false).as_str());
        Fault::new(
            then,
            Error::new(ErrorKind::Unavailable, format!("cannot read {place}"))
                .with_source(why)
                .with_hint("check the address and the network, or try again later"),
        )
    }

    fn failed(&self, key: &str, e: reqwest::Error) -> Fault {
        let fault = self.fault(key, Then::Again, Below(e.without_url()));
        if fault.error.chain().to_lowercase().contains("certificate") {
            let hint =
                "the server's certificate is not trusted; where a network has a CA of its own, --ca-file names it";
            return Fault { error: fault.error.with_hint(hint), ..fault };
        }
        fault
    }

    pub(super) async fn get(&self, ask: &Ask<'_>) -> Result<Got, Fault> {
        let patience = self.transport.options.answer_timeout;
        let answer = tokio::time::timeout(patience, self.answer(ask)).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", patience.as_secs_f32());
            Err(self.fault(ask.key, Then::Again, why))
        })?;
        if let Some(date) = answer.headers().get(header::DATE).and_then(|d| d.to_str().ok()) {
            self.clock.heard(date);
        }
        let status = answer.status();
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => self.body(ask, answer),
            StatusCode::NOT_MODIFIED if ask.etag.is_some() => Ok(Got::NotModified),
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => {
                let (path, source) = (ask.key.to_owned(), status_text(status).into());
                let cause = if status == StatusCode::FORBIDDEN {
                    object_store::Error::PermissionDenied { path, source }
                } else {
                    object_store::Error::NotFound { path, source }
                };
                let mut fault = self.fault(ask.key, Then::Past, super::Cause(cause));
                let hint = "an object that is cited must be there: the copy may be incomplete, or the cache in front of it stale";
                fault.error = fault.error.with_hint(hint);
                if status == StatusCode::FORBIDDEN && ask.key == crate::format::keys::CHECKPOINT {
                    // Where even the checkpoint may not be seen, the whole registry may not.
                    fault.error = fault.error.with_hint("the server lets nobody in without the right credentials");
                    return Err(fault);
                }
                Ok(Got::Absent(fault))
            }
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let place = redact(self.base.as_str());
                let error = Error::new(ErrorKind::Invalid, format!("{place} wants credentials, or other ones"))
                    .with_source(status_text(status))
                    .with_hint("GGEN_MARKET_AUTHORIZATION, or `authorization` in the configuration, holds them");
                Err(Fault::new(Then::Never, error))
            }
            _ => {
                let then = match retry_after(answer.headers()) {
                    Some(wait) => Then::After(wait),
                    None if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) => Then::Again,
                    None if status == StatusCode::RANGE_NOT_SATISFIABLE => Then::Whole,
                    None => Then::Past,
                };
                let mut why = status_text(status);
                if let Then::After(wait) = then {
                    why = format!("{why}, and asks to be left alone for {} s", wait.as_secs());
                }
                Err(self.fault(ask.key, then, why))
            }
        }
    }

    /// Follows redirects, never from https to http, never into a private network from outside of it, and never with the
    /// secret of another host.
    async fn answer(&self, ask: &Ask<'_>) -> Result<Response, Fault> {
        let configured = |e: Error| Fault::new(Then::Never, e);
        let client = self.transport.client().map_err(configured)?;
        let mut url = self.url(ask.key, ask.past);
        let mut secret = self.transport.authorization(&url).map_err(configured)?;
        if secret.is_some() {
            // What was set for the host comes before what stands in the URL; both would be two headers.
            let _ = url.set_username("").and_then(|()| url.set_password(None));
        }
        for _ in 0..=MAX_REDIRECTS {
            // Never gzip: what is stored is hashed and signed as it is, and a part of a compressed answer is no part of it.
            let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
            if ask.is_part() {
                let last = ask.until.map(|until| until.saturating_sub(1).to_string()).unwrap_or_default();
                request = request.header(header::RANGE, format!("bytes={}-{last}", ask.from));
            }
            if let Some(etag) = ask.etag {
                request = request.header(header::IF_NONE_MATCH, etag);
            }
            if ask.past {
                request = request.header(header::CACHE_CONTROL, "no-cache");
            }
            if let Some(secret) = &secret {
                request = request.header(header::AUTHORIZATION, secret);
            }
            let answer = request.send().await.map_err(|e| self.failed(ask.key, e))?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = answer.headers().get(header::LOCATION).and_then(|l| url.join(l.to_str().ok()?).ok());
            let next = next.ok_or_else(|| self.fault(ask.key, Then::Past, "a redirect to nowhere"))?;
            if let Some(why) = refused(&url, &next) {
                let why = format!("refusing a redirect to {}: {why}", redact(next.as_str()));
                return Err(self.fault(ask.key, Then::Past, why));
            }
            secret = secret.filter(|_| url.origin() == next.origin());
            url = next;
        }
        Err(self.fault(ask.key, Then::Past, "too many redirects"))
    }

    fn body(&self, ask: &Ask<'_>, answer: Response) -> Result<Got, Fault> {
        let headers = answer.headers();
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let (start, total) = if answer.status() == StatusCode::PARTIAL_CONTENT {
            let range = text(header::CONTENT_RANGE).and_then(content_range);
            match range {
                Some((start, total)) if start == ask.from && ask.is_part() => (start, total),
                _ => return Err(self.fault(ask.key, Then::Whole, "it answers with another part than was asked for")),
            }
        } else {
            (0, answer.content_length())
        };
        let encoded = text(header::CONTENT_ENCODING).is_some_and(|e| !e.eq_ignore_ascii_case("identity"));
        let etag = text(header::ETAG).map(str::to_owned);
        let pieces = self.pieces(ask.key, answer);
        Ok(Got::Body(Body { etag, version: None, start, total, encoded, pieces }))
    }

    /// The body, as long as it keeps coming.
    fn pieces(&self, key: &str, answer: Response) -> BoxStream<'static, Result<Bytes, Fault>> {
        let (web, key) = (self.clone(), key.to_owned());
        let pace = Pace::default();
        let state = (web, key, answer, pace);
        futures::stream::try_unfold(state, |(web, key, mut answer, mut pace)| async move {
            let options = &web.transport.options;
            let asked = Instant::now();
            let piece = match tokio::time::timeout(options.stall_timeout, answer.chunk()).await {
                Ok(piece) => piece.map_err(|e| web.failed(&key, e))?,
                Err(_) => {
                    let why = format!("nothing came for {} s", options.stall_timeout.as_secs_f32());
                    return Err(web.fault(&key, Then::Again, why));
                }
            };
            let Some(piece) = piece else { return Ok(None) };
            if pace.is_too_slow(asked.elapsed(), piece.len() as u64, options) {
                let why = format!("slower than {} bytes a second", options.min_rate);
                return Err(web.fault(&key, Then::Again, why));
            }
            Ok(Some((piece, (web, key, answer, pace))))
        })
        .boxed()
    }
}

/// How fast an answer comes. Only the waiting counts: a caller that is busy with the last piece is no slow server.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn is_too_slow(&mut self, waited: Duration, bytes: u64, options: &TransportOptions) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < options.rate_window {
            return false;
        }
        let slow = (self.bytes as f64) < options.min_rate as f64 * self.waited.as_secs_f64();
        *self = Self::default();
        slow
    }
}

/// The number of a status and its name.
fn status_text(status: StatusCode) -> String {
    format!("the server answers {status}")
}

/// Where a redirect may not lead, and why.
fn refused(from: &Url, to: &Url) -> Option<&'static str> {
    if !matches!(to.scheme(), "http" | "https") {
        return Some("that is not HTTP");
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Some("it gives up TLS");
    }
    // One who is in a network by itself may lead on within it.
    let (from, to) = (reach(from), reach(to));
    let within = to == from || (from, to) == (Reach::Machine, Reach::Network);
    (to != Reach::World && !within).then_some("it leads into a private network")
}

/// Who can see what a URL names, as far as it says by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    World,
    Network,
    Machine,
    /// Where clouds tell a machine its secrets.
    Link,
}

fn reach(url: &Url) -> Reach {
    let of_v4 = |ip: std::net::Ipv4Addr| match ip {
        _ if ip.is_loopback() || ip.is_unspecified() => Reach::Machine,
        _ if ip.is_link_local() => Reach::Link,
        _ if ip.is_private() => Reach::Network,
        _ => Reach::World,
    };
    match url.host() {
        Some(Host::Ipv4(ip)) => of_v4(ip),
        Some(Host::Ipv6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => of_v4(ip),
            None if ip.is_loopback() || ip.is_unspecified() => Reach::Machine,
            None if ip.is_unicast_link_local() => Reach::Link,
            None if ip.is_unique_local() => Reach::Network,
            None => Reach::World,
        },
        Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost") => Reach::Machine,
        _ => Reach::World,
    }
}

/// First byte and, if it is told, the length of the whole, of `bytes 5-9/20`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (first <= last && total.is_none_or(|t| last < t)).then_some((first, total))
}

/// As long as this is as long as for ever.
const LONGEST_WAIT: u64 = 86_400;

/// How long a server asks to be left alone: seconds, or a date (RFC 9110, section 10.2.3). At most a day: a time is reckoned
/// with, and no clock holds what a server may ask for.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = |seconds: u64| Some(Duration::from_secs(seconds.min(LONGEST_WAIT)));
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number has ask for longer than it says.
        return wait(text.parse().unwrap_or(u64::MAX));
    }
    let date = |text: &str| chrono::DateTime::parse_from_rfc2822(text).ok();
    // By the server's own clock, where it tells it.
    let now = headers.get(header::DATE).and_then(|d| date(d.to_str().ok()?)).map(|d| d.timestamp());
    let now = now.unwrap_or_else(|| crate::package::Timestamp::now().unix());
    wait(u64::try_from(date(text)?.timestamp() - now).unwrap_or(0))
}

/// What a web server is to those who write: nothing. It is read by [`Web`].
#[derive(Debug)]
pub(super) struct ReadOnly;

impl std::fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a web server")
    }
}

fn only_read<T>(operation: &str) -> object_store::Result<T> {
    Err(object_store::Error::NotImplemented { operation: operation.into(), implementer: "a web server".into() })
}

#[async_trait]
impl ObjectStore for ReadOnly {
    async fn put_opts(&self, _: &Key, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        only_read("put")
    }

    async fn put_multipart_opts(
        &self,
        _: &Key,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        only_read("put")
    }

    async fn get_opts(&self, _: &Key, _: GetOptions) -> object_store::Result<GetResult> {
        only_read("get")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        futures::stream::once(async { only_read("delete") }).boxed()
    }

    fn list(&self, _: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        futures::stream::once(async { only_read("list") }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Key>) -> object_store::Result<ListResult> {
        only_read("list")
    }

    async fn copy_opts(&self, _: &Key, _: &Key, _: CopyOptions) -> object_store::Result<()> {
        only_read("copy")
    }
}

/// Why a request failed: the innermost cause, since the outer ones say little more than that it did.
#[derive(Debug)]
struct Below(reqwest::Error);

impl std::fmt::Display for Below {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut last: &dyn std::error::Error = &self.0;
        while let Some(below) = last.source() {
            last = below;
        }
        write!(f, "{last}")
    }
}

impl std::error::Error for Below {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_neither_gives_up_tls_nor_leads_inside() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (from, to) in [
            ("https://a.example", "http://a.example"),
            ("https://a.example", "file:///etc/passwd"),
            ("https://a.example", "ftp://a.example"),
            ("https://a.example", "https://169.254.169.254/latest"),
            ("http://a.example", "http://127.0.0.1/"),
            ("http://a.example", "http://[::1]/"),
            ("http://a.example", "http://[::ffff:10.0.0.1]/"),
            ("http://a.example", "http://[fe80::1]/"),
            ("http://a.example", "http://2130706433/"),
            ("http://a.example", "http://localhost/"),
            ("http://10.0.0.1", "http://127.0.0.1/"),
            ("http://127.0.0.1", "http://169.254.169.254/"),
        ] {
            assert!(refused(&url(from), &url(to)).is_some(), "{from} {to}");
        }
        for (from, to) in [
            ("http://a.example", "https://b.example"),
            ("https://a.example", "https://b.example"),
            ("http://127.0.0.1", "http://127.0.0.1:81"),
            ("http://10.0.0.1", "http://192.168.0.1"),
            ("http://127.0.0.1", "http://10.0.0.1"),
        ] {
            assert_eq!(refused(&url(from), &url(to)), None, "{from} {to}");
        }
    }

    #[test]
    fn what_a_server_says_of_parts_and_pauses_is_read_with_care() {
        assert_eq!(content_range("bytes 5-9/20"), Some((5, Some(20))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */20", "5-9/20", "bytes 9-5/20", "bytes 5-20/20", "bytes 5-/20", "bytes -5/20"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, HeaderValue::from_static("Mon, 23 Nov 2026 10:00:00 GMT"));
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers).map(|d| d.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Mon, 23 Nov 2026 10:00:30 GMT"), Some(30));
        assert_eq!(wait("Mon, 23 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!((wait("soon"), wait("-1")), (None, None));
        // More than anybody waits is not told apart: it has to stay a time that can be reckoned with.
        for long in ["86401", "18446744073709551615", "18446744073709551616", "Tue, 23 Nov 9999 10:00:30 GMT"] {
            assert_eq!(wait(long), Some(86_400), "{long}");
        }
    }

    #[test]
    fn only_waiting_makes_an_answer_slow() {
        let mut options = TransportOptions::default();
        (options.min_rate, options.rate_window) = (100, Duration::from_secs(2));
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        assert!(!pace.is_too_slow(second, 150, &options) && !pace.is_too_slow(second, 60, &options));
        assert!(!pace.is_too_slow(second, 1000, &options), "a new window");
        assert!(!pace.is_too_slow(second, 0, &options), "1000 bytes in two seconds");
        assert!(!pace.is_too_slow(second, 100, &options) && pace.is_too_slow(second, 99, &options));
    }
}
