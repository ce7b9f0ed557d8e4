//! Every key of a store is built and parsed here.

use crate::package::Sha256;

/// The one mutable object of the verified registry.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Where an immutable object lives.
pub(crate) fn blob(sha256: &Sha256) -> String {
    format!("blobs/sha256/{sha256}")
}

/// Where the commit of a generation lives.
pub(crate) fn slot(generation: u64) -> String {
    format!("log/{generation:010}")
}

/// What a key of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Checkpoint,
    Slot(u64),
    Blob(Sha256),
}

/// The meaning of a key; `None` for keys that are no part of the verified registry (views, foreign files).
#[cfg_attr(not(test), expect(dead_code, reason = "the store's auditor walks links; garbage collection will list keys"))]
pub(crate) fn parse(key: &str) -> Option<Key> {
    if key == CHECKPOINT {
        return Some(Key::Checkpoint);
    }
    if let Some(hex) = key.strip_prefix("blobs/sha256/") {
        return hex.parse().ok().map(Key::Blob);
    }
    let digits = key.strip_prefix("log/")?;
    if digits.len() != 10 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Key::Slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_built_parses_back(generation in 0..=9_999_999_999u64, bytes: [u8; 32]) {
            prop_assert_eq!(parse(&slot(generation)), Some(Key::Slot(generation)));
            prop_assert_eq!(parse(&blob(&Sha256(bytes))), Some(Key::Blob(Sha256(bytes))));
        }

        #[test]
        fn no_text_is_two_keys(text in "(log|blobs/sha256)/[0-9a-f+]{0,70}|checkpoint.?|\\PC{0,40}") {
            match parse(&text) {
                Some(Key::Slot(g)) => prop_assert_eq!(slot(g), text),
                Some(Key::Blob(d)) => prop_assert_eq!(blob(&d), text),
                Some(Key::Checkpoint) => prop_assert_eq!(CHECKPOINT, text),
                None => {}
            }
        }
    }
}
