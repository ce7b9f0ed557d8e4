//! From packages to a registry and back.

use futures::TryStreamExt;
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, SigningKey, Store, VerifyOptions, package::Timestamp,
};
use std::path::Path;

fn corpus() -> Option<std::path::PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/crates");
    path.is_dir().then_some(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn real_crates_go_in_and_come_out() {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus of real crates beside the checkout");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("registry").to_str().unwrap()).unwrap();
    let key = SigningKey::generate("registry.example.com/ggen".parse().unwrap()).unwrap();
    let pinned = key.verifier().clone();
    let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
    let options = BuildOptions::at(Timestamp::now());
    registry.init(&options).await.unwrap();
    let began = std::time::Instant::now();
    let report = registry.build(std::slice::from_ref(&corpus), &options).await.unwrap();
    println!("{} puts, {} bytes, {:?}", report.puts, report.bytes, began.elapsed());
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!(report.added, 171);
    let again = registry.build(&[corpus], &options).await.unwrap();
    assert_eq!((again.added, again.unchanged, again.puts, again.committed), (0, 171, 0, false));

    let client = Client::new(store, &[pinned], ClientOptions::default()).unwrap();
    let newest = client.latest().await.unwrap();
    let package = newest.find(&"heck".parse().unwrap()).await.unwrap();
    assert_eq!(package.newest().unwrap().version.to_string(), "0.3.3");
    let all: Vec<_> = newest.list().try_collect().await.unwrap();
    assert_eq!(all.len(), 171);
    let detail = newest.detail(package.newest().unwrap()).await.unwrap().unwrap();
    assert!(detail.readme.unwrap().text.contains("case conversion"));
    let out = dir.path().join("heck.crate");
    newest.fetch_to(package.newest().unwrap(), &out, |_| {}).await.unwrap();
    let verified = client.verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    println!("{verified:?}");
}
