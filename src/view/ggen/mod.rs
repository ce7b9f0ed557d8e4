//! What ggen's own tools read: `packages/<id>/versions/<version>` for its client and installer, and `index.json`, its
//! catalogue (version 2) of the newest release of each pack.

mod facts;

use super::{File, Note, View, inert};
use crate::{
    format::{PackageLines, keys},
    package::{Detail, Kind, PackageName, Record, Sha256, Timestamp},
};
use bytes::Bytes;
pub(crate) use facts::{Facts, MAX_ARCHIVE, facts};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// A catalogue of more packs is not written: everybody who wants one of them would fetch all.
const MAX_PACKS: usize = 5000;

const SCHEMA: &str = "https://ggen.dev/marketplace/catalog/v2";

/// A release of which something is to be written.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) record: Record,
    /// Its own file.
    file: bool,
    /// Its row in the catalogue.
    row: bool,
}

impl Wanted {
    /// Whether it is the one that stands in the catalogue.
    pub(crate) fn is_newest(&self) -> bool {
        self.row
    }

    /// Whether its archive has to be looked into, which takes one that the registry holds.
    pub(crate) fn has_archive(&self) -> bool {
        let Record { archive, removed, .. } = &self.record;
        removed.is_none() && archive.url.is_none()
    }
}

/// What is known of a release besides its record.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) detail: Option<Detail>,
    pub(crate) facts: Option<Facts>,
    /// Why its archive was not looked into.
    pub(crate) unread: Option<String>,
    /// Ed25519 over the bytes of the archive, in hex.
    pub(crate) signature: Option<String>,
}

/// The releases of a pack of which something is to be written: those whose records are not as in every one of the states
/// `olds` (`None`: all of them), and the newest, which stands in the catalogue.
pub(crate) fn wanted(
    package: &PackageLines,
    olds: Option<&[Option<Arc<PackageLines>>]>,
    notes: &mut Vec<Note>,
) -> Vec<Wanted> {
    if !package.label.starts_with("pack/") {
        return Vec::new();
    }
    let mut out = Vec::new();
    for line in &package.lines {
        let same = |old: &Option<Arc<PackageLines>>| {
            old.as_ref().and_then(|o| o.find(&line.version)).is_some_and(|l| l.text == line.text)
        };
        let file = olds.is_none_or(|olds| !olds.iter().all(same));
        match line.record() {
            Ok(record) => out.push(Wanted { record, file, row: false }),
            Err(e) => {
                notes.push(note(&format!("{}@{}", package.label.replacen('/', ":", 1), line.version), e.to_string()));
            }
        }
    }
    let available = |w: &Wanted| w.record.is_available();
    let newest = out.iter().rposition(|w| available(w) && !w.record.version.is_prerelease());
    if let Some(newest) = newest.or_else(|| out.iter().rposition(available)) {
        out[newest].row = true;
    }
    out.retain(|w| w.file || w.row);
    out
}

fn note(what: &str, why: String) -> Note {
    Note { view: View::Ggen, what: what.into(), why }
}

/// What ggen calls a pack.
fn id(record: &Record) -> String {
    record.name.as_str().to_ascii_lowercase()
}

/// What ggen's client reads of a release, and what its installer, its lock file and a person want to know besides.
#[derive(Serialize)]
struct Release<'a> {
    id: String,
    version: String,
    description: &'a str,
    author: String,
    license: &'a str,
    download_url: String,
    digest: String,
    size_bytes: u64,
    dependencies: Vec<String>,
    published_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    yanked: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    engine_refuses: &'a [String],
}

/// The files and the row of a release.
pub(crate) struct Made {
    pub(crate) files: Vec<File>,
    pub(crate) row: Option<Value>,
    pub(crate) notes: Vec<Note>,
}

/// Makes the files and the row of a release; `address` is where readers find the store.
pub(crate) fn make(wanted: &Wanted, known: &Known, address: &str) -> Made {
    let Wanted { record, file, row } = wanted;
    let mut out = Made { files: Vec::new(), row: None, notes: Vec::new() };
    if *file {
        let bytes: Bytes = match record.removed {
            Some(_) => Bytes::new(),
            None => pretty(&release(record, known, address)),
        };
        let (key, spaced) = keys::ggen_release(&id(record), &record.version.to_string());
        out.files.extend([Some(key), spaced].into_iter().flatten().map(|key| File { key, bytes: bytes.clone() }));
    }
    if *row {
        let what = format!("{}:{}@{}", Kind::Pack, record.name, record.version);
        if id(record).contains('.') {
            out.notes.push(note(&what, "ggen's client cannot ask for it: its names have no dots".into()));
        }
        match &known.facts {
            Some(facts) => {
                out.row = Some(entry(record, known, facts, address));
                if !facts.refusals.is_empty() {
                    out.notes.push(note(&what, format!("ggen's engine will refuse it: {}", facts.refusals.join("; "))));
                }
            }
            None if record.archive.url.is_some() => {
                let why = "it is not in the catalogue and has no signature: its archive is hosted elsewhere";
                out.notes.push(note(&what, why.into()));
            }
            None => {
                let why = known.unread.as_deref().unwrap_or("it is too large");
                out.notes
                    .push(note(&what, format!("it is not in the catalogue: its archive was not looked into: {why}")));
            }
        }
    }
    out
}

fn download_url(record: &Record, address: &str) -> String {
    record.archive.url.clone().unwrap_or_else(|| format!("{address}/{}", keys::blob(&record.archive.sha256)))
}

fn description<'a>(record: &'a Record, known: &'a Known) -> &'a str {
    known.detail.as_ref().and_then(|d| d.description.as_deref()).unwrap_or(&record.summary)
}

fn release<'a>(record: &'a Record, known: &'a Known, address: &str) -> Release<'a> {
    let facts = known.facts.as_ref();
    Release {
        id: id(record),
        version: record.version.to_string(),
        description: description(record, known),
        author: known.detail.as_ref().map(|d| d.authors.join(", ")).unwrap_or_default(),
        license: record.license.as_deref().unwrap_or_default(),
        download_url: download_url(record, address),
        digest: record.archive.sha256.to_string(),
        size_bytes: record.archive.size,
        dependencies: record.dependencies.iter().map(|d| format!("{}@{}", d.name, d.req)).collect(),
        published_at: record.published,
        signature: known.signature.as_deref(),
        content_hash: facts.map(|f| f.content_hash.as_str()),
        profile: facts.map(|f| f.profile),
        yanked: record.yanked.is_some(),
        engine_refuses: facts.map_or(&[], |f| &f.refusals),
    }
}

fn entry(record: &Record, known: &Known, facts: &Facts, address: &str) -> Value {
    json!({
        "content_hash": facts.content_hash,
        "description": description(record, known),
        "digest": format!("sha256:{}", record.archive.sha256),
        "download_url": download_url(record, address),
        "manifest_sha256": facts.manifest_sha256,
        "name": record.name,
        "native_gates": facts.native_gates,
        "ontology_files": facts.ontology_files,
        "ontology_fingerprint_sha256": facts.ontology_fingerprint_sha256,
        "path": format!("packs/{}", record.name),
        "profile": facts.profile,
        "signature": known.signature,
        "size_bytes": record.archive.size,
        "templates": facts.templates,
        "verifier_gates": facts.verifier_gates,
        "version": record.version,
    })
}

/// Two spaces, members in the order of their names: as the marketplace's own script writes it.
fn pretty(value: &impl Serialize) -> Bytes {
    let sorted = serde_json::to_value(value).and_then(|v| serde_json::to_string_pretty(&v));
    // Texts, numbers and lists of such: this cannot fail.
    let text = sorted.unwrap_or_else(|e| unreachable!("a document serialises: {e}"));
    inert((text + "\n").as_bytes())
}

/// The rows of a catalogue, by normalised name.
pub(crate) type Rows = BTreeMap<String, Value>;

/// Reads a catalogue that this program wrote, whose digest was kept; `None` where it is another one.
pub(crate) fn read(bytes: &[u8], digest: &Sha256) -> Option<Rows> {
    if Sha256::of(bytes) != *digest {
        return None;
    }
    let mut document: Value = serde_json::from_slice(bytes).ok()?;
    let packs = document.get_mut("packs")?.as_array_mut()?;
    let name = |row: &Value| Some(PackageName::new(row.get("name")?.as_str()?).ok()?.normalized());
    packs.drain(..).map(|row| Some((name(&row)?, row))).collect()
}

/// The catalogue of these rows; empty where there are too many. Its version is made of what is in it: a generation in which no
/// pack changes leaves it as it is.
pub(crate) fn catalogue(rows: &Rows) -> (File, Option<Note>) {
    let mut bytes = Bytes::new();
    let mut too_many = None;
    if rows.len() > MAX_PACKS {
        let why = format!("it is left out: {} packs are more than {MAX_PACKS}", rows.len());
        too_many = Some(note(keys::CATALOGUE, why));
    } else {
        let packs: Value = rows.values().cloned().collect();
        let version = format!("sha256:{}", Sha256::of(packs.to_string().as_bytes()).short());
        let document = json!({ "marketplace_version": version, "packs": packs, "schema": SCHEMA });
        bytes = pretty(&document);
    }
    (File { key: keys::CATALOGUE.into(), bytes }, too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_that_would_be_too_large_is_left_out_and_said_to_be() {
        let rows = |n: usize| (0..n).map(|i| (format!("p{i}"), json!({ "name": format!("p{i}") }))).collect::<Rows>();
        let (file, note) = catalogue(&rows(MAX_PACKS));
        assert_eq!((file.key.as_str(), note), ("index.json", None));
        assert_eq!(read(&file.bytes, &Sha256::of(&file.bytes)), Some(rows(MAX_PACKS)));
        assert_eq!(read(&file.bytes, &Sha256::of(b"another")), None);
        let (file, note) = catalogue(&rows(MAX_PACKS + 1));
        assert!(file.bytes.is_empty());
        assert_eq!(note.unwrap().why, "it is left out: 5001 packs are more than 5000");
    }
}
