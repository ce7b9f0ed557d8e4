//! Many writers at once, and every tenth answer to a claim is unclear: nothing is lost, nothing is acknowledged twice, the log
//! is one chain.

use crate::support::{
    s3::{Access, Effect, Fault, Op, S3},
    second_reader,
    world::World,
};
use ggen_marketplace::Registry;
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

struct Size {
    writers: u64,
    /// Each writer commits them one by one.
    releases: u64,
    seed: u64,
}

/// A release that was acknowledged: who published it, and in which generation.
type Acknowledged = BTreeMap<String, (u64, u64)>;

/// One writer's work: what was acknowledged, and how often a job had to be started again.
async fn work(
    registry: Registry,
    options: ggen_marketplace::BuildOptions,
    jobs: Vec<(String, PathBuf)>,
) -> (Vec<(String, u64, bool)>, u32) {
    let (mut acknowledged, mut again) = (Vec::new(), 0);
    for (name, folder) in jobs {
        // A job that does not know whether it committed is started again, as a person would.
        let report = loop {
            match registry.build(std::slice::from_ref(&folder), &options).await {
                Ok(report) => break report,
                Err(e) => {
                    again += 1;
                    assert!(again < 100, "{}", e.chain());
                }
            }
        };
        assert_eq!((report.added + report.unchanged, report.refused.len()), (1, 0));
        assert_eq!(report.added == 1, report.committed);
        acknowledged.push((name, report.generation, report.committed));
    }
    (acknowledged, again)
}

async fn race(size: Size) {
    let Size { writers, releases, seed } = size;
    let world = World::without_registry();
    let server = S3::start().await;
    world.registry_in(server.store()).init(&world.options).await.unwrap();
    server.take_log();
    // Every tenth claim: done and answered with 500, done and not answered, or done after the writer has lost patience.
    let stall = Duration::from_millis(1500);
    for (i, effect) in [Effect::AnswerAfter(500), Effect::DropAfter, Effect::StallBefore(stall)].into_iter().enumerate()
    {
        server.fault(Fault::new(effect).on(&[Op::Put]).below("log/").chance(seed + i as u64, 34));
    }
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let jobs = (0..releases).map(|release| {
                let number = writer * releases + release;
                let folder = world.dir.path().join(format!("job-{number}"));
                fs::create_dir(&folder).unwrap();
                let list = world.add_lines("list.jsonl", number..number + 1);
                fs::rename(list, folder.join("list.jsonl")).unwrap();
                (format!("pack/elsewhere-{number}@1.0.0"), folder)
            });
            let access =
                Access { agent: format!("writer-{writer}"), timeout: Duration::from_secs(1), ..server.access() };
            let state = world.dir.path().join(format!("state-{writer}"));
            let registry = Registry::new(access.store(), world.signing_key(), &state);
            tokio::spawn(work(registry, world.options.clone(), jobs.collect()))
        })
        .collect();
    let mut acknowledged = Acknowledged::new();
    let mut committed = BTreeMap::new();
    let mut again = 0;
    for (writer, task) in tasks.into_iter().enumerate() {
        let (done, failed) = task.await.unwrap();
        again += failed;
        for (name, generation, new) in done {
            acknowledged.insert(name.clone(), (writer as u64, generation));
            if new {
                let twice = committed.insert(generation, name);
                assert!(twice.is_none(), "generation {generation} was acknowledged twice");
            }
        }
    }
    let elapsed = began.elapsed();
    let (struck, total) = (server.struck(), writers * releases);
    server.heal();

    // The log is one chain, and each commit added one release.
    let objects = server.objects();
    let slots = objects.keys().filter(|k| k.starts_with("log/")).count() as u64;
    assert_eq!(slots, total + 1, "each release was committed once");
    for generation in 0..slots {
        second_reader::snapshot_link(&objects, generation);
    }
    let found = second_reader::read(&objects);
    assert_eq!(found.generation, total);
    let lost: Vec<_> = acknowledged.keys().filter(|name| !found.records.contains_key(*name)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!((acknowledged.len() as u64, found.records.len() as u64), (total, total));
    server.assert_fair();

    let requests = server.take_log();
    let claims = claims(&requests, &acknowledged);
    let at = |of_1000: usize| claims[(claims.len() * of_1000 / 1000).min(claims.len() - 1)];
    println!(
        "{writers} writers x {releases} releases in {elapsed:.1?}, {} requests, {struck} of {} claims struck, {again} jobs started again, {} objects rewritten; claims per commit: p50 {}, p99 {}, max {}",
        requests.len(),
        requests.iter().filter(|e| is_claim(e)).count(),
        server.rewrites().len(),
        at(500),
        at(990),
        at(1000)
    );
}

fn is_claim(entry: &crate::support::s3::Entry) -> bool {
    entry.op == Op::Put && entry.key.starts_with("log/")
}

/// How many claims each commit took, sorted. A writer's claims between two of its generations are those of the second.
fn claims(requests: &[crate::support::s3::Entry], acknowledged: &Acknowledged) -> Vec<u64> {
    let mut ends: BTreeMap<(u64, u64), u64> = acknowledged.values().map(|key| (*key, 0)).collect();
    for entry in requests.iter().filter(|e| is_claim(e)) {
        let writer: u64 = entry.agent.trim_start_matches("writer-").parse().unwrap();
        let generation: u64 = entry.key["log/".len()..].parse().unwrap();
        if let Some((_, count)) = ends.range_mut((writer, generation)..(writer + 1, 0)).next() {
            *count += 1;
        }
    }
    let mut claims: Vec<u64> = ends.into_values().collect();
    claims.sort_unstable();
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_writers_and_unclear_answers_lose_nothing() {
    race(Size { writers: 32, releases: 6, seed: 1 }).await;
}

/// `cargo test --test it s3::writers -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "1,600 commits take over a minute"]
async fn thirty_two_writers_of_fifty_releases_each() {
    race(Size { writers: 32, releases: 50, seed: 7 }).await;
}
