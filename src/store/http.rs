//! HTTP as the stores of clouds speak it, through `object_store`.

use super::clock::Clock;
use async_trait::async_trait;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector},
};
use reqwest::{
    StatusCode,
    header::{CONTENT_LENGTH, DATE, HeaderValue, RETRY_AFTER},
};
use std::time::Duration;

/// A server that asks for more patience than this is asked again all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every client goes by.
pub(super) fn options() -> ClientOptions {
    install_tls();
    ClientOptions::new()
        .with_config(ClientConfigKey::UserAgent, concat!("ggen-market/", env!("CARGO_PKG_VERSION")))
        .with_allow_http(true)
        .with_connect_timeout(Duration::from_secs(10))
        // Between two pieces of an answer, not for the whole: a large archive may take its time, a silent server not.
        .with_read_timeout(Duration::from_secs(20))
        .with_timeout_disabled()
}

/// So many tries more, with jitter between them.
pub(super) fn retries(max_retries: usize) -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 };
    RetryConfig { backoff, max_retries, retry_timeout: Duration::from_secs(30) }
}

/// The first to install a provider wins, and any will do; a program that has its own keeps it.
pub(super) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Makes clients that `object_store` can rely on.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) clock: Clock,
}

/// The largest whole number that every JSON reader keeps: larger than any object, and far from an overflow.
const UNKNOWN: HeaderValue = HeaderValue::from_static("9007199254740991");

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Service { inner, clock: self.clock.clone() }))
    }
}

#[derive(Debug)]
struct Service {
    inner: HttpClient,
    clock: Clock,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.inner.execute(request).await?;
        let headers = answer.headers();
        if let Some(date) = headers.get(DATE).and_then(|d| d.to_str().ok()) {
            self.clock.heard(date);
        }
        if matches!(answer.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
            && let Some(wait) = headers.get(RETRY_AFTER).and_then(|r| r.to_str().ok()?.trim().parse().ok())
        {
            // The retry itself, with its jitter, is `object_store`'s, which does not know this header (RFC 9110, section 10.2.3).
            tokio::time::sleep(Duration::from_secs(wait).min(PATIENCE)).await;
        }
        // A server need not say how long its answer is (RFC 9112, section 6.3: it may come in chunks), and `object_store`
        // refuses such answers. Nothing here relies on what a server says of a length, since every read is bounded by what
        // a link says; so an unknown length is told as a very large one.
        if answer.status().is_success() {
            answer.headers_mut().entry(CONTENT_LENGTH).or_insert(UNKNOWN);
        }
        Ok(answer)
    }
}
