//! Asking the public side as a plain reader does, and reading what its headers say.

use crate::{
    Error, ErrorKind, Result,
    store::{open::redact, transport},
};
use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode,
    header::{CACHE_CONTROL, HeaderMap, HeaderName},
};
use std::{sync::OnceLock, time::Duration};
use url::Url;

/// For one whole answer: what is fetched is small.
const PATIENCE: Duration = Duration::from_secs(60);

/// One client for all plain HTTP: it decompresses nothing, and follows no redirect from https to http.
fn client() -> Result<&'static reqwest::Client> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        crate::store::http::install_tls();
        reqwest::Client::builder()
            .user_agent(concat!("ggen-market/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::custom(|attempt| {
                let downgrade = attempt.previous().last().is_some_and(|p| p.scheme() == "https")
                    && attempt.url().scheme() != "https";
                if attempt.previous().len() > 5 || downgrade {
                    attempt.error("too many redirects, or one from https to http")
                } else {
                    attempt.follow()
                }
            }))
            .build()
            .map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|e| Error::new(ErrorKind::Io, "cannot start an HTTP client").with_source(e.clone()))
}

/// The public side of a registry.
pub(super) struct Public {
    base: Url,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Cut behind the most that was asked for.
    pub(super) body: Bytes,
    pub(super) version: String,
    /// Where it came from, if not from where it was asked for.
    pub(super) redirected: Option<String>,
}

impl Public {
    pub(super) fn open(location: &str) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(ErrorKind::Invalid, format!("{} is no public URL: {why}", redact(location)))
                .with_hint("it is the address of the folder that holds `checkpoint`: https://…")
        };
        let base = Url::parse(location).map_err(|e| invalid(e.to_string()))?;
        match base.scheme() {
            "http" | "https" => {
                if transport::has_login(&base) {
                    transport::require_private(&base)?;
                }
                Ok(Self { base })
            }
            other => Err(invalid(format!("its scheme is {other:?}"))),
        }
    }

    /// Asks for a key, which stands in the URL as it is given.
    pub(super) async fn get(&self, key: &str, headers: &[(HeaderName, &str)], max: u64) -> Result<Answer> {
        self.ask(Method::GET, key, headers, max).await
    }

    pub(super) async fn head(&self, key: &str) -> Result<Answer> {
        self.ask(Method::HEAD, key, &[], 0).await
    }

    async fn ask(&self, method: Method, key: &str, headers: &[(HeaderName, &str)], max: u64) -> Result<Answer> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{key}", self.base.path().trim_end_matches('/')));
        let failed = {
            let shown = redact(url.as_str());
            // The cause's own text repeats the URL, with what must not be shown.
            move |e: reqwest::Error| {
                Error::new(ErrorKind::Unavailable, format!("cannot fetch {shown}")).with_source(e.without_url())
            }
        };
        let mut request = client()?.request(method, url.clone()).timeout(PATIENCE);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let mut answer = request.send().await.map_err(&failed)?;
        // User and password go into a header, and are not in the URL of the answer.
        let (asked, got) = (redact(url.as_str()), redact(answer.url().as_str()));
        let redirected = (asked != got).then_some(got);
        let (status, version) = (answer.status(), format!("{:?}", answer.version()));
        let headers = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while (body.len() as u64) < max {
            let Some(piece) = answer.chunk().await.map_err(&failed)? else { break };
            body.extend_from_slice(&piece);
        }
        body.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(Answer { status, headers, body: body.freeze(), version, redirected })
    }
}

impl Answer {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All of `Cache-Control`, or that there is none.
    pub(super) fn cache_control(&self) -> String {
        let all: Vec<_> = self.headers.get_all(CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok()).collect();
        if all.is_empty() { "no Cache-Control".into() } else { format!("Cache-Control: {}", all.join(", ")) }
    }

    /// For how many seconds a cache may answer with it without asking, as far as `Cache-Control` says (RFC 9111, section
    /// 5.2.2; RFC 5861 for answers that are known to be old).
    pub(super) fn fresh_for(&self) -> Option<u64> {
        let all = self.headers.get_all(CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok());
        fresh_for(&all.collect::<Vec<_>>().join(","))
    }

    /// `HTTP 404`.
    pub(super) fn status(&self) -> String {
        format!("HTTP {}", self.status.as_u16())
    }
}

fn fresh_for(cache_control: &str) -> Option<u64> {
    let mut fresh = None;
    let mut stale = 0;
    for directive in cache_control.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = value.trim().trim_matches('"').parse::<u64>().ok();
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" | "no-store" => return Some(0),
            // One is for browsers, the other for CDNs; the slower of the two counts.
            "max-age" | "s-maxage" => fresh = fresh.max(seconds),
            "stale-while-revalidate" => stale = seconds.unwrap_or(0),
            _ => {}
        }
    }
    fresh.map(|f: u64| f.saturating_add(stale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_says_how_long() {
        for (text, want) in [
            ("", None),
            ("public", None),
            ("no-cache", Some(0)),
            ("max-age=3600, No-Store", Some(0)),
            ("max-age=60", Some(60)),
            ("Max-Age=\"0\", s-maxage=86400", Some(86400)),
            ("max-age=0,stale-while-revalidate=600", Some(600)),
            ("public, max-age=31536000, immutable", Some(31_536_000)),
            ("max-age=soon", None),
            ("max-age=18446744073709551615, stale-while-revalidate=1", Some(u64::MAX)),
        ] {
            assert_eq!(fresh_for(text), want, "{text}");
        }
    }

    #[test]
    fn a_public_url_is_one_of_http_and_shows_no_secret() {
        for bad in ["s3://bucket/x", "packages.example.com", "", "file:///x"] {
            assert_eq!(Public::open(bad).err().map(|e| e.kind()), Some(ErrorKind::Invalid), "{bad}");
        }
        let e = Public::open("ftp://user:hunter2@example.com").err().unwrap();
        assert!(!e.chain().contains("hunter2"), "{}", e.chain());
    }
}
