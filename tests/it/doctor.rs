//! `doctor` finds each fault of a store and of a CDN, names it by the one check that is about it, and cleans up behind itself.

use super::support::{
    cdn::{Cdn, Fault as Cached},
    odd::{Fault, Odd},
    world::World,
};
use futures::TryStreamExt as _;
use ggen_marketplace::{Diagnosis, DoctorOptions, ErrorKind, Finding, Outcome, SigningKey, Store, package::Timestamp};
use object_store::{ObjectStore as _, memory::InMemory};
use std::{sync::Arc, time::Duration};

const STORE_CHECKS: [&str; 15] = [
    "overwrite",
    "create_only",
    "race",
    "update_conditional",
    "absent",
    "list",
    "keys",
    "multipart",
    "range",
    "attributes",
    "copy_delete",
    "clock",
    "pace",
    "checkpoint",
    "cleanup",
];

const PUBLIC_CHECKS: [&str; 13] = [
    "public_reach",
    "public_checkpoint",
    "public_checkpoint_cache",
    "public_checkpoint_revalidate",
    "public_notes",
    "public_blob",
    "public_blob_cache",
    "public_blob_type",
    "public_encoding",
    "public_range",
    "public_absent",
    "public_absent_cache",
    "public_plus",
];

fn quick() -> DoctorOptions {
    let mut options = DoctorOptions::default();
    options.quick = true;
    options
}

/// The checks that came out so.
fn with(diagnosis: &Diagnosis, outcome: Outcome) -> Vec<&str> {
    diagnosis.findings.iter().filter(|f| f.outcome == outcome).map(|f| f.check).collect()
}

fn names(diagnosis: &Diagnosis) -> Vec<&str> {
    diagnosis.findings.iter().map(|f| f.check).collect()
}

/// Everything that is wrong has a reason and a way out; nothing else has.
fn explained(findings: &[Finding]) {
    for f in findings {
        let wrong = matches!(f.outcome, Outcome::Warning | Outcome::Failed);
        assert_eq!((f.breaks.is_some(), f.remedy.is_some()), (wrong, wrong), "{f:?}");
        assert!(!f.detail.is_empty() && !f.tried.is_empty(), "{f:?}");
    }
}

async fn keys(store: &InMemory) -> Vec<String> {
    store.list(None).map_ok(|m| m.location.to_string()).try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_each_fault_of_a_store_is_named_by_the_check_that_is_about_it() {
    let none: &[&str] = &[];
    let cases = [
        (Fault::None, none, none),
        (Fault::IgnoresConditions, &["create_only", "race"], &["update_conditional"]),
        (Fault::LooksThenWrites, &["race"], none),
        (Fault::Forbids, &["absent"], none),
        (Fault::ListLags, &["list"], none),
        (Fault::ForbidsList, &["list"], none),
        (Fault::RefusesAbort, none, &["multipart"]),
        (Fault::ListsTwice, &["list"], none),
        (Fault::Clock(50), none, none),
        (Fault::Clock(200), none, &["clock"]),
        (Fault::Clock(-200), none, &["clock"]),
        (Fault::Clock(3600), &["clock"], none),
        (Fault::Clock(-3600), &["clock"], none),
        (Fault::LosesAttributes, &["attributes"], none),
        (Fault::Stale, &["overwrite"], none),
        (Fault::IgnoresRange, &["range"], none),
        (Fault::PlusIsSpace, none, &["keys"]),
        (Fault::LosesPart, &["multipart"], none),
        (Fault::KeepsDeleted, &["list", "copy_delete"], none),
        (Fault::RefusesDelete, &["copy_delete"], &["cleanup"]),
    ];
    for (fault, failed, warned) in cases {
        let odd = Arc::new(Odd::new(fault));
        let diagnosis = Store::new(odd.clone(), "odd").doctor(&quick()).await.unwrap();
        assert_eq!(names(&diagnosis), STORE_CHECKS, "{fault:?}");
        explained(&diagnosis.findings);
        assert_eq!(with(&diagnosis, Outcome::Failed), failed, "{fault:?}: {diagnosis:#?}");
        assert_eq!(with(&diagnosis, Outcome::Warning), warned, "{fault:?}: {diagnosis:#?}");
        assert_eq!(with(&diagnosis, Outcome::Skipped), ["checkpoint"], "{fault:?}");
        assert_eq!(diagnosis.is_sound(), failed.is_empty());
        let grant = diagnosis.find("list").unwrap().remedy.is_some_and(|r| r.contains("s3:ListBucket"));
        assert_eq!(grant, fault == Fault::ForbidsList, "{fault:?}");
        let stay = matches!(fault, Fault::KeepsDeleted | Fault::RefusesDelete);
        let left = keys(&odd.objects).await;
        assert!(left.is_empty() != stay && left.iter().all(|k| k.starts_with("doctor/")), "{fault:?}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_passes_and_is_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().to_str().unwrap()).unwrap();
    std::fs::create_dir_all(dir.path().join("doctor/anothers")).unwrap();
    let diagnosis = store.doctor(&DoctorOptions::default()).await.unwrap();
    assert_eq!(names(&diagnosis), STORE_CHECKS);
    assert_eq!(with(&diagnosis, Outcome::Skipped), ["update_conditional", "attributes", "checkpoint"]);
    assert_eq!(diagnosis.count(Outcome::Ok), STORE_CHECKS.len() - 3, "{diagnosis:#?}");
    assert_eq!(diagnosis.find("race").unwrap().detail, "32 writers, 20 rounds: one winner in each");
    let left: Vec<_> = walkdir::WalkDir::new(dir.path()).min_depth(1).into_iter().map(|e| e.unwrap()).collect();
    assert_eq!(left.len(), 2, "only what another run left: {left:?}");
    std::fs::remove_dir(dir.path().join("doctor/anothers")).unwrap();
    store.doctor(&quick()).await.unwrap();
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_written_to_is_an_error_and_no_finding() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("gone").to_str().unwrap()).unwrap();
    std::fs::remove_dir(dir.path().join("gone")).unwrap();
    std::fs::write(dir.path().join("gone"), "a file").unwrap();
    assert_eq!(store.doctor(&quick()).await.unwrap_err().kind(), ErrorKind::Io);
    let nobody = Store::open("http://127.0.0.1:9").unwrap();
    assert_eq!(nobody.doctor(&quick()).await.unwrap_err().kind(), ErrorKind::Invalid, "it can only be read");
    let mut options = quick();
    options.public_url = Some("s3://bucket".into());
    let memory = Arc::new(InMemory::new());
    let e = Store::new(memory.clone(), "memory").doctor(&options).await.unwrap_err();
    assert_eq!((e.kind(), keys(&memory).await.len()), (ErrorKind::Invalid, 0), "said before anything is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_in_the_store_is_opened_with_its_public_key() {
    let world = World::without_registry();
    let memory = Arc::new(InMemory::new());
    let store = Store::new(memory.clone(), "memory");
    let found = async |keys: &[ggen_marketplace::VerifierKey]| {
        let mut options = quick();
        options.keys = keys.to_vec();
        let diagnosis = store.doctor(&options).await.unwrap();
        diagnosis.find("checkpoint").unwrap().clone()
    };
    let key = std::slice::from_ref(&world.key);
    assert_eq!(found(key).await.outcome, Outcome::Skipped);
    let mut options = world.options.clone();
    options.now = Timestamp::from_unix(Timestamp::now().unix() - 3 * 86_400);
    world.registry_in(store.clone()).init(&options).await.unwrap();
    let before = keys(&memory).await;
    let quiet = found(key).await;
    assert!(quiet.outcome == Outcome::Warning && quiet.detail.contains("there is no newer one"), "{quiet:?}");
    world.registry_in(store.clone()).refresh(&world.options).await.unwrap();
    let fresh = found(key).await;
    assert!(fresh.outcome == Outcome::Ok && fresh.detail.starts_with("generation 1 holds until"), "{fresh:?}");
    assert_eq!(found(&[]).await.outcome, Outcome::Skipped);
    let other = SigningKey::generate("registry.example.com/other".parse().unwrap()).unwrap();
    let foreign = found(&[other.verifier().clone()]).await;
    assert_eq!((foreign.outcome, foreign.remedy.unwrap().contains("--key")), (Outcome::Failed, true), "{foreign:?}");
    let after = keys(&memory).await;
    assert_eq!(after.len(), before.len() + 1, "the registry's own objects are as they were: {after:?}");
}

#[test]
fn the_manual_has_every_check_and_no_other() {
    let page = include_str!("../../docs/doctor.md");
    let rows: Vec<_> = page.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, [&STORE_CHECKS[..], &PUBLIC_CHECKS].concat());
}

/// A registry with two generations in a folder, examined through a server with that fault.
async fn through(fault: Cached) -> Diagnosis {
    let world = World::without_registry();
    let folder = world.dir.path().join("registry");
    let store = Store::create(folder.to_str().unwrap()).unwrap();
    let registry = world.registry_in(store.clone());
    registry.init(&world.options).await.unwrap();
    let first = std::fs::read(folder.join("checkpoint")).unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    registry.build(&[world.sources()], &world.options).await.unwrap();
    // What they say is no matter of a server.
    std::fs::create_dir(folder.join("gc")).unwrap();
    std::fs::write(folder.join("gc/boundary"), "boundary\n").unwrap();
    std::fs::write(folder.join("mirror.json"), "{}\n").unwrap();
    let cdn = Cdn::serve(&folder, fault, first).await;
    let mut options = quick();
    options.keys = vec![world.key.clone()];
    options.public_url = Some(cdn.url.clone());
    let diagnosis = store.doctor(&options).await.unwrap();
    explained(&diagnosis.findings);
    assert!(!folder.join("doctor").exists());
    diagnosis
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_cdn_is_named_by_the_check_that_is_about_it() {
    let none: &[&str] = &[];
    let mut cases = Vec::new();
    for (fault, failed, warned) in [
        (Cached::None, none, none),
        (Cached::GzipsBlobs, &["public_encoding"], none),
        (Cached::DropsRange, none, &["public_range"]),
        (Cached::WrongRange, &["public_range"], none),
        (Cached::KeepsCheckpoint, &["public_checkpoint_cache"], none),
        (Cached::SaysNothing, &["public_checkpoint_cache"], &["public_blob_cache"]),
        (Cached::Aged, &["public_checkpoint_cache"], none),
        (Cached::OldCheckpoint, none, &["public_checkpoint"]),
        (Cached::LoginPage, &["public_absent"], none),
        (
            Cached::LoginForAll,
            &["public_checkpoint", "public_checkpoint_cache", "public_blob", "public_encoding", "public_absent"],
            &["public_notes"],
        ),
        (Cached::Forbids, &["public_absent"], none),
        (Cached::LongAbsence, &["public_absent_cache"], none),
        (Cached::KeepsAbsence, &["public_absent_cache"], none),
        (Cached::NoEtag, none, none),
        (Cached::OnlyTime, none, &["public_checkpoint_revalidate"]),
        (Cached::EtagOfSize, none, &["public_checkpoint_revalidate"]),
        (Cached::HidesNotes, &["public_notes"], none),
        (Cached::OldNote, none, &["public_notes"]),
        (Cached::TextBlobs, none, &["public_blob_type"]),
        (Cached::BitFlip, &["public_blob", "public_encoding"], none),
        (Cached::PlusIsSpace, none, &["public_plus"]),
    ] {
        cases.push(async move {
            let diagnosis = through(fault).await;
            assert_eq!(names(&diagnosis)[14..27], PUBLIC_CHECKS, "{fault:?}");
            assert_eq!(with(&diagnosis, Outcome::Failed), failed, "{fault:?}: {diagnosis:#?}");
            assert_eq!(with(&diagnosis, Outcome::Warning), warned, "{fault:?}: {diagnosis:#?}");
            diagnosis
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(120), futures::future::join_all(cases)).await.unwrap();
    let detail = |n: usize, check: &str| all[n].find(check).unwrap().detail.clone();
    assert_eq!(detail(0, "public_blob"), "snapshot and archive: the bytes that the links promise");
    assert_eq!(with(&all[0], Outcome::Skipped), ["update_conditional", "attributes"]);
    assert_eq!(detail(1, "public_encoding"), "the snapshot comes with Content-Encoding: gzip");
    assert_eq!(detail(7, "public_checkpoint"), "generation 0: 1 behind the store");
    assert_eq!(detail(11, "public_absent_cache"), "404 with Cache-Control: public, max-age=86400");
    assert_eq!(detail(0, "public_checkpoint_revalidate"), "304, without a body; other bytes have another ETag");
    let size = "two objects of one size, written one after the other, have one ETag";
    assert_eq!(detail(15, "public_checkpoint_revalidate"), size);
    assert_eq!(detail(0, "public_notes"), "gc/boundary, mirror.json: the same as in the store");
    assert_eq!(detail(16, "public_notes"), "gc/boundary: HTTP 404, mirror.json: HTTP 404");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_url_that_nobody_answers_at_is_one_finding() {
    let mut options = quick();
    options.public_url = Some("http://user:hunter2@127.0.0.1:9/registry".into());
    let diagnosis = Store::open("memory:").unwrap().doctor(&options).await.unwrap();
    assert_eq!(with(&diagnosis, Outcome::Failed), ["public_reach"], "{diagnosis:#?}");
    let detail = &diagnosis.find("public_reach").unwrap().detail;
    assert!(detail.contains("http://127.0.0.1:9/registry/checkpoint") && !detail.contains("hunter2"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registry_or_a_key_the_rest_of_the_public_side_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().to_str().unwrap()).unwrap();
    let cdn = Cdn::serve(dir.path(), Cached::None, Vec::new()).await;
    let mut options = quick();
    options.public_url = Some(cdn.url.clone());
    let diagnosis = store.doctor(&options).await.unwrap();
    let ok: Vec<_> = with(&diagnosis, Outcome::Ok).into_iter().filter(|c| c.starts_with("public_")).collect();
    assert_eq!(ok, ["public_reach", "public_absent", "public_absent_cache", "public_plus"], "{diagnosis:#?}");
    assert!(diagnosis.is_sound());
}

/// nginx on this machine, with that in its server block, in front of that folder; `None` where there is no nginx.
struct Nginx {
    child: std::process::Child,
    url: String,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn nginx(dir: &std::path::Path, root: &std::path::Path, server: &str) -> Option<Nginx> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (own, root) = (dir.display(), root.display());
    let user = if std::env::var("USER").is_ok_and(|u| u != "root") { "" } else { "user root;" };
    let conf = format!(
        "daemon off; master_process off; {user} pid {own}/nginx.pid; error_log {own}/error.log;\nevents {{}}\n\
         http {{ access_log off; client_body_temp_path {own}/b; proxy_temp_path {own}/p; fastcgi_temp_path {own}/f;\n\
         uwsgi_temp_path {own}/u; scgi_temp_path {own}/s; default_type application/octet-stream;\n\
         server {{ listen 127.0.0.1:{port}; root {root};\n{server}\n}} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), conf).unwrap();
    let mut command = std::process::Command::new("nginx");
    command.arg("-e").arg(dir.join("error.log")).arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf"));
    let child = match command.stderr(std::process::Stdio::null()).spawn() {
        Ok(child) => child,
        Err(e) => {
            println!("skipped: cannot run nginx: {e}");
            return None;
        }
    };
    let started = Nginx { child, url: format!("http://127.0.0.1:{port}") };
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(started);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nginx does not listen: {}", std::fs::read_to_string(dir.join("error.log")).unwrap_or_default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_nginx_that_compresses_everything_is_found_out_and_a_good_one_passes() {
    let world = World::without_registry();
    let folder = world.dir.path().join("registry");
    let store = Store::create(folder.to_str().unwrap()).unwrap();
    let registry = world.registry_in(store.clone());
    registry.init(&world.options).await.unwrap();
    world.add_crate("alpha", "1.0.0", "a");
    registry.build(&[world.sources()], &world.options).await.unwrap();
    let bad = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any; expires 1h; \
               location / { try_files $uri /checkpoint; }";
    let plain = "gzip on; add_header Cache-Control no-cache;\n\
                location /blobs/ { gzip off; add_header Cache-Control \"public, max-age=31536000, immutable\"; }";
    // Its ETags are made of time and size. Without them, and without a time, it is as good as can be.
    let good = format!("etag off; if_modified_since off; add_header Last-Modified \"\"; {plain}");
    let etag = &["public_checkpoint_revalidate"][..];
    for (server, failed, warned) in [
        (good.as_str(), &[][..], &[][..]),
        (plain, &[][..], etag),
        (
            bad,
            &["public_checkpoint_cache", "public_encoding", "public_absent"],
            &["public_checkpoint_revalidate", "public_blob_cache"],
        ),
    ] {
        let own = tempfile::tempdir().unwrap();
        let Some(nginx) = nginx(own.path(), &folder, server).await else { return };
        let mut options = quick();
        options.keys = vec![world.key.clone()];
        options.public_url = Some(nginx.url.clone());
        let diagnosis = store.doctor(&options).await.unwrap();
        assert_eq!(with(&diagnosis, Outcome::Failed), failed, "{diagnosis:#?}");
        assert_eq!(with(&diagnosis, Outcome::Warning), warned, "{diagnosis:#?}");
    }
}
