//! `cache`: where this machine keeps what it has read, how much that is, and getting rid of it.

use crate::{
    args::{CacheVerb, CacheWhat},
    failure::{Code, Failure},
    output::{bytes, count},
    settings::Settings,
};
use ggen_marketplace::{CachePart, cache_usage, clean_cache};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    folder: String,
    cleaned: bool,
    files: u64,
    bytes: u64,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    files: u64,
    bytes: u64,
}

pub(crate) fn run(args: &CacheVerb, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let folder = settings.cache(&args.cache)?;
    let parts = if args.what == CacheWhat::Clean { clean_cache(&folder)? } else { cache_usage(&folder)? };
    let sum = |f: fn(&CachePart) -> u64| parts.iter().map(f).sum::<u64>();
    let (files, total) = (sum(|p| p.files), sum(|p| p.bytes));
    if ui.json {
        let parts = parts.iter().map(|p| Part { name: p.name, files: p.files, bytes: p.bytes }).collect();
        let folder = folder.display().to_string();
        ui.document(&Document { folder, cleaned: args.what == CacheWhat::Clean, files, bytes: total, parts })?;
        return Ok(Code::Done);
    }
    match args.what {
        CacheWhat::Dir => ui.write(|out| writeln!(out, "{}", folder.display()))?,
        CacheWhat::Size => {
            let row = |name: &str, what: &str, files: u64, size: u64| {
                vec![name.to_owned(), files.to_string(), bytes(size), what.to_owned()]
            };
            let mut rows: Vec<_> = parts.iter().map(|p| row(p.name, p.what, p.files, p.bytes)).collect();
            rows.push(row("all", "", files, total));
            ui.table(&["PART", "FILES", "SIZE", "WHAT"], &rows)?;
        }
        CacheWhat::Clean => ui.note(&format!("{} removed, {}", count(files, "file"), bytes(total))),
    }
    Ok(Code::Done)
}
