//! What the main paths cost, counted and never timed: requests, objects and bytes written, and allocations. A bound here lies a
//! quarter or so above what was counted when it was set; who makes something dearer meets it, and either finds out why or
//! raises it knowingly.
//!
//! Allocations are those of the thread that asks. On a runtime of one thread that is all of the work but what goes to the
//! pool of processors by itself (rayon) and reading files.

use crate::support::world::World;
use allocation_counter::measure;
use ggen_marketplace::{
    Client, ClientOptions, MirrorOptions, Registry, SearchMode, SearchRequest, Store, View, ViewOptions,
    package::{Kind, PackageId, Sha256},
    resolve::Want,
};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    hint::black_box,
    io::{BufWriter, Write as _},
};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The future's allocations on this thread.
fn allocations<T>(runtime: &Runtime, work: impl Future<Output = T>) -> (T, u64) {
    let mut out = None;
    let counted = measure(|| out = Some(runtime.block_on(work)));
    (out.unwrap(), counted.count_total)
}

/// Holds a count to its bound, and to be more than nothing: a counter that counts no more is no guard.
#[track_caller]
fn within(what: &str, count: u64, bound: u64) {
    println!("{what}: {count} (at most {bound})");
    assert!(count > 0 && count <= bound, "{what}: {count} of at most {bound}");
}

fn elsewhere(number: u64) -> PackageId {
    PackageId::new(Kind::Pack, &format!("elsewhere-{number}").parse().unwrap()).unwrap()
}

/// Allocations of a first build of so many records, of a second one with nothing new, and of one release more. In a store that
/// counts and checks nothing: what the referee allocates would be counted as well.
fn allocations_of_builds(records: u64) -> [u64; 3] {
    let runtime = runtime();
    let world = World::without_registry();
    let store = Store::open("memory:").unwrap();
    let state = world.dir.path().join("state");
    let registry = || Registry::new(store.clone(), world.signing_key(), &state);
    runtime.block_on(registry().init(&world.options)).unwrap();
    let list = world.add_lines("list.jsonl", 0..records);
    let build = || {
        let (report, count) = allocations(&runtime, registry().build(&[world.sources()], &world.options));
        (report.unwrap(), count)
    };
    let (first, a) = build();
    let (second, b) = build();
    fs::remove_file(list).unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    let (third, c) = build();
    assert_eq!([first.added, second.added, third.added], [records, 0, 1]);
    [a, b, c]
}

#[test]
fn builds_allocate_for_what_they_do_and_not_for_what_is_there() {
    let [first, idle, one] = allocations_of_builds(5_000);
    within("allocations of a first build, for each of 5,000 records", first / 5_000, 120);
    within("allocations of a build with nothing new, of 5,000 records", idle, 52_000);
    within("allocations of one release more, in a registry of 5,000", one, 4_200);
    let [_, _, in_small] = allocations_of_builds(500);
    within("the same in a registry of 500", in_small, 3_800);
    assert!(one < 2 * in_small, "{one} and {in_small}");
}

#[test]
fn a_build_a_repetition_and_one_release_more() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let list = world.add_lines("list.jsonl", 0..5_000);
    let report = runtime.block_on(world.build()).unwrap();
    within("objects of 5,000 records", report.puts, 45);
    within("bytes of 5,000 records", report.bytes, 690_000);
    world.referee.take_reads();

    assert_eq!(runtime.block_on(world.build()).unwrap().puts, 0);
    within("requests of a build with nothing new", world.referee.take_reads().len() as u64, 44);

    fs::remove_file(list).unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    let report = runtime.block_on(world.build()).unwrap();
    within("requests of one release more", world.referee.take_reads().len() as u64, 12);
    within("objects of one release more", report.puts, 8);
    within("bytes of one release more", report.bytes, 21_000);
}

/// A list of so many packages, each with a readme of 9 kB that no other one has.
fn write_readmes(world: &World, packages: u64) {
    let mut out = BufWriter::new(fs::File::create(world.sources().join("readmes.jsonl")).unwrap());
    for number in 0..packages {
        let sha256 = Sha256::of(&number.to_be_bytes());
        // Hardly compressible, as quickly as it can be made.
        let readme: String =
            (0..140u64).map(|i| Sha256::of(&(number * 1000 + i).to_be_bytes()).to_string() + "\n").collect();
        let readme = readme.replace('\n', "\\n");
        writeln!(out, r#"{{"name":"read-{number}","version":"1.0.0","summary":"One","readme":"{readme}","sha256":"{sha256}","size":1,"download_url":"https://example.com/1"}}"#).unwrap();
    }
}

/// Objects and bytes of one release more where each has much to read; and that a build with nothing new reads no detail.
fn one_more_with_details(packages: u64) -> (u64, u64) {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    write_readmes(&world, packages);
    let first = runtime.block_on(world.build()).unwrap();
    assert_eq!(first.added, packages);
    let found = world.found();
    let leaves: BTreeSet<&String> = found.leaves.values().collect();
    // Nine of ten leaves are between a half and the whole of what they may be.
    within("leaves of details, for each MiB", leaves.len() as u64 * 1024 / (packages * 9), 9);
    world.referee.take_reads();
    assert_eq!(runtime.block_on(world.build()).unwrap().puts, 0);
    assert!(!world.referee.take_reads().iter().any(|key| leaves.contains(key)), "a detail was read for nothing");
    world.add_readme("one-more", "1.0.0", 9_000);
    let report = runtime.block_on(world.build()).unwrap();
    assert_eq!(report.added, 1);
    world.referee.assert_fair();
    (report.puts, report.bytes)
}

#[test]
fn one_release_more_costs_a_leaf_of_details_however_many_there_are() {
    let (few, _) = one_more_with_details(100);
    let (many, bytes) = one_more_with_details(2_000);
    within("objects of one release more, among 100 with 9 kB to read", few, 12);
    within("the same among 2,000", many, 13);
    within("bytes of it", bytes, 250_000);
    assert!(few.abs_diff(many) <= 2, "{few} and {many}");
}

#[test]
fn views_of_one_release_more() {
    let runtime = runtime();
    let mut world = runtime.block_on(World::new());
    let views = [View::Cargo, View::Plain, View::Ggen, View::Site];
    world.options.views = Some(ViewOptions::new(&views, Some("https://packages.example.com")).unwrap());
    for i in 0..60 {
        world.add_crate(&format!("crate-{i}"), "1.0.0", "text");
    }
    runtime.block_on(world.build()).unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    world.referee.take_writes();
    runtime.block_on(world.build()).unwrap();
    within("objects and files of one release more, with all views", world.referee.take_writes().len() as u64, 45);
}

#[test]
fn a_lookup() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    world.add_lines("list.jsonl", 0..2_000);
    runtime.block_on(world.build()).unwrap();
    let wanted = elsewhere(77);
    world.referee.take_reads();
    let cold = async {
        let newest = world.client().latest().await.unwrap();
        newest.package(&wanted).await.unwrap().unwrap();
        newest
    };
    let (newest, count) = allocations(&runtime, cold);
    assert_eq!(world.referee.take_reads().len(), 3, "checkpoint, snapshot, shard");
    within("allocations of a cold lookup", count, 1_700);
    let warm = async {
        for _ in 0..100 {
            black_box(newest.package(&wanted).await.unwrap());
        }
    };
    let ((), count) = allocations(&runtime, warm);
    assert!(world.referee.take_reads().is_empty());
    within("allocations of 100 warm lookups", count, 260);
}

/// What a client keeps in memory is no more than it may keep and what the caches take for themselves, however much it looks at.
#[test]
fn memory_of_lookups() {
    const COUNT: u64 = 20_000;
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    world.add_lines("list.jsonl", 0..COUNT);
    runtime.block_on(world.build()).unwrap();
    let ids: Vec<_> = (0..COUNT).map(elsewhere).collect();
    let held = |memory: u64| {
        let client = world.client_with(|o| (o.memory, o.cache) = (memory, None));
        let newest = runtime.block_on(client.latest()).unwrap();
        let counted = measure(|| {
            let found = runtime.block_on(newest.get_many(&ids)).unwrap();
            assert!(found.iter().all(Option::is_some));
        });
        u64::try_from(counted.bytes_current).unwrap()
    };
    within("bytes kept of 1 MiB after 20,000 lookups", held(1 << 20), 6 << 20);
    let all = held(1 << 30);
    println!("bytes kept where there is room: {all}");
    assert!(all > 9 << 20, "{all}: then there was nothing to let go");
}

#[test]
fn a_search() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    world.add_lines("list.jsonl", 0..2_000);
    runtime.block_on(world.build()).unwrap();
    let client = world.client_with(|o| o.memory = 0);
    let newest = runtime.block_on(client.latest()).unwrap();
    let searcher = runtime.block_on(newest.searcher(SearchMode::Local)).unwrap();
    for (question, bound) in [("elsewhere-1234", 340), ("number 77", 110), ("elsew", 180), ("elsewere-77", 220)] {
        let request = SearchRequest::new(question);
        // The first question also opens what it needs.
        runtime.block_on(searcher.search(&request)).unwrap();
        let (results, count) = allocations(&runtime, searcher.search(&request));
        assert!(!results.unwrap().hits.is_empty(), "{question}");
        within(&format!("allocations of the question {question:?}"), count, bound);
    }
}

/// Fifty crates, each of which needs the two after the next; ten versions of each.
fn graph(world: &World) {
    let mut text = String::new();
    for number in 0..60 {
        for version in 0..10 {
            let needs = |n: u32| format!(r#"{{"name":"c{n}","req":"^1.{}"}}"#, version / 2);
            let dependencies: Vec<_> = [number + 2, number + 3].into_iter().filter(|n| *n < 60).map(needs).collect();
            writeln!(
                text,
                r#"{{"kind":"crate","name":"c{number}","version":"1.{version}.0","dependencies":[{}],"format":"crate","sha256":"{}","size":1,"download_url":"https://example.com/c{number}-{version}.crate"}}"#,
                dependencies.join(","),
                Sha256::of(format!("{number}.{version}").as_bytes()),
            )
            .unwrap();
        }
    }
    fs::write(world.sources().join("graph.jsonl"), text).unwrap();
}

#[test]
fn resolving() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    graph(&world);
    runtime.block_on(world.build()).unwrap();
    let client = world.client();
    let wants: Vec<Want> = (0..50).map(|n| format!("crate:c{n}").parse().unwrap()).collect();
    let resolve = || client.resolve().wants(wants.iter().cloned()).run();
    world.referee.take_reads();
    assert_eq!(runtime.block_on(resolve()).unwrap().packages.len(), 60);
    within("requests of a cold resolution", world.referee.take_reads().len() as u64, 8);
    let (found, count) = allocations(&runtime, resolve());
    assert_eq!(found.unwrap().packages.len(), 60);
    within("allocations of a warm resolution of 50 wanted", count, 3_500);
}

#[test]
fn a_mirror_and_an_audit() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    world.add_lines("list.jsonl", 0..2_000);
    runtime.block_on(world.build()).unwrap();
    let to = tempfile::tempdir().unwrap();
    let to = Store::create(to.path().to_str().unwrap()).unwrap();
    let client =
        || Client::new(world.referee.store(), std::slice::from_ref(&world.key), ClientOptions::default()).unwrap();
    world.referee.take_reads();
    let copied = runtime.block_on(client().mirror(&to, &MirrorOptions::default())).unwrap();
    let objects = world.referee.objects().len() as u64;
    // Each object once, and what may come after the newest.
    within("requests of a mirror", world.referee.take_reads().len() as u64, objects + 2);
    assert!(copied.objects <= objects, "{} of {objects}", copied.objects);
    runtime.block_on(client().mirror(&to, &MirrorOptions::default())).unwrap();
    within("requests of a mirror with nothing new", world.referee.take_reads().len() as u64, 2);
}
