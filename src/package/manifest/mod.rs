//! Manifests: how a package describes itself. One file for each kind; all give the same [`Manifest`].
//!
//! Readers are strict where a resolver depends on it (name, version, dependencies, features) and lenient elsewhere: an
//! author's table that the registry does not know, or a keyword list of an odd shape, is no reason to refuse a package,
//! since the whole manifest is kept verbatim in the [`Detail`].

pub mod cargo;
mod document;
pub mod pack;
mod text;

pub(crate) use document::requirement;
pub use document::{ManifestError, Problem};
pub(crate) use text::{clean_line, keep_words};

use super::{
    Archive, Dependency, Detail, External, Kind, PackageName, RECORD_VERSION, Record, TextFile, Timestamp, Version,
    summarize,
};
use std::collections::BTreeMap;

/// The largest manifest, in bytes. The largest on crates.io are some 100 kB.
pub const MAX_MANIFEST: u64 = 4 << 20;

/// The longest part of a readme that is kept, in bytes.
pub const MAX_README: usize = 512 << 10;

/// The most dependencies and the most features one release may have. (crates.io's largest: some 500 and some 1,600.) A
/// record stands in the index whole, so without a bound one package would make its whole shard slow for everybody.
pub const MAX_LIST: usize = 4096;

/// What a manifest says, whatever its form.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Who wrote it.
    pub authors: Vec<String>,
    /// Subjects, trimmed, in lower case, each once.
    pub categories: Vec<String>,
    /// What it needs from registries.
    pub dependencies: Vec<Dependency>,
    /// The whole description.
    pub description: Option<String>,
    /// Where its documentation is.
    pub documentation: Option<String>,
    /// What it needs from elsewhere.
    pub external: Vec<External>,
    /// Its features, and what each turns on.
    pub features: BTreeMap<String, Vec<String>>,
    /// The manifest itself, verbatim.
    pub file: TextFile,
    /// Its home page.
    pub homepage: Option<String>,
    /// Words to find it by, trimmed, in lower case, each once.
    pub keywords: Vec<String>,
    /// Its namespace.
    pub kind: Kind,
    /// Its licence.
    pub license: Option<String>,
    /// The native library it links.
    pub links: Option<String>,
    /// Its name.
    pub name: PackageName,
    /// The readme's path inside the package, where the manifest names one.
    pub readme: Option<String>,
    /// Where its source is kept.
    pub repository: Option<String>,
    /// The oldest Rust it supports.
    pub rust_version: Option<String>,
    /// Its version.
    pub version: Version,
}

impl Manifest {
    fn new(kind: Kind, name: PackageName, version: Version, file: TextFile) -> Self {
        Self {
            authors: Vec::new(),
            categories: Vec::new(),
            dependencies: Vec::new(),
            description: None,
            documentation: None,
            external: Vec::new(),
            features: BTreeMap::new(),
            file,
            homepage: None,
            keywords: Vec::new(),
            kind,
            license: None,
            links: None,
            name,
            readme: None,
            repository: None,
            rust_version: None,
            version,
        }
    }

    /// The record and the detail of the release that this manifest describes.
    pub fn into_release(
        self,
        archive: Archive,
        published: Timestamp,
        readme: Option<TextFile>,
        files: u64,
        unpacked: u64,
    ) -> (Record, Detail) {
        let record = Record {
            archive,
            categories: self.categories,
            dependencies: self.dependencies,
            external: self.external,
            features: self.features,
            keywords: self.keywords,
            kind: self.kind,
            license: self.license,
            links: self.links,
            name: self.name.clone(),
            published,
            removed: None,
            rust_version: self.rust_version,
            signatures: Vec::new(),
            summary: self.description.as_deref().map(summarize).unwrap_or_default(),
            v: RECORD_VERSION,
            version: self.version.clone(),
            yanked: None,
        };
        let detail = Detail {
            authors: self.authors,
            description: self.description,
            documentation: self.documentation,
            files: Some(files),
            homepage: self.homepage,
            manifest: Some(self.file),
            readme,
            repository: self.repository,
            unpacked: Some(unpacked),
            ..Detail::new(self.kind, self.name, self.version)
        };
        (record, detail)
    }
}

/// A readme as a detail keeps it: text, cut at [`MAX_README`]. Bytes that are not UTF-8 are replaced: a readme is for
/// people, and one odd byte is no reason to show them nothing.
pub fn readme(path: &str, bytes: &[u8]) -> TextFile {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    let truncated = text.len() > MAX_README;
    if truncated {
        text.truncate(text.floor_char_boundary(MAX_README));
    }
    TextFile { path: path.to_owned(), text, truncated }
}
