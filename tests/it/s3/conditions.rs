//! Servers that do not keep what a conditional write promises (as Garage 2 ignores the condition, and s3s-fs looks before it
//! writes): found out, refused, and good enough for a single writer.

use crate::support::{
    s3::{Access, Conditions, S3},
    world::World,
};
use ggen_marketplace::{ErrorKind, Registry, Store, StoreOptions};
use std::time::Duration;

async fn server(conditions: Conditions) -> S3 {
    S3::with(|s| {
        s.conditions = conditions;
        s.single_writer = true;
    })
    .await
}

/// The server's bucket as the program opens it.
pub(super) fn bucket(server: &S3, single_writer: bool) -> Store {
    let access = Access { retries: 3, ..server.access() };
    let mut options = StoreOptions::default();
    options.options = access.options();
    options.single_writer = single_writer;
    Store::open_with(&access.location(), &options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_a_server_that_ignores_conditions_is_refused_at_init_and_before_a_commit() {
    let world = World::without_registry();
    world.add_crate("alpha", "1.0.0", "a");
    let server = server(Conditions::Ignored).await;
    let registry =
        |single| Registry::new(bucket(&server, single), world.signing_key(), &world.dir.path().join("state"));
    let e = registry(false).init(&world.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid);
    assert!(e.to_string().contains("up to 32 were told that they won (20 of 20 rounds)"), "{e}");
    assert!(e.hint().unwrap().contains("--single-writer"), "{e:?}");
    assert!(server.objects().is_empty(), "what was only tried out is gone");

    // Who says that nobody else writes may go on; who does not, may not, whoever made the registry.
    registry(true).init(&world.options).await.unwrap();
    let sources = [world.sources()];
    let e = registry(false).build(&sources, &world.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid);
    assert!(e.to_string().contains("ignores conditional writes"), "{e}");
    assert_eq!(server.found().generation, 0);
    let report = registry(true).build(&sources, &world.options).await.unwrap();
    assert_eq!((report.added, report.generation), (1, 1));
    let report = registry(true)
        .yank(
            &"crate:alpha".parse::<ggen_marketplace::package::PackageSpec>().unwrap().candidates().unwrap()[0],
            &"1.0.0".parse().unwrap(),
            None,
            &world.options,
        )
        .await
        .unwrap();
    assert_eq!((report.yanked, server.found().generation), (1, 2));
    server.assert_fair();
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_a_server_that_looks_before_it_writes_is_refused_at_init() {
    let world = World::without_registry();
    let server = server(Conditions::Racing(Duration::from_millis(2))).await;
    let registry = Registry::new(bucket(&server, false), world.signing_key(), &world.dir.path().join("state"));
    let e = registry.init(&world.options).await.unwrap_err();
    assert!(e.to_string().contains("does not create objects atomically"), "{e}");
    assert!(server.objects().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_a_server_that_keeps_them_is_taken() {
    let world = World::without_registry();
    let server = S3::start().await;
    let registry = Registry::new(bucket(&server, false), world.signing_key(), &world.dir.path().join("state"));
    registry.init(&world.options).await.unwrap();
    let keys: Vec<_> = server.objects().into_keys().collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    server.assert_fair();
}

/// What a stopped clock would do to everybody else (I6): no claim is dated after the store's own time.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_machine_whose_clock_is_ahead_of_the_stores_commits_nothing() {
    let world = World::without_registry();
    world.add_crate("alpha", "1.0.0", "a");
    let server = S3::start().await;
    let registry = Registry::new(bucket(&server, false), world.signing_key(), &world.dir.path().join("state"));
    registry.init(&world.options).await.unwrap();
    server.set(|s| s.clock = -3600);
    let e = registry.build(&[world.sources()], &world.options).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid);
    assert!(e.to_string().contains("ahead of the clock of s3://"), "{e}");
    server.set(|s| s.clock = -120);
    registry.build(&[world.sources()], &world.options).await.unwrap();
}

/// The headers under which a bucket serves a registry to anybody over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_bucket_serves_each_class_with_its_headers() {
    let world = World::without_registry();
    world.add_crate("alpha", "1.0.0", "a");
    let server = S3::with(|s| s.public_read = true).await;
    let registry = Registry::new(bucket(&server, false), world.signing_key(), &world.dir.path().join("state"));
    registry.init(&world.options).await.unwrap();
    registry.build(&[world.sources()], &world.options).await.unwrap();
    for key in server.objects().into_keys() {
        let url = format!("{}/{}/{key}", server.url, crate::support::s3::BUCKET);
        let answer = reqwest::get(&url).await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap()).unwrap_or_default();
        let pointer = key == "checkpoint";
        let cached = if pointer { "no-cache" } else { "public, max-age=31536000, immutable" };
        let kind = if key.starts_with("blobs/") { "application/octet-stream" } else { "text/plain; charset=utf-8" };
        assert_eq!((header("cache-control"), header("content-type")), (cached, kind), "{key}");
        assert_eq!(header("content-encoding"), "", "{key}");
    }
    let web = Store::open(&format!("{}/{}", server.url, crate::support::s3::BUCKET)).unwrap();
    let client = ggen_marketplace::Client::new(web, std::slice::from_ref(&world.key), Default::default()).unwrap();
    assert!(client.verify(&ggen_marketplace::VerifyOptions::all()).await.unwrap().problems.is_empty());
}
