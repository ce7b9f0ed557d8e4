//! Searching a registry.

use super::{Client, SnapshotReader};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{SearchBundle, limits},
    package::Sha256,
    search::{self, Answers, Opened, SearchHit, SearchRequest, SearchResults, Searching},
};
use futures::{Stream, StreamExt, TryStreamExt};
use std::{fmt, sync::Arc};

/// A search index up to this size is fetched as a whole: that is one request, and the next question needs none.
const SMALL: u64 = 2 << 20;

/// How many answers of a stream are worked out at once.
const PAGE: usize = 500;

/// Where the search index is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SearchMode {
    /// In place where it is large and neither on this machine nor in its cache, else as a whole.
    #[default]
    Auto,
    /// Fetched as a whole, and kept.
    Local,
    /// In place, by ranges: only what a question needs is fetched.
    Remote,
}

/// What clients keep of search indexes.
pub(super) struct Caches {
    /// By the digest of the bundle, and whether it is held in parts.
    opened: moka::sync::Cache<(Sha256, bool), Arc<Opened>>,
    /// By the digest of the snapshot: what was asked, in which place.
    results: moka::sync::Cache<(Sha256, SearchRequest), Arc<SearchResults>>,
    /// What searchers share. (Not they themselves: each holds its client.)
    searchers: moka::sync::Cache<(Sha256, SearchMode), Arc<Searching>>,
}

impl Caches {
    /// `memory` bounds the results; an index that was asked for is kept for as long as it is asked.
    pub(super) fn new(memory: u64) -> Self {
        let weigh = |key: &(Sha256, SearchRequest), results: &Arc<SearchResults>| {
            let hits: usize = results.hits.iter().map(|h| 300 + h.summary.len() + h.name.as_str().len()).sum();
            u32::try_from(500 + key.1.text.len() + hits + results.facets.len() * 100).unwrap_or(u32::MAX)
        };
        Self {
            opened: moka::sync::Cache::new(16),
            results: moka::sync::Cache::builder().weigher(weigh).max_capacity(memory / 4).build(),
            searchers: moka::sync::Cache::new(4),
        }
    }
}

/// Answers questions about one state of a registry. Cheap to clone; any number of threads may ask at once.
///
/// ```no_run
/// # async fn example(client: ggen_marketplace::Client) -> Result<(), ggen_marketplace::Error> {
/// use ggen_marketplace::{SearchMode, SearchRequest};
/// let searcher = client.latest().await?.searcher(SearchMode::Auto).await?;
/// for hit in &searcher.search(&SearchRequest::new("http client")).await?.hits {
///     println!("{} {}", hit.name, hit.summary);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Searcher {
    reader: SnapshotReader,
    searching: Arc<Searching>,
}

impl Client {
    /// Answers a question about the newest state of the registry.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the text of the request cannot be read: the message says at which place.
    pub async fn search(&self, request: &SearchRequest) -> Result<Arc<SearchResults>> {
        self.latest().await?.searcher(SearchMode::Auto).await?.search(request).await
    }

    /// Opens a bundle: from memory, from the disk, or from the store.
    async fn bundle(&self, cited: &SearchBundle, mode: SearchMode) -> Result<Arc<Opened>> {
        let parts = self.reads_parts(cited, mode);
        let key = (cited.link.sha256, parts);
        if let Some(opened) = self.inner.search.opened.get(&key) {
            return Ok(opened);
        }
        let tail = if parts { self.tail(cited).await? } else { None };
        let cited = *cited;
        let opened = match tail {
            Some(tail) => search::open_parts(&cited, tail)?,
            // Also where the server gives whole objects only.
            None => {
                let bytes = self.stored(&cited.link, limits::BUNDLE).await?;
                cpu::run(move || search::open_whole(&cited, bytes)).await?
            }
        };
        let opened = Arc::new(opened);
        self.inner.search.opened.insert(key, Arc::clone(&opened));
        Ok(opened)
    }

    fn reads_parts(&self, cited: &SearchBundle, mode: SearchMode) -> bool {
        let inner = &self.inner;
        match mode {
            SearchMode::Local => false,
            // Too small to have been made for it.
            _ if cited.link.size - cited.tail.size.min(cited.link.size) <= search::WHOLE => false,
            _ if inner.options.offline => false,
            SearchMode::Remote => true,
            SearchMode::Auto => {
                let near = inner.store.is_local() || inner.disk.as_ref().is_some_and(|d| d.holds(&cited.link));
                cited.link.size > SMALL && !near
            }
        }
    }

    async fn tail(&self, cited: &SearchBundle) -> Result<Option<bytes::Bytes>> {
        if let Some(tail) = self.inner.disk.as_ref().and_then(|d| d.get(&cited.tail)) {
            return Ok(Some(tail));
        }
        let tail = self.timed(search::fetch_tail(self.online(cited.tail.sha256)?, cited)).await?;
        if let (Some(disk), Some(tail)) = (&self.inner.disk, &tail)
            && crate::format::check(tail, &cited.tail).is_ok()
        {
            disk.put(&cited.tail, tail);
        }
        Ok(tail)
    }
}

impl SnapshotReader {
    /// A searcher of this state. Its index is opened once for all that ask.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the registry has no search index.
    pub async fn searcher(&self, mode: SearchMode) -> Result<Searcher> {
        let caches = &self.client().inner.search;
        let key = (self.link().sha256, mode);
        if let Some(searching) = caches.searchers.get(&key) {
            return Ok(Searcher { reader: self.clone(), searching });
        }
        let cited = &self.snapshot().search;
        if cited.is_empty() && self.snapshot().packages > 0 {
            return Err(Error::new(ErrorKind::NotFound, format!("{} has no search index", self.snapshot().origin))
                .with_hint("`ggen-market list --prefix` finds packages by their names"));
        }
        let open = |bundle: SearchBundle| {
            let client = self.client().clone();
            async move { client.bundle(&bundle, mode).await }
        };
        let opened: Vec<_> = cited.iter().copied().map(open).collect();
        let opened = futures::stream::iter(opened).buffered(self.client().inner.store.parallel()).try_collect().await?;
        let searching = Arc::new(Searching::new(opened, self.client().inner.store.clone()));
        caches.searchers.insert(key, Arc::clone(&searching));
        Ok(Searcher { reader: self.clone(), searching })
    }
}

impl Searcher {
    /// Answers a question. What was asked before of the same state is answered from memory.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the text of the request cannot be read: the message says at which place.
    pub async fn search(&self, request: &SearchRequest) -> Result<Arc<SearchResults>> {
        let client = self.reader.client();
        let key = (self.reader.link().sha256, request.clone());
        if let Some(results) = client.inner.search.results.get(&key) {
            return Ok(results);
        }
        let question = Answers::of(request)?;
        let results = Arc::new(client.timed(self.searching.answer(&question)).await?);
        if client.inner.options.memory > 0 {
            client.inner.search.results.insert(key, Arc::clone(&results));
        }
        Ok(results)
    }

    /// All answers, from `offset` on and whatever the `limit`, a few hundred at a time.
    pub fn stream(&self, request: &SearchRequest) -> impl Stream<Item = Result<SearchHit>> + Send + use<> {
        let (searcher, request) = (self.clone(), request.clone());
        futures::stream::try_unfold(Some(request.offset), move |offset| {
            let (searcher, mut request) = (searcher.clone(), request.clone());
            async move {
                let Some(offset) = offset else { return Ok::<_, Error>(None) };
                (request.offset, request.limit, request.facets) = (offset, PAGE, false);
                // Past the cache: nobody asks for the same page of a stream twice.
                let question = Answers::of(&request)?;
                let results = searcher.reader.client().timed(searcher.searching.answer(&question)).await?;
                let next = (results.hits.len() == PAGE).then_some(offset + PAGE);
                Ok(Some((futures::stream::iter(results.hits.into_iter().map(Ok)), next)))
            }
        })
        .try_flatten()
    }

    /// Whether it reads an index in place, by ranges.
    pub fn is_remote(&self) -> bool {
        self.searching.is_partial()
    }
}

impl fmt::Debug for Searcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Searcher({:?})", self.reader)
    }
}
