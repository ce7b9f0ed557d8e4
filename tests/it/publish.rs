//! The writer's invariants, by their names in the safety page: what a build writes, in which order, and what a crash or a
//! rival at any point does to it.

mod amounts;
mod details;
mod early;
mod pointer;

use super::support::{
    referee::{Fault, Referee},
    second_reader,
    world::World,
};
use ggen_marketplace::{BuildOptions, ErrorKind, Store, package::Timestamp};
use std::{collections::BTreeSet, fs, time::Duration};

fn classes(keys: &[String]) -> Vec<&str> {
    keys.iter().map(|k| k.split('/').next().unwrap_or(k)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_i5_the_exact_puts_of_a_first_an_unchanged_and_a_one_release_build() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.add_crate("beta", "1.0.0", "b");
    world.add_pack("gamma", "1.0.0", "g");
    world.add_lines("elsewhere.jsonl", 0..5);
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.refused.len(), report.generation), (8, 0, 1));
    let writes = world.referee.take_writes();
    // Three archives, one shard, one leaf of details, one change list, one search bundle, one snapshot; then the slot, then
    // the checkpoint.
    assert_eq!(writes.len(), 10, "{writes:#?}");
    assert_eq!(classes(&writes)[..8], ["blobs"; 8]);
    assert_eq!(writes[8..], ["log/0000000001", "checkpoint"]);
    assert_eq!(report.puts, 10);

    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.unchanged, report.committed, report.puts), (0, 8, false, 0));
    assert_eq!(world.referee.take_writes(), [""; 0], "an unchanged build puts nothing at all (I5)");

    world.add_crate("alpha", "1.1.0", "a, improved");
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.unchanged, report.puts), (1, 8, 8));
    assert_eq!(
        classes(&world.referee.take_writes()),
        ["blobs", "blobs", "blobs", "blobs", "blobs", "blobs", "log", "checkpoint"]
    );
    world.referee.assert_fair();
    assert_eq!(world.found().records.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_nothing_is_cited_before_it_is_there_whatever_the_size() {
    let world = World::new().await;
    world.add_lines("many.jsonl", 0..60_000);
    world.build().await.unwrap();
    world.referee.assert_fair();
    let found = world.found();
    assert_eq!(found.records.len(), 60_000);
    assert!(found.index.as_array().unwrap().len() > 100);
}

/// Every write of a build, with a crash before and after it: a plain run afterwards reaches the state that a run without a
/// crash reaches, and on the way readers see the old state or the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_loses_nothing_and_a_plain_run_resumes() {
    let uncut = World::new().await;
    fill(&uncut);
    uncut.build().await.unwrap();
    let (goal, steps) = (uncut.found(), uncut.referee.take_writes().len());
    assert!(steps >= 10);
    for step in 0..steps {
        for fault in [Fault::DieBefore(step), Fault::DieAfter(step)] {
            let mut world = World::new().await;
            fill(&world);
            world.options = uncut.options.clone();
            world.referee.set_fault(Some(fault));
            let died = world.build().await;
            assert!(died.is_err() || fault == Fault::DieAfter(steps - 1), "{fault:?}");
            world.referee.set_fault(None);
            let between = world.found();
            assert!(between.generation <= 1, "{fault:?}");
            assert_eq!(
                between.records.len(),
                if between.generation == 1 { goal.records.len() } else { 0 },
                "{fault:?}"
            );
            let done = world.referee.objects().len();
            let report = world.build().await.unwrap();
            let found = world.found();
            assert_eq!((&found.index, found.generation), (&goal.index, 1), "{fault:?}");
            // Nothing is uploaded twice: every write of the second run is of a key that was not there. (The referee calls a
            // foul on any rewritten object; only the pointer may be written again.)
            assert!(world.referee.objects().len() >= done + usize::from(report.puts > 1), "{fault:?}");
            world.referee.assert_fair();
        }
    }
}

fn fill(world: &World) {
    world.add_crate("alpha", "1.0.0", "a");
    world.add_pack("gamma", "1.0.0", "g");
    world.add_lines("elsewhere.jsonl", 0..400);
}

#[tokio::test(flavor = "multi_thread")]
async fn i3_i4_a_commit_whose_answer_is_lost_is_neither_failed_nor_doubled() {
    let world = World::new().await;
    fill(&world);
    let slot_at = {
        let probe = World::new().await;
        fill(&probe);
        probe.build().await.unwrap();
        probe.referee.take_writes().iter().position(|k| k.starts_with("log/")).unwrap()
    };
    // It took effect, and the connection broke before the answer: it is ours, and said so.
    world.referee.set_fault(Some(Fault::FailAfter(slot_at)));
    let report = world.build().await.unwrap();
    assert!(report.committed);
    assert_eq!(world.found().generation, 1);
    // It did not take effect: the same claim is tried again.
    world.add_crate("alpha", "1.0.1", "b");
    world.referee.set_fault(Some(Fault::FailBefore(6)));
    assert!(world.build().await.unwrap().committed);
    let writes = world.referee.take_writes();
    assert_eq!(writes.iter().filter(|k| k.starts_with("log/")).count(), 2, "{writes:#?}");
    assert_eq!(world.found().generation, 2);
    world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_pointer_is_said_to_be_just_that_and_the_next_run_mends_it() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.referee.set_fault(Some(Fault::FailBefore(7)));
    let e = world.build().await.unwrap_err();
    assert!(e.to_string().contains("generation 1 is committed, but readers do not see it yet"), "{e}");
    assert_eq!(world.found().generation, 0);
    world.referee.set_fault(None);
    let report = world.build().await.unwrap();
    assert_eq!((report.committed, report.unchanged), (false, 1));
    assert_eq!(world.referee.take_writes(), ["checkpoint"]);
    assert_eq!(world.found().generation, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_writers_who_race_all_land_and_nothing_is_lost() {
    const WRITERS: u64 = 12;
    let world = World::new().await;
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let folder = world.dir.path().join(format!("from-{writer}"));
        fs::create_dir(&folder).unwrap();
        let file = world.add_lines(&format!("w{writer}.jsonl"), writer * 10..writer * 10 + 10);
        fs::rename(&file, folder.join("list.jsonl")).unwrap();
        let (registry, options) = (world.registry(), world.options.clone());
        tasks.push(tokio::spawn(async move { registry.build(&[folder], &options).await }));
    }
    let mut generations = BTreeSet::new();
    for task in tasks {
        let report = task.await.unwrap().unwrap();
        assert_eq!((report.added, report.committed), (10, true));
        assert!(generations.insert(report.generation), "generation {} was acknowledged twice", report.generation);
    }
    assert_eq!(generations, (1..=WRITERS).collect());
    let found = world.found();
    assert_eq!((found.generation, found.records.len()), (WRITERS, 120));
    world.referee.assert_fair();
    // And the tree is the one that a single writer would have made.
    let mut alone = World::new().await;
    alone.add_lines("all.jsonl", 0..120);
    alone.options = world.options.clone();
    alone.build().await.unwrap();
    assert_eq!(alone.found().index, found.index);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_publish_wins_and_both_digests_are_named() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "first");
    world.build().await.unwrap();
    let before = world.found().records["crate/alpha@1.0.0"].clone();
    world.add_crate("alpha", "1.0.0", "second");
    world.add_crate("beta", "1.0.0", "rides along");
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.refused.len()), (1, 1));
    let refusal = &report.refused[0];
    assert_eq!(refusal.error.kind(), ErrorKind::Conflict);
    let old = before["archive"]["sha256"].as_str().unwrap();
    let new = second_reader::hex(&fs::read(world.sources().join("alpha-1.0.0.crate")).unwrap());
    let text = refusal.error.to_string();
    assert!(text.contains(old) && text.contains(&new), "{text}");
    assert!(refusal.place.to_string().ends_with("alpha-1.0.0.crate"));
    assert_eq!(world.found().records["crate/alpha@1.0.0"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_by_spelling_and_by_build_metadata_are_refused() {
    let world = World::new().await;
    world.add_crate("foo_bar", "1.0.0", "a");
    world.build().await.unwrap();
    world.add_crate("foo-bar", "1.1.0", "b");
    world.add_crate("foo_bar", "1.0.0+other", "c");
    world.add_pack("foo-bar", "1.0.0", "a pack may share a crate's name");
    let report = world.build().await.unwrap();
    assert_eq!(report.added, 1);
    let texts: Vec<_> = report.refused.iter().map(|r| r.error.to_string()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts.iter().any(|t| t.contains("would be its twin")), "{texts:?}");
    assert!(texts.iter().any(|t| t.contains("differ only in build metadata")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn i9_what_the_sources_lost_stays_or_becomes_a_tombstone_when_asked() {
    let world = World::new().await;
    let path = world.add_crate("alpha", "1.0.0", "a");
    world.add_crate("beta", "1.0.0", "b");
    world.build().await.unwrap();
    fs::remove_file(&path).unwrap();
    assert!(!world.build().await.unwrap().committed, "kept by default");
    let mut delete = world.options.clone();
    delete.delete = true;
    let registry = world.registry();
    // A refused file may hold anything: then nothing is said to be missing.
    fs::write(world.sources().join("broken-1.0.0.crate"), b"no archive").unwrap();
    let report = registry.build(&[world.sources()], &delete).await.unwrap();
    assert!(report.deletion_skipped && report.removed == 0 && report.refused.len() == 1);
    fs::remove_file(world.sources().join("broken-1.0.0.crate")).unwrap();

    let report = registry.build(&[world.sources()], &delete).await.unwrap();
    assert_eq!((report.removed, report.added, report.unchanged), (1, 0, 1));
    let record = world.found().records["crate/alpha@1.0.0"].clone();
    let members: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["archive", "kind", "name", "published", "removed", "v", "version"]);
    let client = world.client();
    let package = client.latest().await.unwrap().find(&"crate:alpha".parse().unwrap()).await.unwrap();
    assert!(package.newest().is_none());
    // Other bytes never take its place; the same ones may come back.
    world.add_crate("alpha", "1.0.0", "an impostor");
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.refused[0].error.kind()), (0, ErrorKind::Conflict));
    world.add_crate("alpha", "1.0.0", "a");
    assert_eq!(world.build().await.unwrap().added, 1);
    assert!(world.found().records["crate/alpha@1.0.0"].get("removed").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yank_and_its_undoing_restore_the_record_to_the_byte() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let before = world.found();
    let registry = world.registry();
    let spec: ggen_marketplace::package::PackageSpec = "crate:alpha@1.0.0".parse().unwrap();
    let (id, version) = (spec.candidates().unwrap().remove(0), spec.version.unwrap());
    let report = registry.yank(&id, &version, Some("it eats files"), &world.options).await.unwrap();
    assert_eq!((report.yanked, report.committed), (1, true));
    assert!(!registry.yank(&id, &version, Some("it eats files"), &world.options).await.unwrap().committed);
    assert_eq!(world.found().records["crate/alpha@1.0.0"]["yanked"]["reason"], "it eats files");
    assert_eq!(registry.unyank(&id, &version, &world.options).await.unwrap().unyanked, 1);
    assert_eq!(world.found().index, before.index);
    let e = registry.yank(&id, &"9.9.9".parse().unwrap(), None, &world.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_run_would_do_and_writes_nothing() {
    let world = World::new().await;
    fill(&world);
    let mut dry = world.options.clone();
    dry.dry_run = true;
    let report = world.registry().build(&[world.sources()], &dry).await.unwrap();
    assert_eq!((report.added, report.committed, report.puts), (402, false, 0));
    assert_eq!(world.referee.take_writes(), [""; 0]);
    let wet = world.build().await.unwrap();
    assert_eq!((wet.added, wet.changes), (report.added, report.changes));
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_i21_a_quiet_registry_is_renewed_before_it_expires_and_time_never_goes_back() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let later = |days: u64| {
        let now = world.options.now.plus(Duration::from_secs(days * 86_400));
        BuildOptions::at(now)
    };
    let registry = world.registry();
    let sources = [world.sources()];
    world.referee.take_writes();
    assert!(!registry.build(&sources, &later(3)).await.unwrap().committed);
    let renewed = registry.build(&sources, &later(5)).await.unwrap();
    assert_eq!((renewed.committed, renewed.added), (true, 0));
    // A renewal is a slot and a checkpoint for the same snapshot.
    assert_eq!(world.referee.take_writes(), ["log/0000000002", "checkpoint"]);
    // A builder whose clock is behind commits after, not before, what is there.
    world.add_crate("beta", "1.0.0", "b");
    registry.build(&sources, &BuildOptions::at(Timestamp::from_unix(1_000_000_000))).await.unwrap();
    let objects = world.referee.objects();
    let time = |generation: u64| {
        let slot = String::from_utf8(objects[&format!("log/{generation:010}")].clone()).unwrap();
        slot.lines().find_map(|l| l.strip_prefix("time ").map(str::to_owned)).unwrap()
    };
    assert_eq!(time(3), time(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_what_a_stranger_planted_is_not_cited() {
    let world = World::new().await;
    let path = world.add_crate("alpha", "1.0.0", "a");
    let bytes = fs::read(path).unwrap();
    let key = format!("blobs/sha256/{}", second_reader::hex(&bytes));
    // Same key, same length, other bytes: a HEAD would say that all is well.
    world.referee.plant(&key, &vec![7; bytes.len()]).await;
    world.build().await.unwrap();
    assert_eq!(world.referee.objects()[&key], bytes);
    world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_slot_stops_the_writer_and_is_named() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.referee.plant("log/0000000001", b"ggen-market/claim/v1\nrubbish\n").await;
    let e = world.build().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    assert!(e.chain().contains("log/0000000001"), "{}", e.chain());
}

/// Two processes of one machine remember the same newest generation. What one of them commits while the other reads the log is
/// no reason for that one to think that the store was put back.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_neighbour_commits_meanwhile_is_no_store_that_was_put_back() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    let (registry, options, sources) = (world.registry(), world.options.clone(), world.sources());
    world.referee.before("read log/0000000001", move || async move {
        assert_eq!(registry.build(&[sources], &options).await.unwrap().generation, 1);
    });
    let late = world.dir.path().join("late");
    fs::create_dir_all(&late).unwrap();
    let beta = world.add_crate("beta", "1.0.0", "b");
    fs::rename(&beta, late.join(beta.file_name().unwrap())).unwrap();
    let report = world.registry().build(&[late], &world.options).await.unwrap();
    assert_eq!((report.generation, report.added), (2, 1));
    world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_put_back_is_noticed_by_the_writer() {
    let world = World::new().await;
    let old = world.referee.objects()["checkpoint"].clone();
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    // The whole past: the pointer and the log as they were.
    world.referee.plant("checkpoint", &old).await;
    world.referee.lose("log/0000000001").await;
    let e = world.build().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    assert!(e.to_string().contains("put back"), "{e}");
    // The pointer alone is only behind: the log says where the registry stands.
    let world = World::new().await;
    let old = world.referee.objects()["checkpoint"].clone();
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    world.referee.plant("checkpoint", &old).await;
    world.build().await.unwrap();
    assert_eq!(world.found().generation, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_registrys_store_and_another_key_are_refused() {
    let (ours, theirs) = (World::new().await, World::new().await);
    ours.add_crate("alpha", "1.0.0", "a");
    let e = theirs.registry_in(ours.referee.store()).build(&[ours.sources()], &ours.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    let e = ours.registry().init(&ours.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid);
    let empty = Referee::default();
    let e =
        World::without_registry().registry_in(empty.store()).build(&[ours.sources()], &ours.options).await.unwrap_err();
    assert!(e.hint().unwrap().contains("init"), "{e:?}");
}

/// The same input gives the same store, byte for byte, at any number of threads: but for the nonce in the slots.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_the_same_at_one_thread_and_at_many() {
    let world = World::without_registry();
    fill(&world);
    world.add_lines("more.jsonl", 1000..4000);
    let mut stores = Vec::new();
    for threads in [1, 4] {
        let folder = world.dir.path().join(format!("store-{threads}"));
        let exe = std::env::current_exe().unwrap();
        // Rayon's pool is sized once in a process, so each store is made in a process of its own.
        let status = std::process::Command::new(exe)
            .args(["publish::child_build", "--exact", "--ignored", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads.to_string())
            .env("CHILD_STORE", &folder)
            .env("CHILD_SOURCES", world.sources())
            .env("CHILD_KEY", world.signing_key().to_secret_text().as_str())
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        stores.push(files(&folder));
    }
    let [one, many] = &stores[..] else { unreachable!() };
    assert!(one.len() > 12);
    let blobs = |s: &second_reader::Objects| -> Vec<_> {
        s.iter().filter(|(k, _)| k.starts_with("blobs/")).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    assert_eq!(blobs(one), blobs(many));
    assert_eq!(one.keys().collect::<Vec<_>>(), many.keys().collect::<Vec<_>>());
}

/// Not a test: the process that `the_store_is_the_same_at_one_thread_and_at_many` starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, with its environment"]
async fn child_build() {
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by the test that starts this"));
    let store = Store::create(&var("CHILD_STORE")).unwrap();
    let key = ggen_marketplace::SigningKey::from_secret_text(&var("CHILD_KEY")).unwrap();
    let state = tempfile::tempdir().unwrap();
    let registry = ggen_marketplace::Registry::new(store, key, state.path());
    let options = BuildOptions::at(Timestamp::from_unix(1_800_000_000));
    registry.init(&options).await.unwrap();
    registry.build(&[var("CHILD_SOURCES").into()], &options).await.unwrap();
}

fn files(folder: &std::path::Path) -> second_reader::Objects {
    let mut out = second_reader::Objects::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let key = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            out.insert(key, fs::read(entry.path()).unwrap());
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_cache_that_knows_more_than_the_store_is_corrected() {
    let world = World::without_registry();
    world.add_crate("alpha", "1.0.0", "a");
    // Old enough for the cache to trust its times.
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(world.sources().join("alpha-1.0.0.crate")).unwrap().set_modified(old).unwrap();
    let mut options = world.options.clone();
    options.cache = Some(world.dir.path().join("scan-cache"));
    for _ in 0..2 {
        // The same cache for two stores: in the second one it knows a release that the store has never had.
        let fresh = World::without_registry();
        let registry = fresh.registry();
        registry.init(&options).await.unwrap();
        let report = registry.build(&[world.sources()], &options).await.unwrap();
        assert_eq!((report.added, report.unchanged), (1, 0));
        assert_eq!(fresh.found().records.len(), 1);
        let report = registry.build(&[world.sources()], &options).await.unwrap();
        assert_eq!((report.added, report.unchanged, report.scan.known), (0, 1, 1));
    }
}

/// One that another job takes away while this run has it from its cache; and, while that is being put right, a second one.
#[tokio::test(flavor = "multi_thread")]
async fn releases_that_are_taken_away_one_after_another_are_all_read_again() {
    let world = World::new().await;
    let mut options = world.options.clone();
    options.cache = Some(world.dir.path().join("scan-cache"));
    for name in ["alpha", "beta"] {
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let path = world.add_crate(name, "1.0.0", name);
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    let registry = world.registry();
    registry.build(&[world.sources()], &options).await.unwrap();
    // A job whose sources hold nothing but what is named, and who deletes the rest.
    let only = async |names: &[&str]| {
        let folder = world.dir.path().join(format!("only-{}", names.len()));
        fs::create_dir(&folder).unwrap();
        for name in names {
            let file = format!("{name}-1.0.0.crate");
            fs::copy(world.sources().join(&file), folder.join(file)).unwrap();
        }
        folder
    };
    let (some, none) = (only(&["beta"]).await, only(&[]).await);
    let mut delete = world.options.clone();
    delete.delete = true;
    world.registry().build(&[some], &delete).await.unwrap();
    let (rival, delete) = (world.registry(), delete.clone());
    world.referee.before("log/0000000003", move || async move {
        assert_eq!(rival.build(&[none], &delete).await.unwrap().removed, 1);
    });
    let report = registry.build(&[world.sources()], &options).await.unwrap();
    assert_eq!((report.added, report.committed, report.generation), (2, true, 4));
    let found = world.found().records;
    assert!(found.values().all(|record| record.get("removed").is_none()) && found.len() == 2, "{found:?}");
}

/// I7: a commit never has the bytes of another one, so that "mine" can be told from "somebody's who did the same".
#[tokio::test(flavor = "multi_thread")]
async fn i7_two_writers_of_the_same_thing_never_write_the_same_slot() {
    let (one, two) = (World::new().await, Referee::default());
    for (key, bytes) in one.referee.objects() {
        two.plant(&key, &bytes).await;
    }
    one.add_crate("alpha", "1.0.0", "a");
    one.build().await.unwrap();
    let other_state = one.dir.path().join("other-state");
    let again = ggen_marketplace::Registry::new(two.store(), one.signing_key(), &other_state);
    again.build(&[one.sources()], &one.options).await.unwrap();
    let (a, b) = (one.referee.objects(), two.objects());
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "all else is the same");
    assert_ne!(a["log/0000000001"], b["log/0000000001"]);
}

/// I6: a slot that does not follow from the one before it stops the writer, also when the key is the right one.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_log_of_two_histories_is_not_continued() {
    let (world, other) = (World::new().await, World::new().await);
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let checkpoint = world.referee.objects()["checkpoint"].clone();
    // Generation 2 of a history whose generation 1 is another one.
    let genesis = other.snapshot(0);
    world.referee.plant("log/0000000001", &other.referee.objects()["log/0000000000"]).await;
    world.commit_by_hand(2, &genesis).await;
    world.referee.plant("checkpoint", &checkpoint).await;
    let e = world.build().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    assert!(e.to_string().contains("log/0000000002 does not continue the log"), "{e}");
}

/// What was put half a day ago may be about to be collected: such a session does not claim, and begins again.
#[tokio::test(start_paused = true)]
async fn i11_a_session_that_took_too_long_begins_again() {
    let puts = async |pause: Duration| {
        let mut world = World::new().await;
        let file = world.add_crate("alpha", "1.0.0", "a");
        world.build().await.unwrap();
        fs::remove_file(file).unwrap();
        let archive = second_reader::hex(&fs::read(world.add_crate("beta", "1.0.0", "b")).unwrap());
        let referee = world.referee.clone();
        world.referee.before(&format!("blobs/sha256/{archive}"), move || async move {
            referee.pass(pause);
            tokio::time::sleep(pause).await;
        });
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&count);
        world.options.progress = Some(std::sync::Arc::new(move |progress| {
            if matches!(progress, ggen_marketplace::Progress::Put { .. }) {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }));
        assert_eq!(world.build().await.unwrap().generation, 2);
        world.referee.assert_fair();
        count.load(std::sync::atomic::Ordering::Relaxed)
    };
    let once = puts(Duration::from_secs(11 * 3600)).await;
    assert!(once > 4);
    assert_eq!(puts(Duration::from_secs(13 * 3600)).await, 2 * once);
}
