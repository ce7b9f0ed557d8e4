//! How long it takes to find versions that fit together. `cargo bench --bench resolve`
//!
//! By default over a graph that is made with a fixed seed. With `GGEN_MARKET_BENCH_INDEX` set to a folder that holds a cargo
//! index (files of JSON lines, as `cargo` fetches them from a sparse registry), over that: normal dependencies, features
//! left aside.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops")]

use criterion::{Criterion, criterion_group, criterion_main};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Error, Registry, SigningKey, Store, VerifierKey,
    package::{Sha256, Timestamp},
    resolve::{Resolution, Want},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hint::black_box,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// xorshift64*: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

fn line(name: &str, version: &str, dependencies: Vec<Value>, rest: &Value) -> String {
    let mut line = json!({
        "kind": "crate", "name": name, "version": version, "dependencies": dependencies, "size": 1,
        "sha256": Sha256::of(format!("{name}@{version}").as_bytes()).to_string(), "format": "crate",
        "download_url": format!("https://example.com/{name}-{version}.crate"),
    });
    line.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    line.to_string()
}

/// The lines of a cargo index.
fn corpus(folder: &Path, out: &mut dyn Write) -> usize {
    let mut count = 0;
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap) {
        if !entry.file_type().is_file() {
            continue;
        }
        for text in fs::read_to_string(entry.path()).unwrap().lines() {
            let Ok(record) = serde_json::from_str::<Value>(text) else { continue };
            let normal = |d: &&Value| d["kind"].is_null() || d["kind"] == "normal";
            let dependency = |d: &Value| {
                let name = if d["package"].is_string() { &d["package"] } else { &d["name"] };
                json!({ "name": name, "req": d["req"], "optional": d["optional"] == true, "features": d["features"] })
            };
            let dependencies = record["deps"].as_array().unwrap().iter().filter(normal).map(dependency).collect();
            let rest =
                json!({ "features": record["features"], "yanked": record["yanked"] == true, "links": record["links"] });
            let (name, version) = (record["name"].as_str().unwrap(), record["vers"].as_str().unwrap());
            writeln!(out, "{}", line(name, version, dependencies, &rest)).unwrap();
            count += 1;
        }
    }
    count
}

/// 1,300 crates with up to 100 versions each. A crate needs crates with smaller numbers, as of the time when it was
/// published; a few are needed by almost all.
fn made(out: &mut dyn Write) -> usize {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut count = 0;
    for number in 0..1_300usize {
        let versions = 1 + random.below(4) * random.below(25);
        for version in 0..versions {
            let needs = if number == 0 { 0 } else { random.below(7) };
            let mut names = BTreeSet::new();
            for _ in 0..needs {
                // Most edges go to a few popular crates, the others anywhere below.
                names.insert(if random.below(3) > 0 { random.below(number.min(60)) } else { random.below(number) });
            }
            let need = |n: &usize| {
                let req = if n.is_multiple_of(5) { "^1" } else { ">=0.1" };
                json!({ "name": format!("made-{n}"), "req": req })
            };
            let features: BTreeMap<String, Vec<String>> = (0..random.below(12))
                .map(|f| (format!("feature-{f}"), vec![format!("feature-{}/std", f + 1)]))
                .collect();
            let name = format!("made-{number}");
            let text = line(
                &name,
                &format!("1.{version}.0"),
                names.iter().map(need).collect(),
                &json!({ "features": features }),
            );
            writeln!(out, "{text}").unwrap();
            count += 1;
        }
    }
    count
}

struct Place {
    dir: tempfile::TempDir,
    store: Store,
    key: VerifierKey,
    names: Vec<String>,
}

impl Place {
    fn new(runtime: &Runtime) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("all.jsonl");
        let mut file = std::io::BufWriter::new(fs::File::create(&list).unwrap());
        let count = match std::env::var_os("GGEN_MARKET_BENCH_INDEX") {
            Some(folder) => corpus(Path::new(&folder), &mut file),
            None => made(&mut file),
        };
        drop(file);
        let text = fs::read_to_string(&list).unwrap();
        let name = |l: &str| serde_json::from_str::<Value>(l).unwrap()["name"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = text.lines().map(name).collect();
        names.sort();
        names.dedup();
        let store = Store::create(dir.path().join("registry").to_str().unwrap()).unwrap();
        let key = SigningKey::generate("bench.example.com".parse().unwrap()).unwrap();
        let verifier = key.verifier().clone();
        let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
        let options = BuildOptions::at(Timestamp::now());
        runtime.block_on(registry.init(&options)).unwrap();
        let report = runtime.block_on(registry.build(&[list], &options)).unwrap();
        println!(
            "{} crates, {count} lines of {} MB: {} taken, {} refused",
            names.len(),
            text.len() / 1_000_000,
            report.added,
            report.refused.len()
        );
        Self { dir, store, key: verifier, names }
    }

    fn client(&self) -> Client {
        let mut options = ClientOptions::default();
        options.cache = Some(self.dir.path().join("cache"));
        options.freshness = Duration::from_secs(3600);
        options.memory = 4 << 30;
        Client::new(self.store.clone(), std::slice::from_ref(&self.key), options).unwrap()
    }
}

async fn resolve(client: &Client, names: &[&String]) -> Result<Resolution, Error> {
    let wants = names.iter().map(|n| format!("crate:{n}").parse::<Want>().unwrap());
    client.resolve().wants(wants).run().await
}

/// How many packages each name alone comes to; only those for which there is an answer.
fn closures<'p>(runtime: &Runtime, client: &Client, place: &'p Place) -> Vec<(&'p String, BTreeSet<String>)> {
    let mut out = Vec::new();
    let (mut failed, mut slowest) = (0, Duration::ZERO);
    for name in &place.names {
        let began = Instant::now();
        match runtime.block_on(resolve(client, &[name])) {
            Ok(found) => out.push((name, found.packages.iter().map(|p| p.id.to_string()).collect())),
            Err(_) => failed += 1,
        }
        slowest = slowest.max(began.elapsed());
    }
    println!("each alone: {} have an answer, {failed} have none; the slowest took {slowest:?}", out.len());
    out
}

/// 50 names whose closures together come to about 100.
fn fifty<'p>(closures: &[(&'p String, BTreeSet<String>)]) -> Vec<&'p String> {
    let (mut names, mut all) = (Vec::new(), BTreeSet::new());
    for (name, closure) in closures {
        let new = closure.difference(&all).count();
        if names.len() < 50 && (2..=3).contains(&new) {
            names.push(*name);
            all.extend(closure.iter().cloned());
        }
    }
    names
}

fn cases(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let place = Place::new(&runtime);
    let client = place.client();
    let mut closures = closures(&runtime, &client, &place);
    let small = fifty(&closures);
    closures.sort_by_key(|(name, closure)| (std::cmp::Reverse(closure.len()), *name));
    // Large ones that have an answer together.
    let mut large: Vec<&String> = Vec::new();
    for (name, _) in &closures {
        let mut more = large.clone();
        more.push(name);
        if large.len() < 53 && runtime.block_on(resolve(&client, &more)).is_ok() {
            large = more;
        }
    }
    for (what, names) in [("50 small", &small), ("53 large", &large)] {
        let found = runtime.block_on(resolve(&client, names)).unwrap();
        println!("{what}: {} wanted, {} packages", names.len(), found.packages.len());
    }
    let mut group = c.benchmark_group("resolve");
    group.sample_size(20);
    group.bench_function("50 small, warm", |b| {
        b.iter(|| runtime.block_on(resolve(&client, black_box(&small))).unwrap());
    });
    group.bench_function("53 large, warm", |b| {
        b.iter(|| runtime.block_on(resolve(&client, black_box(&large))).unwrap());
    });
    group.bench_function("53 large, from the disk cache", |b| {
        b.iter(|| runtime.block_on(resolve(&place.client(), black_box(&large))).unwrap());
    });
    group.finish();

    any_fifty(&runtime, &client, &place);
}

/// Any 50, with or without an answer: none may take long. Of each case the shortest of twenty times counts: the longer ones are the
/// other work of the machine. The first time is told apart: then records are read that nobody had to look at before.
fn any_fifty(runtime: &Runtime, client: &Client, place: &Place) {
    let mut random = Random(42);
    let (mut first, mut best) = (Vec::new(), Vec::new());
    let mut answers = 0;
    for _ in 0..200 {
        let names: Vec<_> = (0..50).map(|_| &place.names[random.below(place.names.len())]).collect();
        let mut times = Vec::new();
        for time in 0..21 {
            let began = Instant::now();
            let found = runtime.block_on(resolve(client, &names)).is_ok();
            times.push(began.elapsed());
            answers += u32::from(found && time == 0);
        }
        first.push(times.remove(0));
        best.extend(times.into_iter().min());
    }
    for (what, mut times) in [("the first time", first), ("again, shortest of twenty", best)] {
        times.sort();
        println!(
            "200 times any 50: {answers} answers; {what}: median {:?}, 95 % {:?}, slowest {:?}",
            times[100], times[190], times[199]
        );
    }
}

criterion_group!(benches, cases);
criterion_main!(benches);
