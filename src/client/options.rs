//! How a client reads.

use std::{path::PathBuf, time::Duration};

/// How to read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// A folder of this machine for the object cache and the trust state. Without one nothing is remembered, not even which
    /// generation was seen last: then an old state of the registry cannot be told from the newest.
    pub cache: Option<PathBuf>,
    /// Ask the network for nothing: use the state trusted last, and the cache.
    pub offline: bool,
    /// Within this time after a checkpoint was fetched it is not asked for again.
    pub freshness: Duration,
    /// Read a registry whose newest checkpoint has expired, with a warning in the log.
    pub allow_expired: bool,
    /// How long one metadata object may take, retries included. (Archives are bounded by silence, not by size.)
    pub timeout: Duration,
    /// How many bytes of parsed index to keep in memory.
    pub memory: u64,
}

impl Default for ClientOptions {
    /// No cache on disk, 5 s freshness, 60 s timeout, 64 MiB of memory.
    fn default() -> Self {
        Self {
            cache: None,
            offline: false,
            freshness: Duration::from_secs(5),
            allow_expired: false,
            timeout: Duration::from_secs(60),
            memory: 64 * 1024 * 1024,
        }
    }
}

impl ClientOptions {
    /// With a folder of this machine for objects and trust.
    pub fn with_cache(self, folder: impl Into<PathBuf>) -> Self {
        Self { cache: Some(folder.into()), ..self }
    }

    /// Without the network, or with it.
    pub fn with_offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// With so long a time between two questions for the newest state.
    pub fn with_freshness(self, freshness: Duration) -> Self {
        Self { freshness, ..self }
    }

    /// With so much time for one object.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// With so many bytes of index in memory.
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: bytes, ..self }
    }
}
