//! The record: everything that resolving and downloading a release needs, on one line of JSON.
//!
//! **Canonical form.** A record line is a JSON object without white space whose members, at every depth, stand in the order
//! of their names and are left out where they hold their default. So any program can change one member and write the same
//! bytes as this one; and the same release gives the same line everywhere. The structs here declare their fields in that
//! order; a test holds them to it.

use super::{Kind, PackageId, PackageName, Sha256, Timestamp, Version};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt};

/// The record version this program writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// The longest summary, in bytes; what is longer belongs into the [`Detail`](super::Detail).
pub const MAX_SUMMARY: usize = 256;

/// A link to a stored object: the digest and size of its stored bytes, and where those are gzip-compressed the size of what
/// is inside, which caps the decompressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    /// Bytes after decompression, where the object is stored compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<u64>,
    /// Digest of the stored bytes.
    pub sha256: Sha256,
    /// Number of stored bytes.
    pub size: u64,
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ArchiveFormat {
    /// A gzip-compressed tar as cargo packs it.
    #[serde(rename = "crate")]
    Crate,
    /// Bytes that this registry does not look into (only for packages hosted elsewhere).
    #[serde(rename = "opaque")]
    Opaque,
    /// A gzip-compressed tar with one top folder.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// A ZIP file (only for packages hosted elsewhere).
    #[serde(rename = "zip")]
    Zip,
}

impl ArchiveFormat {
    /// The usual file name extension, without a leading dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Crate => "crate",
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
            Self::Opaque => "bin",
        }
    }
}

/// The archive of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// How it is packed.
    pub format: ArchiveFormat,
    /// Digest of its bytes, which is also where the registry keeps them.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Where it is, when the registry does not hold the bytes itself: an `http` or `https` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// To build the package.
    Build,
    /// To develop it.
    Dev,
    /// To use it.
    #[default]
    Normal,
}

/// A dependency on a package of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The name it goes by inside the package, where that is not its own (`serde1 = { package = "serde" }`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Whether its default features are on.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub default_features: bool,
    /// Features asked of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// When it is needed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: DependencyKind,
    /// The package's own name.
    pub name: PackageName,
    /// Whether it is used only when asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// The registry it is in (an index URL), where that is not the one of this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The versions that will do, as the `semver` crate reads it.
    pub req: String,
    /// The platforms it is for: a target triple or `cfg(…)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Something a package wants from outside any registry of this kind, kept as it was written: a pack's crates.io
/// dependencies, for instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Where the name is to be looked up: `crates.io`, `npm`, `pypi`, …
    pub ecosystem: String,
    /// Features asked of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Its name there.
    pub name: String,
    /// Whether it is used only when asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// The versions that will do, in the ecosystem's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req: Option<String>,
}

/// The mark of a release that should not be chosen any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yanked {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub time: Timestamp,
}

/// The tombstone of a release that was taken out: the record stays and keeps its name, version and digest, so that nobody
/// can publish other bytes in its place, and a reader sees a removal instead of a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub time: Timestamp,
}

/// A publisher's signature over a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherSignature {
    /// The key, as `name+hash+base64`.
    pub key: String,
    /// The signature in base64.
    pub signature: String,
}

/// One release of one package. Immutable once it is committed, but for [`yanked`](Self::yanked) and
/// [`removed`](Self::removed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its archive.
    pub archive: Archive,
    /// Subjects, as the author filed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// What it needs from registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// What it needs from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<External>,
    /// Its features, and what each turns on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique_keys")]
    pub features: BTreeMap<String, Vec<String>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Its namespace.
    pub kind: Kind,
    /// Its licence: an SPDX expression, or what the author wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The native library it links (Cargo's `links`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<String>,
    /// Its name as written by the author.
    pub name: PackageName,
    /// When it was first committed, or when the source says that it was published.
    pub published: Timestamp,
    /// Set when it was taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// The oldest Rust it supports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rust_version: Option<String>,
    /// Publishers' signatures; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<PublisherSignature>,
    /// One line on what it is, at most [`MAX_SUMMARY`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// Its version.
    pub version: Version,
    /// Set when it should not be chosen any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<Yanked>,
}

/// Why a line is not a record that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Written by a later version of the format.
    #[error("record version {0} is newer than this program reads ({RECORD_VERSION})")]
    Newer(u32),
    /// Of a kind that this program does not know.
    #[error("unknown kind of package {0:?}")]
    UnknownKind(String),
    /// Not JSON, or not a record.
    #[error("not a record: {0}")]
    Malformed(String),
}

/// What can be read of any record, also of a newer one.
#[derive(Deserialize)]
struct Probe {
    v: u32,
    kind: String,
}

impl Record {
    /// Reads one line.
    pub fn from_line(line: &str) -> Result<Self, RecordError> {
        let parsed = serde_json::from_str::<Self>(line);
        if let Ok(record) = &parsed
            && record.v == RECORD_VERSION
        {
            return parsed.map_err(|e| RecordError::Malformed(e.to_string()));
        }
        match serde_json::from_str::<Probe>(line) {
            Ok(p) if p.v != RECORD_VERSION => Err(RecordError::Newer(p.v)),
            Ok(p) if p.kind.parse::<Kind>().is_err() => {
                Err(RecordError::UnknownKind(p.kind.chars().take(40).collect()))
            }
            _ => Err(RecordError::Malformed(parsed.err().map_or_else(String::new, |e| e.to_string()))),
        }
    }

    /// Writes its line, in canonical form and without a line end.
    pub fn to_line(&self) -> String {
        // Every field serialises: maps have string keys and there are no floats.
        serde_json::to_string(self).unwrap_or_else(|e| unreachable!("a record always serialises: {e}"))
    }

    /// Which package it is a release of.
    pub fn id(&self) -> Result<PackageId, super::NameError> {
        PackageId::new(self.kind, &self.name)
    }

    /// Where its detail stands in the tree of details, if it has one.
    pub(crate) fn detail_key(&self) -> Option<Sha256> {
        let id = self.id().ok()?;
        Some(super::detail_key(&id.key(), &id.label(), &self.version))
    }

    /// Whether a resolver may choose it: neither yanked nor removed.
    pub fn is_available(&self) -> bool {
        self.yanked.is_none() && self.removed.is_none()
    }
}

/// Cuts a text to one line of at most [`MAX_SUMMARY`] bytes, at a word where possible.
pub(crate) fn summarize(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_SUMMARY));
    for word in text.split_whitespace() {
        let gap = usize::from(!out.is_empty());
        if out.len() + gap + word.len() > MAX_SUMMARY - '…'.len_utf8() {
            if out.is_empty() {
                let mut end = MAX_SUMMARY - '…'.len_utf8();
                while !word.is_char_boundary(end) {
                    end -= 1;
                }
                out.push_str(&word[..end]);
            }
            out.push('…');
            return out;
        }
        if gap == 1 {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_true(b: &bool) -> bool {
    *b
}

fn is_default<T: Default + PartialEq>(v: &T) -> bool {
    *v == T::default()
}

/// A map whose keys occur once. serde_json keeps the last of two, and readers that keep the first would then see another
/// package in the same bytes.
pub(crate) fn unique_keys<'de, D, V>(d: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Unique<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> de::Visitor<'de> for Unique<V> {
        type Value = BTreeMap<String, V>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a map without duplicate keys")
        }
        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, V>()? {
                if out.insert(key.clone(), value).is_some() {
                    return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
                }
            }
            Ok(out)
        }
    }
    d.deserialize_map(Unique(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full() -> Record {
        Record {
            archive: Archive {
                format: ArchiveFormat::Crate,
                sha256: Sha256::of(b"a"),
                size: 1,
                url: Some("https://example.com/a".into()),
            },
            categories: vec!["web".into()],
            dependencies: vec![Dependency {
                alias: Some("other".into()),
                default_features: false,
                features: vec!["x".into()],
                kind: DependencyKind::Dev,
                name: PackageName::new("dep").unwrap(),
                optional: true,
                registry: Some("https://r.example".into()),
                req: "^1".into(),
                target: Some("cfg(unix)".into()),
            }],
            external: vec![External {
                ecosystem: "crates.io".into(),
                features: vec!["f".into()],
                name: "serde".into(),
                optional: true,
                req: Some("1".into()),
            }],
            features: BTreeMap::from([("default".into(), vec!["std".into()])]),
            keywords: vec!["k".into()],
            kind: Kind::Crate,
            license: Some("MIT".into()),
            links: Some("z".into()),
            name: PackageName::new("Full_Name").unwrap(),
            published: Timestamp::from_unix(1),
            removed: Some(Removed { reason: Some("r".into()), time: Timestamp::from_unix(3) }),
            rust_version: Some("1.70".into()),
            signatures: vec![PublisherSignature { key: "k".into(), signature: "s".into() }],
            summary: "s".into(),
            v: RECORD_VERSION,
            version: "1.2.3-rc.1+b".parse().unwrap(),
            yanked: Some(Yanked { reason: Some("y".into()), time: Timestamp::from_unix(2) }),
        }
    }

    #[test]
    fn a_line_is_canonical_its_members_stand_in_order_at_every_depth() {
        let line = full().to_line();
        // serde_json's own map is sorted, so a pass through it re-orders whatever was out of order.
        let sorted = serde_json::from_str::<serde_json::Value>(&line).unwrap().to_string();
        assert_eq!(line, sorted);
        assert_eq!(Record::from_line(&line).unwrap(), full());
    }

    #[test]
    fn newer_records_and_unknown_kinds_are_told_apart_from_rubbish() {
        let line = full().to_line();
        assert_eq!(Record::from_line(&line.replace("\"v\":1", "\"v\":2")), Err(RecordError::Newer(2)));
        let other = line.replace("\"kind\":\"crate\"", "\"kind\":\"wasm\"");
        assert_eq!(Record::from_line(&other), Err(RecordError::UnknownKind("wasm".into())));
        assert!(matches!(Record::from_line("{\"v\":1,"), Err(RecordError::Malformed(_))));
    }

    #[test]
    fn unknown_members_are_ignored_and_duplicate_ones_refused() {
        let line = full().to_line();
        let more = line.replacen('{', "{\"added_later\":[1],", 1);
        assert_eq!(Record::from_line(&more).unwrap(), full());
        let twice = line.replace("\"default\":[\"std\"]", "\"default\":[\"std\"],\"default\":[]");
        assert!(matches!(Record::from_line(&twice), Err(RecordError::Malformed(m)) if m.contains("duplicate")));
        let twice = line.replace("\"license\":\"MIT\"", "\"license\":\"MIT\",\"license\":\"GPL\"");
        assert!(matches!(Record::from_line(&twice), Err(RecordError::Malformed(m)) if m.contains("duplicate")));
    }

    proptest! {
        #[test]
        fn a_summary_is_one_line_within_its_limit(text in "\\PC{0,600}|[a-zé \n\t]{0,600}") {
            let s = summarize(&text);
            prop_assert!(s.len() <= MAX_SUMMARY);
            prop_assert!(!s.contains('\n'));
        }

        #[test]
        fn reading_a_line_never_panics(line in "\\PC{0,200}") {
            let _ = Record::from_line(&line);
        }
    }
}
