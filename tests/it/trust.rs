//! Keys, signed notes, claims and checkpoints. Names begin with the invariant (`i24_`) or the case of the TUF conformance
//! suite (`t13_`) they hold the code to.

mod decide;
mod oracle;
mod refuse;
mod vectors;

use bytes::Bytes;
use ggen_marketplace::{
    package::{Link, Sha256, Timestamp},
    trust::{Checkpoint, Claim, Note, SigningKey, Slot, VerifierKey},
};

/// The seed of this key is 32 times the byte 7. It signs nothing but test vectors.
const SECRET: &str = "PRIVATE+KEY+packages.example.com/main+2ed5be47+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

/// 2026-11-23T15:20:57Z
const START: i64 = 1_795_447_257;
const DAY: u64 = 24 * 60 * 60;

fn key() -> SigningKey {
    SigningKey::from_secret_text(SECRET).unwrap()
}

fn pinned() -> Vec<VerifierKey> {
    vec![key().verifier().clone()]
}

/// `seconds` after the start of these tests.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(START + seconds)
}

/// A claim that follows `previous`, at `seconds`, good for a day.
fn claim(previous: Option<&Slot>, seconds: i64) -> Claim {
    let generation = previous.map_or(0, |p| p.claim().generation + 1);
    Claim {
        origin: key().origin().clone(),
        generation,
        previous: previous.map(Slot::digest),
        snapshot: Link { raw: Some(900), sha256: Sha256::of(&generation.to_be_bytes()), size: 300 },
        time: at(seconds),
        expires: at(seconds).plus(std::time::Duration::from_secs(DAY)),
        nonce: [9; 16],
    }
}

fn checkpoint(claim: &Claim) -> Checkpoint {
    Checkpoint::sign(&claim.sign(&key()).unwrap(), &key()).unwrap()
}

/// The checkpoints of generations 0, 1, 2, … of an honest registry, an hour apart.
fn chain(length: usize) -> Vec<Checkpoint> {
    let mut out: Vec<Checkpoint> = Vec::new();
    for i in 0..length {
        let next = claim(out.last().map(Checkpoint::slot), i64::try_from(i).unwrap() * 3600);
        out.push(checkpoint(&next));
    }
    out
}

/// Any text at all, signed as the holder of the key could.
fn signed(text: &str) -> Bytes {
    Note::sign(text, &key()).unwrap().into()
}

fn text_of(note: &[u8]) -> String {
    Note::parse(note).unwrap().text.to_owned()
}
