//! Patterns: which packages a person means.

use super::{Kind, NameError, PackageId, PackageName, PackageSpec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// What a person types to mean packages: `NAME` or `KIND:NAME`, in which `*` stands for any text.
///
/// ```
/// use ggen_marketplace::package::Pattern;
/// let pattern: Pattern = "pack:IO.ggen.*".parse().unwrap();
/// assert_eq!(pattern.to_string(), "pack:io.ggen.*");
/// assert!(pattern.is_glob());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    kind: Option<Kind>,
    /// Normalised.
    name: Box<str>,
}

impl Pattern {
    /// Whether it holds a `*`.
    pub fn is_glob(&self) -> bool {
        self.name.contains('*')
    }

    /// Whether it means that package.
    pub fn matches(&self, id: &PackageId) -> bool {
        self.kind.is_none_or(|k| k == id.kind()) && glob(self.name.as_bytes(), id.name().as_bytes())
    }

    /// The packages that it may mean where it holds no `*`: one of each kind that allows the name, or of the kind given.
    pub fn candidates(&self) -> Vec<PackageId> {
        let Ok(name) = PackageName::new(&self.name) else { return Vec::new() };
        PackageSpec { kind: self.kind, name, version: None }.candidates().unwrap_or_default()
    }
}

/// Whether the pattern means all of the text. Takes the last `*` back one letter at a time, so the time is at most the
/// product of the two lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

impl FromStr for Pattern {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let (kind, name) = match s.split_once(':') {
            Some((kind, name)) => (Some(kind.parse()?), name),
            None => (None, s),
        };
        // With a letter for each star it has to be a name, and without a star one that its kind allows.
        let whole = PackageName::new(&name.replace('*', "a"))?;
        if !name.contains('*') {
            PackageSpec { kind, name: whole, version: None }.candidates()?;
        }
        Ok(Self { kind, name: name.to_ascii_lowercase().replace('_', "-").into() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind}:{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> PackageId {
        text.parse::<PackageSpec>().unwrap().candidates().unwrap().pop().unwrap()
    }

    #[test]
    fn a_pattern_means_what_it_says() {
        for (pattern, yes, no) in [
            ("serde", &["crate:serde", "pack:Serde"][..], &["crate:serde-json"][..]),
            ("crate:Serde*", &["crate:serde", "crate:serde_json"], &["pack:serde", "crate:myserde"]),
            ("io.ggen.*", &["pack:io.ggen.rust"], &["pack:io.ggen", "pack:ioxggen.a"]),
            ("*", &["pack:a", "crate:b"], &[]),
            ("*-a-*b", &["pack:x-a-a-b", "pack:1-a-b"], &["pack:x-a-bc", "pack:xa-b"]),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert!(yes.iter().all(|n| pattern.matches(&id(n))), "{pattern}");
            assert!(!no.iter().any(|n| pattern.matches(&id(n))), "{pattern}");
        }
        assert_eq!("Serde_JSON".parse::<Pattern>().unwrap().candidates().len(), 2);
        assert_eq!("pack:log".parse::<Pattern>(), Err(NameError::Reserved("log".into())));
        for bad in ["", "a@1.0.0", "wasm:a", "a b*", "../*", "-*", "a/*", "crate:"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_glob_means_what_a_regular_expression_does(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p.first(), t.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => slow(&p[1..], t) || (!t.is_empty() && slow(p, &t[1..])),
                    (Some(a), Some(b)) if a == b => slow(&p[1..], &t[1..]),
                    _ => false,
                }
            }
            prop_assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
