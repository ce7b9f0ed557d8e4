//! The reader's invariants: what it asks for, what it believes, and what it says when something is wrong.

use super::support::world::World;
use futures::TryStreamExt;
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, ErrorKind, Pin, SearchRequest, Store, VerifyOptions,
    package::{PackageId, PackageSpec, Timestamp},
    resolve::Want,
};
use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

fn id(spec: &str) -> PackageId {
    spec.parse::<PackageSpec>().unwrap().candidates().unwrap().remove(0)
}

fn spec(spec: &str) -> PackageSpec {
    spec.parse().unwrap()
}

/// The kinds of objects that were read, in order.
fn kinds(keys: &[String]) -> Vec<&str> {
    keys.iter().map(|k| k.split('/').next().unwrap_or(k)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn t01_a_cold_lookup_asks_for_three_objects_and_a_warm_one_for_the_checkpoint_alone() {
    let world = World::new().await;
    world.add_lines("list.jsonl", 0..10_000);
    world.build().await.unwrap();
    world.referee.take_reads();
    let client = world.client_with(|_| {});
    let found = client.latest().await.unwrap().package(&id("pack:elsewhere-77")).await.unwrap().unwrap();
    assert_eq!(found.newest().unwrap().summary, "Number 77");
    assert_eq!(kinds(&world.referee.take_reads()), ["checkpoint", "blobs", "blobs"]);
    // Within the freshness window: nothing, also for another name of the same shard, and for an absent one.
    client.latest().await.unwrap().package(&id("pack:elsewhere-77")).await.unwrap().unwrap();
    assert_eq!(world.referee.take_reads(), [""; 0]);
    // Another process with the same cache on disk: one question, whether there is something newer.
    let other = world.client_with(|o| o.freshness = Duration::ZERO);
    other.latest().await.unwrap().package(&id("pack:elsewhere-77")).await.unwrap().unwrap();
    assert_eq!(world.referee.take_reads(), ["checkpoint"]);
    other.latest().await.unwrap().package(&id("pack:elsewhere-77")).await.unwrap().unwrap();
    assert_eq!(world.referee.take_reads(), ["checkpoint"]);
    // And offline, nothing at all.
    let offline = world.client_with(|o| o.offline = true);
    offline.latest().await.unwrap().package(&id("pack:elsewhere-77")).await.unwrap().unwrap();
    assert_eq!(world.referee.take_reads(), [""; 0]);
    let e = offline.latest().await.unwrap().find(&spec("pack:elsewhere-9999")).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable, "not in the cache is not the same as not there: {e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_index_is_four_objects_deep() {
    let world = World::new().await;
    world.add_lines("list.jsonl", 0..160_000);
    world.build().await.unwrap();
    let deep = world.found().index.as_array().unwrap().iter().filter(|e| e["type"] == "page").count();
    assert!(deep > 400, "{deep} pages");
    world.referee.assert_fair();
    world.referee.take_reads();
    world.client().latest().await.unwrap().find(&spec("pack:elsewhere-123456")).await.unwrap();
    assert_eq!(kinds(&world.referee.take_reads()), ["checkpoint", "blobs", "blobs", "blobs"]);
    // One release more: as many puts as in a small registry, and one page more.
    world.referee.take_writes();
    world.add_crate("alpha", "1.0.0", "a");
    fs::remove_file(world.sources().join("list.jsonl")).unwrap();
    let report = world.build().await.unwrap();
    assert!((7..=9).contains(&report.puts) && report.bytes < 400_000, "{} puts, {} bytes", report.puts, report.bytes);
}

/// What a client holds goes with the last of its clones: no cache in it may hold the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_let_go_leaves_nothing_behind() {
    let world = World::new().await;
    world.add_lines("list.jsonl", 0..100);
    world.build().await.unwrap();
    let inner: Arc<dyn object_store::ObjectStore> = Arc::new(world.referee.clone());
    let store = Store::new(Arc::clone(&inner), "counted");
    let client = Client::new(store, std::slice::from_ref(&world.key), ClientOptions::default()).unwrap();
    let newest = client.latest().await.unwrap();
    newest.find(&spec("pack:elsewhere-7")).await.unwrap();
    let found = client.search(&SearchRequest::new("elsewhere-7")).await.unwrap();
    assert!(!found.hits.is_empty());
    let wanted: Want = "elsewhere-7".parse().unwrap();
    client.resolve().want(wanted).run().await.unwrap();
    assert!(Arc::strong_count(&inner) > 1);
    drop((client, newest));
    // Some of what caches let go is freed a little later.
    for _ in 0..500 {
        if Arc::strong_count(&inner) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the store is still held {} times", Arc::strong_count(&inner) - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_many_fetches_each_shard_once_and_keeps_the_order() {
    let world = World::new().await;
    world.add_lines("list.jsonl", 0..3_000);
    world.build().await.unwrap();
    let newest = world.client_with(|o| o.memory = 0).latest().await.unwrap();
    world.referee.take_reads();
    let ids: Vec<_> = (0..3_100).rev().map(|i| id(&format!("pack:elsewhere-{i}"))).collect();
    let found = newest.get_many(&ids).await.unwrap();
    let reads = world.referee.take_reads();
    assert_eq!(reads.len(), reads.iter().collect::<BTreeSet<_>>().len(), "none twice");
    for (id, package) in ids.iter().zip(found) {
        let number: u32 = id.name().trim_start_matches("elsewhere-").parse().unwrap();
        assert_eq!(package.map(|p| p.id.clone()), (number < 3_000).then(|| id.clone()));
    }
    let listed: BTreeSet<_> = newest.list().map_ok(|p| p.id).try_collect().await.unwrap();
    assert_eq!(listed.len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_name_works_where_it_means_one_package() {
    let world = World::new().await;
    world.add_crate("both", "1.0.0", "a");
    world.add_pack("both", "2.0.0", "b");
    world.add_crate("Only_Crate", "1.0.0-rc.1", "c");
    world.build().await.unwrap();
    let newest = world.client().latest().await.unwrap();
    let e = newest.find(&spec("both")).await.unwrap_err();
    assert!(
        e.kind() == ErrorKind::Invalid && e.hint().unwrap().contains("crate:both or pack:both"),
        "{e:?} {:?}",
        e.hint()
    );
    assert_eq!(newest.find(&spec("pack:both")).await.unwrap().newest().unwrap().version.to_string(), "2.0.0");
    let found = newest.find(&spec("only-crate")).await.unwrap();
    assert_eq!(found.name().unwrap().as_str(), "Only_Crate");
    assert_eq!(found.newest().unwrap().version.to_string(), "1.0.0-rc.1", "a pre-release where there is nothing else");
    assert_eq!(newest.find(&spec("nothing")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(newest.find_release(&spec("pack:both@3.0.0")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn i23_i24_an_older_state_is_not_believed_and_a_second_one_is_an_alarm() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let old = world.referee.objects()["checkpoint"].clone();
    world.add_crate("beta", "1.0.0", "b");
    world.build().await.unwrap();
    let client = world.client_with(|o| o.freshness = Duration::ZERO);
    assert_eq!(client.latest().await.unwrap().generation(), 2);
    // A mirror that is behind: a non-event, in this process and in the next.
    world.referee.plant("checkpoint", &old).await;
    assert_eq!(client.latest().await.unwrap().generation(), 2);
    let next = world.client_with(|o| o.freshness = Duration::ZERO);
    assert_eq!(next.latest().await.unwrap().generation(), 2);
    // A reader with no past has nothing to compare with.
    assert_eq!(world.client().latest().await.unwrap().generation(), 1);

    // The same key signs another history from the same beginning.
    let fork = World::new().await;
    let forked =
        ggen_marketplace::Registry::new(fork.referee.store(), world.signing_key(), &fork.dir.path().join("other"));
    fork.referee.lose("log/0000000000").await;
    fork.referee.lose("checkpoint").await;
    forked.init(&world.options).await.unwrap();
    for name in ["gamma", "delta"] {
        fork.add_crate(name, "1.0.0", "x");
        forked.build(&[fork.sources()], &world.options).await.unwrap();
    }
    world.referee.plant("checkpoint", &fork.referee.objects()["checkpoint"]).await;
    let e = next.latest().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    assert!(e.chain().contains("two different states as the same generation"), "{}", e.chain());
    let evidence = walkdir::WalkDir::new(world.dir.path().join("cache/trust"))
        .into_iter()
        .filter(|f| f.as_ref().unwrap().file_name().to_str().unwrap().starts_with("evidence-"));
    assert_eq!(evidence.count(), 2, "both notes are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn t25_an_expired_checkpoint_resolves_nothing_unless_asked() {
    let world = World::without_registry();
    let long_ago = BuildOptions::at(Timestamp::from_unix(1_600_000_000));
    world.registry().init(&long_ago).await.unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    world.registry().build(&[world.sources()], &long_ago).await.unwrap();
    let e = world.client().latest().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Expired);
    assert!(e.to_string().contains("2020-09-20"), "{e}");
    let anyway = world.client_with(|o| o.allow_expired = true);
    anyway.latest().await.unwrap().find(&spec("alpha")).await.unwrap();
    // A later build renews it, and what was trusted before does not stand in the way.
    world.build().await.unwrap();
    world.client_with(|_| {}).latest().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_wrong_origins_are_refused() {
    let (world, other) = (World::new().await, World::new().await);
    let client =
        Client::new(world.referee.store(), std::slice::from_ref(&other.key), ClientOptions::default()).unwrap();
    let e = client.latest().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted);
    assert!(e.hint().unwrap().contains("key"), "{:?}", e.hint());
    assert_eq!(
        Client::new(world.referee.store(), &[], ClientOptions::default()).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

/// I25, I27: any object that a lookup needs, flipped, cut, swapped or missing, is a named error; never a wrong answer, and
/// never "no such package".
#[tokio::test(flavor = "multi_thread")]
async fn i25_i27_a_damaged_or_missing_object_is_named() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let good = world.referee.objects();
    world.referee.take_reads();
    let newest = world.client().latest().await.unwrap();
    let record = newest.find_release(&spec("alpha")).await.unwrap();
    newest.detail(&record).await.unwrap();
    newest.fetch(&record).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    let needed = world.referee.take_reads();
    assert_eq!(needed.len(), 5, "checkpoint, snapshot, shard, detail, archive: {needed:?}");
    let other = good.values().find(|v| v.starts_with(b"ggen-market/claim")).unwrap();
    for key in &needed {
        let bytes = &good[key];
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        let longer = [&bytes[..], b"x"].concat();
        for (what, bad) in [
            ("flipped", flipped),
            ("cut", bytes[..bytes.len() / 2].to_vec()),
            ("longer", longer),
            ("empty", Vec::new()),
            ("another object", other.clone()),
            ("a login page", b"<html>please log in</html>".to_vec()),
        ] {
            world.referee.plant(key, &bad).await;
            let e = all_of(&world).await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Untrusted, "{what} {key}: {e:?}");
            assert!(e.chain().contains(key.as_str()), "{what}: {}", e.chain());
        }
        world.referee.lose(key).await;
        let e = all_of(&world).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unavailable, "missing {key}: {e:?}");
        assert!(e.chain().contains(key.as_str()), "{}", e.chain());
        world.referee.plant(key, bytes).await;
        all_of(&world).await.unwrap();
    }
}

/// What is well-formed and false is refused as well: only the digest can tell.
#[tokio::test(flavor = "multi_thread")]
async fn i25_a_well_made_forgery_is_refused() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let objects = world.referee.objects();
    let mut forged = 0;
    for (key, stored) in objects.iter().filter(|(k, _)| k.starts_with("blobs/")) {
        let mut raw = String::new();
        if std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&stored[..]), &mut raw).is_err() {
            continue;
        }
        // The same length unpacked, and no longer packed, so that no size gives it away.
        let lie = raw.replace("The crate alpha", "The crate crate");
        if lie == raw {
            continue;
        }
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        std::io::Write::write_all(&mut gz, lie.as_bytes()).unwrap();
        world.referee.plant(key, &gz.finish().unwrap()).await;
        let e = all_of(&world).await.unwrap_err();
        assert!(e.kind() == ErrorKind::Untrusted && e.chain().contains(key.as_str()), "{e:?}");
        world.referee.plant(key, stored).await;
        forged += 1;
    }
    assert_eq!(forged, 3, "the shard, the detail and the archive");
    all_of(&world).await.unwrap();
}

/// Looks up, reads the detail and downloads, with nothing cached.
async fn all_of(world: &World) -> ggen_marketplace::Result<()> {
    let newest = world.client().latest().await?;
    let record = newest.find_release(&spec("alpha")).await?;
    newest.detail(&record).await?;
    let out = world.dir.path().join("out.crate");
    newest
        .fetch_to(&record, &out, |_| {})
        .await
        .inspect_err(|_| assert!(!out.exists(), "half a file under its name"))?;
    fs::remove_file(out).unwrap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_cache_is_replaced_and_never_believed() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    world.client_with(|_| {}).latest().await.unwrap().find(&spec("alpha")).await.unwrap();
    let mut damaged = 0;
    for file in walkdir::WalkDir::new(world.dir.path().join("cache/blobs")) {
        let file = file.unwrap();
        if file.file_type().is_file() {
            let mut bytes = fs::read(file.path()).unwrap();
            bytes[9] ^= 0x55;
            fs::write(file.path(), bytes).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 2);
    world.referee.take_reads();
    world.client_with(|_| {}).latest().await.unwrap().find(&spec("alpha")).await.unwrap();
    assert_eq!(world.referee.take_reads().len(), 3);
    world.client_with(|_| {}).latest().await.unwrap().find(&spec("alpha")).await.unwrap();
    assert_eq!(world.referee.take_reads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_can_be_read_and_compared() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    world.add_crate("alpha", "1.1.0", "aa");
    world.add_pack("gamma", "1.0.0", "g");
    let report = world.build().await.unwrap();
    let (package, version) = (id("crate:alpha"), "1.0.0".parse().unwrap());
    world.registry().yank(&package, &version, None, &world.options).await.unwrap();

    let client = world.client();
    let history = client.history(10).await.unwrap();
    assert_eq!(
        history.iter().map(|g| (g.number, g.releases.unwrap())).collect::<Vec<_>>(),
        [(3, 3), (2, 3), (1, 1), (0, 0)]
    );
    assert_eq!(client.history(2).await.unwrap().len(), 2);
    let at = |n| client.at(Pin::Generation(n));
    let first = at(1).await.unwrap();
    assert_eq!(first.find(&spec("alpha")).await.unwrap().releases.len(), 1);
    let by_digest = client.at(Pin::Snapshot(history[2].snapshot)).await.unwrap();
    assert_eq!(by_digest.snapshot(), first.snapshot());
    assert_eq!(at(4).await.unwrap_err().kind(), ErrorKind::NotFound);
    let diff = client.diff(&first, &at(2).await.unwrap()).await.unwrap();
    assert_eq!(diff, report.changes, "the change list of a generation is its difference to the one before");
    let shown = |c: &ggen_marketplace::format::ChangedRelease| format!("{} {} {}", c.change, c.package, c.version);
    assert_eq!(diff.0.iter().map(shown).collect::<Vec<_>>(), ["added crate/alpha 1.1.0", "added pack/gamma 1.0.0"]);
    let yanked = client.diff(&at(2).await.unwrap(), &at(3).await.unwrap()).await.unwrap();
    assert_eq!(yanked.0.iter().map(shown).collect::<Vec<_>>(), ["yanked crate/alpha 1.0.0"]);

    // Another slot in the place of one of the past: signed by the right key, but not the one that the next one follows.
    let checkpoint = world.referee.objects()["checkpoint"].clone();
    let slot = world.referee.objects()["log/0000000001"].clone();
    world.commit_by_hand(1, &world.snapshot(0)).await;
    world.referee.plant("checkpoint", &checkpoint).await;
    let e = client.at(Pin::Generation(1)).await.unwrap_err();
    assert!(e.kind() == ErrorKind::Untrusted && e.to_string().contains("the next one follows"), "{e}");
    assert_eq!(client.at(Pin::Generation(2)).await.unwrap().generation(), 2);
    world.referee.plant("log/0000000001", &slot).await;
    // A slot in the place of another one.
    let objects = world.referee.objects();
    world.referee.plant("log/0000000001", &objects["log/0000000002"]).await;
    assert_eq!(client.at(Pin::Generation(1)).await.unwrap_err().kind(), ErrorKind::Untrusted);
}

/// `verify --all` finds one flipped byte anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_a_flipped_byte_in_any_object_and_names_it() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    world.add_pack("gamma", "1.0.0", "g");
    world.build().await.unwrap();
    let good = world.referee.objects();
    let verified = world.client().verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    assert_eq!((verified.generation, verified.packages), (2, 2));
    assert_eq!(verified.objects, good.len() as u64, "every object of the store was read");
    assert_eq!(verified.unreferenced, Some((0, 0)));
    let left = b"left by a run that was interrupted";
    let key = format!("blobs/sha256/{}", super::support::second_reader::hex(left));
    world.referee.plant(&key, left).await;
    let with_more = world.client().verify(&VerifyOptions::all()).await.unwrap();
    assert_eq!((with_more.unreferenced, with_more.problems.len()), (Some((1, left.len() as u64)), 0));
    for (key, bytes) in &good {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x20;
            world.referee.plant(key, &bad).await;
            match world.client().verify(&VerifyOptions::all()).await {
                // Without a checkpoint that verifies there is nothing to begin with.
                Err(e) => assert!(key == "checkpoint" && e.kind() == ErrorKind::Untrusted, "{key}: {e:?}"),
                Ok(v) => {
                    assert!(!v.problems.is_empty(), "{key} byte {at} went unnoticed");
                    assert!(
                        v.problems.iter().any(|p| p.error.chain().contains(key.as_str())),
                        "{key}: {:?}",
                        v.problems
                    );
                }
            }
        }
        world.referee.plant(key, bytes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_share_one_client() {
    let world = World::new().await;
    world.add_lines("list.jsonl", 0..2_000);
    world.build().await.unwrap();
    let client = world.client_with(|o| o.freshness = Duration::ZERO);
    let mut tasks = Vec::new();
    for task in 0..8 {
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            for i in (task..2_000).step_by(101) {
                let newest = client.latest().await.unwrap();
                assert!(newest.package(&id(&format!("pack:elsewhere-{i}"))).await.unwrap().is_some());
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// I26: nothing larger than its limit is read, whatever a link or a server promises.
#[tokio::test(flavor = "multi_thread")]
async fn i26_what_is_too_large_is_not_read() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let good = world.referee.objects()["checkpoint"].clone();
    let padded = [&good[..], &vec![b'x'; 20_000][..]].concat();
    world.referee.plant("checkpoint", &padded).await;
    let e = world.client().latest().await.unwrap_err();
    assert!(e.kind() == ErrorKind::Untrusted && e.to_string().contains("longer than the 16384 bytes"), "{e}");
    world.referee.plant("checkpoint", &good).await;

    // A builder with the right key that cites a shard of a terabyte, or one that unpacks to it.
    let snapshot = world.snapshot(1);
    let link = snapshot["index"][0]["link"].clone();
    let (size, raw) = (link["size"].as_u64().unwrap(), link["raw"].as_u64().unwrap());
    for (size, raw, what) in [(1 << 40, raw, "at most"), (size, 1 << 40, "at most"), (size, raw - 1, "damaged")] {
        let mut lie = snapshot.clone();
        lie["index"][0]["link"]["size"] = size.into();
        lie["index"][0]["link"]["raw"] = raw.into();
        world.commit_by_hand(1, &lie).await;
        let e = world.client().latest().await.unwrap().find(&spec("alpha")).await.unwrap_err();
        assert!(e.kind() == ErrorKind::Untrusted && e.chain().contains(what), "{size} {raw}: {}", e.chain());
    }
}

/// I9, seen from outside: a builder that loses a release is found out, although all that it signed is in order.
#[tokio::test(flavor = "multi_thread")]
async fn i9_verify_finds_a_release_that_went_without_a_tombstone() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let mut empty = world.snapshot(0);
    empty["generation"] = 2.into();
    world.commit_by_hand(2, &empty).await;
    assert!(world.client().latest().await.unwrap().find(&spec("alpha")).await.is_err());
    let newest_only = world.client().verify(&VerifyOptions::default()).await.unwrap();
    assert!(newest_only.problems.is_empty(), "the newest state is whole in itself");
    let verified = world.client().verify(&VerifyOptions::all()).await.unwrap();
    let told: Vec<_> = verified.problems.iter().map(|p| p.error.to_string()).collect();
    assert_eq!(told, ["generation 2 lost or changed crate/alpha 1.0.0"]);
}

/// The index is the one tree of its records: another shape, however consistent, is found.
#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_an_index_of_another_shape() {
    let world = World::new().await;
    // By the first bits of their keys one of these is on the left, the other on the right.
    world.add_lines("list.jsonl", 0..8);
    world.build().await.unwrap();
    let mut snapshot = world.snapshot(1);
    let mut halves = [String::new(), String::new()];
    for record in world.found().records.values() {
        let key = super::support::second_reader::hex(format!("pack/{}", record["name"].as_str().unwrap()).as_bytes());
        let half = usize::from(key.as_bytes()[0] >= b'8');
        halves[half] += &format!("{key} {record}\n");
    }
    let mut entries = Vec::new();
    for (half, lines) in halves.iter().enumerate() {
        let mut lines: Vec<_> = lines.lines().collect();
        assert!(!lines.is_empty());
        lines.sort_unstable();
        let body: String = lines.iter().map(|l| format!("{}\n", l.split_once(' ').unwrap().1)).collect();
        let raw = format!("{{\"format\":2,\"prefix\":\"{half}\",\"type\":\"shard\"}}\n{body}");
        let link = world.plant_gz(raw.as_bytes()).await;
        let count = lines.len();
        entries.push(serde_json::json!({ "bytes": body.len(), "link": link, "packages": count, "prefix": half.to_string(), "releases": count, "type": "shard" }));
    }
    snapshot["index"] = entries.into();
    world.commit_by_hand(1, &snapshot).await;
    let newest = world.client().latest().await.unwrap();
    assert!(newest.find(&spec("elsewhere-3")).await.is_ok(), "it reads like any other");
    let verified = world.client().verify(&VerifyOptions::default()).await.unwrap();
    let told: Vec<_> = verified.problems.iter().map(|p| p.error.chain()).collect();
    assert!(told.len() == 1 && told[0].contains("not the tree of its records"), "{told:?}");
}
