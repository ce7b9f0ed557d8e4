//! Lists of marks: what a collection of garbage found that nothing kept refers to, and when it was found first.

use super::{Effort, FormatError, Header, Object};
use crate::package::{Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// What was marked as garbage, by digest, with the time of its first mark. What is in it may be taken away by a later
/// collection, once that time is a grace period ago (invariant I16).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marks(Vec<(Sha256, Timestamp)>);

/// A line of the stored form.
#[derive(Serialize, Deserialize)]
struct Row {
    marked: Timestamp,
    sha256: Sha256,
}

impl Marks {
    /// The most that one list holds: what is left over is marked by a later collection.
    pub(crate) const MOST: usize = 1_000_000;

    /// Takes them in any order, each digest once. Of too many, those that were marked first are kept.
    pub(crate) fn new(mut marks: Vec<(Sha256, Timestamp)>) -> Self {
        if marks.len() > Self::MOST {
            marks.sort_unstable_by_key(|(sha256, marked)| (*marked, *sha256));
            marks.truncate(Self::MOST);
        }
        marks.sort_unstable_by_key(|(sha256, _)| *sha256);
        Self(marks)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When that object was marked.
    pub(crate) fn marked(&self, sha256: &Sha256) -> Option<Timestamp> {
        self.0.binary_search_by_key(sha256, |(sha256, _)| *sha256).ok().map(|i| self.0[i].1)
    }

    /// Reads the decompressed bytes.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "marks";
        let text = std::str::from_utf8(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        let body = Header::read(text, WHAT, None)?;
        let mut out: Vec<(Sha256, Timestamp)> = Vec::new();
        for line in body.lines() {
            let row: Row = serde_json::from_str(line).map_err(|e| FormatError::malformed(WHAT, e))?;
            if out.last().is_some_and(|(last, _)| *last >= row.sha256) {
                return Err(FormatError::malformed(WHAT, format!("{} is out of order or twice", row.sha256)));
            }
            out.push((row.sha256, row.marked));
        }
        if out.len() > Self::MOST {
            return Err(FormatError::malformed(WHAT, format!("{} marks; at most {}", out.len(), Self::MOST)));
        }
        Ok(Self(out))
    }

    /// Writes it.
    pub(crate) fn seal(&self) -> Object {
        let mut raw = Vec::with_capacity(self.0.len() * 112 + 64);
        Header::write(&mut raw, "marks", None);
        for (sha256, marked) in &self.0 {
            let row = Row { marked: *marked, sha256: *sha256 };
            serde_json::to_writer(&mut raw, &row).unwrap_or_else(|e| unreachable!("a mark serialises: {e}"));
            raw.push(b'\n');
        }
        Object::seal(&raw, Effort::Digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::open;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_read_back(marks in proptest::collection::btree_map(any::<[u8; 32]>(), 0..4_000_000_000i64, 0..40)) {
            let given: Vec<_> = marks.iter().rev().map(|(d, t)| (Sha256(*d), Timestamp::from_unix(*t))).collect();
            let marks = Marks::new(given.clone());
            let object = marks.seal();
            let read = Marks::read(&open(&object.bytes, &object.link).unwrap()).unwrap();
            prop_assert_eq!(&read, &marks);
            for (digest, marked) in given {
                prop_assert_eq!(read.marked(&digest), Some(marked));
            }
            prop_assert_eq!(read.marked(&Sha256::of(b"another")), None);
        }
    }

    #[test]
    fn a_list_out_of_order_of_another_type_or_cut_off_is_refused() {
        let line = |digit: &str| format!(r#"{{"marked":"2026-11-23T15:20:57Z","sha256":"{}"}}"#, digit.repeat(64));
        let list = |header: &str, lines: &[String]| format!("{header}\n{}", lines.join(""));
        let (a, b) = (line("a") + "\n", line("b") + "\n");
        let header = r#"{"format":2,"type":"marks"}"#;
        assert!(Marks::read(list(header, &[a.clone(), b.clone()]).as_bytes()).is_ok());
        for (header, lines) in [
            (header, [b.clone(), a.clone()]),
            (header, [a.clone(), a.clone()]),
            (header, [a.clone(), line("b")]),
            (header, [a.clone(), line("B") + "\n"]),
            (r#"{"format":2,"type":"changes"}"#, [a.clone(), b.clone()]),
            (r#"{"format":1,"type":"marks"}"#, [a.clone(), b.clone()]),
            (r#"{"format":3,"type":"marks"}"#, [a, b]),
        ] {
            assert!(Marks::read(list(header, &lines).as_bytes()).is_err(), "{header} {lines:?}");
        }
    }
}
