//! What people wait for: building, adding one release, looking up. Inputs are made with a fixed seed; nothing comes from
//! the network. `cargo bench --bench registry`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, SigningKey, Store,
    package::{Kind, PackageId, PackageName, Sha256, Timestamp},
};
use std::{fmt::Write as _, fs, hint::black_box, path::PathBuf, time::Duration};
use tokio::runtime::Runtime;

/// A registry of `count` packages in a folder.
struct Place {
    dir: tempfile::TempDir,
    registry: Registry,
    store: Store,
    key: ggen_marketplace::VerifierKey,
    options: BuildOptions,
}

impl Place {
    fn new(runtime: &Runtime, count: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("registry").to_str().unwrap()).unwrap();
        let key = SigningKey::generate("bench.example.com".parse().unwrap()).unwrap();
        let verifier = key.verifier().clone();
        let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
        let options = BuildOptions::at(Timestamp::now());
        runtime.block_on(registry.init(&options)).unwrap();
        let place = Self { dir, registry, store, key: verifier, options };
        if count > 0 {
            let list = place.list("all", 0..count);
            runtime.block_on(place.registry.build(&[list], &place.options)).unwrap();
        }
        place
    }

    fn list(&self, name: &str, range: std::ops::Range<u64>) -> PathBuf {
        let mut text = String::new();
        for i in range {
            let sha256 = Sha256::of(&i.to_be_bytes());
            writeln!(
                text,
                r#"{{"name":"package-{i}","version":"1.0.0","summary":"Package number {i} of a benchmark","license":"MIT","sha256":"{sha256}","size":{},"download_url":"https://downloads.example.com/package-{i}.tar.gz"}}"#,
                i + 1
            )
            .unwrap();
        }
        let path = self.dir.path().join(format!("{name}.jsonl"));
        fs::write(&path, text).unwrap();
        path
    }
}

fn id(i: u64) -> PackageId {
    PackageId::new(Kind::Pack, &PackageName::new(&format!("package-{i}")).unwrap()).unwrap()
}

fn build(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for count in [1_000u64, 10_000, 100_000] {
        let made = Place::new(&runtime, 0);
        let list = made.list("all", 0..count);
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("first", count), |b| {
            b.iter_batched(
                || Place::new(&runtime, 0),
                |place| {
                    runtime.block_on(place.registry.build(std::slice::from_ref(&list), &place.options)).unwrap();
                    place
                },
                BatchSize::PerIteration,
            );
        });
        runtime.block_on(made.registry.build(std::slice::from_ref(&list), &made.options)).unwrap();
        group.bench_function(BenchmarkId::new("unchanged", count), |b| {
            b.iter(|| runtime.block_on(made.registry.build(std::slice::from_ref(&list), &made.options)).unwrap());
        });
    }
    group.finish();

    // Real archives, where there are some: GGEN_BENCH_CRATES names a folder of `.crate` files.
    let crates = std::env::var_os("GGEN_BENCH_CRATES").map(PathBuf::from);
    let corpus = crates.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/crates"));
    if !corpus.is_dir() {
        println!("skipped build/crates: no folder of .crate files (set GGEN_BENCH_CRATES)");
        return;
    }
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    group.bench_function("crates", |b| {
        b.iter_batched(
            || Place::new(&runtime, 0),
            |place| {
                runtime.block_on(place.registry.build(std::slice::from_ref(&corpus), &place.options)).unwrap();
                place
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The cost of one release more must not grow with the registry.
fn one_release(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("one release into");
    group.sample_size(20);
    for count in [1_000u64, 10_000, 100_000] {
        let place = Place::new(&runtime, count);
        let mut next = count;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                || {
                    next += 1;
                    place.list("one", next..next + 1)
                },
                |one| runtime.block_on(place.registry.build(&[one], &place.options)).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn lookup(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("lookup");
    group.measurement_time(Duration::from_secs(3));
    for count in [10_000u64, 100_000] {
        let place = Place::new(&runtime, count);
        let open = |options| Client::new(place.store.clone(), std::slice::from_ref(&place.key), options).unwrap();
        let newest = runtime.block_on(open(ClientOptions::default()).latest()).unwrap();
        let wanted = id(77);
        runtime.block_on(newest.package(&wanted)).unwrap();
        group.bench_function(BenchmarkId::new("memory", count), |b| {
            b.iter(|| black_box(runtime.block_on(newest.package(&wanted)).unwrap()));
        });
        // Without memory, every lookup reads the shard from the cache on disk, checks and parses it.
        let mut cached = ClientOptions::default();
        (cached.cache, cached.memory) = (Some(place.dir.path().join("cache")), 0);
        let newest = runtime.block_on(open(cached).latest()).unwrap();
        runtime.block_on(newest.package(&wanted)).unwrap();
        group.bench_function(BenchmarkId::new("disk", count), |b| {
            b.iter(|| black_box(runtime.block_on(newest.package(&wanted)).unwrap()));
        });
        group.bench_function(BenchmarkId::new("cold", count), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    black_box(open(ClientOptions::default()).latest().await.unwrap().package(&wanted).await.unwrap())
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, build, one_release, lookup);
criterion_main!(benches);
