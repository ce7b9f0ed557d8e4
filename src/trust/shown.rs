//! What a view shows: the statement that a writer leaves beside it.

use super::{
    claim::{check_domain, pinned_origin},
    error::TrustError,
    keys::{SigningKey, VerifierKey},
    note::{Note, Verified},
    origin::Origin,
};
use crate::package::{Link, Sha256, Timestamp};
use bytes::Bytes;

const SHOWN: &str = "statement of a view";

/// How many runs may be under way, or have died, before the whole view is looked at again.
pub const MAX_BEGUN: usize = 48;

/// Which state of the registry a view shows, made with which settings; and which runs have begun to write another one into
/// it. Signed, since the next run takes from it what it need not look at again.
///
/// Its text, in one spelling; the last line stands there once for each run:
///
/// ```text
/// ggen-market/view/v1
/// packages.example.com
/// view cargo
/// shows <generation> <sha256> <size> <raw> <sha256 of the settings> <or "none">
/// carries <sha256 of the file that is continued, or "none">
/// begun <time> <16 hex digits> <generation> <sha256> <size> <raw> <sha256 of the settings>
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The registry.
    pub origin: Origin,
    /// The view: lower case letters.
    pub view: String,
    /// What all of its files show, but for what `begun` says; none before the first run came to its end.
    pub shows: Option<Shows>,
    /// The digest of the one file that a run continues instead of making it anew.
    pub carries: Option<Sha256>,
    /// Runs that may have written files and did not come to their end, or have not yet.
    pub begun: Vec<Begun>,
}

/// A state of the registry, and the settings by which a view is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shows {
    /// The generation that committed it.
    pub generation: u64,
    /// Its snapshot; `raw` is always set.
    pub snapshot: Link,
    /// The digest of the settings.
    pub settings: Sha256,
}

/// A run that has begun to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// When.
    pub time: Timestamp,
    /// By which it knows itself again.
    pub run: [u8; 8],
    /// What it writes.
    pub shows: Shows,
}

impl Shown {
    /// What is said of a view that there is nothing of.
    pub fn nothing(origin: Origin, view: &str) -> Self {
        Self { origin, view: view.into(), shows: None, carries: None, begun: Vec::new() }
    }

    /// Signs it. Refused when it is of another origin than the key, or breaks a rule.
    pub fn sign(&self, key: &SigningKey) -> Result<Bytes, TrustError> {
        if let Some(rule) = self.broken_rule() {
            return Err(TrustError::Unsignable(rule));
        }
        if &self.origin != key.origin() {
            let found = self.origin.to_string();
            return Err(TrustError::WrongOrigin { what: SHOWN, expected: key.origin().clone(), found });
        }
        Ok(Note::sign(&self.text(), key)?.into())
    }

    /// Checks bytes that were read: signed by one of `keys` (all of one origin), of that origin, and of that view.
    pub fn open(bytes: &[u8], view: &str, keys: &[VerifierKey]) -> Result<Self, TrustError> {
        let pinned = pinned_origin(keys)?;
        let Verified { text, .. } = Note::open(bytes, keys)?;
        check_domain(text, "ggen-market/view/v", SHOWN)?;
        let malformed = |reason| TrustError::Malformed { what: SHOWN, reason };
        let shown = Self::fields(text).ok_or(malformed("its lines are not those of one"))?;
        if shown.text() != text {
            return Err(malformed("it is not in its one spelling"));
        }
        if let Some(rule) = shown.broken_rule() {
            return Err(malformed(rule));
        }
        if shown.view != view {
            return Err(malformed("it is of another view"));
        }
        if &shown.origin != pinned {
            let found = shown.origin.to_string();
            return Err(TrustError::WrongOrigin { what: SHOWN, expected: pinned.clone(), found });
        }
        Ok(shown)
    }

    fn broken_rule(&self) -> Option<&'static str> {
        let all = || self.shows.iter().chain(self.begun.iter().map(|b| &b.shows));
        if self.view.is_empty() || !self.view.bytes().all(|b| b.is_ascii_lowercase()) {
            Some("its view has no plain name")
        } else if self.begun.len() > MAX_BEGUN {
            Some("it tells of too many runs")
        } else if all().any(|s| s.snapshot.raw.is_none()) {
            Some("the size of a snapshot before compression is missing")
        } else {
            None
        }
    }

    fn text(&self) -> String {
        let shows = self.shows.as_ref().map_or_else(|| "none".to_owned(), Shows::text);
        let carries = self.carries.map_or_else(|| "none".to_owned(), |c| c.to_string());
        let mut text =
            format!("ggen-market/view/v1\n{}\nview {}\nshows {shows}\ncarries {carries}\n", self.origin, self.view);
        for Begun { time, run, shows } in &self.begun {
            text += &format!("begun {time} {} {}\n", hex::encode(run), shows.text());
        }
        text
    }

    fn fields(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n').skip(1);
        let origin = lines.next()?.parse().ok()?;
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let view = field("view")?.to_owned();
        let shows = match field("shows")? {
            "none" => None,
            shows => Some(Shows::parse(&mut shows.split(' '))?),
        };
        let carries = match field("carries")? {
            "none" => None,
            digest => Some(digest.parse().ok()?),
        };
        let begun = lines.map(|line| {
            let mut words = line.strip_prefix("begun ")?.split(' ');
            let time = words.next()?.parse().ok()?;
            let mut run = [0; 8];
            hex::decode_to_slice(words.next()?, &mut run).ok()?;
            Some(Begun { time, run, shows: Shows::parse(&mut words)? })
        });
        Some(Self { origin, view, shows, carries, begun: begun.collect::<Option<_>>()? })
    }
}

impl Shows {
    fn text(&self) -> String {
        let Self { generation, snapshot: Link { raw, sha256, size }, settings } = self;
        format!("{generation} {sha256} {size} {} {settings}", raw.unwrap_or_default())
    }

    fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let generation = words.next()?.parse().ok()?;
        let (sha256, size) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let raw = Some(words.next()?.parse().ok()?);
        Some(Self { generation, snapshot: Link { raw, sha256, size }, settings: words.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shows(n: u64) -> Shows {
        let sha256 = Sha256::of(&n.to_be_bytes());
        Shows { generation: n, snapshot: Link { raw: Some(n + 9), sha256, size: n + 3 }, settings: Sha256::of(b"s") }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read_back_and_nothing_else_passes(runs in proptest::collection::vec(0..99u64, 0..MAX_BEGUN), whole: bool, carries: bool, at: prop::sample::Index, bit in 0..8u8) {
            let key = SigningKey::generate("packages.example.com".parse().unwrap()).unwrap();
            let keys = [key.verifier().clone()];
            let begun = runs.iter().map(|n| Begun { time: Timestamp::from_unix(1_700_000_000), run: n.to_be_bytes(), shows: shows(*n) });
            let it = Shown {
                shows: whole.then(|| shows(7)),
                carries: carries.then(|| Sha256::of(b"c")),
                begun: begun.collect(),
                ..Shown::nothing("packages.example.com".parse().unwrap(), "cargo")
            };
            let mut bytes = it.sign(&key).unwrap().to_vec();
            prop_assert!(bytes.len() <= 16 * 1024);
            prop_assert_eq!(Shown::open(&bytes, "cargo", &keys).unwrap(), it);
            prop_assert!(Shown::open(&bytes, "plain", &keys).is_err());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Shown::open(&bytes, "cargo", &keys).is_err());
        }
    }

    #[test]
    fn another_spelling_or_another_statement_is_none() {
        let key = SigningKey::generate("packages.example.com".parse().unwrap()).unwrap();
        let keys = [key.verifier().clone()];
        let it = Shown { shows: Some(shows(3)), ..Shown::nothing(key.origin().clone(), "cargo") };
        for (from, to) in [
            ("view/v1", "boundary/v1"),
            ("view/v1", "view/v2"),
            ("packages.example.com", "packages.example.org"),
            ("shows 3", "shows 03"),
            ("carries none", "carries none\n"),
            ("carries none\n", "carries none\nbegun\n"),
        ] {
            let changed = it.text().replacen(from, to, 1);
            assert_ne!(changed, it.text());
            let bytes = Note::sign(&changed, &key).unwrap();
            assert!(Shown::open(bytes.as_ref(), "cargo", &keys).is_err(), "{changed}");
        }
        assert!(Shown { view: "Cargo".into(), ..it.clone() }.sign(&key).is_err());
        assert!(
            Shown {
                begun: vec![Begun { time: Timestamp::from_unix(1), run: [0; 8], shows: shows(1) }; MAX_BEGUN + 1],
                ..it
            }
            .sign(&key)
            .is_err()
        );
    }
}
