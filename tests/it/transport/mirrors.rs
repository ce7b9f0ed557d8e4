//! Several places for one registry: what fails or is old is left, none is trusted, and all who want the same thing at the same
//! time ask once.

use super::Published;
use crate::support::proxy::{Fault, Often, Plan, Proxy};
use ggen_marketplace::{ErrorKind, MirrorOrder, Result, package::PackageSpec};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn spec(text: &str) -> PackageSpec {
    text.parse().unwrap()
}

/// Looks up and downloads with a client of its own.
async fn download(p: &Published, places: &[&str], out: &Path) -> Result<()> {
    let newest = p.client(places, None).latest().await?;
    assert_eq!(newest.generation(), 3);
    let record = newest.find_release(&spec("crate:alpha")).await?;
    newest.fetch_to(&record, out, |_| {}).await?;
    assert!(fs::read(out).unwrap() == p.archive);
    Ok(())
}

fn always(fault: Fault) -> Plan {
    Plan::new(fault, Often::Always)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_mirror_breaks_off_the_next_one_goes_on_with() {
    let p = Published::new().await;
    let archive = format!("blobs/sha256/{}", crate::support::second_reader::hex(&p.archive));
    let broken = Proxy::start(&p.folder, Plan { keys: vec![archive.clone()], ..always(Fault::Cut(700)) }).await;
    let good = Proxy::fair(&p.folder).await;
    let out = p.world.dir.path().join("out");
    download(&p, &[&broken.url, &good.url], &out).await.unwrap();
    let asked = good.asked();
    let parts: Vec<_> = asked.iter().filter(|q| q.key() == archive).collect();
    assert_eq!(parts.len(), 1);
    let from = p.archive.len() * 700 / 1000;
    assert_eq!(parts[0].header("range"), Some(format!("bytes={from}-").as_str()), "only what was missing");
    assert_eq!(asked.len(), 2, "the checkpoint, and the rest of the archive: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_one_mirror_is_made_up_for_by_another() {
    let p = Published::new().await;
    let good = Proxy::fair(&p.folder).await;
    let out = p.world.dir.path().join("out");
    for fault in [
        Fault::Reset,
        Fault::Cut(500),
        Fault::CutFlipped,
        Fault::BitFlip,
        Fault::Endless,
        Fault::Drip,
        Fault::Stall,
        Fault::Status(500),
        Fault::Status(404),
        Fault::Status(403),
        Fault::Status(401),
        Fault::Busy(503, 3600),
        Fault::LoginPage,
        Fault::SameLength,
        Fault::RedirectLoop,
        Fault::Gzip,
        Fault::Old,
        Fault::Garbage,
    ] {
        let bad = Proxy::start(&p.folder, Plan { old: Some(p.old.clone()), ..always(fault) }).await;
        let began = Instant::now();
        download(&p, &[&bad.url, &good.url], &out).await.unwrap_or_else(|e| panic!("{fault:?}: {e:?}"));
        assert!(began.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", began.elapsed());
        assert!(bad.struck() > 0, "{fault:?}");
    }
    // In any order, and from a folder as well.
    let dead = "http://127.0.0.1:9";
    download(&p, &[dead, p.folder.to_str().unwrap()], &out).await.unwrap();
    download(&p, &[&good.url, dead], &out).await.unwrap();
    let e = download(&p, &[dead, "http://127.0.0.1:10"], &out).await.unwrap_err();
    assert!(e.kind() == ErrorKind::Unavailable && e.to_string().contains("none of 2 mirrors"), "{e:?}");
    assert!(e.chain().contains("127.0.0.1:9/") && e.chain().contains("127.0.0.1:10/"), "{}", e.chain());
}

/// Whoever gives wrong bytes in one part of a download spoils the whole; then each has to give all of it.
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_do_not_fit_together_are_all_thrown_away() {
    let p = Published::new().await;
    let archive = format!("blobs/sha256/{}", crate::support::second_reader::hex(&p.archive));
    let keys = vec![archive.clone()];
    let liar = Proxy::start(&p.folder, Plan { keys: keys.clone(), ..always(Fault::CutFlipped) }).await;
    let good = Proxy::fair(&p.folder).await;
    let out = p.world.dir.path().join("out");
    download(&p, &[&liar.url, &good.url], &out).await.unwrap();
    let parts: Vec<_> = good.asked().into_iter().filter(|q| q.key() == archive).collect();
    assert!(parts.iter().any(|q| q.header("range").is_none()), "from the beginning: {parts:?}");
    // A stream cannot take back what it gave: its last item is an error.
    let newest = p.client(&[&liar.url, &good.url], None).latest().await.unwrap();
    let record = newest.find_release(&spec("crate:alpha")).await.unwrap();
    let pieces: Vec<_> = futures::StreamExt::collect(newest.fetch(&record).await.unwrap()).await;
    assert!(matches!(pieces.last(), Some(Err(_))), "{:?}", pieces.last());
    // Two liars: no end of trying.
    let other = Proxy::start(&p.folder, Plan { keys, ..always(Fault::CutFlipped) }).await;
    let began = Instant::now();
    download(&p, &[&liar.url, &other.url], &out).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn i27_a_stale_mirror_never_makes_a_package_not_exist() {
    let p = Published::new().await;
    // All of it is of one generation before: it is whole, signed, and lacks crate:gamma.
    let stale = Proxy::fair(&p.old).await;
    let good = Proxy::fair(&p.folder).await;
    for order in [[&stale, &good], [&good, &stale]] {
        let places = order.map(|m| m.url.as_str());
        let newest = p.client(&places, None).latest().await.unwrap();
        assert_eq!(newest.generation(), 3);
        newest.find(&spec("crate:gamma")).await.unwrap();
    }
    // The stale one alone, after the newest was seen: not there yet is no proof of absence.
    let cache = p.world.dir.path().join("cache");
    p.client(&[&good.url], Some(&cache)).latest().await.unwrap();
    fs::remove_dir_all(cache.join("blobs")).unwrap();
    let alone = p.client(&[&stale.url], Some(&cache));
    let e = alone.latest().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e:?}");
    // Who has the state already goes by it, also when only the stale one is left.
    let both = p.client(&[&stale.url, &good.url], None);
    both.latest().await.unwrap();
    good.set(always(Fault::Reset));
    let newest = both.latest().await.unwrap();
    assert_eq!(newest.generation(), 3);
    let e = newest.find(&spec("crate:gamma")).await.err();
    assert!(e.is_none_or(|e| e.kind() == ErrorKind::Unavailable));
}

/// Two mirrors that show two histories, both signed: an alarm, whoever is asked first.
#[tokio::test(flavor = "multi_thread")]
async fn i24_two_truths_are_an_alarm() {
    let p = Published::new().await;
    let other = p.world.dir.path().join("other");
    super::copy(&p.old, &other);
    p.world.add_crate("delta", "1.0.0", "d");
    // A writer that has not seen the other history.
    let store = ggen_marketplace::Store::open(other.to_str().unwrap()).unwrap();
    let registry =
        ggen_marketplace::Registry::new(store, p.world.signing_key(), &p.world.dir.path().join("another-state"));
    registry.build(&[p.world.sources()], &p.world.options).await.unwrap();
    let (one, two) = (Proxy::fair(&p.folder).await, Proxy::fair(&other).await);
    for places in [[one.url.as_str(), &two.url], [two.url.as_str(), &one.url]] {
        let cache = tempfile::tempdir().unwrap();
        let e = p.client(&places, Some(cache.path())).latest().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Untrusted, "{e:?}");
        let folder = fs::read_dir(cache.path().join("trust")).unwrap().next().unwrap().unwrap().path();
        let evidence = fs::read_dir(folder).unwrap();
        let names = evidence.map(|e| e.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|n| n.starts_with("evidence-")).count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_is_as_asked_for_and_a_mirror_that_failed_is_left_alone() {
    let p = Published::new().await;
    let mirrors = [Proxy::fair(&p.folder).await, Proxy::fair(&p.folder).await, Proxy::fair(&p.folder).await];
    let places: Vec<_> = mirrors.iter().map(|m| m.url.as_str()).collect();
    let blobs = || {
        let count = |m: &Proxy| m.asked().iter().filter(|q| q.key().starts_with("blobs/")).count();
        [count(&mirrors[0]), count(&mirrors[1]), count(&mirrors[2])]
    };
    // Archives are never cached by the client: one request each.
    let load = async |order: MirrorOrder, times: usize| {
        let client = p.client_with(&places, None, |how| how.transport.order = order);
        let newest = client.latest().await.unwrap();
        let record = newest.find_release(&spec("crate:beta")).await.unwrap();
        blobs();
        for _ in 0..times {
            newest.fetch_to(&record, &p.world.dir.path().join("out"), |_| {}).await.unwrap();
        }
        blobs()
    };
    assert_eq!(load(MirrorOrder::Listed, 9).await, [9, 0, 0]);
    assert_eq!(load(MirrorOrder::RoundRobin, 9).await, [3, 3, 3]);
    mirrors[0].delay(Duration::from_millis(60));
    mirrors[2].delay(Duration::from_millis(60));
    assert_eq!(load(MirrorOrder::Fastest, 9).await, [0, 9, 0]);
    mirrors[0].delay(Duration::ZERO);
    mirrors[2].delay(Duration::ZERO);
    // It fails once, and then has its rest.
    let client = p.client(&places, None);
    let newest = client.latest().await.unwrap();
    let record = newest.find_release(&spec("crate:beta")).await.unwrap();
    blobs();
    mirrors[0].set(always(Fault::Status(500)));
    for _ in 0..5 {
        newest.fetch_to(&record, &p.world.dir.path().join("out"), |_| {}).await.unwrap();
    }
    assert_eq!(blobs(), [1, 5, 0]);
    // And it is asked again afterwards.
    mirrors[0].set(always(Fault::None));
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    newest.fetch_to(&record, &p.world.dir.path().join("out"), |_| {}).await.unwrap();
    assert_eq!(blobs(), [1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_mirror_costs_the_grace_and_no_more() {
    let p = Published::new().await;
    let silent = Proxy::start(&p.folder, always(Fault::Silent)).await;
    let good = Proxy::fair(&p.folder).await;
    // Whoever waited for it would wait for minutes.
    let client = p.client_with(&[&good.url, &silent.url], None, |how| {
        how.transport.answer_timeout = Duration::from_secs(300);
        how.transport.retry_budget = Duration::from_secs(300);
    });
    let began = Instant::now();
    assert_eq!(client.latest().await.unwrap().generation(), 3);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

/// A hundred tasks, one shard: one request each for the checkpoint, the snapshot and the shard.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_who_want_the_same_thing_ask_once() {
    let p = Published::new().await;
    let proxy = Proxy::fair(&p.folder).await;
    proxy.delay(Duration::from_millis(50));
    let client = p.client(&[&proxy.url], None);
    let lookups = async |kind: Option<ErrorKind>| {
        let tasks = (0..100).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.latest().await?.find(&spec("crate:alpha")).await.map(drop) })
        });
        for done in futures::future::join_all(tasks).await {
            assert_eq!(done.unwrap().err().map(|e| e.kind()), kind);
        }
        proxy.asked().len()
    };
    assert_eq!(lookups(None).await, 3);
    // Now all of it is in memory but whether there is something newer.
    assert_eq!(lookups(None).await, 1);
    // A failure is shared as well: five tries, and not five hundred.
    let shared = p.client(&[&proxy.url], None);
    proxy.set(always(Fault::Status(500)));
    let tasks = (0..100).map(|_| {
        let client = shared.clone();
        tokio::spawn(async move { client.latest().await.map(drop) })
    });
    for done in futures::future::join_all(tasks).await {
        let e = done.unwrap().unwrap_err();
        assert!(e.kind() == ErrorKind::Unavailable && e.chain().contains("500") && e.hint().is_some(), "{e:?}");
    }
    assert_eq!(proxy.asked().len(), 5);
}

/// Two programs share a cache on disk, and what one of them finds damaged it mends for both.
#[tokio::test(flavor = "multi_thread")]
async fn the_cache_on_disk_is_shared_and_heals() {
    let p = Published::new().await;
    let proxy = Proxy::fair(&p.folder).await;
    let cache = p.world.dir.path().join("cache");
    let look = async || {
        let newest = p.client(&[&proxy.url], Some(&cache)).latest().await.unwrap();
        newest.find(&spec("crate:alpha")).await.unwrap();
        proxy.asked().iter().map(|q| q.key().split('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(look().await, ["checkpoint", "blobs", "blobs"]);
    assert_eq!(look().await, ["checkpoint"]);
    let objects = || walkdir::WalkDir::new(cache.join("blobs")).into_iter().map(Result::unwrap);
    let files: Vec<_> = objects().filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path).collect();
    assert_eq!(files.len(), 2);
    for (file, damage) in [(0, true), (1, false)] {
        let mut bytes = fs::read(&files[file]).unwrap();
        if damage {
            bytes[30] ^= 1;
        } else {
            bytes.truncate(20);
        }
        fs::write(&files[file], bytes).unwrap();
        assert_eq!(look().await, ["checkpoint", "blobs"]);
        assert_eq!(look().await, ["checkpoint"]);
    }
}

/// A time to be left alone that no clock holds is a long one, and nothing more: also where another mirror is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_endless_patience_is_left_alone() {
    let p = Published::new().await;
    let good = Proxy::fair(&p.folder).await;
    let out = p.world.dir.path().join("out");
    for seconds in [u64::MAX, u64::MAX / 1000, 1 << 40] {
        let busy = Proxy::start(&p.folder, always(Fault::Busy(503, seconds))).await;
        download(&p, &[&busy.url, &good.url], &out).await.unwrap();
        assert_eq!(busy.asked().len(), 1, "{seconds}: it is not asked again");
        let e = download(&p, &[&busy.url], &out).await.unwrap_err();
        assert!(e.kind() == ErrorKind::Unavailable && e.chain().contains("asks to be left alone"), "{e:?}");
    }
}
