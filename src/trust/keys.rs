//! Ed25519 keys in the two text forms of signed notes.

use super::origin::{Origin, OriginError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use sha2::Digest as _;
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// The signature type byte of a plain Ed25519 signature over a note's text.
const ED25519: u8 = 0x01;
const SECRET_PREFIX: &str = "PRIVATE+KEY+";
/// A type byte and 32 bytes of key, in base64.
const KEY_TEXT: usize = 44;

/// The first four bytes of the SHA-256 over a key's name, type and public half: a hint that finds the key, not a proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(super) [u8; 4]);

/// The public half of a registry's key: `origin+hash+base64`, one line.
///
/// The name of the key is the registry's [`Origin`], so a reader that pins a key has pinned the origin as well.
///
/// ```
/// use ggen_marketplace::trust::{SigningKey, VerifierKey};
/// let secret = SigningKey::generate("example.com".parse().unwrap()).unwrap();
/// let line = secret.verifier().to_string();
/// assert_eq!(&line.parse::<VerifierKey>().unwrap(), secret.verifier());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    origin: Origin,
    id: KeyId,
    key: ed25519_dalek::VerifyingKey,
}

/// A registry's secret key: signs claims and checkpoints. Wiped from memory when dropped; neither printed nor compared.
///
/// Its text form is the one of Go's `golang.org/x/mod/sumdb/note`: `PRIVATE+KEY+origin+hash+base64`.
pub struct SigningKey {
    verifier: VerifierKey,
    secret: ed25519_dalek::SigningKey,
}

/// Why a text is not a key, or a key could not be made. Never holds any part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not of the form that was asked for.
    #[error("not a verifier key: expected origin+hash+base64")]
    VerifierForm,
    /// Not of the form that was asked for.
    #[error("not a signing key: expected PRIVATE+KEY+origin+hash+base64")]
    SigningForm,
    /// A secret key where a public one belongs.
    #[error("this is a secret key; a verifier key is wanted here")]
    Secret,
    /// Its name is not an origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Of a kind this program does not know.
    #[error("key has algorithm {0:#04x}; only Ed25519 (0x01) is supported")]
    Algorithm(u8),
    /// Its hash is not that of its name and bytes: mistyped, or put under another name.
    #[error("the hash in the key does not match its name and bytes")]
    Hash,
    /// Its point has small order or a second spelling: signatures by it would prove nothing.
    #[error("the public key is weak or not in its canonical form")]
    Weak,
    /// The system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(String),
}

impl KeyId {
    /// Of a key with that name and those 32 public bytes.
    fn of(origin: &Origin, public: &[u8; 32]) -> Self {
        let mut hash = sha2::Sha256::new();
        hash.update(origin.as_str().as_bytes());
        hash.update([b'\n', ED25519]);
        hash.update(public);
        let all: [u8; 32] = hash.finalize().into();
        Self([all[0], all[1], all[2], all[3]])
    }
}

impl VerifierKey {
    /// A key of that origin from its 32 public bytes. Weak keys are refused: under a point of small order one signature
    /// holds for many messages.
    pub fn new(origin: Origin, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| KeyError::Weak)?;
        // Outside the prime-order group verifiers disagree on what is a signature. Within it, and without the neutral
        // element (which is weak), no point has a second spelling.
        if key.is_weak() || !key.to_edwards().is_torsion_free() {
            return Err(KeyError::Weak);
        }
        let id = KeyId::of(&origin, public);
        Ok(Self { origin, id, key })
    }

    /// The registry it speaks for: the key's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its short hash.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Its 32 bytes in hex, as ggen's installer wants them in `GGEN_MARKETPLACE_PUBLIC_KEY`.
    pub fn to_hex(&self) -> String {
        hex::encode(self.key.as_bytes())
    }

    /// Whether `signature` is this key's over `text`. Strict: a signature has one spelling, so nobody without the secret
    /// can make a second one out of the first.
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|s| self.key.verify_strict(text.as_bytes(), &s).is_ok())
    }
}

/// Splits `origin+hash+base64` and decodes the last part into `out`, which starts with the type byte.
fn split<'a>(text: &'a str, out: &mut [u8; 33], form: &KeyError) -> Result<(&'a str, &'a str), KeyError> {
    let mut parts = text.split('+');
    let (Some(name), Some(hash)) = (parts.next(), parts.next()) else { return Err(form.clone()) };
    // The base64 alphabet holds '+' too: the rest is one part.
    let key = text.get(name.len() + hash.len() + 2..).ok_or_else(|| form.clone())?;
    if key.len() != KEY_TEXT || STANDARD.decode_slice(key, out) != Ok(33) {
        return Err(form.clone());
    }
    if out[0] == ED25519 { Ok((name, hash)) } else { Err(KeyError::Algorithm(out[0])) }
}

impl FromStr for VerifierKey {
    type Err = KeyError;
    /// Reads one line; white space around it, as it comes with a paste, is ignored.
    fn from_str(s: &str) -> Result<Self, KeyError> {
        let s = s.trim();
        if s.starts_with(SECRET_PREFIX) {
            return Err(KeyError::Secret);
        }
        let mut bytes = [0u8; 33];
        let (name, hash) = split(s, &mut bytes, &KeyError::VerifierForm)?;
        let [_, public @ ..] = bytes;
        let key = Self::new(name.parse()?, &public)?;
        if key.id.to_string() == hash { Ok(key) } else { Err(KeyError::Hash) }
    }
}

impl SigningKey {
    /// A new key for that origin, from the operating system's random bytes.
    pub fn generate(origin: Origin) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *seed).map_err(|e| KeyError::Random(e.to_string()))?;
        Self::from_seed(origin, &seed)
    }

    /// The key of that origin with that seed.
    pub(crate) fn from_seed(origin: Origin, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(origin, secret.verifying_key().as_bytes())?;
        Ok(Self { verifier, secret })
    }

    /// Reads the secret text form; white space around it is ignored. No error repeats any part of the text.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim().strip_prefix(SECRET_PREFIX).ok_or(KeyError::SigningForm)?;
        let mut bytes = Zeroizing::new([0u8; 33]);
        let (name, hash) = split(rest, &mut bytes, &KeyError::SigningForm)?;
        // An origin's error quotes its text, which here is a piece of something secret that may have been cut wrongly.
        let origin = name.parse().map_err(|_| KeyError::SigningForm)?;
        let mut seed = Zeroizing::new([0u8; 32]);
        seed.copy_from_slice(&bytes[1..]);
        let key = Self::from_seed(origin, &seed)?;
        if key.verifier.id.to_string() == hash { Ok(key) } else { Err(KeyError::Hash) }
    }

    /// The secret text form, for the key file alone.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([ED25519; 33]);
        bytes[1..].copy_from_slice(self.secret.as_bytes());
        let mut base64 = Zeroizing::new([0u8; KEY_TEXT]);
        // 33 bytes are 44 characters, all of them ASCII.
        let written = STANDARD.encode_slice(&bytes[..], &mut base64[..]);
        debug_assert_eq!(written, Ok(KEY_TEXT));
        let (origin, id) = (self.verifier.origin.as_str(), self.verifier.id.to_string());
        // Sized once: a string that grows leaves a copy of its beginning behind.
        let mut out = Zeroizing::new(String::with_capacity(SECRET_PREFIX.len() + origin.len() + 10 + KEY_TEXT));
        for part in [SECRET_PREFIX, origin, "+", &id, "+"] {
            out.push_str(part);
        }
        out.extend(base64.iter().map(|b| char::from(*b)));
        out
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The registry it speaks for.
    pub fn origin(&self) -> &Origin {
        &self.verifier.origin
    }

    /// A signature in hex over the bytes of a gzip-compressed archive, as ggen's installer wants one; none over anything else.
    /// Nothing that this key says otherwise can be made of it: signed notes are UTF-8 text, and a gzip file never is.
    pub(crate) fn sign_archive(&self, bytes: &[u8]) -> Option<String> {
        bytes.starts_with(&[0x1f, 0x8b]).then(|| hex::encode(self.secret.sign(bytes).to_bytes()))
    }

    pub(super) fn sign(&self, text: &str) -> [u8; 64] {
        self.secret.sign(text.as_bytes()).to_bytes()
    }
}

impl From<KeyError> for crate::Error {
    fn from(e: KeyError) -> Self {
        let kind = match e {
            KeyError::Random(_) => crate::ErrorKind::Io,
            KeyError::Algorithm(_) => crate::ErrorKind::Unsupported,
            _ => crate::ErrorKind::Invalid,
        };
        let hint = match e {
            KeyError::VerifierForm | KeyError::Hash => Some("copy the whole line of the registry's public key"),
            KeyError::SigningForm => Some("point to the file that the registry's secret key was written to"),
            KeyError::Secret => {
                Some("give the public key instead, and treat the secret one as seen if it left its file")
            }
            _ => None,
        };
        let error = Self::new(kind, e.to_string());
        if let Some(hint) = hint { error.with_hint(hint) } else { error }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [ED25519; 33];
        bytes[1..].copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.origin, self.id, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}+{}, secret not shown)", self.verifier.origin, self.verifier.id)
    }
}
