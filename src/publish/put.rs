//! Putting what a commit will cite: archives, then leaves and pages of both trees, then the snapshot.

use super::{
    commit::Batch,
    details::{self, Spooled},
    head::Head,
    options::{BuildOptions, Progress},
    plan::{BlobAt, Outcome, What},
    registry::Registry,
    search::require_fit,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{Changes, Entry, FORMAT_VERSION, Object, PackageLines, SearchBundle, Shard, Snapshot, TreeKind, limits},
    index::{Draft, edit},
    package::{Link, Sha256, Timestamp},
    search::Built,
    source::Spool,
    store::{Later, Payload, Put},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) puts: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: u64) {
        self.puts += 1;
        self.bytes += bytes;
    }
}

/// Changes that are worked out against one head.
pub(super) struct Work {
    pub(super) packages: Arc<Vec<Arc<PackageLines>>>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) changed: Arc<Changes>,
}

/// A commit claims its slot within this time after it began to put, or begins again: a quarter of the shortest grace
/// period of a collection of garbage (invariant I11).
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// What one run has written so far: it is not written again when the run plans anew.
pub(super) struct Session {
    done: HashSet<Sha256>,
    /// The newest generation when the first of it was put.
    base: Option<u64>,
    pub(super) tally: Tally,
    /// The run's, showing what time it is rather than what is stamped.
    watch: Watch,
    /// Its own.
    began: Watch,
}

impl Session {
    pub(super) fn begin(watch: Watch) -> Self {
        Self { done: HashSet::new(), base: None, tally: Tally::default(), watch, began: Watch::start(watch.now()) }
    }

    /// Forgets what was written, and only counts it.
    pub(super) fn anew(self) -> Self {
        Self { tally: self.tally, ..Self::begin(self.watch) }
    }

    /// The time by which an object that is there is old.
    pub(super) fn now(&self) -> Timestamp {
        self.watch.now()
    }

    /// Says what the newest generation is, before anything is put.
    pub(super) fn puts_upon(&mut self, generation: u64) {
        self.base.get_or_insert(generation);
    }

    /// The newest generation when the first of it was put: what a later plan cites may have been put so early (I15).
    pub(super) fn base(&self) -> Option<u64> {
        self.base
    }

    /// Whether an object has yet to be put; from now on it has not.
    pub(super) fn is_first(&mut self, link: &Link) -> bool {
        self.done.insert(link.sha256)
    }

    /// Counts what was put.
    pub(super) fn note(&mut self, link: &Link, put: Put) {
        if put == Put::Written {
            self.tally.add(link.size);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.began.elapsed() > SESSION
    }
}

/// What a snapshot will be made of.
struct Next {
    index: Draft<Arc<PackageLines>>,
    details: Draft<Spooled>,
    bundle: Option<(Link, Payload)>,
    search: Vec<SearchBundle>,
}

/// Something to be put.
enum Job {
    /// What it is is known.
    Whole(Link, Payload),
    /// A leaf of so many bytes of lines, which is made when its turn has come.
    Leaf(TreeKind, u64, Make),
}

type Make = Box<dyn FnOnce() -> Result<(Entry, Object)> + Send>;

/// What came of it.
struct Done {
    link: Link,
    /// Nothing, where this session had put it.
    put: Option<Put>,
    leaf: Option<(TreeKind, Entry)>,
}

/// An object to put, whose bytes are at hand.
fn whole(object: Object) -> (Link, Payload) {
    (object.link, Payload::Bytes(object.bytes))
}

/// Whether readers take an object of that size.
fn fits(link: &Link, max: u64, max_raw: u64) -> bool {
    link.size <= max && link.raw.is_none_or(|raw| raw <= max_raw)
}

impl Registry {
    /// Puts all that the next slot will cite, and gives the link of its snapshot. Everything of it survives a crash before
    /// the slot exists (I1).
    pub(super) async fn put_state(
        &self,
        batch: &Batch,
        work: &Work,
        head: &mut Head,
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<Link> {
        let search = self.search_of(batch, work, head, options).await?;
        if work.packages.is_empty() && search.cited == head.snapshot.search {
            return Ok(head.slot.claim().snapshot);
        }
        session.puts_upon(head.slot.claim().generation);
        // Out of memory before the tree is made.
        let bundle = search.new.map(|built| self.put_later(built, batch)).transpose()?;
        self.put_blobs(batch, &work.outcomes, session, options).await?;
        let packages = Arc::clone(&work.packages);
        let index = self.with_tree(head, move |t| edit(&t.top, &t.nodes, &packages)).await?;
        let details = self.draft_details(batch, work, head).await?;
        let next = Next { index, details, bundle, search: search.cited };
        let link = self.put_snapshot((head, next), (batch, work), session, options).await?;
        self.store.flush().await?;
        Ok(link)
    }

    /// Puts the archives of the releases that are new.
    async fn put_blobs(
        &self,
        batch: &Batch,
        outcomes: &[Outcome],
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<()> {
        let new = batch.changes.iter().zip(outcomes).filter_map(|(change, outcome)| match (&change.what, outcome) {
            (What::Add { blob, .. }, Outcome::Added | Outcome::Restored) => blob.as_deref(),
            _ => None,
        });
        let puts = new.map(|blob| (blob.link, payload(&blob.at, &batch.spool))).collect();
        self.put_all(puts, session, options).await
    }

    /// Puts objects, many at a time, each once in a session.
    async fn put_all(
        &self,
        mut puts: Vec<(Link, Payload)>,
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<()> {
        puts.retain(|(link, _)| session.is_first(link));
        let jobs = puts.into_iter().map(|(link, payload)| Job::Whole(link, payload)).collect();
        self.put_jobs(jobs, session, options).await.map(drop)
    }

    /// The same; some of them are leaves that are yet to be made. Their rows are given, in the order of trees and places.
    async fn put_jobs(
        &self,
        jobs: Vec<Job>,
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<Vec<(TreeKind, Entry)>> {
        let total = jobs.len() as u64;
        let (mut finished, mut all) = (0, Vec::new());
        let (now, before) = (session.now(), &session.done);
        let mut running = futures::stream::iter(jobs)
            .map(|job| self.put_job(job, before, now))
            .buffer_unordered(self.store.puts_at_once());
        while let Some(done) = running.try_next().await? {
            all.push(done);
            finished += 1;
            options.report(Progress::Put { finished, total });
        }
        drop(running);
        let mut leaves = Vec::new();
        for Done { link, put, leaf } in all {
            session.done.insert(link.sha256);
            if let Some(put) = put {
                session.note(&link, put);
            }
            leaves.extend(leaf);
        }
        leaves.sort_unstable_by_key(|(tree, entry)| (*tree, entry.prefix));
        Ok(leaves)
    }

    async fn put_job(&self, job: Job, before: &HashSet<Sha256>, now: Timestamp) -> Result<Done> {
        let (tree, bytes, make) = match job {
            Job::Whole(link, payload) => {
                let put = Some(self.store.put_linked(&link, payload, now).await?);
                return Ok(Done { link, put, leaf: None });
            }
            Job::Leaf(tree, bytes, make) => (tree, bytes, make),
        };
        let _room = self.store.take_room(bytes).await?;
        // The next run begins with what this one ends with; and a cache may be ahead: it is asked by digest. Of the details
        // it has no leaves: they are large, and few are needed again.
        let cache = self.cache.clone().filter(|_| tree == TreeKind::Index);
        let (entry, object) = cpu::run(move || {
            let (entry, object) = make()?;
            if let Some(cache) = cache {
                cache.put(&entry.link, &object.bytes);
            }
            Ok::<_, Error>((entry, object))
        })
        .await?;
        let (link, leaf) = (object.link, Some((tree, entry)));
        if !fits(&link, limits::NODE, limits::NODE_RAW) {
            let what = format!("the releases below {:?} do not fit into a shard any more", entry.prefix);
            return Err(Error::new(ErrorKind::Refused, what)
                .with_hint("one package has far too many releases, or records that are far too large"));
        }
        if before.contains(&link.sha256) {
            return Ok(Done { link, put: None, leaf });
        }
        let put = Some(self.store.put_linked(&link, Payload::Bytes(object.bytes), now).await?);
        Ok(Done { link, put, leaf })
    }

    /// A search bundle waits on disk, like everything that is large, and goes up in parts.
    fn put_later(&self, built: Built, batch: &Batch) -> Result<(Link, Payload)> {
        require_fit(&built)?;
        let failed = |e| Error::io("write to", &std::env::temp_dir(), e);
        let range = batch.spool.append(&built.bytes).map_err(failed)?;
        Ok((built.cited.link, payload(&BlobAt::Spool(range), &batch.spool)))
    }

    /// Puts the new nodes, children before their parents, then the change list and the snapshot.
    async fn put_snapshot(
        &self,
        (head, mut next): (&Head, Next),
        (batch, work): (&Batch, &Work),
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<Link> {
        let sealed = Arc::clone(&work.changed);
        let list = cpu::run(move || sealed.seal()).await;
        let list = Some(list).filter(|l| fits(&l.link, limits::CHANGES, limits::CHANGES_RAW));
        let changes = list.as_ref().map(|l| l.link);
        // The change list, the bundle and all leaves at once; then the pages, the deepest first; the snapshot last.
        let wholes = list.into_iter().map(whole).chain(next.bundle.take());
        let wholes: Vec<_> = wholes.filter(|(link, _)| session.is_first(link)).collect();
        let mut jobs: Vec<_> = wholes.into_iter().map(|(link, payload)| Job::Whole(link, payload)).collect();
        jobs.extend(leaves(&mut next, &batch.spool));
        let mut of_index = self.put_jobs(jobs, session, options).await?;
        let of_details = of_index.split_off(of_index.partition_point(|(tree, _)| *tree == TreeKind::Index));
        let entries = |of: Vec<(TreeKind, Entry)>| -> Vec<Entry> { of.into_iter().map(|(_, entry)| entry).collect() };
        let (of_index, of_details) = (entries(of_index), entries(of_details));
        let cache = self.cache.clone();
        let (index, details) = cpu::run(move || {
            let closed = (next.index.close(&of_index), next.details.close(&of_details));
            if let Some(cache) = cache {
                let pages = closed.0.pages.iter().chain(&closed.1.pages);
                pages.for_each(|(entry, object)| cache.put(&entry.link, &object.bytes));
            }
            closed
        })
        .await;
        let mut pages: Vec<_> = index.pages.into_iter().chain(details.pages).collect();
        pages.sort_by_key(|(entry, _)| std::cmp::Reverse(entry.prefix.depth()));
        for level in pages.chunk_by(|(a, _), (b, _)| a.prefix.depth() == b.prefix.depth()) {
            let puts = level.iter().map(|(_, object)| whole(object.clone())).collect();
            self.put_all(puts, session, options).await?;
        }
        let snapshot = Snapshot {
            changes,
            created: options.now,
            details: details.top.first().copied(),
            format: FORMAT_VERSION,
            generation: head.slot.next_generation()?,
            packages: index.top.iter().map(|e| e.packages).sum(),
            releases: index.top.iter().map(|e| e.releases).sum(),
            index: index.top,
            previous: Some(head.slot.claim().snapshot),
            search: next.search,
            ..head.snapshot.clone()
        }
        .seal();
        if let Some(cache) = &self.cache {
            cache.put(&snapshot.link, &snapshot.bytes);
        }
        self.put_all(vec![whole(snapshot.clone())], session, options).await?;
        Ok(snapshot.link)
    }
}

/// The leaves that are yet to be made, of both trees.
fn leaves(next: &mut Next, spool: &Arc<Spool>) -> Vec<Job> {
    let shards = std::mem::take(&mut next.index.leaves).into_iter().map(|leaf| {
        let bytes = leaf.bytes();
        let make = move || {
            let object = Shard::seal(leaf.at, &leaf.items);
            Ok((leaf.entry(object.link), object))
        };
        Job::Leaf(TreeKind::Index, bytes, Box::new(make))
    });
    let details = std::mem::take(&mut next.details.leaves).into_iter().map(|leaf| {
        let (bytes, spool) = (leaf.bytes(), Arc::clone(spool));
        let make = move || {
            let object = details::seal(&leaf, &spool)?;
            Ok((leaf.entry(object.link), object))
        };
        Job::Leaf(TreeKind::Details, bytes, Box::new(make))
    });
    shards.chain(details).collect()
}

/// The bytes of a blob, to be read when its turn has come.
fn payload(at: &BlobAt, spool: &Arc<Spool>) -> Payload {
    Payload::Later(match at {
        BlobAt::File(path) => {
            let file = path.clone();
            Later { read: Arc::new(move |offset, len| read_file(&file, offset, len)), place: path.clone() }
        }
        BlobAt::Spool(range) => {
            let (spool, range) = (Arc::clone(spool), *range);
            let read = move |offset, len| spool.read(crate::source::SpoolRange { offset: range.offset + offset, len });
            Later { read: Arc::new(read), place: std::env::temp_dir() }
        }
    })
}

fn read_file(path: &std::path::Path, offset: u64, len: u64) -> std::io::Result<Bytes> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    // Not zeroed first: this is every byte that is published.
    let mut out = Vec::with_capacity(usize::try_from(len).map_err(|_| std::io::ErrorKind::OutOfMemory)?);
    if file.take(len).read_to_end(&mut out)? as u64 != len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(out.into())
}
