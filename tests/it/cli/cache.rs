//! `cache`: where it is, how much it is, and that cleaning it forgets nothing that protects.

use super::Sandbox;
use crate::{support::tarball::Tarball, transport::noise};
use ggen_marketplace::package::Sha256;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

#[test]
fn cleaning_frees_what_can_be_fetched_again_and_keeps_what_is_trusted() {
    let s = Sandbox::published();
    let cache = |what: &str| s.run(&["cache", what, "--cache", "reader", "--json"]).ok().json();
    assert_eq!(s.run(&["cache", "dir", "--cache", "reader"]).ok().out, "reader\n");
    assert_eq!(cache("size")["files"], 0, "nothing there is no error");
    let info = ["info", "hello", "--registry", "registry", "--cache", "reader"];
    s.run(&info).ok();
    let size = cache("size");
    assert_eq!((&size["files"], &size["cleaned"]), (&2.into(), &false.into()), "snapshot and shard: {size}");
    let bytes: u64 = walkdir::WalkDir::new(s.path("reader/blobs"))
        .into_iter()
        .map(|e| e.unwrap().metadata().unwrap())
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len())
        .sum();
    assert_eq!(size["bytes"], bytes);
    assert_eq!(size["parts"][0], serde_json::json!({ "name": "blobs", "files": 2, "bytes": bytes }));
    let text = s.run(&["cache", "size", "--cache", "reader"]).ok().out;
    assert!(text.starts_with("blobs\t2\t") && text.contains("\nall\t2\t"), "{text}");
    s.write("reader/notes.txt", "mine");
    let trusted = || {
        let folder = std::fs::read_dir(s.path("reader/trust")).unwrap().next().unwrap().unwrap().path();
        std::fs::read(folder.join("checkpoint")).unwrap()
    };
    let before = trusted();
    s.run(&["cache", "clean", "--cache", "reader"]).ok().says(&["2 files removed"]);
    assert!(!s.path("reader/blobs").exists());
    assert_eq!((trusted(), s.read("reader/notes.txt")), (before, "mine".into()));
    let clean = cache("clean");
    assert_eq!((&clean["files"], &clean["cleaned"]), (&0.into(), &true.into()));
    // An older state is still known for what it is.
    s.run(&[&info[..], &["--offline"]].concat()).code(4);
    s.run(&info).ok();
    s.run(&["cache", "remove"]).code(2);
}

/// A server that sends the half of an archive, and the rest when it is told to.
struct Slow {
    url: String,
    go: Arc<AtomicBool>,
}

impl Slow {
    fn serve(archive: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/slow.tar.gz", listener.local_addr().unwrap());
        let go = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&go);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (archive, told) = (archive.clone(), Arc::clone(&told));
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4096]);
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", archive.len());
                    let (first, rest) = archive.split_at(archive.len() / 2);
                    let _ = stream.write_all(&[head.as_bytes(), first].concat());
                    while !told.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    let _ = stream.write_all(rest);
                });
            }
        });
        Self { url, go }
    }
}

/// What a killed download leaves in the cache goes with the next one; what another one is still writing does not.
#[test]
fn what_killed_downloads_leave_in_the_cache_is_taken_away() {
    let s = Sandbox::with_registry();
    let archive = Tarball::default().file("slow/a.bin", noise(200_000)).gz();
    let (sha256, size) = (Sha256::of(&archive), archive.len());
    let slow = Slow::serve(archive);
    s.write("packages/list.jsonl", format!(
        r#"{{"kind":"pack","name":"slow","version":"1.0.0","sha256":"{sha256}","size":{size},"format":"tar.gz","download_url":"{}"}}"#,
        slow.url
    ));
    s.a_crate("hello", "1.0.0", "Says hello");
    s.run(&["build", "--source", "packages"]).ok();
    // Files that have not the name of their digest.
    let unfinished = || {
        let files = walkdir::WalkDir::new(s.path("cache/ggen-market/archives")).into_iter().flatten();
        let files = files.filter(|f| f.metadata().is_ok_and(|m| m.is_file() && m.len() > 0));
        let mut files: Vec<_> = files.map(walkdir::DirEntry::into_path).collect();
        files.retain(|f| f.file_name().unwrap().len() != 64);
        files
    };
    let start = |name: &str| s.start(&["install", "slow", "--lock-file", &format!("{name}.lock"), "--into", name]);
    let until = |count: usize| {
        let begun = Instant::now();
        while unfinished().len() != count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?} and not {count}", unfinished());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let (mut killed, running) = (start("killed"), start("running"));
    until(2);
    s.run(&["install", "hello", "--lock-file", "hello.lock", "--into", "hello"]).ok();
    assert_eq!(unfinished().len(), 2, "both are still being written");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(unfinished().len(), 2);
    s.a_crate("hello", "1.1.0", "Says hello");
    s.run(&["build", "--source", "packages"]).ok();
    s.run(&["update", "--lock-file", "hello.lock", "--into", "hello"]).ok();
    assert_eq!(unfinished().len(), 1, "that of the killed one is gone");
    slow.go.store(true, Ordering::Relaxed);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(s.path("running/pack/slow/a.bin").exists());
    assert_eq!(unfinished().len(), 0);
    s.run(&["install", "--frozen", "--lock-file", "running.lock", "--into", "again"]).ok();
}
