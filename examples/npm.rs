//! Turns a list of npm packages (`npm.tsv.gz`: name, version, downloads a month, summary) into a list of records that a
//! registry can be built from. `cargo run --release --example npm -- npm.tsv.gz records.jsonl`
//!
//! `@scope/name` becomes `scope.name`. Of names that are one package here (`-` or `_`, upper or lower case) the one that is
//! downloaded most is kept; names that no package can have, and versions that are none, are left out, and counted.

use ggen_marketplace::package::{Kind, PackageId, PackageName, Sha256, Version};
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("which list, and where to?".into());
    };
    let input = BufReader::new(flate2::read::MultiGzDecoder::new(File::open(from)?));
    let mut rows = Vec::new();
    let mut left_out = 0;
    for line in input.lines().skip(1) {
        let line = line?;
        let mut cells = line.splitn(4, '\t');
        let (name, version) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let downloads: u64 = cells.next().unwrap_or_default().parse().unwrap_or(0);
        let name = PackageName::new(&name.trim_start_matches('@').replace('/', "."));
        match (name, version.parse::<Version>()) {
            (Ok(name), Ok(version)) => {
                rows.push((downloads, name, version, cells.next().unwrap_or_default().to_owned()));
            }
            _ => left_out += 1,
        }
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut seen = HashSet::new();
    let mut out = BufWriter::new(File::create(to)?);
    for (downloads, name, version, summary) in rows {
        if PackageId::new(Kind::Pack, &name).is_err() || !seen.insert(name.normalized()) {
            left_out += 1;
            continue;
        }
        let record = serde_json::json!({
            "name": name, "version": version, "downloads": downloads, "summary": summary, "size": 1,
            "published": "2026-01-01T00:00:00Z", "sha256": Sha256::of(name.as_str().as_bytes()),
            "download_url": format!("https://downloads.example.com/{name}.tgz"),
        });
        writeln!(out, "{record}")?;
    }
    out.flush()?;
    eprintln!("{} records, {left_out} left out", seen.len());
    Ok(())
}
