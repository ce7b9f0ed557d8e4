//! Behind a real nginx that keeps for a minute that something was not there.

use super::Published;
use crate::support::{second_reader, tarball::Tarball};
use ggen_marketplace::Store;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // Told to end, it ends its workers too; killed, it would leave them behind.
        let told = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.0.id())).status();
        if !told.is_ok_and(|s| s.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// The first word of the answer's status line that counts.
fn status(port: u16, path: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_what_is_published_is_read_within_a_second_behind_a_cache_that_keeps_absences() {
    let there = |p: &&str| Command::new(p).arg("-v").stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    let Some(program) = ["nginx", "/usr/sbin/nginx"].into_iter().find(there) else {
        println!("skipped: there is no nginx on this machine");
        return;
    };
    let p = Published::new().await;
    let dir = p.world.dir.path();
    let empty = dir.join("served");
    fs::create_dir(&empty).unwrap();
    #[cfg(unix)]
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (cache, origin) = (port(), port());
    let config = format!(
        "worker_processes 1; pid {0}/nginx.pid; events {{ worker_connections 256; }}
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
           uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; proxy_cache_path {0}/kept keys_zone=kept:1m;
           server {{ listen 127.0.0.1:{origin}; root {0}/served; etag off; if_modified_since off;
             location = /checkpoint {{ add_header Cache-Control no-cache; }} }}
           server {{ listen 127.0.0.1:{cache}; location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache kept;
             proxy_cache_valid 404 60s; proxy_cache_valid 200 206 1h; }} }} }}",
        dir.display()
    );
    fs::write(dir.join("nginx.conf"), config).unwrap();
    let nginx = Command::new(program)
        .args(["-e", "stderr", "-g", "daemon off;", "-c"])
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _nginx = Nginx(nginx);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", cache)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nginx did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Everything that will be published was asked for before it was there: each 404 is kept for a minute.
    let url = format!("http://127.0.0.1:{cache}");
    let client = p.client(&[&url], None);
    assert!(client.latest().await.unwrap_err().to_string().contains("there is no registry"));
    let mut keys = Vec::new();
    for entry in walkdir::WalkDir::new(&p.folder) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            keys.push(format!("/{}", entry.path().strip_prefix(&p.folder).unwrap().to_str().unwrap()));
        }
    }
    assert!(keys.len() > 10);
    for key in &keys {
        assert_eq!(status(cache, key), 404, "{key}");
    }
    super::copy(&p.folder, &empty);
    for key in &keys {
        assert_eq!(status(cache, key), 404, "{key}: kept");
    }
    let began = Instant::now();
    let newest = client.latest().await.unwrap();
    let record = newest.find_release(&"crate:alpha".parse().unwrap()).await.unwrap();
    assert_eq!(client.history(3).await.unwrap().len(), 3);
    let took = began.elapsed();
    newest.fetch_to(&record, &dir.join("out"), |_| {}).await.unwrap();
    assert!(fs::read(dir.join("out")).unwrap() == p.archive);
    println!("read {took:?} after it was published");
    assert!(took < Duration::from_secs(1), "{took:?}");
    // And from then on each publish within a second, also by who asked for its slot before.
    let registry = p.world.registry_in(Store::open(empty.to_str().unwrap()).unwrap());
    for generation in 4..8_u64 {
        assert_eq!(status(cache, &format!("/log/{generation:010}")), 404);
        let name = format!("later-{generation}");
        let bytes = Tarball::default()
            .file(
                format!("{name}-1.0.0/Cargo.toml"),
                format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicense = \"MIT\"\n"),
            )
            .file(format!("{name}-1.0.0/src/lib.rs"), "")
            .gz();
        assert_eq!(status(cache, &format!("/blobs/sha256/{}", second_reader::hex(&bytes))), 404);
        fs::write(p.world.sources().join(format!("{name}-1.0.0.crate")), &bytes).unwrap();
        registry.build(&[p.world.sources()], &p.world.options).await.unwrap();
        let began = Instant::now();
        let newest = client.latest().await.unwrap();
        assert_eq!(newest.generation(), generation);
        let record = newest.find_release(&format!("crate:{name}").parse().unwrap()).await.unwrap();
        newest.fetch_to(&record, &dir.join("out"), |_| {}).await.unwrap();
        assert!(fs::read(dir.join("out")).unwrap() == bytes);
        // Sooner than what the cache remembers of absences, however busy the machine: a second is a matter of `docs/performance.md`.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
