//! How fast a store is: each operation many times, one at a time and many at once. The doctor says whether a store is sound,
//! this says what it takes.

use super::{
    Outcome,
    bench::{Bench, pattern},
};
use crate::{
    Error, ErrorKind, Result,
    format::keys::Class,
    store::{Created, Store},
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use object_store::path::Path;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// However fast something is: so often, and not more, is each operation run. It bounds what a measurement writes, too.
const MOST: u64 = 2_000;

const SMALL: usize = 4 << 10;
const LARGE: usize = 1 << 20;

/// How to measure.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MeasureOptions {
    /// How long each operation is repeated; one that takes longer is run once.
    pub time: Duration,
    /// How many are under way at once, in the rows that do not measure one at a time; 1 to 1,000.
    pub at_once: usize,
}

impl Default for MeasureOptions {
    /// Two seconds for each operation, 16 at once.
    fn default() -> Self {
        Self { time: Duration::from_secs(2), at_once: 16 }
    }
}

/// What one operation took, of all the times that it was run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Measurement {
    /// What was done: `write 4 KiB`, `look up a package, cold`, …
    pub operation: &'static str,
    /// How many were under way at once.
    pub at_once: usize,
    /// How many failed.
    pub failures: u64,
    /// The first of those failures.
    pub failure: Option<Error>,
    /// The bytes that were moved, all together; 0 where that says nothing.
    pub bytes: u64,
    /// How long it took all together.
    pub elapsed: Duration,
    /// How long each of those took that succeeded, the shortest first.
    took: Vec<Duration>,
}

impl Measurement {
    /// How many succeeded.
    pub fn count(&self) -> usize {
        self.took.len()
    }

    /// The time within which so many percent of them were done; 100 is the longest. `None` where none succeeded.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let last = self.took.len().checked_sub(1)?;
        self.took.get((last * usize::from(percent)).div_ceil(100).min(last)).copied()
    }

    /// How many succeeded a second.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    pub fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How many bytes were moved a second.
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Runs an operation, which is given its number and says how many bytes it moved, again and again by so many tasks at once.
pub(crate) async fn measure<F>(
    operation: &'static str,
    at_once: usize,
    time: Duration,
    run: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Measurement
where
    F: Future<Output = Result<u64>> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..at_once.max(1) {
        let (run, next) = (run.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut results = Vec::new();
            while results.is_empty() || began.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= MOST {
                    break;
                }
                let began = Instant::now();
                results.push((run(number).await, began.elapsed()));
            }
            results
        });
    }
    let (mut bytes, mut failures, mut failure, mut took) = (0, 0, None, Vec::new());
    while let Some(results) = workers.join_next().await {
        let results = results.unwrap_or_else(|e| {
            let broken = Error::new(ErrorKind::Io, "a measurement broke off").with_source(e);
            vec![(Err(broken), Duration::ZERO)]
        });
        for (result, time) in results {
            match result {
                Ok(moved) => {
                    bytes += moved;
                    took.push(time);
                }
                Err(e) => {
                    failures += 1;
                    failure.get_or_insert(e);
                }
            }
        }
    }
    let elapsed = began.elapsed();
    took.sort_unstable();
    Measurement { operation, at_once, failures, failure, bytes, elapsed, took }
}

impl Store {
    /// Measures how long the store takes to write, create, read, list and delete, in a new folder below `doctor/`. What it
    /// wrote is removed at the end; a call that is dropped leaves it behind, where it does no harm.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), ggen_marketplace::Error> {
    /// use ggen_marketplace::{MeasureOptions, Store};
    /// let mut options = MeasureOptions::default();
    /// options.time = std::time::Duration::from_millis(1);
    /// for row in Store::open("memory:")?.measure(&options).await? {
    ///     assert_eq!(row.failures, 0);
    ///     println!("{}: {:?}, {:.0} a second", row.operation, row.percentile(50), row.per_second());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// That of the first write, where the store cannot be reached or written to at all. Later failures are in the rows.
    pub async fn measure(&self, options: &MeasureOptions) -> Result<Vec<Measurement>> {
        let mut bench = Bench::open(self, true).await?;
        let at_once = options.at_once.clamp(1, 1000);
        let small = keys(&mut bench, "small", MOST);
        // These take turns in a few places, so that what is there at the same time stays below 64 MiB.
        let large = keys(&mut bench, "large", 64);
        let new = [keys(&mut bench, "new-1", MOST), keys(&mut bench, "new-2", MOST)];
        let bench = Arc::new(bench);
        let mut rows = Vec::new();
        for (at_once, new) in [1, at_once].into_iter().zip(new) {
            rows.push(measure("write 4 KiB", at_once, options.time, write(&bench, &small, SMALL)).await);
            rows.push(measure("read 4 KiB", at_once, options.time, read(&bench, &small)).await);
            rows.push(measure("write 1 MiB", at_once, options.time, write(&bench, &large, LARGE)).await);
            rows.push(measure("read 1 MiB", at_once, options.time, read(&bench, &large)).await);
            rows.push(measure("create, as a commit does", at_once, options.time, create(&bench, &new)).await);
            rows.push(measure("look for what is not there", at_once, options.time, look(&bench)).await);
        }
        rows.push(measure("list what was written", 1, options.time, list(&bench)).await);
        if let Some(bench) = Arc::into_inner(bench) {
            let cleaned = bench.clean().await;
            if cleaned.outcome != Outcome::Ok {
                tracing::warn!("{}", cleaned.detail);
            }
        }
        Ok(rows)
    }
}

type Keys = Arc<Vec<Path>>;

/// The future of one run: of one type, whatever it does.
type Run = BoxFuture<'static, Result<u64>>;

fn keys(bench: &mut Bench, folder: &str, count: u64) -> Keys {
    Arc::new((0..count).map(|n| bench.key(&format!("{folder}/{n}"))).collect())
}

/// The key that has its turn.
fn turn(keys: &[Path], number: u64) -> Path {
    // As a remainder it fits; and no list is empty.
    let at = number as usize % keys.len().max(1);
    keys.get(at).cloned().unwrap_or_default()
}

fn write(bench: &Arc<Bench>, keys: &Keys, size: usize) -> impl Fn(u64) -> Run + Clone + use<> {
    let (bench, keys, bytes) = (Arc::clone(bench), Arc::clone(keys), pattern(size as u64, size));
    move |number| {
        let (bench, key, bytes) = (Arc::clone(&bench), turn(&keys, number), bytes.clone());
        async move { bench.put_as(&key, Class::Blob, bytes).await.map(|()| size as u64) }.boxed()
    }
}

/// Reads the first one again and again: it was written, however few there was time for.
fn read(bench: &Arc<Bench>, keys: &Keys) -> impl Fn(u64) -> Run + Clone + use<> {
    let (bench, key) = (Arc::clone(bench), turn(keys, 0));
    move |_| {
        let (bench, key) = (Arc::clone(&bench), key.clone());
        async move { bench.get(&key).await.map(|bytes| bytes.len() as u64) }.boxed()
    }
}

fn create(bench: &Arc<Bench>, keys: &Keys) -> impl Fn(u64) -> Run + Clone + use<> {
    let (bench, keys) = (Arc::clone(bench), Arc::clone(keys));
    move |number| {
        let (bench, key) = (Arc::clone(&bench), turn(&keys, number));
        async move {
            match bench.store.put_new(key.as_ref(), Class::Pointer, Bytes::from_static(b"new\n")).await {
                Created::Yes => Ok(0),
                Created::Exists => Err(Error::new(ErrorKind::Unavailable, format!("{key} is said to exist already"))),
                Created::Unknown(e) => Err(e),
            }
        }
        .boxed()
    }
}

fn look(bench: &Arc<Bench>) -> impl Fn(u64) -> Run + Clone + use<> {
    let (bench, key) = (Arc::clone(bench), bench.unused("absent"));
    move |_| {
        let (bench, key) = (Arc::clone(&bench), key.clone());
        async move { bench.is_there(&key).await.map(|_| 0) }.boxed()
    }
}

fn list(bench: &Arc<Bench>) -> impl Fn(u64) -> Run + Clone + use<> {
    let (bench, folder) = (Arc::clone(bench), Path::from(bench.folder.as_str()));
    move |_| {
        let (bench, folder) = (Arc::clone(&bench), folder.clone());
        async move { bench.list(&folder, None).await.map(|_| 0) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let mut row = Measurement {
            operation: "test",
            at_once: 1,
            failures: 0,
            failure: None,
            bytes: 0,
            elapsed: Duration::from_secs(2),
            took: (1..=200).map(Duration::from_millis).collect(),
        };
        let at = |row: &Measurement, percent| row.percentile(percent).map(|t| t.as_millis());
        assert_eq!([0, 50, 99, 100, 255].map(|p| at(&row, p)), [1, 101, 199, 200, 200].map(Some));
        assert_eq!(row.per_second() as u64, 100);
        row.took.truncate(1);
        assert_eq!([0, 50, 100].map(|p| at(&row, p)), [Some(1); 3]);
        row.took.clear();
        assert_eq!(at(&row, 50), None);
    }

    #[tokio::test]
    async fn failures_are_counted_apart_and_time_and_number_are_bounded() {
        let odd = |n: u64| async move {
            if n.is_multiple_of(2) { Ok(10) } else { Err(Error::new(ErrorKind::Unavailable, format!("number {n}"))) }
        };
        let row = measure("test", 3, Duration::from_secs(600), odd).await;
        assert_eq!((row.count() as u64, row.failures, row.bytes), (MOST / 2, MOST / 2, 5 * MOST));
        assert!(row.failure.is_some_and(|e| e.to_string().starts_with("number ")));
        let slow = |_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(0)
        };
        let row = measure("test", 2, Duration::ZERO, slow).await;
        assert_eq!((row.count(), row.failures), (2, 0), "each runs once, whatever it takes");
    }
}
