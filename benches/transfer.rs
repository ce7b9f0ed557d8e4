//! Archives on their way: published (read, decompressed, hashed, stored), audited, and downloaded over loopback HTTP from the
//! server of this crate, each verified. `cargo bench --bench transfer`
//!
//! A real S3 server and nginx are in `benches/large.sh`, `benches/s3.sh` and `benches/network.sh`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[allow(dead_code, reason = "other benches use the rest of it")]
mod place;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compression, write::GzEncoder};
use futures::TryStreamExt as _;
use ggen_marketplace::{
    Client, ClientOptions, FileServer, ServeOptions, SnapshotReader, Store, VerifyOptions, package::Record,
};
use place::Place;
use std::{fs, path::PathBuf};
use tokio::runtime::Runtime;

/// Bytes of noise in an archive, and how many archives: small ones are bound by what each costs, large ones by their bytes.
const SIZES: [(usize, u32); 3] = [(16 << 10, 256), (1 << 20, 64), (64 << 20, 2)];

/// A folder of crates that hold noise from a fixed seed, which nothing makes smaller.
fn crates(place: &Place, size: usize, count: u32) -> (PathBuf, u64) {
    let folder = place.dir.path().join(format!("crates-{size}"));
    fs::create_dir(&folder).unwrap();
    let mut bytes = 0;
    for i in 0..count {
        let mut state = u64::from(i) + 1;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(size / 8)
        .flatten()
        .collect();
        let top = format!("noise-{i}-1.0.0");
        let manifest = format!("[package]\nname = \"noise-{i}\"\nversion = \"1.0.0\"\nlicense = \"MIT\"\n");
        let path = folder.join(format!("{top}.crate"));
        let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast()));
        for (name, data) in [("Cargo.toml", manifest.as_bytes()), ("src/noise", &noise)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("{top}/{name}"), data).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        bytes += fs::metadata(path).unwrap().len();
    }
    (folder, bytes)
}

async fn download_all(newest: &SnapshotReader, records: &[Record]) -> u64 {
    let mut bytes = 0;
    for record in records {
        let stream = newest.fetch(record).await.unwrap();
        bytes += stream.try_fold(0, |sum, piece| async move { Ok(sum + piece.len() as u64) }).await.unwrap();
    }
    bytes
}

fn transfer(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for (size, count) in SIZES {
        let place = Place::new(&runtime, 0);
        let (folder, bytes) = crates(&place, size, count);
        let mut group = c.benchmark_group("transfer");
        group.sample_size(10).throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::new("publish to memory", size), |b| {
            b.iter_batched(
                || Place::in_memory(&runtime, 0),
                |to| {
                    assert_eq!(to.build(&runtime, std::slice::from_ref(&folder)).added, u64::from(count));
                    to
                },
                BatchSize::PerIteration,
            );
        });
        place.build(&runtime, &[folder]);
        group.bench_function(BenchmarkId::new("audit", size), |b| {
            b.iter(|| {
                let client = place.client(ClientOptions::default());
                let found = runtime.block_on(client.verify(&VerifyOptions::all())).unwrap();
                assert!(found.problems.is_empty() && found.bytes >= bytes);
            });
        });
        let folder = place.dir.path().join("registry");
        let server = runtime.block_on(FileServer::bind(&folder, ServeOptions::default())).unwrap();
        let url = format!("http://{}", server.address());
        runtime.spawn(server.run(std::future::pending()));
        let over_http = Store::open(&url).unwrap();
        for (name, store) in [("download over HTTP", &over_http), ("read from a folder", &place.store)] {
            let client =
                Client::new(store.clone(), std::slice::from_ref(&place.key), ClientOptions::default()).unwrap();
            let newest = runtime.block_on(client.latest()).unwrap();
            let packages: Vec<_> = runtime.block_on(newest.list().try_collect()).unwrap();
            let records: Vec<Record> = packages.iter().filter_map(|p| p.newest()).cloned().collect();
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| assert_eq!(runtime.block_on(download_all(&newest, &records)), bytes));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, transfer);
criterion_main!(benches);
