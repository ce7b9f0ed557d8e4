//! A real nginx, run by the template as it is written out, asked by hand.

use crate::cli::Sandbox;
use ggen_marketplace::{Client, ClientOptions, Store};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const FOREVER: &str = "public, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";

/// The program, where there is one.
pub(crate) fn program() -> Option<&'static str> {
    let there = |p: &&str| Command::new(p).arg("-v").stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    let found = ["nginx", "/usr/sbin/nginx"].into_iter().find(there);
    if found.is_none() {
        println!("skipped: there is no nginx on this machine");
    }
    found
}

/// nginx over the registry of a sandbox, until it is dropped.
pub(crate) struct Nginx {
    process: Child,
    port: u16,
    pub(crate) url: String,
}

/// What was answered.
struct Answer {
    status: u16,
    /// Names in lower case.
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

impl Nginx {
    /// Writes the template for a free port of this machine and for that path, and runs it.
    pub(crate) fn start(program: &str, s: &mut Sandbox, path: &str) -> Self {
        Self::start_with(program, s, path, &|_| {})
    }

    /// The same, with what somebody changed in what was written.
    pub(crate) fn start_with(program: &str, s: &mut Sandbox, path: &str, change: &dyn Fn(&Sandbox)) -> Self {
        // Workers of one who runs this as root are somebody else: they have to be let in, as on any server.
        #[cfg(unix)]
        std::fs::set_permissions(s.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // Another program may take the port between the two.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let url = format!("http://127.0.0.1:{port}{path}");
            s.set("GGEN_MARKET_REGISTRY", &url);
            s.run(&["init", "--template", "nginx", "--force"]).ok();
            s.set("GGEN_MARKET_REGISTRY", "");
            change(s);
            let nginx = |more: &[&str]| {
                let mut command = Command::new(program);
                command.args(["-e", "stderr", "-p", "deploy/nginx", "-c", "nginx.conf"]).args(more);
                command.current_dir(s.path(".")).stdin(Stdio::null()).stderr(Stdio::piped());
                command
            };
            let tested = nginx(&["-t"]).output().unwrap();
            let said = String::from_utf8(tested.stderr).unwrap();
            assert!(tested.status.success() && !said.contains("[warn]"), "{said}");
            let process = nginx(&["-g", "daemon off;"]).spawn().unwrap();
            let mut nginx = Self { process, port, url };
            if nginx.answers() {
                return nginx;
            }
        }
        panic!("nginx did not start");
    }

    fn answers(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) && self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Asks word for word: no library puts a path right.
    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut more: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        more += if matches!(method, "GET" | "HEAD") { "\r\n" } else { "Content-Length: 3\r\n\r\nnew" };
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |l: &str| l.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
        Answer { status, headers: lines.filter_map(header).collect(), body: bytes[end + 4..].to_vec() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Told to end, it ends its workers too; killed, it would leave them behind.
        let told = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.process.id())).status();
        if !told.is_ok_and(|s| s.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// The keys of a folder's blobs.
fn blobs(s: &Sandbox) -> Vec<String> {
    let all = std::fs::read_dir(s.path("registry/blobs/sha256")).unwrap();
    all.map(|e| format!("/blobs/sha256/{}", e.unwrap().file_name().to_str().unwrap())).collect()
}

#[test]
fn every_object_is_served_as_what_it_is() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let nginx = Nginx::start(program, &mut s, "");
    let mut paths = blobs(&s);
    assert!(paths.len() > 5);
    let pointers = ["gc/boundary", "mirror.json"];
    pointers.iter().for_each(|key| s.write(&format!("registry/{key}"), format!("what {key} holds\n")));
    paths.extend(["/log/0000000000", "/log/0000000001", "/checkpoint", "/gc/boundary", "/mirror.json"].map(Into::into));
    for path in paths {
        // Also where the reader would take it compressed: what is hashed is not touched.
        for answer in [nginx.get(&path), nginx.ask("GET", &path, &["Accept-Encoding: gzip, br, zstd"])] {
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.body, std::fs::read(s.path(&format!("registry{path}"))).unwrap(), "{path}");
            assert_eq!(answer.header("content-encoding"), None, "{path}");
            assert_eq!(answer.header("vary"), None, "{path}");
            assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            let (kind, cache) = match &path {
                p if p.starts_with("/blobs/") => ("application/octet-stream", FOREVER),
                p if p.starts_with("/log/") => (TEXT, FOREVER),
                _ => (TEXT, "no-cache"),
            };
            // By a time and a size, what is replaced twice within a second would pass for the one before.
            assert_eq!(answer.header("etag").is_some(), cache == FOREVER, "{path}");
            assert_eq!(answer.header("content-type"), Some(kind), "{path}");
            assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        }
        let head = nginx.ask("HEAD", &path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_ne!(head.header("content-length"), Some("0"), "{path}");
    }
    let all = ["verify", "--all", "--registry", &nginx.url, "--cache", "reader"];
    s.run(&all).ok().says(&["generation 1 is whole"]);
}

#[test]
fn parts_and_what_is_known_already_are_not_sent_in_whole() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let nginx = Nginx::start(program, &mut s, "");
    let path = blobs(&s).remove(0);
    let whole = nginx.get(&path);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let size = whole.body.len();
    for (range, want) in [("3-9", 3..10), ("5-", 5..size), ("-4", size - 4..size)] {
        let part = nginx.ask("GET", &path, &[&format!("Range: bytes={range}"), "Accept-Encoding: gzip"]);
        assert_eq!((part.status, part.header("cache-control")), (206, Some(FOREVER)), "{range}");
        let shown = format!("bytes {}-{}/{size}", want.start, want.end - 1);
        assert_eq!(part.header("content-range"), Some(shown.as_str()), "{range}");
        assert_eq!(part.body, whole.body[want], "{range}");
    }
    // (nginx puts the lifetime of the whole on this answer. It is true for as long: the size never changes.)
    let beyond = nginx.ask("GET", &path, &[&format!("Range: bytes={size}-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    for path in [path.as_str(), "/log/0000000001"] {
        let tag = nginx.get(path).header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"'), "a strong one: {tag}");
        let same = nginx.ask("GET", path, &[&format!("If-None-Match: {tag}")]);
        assert_eq!((same.status, same.body.len(), same.header("cache-control")), (304, 0, Some(FOREVER)), "{path}");
        assert_eq!(nginx.ask("GET", path, &["If-None-Match: \"other\""]).status, 200, "{path}");
    }
    // Whole seconds and a size tell nothing about a checkpoint: it is always sent, and nobody can ask by its time or tag.
    let checkpoint = nginx.get("/checkpoint");
    assert_eq!((checkpoint.header("etag"), checkpoint.header("last-modified")), (None, None));
    let since = nginx.ask("GET", "/checkpoint", &["If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"]);
    assert_eq!((since.status, since.body), (200, checkpoint.body));
}

#[test]
fn that_something_is_absent_is_kept_by_nobody() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let nginx = Nginx::start(program, &mut s, "");
    let absent = format!("/blobs/sha256/{}", "0".repeat(64));
    for path in [absent.as_str(), "/log/0000000002", "/index/he/ll/hello", "/p/hello/", "/", "/nothing"] {
        let answer = nginx.get(path);
        assert_eq!((answer.status, answer.header("cache-control")), (404, Some("no-store")), "{path}");
        assert_eq!((answer.header("etag"), answer.header("expires")), (None, None), "{path}");
    }
    // The slot that was absent is there as soon as it is written.
    s.a_crate("hello", "2.0.0", "Says hello again");
    s.run(&["build", "--source", "packages"]).ok();
    assert_eq!(nginx.get("/log/0000000002").status, 200);
}

/// A program that looks again and again asks with the tag of what it has: two publishes within one second must not look
/// like one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_read_at_once_also_twice_within_one_second() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let nginx = Nginx::start(program, &mut s, "");
    let mut options = ClientOptions::default();
    options.freshness = Duration::ZERO;
    let client = Client::new(Store::open(&nginx.url).unwrap(), &[s.key().parse().unwrap()], options).unwrap();
    assert_eq!(client.latest().await.unwrap().generation(), 1);
    for generation in 2..10 {
        s.a_crate("hello", &format!("1.{generation}.0"), "Says hello to everybody");
        s.run(&["build", "--source", "packages"]).ok();
        let began = Instant::now();
        assert_eq!(client.latest().await.unwrap().generation(), generation);
        // Sooner than what the cache remembers of absences, however busy the machine: a second is a matter of `docs/performance.md`.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    let info = ["info", "hello", "--json", "--registry", &nginx.url, "--cache", "reader"];
    assert_eq!(s.run(&info).ok().json()["newest"], "1.9.0");
}

#[test]
fn nothing_can_be_written_and_nothing_else_can_be_read() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let blob = blobs(&s).remove(0);
    for path in [
        "gc/other",
        "trash/x",
        "doctor/x/y",
        "views/cargo",
        "notes.txt",
        ".hidden",
        "checkpoint#1",
        "log/0000000002#1",
        "log/x",
    ] {
        s.write(&format!("registry/{path}"), "private");
    }
    s.write(&format!("registry{blob}#1"), "half of it");
    let nginx = Nginx::start(program, &mut s, "");
    for method in ["PUT", "POST", "DELETE", "PATCH", "MKCOL", "OPTIONS", "PROPFIND"] {
        for path in ["/checkpoint", "/log/0000000002", &blob, "/new"] {
            let answer = nginx.ask(method, path, &[]);
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        }
    }
    let more = [format!("{blob}%231"), format!("{blob}/"), blob.to_uppercase(), format!("{blob}/../../../notes.txt")];
    for path in [
        "/gc/other",
        "/gc/",
        "/gc/boundary/",
        "/views/cargo",
        "/trash/x",
        "/doctor/x/y",
        "/notes.txt",
        "/.hidden",
        "/checkpoint%231",
        "/log/0000000002%231",
        "/log/x",
        "/log/",
        "/log",
        "/blobs/",
        "/blobs/sha256/",
        "/checkpoint/",
        "//gc/other",
        "/index/../gc/other",
        "/index/%2e%2e/gc/other",
        "/../ggen-market.key",
        "/blobs/sha256/../../../ggen-market.key",
        "/index/..%2f..%2fggen-market.key",
        "/p/%2e%2e/%2e%2e/ggen-market.toml",
        "/assets/../../ggen-market.toml",
        "/index/..%5c..%5cggen-market.key",
        "/index/%00",
    ]
    .into_iter()
    .chain(more.iter().map(String::as_str))
    {
        let answer = nginx.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert_ne!(answer.header("cache-control"), Some(FOREVER), "{path}");
    }
    assert_eq!(s.read("registry/gc/other"), "private");
    assert!(!s.path("registry/new").exists() && !s.path("registry/log/0000000002").exists());
}

/// Views are for browsers, curl and cargo: compressed, short-lived, and never of a type that a package's name chose.
#[test]
fn views_are_compressed_and_revalidated() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let text = "{\"a line\":1}\n".repeat(200);
    let views = [
        ("index/he/ll/hello", "/index/he/ll/hello", TEXT),
        ("index/ev/il/evil.html", "/index/ev/il/evil.html", TEXT),
        ("cargo/config.json", "/cargo/config.json", TEXT),
        ("packages/hello/versions/1.0.0+b", "/packages/hello/versions/1.0.0+b", "application/json"),
        ("packages/x.html", "/packages/x.html", "application/json"),
        ("index.json", "/index.json", "application/json"),
        ("index.html", "/", "text/html; charset=utf-8"),
        ("index.html", "/index.html", "text/html; charset=utf-8"),
        ("404.html", "/404.html", "text/html; charset=utf-8"),
        ("p/pack/hello.html", "/p/pack/hello.html", "text/html; charset=utf-8"),
        ("p/pack/hello.atom", "/p/pack/hello.atom", "application/atom+xml"),
        ("c/json.2.html", "/c/json.2.html", "text/html; charset=utf-8"),
        ("search/n-he.json", "/search/n-he.json", "application/json"),
        ("sitemap.xml", "/sitemap.xml", "application/xml"),
        ("sitemap-0f.xml", "/sitemap-0f.xml", "application/xml"),
        ("robots.txt", "/robots.txt", TEXT),
        ("assets/a.css", "/assets/a.css", "text/css; charset=utf-8"),
        ("assets/a.js", "/assets/a.js", "text/javascript; charset=utf-8"),
        ("assets/a.bin", "/assets/a.bin", "application/octet-stream"),
    ];
    for (path, _, _) in views {
        s.write(&format!("registry/{path}"), &text);
    }
    let nginx = Nginx::start(program, &mut s, "");
    for (_, url, kind) in views {
        let plain = nginx.get(url);
        assert_eq!((plain.status, plain.header("content-type")), (200, Some(kind)), "{url}");
        assert_eq!(plain.body, text.as_bytes(), "{url}");
        assert_eq!(plain.header("cache-control"), Some("no-cache"), "{url}");
        assert_eq!(plain.header("x-content-type-options"), Some("nosniff"), "{url}");
        let packed = nginx.ask("GET", url, &["Accept-Encoding: gzip"]);
        let wanted = (!url.ends_with(".bin")).then_some("gzip");
        assert_eq!(packed.header("content-encoding"), wanted, "{url}");
        let tag = packed.header("etag").unwrap();
        let again = nginx.ask("GET", url, &["Accept-Encoding: gzip", &format!("If-None-Match: {tag}")]);
        assert_eq!((again.status, again.header("cache-control")), (304, Some("no-cache")), "{url}");
    }
}

#[test]
fn a_registry_may_stand_below_a_path() {
    let Some(program) = program() else { return };
    let mut s = Sandbox::published();
    let nginx = Nginx::start(program, &mut s, "/some.path/ggen");
    s.run(&["verify", "--all", "--registry", &nginx.url, "--cache", "reader"]).ok();
    assert_eq!(nginx.get("/some.path/ggen/log/0000000001").header("cache-control"), Some(FOREVER));
    assert_eq!(nginx.get("/some-path/ggen/checkpoint").status, 404);
    assert_eq!(nginx.get("/some.path/ggen/../../../ggen-market.toml").status, 400);
}
