//! The tree of details: what it is a function of, what changes it, and what becomes of one that is damaged or made up.

use super::*;
use crate::{
    cli::Sandbox,
    support::s3::{Op, S3},
};
use ggen_marketplace::{GcOptions, Registry, VerifyOptions, package::PackageSpec};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

/// A list of releases that are hosted elsewhere: of so many packages so many, each with a readme of so many bytes.
fn list(path: &Path, packages: std::ops::Range<u32>, releases: u32, readme: usize) {
    let mut text = String::new();
    for (package, release) in packages.flat_map(|p| (0..releases).map(move |r| (p, r))) {
        let sha256 = second_reader::hex(format!("{package} {release}").as_bytes());
        let readme = format!("{sha256} ").repeat(readme / 65);
        writeln!(text, r#"{{"name":"read-{package}","version":"1.{release}.0","summary":"One","readme":"{readme}","sha256":"{sha256}","size":1,"download_url":"https://downloads.example.com/{sha256}"}}"#).unwrap();
    }
    fs::write(path, text).unwrap();
}

fn spec(text: &str) -> PackageSpec {
    text.parse().unwrap()
}

async fn readme(world: &World, release: &str) -> ggen_marketplace::Result<Option<String>> {
    let newest = world.client().latest().await?;
    let record = newest.find_release(&spec(release)).await?;
    let detail = newest.detail(&record).await?;
    Ok(detail.and_then(|d| d.readme).map(|r| r.text))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_details_are_the_same_whatever_came_first_and_however_much_at_once() {
    let now = Timestamp::now();
    let roots = async |steps: &[(std::ops::Range<u32>, u32)]| {
        let mut world = World::new().await;
        world.options = BuildOptions::at(now);
        for (packages, releases) in steps {
            list(&world.sources().join("list.jsonl"), packages.clone(), *releases, 9_000);
            world.build().await.unwrap();
        }
        world.referee.assert_fair();
        let (found, snapshot) = (world.found(), world.snapshot(world.found().generation));
        assert_eq!((found.details.len(), found.records.len()), (120, 120));
        (snapshot["details"].clone(), snapshot["index"].clone())
    };
    let once = roots(&[(0..40, 3)]).await;
    assert_eq!(once.0["type"], "page");
    assert_eq!(roots(&[(30..40, 3), (0..40, 1), (7..33, 2), (0..40, 3)]).await, once);
    assert_eq!(roots(&[(0..1, 3), (1..40, 3)]).await, once);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_takes_its_detail_along_and_what_is_restored_brings_it_back() {
    let world = World::new().await;
    let path = world.sources().join("list.jsonl");
    list(&path, 0..40, 1, 9_000);
    world.build().await.unwrap();
    let before = world.snapshot(1);
    assert!(readme(&world, "read-7@1.0.0").await.unwrap().is_some());
    list(&path, 8..40, 1, 9_000);
    let mut delete = world.options.clone();
    delete.delete = true;
    let report = world.registry().build(&[world.sources()], &delete).await.unwrap();
    assert_eq!(report.removed, 8);
    let found = world.found();
    assert_eq!((found.details.len(), found.records.len()), (32, 40));
    assert_eq!(readme(&world, "read-7@1.0.0").await.unwrap(), None);
    // All of them: then there is no tree.
    fs::remove_file(&path).unwrap();
    world.add_lines("other.jsonl", 0..1);
    world.registry().build(&[world.sources()], &delete).await.unwrap();
    assert!(world.snapshot(3).get("details").is_none());
    assert!(readme(&world, "read-9@1.0.0").await.unwrap().is_none());
    list(&path, 0..40, 1, 9_000);
    assert_eq!(world.build().await.unwrap().added, 40);
    assert_eq!(world.snapshot(4)["details"], before["details"]);
    world.referee.assert_fair();
    assert!(world.client().verify(&VerifyOptions::all()).await.unwrap().problems.is_empty());
}

/// The releases of one package take many leaves; a release more takes one of them, and the pages above it.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_2000_releases_is_divided_and_one_more_costs_one_leaf() {
    let world = World::new().await;
    let path = world.sources().join("list.jsonl");
    list(&path, 0..1, 2_000, 6_000);
    world.build().await.unwrap();
    let leaves: BTreeSet<String> = world.found().leaves.into_values().collect();
    assert!(leaves.len() > 45, "{}", leaves.len());
    let text = readme(&world, "read-0@1.1234.0").await.unwrap().unwrap();
    assert!(text.starts_with(&second_reader::hex(b"0 1234")));
    list(&path, 0..1, 2_001, 6_000);
    let report = world.build().await.unwrap();
    // Leaf, three pages of details, shard, change list, search bundle, snapshot, slot, checkpoint; a leaf may be divided.
    assert!((10..=11).contains(&report.puts), "{}", report.puts);
    let now: BTreeSet<String> = world.found().leaves.into_values().collect();
    assert!(now.difference(&leaves).count() <= 2);
    world.referee.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detail_that_is_longer_than_a_leaf_stands_alone_in_one() {
    let world = World::new().await;
    world.add_readme("large", "1.0.0", 400_000);
    for i in 0..20 {
        world.add_readme(&format!("small-{i}"), "1.0.0", 3_000);
    }
    world.build().await.unwrap();
    let found = world.found();
    let of = &found.leaves["crate/large@1.0.0"];
    assert_eq!(found.leaves.values().filter(|leaf| *leaf == of).count(), 1);
    assert!(found.leaves.values().collect::<BTreeSet<_>>().len() > 1);
    assert_eq!(readme(&world, "crate:large@1.0.0").await.unwrap().unwrap().len(), 400_000);
}

/// A commit that loses its slot brings its details onto what the winner committed.
#[tokio::test(flavor = "multi_thread")]
async fn writers_who_race_keep_the_details_of_each_other() {
    const WRITERS: u32 = 8;
    let world = World::new().await;
    world.referee.expect_a_crowd();
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let folder = world.dir.path().join(format!("from-{writer}"));
        fs::create_dir(&folder).unwrap();
        list(&folder.join("list.jsonl"), writer * 10..writer * 10 + 10, 1, 9_000);
        let (registry, options) = (world.registry(), world.options.clone());
        tasks.push(tokio::spawn(async move { registry.build(&[folder], &options).await }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().added, 10);
    }
    let found = world.found();
    assert_eq!((found.generation, found.records.len(), found.details.len()), (WRITERS.into(), 80, 80));
    world.referee.assert_fair();
    let mut alone = World::new().await;
    list(&alone.sources().join("list.jsonl"), 0..80, 1, 9_000);
    alone.options = world.options.clone();
    alone.build().await.unwrap();
    assert_eq!(alone.snapshot(1)["details"], world.snapshot(WRITERS.into())["details"]);
}

/// What nobody asks for is not read: a build with nothing new, a lookup, an audit of what lookups depend on. And a release more
/// reads what is on the way to its place.
#[tokio::test(flavor = "multi_thread")]
async fn the_details_are_read_by_nobody_who_does_not_need_them() {
    let world = World::new().await;
    list(&world.sources().join("list.jsonl"), 0..200, 1, 9_000);
    world.build().await.unwrap();
    let found = world.found();
    let root = format!("blobs/sha256/{}", world.snapshot(1)["details"]["link"]["sha256"].as_str().unwrap());
    let of_details: BTreeSet<String> = found.leaves.values().cloned().chain([root]).collect();
    let read = || world.referee.take_reads().into_iter().filter(|key| of_details.contains(key)).count();
    read();
    assert_eq!(world.build().await.unwrap().puts, 0);
    world.client().latest().await.unwrap().find(&spec("read-3")).await.unwrap();
    world.client().verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!(read(), 0);
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    assert_eq!(read(), 2, "the root, and one leaf");
    let id = spec("read-3").candidates().unwrap().into_iter().find(|id| id.kind().to_string() == "pack").unwrap();
    world.registry().yank(&id, &"1.0.0".parse().unwrap(), None, &world.options).await.unwrap();
    assert_eq!(read(), 0, "a yank changes no detail");
}

/// A bucket: each leaf is sent once, and the one that changes is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_upload_is_few_objects() {
    let world = World::without_registry();
    let server = S3::start().await;
    let registry = world.registry_in(server.store());
    registry.init(&world.options).await.unwrap();
    for i in 0..60 {
        world.add_readme(&format!("read-{i}"), "1.0.0", 12_000);
    }
    let report = registry.build(&[world.sources()], &world.options).await.unwrap();
    let leaves: BTreeSet<String> = server.found().leaves.into_values().collect();
    assert!((3..=8).contains(&leaves.len()), "{}", leaves.len());
    // Archives, leaves, their root, the shard, change list, bundle, snapshot, slot, checkpoint.
    assert_eq!(report.puts, 60 + leaves.len() as u64 + 1 + 6);
    server.take_log();
    world.add_readme("read-more", "1.0.0", 12_000);
    let report = registry.build(&[world.sources()], &world.options).await.unwrap();
    assert!((9..=10).contains(&report.puts), "{}", report.puts);
    let read: Vec<_> = server.take_log().into_iter().filter(|r| r.op == Op::Get && leaves.contains(&r.key)).collect();
    assert_eq!(read.len(), 1, "the leaf that changes: {read:?}");
    server.assert_fair();
}

/// Old leaves go, and what stands in a leaf keeps nothing alive: a readme may hold any digest.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_keeps_the_details_that_are_reached_and_no_others() {
    let mut world = World::without_registry();
    let day = Duration::from_secs(86_400);
    let at = |days: i64| Timestamp::from_unix(Timestamp::now().unix() + (days - 60) * 86_400);
    world.referee.turn_back(day * 60);
    world.options = BuildOptions::at(at(0));
    world.registry().init(&world.options).await.unwrap();
    let path = world.sources().join("list.jsonl");
    let stray = second_reader::hex(b"stray");
    list(&path, 0..60, 1, 9_000);
    let line = json!({ "name": "names-it", "version": "1.0.0", "summary": "s", "x-digest": stray, "sha256": "0".repeat(64), "size": 1, "download_url": "https://downloads.example.com/1" });
    let with_line = |path: &Path| fs::write(path, format!("{}{line}\n", fs::read_to_string(path).unwrap())).unwrap();
    with_line(&path);
    world.build().await.unwrap();
    world.referee.plant(&format!("blobs/sha256/{stray}"), b"stray").await;
    let old: BTreeSet<String> = world.found().leaves.into_values().collect();
    list(&path, 0..70, 1, 9_000);
    with_line(&path);
    world.build().await.unwrap();
    let (found, objects) = (world.found(), world.referee.objects());
    assert!(found.details["pack/names-it@1.0.0"].to_string().contains(&stray));
    let new: BTreeSet<String> = found.leaves.values().cloned().collect();
    for days in [30, 35] {
        world.referee.pass(day * (days - if days == 30 { 0 } else { 30 }));
        world.options = BuildOptions::at(at(days.into()));
        world.registry().refresh(&world.options).await.unwrap();
        let mut options = GcOptions::at(at(days.into()));
        options.keep = 1;
        world.registry().collect(&options).await.unwrap();
    }
    let left = world.referee.objects();
    let gone = |key: &String| !left.contains_key(key);
    assert!(old.difference(&new).count() > 1 && old.difference(&new).all(gone));
    assert!(new.iter().all(|key| left.contains_key(key)));
    assert!(objects.contains_key(&format!("blobs/sha256/{stray}")) && gone(&format!("blobs/sha256/{stray}")));
    assert_eq!(world.found().details, found.details);
    world.referee.assert_fair();
}

/// The entry of a leaf in the root of the details of a world whose root is a page.
fn rows(world: &World, generation: u64) -> Vec<Value> {
    let root = world.snapshot(generation)["details"].clone();
    let stored = &world.referee.objects()[&format!("blobs/sha256/{}", root["link"]["sha256"].as_str().unwrap())];
    let mut raw = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&stored[..]), &mut raw).unwrap();
    raw.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Commits a root of details by hand, with the right key.
async fn commit_root(world: &World, generation: u64, rows: &[Value]) {
    let mut snapshot = world.snapshot(generation - 1);
    let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let raw = format!("{{\"format\":2,\"prefix\":\"\",\"type\":\"page\"}}\n{body}");
    let sum = |member: &str| rows.iter().map(|r| r[member].as_u64().unwrap()).sum::<u64>();
    snapshot["details"] = json!({ "bytes": sum("bytes"), "link": world.plant_gz(raw.as_bytes()).await, "prefix": "", "releases": sum("releases"), "type": "page" });
    snapshot["generation"] = generation.into();
    world.commit_by_hand(generation, &snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_leaf_or_page_of_details_is_named() {
    let world = World::new().await;
    list(&world.sources().join("list.jsonl"), 0..80, 1, 9_000);
    world.build().await.unwrap();
    world.referee.take_reads();
    readme(&world, "read-5@1.0.0").await.unwrap().unwrap();
    let good = world.referee.objects();
    let read: Vec<String> = world.referee.take_reads().into_iter().filter(|k| k.starts_with("blobs/")).collect();
    assert_eq!(read.len(), 4, "snapshot, shard, the root of the details, a leaf");
    for key in &read[2..] {
        let mut bad = good[key].clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 4;
        world.referee.plant(key, &bad).await;
        let e = readme(&world, "read-5@1.0.0").await.unwrap_err();
        assert!(e.kind() == ErrorKind::Untrusted && e.chain().contains(key.as_str()), "{}", e.chain());
        let audit = world.client().verify(&VerifyOptions::all()).await.unwrap();
        assert!(audit.problems.iter().any(|p| p.error.chain().contains(key.as_str())), "{key} is wrong, unnoticed");
        world.referee.plant(key, &good[key]).await;
    }
    assert!(world.client().verify(&VerifyOptions::all()).await.unwrap().problems.is_empty());
}

/// I28: a well-made leaf of another place, of another type, or one that does not hold what its entry says.
#[tokio::test(flavor = "multi_thread")]
async fn i28_a_leaf_that_stands_in_for_another_is_refused() {
    let world = World::new().await;
    list(&world.sources().join("list.jsonl"), 0..80, 1, 9_000);
    world.build().await.unwrap();
    let rows = rows(&world, 1);
    let all: Vec<String> = (0..80).map(|i| format!("read-{i}@1.0.0")).collect();
    let audit = async || {
        let problems = world.client().verify(&VerifyOptions::all()).await.unwrap().problems;
        problems.iter().map(|p| p.error.chain()).collect::<Vec<_>>().join("\n")
    };
    // The first two trade places: each is what its digest says, and stands where it does not belong.
    let mut swapped = rows.clone();
    for (a, b) in [(0, 1), (1, 0)] {
        for member in ["link", "bytes", "releases"] {
            swapped[a][member] = rows[b][member].clone();
        }
    }
    commit_root(&world, 2, &swapped).await;
    let mut refused = 0;
    for release in &all {
        match readme(&world, release).await {
            Ok(text) => assert!(text.is_some()),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Untrusted);
                assert!(e.chain().contains("cited as details"), "{}", e.chain());
                refused += 1;
            }
        }
    }
    assert!(refused > 10 && refused < 80, "{refused}");
    assert!(audit().await.contains("cited as details"));
    // A writer builds nothing on it either.
    let path = world.sources().join("more.jsonl");
    list(&path, 100..140, 1, 9_000);
    let e = world.build().await.unwrap_err();
    assert!(e.kind() == ErrorKind::Untrusted && e.chain().contains("cited as details"), "{}", e.chain());
    fs::remove_file(&path).unwrap();

    // A shard in the place of a leaf: by its link, and by its type.
    let mut typed = rows.clone();
    typed[0]["link"] = world.snapshot(1)["index"][0]["link"].clone();
    commit_root(&world, 3, &typed).await;
    assert!(audit().await.contains("it is a shard"));
    typed[0]["type"] = "shard".into();
    commit_root(&world, 4, &typed).await;
    assert!(audit().await.contains("does not belong into the page"));

    // Sums that are not those of the leaf.
    let mut false_sum = rows.clone();
    false_sum[0]["releases"] = (rows[0]["releases"].as_u64().unwrap() + 1).into();
    commit_root(&world, 5, &false_sum).await;
    assert!(audit().await.contains("its counts are not those of its entry"));
}

/// The tree is the one that the rule makes: another division, however consistent, is found.
#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_details_that_are_divided_otherwise() {
    let world = World::new().await;
    list(&world.sources().join("list.jsonl"), 0..20, 1, 1_000);
    world.build().await.unwrap();
    let mut halves: [BTreeMap<String, String>; 2] = Default::default();
    for (release, detail) in &world.found().details {
        let label = release.split_once('@').unwrap().0;
        let (package, own) = (second_reader::hex(label.as_bytes()), second_reader::hex(release.as_bytes()));
        let half = usize::from(package.as_bytes()[0] >= b'8');
        // By hexadecimal digits 16 bits of the package: no two packages here have so many in common.
        halves[half].insert(format!("{}{own}", &package[..4]), detail.to_string());
    }
    let mut rows = Vec::new();
    for (half, lines) in halves.iter().enumerate() {
        let body: String = lines.values().map(|line| format!("{line}\n")).collect();
        let raw = format!("{{\"format\":2,\"prefix\":\"{half}\",\"type\":\"details\"}}\n{body}");
        let link = world.plant_gz(raw.as_bytes()).await;
        rows.push(json!({ "bytes": body.len(), "link": link, "prefix": half.to_string(), "releases": lines.len(), "type": "details" }));
    }
    commit_root(&world, 2, &rows).await;
    assert!(readme(&world, "read-3@1.0.0").await.unwrap().is_some(), "it reads like any other");
    assert!(
        world.client().verify(&VerifyOptions::default()).await.unwrap().problems.is_empty(),
        "that reads no details"
    );
    let problems = world.client().verify(&VerifyOptions::all()).await.unwrap().problems;
    let told: Vec<_> = problems.iter().map(|p| p.error.chain()).collect();
    assert!(told.len() == 1 && told[0].contains("not divided as the rule says"), "{told:?}");
}

/// Whoever cannot read it does without it, and says so; whoever writes loses nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_detail_of_a_later_version_is_carried_over_and_pages_do_without() {
    let mut world = World::new().await;
    let path = world.sources().join("list.jsonl");
    list(&path, 0..20, 1, 1_000);
    world.build().await.unwrap();
    let mut lines = BTreeMap::new();
    for (release, detail) in &world.found().details {
        let label = release.split_once('@').unwrap().0;
        let (package, own) = (second_reader::hex(label.as_bytes()), second_reader::hex(release.as_bytes()));
        let mut detail: Value = detail.clone();
        if release == "pack/read-3@1.0.0" {
            (detail["v"], detail["later"]) = (7.into(), json!({ "a": [1, 2] }));
        }
        // By hexadecimal digits 16 bits of the package: no two packages here have so many in common.
        lines.insert(format!("{}{own}", &package[..4]), format!("{detail}\n"));
    }
    let body: String = lines.into_values().collect();
    let raw = format!("{{\"format\":2,\"prefix\":\"\",\"type\":\"details\"}}\n{body}");
    let mut snapshot = world.snapshot(1);
    let link = world.plant_gz(raw.as_bytes()).await;
    snapshot["details"] = json!({ "bytes": body.len(), "link": link, "prefix": "", "releases": 20, "type": "details" });
    snapshot["generation"] = 2.into();
    world.commit_by_hand(2, &snapshot).await;
    let e = readme(&world, "read-3@1.0.0").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported, "{}", e.chain());
    assert!(readme(&world, "read-4@1.0.0").await.unwrap().is_some());
    shown_without_its_readme(&world);
    assert!(world.client().verify(&VerifyOptions::all()).await.unwrap().problems.is_empty());

    list(&path, 0..21, 1, 1_000);
    let views =
        ggen_marketplace::ViewOptions::new(&[ggen_marketplace::View::Site], Some("https://packages.example.com"));
    world.options.views = Some(views.unwrap());
    let report = world.build().await.unwrap();
    let notes: Vec<String> = report.views[0].notes.iter().map(|n| format!("{n:?}")).collect();
    assert!(notes.len() == 1 && notes[0].contains("read-3"), "{notes:?}");
    let objects = world.referee.objects();
    let page = |name: &str| String::from_utf8(objects[&format!("p/pack/{name}.html")].to_vec()).unwrap();
    assert!(page("read-3").contains("read-3") && !page("read-3").contains("class=\"readme"));
    assert!(page("read-4").contains("class=\"readme"));
    let found = world.found().details;
    assert_eq!((found.len(), &found["pack/read-3@1.0.0"]["later"]), (21, &json!({ "a": [1, 2] })));
}

/// On the command line: what this program can read is shown, and the rest is told of.
fn shown_without_its_readme(world: &World) {
    let desk = Sandbox::new();
    for (key, bytes) in world.referee.objects() {
        desk.write(&format!("registry/{key}"), bytes);
    }
    let key = world.key.to_string();
    let show = |package, flags: &[&str]| {
        desk.run(&[&["show", package, "--registry", "registry", "--key", &key][..], flags].concat()).ok()
    };
    let later = show("read-3@1.0.0", &[]).says(&["warning: ", "detail of format 7, which is later than this program"]);
    assert!(later.out.contains("read-3 1.0.0\nOne\n") && !later.out.contains("--- "), "{}", later.out);
    let later = show("read-3@1.0.0", &["--json"]).json();
    assert_eq!((&later["record"]["version"], &later["detail"]), (&json!("1.0.0"), &json!(null)));
    let known = show("read-4@1.0.0", &[]);
    assert!(known.out.contains("--- ") && known.err.is_empty(), "{}{}", known.out, known.err);
}

/// A writer that forgot the detail of a tombstone is found, also where the leaf is older than the tombstone.
#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_details_of_releases_that_are_not_there() {
    let world = World::new().await;
    let path = world.sources().join("list.jsonl");
    list(&path, 0..40, 1, 9_000);
    world.build().await.unwrap();
    list(&path, 3..40, 1, 9_000);
    let mut delete = world.options.clone();
    delete.delete = true;
    world.registry().build(&[world.sources()], &delete).await.unwrap();
    let verify = async || world.client().verify(&VerifyOptions::all()).await.unwrap().problems;
    assert!(verify().await.is_empty());
    let mut snapshot = world.snapshot(2);
    snapshot["details"] = world.snapshot(1)["details"].clone();
    snapshot["generation"] = 3.into();
    world.commit_by_hand(3, &snapshot).await;
    let told: Vec<_> = verify().await.iter().map(|p| p.error.chain()).collect();
    assert!(told.len() == 1 && told[0].contains("3 details of releases that are not there"), "{told:?}");
}

/// A registry of format 1, whose records linked their details, is neither read as one without details nor changed nor collected.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_an_older_format_is_refused_and_left_alone() {
    let world = World::new().await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let mut snapshot = world.snapshot(1);
    snapshot["format"] = 1.into();
    snapshot.as_object_mut().unwrap().remove("details");
    snapshot["generation"] = 2.into();
    world.commit_by_hand(2, &snapshot).await;
    let before = world.referee.objects();
    world.add_crate("beta", "1.0.0", "b");
    let registry: Registry = world.registry();
    let mut gc = GcOptions::at(world.options.now.plus(Duration::from_secs(40 * 86_400)));
    gc.keep = 1;
    for e in [
        world.client().latest().await.err(),
        world.build().await.err(),
        registry.collect(&gc).await.err(),
        world.client().mirror(&Store::open("memory:").unwrap(), &Default::default()).await.err(),
    ] {
        let e = e.expect("it was taken for a registry of today");
        let chain = e.chain();
        assert!(e.kind() == ErrorKind::Unsupported && chain.contains("snapshot of format 1"), "{chain}");
    }
    let e = world.client().latest().await.err().unwrap();
    assert!(e.hint().unwrap().contains("publish the packages anew"), "{e:?}");
    assert_eq!(world.referee.objects(), before);
}
