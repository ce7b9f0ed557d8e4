//! What is in a pack, as ggen's own tools count and hash it.

use crate::package::archive::{self, ArchiveError, Limits};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Larger packs are not looked into: ggen signs and hashes whole files in memory.
pub(crate) const MAX_ARCHIVE: u64 = 64 << 20;

/// Nor those that unpack to more.
const MAX_UNPACKED: u64 = 256 << 20;

/// The form of a pack that its files make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What `ggen.lock` pins: BLAKE3 over path and bytes of each file, in the order of paths.
    pub(crate) content_hash: String,
    pub(super) profile: &'static str,
    pub(super) manifest_sha256: String,
    pub(super) ontology_files: usize,
    pub(super) ontology_fingerprint_sha256: String,
    pub(super) templates: usize,
    pub(super) native_gates: usize,
    pub(super) verifier_gates: usize,
    /// Why ggen's engine would not load it; empty when it would.
    pub(crate) refusals: Vec<String>,
}

/// Looks into an archive.
pub(crate) fn facts(archive: &[u8]) -> Result<Facts, ArchiveError> {
    let limits = Limits { packed: MAX_ARCHIVE, unpacked: MAX_UNPACKED, ..Limits::default() };
    let mut files = BTreeMap::new();
    archive::read(archive, &limits, |entry, content| {
        if !entry.directory {
            let mut bytes = Vec::with_capacity(usize::try_from(entry.size).unwrap_or(0));
            content.read_to_end(&mut bytes)?;
            files.insert(entry.path.to_owned(), bytes);
        }
        Ok(())
    })?;
    Ok(of_files(&files))
}

type Files = BTreeMap<String, Vec<u8>>;

fn of_files(files: &Files) -> Facts {
    let mut content = blake3::Hasher::new();
    let in_git = |path: &str| path.rsplit_once('/').is_some_and(|(folders, _)| folders.split('/').any(|f| f == ".git"));
    for (path, bytes) in files.iter().filter(|(path, _)| !in_git(path)) {
        content.update(path.as_bytes());
        content.update(bytes);
    }
    let ontologies = files.iter().filter(|(path, _)| {
        let nested = path.strip_prefix("ontology/").is_some();
        path.ends_with(".ttl") && (nested || !path.contains('/'))
    });
    let mut fingerprint = Sha256::new();
    let mut ontology_files = 0;
    for (path, bytes) in ontologies {
        ontology_files += 1;
        for part in [path.as_bytes(), bytes] {
            fingerprint.update((part.len() as u64).to_be_bytes());
            fingerprint.update(part);
        }
    }
    let below = |folder: &str, ending: &str| {
        files.keys().filter_map(|p| p.strip_prefix(folder)).filter(|p| is_visible(p) && p.ends_with(ending)).count()
    };
    let templates = below("templates/", "");
    let manifest = ["pack.toml", "package.toml", "gpack.toml"].iter().find_map(|name| files.get(*name));
    Facts {
        content_hash: format!("blake3:{}", content.finalize().to_hex()),
        profile: match templates {
            _ if files.contains_key("ggen.toml") => "project",
            0 => "semantic",
            _ => "projection",
        },
        manifest_sha256: hex::encode(Sha256::digest(manifest.map_or(&[][..], Vec::as_slice))),
        ontology_files,
        ontology_fingerprint_sha256: hex::encode(fingerprint.finalize()),
        templates,
        native_gates: below("gates/", ".rq"),
        verifier_gates: below("gates/", ".py"),
        refusals: refusals(files),
    }
}

fn is_visible(path: &str) -> bool {
    !path.split('/').any(|part| part.starts_with('.') || part == "__pycache__")
}

/// `pack.toml` as the engine reads it: it refuses keys that it does not know.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "that it can be read is all that counts")]
struct Manifest {
    pack: PackTable,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "that it can be read is all that counts")]
struct PackTable {
    name: String,
    version: String,
    description: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "that it can be read is all that counts")]
struct Capabilities {
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    provides: Vec<String>,
    #[serde(default)]
    requires: Vec<String>,
}

/// The rules of ggen's engine, in its order; it stops at the first one that is broken, and this tells all.
fn refusals(files: &Files) -> Vec<String> {
    let mut out = Vec::new();
    match files.get("pack.toml").map(|m| std::str::from_utf8(m)) {
        None => out.push("it has no pack.toml".to_owned()),
        Some(Err(_)) => out.push("its pack.toml is not UTF-8".to_owned()),
        Some(Ok(text)) => {
            if let Err(e) = toml::from_str::<Manifest>(text) {
                out.push(format!("its pack.toml is not what the engine takes: {}", e.message()));
            }
        }
    }
    if !files.contains_key("ontology.ttl") {
        out.push("it has no ontology.ttl".to_owned());
    }
    if !files.keys().any(|p| p.starts_with("templates/") && p.ends_with(".tmpl") && !p.ends_with("/.tmpl")) {
        out.push("it has no templates/**/*.tmpl".to_owned());
    }
    out
}
