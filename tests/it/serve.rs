//! The small server of static files, asked by hand: no library puts a path right. And by a client, and by curl.

use super::{cli::Sandbox, support::second_reader};
use ggen_marketplace::{Client, ClientOptions, FileServer, ServeOptions, Store};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

const FOREVER: &str = "public, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";

/// A running server; it stops when it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<()>,
}

pub(crate) async fn start(s: &Sandbox, change: impl FnOnce(&mut ServeOptions)) -> Running {
    let mut options = ServeOptions::default();
    change(&mut options);
    let server = FileServer::bind(&s.path("registry"), options).await.unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async { stopped.await.unwrap_or(()) }));
    Running { address, stop: Some(stop), ended }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let first = found.next().map(|(_, v)| v.as_str());
        assert!(found.next().is_none(), "{name} twice: {:?}", self.headers);
        first
    }
}

/// Asks word for word.
fn ask(to: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let more: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |l: &str| l.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    Answer { status, headers: lines.filter_map(header).collect(), body: bytes[end + 4..].to_vec() }
}

/// The status of a checkpoint, over a connection that may have to wait for its turn.
fn ask_once(to: SocketAddr) -> u16 {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(b"GET /checkpoint HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    std::str::from_utf8(&text[9..12]).unwrap().parse().unwrap()
}

fn blobs(s: &Sandbox) -> Vec<String> {
    let all = std::fs::read_dir(s.path("registry/blobs/sha256")).unwrap();
    all.map(|e| format!("/blobs/sha256/{}", e.unwrap().file_name().to_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_served_as_what_it_is_and_under_a_tag_of_its_content() {
    let s = Sandbox::published();
    let server = start(&s, |_| {}).await;
    let mut paths = blobs(&s);
    assert!(paths.len() > 5);
    let pointers = ["gc/boundary", "mirror.json"];
    pointers.iter().for_each(|key| s.write(&format!("registry/{key}"), format!("what {key} holds\n")));
    paths.extend(["/log/0000000000", "/log/0000000001", "/checkpoint", "/gc/boundary", "/mirror.json"].map(Into::into));
    for path in &paths {
        let stored = std::fs::read(s.path(&format!("registry{path}"))).unwrap();
        // Also where the reader would take it compressed: what is hashed or signed is not touched.
        for headers in [&[][..], &["Accept-Encoding: gzip, br, zstd"]] {
            let answer = ask(server.address, "GET", path, headers);
            assert_eq!((answer.status, &answer.body), (200, &stored), "{path}");
            assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None), "{path}");
            assert_eq!(answer.header("content-length"), Some(stored.len().to_string().as_str()), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            let tag = format!("\"{}\"", second_reader::hex(&stored));
            assert_eq!(answer.header("etag"), Some(tag.as_str()), "{path}");
            let (kind, cache) = match path {
                p if p.starts_with("/blobs/") => ("application/octet-stream", FOREVER),
                p if p.starts_with("/log/") => (TEXT, FOREVER),
                _ => (TEXT, "no-cache"),
            };
            assert_eq!((answer.header("content-type"), answer.header("cache-control")), (Some(kind), Some(cache)));
        }
        let head = ask(server.address, "HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(stored.len().to_string().as_str()), "{path}");
        let tag = format!("If-None-Match: \"other\", W/\"{}\"", second_reader::hex(&stored));
        let same = ask(server.address, "GET", path, &[&tag]);
        assert_eq!((same.status, same.body.len(), same.header("content-length")), (304, 0, None), "{path}");
        assert!(same.header("etag").is_some() && same.header("cache-control").is_some(), "{path}");
        assert_eq!(ask(server.address, "GET", path, &["If-Match: \"other\""]).status, 412, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_parts_of_the_stored_bytes() {
    let s = Sandbox::published();
    s.write("registry/index.json", "{\"a\":1}\n".repeat(100));
    let server = start(&s, |_| {}).await;
    for path in [blobs(&s).remove(0), "/checkpoint".into(), "/index.json".into()] {
        let whole = std::fs::read(s.path(&format!("registry{path}"))).unwrap();
        let size = whole.len();
        let tag = format!("If-Range: \"{}\"", second_reader::hex(&whole));
        for (range, want) in
            [("3-9", 3..10), ("5-", 5..size), ("-4", size - 4..size), ("0-0", 0..1), ("0-99999999", 0..size)]
        {
            let range = format!("Range: bytes={range}");
            for more in ["Accept-Encoding: gzip", tag.as_str()] {
                let part = ask(server.address, "GET", &path, &[&range, more]);
                assert_eq!((part.status, part.header("content-encoding")), (206, None), "{range} {more}");
                let shown = format!("bytes {}-{}/{size}", want.start, want.end - 1);
                assert_eq!(part.header("content-range"), Some(shown.as_str()), "{range}");
                assert_eq!(part.body, whole[want.clone()], "{range}");
            }
            let other = ask(server.address, "GET", &path, &[&range, "If-Range: \"other\""]);
            assert_eq!((other.status, &other.body), (200, &whole), "{range}");
        }
        for range in ["0-1,4-5", "9-3", "x-y"] {
            let answer = ask(server.address, "GET", &path, &[&format!("Range: bytes={range}")]);
            assert_eq!((answer.status, &answer.body), (200, &whole), "{range}");
        }
        for range in [format!("{size}-"), "-0".into(), "99999999999999999999999-".into()] {
            let beyond = ask(server.address, "GET", &path, &[&format!("Range: bytes={range}")]);
            assert_eq!((beyond.status, beyond.header("cache-control")), (416, Some("no-store")), "{range}");
            assert_eq!(beyond.header("content-range"), Some(format!("bytes */{size}").as_str()), "{range}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_views_is_compressed_for_those_who_ask_under_a_tag_of_its_own() {
    let s = Sandbox::published();
    let text = "{\"a line\":1}\n".repeat(200);
    for (file, url, kind) in [
        ("index.html", "/", "text/html; charset=utf-8"),
        ("p/pack/a.html", "/p/pack/a.html", "text/html; charset=utf-8"),
        ("feed.atom", "/feed.atom", "application/atom+xml"),
        ("index.json", "/index.json", "application/json"),
        ("index/he/ll/hello", "/index/he/ll/hello", TEXT),
        ("packages/a/versions/1.0.0+b", "/packages/a/versions/1.0.0+b", "application/json"),
    ] {
        s.write(&format!("registry/{file}"), &text);
        let server = start(&s, |_| {}).await;
        let plain = ask(server.address, "GET", url, &[]);
        assert_eq!(
            (plain.header("content-type"), plain.header("vary")),
            (Some(kind), Some("Accept-Encoding")),
            "{url}"
        );
        assert_eq!((plain.body.as_slice(), plain.header("content-encoding")), (text.as_bytes(), None), "{url}");
        let gzip = ["Accept-Encoding: gzip"];
        let packed = ask(server.address, "GET", url, &gzip);
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), (Some("gzip"), Some("Accept-Encoding")));
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, text, "{url}");
        assert_eq!(packed.header("content-length"), Some(packed.body.len().to_string().as_str()), "{url}");
        let (plain, packed) = (plain.header("etag").unwrap().to_owned(), packed.header("etag").unwrap().to_owned());
        assert_ne!(plain, packed, "{url}");
        let asks = |tag: &str, more: &[&str]| {
            let tag = format!("If-None-Match: {tag}");
            ask(server.address, "GET", url, &[&[tag.as_str()], more].concat()).status
        };
        assert_eq!((asks(&plain, &[]), asks(&packed, &gzip)), (304, 304), "{url}");
        assert_eq!(
            (asks(&packed, &[]), asks(&plain, &gzip)),
            (200, 200),
            "{url}: another encoding is not the same bytes"
        );
        let (head, get) = (ask(server.address, "HEAD", url, &gzip), ask(server.address, "GET", url, &gzip));
        let sorted = |answer: &Answer| answer.headers.iter().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(sorted(&head), sorted(&get), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_written_and_nothing_else_can_be_read() {
    let s = Sandbox::published();
    let blob = blobs(&s).remove(0);
    for path in [
        "gc/other",
        "trash/x",
        "views/cargo",
        "doctor/x/y",
        "notes.txt",
        ".hidden",
        "index/.hidden",
        "checkpoint#1",
        "log/x",
    ] {
        s.write(&format!("registry/{path}"), "private");
    }
    s.write("outside", "private");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        std::fs::create_dir_all(s.path("registry/p")).unwrap();
        symlink(s.path("outside"), s.path("registry/index/link")).unwrap();
        symlink(s.path("."), s.path("registry/p/folder")).unwrap();
        symlink(s.path("outside"), s.path(&format!("registry/blobs/sha256/{}", "0".repeat(64)))).unwrap();
        let pipe = Command::new("mkfifo").arg(s.path("registry/index/pipe")).status();
        assert!(pipe.unwrap().success());
    }
    let server = start(&s, |_| {}).await;
    for method in ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        let answer = ask(server.address, method, "/checkpoint", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let zeros = format!("/blobs/sha256/{}", "0".repeat(64));
    let more = [format!("{blob}%231"), format!("{blob}/"), format!("{blob}/../../../notes.txt"), zeros];
    for path in [
        "/gc/other",
        "/gc/",
        "/trash/x",
        "/views/cargo",
        "/doctor/x/y",
        "/notes.txt",
        "/.hidden",
        "/index/.hidden",
        "/index/%2ehidden",
        "/checkpoint%231",
        "/log/x",
        "/log/",
        "/blobs/sha256/",
        "/checkpoint/",
        "//gc/other",
        "/index/../gc/other",
        "/index/%2e%2e/gc/other",
        "/../ggen-market.key",
        "/index/..%2f..%2fggen-market.key",
        "/index/..%5c..%5cggen-market.key",
        "/p/%2e%2e/%2e%2e/ggen-market.toml",
        "/index/%00",
        "/index/%",
        "/index/link",
        "/index/pipe",
        "/index",
        "/p/folder/outside",
        "/p/folder/",
    ]
    .into_iter()
    .chain(more.iter().map(String::as_str))
    {
        let answer = ask(server.address, "GET", path, &[]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.body.windows(7).any(|w| w == b"private"), "{path}");
        assert_ne!(answer.header("cache-control"), Some(FOREVER), "{path}");
    }
    // What is no HTTP is not answered, and does no harm.
    for garbage in ["\0\0\0\r\n\r\n", "GET\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000))] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.write_all(garbage.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(!bytes.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(ask(server.address, "GET", "/checkpoint?any=query", &[]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_silent_ones_are_closed() {
    let s = Sandbox::published();
    let large = vec![7u8; 40 << 20];
    let name = second_reader::hex(&large);
    s.write(&format!("registry/blobs/sha256/{name}"), &large);
    let server = start(&s, |o| (o.connections, o.idle) = (2, Duration::from_millis(400))).await;
    // One never finishes its request, the other never takes its answer.
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all(b"GET /checkpoint HT").unwrap();
    let mut full = TcpStream::connect(server.address).unwrap();
    write!(full, "GET /blobs/sha256/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    assert_eq!(ask(server.address, "GET", "/checkpoint", &[]).status, 200);
    assert!(began.elapsed() > Duration::from_millis(100), "there was no room: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    std::thread::sleep(Duration::from_secs(1));
    let mut rest = Vec::new();
    let _ = full.read_to_end(&mut rest);
    assert!(rest.len() < large.len(), "the answer that nobody took was broken off");
}

/// Whatever it is that nobody takes: many short answers, or one that was compressed in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_and_never_reads_is_let_go() {
    let s = Sandbox::published();
    // Hardly compresses, so that the answer is larger than what the system keeps for a connection.
    let text = crate::transport::noise(8 << 20);
    s.write("registry/index.json", &text);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    for (what, times) in [("/nothing", 500_000), ("/checkpoint", 500_000), ("/index.json", 1)] {
        let server = start(&s, |o| (o.connections, o.idle) = (1, Duration::from_millis(400))).await;
        let mut greedy = TcpStream::connect(server.address).unwrap();
        greedy.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let lot = ask(what).repeat(times.min(1000));
        for _ in 0..times.div_ceil(1000) {
            if greedy.write_all(lot.as_bytes()).is_err() {
                break;
            }
        }
        let next = tokio::task::spawn_blocking(move || ask_once(server.address));
        let next = tokio::time::timeout(Duration::from_secs(10), next).await;
        assert_eq!(next.expect("there is room again").unwrap(), 200, "{what}");
        drop(greedy);
    }
}

/// As is one that asks for nothing: from the beginning, or any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_nothing_is_let_go() {
    let s = Sandbox::published();
    let server = start(&s, |o| o.idle = Duration::from_millis(400)).await;
    for asks in ["", "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut silent = TcpStream::connect(server.address).unwrap();
        silent.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        silent.write_all(asks.as_bytes()).unwrap();
        let mut answers = Vec::new();
        silent.read_to_end(&mut answers).expect("the server closes it");
        assert_eq!(answers.starts_with(b"HTTP/1.1 404"), !asks.is_empty());
    }
}

/// One that takes its time, and takes, is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let s = Sandbox::published();
    let large = vec![7u8; 16 << 20];
    let name = second_reader::hex(&large);
    s.write(&format!("registry/blobs/sha256/{name}"), &large);
    let server = start(&s, |o| o.idle = Duration::from_millis(500)).await;
    let mut slow = TcpStream::connect(server.address).unwrap();
    write!(slow, "GET /blobs/sha256/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut got = 0;
    let mut piece = vec![0; 1 << 20];
    let began = Instant::now();
    loop {
        let read = slow.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        got += read;
        if got < 12 << 20 {
            std::thread::sleep(Duration::from_millis(100) * u32::try_from(read).unwrap() / (1 << 20));
        }
    }
    assert!(got > large.len(), "{got} of {} bytes", large.len());
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_under_way_is_finished_before_the_end() {
    let s = Sandbox::published();
    let large = vec![7u8; 40 << 20];
    let name = second_reader::hex(&large);
    s.write(&format!("registry/blobs/sha256/{name}"), &large);
    let mut server = start(&s, |_| {}).await;
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET /blobs/sha256/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(TcpStream::connect(server.address).is_err(), "nobody new is let in");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&large[..1 << 20]) && rest.len() > large.len() - 1000);
    tokio::time::timeout(Duration::from_secs(5), &mut server.ended).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_through_it_what_is_published_meanwhile() {
    let s = Sandbox::published();
    let server = start(&s, |_| {}).await;
    let url = format!("http://{}", server.address);
    let mut options = ClientOptions::default();
    options.freshness = Duration::ZERO;
    let client = Client::new(Store::open(&url).unwrap(), &[s.key().parse().unwrap()], options).unwrap();
    assert_eq!(client.latest().await.unwrap().generation(), 1);
    for generation in 2..5 {
        s.a_crate("hello", &format!("1.{generation}.0"), "Says hello to everybody");
        s.run(&["build", "--source", "packages"]).ok();
        assert_eq!(client.latest().await.unwrap().generation(), generation);
    }
    s.run(&["verify", "--all", "--registry", &url, "--cache", "reader"]).ok().says(&["generation 4 is whole"]);
}

/// The verb: one line with the address, then it serves until it is told to stop.
#[test]
#[cfg(unix)]
fn the_verb_prints_its_address_and_ends_well_when_told_to() {
    let s = Sandbox::published();
    for (args, signal) in
        [(&["serve", "--port", "0"][..], "TERM"), (&["serve", "registry", "--port=0", "--json"], "INT")]
    {
        let mut child = s.start(args);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(document) => document["url"].as_str().unwrap().to_owned(),
            Err(_) => line.trim_end().to_owned(),
        };
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        s.run(&["info", "hello", "--registry", &url, "--cache", "reader"]).ok();
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{signal}");
    }
    s.run(&["serve", "nowhere", "--port", "0"]).code(1).says(&["nowhere"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    s.run(&["serve", "--port", &port]).code(1).says(&["cannot listen on 127.0.0.1", "another port"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_agrees() {
    if !Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        println!("skipped: there is no curl on this machine");
        return;
    }
    let s = Sandbox::published();
    s.write("registry/index.json", "{\"a\":1}\n".repeat(1000));
    let server = start(&s, |_| {}).await;
    let curl = |args: &[&str], path: &str| {
        let url = format!("http://{}{path}", server.address);
        let output = Command::new("curl").args(["-sS", "--max-time", "10"]).args(args).arg(&url).output().unwrap();
        (output.status.code(), output.stdout)
    };
    let blob = blobs(&s).remove(0);
    let whole = std::fs::read(s.path(&format!("registry{blob}"))).unwrap();
    assert_eq!(curl(&["-f"], &blob), (Some(0), whole.clone()));
    assert_eq!(curl(&["-f", "-r", "2-5"], &blob), (Some(0), whole[2..6].to_vec()));
    let text = std::fs::read(s.path("registry/index.json")).unwrap();
    assert_eq!(curl(&["-f", "--compressed"], "/index.json"), (Some(0), text));
    // A download that was cut short goes on where it stopped.
    s.write("half", &whole[..10]);
    let half = s.path("half");
    assert_eq!(curl(&["-f", "-C", "-", "-o", half.to_str().unwrap()], &blob).0, Some(0));
    assert_eq!(std::fs::read(half).unwrap(), whole);
    let tags = s.path("tags");
    let tags = tags.to_str().unwrap();
    assert_eq!(curl(&["-f", "--etag-save", tags], "/checkpoint").0, Some(0));
    let again = curl(&["-f", "--etag-compare", tags, "-w", "%{http_code}"], "/checkpoint");
    assert_eq!(String::from_utf8(again.1).unwrap(), "304");
    assert_eq!(curl(&["-f"], "/nothing").0, Some(22));
}
