//! What each store has to do.

use super::subject::Subject;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all};
use ggen_marketplace::package::Sha256;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, UpdateVersion, path::Path,
};
use std::sync::Arc;

type Store = Arc<dyn ObjectStore>;

async fn put(store: &Store, key: &str, bytes: impl Into<Bytes>) {
    store.put(&Path::from(key), PutPayload::from(bytes.into())).await.unwrap();
}

async fn get(store: &Store, key: &str) -> Bytes {
    store.get(&Path::from(key)).await.unwrap().bytes().await.unwrap()
}

fn mode(mode: PutMode) -> PutOptions {
    PutOptions { mode, ..PutOptions::default() }
}

pub(super) async fn a_put_is_read_back_with_its_tag(subject: &Subject) {
    let store = subject.open();
    let key = Path::from("doctor/one");
    for bytes in [&b""[..], b"x", &[0, 255, 10, 13]] {
        let put = store.put(&key, PutPayload::from(bytes.to_vec())).await.unwrap();
        let got = store.get(&key).await.unwrap();
        let meta = store.head(&key).await.unwrap();
        assert_eq!((meta.size, got.meta.size), (bytes.len() as u64, bytes.len() as u64));
        assert!(meta.e_tag.is_some());
        assert_eq!((&put.e_tag, &got.meta.e_tag), (&meta.e_tag, &meta.e_tag));
        assert_eq!(meta.last_modified, got.meta.last_modified);
        assert_eq!(got.bytes().await.unwrap(), bytes);
    }
    if subject.does("validators") {
        let tag = store.head(&key).await.unwrap().e_tag;
        let known = GetOptions { if_none_match: tag.clone(), ..GetOptions::default() };
        let e = store.get_opts(&key, known).await.unwrap_err();
        assert!(matches!(e, Error::NotModified { .. }), "{e:?}");
        let other = GetOptions { if_match: Some("\"another\"".into()), ..GetOptions::default() };
        let e = store.get_opts(&key, other).await.unwrap_err();
        assert!(matches!(e, Error::Precondition { .. }), "{e:?}");
        let same = GetOptions { if_match: tag, ..GetOptions::default() };
        assert_eq!(store.get_opts(&key, same).await.unwrap().bytes().await.unwrap(), &[0, 255, 10, 13][..]);
    }
}

pub(super) async fn ranges(subject: &Subject) {
    let store = subject.open();
    let key = Path::from("doctor/ranges");
    let bytes: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
    put(&store, key.as_ref(), bytes.clone()).await;
    for (range, want) in [
        (GetRange::Bounded(10..20), 10..20),
        (GetRange::Bounded(0..1), 0..1),
        (GetRange::Bounded(990..2000), 990..1000),
        (GetRange::Offset(995), 995..1000),
        (GetRange::Suffix(7), 993..1000),
        (GetRange::Suffix(2000), 0..1000),
    ] {
        let options = GetOptions { range: Some(range.clone()), ..GetOptions::default() };
        let got = store.get_opts(&key, options).await.unwrap_or_else(|e| panic!("{range:?}: {e}"));
        assert_eq!(got.range, want.start as u64..want.end as u64, "{range:?}");
        assert_eq!(got.meta.size, 1000, "{range:?}");
        assert_eq!(got.bytes().await.unwrap(), bytes[want], "{range:?}");
    }
    let beyond = GetOptions { range: Some(GetRange::Bounded(1000..1010)), ..GetOptions::default() };
    assert!(store.get_opts(&key, beyond).await.is_err());
}

pub(super) async fn a_listing_is_whole_and_in_pages(subject: &Subject) {
    const KEYS: usize = 2500;
    let store = subject.open();
    let keys: Vec<String> = (0..KEYS).map(|i| format!("doctor/many/{:02}/{i:05}", i % 50)).collect();
    let puts = keys.iter().map(|key| put(&store, key, key.clone()));
    futures::stream::iter(puts).buffer_unordered(64).for_each(|()| async {}).await;
    put(&store, "doctor/many-more", "not below it").await;

    let listed: Vec<_> = store.list(Some(&Path::from("doctor/many"))).try_collect().await.unwrap();
    assert!(listed.iter().all(|m| m.size == m.location.as_ref().len() as u64));
    let listed: Vec<String> = listed.into_iter().map(|m| m.location.into()).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    let mut want = keys.clone();
    want.sort();
    assert!(sorted == want, "{} of {KEYS} keys, each once", sorted.len());
    if subject.does("order") {
        assert!(listed == sorted, "in order");
    }
    let folders = store.list_with_delimiter(Some(&Path::from("doctor/many"))).await.unwrap();
    assert_eq!((folders.common_prefixes.len(), folders.objects.len()), (50, 0));
    let inner = store.list_with_delimiter(Some(&Path::from("doctor/many/07"))).await.unwrap();
    assert_eq!((inner.common_prefixes.len(), inner.objects.len()), (0, KEYS / 50));
    let after = Path::from(want[2000].as_str());
    let rest: Vec<_> = store.list_with_offset(Some(&Path::from("doctor/many")), &after).try_collect().await.unwrap();
    assert_eq!(rest.len(), 499);
}

pub(super) async fn an_overwrite_is_seen(subject: &Subject) {
    let store = subject.open();
    let mut tags = Vec::new();
    for round in 0..20 {
        let text = format!("round {round}");
        put(&store, "doctor/pointer", text.clone()).await;
        assert_eq!(get(&store, "doctor/pointer").await, text);
        tags.push(store.head(&Path::from("doctor/pointer")).await.unwrap().e_tag);
    }
    tags.dedup();
    assert_eq!(tags.len(), 20, "each state has a tag of its own");
}

pub(super) async fn a_create_happens_once(subject: &Subject) {
    if !subject.does("create") {
        return;
    }
    let (store, key) = (subject.open_once(), Path::from("doctor/slot"));
    store.put_opts(&key, "first".into(), mode(PutMode::Create)).await.unwrap();
    for again in ["second", "first"] {
        let e = store.put_opts(&key, again.into(), mode(PutMode::Create)).await.unwrap_err();
        assert!(matches!(e, Error::AlreadyExists { .. }), "{e:?}");
    }
    assert_eq!(get(&store, "doctor/slot").await, "first");
    store.delete(&key).await.unwrap();
    store.put_opts(&key, "third".into(), mode(PutMode::Create)).await.unwrap();
    assert_eq!(get(&store, "doctor/slot").await, "third");
}

pub(super) async fn many_who_create_at_once_have_one_winner(subject: &Subject) {
    if !subject.does("create") || !subject.does("race") {
        return;
    }
    let store = subject.open_once();
    for round in 0..10 {
        let key = Path::from(format!("doctor/race/{round}"));
        let barrier = Arc::new(tokio::sync::Barrier::new(32));
        let tasks = (0..32).map(|writer| {
            let (store, key, barrier) = (Arc::clone(&store), key.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                let text = format!("writer {writer}");
                barrier.wait().await;
                match store.put_opts(&key, text.clone().into(), mode(PutMode::Create)).await {
                    Ok(_) => Some(text),
                    // A store that is asked by many at once may also say that it does not know (409, 503).
                    Err(_) => None,
                }
            })
        });
        let winners: Vec<String> = join_all(tasks).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(winners.len(), 1, "{}, round {round}: {winners:?}", subject.name);
        assert_eq!(get(&store, key.as_ref()).await, winners[0]);
    }
}

pub(super) async fn an_update_needs_the_tag_that_is_there(subject: &Subject) {
    if !subject.does("update") {
        return;
    }
    let (store, key) = (subject.open_once(), Path::from("doctor/boundary"));
    let update = |put: &object_store::PutResult| {
        mode(PutMode::Update(UpdateVersion { e_tag: put.e_tag.clone(), version: put.version.clone() }))
    };
    let first = store.put(&key, "first".into()).await.unwrap();
    let second = store.put_opts(&key, "second".into(), update(&first)).await.unwrap();
    let e = store.put_opts(&key, "late".into(), update(&first)).await.unwrap_err();
    assert!(matches!(e, Error::Precondition { .. }), "{e:?}");
    assert_eq!(get(&store, key.as_ref()).await, "second");
    store.delete(&key).await.unwrap();
    let e = store.put_opts(&key, "too late".into(), update(&second)).await.unwrap_err();
    assert!(matches!(e, Error::Precondition { .. }), "{e:?}");
}

pub(super) async fn a_large_upload_in_parts_is_all_or_nothing(subject: &Subject) {
    const PART: usize = 8 * 1024 * 1024;
    let store = subject.open();
    let parts: Vec<Bytes> = (1..=3u8).map(|i| Bytes::from(vec![i; PART])).collect();
    let begin = async |key: &str| -> Box<dyn MultipartUpload> {
        let mut upload = store.put_multipart(&Path::from(key)).await.unwrap();
        for part in &parts {
            upload.put_part(PutPayload::from(part.clone())).await.unwrap();
        }
        upload
    };
    let mut upload = begin("doctor/large").await;
    let e = store.head(&Path::from("doctor/large")).await.unwrap_err();
    assert!(matches!(e, Error::NotFound { .. }), "{e:?}");
    upload.complete().await.unwrap();
    let got = get(&store, "doctor/large").await;
    assert_eq!(Sha256::of(&got), Sha256::of(&parts.concat()), "{} bytes", got.len());

    let mut upload = begin("doctor/aborted").await;
    upload.abort().await.unwrap();
    let e = store.get(&Path::from("doctor/aborted")).await.unwrap_err();
    assert!(matches!(e, Error::NotFound { .. }), "{e:?}");
    let listed: Vec<_> = store.list(Some(&Path::from("doctor"))).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|m| m.location.as_ref()).collect::<Vec<_>>(), ["doctor/large"]);
    assert_eq!(subject.open_uploads().unwrap_or(0), 0);
}

pub(super) async fn attributes_are_kept(subject: &Subject) {
    if !subject.does("attributes") {
        return;
    }
    let store = subject.open();
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "application/gzip".into());
    attributes.insert(Attribute::CacheControl, "public, max-age=31536000, immutable".into());
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    let key = Path::from("doctor/typed");
    store.put_opts(&key, "bytes".into(), options).await.unwrap();
    let got = store.get(&key).await.unwrap();
    for (name, value) in &attributes {
        assert_eq!(got.attributes.get(name), Some(value), "{name:?}");
    }
}

pub(super) async fn any_character_may_be_in_a_key(subject: &Subject) {
    let store = subject.open();
    let names = ["a+b", "a@b", "a~b", "a b", "päckchen-包", "50%25", "100%", "a=b&c", "it's", ".hidden", "a:b,c;d(e)!"];
    for name in names {
        let key = Path::from(format!("doctor/names/{name}"));
        store.put(&key, name.into()).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    // All of them at once: two that fell together would show.
    for name in names {
        let key = Path::from(format!("doctor/names/{name}"));
        assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap(), name, "{name}");
        assert_eq!(store.head(&key).await.unwrap().size, name.len() as u64, "{name}");
    }
    let listed: Vec<_> = store.list(Some(&Path::from("doctor/names"))).try_collect().await.unwrap();
    let mut listed: Vec<String> = listed.into_iter().map(|m| m.location.into()).collect();
    let mut want: Vec<String> = names.iter().map(|n| Path::from(format!("doctor/names/{n}")).into()).collect();
    listed.sort();
    want.sort();
    assert_eq!(listed, want);
    for name in names {
        store.delete(&Path::from(format!("doctor/names/{name}"))).await.unwrap();
    }
    assert_eq!(store.list(Some(&Path::from("doctor/names"))).count().await, 0);
}

pub(super) async fn what_is_absent_is_not_found(subject: &Subject) {
    let store = subject.open();
    put(&store, "doctor/there", "x").await;
    for key in ["doctor/absent", "doctor/there-not", "absent"] {
        let key = Path::from(key);
        for e in [store.get(&key).await.unwrap_err(), store.head(&key).await.unwrap_err()] {
            assert!(matches!(e, Error::NotFound { .. }), "{key}: {e:?}");
        }
        let e = store.get_range(&key, 0..1).await.unwrap_err();
        assert!(matches!(e, Error::NotFound { .. }), "{key}: {e:?}");
    }
    assert_eq!(store.list(Some(&Path::from("doctor/nothing"))).count().await, 0);
}

pub(super) async fn what_is_deleted_is_gone(subject: &Subject) {
    let store = subject.open();
    let keys: Vec<Path> = (0..20).map(|i| Path::from(format!("doctor/delete/{i} & <{i}>"))).collect();
    for key in &keys {
        store.put(key, "x".into()).await.unwrap();
    }
    let kept = keys[7].clone();
    let gone: Vec<_> = keys.iter().filter(|k| **k != kept).cloned().map(Ok).collect();
    let done: Vec<_> = store.delete_stream(futures::stream::iter(gone).boxed()).try_collect().await.unwrap();
    assert_eq!(done.len(), 19);
    let left: Vec<_> = store.list(Some(&Path::from("doctor/delete"))).try_collect().await.unwrap();
    assert_eq!(left.into_iter().map(|m| m.location).collect::<Vec<_>>(), [kept]);
    let e = store.get(&keys[0]).await.unwrap_err();
    assert!(matches!(e, Error::NotFound { .. }), "{e:?}");
}

pub(super) async fn bytes_outlive_the_one_who_wrote_them(subject: &Subject) {
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    put(&subject.open(), "doctor/kept", bytes.clone()).await;
    assert_eq!(get(&subject.open(), "doctor/kept").await, bytes);
}
