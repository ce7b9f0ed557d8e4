//! Both ways in: any bytes as a checkpoint, and any text signed as one.
#![no_main]

use ggen_marketplace::trust::{Checkpoint, Note, SigningKey};
use std::sync::LazyLock;

/// A key for fuzzing alone: its seed is 32 times the byte 7.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let text = "PRIVATE+KEY+packages.example.com/main+2ed5be47+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    SigningKey::from_secret_text(text).unwrap()
});

fn check(bytes: Vec<u8>) {
    let Ok(opened) = Checkpoint::open(bytes.clone().into(), &[KEY.verifier().clone()]) else { return };
    let signed = Checkpoint::sign(opened.slot(), &KEY).unwrap();
    // One generation has one text; the note may carry more signatures than ours.
    assert_eq!(Note::parse(&bytes).unwrap().text, Note::parse(signed.bytes()).unwrap().text);
    assert_eq!(signed.slot(), opened.slot());
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check(bytes.to_vec());
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(note) = Note::sign(text, &KEY)
    {
        check(note);
    }
});
