//! Every key of a store is built and parsed here.

use crate::{Error, ErrorKind, Result, package::Sha256};

/// The one mutable object of the verified registry.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Where the newest collection of garbage is recorded.
pub(crate) const BOUNDARY: &str = "gc/boundary";

/// What a mirror says that it holds. Unsigned, and never believed.
pub(crate) const MIRROR: &str = "mirror.json";

/// Where all immutable objects live.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// Where collected objects wait until they are purged.
pub(crate) const TRASH: &str = "trash";

/// What an object is to those who keep copies of it: browsers, proxies, CDNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Named by its digest.
    Blob,
    /// A commit: never replaced. (That one is *not* there may change at any moment.)
    Slot,
    /// A signed note or a document that is replaced.
    Pointer,
}

impl Class {
    /// `Cache-Control` (RFC 9111, and RFC 8246 for `immutable`).
    pub(crate) fn cache_control(self) -> &'static str {
        match self {
            Self::Blob | Self::Slot => "public, max-age=31536000, immutable",
            Self::Pointer => "no-cache",
        }
    }

    /// `Content-Type`. Blobs are compressed already, and hashed as they are stored: no cache on the way may take them for
    /// text that it could compress.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Blob => "application/octet-stream",
            Self::Slot | Self::Pointer => "text/plain; charset=utf-8",
        }
    }
}

/// A folder for objects that only try out what a store does, and are gone afterwards; a new one each time.
pub(crate) fn probe_folder() -> Result<String> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random)
        .map_err(|e| Error::new(ErrorKind::Io, "this machine gives no randomness").with_source(e.to_string()))?;
    Ok(format!("doctor/{}", hex::encode(random)))
}

/// Where an immutable object lives.
pub(crate) fn blob(sha256: &Sha256) -> String {
    format!("{BLOBS}/{sha256}")
}

/// Where the commit of a generation lives.
pub(crate) fn slot(generation: u64) -> String {
    format!("log/{generation:010}")
}

/// The digest in the key of an immutable object; `None` for any other key.
pub(crate) fn parse_blob(key: &str) -> Option<Sha256> {
    key.strip_prefix(BLOBS)?.strip_prefix('/')?.parse().ok()
}

/// Where a collected object waits.
pub(crate) fn trash(sha256: &Sha256) -> String {
    format!("{TRASH}/{sha256}")
}

/// The digest in the key of a collected object; `None` for any other key.
pub(crate) fn parse_trash(key: &str) -> Option<Sha256> {
    key.strip_prefix(TRASH)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_blob_key_parses_back_and_no_other_text_is_one(bytes: [u8; 32], text in "blobs/sha256/[0-9a-fA-F+]{0,70}|\\PC{0,40}") {
            prop_assert_eq!(parse_blob(&blob(&Sha256(bytes))), Some(Sha256(bytes)));
            prop_assert_eq!(parse_trash(&trash(&Sha256(bytes))), Some(Sha256(bytes)));
            prop_assert_eq!(parse_trash(&blob(&Sha256(bytes))), None);
            if let Some(digest) = parse_blob(&text) {
                prop_assert_eq!(blob(&digest), text);
            }
        }

        #[test]
        fn slots_sort_as_their_generations_do(a in 0..10_000_000_000u64, b in 0..10_000_000_000u64) {
            prop_assert_eq!(a.cmp(&b), slot(a).cmp(&slot(b)));
        }
    }
}
