//! Measures a registry of any size: makes JSON Lines records with a fixed seed, publishes them, and times what operators
//! wait for. `cargo run --release --example scale -- 1000000`, or with a readme of so many kB each: `… scale -- 20000 12`
//!
//! Prints one table; `docs/performance.md` quotes it.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

#[allow(dead_code, clippy::unwrap_used, reason = "the rest is for benches")]
#[path = "../benches/place/mod.rs"]
mod place;

use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, SigningKey, Store, package::Timestamp};
use place::write_records;
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(10_000), |n| n.parse())?;
    let readme: usize = std::env::args().nth(2).map_or(Ok(0), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let lines = dir.path().join("records.jsonl");
    write_records(&lines, 0..count, readme * 1000)?;
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
        write_records(&one, count + i..count + i + 1, readme * 1000)?;
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

/// The most memory this process has had, from the kernel's own account; 0 where there is none.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}
