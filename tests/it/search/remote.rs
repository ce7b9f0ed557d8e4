//! Asking in place: how many requests, bytes and round trips it takes, and what happens when a server does not play along.

use crate::support::{http::Server, world::World};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use ggen_marketplace::{
    Client, ClientOptions, ErrorKind, Registry, SearchMode, SearchOrder, SearchRequest, Searcher, SigningKey, Store,
    VerifierKey,
};
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use std::{
    fmt::{self, Write as _},
    fs,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A store that is a second away, notes what is read, and can damage it.
#[derive(Debug, Default)]
struct Far {
    inner: InMemory,
    reads: Mutex<Vec<Range<u64>>>,
    /// Requests that were begun, and those that are under way.
    begun: AtomicUsize,
    under_way: AtomicUsize,
    near: Mutex<bool>,
    flip: Mutex<Option<u64>>,
}

/// A request that is under way, until it is answered or dropped.
struct UnderWay<'f>(&'f Far);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Far {
    fn begin(&self) -> UnderWay<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// Requests that were begun since the last call, and those under way.
    fn requests(&self) -> (usize, usize) {
        (self.begun.swap(0, Ordering::Relaxed), self.under_way.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("far")
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }
    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let _under_way = self.begin();
        if !*self.near.lock().unwrap() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let range = options.range.clone();
        let got = self.inner.get_opts(at, options).await?;
        let Some(GetRange::Bounded(range)) = range else { return Ok(got) };
        self.reads.lock().unwrap().push(range.clone());
        let flip = self.flip.lock().unwrap().filter(|f| range.contains(f));
        let Some(flip) = flip else { return Ok(got) };
        let (meta, attributes, extensions) = (got.meta.clone(), got.attributes.clone(), got.extensions.clone());
        let mut bytes = got.bytes().await?.to_vec();
        bytes[usize::try_from(flip - range.start).unwrap()] ^= 1;
        let stream = futures::stream::iter([Ok(bytes.into())]);
        let payload = object_store::GetResultPayload::Stream(Box::pin(stream));
        Ok(GetResult { payload, meta, range, attributes, extensions })
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

const COUNT: u64 = 12_000;

/// A registry that is far away, large enough to be asked in place.
struct Place {
    far: Arc<Far>,
    key: VerifierKey,
    _dir: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let far = Arc::new(Far::default());
        *far.near.lock().unwrap() = true;
        let key = SigningKey::generate("far.example.com".parse().unwrap()).unwrap();
        let (dir, verifier) = (tempfile::tempdir().unwrap(), key.verifier().clone());
        let registry = Registry::new(Store::new(far.clone(), "far"), key, &dir.path().join("state"));
        let options = ggen_marketplace::BuildOptions::now();
        registry.init(&options).await.unwrap();
        let path = dir.path().join("all.jsonl");
        fs::write(&path, records()).unwrap();
        registry.build(&[path], &options).await.unwrap();
        *far.near.lock().unwrap() = false;
        Self { far, key: verifier, _dir: dir }
    }

    fn client(&self) -> Client {
        let mut options = ClientOptions::default();
        options.memory = 0;
        Client::new(Store::new(self.far.clone(), "far"), std::slice::from_ref(&self.key), options).unwrap()
    }

    async fn searcher(&self, mode: SearchMode) -> Searcher {
        self.client().latest().await.unwrap().searcher(mode).await.unwrap()
    }

    /// Requests and bytes since the last call.
    fn cost(&self) -> (usize, u64) {
        let reads = std::mem::take(&mut *self.far.reads.lock().unwrap());
        (reads.len(), reads.iter().map(|r| r.end - r.start).sum())
    }
}

/// Names and summaries of made-up words, most of them rare.
pub(crate) fn records() -> String {
    let mut out = String::new();
    let word = |n: u64| {
        let r = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (0..3).fold(String::new(), |s, i| {
            s + ["ba", "du", "ki", "lo", "me", "nu", "ra", "so", "ti", "vo"][(r >> (60 - 4 * i)) as usize % 10]
        })
    };
    for i in 0..COUNT {
        let sha256 = crate::support::second_reader::hex(&i.to_be_bytes());
        let summary: Vec<String> = (1..8).map(|n| word(i * n + n)).collect();
        writeln!(
            out,
            r#"{{"name":"{}-{i}","version":"1.0.0","downloads":{},"summary":"{}","sha256":"{sha256}","size":1,"download_url":"https://downloads.example.com/{i}"}}"#,
            word(i * 31),
            i * i,
            summary.join(" "),
        )
        .unwrap();
    }
    out
}

/// How many seconds, and so round trips, a question takes.
async fn rounds(searcher: &Searcher, request: &SearchRequest) -> u64 {
    let began = tokio::time::Instant::now();
    searcher.search(request).await.unwrap();
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_question_takes_three_round_trips_and_little_of_the_index() {
    let place = Place::new().await;
    let whole = place.searcher(SearchMode::Local).await;
    assert!(!whole.is_remote());
    place.cost();
    let began = tokio::time::Instant::now();
    let searcher = place.searcher(SearchMode::Remote).await;
    assert!(searcher.is_remote());
    // Checkpoint, snapshot, tail.
    assert_eq!(began.elapsed().as_secs(), 3);
    let (requests, tail) = place.cost();
    assert_eq!(requests, 1);
    assert!(tail < 120_000, "{tail}");
    // The first one has a word that nothing has: what is found in its place takes the way of another question. Where the lists of
    // frequent words are, like the last ones, is known from the tail.
    for (text, most) in [
        ("bakilo dumeno", 5),
        ("bakilo xyz", 3),
        ("metiso", 3),
        ("rasoti-11", 3),
        ("ba", 3),
        ("\"kilome bavora\"", 4),
        ("-metiso", 2),
    ] {
        let mut request = SearchRequest::new(text);
        request.limit = 10;
        assert_eq!(*searcher.search(&request).await.unwrap(), *whole.search(&request).await.unwrap(), "{text}");
        let fresh = place.searcher(SearchMode::Remote).await;
        place.cost();
        let rounds = rounds(&fresh, &request).await;
        let (requests, bytes) = place.cost();
        assert!(rounds <= most, "{text}: {rounds} round trips");
        assert!(requests <= 30 && bytes < 200_000, "{text}: {requests} requests, {bytes} bytes");
        // What is in the block cache is not fetched again.
        request.explain = true;
        assert_eq!(self::rounds(&fresh, &request).await, 0, "{text}");
    }
    for order in [SearchOrder::Downloads, SearchOrder::Recent, SearchOrder::Name] {
        let mut request = SearchRequest::new("metiso");
        (request.order, request.facets) = (order, true);
        assert_eq!(*searcher.search(&request).await.unwrap(), *whole.search(&request).await.unwrap());
    }
}

/// Nobody waits for it any more: what is under way ends, and nothing is begun.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_dropped_asks_for_nothing_more() {
    let place = Place::new().await;
    let request = SearchRequest::new("bakilo dumeno");
    let fresh = place.searcher(SearchMode::Remote).await;
    place.far.requests();
    let began = tokio::time::Instant::now();
    let right = fresh.search(&request).await.unwrap();
    let (rounds, (whole, _)) = (began.elapsed().as_secs(), place.far.requests());
    assert!(rounds >= 2, "{rounds}: then nothing can be cut short");
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut before = 0;
    // In the middle of each round trip.
    for round in 0..rounds {
        let searcher = place.searcher(SearchMode::Remote).await;
        place.far.requests();
        let patience = Duration::from_millis(1000 * round + 500);
        {
            let mut question = std::pin::pin!(searcher.search(&request));
            assert!(tokio::time::timeout(patience, question.as_mut()).await.is_err(), "{rounds} seconds");
            assert!(place.far.under_way.load(Ordering::Relaxed) > 0, "it waits for something");
        }
        let (begun, under_way) = place.far.requests();
        assert_eq!((under_way, tasks()), (0, 0), "what was under way ended with it");
        assert!(begun > before && begun <= whole, "{begun} of {whole} after {patience:?}");
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(place.far.requests(), (0, 0), "nothing is begun afterwards");
        assert_eq!(*searcher.search(&request).await.unwrap(), *right);
        let (rest, _) = place.far.requests();
        assert_eq!(rest, whole - before, "what came before is kept, {begun} of {whole} were begun");
        before = begun;
    }
    assert!(before == whole, "in the last round trip all is asked for: {before} of {whole}");
    // The same while the index is opened, in place or as a whole.
    for mode in [SearchMode::Remote, SearchMode::Local] {
        let newest = place.client().latest().await.unwrap();
        place.far.requests();
        let opening = tokio::time::timeout(Duration::from_millis(500), newest.searcher(mode)).await;
        assert!(opening.is_err(), "{mode:?}");
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(place.far.requests(), (1, 0), "{mode:?}");
    }
}

/// A question to an index that is at hand is answered where it is asked, without a pause: between two of them a caller that
/// has enough can stop, and nothing of it goes on elsewhere. A stream works out no more than is taken from it.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_at_hand_works_only_while_it_is_asked() {
    let place = Place::new().await;
    *place.far.near.lock().unwrap() = true;
    let searcher = place.searcher(SearchMode::Local).await;
    place.far.requests();
    let request = SearchRequest::new("");
    let question = searcher.search(&request);
    let answered = question.now_or_never().expect("in one go").unwrap();
    assert!(answered.total == COUNT, "{}", answered.total);
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let work = |most: usize| {
        let mut taken = 0;
        let counted = allocation_counter::measure(|| {
            let hits = searcher.stream(&request).take(most).try_fold(0, |n, _| std::future::ready(Ok(n + 1)));
            taken = hits.now_or_never().expect("in one go").unwrap();
        });
        (taken, counted.count_total)
    };
    // What the first one reads is kept for the others.
    work(usize::MAX);
    let (all, for_all) = work(usize::MAX);
    assert_eq!(all as u64, answered.total);
    let (one, for_one) = work(1);
    assert_eq!(one, 1);
    // A page is 500 of them.
    println!("{for_one} allocations for one answer, {for_all} for {all}");
    assert!(for_one * 10 < for_all, "{for_one} allocations for one answer, {for_all} for {all}");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), tasks);
    assert_eq!(place.far.requests(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_name_is_found_in_place_too() {
    let place = Place::new().await;
    let (whole, remote) = (place.searcher(SearchMode::Local).await, place.searcher(SearchMode::Remote).await);
    let name = whole.search(&SearchRequest::new("")).await.unwrap().hits[0].name.to_string();
    let typo = format!("{}x{}", &name[..3], &name[4..]);
    let mut request = SearchRequest::new(typo.clone());
    request.explain = true;
    place.cost();
    let rounds = rounds(&remote, &request).await;
    let (_, bytes) = place.cost();
    let hits = remote.search(&request).await.unwrap().hits.clone();
    let hit = hits.iter().take(5).find(|h| h.name.as_str() == name);
    // As a name with one mistake, and not by its other words alone.
    assert!(hit.is_some_and(|h| h.explanation.contains(&("name", 6.0))), "{typo} for {name}: {hits:?}");
    assert!(rounds <= 4 && bytes < 100_000, "{rounds} round trips, {bytes} bytes");
}

/// Of a question that nothing answers: the words of names that are near, and then the same as for any other question.
#[tokio::test(start_paused = true)]
async fn a_misspelt_word_of_a_name_is_found_in_place_too() {
    let place = Place::new().await;
    let (whole, remote) = (place.searcher(SearchMode::Local).await, place.searcher(SearchMode::Remote).await);
    let mut request = SearchRequest::new("metisso");
    request.limit = 10;
    place.cost();
    let rounds = rounds(&remote, &request).await;
    let (_, bytes) = place.cost();
    let found = remote.search(&request).await.unwrap();
    assert_eq!(*found, *whole.search(&request).await.unwrap());
    assert_eq!((found.corrected[0].word.as_str(), found.corrected[0].instead.as_str()), ("metisso", "metiso"));
    assert!(found.total > 0 && rounds <= 5 && bytes < 100_000, "{rounds} round trips, {bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_forged_block_is_never_an_answer() {
    let place = Place::new().await;
    let remote = place.searcher(SearchMode::Remote).await;
    let request = SearchRequest::new("bakilo dumeno");
    place.cost();
    remote.search(&request).await.unwrap();
    let reads = std::mem::take(&mut *place.far.reads.lock().unwrap());
    assert!(reads.len() >= 3);
    for range in reads {
        for at in [range.start, (range.start + range.end) / 2, range.end - 1] {
            let fresh = place.searcher(SearchMode::Remote).await;
            *place.far.flip.lock().unwrap() = Some(at);
            let e = fresh.search(&request).await.unwrap_err();
            *place.far.flip.lock().unwrap() = None;
            assert_eq!(e.kind(), ErrorKind::Untrusted, "{at}: {}", e.chain());
            // Nothing of it is kept: the next question is answered rightly.
            assert_eq!(*fresh.search(&request).await.unwrap(), *remote.search(&request).await.unwrap());
        }
    }
    // The tail.
    let size = place.far.inner.list(None);
    drop(size);
    let client = place.client();
    let newest = client.latest().await.unwrap();
    let cited = newest.snapshot().search[0];
    *place.far.flip.lock().unwrap() = Some(cited.link.size - 5);
    assert_eq!(newest.searcher(SearchMode::Remote).await.unwrap_err().kind(), ErrorKind::Untrusted);
    *place.far.flip.lock().unwrap() = None;
    assert!(newest.searcher(SearchMode::Remote).await.unwrap().is_remote());
    let blob = Path::from(format!("blobs/sha256/{}", cited.link.sha256));
    place.far.inner.delete(&blob).await.unwrap();
    let e = place.searcher_fails().await;
    assert_eq!(e, ErrorKind::Unavailable, "what is cited and not there is no answer");
}

impl Place {
    async fn searcher_fails(&self) -> ErrorKind {
        self.client().latest().await.unwrap().searcher(SearchMode::Remote).await.unwrap_err().kind()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_server_gives_whole_objects_only_the_index_is_fetched_as_a_whole() {
    let world = World::without_registry();
    let folder = world.dir.path().join("registry");
    let registry = world.registry_in(Store::create(folder.to_str().unwrap()).unwrap());
    registry.init(&world.options).await.unwrap();
    fs::write(world.sources().join("all.jsonl"), records()).unwrap();
    registry.build(&[world.sources()], &world.options).await.unwrap();
    // It knows no ranges.
    let server = Server::serve(&folder).await;
    let store = Store::open(&server.url).unwrap();
    let client = Client::new(store, std::slice::from_ref(&world.key), ClientOptions::default()).unwrap();
    let searcher = client.latest().await.unwrap().searcher(SearchMode::Remote).await.unwrap();
    assert!(!searcher.is_remote());
    assert!(searcher.search(&SearchRequest::new("metiso")).await.unwrap().total > 0);
}
