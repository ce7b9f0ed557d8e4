//! How HTTP is spoken: one client for all requests of a store, which keeps its connections, and the bounds that each answer is
//! held to.

use crate::{Error, ErrorKind, Result};
use reqwest::{Certificate, header::HeaderValue, redirect::Policy};
use std::{
    fmt,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Semaphore;
use url::Url;
use zeroize::Zeroizing;

/// Requests for whole objects that are under way at once, whatever the number of tasks that want some: an HTTP/1.1 server
/// needs a connection for each.
const AT_ONCE: usize = 100;

/// In which order the mirrors of a registry are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MirrorOrder {
    /// As they are named: the next one only where one fails.
    #[default]
    Listed,
    /// The one that answered fastest of late comes first.
    Fastest,
    /// Each in turn, so that all get the same load.
    RoundRobin,
}

/// How to read over HTTP. The defaults suit the internet; a program on a bad network may want more patience.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransportOptions {
    /// For a connection to be there, TLS included: 10 s.
    pub connect_timeout: Duration,
    /// From the question to the first byte of the answer: 15 s.
    pub answer_timeout: Duration,
    /// Between two pieces of an answer: 15 s.
    pub stall_timeout: Duration,
    /// Slower than so many bytes a second, over [`rate_window`](Self::rate_window), is as good as silent: 1024.
    pub min_rate: u64,
    /// Over which time the rate is taken; what the caller takes for itself does not count: 10 s.
    pub rate_window: Duration,
    /// How often a mirror is asked again without getting anywhere: 4 times, with growing random pauses.
    pub retries: u32,
    /// No question is asked again once this much time went by without getting anywhere, pauses included: 15 s. A server that
    /// asks for more patience (`Retry-After`) is left alone.
    pub retry_budget: Duration,
    /// How long the newest checkpoint of another mirror is waited for after the first one is there: 500 ms.
    pub grace: Duration,
    /// In which order mirrors are asked.
    pub order: MirrorOrder,
    /// Files of certificates (PEM) that are trusted besides those of the system.
    pub ca_files: Vec<PathBuf>,
    credentials: Vec<Credential>,
}

#[derive(Clone)]
struct Credential {
    host: String,
    value: Arc<Zeroizing<String>>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(15),
            min_rate: 1024,
            rate_window: Duration::from_secs(10),
            retries: 4,
            retry_budget: Duration::from_secs(15),
            grace: Duration::from_millis(500),
            order: MirrorOrder::default(),
            ca_files: Vec::new(),
            credentials: Vec::new(),
        }
    }
}

impl TransportOptions {
    /// Sends `Authorization: value` to this host (`packages.example.com`, or with a port that is not the scheme's own,
    /// `packages.example.com:8443`), and to no other, also not where that one redirects to. Over plain HTTP it is sent only
    /// to this machine itself.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a host or a value that cannot be one.
    pub fn authorize(&mut self, host: &str, value: &str) -> Result<()> {
        let invalid = |what: &str| Err(Error::new(ErrorKind::Invalid, format!("authorization for {host:?}: {what}")));
        let parsed = Url::parse(&format!("https://{host}/")).ok();
        let Some(url) = parsed.filter(|u| u.path() == "/" && u.query().is_none() && u.username().is_empty()) else {
            return invalid("that is no host, nor host:port");
        };
        if value.trim().is_empty() || HeaderValue::from_str(value).is_err() {
            return invalid("the value cannot stand in a header");
        }
        let host = host_of(&url);
        self.credentials.retain(|c| c.host != host);
        self.credentials.push(Credential { host, value: Arc::new(Zeroizing::new(value.to_owned())) });
        Ok(())
    }
}

/// Host and port, the port only where it is not the scheme's own.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a user or a password stands in a URL, which become an `Authorization`.
pub(super) fn has_login(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// What is secret does not go to that URL for all to read: over plain HTTP to no machine but this one.
pub(super) fn require_private(url: &Url) -> Result<()> {
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || loopback {
        return Ok(());
    }
    let message = format!("authorization for {} would go over plain HTTP", host_of(url));
    Err(Error::new(ErrorKind::Invalid, message).with_hint("use the https:// address of that host"))
}

impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.credentials.iter().map(|c| &c.host).collect();
        f.debug_struct("TransportOptions")
            .field("order", &self.order)
            .field("retries", &self.retries)
            .field("ca_files", &self.ca_files)
            .field("authorization", &hosts)
            .finish_non_exhaustive()
    }
}

/// What all requests of one store share.
pub(super) struct Transport {
    pub(super) options: TransportOptions,
    pub(super) room: Arc<Semaphore>,
    at_once: usize,
    client: OnceLock<Result<reqwest::Client, (ErrorKind, String)>>,
}

impl Transport {
    pub(super) fn new(options: TransportOptions, connections: Option<NonZeroUsize>) -> Self {
        let at_once = connections.map_or(AT_ONCE, NonZeroUsize::get).min(Semaphore::MAX_PERMITS);
        Self { options, room: Arc::new(Semaphore::new(at_once)), at_once, client: OnceLock::new() }
    }

    /// Made when it is first needed: reading the system's certificates takes longer than reading a local registry.
    pub(super) fn client(&self) -> Result<&reqwest::Client> {
        let made = self.client.get_or_init(|| build(&self.options, self.at_once).map_err(|e| (e.kind(), e.chain())));
        made.as_ref().map_err(|(kind, text)| Error::new(*kind, "cannot start an HTTP client").with_source(text.clone()))
    }

    /// What is sent to a URL as `Authorization`, besides what stands in the URL itself.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where either would go over the network for all to read.
    pub(super) fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>> {
        let host = host_of(url);
        let found = self.options.credentials.iter().find(|c| c.host == host);
        if found.is_some() || has_login(url) {
            require_private(url)?;
        }
        let Some(found) = found else { return Ok(None) };
        let mut value = HeaderValue::from_str(&found.value)
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("authorization for {host} cannot be sent")))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn build(options: &TransportOptions, at_once: usize) -> Result<reqwest::Client> {
    super::http::install_tls();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ggen-market/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(at_once)
        .tcp_nodelay(true)
        // Where one leads is looked at here, each time.
        .redirect(Policy::none());
    for path in &options.ca_files {
        let pem = std::fs::read(path).map_err(|e| Error::io("read the certificates in", path, e))?;
        let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|c| !c.is_empty());
        let certificates = certificates.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("{} holds no certificate in PEM form", path.display()))
        })?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|e| Error::new(ErrorKind::Io, "no client").with_source(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_its_host_alone_and_is_not_shown() {
        let mut options = TransportOptions::default();
        options.authorize("packages.example.com", "Bearer hunter2").unwrap();
        options.authorize("127.0.0.1:8080", "Bearer hunter3").unwrap();
        assert!(!format!("{options:?}").contains("hunter"));
        let transport = Transport::new(options, None);
        let sent = |url: &str| transport.authorization(&Url::parse(url).unwrap());
        let shown = |url: &str| sent(url).unwrap().map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(shown("https://packages.example.com/x").as_deref(), Some("Bearer hunter2"));
        assert_eq!(shown("https://PACKAGES.example.com:443/x").as_deref(), Some("Bearer hunter2"));
        assert_eq!(shown("http://127.0.0.1:8080/x").as_deref(), Some("Bearer hunter3"));
        for other in ["https://packages.example.com:8443", "https://example.com", "https://a.packages.example.com"] {
            assert_eq!(shown(other), None, "{other}");
        }
        let e = sent("http://packages.example.com/x").unwrap_err();
        assert!(e.kind() == ErrorKind::Invalid && !e.chain().contains("hunter"), "{e:?}");
        assert!(!format!("{:?}", sent("https://packages.example.com/x").unwrap()).contains("hunter"));
        for (host, value) in [("", "x"), ("a/b", "x"), ("u@a", "x"), ("a", ""), ("a", "x\ny")] {
            let e = TransportOptions::default().authorize(host, value).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid, "{host} {value}");
        }
    }
}
