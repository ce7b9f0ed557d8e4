//! What views cost: a first build with each, and one release more, against the size of the registry. `cargo bench --bench views`
//!
//! In memory and of packages without archives: what is measured is the making of the files. With archives, and on a disk, it is
//! `cargo run --release --example views`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[allow(dead_code, reason = "other benches use the rest of it")]
mod place;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ggen_marketplace::{View, ViewOptions};
use place::Place;
use tokio::runtime::Runtime;

const SIZES: [u64; 3] = [100, 1_000, 10_000];

fn with(view: Option<View>, mut place: Place) -> Place {
    place.options.views = view.map(|view| ViewOptions::new(&[view], Some("https://packages.example.com")).unwrap());
    place
}

fn views(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for (name, view) in
        [("none", None), ("plain", Some(View::Plain)), ("cargo", Some(View::Cargo)), ("site", Some(View::Site))]
    {
        let mut group = c.benchmark_group("views, first build");
        group.sample_size(10);
        for count in SIZES {
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter_batched(
                    || with(view, Place::in_memory(&runtime, 0)),
                    |place| {
                        assert_eq!(place.publish(&runtime, 0..count).added, count);
                        place
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
        let mut group = c.benchmark_group("views, one release more");
        group.sample_size(10);
        for count in SIZES {
            let place = with(view, Place::in_memory(&runtime, 0));
            place.publish(&runtime, 0..count);
            let mut next = count;
            group.bench_function(BenchmarkId::new(name, count), |b| place.one_more(&runtime, b, &mut next));
        }
        group.finish();
    }
}

criterion_group!(benches, views);
criterion_main!(benches);
