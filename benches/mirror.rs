//! Copying the metadata of a registry: all of it, what is new, and nothing new. Inputs are made with a fixed seed; HTTP is
//! spoken over loopback. `cargo bench --bench mirror`

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[path = "../tests/it/support/http.rs"]
#[expect(dead_code, reason = "servers that misbehave are for tests")]
mod http;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, MirrorOptions, MirrorReport, Registry, SigningKey, Store, VerifierKey,
    package::{Sha256, Timestamp},
};
use std::{fmt::Write as _, fs, path::PathBuf};
use tokio::runtime::Runtime;

const PACKAGES: u64 = 10_000;

struct Place {
    dir: tempfile::TempDir,
    registry: Registry,
    key: VerifierKey,
    options: BuildOptions,
}

impl Place {
    /// A registry of packages that are hosted elsewhere, in a folder.
    fn new(runtime: &Runtime) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("registry").to_str().unwrap()).unwrap();
        let key = SigningKey::generate("bench.example.com".parse().unwrap()).unwrap();
        let verifier = key.verifier().clone();
        let registry = Registry::new(store, key, &dir.path().join("state"));
        let options = BuildOptions::at(Timestamp::now());
        runtime.block_on(registry.init(&options)).unwrap();
        let place = Self { dir, registry, key: verifier, options };
        place.publish(runtime, 0..PACKAGES);
        place
    }

    fn publish(&self, runtime: &Runtime, range: std::ops::Range<u64>) {
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
        let list = self.dir.path().join("list.jsonl");
        fs::write(&list, text).unwrap();
        runtime.block_on(self.registry.build(&[list], &self.options)).unwrap();
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("registry")
    }

    async fn mirror(&self, from: &str, to: &Store) -> MirrorReport {
        let store = Store::open(from).unwrap();
        let client = Client::new(store, std::slice::from_ref(&self.key), ClientOptions::default()).unwrap();
        client.mirror(to, &MirrorOptions::default()).await.unwrap()
    }
}

/// An empty folder, and what removes it.
fn empty() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(dir.path().to_str().unwrap()).unwrap(), dir)
}

fn mirror(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let place = Place::new(&runtime);
    let server = runtime.block_on(http::Server::serve(&place.folder()));
    let folder = place.folder().to_str().unwrap().to_owned();
    let mut group = c.benchmark_group("mirror");
    group.sample_size(10);
    group.throughput(Throughput::Elements(PACKAGES));
    for (name, from) in [("all/folder to folder", &folder), ("all/http to folder", &server.url)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                empty,
                |(to, dir)| {
                    assert_eq!(runtime.block_on(place.mirror(from, &to)).packages, PACKAGES);
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.throughput(Throughput::Elements(10));
    let (to, _dir) = empty();
    runtime.block_on(place.mirror(&folder, &to));
    let mut next = PACKAGES;
    group.bench_function("10 new/folder to folder", |b| {
        b.iter_batched(
            || {
                next += 10;
                place.publish(&runtime, next - 10..next);
            },
            |()| assert!(runtime.block_on(place.mirror(&folder, &to)).objects > 10),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("nothing new/folder to folder", |b| {
        b.iter(|| assert_eq!(runtime.block_on(place.mirror(&folder, &to)).objects, 0));
    });
    group.finish();
}

criterion_group!(benches, mirror);
criterion_main!(benches);
