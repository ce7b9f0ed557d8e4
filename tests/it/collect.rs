//! The collection of garbage, by the invariants of the safety page: what stays, what goes and when, and what crashes and
//! rivals do to it.

mod crash;
mod folder;
mod histories;
mod readers;

use super::support::{
    referee::Fault,
    second_reader::{self, Boundary},
    world::World,
};
use ggen_marketplace::{BuildOptions, ErrorKind, GcOptions, GcReport, Result, package::Timestamp};
use std::{collections::BTreeSet, fs, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A registry that begins long ago, and whose clock is put forward by the test.
pub(super) struct Long {
    pub(super) world: World,
    pub(super) now: Timestamp,
}

impl Long {
    pub(super) async fn ago(days: u32) -> Self {
        let mut world = World::without_registry();
        let now = Timestamp::from_unix(Timestamp::now().unix() - i64::from(days) * 86_400);
        world.referee.turn_back(DAY * days);
        world.options = BuildOptions::at(now);
        world.registry().init(&world.options).await.unwrap();
        world.referee.take_writes();
        Self { world, now }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.world.referee.pass(time);
        self.now = self.now.plus(time);
        self.world.options = BuildOptions::at(self.now);
    }

    pub(super) fn options(&self) -> GcOptions {
        let mut options = GcOptions::at(self.now);
        options.keep = 1;
        options
    }

    pub(super) async fn collect(&self) -> Result<GcReport> {
        self.world.registry().collect(&self.options()).await
    }

    pub(super) async fn publish(&self, name: &str, version: &str) -> String {
        let path = self.world.add_crate(name, version, &format!("{name} {version}"));
        self.world.build().await.unwrap();
        second_reader::hex(&fs::read(path).unwrap())
    }

    /// Some generations, all of them long expired but the last.
    pub(super) async fn with_past(days: u32) -> Self {
        let mut it = Self::ago(days).await;
        it.world.add_lines("elsewhere.jsonl", 0..600);
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            it.publish("alpha", version).await;
            it.pass(DAY * 10);
        }
        it.publish("alpha", "2.0.0").await;
        it.world.referee.take_writes();
        it
    }

    pub(super) fn blobs(&self) -> BTreeSet<String> {
        self.world.referee.objects().into_keys().filter(|k| k.starts_with("blobs/")).collect()
    }

    pub(super) fn boundary(&self) -> Option<Boundary> {
        self.world.referee.objects().get("gc/boundary").map(|b| second_reader::boundary(b))
    }

    /// What the generations that the boundary keeps reach, all of it checked to be there.
    pub(super) fn kept(&self) -> BTreeSet<String> {
        let objects = self.world.referee.objects();
        let newest = self.world.found().generation;
        let (keeps, pins) = self.boundary().map_or((0, Vec::new()), |b| (b.keeps, b.pins));
        let all = pins.into_iter().chain(keeps..=newest);
        all.flat_map(|g| second_reader::read_slot(&objects, g).reached).filter(|k| k.starts_with("blobs/")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i14_i16_the_first_collection_marks_the_second_takes_away_the_third_purges() {
    let mut it = Long::with_past(100).await;
    let before = it.blobs();
    // Ten days between them: of five generations only the newest is in force.
    let report = it.collect().await.unwrap();
    assert_eq!((report.generation, report.keeps, report.collected.objects), (4, 4, 0));
    assert_eq!(report.ready, Some(it.now.plus(HOUR * 48)));
    assert!(report.marked.objects >= 10 && report.marked.bytes > 0, "{report:?}");
    assert_eq!((report.young.objects, report.unknown, report.restored), (0, 0, 0));
    // A list of marks, then the boundary, which still promises everything.
    let writes = it.world.referee.take_writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(writes[1], "gc/boundary");
    let boundary = it.boundary().unwrap();
    assert_eq!((boundary.generation, boundary.keeps), (4, 0));
    let marks = second_reader::marks(&it.world.referee.objects());
    assert_eq!(marks.len() as u64, report.marked.objects);
    assert!(marks.values().all(|t| *t == it.now.to_string() || *t == it.now.plus(Duration::from_secs(1)).to_string()));

    // Again, and again just before the time: nothing is written.
    for wait in [Duration::ZERO, HOUR * 47] {
        it.pass(wait);
        let again = it.collect().await.unwrap();
        assert_eq!((again.marked, again.collected.objects), (report.marked, 0));
        assert_eq!(it.world.referee.take_writes(), [""; 0]);
    }
    it.pass(HOUR * 2);
    let second = it.collect().await.unwrap();
    assert_eq!((second.collected, second.trash, second.keeps), (report.marked, report.marked, 4));
    let boundary = it.boundary().unwrap();
    assert_eq!((boundary.generation, boundary.keeps), (4, 4));
    // What is left is what is reached, and the lists of marks.
    let (after, kept) = (it.blobs(), it.kept());
    assert!(kept.is_subset(&after));
    let lists: Vec<_> = after.difference(&kept).collect();
    assert!(lists.len() <= 2, "{lists:?}");
    assert!(after.len() < before.len());
    let trash = it.world.referee.objects().into_keys().filter(|k| k.starts_with("trash/")).count() as u64;
    assert_eq!(trash, report.marked.objects);
    assert_eq!(it.world.found().records.len(), 604);

    it.pass(DAY * 29);
    assert_eq!(it.collect().await.unwrap().purged.objects, 0);
    it.pass(DAY * 2);
    let third = it.collect().await.unwrap();
    assert_eq!(third.purged, report.marked);
    it.pass(DAY * 3);
    let fourth = it.collect().await.unwrap();
    assert!(fourth.trash.objects <= 2, "only lists of marks come after it: {fourth:?}");
    assert!(it.world.referee.objects().into_keys().filter(|k| k.starts_with("trash/")).count() <= 2);
    it.world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn i14_what_is_in_force_among_the_newest_or_pinned_stays_whole() {
    let mut it = Long::with_past(100).await;
    let all = it.blobs();
    // In force until the grace period after it expired: the one of ten days ago is not, but for a day it still was.
    let mut options = it.options();
    options.grace = DAY * 4;
    assert_eq!(it.world.registry().collect(&options).await.unwrap().keeps, 3);
    options.grace = GcOptions::MIN_GRACE;
    options.keep = 3;
    assert_eq!(it.world.registry().collect(&options).await.unwrap().keeps, 2);
    options.keep = 1;
    options.pins = vec![1, 1, 4];
    let report = it.world.registry().collect(&options).await.unwrap();
    assert_eq!((report.keeps, &report.pins[..]), (4, &[1][..]), "one that is kept anyway needs no pin");
    it.pass(DAY * 3);
    options.now = it.now;
    let report = it.world.registry().collect(&options).await.unwrap();
    assert!(report.collected.objects > 0);
    let boundary = it.boundary().unwrap();
    assert_eq!((boundary.keeps, &boundary.pins[..]), (4, &[1][..]));
    let kept = it.kept();
    assert!(kept.is_subset(&it.blobs()) && kept.len() < all.len());
    for (pin, message) in [(9, "no generation 9"), (2, "did not keep it")] {
        options.pins = vec![1, pin];
        let e = it.world.registry().collect(&options).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert!(e.to_string().contains(message), "{e}");
    }
    options.pins = (0..65).collect();
    assert_eq!(it.world.registry().collect(&options).await.unwrap_err().kind(), ErrorKind::Invalid);
    // Asking for more later brings nothing back, and breaks nothing.
    options.pins = vec![1];
    options.keep = 100;
    assert_eq!(it.world.registry().collect(&options).await.unwrap().keeps, 4);
    it.world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_slots_and_the_archives_of_removed_releases_stay() {
    let mut it = Long::ago(60).await;
    let archive = it.publish("alpha", "1.0.0").await;
    it.publish("beta", "1.0.0").await;
    fs::remove_file(it.world.sources().join("alpha-1.0.0.crate")).unwrap();
    it.pass(DAY);
    it.world.options.delete = true;
    assert_eq!(it.world.build().await.unwrap().removed, 1);
    for _ in 0..8 {
        it.pass(DAY * 5);
        it.world.registry().refresh(&it.world.options).await.unwrap();
        it.collect().await.unwrap();
    }
    let objects = it.world.referee.objects();
    let there = &objects[&format!("blobs/sha256/{archive}")];
    assert_eq!(second_reader::hex(there), archive);
    assert_eq!(objects.keys().filter(|k| k.starts_with("log/")).count() as u64, it.world.found().generation + 1);
    // And it can be restored from there.
    it.world.add_crate("alpha", "1.0.0", "alpha 1.0.0");
    it.world.options.delete = false;
    assert_eq!(it.world.build().await.unwrap().added, 1);
    it.world.found();
    it.world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prices_it_and_writes_nothing() {
    let mut it = Long::with_past(100).await;
    let mut dry = it.options();
    dry.dry_run = true;
    let priced = it.world.registry().collect(&dry).await.unwrap();
    assert!(it.world.referee.take_writes().is_empty());
    assert_eq!(priced, it.collect().await.unwrap());
    it.pass(DAY * 3);
    it.world.referee.take_writes();
    dry.now = it.now;
    let priced = it.world.registry().collect(&dry).await.unwrap();
    assert!(it.world.referee.take_writes().is_empty());
    let done = it.collect().await.unwrap();
    assert_eq!((priced.collected, priced.live, priced.keeps), (done.collected, done.live, done.keeps));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_young_unknown_or_written_again_is_left_alone() {
    let mut it = Long::with_past(100).await;
    it.world.referee.plant("blobs/sha256/README", b"not of a registry").await;
    it.world.referee.plant("trash/README", b"neither").await;
    it.collect().await.unwrap();
    it.pass(DAY * 3);
    let stray = format!("blobs/sha256/{}", second_reader::hex(b"stray"));
    it.world.referee.plant(&stray, b"stray").await;
    // Marked three days ago, and written again since, by a writer that has not committed yet.
    let (digest, _) = second_reader::marks(&it.world.referee.objects()).pop_first().unwrap();
    let key = format!("blobs/sha256/{digest}");
    let bytes = it.world.referee.objects()[&key].clone();
    it.world.referee.plant(&key, &bytes).await;
    let report = it.collect().await.unwrap();
    assert_eq!((report.unknown, report.young.objects), (2, 2));
    let objects = it.world.referee.objects();
    for key in ["blobs/sha256/README", "trash/README", &stray, &key] {
        assert!(objects.contains_key(key), "{key}");
    }
    assert!(!second_reader::marks(&objects).contains_key(&digest), "its mark does not count any more");
    // It has to be marked again before it goes.
    it.pass(DAY * 3);
    it.collect().await.unwrap();
    assert!(it.blobs().contains(&key));
    it.pass(DAY * 3);
    it.collect().await.unwrap();
    assert!(!it.blobs().contains(&key));
    it.world.referee.assert_fair();
}

/// Written again between the listing and its turn, or between its copy and its deletion: that is looked at right before each.
#[tokio::test(flavor = "multi_thread")]
async fn i16_what_is_written_again_while_the_collection_is_under_way_is_spared() {
    for at in ["gc/boundary", "copy trash/"] {
        let mut it = Long::with_past(100).await;
        it.collect().await.unwrap();
        it.pass(DAY * 3);
        let marks = second_reader::marks(&it.world.referee.objects());
        let sha256 = marks.first_key_value().unwrap().0.clone();
        let key = format!("blobs/sha256/{sha256}");
        let at = if at.ends_with('/') { format!("{at}{sha256}") } else { at.to_owned() };
        let (referee, again) = (it.world.referee.clone(), key.clone());
        let bytes = referee.objects()[&key].clone();
        it.world.referee.before(&at, move || async move { referee.plant(&again, &bytes).await });
        let report = it.collect().await.unwrap();
        assert_eq!((report.spared, report.collected.objects), (1, marks.len() as u64 - 1), "{at}");
        assert!(it.blobs().contains(&key), "{at}");
        it.world.referee.assert_fair();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_anything_that_is_kept_cannot_be_read() {
    let mut it = Long::with_past(100).await;
    it.collect().await.unwrap();
    it.pass(DAY * 3);
    it.world.referee.take_writes();
    let found = it.world.found();
    let shard = format!("blobs/sha256/{}", found.index[0]["link"]["sha256"].as_str().unwrap());
    let right = it.world.referee.objects()[&shard].clone();
    it.world.referee.lose(&shard).await;
    let e = it.collect().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    assert!(e.chain().contains("nothing is collected"), "{}", e.chain());
    it.world.referee.plant(&shard, &vec![0; right.len()]).await;
    let e = it.collect().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    // Nor when somebody else's boundary is there.
    it.world.referee.plant(&shard, &right).await;
    let boundary = it.world.referee.objects()["gc/boundary"].clone();
    let forged = String::from_utf8(boundary.clone()).unwrap().replace("keeps 0", "keeps 4");
    it.world.referee.plant("gc/boundary", forged.as_bytes()).await;
    assert_eq!(it.collect().await.unwrap_err().kind(), ErrorKind::Untrusted);
    assert!(it.world.referee.take_writes().is_empty());
    it.world.referee.plant("gc/boundary", &boundary).await;
    assert!(it.collect().await.unwrap().collected.objects > 0);
    it.world.referee.assert_fair();
}

/// A list of marks that is lost costs time, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn lost_marks_are_made_anew() {
    let mut it = Long::with_past(100).await;
    let first = it.collect().await.unwrap();
    it.world.referee.lose(&format!("blobs/sha256/{}", it.boundary().unwrap().marks.unwrap())).await;
    it.pass(DAY * 3);
    let again = it.collect().await.unwrap();
    assert_eq!((again.marked, again.collected.objects), (first.marked, 0));
    it.pass(DAY * 3);
    assert_eq!(it.collect().await.unwrap().collected, first.marked);
    it.world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_copy_is_read_and_written() {
    let mut it = Long::with_past(100).await;
    it.world.referee.cannot_copy();
    let marked = it.collect().await.unwrap().marked;
    it.pass(DAY * 3);
    assert_eq!(it.collect().await.unwrap().collected, marked);
    it.world.referee.assert_fair();
    assert!(it.kept().is_subset(&it.blobs()));
}

/// An author who knows the digest of a node may write it into a package. That keeps an object too many, and must not
/// pass for having read that node.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_in_a_description_hides_nothing() {
    let mut it = Long::ago(60).await;
    it.world.add_lines("many.jsonl", 0..3_000);
    it.world.build().await.unwrap();
    let shards: Vec<_> = it.world.found().index.as_array().unwrap().clone();
    assert!(shards.len() > 8);
    for (i, shard) in shards.iter().enumerate() {
        let digest = shard["link"]["sha256"].as_str().unwrap();
        let line = format!(
            r#"{{"name":"sly-{i}","version":"1.0.0","summary":"{digest}","sha256":"{}","size":1,"download_url":"https://x.example.com/{i}"}}"#,
            second_reader::hex(&[i as u8])
        );
        fs::write(it.world.sources().join(format!("sly-{i}.jsonl")), line).unwrap();
    }
    it.world.build().await.unwrap();
    it.publish("alpha", "1.0.0").await;
    for _ in 0..4 {
        it.pass(DAY * 5);
        it.world.registry().refresh(&it.world.options).await.unwrap();
        it.collect().await.unwrap();
    }
    assert!(it.kept().is_subset(&it.blobs()));
    it.world.referee.assert_fair();
}
