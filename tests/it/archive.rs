//! Archives: what the reader refuses, what it accepts, and that the packer's bytes depend on the files alone.

mod accept;
mod hostile;
mod limits;
mod packing;
mod property;

use ggen_marketplace::package::archive::{ArchiveError, Limits, Summary, read};
use std::path::PathBuf;

/// An entry as the visitor saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: String,
    executable: bool,
    directory: bool,
    content: Vec<u8>,
}

fn list(bytes: &[u8]) -> Result<(Summary, Vec<Seen>), ArchiveError> {
    list_within(bytes, &Limits::default())
}

fn list_within(bytes: &[u8], limits: &Limits) -> Result<(Summary, Vec<Seen>), ArchiveError> {
    let mut seen = Vec::new();
    let summary = read(bytes, limits, |entry, input| {
        let mut content = Vec::new();
        input.read_to_end(&mut content)?;
        assert_eq!(content.len() as u64, entry.size);
        let path = entry.path.to_owned();
        seen.push(Seen { path, executable: entry.executable, directory: entry.directory, content });
        Ok(())
    })?;
    Ok((summary, seen))
}

/// Real archives, where the machine has them.
fn corpus() -> Vec<PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/crates");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no real crates in {}", folder.display());
        return Vec::new();
    };
    let mut crates: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    crates.sort();
    crates
}
