//! The boundary: how far the collection of garbage has gone.

use super::{
    claim::{check_domain, pinned_origin},
    error::TrustError,
    keys::{SigningKey, VerifierKey},
    note::{Note, Verified},
    origin::Origin,
};
use crate::package::{Link, Timestamp};
use bytes::Bytes;

pub(super) const BOUNDARY: &str = "boundary";

/// How many generations can be kept by name.
pub(crate) const MAX_PINS: usize = 64;

/// What a collection of garbage says before it deletes anything: from which generation on everything is kept. It is signed,
/// so that an auditor can tell what was collected from what was lost; and a writer that finds it to be of its own base
/// generation or a later one looks again at what it is about to cite (I15).
///
/// Its text is exactly seven lines, in one spelling:
///
/// ```text
/// ggen-market/boundary/v1
/// packages.example.com
/// generation 17
/// keeps 8
/// pins 3,5 <or "none">
/// time 2026-11-23T15:20:57Z
/// marks <64 hex digits> <stored size> <size of what is inside> <or "none">
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// The registry.
    pub origin: Origin,
    /// The newest generation when the collection looked.
    pub generation: u64,
    /// This generation and all later ones are kept whole.
    pub keeps: u64,
    /// Earlier ones that are kept whole as well, in order.
    pub pins: Vec<u64>,
    /// When it looked.
    pub time: Timestamp,
    /// The list of what was marked as garbage, for the next collection; `raw` is always set.
    pub marks: Option<Link>,
}

impl Boundary {
    /// Signs it. Refused when it is of another origin than the key, or breaks a rule.
    pub fn sign(&self, key: &SigningKey) -> Result<Bytes, TrustError> {
        if let Some(rule) = self.broken_rule() {
            return Err(TrustError::Unsignable(rule));
        }
        if &self.origin != key.origin() {
            let found = self.origin.to_string();
            return Err(TrustError::WrongOrigin { what: BOUNDARY, expected: key.origin().clone(), found });
        }
        Ok(Note::sign(&self.text(), key)?.into())
    }

    /// Checks bytes that were read: signed by one of `keys` (all of one origin), and of that origin.
    pub fn open(bytes: &[u8], keys: &[VerifierKey]) -> Result<Self, TrustError> {
        let pinned = pinned_origin(keys)?;
        let Verified { text, .. } = Note::open(bytes, keys)?;
        check_domain(text, "ggen-market/boundary/v", BOUNDARY)?;
        let malformed = |reason| TrustError::Malformed { what: BOUNDARY, reason };
        let boundary = Self::fields(text).ok_or(malformed("its lines are not those of a boundary"))?;
        if boundary.text() != text {
            return Err(malformed("it is not in its one spelling"));
        }
        if let Some(rule) = boundary.broken_rule() {
            return Err(malformed(rule));
        }
        if &boundary.origin != pinned {
            let found = boundary.origin.to_string();
            return Err(TrustError::WrongOrigin { what: BOUNDARY, expected: pinned.clone(), found });
        }
        Ok(boundary)
    }

    /// Whether a generation was to be kept with everything that it reaches.
    pub fn keeps(&self, generation: u64) -> bool {
        generation >= self.keeps || self.pins.binary_search(&generation).is_ok()
    }

    fn broken_rule(&self) -> Option<&'static str> {
        if self.keeps > self.generation {
            Some("it keeps not even the newest generation")
        } else if self.pins.len() > MAX_PINS {
            Some("it pins more than 64 generations")
        } else if !self.pins.is_sorted_by(|a, b| a < b) || self.pins.last().is_some_and(|p| *p >= self.keeps) {
            Some("its pins are not earlier generations in order")
        } else if self.marks.is_some_and(|m| m.raw.is_none()) {
            Some("the size of its marks before compression is missing")
        } else {
            None
        }
    }

    fn text(&self) -> String {
        let Self { origin, generation, keeps, pins, time, marks } = self;
        let pins: Vec<_> = pins.iter().map(u64::to_string).collect();
        let pins = if pins.is_empty() { "none".to_owned() } else { pins.join(",") };
        let marks = marks
            .map_or_else(|| "none".to_owned(), |l| format!("{} {} {}", l.sha256, l.size, l.raw.unwrap_or_default()));
        format!(
            "ggen-market/boundary/v1\n{origin}\ngeneration {generation}\nkeeps {keeps}\npins {pins}\ntime {time}\n\
             marks {marks}\n"
        )
    }

    fn fields(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').skip(1);
        let origin = lines.next()?.parse().ok()?;
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let (generation, keeps) = (field("generation")?.parse().ok()?, field("keeps")?.parse().ok()?);
        let pins = match field("pins")? {
            "none" => Vec::new(),
            list => list.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?,
        };
        let time = field("time")?.parse().ok()?;
        let marks = match field("marks")? {
            "none" => None,
            link => {
                let mut link = link.split(' ');
                let (sha256, size) = (link.next()?.parse().ok()?, link.next()?.parse().ok()?);
                Some(Link { raw: Some(link.next()?.parse().ok()?), sha256, size })
            }
        };
        Some(Self { origin, generation, keeps, pins, time, marks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Sha256;
    use proptest::prelude::*;

    fn boundary(keeps: u64, pins: Vec<u64>, marked: bool) -> Boundary {
        Boundary {
            origin: "packages.example.com".parse().unwrap(),
            generation: keeps + 9,
            keeps,
            pins,
            time: Timestamp::from_unix(1_700_000_000),
            marks: marked.then(|| Link { raw: Some(7), sha256: Sha256::of(b"marks"), size: 5 }),
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read_back_and_nothing_else_passes(pins in proptest::collection::btree_set(0..90u64, 0..5), keeps in 90..200u64, marked: bool, at: prop::sample::Index, bit in 0..8u8) {
            let key = SigningKey::generate("packages.example.com".parse().unwrap()).unwrap();
            let keys = [key.verifier().clone()];
            let it = boundary(keeps, pins.into_iter().collect(), marked);
            let mut bytes = it.sign(&key).unwrap().to_vec();
            prop_assert_eq!(Boundary::open(&bytes, &keys).unwrap(), it);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Boundary::open(&bytes, &keys).is_err());
        }
    }

    #[test]
    fn i18_another_statement_or_another_registry_is_no_boundary() {
        let key = SigningKey::generate("packages.example.com".parse().unwrap()).unwrap();
        let keys = [key.verifier().clone()];
        let text = boundary(3, vec![1], true).text();
        for (from, to) in [
            ("boundary/v1", "claim/v1"),
            ("boundary/v1", "boundary/v2"),
            ("packages.example.com", "packages.example.org"),
            ("pins 1", "pins 01"),
            ("pins 1", "pins 3"),
            ("keeps 3", "keeps 13"),
            ("marks", "mark"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let bytes = Note::sign(&changed, &key).unwrap();
            assert!(Boundary::open(bytes.as_ref(), &keys).is_err(), "{changed}");
        }
        let stranger = SigningKey::generate("packages.example.com".parse().unwrap()).unwrap();
        assert!(Boundary::open(&boundary(3, vec![1], true).sign(&stranger).unwrap(), &keys).is_err());
        assert!(boundary(3, vec![5], false).sign(&key).is_err());
        let it = boundary(3, vec![1], false);
        assert!(it.keeps(1) && !it.keeps(2) && it.keeps(3) && it.keeps(99));
    }
}
