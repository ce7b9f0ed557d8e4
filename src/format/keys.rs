//! Every key of a store is built and parsed here.

use crate::package::Sha256;

/// The one mutable object of the verified registry.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Where all immutable objects live.
pub(crate) const BLOBS: &str = "blobs/sha256";

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_blob_key_parses_back_and_no_other_text_is_one(bytes: [u8; 32], text in "blobs/sha256/[0-9a-fA-F+]{0,70}|\\PC{0,40}") {
            prop_assert_eq!(parse_blob(&blob(&Sha256(bytes))), Some(Sha256(bytes)));
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
