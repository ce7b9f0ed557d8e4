//! How fast a registry is to read, from where this program runs: what a person, an index-hungry tool and a download meet.

use super::{Client, ClientOptions, SearchMode, Searcher, SnapshotReader};
use crate::{
    Error, ErrorKind, Result,
    package::{PackageId, Record},
    search::SearchRequest,
    store::{MeasureOptions, Measurement, measure},
};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture};
use std::{sync::Arc, time::Duration};

/// So many packages take turns.
const SAMPLE: usize = 1_000;

/// Larger archives would say more about the line than about the registry.
const LARGEST: u64 = 64 << 20;

/// What is read: packages, and those of their archives that the registry itself holds.
struct Sample {
    packages: Vec<PackageId>,
    archives: Vec<Record>,
}

/// The future of one run: of one type, whatever it does.
type Run = BoxFuture<'static, Result<u64>>;

impl Client {
    /// Measures how long it takes to open the registry, to look up packages with and without caches, to download archives
    /// (each verified) and to search. Reads only, and leaves the caches of this machine's disk alone.
    ///
    /// # Errors
    /// As [`Client::latest`]; [`ErrorKind::NotFound`] for a registry without packages. Later failures are in the rows.
    pub async fn measure(&self, options: &MeasureOptions) -> Result<Vec<Measurement>> {
        let warm = self.forgetful(Duration::from_secs(3600), self.inner.options.memory);
        let newest = warm.latest().await?;
        let sample = Arc::new(sample(&newest).await?);
        let searcher = match newest.snapshot().search.is_empty() {
            true => None,
            // Without memory no answer is kept, so that each question is worked out.
            false => {
                let forgetful = self.forgetful(Duration::from_secs(3600), 0);
                Some(forgetful.latest().await?.searcher(SearchMode::Local).await?)
            }
        };
        let mut rows = Vec::new();
        for at_once in [1, options.at_once.clamp(1, 1000)] {
            let time = options.time;
            rows.push(measure("open the registry", at_once, time, open(self)).await);
            rows.push(measure("look up a package, cold", at_once, time, look_up_cold(self, &sample)).await);
            rows.push(measure("look up a package, warm", at_once, time, look_up(&newest, &sample)).await);
            if !sample.archives.is_empty() {
                rows.push(measure("download an archive", at_once, time, download(&newest, &sample)).await);
            }
            if let Some(searcher) = &searcher {
                rows.push(measure("search, index at hand", at_once, time, search(searcher, &sample)).await);
            }
        }
        Ok(rows)
    }

    /// A client of the same registry that shares no caches with this one and keeps none on disk.
    fn forgetful(&self, freshness: Duration, memory: u64) -> Self {
        let inner = &self.inner;
        let options = ClientOptions { cache: None, freshness, memory, ..inner.options.clone() };
        Self::with_trust(inner.store.clone(), inner.keys.clone(), options, None)
    }
}

async fn sample(newest: &SnapshotReader) -> Result<Sample> {
    let packages: Vec<_> = newest.list().take(SAMPLE).try_collect().await?;
    let newest_of = packages.iter().filter_map(|p| p.newest());
    let archives: Vec<_> =
        newest_of.filter(|r| r.archive.url.is_none() && r.archive.size <= LARGEST).cloned().collect();
    let packages: Vec<_> = packages.into_iter().map(|p| p.id).collect();
    if packages.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "the registry holds no packages that could be read")
            .with_hint("publish something first"));
    }
    Ok(Sample { packages, archives })
}

/// What has its turn.
fn turn<T: Clone>(all: &[T], number: u64) -> Option<T> {
    // As a remainder it fits.
    all.get(number as usize % all.len().max(1)).cloned()
}

fn open(client: &Client) -> impl Fn(u64) -> Run + Clone + use<> {
    let client = client.clone();
    move |_| {
        let client = client.forgetful(Duration::ZERO, 0);
        async move { client.latest().await.map(|_| 0) }.boxed()
    }
}

fn look_up_cold(client: &Client, sample: &Arc<Sample>) -> impl Fn(u64) -> Run + Clone + use<> {
    let (client, sample) = (client.clone(), Arc::clone(sample));
    move |number| {
        let (client, id) = (client.forgetful(Duration::ZERO, 0), turn(&sample.packages, number));
        async move { find(&client.latest().await?, id).await }.boxed()
    }
}

fn look_up(newest: &SnapshotReader, sample: &Arc<Sample>) -> impl Fn(u64) -> Run + Clone + use<> {
    let (newest, sample) = (newest.clone(), Arc::clone(sample));
    move |number| {
        let (newest, id) = (newest.clone(), turn(&sample.packages, number));
        async move { find(&newest, id).await }.boxed()
    }
}

async fn find(newest: &SnapshotReader, id: Option<PackageId>) -> Result<u64> {
    if let Some(id) = id
        && newest.package(&id).await?.is_none()
    {
        return Err(Error::new(ErrorKind::NotFound, format!("{id} was listed, and is not found")));
    }
    Ok(0)
}

fn download(newest: &SnapshotReader, sample: &Arc<Sample>) -> impl Fn(u64) -> Run + Clone + use<> {
    let (newest, sample) = (newest.clone(), Arc::clone(sample));
    move |number| {
        let (newest, record) = (newest.clone(), turn(&sample.archives, number));
        async move {
            let Some(record) = record else { return Ok(0) };
            let pieces = newest.fetch(&record).await?;
            pieces.try_fold(0, |sum, piece| futures::future::ready(Ok(sum + piece.len() as u64))).await
        }
        .boxed()
    }
}

/// Asks for the packages by name.
fn search(searcher: &Searcher, sample: &Arc<Sample>) -> impl Fn(u64) -> Run + Clone + use<> {
    let (searcher, sample) = (searcher.clone(), Arc::clone(sample));
    move |number| {
        let (searcher, id) = (searcher.clone(), turn(&sample.packages, number));
        async move {
            let name = id.map(|id| id.name().to_owned()).unwrap_or_default();
            searcher.search(&SearchRequest::new(name)).await.map(|_| 0)
        }
        .boxed()
    }
}
