//! The claim: what a commit says, and the slot `log/<generation>` that holds it.

use super::{
    error::TrustError,
    keys::{KeyError, SigningKey, VerifierKey},
    note::{Note, Verified},
    origin::Origin,
};
use crate::package::{Link, Sha256, Timestamp};
use bytes::Bytes;
use std::{fmt, time::Duration};

/// The highest generation: ten digits name a slot.
pub const MAX_GENERATION: u64 = 9_999_999_999;

/// How long a claim is good for, unless its writer chooses less (I21). Readers do not hold a claim to it: they demand only
/// that it expires after its time.
pub const MAX_VALIDITY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(super) const CLAIM: &str = "claim";

/// What a commit says: this snapshot is the registry's state number so and so.
///
/// Its text is exactly eight lines, in one spelling; there is no room for additions, which need a new version:
///
/// ```text
/// ggen-market/claim/v1
/// packages.example.com
/// generation 7
/// previous <64 hex digits: the digest of the whole slot before, or "none" for generation 0>
/// snapshot <64 hex digits> <stored size> <size of what is inside>
/// time 2026-11-23T15:20:57Z
/// expires 2026-11-30T15:20:57Z
/// nonce <32 hex digits>
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The registry.
    pub origin: Origin,
    /// The number of the slot.
    pub generation: u64,
    /// The digest of the slot before, which makes the log a chain; `None` for generation 0 alone.
    pub previous: Option<Sha256>,
    /// The snapshot; `raw` is always set.
    pub snapshot: Link,
    /// When it was signed.
    pub time: Timestamp,
    /// Until when readers may resolve against it.
    pub expires: Timestamp,
    /// Makes two claims differ even where all else is equal: the bytes of a slot tell whose commit won (I7).
    pub nonce: [u8; 16],
}

/// A claim and the bytes it is stored as, its signature checked.
///
/// A slot has exactly one signature, and one spelling. So nobody without the key can make a second slot that says the same
/// in other bytes, and trick the writer that finishes the commit into signing two checkpoints for one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    claim: Claim,
    bytes: Bytes,
    digest: Sha256,
    signer: VerifierKey,
}

impl Claim {
    /// Sixteen random bytes for [`nonce`](Self::nonce).
    pub fn random_nonce() -> Result<[u8; 16], TrustError> {
        let mut nonce = [0u8; 16];
        getrandom::fill(&mut nonce).map_err(|e| KeyError::Random(e.to_string()))?;
        Ok(nonce)
    }

    /// Signs it. Refused when it breaks a rule that readers hold it to, or is of another origin than the key.
    pub fn sign(&self, key: &SigningKey) -> Result<Slot, TrustError> {
        if let Some(rule) = self.broken_rule() {
            return Err(TrustError::Unsignable(rule));
        }
        if &self.origin != key.origin() {
            let found = self.origin.to_string();
            return Err(TrustError::WrongOrigin { what: CLAIM, expected: key.origin().clone(), found });
        }
        let bytes = Bytes::from(Note::sign(&self.text(), key)?);
        Ok(Slot { claim: self.clone(), digest: Sha256::of(&bytes), bytes, signer: key.verifier().clone() })
    }

    /// The rules that one claim can be held to alone.
    fn broken_rule(&self) -> Option<&'static str> {
        if self.generation > MAX_GENERATION {
            Some("its generation has more than ten digits")
        } else if self.previous.is_none() != (self.generation == 0) {
            Some("only generation 0 has no previous slot")
        } else if self.snapshot.raw.is_none() {
            Some("the snapshot's size before compression is missing")
        } else if self.expires <= self.time {
            Some("it expires before it begins")
        } else {
            None
        }
    }

    fn text(&self) -> String {
        let Self { origin, generation, snapshot, time, expires, .. } = self;
        let previous = self.previous.map_or_else(|| "none".to_owned(), |d| d.to_string());
        let (digest, size, raw) = (snapshot.sha256, snapshot.size, snapshot.raw.unwrap_or_default());
        let nonce = hex::encode(self.nonce);
        format!(
            "ggen-market/claim/v1\n{origin}\ngeneration {generation}\nprevious {previous}\n\
             snapshot {digest} {size} {raw}\ntime {time}\nexpires {expires}\nnonce {nonce}\n"
        )
    }

    fn parse(text: &str) -> Result<Self, TrustError> {
        check_domain(text, "ggen-market/claim/v", CLAIM)?;
        let malformed = |reason| TrustError::Malformed { what: CLAIM, reason };
        let claim = Self::fields(text).ok_or(malformed("its lines are not those of a claim"))?;
        // Whatever the field parsers tolerate (a plus sign, leading zeros), a claim has one spelling.
        if claim.text() != text {
            return Err(malformed("it is not in its one spelling"));
        }
        match claim.broken_rule() {
            Some(rule) => Err(malformed(rule)),
            None => Ok(claim),
        }
    }

    fn fields(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').skip(1);
        let origin = lines.next()?.parse().ok()?;
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let generation = field("generation")?.parse().ok()?;
        let previous = match field("previous")? {
            "none" => None,
            digest => Some(digest.parse().ok()?),
        };
        let mut link = field("snapshot")?.split(' ');
        let snapshot = Link {
            sha256: link.next()?.parse().ok()?,
            size: link.next()?.parse().ok()?,
            raw: Some(link.next()?.parse().ok()?),
        };
        let (time, expires) = (field("time")?.parse().ok()?, field("expires")?.parse().ok()?);
        let mut nonce = [0u8; 16];
        hex::decode_to_slice(field("nonce")?, &mut nonce).ok()?;
        Some(Self { origin, generation, previous, snapshot, time, expires, nonce })
    }
}

impl Slot {
    /// Checks bytes that were read from `log/<generation>`: one signature, by one of `keys` (all of one origin), over a
    /// claim of that origin and that generation.
    pub fn open(bytes: Bytes, keys: &[VerifierKey], generation: u64) -> Result<Self, TrustError> {
        let pinned = pinned_origin(keys)?;
        let Verified { text, signers, lines } = Note::open(&bytes, keys)?;
        let [signer] = signers.as_slice() else { return Err(many_signatures()) };
        if lines != 1 {
            return Err(many_signatures());
        }
        let signer = (*signer).clone();
        let claim = Claim::parse(text)?;
        if &claim.origin != pinned {
            let found = claim.origin.to_string();
            return Err(TrustError::WrongOrigin { what: CLAIM, expected: pinned.clone(), found });
        }
        if claim.generation != generation {
            let found = claim.generation;
            return Err(TrustError::WrongGeneration { what: CLAIM, expected: generation, found });
        }
        Ok(Self { claim, digest: Sha256::of(&bytes), bytes, signer })
    }

    /// What it says.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Its bytes as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of its bytes: what the next claim's `previous` and the checkpoint name.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The key that signed it.
    pub fn signer(&self) -> &VerifierKey {
        &self.signer
    }

    /// The number of the slot that follows.
    pub fn next_generation(&self) -> Result<u64, TrustError> {
        if self.claim.generation < MAX_GENERATION {
            Ok(self.claim.generation + 1)
        } else {
            Err(TrustError::LastGeneration)
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} generation {} ({})", self.claim.origin, self.claim.generation, self.digest.short())
    }
}

fn many_signatures() -> TrustError {
    TrustError::Malformed { what: "slot", reason: "it has more than one signature" }
}

/// The one origin that all keys are of. A reader pins the origin by pinning keys, so keys of two registries in one list
/// would let either speak for the other.
pub(super) fn pinned_origin(keys: &[VerifierKey]) -> Result<&Origin, TrustError> {
    let first = keys.first().ok_or(TrustError::Keys)?.origin();
    if keys.iter().all(|k| k.origin() == first) { Ok(first) } else { Err(TrustError::Keys) }
}

/// Checks the first line of a signed text: what kind of statement it is, and in which version (I18).
pub(super) fn check_domain(text: &str, stem: &'static str, what: &'static str) -> Result<(), TrustError> {
    let line = text.split('\n').next().unwrap_or_default();
    let version = line.strip_prefix(stem).and_then(|v| v.parse::<u32>().ok().filter(|n| n.to_string() == v));
    match version {
        Some(1) => Ok(()),
        Some(version) if version > 1 => Err(TrustError::Newer { what, version }),
        _ => Err(TrustError::Domain { expected: what, found: line.chars().take(80).collect() }),
    }
}
