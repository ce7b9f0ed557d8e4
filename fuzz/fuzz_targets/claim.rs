//! Signed rubbish: the input is a text that the key's holder signed. What opens as a slot is what the slot's claim signs to.
#![no_main]

use ggen_marketplace::trust::{Claim, MAX_GENERATION, Note, SigningKey, Slot};
use std::sync::LazyLock;

/// A key for fuzzing alone: its seed is 32 times the byte 7.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let text = "PRIVATE+KEY+packages.example.com/main+2ed5be47+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    SigningKey::from_secret_text(text).unwrap()
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(note) = Note::sign(text, &KEY) else { return };
    // The generation stands in the third line; any other is refused anyway.
    let generation = text.lines().nth(2).and_then(|l| l.strip_prefix("generation ")?.parse().ok()).unwrap_or(0);
    let Ok(slot) = Slot::open(note.into(), &[KEY.verifier().clone()], generation) else { return };
    let claim: &Claim = slot.claim();
    assert!(claim.generation <= MAX_GENERATION && claim.expires > claim.time);
    assert_eq!(claim.sign(&KEY).unwrap(), slot);
});
