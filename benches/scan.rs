//! What scanning sources costs: a long list, many unchanged files, and real crates read anew.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented functions; a bench may fail"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ggen_marketplace::{
    package::{Sha256, Timestamp},
    source::{Found, ScanOptions, Spool, scan},
};
use std::{
    fmt::Write as _,
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

fn count(sources: &[PathBuf], options: &ScanOptions) -> u64 {
    let spool = Spool::new().unwrap();
    let stats = scan(sources, options, &spool, |found| match found {
        Ok(Found::Fresh(c)) => drop(black_box(c)),
        Ok(Found::Known(k)) => drop(black_box(k)),
        Err(r) => panic!("{r:?}"),
    });
    let stats = stats.unwrap();
    stats.lines + stats.archives + stats.folders
}

/// Lines as an exporter would write them: a description, some keywords, a dependency.
fn list(lines: u64) -> String {
    let mut text = String::new();
    for n in 0..lines {
        let sha = Sha256::of(&n.to_le_bytes());
        writeln!(
            text,
            concat!(
                r#"{{"name":"package-{n}","version":"1.{n}.0","download_url":"https://example.com/packs/package-{n}-1.{n}.0.tar.gz","#,
                r#""sha256":"{sha}","size":{n},"description":"What package number {n} does, in a sentence of usual length","#,
                r#""keywords":["some","words"],"license":"MIT","dependencies":[{{"name":"package-1","req":"^1.0"}}]}}"#
            ),
            n = n,
            sha = sha
        )
        .unwrap();
    }
    text
}

fn lists(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.jsonl");
    let lines = 1_000_000;
    std::fs::write(&path, list(lines)).unwrap();
    let options = ScanOptions::new(Timestamp::from_unix(0));
    let mut group = c.benchmark_group("list");
    group.throughput(Throughput::Elements(lines)).sample_size(10);
    group.bench_function("1,000,000 lines", |b| {
        b.iter(|| assert_eq!(count(std::slice::from_ref(&path), &options), lines));
    });
    group.finish();
}

fn unchanged(c: &mut Criterion) {
    let Some(crates) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("crates");
    std::fs::create_dir(&source).unwrap();
    // A small real crate many times over: what is measured does not open them.
    let small =
        std::fs::read_dir(crates).unwrap().map(|e| e.unwrap().path()).min_by_key(|p| p.metadata().unwrap().len());
    let bytes = std::fs::read(small.unwrap()).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let files = 10_000;
    for i in 0..files {
        let path = source.join(format!("some-crate-{i}-1.0.0.crate"));
        std::fs::write(&path, &bytes).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    }
    let mut options = ScanOptions::new(Timestamp::from_unix(0));
    options.cache = Some(folder.path().join("cache"));
    count(std::slice::from_ref(&source), &options);
    let mut group = c.benchmark_group("cache");
    group.throughput(Throughput::Elements(files)).sample_size(20);
    group.bench_function("10,000 unchanged files", |b| {
        b.iter(|| assert_eq!(count(std::slice::from_ref(&source), &options), files));
    });
    group.finish();
}

fn crates(c: &mut Criterion) {
    let Some(crates) = corpus() else { return };
    let size = std::fs::read_dir(&crates).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    let options = ScanOptions::new(Timestamp::from_unix(0));
    let mut group = c.benchmark_group("crates");
    group.throughput(Throughput::Bytes(size)).sample_size(10);
    group.bench_function("171 real crates", |b| {
        b.iter(|| assert_eq!(count(std::slice::from_ref(&crates), &options), 171));
    });
    group.finish();
}

fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/crates");
    if path.is_dir() { Some(path) } else { None }
}

criterion_group!(benches, lists, unchanged, crates);
criterion_main!(benches);
