//! What a question takes, by kind, from an index that is at hand: over 10,000 and 227,000 real npm packages.
//! `cargo bench --bench search`; `GGEN_MARKET_BENCH_PACKAGES` is another number, and what the list lacks is made up.
//!
//! Beside criterion's figures it prints what a mean does not show: the median and the slowest hundredth of a mix of questions, and
//! how many two threads get answered in a second. "Uncached" is without the memory of what was asked before.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on stops, and prints what criterion does not show"
)]

#[path = "relevance/dice.rs"]
mod dice;
#[allow(dead_code, reason = "its `main` is the example's")]
#[path = "../examples/npm.rs"]
mod npm;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dice::Dice;
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, SearchMode, SearchRequest, Searcher, SigningKey, Store,
    package::Timestamp,
};
use std::{
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// A registry of the most downloaded packages.
struct Place {
    _dir: tempfile::TempDir,
    store: Store,
    key: ggen_marketplace::VerifierKey,
    names: Vec<String>,
}

impl Place {
    /// Of so many; `made_up` where the list may have fewer.
    fn new(runtime: &Runtime, list: &Path, count: usize, made_up: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut rows, _) = npm::read(list).unwrap();
        rows.truncate(count);
        let names = rows.iter().map(|r| r.name.to_string()).collect();
        let records = dir.path().join("records.jsonl");
        npm::write(rows, &records, made_up.then_some(count)).unwrap();
        let store = Store::create(dir.path().join("registry").to_str().unwrap()).unwrap();
        let key = SigningKey::generate("bench.example.com".parse().unwrap()).unwrap();
        let verifier = key.verifier().clone();
        let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
        let options = BuildOptions::at(Timestamp::now());
        runtime.block_on(registry.init(&options)).unwrap();
        runtime.block_on(registry.build(&[records], &options)).unwrap();
        Self { _dir: dir, store, key: verifier, names }
    }

    fn searcher(&self, runtime: &Runtime, memory: u64) -> Searcher {
        let mut options = ClientOptions::default();
        options.memory = memory;
        let client = Client::new(self.store.clone(), std::slice::from_ref(&self.key), options).unwrap();
        runtime.block_on(async { client.latest().await.unwrap().searcher(SearchMode::Local).await.unwrap() })
    }
}

fn request(text: &str) -> SearchRequest {
    let mut request = SearchRequest::new(text);
    request.limit = 10;
    request
}

/// Questions of each kind, 500 each.
fn questions(names: &[String]) -> Vec<(&'static str, Vec<SearchRequest>)> {
    let text = include_str!("relevance/queries.tsv");
    let mut words: Vec<&str> = text.lines().flat_map(|l| l.split('\t').next().unwrap().split(' ')).collect();
    words.sort_unstable();
    words.dedup();
    let common =
        ["react", "component", "node", "javascript", "library", "simple", "api", "typescript", "plugin", "module"];
    let mut dice = Dice(7);
    let mut of = |what: &'static str, make: &mut dyn FnMut(&mut Dice) -> SearchRequest| {
        (what, (0..500).map(|_| make(&mut dice)).collect::<Vec<_>>())
    };
    let popular = &names[..names.len().min(5000)];
    vec![
        of("name", &mut |d| request(&popular[d.below(popular.len())])),
        of("words", &mut |d| request(&format!("{} {}", words[d.below(words.len())], words[d.below(words.len())]))),
        of("common words", &mut |d| {
            request(&format!("{} {}", common[d.below(common.len())], common[d.below(common.len())]))
        }),
        of("prefix", &mut |d| {
            let length = 3 + d.below(3);
            request(&names[d.below(names.len())].chars().take(length).collect::<String>())
        }),
        of("typo", &mut |d| {
            let name = loop {
                let name = &popular[d.below(popular.len())];
                if name.len() >= 5 {
                    break name;
                }
            };
            request(&d.misspelt(name))
        }),
        of("filters", &mut |d| {
            let (a, b) = (words[d.below(words.len())], common[d.below(common.len())]);
            let mut request = request(&format!("{a} {b} -test license:MIT"));
            // No package of the list has a licence: as much work, and no answer.
            if d.below(2) == 0 {
                request.text = format!("{a} \"{b} {a}\" -test kind:pack");
            }
            request
        }),
    ]
}

/// A quarter names, a quarter beginnings of them, half two words.
fn mixed(names: &[String]) -> Vec<SearchRequest> {
    let kinds = questions(names);
    let of = |what: &str| kinds.iter().find(|(kind, _)| *kind == what).unwrap().1.iter();
    let (mut name, mut prefix, mut words) = (of("name"), of("prefix"), of("words"));
    let next = |i: usize| match i % 4 {
        0 => name.next(),
        1 => prefix.next(),
        _ => words.next(),
    };
    (0..1000).map_while(next).cloned().collect()
}

/// How long each question takes, in order, in milliseconds: the shortest of so many times, since others use the machine too.
fn times(runtime: &Runtime, searcher: &Searcher, asked: &[SearchRequest], rounds: usize) -> Vec<f64> {
    let mut out = vec![f64::INFINITY; asked.len()];
    for _ in 0..rounds {
        runtime.block_on(async {
            for (request, least) in asked.iter().zip(&mut out) {
                let began = Instant::now();
                black_box(searcher.search(request).await.unwrap());
                *least = least.min(began.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    out.sort_by(f64::total_cmp);
    out
}

fn print_times(what: &str, times: &[f64]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:.3} ms, p99 {:.3} ms, longest {:.3} ms", at(0.5), at(0.99), at(1.0));
}

/// How many questions two threads get answered in a second, and in a second of a core.
fn print_rate(runtime: &Runtime, what: &str, searcher: &Searcher, asked: &[SearchRequest]) {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let running: Vec<_> = (0..2)
        .map(|thread| {
            let (searcher, asked) = (searcher.clone(), asked.to_vec());
            runtime.spawn(async move {
                let (began, mut done) = (Instant::now(), 0u32);
                while began.elapsed() < Duration::from_secs(3) {
                    // Not both the same at the same time.
                    for request in asked[thread * asked.len() / 2..].iter().chain(&asked[..thread * asked.len() / 2]) {
                        black_box(searcher.search(request).await.unwrap());
                        done += 1;
                    }
                }
                done
            })
        })
        .collect();
    let done: u32 = running.into_iter().map(|one| runtime.block_on(one).unwrap()).sum();
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let done = f64::from(done);
    println!("{what}, two threads: {:.0} questions a second, {:.0} in a second of a core", done / wall, done / cpu);
}

fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn search(c: &mut Criterion) {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/npm.tsv.gz");
    if !list.exists() {
        println!("skipped: no list of packages at {}", list.display());
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let other = std::env::var("GGEN_MARKET_BENCH_PACKAGES").ok().map(|n| n.parse().unwrap());
    for count in other.map_or_else(|| vec![10_000, 227_000], |n| vec![n]) {
        let place = Place::new(&runtime, &list, count, other.is_some());
        let asked = mixed(&place.names);
        println!("{count} packages; load {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
        print_times("  mixed, asked for the first time", &times(&runtime, &place.searcher(&runtime, 0), &asked, 1));
        let searcher = place.searcher(&runtime, 0);
        for (what, asked) in &questions(&place.names) {
            print_times(&format!("  {what}"), &times(&runtime, &searcher, asked, 6));
        }
        print_times("  mixed", &times(&runtime, &searcher, &asked, 6));
        print_rate(&runtime, "  mixed", &searcher, &asked);
        let cached = place.searcher(&runtime, ClientOptions::default().memory);
        print_rate(&runtime, "  mixed, cached", &cached, &asked);
        let mut group = c.benchmark_group("search");
        group.sample_size(20).measurement_time(Duration::from_secs(3));
        for (what, asked) in &questions(&place.names) {
            let mut next = asked.iter().cycle();
            group.bench_function(BenchmarkId::new(*what, count), |b| {
                b.iter(|| runtime.block_on(searcher.search(next.next().unwrap())).unwrap());
            });
        }
        let mut next = asked.iter().cycle();
        group.bench_function(BenchmarkId::new("cached", count), |b| {
            b.iter(|| runtime.block_on(cached.search(next.next().unwrap())).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
