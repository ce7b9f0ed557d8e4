//! Putting what a commit will cite: archives and details, then nodes, then the snapshot.

use super::{
    commit::Batch,
    head::Head,
    options::{BuildOptions, Progress},
    plan::{BlobAt, Outcome, What},
    registry::Registry,
    search::require_fit,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{Changes, Entry, FORMAT_VERSION, NodeType, Object, PackageLines, SearchBundle, Snapshot, limits},
    index::{Edited, edit},
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
    pub(super) tally: Tally,
    /// The run's, showing what time it is rather than what is stamped.
    watch: Watch,
    /// Its own.
    began: Watch,
}

impl Session {
    pub(super) fn begin(watch: Watch) -> Self {
        Self { done: HashSet::new(), tally: Tally::default(), watch, began: Watch::start(watch.now()) }
    }

    /// Forgets what was written, and only counts it.
    pub(super) fn anew(self) -> Self {
        Self { tally: self.tally, ..Self::begin(self.watch) }
    }

    /// The time by which an object that is there is old.
    pub(super) fn now(&self) -> Timestamp {
        self.watch.now()
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
    edited: Edited,
    bundle: Option<(Link, Payload)>,
    search: Vec<SearchBundle>,
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
        // Out of memory before the tree is made.
        let bundle = search.new.map(|built| self.put_later(built, batch)).transpose()?;
        self.put_blobs(batch, &work.outcomes, session, options).await?;
        let packages = Arc::clone(&work.packages);
        let edited = self.with_tree(head, move |t| edit(&t.top, &t.nodes, &packages)).await?;
        let next = Next { edited, bundle, search: search.cited };
        let link = self.put_snapshot(head, next, &work.changed, session, options).await?;
        self.store.flush().await?;
        Ok(link)
    }

    /// Puts the archives and details of the releases that are new.
    async fn put_blobs(
        &self,
        batch: &Batch,
        outcomes: &[Outcome],
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<()> {
        let new = batch.changes.iter().zip(outcomes).filter_map(|(change, outcome)| match (&change.what, outcome) {
            (What::Add { blobs, .. }, Outcome::Added | Outcome::Restored) => Some(blobs),
            _ => None,
        });
        let puts = new.flatten().map(|blob| (blob.link, payload(&blob.at, &batch.spool))).collect();
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
        let total = puts.len() as u64;
        let mut finished = 0;
        let now = session.now();
        let mut running =
            futures::stream::iter(puts)
                .map(|(link, payload)| async move {
                    self.store.put_linked(&link, payload, now).await.map(|put| (link, put))
                })
                .buffer_unordered(self.store.puts_at_once());
        while let Some((link, put)) = running.try_next().await? {
            session.note(&link, put);
            finished += 1;
            options.report(Progress::Put { finished, total });
        }
        Ok(())
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
        head: &Head,
        next: Next,
        changed: &Arc<Changes>,
        session: &mut Session,
        options: &BuildOptions,
    ) -> Result<Link> {
        let Next { edited: Edited { top, nodes }, bundle, search } = next;
        if let Some((entry, _)) = nodes.iter().find(|(_, o)| !fits(&o.link, limits::NODE, limits::NODE_RAW)) {
            let what = format!("the releases below {:?} do not fit into a shard any more", entry.prefix);
            return Err(Error::new(ErrorKind::Refused, what)
                .with_hint("one package has far too many releases, or records that are far too large"));
        }
        let sealed = Arc::clone(changed);
        let list = cpu::run(move || sealed.seal()).await;
        let list = Some(list).filter(|l| fits(&l.link, limits::CHANGES, limits::CHANGES_RAW));
        let changes = list.as_ref().map(|l| l.link);
        if let Some(cache) = self.cache.clone() {
            // The next run begins with what this one ends with; and a cache may be ahead: it is asked by digest.
            let nodes = nodes.clone();
            cpu::run(move || nodes.iter().for_each(|(entry, object)| cache.put(&entry.link, &object.bytes))).await;
        }
        // The change list and all shards at once; then the pages, the deepest first; the snapshot last.
        let mut puts: Vec<_> = list.into_iter().map(whole).chain(bundle).collect();
        let level = |e: &Entry| (e.node == NodeType::Page).then_some(e.prefix.depth());
        for nodes in nodes.chunk_by(|(a, _), (b, _)| level(a) == level(b)) {
            puts.extend(nodes.iter().map(|(_, object)| whole(object.clone())));
            self.put_all(std::mem::take(&mut puts), session, options).await?;
        }
        let snapshot = Snapshot {
            changes,
            created: options.now,
            format: FORMAT_VERSION,
            generation: head.slot.next_generation()?,
            packages: top.iter().map(|e| e.packages).sum(),
            releases: top.iter().map(|e| e.releases).sum(),
            index: top,
            previous: Some(head.slot.claim().snapshot),
            search,
            ..head.snapshot.clone()
        }
        .seal();
        if let Some(cache) = &self.cache {
            cache.put(&snapshot.link, &snapshot.bytes);
        }
        self.put_all(puts, session, options).await?;
        self.put_all(vec![whole(snapshot.clone())], session, options).await?;
        Ok(snapshot.link)
    }
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
