//! Resolving and installing as a program does it: how often it asks, which registry it asks, and what it does with archives
//! that are not what they should be.

use super::support::{http::Server, second_reader, tarball::Tarball, world::World};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Error, ErrorKind, Registry, Resolver, SigningKey, Store,
    package::Timestamp,
    resolve::{Lock, Prefer, Resolution},
};
use object_store::{
    memory::InMemory,
    throttle::{ThrottleConfig, ThrottledStore},
};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// A line for a package that is hosted elsewhere.
fn line(name: &str, version: &str, needs: &[(&str, &str)], rest: &str) -> String {
    let needs: Vec<_> = needs.iter().map(|(n, r)| format!(r#"{{"name":"{n}","req":"{r}"}}"#)).collect();
    let sha256 = second_reader::hex(format!("{name}{version}").as_bytes());
    format!(
        r#"{{"name":"{name}","version":"{version}","sha256":"{sha256}","size":1,"download_url":"https://downloads.example.com/{name}-{version}.tar.gz","dependencies":[{}]{rest}}}"#,
        needs.join(",")
    ) + "\n"
}

fn shown(found: &Resolution) -> Vec<String> {
    found.packages.iter().map(|p| format!("{} {} of {}", p.id.name(), p.version, p.registry)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_once_for_each_level_and_thrice_before() {
    const LEVELS: usize = 6;
    const WIDTH: usize = 12;
    const WAIT: Duration = Duration::from_millis(200);
    let world = World::without_registry();
    let mut text = String::new();
    for level in 0..LEVELS {
        for i in 0..WIDTH {
            let below: Vec<_> = (0..WIDTH).map(|n| format!("level-{}-{n}", level + 1)).collect();
            let needs: Vec<_> = below.iter().map(|n| (n.as_str(), "^1")).collect();
            let needs = if level + 1 < LEVELS { &needs[..] } else { &[] };
            text += &line(&format!("level-{level}-{i}"), "1.0.0", needs, "");
        }
    }
    // So many others that each of these lies in a shard of its own.
    for i in 0..8_000 {
        write!(text, "{}", line(&format!("other-{i}"), "1.0.0", &[], "")).unwrap();
    }
    fs::write(world.sources().join("list.jsonl"), text).unwrap();
    let memory = Arc::new(InMemory::new());
    let registry = world.registry_in(Store::new(memory.clone(), "memory"));
    registry.init(&world.options).await.unwrap();
    registry.build(&[world.sources()], &world.options).await.unwrap();
    let slow = ThrottledStore::new(memory, ThrottleConfig { wait_get_per_call: WAIT, ..ThrottleConfig::default() });
    let slow = Store::new(Arc::new(slow), "slow");
    let mut fewest = f64::MAX;
    let mut last = None;
    // The machine may have other things to do: the quickest of some cold answers counts.
    for _ in 0..6 {
        let client = Client::new(slow.clone(), std::slice::from_ref(&world.key), ClientOptions::default()).unwrap();
        let began = Instant::now();
        let found = client.resolve().want("level-0-0".parse().unwrap()).run().await.unwrap();
        assert_eq!(found.packages.len(), 1 + (LEVELS - 1) * WIDTH);
        fewest = fewest.min(began.elapsed().as_secs_f64() / WAIT.as_secs_f64());
        last = Some(client);
        if fewest < (LEVELS + 3) as f64 {
            break;
        }
    }
    // Checkpoint, snapshot, and the levels; one more for what the machine takes itself.
    assert!(fewest < (LEVELS + 3) as f64, "{fewest:.1} waits one after the other");
    // A level is skipped where a package of it lies in a shard that was fetched for another one, and this test would measure
    // nothing without any wait.
    assert!(fewest >= 4.0, "{fewest:.1}: then this test measures nothing");
    // Warm, nothing is asked of the store.
    let warm = last.unwrap().resolve().want("level-0-0".parse().unwrap()).run();
    tokio::time::timeout(WAIT * 5, warm).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_somebody_else_took_in_another_registry_is_never_taken() {
    let dir = tempfile::tempdir().unwrap();
    let publish = async |origin: &str, text: String| {
        let key = SigningKey::generate(origin.parse().unwrap()).unwrap();
        let pinned = key.verifier().clone();
        let store = Store::new(Arc::new(InMemory::new()), origin);
        let registry = Registry::new(store.clone(), key, &dir.path().join(origin));
        registry.init(&BuildOptions::now()).await.unwrap();
        let list = dir.path().join(format!("{origin}.jsonl"));
        fs::write(&list, text).unwrap();
        let report = registry.build(&[list], &BuildOptions::now()).await.unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        Client::new(store, &[pinned], ClientOptions::default()).unwrap()
    };
    let inner = publish(
        "inner.example",
        line("app", "1.0.0", &[("secret-tool", "*")], "")
            + &line("secret-tool", "1.0.0", &[], "")
            + r#"{"name":"uses-both","version":"1.0.0","sha256":"0000000000000000000000000000000000000000000000000000000000000000","size":1,"download_url":"https://downloads.example.com/x.tar.gz","dependencies":[{"name":"common","req":"^1","registry":"https://outer.example/index"},{"name":"secret-tool","req":"*"}]}"#,
    )
    .await;
    let outer = publish(
        "outer.example",
        line("secret-tool", "99.0.0", &[], "") + &line("common", "1.3.0", &[("secret-tool", ">=2")], ""),
    )
    .await;
    let ask =
        |name: &str| inner.resolve().registry("https://outer.example/index", outer.clone()).want(name.parse().unwrap());
    let found = ask("app").run().await.unwrap();
    assert_eq!(shown(&found), ["app 1.0.0 of inner.example", "secret-tool 1.0.0 of inner.example"]);
    // What the other registry's packages need is looked up there; the two packages of that name are two.
    let found = ask("uses-both").run().await.unwrap();
    assert_eq!(
        shown(&found),
        [
            "common 1.3.0 of outer.example",
            "secret-tool 1.0.0 of inner.example",
            "secret-tool 99.0.0 of outer.example",
            "uses-both 1.0.0 of inner.example"
        ]
    );
    assert_eq!(found.generations.keys().collect::<Vec<_>>(), ["inner.example", "outer.example"]);
    let wants = [(found.packages[3].id.clone(), "^1".parse().unwrap())];
    let lock = Lock::default().with(inner.origin(), wants.into(), &found);
    let text = lock.to_text();
    assert!(text.contains("pack:common@1.3.0 in outer.example"), "{text}");
    assert_eq!(text.parse::<Lock>().unwrap(), lock);
    lock.check(lock.wants()).unwrap();
    let again = ask("uses-both@^1").locked(&lock).prefer(Prefer::Locked).only_locked().run().await.unwrap();
    assert_eq!(again.packages, found.packages);
    // Without that registry, its packages are not there, and the same name here is none of them.
    let e = inner.resolve().want("uses-both".parse().unwrap()).run().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsolvable);
    assert!(e.details().iter().any(|l| l.contains("a registry that is not configured")), "{:?}", e.details());
}

/// `app` needs `base`, of which there are releases of some days of age, and a young one of another registry's.
async fn of_ages(world: &World, now: Timestamp) -> Client {
    let aged = |name: &str, version: &str, days: u64, needs: &[(&str, &str)]| {
        let published = Timestamp::from_unix(now.unix() - i64::try_from(days * DAY.as_secs()).unwrap());
        line(name, version, needs, &format!(r#","published":"{published}""#))
    };
    let text = aged("base", "1.0.0", 400, &[])
        + &aged("base", "1.1.0", 40, &[])
        + &aged("base", "1.2.0", 4, &[])
        // Committed now, as the source does not say when it was published.
        + &line("base", "1.3.0", &[], "")
        + &aged("app", "1.0.0", 500, &[("base", "^1")]);
    fs::write(world.sources().join("list.jsonl"), text).unwrap();
    world.registry().init(&world.options).await.unwrap();
    world.build().await.unwrap();
    world.client()
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_young_is_not_taken_but_where_it_is_locked() {
    let world = World::without_registry();
    let now = world.options.now;
    let client = of_ages(&world, now).await;
    let app = || client.resolve().want("app".parse().unwrap());
    let ago = |days: i64| Timestamp::from_unix(now.unix() - days * 86_400);
    let base = async |resolver: Resolver| {
        let found = resolver.run().await?;
        Ok::<_, Error>(found.packages.iter().find(|p| p.id.name() == "base").unwrap().version.to_string())
    };
    for (days, version) in [(0, "1.3.0"), (1, "1.2.0"), (5, "1.1.0"), (39, "1.1.0"), (41, "1.0.0"), (399, "1.0.0")] {
        assert_eq!(base(app().min_age(DAY * days)).await.unwrap(), version, "{days} days old at least");
    }
    for (days, version) in [(-1, "1.3.0"), (1, "1.2.0"), (4, "1.2.0"), (5, "1.1.0"), (41, "1.0.0")] {
        assert_eq!(base(app().exclude_newer(ago(days))).await.unwrap(), version, "{days} days ago");
    }
    // Of both, the stricter one.
    assert_eq!(base(app().min_age(DAY).exclude_newer(ago(41))).await.unwrap(), "1.0.0");
    assert_eq!(base(app().min_age(DAY * 41).exclude_newer(ago(1))).await.unwrap(), "1.0.0");
    // Where nothing is old enough, that is the reason told; a clock cannot be so wrong that everything is.
    for resolver in [app().min_age(DAY * 401), app().exclude_newer(ago(401))] {
        let e = base(resolver).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsolvable);
        assert!(e.details().iter().any(|l| l.contains("is newer than")), "{:?}", e.details());
    }
    assert!(base(app().min_age(Duration::MAX)).await.is_err());
    // What is locked was taken by somebody who could look at it.
    let young = lock(&client, "app").await;
    assert_eq!(young.packages().iter().find(|p| p.id.name() == "base").unwrap().version.to_string(), "1.3.0");
    let locked = || app().locked(&young).prefer(Prefer::Locked);
    assert_eq!(base(locked().min_age(DAY * 5)).await.unwrap(), "1.3.0");
    assert_eq!(base(locked().exclude_newer(ago(5))).await.unwrap(), "1.3.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_young_is_not_taken_from_another_registry_either() {
    let (here, there) = (World::without_registry(), World::without_registry());
    let outer = of_ages(&there, there.options.now).await;
    let needs = r#"{"name":"base","req":"^1","registry":"https://outer.example/index"}"#;
    let old = r#""published":"2020-01-01T00:00:00Z""#;
    let text =
        line("mine", "1.0.0", &[], "").replace(r#""dependencies":[]"#, &format!(r#""dependencies":[{needs}],{old}"#));
    fs::write(here.sources().join("list.jsonl"), text).unwrap();
    here.registry().init(&here.options).await.unwrap();
    here.build().await.unwrap();
    let client = here.client();
    let ask = || client.resolve().registry("https://outer.example/index", outer.clone()).want("mine".parse().unwrap());
    for (days, version) in [(0, "1.3.0"), (1, "1.2.0"), (41, "1.0.0")] {
        let found = ask().min_age(DAY * days).run().await.unwrap();
        assert_eq!(shown(&found)[0].split(' ').nth(1), Some(version), "{:?}", shown(&found));
    }
}

/// A registry that says of these archives that they are hosted elsewhere, and what it does say of them is right.
async fn elsewhere(world: &World, archives: &[(&str, &str, Vec<u8>)]) -> (Client, Server) {
    let files = world.dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let server = Server::serve(&files).await;
    let mut text = String::new();
    for (kind, name, bytes) in archives {
        fs::write(files.join(format!("{name}.tar.gz")), bytes).unwrap();
        let (sha256, size) = (second_reader::hex(bytes), bytes.len());
        let format = if *kind == "crate" { "crate" } else { "tar.gz" };
        writeln!(text, r#"{{"kind":"{kind}","name":"{name}","version":"1.0.0","sha256":"{sha256}","size":{size},"format":"{format}","download_url":"{}/{name}.tar.gz"}}"#, server.url).unwrap();
    }
    fs::write(world.sources().join("list.jsonl"), text).unwrap();
    world.registry().init(&world.options).await.unwrap();
    world.build().await.unwrap();
    (world.client_with(|_| {}), server)
}

async fn lock(client: &Client, name: &str) -> Lock {
    let found = client.resolve().want(name.parse().unwrap()).run().await.unwrap();
    let wants = [(found.packages[0].id.clone(), "^1".parse().unwrap())];
    Lock::default().with(client.origin(), wants.into(), &found)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|e| e.file_type().is_file());
    files.map(|e| e.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_breaks_a_rule_is_refused_and_nothing_of_it_is_there() {
    let world = World::without_registry();
    let good = |name: &str| Tarball::default().file(format!("{name}/a.txt"), "a").file(format!("{name}/b.txt"), "b");
    let archives = [
        ("pack", "climbs", good("climbs").file("climbs/../../escaped", "x").gz()),
        ("pack", "absolute", good("absolute").file("/tmp/escaped", "x").gz()),
        ("pack", "two-tops", good("two-tops").file("good/a.txt", "x").gz()),
        ("pack", "twins", good("twins").file("twins/A.txt", "x").gz()),
        ("pack", "cut", good("cut").file("cut/c.txt", vec![7; 40_000]).gz()[..100].to_vec()),
        ("pack", "no-archive", b"<html>".to_vec()),
        ("pack", "good", good("good").gz()),
    ];
    let (client, _server) = elsewhere(&world, &archives).await;
    let into = world.dir.path().join("deps");
    for (_, name, _) in &archives[..6] {
        let e = client.install(&lock(&client, name).await).into(&into).run().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Refused, "{name}: {e:?}");
        assert_eq!(files(&into).iter().filter(|f| !f.ends_with("lock")).count(), 0, "{name}");
        assert!(!world.dir.path().join("escaped").exists() && !into.join("escaped").exists());
    }
    let report = client.install(&lock(&client, "good").await).into(&into).run().await.unwrap();
    assert_eq!((report.installed.len(), report.installed[0].files, report.installed[0].bytes), (1, 2, 2));
    assert!(files(&into).contains(&"pack/good/b.txt".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_crate_may_have_twins_and_what_is_executable_stays_so() {
    let world = World::without_registry();
    let archive = Tarball::default()
        .file("hello-1.0.0/README.md", "upper")
        .file("hello-1.0.0/Readme.md", "lower")
        .entry(super::support::tarball::Head::new("hello-1.0.0/run.sh", b'0').mode(0o755), "#!/bin/sh\n");
    let (client, _server) = elsewhere(&world, &[("crate", "hello", archive.gz())]).await;
    let into = world.dir.path().join("deps");
    let done = client.install(&lock(&client, "hello").await).into(&into).run().await;
    let folder = into.join("crate/hello-1.0.0");
    if let Err(e) = done {
        // On a system that takes the two for one, neither is there.
        assert!(e.kind() == ErrorKind::Io && !folder.exists(), "{e:?}");
        return;
    }
    assert_eq!(fs::read_to_string(folder.join("README.md")).unwrap(), "upper");
    assert_eq!(fs::read_to_string(folder.join("Readme.md")).unwrap(), "lower");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o111;
        assert!(mode("run.sh") != 0 && mode("README.md") == 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_that_are_locked_are_refused() {
    let world = World::without_registry();
    let archive = Tarball::default().file("good/a.txt", "a").gz();
    let (client, _server) = elsewhere(&world, &[("pack", "good", archive.clone())]).await;
    let lock = lock(&client, "good").await;
    let other = Tarball::default().file("good/a.txt", "b").gz();
    assert_eq!(other.len(), archive.len());
    fs::write(world.dir.path().join("files/good.tar.gz"), other).unwrap();
    let into = world.dir.path().join("deps");
    let e = client.install(&lock).into(&into).run().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Untrusted, "{e:?}");
    assert!(!into.join("pack/good").exists());
    assert_eq!(files(&world.dir.path().join("cache")).iter().filter(|f| f.starts_with("archives")).count(), 0);
    fs::write(world.dir.path().join("files/good.tar.gz"), archive).unwrap();
    client.install(&lock).into(&into).run().await.unwrap();
    assert!(into.join("pack/good/a.txt").exists());
}

/// An installation that is dropped, at whatever moment, leaves every package as it was or as it should be, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_can_be_dropped_at_any_time() {
    const COUNT: usize = 24;
    let world = World::without_registry();
    let names: Vec<_> = (0..COUNT).map(|i| format!("part-{i}")).collect();
    let archive =
        |name: &str| (0..40).fold(Tarball::default(), |t, i| t.file(format!("{name}/{i}/a.txt"), name.as_bytes())).gz();
    let archives: Vec<_> = names.iter().map(|name| ("pack", name.as_str(), archive(name))).collect();
    let (client, _server) = elsewhere(&world, &archives).await;
    let found = client.resolve().wants(names.iter().map(|n| n.parse().unwrap())).run().await.unwrap();
    let wants = found.packages.iter().map(|p| (p.id.clone(), "^1".parse().unwrap())).collect();
    let lock = Lock::default().with(client.origin(), wants, &found);
    let into = world.dir.path().join("deps");
    let whole = || {
        let placed = fs::read_dir(into.join("pack")).into_iter().flatten().map(|e| e.unwrap().path());
        placed.map(|pack| assert_eq!(files(&pack).len(), 40, "{}", pack.display())).count()
    };
    let mut wait = Duration::ZERO;
    let mut dropped = 0;
    loop {
        let run = client.install(&lock).into(&into).run();
        match tokio::time::timeout(wait, run).await {
            Ok(done) => break drop(done.unwrap()),
            Err(_) => dropped += 1,
        }
        whole();
        wait = wait * 3 / 2 + Duration::from_millis(1);
    }
    assert!(dropped > 3, "{dropped}: then nothing was dropped on its way");
    assert_eq!(client.install(&lock).into(&into).run().await.unwrap().kept, COUNT);
    assert_eq!(whole(), COUNT);
    // What an installation had not finished goes with the last thread that worked for it.
    let left = || fs::read_dir(into.join(".ggen-market/tmp")).unwrap().count();
    for _ in 0..600 {
        if left() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} are left", left());
}

/// Somebody empties the cache at the worst moment: an archive is downloaded, and has not got its name yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_emptied_meanwhile_fails_no_installation() {
    let world = World::without_registry();
    let archive = |name: &str| Tarball::default().file(format!("{name}/a.txt"), name).gz();
    let names = ["one", "two", "three"];
    let archives: Vec<_> = names.iter().map(|n| ("pack", *n, archive(n))).collect();
    let (client, _server) = elsewhere(&world, &archives).await;
    let into = world.dir.path().join("deps");
    for name in names {
        let cache = world.dir.path().join("cache");
        let clean = move |_| drop(ggen_marketplace::clean_cache(&cache).unwrap());
        let lock = lock(&client, name).await;
        client.install(&lock).into(&into).progress(clean.clone()).run().await.unwrap();
        assert_eq!(fs::read_to_string(into.join(format!("pack/{name}/a.txt"))).unwrap(), name);
        let out = world.dir.path().join("out");
        client.install(&lock).progress(clean).download_to(&out).await.unwrap();
        assert!(fs::read(out.join(format!("{name}-1.0.0.tar.gz"))).unwrap() == archive(name));
    }
}

/// A release may have the bytes of another one: it is that one all the same, and the marker says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_another_version_are_another_release() {
    let world = World::without_registry();
    let archive = Tarball::default().file("same/a.txt", "a").gz();
    let (client, _server) = elsewhere(&world, &[("pack", "same", archive)]).await;
    let list = world.sources().join("list.jsonl");
    let first = fs::read_to_string(&list).unwrap();
    fs::write(&list, format!("{first}{}", first.replace("1.0.0", "1.0.1"))).unwrap();
    let into = world.dir.path().join("deps");
    let versions = || {
        let markers = ggen_marketplace::installed(&into).unwrap();
        markers.iter().map(|m| (m.version.to_string(), m.registry.clone())).collect::<Vec<_>>()
    };
    let before = lock(&client, "same").await;
    client.install(&before).into(&into).run().await.unwrap();
    world.build().await.unwrap();
    let newer = world.client_with(|o| o.freshness = Duration::ZERO);
    let after = lock(&newer, "same").await;
    let report = newer.install(&after).into(&into).run().await.unwrap();
    assert_eq!((report.installed.len(), report.removed.len(), report.kept), (1, 0, 0));
    assert_eq!(versions(), [("1.0.1".to_owned(), newer.origin().to_owned())]);
    assert_eq!(newer.install(&after).into(&into).run().await.unwrap().kept, 1);
    // From another registry, too.
    let marker = into.join(".ggen-market/installed/pack/same.json");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace(newer.origin(), "other.example")).unwrap();
    assert_eq!(newer.install(&after).into(&into).plan().unwrap().install.len(), 1);
}
