//! What a reader and an auditor see of a registry whose past was collected.

use super::*;
use futures::TryStreamExt as _;
use ggen_marketplace::{Client, Pin, VerifyOptions};

fn client(it: &Long) -> Client {
    it.world.client_with(|options| {
        options.cache = None;
        options.memory = 0;
        options.allow_expired = true;
    })
}

async fn collected() -> Long {
    let mut it = Long::with_past(100).await;
    it.collect().await.unwrap();
    it.pass(DAY * 3);
    assert!(it.collect().await.unwrap().collected.objects > 0);
    it
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_tells_what_was_collected_from_what_was_lost() {
    let mut it = collected().await;
    let verified = client(&it).verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    assert_eq!((verified.generation, verified.collected), (4, 4));
    assert_eq!(verified.unreferenced, Some((0, 0)));
    assert_eq!(verified.marked.unwrap().0, 0, "what the list names is gone");
    // What a run left behind that was interrupted; marked by the next collection, and said to be just that.
    it.world.referee.plant(&format!("blobs/sha256/{}", second_reader::hex(b"left")), b"left").await;
    it.pass(DAY * 3);
    let left = async |it: &Long| {
        let verified = client(it).verify(&VerifyOptions::all()).await.unwrap();
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        (verified.unreferenced.unwrap().0, verified.marked.unwrap().0)
    };
    assert_eq!(left(&it).await, (1, 0));
    it.world.registry().refresh(&it.world.options).await.unwrap();
    it.collect().await.unwrap();
    assert_eq!(left(&it).await, (0, 1));
    it.pass(DAY * 3);
    it.world.registry().refresh(&it.world.options).await.unwrap();
    it.collect().await.unwrap();
    assert_eq!(left(&it).await, (0, 0));
    // The list of what went goes too, and then it is quiet.
    it.collect().await.unwrap();
    let idle = it.world.referee.objects();
    assert!(second_reader::boundary(&idle["gc/boundary"]).marks.is_none());
    it.pass(DAY * 3);
    it.collect().await.unwrap();
    assert!(it.world.referee.objects() == idle, "a collection with nothing to do writes nothing");

    // What is kept and not there is a problem all the same.
    let newest = it.world.found();
    let (key, note) = (newest.leaves["crate/alpha@1.0.0"].clone(), it.world.referee.objects()["gc/boundary"].clone());
    let bytes = it.world.referee.objects()[&key].clone();
    it.world.referee.lose(&key).await;
    let problems = client(&it).verify(&VerifyOptions::all()).await.unwrap().problems;
    assert!(!problems.is_empty() && problems.iter().all(|p| p.generation >= 4), "{problems:?}");
    it.world.referee.plant(&key, &bytes).await;

    // And a boundary that is not the registry's excuses nothing.
    for forged in [Vec::new(), String::from_utf8(note).unwrap().replace("keeps 4", "keeps 5").into_bytes()] {
        it.world.referee.plant("gc/boundary", &forged).await;
        let verified = client(&it).verify(&VerifyOptions::all()).await.unwrap();
        let generations: BTreeSet<u64> = verified.problems.iter().map(|p| p.generation).collect();
        assert_eq!((verified.collected, generations), (0, BTreeSet::from([0, 1, 2, 3])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_shows_gaps_and_an_older_state_says_when_it_went() {
    let it = collected().await;
    let history = client(&it).history(10).await.unwrap();
    let shown: Vec<_> = history.iter().map(|g| (g.number, g.releases)).collect();
    assert_eq!(shown, [(4, Some(604)), (3, None), (2, None), (1, None), (0, None)]);
    let e = client(&it).at(Pin::Generation(2)).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(e.to_string().contains("generation 2 was collected as garbage by 20"), "{e}");
    assert!(client(&it).at(Pin::Generation(4)).await.is_ok());
    // Nobody's word for it: then it is just not there.
    it.world.referee.lose("gc/boundary").await;
    assert_eq!(client(&it).at(Pin::Generation(2)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(client(&it).history(10).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// A generation of which only a part is gone: its snapshot may still be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_went_in_part_is_told_as_collected() {
    let it = collected().await;
    // Its snapshot comes back from the trash, by hand; its shard does not.
    let objects = it.world.referee.objects();
    let slot = String::from_utf8(objects["log/0000000002"].clone()).unwrap();
    let snapshot =
        slot.lines().find_map(|l| l.strip_prefix("snapshot ")).unwrap().split(' ').next().unwrap().to_owned();
    it.world.referee.plant(&format!("blobs/sha256/{snapshot}"), &objects[&format!("trash/{snapshot}")]).await;
    let state = client(&it).at(Pin::Generation(2)).await.unwrap();
    let e = state.find(&"crate:alpha".parse().unwrap()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(e.to_string().contains("was collected"), "{e}");
    let listed: Result<Vec<_>> = state.list().try_collect().await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::NotFound);
    let verified = client(&it).verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty() && verified.collected == 4, "{:?}", verified.problems);
}

/// Whoever began to read a state that was in force goes on reading it, for as long as the grace period lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_what_was_in_force_never_misses_anything() {
    let mut it = Long::with_past(100).await;
    let began = client(&it).latest().await.unwrap();
    let at = it.now;
    let mut taken = 0;
    for round in 0..40 {
        it.publish("busy", &format!("1.{round}.0")).await;
        it.pass(HOUR * 20);
        taken += it.collect().await.unwrap().collected.objects;
        let in_force = it.now.since(at) <= DAY * 9;
        let listed: Result<Vec<_>> = began.list().try_collect().await;
        if in_force {
            assert_eq!(listed.unwrap().len(), 601, "round {round}");
            it.world.referee.assert_fair();
        } else if listed.is_err() {
            assert!(taken > 0);
            return;
        }
    }
    panic!("it was never collected");
}
