//! Where the registry stands: its newest slot, and the snapshot that slot commits.

use super::{details::Spooled, registry::Registry, watch::Watch};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, Entry, Item, Leaf, NodeType, PackageLines, Snapshot, Stored, TreeKind, keys, limits},
    index::{Missing, Node, Tree},
    store::{Fetched, UpdateVersion},
    trust::{Checkpoint, NoteError, Slot, TrustError},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// The newest commit, with as much of its trees as was needed so far.
pub(super) struct Head {
    pub(super) slot: Slot,
    pub(super) snapshot: Snapshot,
    pub(super) tree: Tree,
    /// Its details: the lines of leaves are in the spool of the run.
    pub(super) details: Tree<Spooled>,
}

impl Registry {
    /// The newest slot: what the checkpoint says, and then as many further slots as there are. A checkpoint that is behind
    /// was left so by a run that died after its claim; with `mend` it is brought up to date, since the claim is what counts (I3).
    pub(super) async fn newest_slot(&self, watch: &Watch, mend: bool) -> Result<Slot> {
        // Before anything is looked at: another process of this machine may commit while this one reads, and remember that.
        let known = self.trusted.load()?.map_or(0, |trusted| trusted.generation());
        let (seen, version) = match self.store.get_signed(keys::CHECKPOINT, None).await? {
            Fetched::New { bytes, version } => (Some(self.checkpoint(bytes)?), Some(version)),
            Fetched::NotModified | Fetched::Absent => (None, None),
        };
        let begin = seen.as_ref().map(|c| c.slot().clone());
        let Some(slot) = self.follow_log(begin.clone()).await? else { return Err(self.no_registry()?) };
        let checkpoint = Checkpoint::sign(&slot, &self.key)?;
        self.trusted.see(&checkpoint, watch.now())?.0.require_honest()?;
        if known > slot.claim().generation {
            return Err(rolled_back(&self.store.to_string(), known, slot.claim().generation));
        }
        if begin.as_ref() != Some(&slot) && mend {
            return self.mend(checkpoint, version, watch).await;
        }
        Ok(slot)
    }

    /// Brings the pointer up to date, and looks at the log again afterwards, as everybody does who writes it: a store without
    /// conditions may have taken our write for the last one, though another run committed and wrote before it (I12). Gives
    /// the newest slot.
    async fn mend(
        &self,
        mut checkpoint: Checkpoint,
        mut version: Option<UpdateVersion>,
        watch: &Watch,
    ) -> Result<Slot> {
        loop {
            // Where another moved it meanwhile, that one looks at the log again.
            let bytes = checkpoint.bytes().clone();
            self.store.put_pointer(keys::CHECKPOINT, keys::Class::Pointer, bytes, version).await?;
            let slot = checkpoint.slot();
            // Bounded by the log: each round needs a new commit.
            let Some(newest) = self.follow_log(Some(slot.clone())).await?.filter(|newest| newest != slot) else {
                return Ok(slot.clone());
            };
            checkpoint = Checkpoint::sign(&newest, &self.key)?;
            self.trusted.see(&checkpoint, watch.now())?.0.require_honest()?;
            version = match self.store.get_signed(keys::CHECKPOINT, None).await? {
                Fetched::New { bytes, .. }
                    if self.checkpoint(bytes.clone())?.generation() >= checkpoint.generation() =>
                {
                    return Ok(newest);
                }
                Fetched::New { version, .. } => Some(version),
                Fetched::NotModified | Fetched::Absent => None,
            };
        }
    }

    /// The pointer that is there.
    fn checkpoint(&self, bytes: Bytes) -> Result<Checkpoint> {
        Checkpoint::open(bytes, &self.keys).map_err(|e| {
            // By another key, it may well be one of another registry.
            let is_damaged = matches!(&e, TrustError::Note(e) if !matches!(e, NoteError::UnknownKeys { .. }));
            let error = Error::from(e);
            let hint = if is_damaged {
                "delete that object: the next run makes it anew from the log".to_owned()
            } else {
                error.hint().unwrap_or_default().to_owned()
            };
            let place = self.store.place(keys::CHECKPOINT);
            Error::new(error.kind(), format!("{place} is no checkpoint of this registry"))
                .with_source(error)
                .with_hint(hint)
        })
    }

    /// What to say of a store without a log: it never had one, or it lost it.
    fn no_registry(&self) -> Result<Error> {
        let store = &self.store;
        let Some(trusted) = self.trusted.load()? else {
            return Ok(Error::new(ErrorKind::Invalid, format!("there is no registry in {store}"))
                .with_hint("`ggen-market init` makes one"));
        };
        let message = format!("{store} is empty, but generation {} of this registry was here", trusted.generation());
        Ok(Error::new(ErrorKind::Untrusted, message)
            .with_hint("the store was emptied or is another one; restore it, or start a new registry under a new key"))
    }

    /// Follows the log from a slot to its end, checking each link of the chain.
    pub(super) async fn follow_log(&self, mut slot: Option<Slot>) -> Result<Option<Slot>> {
        loop {
            let next = slot.as_ref().map_or(Ok(0), Slot::next_generation)?;
            let Some(found) = self.read_slot(next).await? else { return Ok(slot) };
            if found.claim().previous != slot.as_ref().map(Slot::digest) {
                return Err(Error::new(
                    ErrorKind::Untrusted,
                    format!("{} does not continue the log", self.store.place(&keys::slot(next))),
                )
                .with_hint("the store holds slots of two different histories: it was restored or copied in part"));
            }
            slot = Some(found);
        }
    }

    pub(super) async fn read_slot(&self, generation: u64) -> Result<Option<Slot>> {
        let key = keys::slot(generation);
        match self.store.get_signed(&key, None).await? {
            Fetched::New { bytes, .. } => Slot::open(bytes, &self.keys, generation).map(Some).map_err(|e| {
                let error = Error::from(e);
                Error::new(error.kind(), format!("{} is not a slot of this registry", self.store.place(&key)))
                    .with_source(error)
            }),
            Fetched::NotModified | Fetched::Absent => Ok(None),
        }
    }

    /// The newest commit, and its snapshot.
    pub(super) async fn head(&self, watch: &Watch, mend: bool) -> Result<Head> {
        self.head_at(self.newest_slot(watch, mend).await?).await
    }

    /// The same, by a run that has looked already: one request, if nothing was committed since.
    pub(super) async fn head_since(&self, seen: Option<&Slot>, watch: &Watch, mend: bool) -> Result<Head> {
        match seen {
            Some(seen) if self.read_slot(seen.next_generation()?).await?.is_none() => self.head_at(seen.clone()).await,
            _ => self.head(watch, mend).await,
        }
    }

    async fn head_at(&self, slot: Slot) -> Result<Head> {
        let link = slot.claim().snapshot;
        let raw = self.store.get_raw_near(self.cache.as_ref(), &link, limits::NODE, limits::NODE_RAW).await?;
        let place = || self.store.place(&keys::blob(&link.sha256));
        let snapshot = Snapshot::read(&raw).map_err(|e| e.at(place()))?;
        if snapshot.origin != slot.claim().origin.as_str() {
            let e =
                format::FormatError::Malformed { what: "snapshot", reason: format!("it is of {}", snapshot.origin) };
            return Err(e.at(place()));
        }
        let tree = Tree::new(snapshot.top().map_err(|e| e.at(place()))?);
        let details = Tree::new(snapshot.details_top().map_err(|e| e.at(place()))?);
        Ok(Head { slot, snapshot, tree, details })
    }

    /// Runs a pure computation over the index.
    pub(super) async fn with_tree<T: Send + 'static>(
        &self,
        head: &mut Head,
        compute: impl Fn(&Tree) -> Result<T, Missing> + Clone + Send + 'static,
    ) -> Result<T> {
        self.computed(&mut head.tree, Ok::<Arc<Leaf<Arc<PackageLines>>>, Error>, compute).await
    }

    /// Runs a pure computation over a tree, fetching what it lacks until it lacks nothing. Each round goes one level
    /// deeper, so the depth of the tree bounds the rounds. What is kept of a leaf is what `keep` makes of it.
    pub(super) async fn computed<P: Stored, I: Item, T: Send + 'static>(
        &self,
        place: &mut Tree<I>,
        keep: impl Fn(Arc<Leaf<P>>) -> Result<Arc<Leaf<I>>> + Sync,
        compute: impl Fn(&Tree<I>) -> Result<T, Missing> + Clone + Send + 'static,
    ) -> Result<T> {
        loop {
            // The tree goes to the other pool and comes back.
            let (tree, compute) = (std::mem::take(place), compute.clone());
            let (tree, result) = cpu::run(move || {
                let result = compute(&tree);
                (tree, result)
            })
            .await;
            *place = tree;
            let mut lacking = match result {
                Ok(out) => return Ok(out),
                Err(Missing(lacking)) => lacking,
            };
            // A thousand packages may lack one shard.
            lacking.sort_unstable_by_key(|e| e.link.sha256);
            lacking.dedup_by_key(|e| e.link.sha256);
            let before = place.nodes.len();
            let keep = &keep;
            let mut fetched = futures::stream::iter(lacking)
                .map(|entry| async move { Ok::<_, Error>((entry.link.sha256, self.writable(&entry, keep).await?)) })
                .buffer_unordered(self.store.parallel());
            while let Some((sha256, node)) = fetched.try_next().await? {
                place.nodes.insert(sha256, node);
            }
            drop(fetched);
            if place.nodes.len() == before {
                return Err(Error::new(ErrorKind::Untrusted, format!("the index of {} cites itself", self.store)));
            }
        }
    }

    /// A node that may have to be written anew.
    async fn writable<P: Stored, I>(
        &self,
        entry: &Entry,
        keep: &(impl Fn(Arc<Leaf<P>>) -> Result<Arc<Leaf<I>>> + Sync),
    ) -> Result<Node<I>> {
        // Of the details only what leads to them is kept near: they are most of a registry that has no archives.
        let cache = self.cache.as_ref().filter(|_| P::TREE == TreeKind::Index || entry.node == NodeType::Page);
        let leaf = match self.store.get_node::<P>(cache, entry).await? {
            Node::Page(page) => return Ok(Node::Page(page)),
            Node::Leaf(leaf) => leaf,
        };
        if let Some(reason) = leaf.skipped.first() {
            // A reader may skip such a line. A writer would lose it.
            let place = self.store.place(&keys::blob(&entry.link.sha256));
            let message = format!("{place} holds a line that cannot be read: {reason}");
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint("upgrade ggen-market"));
        }
        keep(leaf).map(Node::Leaf)
    }
}

fn rolled_back(store: &str, trusted: u64, found: u64) -> Error {
    Error::new(
        ErrorKind::Untrusted,
        format!("{store} was put back: it stands at generation {found}, but generation {trusted} was committed"),
    )
    .with_hint("restore the missing objects; building on the older state would lose what was published since")
}
