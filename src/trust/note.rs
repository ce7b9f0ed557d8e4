//! Signed notes (C2SP `signed-note`): a text, a blank line, and one line for each signature.
//!
//! A parser of our own, because it is the first thing that hostile bytes meet: limits first, one spelling for everything.

use super::keys::{KeyId, SigningKey, VerifierKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt::Write as _;

/// The largest note that is looked at, in bytes (I26).
pub const MAX_NOTE: usize = 16 * 1024;

/// The most signatures a note may have.
pub const MAX_SIGNATURES: usize = 16;

/// An em dash and a space begin every signature line.
const DASH: &str = "\u{2014} ";

/// A parsed note, nothing of it checked yet but its form. [`Note::open`] is the way to a text that someone vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed; ends with a newline.
    pub text: &'a str,
    /// At least one, at most [`MAX_SIGNATURES`], in their order.
    pub signatures: Vec<NoteSignature<'a>>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's hash.
    pub id: KeyId,
    /// The signature, in a form that depends on the key.
    pub signature: Vec<u8>,
}

/// A note's text and those of the known keys that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'a, 'k> {
    /// What was signed; ends with a newline.
    pub text: &'a str,
    /// The keys whose signatures hold: at least one, each public key once, however often it signed or was given.
    pub signers: Vec<&'k VerifierKey>,
    /// How many signature lines the note has, by known and unknown keys.
    pub lines: usize,
}

/// Why bytes are not a note, or not one that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Larger than [`MAX_NOTE`].
    #[error("note is {0} bytes long; at most {MAX_NOTE} are read")]
    TooLarge(usize),
    /// Not UTF-8, or with a control character.
    #[error("not a signed note: it is not plain UTF-8 text")]
    NotText,
    /// No signatures after a blank line.
    #[error("not a signed note: no signatures follow a blank line at its end")]
    Unsigned,
    /// More than [`MAX_SIGNATURES`].
    #[error("note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A line among the signatures is not one.
    #[error("line {0} of the note's signatures is malformed")]
    Signature(usize),
    /// None of the signatures is by a known key.
    #[error("note is not signed by a known key (signed by {signed_by}; known: {known})")]
    UnknownKeys {
        /// Names and hashes of the keys that the note claims, shortened.
        signed_by: String,
        /// Those that are known.
        known: String,
    },
    /// A signature that a known key should have made does not hold.
    #[error("bad signature by {0}: the note was changed, or not made by this key")]
    Bad(String),
    /// Two different known keys share a name and a hash.
    #[error("two known keys share the name and hash {0}")]
    Ambiguous(String),
}

impl<'a> Note<'a> {
    /// Checks the form: size, plain text, signature lines after the **last** blank line. Since no signature line is blank,
    /// a text may hold blank lines, and other notes, without ambiguity.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLarge(bytes.len()));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if whole.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::NotText);
        }
        let blank = whole.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, block) = (&whole[..=blank], &whole[blank + 2..]);
        let block = block.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        if block.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let lines = block.split('\n').enumerate();
        let signatures = lines.map(|(i, line)| NoteSignature::parse(line).ok_or(NoteError::Signature(i + 1)));
        Ok(Self { text, signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// Parses and checks the signatures. Signatures by unknown keys are ignored (a witness may have added one); one by a
    /// known key that does not hold refuses the whole note; at least one has to hold (I19).
    pub fn open<'k>(bytes: &'a [u8], known: &'k [VerifierKey]) -> Result<Verified<'a, 'k>, NoteError> {
        let note = Self::parse(bytes)?;
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for line in &note.signatures {
            let Some(key) = line.key(known)? else { continue };
            if !key.verify(note.text, &line.signature) {
                return Err(NoteError::Bad(line.label()));
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            return Err(note.unknown(known));
        }
        Ok(Verified { text: note.text, signers, lines: note.signatures.len() })
    }

    /// The note of `text`, which has to end with a newline, with one signature.
    pub fn sign(text: &str, key: &SigningKey) -> Result<Vec<u8>, NoteError> {
        if !text.ends_with('\n') || text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::NotText);
        }
        let signed = key.sign(text);
        let line = [&key.verifier().id().0[..], &signed[..]].concat();
        let out = format!("{text}\n{DASH}{} {}\n", key.origin(), STANDARD.encode(line)).into_bytes();
        if out.len() > MAX_NOTE { Err(NoteError::TooLarge(out.len())) } else { Ok(out) }
    }

    fn unknown(&self, known: &[VerifierKey]) -> NoteError {
        let mut signed_by = String::new();
        for (i, line) in self.signatures.iter().take(3).enumerate() {
            // Writing to a String does not fail.
            let _ = write!(signed_by, "{}{}", if i == 0 { "" } else { ", " }, line.label());
        }
        let known: Vec<_> = known.iter().take(3).map(|k| format!("{}+{}", k.origin(), k.id())).collect();
        NoteError::UnknownKeys { signed_by, known: known.join(", ") }
    }
}

impl<'a> NoteSignature<'a> {
    /// Reads `— name base64`.
    fn parse(line: &'a str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return None;
        }
        // Strict: padding is required and the bits it leaves over are zero, so these bytes have no second spelling.
        let bytes = STANDARD.decode(base64).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (!signature.is_empty()).then(|| Self { name, id: KeyId(*id), signature: signature.to_vec() })
    }

    /// The known key that this line names.
    fn key<'k>(&self, known: &'k [VerifierKey]) -> Result<Option<&'k VerifierKey>, NoteError> {
        let mut found = known.iter().filter(|k| k.id() == self.id && k.origin().as_str() == self.name);
        let Some(first) = found.next() else { return Ok(None) };
        // The hash has 32 bits only: two keys that share it could each be taken for the other.
        if found.any(|k| k != first) { Err(NoteError::Ambiguous(self.label())) } else { Ok(Some(first)) }
    }

    /// `name+hash`, shortened, for messages.
    fn label(&self) -> String {
        format!("{}+{}", self.name.chars().take(80).collect::<String>(), self.id)
    }
}
