//! Resolving against registries: fetches what the search asks for, all of one level of the graph at once.

use super::{Client, SnapshotReader};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{Entry, PackageLines, Page},
    index::Node,
    package::{Archive, PackageId, Sha256, Timestamp},
    resolve::{
        Budget, Candidates, Key, Lock, Locked, Prefer, Question, RegistryNames, Resolution, Session, Step, Want,
    },
};
use futures::FutureExt as _;
use semver::VersionReq;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// A question that is being put together: which versions of these packages fit together?
///
/// ```
/// # use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, SigningKey, Store};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let list = dir.path().join("list.jsonl");
/// # let line = |name: &str, version: &str, needs: &str| format!(
/// #     r#"{{"name":"{name}","version":"{version}","sha256":"{}","size":1,"download_url":"https://example.com/{name}.tar.gz","dependencies":[{needs}]}}"#,
/// #     "0".repeat(64)
/// # );
/// # let needs = r#"{"name":"base","req":"^1"}"#;
/// # std::fs::write(&list, [line("app", "1.0.0", needs), line("base", "1.4.0", "")].join("\n"))?;
/// # let key = SigningKey::generate("packages.example.com".parse()?)?;
/// # let pinned = key.verifier().clone();
/// # let store = Store::open("memory:")?;
/// # let registry = Registry::new(store.clone(), key, dir.path());
/// # registry.init(&BuildOptions::now()).await?;
/// # registry.build(&[list], &BuildOptions::now()).await?;
/// use ggen_marketplace::resolve::Prefer;
/// let client = Client::new(store, &[pinned], ClientOptions::default())?;
/// let found = client.resolve().want("app@^1".parse()?).prefer(Prefer::Highest).run().await?;
/// let shown: Vec<_> = found.packages.iter().map(|p| format!("{} {}", p.id, p.version)).collect();
/// assert_eq!(shown, ["pack:app 1.0.0", "pack:base 1.4.0"]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is asked before `run`"]
pub struct Resolver {
    client: Client,
    /// Addresses of the client's own registry, besides those that it is read from.
    aliases: Vec<String>,
    others: Vec<(String, Client)>,
    wants: Vec<Want>,
    overrides: Vec<Want>,
    optional: bool,
    prefer: Prefer,
    exclude_newer: Option<Timestamp>,
    min_age: Option<Duration>,
    locked: Vec<Locked>,
    only_locked: bool,
    budget: Budget,
}

impl Client {
    /// Asks which versions of packages fit together.
    pub fn resolve(&self) -> Resolver {
        Resolver {
            client: self.clone(),
            aliases: Vec::new(),
            others: Vec::new(),
            wants: Vec::new(),
            overrides: Vec::new(),
            optional: false,
            prefer: Prefer::Highest,
            exclude_newer: None,
            min_age: None,
            locked: Vec::new(),
            only_locked: false,
            budget: Budget::default(),
        }
    }

    /// The origin of the registry, as its pinned key says.
    pub fn origin(&self) -> &str {
        self.inner.keys.first().map(|k| k.origin().as_str()).unwrap_or_default()
    }
}

impl Resolver {
    /// Wants this package, too.
    pub fn want(mut self, want: Want) -> Self {
        self.wants.push(want);
        self
    }

    /// Wants these packages, too.
    pub fn wants(mut self, wants: impl IntoIterator<Item = Want>) -> Self {
        self.wants.extend(wants);
        self
    }

    /// Whoever needs this package gets it so, whatever they say. It is not wanted by that alone.
    pub fn override_with(mut self, want: Want) -> Self {
        self.overrides.push(want);
        self
    }

    /// Takes the optional dependencies of what is wanted as well (not those of what these need).
    pub fn optional(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }

    /// Which of the versions that fit is taken; by default the highest.
    pub fn prefer(mut self, prefer: Prefer) -> Self {
        self.prefer = prefer;
        self
    }

    /// Goes by the registry as if nothing had been published after that time. What is locked stays.
    pub fn exclude_newer(mut self, time: Timestamp) -> Self {
        self.exclude_newer = Some(time);
        self
    }

    /// Takes nothing that was published less than that long ago, so that somebody has had the time to look at it. What is
    /// locked stays.
    pub fn min_age(mut self, age: Duration) -> Self {
        self.min_age = Some(age);
        self
    }

    /// What is locked: it may be taken although it is yanked or newer than it may be, and with [`Prefer::Locked`] it is taken
    /// where it fits.
    pub fn locked(mut self, lock: &Lock) -> Self {
        self.locked.extend_from_slice(lock.packages());
        self
    }

    /// Takes nothing that is not locked.
    pub fn only_locked(mut self) -> Self {
        self.only_locked = true;
        self
    }

    /// Another registry, for dependencies that name it by its origin or by this address. No name is looked up in it
    /// otherwise. Where it is this one at another place (a client with the same key), that address is one more that it is named by.
    pub fn registry(mut self, address: impl Into<String>, client: Client) -> Self {
        if client.inner.keys.iter().any(|key| self.client.inner.keys.contains(key)) {
            self.aliases.push(address.into());
        } else {
            self.others.push((address.into(), client));
        }
        self
    }

    /// How long the search itself may take, fetching left aside; 3 s by default. (The number of its steps is limited, too.)
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.budget.time = time;
        self
    }

    /// Finds the answer, in the newest state of each registry.
    ///
    /// # Errors
    /// [`ErrorKind::Unsolvable`] when no versions fit together, or when finding out takes too much work: then
    /// [`Error::details`] has the reasons. [`ErrorKind::NotFound`] when a package that is wanted is not there;
    /// [`ErrorKind::Invalid`] when its name means several. And those of [`Client::latest`].
    pub async fn run(self) -> Result<Resolution> {
        let clients = [&self.client].into_iter().chain(self.others.iter().map(|o| &o.1));
        let readers = futures::future::try_join_all(clients.map(Client::latest)).await?;
        let wants = named(&readers[0], &self.wants).await?;
        let overrides = named(&readers[0], &self.overrides).await?;
        let lock = self.locked.clone();
        let mut session = Session::new(self.question(wants, overrides));
        loop {
            // It burns a core, for a moment or for seconds.
            let known = readers.clone();
            let step;
            (session, step) = cpu::run(move || {
                let step = session.step(&|key| known[key.registry as usize].candidates_at_hand(&key.id));
                (session, step)
            })
            .await;
            match step? {
                Step::Done(mut resolution) => {
                    let origins = readers.iter().map(|r| (r.snapshot().origin.clone(), r.generation()));
                    resolution.generations = origins.collect();
                    return held_to(&lock, resolution);
                }
                Step::Need(keys) => {
                    tracing::debug!("resolving: {} packages more", keys.len());
                    for (key, candidates) in fetch(&readers, keys).await? {
                        session.learn(&key, candidates);
                    }
                }
            }
        }
    }

    fn question(self, wants: Vec<(Key, VersionReq)>, overrides: Vec<(Key, VersionReq)>) -> Question {
        let names = |client: &Client, also: &[String]| RegistryNames {
            origin: client.origin().to_owned(),
            aliases: [client.inner.store.addresses().as_slice(), also].concat(),
        };
        let others = self.others.iter().map(|(alias, client)| names(client, std::slice::from_ref(alias)));
        let registries: Vec<_> = std::iter::once(names(&self.client, &self.aliases)).chain(others).collect();
        let locked = self.locked.into_iter().filter_map(|p| {
            let (registry, _) = (0..).zip(&registries).find(|(_, r)| r.origin == p.registry)?;
            Some((Key { registry, id: p.id }, p.version))
        });
        let young = self
            .min_age
            .map(|age| Timestamp::from_unix(Timestamp::now().unix().saturating_sub_unsigned(age.as_secs())));
        let optional = if self.optional { wants.iter().map(|w| w.0.clone()).collect() } else { BTreeSet::new() };
        Question {
            locked: locked.collect(),
            registries,
            wants,
            prefer: self.prefer,
            cutoff: [self.exclude_newer, young].into_iter().flatten().min(),
            optional,
            overrides,
            only_locked: self.only_locked,
            budget: self.budget,
        }
    }
}

/// What is locked and was found again must have the same bytes.
fn held_to(lock: &[Locked], found: Resolution) -> Result<Resolution> {
    let known: HashMap<_, _> = lock.iter().map(|p| (p.locked_id(), p)).collect();
    for package in &found.packages {
        match known.get(&package.locked_id()) {
            Some(locked) if locked.archive.sha256 != package.archive.sha256 => {
                return Err(other_bytes(locked, &package.archive));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The error for a release that has other bytes than were locked: one of the two is not what its author published.
pub(super) fn other_bytes(locked: &Locked, now: &Archive) -> Error {
    let message = format!(
        "{} {} is locked with sha256 {}, and {} has it with {}",
        locked.id, locked.version, locked.archive.sha256, locked.registry, now.sha256
    );
    Error::new(ErrorKind::Untrusted, message)
        .with_hint("a release never changes: find out who changed the lock file, or ask the registry's operator")
}

/// The packages that names mean in a registry.
async fn named(reader: &SnapshotReader, wants: &[Want]) -> Result<Vec<(Key, VersionReq)>> {
    let spec = |want: &Want| crate::package::PackageSpec { kind: want.kind, name: want.name.clone(), version: None };
    let specs: Vec<_> = wants.iter().map(spec).collect();
    let asked: Vec<Vec<PackageId>> = specs.iter().map(|s| s.candidates()).collect::<Result<_, _>>()?;
    let all: Vec<PackageId> = asked.iter().flatten().cloned().collect();
    let in_doubt = |e| match specs.iter().find(|s| s.kind.is_none()) {
        Some(bare) => SnapshotReader::other_kind(bare, e),
        None => e,
    };
    let mut found = reader.candidates(&all).await.map_err(in_doubt)?.into_iter();
    let mut out = Vec::with_capacity(wants.len());
    for ((want, spec), ids) in wants.iter().zip(&specs).zip(asked) {
        let there = ids.into_iter().filter(|_| found.next().flatten().is_some()).collect();
        out.push((Key { registry: 0, id: reader.only(spec, there)? }, want.req.clone()));
    }
    Ok(out)
}

type Found = Vec<(Key, Option<Arc<Candidates>>)>;

async fn fetch(readers: &[SnapshotReader], keys: Vec<Key>) -> Result<Found> {
    let mut apart: HashMap<u16, Vec<PackageId>> = HashMap::new();
    for key in keys {
        apart.entry(key.registry).or_default().push(key.id);
    }
    let all = apart.into_iter().map(|(registry, ids)| async move {
        let found = readers[registry as usize].candidates(&ids).await?;
        Ok::<_, Error>(ids.into_iter().map(|id| Key { registry, id }).zip(found).collect::<Found>())
    });
    Ok(futures::future::try_join_all(all).await?.into_iter().flatten().collect())
}

impl SnapshotReader {
    /// Many packages, as resolving sees them; each node is fetched once, all of one level in parallel and by all cores.
    async fn candidates(&self, ids: &[PackageId]) -> Result<Vec<Option<Arc<Candidates>>>> {
        let cache = &self.client().inner.candidates;
        let keys: Vec<Sha256> = ids.iter().map(PackageId::key).collect();
        let mut out = vec![None; ids.len()];
        let next = |page: &Page, at: usize| page.find(&keys[at]).map(|entry| (at, *entry));
        let mut open: Vec<(usize, Entry)> = (0..ids.len()).filter_map(|at| next(self.top(), at)).collect();
        while !open.is_empty() {
            open.retain(|(at, entry)| match cache.get(&(entry.link.sha256, keys[*at])) {
                Some((candidates, _)) => {
                    out[*at] = Some(candidates);
                    false
                }
                None => true,
            });
            let nodes = self.nodes_on_all_cores(open.iter().map(|(at, entry)| (*entry, &ids[*at]))).await?;
            let mut below = Vec::new();
            for (at, entry) in open {
                match &nodes[&entry.link.sha256] {
                    Node::Page(page) => below.extend(next(page, at)),
                    Node::Leaf(shard) => {
                        let Some(lines) = shard.find(&keys[at]) else { continue };
                        out[at] = Some(self.keep_candidates(&entry, &ids[at], lines));
                    }
                }
            }
            open = below;
        }
        Ok(out)
    }

    /// A package, as far as it is in memory: `Some(None)` where the index proves that it is not there.
    fn candidates_at_hand(&self, id: &PackageId) -> Option<Option<Arc<Candidates>>> {
        let inner = &self.client().inner;
        let key = id.key();
        let mut entry = *match self.top().find(&key) {
            Some(entry) => entry,
            None => return Some(None),
        };
        loop {
            if let Some((candidates, _)) = inner.candidates.get(&(entry.link.sha256, key)) {
                return Some(Some(candidates));
            }
            // What is in memory is given at once.
            let (node, _) = inner.nodes.get(&entry.link.sha256).now_or_never()??;
            match node {
                Node::Page(page) => match page.find(&key) {
                    Some(below) => entry = *below,
                    None => return Some(None),
                },
                Node::Leaf(shard) => {
                    return Some(shard.find(&key).map(|lines| self.keep_candidates(&entry, id, lines)));
                }
            }
        }
    }

    fn keep_candidates(&self, shard: &Entry, id: &PackageId, lines: &Arc<PackageLines>) -> Arc<Candidates> {
        let candidates = Arc::new(Candidates::new(id.clone(), Arc::clone(lines)));
        let weight = candidates.weight();
        let key = (shard.link.sha256, lines.key);
        self.client().inner.candidates.insert(key, (Arc::clone(&candidates), weight));
        candidates
    }

    /// The nodes behind these entries, each of which leads to a package that is asked for.
    async fn nodes_on_all_cores<'i>(
        &self,
        entries: impl Iterator<Item = (Entry, &'i PackageId)>,
    ) -> Result<HashMap<Sha256, Node>> {
        let (mut lacking, mut out) = (HashMap::new(), HashMap::new());
        for (entry, id) in entries {
            match self.client().inner.nodes.get(&entry.link.sha256).await {
                Some((node, _)) => drop(out.insert(entry.link.sha256, node)),
                None => drop(lacking.insert(entry.link.sha256, (entry, id))),
            }
        }
        let mut rest = lacking.into_values();
        // Ends its tasks when it is dropped, and with it the whole call.
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < self.client().inner.store.parallel()
                && let Some((entry, id)) = rest.next()
            {
                let (client, generation, id) = (self.client().clone(), self.generation(), id.clone());
                tasks.spawn(async move {
                    let node = client.node(&entry).await;
                    Ok::<_, Error>((entry.link.sha256, client.explained(generation, id, node).await?))
                });
            }
            match tasks.join_next().await {
                None => return Ok(out),
                Some(Ok(node)) => out.extend([node?]),
                Some(Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
                Some(Err(_)) => return Err(Error::new(ErrorKind::Io, "the program is shutting down")),
            }
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("client", &self.client).field("wants", &self.wants).finish_non_exhaustive()
    }
}
