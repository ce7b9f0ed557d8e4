//! Versions: Semantic Versioning 2.0.0, nothing looser.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr};

/// A version after Semantic Versioning 2.0.0, at most 128 bytes long.
///
/// Two versions that differ only in build metadata are the same release ([`Version::same_release`]): a registry takes
/// the first of them and refuses the second. Their order is SemVer precedence, then build metadata.
///
/// ```
/// use ggen_marketplace::package::Version;
/// let v: Version = "26.8.18+dfcm.1".parse().unwrap();
/// assert!(v.same_release(&"26.8.18".parse().unwrap()));
/// assert!("v1.0.0".parse::<Version>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(semver::Version);

/// The text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Longer than 128 bytes.
    #[error("version is {0} bytes long; at most 128 are allowed")]
    TooLong(usize),
    /// Not Semantic Versioning 2.0.0.
    #[error("{text:?} is not a semantic version: {reason}")]
    NotSemver {
        /// The text, as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Version {
    /// Whether two versions differ in nothing but build metadata.
    pub fn same_release(&self, other: &Self) -> bool {
        self.0.cmp_precedence(&other.0) == Ordering::Equal
    }

    /// Whether it has a pre-release part, as in `1.0.0-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The version as the `semver` crate's type, to match it against requirements.
    pub fn semver(&self) -> &semver::Version {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(s: &str) -> Result<Self, VersionError> {
        if s.len() > 128 {
            return Err(VersionError::TooLong(s.len()));
        }
        match semver::Version::parse(s) {
            Ok(v) => Ok(Self(v)),
            Err(e) => Err(VersionError::NotSemver { text: s.into(), reason: e.to_string() }),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = Cow::<str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}
