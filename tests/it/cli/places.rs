//! Where packages come from: a folder under each of its names, and other registries beside the first.

use super::Sandbox;
use crate::support::{http::Server, proxy::Proxy};
use std::collections::BTreeSet;

/// A pack's line in a list of packages that are hosted elsewhere.
fn line(name: &str, version: &str, needs: &str) -> String {
    format!(
        r#"{{"name":"{name}","version":"{version}","sha256":"{}","size":1,"download_url":"https://downloads.example.com/x","dependencies":[{needs}]}}"#,
        "0".repeat(64)
    ) + "\n"
}

#[test]
fn a_registry_in_a_folder_is_read_by_its_path_and_by_its_url() {
    let s = Sandbox::with_registry();
    s.write("packages/greeter/pack.toml", "[pack]\nname = \"greeter\"\nversion = \"0.1.0\"\ndescription = \"D\"\n");
    s.run(&["build", "--source", "packages"]).ok();
    let key = s.key();
    let url = format!("file://{}", s.path("registry").display());
    let mut locks = BTreeSet::new();
    for (number, place) in
        ["registry", s.path("registry").to_str().unwrap(), &url, &format!("{url}/")].iter().enumerate()
    {
        let (cache, into) = (format!("cache-{number}"), format!("deps-{number}"));
        let at = ["--registry", place, "--key", &key, "--cache", &cache];
        s.run(&[&["resolve", "greeter"], &at[..]].concat()).ok();
        s.run(&[&["install", "greeter", "--into", &into], &at[..]].concat()).ok();
        assert!(s.read(&format!("{into}/pack/greeter/pack.toml")).contains("greeter"), "{place}");
        locks.insert(s.read("ggen.lock"));
    }
    assert_eq!(locks.len(), 1, "what is locked does not say where it was read");
    let nowhere = s.path("nowhere").display().to_string();
    for place in ["file:///no/such/folder", &nowhere] {
        s.run(&["resolve", "greeter", "--registry", place, "--key", &key, "--no-cache"]).code(1).says(&["cannot open"]);
    }
}

/// As the configuration names them; the same name in another registry is another package.
#[tokio::test(flavor = "multi_thread")]
async fn dependencies_come_from_the_registry_that_they_name() {
    let outer = Sandbox::new();
    outer.run(&["init", "--store", "registry", "--origin", "outer.example.com"]).ok();
    outer.write(
        "packages/list.jsonl",
        line("common", "1.3.0", r#"{"name":"tool","req":"*"}"#) + &line("tool", "9.0.0", ""),
    );
    outer.run(&["build", "--source", "packages"]).ok();
    let address = Server::serve(&outer.path("registry")).await.url;
    let s = Sandbox::with_registry();
    let needs = format!(r#"{{"name":"common","req":"^1","registry":"{address}"}},{{"name":"tool","req":"*"}}"#);
    s.write("packages/list.jsonl", line("app", "1.0.0", &needs) + &line("tool", "1.0.0", ""));
    s.run(&["build", "--source", "packages"]).ok();
    s.run(&["resolve", "app"]).code(8).says(&["a registry that is not configured"]);
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", format!("{config}\n[registries]\n\"{address}\" = \"{}\"\n", outer.key()));
    let found = s.run(&["resolve", "app", "--json"]).ok().json();
    let shown: Vec<_> = found["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["version"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("app", "1.0.0"), ("common", "1.3.0"), ("tool", "1.0.0"), ("tool", "9.0.0")]);
    // With another key than the one that signs there, nothing of it is taken.
    s.write("ggen-market.toml", format!("{config}\n[registries]\n\"{address}\" = \"{}\"\n", s.key()));
    let run = s.run(&["resolve", "app"]);
    assert!(matches!(run.code, 2 | 5 | 8), "{} {}", run.code, run.err);
}

/// What the environment has for the first registry is not sent to another one that dependencies name.
#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_the_first_registry_is_for_that_one_alone() {
    let outer = Sandbox::new();
    outer.run(&["init", "--store", "registry", "--origin", "outer.example.com"]).ok();
    outer.write("packages/list.jsonl", line("common", "1.3.0", ""));
    outer.run(&["build", "--source", "packages"]).ok();
    let other = Proxy::fair(&outer.path("registry")).await;
    let mut s = Sandbox::with_registry();
    let needs = format!(r#"{{"name":"common","req":"^1","registry":"{}"}}"#, other.url);
    s.write("packages/list.jsonl", line("app", "1.0.0", &needs));
    s.run(&["build", "--source", "packages"]).ok();
    let first = Proxy::fair(&s.path("registry")).await;
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", format!("{config}\n[registries]\n\"{}\" = \"{}\"\n", other.url, outer.key()));
    s.set("GGEN_MARKET_AUTHORIZATION", "Bearer hunter2");
    s.run(&["resolve", "app", "--registry", &first.url]).ok();
    let secrets =
        |proxy: &Proxy| proxy.asked().iter().map(|q| q.header("authorization").map(str::to_owned)).collect::<Vec<_>>();
    let (first, other) = (secrets(&first), secrets(&other));
    assert!(!first.is_empty() && first.iter().all(|s| s.as_deref() == Some("Bearer hunter2")), "{first:?}");
    assert!(!other.is_empty() && other.iter().all(Option::is_none), "{other:?}");
}
