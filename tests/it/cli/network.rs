//! A registry behind a web server, and what happens when it does not answer or the user does not wait.

use super::Sandbox;
use crate::support::http::Server;
use ggen_marketplace::{Client, ClientOptions, ErrorKind, MirrorOptions, Store, package::Sha256};
use std::{
    io::{BufRead as _, BufReader},
    process::Child,
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_lookup_is_three_requests_and_a_warm_one_is_one() {
    let s = Sandbox::published();
    let server = Server::serve(&s.path("registry")).await;
    let info = ["info", "hello", "--registry", &server.url, "--cache", "reader"];
    let cold = s.run(&info).ok();
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[0], "GET /checkpoint");
    assert!(asked[1..].iter().all(|a| a.starts_with("GET /blobs/sha256/")), "{asked:?}");
    let warm = s.run(&info).ok();
    assert_eq!(server.asked(), ["GET /checkpoint"]);
    assert_eq!(cold.out, warm.out);
    // Without the network: the same answer, and no question.
    let offline = s.run(&[&info[..], &["--offline"]].concat()).ok();
    assert_eq!((server.asked().len(), &offline.out), (0, &cold.out));
    s.run(&["fetch", "hello", "--registry", &server.url, "--cache", "reader", "--offline"]).code(4);
    s.run(&["fetch", "hello", "--registry", &server.url, "--cache", "reader"]).ok();
    assert_eq!(server.asked().len(), 2);
    let original = std::fs::read(s.path("packages/hello-1.1.0.crate")).unwrap();
    assert_eq!(std::fs::read(s.path("hello-1.1.0.crate")).unwrap(), original);
    s.run(&["verify", "--all", "--registry", &server.url, "--cache", "reader"]).ok();
}

/// What is in the cache is answered from there, and of what is not, it is said; nothing is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn offline_nothing_is_asked_whatever_is_wanted() {
    let s = Sandbox::published();
    s.a_crate("hello", "1.2.0", "Says hello once more");
    s.run(&["build", "--source", "packages"]).ok();
    let server = Server::serve(&s.path("registry")).await;
    let over = |args: &[&str]| s.run(&[args, &["--registry", &server.url, "--cache", "reader"]].concat());
    let offline = |args: &[&str]| {
        let run = over(&[args, &["--offline"]].concat());
        assert_eq!(server.asked(), Vec::<String>::new(), "{args:?}");
        run
    };
    let json = over(&["history", "--json"]).ok().json();
    let snapshot = |i: usize| json["generations"][i]["snapshot"].as_str().unwrap().to_owned();
    let (newest, before, first) = (snapshot(0), snapshot(1), snapshot(2));
    over(&["info", "hello", "--at", &before]).ok();
    over(&["info", "hello"]).ok();
    // A state that is named by its digest is in the cache like anything else.
    std::fs::remove_file(s.path("reader/blobs").join(&first[..2]).join(&first)).unwrap();
    server.asked();
    offline(&["history", "-n", "1"]).ok();
    assert_eq!(offline(&["info", "hello", "--at", &newest, "--json"]).ok().json()["newest"], "1.2.0");
    assert_eq!(offline(&["info", "hello", "--at", &before, "--json"]).ok().json()["newest"], "1.1.0");
    assert_eq!(offline(&["info", "hello", "--at", "2", "--json"]).ok().json()["newest"], "1.2.0");
    offline(&["diff", &before, &newest]).ok();
    for args in [&["info", "hello", "--at", &first][..], &["diff", &first, &newest]] {
        offline(args).code(4).says(&["is not in the cache", "run once without --offline"]);
    }
    // Once would not help there.
    for args in [&["info", "hello", "--at", "1"][..], &["history"], &["diff", "0", "2"]] {
        offline(args).code(4).says(&["log/000000000", "is not in the cache", "ask without --offline"]);
    }
    // One that was damaged is none; and one of the wrong form is refused.
    s.write(&format!("reader/blobs/{}/{before}", &before[..2]), "damaged");
    offline(&["info", "hello", "--at", &before]).code(4).says(&["is not in the cache"]);
    over(&["info", "hello", "--at", &before]).ok();
    server.asked();
    offline(&["info", "hello", "--at", &before]).ok();
    // Nor does a program make a copy by a client that may not ask.
    let mut options = ClientOptions::default();
    options.offline = true;
    let client = Client::new(Store::open(&server.url).unwrap(), &[s.key().parse().unwrap()], options).unwrap();
    let e = client.mirror(&Store::open("memory:").unwrap(), &MirrorOptions::default()).await.unwrap_err();
    assert_eq!((e.kind(), server.asked().len()), (ErrorKind::Unavailable, 0), "{e:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_registry_is_unavailable() {
    let s = Sandbox::published();
    let server = Server::serve(&s.path("packages")).await;
    s.run(&["list", "--registry", &server.url, "--no-cache"])
        .code(4)
        .says(&["there is no registry", "check the address"]);
    // Nobody listens there; and no secret of the address is shown.
    let gone = "http://user:hunter2@127.0.0.1:1/registry";
    let run = s.run(&["list", "--registry", gone, "--no-cache", "-vv"]).code(4).says(&["127.0.0.1:1/registry"]);
    assert!(!run.err.contains("hunter2"), "{}", run.err);
}

/// Waits until the program has said that it runs, which is after it listens to signals.
#[cfg(unix)]
fn running(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("ggen-market") {
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "{line}");
    }
    said
}

#[cfg(unix)]
fn ends(mut child: Child, mut said: impl std::io::Read, signal: &str) -> (Option<i32>, String) {
    std::thread::sleep(Duration::from_millis(100));
    let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status();
    assert!(kill.unwrap().success());
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(unix)]
async fn an_interrupted_run_ends_at_once_and_says_what_is_lost() {
    let s = Sandbox::published();
    let server = Server::silent().await;
    let mut child = s.start(&["list", "--registry", &server.url, "--no-cache", "-vv"]);
    let said = running(&mut child);
    let (code, text) = ends(child, said, "INT");
    assert_eq!((code, text.contains("interrupted")), (Some(130), true), "{text}");

    // A build that waits for another one to let go of the trust state, on a thread that cannot be woken.
    s.a_crate("hello", "2.0.0", "New");
    let folder = s.path("fresh/trust").join(Sha256::of(s.key().as_bytes()).short());
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut child = s.start(&["build", "--source", "packages", "--cache", "fresh", "-vv"]);
    let said = running(&mut child);
    let (code, text) = ends(child, said, "TERM");
    assert_eq!((code, text.contains("nothing is lost")), (Some(143), true), "{text}");
    drop(lock);
    s.run(&["build", "--source", "packages", "--cache", "fresh"])
        .ok()
        .says(&["1 release added, 3 unchanged; generation 2"]);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(unix)]
async fn an_interrupted_doctor_says_what_it_leaves_and_the_next_one_does_not_care() {
    let s = Sandbox::published();
    let server = Server::silent().await;
    let mut child = s.start(&["doctor", "--quick", "--public-url", &server.url, "-vv"]);
    let said = running(&mut child);
    for _ in 0..200 {
        // Everything else was tried by then.
        if s.path("registry/doctor").exists() && !server.asked().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (code, text) = ends(child, said, "INT");
    assert_eq!((code, text.contains("below doctor/ in the store may stay")), (Some(130), true), "{text}");
    assert!(s.path("registry/doctor").exists());
    s.run(&["doctor", "--quick"]).ok();
    s.run(&["verify", "--all"]).ok();
}

/// A server of so many large files, each with another first byte, that makes them up as it goes; and their digests.
#[cfg(target_os = "linux")]
fn large(size: usize, count: u8) -> (String, Vec<Sha256>) {
    use std::io::Write as _;
    let noise: std::sync::Arc<[u8]> = crate::transport::noise(1 << 20).into_bytes().into();
    let pieces = move |number: u8| {
        let noise = std::sync::Arc::clone(&noise);
        let first = [&[number], &noise[1..]].concat();
        std::iter::once(first).chain((1..size / noise.len()).map(move |_| noise.to_vec()))
    };
    let digest = |number| {
        let mut hasher = ggen_marketplace::package::Sha256Hasher::default();
        pieces(number).for_each(|piece| hasher.update(&piece));
        hasher.finish()
    };
    let digests = (0..count).map(digest).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move |mut stream: std::net::TcpStream| {
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> = lines.map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
        // `GET /7 HTTP/1.1`
        let number = head[0].split(['/', ' ']).nth(2).and_then(|n| n.parse().ok()).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        let sent = stream.write_all(head.as_bytes());
        // Who has enough hangs up.
        let _ = pieces(number).fold(sent, |sent, piece| sent.and_then(|()| stream.write_all(&piece)));
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    (url, digests)
}

/// Runs the program where it may have so much memory besides the stacks of its threads.
#[cfg(target_os = "linux")]
fn within(s: &Sandbox, kib: u64, args: &[&str]) -> std::process::Output {
    let inner = s.command(args);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("ulimit -d {kib} && exec \"$@\""), "sh"]);
    shell.arg(inner.get_program()).args(inner.get_args()).current_dir(s.dir.path()).env_clear();
    shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.output().unwrap()
}

/// What is held does not grow with what comes: 256 MiB in a process that may have 64 MiB besides the stacks of its threads.
#[cfg(target_os = "linux")]
#[test]
fn a_large_download_takes_little_memory() {
    const SIZE: usize = 256 << 20;
    let mut s = Sandbox::with_registry();
    s.set("GGEN_MARKET_THREADS", "2");
    let (url, digests) = large(SIZE, 1);
    let sha256 = digests[0];
    let line =
        format!(r#"{{"name":"large","version":"1.0.0","sha256":"{sha256}","size":{SIZE},"download_url":"{url}/0"}}"#);
    s.write("packages/list.jsonl", line);
    s.run(&["build", "--source", "packages"]).ok();
    let within = |kib| within(&s, kib, &["fetch", "large", "-o", "out", "--force"]);
    let run = within(64 << 10);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(std::fs::metadata(s.path("out")).unwrap().len(), SIZE as u64);
    assert!(!within(2 << 10).status.success(), "the bound holds");
}

/// As it does not with how many come at once: 512 MiB in 16 archives.
#[cfg(target_os = "linux")]
#[test]
fn many_large_downloads_at_once_take_little_memory() {
    const SIZE: usize = 32 << 20;
    let mut s = Sandbox::with_registry();
    s.set("GGEN_MARKET_THREADS", "2");
    let (url, digests) = large(SIZE, 16);
    let mut lock = "[market]\nversion = 1\nregistry = \"registry.example.com/ggen\"\n".to_owned();
    for (i, sha256) in digests.iter().enumerate() {
        lock += &format!(
            "\n[[market.package]]\nkind = \"pack\"\nname = \"p{i}\"\nversion = \"1.0.0\"\nregistry = \"registry.example.com/ggen\"\n\
             generation = 1\nformat = \"tar.gz\"\nurl = \"{url}/{i}\"\nsha256 = \"{sha256}\"\nsize = {SIZE}\n"
        );
    }
    s.write("ggen.lock", lock);
    let run = within(&s, 128 << 10, &["download", "--all-of", "ggen.lock", "-o", "out"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(std::fs::read_dir(s.path("out")).unwrap().count(), 16);
}
