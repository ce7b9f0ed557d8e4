//! The parser against the crate `signed_note`, which shares no code with it.

use super::*;
use proptest::prelude::*;
use signed_note::{Note as Theirs, Signer, StandardSigner, StandardVerifier, VerifierList};

fn their_keys() -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(&key().verifier().to_string()).unwrap())])
}

fn they_open(bytes: &[u8]) -> Option<String> {
    let note = Theirs::from_bytes(bytes).ok()?;
    note.verify(&their_keys()).ok()?;
    Some(String::from_utf8(note.text().to_vec()).unwrap())
}

fn they_sign(text: &str) -> Vec<u8> {
    let signer = StandardSigner::new(&key().to_secret_text()).unwrap();
    let mut note = Theirs::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer as &dyn Signer]).unwrap();
    note.to_bytes()
}

#[test]
fn keys_have_the_same_text_and_hash_on_both_sides() {
    let signer = StandardSigner::new(&key().to_secret_text()).unwrap();
    assert_eq!(format!("{:08x}", signer.key_id()), key().verifier().id().to_string());
    assert_eq!(signer.name(), key().origin().as_str());
    let fresh = SigningKey::generate("example.com/x".parse().unwrap()).unwrap();
    StandardSigner::new(&fresh.to_secret_text()).unwrap();
    StandardVerifier::new(&fresh.verifier().to_string()).unwrap();
}

#[test]
fn a_note_inside_a_notes_text_is_read_the_same_by_both() {
    let [first] = <[_; 1]>::try_from(chain(1)).unwrap();
    let text = they_open(first.bytes()).unwrap();
    assert_eq!(text, text_of(first.bytes()));
    assert!(text.ends_with(std::str::from_utf8(first.slot().bytes()).unwrap()), "the slot stands verbatim at the end");
    // What they sign, we open: nested notes, blank lines at the seams, a text that looks like signatures.
    let inner = std::str::from_utf8(first.slot().bytes()).unwrap();
    for text in ["\n", "\n\n\n", "a\n\n", &format!("\n\n{inner}"), &format!("{inner}\n\n"), inner, &text] {
        let note = they_sign(text);
        assert_eq!(Note::open(&note, &pinned()).unwrap().text, text);
        assert_eq!(note, Note::sign(text, &key()).unwrap());
    }
    assert_eq!(Checkpoint::open(they_sign(&text).into(), &pinned()).unwrap(), first);
    // Without its own signature a checkpoint ends with the slot's, which does not cover the checkpoint's text.
    assert!(Checkpoint::open(text.clone().into(), &pinned()).is_err());
    assert_eq!(they_open(text.as_bytes()), None);
}

/// A text of lines, blank ones among them.
fn texts() -> impl Strategy<Value = String> {
    prop::collection::vec("[ -~]{0,20}|\u{2014} [a-z]{1,5} [A-Za-z0-9+/=]{0,12}|[ä-ü]{0,4}", 0..8)
        .prop_map(|lines| lines.iter().map(|l| format!("{l}\n")).chain([String::from("\n")]).collect())
}

proptest! {
    #[test]
    fn each_side_opens_what_the_other_signs(text in texts()) {
        let (ours, theirs) = (Note::sign(&text, &key()).unwrap(), they_sign(&text));
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(Note::open(&theirs, &pinned()).unwrap().text, &text);
        prop_assert_eq!(they_open(&ours), Some(text));
    }

    /// Ours may be stricter, never laxer: what it opens, they open, and read the same text.
    #[test]
    fn whatever_we_open_they_open(
        text in texts(), cut in any::<prop::sample::Index>(), insert in "\n|\n\n|\u{2014} a AAAAAAA=|[ -~]{0,3}", twice: bool,
    ) {
        let mut note = String::from_utf8(Note::sign(&text, &key()).unwrap()).unwrap();
        let mut at = cut.index(note.len() + 1);
        while !note.is_char_boundary(at) { at -= 1; }
        note.insert_str(at, &insert);
        if twice { note.push_str("\u{2014} unknown AAAAAAA=\n"); }
        if let Ok(ours) = Note::open(note.as_bytes(), &pinned()) {
            prop_assert_eq!(they_open(note.as_bytes()), Some(ours.text.to_owned()));
        }
    }
}
