//! Reading a registry: what a program embeds.
//!
//! A [`Client`] knows where the registry is, which key it must be signed by, and what was trusted last. It hands out
//! [`SnapshotReader`]s: one verified state each, so that a program that looks up ten packages sees them all as of one
//! moment. Nodes of the index never change, so they are cached for ever: in memory, and on disk by their digest.
//!
//! Every call can be dropped at any time (that is how a future is cancelled): nothing is left behind but a temporary file
//! that the operating system removes.

mod absent;
mod archives;
mod bundle;
mod fetch;
mod history;
mod install;
mod measure;
mod mirror;
mod options;
mod package;
mod partial;
mod resolve;
mod search;
mod snapshot;
mod verify;

pub use bundle::Bundle;
pub use history::{Generation, Pin};
pub use install::{InstallPlan, InstallReport, Installed, Installer, installed};
pub use mirror::{MirrorOptions, MirrorProgress, MirrorReport};
pub use options::ClientOptions;
pub use package::Package;
pub use resolve::Resolver;
pub use search::{SearchMode, Searcher};
pub use snapshot::SnapshotReader;
pub use verify::{NotMirrored, Problem, Verified, VerifyOptions};

use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, DetailLine, Entry, PackageLines, Snapshot, Stored, keys, limits},
    index::Node,
    package::{Link, Sha256, Timestamp},
    resolve::Candidates,
    store::{Answered, DiskCache, Store, TrustedState},
    trust::{Checkpoint, VerifierKey},
};
use bytes::Bytes;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, PoisonError},
};

/// A registry, for those who read it. Cheap to clone; all clones share the caches.
///
/// ```no_run
/// # async fn example() -> Result<(), ggen_marketplace::Error> {
/// use ggen_marketplace::{Client, ClientOptions, Store};
/// let store = Store::open("https://packages.example.com/ggen")?;
/// let key = "packages.example.com/ggen+c5ac1d3d+AYx…".parse()?;
/// let client = Client::new(store, &[key], ClientOptions::default())?;
/// let newest = client.latest().await?;
/// let package = newest.find(&"hello-pack".parse()?).await?;
/// println!("{:?}", package.newest().map(|r| &r.version));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    keys: Vec<VerifierKey>,
    options: ClientOptions,
    trusted: Option<TrustedState>,
    disk: Option<DiskCache>,
    /// Whether it was looked for what killed processes left among the archives.
    swept: Once,
    /// Parsed nodes, weighed by their uncompressed bytes. Whoever wants one that somebody else is fetching waits for it.
    nodes: NodeCache<Arc<PackageLines>>,
    /// The same of the tree of details.
    details: NodeCache<DetailLine>,
    /// Parsed packages, by shard and key.
    packages: moka::sync::Cache<(Sha256, Sha256), (Arc<Package>, u32)>,
    /// Packages as resolving sees them, by shard and key.
    candidates: moka::sync::Cache<(Sha256, Sha256), (Arc<Candidates>, u32)>,
    /// The newest state, for as long as it is fresh. All who ask at the same time share one question.
    newest: moka::future::Cache<(), Current>,
    search: search::Caches,
    /// What was fetched last, so that the next question can be a conditional one.
    current: Mutex<Option<Current>>,
}

/// An object of so many bytes is decompressed and parsed faster than it is handed to another thread.
const SMALL: usize = 256 * 1024;

/// Nodes of one tree, by digest.
type NodeCache<I> = moka::future::Cache<Sha256, (Node<I>, u32)>;

/// A cache of so many bytes.
fn node_cache<I: Stored>(bytes: u64) -> NodeCache<I> {
    moka::future::Cache::builder().weigher(|_, v: &(Node<I>, u32)| v.1).max_capacity(bytes).build()
}

#[derive(Clone)]
struct Current {
    state: Arc<snapshot::Shared>,
    checkpoint: Checkpoint,
    /// Of each mirror that showed this very checkpoint.
    etags: Vec<Option<String>>,
}

impl Client {
    /// A client for the registry at an address that is signed by this key: all that most programs need.
    ///
    /// ```
    /// # use ggen_marketplace::{BuildOptions, Registry, SigningKey, Store};
    /// use ggen_marketplace::{Client, ClientOptions, SearchRequest};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let list = dir.path().join("list.jsonl");
    /// # std::fs::write(&list, format!(
    /// #     r#"{{"name":"hello-pack","version":"1.0.0","summary":"Says hello","sha256":"{}","size":1,"download_url":"https://example.com/a.tar.gz"}}"#,
    /// #     "0".repeat(64)))?;
    /// # let address = dir.path().join("registry").display().to_string();
    /// # let secret = SigningKey::generate("packages.example.com".parse()?)?;
    /// # let key = secret.verifier().to_string();
    /// # let registry = Registry::new(Store::create(&address)?, secret, dir.path());
    /// # registry.init(&BuildOptions::now()).await?;
    /// # registry.build(&[list], &BuildOptions::now()).await?;
    /// # let cache = dir.path().join("cache");
    /// let client = Client::open(&address, &key, ClientOptions::default().with_cache(cache))?;
    /// let newest = client.latest().await?;
    /// let package = newest.find(&"hello-pack".parse()?).await?;
    /// assert_eq!(package.newest().unwrap().version.to_string(), "1.0.0");
    /// let found = client.search(&SearchRequest::new("hello")).await?;
    /// assert_eq!(found.hits[0].summary, "Says hello");
    /// let fits = client.resolve().want("hello-pack@^1".parse()?).run().await?;
    /// assert_eq!(fits.packages.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the address or the key is none.
    pub fn open(address: &str, key: &str, options: ClientOptions) -> Result<Self> {
        let key = key.parse::<VerifierKey>()?;
        Self::new(Store::open(address)?, &[key], options)
    }

    /// A client for the registry in `store` that is signed by one of `keys`, all of the same origin.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no key.
    pub fn new(store: Store, keys: &[VerifierKey], options: ClientOptions) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, format!("no key is pinned for {store}")).with_hint(
                "a registry is only as good as the key that it is checked against: take it from its operator",
            ));
        }
        let trusted = options.cache.as_deref().map(|folder| TrustedState::new(folder, keys));
        Ok(Self::with_trust(store, keys.to_vec(), options, trusted))
    }

    fn with_trust(store: Store, keys: Vec<VerifierKey>, options: ClientOptions, trusted: Option<TrustedState>) -> Self {
        let disk = options.cache.as_deref().map(DiskCache::new);
        // Of the details, those that were read last: whoever reads all of a package's finds them side by side.
        let details = node_cache(options.memory / 16);
        let nodes = node_cache(options.memory / 2 - options.memory / 16);
        let newest = moka::future::Cache::builder().max_capacity(1).time_to_live(options.freshness).build();
        let packages = moka::sync::Cache::builder()
            .weigher(|_, v: &(Arc<Package>, u32)| v.1)
            .max_capacity(options.memory / 4)
            .build();
        let candidates = moka::sync::Cache::builder()
            .weigher(|_, v: &(Arc<Candidates>, u32)| v.1)
            .max_capacity(options.memory / 4)
            .build();
        let search = search::Caches::new(options.memory);
        let current = Mutex::new(None);
        let inner = Inner {
            store,
            keys,
            options,
            trusted,
            disk,
            swept: Once::new(),
            nodes,
            details,
            packages,
            candidates,
            newest,
            search,
            current,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where it reads.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The newest state of the registry that can be had and trusted.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] for a checkpoint that does not verify or contradicts an earlier one,
    /// [`ErrorKind::Expired`], [`ErrorKind::Unavailable`].
    pub async fn latest(&self) -> Result<SnapshotReader> {
        if let Some(newest) = self.inner.newest.get(&()).await
            && !self.is_fresh(&newest.checkpoint)
        {
            self.inner.newest.invalidate(&()).await;
        }
        let newest = self.inner.newest.try_get_with((), self.ask_for_newest()).await;
        newest.map(|newest| SnapshotReader::of(self.clone(), newest.state)).map_err(Error::shared)
    }

    async fn ask_for_newest(&self) -> Result<Current> {
        let current = self.current();
        let (checkpoint, etags) = self.checkpoint(current.as_ref()).await?;
        let newest = match current {
            Some(current) if current.checkpoint == checkpoint => Current { etags, ..current },
            _ => {
                let reader = self.reader(&checkpoint.slot().claim().snapshot, checkpoint.generation()).await?;
                Current { state: reader.shared(), checkpoint, etags }
            }
        };
        *self.lock() = Some(newest.clone());
        Ok(newest)
    }

    /// The checkpoint to go by, decided as [`trust::decide`](crate::trust::decide) says, and the ETags under which mirrors
    /// showed it.
    async fn checkpoint(&self, current: Option<&Current>) -> Result<(Checkpoint, Vec<Option<String>>)> {
        let Inner { store, keys, options, trusted, .. } = &*self.inner;
        if options.offline {
            let trusted = trusted.as_ref().map(TrustedState::load).transpose()?.flatten().ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("{store} was never read on this machine, and --offline forbids it now"),
                )
                .with_hint("run once without --offline")
            })?;
            self.require_fresh(&trusted)?;
            return Ok((trusted, Vec::new()));
        }
        let known = current.map_or(&[][..], |c| &c.etags);
        let open = |bytes, place: &str| Checkpoint::open(bytes, keys).map_err(|e| in_doubt(place, e));
        let answers = self.timed(store.get_from_all(keys::CHECKPOINT, known, open)).await?;
        let mut seen = Vec::new();
        for (mirror, answer) in answers {
            match answer {
                Answered::New { opened, version } => seen.push((mirror, opened, version.e_tag)),
                Answered::NotModified => {
                    let current =
                        current.ok_or_else(|| Error::new(ErrorKind::Unavailable, "304 to a question without ETag"))?;
                    let etag = current.etags.get(mirror).cloned().flatten();
                    seen.push((mirror, current.checkpoint.clone(), etag));
                }
                // What is not there at all is as old as can be.
                Answered::Absent => store.set_behind(mirror, true),
            }
        }
        if seen.is_empty() {
            return Err(no_registry(store));
        }
        let checkpoint = self.decide(current, &mut seen)?;
        self.require_fresh(&checkpoint)?;
        // An ETag belongs to the bytes that were served, not to a newer checkpoint that is kept instead.
        let mut etags = vec![None; store.mirrors()];
        for (mirror, seen, etag) in seen {
            store.set_behind(mirror, seen.generation() < checkpoint.generation());
            if seen == checkpoint
                && let Some(place) = etags.get_mut(mirror)
            {
                *place = etag;
            }
        }
        Ok((checkpoint, etags))
    }

    /// The checkpoint to go by after all of these were seen, of which the newest is the one that counts.
    fn decide(
        &self,
        current: Option<&Current>,
        seen: &mut [(usize, Checkpoint, Option<String>)],
    ) -> Result<Checkpoint> {
        let Inner { store, trusted, .. } = &*self.inner;
        seen.sort_by_key(|(mirror, checkpoint, _)| (std::cmp::Reverse(checkpoint.generation()), *mirror));
        let now = Timestamp::now();
        let mut kept: Option<Checkpoint> = current.map(|c| c.checkpoint.clone());
        let mut behind = None;
        for (number, (mirror, checkpoint, _)) in seen.iter().enumerate() {
            if number > 0 && kept.as_ref() == Some(checkpoint) {
                continue;
            }
            let (decision, keep) = match trusted {
                Some(state) => state.see(checkpoint, now)?,
                None => {
                    let decision = crate::trust::decide(kept.as_ref(), checkpoint, now);
                    let keep =
                        if decision.replaces_trusted() { checkpoint } else { kept.as_ref().unwrap_or(checkpoint) };
                    (decision, keep.clone())
                }
            };
            decision.require_honest().map_err(|e| in_doubt(&store.place_at(*mirror, keys::CHECKPOINT), e))?;
            if let crate::trust::Verdict::StaleMirror { behind: by } = decision.verdict {
                tracing::info!("{} is {by} generations behind", store.place_at(*mirror, ""));
                // Only where the newest that was seen is old, somebody has to know.
                behind = behind.or((number == 0).then_some(by));
            }
            kept = Some(keep);
        }
        if let Some(behind) = behind {
            tracing::warn!("{store} is {behind} generations behind what was read before; using what was read before");
        }
        kept.ok_or_else(|| Error::new(ErrorKind::Unavailable, format!("{store} has no checkpoint")))
    }

    fn is_fresh(&self, checkpoint: &Checkpoint) -> bool {
        self.inner.options.allow_expired || Timestamp::now() < checkpoint.slot().claim().expires
    }

    fn require_fresh(&self, checkpoint: &Checkpoint) -> Result<()> {
        let decision = crate::trust::decide(Some(checkpoint), checkpoint, Timestamp::now());
        match decision.require_fresh() {
            Err(e) if self.inner.options.allow_expired => {
                tracing::warn!("{e}; going on, as asked");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// A reader of the snapshot behind a link.
    async fn reader(&self, link: &Link, generation: u64) -> Result<SnapshotReader> {
        let raw = self.object(link, limits::NODE, limits::NODE_RAW).await?;
        let place = || self.inner.store.place(&keys::blob(&link.sha256));
        let snapshot = Snapshot::read(&raw).map_err(|e| e.at(place()))?;
        self.check_origin(&snapshot, &place())?;
        if snapshot.generation > generation {
            return Err(Error::new(
                ErrorKind::Untrusted,
                format!("{} is of a later generation than cites it", place()),
            ));
        }
        SnapshotReader::new(self.clone(), snapshot, *link, generation).map_err(|e| e.at(place()))
    }

    fn check_origin(&self, snapshot: &Snapshot, place: &str) -> Result<()> {
        let pinned = self.inner.keys.first().map(|k| k.origin().as_str()).unwrap_or_default();
        if snapshot.origin == pinned {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Untrusted, format!("{place} is of {}, not of {pinned}", snapshot.origin)))
    }

    /// An immutable object, decompressed: from the disk, else from the store.
    async fn object(&self, link: &Link, max: u64, max_raw: u64) -> Result<Vec<u8>> {
        let place = || self.inner.store.place(&keys::blob(&link.sha256));
        let (size, raw) = (link.size, link.raw.unwrap_or(link.size));
        if size > max || raw > max_raw {
            return Err(format::FormatError::TooLarge { size: size.max(raw), max }.at(place()));
        }
        let bytes = self.stored(link, max).await?;
        let small = raw <= SMALL as u64;
        let link = *link;
        let unpack = move || format::unpack(&bytes, &link);
        if small { unpack() } else { cpu::run(unpack).await }.map_err(|e| e.at(place()))
    }

    /// The stored bytes of an immutable object, checked.
    async fn stored(&self, link: &Link, max: u64) -> Result<Bytes> {
        if let Some(disk) = &self.inner.disk
            && let Some(bytes) = disk.get(link)
        {
            return Ok(bytes);
        }
        let bytes = self.timed(self.online(link.sha256)?.get_linked(link, max)).await?;
        if let Some(disk) = &self.inner.disk {
            disk.put(link, &bytes);
        }
        Ok(bytes)
    }

    /// The same of one of which nobody has said how large it is.
    async fn stored_unsized(&self, sha256: &Sha256, max: u64) -> Result<Bytes> {
        if let Some(disk) = &self.inner.disk
            && let Some(bytes) = disk.find(sha256, max)
        {
            return Ok(bytes);
        }
        let bytes = self.timed(self.online(sha256)?.get_unsized(sha256, max)).await?;
        if let Some(disk) = &self.inner.disk {
            disk.put(&Link { raw: None, sha256: *sha256, size: bytes.len() as u64 }, &bytes);
        }
        Ok(bytes)
    }

    /// The store, to be asked for something that is not at hand.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where nothing is to be asked for.
    fn online(&self, what: impl fmt::Display) -> Result<&Store> {
        if self.inner.options.offline {
            return Err(Error::new(ErrorKind::Unavailable, format!("{what} is not in the cache"))
                .with_hint("run once without --offline"));
        }
        Ok(&self.inner.store)
    }

    /// A node of the index: from memory, from the disk, or from the store.
    async fn node(&self, entry: &Entry) -> Result<Node> {
        self.node_in(&self.inner.nodes, entry).await
    }

    /// The same of the tree of details.
    async fn detail_node(&self, entry: &Entry) -> Result<Node<DetailLine>> {
        self.node_in(&self.inner.details, entry).await
    }

    async fn node_in<I: Stored>(&self, cache: &NodeCache<I>, entry: &Entry) -> Result<Node<I>> {
        if let Some((node, _)) = cache.get(&entry.link.sha256).await {
            return Ok(node);
        }
        let fetched = cache.try_get_with(entry.link.sha256, self.fetch_node(entry)).await;
        fetched.map(|(node, _)| node).map_err(Error::shared)
    }

    async fn fetch_node<I: Stored>(&self, entry: &Entry) -> Result<(Node<I>, u32)> {
        let raw = self.object(&entry.link, limits::NODE, limits::NODE_RAW).await?;
        let weight = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let (small, owned) = (raw.len() <= SMALL, *entry);
        let read = move || Node::read(&owned, raw);
        let node = if small { read() } else { cpu::run(read).await };
        let node = node.map_err(|e| e.at(self.inner.store.place(&keys::blob(&entry.link.sha256))))?;
        Ok((node, weight))
    }

    async fn timed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.inner.options.timeout;
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let message = format!("{} did not answer within {} s", self.inner.store, limit.as_secs());
            Err(Error::new(ErrorKind::Unavailable, message).with_hint("try again, or allow it more time"))
        })
    }

    fn current(&self) -> Option<Current> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        // What is inside is replaced as a whole, so a panic elsewhere cannot have left it half-done.
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_registry(store: &Store) -> Error {
    let place = store.place(keys::CHECKPOINT);
    Error::new(ErrorKind::Unavailable, format!("there is no registry: {place} is not there"))
        .with_hint("check the address; a registry's address is that of the folder that holds its `checkpoint`")
}

fn in_doubt(place: &str, e: crate::trust::TrustError) -> Error {
    let e = Error::from(e);
    Error::new(e.kind(), format!("{place} cannot be trusted"))
        .with_hint(e.hint().unwrap_or("ask the registry's operator").to_owned())
        .with_source(e)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.inner.store)
    }
}

/// The folder for caches that a client of this user's has by default: `GGEN_MARKET_CACHE`, else the system's place.
pub fn default_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = set("GGEN_MARKET_CACHE") {
        return Some(path);
    }
    let base = if cfg!(windows) { set("LOCALAPPDATA") } else { set("XDG_CACHE_HOME") };
    base.or_else(|| set("HOME").map(|h| h.join(".cache"))).map(|b| b.join(Path::new("ggen-market")))
}
