//! Copying the metadata of a registry: all of it, what is new, and nothing new. Inputs are made with a fixed seed; HTTP is
//! spoken over loopback. `cargo bench --bench mirror`

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[path = "../tests/it/support/http.rs"]
#[expect(dead_code, reason = "servers that misbehave are for tests")]
mod http;

#[allow(dead_code, reason = "other benches use the rest of it")]
mod place;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ggen_marketplace::{Client, ClientOptions, MirrorOptions, MirrorReport, Store};
use place::Place;
use tokio::runtime::Runtime;

const PACKAGES: u64 = 10_000;

async fn copy(place: &Place, from: &str, to: &Store) -> MirrorReport {
    let store = Store::open(from).unwrap();
    let client = Client::new(store, std::slice::from_ref(&place.key), ClientOptions::default()).unwrap();
    client.mirror(to, &MirrorOptions::default()).await.unwrap()
}

/// An empty folder, and what removes it.
fn empty() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(dir.path().to_str().unwrap()).unwrap(), dir)
}

fn mirror(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let place = Place::new(&runtime, PACKAGES);
    let server = runtime.block_on(http::Server::serve(&place.dir.path().join("registry")));
    let folder = place.dir.path().join("registry").to_str().unwrap().to_owned();
    let mut group = c.benchmark_group("mirror");
    group.sample_size(10);
    group.throughput(Throughput::Elements(PACKAGES));
    for (name, from) in [("all/folder to folder", &folder), ("all/http to folder", &server.url)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                empty,
                |(to, dir)| {
                    assert_eq!(runtime.block_on(copy(&place, from, &to)).packages, PACKAGES);
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.throughput(Throughput::Elements(10));
    let (to, _dir) = empty();
    runtime.block_on(copy(&place, &folder, &to));
    let mut next = PACKAGES;
    group.bench_function("10 new/folder to folder", |b| {
        b.iter_batched(
            || {
                next += 10;
                place.publish(&runtime, next - 10..next);
            },
            |()| assert!(runtime.block_on(copy(&place, &folder, &to)).objects > 10),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("nothing new/folder to folder", |b| {
        b.iter(|| assert_eq!(runtime.block_on(copy(&place, &folder, &to)).objects, 0));
    });
    group.finish();
}

criterion_group!(benches, mirror);
criterion_main!(benches);
