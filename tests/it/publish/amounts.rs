//! What one author may bring: too much of it is that author's own trouble, and nobody else's.

use super::*;
use ggen_marketplace::package::PackageSpec;
use std::fmt::Write as _;

/// Text that does not get shorter when it is compressed.
fn noise(bytes: usize) -> String {
    let mut random = vec![0; bytes / 4 * 3];
    getrandom::fill(&mut random).unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, random)
}

/// A line of a list, with a feature of so many bytes.
fn line(name: &str, version: &str, feature: usize) -> String {
    let sha256 = second_reader::hex(format!("{name}@{version}").as_bytes());
    format!(
        r#"{{"name":"{name}","version":"{version}","kind":"crate","sha256":"{sha256}","size":1,"download_url":"https://downloads.example.com/x","features":{{"f":["{}"]}}}}"#,
        noise(feature)
    ) + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_and_no_other() {
    let world = World::new().await;
    let list = line("small", "1.0.0", 100) + &line("large", "1.0.0", 600_000) + &line("large", "1.1.0", 400_000);
    fs::write(world.sources().join("list.jsonl"), list).unwrap();
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.refused.len(), report.generation), (2, 1, 1));
    let refused = report.refused[0].error.chain();
    assert!(refused.contains("its record is too large: 6") && refused.contains("at most 524288"), "{refused}");
    assert_eq!(world.found().records.keys().collect::<Vec<_>>(), ["crate/large@1.1.0", "crate/small@1.0.0"]);
}

/// Its releases are refused by name, those that are there stay, and it can still be read and added to.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_fits_into_no_shard_stays_as_it_was_and_others_are_published() {
    let world = World::new().await;
    let path = world.sources().join("list.jsonl");
    let of = |versions: std::ops::Range<u32>| {
        versions.fold(String::new(), |mut list, i| {
            write!(list, "{}", line("large", &format!("1.{i}.0"), 500_000)).unwrap();
            list
        })
    };
    let first = of(0..20);
    fs::write(&path, &first).unwrap();
    assert_eq!(world.build().await.unwrap().added, 20);
    fs::write(&path, of(20..60) + &line("small", "1.0.0", 100)).unwrap();
    let report = world.build().await.unwrap();
    assert_eq!((report.added, report.refused.len(), report.generation), (1, 40, 2));
    let refused = report.refused[0].error.chain();
    assert!(refused.contains("the releases of crate:large do not fit into the index any more"), "{refused}");
    fs::write(&path, of(60..61)).unwrap();
    assert_eq!(world.build().await.unwrap().added, 1);
    let newest = world.client().latest().await.unwrap();
    let spec: PackageSpec = "crate:large".parse().unwrap();
    assert_eq!(newest.find(&spec).await.unwrap().releases.len(), 21);
}

/// Readers refuse what says that it is good for longer, and a collection reckons with no more.
#[tokio::test(flavor = "multi_thread")]
async fn no_registry_is_valid_for_longer_than_readers_take() {
    let mut world = World::without_registry();
    world.options.validity = ggen_marketplace::trust::MAX_VALIDITY + Duration::from_secs(1);
    let e = world.registry().init(&world.options).await.unwrap_err();
    assert!(e.kind() == ErrorKind::Invalid && e.to_string().contains("for more than 7 days"), "{e:?}");
    assert!(!world.referee.objects().keys().any(|key| key.starts_with("log/")));
    world.options.validity = ggen_marketplace::trust::MAX_VALIDITY;
    world.registry().init(&world.options).await.unwrap();
    world.options.validity *= 2;
    assert_eq!(world.registry().refresh(&world.options).await.unwrap_err().kind(), ErrorKind::Invalid);
}
