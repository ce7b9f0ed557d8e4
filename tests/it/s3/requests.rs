//! What a run asks a bucket for.

use super::conditions::bucket;
use crate::support::{
    s3::{Effect, Fault, Op, S3},
    world::World,
};
use ggen_marketplace::Registry;
use std::{
    fs,
    time::{Duration, Instant},
};

/// The requests since the last look, without those for archives: their verb, and what they were about.
fn requests(server: &S3) -> Vec<(Op, String)> {
    server.take_log().into_iter().map(|e| (e.op, e.key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_nothing_to_do_asks_for_the_checkpoint_and_for_what_may_follow() {
    let world = World::without_registry();
    for i in 0..60 {
        world.add_crate(&format!("crate-{i}"), "1.0.0", "text");
    }
    let server = S3::start().await;
    let state = world.dir.path().join("state");
    let registry = Registry::new(bucket(&server, false), world.signing_key(), &state);
    registry.init(&world.options).await.unwrap();
    assert_eq!(registry.build(&[world.sources()], &world.options).await.unwrap().added, 60);
    server.take_log();

    // Another process, with what the one before it left behind.
    let registry = || Registry::new(bucket(&server, false), world.signing_key(), &state);
    let idle = || async {
        let report = registry().build(&[world.sources()], &world.options).await.unwrap();
        assert_eq!((report.unchanged, report.puts), (60, 0));
        requests(&server)
    };
    let asked = idle().await;
    let wanted = ["checkpoint", "log/0000000002", "log/0000000002"].map(|key| (Op::Get, key.to_owned()));
    // Before the scan, and once more after it.
    assert_eq!(asked, wanted);

    // What is damaged or gone is fetched again, once.
    let mut damaged = 0;
    for entry in walkdir::WalkDir::new(state.join("blobs")).into_iter().map(Result::unwrap) {
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            fs::write(entry.path(), vec![0; bytes.len()]).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged >= 3, "{damaged}");
    let again = idle().await;
    let fetched = again.iter().filter(|(_, key)| key.starts_with("blobs/")).count();
    // The snapshot and its shard; the one before was of nobody's interest.
    assert_eq!(fetched, 2, "{again:?}");
    assert_eq!(idle().await, asked);
    server.assert_fair();
}

/// A 503 that says `Retry-After: 1` (RFC 9110, section 10.2.3). Our own pauses would be 0.1 and 0.2 s at the most.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_patience_gets_it() {
    let world = World::without_registry();
    let server = S3::start().await;
    let registry = Registry::new(bucket(&server, false), world.signing_key(), &world.dir.path().join("state"));
    registry.init(&world.options).await.unwrap();
    server.fault(Fault::new(Effect::Answer(503)).on(&[Op::Put]).keys(|k| k == "checkpoint").first(2));
    let began = Instant::now();
    assert!(registry.refresh(&world.options).await.unwrap().committed);
    assert_eq!(server.struck(), 2);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    server.assert_fair();
}
