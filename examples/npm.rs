//! Turns a list of npm packages (`npm.tsv.gz`: name, version, downloads a month, summary) into a list of records that a
//! registry can be built from. `cargo run --release --example npm -- npm.tsv.gz records.jsonl [COUNT]`
//!
//! `@scope/name` becomes `scope.name`. Of names that are one package here (`-` or `_`, upper or lower case) the one that is
//! downloaded most is kept; names that no package can have, and versions that are none, are left out, and counted. `COUNT` takes
//! so many of the most downloaded; if there are not so many, the rest is put together of the words of those there are, the same
//! each time.

use ggen_marketplace::package::{Kind, PackageId, PackageName, Sha256, Version};
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("which list, and where to?".into());
    };
    let count = args.next().map(|n| n.parse()).transpose()?;
    let (rows, left_out) = read(Path::new(&from))?;
    eprintln!("{} packages in the list, {left_out} rows left out", rows.len());
    write(rows, Path::new(&to), count)
}

/// A package of the list.
pub(crate) struct Row {
    pub(crate) name: PackageName,
    version: Version,
    downloads: u64,
    summary: String,
}

/// The packages of a list, the most downloaded first, and how many rows are none.
pub(crate) fn read(from: &Path) -> Result<(Vec<Row>, usize), Failure> {
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
                rows.push(Row { name, version, downloads, summary: cells.next().unwrap_or_default().to_owned() });
            }
            _ => left_out += 1,
        }
    }
    rows.sort_by(|a, b| b.downloads.cmp(&a.downloads).then_with(|| a.name.cmp(&b.name)));
    let all = rows.len();
    let mut seen = HashSet::new();
    rows.retain(|r| PackageId::new(Kind::Pack, &r.name).is_ok() && seen.insert(r.name.normalized()));
    left_out += all - rows.len();
    Ok((rows, left_out))
}

/// Writes so many records, or one for each package.
pub(crate) fn write(mut rows: Vec<Row>, to: &Path, count: Option<usize>) -> Result<(), Failure> {
    let count = count.unwrap_or(rows.len());
    make_up(&mut rows, count);
    rows.truncate(count);
    let mut out = BufWriter::new(File::create(to)?);
    for Row { name, version, downloads, summary } in rows {
        let record = serde_json::json!({
            "name": name, "version": version, "downloads": downloads, "summary": summary, "size": 1,
            "published": "2026-01-01T00:00:00Z", "sha256": Sha256::of(name.as_str().as_bytes()),
            "download_url": format!("https://downloads.example.com/{name}.tgz"),
        });
        writeln!(out, "{record}")?;
    }
    out.flush()?;
    Ok(())
}

/// Adds packages until there are so many: the name of one with the last word of another one's, half of the one's summary and
/// half of the other's, and as many downloads as a third one has.
fn make_up(rows: &mut Vec<Row>, count: usize) {
    let real = rows.len();
    let mut seen: HashSet<String> = rows.iter().map(|r| r.name.normalized()).collect();
    let mut state = 42u64;
    let mut any = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % real.max(1) as u64) as usize
    };
    while rows.len() < count && real > 0 {
        let (a, b, c) = (&rows[any()], &rows[any()], any());
        let word = b.name.as_str().rsplit(['-', '.', '_']).next().unwrap_or_default();
        let Ok(name) = PackageName::new(&format!("{}-{word}", a.name)) else { continue };
        if PackageId::new(Kind::Pack, &name).is_err() || !seen.insert(name.normalized()) {
            continue;
        }
        let (first, second): (Vec<&str>, Vec<&str>) = (a.summary.split(' ').collect(), b.summary.split(' ').collect());
        let summary = [&first[..first.len().div_ceil(2)], &second[second.len() / 2..]].concat().join(" ");
        let row = Row { name, version: a.version.clone(), downloads: rows[c].downloads, summary };
        rows.push(row);
    }
}
