//! Measures a registry of any size: makes JSON Lines records with a fixed seed, publishes them, and times what operators
//! wait for. `cargo run --release --example scale -- 1000000`
//!
//! Prints one table; `docs/performance.md` quotes it.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, SigningKey, Store, package::Timestamp};
use std::{
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(10_000), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let lines = dir.path().join("records.jsonl");
    write_records(&lines, 0..count)?;
    let store = Store::create(dir.path().join("registry").to_str().ok_or("the temporary folder's name is not text")?)?;
    let key = SigningKey::generate("scale.example.com".parse()?)?;
    let pinned = key.verifier().clone();
    let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
    let options = BuildOptions::at(Timestamp::now());
    registry.init(&options).await?;

    let began = Instant::now();
    let report = registry.build(std::slice::from_ref(&lines), &options).await?;
    row("first build", began, &format!("{} added, {} puts, {} bytes", report.added, report.puts, report.bytes));
    println!("peak memory {} MiB", peak_memory_mib());
    let began = Instant::now();
    let report = registry.build(&[lines], &options).await?;
    row("unchanged build", began, &format!("{} puts", report.puts));
    for i in 0..3 {
        let one = dir.path().join(format!("one-{i}.jsonl"));
        write_records(&one, count + i..count + i + 1)?;
        let began = Instant::now();
        let report = registry.build(&[one], &options).await?;
        row("one release more", began, &format!("{} puts, {} bytes", report.puts, report.bytes));
    }
    let client = Client::new(store, &[pinned], ClientOptions::default())?;
    let began = Instant::now();
    let newest = client.latest().await?;
    let package = newest.find(&"pack:package-7".parse()?).await?;
    row("first lookup", began, &package.id.to_string());
    let began = Instant::now();
    for _ in 0..1000 {
        newest.package(&package.id).await?;
    }
    row("1000 warm lookups", began, "");
    println!("peak memory {} MiB", peak_memory_mib());
    Ok(())
}

fn row(what: &str, began: Instant, more: &str) {
    println!("{what:20} {:9.3} ms  {more}", began.elapsed().as_secs_f64() * 1e3);
}

fn write_records(path: &Path, range: std::ops::Range<u64>) -> std::io::Result<()> {
    const WORDS: [&str; 16] = [
        "fast", "small", "typed", "async", "template", "ontology", "server", "client", "parser", "query", "graph",
        "schema", "report", "bridge", "worker", "index",
    ];
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    for i in range {
        // A fixed mixing of the number stands for chance: every machine makes the same records.
        let r = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
        let word = |n: u32| WORDS[(r.rotate_right(n * 4) & 15) as usize];
        writeln!(
            out,
            r#"{{"name":"package-{i}","version":"1.{}.{}","summary":"A {} {} {} for {}","keywords":["{}","{}"],"license":"MIT","sha256":"{:016x}{:016x}{:016x}{:016x}","size":{},"download_url":"https://downloads.example.com/package-{i}.tar.gz"}}"#,
            r % 10,
            r % 7,
            word(0),
            word(1),
            word(2),
            word(3),
            word(4),
            word(5),
            r,
            !r,
            r ^ i,
            i,
            1000 + r % 100_000,
        )?;
    }
    out.flush()
}

/// The most memory this process has had, from the kernel's own account; 0 where there is none.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}
