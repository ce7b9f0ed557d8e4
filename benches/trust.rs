//! What a reader pays for trust: once for each fetched checkpoint. The aim is less than 100 µs, of which the two signatures
//! take nine tenths.

#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has nothing to measure")]

use criterion::{Criterion, criterion_group, criterion_main};
use ggen_marketplace::{
    package::{Link, Sha256, Timestamp},
    trust::{Checkpoint, Claim, SigningKey, VerifierKey},
};
use std::hint::black_box;

fn trust(c: &mut Criterion) {
    let key = SigningKey::generate("packages.example.com/main".parse().unwrap()).unwrap();
    let time = Timestamp::from_unix(1_795_447_257);
    let claim = Claim {
        origin: key.origin().clone(),
        generation: 1_000_000,
        previous: Some(Sha256::of(b"previous")),
        snapshot: Link { raw: Some(60_000), sha256: Sha256::of(b"snapshot"), size: 20_000 },
        time,
        expires: time.plus(ggen_marketplace::trust::MAX_VALIDITY),
        nonce: [9; 16],
    };
    let slot = claim.sign(&key).unwrap();
    let checkpoint = Checkpoint::sign(&slot, &key).unwrap();
    let line = key.verifier().to_string();
    let pinned = [key.verifier().clone()];

    c.bench_function("trust/sign claim", |b| b.iter(|| black_box(&claim).sign(&key).unwrap()));
    c.bench_function("trust/sign checkpoint", |b| b.iter(|| Checkpoint::sign(black_box(&slot), &key).unwrap()));
    c.bench_function("trust/open checkpoint", |b| {
        b.iter(|| Checkpoint::open(black_box(checkpoint.bytes()).clone(), &pinned).unwrap());
    });
    c.bench_function("trust/open vkey", |b| b.iter(|| black_box(&line).parse::<VerifierKey>().unwrap()));
}

criterion_group!(benches, trust);
criterion_main!(benches);
