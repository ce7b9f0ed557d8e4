//! Names: what may be one, and when two are the same.

use super::{Sha256, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// The namespace a package lives in. A pack and a crate may share a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A Cargo crate.
    Crate,
    /// A ggen template pack.
    Pack,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 2] = [Self::Crate, Self::Pack];

    /// Its word in records, keys and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crate => "crate",
            Self::Pack => "pack",
        }
    }

    /// The longest name, in bytes.
    pub fn max_name(self) -> usize {
        match self {
            Self::Crate => 64,
            Self::Pack => 128,
        }
    }

    /// Names that would collide with something else of that name: for packs the folders of the store's layout, for crates
    /// what the Rust toolchain brings itself. (`log` is a folder here and an honest crate: crate names never meet layout.)
    fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Crate => &["alloc", "core", "proc-macro", "std", "test"],
            Self::Pack => &["blobs", "cargo", "checkpoint", "gc", "index", "log", "packages", "root", "trash"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == s)
            .ok_or_else(|| NameError::UnknownKind(s.chars().take(40).collect()))
    }
}

/// A package's name as its author writes it.
///
/// ASCII letters, digits, `-`, `_` and `.`; starts with a letter or digit; ends with neither a dot nor holds two in a row;
/// at most 128 bytes (64 for a crate: see [`PackageId::new`]); not a device name of Windows. Two names are the same
/// package when they differ only in case or in `-` against `_`: that identity is [`PackageId`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName(Box<str>);

/// Why a text is not a package's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The empty text.
    #[error("a package name cannot be empty")]
    Empty,
    /// Longer than its kind allows.
    #[error("package name is {len} bytes long; at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A character outside the grammar.
    #[error("package name {name:?} holds {found:?}; only ASCII letters, digits, '-', '_' and '.' are allowed")]
    Character {
        /// The text, shortened.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// Begins with `-`, `_` or `.`.
    #[error("package name {0:?} must start with a letter or a digit")]
    Start(String),
    /// Ends with a dot or holds two in a row.
    #[error("package name {0:?} ends with a dot or holds two in a row")]
    Dots(String),
    /// Means something else on some system or to some tool.
    #[error("package name {0:?} is reserved")]
    Reserved(String),
    /// `kind:` with a kind this version does not know.
    #[error("unknown kind of package {0:?} (known: crate, pack)")]
    UnknownKind(String),
    /// The part after `@` is not a version.
    #[error(transparent)]
    Version(#[from] super::VersionError),
}

impl From<NameError> for crate::Error {
    fn from(e: NameError) -> Self {
        Self::new(crate::ErrorKind::Invalid, e.to_string())
    }
}

impl PackageName {
    /// Checks the grammar.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let shown = || name.chars().take(80).collect::<String>();
        let first = *name.as_bytes().first().ok_or(NameError::Empty)?;
        if let Some(found) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
            return Err(NameError::Character { name: shown(), found });
        }
        if name.len() > Kind::Pack.max_name() {
            return Err(NameError::TooLong { len: name.len(), max: Kind::Pack.max_name() });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(NameError::Start(shown()));
        }
        if name.ends_with('.') || name.contains("..") {
            return Err(NameError::Dots(shown()));
        }
        if is_device_name(name) {
            return Err(NameError::Reserved(shown()));
        }
        Ok(Self(name.into()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower case, `-` for `_`: equal for names that mean the same package.
    pub fn normalized(&self) -> String {
        self.0.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
    }
}

/// Windows opens a device for these, also with an extension (`aux.rs`).
fn is_device_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    match stem.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        s => matches!(s.as_bytes(), [b'c', b'o', b'm', b'0'..=b'9'] | [b'l', b'p', b't', b'0'..=b'9']),
    }
}

impl FromStr for PackageName {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        Self::new(s)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for PackageName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackageName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(&Cow::<str>::deserialize(d)?).map_err(de::Error::custom)
    }
}

/// Which package: its kind and its normalised name. Written `crate:serde-json`.
///
/// ```
/// use ggen_marketplace::package::{Kind, PackageId, PackageName};
/// let id = |n: &str| PackageId::new(Kind::Crate, &PackageName::new(n).unwrap()).unwrap();
/// assert_eq!(id("Serde_JSON"), id("serde-json"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId {
    kind: Kind,
    name: Box<str>,
}

impl PackageId {
    /// The identity of the package of that kind and name; fails where the kind's own limits refuse the name.
    pub fn new(kind: Kind, name: &PackageName) -> Result<Self, NameError> {
        if name.0.len() > kind.max_name() {
            return Err(NameError::TooLong { len: name.0.len(), max: kind.max_name() });
        }
        let normalized = name.normalized();
        if kind.reserved().contains(&normalized.as_str()) {
            return Err(NameError::Reserved(name.to_string()));
        }
        Ok(Self { kind, name: normalized.into() })
    }

    /// Its namespace.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its normalised name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `<kind>/<normalised name>`, the form that stored objects use.
    pub fn label(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Its place in the index: the sha256 of its label, read as bits from the most significant.
    pub fn key(&self) -> Sha256 {
        Sha256::of(self.label().as_bytes())
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a person types: `NAME`, `KIND:NAME`, `NAME@VERSION` or `KIND:NAME@VERSION`.
///
/// ```
/// use ggen_marketplace::package::{Kind, PackageSpec};
/// let spec: PackageSpec = "crate:serde@1.0.0".parse().unwrap();
/// assert_eq!(spec.kind, Some(Kind::Crate));
/// assert_eq!(spec.version.unwrap().to_string(), "1.0.0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSpec {
    /// The kind, where one was given.
    pub kind: Option<Kind>,
    /// The name as typed.
    pub name: PackageName,
    /// The version, where one was given.
    pub version: Option<Version>,
}

impl PackageSpec {
    /// The packages it may mean: one where a kind was given, else one of each kind that allows the name.
    pub fn candidates(&self) -> Result<Vec<PackageId>, NameError> {
        if let Some(kind) = self.kind {
            return Ok(vec![PackageId::new(kind, &self.name)?]);
        }
        let (ok, bad): (Vec<_>, Vec<_>) =
            Kind::ALL.into_iter().map(|k| PackageId::new(k, &self.name)).partition(|r| r.is_ok());
        let ids: Vec<_> = ok.into_iter().flatten().collect();
        match bad.into_iter().find_map(Result::err) {
            Some(e) if ids.is_empty() => Err(e),
            _ => Ok(ids),
        }
    }
}

impl FromStr for PackageSpec {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let (rest, version) = match s.split_once('@') {
            Some((rest, v)) => (rest, Some(v.parse()?)),
            None => (s, None),
        };
        let (kind, name) = match rest.split_once(':') {
            Some((kind, name)) => (Some(kind.parse()?), name),
            None => (None, rest),
        };
        Ok(Self { kind, name: PackageName::new(name)?, version })
    }
}

impl fmt::Display for PackageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind}:")?;
        }
        f.write_str(self.name.as_str())?;
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(kind: Kind, name: &str) -> Result<PackageId, NameError> {
        PackageId::new(kind, &PackageName::new(name)?)
    }

    #[test]
    fn what_is_no_name_is_told_apart() {
        use NameError as E;
        assert_eq!(PackageName::new(""), Err(E::Empty));
        for start in ["-a", "_a", ".a"] {
            assert!(matches!(PackageName::new(start), Err(E::Start(_))), "{start}");
        }
        for dots in ["a.", "a..b", "..", "."] {
            assert!(PackageName::new(dots).is_err(), "{dots}");
        }
        for (name, found) in [
            ("a/b", '/'),
            ("a b", ' '),
            ("%2e%2e", '%'),
            ("\u{430}lpha", '\u{430}'),
            ("a\0", '\0'),
            ("é", 'é'),
            ("a\\b", '\\'),
        ] {
            assert!(matches!(PackageName::new(name), Err(E::Character { found: f, .. }) if f == found), "{name:?}");
        }
        for device in ["con", "AUX", "aux.rs", "com1", "LPT9.txt", "nul"] {
            assert!(matches!(PackageName::new(device), Err(E::Reserved(_))), "{device}");
        }
        assert!(PackageName::new("console").is_ok() && PackageName::new("com10").is_ok());
        assert!(matches!(PackageName::new(&"a".repeat(129)), Err(E::TooLong { len: 129, max: 128 })));
        assert!(matches!(id(Kind::Crate, &"a".repeat(65)), Err(E::TooLong { len: 65, max: 64 })));
        assert!(id(Kind::Pack, &"a".repeat(128)).is_ok());
    }

    #[test]
    fn reserved_words_are_reserved_where_they_would_collide() {
        assert!(matches!(id(Kind::Pack, "Log"), Err(NameError::Reserved(_))));
        assert!(id(Kind::Crate, "log").is_ok(), "an honest crate");
        assert!(matches!(id(Kind::Crate, "std"), Err(NameError::Reserved(_))));
        assert!(matches!(id(Kind::Crate, "proc_macro"), Err(NameError::Reserved(_))));
        // A bare name means the kinds that allow it.
        let spec: PackageSpec = "log".parse().unwrap();
        assert_eq!(spec.candidates().unwrap(), [id(Kind::Crate, "log").unwrap()]);
    }

    #[test]
    fn what_people_type_is_read_and_written() {
        for text in ["a", "pack:a", "a@1.0.0-rc.1+b", "crate:A_b@0.1.0"] {
            assert_eq!(text.parse::<PackageSpec>().unwrap().to_string(), text);
        }
        for bad in ["", ":a", "wasm:a", "a@", "a@1", "a@1.0.0@2.0.0", "crate:", "pack:crate:a"] {
            assert!(bad.parse::<PackageSpec>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_a_name_panic(text in "\\PC{0,140}|[a-zA-Z0-9._@:-]{0,140}") {
            let _ = text.parse::<PackageSpec>();
            if let Ok(name) = PackageName::new(&text) {
                prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
                prop_assert_eq!(name.as_str(), text);
            }
        }

        #[test]
        fn twins_are_one_package_and_others_are_not(name in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,20}", other in "[a-z0-9][a-z0-9-]{0,20}") {
            let Ok(one) = id(Kind::Pack, &name) else { return Ok(()) };
            for twin in [name.to_uppercase(), name.to_lowercase(), name.replace('-', "_"), name.replace('_', "-")] {
                prop_assert_eq!(&id(Kind::Pack, &twin).unwrap(), &one);
                prop_assert_eq!(id(Kind::Pack, &twin).unwrap().key(), one.key());
            }
            if let Ok(two) = id(Kind::Pack, &other) {
                prop_assert_eq!(one == two, one.name() == two.name());
            }
            if let Ok(of_other_kind) = id(Kind::Crate, &name) {
                prop_assert!(of_other_kind.key() != one.key());
            }
        }
    }
}
