//! A parsed note holds all of its bytes, and has one form.
#![no_main]

use ggen_marketplace::trust::{MAX_NOTE, MAX_SIGNATURES, Note};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(note) = Note::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_NOTE && (1..=MAX_SIGNATURES).contains(&note.signatures.len()));
    assert!(note.text.ends_with('\n') && bytes.starts_with(note.text.as_bytes()));
    let block = std::str::from_utf8(&bytes[note.text.len()..]).unwrap();
    assert!(block.starts_with('\n') && !block.contains("\n\n") && block.ends_with('\n'));
    assert_eq!(block.lines().count(), note.signatures.len() + 1);
});
