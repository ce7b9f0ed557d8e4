//! Searching a registry: what a build writes, what a reader finds, and what it costs to ask in place.

pub(crate) mod remote;

use super::support::world::World;
use ggen_marketplace::{
    ErrorKind, SearchMode, SearchOrder, SearchRequest, SearchResults, VerifyOptions,
    package::{Kind, PackageId},
};
use std::{collections::BTreeMap, fmt::Write as _, fs, sync::Arc};

/// Writes a list of records: name, version, downloads (or `-`), summary.
pub(super) fn list(world: &World, file: &str, records: &[(&str, &str, &str, &str)]) {
    let mut text = String::new();
    for (name, version, downloads, summary) in records {
        let downloads = if *downloads == "-" { String::new() } else { format!("\"downloads\":{downloads},") };
        writeln!(
            text,
            r#"{{{downloads}"name":"{name}","version":"{version}","summary":"{summary}","license":"MIT","published":"2026-01-01T00:00:00Z","sha256":"{}","size":1,"download_url":"https://downloads.example.com/{name}-{version}.tgz"}}"#,
            super::support::second_reader::hex(format!("{name} {version}").as_bytes())
        )
        .unwrap();
    }
    fs::write(world.sources().join(file), text).unwrap();
}

async fn ask(world: &World, request: &SearchRequest) -> Arc<SearchResults> {
    world.client().search(request).await.unwrap()
}

/// Names and download counts of what is found, the best first.
async fn found(world: &World, text: &str) -> Vec<(String, u64)> {
    let results = ask(world, &SearchRequest::new(text)).await;
    results.hits.iter().map(|h| (h.name.to_string(), h.downloads)).collect()
}

fn of(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(name, downloads)| ((*name).to_owned(), *downloads)).collect()
}

async fn assert_sound(world: &World) {
    world.referee.assert_fair();
    world.found();
    let verified = world.client().verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_found_and_what_changes_is_found_as_it_is_now() {
    let world = World::new().await;
    assert_eq!(found(&world, "anything").await, of(&[]));
    list(
        &world,
        "a.jsonl",
        &[("http-client", "1.0.0", "5", "Fetches pages"), ("axios", "1.0.0", "9000", "HTTP client for browsers")],
    );
    world.build().await.unwrap();
    assert_eq!(found(&world, "http client").await, of(&[("http-client", 5), ("axios", 9000)]));
    assert_sound(&world).await;

    // A new version with another summary; its downloads are not told again, and stay.
    list(&world, "b.jsonl", &[("axios", "2.0.0", "-", "Talks to servers"), ("ky", "1.0.0", "-", "A tiny client")]);
    world.build().await.unwrap();
    assert_eq!(found(&world, "client").await, of(&[("http-client", 5), ("ky", 0)]));
    assert_eq!(found(&world, "talks").await, of(&[("axios", 9000)]));
    let hit = ask(&world, &SearchRequest::new("axios")).await.hits[0].clone();
    assert_eq!((hit.version.to_string(), hit.license.as_deref()), ("2.0.0".into(), Some("MIT")));
    assert_sound(&world).await;

    // A yank shows the version before it; a second one puts the package behind all others.
    let axios = PackageId::new(Kind::Pack, &"axios".parse().unwrap()).unwrap();
    world.registry().yank(&axios, &"2.0.0".parse().unwrap(), None, &world.options).await.unwrap();
    assert_eq!(found(&world, "browsers").await, of(&[("axios", 9000)]));
    world.registry().yank(&axios, &"1.0.0".parse().unwrap(), None, &world.options).await.unwrap();
    let everything = ask(&world, &SearchRequest::new("")).await;
    let last = everything.hits.last().unwrap();
    assert_eq!((last.name.as_str(), last.yanked, everything.total), ("axios", true, 3));
    assert_sound(&world).await;

    // What is taken out is not found.
    fs::remove_file(world.sources().join("b.jsonl")).unwrap();
    let mut options = world.options.clone();
    options.delete = true;
    world.registry().build(&[world.sources()], &options).await.unwrap();
    assert_eq!(found(&world, "ky").await, of(&[]));
    assert_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_release_more_is_one_small_object_more_and_many_are_folded() {
    let world = World::new().await;
    world.add_lines("many.jsonl", 0..5000);
    world.build().await.unwrap();
    let cited = |world: &World| {
        let snapshot = world.snapshot(world.found().generation);
        snapshot["search"].as_array().cloned().unwrap_or_default()
    };
    let base = cited(&world);
    assert_eq!(base.len(), 1);
    world.referee.take_writes();
    for i in 0..3 {
        world.add_lines(&format!("one-{i}.jsonl"), 5000 + i..5001 + i);
        let report = world.build().await.unwrap();
        // Shard, change list, bundle, snapshot; slot and checkpoint.
        assert_eq!((report.added, report.puts), (1, 6));
        let now = cited(&world);
        assert_eq!((now.len(), &now[0]), (2, &base[0]));
        assert_eq!(now[1]["documents"], i + 1, "the small ones are taken in");
        assert!(now[1]["link"]["size"].as_u64().unwrap() < 40_000);
    }
    assert_sound(&world).await;
    world.add_lines("more.jsonl", 6000..8000);
    world.build().await.unwrap();
    let folded = cited(&world);
    assert_eq!((folded.len(), &folded[0]["documents"]), (1, &7003.into()));
    assert_sound(&world).await;

    // The same bytes as of a registry that was built at once.
    let mut other = World::new().await;
    other.options.now = world.options.now;
    for (file, range) in [("a.jsonl", 0..5003), ("b.jsonl", 6000..8000)] {
        other.add_lines(file, range);
    }
    other.build().await.unwrap();
    assert_eq!(cited(&other), folded);
}

#[tokio::test(flavor = "multi_thread")]
async fn download_counts_come_from_lists_and_from_the_side_and_cost_nothing_when_they_are_the_same() {
    let world = World::new().await;
    list(&world, "a.jsonl", &[("alpha", "1.0.0", "1", "First"), ("beta", "1.0.0", "2", "Second")]);
    world.build().await.unwrap();
    assert_eq!(found(&world, "").await, of(&[("beta", 2), ("alpha", 1)]));
    let report = world.build().await.unwrap();
    assert_eq!((report.committed, report.puts), (false, 0));
    list(&world, "a.jsonl", &[("alpha", "1.0.0", "7", "First"), ("beta", "1.0.0", "2", "Second")]);
    let report = world.build().await.unwrap();
    assert_eq!((report.committed, report.added, report.unchanged), (true, 0, 2));
    assert_eq!(found(&world, "").await, of(&[("alpha", 7), ("beta", 2)]));
    list(&world, "a.jsonl", &[("alpha", "1.0.0", "-", "First"), ("beta", "1.0.0", "-", "Second")]);
    let mut options = world.options.clone();
    let id = |name: &str| PackageId::new(Kind::Pack, &name.parse().unwrap()).unwrap();
    options.downloads = Arc::new(BTreeMap::from([(id("beta"), 50), (id("nobody"), 9)]));
    world.registry().build(&[world.sources()], &options).await.unwrap();
    assert_eq!(found(&world, "").await, of(&[("beta", 50), ("alpha", 7)]));
    assert_eq!(world.registry().build(&[world.sources()], &options).await.unwrap().puts, 0);
    assert_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_meet_make_one_index_of_both() {
    let world = World::new().await;
    list(&world, "a.jsonl", &[("alpha", "1.0.0", "1", "First")]);
    world.build().await.unwrap();
    list(&world, "b.jsonl", &[("beta", "1.0.0", "2", "Second")]);
    let late = world.dir.path().join("late");
    fs::create_dir_all(&late).unwrap();
    let (registry, options, sources) = (world.registry(), world.options.clone(), world.sources());
    // Just before this run claims its slot, another one takes it.
    fs::rename(world.sources().join("b.jsonl"), late.join("b.jsonl")).unwrap();
    list(&world, "c.jsonl", &[("gamma", "1.0.0", "3", "Third")]);
    world.referee.before("log/0000000002", move || async move {
        drop(registry.build(&[sources], &options).await.unwrap());
    });
    let report = world.registry().build(&[late], &world.options).await.unwrap();
    assert_eq!((report.generation, report.added), (3, 1));
    assert_eq!(found(&world, "").await, of(&[("gamma", 3), ("beta", 2), ("alpha", 1)]));
    assert_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_can_be_left_out_and_comes_back() {
    let mut world = World::new().await;
    list(&world, "a.jsonl", &[("alpha", "1.0.0", "1", "First")]);
    world.options.search = false;
    let report = world.build().await.unwrap();
    assert_eq!(report.puts, 5, "shard, change list, snapshot, slot, checkpoint");
    let e = world.client().search(&SearchRequest::new("alpha")).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(e.to_string().contains("has no search index"), "{e}");
    assert_eq!(world.build().await.unwrap().puts, 0);
    world.options.search = true;
    assert!(world.build().await.unwrap().committed);
    assert_eq!(found(&world, "alpha").await, of(&[("alpha", 1)]));
    assert_eq!(world.build().await.unwrap().puts, 0);
    assert_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_bundle_is_named_wherever_the_damage_is_and_a_writer_makes_it_anew() {
    let world = World::new().await;
    list(&world, "a.jsonl", &[("alpha", "1.0.0", "1", "First"), ("beta", "1.0.0", "2", "Second")]);
    world.build().await.unwrap();
    let snapshot = world.snapshot(1);
    let key = format!("blobs/sha256/{}", snapshot["search"][0]["link"]["sha256"].as_str().unwrap());
    let good = world.referee.objects()[&key].clone();
    for at in (0..good.len()).step_by(good.len() / 40).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        world.referee.plant(&key, &bad).await;
        let e = world.client().search(&SearchRequest::new("alpha")).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Untrusted, "byte {at}: {e}");
        assert!(e.chain().contains(&key), "{}", e.chain());
    }
    let verified = world.client().verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.iter().any(|p| p.error.chain().contains(&key)), "{:?}", verified.problems);
    list(&world, "b.jsonl", &[("gamma", "1.0.0", "-", "Third")]);
    world.build().await.unwrap();
    assert_eq!(found(&world, "").await.len(), 3);
}

/// The index of a search is made of the packages: that a part of it is gone, or is not whole, is no reason to publish nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_gone_or_cut_short_stops_no_writer_and_is_made_anew() {
    let world = World::new().await;
    // Of one that is so large a writer reads parts.
    let digits =
        |i: u32| (0..4).map(move |j| super::support::second_reader::hex(&[i, j].map(u32::to_be_bytes).concat()));
    let texts: Vec<_> = (0..5000).map(|i| (format!("some-{i}"), digits(i).collect::<Vec<_>>().join(" "))).collect();
    let lines: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), "1.0.0", "-", &text[..200])).collect();
    list(&world, "many.jsonl", &lines);
    world.build().await.unwrap();
    let base = || {
        let snapshot = world.snapshot(world.found().generation);
        let link = &snapshot["search"][0]["link"];
        (format!("blobs/sha256/{}", link["sha256"].as_str().unwrap()), link["size"].as_u64().unwrap())
    };
    assert!(base().1 > 1 << 20, "{:?}", base());
    let some = PackageId::new(Kind::Pack, &"some-1".parse().unwrap()).unwrap();
    for (i, left) in [None, Some(0), Some(1000), Some(base().1 - 1), None].into_iter().enumerate() {
        let (key, _) = base();
        let bytes = world.referee.objects()[&key].clone();
        match left {
            None => world.referee.lose(&key).await,
            Some(left) => world.referee.plant(&key, &bytes[..usize::try_from(left).unwrap()]).await,
        }
        if i == 4 {
            world.registry().yank(&some, &"1.0.0".parse().unwrap(), None, &world.options).await.unwrap();
        } else {
            list(&world, &format!("{i}.jsonl"), &[(&format!("new-{i}"), "1.0.0", "-", "One more")]);
            world.build().await.unwrap();
        }
        assert_ne!(base().0, key, "{left:?}");
        // The generations before are not mended by it.
        world.referee.plant(&key, &bytes).await;
        assert_sound(&world).await;
    }
    assert_eq!(found(&world, "new").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_ask_at_once_and_large_answers_stream() {
    use futures::{StreamExt as _, TryStreamExt as _};
    let world = World::new().await;
    world.add_lines("many.jsonl", 0..1500);
    world.build().await.unwrap();
    let searcher = world.client().latest().await.unwrap().searcher(SearchMode::Local).await.unwrap();
    let tasks = (0..16).map(|i| {
        let searcher = searcher.clone();
        tokio::spawn(async move {
            for j in 0..20 {
                let name = format!("elsewhere-{}", (i * 20 + j) % 1500);
                let hits = searcher.search(&SearchRequest::new(name.clone())).await.unwrap().hits.clone();
                assert_eq!(hits[0].name.as_str(), name);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut request = SearchRequest::new("");
    request.order = SearchOrder::Name;
    let all: Vec<_> = searcher.stream(&request).try_collect().await.unwrap();
    assert_eq!(all.len(), 1500);
    assert!(all.is_sorted_by_key(|h| h.name.to_string()));
    // Whoever has seen enough just stops.
    assert_eq!(Box::pin(searcher.stream(&request)).take(3).count().await, 3);
}
