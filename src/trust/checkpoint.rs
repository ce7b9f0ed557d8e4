//! The checkpoint: the newest slot, signed once more as the state that readers should use.

use super::{
    claim::{Slot, check_domain, pinned_origin},
    error::TrustError,
    keys::{SigningKey, VerifierKey},
    note::{Note, Verified},
    origin::Origin,
};
use crate::package::Sha256;
use bytes::Bytes;
use std::fmt;

const CHECKPOINT: &str = "checkpoint";

/// A signed statement that a slot is the newest, with the slot's bytes inline: one request tells a reader everything up to
/// the snapshot's link.
///
/// ```text
/// ggen-market/checkpoint/v1
/// packages.example.com
/// 7
/// <64 hex digits: the digest of the slot's bytes>
///
/// <the slot's bytes, verbatim>
///
/// — packages.example.com <signature>
/// ```
///
/// Why two signatures: everyone who races for a slot signs a claim, and the losers' claims may have reached the store's
/// operator. Only the slot that won is signed as a checkpoint, in its own domain, so two checkpoints of one generation are
/// proof of a fault and never the trace of an honest race.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    slot: Slot,
    bytes: Bytes,
}

impl Checkpoint {
    /// Signs the checkpoint of a slot that **won**: whose bytes were read back from `log/<generation>` (I3).
    ///
    /// The text is a function of the slot's bytes and Ed25519 is deterministic, so one generation has one checkpoint:
    /// whoever finishes a commit that its author left half done writes the same bytes. For that the key has to be the one
    /// that signed the slot. A writer with another key (after a rotation) claims the next generation instead.
    pub fn sign(slot: &Slot, key: &SigningKey) -> Result<Self, TrustError> {
        if slot.signer() != key.verifier() {
            return Err(TrustError::OtherKey);
        }
        let bytes = Bytes::from(Note::sign(&text(slot)?, key)?);
        Ok(Self { slot: slot.clone(), bytes })
    }

    /// Checks a checkpoint's bytes against the pinned keys, which are all of one origin: signature, kind and version of
    /// the text, origin, the digest of the slot inside, that slot's own signature by the same key, and its generation.
    /// Further signatures by unknown keys (witnesses) are ignored. It says nothing about freshness: see
    /// [`decide`](super::decide).
    pub fn open(bytes: Bytes, keys: &[VerifierKey]) -> Result<Self, TrustError> {
        let pinned = pinned_origin(keys)?;
        let Verified { text: signed, signers, .. } = Note::open(&bytes, keys)?;
        check_domain(signed, "ggen-market/checkpoint/v", CHECKPOINT)?;
        let malformed = |reason| TrustError::Malformed { what: CHECKPOINT, reason };
        let mut lines = signed.splitn(6, '\n').skip(1);
        let mut line = || lines.next().ok_or(malformed("it is too short"));
        let (origin, generation, digest, blank, inner) = (line()?, line()?, line()?, line()?, line()?);
        if origin != pinned.as_str() {
            let found = origin.chars().take(80).collect();
            return Err(TrustError::WrongOrigin { what: CHECKPOINT, expected: pinned.clone(), found });
        }
        let generation = generation.parse().map_err(|_| malformed("its generation is not a number"))?;
        let digest: Sha256 = digest.parse().map_err(|_| malformed("its digest is not one"))?;
        if !blank.is_empty() {
            return Err(malformed("no blank line before the slot"));
        }
        // Digest before parser (I25); the inner signature is checked although the outer one covers it, so that the slot a
        // checkpoint brings is as good as one read from the log.
        if Sha256::of(inner.as_bytes()) != digest {
            return Err(TrustError::SlotDigest);
        }
        let slot = Slot::open(bytes.slice_ref(inner.as_bytes()), keys, generation)?;
        if !signers.contains(&slot.signer()) {
            return Err(TrustError::OtherKey);
        }
        if text(&slot)? != signed {
            return Err(malformed("it is not in its one spelling"));
        }
        Ok(Self { slot, bytes })
    }

    /// The slot inside.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Its bytes as they were received or signed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The registry.
    pub fn origin(&self) -> &Origin {
        &self.slot.claim().origin
    }

    /// The generation it vouches for.
    pub fn generation(&self) -> u64 {
        self.slot.claim().generation
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.slot, f)
    }
}

/// What is signed: a function of the slot alone.
fn text(slot: &Slot) -> Result<String, TrustError> {
    let not_text = |_| TrustError::Malformed { what: "slot", reason: "it is not text" };
    let inner = std::str::from_utf8(slot.bytes()).map_err(not_text)?;
    let (claim, digest) = (slot.claim(), slot.digest());
    Ok(format!("ggen-market/checkpoint/v1\n{}\n{}\n{digest}\n\n{inner}", claim.origin, claim.generation))
}
