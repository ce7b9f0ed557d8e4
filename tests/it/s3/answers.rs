//! Answers that are wrong, late or missing, to each kind of request of a build: nothing is lost, and nothing is said to be
//! done twice.

use crate::support::{
    s3::{Access, Effect, Fault, Op, S3},
    second_reader::Found,
    world::World,
};
use ggen_marketplace::{ErrorKind, Registry, Report, Result};
use std::{path::PathBuf, time::Duration};

const STALL: Duration = Duration::from_millis(3600);

/// Shorter than a stall, and long enough for a busy machine. Only those who meet a stall are so impatient.
const TIMEOUT: Duration = Duration::from_millis(2400);

/// Publishers of the same packages into servers of their own.
struct Desk {
    world: World,
    goal: Found,
}

impl Desk {
    async fn new() -> Self {
        let world = World::without_registry();
        world.add_crate("alpha", "1.0.0", "a");
        world.add_pack("gamma", "1.0.0", "g");
        world.add_lines("elsewhere.jsonl", 0..20);
        let server = S3::start().await;
        let registry = world.registry_in(server.store());
        registry.init(&world.options).await.unwrap();
        registry.build(&[world.sources()], &world.options).await.unwrap();
        let goal = server.found();
        assert_eq!((goal.generation, goal.records.len()), (1, 22));
        Self { world, goal }
    }

    /// An empty registry, and a writer who tries so often again by itself.
    async fn open(&self, retries: usize, effect: Effect) -> (S3, Registry) {
        let server = S3::start().await;
        self.writer(&server, server.access()).init(&self.world.options).await.unwrap();
        let mut access = Access { retries, ..server.access() };
        if matches!(effect, Effect::StallBefore(_) | Effect::StallAfter(_)) {
            access.timeout = TIMEOUT;
        }
        let registry = self.writer(&server, access);
        (server, registry)
    }

    /// Each server has a history of its own, and so has the trust state.
    fn writer(&self, server: &S3, access: Access) -> Registry {
        let state = self.world.dir.path().join(server.url.replace(['/', ':'], "-"));
        Registry::new(access.store(), self.world.signing_key(), &state)
    }

    async fn build(&self, registry: &Registry) -> Result<Report> {
        let sources: PathBuf = self.world.sources();
        registry.build(&[sources], &self.world.options).await
    }

    /// Builds, and builds again; gives what the first one said.
    async fn twice(&self, server: &S3, registry: &Registry, what: &str) -> Result<Report> {
        let first = self.build(registry).await;
        assert!(server.struck() > 0, "{what}: it never came to that");
        if let Err(e) = &first {
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{what}: {}", e.chain());
        }
        server.heal();
        let between = server.found();
        if first.is_ok() {
            assert_eq!((&between.index, between.generation), (&self.goal.index, 1), "{what}: acknowledged, and lost");
        }
        let patient = self.writer(server, server.access());
        let second = self.build(&patient).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
        let acknowledged = u32::from(first.as_ref().is_ok_and(|r| r.committed)) + u32::from(second.committed);
        assert!(acknowledged <= 1, "{what}: acknowledged twice");
        assert_eq!(second.unchanged + second.added, 22, "{what}");
        // A request that stalled may take effect only now.
        tokio::time::sleep(if what.contains("Stall") { STALL } else { Duration::ZERO }).await;
        let found = server.found();
        assert_eq!((&found.index, found.generation), (&self.goal.index, 1), "{what}");
        assert!(!server.objects().contains_key("log/0000000002"), "{what}: committed twice");
        server.assert_fair();
        first
    }
}

const EFFECTS: &[Effect] = &[
    Effect::Answer(500),
    Effect::Answer(503),
    Effect::Answer(409),
    Effect::Drop,
    Effect::AnswerAfter(500),
    Effect::AnswerAfter(503),
    Effect::DropAfter,
    Effect::StallBefore(STALL),
    Effect::StallAfter(STALL),
];

/// A slot whose answer is unclear is looked at (I4): the run itself finds out, with the client's retries and without.
#[tokio::test(flavor = "multi_thread")]
async fn f31_f34_an_unclear_answer_to_the_slot_is_cleared_up_by_the_run_itself() {
    let desk = Desk::new().await;
    let desk = &desk;
    let cases = EFFECTS.iter().flat_map(|effect| [0, 3].map(|retries| (*effect, retries)));
    let cases = cases.map(|(effect, retries)| async move {
        let what = format!("{effect:?} to the slot, {retries} retries");
        let (server, registry) = desk.open(retries, effect).await;
        server.fault(Fault::new(effect).on(&[Op::Put]).keys(|k| k == "log/0000000001").first(1));
        let report = desk.twice(&server, &registry, &what).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
        assert!(report.committed && report.generation == 1, "{what}");
    });
    futures::future::join_all(cases).await;
}

/// Without an end of the trouble the run ends, says that it does not know, and what it says is true.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_never_answered_properly() {
    let desk = Desk::new().await;
    for effect in [Effect::AnswerAfter(500), Effect::DropAfter] {
        let (server, registry) = desk.open(0, effect).await;
        server.fault(Fault::new(effect).on(&[Op::Put]).keys(|k| k == "log/0000000001"));
        // It took effect the first time, and reading it back says so.
        assert!(desk.twice(&server, &registry, &format!("{effect:?} always")).await.unwrap().committed);
    }
    for effect in [Effect::Answer(503), Effect::Drop] {
        let (server, registry) = desk.open(0, effect).await;
        server.fault(Fault::new(effect).on(&[Op::Put]).keys(|k| k == "log/0000000001"));
        let e = desk.twice(&server, &registry, &format!("{effect:?} always")).await.unwrap_err();
        assert!(e.to_string().contains("could not commit generation 1"), "{}", e.chain());
    }
    // Nor can it be read back, for a while.
    let (server, registry) = desk.open(0, Effect::DropAfter).await;
    server.fault(Fault::new(Effect::DropAfter).on(&[Op::Put]).keys(|k| k == "log/0000000001"));
    for (n, effect) in [Effect::Answer(500), Effect::Drop, Effect::CutBody].into_iter().enumerate() {
        // The first two look for the end of the log before the claim.
        server.fault(Fault::new(effect).on(&[Op::Get]).keys(|k| k == "log/0000000001").nth(2 + n));
    }
    assert!(desk.twice(&server, &registry, "no reading back").await.unwrap().committed);
}

/// A claim is not sent again before the slot was looked at (I4): a client that retried by itself would be told of its own success
/// as of another's.
#[tokio::test(flavor = "multi_thread")]
async fn i4_a_claim_is_not_repeated_blindly() {
    let desk = Desk::new().await;
    for effect in [Effect::Answer(503), Effect::AnswerAfter(500), Effect::Drop] {
        let (server, registry) = desk.open(3, effect).await;
        server.take_log();
        server.fault(Fault::new(effect).on(&[Op::Put]).keys(|k| k == "log/0000000001").first(2));
        assert!(desk.build(&registry).await.unwrap().committed);
        let log = server.take_log();
        let asked: Vec<Op> = log.iter().filter(|e| e.key == "log/0000000001").map(|e| e.op).collect();
        let claims = asked.iter().filter(|op| **op == Op::Put).count();
        assert!(claims >= 1 && asked.windows(2).all(|pair| pair != [Op::Put, Op::Put]), "{effect:?}: {asked:?}");
    }
}

/// A trouble elsewhere may end the run. What it says is then true, and a plain run goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_any_other_request_ends_the_run_or_not_and_loses_nothing() {
    let desk = Desk::new().await;
    let desk = &desk;
    let mut cases = Vec::new();
    for &effect in EFFECTS {
        for retries in [0, 3] {
            for (key, n) in [("checkpoint", 0), ("blobs/", 0), ("blobs/", 3), ("blobs/", 6)] {
                cases.push((effect, retries, Op::Put, key, n));
            }
        }
    }
    for effect in [Effect::Answer(500), Effect::Answer(503), Effect::Drop, Effect::CutBody] {
        for retries in [0, 3] {
            for n in 0..4 {
                cases.push((effect, retries, Op::Get, "", n));
            }
            if retries == 0 {
                // (The other client sends what is small unasked.)
                cases.push((effect, retries, Op::Head, "", 1));
            }
        }
    }
    let cases: Vec<_> = cases
        .into_iter()
        .map(|(effect, retries, op, key, n)| async move {
            let what = format!("{effect:?} to {op:?} {key} no. {n}, {retries} retries");
            let (server, registry) = desk.open(retries, effect).await;
            server.fault(Fault::new(effect).on(&[op]).below(key).nth(n));
            let first = desk.twice(&server, &registry, &what).await;
            // Whatever is answered with a 5xx is tried again, and so is a write that changes nothing when it is repeated.
            let again = matches!(effect, Effect::Answer(500 | 503) | Effect::AnswerAfter(_));
            assert!(first.is_ok() || retries == 0 || !again, "{what}: {}", first.unwrap_err().chain());
        })
        .collect();
    // Each has stalls to wait for, so they go side by side; and not all at once, for the sake of the timeout.
    use futures::StreamExt;
    futures::stream::iter(cases).buffer_unordered(8).collect::<Vec<()>>().await;
}

/// An archive that goes up in parts: a run that fails leaves no parts behind, and none is ever visible in part.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_an_upload_in_parts_leaves_nothing_behind() {
    let world = World::without_registry();
    // Does not compress: 9 MiB are two parts.
    let mut noise = vec![0; 9 * 1024 * 1024];
    getrandom::fill(&mut noise).unwrap();
    world.add_crate("large", "1.0.0", &hex::encode(noise));
    for effect in [Effect::Drop, Effect::AnswerAfter(500)] {
        for op in [Op::CreateUpload, Op::UploadPart, Op::CompleteUpload] {
            for retries in [0, 3] {
                let what = format!("{effect:?} to {op:?}, {retries} retries");
                let server = S3::start().await;
                let state = world.dir.path().join(&what);
                let writer = |retries| {
                    let store = Access { retries, ..server.access() }.store();
                    Registry::new(store, world.signing_key(), &state)
                };
                writer(0).init(&world.options).await.unwrap();
                server.fault(Fault::new(effect).on(&[op]).first(1));
                let first = writer(retries).build(&[world.sources()], &world.options).await;
                assert!(server.struck() > 0, "{what}");
                let done = effect == Effect::AnswerAfter(500);
                // Whether an upload took effect can be found out; and what is begun under a name that nobody was told of, stays.
                let known = retries > 0 || done && op == Op::CompleteUpload;
                assert_eq!(first.is_ok(), known, "{what}: {:?}", first.map_err(|e| e.chain()));
                assert_eq!(server.open_uploads(), usize::from(done && op == Op::CreateUpload), "{what}");
                server.heal();
                let report = writer(0).build(&[world.sources()], &world.options).await.unwrap();
                assert_eq!(report.added + report.unchanged, 1, "{what}");
                assert_eq!((server.found().generation, server.found().records.len()), (1, 1), "{what}");
                server.assert_fair();
            }
        }
    }
}

/// S3 says 403 of what is absent to those who may not list: that is no registry, and no answer to whether one is there.
#[tokio::test(flavor = "multi_thread")]
async fn f19_a_store_that_says_403_of_what_is_absent_is_not_taken_for_a_registry() {
    let world = World::without_registry();
    let server = S3::with(|s| s.absent_is_forbidden = true).await;
    let e = world.registry_in(server.store()).init(&world.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Io, "{}", e.chain());
    assert!(e.to_string().contains("log/0000000000") && e.hint().is_some(), "{}", e.chain());
    assert!(server.objects().is_empty());
}
