//! `bench`: what it measures, and what it leaves behind.

use super::Sandbox;
use crate::support::http::Server;

#[test]
fn a_deployment_is_measured_and_left_as_it_was() {
    let s = Sandbox::published();
    let files = || walkdir::WalkDir::new(s.path("registry")).into_iter().count();
    let before = files();
    let run = s.run(&["bench", "--seconds", "0.02", "--at-once", "4", "--json"]).ok();
    let document = run.json();
    assert_eq!((&document["store"], &document["registry"]), (&"registry".into(), &"registry".into()));
    let rows = document["operations"].as_array().unwrap();
    let of = |operation: &str, at_once: u64| {
        let found = rows.iter().find(|r| r["operation"] == operation && r["at_once"] == at_once);
        found.unwrap_or_else(|| panic!("{operation}, {at_once} at once, is not in\n{}", run.out))
    };
    for at_once in [1, 4] {
        for (operation, moves) in [
            ("write 4 KiB", true),
            ("read 4 KiB", true),
            ("write 1 MiB", true),
            ("read 1 MiB", true),
            ("create, as a commit does", false),
            ("look for what is not there", false),
            ("open the registry", false),
            ("look up a package, cold", false),
            ("look up a package, warm", false),
            ("download an archive", true),
            ("search, index at hand", false),
        ] {
            let row = of(operation, at_once);
            let number = |name: &str| row[name].as_f64().unwrap();
            assert!(number("count") >= 1.0 && number("failures") == 0.0, "{row}");
            assert!(0.0 < number("p50") && number("p50") <= number("p90"), "{row}");
            assert!(number("p90") <= number("p99") && number("p99") <= number("longest"), "{row}");
            assert!(number("per_second") > 0.0 && (number("bytes_per_second") > 0.0) == moves, "{row}");
        }
    }
    assert!(of("list what was written", 1)["count"].as_u64().unwrap() >= 1);
    assert_eq!(files(), before, "nothing stays behind");
    s.run(&["verify", "--all"]).ok();
    // The same for people.
    let table = s.run(&["bench", "--seconds", "0.01", "--at-once", "2"]).ok().out;
    assert!(table.lines().count() == rows.len() && table.contains("create, as a commit does\t2\t"), "{table}");
}

#[test]
fn a_store_can_be_measured_before_there_is_a_registry_and_a_registry_without_its_store() {
    let s = Sandbox::published();
    let key = s.key();
    let only = Sandbox::new();
    std::fs::create_dir(only.path("empty")).unwrap();
    let run = only.run(&["bench", "--store", "empty", "--seconds", "0.01", "--json"]).ok();
    assert_eq!((&run.json()["store"], &run.json()["registry"]), (&"empty".into(), &().into()));
    run.says(&["warning: the registry was not measured: no public key"]);
    let registry = s.path("registry").to_str().unwrap().to_owned();
    let run = only.run(&["bench", "--registry", &registry, "--key", &key, "--seconds", "0.01", "--json"]).ok();
    assert_eq!((&run.json()["store"], &run.json()["registry"]), (&().into(), &registry.into()));
    assert_eq!(run.json()["operations"].as_array().unwrap().len(), 10);
    only.run(&["bench"]).code(2).says(&["no store is set"]);
    only.run(&["bench", "--store", "https://packages.example.com"]).code(2).says(&["--registry"]);
    only.run(&["bench", "--store", "empty", "--seconds", "0"]).code(2);
    only.run(&["bench", "--store", "empty", "--at-once", "0"]).code(2);
    only.run(&["bench", "--store", "nowhere"]).code(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_and_told() {
    let s = Sandbox::published();
    // Archives alone: what the index needs stays.
    for package in ["crate:hello", "pack:greeter"] {
        for release in s.run(&["versions", package, "--json"]).ok().json()["versions"].as_array().unwrap() {
            super::flip(&s.path(&format!("registry/blobs/sha256/{}", release["sha256"].as_str().unwrap())));
        }
    }
    let server = Server::serve(&s.path("registry")).await;
    let given = ["bench", "--read-only", "--registry", &server.url, "--seconds", "0.01", "--at-once", "2", "--json"];
    let run = s.run(&given).code(5).says(&["problem: download an archive, 1 at once: ", " failed: http://"]);
    let document = run.json();
    let failed = document["operations"].as_array().unwrap().iter().filter(|r| r["failures"] != 0);
    let failed: Vec<_> = failed.map(|r| (r["operation"].as_str().unwrap(), r["count"].as_u64().unwrap())).collect();
    assert_eq!(failed, [("download an archive", 0); 2]);
}

/// How many threads a process has, by the kernel's account.
#[cfg(target_os = "linux")]
fn threads(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn as_many_threads_are_started_as_is_said() {
    use std::io::BufRead as _;
    let mut s = Sandbox::published();
    let mut count = |option: &[&str], variable: &str| {
        s.set("GGEN_MARKET_THREADS", variable);
        let mut server = s.start(&[&["serve", "registry", "--port", "0"], option].concat());
        // It is ready when it has said where it is.
        let mut line = String::new();
        std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let threads = threads(server.id());
        server.kill().unwrap();
        server.wait().unwrap();
        threads
    };
    // One to start with, and as many to compute as to see to the network.
    let (one, nine, by_variable) = (count(&["--threads", "1"], ""), count(&["--threads", "9"], ""), count(&[], "9"));
    assert_eq!((nine - one, by_variable), (16, nine));
}
