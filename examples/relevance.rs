//! Measures search on a list of records made by the example `npm`: how good it is, and what it costs to build and to ask in place.
//! `cargo run --release --example relevance -- records.jsonl benches/relevance/queries.tsv`
//!
//! `docs/performance.md` quotes what it prints. The random choices have a fixed seed.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

#[path = "../benches/relevance/dice.rs"]
mod dice;

use dice::Dice;
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, SearchMode, SearchRequest, Searcher, SigningKey, Store,
    package::Timestamp,
};
use serde_json::Value;
use std::{collections::HashSet, fs, path::PathBuf, time::Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(list), Some(queries)) = (args.next(), args.next()) else {
        return Err("which records, and which queries?".into());
    };
    let names: Vec<String> = fs::read_to_string(&list)?
        .lines()
        .map(|l| Ok(serde_json::from_str::<Value>(l)?["name"].as_str().unwrap_or_default().to_owned()))
        .collect::<Result<_, serde_json::Error>>()?;
    let dir = tempfile::tempdir()?;
    let store = Store::create(dir.path().join("registry").to_str().ok_or("no text")?)?;
    let key = SigningKey::generate("relevance.example.com".parse()?)?;
    let pinned = key.verifier().clone();
    let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
    let mut options = BuildOptions::at(Timestamp::now());
    registry.init(&options).await?;
    options.search = false;
    let lists = [PathBuf::from(list)];
    registry.build(&lists, &options).await?;
    options.search = true;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let report = registry.build(&lists, &options).await?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "index built beside reading {} packages again: {wall:.1} s, {cpu:.1} CPU s, {} bytes, peak memory {} MiB",
        names.len(),
        report.bytes,
        peak_memory_mib()
    );
    let mut uncached = ClientOptions::default();
    uncached.memory = 0;
    let client = Client::new(store, std::slice::from_ref(&pinned), uncached)?;
    let newest = client.latest().await?;
    println!("bundle {:?}", newest.snapshot().search);
    let began = Instant::now();
    let searcher = newest.searcher(SearchMode::Local).await?;
    println!("opened in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    quality(&searcher, &names, &queries).await?;
    plain(&lists[0], &queries)?;
    // Round trips are counted by a clock of their own.
    let folder = dir.path().join("registry");
    let measured = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
        runtime.block_on(in_place(&folder, &pinned, &names, &queries))
    });
    measured.join().map_err(|_| "it panicked")?
}

async fn top(searcher: &Searcher, text: &str, limit: usize) -> Result<Vec<String>, Failure> {
    let mut request = SearchRequest::new(text);
    request.limit = limit;
    Ok(searcher.search(&request).await?.hits.iter().map(|h| h.name.to_string()).collect())
}

/// In how many of a hundred cases the right name is among the first `places`.
async fn share(searcher: &Searcher, what: &str, places: usize, cases: &[(String, String)]) -> Result<(), Failure> {
    let mut right = 0;
    let verbose = std::env::var_os("VERBOSE").is_some();
    for (text, name) in cases {
        let found = top(searcher, text, places).await?;
        let hit = found.contains(name);
        right += usize::from(hit);
        if verbose && !hit {
            println!("  {what}: {text:?} for {name}: {found:?}");
        }
    }
    println!("{what}: {:.1} % of {}", 100.0 * right as f64 / cases.len() as f64, cases.len());
    Ok(())
}

async fn quality(searcher: &Searcher, names: &[String], queries: &str) -> Result<(), Failure> {
    let mut dice = Dice(42);
    let sample: Vec<String> = (0..2000).map(|_| names[dice.below(names.len())].clone()).collect();
    let same: Vec<_> = sample.iter().map(|n| (n.clone(), n.clone())).collect();
    share(searcher, "exact name first", 1, &same).await?;
    let mut variants = Vec::new();
    for name in &sample {
        let other = match dice.below(4) {
            0 => name.to_uppercase(),
            1 => name.replace('-', "_"),
            2 => name.replace(['-', '_'], " "),
            _ => name.replace('_', "-"),
        };
        variants.push((other, name.clone()));
    }
    share(searcher, "variant first", 1, &variants).await?;
    let popular: Vec<&String> = names.iter().take(5000).collect();
    let mut typos = Vec::new();
    let mut prefixes = Vec::new();
    for name in &popular {
        if name.len() >= 5 {
            typos.push((dice.misspelt(name), (*name).clone()));
        }
        if name.len() >= 4 {
            prefixes.push((name[..4].to_owned(), (*name).clone()));
        }
    }
    share(searcher, "one typo, first five", 5, &typos).await?;
    share(searcher, "first four letters, first ten", 10, &prefixes).await?;
    let mut sum = 0.0;
    let expected = expected(queries)?;
    for (query, names) in &expected {
        let found = top(searcher, query, 10).await?;
        let gain = ndcg(&found, names);
        sum += gain;
        if std::env::var_os("VERBOSE").is_some() {
            println!("  {gain:.2} {query}: {found:?}");
        }
    }
    println!("nDCG@10 of {} queries: {:.3}", expected.len(), sum / expected.len() as f64);
    Ok(())
}

/// Queries, and the names that are right.
fn expected(queries: &str) -> Result<Vec<(String, HashSet<String>)>, Failure> {
    let text = fs::read_to_string(queries)?;
    let name = |n: &str| n.trim_start_matches('@').replace('/', ".");
    let rows = text.lines().map(|l| l.split_once('\t').ok_or("no tab"));
    Ok(rows
        .map(|row| row.map(|(q, names)| (q.to_owned(), names.split(' ').map(name).collect())))
        .collect::<Result<_, _>>()?)
}

fn ndcg(found: &[String], expected: &HashSet<String>) -> f64 {
    let gain = |i: usize| 1.0 / (i as f64 + 2.0).log2();
    let got: f64 = found.iter().enumerate().filter(|(_, n)| expected.contains(*n)).map(|(i, _)| gain(i)).sum();
    got / (0..expected.len().min(10)).map(gain).sum::<f64>()
}

/// The same queries to tantivy as it comes: name and summary, BM25, any word.
fn plain(list: &std::path::Path, queries: &str) -> Result<(), Failure> {
    use tantivy::{Index, TantivyDocument, collector::TopDocs, query::QueryParser, schema::*};
    let mut schema = Schema::builder();
    let indexing = TextFieldIndexing::default().set_tokenizer("en_stem");
    let indexing = indexing.set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let stemmed = TextOptions::default().set_indexing_options(indexing);
    let (name, summary) = (schema.add_text_field("name", TEXT | STORED), schema.add_text_field("summary", stemmed));
    let index = Index::create_in_ram(schema.build());
    let mut writer = index.writer_with_num_threads(1, 100 << 20)?;
    for line in fs::read_to_string(list)?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let mut document = TantivyDocument::new();
        document.add_text(name, record["name"].as_str().unwrap_or_default());
        document.add_text(summary, record["summary"].as_str().unwrap_or_default());
        writer.add_document(document)?;
    }
    writer.commit()?;
    let searcher = index.reader()?.searcher();
    let parser = QueryParser::for_index(&index, vec![name, summary]);
    let (mut sum, mut times) = (0.0, Vec::new());
    let expected = expected(queries)?;
    for (query, names) in &expected {
        let began = Instant::now();
        let best = searcher.search(&parser.parse_query(query)?, &TopDocs::with_limit(10).order_by_score())?;
        let mut found = Vec::new();
        for (_, at) in best {
            let document: TantivyDocument = searcher.doc(at)?;
            found.extend(document.get_first(name).and_then(|v| v.as_str().map(str::to_owned)));
        }
        times.push(began.elapsed());
        sum += ndcg(&found, names);
    }
    times.sort_unstable();
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    println!("tantivy as it comes: nDCG@10 {:.3}, p50 {median:.3} ms", sum / expected.len() as f64);
    Ok(())
}

/// What it takes to ask in place: each question by a reader of its own that has asked one other before.
async fn in_place(
    registry: &std::path::Path,
    key: &ggen_marketplace::VerifierKey,
    names: &[String],
    queries: &str,
) -> Result<(), Failure> {
    let folder = object_store::local::LocalFileSystem::new_with_prefix(registry)?;
    let far = std::sync::Arc::new(far::Far::new(folder));
    let store = Store::new(far.clone(), "far");
    let fresh = || Client::new(store.clone(), std::slice::from_ref(key), ClientOptions::default());
    let mut costs: Vec<(far::Cost, String)> = Vec::new();
    for text in questions(names, queries)? {
        let newest = fresh()?.latest().await?;
        far.cost();
        let searcher = newest.searcher(SearchMode::Remote).await?;
        let tail = far.cost();
        top(&searcher, FIRST, 10).await?;
        let first = far.cost();
        top(&searcher, &text, 10).await?;
        let cost = far.cost();
        if costs.is_empty() {
            println!("in place: opened with {tail:?}, the first question, {FIRST:?}, with {first:?}");
        }
        if std::env::var_os("VERBOSE").is_some() {
            println!("  {text:?}: {cost:?}");
        }
        costs.push((cost, text));
    }
    let within = costs.iter().filter(|(c, _)| c.trips <= 3 && c.bytes <= 100_000).count();
    let trips = costs.iter().map(|(c, _)| c.trips).max();
    costs.sort_by_key(|(c, _)| c.bytes);
    let at = |part: usize| costs[(costs.len() - 1) * part / 100].0.bytes;
    println!(
        "in place: {} later questions, {within} of them with 3 round trips and 100 kB at most; trips at most {trips:?}; bytes 50 % {}, 90 % {}, most {:?}",
        costs.len(),
        at(50),
        at(90),
        costs.last()
    );
    Ok(())
}

/// What is asked before each question whose cost is counted.
const FIRST: &str = "http client";

/// The questions that are asked in place: all that are written down, and of names that are spread over the list the name, its
/// first four letters, and the name with a mistake in it.
fn questions(names: &[String], queries: &str) -> Result<Vec<String>, Failure> {
    let mut out: Vec<String> = expected(queries)?.into_iter().map(|(query, _)| query).filter(|q| q != FIRST).collect();
    out.extend(
        ["react component", "a javascript library for node", "cli tool", "webpack plugin", "reqwst", "expre"]
            .map(Into::into),
    );
    let mut dice = Dice(7);
    for place in [3, 30, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 200_000] {
        let Some(name) = names.get(place).filter(|n| n.len() >= 5) else { continue };
        out.extend([name.clone(), name.chars().take(4).collect(), dice.misspelt(name)]);
    }
    Ok(out)
}

mod far {
    //! A store that is far away, and counts what is read.

    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
        PutOptions, PutPayload, PutResult, Result, local::LocalFileSystem, path::Path,
    };
    use std::{sync::Mutex, time::Duration};
    use tokio::time::Instant;

    /// So long an answer takes, by a clock that stands still while anything is done, and runs at once to what is waited for.
    const AWAY: Duration = Duration::from_secs(1);

    #[derive(Debug)]
    pub(super) struct Far {
        inner: LocalFileSystem,
        seen: Mutex<(Cost, Option<Instant>)>,
    }

    /// What was read: requests, bytes, and how many round trips of which each waits for the one before.
    #[derive(Debug, Clone, Copy, Default)]
    pub(super) struct Cost {
        pub(super) requests: u64,
        pub(super) bytes: u64,
        pub(super) trips: u64,
    }

    impl Far {
        pub(super) fn new(inner: LocalFileSystem) -> Self {
            Self { inner, seen: Mutex::default() }
        }

        /// What was read since the last call.
        pub(super) fn cost(&self) -> Cost {
            let mut seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
            let (mut cost, began) = std::mem::take(&mut *seen);
            let now = Instant::now();
            cost.trips = began.map_or(0, |began| (now - began).as_secs() / AWAY.as_secs());
            seen.1 = Some(now);
            cost
        }
    }

    impl std::fmt::Display for Far {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("far")
        }
    }

    #[async_trait]
    impl ObjectStore for Far {
        async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
            self.inner.put_opts(at, payload, options).await
        }
        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.inner.put_multipart_opts(at, options).await
        }
        async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
            let got = self.inner.get_opts(at, options).await?;
            {
                let mut seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
                let (cost, _) = &mut *seen;
                cost.requests += 1;
                cost.bytes += got.range.end - got.range.start;
            }
            tokio::time::sleep(AWAY).await;
            Ok(got)
        }
        fn delete_stream(&self, all: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.inner.delete_stream(all)
        }
        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.inner.list(prefix)
        }
        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.inner.list_with_delimiter(prefix).await
        }
        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.inner.copy_opts(from, to, options).await
        }
    }
}

fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The most memory this process has had, from the kernel's own account; 0 where there is none.
fn peak_memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}
