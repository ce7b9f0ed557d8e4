//! The detail: what a person reads about a release, kept out of the index because it is large.

use super::{Kind, PackageName, Sha256, Version};
use serde::{Deserialize, Serialize};

/// The newest version of the form of a detail that this program reads, and the one that it writes.
pub const DETAIL_VERSION: u32 = 1;

/// So many bits of the place of a detail are those of its package: the details of one package stand side by side, in the
/// order in which the index has packages, and yet those of a package with many releases are divided.
const OF_PACKAGE: usize = 18;

/// The place of a release's detail in the tree of details. `package` and `label` are those of its package; the version is as
/// its record has it.
pub(crate) fn detail_key(package: &Sha256, label: &str, version: &Version) -> Sha256 {
    let mut key = Sha256::of(format!("{label}@{version}").as_bytes());
    let (whole, bits) = (OF_PACKAGE / 8, 0xff_u8 >> (OF_PACKAGE % 8));
    key.0[..whole].copy_from_slice(&package.0[..whole]);
    key.0[whole] = package.0[whole] & !bits | key.0[whole] & bits;
    key
}

/// Description, readme and manifest of one release: a line of the tree of details. Members stand in the order of their names,
/// as in a [`Record`](super::Record).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// The whole description; the record has its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its documentation is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// Members of a JSON Lines record that the registry has no field for, as they came.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// How many files the archive holds, where it was looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Its namespace.
    pub kind: Kind,
    /// Its manifest, verbatim: keys that the registry does not know are in here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<TextFile>,
    /// Its name.
    pub name: PackageName,
    /// Its readme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readme: Option<TextFile>,
    /// Where its source is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// How many bytes its files have together, unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<u64>,
    /// Version of this document's form: [`DETAIL_VERSION`].
    pub v: u32,
    /// Its version.
    pub version: Version,
}

/// A text file out of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFile {
    /// Its path inside the package.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Set when the text was cut because it was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Detail {
    /// An empty detail for that release.
    pub fn new(kind: Kind, name: PackageName, version: Version) -> Self {
        Self {
            authors: Vec::new(),
            description: None,
            documentation: None,
            extra: serde_json::Map::new(),
            files: None,
            homepage: None,
            kind,
            manifest: None,
            name,
            readme: None,
            repository: None,
            unpacked: None,
            v: DETAIL_VERSION,
            version,
        }
    }
}
