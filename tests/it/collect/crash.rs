//! Collections that die, that fail, that meet each other and that meet publishers.

use super::*;
use crate::support::referee::Referee;
use std::{collections::BTreeMap, io::Read as _};
use tokio::sync::oneshot;

/// Keys and what they hold, but for lists of marks and for what differs with the second in which it was written.
fn state(referee: &Referee) -> BTreeMap<String, Vec<u8>> {
    let is_list = |bytes: &[u8]| {
        let mut text = String::new();
        let read = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text);
        read.is_ok() && text.starts_with(r#"{"format":2,"type":"marks"}"#)
    };
    let mut objects = referee.objects();
    if let Some(boundary) = objects.remove("gc/boundary") {
        let boundary = second_reader::boundary(&boundary);
        let said = format!("{} {} {:?}", boundary.generation, boundary.keeps, boundary.pins);
        objects.insert("gc/boundary".into(), said.into_bytes());
    }
    objects.into_iter().filter(|(_, bytes)| !is_list(bytes)).collect()
}

/// Everything that is promised is there, whatever happened.
fn assert_whole(referee: &Referee, what: &str) {
    let objects = referee.objects();
    let newest = second_reader::read(&objects).generation;
    let boundary = objects.get("gc/boundary").map(|b| second_reader::boundary(b));
    for generation in boundary.map_or(0, |b| b.keeps)..=newest {
        let read = std::panic::catch_unwind(|| second_reader::read_slot(&objects, generation));
        assert!(read.is_ok(), "{what}: generation {generation} is not whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_dies_or_fails_anywhere_harms_nothing_and_is_finished_by_the_next() {
    let mut it = Long::with_past(100).await;
    // Three collections: one that marks, one that takes away, one that purges.
    for (wait, least) in [(Duration::ZERO, 2), (DAY * 3, 20), (DAY * 31, 10)] {
        it.pass(wait);
        let collect = async |referee: &Referee| it.world.registry_in(referee.store()).collect(&it.options()).await;
        let uncut = it.world.referee.fork();
        collect(&uncut).await.unwrap();
        let (goal, steps) = (state(&uncut), uncut.take_writes().len());
        assert!(steps >= least, "{steps}");
        for step in 0..steps {
            use Fault::{DieAfter, DieBefore, FailAfter, FailBefore};
            for fault in [DieBefore(step), DieAfter(step), FailBefore(step), FailAfter(step)] {
                let referee = it.world.referee.fork();
                referee.set_fault(Some(fault));
                let first = collect(&referee).await;
                let died = matches!(fault, DieBefore(_) | DieAfter(_));
                assert!(!died || first.is_err() || fault == DieAfter(steps - 1), "{fault:?} {first:?}");
                referee.set_fault(None);
                assert_whole(&referee, &format!("{fault:?}"));
                collect(&referee).await.unwrap();
                assert_whole(&referee, &format!("{fault:?}, again"));
                let now = state(&referee);
                assert_eq!(now.keys().collect::<Vec<_>>(), goal.keys().collect::<Vec<_>>(), "{fault:?}");
                assert_eq!(now.get("gc/boundary"), goal.get("gc/boundary"), "{fault:?}");
                referee.assert_fair();
            }
        }
        it.collect().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collections_at_once_do_what_one_does() {
    for round in 0..6 {
        let mut it = Long::with_past(100).await;
        if round % 2 == 0 {
            it.collect().await.unwrap();
            it.pass(DAY * 3);
        }
        let uncut = it.world.referee.fork();
        it.world.registry_in(uncut.store()).collect(&it.options()).await.unwrap();
        let (one, two) = (it.world.registry(), it.world.registry());
        let options = it.options();
        let (a, b) = tokio::join!(one.collect(&options), two.collect(&options));
        let (a, b) = (a.unwrap(), b.unwrap());
        let goal = state(&uncut);
        assert_eq!(state(&it.world.referee).keys().collect::<Vec<_>>(), goal.keys().collect::<Vec<_>>());
        if round % 2 == 0 {
            assert!(a.collected.objects + b.collected.objects > 0);
        }
        it.world.referee.assert_fair();
    }
}

/// One that is overtaken begins again, by what the other has said.
#[tokio::test(flavor = "multi_thread")]
async fn i15_a_collection_that_is_overtaken_before_its_boundary_begins_again() {
    let it = Long::with_past(100).await;
    let (registry, mut wider) = (it.world.registry(), it.options());
    wider.keep = 2;
    it.world.referee.before("gc/boundary", move || async move { drop(registry.collect(&wider).await.unwrap()) });
    let report = it.collect().await.unwrap();
    let writes = it.world.referee.take_writes();
    assert_eq!(writes.iter().filter(|k| *k == "gc/boundary").count(), 2, "{writes:?}");
    assert_eq!(second_reader::marks(&it.world.referee.objects()).len() as u64, report.marked.objects);
    it.world.referee.assert_fair();
}

/// A publisher stands still between its last object and its claim, for days, while garbage is collected: what it had put
/// is taken away, and put again before any reader is sent there.
#[tokio::test(flavor = "multi_thread")]
async fn i15_a_publisher_that_slept_through_a_collection_puts_again_what_is_gone() {
    let it = Long::with_past(100).await;
    it.world.add_crate("beta", "1.0.0", "late");
    let (referee, registry, mut options) = (it.world.referee.clone(), it.world.registry(), it.options());
    it.world.referee.before("log/0000000005", move || async move {
        let put = referee.take_writes();
        assert_eq!(put.len(), 6);
        for _ in 0..2 {
            referee.pass(DAY * 3);
            options.now = options.now.plus(DAY * 3);
            registry.collect(&options).await.unwrap();
        }
        // The archive, the detail, a shard, the change list, the search bundle, the snapshot.
        let trash: Vec<_> =
            referee.objects().into_keys().filter_map(|k| Some(k.strip_prefix("trash/")?.to_owned())).collect();
        assert!(put.iter().all(|p| trash.iter().any(|t| p.ends_with(t))), "{put:?} {trash:?}");
    });
    let report = it.world.build().await.unwrap();
    assert_eq!((report.added, report.generation), (1, 5));
    let writes = it.world.referee.take_writes();
    let (slot, checkpoint) =
        (writes.iter().position(|k| k.starts_with("log/")), writes.iter().rposition(|k| k == "checkpoint"));
    let again = &writes[slot.unwrap() + 1..checkpoint.unwrap()];
    assert!(again.len() >= 4 && again.iter().all(|k| k.starts_with("blobs/")), "{writes:#?}");
    assert!(it.world.found().records.contains_key("crate/beta@1.0.0"));
    it.world.referee.assert_fair();
}

/// What lies there unused for days, marked, is not relied on by whoever wants it now.
#[tokio::test(flavor = "multi_thread")]
async fn i10_an_old_object_is_put_again_and_survives() {
    let mut it = Long::with_past(100).await;
    it.world.add_crate("beta", "1.0.0", "late");
    // Archive, detail, shard, change list, snapshot: the sixth write would be the claim.
    it.world.referee.set_fault(Some(Fault::DieBefore(5)));
    it.world.build().await.unwrap_err();
    it.world.referee.set_fault(None);
    it.pass(DAY * 3);
    it.collect().await.unwrap();
    it.pass(DAY * 3);
    // Now a collection would take it away; it runs between the publisher's last object and its claim.
    it.world.referee.take_writes();
    let (registry, options) = (it.world.registry(), it.options());
    it.world.referee.before("log/0000000005", move || async move {
        assert!(registry.collect(&options).await.unwrap().collected.objects > 0);
    });
    assert_eq!(it.world.build().await.unwrap().added, 1);
    let writes = it.world.referee.take_writes();
    let slot = writes.iter().position(|k| k.starts_with("log/")).unwrap();
    assert_eq!(writes[slot + 1..], ["checkpoint"], "all of it was there");
    it.world.found();
    it.world.referee.assert_fair();
}

/// The one gap that looking again leaves: the object is written, and committed on a base that the boundary does not know,
/// between the last look and the deletion. What was deleted comes back from the trash.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_in_the_very_moment_of_its_deletion_comes_back() {
    let (it, key) = abandoned().await;
    let (world, late) = (it.world.registry(), it.world.options.clone());
    let (sources, gamma) = (it.world.sources(), it.world.dir.path().join("gamma"));
    fs::create_dir(&gamma).unwrap();
    fs::rename(it.world.add_crate("gamma", "1.0.0", "g"), gamma.join("gamma-1.0.0.crate")).unwrap();
    it.world.referee.before(&format!("delete {key}"), move || async move {
        world.build(&[gamma], &late).await.unwrap();
        assert_eq!(world.build(&[sources], &late).await.unwrap().added, 1);
    });
    let report = it.collect().await.unwrap();
    assert_eq!((report.restored, it.world.found().generation), (1, 6));
    assert!(it.kept().contains(&key) && it.blobs().contains(&key));
    let fouls = it.world.referee.take_fouls();
    assert!(fouls.len() == 1 && fouls[0].contains("I14: generation 6"), "only the deletion itself: {fouls:?}");
}

/// The same, but the publisher claims only after the collection is over: then it learns from the boundary.
#[tokio::test(flavor = "multi_thread")]
async fn who_commits_after_the_deletion_learns_from_the_boundary() {
    let (it, key) = abandoned().await;
    let (first, second, late) = (it.world.registry(), it.world.registry(), it.world.options.clone());
    let (sources, gamma) = (it.world.sources(), it.world.dir.path().join("gamma"));
    fs::create_dir(&gamma).unwrap();
    fs::rename(it.world.add_crate("gamma", "1.0.0", "g"), gamma.join("gamma-1.0.0.crate")).unwrap();
    let ((at_claim, reached), (go, wait), (done, finished)) =
        (oneshot::channel(), oneshot::channel(), oneshot::channel());
    let referee = it.world.referee.clone();
    it.world.referee.before(&format!("delete {key}"), move || async move {
        first.build(&[gamma], &late).await.unwrap();
        referee.before("log/0000000006", move || async move {
            at_claim.send(()).unwrap();
            wait.await.unwrap();
        });
        tokio::spawn(async move { done.send(second.build(&[sources], &late).await.unwrap().added).unwrap() });
        reached.await.unwrap();
    });
    it.collect().await.unwrap();
    assert_eq!(it.boundary().unwrap().generation, 5, "it says how far the log had come when it was done");
    assert!(!it.blobs().contains(&key));
    go.send(()).unwrap();
    assert_eq!(finished.await.unwrap(), 1);
    assert!(it.kept().contains(&key) && it.blobs().contains(&key));
    it.world.referee.assert_fair();
}

/// The same, but another publisher wins the slot after the collection is over, so that the claim that succeeds has a base which
/// is younger than the collection. What counts is the base of the first put.
#[tokio::test(flavor = "multi_thread")]
async fn who_loses_its_slot_after_the_deletion_learns_from_the_boundary_too() {
    let (it, key) = abandoned().await;
    let (rival, second, late) = (it.world.registry(), it.world.registry(), it.world.options.clone());
    let (sources, gamma) = (it.world.sources(), it.world.dir.path().join("gamma"));
    fs::create_dir(&gamma).unwrap();
    fs::rename(it.world.add_crate("gamma", "1.0.0", "g"), gamma.join("gamma-1.0.0.crate")).unwrap();
    let ((at_claim, reached), (go, wait), (done, finished)) =
        (oneshot::channel(), oneshot::channel(), oneshot::channel());
    let (referee, options) = (it.world.referee.clone(), late.clone());
    it.world.referee.before(&format!("delete {key}"), move || async move {
        referee.before("log/0000000005", move || async move {
            at_claim.send(()).unwrap();
            wait.await.unwrap();
        });
        tokio::spawn(async move { done.send(second.build(&[sources], &options).await.unwrap().generation).unwrap() });
        reached.await.unwrap();
    });
    it.collect().await.unwrap();
    assert_eq!(it.boundary().unwrap().generation, 4, "the log had not gone on");
    assert!(!it.blobs().contains(&key));
    assert_eq!(rival.build(&[gamma], &late).await.unwrap().generation, 5);
    go.send(()).unwrap();
    assert_eq!(finished.await.unwrap(), 6);
    assert!(it.kept().contains(&key) && it.blobs().contains(&key));
    it.world.found();
    // Between the claim and the pointer, where no reader is.
    let fouls = it.world.referee.take_fouls();
    assert!(fouls.len() == 1 && fouls[0].contains("log/0000000006: I1"), "{fouls:?}");
}

/// A collection that dies between a deletion and its last look is made good by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cited_and_lies_in_the_trash_is_brought_back() {
    let mut it = Long::with_past(100).await;
    it.collect().await.unwrap();
    it.pass(DAY * 3);
    it.collect().await.unwrap();
    let kept: Vec<_> = it.kept().into_iter().collect();
    let objects = it.world.referee.objects();
    for key in &kept {
        it.world.referee.plant(&key.replace("blobs/sha256", "trash"), &objects[key]).await;
        it.world.referee.lose(key).await;
    }
    it.pass(DAY * 40);
    it.collect().await.unwrap();
    assert_eq!(it.kept().into_iter().collect::<Vec<_>>(), kept);
    it.world.found();
}

/// A registry in which a publisher left an archive behind, that is marked and ready to go; gives its key.
async fn abandoned() -> (Long, String) {
    let mut it = Long::with_past(100).await;
    let archive = it.world.add_crate("beta", "1.0.0", "late");
    it.world.referee.set_fault(Some(Fault::DieBefore(5)));
    it.world.build().await.unwrap_err();
    it.world.referee.set_fault(None);
    it.pass(DAY * 3);
    it.collect().await.unwrap();
    it.pass(DAY * 3);
    let key = format!("blobs/sha256/{}", second_reader::hex(&fs::read(archive).unwrap()));
    assert!(it.blobs().contains(&key));
    (it, key)
}
