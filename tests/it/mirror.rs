//! Mirrors: what is copied, in which order, at what cost; whole ones and parts; and that nobody has to trust one.

mod audit;
mod parts;

use super::support::{
    http::Server,
    referee::{Fault, Referee},
    rules::Mirrored,
    second_reader,
    tarball::Tarball,
    world::World,
};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, ErrorKind, MirrorOptions, MirrorReport, Pin, Result, Store, VerifyOptions,
    package::{PackageSpec, Timestamp},
};
use std::{collections::BTreeSet, fs, time::Duration};

/// A mirror that is refereed.
fn place() -> Referee {
    Referee::of_mirror(Mirrored::Newest)
}

async fn mirror(world: &World, to: &Referee) -> Result<MirrorReport> {
    world.client().mirror(&to.store(), &MirrorOptions::default()).await
}

/// A reader of a copy, with nothing remembered.
fn reader(world: &World, store: Store) -> Client {
    Client::new(store, std::slice::from_ref(&world.key), ClientOptions::default()).unwrap()
}

fn spec(text: &str) -> PackageSpec {
    text.parse().unwrap()
}

/// Writes a crate that depends on others: `name`, or `name?` for an optional dependency, `name!` for one to develop with,
/// `name#` for one to build with.
fn a_crate(world: &World, name: &str, version: &str, needs: &[&str]) {
    let mut manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
    for need in needs {
        let bare = need.trim_end_matches(['?', '!', '#']);
        manifest += &match need.chars().last() {
            Some('!') => format!("[dev-dependencies.{bare}]\nversion = \"1\"\n"),
            Some('#') => format!("[build-dependencies.{bare}]\nversion = \"1\"\n"),
            Some('?') => format!("[dependencies.{bare}]\nversion = \"1\"\noptional = true\n"),
            _ => format!("[dependencies.{bare}]\nversion = \"1\"\n"),
        };
    }
    let top = format!("{name}-{version}");
    let bytes = Tarball::default().file(format!("{top}/Cargo.toml"), manifest).file(format!("{top}/src/lib.rs"), name);
    fs::write(world.sources().join(format!("{top}.crate")), bytes.gz()).unwrap();
}

/// The keys of what the newest state consists of.
fn newest(objects: &second_reader::Objects) -> BTreeSet<String> {
    second_reader::read(objects).reached
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_the_newest_state_and_the_log_byte_for_byte() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    world.add_pack("gamma", "1.0.0", "g");
    world.build().await.unwrap();
    let to = place();
    let report = mirror(&world, &to).await.unwrap();
    to.assert_fair();
    let (source, copy) = (world.referee.objects(), to.objects());
    let mut wanted = newest(&source);
    wanted.extend((0..=2).map(|g| format!("log/{g:010}")));
    wanted.extend(["checkpoint", "mirror.json"].map(Into::into));
    assert_eq!(copy.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    assert!(copy.iter().all(|(key, bytes)| key == "mirror.json" || source[key] == *bytes));
    let note = format!(
        r#"{{"format":2,"generation":2,"origin":"{}","since":2,"type":"mirror"}}"#,
        super::support::world::ORIGIN
    );
    assert_eq!(String::from_utf8_lossy(&copy["mirror.json"]), note);
    assert_eq!((report.generation, report.previous, report.slots, report.packages), (2, None, 3, 2));
    assert_eq!((report.objects, report.present), (copy.len() as u64, 0));
    assert_eq!(report.bytes, copy.values().map(|b| b.len() as u64).sum::<u64>());
    // The order of the writes: slots, the note, and the checkpoint last (I1); the referee saw to the objects.
    let writes = to.take_writes();
    let tail = ["log/0000000000", "log/0000000001", "log/0000000002", "mirror.json", "checkpoint"];
    assert_eq!(writes[writes.len() - 5..], tail);

    // It reads as the registry does, and a second run has nothing to do.
    let client = reader(&world, to.store());
    let record = client.latest().await.unwrap().find_release(&spec("alpha")).await.unwrap();
    assert_eq!(record.version.to_string(), "1.0.0");
    to.take_reads();
    world.referee.take_reads();
    let again = mirror(&world, &to).await.unwrap();
    assert_eq!((again.objects, again.previous), (0, Some(2)));
    assert_eq!((to.take_writes(), world.referee.take_reads()), (vec![], vec!["checkpoint".to_owned()]));
    assert_eq!(to.take_reads(), ["checkpoint", "mirror.json"]);
}

/// The next run costs what changed: ten packages of ten thousand are ten shards.
#[tokio::test(flavor = "multi_thread")]
async fn ten_changes_in_ten_thousand_packages_are_a_few_reads() {
    let world = World::new().await;
    world.add_lines("list.jsonl", 0..10_000);
    world.build().await.unwrap();
    let to = place();
    let first = mirror(&world, &to).await.unwrap();
    assert_eq!(first.packages, 10_000);
    for i in 0..10 {
        a_crate(&world, &format!("new-{i}"), "1.0.0", &[]);
    }
    world.build().await.unwrap();
    to.take_reads();
    world.referee.take_reads();
    to.take_writes();
    let report = mirror(&world, &to).await.unwrap();
    to.assert_fair();
    let (from_source, from_copy, written) = (world.referee.take_reads(), to.take_reads(), to.take_writes());
    // Checkpoint with the slot in it, snapshot, change list, the new search bundle, the details (one leaf holds all of them), and for each change its
    // shard and archive.
    assert_eq!(from_source.len(), 5 + 2 * 10, "{from_source:#?}");
    // Checkpoint (twice), note, the slot that is not there, both snapshots; for each change both shards, the new one in vain.
    // Whether an archive is there is no read.
    assert!(from_copy.len() <= 6 + 2 * 10, "{from_copy:#?}");
    assert_eq!(written.len(), 5 + 2 * 10 + 2, "what was read, the slot and the note");
    assert_eq!((report.objects, report.slots), (27, 1));
    assert!(newest(&world.referee.objects()).iter().all(|key| to.objects().contains_key(key)));
    assert!(reader(&world, to.store()).verify(&VerifyOptions::all()).await.unwrap().problems.is_empty());
}

/// Killed at any write, before it or after it: the copy is as it was, and a plain run completes it and copies nothing that
/// had arrived.
#[tokio::test(flavor = "multi_thread")]
async fn i1_killed_at_any_write_the_next_run_completes_it() {
    let world = World::new().await;
    a_crate(&world, "alpha", "1.0.0", &["beta"]);
    a_crate(&world, "beta", "1.0.0", &[]);
    world.add_lines("list.jsonl", 0..1_000);
    world.build().await.unwrap();
    let before = place();
    mirror(&world, &before).await.unwrap();
    let (first, old) = (before.take_writes().len(), before.objects());
    a_crate(&world, "alpha", "1.1.0", &["gamma"]);
    a_crate(&world, "gamma", "1.0.0", &[]);
    world.build().await.unwrap();
    mirror(&world, &before).await.unwrap();
    let (second, goal) = (before.take_writes().len(), before.objects());
    assert!(first > 12 && second > 9, "{first} {second}");
    // A copy from nothing, and one that goes on from generation 1.
    for (writes, begin) in [(first + 5, None), (second, Some(&old))] {
        for n in 0..writes {
            for fault in [Fault::DieBefore(n), Fault::DieAfter(n)] {
                let to = place();
                for (key, bytes) in begin.into_iter().flatten() {
                    to.plant(key, bytes).await;
                }
                to.set_fault(Some(fault));
                if let Ok(report) = mirror(&world, &to).await {
                    assert!(n >= report.objects as usize, "{fault:?} struck nobody");
                    continue;
                }
                to.set_fault(None);
                let arrived = to.objects();
                if let Some(old) = begin.filter(|old| arrived["checkpoint"] == old["checkpoint"]) {
                    assert!(newest(old).iter().all(|key| arrived[key] == old[key]), "the old state is whole");
                }
                world.referee.take_reads();
                mirror(&world, &to).await.unwrap();
                to.assert_fair();
                let read = world.referee.take_reads();
                let twice: Vec<_> =
                    read.iter().filter(|k| k.starts_with("blobs/") && arrived.contains_key(*k)).collect();
                assert!(twice.is_empty(), "{fault:?}: copied again: {twice:?}");
                let made = to.objects();
                assert!(made.iter().all(|(key, bytes)| goal[key] == *bytes), "{fault:?}");
                assert_eq!(newest(&made), newest(&goal), "{fault:?}");
            }
        }
    }
}

/// I25: whatever the source gives instead of what is linked, it does not get into the copy, and no checkpoint leads there.
#[tokio::test(flavor = "multi_thread")]
async fn i25_nothing_wrong_is_copied() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let good = world.referee.objects();
    for (key, bytes) in &good {
        // Of no part of the newest state, and what comes inside the checkpoint.
        if *key == newest_of_generation_0(&good) || key == "log/0000000001" {
            continue;
        }
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for bad in [flipped, [&bytes[..], b"x"].concat(), Vec::new()] {
            world.referee.plant(key, &bad).await;
            let to = place();
            let e = mirror(&world, &to).await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Untrusted, "{key}: {e:?}");
            assert!(e.chain().contains(key.as_str()), "{key}: {}", e.chain());
            to.assert_fair();
            assert!(!to.objects().contains_key("checkpoint") && !to.objects().values().any(|b| *b == bad), "{key}");
        }
        world.referee.lose(key).await;
        let e = mirror(&world, &place()).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unavailable, "{key}: {e:?}");
        world.referee.plant(key, bytes).await;
    }
    // And what is wrong at the destination is made right.
    let to = place();
    mirror(&world, &to).await.unwrap();
    let right = to.objects();
    to.lose("checkpoint").await;
    for (key, bytes) in right.iter().filter(|(k, _)| k.starts_with("blobs/")) {
        let mut bad = bytes.clone();
        bad[0] ^= 1;
        to.plant(key, &bad).await;
    }
    mirror(&world, &to).await.unwrap();
    assert_eq!(to.objects(), right);
}

/// The snapshot of the empty registry is of no part of the newest state.
fn newest_of_generation_0(objects: &second_reader::Objects) -> String {
    let slot = String::from_utf8(objects["log/0000000000"].clone()).unwrap();
    let link = slot.lines().find_map(|l| l.strip_prefix("snapshot ")).unwrap();
    format!("blobs/sha256/{}", link.split(' ').next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_holds_another_registry_is_left_alone() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let other = World::new().await;
    let taken = other.referee.objects();
    let mut headless = taken.clone();
    headless.remove("checkpoint");
    let mut logless = taken.clone();
    logless.remove("log/0000000000");
    for there in [taken, headless, logless] {
        let to = place();
        for (key, bytes) in &there {
            to.plant(key, bytes).await;
        }
        let e = mirror(&world, &to).await.unwrap_err();
        assert!(e.kind() == ErrorKind::Conflict && e.to_string().contains("holds another registry"), "{e:?}");
        assert_eq!(to.objects(), there, "nothing was written");
    }
    // Our own log, and a checkpoint that was damaged.
    let to = place();
    mirror(&world, &to).await.unwrap();
    let right = to.objects();
    to.plant("checkpoint", b"damaged").await;
    mirror(&world, &to).await.unwrap();
    assert_eq!(to.objects(), right);
    // A log that forked: the same key signed another generation 1.
    let to = place();
    mirror(&world, &to).await.unwrap();
    let before = to.objects();
    world.commit_by_hand(1, &world.snapshot(0)).await;
    let e = mirror(&world, &to).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted, "{e:?}");
    world.commit_by_hand(2, &world.snapshot(0)).await;
    world.commit_by_hand(3, &world.snapshot(0)).await;
    let e = mirror(&world, &to).await.unwrap_err();
    assert!(e.kind() == ErrorKind::Untrusted && e.chain().contains("generation 1 in referee"), "{e:?}");
    assert_eq!(to.objects(), before);
}

/// I12: never backwards; and neither from what has expired.
#[tokio::test(flavor = "multi_thread")]
async fn i12_a_copy_never_goes_back() {
    let mut world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let old = world.referee.objects();
    world.add_crate("alpha", "1.1.0", "aa");
    world.build().await.unwrap();
    let to = place();
    mirror(&world, &to).await.unwrap();
    let new = to.objects();
    let stale = Referee::default();
    for (key, bytes) in &old {
        stale.plant(key, bytes).await;
    }
    let behind = reader(&world, stale.store());
    let report = behind.mirror(&to.store(), &MirrorOptions::default()).await.unwrap();
    assert_eq!((report.generation, report.previous, report.objects), (1, Some(2), 0));
    assert_eq!(to.objects(), new);
    // Where there is nothing yet, what is behind is better than nothing; also when this machine knows of something newer.
    let behind = || {
        let mut options = ClientOptions::default();
        options.cache = Some(world.dir.path().join("cache"));
        options
    };
    Client::new(world.referee.store(), std::slice::from_ref(&world.key), behind()).unwrap().latest().await.unwrap();
    let knows = Client::new(stale.store(), std::slice::from_ref(&world.key), behind()).unwrap();
    let fresh = place();
    assert_eq!(knows.mirror(&fresh.store(), &MirrorOptions::default()).await.unwrap().generation, 1);
    assert_eq!(mirror(&world, &fresh).await.unwrap().generation, 2);
    assert_eq!(newest(&fresh.objects()), newest(&new));

    world.options = BuildOptions::at(Timestamp::from_unix(Timestamp::now().unix() - 3600));
    world.options.validity = Duration::from_secs(60);
    let expired = World::without_registry();
    let registry = expired.registry();
    registry.init(&world.options).await.unwrap();
    let to = place();
    let e = mirror(&expired, &to).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Expired);
    assert!(to.objects().is_empty());
    let lenient = expired.client_with(|o| o.allow_expired = true);
    assert_eq!(lenient.mirror(&to.store(), &MirrorOptions::default()).await.unwrap().generation, 0);
}

/// Without `--history` the log comes and older states do not: that is said, and it is no fault. With it they come.
#[tokio::test(flavor = "multi_thread")]
async fn the_past_comes_when_it_is_asked_for() {
    let world = World::new().await;
    for i in 1..=3 {
        world.add_crate("alpha", &format!("1.{i}.0"), "a");
        world.build().await.unwrap();
    }
    world.registry().refresh(&world.options).await.unwrap();
    let to = place();
    mirror(&world, &to).await.unwrap();
    let copy = reader(&world, to.store());
    let rows = |h: Vec<ggen_marketplace::Generation>| h.iter().map(|g| (g.number, g.releases)).collect::<Vec<_>>();
    let without = rows(copy.history(10).await.unwrap());
    assert_eq!(without, [(4, Some(3)), (3, Some(3)), (2, None), (1, None), (0, None)]);
    let e = copy.at(Pin::Generation(1)).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    assert!(e.to_string().starts_with("generation 1 is not mirrored here"), "{e}");
    let audit = copy.verify(&VerifyOptions::all()).await.unwrap();
    assert!(audit.problems.is_empty(), "{:?}", audit.problems);
    let left_out = audit.not_mirrored.unwrap();
    assert_eq!((left_out.generations, left_out.nodes, left_out.archives), (3, 0, 0));

    let mut options = MirrorOptions::default();
    options.history = true;
    let report = world.client().mirror(&to.store(), &options).await.unwrap();
    assert_eq!((report.gone, report.slots), (0, 0));
    to.assert_fair();
    assert_eq!(rows(copy.history(10).await.unwrap())[4], (0, Some(0)));
    assert_eq!(copy.at(Pin::Generation(1)).await.unwrap().find(&spec("alpha")).await.unwrap().releases.len(), 1);
    let audit = copy.verify(&VerifyOptions::all()).await.unwrap();
    assert!(audit.problems.is_empty() && audit.not_mirrored.is_some_and(|n| n.generations == 0));
    assert!(world.referee.objects().iter().all(|(key, bytes)| to.objects()[key] == *bytes));
    // It stays so when it goes on, and what is in between comes too.
    for i in 4..=5 {
        world.add_crate("alpha", &format!("1.{i}.0"), "a");
        world.build().await.unwrap();
    }
    to.take_reads();
    assert_eq!(world.client().mirror(&to.store(), &options).await.unwrap().slots, 2);
    assert!(!to.take_reads().contains(&"log/0000000001".into()), "what is there is not looked at again");
    assert!(world.referee.objects().iter().all(|(key, bytes)| to.objects()[key] == *bytes));

    // What the source does not have any more is counted, and is no fault of the copy either.
    world.referee.lose(&newest_of_generation_0(&world.referee.objects())).await;
    let fresh = place();
    let report = world.client().mirror(&fresh.store(), &options).await.unwrap();
    assert_eq!(report.gone, 1);
    let audit = reader(&world, fresh.store()).verify(&VerifyOptions::all()).await.unwrap();
    assert!(audit.problems.is_empty(), "{:?}", audit.problems);
    assert_eq!(audit.not_mirrored.unwrap().generations, 1);
}

/// From a web server into a folder, with archives that take several parts, and on from there.
#[tokio::test(flavor = "multi_thread")]
async fn large_archives_stream_into_a_folder_and_a_mirror_can_be_mirrored() {
    let world = World::without_registry();
    let folder = world.dir.path().join("registry");
    let registry = world.registry_in(Store::create(folder.to_str().unwrap()).unwrap());
    registry.init(&world.options).await.unwrap();
    // What does not compress: a counter, hashed.
    let noise = |n: u64| -> Vec<u8> {
        let digest = |i: u64| ggen_marketplace::package::Sha256::of(&(n << 32 | i).to_be_bytes()).0;
        (0..700_000).flat_map(digest).collect()
    };
    for n in 0..2 {
        let top = format!("big-{n}-1.0.0");
        let manifest = format!("[package]\nname = \"big-{n}\"\nversion = \"1.0.0\"\n");
        let bytes =
            Tarball::default().file(format!("{top}/Cargo.toml"), manifest).file(format!("{top}/noise"), noise(n));
        fs::write(world.sources().join(format!("{top}.crate")), bytes.gz()).unwrap();
    }
    registry.build(&[world.sources()], &world.options).await.unwrap();
    let server = Server::serve(&folder).await;
    let client = reader(&world, Store::open(&server.url).unwrap());
    let place = |name: &str| Store::create(world.dir.path().join(name).to_str().unwrap()).unwrap();
    let (first, second) = (place("first"), place("second"));
    client.mirror(&first, &MirrorOptions::default()).await.unwrap();
    reader(&world, first.clone()).mirror(&second, &MirrorOptions::default()).await.unwrap();
    let files = |name: &str| -> BTreeSet<(String, Vec<u8>)> {
        let root = world.dir.path().join(name);
        let all = walkdir::WalkDir::new(&root).into_iter().map(|e| e.unwrap()).filter(|e| e.file_type().is_file());
        all.map(|e| (e.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), fs::read(e.path()).unwrap()))
            .collect()
    };
    assert_eq!(files("first"), files("second"));
    assert!(files("first").iter().filter(|(_, bytes)| bytes.len() > 16 << 20).count() == 2);
    let audit = reader(&world, second).verify(&VerifyOptions::all()).await.unwrap();
    assert!(audit.problems.is_empty(), "{:?}", audit.problems);

    // One byte of a large archive is wrong: no part of it is ever seen.
    let record = client.latest().await.unwrap().find_release(&spec("big-1")).await.unwrap();
    let key = format!("blobs/sha256/{}", record.archive.sha256);
    let mut bytes = fs::read(folder.join(&key)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(folder.join(&key), bytes).unwrap();
    let e = client.mirror(&place("third"), &MirrorOptions::default()).await.unwrap_err();
    assert!(e.kind() == ErrorKind::Untrusted && e.chain().contains(&key), "{e:?}");
    assert!(!files("third").iter().any(|(name, _)| name.contains(&record.archive.sha256.to_string())));
    assert!(!files("third").iter().any(|(name, _)| name.starts_with("log/") || name == "checkpoint"));
}

/// A dry run tells what would be copied, and writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_is_right() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let to = place();
    let mut options = MirrorOptions::default();
    options.dry_run = true;
    let would = world.client().mirror(&to.store(), &options).await.unwrap();
    assert!(to.objects().is_empty());
    let did = mirror(&world, &to).await.unwrap();
    // But for the note and the checkpoint, which are no part of what is copied.
    assert_eq!((would.objects + 2, would.packages, would.slots), (did.objects, did.packages, did.slots));
}
