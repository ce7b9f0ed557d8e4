//! From what a person types to a store.

use super::{
    clock::Clock,
    cloud,
    mirrors::{Mirror, Mirrors, Place},
    transport::{Transport, TransportOptions},
    web::{ReadOnly, Web},
};
use crate::{Error, ErrorKind, Result};
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tokio::sync::Semaphore;

/// A place that holds a registry: a bucket of a cloud's or of one's own, a folder, memory, or (only to read) an HTTP server.
///
/// ```no_run
/// use ggen_marketplace::Store;
/// let folder = Store::create("./registry")?;
/// let web = Store::open("https://packages.example.com/ggen")?;
/// assert_eq!(web.to_string(), "https://packages.example.com/ggen");
/// # Ok::<(), ggen_marketplace::Error>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<dyn ObjectStore>,
    /// Where it is read: that same place, and others that are the same.
    pub(super) mirrors: Arc<Mirrors>,
    /// The same place for what commits something: nothing is tried twice, and on a disk a write is flushed before it is
    /// reported.
    pub(super) commits: Arc<dyn ObjectStore>,
    pub(super) backend: Backend,
    pub(super) room: Room,
    /// How many requests one operation has under way at once, where somebody has said so.
    pub(super) connections: Option<usize>,
    pub(super) clock: Clock,
    pub(super) single_writer: bool,
    /// Set once the store was seen to refuse a create of what exists.
    pub(super) conditional: Arc<OnceLock<()>>,
    shown: Arc<str>,
}

/// What kind of place it is, as far as that matters to how it is written.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Backend {
    /// A folder of this machine: a whole batch of writes can be flushed at once.
    Folder(Arc<Path>),
    /// A bucket: every request takes its time, and objects carry headers for those who read them over HTTP.
    Cloud,
    /// A web server, or whatever else an embedding program brings.
    Other,
}

/// How to open a store.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Options of a cloud's client, named as its environment variables are, in small letters and without the cloud's name:
    /// `endpoint`, `region`, `access_key_id`, … What the environment itself says (`AWS_ENDPOINT`, …) comes before them.
    pub options: Vec<(String, String)>,
    /// Nobody else writes to it, ever: then it need not be able to create an object only where there is none.
    pub single_writer: bool,
    /// How many requests one operation has under way at once; by default 32, and 96 where objects are put into a bucket. What is read over HTTP has a bound of its own
    /// for all operations together, 100 by default, and then this one. More hide a long way to the store, and take more
    /// memory; fewer spare a small server.
    pub connections: Option<NonZeroUsize>,
    /// How many bytes of archives may be in memory at once on their way up; 64 MiB by default. One part of an upload (8 MiB)
    /// is always let through.
    pub upload_memory: Option<NonZeroUsize>,
    /// How to read over HTTP.
    pub transport: TransportOptions,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets.
        let names: Vec<_> = self.options.iter().map(|(name, _)| name).collect();
        f.debug_struct("StoreOptions")
            .field("options", &names)
            .field("single_writer", &self.single_writer)
            .field("connections", &self.connections)
            .field("upload_memory", &self.upload_memory)
            .field("transport", &self.transport)
            .finish()
    }
}

/// What [`Store::open`] takes, for hints.
pub(super) const KNOWN: &str = "known: a folder, file://, s3://, gs://, az://, and to read http:// and https://";

/// However many archives go up at once and however large they are, a build stays within its memory.
const ROOM: usize = 64 << 20;

/// The memory for archives on their way up, in KiB.
#[derive(Clone)]
pub(super) struct Room {
    pub(super) free: Arc<Semaphore>,
    pub(super) all: u32,
}

impl Room {
    fn of(bytes: usize) -> Self {
        // Not less than one part, nor more than a semaphore counts.
        let all = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).clamp(8 * 1024, 1 << 28);
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }
}

impl Store {
    /// Opens a location: a folder (with or without `file://`), `s3://bucket/prefix` (any server that speaks S3), `gs://…`,
    /// `az://…`, `memory:`, or only to read `http://…` and `https://…`. A folder has to exist: [`Store::create`] makes one.
    /// What a cloud wants to know is taken from the environment, as its own tools take it: `AWS_ACCESS_KEY_ID`,
    /// `AWS_ENDPOINT_URL`, …
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a location that is none of these, [`ErrorKind::Io`] for a folder that cannot be opened.
    pub fn open(location: &str) -> Result<Self> {
        Self::open_with(location, &StoreOptions::default())
    }

    /// As [`Store::open`], with options.
    pub fn open_with(location: &str, options: &StoreOptions) -> Result<Self> {
        Ok(Self::located(location, options)?.with_options(options))
    }

    /// Opens a registry that can be read in several places, in the order in which they are to be asked. None is trusted more
    /// than another; all are held to the same key and the same links. The first is the one that could be written to.
    ///
    /// # Errors
    /// As [`Store::open`]; [`ErrorKind::Invalid`] for no location at all.
    pub fn open_mirrors<L: AsRef<str>>(locations: &[L], options: &StoreOptions) -> Result<Self> {
        let transport = Arc::new(Transport::new(options.transport.clone(), options.connections));
        let mut all: Option<Self> = None;
        for location in locations {
            let store = Self::located_with(location.as_ref(), options, &transport)?;
            all = Some(match all {
                None => store,
                Some(first) => Self { mirrors: Arc::new(first.mirrors.and(&store.mirrors)), ..first },
            });
        }
        let store = all.ok_or_else(|| Error::new(ErrorKind::Invalid, "no registry is named").with_hint(KNOWN))?;
        Ok(store.with_options(options))
    }

    fn with_options(mut self, options: &StoreOptions) -> Self {
        self.single_writer = options.single_writer;
        self.connections = options.connections.map(NonZeroUsize::get);
        if let Some(bytes) = options.upload_memory {
            self.room = Room::of(bytes.get());
        }
        self
    }

    /// How many requests one operation may have under way at once.
    pub(crate) fn parallel(&self) -> usize {
        self.connections.unwrap_or(super::PARALLEL)
    }

    fn located(location: &str, options: &StoreOptions) -> Result<Self> {
        Self::located_with(location, options, &Arc::new(Transport::new(options.transport.clone(), options.connections)))
    }

    fn located_with(location: &str, options: &StoreOptions, transport: &Arc<Transport>) -> Result<Self> {
        let invalid = |why: &str| Error::new(ErrorKind::Invalid, format!("cannot open {}: {why}", redact(location)));
        if location == "memory:" || location == "memory://" {
            return Ok(Self::over(Arc::new(InMemory::new()), "memory:", None, transport));
        }
        if !location.contains("://") {
            return if location.is_empty() {
                Err(invalid("the location is empty"))
            } else {
                Self::folder(Path::new(location), transport)
            };
        }
        let url = url::Url::parse(location).map_err(|e| invalid(&e.to_string()))?;
        match url.scheme() {
            "file" => Self::folder(&url.to_file_path().map_err(|()| invalid("it names no local folder"))?, transport),
            "http" | "https" => Ok(Self::http(&url, transport)),
            other => Self::cloud(&url, options, transport)
                .unwrap_or_else(|| Err(invalid(&format!("unknown scheme {other:?}")).with_hint(KNOWN))),
        }
    }

    /// A store around any [`ObjectStore`]; `shown` is how messages call it.
    pub fn new(inner: Arc<dyn ObjectStore>, shown: &str) -> Self {
        Self::over(inner, shown, None, &Arc::new(Transport::new(TransportOptions::default(), None)))
    }

    fn over(inner: Arc<dyn ObjectStore>, shown: &str, folder: Option<Arc<Path>>, transport: &Arc<Transport>) -> Self {
        let mirror = Mirror::new(Place::Object(Arc::clone(&inner)), folder, redact(shown).into());
        Self::read_at(mirror, inner, shown, transport)
    }

    fn read_at(mirror: Mirror, inner: Arc<dyn ObjectStore>, shown: &str, transport: &Arc<Transport>) -> Self {
        Self {
            mirrors: Arc::new(Mirrors::new(vec![Arc::new(mirror)], Arc::clone(transport))),
            commits: Arc::clone(&inner),
            inner,
            backend: Backend::Other,
            room: Room::of(ROOM),
            connections: None,
            clock: Clock::default(),
            single_writer: false,
            conditional: Arc::default(),
            shown: redact(shown).into(),
        }
    }

    /// As [`Store::open`], and makes the folder where it is one that does not exist.
    pub fn create(location: &str) -> Result<Self> {
        Self::create_with(location, &StoreOptions::default())
    }

    /// As [`Store::create`], with options.
    pub fn create_with(location: &str, options: &StoreOptions) -> Result<Self> {
        if let Some(path) = folder_of(location) {
            std::fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        }
        Self::open_with(location, options)
    }

    fn folder(path: &Path, transport: &Arc<Transport>) -> Result<Self> {
        let shown = path.display().to_string();
        let absolute = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
        if !absolute.is_dir() {
            let cause = std::fs::metadata(&absolute).err().unwrap_or_else(|| std::io::ErrorKind::NotADirectory.into());
            return Err(Error::io("open", path, cause).with_hint("`ggen-market init` makes a new registry"));
        }
        let open = |fsync: bool| -> Result<Arc<dyn ObjectStore>> {
            let opened = LocalFileSystem::new_with_prefix(&absolute);
            let fs = opened
                .map_err(|e| Error::new(ErrorKind::Io, format!("cannot open {shown}")).with_source(super::Cause(e)))?;
            Ok(Arc::new(fs.with_fsync(fsync)))
        };
        // Where one flush of the whole file system can stand before the commit, flushing each object is waste.
        let each = !cfg!(target_os = "linux");
        let inner = open(each)?;
        let folder: Arc<Path> = absolute.as_path().into();
        let store = Self::over(inner, &shown, Some(Arc::clone(&folder)), transport);
        Ok(Self { commits: open(true)?, backend: Backend::Folder(folder), ..store })
    }

    fn cloud(url: &url::Url, options: &StoreOptions, transport: &Arc<Transport>) -> Option<Result<Self>> {
        let clock = Clock::default();
        let clients = cloud::open(url, options, &clock)?;
        Some(clients.map(|cloud::Clients { inner, commits }| {
            let store = Self::over(inner, url.as_str(), None, transport);
            Self { commits, backend: Backend::Cloud, clock, ..store }
        }))
    }

    fn http(url: &url::Url, transport: &Arc<Transport>) -> Self {
        let clock = Clock::default();
        let web = Web::new(url, false, transport, &clock);
        let mirror = Mirror::new(Place::Web(web), None, redact(url.as_str()).into());
        Self { clock, ..Self::read_at(mirror, Arc::new(ReadOnly), url.as_str(), transport) }
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.path().is_some()
    }

    /// Whether it is a bucket, written over the network.
    pub(crate) fn is_bucket(&self) -> bool {
        self.backend == Backend::Cloud
    }

    /// The folder, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Folder(folder) => Some(folder),
            Backend::Cloud | Backend::Other => None,
        }
    }

    /// The addresses of the web servers that it is read from, without anything secret.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.mirrors.all().iter().filter(|m| m.is_web()).map(|m| m.place("")).collect()
    }

    /// How messages call one of its objects.
    pub(crate) fn place(&self, key: &str) -> String {
        match self.path() {
            Some(folder) => folder.join(key).display().to_string(),
            None => format!("{}/{key}", self.shown.trim_end_matches('/')),
        }
    }
}

/// The folder that a location means, if it means one.
fn folder_of(location: &str) -> Option<PathBuf> {
    if location.starts_with("file://") {
        return url::Url::parse(location).ok()?.to_file_path().ok();
    }
    (!location.contains("://") && location != "memory:" && !location.is_empty()).then(|| location.into())
}

/// A location without what must not be shown: user, password and query of a URL.
pub(super) fn redact(location: &str) -> String {
    match url::Url::parse(location) {
        Ok(mut url) if url.has_host() => {
            // Fails only for URLs that cannot carry them.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            let text = url.to_string();
            if location.ends_with('/') { text } else { text.trim_end_matches('/').into() }
        }
        // None that can be read. What may be a secret is cut off all the same.
        _ => match location.split_once("://") {
            Some((scheme, rest)) => {
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default())
            }
            None => location.to_owned(),
        },
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn uploads_take_the_memory_that_they_are_given_and_never_wait_for_more_than_there_is() {
        let with = |bytes| {
            let options = StoreOptions { upload_memory: NonZeroUsize::new(bytes), ..StoreOptions::default() };
            Store::open_with("memory:", &options).unwrap()
        };
        let store = with(16 << 20);
        let first = store.take_room(12 << 20).await.unwrap();
        assert!(store.try_room(8 << 20).is_none() && store.try_room(4 << 20).is_some());
        drop(first);
        // As much as by default, which is more than there is: then all of it.
        let all = store.take_room(64 << 20).await.unwrap();
        assert!(store.try_room(1).is_none());
        drop(all);
        assert!(with(1).try_room(8 << 20).is_some(), "one part is always let through");
    }

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for location in ["https://user:hunter2@example.com/reg?token=hunter2#hunter2", "http://hunter2@example.com/reg"]
        {
            let store = Store::open(location).unwrap();
            for text in [store.to_string(), format!("{store:?}"), store.place("checkpoint")] {
                assert!(!text.contains("hunter2") && text.contains("example.com/reg"), "{text}");
            }
        }
        for location in [
            "ftp://user:hunter2@example.com",
            // None of these is a URL.
            "https://user:hunter2@example.com:99999/reg?token=hunter2",
            "https://user:hunter2@exam ple.com/reg",
            "https://user:hunter2@/reg#hunter2",
            "s3://AKIA:hunter2@bucket:bad/x",
            "https://user:p@hunter2@example.com:bad",
            "https://user:hunter2/hunter2@example.com",
        ] {
            let e = Store::open(location).unwrap_err();
            assert!(!e.chain().contains("hunter2") && !format!("{e:?}").contains("hunter2"), "{}", e.chain());
        }
    }

    #[test]
    fn a_cause_shows_no_secret_either() {
        let source = "error sending request for url (https://u:hunter2@example.com/reg/checkpoint?sig=hunter2)".into();
        let text = super::super::Cause(object_store::Error::Generic { store: "HTTP", source }).to_string();
        assert!(!text.contains("hunter2") && text.contains("example.com/reg/checkpoint"), "{text}");
    }
}
