//! Who said so: keys, signed notes, the claim in a slot, the checkpoint, and the decision a reader takes.
//!
//! Bytes become trusted in one order, and only in this module: [`Checkpoint::open`] checks a signature by a pinned
//! [`VerifierKey`] and everything the signed text says about itself; [`decide`] compares the result with what the reader
//! trusted before. From there on, links (digests) do the rest. Nothing here does I/O or reads the clock.
//!
//! ```
//! use ggen_marketplace::package::{Link, Sha256, Timestamp};
//! use ggen_marketplace::trust::{Checkpoint, Claim, MAX_VALIDITY, Origin, SigningKey, Verdict, decide};
//!
//! # fn main() -> Result<(), ggen_marketplace::trust::TrustError> {
//! let key = SigningKey::generate("packages.example.com".parse::<Origin>()?)?;
//! let time = Timestamp::from_unix(1_700_000_000);
//! let claim = Claim {
//!     origin: key.origin().clone(),
//!     generation: 0,
//!     previous: None,
//!     snapshot: Link { raw: Some(3), sha256: Sha256::of(b"..."), size: 3 },
//!     time,
//!     expires: time.plus(MAX_VALIDITY),
//!     nonce: Claim::random_nonce()?,
//! };
//! // The writer creates `log/0000000000` with the slot's bytes, and signs the checkpoint only once it has won.
//! let slot = claim.sign(&key)?;
//! let published = Checkpoint::sign(&slot, &key)?;
//!
//! // The reader knows the public half only.
//! let pinned = key.verifier().clone();
//! let seen = Checkpoint::open(published.bytes().clone(), &[pinned])?;
//! let decision = decide(None, &seen, time);
//! assert_eq!(decision.verdict, Verdict::First);
//! decision.require_fresh()?;
//! # Ok(()) }
//! ```

mod boundary;
mod checkpoint;
mod claim;
mod error;
mod keys;
mod note;
mod origin;
mod policy;

pub use boundary::Boundary;
pub(crate) use boundary::MAX_PINS;
pub use checkpoint::Checkpoint;
pub use claim::{Claim, MAX_GENERATION, MAX_VALIDITY, Slot};
pub use error::TrustError;
pub use keys::{KeyError, KeyId, SigningKey, VerifierKey};
pub use note::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError, NoteSignature, Verified};
pub use origin::{Origin, OriginError};
pub use policy::{Decision, Evidence, Freshness, Misbehaviour, SKEW, Verdict, decide};
