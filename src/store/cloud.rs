//! Registries in the object stores of clouds, and in servers that speak as one of them does (MinIO, Garage, R2, …).

use super::{StoreOptions, clock::Clock, http};
use crate::{Error, ErrorKind, Result};
use object_store::{
    ObjectStore, ObjectStoreScheme,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    prefix::PrefixStore,
};
use std::sync::Arc;
use url::Url;

/// How often a request is tried again that may be. Not a claim: see [`Clients::commits`].
const RETRIES: usize = 6;

/// Two clients of one place.
pub(super) struct Clients {
    pub(super) inner: Arc<dyn ObjectStore>,
    /// Tries nothing twice: after a retry, a commit that was won can look like one that was lost (invariant I4).
    pub(super) commits: Arc<dyn ObjectStore>,
}

/// Opens `s3://bucket/prefix` and its like; `None` for a URL that is of no cloud.
pub(super) fn open(url: &Url, options: &StoreOptions, clock: &Clock) -> Option<Result<Clients>> {
    if matches!(url.scheme(), "http" | "https" | "file") {
        return None;
    }
    let (scheme, prefix) = ObjectStoreScheme::parse(url).ok()?;
    let open = |retries| -> Result<Arc<dyn ObjectStore>> {
        let bucket = client(&scheme, url, options, clock, retries)?;
        Ok(if prefix.as_ref().is_empty() { bucket } else { Arc::new(PrefixStore::new(bucket, prefix.clone())) })
    };
    Some(open(RETRIES).and_then(|inner| Ok(Clients { inner, commits: open(0)? })))
}

/// A builder of one cloud, with what the environment and the options say.
macro_rules! configured {
    ($builder:ty, $variables:literal, $url:expr, $options:expr, $clock:expr, $retries:expr) => {{
        let connector = http::Connector { clock: $clock.clone() };
        let mut builder = <$builder>::from_env()
            .with_url(bucket($url))
            .with_client_options(http::options())
            .with_retry(http::retries($retries))
            .with_http_connector(connector);
        let mut set = Vec::new();
        for (name, value) in std::env::vars().filter(|(name, value)| name.starts_with($variables) && !value.is_empty())
        {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
                set.push(key);
            }
        }
        for (name, value) in &$options.options {
            let key = name.parse().map_err(|_| unknown(name, $variables))?;
            if !set.contains(&key) {
                builder = builder.with_config(key, value);
                set.push(key);
            }
        }
        (builder, set)
    }};
}

fn client(
    scheme: &ObjectStoreScheme,
    url: &Url,
    options: &StoreOptions,
    clock: &Clock,
    retries: usize,
) -> Result<Arc<dyn ObjectStore>> {
    let failed = |e: object_store::Error| {
        Error::new(ErrorKind::Invalid, format!("cannot open {}", super::open::redact(url.as_str())))
            .with_source(super::Cause(e))
    };
    Ok(match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let (mut builder, set) = configured!(AmazonS3Builder, "AWS_", url, options, clock, retries);
            if !set.contains(&AmazonS3ConfigKey::Checksum) {
                // A header, which every server takes; not a trailer, which some refuse.
                builder = builder.with_checksum_algorithm(Checksum::SHA256);
            }
            Arc::new(builder.build().map_err(failed)?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let (builder, _) = configured!(GoogleCloudStorageBuilder, "GOOGLE_", url, options, clock, retries);
            Arc::new(builder.build().map_err(failed)?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let (builder, _) = configured!(MicrosoftAzureBuilder, "AZURE_", url, options, clock, retries);
            Arc::new(builder.build().map_err(failed)?)
        }
        _ => {
            let message =
                format!("cannot open {}: unknown scheme {:?}", super::open::redact(url.as_str()), url.scheme());
            return Err(Error::new(ErrorKind::Invalid, message).with_hint(super::open::KNOWN));
        }
    })
}

/// The URL without the prefix, which is not the builder's to know.
fn bucket(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.authority())
}

fn unknown(name: &str, variables: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("unknown option of the store: {name:?}")).with_hint(format!(
        "options are named as the environment's are, in small letters and without {variables}: endpoint, region, …"
    ))
}
