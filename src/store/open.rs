//! From what a person types to a store.

use crate::{Error, ErrorKind, Result};
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Semaphore;

/// A place that holds a registry: a folder, memory, or (only to read) an HTTP server.
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
    /// The same place with every write flushed to disk before it is reported, for the few objects that commit something.
    pub(super) durable: Arc<dyn ObjectStore>,
    /// The folder, where it is one: so that a whole batch of writes can be flushed at once.
    pub(super) folder: Option<Arc<Path>>,
    /// The KiB of archives that may be in memory at once on their way up.
    pub(super) room: Arc<Semaphore>,
    shown: Arc<str>,
}

/// However many archives go up at once and however large they are, a build stays within its memory.
const ROOM: usize = 64 * 1024;

impl Store {
    /// Opens a location: a folder (with or without `file://`), `http://…` or `https://…` (only to read), or `memory:`. A
    /// folder has to exist: [`Store::create`] makes one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a location that is none of these, [`ErrorKind::Io`] for a folder that cannot be opened.
    pub fn open(location: &str) -> Result<Self> {
        let invalid = |why: &str| Error::new(ErrorKind::Invalid, format!("cannot open {}: {why}", redact(location)));
        if location == "memory:" || location == "memory://" {
            return Ok(Self::new(Arc::new(InMemory::new()), "memory:"));
        }
        let Some((scheme, _)) = location.split_once("://") else {
            return if location.is_empty() {
                Err(invalid("the location is empty"))
            } else {
                Self::folder(Path::new(location))
            };
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => {
                let url = url::Url::parse(location).map_err(|e| invalid(&e.to_string()))?;
                let path = url.to_file_path().map_err(|()| invalid("it names no local folder"))?;
                Self::folder(&path)
            }
            "http" | "https" => Self::http(location),
            other => Err(invalid(&format!("unknown scheme {other:?}"))
                .with_hint("known: a folder, file://, http:// and https://")),
        }
    }

    /// A store around any [`ObjectStore`]; `shown` is how messages call it.
    pub fn new(inner: Arc<dyn ObjectStore>, shown: &str) -> Self {
        let room = Arc::new(Semaphore::new(ROOM));
        Self { durable: Arc::clone(&inner), inner, folder: None, room, shown: redact(shown).into() }
    }

    /// As [`Store::open`], and makes the folder where it is one that does not exist.
    pub fn create(location: &str) -> Result<Self> {
        if let Some(path) = folder_of(location) {
            std::fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        }
        Self::open(location)
    }

    fn folder(path: &Path) -> Result<Self> {
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
        let room = Arc::new(Semaphore::new(ROOM));
        Ok(Self { inner: open(each)?, durable: open(true)?, folder: Some(absolute.into()), room, shown: shown.into() })
    }

    fn http(location: &str) -> Result<Self> {
        let shown = redact(location);
        let opened = super::http::open(location)
            .map_err(|e| Error::new(ErrorKind::Invalid, format!("cannot open {shown}")).with_source(super::Cause(e)))?;
        Ok(Self::new(opened, &shown))
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.folder.is_some()
    }

    /// The folder, where it is one.
    pub fn path(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// How messages call one of its objects.
    pub(crate) fn place(&self, key: &str) -> String {
        match &self.folder {
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
        _ => location.to_owned(),
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

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for location in ["https://user:hunter2@example.com/reg?token=hunter2#hunter2", "http://hunter2@example.com/reg"]
        {
            let store = Store::open(location).unwrap();
            for text in [store.to_string(), format!("{store:?}"), store.place("checkpoint")] {
                assert!(!text.contains("hunter2") && text.contains("example.com/reg"), "{text}");
            }
        }
        let e = Store::open("ftp://user:hunter2@example.com").unwrap_err();
        assert!(!e.chain().contains("hunter2"), "{}", e.chain());
    }

    #[test]
    fn a_cause_shows_no_secret_either() {
        let source = "error sending request for url (https://u:hunter2@example.com/reg/checkpoint?sig=hunter2)".into();
        let text = super::super::Cause(object_store::Error::Generic { store: "HTTP", source }).to_string();
        assert!(!text.contains("hunter2") && text.contains("example.com/reg/checkpoint"), "{text}");
    }
}
