//! The pointer: it never goes back, whoever mends it looks again, and one that is damaged or was never written is made anew.

use super::*;
use ggen_marketplace::GcOptions;

/// I12: a writer that died before it moved the pointer, and comes back after others have gone on, does not move it back.
#[tokio::test(flavor = "multi_thread")]
async fn i12_the_pointer_never_goes_back() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    // Seven writes: archive, shard, leaf of details, change list, search bundle and snapshot, slot; the pointer would be the eighth.
    world.referee.set_fault(Some(Fault::DieBefore(7)));
    world.build().await.unwrap_err();
    world.referee.set_fault(None);
    let late = world.registry();
    world.add_crate("beta", "1.0.0", "b");
    assert_eq!(world.build().await.unwrap().generation, 2);
    let writes = world.referee.take_writes();
    assert_eq!(writes.iter().filter(|k| *k == "checkpoint").count(), 2, "mended first, then moved on: {writes:#?}");
    late.build(&[world.sources()], &world.options).await.unwrap();
    assert_eq!(world.referee.take_writes(), [""; 0]);
    assert_eq!(world.found().generation, 2);
}

/// The same of one that mends the pointer where a store knows no condition, or there is no pointer: another run commits between
/// its look and its write.
#[tokio::test(flavor = "multi_thread")]
async fn i12_who_mends_the_pointer_looks_again() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    world.referee.lose("checkpoint").await;
    let (rival, sources, options) = (world.registry(), world.dir.path().join("others"), world.options.clone());
    fs::create_dir(&sources).unwrap();
    fs::rename(world.add_crate("beta", "1.0.0", "b"), sources.join("beta-1.0.0.crate")).unwrap();
    world.referee.before("checkpoint", move || async move {
        assert_eq!(rival.build(&[sources], &options).await.unwrap().generation, 2);
    });
    let options = GcOptions::at(world.options.now);
    assert_eq!(world.registry().collect(&options).await.unwrap().generation, 2);
    assert_eq!(second_reader::pointed(&world.referee.objects()), 2);
    assert_eq!(world.client().latest().await.unwrap().generation(), 2);
}

/// Whoever cannot read the pointer says which object that is, and that it can be made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pointer_is_named_and_made_anew_when_it_is_deleted() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    for damage in [&b""[..], b"<html>", b"a\nb\n\n\xe2\x80\x94 x y\n"] {
        world.referee.plant("checkpoint", damage).await;
        let e = world.build().await.unwrap_err();
        assert!(e.to_string().contains("referee/checkpoint is no checkpoint of this registry"), "{}", e.chain());
        assert!(e.hint().unwrap().contains("delete that object"), "{e:?}");
    }
    world.referee.lose("checkpoint").await;
    assert_eq!(world.build().await.unwrap().generation, 1);
    assert_eq!(second_reader::pointed(&world.referee.objects()), 1);
}

/// Between its claim and the pointer: the same call again finishes it, and then there is a registry.
#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_was_interrupted_is_finished_by_the_next() {
    let world = World::without_registry();
    let init = async || world.registry().init(&world.options).await;
    // Before the snapshot, before the slot, and, with the snapshot there, before the pointer.
    for fault in [Fault::DieBefore(0), Fault::DieBefore(1), Fault::DieBefore(1)] {
        world.referee.set_fault(Some(fault));
        init().await.unwrap_err();
        world.referee.set_fault(None);
    }
    assert_eq!(
        world.referee.objects().into_keys().filter(|k| !k.starts_with("blobs/")).collect::<Vec<_>>(),
        ["log/0000000000"]
    );
    init().await.unwrap();
    assert_eq!(second_reader::pointed(&world.referee.objects()), 0);
    assert_eq!(init().await.unwrap_err().kind(), ErrorKind::Invalid);
    world.referee.assert_fair();
}
