//! The test server itself: what it says is what S3 says, it sees each broken rule, and its faults are what they are called.

use crate::support::{
    s3::{ACCESS_KEY, BUCKET, Conditions, Effect, Fault, Op, S3},
    second_reader::hex,
    world::World,
};
use ggen_marketplace::{Client, ClientOptions};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use reqwest::{Method, Response};
use std::time::Duration;

/// Asks as somebody who has the access key; the signature is not looked at.
async fn ask(server: &S3, method: Method, target: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let credential = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261123/us-east-1/s3/aws4_request, …");
    let signed = [("authorization", credential.replace('…', "Signature=0"))];
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(signed);
    ask_as(server, method, target, headers.collect(), body).await
}

async fn ask_as(server: &S3, method: Method, target: &str, headers: Vec<(&str, String)>, body: Vec<u8>) -> Response {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut request = reqwest::Client::new().request(method, format!("{}/{BUCKET}/{target}", server.url)).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

async fn shown(answer: Response) -> (u16, String) {
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn plain() -> S3 {
    S3::with(|settings| settings.referee = false).await
}

#[tokio::test]
async fn who_does_not_sign_gets_in_nowhere_or_reads_what_is_public() {
    let server = plain().await;
    server.plant("one", b"bytes");
    for (method, target) in
        [(Method::GET, "one"), (Method::PUT, "two"), (Method::DELETE, "one"), (Method::GET, "?list-type=2")]
    {
        let (status, body) = shown(ask_as(&server, method, target, Vec::new(), b"x".into()).await).await;
        assert!(status == 403 && body.contains("<Code>AccessDenied</Code>"), "{target}: {status} {body}");
    }
    server.set(|s| s.public_read = true);
    assert_eq!(shown(ask_as(&server, Method::GET, "one", Vec::new(), Vec::new()).await).await, (200, "bytes".into()));
    for (method, target) in [(Method::PUT, "two"), (Method::DELETE, "one"), (Method::GET, "?list-type=2")] {
        assert_eq!(ask_as(&server, method, target, Vec::new(), Vec::new()).await.status(), 403);
    }
    let stranger = vec![("authorization", "AWS4-HMAC-SHA256 Credential=SOMEBODY/2026/…".replace('…', "x"))];
    assert_eq!(ask_as(&server, Method::PUT, "two", stranger, Vec::new()).await.status(), 403);
    assert_eq!(server.objects().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_what_its_digest_says_is_refused() {
    let server = plain().await;
    let other = hex(b"other");
    let (status, body) =
        shown(ask(&server, Method::PUT, "k", &[("x-amz-content-sha256", &other)], b"bytes".into()).await).await;
    assert!(status == 400 && body.contains("<Code>XAmzContentSHA256Mismatch</Code>"), "{status} {body}");
    let wrong = [("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")];
    let (status, body) = shown(ask(&server, Method::PUT, "k", &wrong, b"bytes".into()).await).await;
    assert!(status == 400 && body.contains("<Code>BadDigest</Code>"), "{status} {body}");
    assert!(server.objects().is_empty());
    assert_eq!(ask(&server, Method::PUT, "k", &wrong, Vec::new()).await.status(), 200);
}

#[tokio::test]
async fn conditions_ranges_and_times_are_answered_as_http_wants_it() {
    let server = plain().await;
    server.set(|s| s.clock = 3 * 86_400);
    let put = ask(&server, Method::PUT, "a+b", &[("cache-control", "no-cache")], b"0123456789".into()).await;
    let tag = put.headers()["etag"].to_str().unwrap().to_owned();
    let get = async |headers: &[(&str, &str)]| ask(&server, Method::GET, "a+b", headers, Vec::new()).await;
    let got = get(&[]).await;
    assert_eq!(got.headers()["cache-control"], "no-cache");
    assert_eq!(got.headers()["etag"], tag.as_str());
    let modified = got.headers()["last-modified"].to_str().unwrap().to_owned();
    let date = chrono::DateTime::parse_from_rfc2822(got.headers()["date"].to_str().unwrap()).unwrap();
    let ahead = date.timestamp() - ggen_marketplace::package::Timestamp::now().unix();
    assert!((3 * 86_400 - 5..=3 * 86_400 + 5).contains(&ahead), "{ahead}");
    for (headers, want) in [
        (&[("if-none-match", tag.as_str())][..], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-match", "\"x\"")], 412),
        (&[("if-modified-since", &modified)], 304),
        (&[("if-none-match", "\"x\""), ("if-modified-since", &modified)], 200),
        (&[("range", "bytes=2-4")], 206),
        (&[("range", "bytes=10-")], 416),
        (&[("range", "lines=1-2")], 200),
    ] {
        assert_eq!(get(headers).await.status(), want, "{headers:?}");
    }
    let part = get(&[("range", "bytes=-3")]).await;
    assert_eq!(part.headers()["content-range"], "bytes 7-9/10");
    assert_eq!(part.text().await.unwrap(), "789");
    let head = ask(&server, Method::HEAD, "a+b", &[], Vec::new()).await;
    assert_eq!(head.headers()["content-length"], "10");
    assert_eq!(head.text().await.unwrap(), "");
    assert_eq!(ask(&server, Method::PUT, "none", &[("if-match", &tag)], Vec::new()).await.status(), 404);
    assert_eq!(ask(&server, Method::PUT, "a+b", &[("if-match", "\"x\"")], Vec::new()).await.status(), 412);
    server.set(|s| s.absent_is_forbidden = true);
    assert_eq!(ask(&server, Method::GET, "none", &[], Vec::new()).await.status(), 403);
}

#[tokio::test]
async fn parts_are_put_together_as_they_were_sent_or_not_at_all() {
    let server = plain().await;
    let store = server.access().object_store();
    let text = ask(&server, Method::POST, "large?uploads", &[], Vec::new()).await.text().await.unwrap();
    let id = text.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let part = ask(&server, Method::PUT, &format!("large?partNumber=1&uploadId={id}"), &[], b"bytes".into()).await;
    let tag = part.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(server.open_uploads(), 1);
    let complete = async |parts: &[(u32, &str)]| {
        let parts: String =
            parts.iter().map(|(n, t)| format!("<Part><ETag>{t}</ETag><PartNumber>{n}</PartNumber></Part>")).collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").into_bytes();
        shown(ask(&server, Method::POST, &format!("large?uploadId={id}"), &[], body).await).await
    };
    for (parts, code) in [
        (&[(1, "\"wrong\"")][..], "InvalidPart"),
        (&[(2, tag.as_str())], "InvalidPart"),
        (&[(1, &tag), (1, &tag)], "InvalidPartOrder"),
        (&[], "MalformedXML"),
    ] {
        let (status, body) = complete(parts).await;
        assert!(status == 400 && body.contains(&format!("<Code>{code}</Code>")), "{parts:?}: {status} {body}");
    }
    assert!(matches!(store.head(&Path::from("large")).await.unwrap_err(), Error::NotFound { .. }));
    assert_eq!(complete(&[(1, &tag)]).await.0, 200);
    assert_eq!((server.open_uploads(), complete(&[(1, &tag)]).await.0), (0, 404));
    assert_eq!(server.objects()["large"], b"bytes");
}

#[tokio::test]
async fn a_copy_is_the_same_object_under_another_key() {
    let server = plain().await;
    let store = server.access().object_store();
    store.put(&Path::from("from a+b"), "bytes".into()).await.unwrap();
    store.copy(&Path::from("from a+b"), &Path::from("to/ü")).await.unwrap();
    assert_eq!(store.get(&Path::from("to/ü")).await.unwrap().bytes().await.unwrap(), "bytes");
    let e = store.copy(&Path::from("nothing"), &Path::from("to/x")).await.unwrap_err();
    assert!(matches!(e, Error::NotFound { .. }), "{e:?}");
}

async fn create(store: &dyn ObjectStore, key: &str, bytes: &str) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&Path::from(key), bytes.to_owned().into(), options).await.map(drop)
}

/// How many of 32 who create one key at once are told that they did.
async fn winners(server: &S3) -> usize {
    let store = server.access().object_store();
    let puts = (0..32).map(|i| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move { create(&*store, "doctor/race", &i.to_string()).await.is_ok() })
    });
    futures::future::join_all(puts).await.into_iter().filter(|won| *won.as_ref().unwrap()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_ignore_conditions_or_race_can_be_played() {
    let server = S3::start().await;
    assert_eq!(winners(&server).await, 1);
    let ignoring = S3::with(|s| s.conditions = Conditions::Ignored).await;
    assert_eq!(winners(&ignoring).await, 32);
    let racing = S3::with(|s| s.conditions = Conditions::Racing(Duration::from_millis(50))).await;
    assert!(winners(&racing).await > 1);
    // One after the other it looks right.
    let store = racing.access().object_store();
    create(&*store, "doctor/alone", "first").await.unwrap();
    assert!(matches!(create(&*store, "doctor/alone", "second").await.unwrap_err(), Error::AlreadyExists { .. }));
}

#[tokio::test]
async fn each_broken_rule_is_a_foul_and_names_the_key() {
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
    let world = World::without_registry();
    let server = S3::start().await;
    world.registry_in(server.store()).init(&world.options).await.unwrap();
    server.assert_fair();
    let store = server.access().object_store();
    let put = async |key: &str, bytes: &[u8]| drop(store.put(&Path::from(key), bytes.to_vec().into()).await.unwrap());
    let mut seen = 0;
    let mut new = || {
        let fouls = server.fouls();
        let new = fouls[seen..].join("; ");
        seen = fouls.len();
        new
    };

    put(&blob(b"x"), b"x").await;
    put(&blob(b"x"), b"x").await;
    put("doctor/probe", b"x").await;
    put("doctor/probe", b"y").await;
    assert_eq!((new(), server.rewrites()), (String::new(), vec![blob(b"x")]));

    put(&blob(b"x"), b"y").await;
    assert!(new().contains("I2: an immutable key that changes"));
    put("notes.txt", b"y").await;
    assert_eq!(new(), "notes.txt: a key that is not in the layout");
    let shard = br#"{"format":2,"prefix":"","type":"shard"}
{"archive":{"format":"tar.gz","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3},"name":"x"}"#;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gz, shard).unwrap();
    let shard = gz.finish().unwrap();
    put(&blob(&shard), &shard).await;
    assert!(new().ends_with("f20015ad, which it cites"));

    let slot = server.objects()["log/0000000000"].clone();
    put("log/0000000001", &slot).await;
    let fouls = new();
    assert!(fouls.contains("I2: a slot that is not created") && fouls.contains("does not continue the log"), "{fouls}");
    server.lose("log/0000000001");
    let snapshot = server.found().reached.into_iter().find(|k| k.starts_with("blobs/")).unwrap();
    let checkpoint = server.objects()["checkpoint"].clone();
    put("checkpoint", &checkpoint).await;
    assert_eq!(new(), "");
    let there = server.objects()[&snapshot].clone();
    server.lose(&snapshot);
    put("checkpoint", &checkpoint).await;
    assert_eq!(new(), format!("checkpoint: I1: it reaches {snapshot}, which is not there"));
    server.plant(&snapshot, &there);

    store.delete(&Path::from(snapshot.as_str())).await.unwrap();
    assert_eq!(new(), format!("{snapshot}: I1: it was deleted, and the newest slot reaches it"));
    let _ = Client::new(server.store(), &[world.key], ClientOptions::default()).unwrap().latest().await;
    assert_eq!(new(), format!("{snapshot}: it is read, and was deleted"));
    store.delete(&Path::from("log/0000000000")).await.unwrap();
    assert!(new().contains("has to stay for ever"));
    store.delete(&Path::from(blob(b"x"))).await.unwrap();
    store.delete(&Path::from("doctor/probe")).await.unwrap();
    assert!(store.get(&Path::from("doctor/probe")).await.is_err());
    assert_eq!(new(), "", "what nothing reaches may go");
}

#[tokio::test]
async fn faults_do_what_they_are_called() {
    let server = plain().await;
    let store = server.access().object_store();
    let put = async |key: &str| store.put(&Path::from(key), "bytes".into()).await;
    let answered = |e: Error| match e {
        Error::Generic { source, .. } => source.to_string(),
        e => panic!("{e:?}"),
    };
    for (effect, word, done) in [
        (Effect::Answer(500), "InternalError", false),
        (Effect::Answer(503), "SlowDown", false),
        (Effect::AnswerAfter(500), "InternalError", true),
        (Effect::Drop, "error sending request", false),
        (Effect::DropAfter, "error sending request", true),
    ] {
        server.fault(Fault::new(effect).on_writes().nth(1));
        let key = |i: u32| format!("{effect:?}-{i}");
        put(&key(0)).await.unwrap();
        let text = answered(put(&key(1)).await.unwrap_err());
        assert!(text.contains(word), "{effect:?}: {text}");
        put(&key(2)).await.unwrap();
        assert_eq!(server.objects().contains_key(&key(1)), done, "{effect:?}");
        assert_eq!(server.take_log().iter().map(|e| e.done).collect::<Vec<_>>(), [true, done, true], "{effect:?}");
        server.heal();
    }
    for (effect, done) in [(Effect::DieBefore, false), (Effect::DieHalfway, false), (Effect::DieAfter, true)] {
        server.fault(Fault::new(effect).on(&[Op::Put]).nth(0));
        let key = format!("{effect:?}");
        put(&key).await.unwrap_err();
        for _ in 0..3 {
            store.get(&Path::from("Drop-0")).await.unwrap_err();
        }
        server.heal();
        assert_eq!(store.get(&Path::from("Drop-0")).await.unwrap().bytes().await.unwrap(), "bytes");
        assert_eq!(server.objects().contains_key(&key), done, "{effect:?}");
    }
    server.fault(Fault::new(Effect::CutBody).on(&[Op::Get]));
    assert!(store.get(&Path::from("Drop-0")).await.unwrap().bytes().await.is_err());
    server.heal();
    // What was sent is done, although whoever sent it is gone.
    server.fault(Fault::new(Effect::StallBefore(Duration::from_millis(200))));
    assert!(tokio::time::timeout(Duration::from_millis(100), put("stalled")).await.is_err());
    assert!(!server.objects().contains_key("stalled"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.objects().contains_key("stalled"));
}

#[tokio::test]
async fn chance_is_the_seed_alone() {
    let run = async |seed: u64| {
        let server = plain().await;
        server.fault(Fault::new(Effect::Answer(500)).on_writes().chance(seed, 300));
        let store = server.access().object_store();
        let mut out = Vec::new();
        for i in 0..100 {
            out.push(store.put(&Path::from(format!("{}", i % 50)), "x".into()).await.is_ok());
        }
        out
    };
    let (one, same, other) = (run(1).await, run(1).await, run(2).await);
    assert_eq!(one, same);
    assert_ne!(one, other);
    let struck = one.iter().filter(|ok| !**ok).count();
    assert!((15..=45).contains(&struck), "{struck} of 100");
}
