//! Registries behind HTTP, through `object_store`.

use async_trait::async_trait;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector},
    http::HttpBuilder,
};
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use std::{sync::Arc, time::Duration};

/// Opens the registry at that URL, to be read.
pub(super) fn open(url: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    install_tls();
    let options = ClientOptions::new()
        .with_config(ClientConfigKey::UserAgent, concat!("ggen-market/", env!("CARGO_PKG_VERSION")))
        .with_allow_http(true)
        .with_allow_http2()
        .with_connect_timeout(Duration::from_secs(10))
        // Between two pieces of an answer, not for the whole: a large archive may take its time, a silent server not.
        .with_read_timeout(Duration::from_secs(20))
        .with_timeout_disabled();
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 };
    let retry = RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(30) };
    let http = HttpBuilder::new().with_url(url).with_client_options(options).with_retry(retry);
    Ok(Arc::new(http.with_http_connector(LengthOptional).build()?))
}

/// The first to install a provider wins, and any will do; a program that has its own keeps it.
pub(super) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A server need not say how long its answer is (RFC 9112, section 6.3: it may come in chunks), and `object_store` refuses
/// such answers. Nothing here relies on what a server says of a length, since every read is bounded by what a link says;
/// so an unknown length is told as a very large one.
#[derive(Debug)]
struct LengthOptional;

/// The largest whole number that every JSON reader keeps: larger than any object, and far from an overflow.
const UNKNOWN: HeaderValue = HeaderValue::from_static("9007199254740991");

impl HttpConnector for LengthOptional {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Service(HttpClient);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.0.execute(request).await?;
        if answer.status().is_success() {
            answer.headers_mut().entry(CONTENT_LENGTH).or_insert(UNKNOWN);
        }
        Ok(answer)
    }
}
