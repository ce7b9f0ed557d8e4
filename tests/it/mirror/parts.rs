//! Mirrors of a part: the packages asked for, what they depend on, and nothing else; and what such a mirror says of the rest.

use super::*;
use futures::TryStreamExt;
use ggen_marketplace::package::Pattern;

/// A registry in several shards: some crates that depend on each other among many other packages.
async fn world() -> World {
    let world = World::new().await;
    a_crate(&world, "app", "1.0.0", &["base", "gone#", "nowhere"]);
    a_crate(&world, "app", "2.0.0", &["base", "extra?", "tests!"]);
    a_crate(&world, "base", "1.0.0", &["core-lib"]);
    for name in ["core-lib", "extra", "tests", "gone", "other", "app-twin"] {
        a_crate(&world, name, "1.0.0", &[]);
    }
    // So much to read that it takes more leaves than one.
    for i in 0..40 {
        world.add_readme(&format!("read-{i}"), "1.0.0", 20_000);
    }
    world.add_pack("io.ggen.one", "1.0.0", "1");
    world.add_pack("io.ggen.two", "1.0.0", "2");
    world.add_lines("list.jsonl", 0..5_000);
    world.build().await.unwrap();
    world
}

fn only(patterns: &[&str]) -> MirrorOptions {
    let mut options = MirrorOptions::default();
    options.only = patterns.iter().map(|p| p.parse::<Pattern>().unwrap()).collect();
    options
}

fn place() -> Referee {
    Referee::of_mirror(Mirrored::Part)
}

/// The crates whose archives are in a store.
async fn archives(world: &World, to: &Referee) -> Vec<String> {
    let newest = world.client().latest().await.unwrap();
    let leaves = world.found().leaves;
    let mut out = Vec::new();
    let mut packages = Box::pin(newest.list());
    while let Some(package) = packages.try_next().await.unwrap() {
        for record in package.releases.iter().filter(|r| r.archive.url.is_none()) {
            let key = format!("blobs/sha256/{}", record.archive.sha256);
            let there = to.objects().contains_key(&key);
            let leaf = &leaves[&format!("{}/{}@{}", record.kind, record.name, record.version)];
            assert!(!there || to.objects().contains_key(leaf), "a detail goes with its archive");
            out.extend(there.then(|| format!("{} {}", record.name, record.version)));
        }
    }
    out.sort();
    out
}

const APP: [&str; 6] = ["app 1.0.0", "app 2.0.0", "base 1.0.0", "core-lib 1.0.0", "extra 1.0.0", "gone 1.0.0"];

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_what_was_asked_for_and_what_it_depends_on() {
    let world = world().await;
    for (patterns, wanted) in [
        (&["crate:App"][..], &APP[..]),
        (&["core_lib", "crate:other"], &["core-lib 1.0.0", "other 1.0.0"]),
        (&["io.ggen.*"], &["io.ggen.one 1.0.0", "io.ggen.two 1.0.0"]),
        (&["crate:app*", "pack:elsewhere-7"], &[&["app 1.0.0", "app 2.0.0", "app-twin 1.0.0"], &APP[2..]].concat()),
    ] {
        let to = place();
        world.referee.take_reads();
        world.client().mirror(&to.store(), &only(patterns)).await.unwrap();
        to.assert_fair();
        let asked = world.referee.take_reads();
        assert_eq!(archives(&world, &to).await, wanted, "{patterns:?}");
        let audit = reader(&world, to.store()).verify(&VerifyOptions::all()).await.unwrap();
        assert!(audit.problems.is_empty(), "{patterns:?}: {:?}", audit.problems);
        // Nothing is read twice, and without a `*` no more than what is copied.
        let mut once = asked.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), asked.len(), "{patterns:?}");
        if !patterns.iter().any(|p| p.contains('*')) {
            assert!(asked.iter().all(|key| to.objects().contains_key(key)), "{patterns:?}");
            assert!(asked.len() < 40, "{} reads", asked.len());
        }
    }
    let e = world.client().mirror(&place().store(), &only(&["crate:nobody"])).await.unwrap_err();
    assert_eq!((e.kind(), e.to_string().contains("has no package crate:nobody")), (ErrorKind::NotFound, true), "{e}");
    let e = world.client().mirror(&place().store(), &only(&["nobody*"])).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
}

/// I27: what a mirror leaves out is "not mirrored", and never "does not exist"; what the registry lacks is still proved.
#[tokio::test(flavor = "multi_thread")]
async fn i27_what_is_left_out_is_not_mirrored_and_what_is_not_there_does_not_exist() {
    let world = world().await;
    let to = place();
    world.client().mirror(&to.store(), &only(&["crate:app"])).await.unwrap();
    let copy = reader(&world, to.store());
    let newest = copy.latest().await.unwrap();
    let app = newest.find_release(&spec("crate:app")).await.unwrap();
    newest.fetch(&app).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    newest.detail(&app).await.unwrap().unwrap();
    // A dependency that the registry does not have: its absence is proved here too.
    assert_eq!(newest.find(&spec("crate:nowhere")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let (mut left_out, mut bare) = (0, 0);
    for i in 0..200 {
        let e = newest.find(&spec(&format!("pack:elsewhere-{i}"))).await.err();
        if let Some(e) = e {
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
            let told = format!(
                "pack:elsewhere-{i} is not mirrored here (this mirror holds only crate:app, and what they depend on)"
            );
            assert_eq!(e.to_string(), told);
            left_out += 1;
        }
        let e = newest.find(&spec(&format!("crate:nothing-{i}"))).await.unwrap_err();
        bare += u32::from(e.kind() == ErrorKind::NotFound);
        assert!(matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Unavailable), "{e}");
    }
    assert!(left_out > 100 && bare > 0 && bare < 100, "{left_out} {bare}");
    // A shard that is there, of whose packages not all are.
    let package = newest.find(&spec("crate:tests")).await;
    let other = newest.find(&spec("crate:other")).await;
    for found in [package, other].into_iter().flatten() {
        let e = newest.fetch(found.newest().unwrap()).await.err().unwrap();
        assert!(e.kind() == ErrorKind::Unavailable && e.to_string().contains("is not mirrored here"), "{e}");
    }
    // The same of a detail whose record is known from elsewhere: where its leaf is not here, nobody says that there is none.
    let (whole, mut lacking) = (world.client().latest().await.unwrap(), 0);
    for i in 0..40 {
        let record = whole.find_release(&spec(&format!("crate:read-{i}"))).await.unwrap();
        match newest.detail(&record).await {
            Ok(detail) => assert!(detail.unwrap().readme.is_some()),
            Err(e) => {
                let told = format!("crate:read-{i} 1.0.0 is not mirrored here");
                assert!(e.kind() == ErrorKind::Unavailable && e.to_string().starts_with(&told), "{e}");
                lacking += 1;
            }
        }
    }
    assert!(lacking > 0 && lacking < 40, "{lacking} of 40 details are not there");
    let listed: Vec<_> = newest.list().try_collect().await.unwrap();
    assert!(listed.len() > 5 && listed.len() < 3_000, "{}", listed.len());
    // Without the note it is a copy that lacks something.
    to.lose("mirror.json").await;
    let e = newest.find(&spec("pack:elsewhere-1")).await.err().or(newest.find(&spec("pack:elsewhere-2")).await.err());
    assert!(e.unwrap().to_string().starts_with("cannot read"));
    assert!(newest.list().try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_patterns_and_other_copies_can_follow() {
    let world = world().await;
    let to = place();
    world.client().mirror(&to.store(), &only(&["crate:base"])).await.unwrap();
    let before = to.objects();
    // More, less, and everything; what is there is not copied again.
    for (patterns, wanted) in [(&["crate:app"][..], Some(APP.to_vec())), (&["core-lib"], None), (&[], None)] {
        let had = to.objects();
        world.referee.take_reads();
        world.client().mirror(&to.store(), &only(patterns)).await.unwrap();
        to.assert_fair();
        let again: Vec<_> =
            world.referee.take_reads().into_iter().filter(|k| had.contains_key(k) && k.starts_with("blobs")).collect();
        assert_eq!(again, [""; 0], "{patterns:?}");
        if let Some(wanted) = wanted {
            assert_eq!(archives(&world, &to).await, wanted);
        }
        let audit = reader(&world, to.store()).verify(&VerifyOptions::all()).await.unwrap();
        assert!(audit.problems.is_empty(), "{patterns:?}: {:?}", audit.problems);
    }
    assert!(newest(&world.referee.objects()).iter().all(|key| to.objects().contains_key(key)));
    assert!(before.keys().all(|key| to.objects().contains_key(key)));

    // A mirror of a part can be mirrored: as that part or less, and not as the whole.
    let part = place();
    world.client().mirror(&part.store(), &only(&["crate:app", "io.ggen.*"])).await.unwrap();
    let from = reader(&world, part.store());
    let copy = place();
    from.mirror(&copy.store(), &only(&["crate:app", "io.ggen.*"])).await.unwrap();
    assert_eq!(archives(&world, &copy).await, archives(&world, &part).await);
    from.mirror(&place().store(), &only(&["crate:base"])).await.unwrap();
    for patterns in [&[][..], &["crate:other"]] {
        let e = from.mirror(&place().store(), &only(patterns)).await.unwrap_err();
        assert!(e.kind() == ErrorKind::Unavailable && e.to_string().contains("not mirrored here"), "{patterns:?} {e}");
    }
}

/// The next run of a part reads nothing from the source that did not change, and no archive anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_goes_on_with_what_is_new_in_it() {
    let world = world().await;
    let to = place();
    let options = only(&["crate:app"]);
    world.client().mirror(&to.store(), &options).await.unwrap();
    a_crate(&world, "base", "1.1.0", &["other"]);
    world.add_lines("more.jsonl", 5_000..5_010);
    world.build().await.unwrap();
    let old: Vec<String> = archive_keys(&world, &to).await;
    world.referee.take_reads();
    to.take_reads();
    world.client().mirror(&to.store(), &options).await.unwrap();
    to.assert_fair();
    let (from_source, from_copy) = (world.referee.take_reads(), to.take_reads());
    assert!(from_source.len() <= 20, "{from_source:#?}");
    assert!(!from_copy.iter().any(|key| old.contains(key)), "an archive that is there was read");
    let mut wanted = [&APP[..], &["base 1.1.0", "other 1.0.0"]].concat();
    wanted.sort_unstable();
    assert_eq!(archives(&world, &to).await, wanted);
    let audit = reader(&world, to.store()).verify(&VerifyOptions::all()).await.unwrap();
    assert!(audit.problems.is_empty(), "{:?}", audit.problems);
    assert!(audit.not_mirrored.unwrap().generations > 0, "the first state is not among what it claims to hold whole");
}

async fn archive_keys(world: &World, to: &Referee) -> Vec<String> {
    let newest = world.client().latest().await.unwrap();
    let packages: Vec<_> = newest.list().try_collect().await.unwrap();
    let all = packages.iter().flat_map(|p| &p.releases).map(|r| format!("blobs/sha256/{}", r.archive.sha256));
    all.filter(|key| to.objects().contains_key(key)).collect()
}

/// An audit of a part: what is left out is counted, what the patterns ask for has to be there, and what is there to be right.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_a_part_knows_what_has_to_be_there() {
    let world = world().await;
    let to = place();
    world.client().mirror(&to.store(), &only(&["crate:app"])).await.unwrap();
    let copy = reader(&world, to.store());
    let audit = copy.verify(&VerifyOptions::all()).await.unwrap();
    let left_out = audit.not_mirrored.unwrap();
    assert!(audit.problems.is_empty(), "{:?}", audit.problems);
    assert!(left_out.nodes > 0 && left_out.generations == 1, "{left_out:?}");
    assert!(left_out.archives > 0 && left_out.details > 0, "{left_out:?}");
    let quick = copy.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!((quick.problems.len(), quick.not_mirrored.unwrap().nodes), (0, left_out.nodes));
    // A second generation, which shares most with the first.
    a_crate(&world, "base", "1.1.0", &[]);
    world.build().await.unwrap();
    world.client().mirror(&to.store(), &only(&["crate:app"])).await.unwrap();
    let fresh = place();
    world.client().mirror(&fresh.store(), &only(&["crate:app"])).await.unwrap();
    // Each object that was copied, missing or wrong: missing, only what the newest generation needs; wrong, any.
    let (good, needed) = (to.objects(), fresh.objects());
    let mut older = 0;
    for (key, bytes) in good.iter().filter(|(k, _)| *k != "mirror.json" && *k != "checkpoint") {
        to.lose(key).await;
        let audit = copy.verify(&VerifyOptions::all()).await.unwrap();
        let told = audit.problems.iter().any(|p| p.error.chain().contains(key.as_str()));
        assert_eq!(told, needed.contains_key(key), "{key} is missing: {:?}", audit.problems);
        older += u32::from(!told);
        let mut bad = bytes.clone();
        bad[bytes.len() / 2] ^= 0x20;
        to.plant(key, &bad).await;
        let audit = copy.verify(&VerifyOptions::all()).await.unwrap();
        assert!(audit.problems.iter().any(|p| p.error.chain().contains(key.as_str())), "{key} is wrong, unnoticed");
        to.plant(key, bytes).await;
    }
    assert_eq!(
        older, 5,
        "of the first generation: snapshot, change list, the shard, leaf and root of details that changed"
    );
    // What was never meant to be there, and is there and wrong: an archive, a leaf of details, whatever is cited by what is there.
    let (objects, newest) = (world.referee.objects(), newest(&world.referee.objects()));
    let cited: BTreeSet<String> = good.values().flat_map(|bytes| second_reader::cited(bytes)).collect();
    let strays: Vec<_> = cited.iter().filter(|k| newest.contains(*k) && !good.contains_key(*k)).collect();
    let details: BTreeSet<_> = second_reader::read(&objects).leaves.into_values().collect();
    assert!(strays.iter().any(|k| details.contains(*k)) && strays.iter().any(|k| !details.contains(*k)));
    for stray in strays.iter().step_by(strays.len() / 12 + 1).chain(strays.iter().find(|k| details.contains(**k))) {
        to.plant(stray, b"rubbish").await;
        assert!(!copy.verify(&VerifyOptions::all()).await.unwrap().problems.is_empty(), "{stray}");
        to.lose(stray).await;
    }
    // Without the note, and with that of another registry, everything that is missing is a problem.
    let note = String::from_utf8(good["mirror.json"].clone()).unwrap();
    for bad in [note.replace("registry.example.com", "other.example.com"), "rubbish".into()] {
        to.plant("mirror.json", bad.as_bytes()).await;
        assert!(!copy.verify(&VerifyOptions::default()).await.unwrap().problems.is_empty(), "{bad}");
    }
}
