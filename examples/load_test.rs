//! Reads a registry with many tasks at once and prints what it came to: requests, failures, requests a second, latencies.
//!
//! ```text
//! cargo run --release --example load_test -- --registry http://127.0.0.1:7878 --key KEY --tasks 1000 --seconds 30
//! ```
//! Each task looks up packages past every cache (three requests: checkpoint, snapshot, shard) and downloads archives (one).
//! `--what lookup` or `--what archive` does only the one; `--connections 5000` lets so many requests be under way at once (100 by
//! default; `ulimit -n` has to allow it). Load only what is yours.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use futures::TryStreamExt as _;
use ggen_marketplace::{
    Client, ClientOptions, Error, SnapshotReader, Store, StoreOptions, VerifierKey, package::Record,
};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

struct Options {
    registries: Vec<String>,
    key: VerifierKey,
    tasks: usize,
    time: Duration,
    archives: bool,
    lookups: bool,
    connections: Option<NonZeroUsize>,
}

fn options() -> Result<Options, Box<dyn std::error::Error>> {
    let (mut registries, mut key, mut tasks, mut seconds) = (Vec::new(), None, 1000, 30.0);
    let (mut archives, mut lookups, mut connections) = (true, true, None);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--registry" => registries.push(value),
            "--key" => key = Some(value.parse()?),
            "--tasks" => tasks = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            "--connections" => connections = Some(value.parse()?),
            "--what" => (archives, lookups) = (value != "lookup", value != "archive"),
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let key = key.ok_or("--key is missing: the registry's public key")?;
    Ok(Options { registries, key, tasks, time: Duration::from_secs_f64(seconds), archives, lookups, connections })
}

/// Latencies of one task, in microseconds.
type Took = Vec<u32>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Arc::new(options()?);
    let mut how = StoreOptions::default();
    how.connections = options.connections;
    let store = Store::open_mirrors(&options.registries, &how)?;
    let client = client(&store, &options.key)?;
    let newest = client.latest().await?;
    let mut packages: Vec<_> = newest.list().try_collect().await?;
    packages.truncate(5_000);
    let records: Arc<Vec<Record>> =
        Arc::new(packages.iter().filter_map(|p| p.newest()).filter(|r| r.archive.url.is_none()).cloned().collect());
    if records.is_empty() {
        return Err("the registry is empty".into());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (failed, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..options.tasks {
        let (options, records) = (Arc::clone(&options), Arc::clone(&records));
        let (store, newest) = (store.clone(), newest.clone());
        let (stop, failed, bytes) = (Arc::clone(&stop), Arc::clone(&failed), Arc::clone(&bytes));
        tasks.spawn(async move {
            let mut took = Took::new();
            let mut at = number.wrapping_mul(7_919);
            while !stop.load(Ordering::Relaxed) {
                at = at.wrapping_add(1);
                let record = &records[at % records.len()];
                if options.lookups {
                    count(look_up(&store, &options.key, record), 3, &mut took, &failed).await;
                }
                if options.archives {
                    count(download(&newest, record, &bytes), 1, &mut took, &failed).await;
                }
            }
            took
        });
    }
    let memory = tokio::spawn(watch_memory(Arc::clone(&stop)));
    tokio::time::sleep(options.time).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Took::new();
    while let Some(task) = tasks.join_next().await {
        all.extend(task?);
    }
    let seconds = began.elapsed().as_secs_f64();
    all.sort_unstable();
    let requests: u64 = all.len() as u64;
    let at = |part: f64| f64::from(all[((all.len() - 1) as f64 * part) as usize]) / 1000.0;
    println!("{} tasks, {seconds:.1} s, {} packages", options.tasks, records.len());
    println!(
        "requests {requests}, failures {}, {:.0} requests a second",
        failed.load(Ordering::Relaxed),
        requests as f64 / seconds
    );
    let moved = bytes.load(Ordering::Relaxed) as f64 / 1e9;
    print!("archives {:.1} MB/s", moved * 1e3 / seconds);
    if let Some(cpu) = cpu_seconds().filter(|_| moved > 0.0) {
        // All of what this process did, lookups too.
        print!(", {:.2} CPU s for each GB: {:.1} processors for 10 Gbit/s", cpu / moved, cpu / moved * 1.25);
    }
    println!();
    if !all.is_empty() {
        println!(
            "latency of a request in ms: 50 % {:.2}, 90 % {:.2}, 99 % {:.2}, 99.9 % {:.2}, most {:.2}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    let (first, most) = memory.await?;
    println!("memory at the beginning {first} MiB, at most {most} MiB");
    Ok(())
}

/// A client that remembers nothing: every lookup asks for checkpoint, snapshot and shard.
fn client(store: &Store, key: &VerifierKey) -> Result<Client, Error> {
    let mut options = ClientOptions::default();
    options.memory = 0;
    options.freshness = Duration::ZERO;
    Client::new(store.clone(), std::slice::from_ref(key), options)
}

async fn look_up(store: &Store, key: &VerifierKey, record: &Record) -> Result<(), Error> {
    let found = client(store, key)?.latest().await?.package(&record.id()?).await?;
    assert!(found.is_some(), "{} is there", record.name);
    Ok(())
}

async fn download(newest: &SnapshotReader, record: &Record, bytes: &AtomicU64) -> Result<(), Error> {
    let mut pieces = newest.fetch(record).await?;
    while let Some(piece) = pieces.try_next().await? {
        bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

async fn count(work: impl Future<Output = Result<(), Error>>, requests: u32, took: &mut Took, failed: &AtomicU64) {
    let began = Instant::now();
    if let Err(e) = work.await
        && failed.fetch_add(1, Ordering::Relaxed) < 5
    {
        eprintln!("{}", e.chain());
    }
    let each = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX) / requests;
    took.extend(std::iter::repeat_n(each, requests as usize));
}

/// The CPU time of this process, by the kernel's own account, where there is one.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything: the 14th and 15th of all fields, in hundredths of a second.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / 100.0)
}

/// Resident memory of this process, first and at most, in MiB.
async fn watch_memory(stop: Arc<AtomicBool>) -> (u64, u64) {
    let now = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4 / 1024
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (first, mut most) = (now(), now());
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        most = most.max(now());
    }
    (first, most)
}
