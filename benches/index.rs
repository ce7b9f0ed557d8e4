//! The index tree alone, in memory: no disk, no network, no archives. `cargo bench --bench index`
//!
//! What an edit or a comparison costs may depend on what changed, and hardly on how much is there: criterion draws it as cost
//! against size (`target/criterion/index */report`). Reading everything is there to see what is not so.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[allow(dead_code, reason = "other benches use the rest of it")]
mod place;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt as _;
use ggen_marketplace::{ClientOptions, Pin};
use place::{Place, id};
use std::hint::black_box;
use tokio::runtime::Runtime;

const SIZES: [u64; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

fn index(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for count in SIZES {
        let place = Place::in_memory(&runtime, count);
        let mut next = count;
        let mut group = c.benchmark_group("index one release into");
        group.sample_size(20);
        group.bench_function(BenchmarkId::from_parameter(count), |b| place.one_more(&runtime, b, &mut next));
        group.finish();

        let client = place.client(ClientOptions::default());
        let new = runtime.block_on(client.latest()).unwrap();
        let before = Pin::Generation(new.generation() - 1);
        let old = runtime.block_on(client.at(before)).unwrap();
        let mut group = c.benchmark_group("index difference of one release");
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| black_box(runtime.block_on(client.diff(&old, &new)).unwrap()));
        });
        group.finish();

        // Spread over all of the index: each from a shard of its own, where there are as many.
        let ids: Vec<_> = (0..100).map(|n| id(n * count / 100)).collect();
        let mut group = c.benchmark_group("index 100 packages at once");
        group.throughput(Throughput::Elements(100));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| black_box(runtime.block_on(new.get_many(&ids)).unwrap()));
        });
        group.finish();

        let mut group = c.benchmark_group("index list");
        group.sample_size(10).throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| assert!(runtime.block_on(new.list().count()) as u64 >= count));
        });
        group.finish();
    }
}

criterion_group!(benches, index);
criterion_main!(benches);
