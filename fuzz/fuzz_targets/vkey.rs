//! A key has one spelling, and a secret one is never taken for a public one.
#![no_main]

use ggen_marketplace::trust::{KeyError, Origin, SigningKey, VerifierKey};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text.trim());
        assert!(SigningKey::from_secret_text(text).is_err());
    }
    if let Ok(key) = SigningKey::from_secret_text(text) {
        assert_eq!(*key.to_secret_text(), text.trim());
        assert_eq!(text.parse::<VerifierKey>(), Err(KeyError::Secret));
    }
    if let Ok(origin) = text.parse::<Origin>() {
        assert_eq!(origin.as_str(), text);
    }
});
