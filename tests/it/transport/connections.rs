//! Connections: kept, encrypted, through proxies; and secrets that go to one host alone.

use super::{Published, hasty};
use crate::{
    cli::Sandbox,
    support::{
        proxy::{Fault, Often, Plan, Proxy},
        tls::{self, CA, Manner},
    },
};
use ggen_marketplace::{Client, ClientOptions, ErrorKind, Pin, Store, StoreOptions};
use hyper::Version;
use std::{num::NonZeroUsize, time::Duration};

fn with_ca(how: &mut StoreOptions) {
    how.transport.ca_files.push(CA.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_many_requests_that_ask_for_no_compression() {
    let p = Published::new().await;
    let proxy = Proxy::fair(&p.folder).await;
    let client = p.client(&[&proxy.url], None);
    for _ in 0..3 {
        let newest = client.latest().await.unwrap();
        let record = newest.find_release(&"crate:alpha".parse().unwrap()).await.unwrap();
        newest.fetch_to(&record, &p.world.dir.path().join("out"), |_| {}).await.unwrap();
    }
    let asked = proxy.asked();
    assert_eq!(asked.len(), 8);
    // A connection is free again a moment after the last byte came: a quick client may open one more.
    assert!(proxy.connections() <= 3, "{} connections", proxy.connections());
    assert!(asked.iter().all(|q| q.header("accept-encoding") == Some("identity")), "{asked:?}");
    assert!(asked.iter().all(|q| q.header("range").is_none() && q.header("cache-control").is_none()), "{asked:?}");
    // Where a part is asked for, it is asked for without compression too.
    proxy.set(Plan::new(Fault::CutNoRange, Often::Always));
    let out = p.world.dir.path().join("again");
    let fresh = Proxy::start(&p.folder, Plan::new(Fault::CutWrongRange, Often::Always)).await;
    let newest = p.client(&[&fresh.url], None).latest().await.unwrap();
    let record = newest.find_release(&"crate:alpha".parse().unwrap()).await.unwrap();
    newest.fetch_to(&record, &out, |_| {}).await.unwrap();
    let parts: Vec<_> = fresh.asked().into_iter().filter(|q| q.header("range").is_some()).collect();
    assert!(!parts.is_empty() && parts.iter().all(|q| q.header("accept-encoding") == Some("identity")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_trusted_by_the_given_certificates_and_http_2_is_spoken_where_it_is_offered() {
    let p = Published::new().await;
    let server = tls::Server::serve(&p.folder, Manner::Proper).await;
    let client = p.client_with(&[&server.url], None, with_ca);
    let newest = client.latest().await.unwrap();
    let tasks = ["crate:alpha", "crate:beta", "crate:gamma"].map(|name| {
        let newest = newest.clone();
        tokio::spawn(async move { newest.find(&name.parse().unwrap()).await.map(drop) })
    });
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let asked = server.asked.lock().unwrap().clone();
    assert!(asked.len() >= 3 && asked.iter().all(|(version, ..)| *version == Version::HTTP_2), "{asked:?}");
    assert_eq!(server.connections(), 1);
    // Nobody else's certificate is.
    let e = p.client(&[&server.url], None).latest().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e:?}");
    assert!(e.hint().unwrap().contains("--ca-file"), "{e:?} {:?}", e.hint());
    // What holds no certificate is a mistake of the caller's.
    let e = p.client_with(&[&server.url], None, |how| how.transport.ca_files.push(file!().into()));
    let e = e.latest().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid, "{e:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_a_handshake_that_is_cut_is_tried_again() {
    let p = Published::new().await;
    let once = tls::Server::serve(&p.folder, Manner::CutHandshake(1)).await;
    assert_eq!(p.client_with(&[&once.url], None, with_ca).latest().await.unwrap().generation(), 3);
    let always = tls::Server::serve(&p.folder, Manner::CutHandshake(usize::MAX)).await;
    let e = p.client_with(&[&always.url], None, with_ca).latest().await.unwrap_err();
    assert!(e.kind() == ErrorKind::Unavailable && e.chain().contains(&always.url), "{e:?}");
    assert_eq!(always.connections(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_a_redirect_neither_gives_up_tls_nor_takes_the_secret_along() {
    let p = Published::new().await;
    let authorize = |how: &mut StoreOptions, url: &str| {
        let host = url.split_once("://").unwrap().1;
        how.transport.authorize(host, "Bearer hunter2").unwrap();
    };
    // https to http.
    let plain = Proxy::fair(&p.folder).await;
    let down = tls::Server::serve(&p.folder, Manner::Redirect(plain.url.clone())).await;
    let e = p.client_with(&[&down.url], None, with_ca).latest().await.unwrap_err();
    assert!(e.kind() == ErrorKind::Unavailable && e.chain().contains("gives up TLS"), "{e:?}");
    assert_eq!(plain.asked().len(), 0, "it was not even asked");
    // https to https on another port, which is another host.
    let other = tls::Server::serve(&p.folder, Manner::Proper).await;
    let first = tls::Server::serve(&p.folder, Manner::Redirect(other.url.clone())).await;
    let client = p.client_with(&[&first.url], None, |how| {
        with_ca(how);
        authorize(how, &first.url);
    });
    assert_eq!(client.latest().await.unwrap().generation(), 3);
    let secrets = |s: &tls::Server| s.asked.lock().unwrap().iter().map(|a| a.2.clone()).collect::<Vec<_>>();
    assert!(secrets(&first).iter().all(|s| s.as_deref() == Some("Bearer hunter2")), "{:?}", secrets(&first));
    assert!(secrets(&other).len() >= 2 && secrets(&other).iter().all(Option::is_none), "{:?}", secrets(&other));
}

/// The whole program: the secret reaches its host, and nothing that anybody sees.
#[tokio::test(flavor = "multi_thread")]
async fn authorization_comes_from_the_environment_or_the_file_and_is_never_shown() {
    let mut s = Sandbox::published();
    let server = tls::Server::serve(&s.path("registry"), Manner::Proper).await;
    let other = tls::Server::serve(&s.path("nowhere"), Manner::Proper).await;
    let list = ["list", "--registry", &other.url, "--registry", &server.url, "--ca-file", CA, "--no-cache"];
    let secrets = |s: &tls::Server| std::mem::take(&mut *s.asked.lock().unwrap()).into_iter().map(|a| a.2).collect();
    s.set("GGEN_MARKET_LOG", "trace");
    s.set("GGEN_MARKET_AUTHORIZATION", "Bearer hunter2");
    let run = s.run(&[&list[..], &["-vv"]].concat()).ok();
    assert!(!run.err.contains("hunter2") && run.err.contains("checkpoint"), "{}", run.err);
    let (first, second): (Vec<_>, Vec<_>) = (secrets(&other), secrets(&server));
    assert!(!first.is_empty() && first.iter().all(|s| s.as_deref() == Some("Bearer hunter2")), "the first one's host");
    assert!(!second.is_empty() && second.iter().all(Option::is_none), "{second:?}");
    // The file names its hosts, and is for its owner alone.
    s.set("GGEN_MARKET_AUTHORIZATION", "");
    s.set("GGEN_MARKET_LOG", "");
    let host = server.url.split_once("://").unwrap().1;
    let mut config = s.read("ggen-market.toml");
    config += &format!("\n[authorization]\n\"{host}\" = \"Bearer hunter3\"\n");
    s.write("ggen-market.toml", &config);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |mode| std::fs::set_permissions(s.path("ggen-market.toml"), std::fs::Permissions::from_mode(mode));
        mode(0o644).unwrap();
        let run = s.run(&list).code(2).says(&["which holds `authorization`"]);
        assert!(!run.err.contains("hunter"), "{}", run.err);
        mode(0o600).unwrap();
    }
    s.run(&list).ok();
    let second: Vec<_> = secrets(&server);
    assert!(!second.is_empty() && second.iter().all(|s| s.as_deref() == Some("Bearer hunter3")), "{second:?}");
    // Over plain HTTP to another machine, it is not sent at all.
    s.set("GGEN_MARKET_AUTHORIZATION", "Bearer hunter2");
    let run = s.run(&["list", "--registry", "http://packages.invalid", "--no-cache"]).code(2).says(&["plain HTTP"]);
    assert!(!run.err.contains("hunter"), "{}", run.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_taken_from_the_environment() {
    let mut s = Sandbox::published();
    let proxy = Proxy::fair(&s.path("registry")).await;
    let list = ["list", "--registry", "http://packages.invalid", "--no-cache"];
    s.run(&list).code(4);
    s.set("HTTP_PROXY", &proxy.url);
    s.set("http_proxy", &proxy.url);
    s.run(&list).ok();
    let asked = proxy.asked();
    assert!(asked.iter().all(|q| q.path.starts_with("http://packages.invalid/")), "{asked:?}");
    s.set("NO_PROXY", "packages.invalid");
    s.run(&list).code(4);
    assert_eq!(proxy.asked().len(), 0);
}

/// User and password in an address are a secret like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_goes_over_plain_http_to_this_machine_alone() {
    let mut s = Sandbox::published();
    let proxy = Proxy::fair(&s.path("registry")).await;
    let with_password = proxy.url.replacen("://", "://user:hunter2@", 1);
    s.run(&["list", "--registry", &with_password, "--no-cache"]).ok();
    let sent: Vec<_> = proxy.asked().iter().map(|q| q.header("authorization").map(str::to_owned)).collect();
    assert!(sent.iter().all(|a| a.as_deref() == Some("Basic dXNlcjpodW50ZXIy")), "{sent:?}");
    // What would be sent to another machine comes by here.
    s.set("HTTP_PROXY", &proxy.url);
    s.set("http_proxy", &proxy.url);
    for login in ["user:hunter2", "hunter2", ":hunter2"] {
        let list = ["list", "--registry", &format!("http://{login}@packages.invalid"), "--no-cache", "-vv"];
        let run = s.run(&list).code(2).says(&["packages.invalid would go over plain HTTP", "use the https:// address"]);
        assert!(!run.err.contains("hunter"), "{}", run.err);
        assert_eq!(proxy.asked().len(), 0, "{login}");
        let url = list[2];
        let run = s.run(&["doctor", "--quick", "--public-url", url]).says(&["plain HTTP"]);
        assert!(!(run.err + &run.out).contains("hunter"));
        assert_eq!(proxy.asked().len(), 0, "{login}");
    }
}

/// What is hosted elsewhere is downloaded with the same care.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_hosted_elsewhere_is_resumed_and_checked() {
    let p = Published::new().await;
    let proxy = Proxy::fair(&p.folder).await;
    let sha256 = crate::support::second_reader::hex(&p.archive);
    let line = |name: &str, url: &str| {
        let size = p.archive.len();
        format!(
            r#"{{"name":"{name}","version":"1.0.0","summary":"x","sha256":"{sha256}","size":{size},"download_url":"{url}"}}"#
        )
    };
    let url = format!("{}/blobs/sha256/{sha256}?X-Signature=abc", proxy.url);
    std::fs::write(p.world.sources().join("list.jsonl"), line("elsewhere", &url) + "\n").unwrap();
    let store = Store::open(p.folder.to_str().unwrap()).unwrap();
    p.world.registry_in(store.clone()).build(&[p.world.sources()], &p.world.options).await.unwrap();
    let mut how = StoreOptions::default();
    hasty(&mut how);
    let store = Store::open_mirrors(&[p.folder.to_str().unwrap()], &how).unwrap();
    let client = Client::new(store, std::slice::from_ref(&p.world.key), ClientOptions::default()).unwrap();
    let newest = client.latest().await.unwrap();
    let record = newest.find_release(&"pack:elsewhere".parse().unwrap()).await.unwrap();
    let out = p.world.dir.path().join("out");
    for fault in [Fault::Cut(500), Fault::BitFlip, Fault::Status(404), Fault::Reset] {
        proxy.set(Plan::new(fault, Often::Always));
        let e = newest.fetch_to(&record, &out, |_| {}).await.unwrap_err();
        assert!(e.chain().contains(&proxy.url) && !e.chain().contains("abc"), "{fault:?}: {}", e.chain());
        assert!(!out.exists(), "{fault:?}");
    }
    let asked = proxy.asked();
    assert!(asked.iter().all(|q| q.path.ends_with("?X-Signature=abc")), "a signed query is left alone: {asked:?}");
    assert!(asked.iter().any(|q| q.header("range").is_some()));
    proxy.set(Plan::new(Fault::None, Often::Always));
    newest.fetch_to(&record, &out, |_| {}).await.unwrap();
    assert!(std::fs::read(&out).unwrap() == p.archive);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_asked_at_once_than_is_allowed() {
    let p = Published::new().await;
    for (allowed, most) in [(Some(1), 1), (Some(3), 3), (None, 40)] {
        let proxy = Proxy::fair(&p.folder).await;
        let client = p.client_with(&[&proxy.url], None, |how| how.connections = allowed.and_then(NonZeroUsize::new));
        let newest = client.latest().await.unwrap();
        let pin = Pin::Snapshot(newest.link().sha256);
        proxy.delay(Duration::from_millis(30));
        // A state that is asked for by its digest is in no cache in memory.
        let all = (0..40).map(|_| client.at(pin));
        futures::future::try_join_all(all).await.unwrap();
        let seen = proxy.most_at_once();
        assert!(seen <= most && seen > most / 2, "{seen} at once, and {allowed:?} allowed");
    }
}
