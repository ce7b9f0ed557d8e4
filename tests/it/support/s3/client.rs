//! Getting into an S3 server. The only place of the tests that builds a client for one.

use ggen_marketplace::{Store, StoreOptions};
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, Checksum},
    prefix::PrefixStore,
};
use std::{sync::Arc, time::Duration};

/// Where a bucket is, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    /// In front of every key; empty for none.
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    /// How often the client tries again by itself.
    pub(crate) retries: usize,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// What the server's log calls it.
    pub(crate) agent: String,
    /// Whether a digest of each body is sent as a header of its own.
    pub(crate) checksum: bool,
    /// What the program is told: that nobody else writes.
    pub(crate) single_writer: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            bucket: String::new(),
            prefix: String::new(),
            region: "us-east-1".into(),
            key: String::new(),
            secret: String::new(),
            retries: 0,
            timeout: Duration::from_secs(30),
            agent: "test".into(),
            checksum: true,
            single_writer: false,
        }
    }
}

impl Access {
    pub(crate) fn object_store(&self) -> Arc<dyn ObjectStore> {
        // The first to install a provider wins, and any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let backoff =
            BackoffConfig { init_backoff: Duration::from_millis(5), max_backoff: Duration::from_millis(50), base: 2.0 };
        let retry = RetryConfig { backoff, max_retries: self.retries, retry_timeout: Duration::from_secs(30) };
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(self.timeout)
            .with_config(ClientConfigKey::UserAgent, &self.agent);
        let mut builder = AmazonS3Builder::new()
            .with_client_options(options)
            .with_endpoint(&self.endpoint)
            .with_region(&self.region)
            .with_bucket_name(&self.bucket)
            .with_access_key_id(&self.key)
            .with_secret_access_key(&self.secret)
            .with_allow_http(true)
            .with_retry(retry);
        if self.checksum {
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        let s3 = builder.build().unwrap();
        if self.prefix.is_empty() { Arc::new(s3) } else { Arc::new(PrefixStore::new(s3, self.prefix.as_str())) }
    }

    /// The store as the program opens it; or, to see every fault, one whose client tries nothing again.
    pub(crate) fn store(&self) -> Store {
        if self.retries == 0 {
            return Store::new(self.object_store(), &self.location());
        }
        let mut options = StoreOptions::default();
        options.options = self.options();
        options.single_writer = self.single_writer;
        Store::open_with(&self.location(), &options).unwrap()
    }

    pub(crate) fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    /// What a configuration would say of it.
    pub(crate) fn options(&self) -> Vec<(String, String)> {
        [
            ("endpoint", self.endpoint.clone()),
            ("region", self.region.clone()),
            ("access_key_id", self.key.clone()),
            ("secret_access_key", self.secret.clone()),
            ("user_agent", self.agent.clone()),
            ("timeout", format!("{} ms", self.timeout.as_millis())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
