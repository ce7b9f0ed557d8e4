//! One line of a list: a package that is hosted elsewhere.

use super::super::{Candidate, Payload, Place};
use crate::package::{
    Archive, ArchiveFormat, Dependency, Detail, External, Kind, NameError, PackageId, PackageName, RECORD_VERSION,
    Record, Sha256, Timestamp, Version, Yanked,
    manifest::{self, MAX_LIST, cargo::registry_url, clean_line, keep_words, requirement},
    summarize, unique_keys,
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Why a line is not a record.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("the line is longer than {} bytes", super::MAX_LINE)]
    TooLong,
    #[error("column {column}: {reason}")]
    Json { column: usize, reason: String },
    #[error("member `{0}` is missing")]
    Missing(&'static str),
    #[error("`name`: {0}")]
    Name(#[from] NameError),
    #[error("`download_url`: {0}")]
    Url(&'static str),
    #[error("`{0}` has more than {MAX_LIST} entries")]
    TooMany(&'static str),
    #[error("the dependency on {name:?}: {reason}")]
    Dependency { name: String, reason: String },
}

/// What a line says: its record, a detail where it says more than a record can hold, and the downloads of its package.
pub(super) type Read = (Record, Option<Detail>, Option<u64>);

/// Reads a line.
pub(super) fn read(line: &[u8], now: Timestamp) -> Result<Read, LineError> {
    let line: Line = serde_json::from_slice(line).map_err(|e| {
        let text = e.to_string();
        // A list's line is one line: serde_json's own count of lines says nothing.
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        let reason = clean_line(reason).unwrap_or_default();
        LineError::Json { column: e.column().max(1), reason: reason.chars().take(200).collect() }
    })?;
    let downloads = line.downloads;
    line.into_release(now).map(|(record, detail)| (record, detail, downloads))
}

/// The candidate of that record.
pub(super) fn candidate((record, detail, downloads): Read, place: Place) -> Candidate {
    Candidate { record, detail, payload: Payload::Elsewhere, bytes: None, place, downloads, stamp: None }
}

/// The members of a line as they stand there. Each is set at most once.
#[derive(Default)]
struct Line {
    authors: Option<Vec<String>>,
    categories: Option<Vec<String>>,
    dependencies: Option<Vec<Dependency>>,
    description: Option<String>,
    documentation: Option<String>,
    download_url: Option<String>,
    downloads: Option<u64>,
    external: Option<Vec<External>>,
    extra: serde_json::Map<String, Value>,
    features: Option<Features>,
    format: Option<ArchiveFormat>,
    homepage: Option<String>,
    keywords: Option<Vec<String>>,
    kind: Option<Kind>,
    license: Option<String>,
    links: Option<String>,
    name: Option<PackageName>,
    published: Option<Timestamp>,
    readme: Option<String>,
    repository: Option<String>,
    rust_version: Option<String>,
    sha256: Option<Sha256>,
    size: Option<u64>,
    summary: Option<String>,
    version: Option<Version>,
    yanked: Option<YankedMark>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Features(#[serde(deserialize_with = "unique_keys")] BTreeMap<String, Vec<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum YankedMark {
    Is(bool),
    Since(Yanked),
}

impl YankedMark {
    /// The mark as a record has it; one without a time counts from when the release was `published`.
    fn since(self, published: Timestamp) -> Option<Yanked> {
        match self {
            Self::Is(true) => Some(Yanked { reason: None, time: published }),
            Self::Is(false) => None,
            Self::Since(yanked) => Some(yanked),
        }
    }
}

/// The members that mean something; others are kept as they are.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Authors,
    Categories,
    Dependencies,
    Description,
    Documentation,
    DownloadUrl,
    Downloads,
    External,
    Features,
    Format,
    Homepage,
    Keywords,
    Kind,
    License,
    Links,
    Name,
    Published,
    Readme,
    Repository,
    RustVersion,
    Sha256,
    Size,
    Summary,
    Version,
    Yanked,
    Other(String),
}

/// Reads a member. `null` says the same as leaving it out, but twice is twice: a bit for each member remembers.
struct Members<A> {
    map: A,
    seen: u32,
}

impl<'de, A: MapAccess<'de>> Members<A> {
    fn set<T: Deserialize<'de>>(&mut self, slot: &mut Option<T>, bit: u32, name: &'static str) -> Result<(), A::Error> {
        if self.seen & 1 << bit != 0 {
            return Err(de::Error::duplicate_field(name));
        }
        self.seen |= 1 << bit;
        *slot = self.map.next_value()?;
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a record, as a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Line, A::Error> {
                let mut l = Line::default();
                let mut m = Members { map, seen: 0 };
                while let Some(member) = m.map.next_key()? {
                    match member {
                        Member::Authors => m.set(&mut l.authors, 0, "authors")?,
                        Member::Categories => m.set(&mut l.categories, 1, "categories")?,
                        Member::Dependencies => m.set(&mut l.dependencies, 2, "dependencies")?,
                        Member::Description => m.set(&mut l.description, 3, "description")?,
                        Member::Documentation => m.set(&mut l.documentation, 4, "documentation")?,
                        Member::DownloadUrl => m.set(&mut l.download_url, 5, "download_url")?,
                        Member::External => m.set(&mut l.external, 6, "external")?,
                        Member::Features => m.set(&mut l.features, 7, "features")?,
                        Member::Format => m.set(&mut l.format, 8, "format")?,
                        Member::Homepage => m.set(&mut l.homepage, 9, "homepage")?,
                        Member::Keywords => m.set(&mut l.keywords, 10, "keywords")?,
                        Member::Kind => m.set(&mut l.kind, 11, "kind")?,
                        Member::License => m.set(&mut l.license, 12, "license")?,
                        Member::Links => m.set(&mut l.links, 13, "links")?,
                        Member::Name => m.set(&mut l.name, 14, "name")?,
                        Member::Published => m.set(&mut l.published, 15, "published")?,
                        Member::Readme => m.set(&mut l.readme, 16, "readme")?,
                        Member::Repository => m.set(&mut l.repository, 17, "repository")?,
                        Member::RustVersion => m.set(&mut l.rust_version, 18, "rust_version")?,
                        Member::Sha256 => m.set(&mut l.sha256, 19, "sha256")?,
                        Member::Size => m.set(&mut l.size, 20, "size")?,
                        Member::Summary => m.set(&mut l.summary, 21, "summary")?,
                        Member::Version => m.set(&mut l.version, 22, "version")?,
                        Member::Yanked => m.set(&mut l.yanked, 23, "yanked")?,
                        Member::Downloads => m.set(&mut l.downloads, 24, "downloads")?,
                        Member::Other(key) => {
                            let Strict(value) = m.map.next_value()?;
                            if l.extra.contains_key(&key) {
                                return Err(de::Error::custom(format_args!("duplicate field {key:?}")));
                            }
                            l.extra.insert(key, value);
                        }
                    }
                }
                Ok(l)
            }
        }
        d.deserialize_map(V)
    }
}

/// Any JSON value in which no object has a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Value, E> {
                Ok(v.into())
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Value, E> {
                Ok(v.into())
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
                Ok(v.into())
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
                Ok(v.into())
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Value, E> {
                Ok(v.into())
            }
            fn visit_string<E: de::Error>(self, v: String) -> Result<Value, E> {
                Ok(v.into())
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut out = Vec::new();
                while let Some(Strict(v)) = seq.next_element()? {
                    out.push(v);
                }
                Ok(out.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut out = serde_json::Map::new();
                while let Some((key, Strict(v))) = map.next_entry::<String, _>()? {
                    if out.contains_key(&key) {
                        return Err(de::Error::custom(format_args!("duplicate field {key:?}")));
                    }
                    out.insert(key, v);
                }
                Ok(out.into())
            }
        }
        d.deserialize_any(V).map(Strict)
    }
}

impl Line {
    fn into_release(self, now: Timestamp) -> Result<(Record, Option<Detail>), LineError> {
        let name = self.name.ok_or(LineError::Missing("name"))?;
        let version = self.version.ok_or(LineError::Missing("version"))?;
        let kind = self.kind.unwrap_or(Kind::Pack);
        PackageId::new(kind, &name)?;
        let url = download_url(&self.download_url.ok_or(LineError::Missing("download_url"))?)?;
        let archive = Archive {
            format: self.format.unwrap_or_else(|| format_of(url.path())),
            sha256: self.sha256.ok_or(LineError::Missing("sha256"))?,
            size: self.size.ok_or(LineError::Missing("size"))?,
            url: Some(url.into()),
        };
        let dependencies = dependencies(self.dependencies.unwrap_or_default(), (kind, &name))?;
        let features = self.features.map(|f| f.0).unwrap_or_default();
        let external = self.external.unwrap_or_default();
        for (what, len) in [("features", features.len()), ("external", external.len())] {
            if len > MAX_LIST {
                return Err(LineError::TooMany(what));
            }
        }
        let published = self.published.unwrap_or(now);
        let line = |text: Option<String>| text.as_deref().and_then(clean_line);
        let description = self.description;
        let short = self.summary.as_deref().or(description.as_deref()).and_then(clean_line).unwrap_or_default();
        let record = Record {
            archive,
            categories: words(self.categories),
            dependencies,
            external,
            features,
            keywords: words(self.keywords),
            kind,
            license: line(self.license).map(|l| summarize(&l)),
            links: line(self.links),
            name: name.clone(),
            published,
            removed: None,
            rust_version: line(self.rust_version),
            signatures: Vec::new(),
            summary: summarize(&short),
            v: RECORD_VERSION,
            version: version.clone(),
            yanked: self.yanked.and_then(|mark| mark.since(published)),
        };
        let more = Detail {
            authors: self.authors.unwrap_or_default(),
            // What the record says in full is not said twice.
            description: description.filter(|d| *d != record.summary),
            documentation: line(self.documentation),
            extra: self.extra,
            homepage: line(self.homepage),
            readme: self.readme.map(|text| manifest::readme("README.md", text.as_bytes())),
            repository: line(self.repository),
            ..Detail::new(kind, name, version)
        };
        let detail = if is_empty(&more) { None } else { Some(more) };
        Ok((record, detail))
    }
}

fn is_empty(d: &Detail) -> bool {
    d.authors.is_empty()
        && d.extra.is_empty()
        && [&d.description, &d.documentation, &d.homepage, &d.repository].iter().all(|o| o.is_none())
        && d.readme.is_none()
}

fn words(list: Option<Vec<String>>) -> Vec<String> {
    let mut out = Vec::new();
    keep_words(&mut out, list.iter().flatten().map(String::as_str));
    out
}

fn dependencies(mut list: Vec<Dependency>, of: (Kind, &PackageName)) -> Result<Vec<Dependency>, LineError> {
    let own = PackageId::new(of.0, of.1)?;
    if list.len() > MAX_LIST {
        return Err(LineError::TooMany("dependencies"));
    }
    for d in &mut list {
        let fail = |reason: String| LineError::Dependency { name: d.name.to_string(), reason };
        let id = PackageId::new(of.0, &d.name).map_err(|e| fail(e.to_string()))?;
        // Crates may, when they are developed.
        if of.0 == Kind::Pack && id == own && d.registry.is_none() {
            return Err(fail("a package cannot depend on itself".into()));
        }
        if let Some(registry) = &d.registry {
            registry_url(registry).map_err(|e| fail(e.to_owned()))?;
        }
        let req = requirement(&d.req).map_err(|e| fail(format!("not a version requirement: {e}")))?;
        d.req = req;
    }
    Ok(list)
}

/// Parts of a URL's query that let whoever has it act as somebody.
const SECRETS: [&str; 7] =
    ["access_token", "sig", "signature", "token", "x-amz-security-token", "x-amz-signature", "x-goog-signature"];

/// A URL that anybody may read from. Records are public: a password in one would be too, and a signed URL runs out.
fn download_url(text: &str) -> Result<url::Url, LineError> {
    if text.len() > 2048 {
        return Err(LineError::Url("longer than 2048 bytes"));
    }
    let url = url::Url::parse(text).map_err(|_| LineError::Url("not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(LineError::Url("must start with http:// or https://"));
    }
    let secret = |(key, _): (std::borrow::Cow<'_, str>, _)| SECRETS.iter().any(|s| key.eq_ignore_ascii_case(s));
    if !url.username().is_empty() || url.password().is_some() || url.query_pairs().any(secret) {
        return Err(LineError::Url("must not hold credentials"));
    }
    Ok(url)
}

fn format_of(path: &str) -> ArchiveFormat {
    let path = path.to_ascii_lowercase();
    let ends = |suffix: &str| path.ends_with(suffix);
    if ends(".crate") {
        ArchiveFormat::Crate
    } else if ends(".tar.gz") || ends(".tgz") {
        ArchiveFormat::TarGz
    } else if ends(".zip") {
        ArchiveFormat::Zip
    } else {
        ArchiveFormat::Opaque
    }
}
