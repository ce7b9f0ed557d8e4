//! Copying one state of a registry: what it consists of, children before their parents (invariant I1).

use super::{MirrorOptions, MirrorProgress, closure::Closure};
use crate::{
    Error, ErrorKind, Result,
    client::{Client, snapshot::id_of, verify::archive_of},
    cpu,
    format::{self, DetailLine, Entry, NodeType, PackageLines, Page, Snapshot, Stored, keys, limits},
    index::Node,
    package::{Link, Sha256},
    store::{Put, Store},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::JoinSet,
};

/// So many bytes of nodes that were read and will be needed again are kept: those on the way to a package that was looked up.
const HELD: u64 = 64 * 1024 * 1024;

/// A state that is to be copied, or was.
#[derive(Clone)]
pub(super) struct State {
    pub(super) snapshot: Snapshot,
    pub(super) top: Page,
    /// What leads to its details.
    pub(super) details: Page,
    pub(super) link: Link,
    bytes: Bytes,
    there: bool,
}

/// A state that the destination holds.
#[derive(Clone, Default)]
pub(super) struct Base {
    /// Its top page, where every node of it is there.
    pub(super) top: Option<Page>,
    /// What leads to its details, likewise.
    pub(super) details: Option<Page>,
    /// Where only a part of it is there: which.
    pub(super) part: Option<Arc<Closure>>,
    /// Its search bundles, which are there.
    pub(super) search: Vec<Sha256>,
}

impl Base {
    pub(super) fn of(state: State, part: Option<Arc<Closure>>) -> Self {
        let search = state.snapshot.search.iter().map(|b| b.link.sha256).collect();
        Self { top: Some(state.top), details: Some(state.details), part, search }
    }
}

/// What was done so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) present: AtomicU64,
    pub(super) packages: AtomicU64,
}

pub(super) struct Copier {
    pub(super) source: Client,
    pub(super) to: Store,
    options: MirrorOptions,
    pub(super) tally: Tally,
    /// Stored bytes of nodes, and whether they are at the destination.
    held: moka::sync::Cache<Sha256, (Bytes, bool)>,
    /// One for each object that may be on its way at the same time.
    turns: Semaphore,
    /// Objects on their way: two shards may link one, and both wait for it.
    under_way: Mutex<HashMap<Sha256, Arc<OnceCell<()>>>>,
    /// Shards of this state, for the progress.
    shards: (AtomicU64, AtomicU64),
}

impl Copier {
    pub(super) fn new(source: Client, to: Store, options: MirrorOptions) -> Arc<Self> {
        let weight = |_: &Sha256, v: &(Bytes, bool)| u32::try_from(v.0.len()).unwrap_or(u32::MAX);
        Arc::new(Self {
            source,
            turns: Semaphore::new(to.parallel()),
            to,
            options,
            tally: Tally::default(),
            held: moka::sync::Cache::builder().weigher(weight).max_capacity(HELD).build(),
            under_way: Mutex::default(),
            shards: Default::default(),
        })
    }

    pub(super) fn options(&self) -> &MirrorOptions {
        &self.options
    }

    /// The stored bytes of a small object, checked: from the destination where it has them, else from the source.
    async fn stored(&self, link: &Link, max: u64) -> Result<(Bytes, bool)> {
        if let Some(held) = self.held.get(&link.sha256) {
            return Ok(held);
        }
        let found = match self.to.get_linked(link, max).await {
            Ok(bytes) => (bytes, true),
            Err(_) => (self.source.timed(self.source.inner.store.get_linked(link, max)).await?, false),
        };
        self.held.insert(link.sha256, found.clone());
        Ok(found)
    }

    /// A node of either tree.
    pub(super) async fn node<I: Stored>(&self, entry: &Entry) -> Result<Node<I>> {
        let (bytes, _) = self.stored(&entry.link, limits::NODE).await?;
        self.parse(entry, bytes).await
    }

    /// A node of which the destination is believed to have the bytes.
    pub(super) async fn node_there<I: Stored>(&self, entry: &Entry) -> Result<Node<I>> {
        let bytes = match self.held.get(&entry.link.sha256) {
            Some((bytes, true)) => bytes,
            _ => self.to.get_linked(&entry.link, limits::NODE).await?,
        };
        self.held.insert(entry.link.sha256, (bytes.clone(), true));
        self.parse(entry, bytes).await
    }

    async fn parse<I: Stored>(&self, entry: &Entry, bytes: Bytes) -> Result<Node<I>> {
        let place = || self.source.inner.store.place(&keys::blob(&entry.link.sha256));
        if entry.link.raw.unwrap_or(entry.link.size) > limits::NODE_RAW {
            let size = entry.link.raw.unwrap_or_default();
            return Err(format::FormatError::TooLarge { size, max: limits::NODE_RAW }.at(place()));
        }
        let owned = *entry;
        let read = cpu::run(move || format::unpack(&bytes, &owned.link).and_then(|raw| Node::read(&owned, raw)));
        read.await.map_err(|e| e.at(place()))
    }

    /// The state behind the link of a slot.
    pub(super) async fn state(&self, link: &Link, generation: u64) -> Result<State> {
        let (bytes, there) = self.stored(link, limits::NODE).await?;
        let place = || self.source.inner.store.place(&keys::blob(&link.sha256));
        if link.raw.unwrap_or(link.size) > limits::NODE_RAW {
            let size = link.raw.unwrap_or_default();
            return Err(format::FormatError::TooLarge { size, max: limits::NODE_RAW }.at(place()));
        }
        let raw = format::unpack(&bytes, link).map_err(|e| e.at(place()))?;
        let snapshot = Snapshot::read(&raw).map_err(|e| e.at(place()))?;
        self.source.check_origin(&snapshot, &place())?;
        if snapshot.generation > generation {
            let what = format!("{} is of a later generation than cites it", place());
            return Err(Error::new(ErrorKind::Untrusted, what));
        }
        let top = snapshot.top().map_err(|e| e.at(place()))?;
        let details = snapshot.details_top().map_err(|e| e.at(place()))?;
        Ok(State { snapshot, top, details, link: *link, bytes, there })
    }

    /// Copies a state: all of it, or of a part the packages in it and the nodes on the way to them.
    pub(super) async fn copy(self: &Arc<Self>, state: &State, base: &Base, part: Option<&Arc<Closure>>) -> Result<()> {
        let changed = match part {
            Some(part) => Changed::part(part, base.part.as_deref()),
            None => self.differing::<Arc<PackageLines>>(&state.top, base.top.as_ref()).await?,
        };
        let Changed { leaves: shards, pages, old } = changed;
        self.shards.0.store(0, Ordering::Relaxed);
        self.shards.1.store(shards.len() as u64, Ordering::Relaxed);
        let work = Arc::new(Work { old, old_part: base.part.clone(), part: part.cloned() });
        let copier = Arc::clone(self);
        let shard = move |entry| Arc::clone(&copier).shard(entry, Arc::clone(&work));
        each(self.to.parallel(), shards, shard).await?;
        self.pages(pages).await?;
        self.details(state, base, part).await?;
        let Snapshot { changes, policy, stats, search, .. } = &state.snapshot;
        // Those of the state before are not looked at again: the first of them holds everything.
        let bundles = search.iter().map(|b| b.link).filter(|l| !base.search.contains(&l.sha256));
        let linked = [changes, policy, stats].into_iter().copied().flatten().chain(bundles);
        self.blobs(linked.collect()).await?;
        self.put(&state.link, state.bytes.clone(), state.there).await
    }

    /// Copies the details of a state: leaves as they are, then pages.
    async fn details(self: &Arc<Self>, state: &State, base: &Base, part: Option<&Arc<Closure>>) -> Result<()> {
        let Changed { leaves, pages, .. } = match part {
            Some(part) => Changed::details(part, base.part.as_deref()),
            None => self.differing::<DetailLine>(&state.details, base.details.as_ref()).await?,
        };
        each(self.to.parallel(), leaves, |entry: Entry| {
            let copier = Arc::clone(self);
            async move { copier.blob(&entry.link).await }
        })
        .await?;
        self.pages(pages).await
    }

    /// Copies pages, whose children are there: the deepest first.
    async fn pages(self: &Arc<Self>, mut pages: Vec<Entry>) -> Result<()> {
        pages.sort_by_key(|e| std::cmp::Reverse(e.prefix.depth()));
        for level in pages.chunk_by(|a, b| a.prefix.depth() == b.prefix.depth()) {
            let copier = Arc::clone(self);
            each(self.to.parallel(), level.to_vec(), move |entry: Entry| {
                let copier = Arc::clone(&copier);
                async move {
                    let (bytes, there) = copier.stored(&entry.link, limits::NODE).await?;
                    copier.put(&entry.link, bytes, there).await
                }
            })
            .await?;
        }
        Ok(())
    }

    /// What a state has and another one has not: nothing below a link that both have is looked at.
    async fn differing<I: Stored>(&self, new: &Page, old: Option<&Page>) -> Result<Changed> {
        let mut out = Changed::default();
        let mut news = new.entries().to_vec();
        let mut olds = old.map_or_else(Vec::new, |p| p.entries().to_vec());
        while !news.is_empty() {
            let known: HashSet<Sha256> = olds.iter().map(|e| e.link.sha256).collect();
            let wanted: HashSet<Sha256> = news.iter().map(|e| e.link.sha256).collect();
            news.retain(|e| !known.contains(&e.link.sha256));
            olds.retain(|e| !wanted.contains(&e.link.sha256));
            let (pages, leaves): (Vec<Entry>, Vec<_>) = news.iter().partition(|e| e.node == NodeType::Page);
            let (old_pages, old_leaves): (Vec<Entry>, Vec<_>) = olds.iter().partition(|e| e.node == NodeType::Page);
            out.leaves.extend(leaves);
            out.old.extend(old_leaves);
            out.pages.extend(&pages);
            (news, olds) = (Vec::new(), Vec::new());
            let mut opened = stream::iter(pages)
                .map(|page| async move { self.node::<I>(&page).await })
                .buffer_unordered(self.to.parallel());
            while let Some(node) = opened.try_next().await? {
                news.extend(node.entries());
            }
            let mut opened = stream::iter(old_pages)
                .map(|page| async move { self.node_there::<I>(&page).await })
                .buffer_unordered(self.to.parallel());
            while let Some(node) = opened.next().await {
                // One that is not there any more leads to nothing that can be relied on.
                if let Ok(node) = &node {
                    olds.extend(node.entries());
                }
            }
        }
        out.old.sort_by_key(|e| e.prefix);
        Ok(out)
    }

    /// Copies what a shard links, then the shard.
    async fn shard(self: Arc<Self>, entry: Entry, work: Arc<Work>) -> Result<()> {
        let (bytes, there) = self.stored(&entry.link, limits::NODE).await?;
        let node = self.parse(&entry, bytes.clone()).await?;
        let mut known = HashSet::new();
        for old in overlapping(&work.old, &entry) {
            // One that is not there any more says nothing about what is.
            if let Ok(node) = self.node_there(old).await {
                known.extend(links(&node, work.old_part.as_deref()).1.into_iter().map(|l| l.sha256));
            }
        }
        let part = work.part.clone();
        let (packages, mut wanted) = cpu::run(move || links(&node, part.as_deref())).await;
        wanted.retain(|l| known.insert(l.sha256));
        self.blobs(wanted).await?;
        self.put(&entry.link, bytes, there).await?;
        self.tally.packages.fetch_add(packages, Ordering::Relaxed);
        self.shards.0.fetch_add(1, Ordering::Relaxed);
        self.tell();
        Ok(())
    }

    /// Copies objects of any size. No tasks of their own: there is one for each shard.
    async fn blobs(&self, links: Vec<Link>) -> Result<()> {
        let copies = stream::iter(links).map(|link| async move { self.blob(&link).await });
        copies.buffer_unordered(self.to.parallel()).try_collect().await
    }

    async fn blob(&self, link: &Link) -> Result<()> {
        let under_way = || self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = Arc::clone(under_way().entry(link.sha256).or_default());
        let copied = cell.get_or_try_init(|| self.copy_blob(link)).await.map(drop);
        // Whoever asks again finds it at the destination.
        under_way().remove(&link.sha256);
        copied
    }

    async fn copy_blob(&self, link: &Link) -> Result<()> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let put = if self.options.dry_run {
            if self.to.has_size(link).await { Put::Present } else { Put::Written }
        } else {
            self.to.copy_linked(link, &self.source.inner.store).await?
        };
        self.count(link, put);
        Ok(())
    }

    /// Puts a node whose children are all there.
    async fn put(&self, link: &Link, bytes: Bytes, there: bool) -> Result<()> {
        if !there && !self.options.dry_run {
            self.to.put_checked(link, bytes.clone()).await?;
            self.held.insert(link.sha256, (bytes, true));
        }
        self.count(link, if there { Put::Present } else { Put::Written });
        Ok(())
    }

    pub(super) fn count(&self, link: &Link, put: Put) {
        match put {
            Put::Present => drop(self.tally.present.fetch_add(1, Ordering::Relaxed)),
            Put::Written => self.written(link.size),
        }
        self.tell();
    }

    pub(super) fn written(&self, bytes: u64) {
        self.tally.objects.fetch_add(1, Ordering::Relaxed);
        self.tally.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn tell(&self) {
        if let Some(tell) = &self.options.progress {
            let now = |n: &AtomicU64| n.load(Ordering::Relaxed);
            tell(MirrorProgress {
                objects: now(&self.tally.objects),
                bytes: now(&self.tally.bytes),
                shards: now(&self.shards.0),
                of_shards: now(&self.shards.1),
            });
        }
    }
}

/// The nodes of a state that may have to be copied.
#[derive(Default)]
struct Changed {
    leaves: Vec<Entry>,
    pages: Vec<Entry>,
    /// Leaves of the state that the destination has, in order: what they link needs no copying.
    old: Vec<Entry>,
}

impl Changed {
    fn part(part: &Closure, old: Option<&Closure>) -> Self {
        let of =
            |part: &Closure, node| -> Vec<Entry> { part.nodes.values().filter(|e| e.node == node).copied().collect() };
        let mut shards = of(part, NodeType::Shard);
        let mut old = old.map_or_else(Vec::new, |old| of(old, NodeType::Shard));
        // In order, so that two runs do the same.
        shards.sort_by_key(|e| e.prefix);
        old.sort_by_key(|e| e.prefix);
        Self { leaves: shards, pages: of(part, NodeType::Page), old }
    }

    fn details(part: &Closure, old: Option<&Closure>) -> Self {
        let new = part.details.iter().filter(|(sha256, _)| !old.is_some_and(|old| old.details.contains_key(*sha256)));
        let (pages, mut leaves): (Vec<Entry>, Vec<Entry>) =
            new.map(|(_, entry)| *entry).partition(|e| e.node == NodeType::Page);
        leaves.sort_by_key(|e| e.prefix);
        Self { leaves, pages, old: Vec::new() }
    }
}

struct Work {
    old: Vec<Entry>,
    old_part: Option<Arc<Closure>>,
    part: Option<Arc<Closure>>,
}

/// Of entries in order that do not overlap each other, those that overlap this one.
fn overlapping<'a>(old: &'a [Entry], entry: &'a Entry) -> impl Iterator<Item = &'a Entry> {
    let at = old.partition_point(|o| o.prefix < entry.prefix);
    let above = old[..at].last().filter(|o| o.prefix.contains(entry.prefix));
    above.into_iter().chain(old[at..].iter().take_while(|o| entry.prefix.contains(o.prefix)))
}

/// How many packages of a shard are wanted, and what they link.
fn links(node: &Node, part: Option<&Closure>) -> (u64, Vec<Link>) {
    let Node::Leaf(shard) = node else { return (0, Vec::new()) };
    let mut out = Vec::new();
    let mut count = 0;
    for lines in shard.items.iter().filter(|p| part.is_none_or(|part| part.packages.contains(&p.key))) {
        count += 1;
        if id_of(&lines.label).is_some() {
            out.extend(lines.lines.iter().filter_map(|l| l.record().ok()).filter_map(|r| archive_of(&r)));
        }
    }
    (count, out)
}

/// Runs `work` on each of these, so many at once, each as a task of its own; ends at the first error, when the others have
/// stopped. Dropped, they stop as well.
async fn each<T, R>(at_once: usize, items: Vec<T>, work: impl Fn(T) -> R) -> Result<()>
where
    R: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut items = items.into_iter();
    loop {
        while running.len() < at_once
            && let Some(item) = items.next()
        {
            running.spawn(work(item));
        }
        let outcome = match running.join_next().await {
            None => return Ok(()),
            Some(Ok(done)) => done,
            Some(Err(e)) => Err(Error::new(ErrorKind::Io, "a task of the copy broke off").with_source(e)),
        };
        if outcome.is_err() {
            running.shutdown().await;
            return outcome;
        }
    }
}
