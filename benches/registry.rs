//! What people wait for: building, adding one release, looking up. Inputs are made with a fixed seed; nothing comes from
//! the network. `cargo bench --bench registry`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops")]

#[allow(dead_code, reason = "other benches use the rest of it")]
mod place;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ggen_marketplace::ClientOptions;
use place::{Place, id};
use std::{hint::black_box, path::PathBuf, time::Duration};
use tokio::runtime::Runtime;

fn build(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for count in [100u64, 1_000, 10_000, 100_000] {
        let made = Place::new(&runtime, 0);
        let list = made.list("all", 0..count);
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("first", count), |b| {
            b.iter_batched(
                || Place::new(&runtime, 0),
                |place| {
                    place.build(&runtime, std::slice::from_ref(&list));
                    place
                },
                BatchSize::PerIteration,
            );
        });
        made.build(&runtime, std::slice::from_ref(&list));
        group.bench_function(BenchmarkId::new("unchanged", count), |b| {
            b.iter(|| made.build(&runtime, std::slice::from_ref(&list)));
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
                place.build(&runtime, std::slice::from_ref(&corpus));
                place
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// What must not grow with the registry is measured up to a million, and drawn as cost against size.
const SIZES: [u64; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

/// One release more, onto the disk.
fn one_release(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("one release into");
    group.sample_size(20);
    for count in SIZES {
        let place = Place::new(&runtime, count);
        let mut next = count;
        group.bench_function(BenchmarkId::from_parameter(count), |b| place.one_more(&runtime, b, &mut next));
    }
    group.finish();
}

fn lookup(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("lookup");
    group.measurement_time(Duration::from_secs(3));
    for count in SIZES {
        let place = Place::new(&runtime, count);
        let newest = runtime.block_on(place.client(ClientOptions::default()).latest()).unwrap();
        let wanted = id(77);
        runtime.block_on(newest.package(&wanted)).unwrap();
        group.bench_function(BenchmarkId::new("memory", count), |b| {
            b.iter(|| black_box(runtime.block_on(newest.package(&wanted)).unwrap()));
        });
        // Without memory, every lookup reads the shard from the cache on disk, checks and parses it.
        let mut cached = ClientOptions::default();
        (cached.cache, cached.memory) = (Some(place.dir.path().join("cache")), 0);
        let newest = runtime.block_on(place.client(cached).latest()).unwrap();
        runtime.block_on(newest.package(&wanted)).unwrap();
        group.bench_function(BenchmarkId::new("disk", count), |b| {
            b.iter(|| black_box(runtime.block_on(newest.package(&wanted)).unwrap()));
        });
        group.bench_function(BenchmarkId::new("cold", count), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let newest = place.client(ClientOptions::default()).latest().await.unwrap();
                    black_box(newest.package(&wanted).await.unwrap())
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, build, one_release, lookup);
criterion_main!(benches);
