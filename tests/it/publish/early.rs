//! What an empty registry is sent while the scan still goes on.

use super::*;
use crate::support::{
    s3::{Effect, Fault as S3Fault, Op, S3},
    tarball::Tarball,
};
use ggen_marketplace::{Progress, VerifyOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

fn blobs(referee: &Referee) -> usize {
    referee.objects().keys().filter(|k| k.starts_with("blobs/")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_build_puts_while_it_scans_and_reads_no_archive_twice() {
    let mut world = World::new().await;
    let files: Vec<_> = (0..20).map(|i| world.add_crate(&format!("crate-{i}"), "1.0.0", &format!("// {i}"))).collect();
    let (referee, early, before) = (world.referee.clone(), Arc::new(AtomicUsize::new(0)), blobs(&world.referee));
    let seen = Arc::clone(&early);
    world.options.progress = Some(Arc::new(move |progress| {
        if progress == Progress::Scanned(20) {
            // The scan is over when this returns.
            let began = Instant::now();
            while blobs(&referee) < before + 20 && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(5));
            }
            seen.store(blobs(&referee) - before, Relaxed);
            files.iter().for_each(|file| fs::remove_file(file).unwrap());
        }
    }));
    let report = world.build().await.unwrap();
    assert_eq!(early.load(Relaxed), 20, "the archives");
    // And a shard, the details, the change list, the search bundle, the snapshot, the slot, the checkpoint.
    assert_eq!((report.added, report.puts), (20, 27));
    world.referee.assert_fair();
    assert_eq!(world.found().records.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_early_and_refused_later_is_garbage_and_only_of_a_first_build() {
    let world = World::new().await;
    let twin = |name: &str, body: &str| {
        let file = world.add_crate("alpha", "1.0.0", body);
        fs::rename(file, world.sources().join(name)).unwrap();
    };
    twin("1.crate", "a");
    twin("2.crate", "b");
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.refused.len()), (1, 1));
    let unreferenced = async || {
        let verified = world.client().verify(&VerifyOptions::all()).await.unwrap();
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        verified.unreferenced.unwrap().0
    };
    // The other archive.
    assert_eq!(unreferenced().await, 1);
    twin("3.crate", "c");
    world.referee.take_writes();
    let report = world.build().await.unwrap();
    assert_eq!((report.unchanged, report.refused.len(), report.puts), (1, 2, 0));
    assert_eq!(world.referee.take_writes(), [""; 0]);
    assert_eq!(unreferenced().await, 1);
    world.referee.assert_fair();
}

/// More than there is room for, and a store that takes its time: the scan waits, and what it read is put from memory all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_ahead_of_the_store_waits_for_room() {
    let mut world = World::without_registry();
    let server = S3::start().await;
    let registry = world.registry_in(server.store());
    registry.init(&world.options).await.unwrap();
    let files: Vec<_> = (0..34)
        .map(|i| {
            // As hexadecimal digits: between 2 and 4 MiB, and all of them more than the 64 MiB that there is room for.
            let mut noise = vec![0; 15 << 17];
            getrandom::fill(&mut noise).unwrap();
            world.add_crate(&format!("crate-{i}"), "1.0.0", &hex::encode(noise))
        })
        .collect();
    let sizes: Vec<u64> = files.iter().map(|f| f.metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|s| *s < 4 << 20) && sizes.iter().sum::<u64>() > 66 << 20, "{sizes:?}");
    server
        .fault(S3Fault::new(Effect::StallBefore(Duration::from_millis(300))).on(&[Op::Put]).below("blobs/").first(34));
    world.options.progress = Some(Arc::new(move |progress| {
        if progress == Progress::Scanned(34) {
            files.iter().for_each(|file| fs::remove_file(file).unwrap());
        }
    }));
    server.take_log();
    let report = registry.build(&[world.sources()], &world.options).await.unwrap();
    assert_eq!((report.added, report.puts), (34, 41));
    assert_eq!((server.struck(), server.rewrites().len()), (34, 0));
    assert_eq!(server.found().records.len(), 34);
    server.assert_fair();
}

/// An archive of exactly so many bytes: nothing of it is compressed, and a comment fills it up.
fn archive_of(name: &str, size: usize) -> Vec<u8> {
    let top = format!("{name}-1.0.0");
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"D\"\n");
    let tar = Tarball::default()
        .file(format!("{top}/Cargo.toml"), manifest)
        .file(format!("{top}/filler"), vec![b'x'; size - 8_192])
        .tar();
    let packed = |comment: usize| {
        let builder = flate2::GzBuilder::new().comment(vec![b'c'; comment]);
        let mut gz = builder.write(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut gz, &tar).unwrap();
        gz.finish().unwrap()
    };
    packed(size - packed(0).len())
}

/// The largest that are put from memory, all there already, and more of them than there is room for: what is there is hashed, and
/// the threads that hash are those that wait for room.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_build_that_is_run_again_waits_for_nothing_that_waits_for_it() {
    for size in [(4 << 20) - 1, 4 << 20, (4 << 20) + 1] {
        let world = World::new().await;
        for i in 0..40 {
            let (name, archive) = (format!("crate-{i}"), archive_of(&format!("crate-{i}"), size));
            assert_eq!(archive.len(), size);
            world.referee.plant(&format!("blobs/sha256/{}", second_reader::hex(&archive)), &archive).await;
            fs::write(world.sources().join(format!("{name}-1.0.0.crate")), archive).unwrap();
        }
        let build = tokio::time::timeout(Duration::from_secs(120), world.build());
        assert_eq!(build.await.expect("it hangs").unwrap().added, 40);
    }
}
