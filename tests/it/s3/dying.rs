//! A writer that dies: before a write, after it, or half-way through its body, at each write of init, build, yank and refresh. A
//! plain run afterwards ends where a run without trouble ends.

use crate::support::{
    s3::{Effect, Fault, Op, S3},
    second_reader::{self, Found},
    world::World,
};
use ggen_marketplace::{
    ErrorKind, Registry, Report, Result,
    package::{Kind, PackageId},
};

const DEATHS: [Effect; 3] = [Effect::DieBefore, Effect::DieHalfway, Effect::DieAfter];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Init,
    Build,
    Yank,
    Refresh,
}

fn desk() -> World {
    let world = World::without_registry();
    world.add_crate("alpha", "1.0.0", "a");
    world.add_pack("gamma", "1.0.0", "g");
    world.add_lines("elsewhere.jsonl", 0..20);
    world
}

async fn init(world: &World, registry: &Registry) -> Result<()> {
    registry.init(&world.options).await
}

async fn build(world: &World, registry: &Registry) -> Result<Report> {
    registry.build(&[world.sources()], &world.options).await
}

async fn yank(world: &World, registry: &Registry) -> Result<Report> {
    let alpha = PackageId::new(Kind::Crate, &"alpha".parse().unwrap()).unwrap();
    registry.yank(&alpha, &"1.0.0".parse().unwrap(), Some("it eats files"), &world.options).await
}

/// Everything up to that verb, without trouble.
async fn before(verb: Verb, world: &World, registry: &Registry) {
    if verb != Verb::Init {
        init(world, registry).await.unwrap();
    }
    if matches!(verb, Verb::Yank | Verb::Refresh) {
        build(world, registry).await.unwrap();
    }
}

async fn run(verb: Verb, world: &World, registry: &Registry) -> Result<()> {
    match verb {
        Verb::Init => init(world, registry).await,
        Verb::Build => build(world, registry).await.map(drop),
        Verb::Yank => yank(world, registry).await.map(drop),
        Verb::Refresh => registry.refresh(&world.options).await.map(drop),
    }
}

/// The state after the verb, and how many writes it took.
async fn uncut(verb: Verb, world: &World) -> (Found, usize) {
    let server = S3::start().await;
    let registry =
        Registry::new(server.store(), world.signing_key(), &world.dir.path().join(format!("uncut {verb:?}")));
    before(verb, world, &registry).await;
    server.take_log();
    run(verb, world, &registry).await.unwrap();
    let writes = server.take_log().iter().filter(|e| Op::WRITES.contains(&e.op)).count();
    (server.found(), writes)
}

async fn dies_everywhere(verb: Verb, least: usize) {
    let world = desk();
    let (goal, writes) = uncut(verb, &world).await;
    assert!(writes >= least, "{verb:?} takes {writes} writes");
    for step in 0..writes {
        for death in DEATHS {
            let what = format!("{verb:?} dies: {death:?} at write {step} of {writes}");
            let server = S3::start().await;
            let registry = || {
                let state = world.dir.path().join(format!("{verb:?} {death:?} {step}"));
                Registry::new(server.store(), world.signing_key(), &state)
            };
            before(verb, &world, &registry()).await;
            server.take_log();
            let known = server.objects();
            server.fault(Fault::new(death).on_writes().nth(step));
            let died = run(verb, &world, &registry()).await;
            assert!(died.is_err(), "{what}");
            let at = server.take_log().into_iter().rfind(|e| Op::WRITES.contains(&e.op)).unwrap();
            // Creating anew what exists, to see that the store refuses it, never has an effect.
            let tried_out = at.key.starts_with("log/") && known.contains_key(&at.key);
            assert_eq!(at.done, death == Effect::DieAfter && !tried_out, "{what}");
            server.heal();
            whole(&server, &what);

            let again = run(verb, &world, &registry()).await;
            if verb == Verb::Init {
                // A registry that stands is not made again; what init left undone, the next build does.
                assert!(
                    again.as_ref().is_ok_and(|()| true) || again.unwrap_err().kind() == ErrorKind::Invalid,
                    "{what}"
                );
                build(&world, &registry()).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
                assert_eq!(second_reader::read_slot(&server.objects(), 0).index, goal.index, "{what}");
            } else {
                again.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
                let found = server.found();
                assert_eq!(found.index, goal.index, "{what}");
                // One that died when it was done is no reason not to renew once more.
                let more = found.generation - goal.generation;
                assert!(more == 0 || verb == Verb::Refresh && more == 1, "{what}: {more} generations more");
            }
            whole(&server, &what);
            // Nothing that stayed is written again.
            assert_eq!((server.rewrites().len(), server.open_uploads()), (0, 0), "{what}");
        }
    }
}

/// Every slot that is there can be read to its last object, and so can what the checkpoint names.
fn whole(server: &S3, what: &str) {
    server.assert_fair();
    let objects = server.objects();
    let slots = objects.keys().filter(|k| k.starts_with("log/")).count() as u64;
    for generation in 0..slots {
        second_reader::read_slot(&objects, generation);
    }
    if objects.contains_key("checkpoint") {
        let pointed = second_reader::read(&objects).generation;
        assert!(pointed + 1 >= slots.saturating_sub(1) && pointed < slots, "{what}: {pointed} of {slots}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_init() {
    dies_everywhere(Verb::Init, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_a_build() {
    dies_everywhere(Verb::Build, 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_a_yank() {
    dies_everywhere(Verb::Yank, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_a_refresh() {
    dies_everywhere(Verb::Refresh, 2).await;
}
