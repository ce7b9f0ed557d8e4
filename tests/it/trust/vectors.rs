//! Bytes that are fixed: a change here is a change of the stored format, and needs a new version in the texts' first line.
//! The vectors were computed by a separate program, from RFC 8032 and the description of the format alone.

use super::*;

const CLAIM: &str = include_str!("../../vectors/trust/claim-v1.txt");
const CHECKPOINT: &str = include_str!("../../vectors/trust/checkpoint-v1.txt");
const KEY: &str = include_str!("../../vectors/trust/key.pub");

#[test]
fn the_stored_texts_are_the_checked_in_vectors() {
    let first = claim(None, 0).sign(&key()).unwrap();
    let second = claim(Some(&first), 3600).sign(&key()).unwrap();
    let newest = Checkpoint::sign(&second, &key()).unwrap();
    assert_eq!(format!("{}\n", key().verifier()), KEY);
    assert_eq!(std::str::from_utf8(second.bytes()).unwrap(), CLAIM);
    assert_eq!(std::str::from_utf8(newest.bytes()).unwrap(), CHECKPOINT);
}

#[test]
fn i26_a_checkpoint_is_far_below_its_limit() {
    assert!(CHECKPOINT.len() < 1024, "{}", CHECKPOINT.len());
    // The longest that the format allows: a name of 255 bytes stands in it four times.
    let origin: ggen_marketplace::trust::Origin = format!("a/{}", "b".repeat(253)).parse().unwrap();
    let key = SigningKey::generate(origin.clone()).unwrap();
    let longest = Link { raw: Some(u64::MAX), sha256: Sha256::of(b""), size: u64::MAX };
    let generation = ggen_marketplace::trust::MAX_GENERATION;
    let claim = Claim { origin, generation, snapshot: longest, previous: Some(Sha256::of(b"")), ..claim(None, 0) };
    let checkpoint = Checkpoint::sign(&claim.sign(&key).unwrap(), &key).unwrap();
    assert!(checkpoint.bytes().len() < 2048, "{}", checkpoint.bytes().len());
    Checkpoint::open(checkpoint.bytes().clone(), &[key.verifier().clone()]).unwrap();
}

#[test]
fn i07_one_generation_has_one_checkpoint_and_two_claims_never_have_the_same_bytes() {
    let slot = claim(None, 0).sign(&key()).unwrap();
    // Whoever finishes the commit reads the slot back and signs what the author would have signed.
    let recovered = Slot::open(slot.bytes().clone(), &pinned(), 0).unwrap();
    assert_eq!(Checkpoint::sign(&slot, &key()).unwrap(), Checkpoint::sign(&recovered, &key()).unwrap());
    let again = Claim { nonce: Claim::random_nonce().unwrap(), ..claim(None, 0) }.sign(&key()).unwrap();
    assert_ne!(slot.bytes(), again.bytes());
}

#[test]
fn t17_bytes_are_kept_as_they_were_received() {
    let [first] = <[_; 1]>::try_from(chain(1)).unwrap();
    let witness = SigningKey::generate("witness.example".parse().unwrap()).unwrap();
    let text = text_of(first.bytes());
    let extra = Note::sign(&text, &witness).unwrap();
    let line = &extra[text.len() + 1..];
    let received = Bytes::from([first.bytes(), line].concat());
    let opened = Checkpoint::open(received.clone(), &pinned()).unwrap();
    assert_eq!(opened.bytes(), &received);
    assert_eq!(opened.slot(), first.slot());
    assert_eq!(opened.slot().bytes(), first.slot().bytes());
}
