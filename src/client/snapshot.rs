//! One verified state of the registry, and lookups in it.

use super::{
    Client, Package,
    partial::{self, LeftOut, part_of},
};
use crate::{
    Error, ErrorKind, Result,
    format::{Entry, FormatError, Page, Snapshot, keys},
    index::{self, Node, Nodes, Tree},
    package::{Detail, Kind, Link, PackageId, PackageName, PackageSpec, Record, Sha256},
};
use futures::{Stream, StreamExt, TryStreamExt};
use std::{fmt, sync::Arc};

/// How many nodes a listing fetches ahead.
const AHEAD: usize = 8;

/// One state of a registry. Cheap to clone; it stays what it is while the registry moves on.
#[derive(Clone)]
pub struct SnapshotReader {
    client: Client,
    shared: Arc<Shared>,
}

/// What a reader has read. Caches of a client keep this and no reader: a reader holds its client, so neither would ever go.
pub(super) struct Shared {
    snapshot: Snapshot,
    top: Page,
    details: Page,
    link: Link,
    generation: u64,
}

impl SnapshotReader {
    pub(super) fn new(client: Client, snapshot: Snapshot, link: Link, generation: u64) -> Result<Self, FormatError> {
        let (top, details) = (snapshot.top()?, snapshot.details_top()?);
        Ok(Self { client, shared: Arc::new(Shared { snapshot, top, details, link, generation }) })
    }

    /// A reader of what another one has read.
    pub(super) fn of(client: Client, shared: Arc<Shared>) -> Self {
        Self { client, shared }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The generation that commits it.
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// The snapshot itself: counts, time, links.
    pub fn snapshot(&self) -> &Snapshot {
        &self.shared.snapshot
    }

    /// The link that cites it.
    pub fn link(&self) -> &Link {
        &self.shared.link
    }

    pub(super) fn top(&self) -> &Page {
        &self.shared.top
    }

    /// What leads to the details.
    pub(super) fn details(&self) -> &Page {
        &self.shared.details
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// A package; `None` is proved: the shard that would hold it was read and verified.
    pub async fn package(&self, id: &PackageId) -> Result<Option<Arc<Package>>> {
        let key = id.key();
        let mut page = None;
        loop {
            let at: &Page = page.as_deref().unwrap_or(&self.shared.top);
            let Some(entry) = at.find(&key).copied() else { return Ok(None) };
            if let Some((package, _)) = self.client.inner.packages.get(&(entry.link.sha256, key)) {
                return Ok(Some(package));
            }
            let node = self.client.node(&entry).await;
            match self.client.explained(self.generation(), id, node).await? {
                Node::Page(next) => page = Some(next),
                Node::Leaf(shard) => {
                    return Ok(shard.find(&key).map(|lines| self.read(&entry.link.sha256, id, lines)));
                }
            }
        }
    }

    /// Parses a package, once.
    fn read(&self, shard: &Sha256, id: &PackageId, lines: &crate::format::PackageLines) -> Arc<Package> {
        let package = Arc::new(Package::read(id.clone(), lines));
        // A parsed record takes about three times its line.
        let weight = u32::try_from(lines.bytes().saturating_mul(3)).unwrap_or(u32::MAX);
        self.client.inner.packages.insert((*shard, lines.key), (Arc::clone(&package), weight));
        package
    }

    /// Many packages, in the order asked; each shard is fetched once, all of one level in parallel.
    pub async fn get_many(&self, ids: &[PackageId]) -> Result<Vec<Option<Arc<Package>>>> {
        let mut keys: Vec<_> = ids.iter().map(PackageId::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut tree = Tree { top: self.shared.top.clone(), nodes: Nodes::new() };
        loop {
            let lacking = index::missing(&tree.top, &tree.nodes, &keys);
            if lacking.is_empty() {
                break;
            }
            let mut fetched = futures::stream::iter(lacking)
                .map(|entry| async move { (entry, self.client.node(&entry).await) })
                .buffer_unordered(self.client.inner.store.parallel());
            while let Some((entry, node)) = fetched.next().await {
                let asked = ids.iter().find(|id| entry.prefix.covers(&id.key()));
                let what = asked.map_or_else(|| "this".to_owned(), ToString::to_string);
                let node = self.client.explained(self.generation(), what, node).await?;
                tree.nodes.insert(entry.link.sha256, node);
            }
        }
        let find = |id: &PackageId| {
            // Nothing is missing any more; an entry that cites itself would be, and is not followed.
            let lines = index::lookup(&tree, &id.key()).ok().flatten()?;
            Some(Arc::new(Package::read(id.clone(), lines)))
        };
        Ok(ids.iter().map(find).collect())
    }

    /// The one package that a name means.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Invalid`] when a bare name means several.
    pub async fn find(&self, spec: &PackageSpec) -> Result<Arc<Package>> {
        let found = self.get_many(&spec.candidates()?).await.map_err(|e| Self::other_kind(spec, e))?;
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        let id = self.only(spec, found.iter().map(|p| p.id.clone()).collect())?;
        found.retain(|p| p.id == id);
        found.pop().ok_or_else(|| self.no_such(spec))
    }

    /// A mirror that was made for one of the kinds does not know about the other.
    pub(super) fn other_kind(spec: &PackageSpec, e: Error) -> Error {
        match spec.kind {
            None if partial::is_not_mirrored(&e) => e.with_hint(format!(
                "if you mean the other one of that name, say its kind: crate:{0}, pack:{0}",
                spec.name
            )),
            _ => e,
        }
    }

    /// The one of the packages that are there which a name means.
    pub(super) fn only(&self, spec: &PackageSpec, mut there: Vec<PackageId>) -> Result<PackageId> {
        match (there.pop(), there.is_empty()) {
            (Some(id), true) => Ok(id),
            (None, _) => Err(self.no_such(spec)),
            (Some(id), false) => {
                there.push(id);
                let kinds: Vec<_> = there.iter().map(|id| format!("{}:{}", id.kind(), spec.name)).collect();
                Err(Error::new(ErrorKind::Invalid, format!("{} is the name of several packages", spec.name))
                    .with_hint(format!("say which: {}", kinds.join(" or "))))
            }
        }
    }

    fn no_such(&self, spec: &PackageSpec) -> Error {
        let what = spec.kind.map_or_else(|| "package".to_owned(), |k| k.to_string());
        let message = format!("{} has no {what} {}", self.shared.snapshot.origin, spec.name);
        Error::new(ErrorKind::NotFound, message).with_hint("`ggen-market list --prefix` shows what there is")
    }

    /// The one release that `NAME@VERSION` means, or the newest where no version is given.
    pub async fn find_release(&self, spec: &PackageSpec) -> Result<Record> {
        let package = self.find(spec).await?;
        let Some(version) = &spec.version else {
            return package.newest().cloned().ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("every release of {} is yanked or removed", package.id))
                    .with_hint(format!("`ggen-market versions {}` lists them", package.id))
            });
        };
        package.release(version).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{} has no release {version}", package.id))
                .with_hint(format!("`ggen-market versions {}` lists what there is", package.id))
        })
    }

    /// Every package, in the order of the index (by hash), read a few nodes ahead: memory stays flat however large the
    /// registry is. Of a partial mirror those that it holds, with a warning in the log.
    pub fn list(&self) -> impl Stream<Item = Result<Package>> + Send + 'static {
        let reader = self.clone();
        self.shards()
            .map_ok(move |(_, node)| {
                let packages = reader.packages_of(&node);
                futures::stream::iter(packages.into_iter().map(Ok))
            })
            .try_flatten()
    }

    fn packages_of(&self, node: &Node) -> Vec<Package> {
        let Node::Leaf(shard) = node else { return Vec::new() };
        shard.items.iter().filter_map(|lines| Some(Package::read(id_of(&lines.label)?, lines))).collect()
    }

    /// Every shard, in order; of a partial mirror those that it holds.
    pub(super) fn shards(&self) -> impl Stream<Item = Result<(Entry, Node)>> + Send + 'static {
        let (reader, left_out) = (self.clone(), LeftOut::default());
        let shared = left_out.clone();
        let leaves = futures::stream::iter(self.shared.top.entries().to_vec())
            .map(move |entry| reader.clone().leaves(entry, shared.clone()))
            .buffered(AHEAD)
            .try_flatten();
        let reader = self.clone();
        leaves
            .map_ok(move |entry| {
                let (client, left_out) = (reader.client.clone(), left_out.clone());
                let generation = reader.generation();
                async move {
                    let node = client.node_if_mirrored(generation, &entry, &left_out).await?;
                    Ok(node.map(|node| (entry, node)))
                }
            })
            .try_buffered(AHEAD)
            .try_filter_map(|found| futures::future::ready(Ok(found)))
    }

    /// The shard entries below an entry.
    async fn leaves(
        self,
        entry: Entry,
        left_out: LeftOut,
    ) -> Result<futures::stream::Iter<std::vec::IntoIter<Result<Entry>>>> {
        let mut out = Vec::new();
        let mut rest = vec![entry];
        while let Some(entry) = rest.pop() {
            if entry.node == crate::format::NodeType::Shard {
                out.push(Ok(entry));
            } else if let Some(Node::Page(page)) =
                self.client.node_if_mirrored(self.generation(), &entry, &left_out).await?
            {
                rest.extend(page.entries().iter().rev());
            }
        }
        Ok(futures::stream::iter(out))
    }

    pub(super) fn nodes(&self, entries: Vec<Entry>) -> impl Stream<Item = Result<(Entry, Node)>> + use<> {
        let (client, generation) = (self.client.clone(), self.generation());
        let parallel = client.inner.store.parallel();
        futures::stream::iter(entries)
            .map(move |entry| {
                let client = client.clone();
                async move {
                    let node = client.node(&entry).await;
                    let node = client.explained(generation, part_of(generation), node).await?;
                    Ok((entry, node))
                }
            })
            .buffer_unordered(parallel)
    }

    /// Description, readme and manifest of a release, where it has them; that it has none is proved, as with
    /// [`package`](Self::package).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for one that a newer program wrote.
    pub async fn detail(&self, record: &Record) -> Result<Option<Detail>> {
        // A tombstone is known to have none.
        let Some(key) = record.detail_key().filter(|_| record.removed.is_none()) else { return Ok(None) };
        let mut page = None;
        loop {
            let at: &Page = page.as_deref().unwrap_or(&self.shared.details);
            let Some(entry) = at.find(&key).copied() else { return Ok(None) };
            let node = self.client.detail_node(&entry).await;
            match self.client.explained(self.generation(), partial::release(record), node).await? {
                Node::Page(next) => page = Some(next),
                Node::Leaf(leaf) => {
                    let place = || self.client.inner.store.place(&keys::blob(&entry.link.sha256));
                    return leaf.find(&key).map(|line| line.detail().map_err(|e| e.at(place()))).transpose();
                }
            }
        }
    }
}

/// The package of a stored label; `None` for kinds that this program does not know.
pub(super) fn id_of(label: &str) -> Option<PackageId> {
    let (kind, name) = label.split_once('/')?;
    PackageId::new(kind.parse::<Kind>().ok()?, &PackageName::new(name).ok()?).ok()
}

impl fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotReader({} generation {})", self.shared.snapshot.origin, self.shared.generation)
    }
}
