//! A whole registry's life on a store.

use super::subject::Subject;
use crate::support::world::World;
use futures::TryStreamExt;
use ggen_marketplace::{
    Client, ClientOptions, ErrorKind, Registry, VerifyOptions,
    package::{Kind, PackageId},
};
use object_store::{ObjectStoreExt, path::Path};
use std::collections::BTreeMap;

/// Where a conditional create is no condition, it is found out, and one who is alone there can do all.
pub(super) async fn a_registry_lives(subject: &Subject) {
    if subject.does("race") {
        return it_lives(subject).await;
    }
    let world = World::without_registry();
    match world.registry_in(subject.registry()).init(&world.options).await {
        // Some let two win only now and then.
        Ok(_) if subject.does("create") => {}
        Ok(_) => panic!("{} was taken for a store of many writers", subject.name),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Invalid, "{}", e.chain());
            assert!(e.to_string().contains("does not create objects atomically"), "{}", e.chain());
            assert!(e.hint().unwrap().contains("--single-writer"), "{e:?}");
            assert!(listed(subject).await.is_empty(), "nothing was written, and what tried it out is gone");
        }
    }
    subject.clean().await;
    it_lives(&subject.for_a_single_writer()).await;
}

async fn it_lives(subject: &Subject) {
    let world = World::without_registry();
    let registry = world.registry_in(subject.registry());
    registry.init(&world.options).await.unwrap();
    assert_eq!(registry.init(&world.options).await.unwrap_err().kind(), ErrorKind::Invalid);
    world.add_crate("alpha", "1.0.0", "a");
    world.add_crate("alpha", "1.1.0-rc.1+build.5", "a, soon");
    world.add_crate("beta", "0.1.0", &"b".repeat(100_000));
    world.add_pack("gamma", "1.0.0", "g");
    world.add_lines("elsewhere.jsonl", 0..500);
    let report = registry.build(&[world.sources()], &world.options).await.unwrap();
    assert_eq!((report.added, report.refused.len(), report.generation), (504, 0, 1));

    // A builder that knows nothing of the first, but for the key: nothing is new, and nothing is written.
    if let Some(server) = subject.referee() {
        server.take_log();
    }
    let before = listed(subject).await;
    let other = Registry::new(subject.registry(), world.signing_key(), &world.dir.path().join("another-state"));
    let report = other.build(&[world.sources()], &world.options).await.unwrap();
    assert_eq!((report.added, report.unchanged, report.puts, report.committed), (0, 504, 0, false));
    assert_eq!(listed(subject).await, before);
    if let Some(server) = subject.referee() {
        let log = server.take_log();
        assert!(log.iter().all(|e| !crate::support::s3::Op::WRITES.contains(&e.op)), "{log:#?}");
    }

    let alpha = PackageId::new(Kind::Crate, &"alpha".parse().unwrap()).unwrap();
    let version = "1.0.0".parse().unwrap();
    let report = other.yank(&alpha, &version, Some("it eats files"), &world.options).await.unwrap();
    assert_eq!((report.yanked, report.generation), (1, 2));

    let client = Client::new(subject.registry(), std::slice::from_ref(&world.key), ClientOptions::default()).unwrap();
    let newest = client.latest().await.unwrap();
    let alpha = newest.find(&"crate:alpha".parse().unwrap()).await.unwrap();
    let yanked = alpha.release(&version).unwrap().yanked.clone().unwrap();
    assert_eq!(yanked.reason.as_deref(), Some("it eats files"));
    let beta = newest.find_release(&"crate:beta".parse().unwrap()).await.unwrap();
    let out = world.dir.path().join("beta.crate");
    newest.fetch_to(&beta, &out, |_| {}).await.unwrap();
    assert_eq!(std::fs::read(out).unwrap(), std::fs::read(world.sources().join("beta-0.1.0.crate")).unwrap());
    assert_eq!(newest.list().try_collect::<Vec<_>>().await.unwrap().len(), 503);

    let verified = client.verify(&VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    assert_eq!((verified.generation, verified.packages, verified.releases), (2, 503, 504));
    assert_eq!(verified.unreferenced, Some((0, 0)));

    // And what is lost is missed.
    let blob = Path::from(format!("blobs/sha256/{}", beta.archive.sha256));
    match subject.referee() {
        Some(server) => server.lose(blob.as_ref()),
        None => subject.open().delete(&blob).await.unwrap(),
    }
    let verified = client.verify(&VerifyOptions::all()).await.unwrap();
    assert_eq!(verified.problems.len(), 1, "{:?}", verified.problems);
    if let Some(server) = subject.referee() {
        server.assert_fair();
        assert_eq!((server.rewrites().len(), server.open_uploads()), (0, 0));
    }
}

/// Every key with its size and, as far as the store says, its tag.
async fn listed(subject: &Subject) -> BTreeMap<String, (u64, Option<String>)> {
    if let Some(server) = subject.referee() {
        return server.objects().into_iter().map(|(key, bytes)| (key, (bytes.len() as u64, None))).collect();
    }
    let listed: Vec<_> = subject.open().list(None).try_collect().await.unwrap();
    listed.into_iter().map(|m| (m.location.into(), (m.size, m.e_tag))).collect()
}
