//! The name of a registry, as it stands in every signed text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, str::FromStr};

const MAX_ORIGIN: usize = 255;

/// What a registry calls itself: `host` or `host/path`, without a scheme.
///
/// It is a name and not an address: a mirror serves the same origin from elsewhere. The host is lower-case ASCII (letters,
/// digits, `-`, dots, an optional `:port`); the path holds letters, digits and `-._~`; at most 255 bytes. So it has one
/// spelling, and is a valid key name of a signed note.
///
/// ```
/// use ggen_marketplace::trust::Origin;
/// assert!("packages.example.com/main".parse::<Origin>().is_ok());
/// assert!("https://packages.example.com".parse::<Origin>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Box<str>);

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an origin: {reason} (an origin looks like packages.example.com/main)")]
pub struct OriginError {
    text: String,
    reason: &'static str,
}

impl Origin {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What breaks the grammar, if anything does.
fn fault(s: &str) -> Option<&'static str> {
    if s.is_empty() {
        return Some("it is empty");
    }
    if s.len() > MAX_ORIGIN {
        return Some("it is longer than 255 bytes");
    }
    if s.contains("://") {
        return Some("it has a scheme");
    }
    let (authority, path) = s.split_once('/').map_or((s, None), |(a, p)| (a, Some(p)));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
    let label = |l: &str| {
        let inner = l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        !l.is_empty() && inner && !l.starts_with('-') && !l.ends_with('-')
    };
    if !host.split('.').all(label) {
        return Some("its host is not a lower-case host name");
    }
    // One spelling: "080" and "80" would be two names for one port.
    if port.is_some_and(|p| p.parse::<u16>().map_or(true, |n| n == 0 || n.to_string() != p)) {
        return Some("its port is not a number from 1 to 65535");
    }
    let segment = |s: &str| {
        let inner = s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        !s.is_empty() && inner && s != "." && s != ".."
    };
    if path.is_some_and(|p| !p.split('/').all(segment)) {
        return Some("its path may hold only letters, digits and -._~ between single slashes");
    }
    None
}

impl FromStr for Origin {
    type Err = OriginError;
    fn from_str(s: &str) -> Result<Self, OriginError> {
        match fault(s) {
            None => Ok(Self(s.into())),
            Some(reason) => Err(OriginError { text: s.chars().take(80).collect(), reason }),
        }
    }
}

impl From<OriginError> for crate::Error {
    fn from(e: OriginError) -> Self {
        Self::new(crate::ErrorKind::Invalid, e.to_string())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = Cow::<str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        for good in ["a", "localhost", "localhost:9000", "packages.example.com", "a.b/c", "a/B_c~1.2-3/d", "10.0.0.1/x"]
        {
            assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
        }
        let long = "a".repeat(256);
        let bad = [
            "",
            "A",
            "a b",
            "a+b",
            "a\n",
            "a/",
            "/a",
            "a//b",
            "a/..",
            "a/./b",
            "https://a",
            "a?b",
            "a#b",
            "a/%2e",
            "ä.de",
            "a:0",
            "a:080",
            "a:65536",
            "a:",
            "-a",
            "a-",
            ".a",
            "a.",
            "a..b",
            "a\u{7f}",
            "a\0",
            "a@b",
            "—",
            &long,
        ];
        for bad in bad {
            assert!(bad.parse::<Origin>().is_err(), "{bad:?}");
        }
    }
}
