//! Reading over HTTP from servers good and bad: the right bytes, or an error that names the URL and says what to do; in
//! bounded time, and with nothing left under a final name.

use super::support::{
    http::{Manner, Server},
    world::World,
};
use ggen_marketplace::{Client, ClientOptions, ErrorKind, Result, Store};
use std::{path::PathBuf, time::Duration};

/// A registry of one crate in a folder.
async fn folder(world: &World) -> PathBuf {
    let folder = world.dir.path().join("registry");
    let registry = world.registry_in(Store::create(folder.to_str().unwrap()).unwrap());
    registry.init(&world.options).await.unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    registry.build(&[world.sources()], &world.options).await.unwrap();
    folder
}

/// Looks up and downloads, with nothing remembered.
async fn read(world: &World, url: &str) -> Result<()> {
    let mut options = ClientOptions::default();
    options.timeout = Duration::from_secs(10);
    let client = Client::new(Store::open(url)?, std::slice::from_ref(&world.key), options)?;
    let newest = client.latest().await?;
    let record = newest.find_release(&"crate:alpha".parse()?).await?;
    let out = world.dir.path().join("alpha.crate");
    let done = newest.fetch_to(&record, &out, |_| {}).await;
    assert_eq!(out.exists(), done.is_ok());
    done?;
    std::fs::remove_file(out).unwrap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_is_not_needed_and_a_server_may_be_busy_once() {
    let world = World::without_registry();
    let folder = folder(&world).await;
    for manner in [Manner::Proper, Manner::Chunked, Manner::BusyOnce] {
        let server = Server::with(&folder, manner).await;
        read(&world, &server.url).await.unwrap_or_else(|e| panic!("{manner:?}: {e:?}"));
        let asked = server.asked();
        let wanted = if manner == Manner::BusyOnce { 5 } else { 4 };
        assert_eq!(asked.len(), wanted, "checkpoint, snapshot, shard, archive: {asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_f18_a_bad_server_is_named_and_costs_bounded_time() {
    use Manner::{CutShort, Endless, HangUp, LoginPage, RedirectLoop, Silent, Status};
    let world = World::without_registry();
    let folder = folder(&world).await;
    let mut cases = Vec::new();
    for (manner, kind) in [
        (Endless, ErrorKind::Untrusted),
        (LoginPage, ErrorKind::Untrusted),
        (CutShort, ErrorKind::Unavailable),
        (HangUp, ErrorKind::Unavailable),
        (Status(500), ErrorKind::Unavailable),
        (Status(404), ErrorKind::Unavailable),
        (Status(429), ErrorKind::Unavailable),
        (RedirectLoop, ErrorKind::Unavailable),
        (Silent, ErrorKind::Unavailable),
    ] {
        let server = Server::with(&folder, manner).await;
        let world = &world;
        cases.push(async move {
            let e = read(world, &server.url).await.unwrap_err();
            assert_eq!(e.kind(), kind, "{manner:?}: {e:?}");
            assert!(e.chain().contains(&server.url), "{manner:?}: {}", e.chain());
            assert!(e.hint().is_some(), "{manner:?}: {e:?}");
        });
    }
    tokio::time::timeout(Duration::from_secs(40), futures::future::join_all(cases)).await.unwrap();
    // Nobody listens there.
    let e = read(&world, "http://127.0.0.1:9").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e:?}");
}

/// A call that is dropped is over: nothing goes on, nothing is left, and the client can be used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_cancelled_at_any_time() {
    let world = World::without_registry();
    let folder = folder(&world).await;
    let silent = Server::silent().await;
    let cache = world.dir.path().join("cancelled");
    let mut options = ClientOptions::default();
    options.cache = Some(cache.clone());
    let client =
        Client::new(Store::open(&silent.url).unwrap(), std::slice::from_ref(&world.key), options.clone()).unwrap();
    for _ in 0..3 {
        let gone = tokio::time::timeout(Duration::from_millis(50), client.latest()).await;
        assert!(gone.is_err());
    }
    assert!(!cache.exists(), "nothing was trusted, nothing is remembered");
    let server = Server::serve(&folder).await;
    let client = Client::new(Store::open(&server.url).unwrap(), std::slice::from_ref(&world.key), options).unwrap();
    for wait in [0, 1, 2, 5, 20, 2_000] {
        if let Ok(newest) = tokio::time::timeout(Duration::from_millis(wait), client.latest()).await {
            newest.unwrap();
        }
    }
    client.latest().await.unwrap().find(&"crate:alpha".parse().unwrap()).await.unwrap();
}
