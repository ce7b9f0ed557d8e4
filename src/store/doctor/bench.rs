//! Where the checks lay out what they try: a folder of the store that is new, and gone afterwards.

use super::finding::{Check, Finding, brief};
use crate::{
    Error, ErrorKind, Result,
    format::keys::{self, Class},
    store::{Store, open::Backend, store_error},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt, PutOptions, PutPayload, PutResult, path::Path,
};
use std::collections::BTreeSet;

/// So many requests at once, where a check makes many.
pub(super) const AT_ONCE: usize = 16;

const CLEANUP: Check = Check {
    id: "cleanup",
    tried: "delete everything that was written to try things out",
    breaks: "nothing: what stays below doctor/ is in nobody's way, but takes its place",
    remedy: "delete the folder doctor/ of the store by hand",
};

pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) folder: String,
    pub(super) quick: bool,
    /// What was written, as far as it has to be removed.
    written: BTreeSet<String>,
}

impl Bench {
    /// Makes the first write, so that a store which cannot be written to at all ends the run and not each check.
    pub(super) async fn open(store: &Store, quick: bool) -> Result<Self> {
        let mut store = store.clone();
        // The store is to be seen as it is, whatever it is used for.
        store.single_writer = false;
        let mut bench = Self { store, folder: keys::probe_folder()?, quick, written: BTreeSet::new() };
        let first = bench.key("first");
        bench.put(&first, Bytes::from_static(b"first\n")).await?;
        Ok(bench)
    }

    /// A key in the folder, of an object that will be removed.
    pub(super) fn key(&mut self, name: &str) -> Path {
        let path = self.unused(name);
        self.written.insert(path.to_string());
        path
    }

    /// A key in the folder at which nothing is ever written.
    pub(super) fn unused(&self, name: &str) -> Path {
        let key = format!("{}/{name}", self.folder);
        // As it stands: `Path::from` would replace what the checks of keys want to try.
        Path::parse(&key).unwrap_or_else(|_| Path::from(key))
    }

    pub(super) fn is_folder(&self) -> bool {
        self.store.is_local()
    }

    pub(super) fn error(&self, verb: &str, path: &Path, e: object_store::Error) -> Error {
        store_error(&self.store, verb, path.as_ref(), e)
    }

    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<PutResult> {
        let put = self.store.inner.put_opts(path, PutPayload::from(bytes), PutOptions::default());
        put.await.map_err(|e| self.error("write", path, e))
    }

    /// Writes an object with the headers of its class, wherever they can be kept.
    pub(super) async fn put_as(&self, path: &Path, class: Class, bytes: Bytes) -> Result<()> {
        let attributes = if self.is_folder() { Attributes::new() } else { attributes(class) };
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.inner.put_opts(path, PutPayload::from(bytes), options);
        put.await.map(drop).map_err(|e| self.error("write", path, e))
    }

    pub(super) async fn get(&self, path: &Path) -> Result<Bytes> {
        self.get_opts(path, GetOptions::default()).await
    }

    /// Reads an object; never more than what any check writes, whatever the store sends.
    pub(super) async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<Bytes> {
        const MAX: usize = 16 << 20;
        let failed = |e| self.error("read", path, e);
        let mut pieces = self.store.inner.get_opts(path, options).await.map_err(failed)?.into_stream();
        let mut all = BytesMut::new();
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            if all.len() + piece.len() > MAX {
                let place = self.store.place(path.as_ref());
                return Err(Error::new(ErrorKind::Untrusted, format!("{place} has no end")));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Whether an object is there. A store that refuses to say so is no matter of the checks that ask this.
    pub(super) async fn is_there(&self, path: &Path) -> Result<bool> {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        match self.store.inner.head(path).await {
            Ok(_) => Ok(true),
            Err(NotFound { .. } | PermissionDenied { .. } | Unauthenticated { .. }) => Ok(false),
            Err(e) => Err(self.error("look for", path, e)),
        }
    }

    pub(super) async fn delete(&self, paths: Vec<Path>) -> Vec<object_store::Error> {
        let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
        let deleted = self.store.inner.delete_stream(paths);
        deleted
            .filter_map(async |deleted| match deleted {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => None,
                Err(e) => Some(e),
            })
            .collect()
            .await
    }

    /// The keys below a folder, as the store lists them.
    pub(super) async fn list(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<String>> {
        let listed = match after {
            Some(after) => self.store.inner.list_with_offset(Some(folder), after),
            None => self.store.inner.list(Some(folder)),
        };
        let keys = listed.map_ok(|m| m.location.to_string()).try_collect();
        keys.await.map_err(|e| self.error("list", folder, e))
    }

    /// Removes everything, and says what could not be removed.
    pub(super) async fn clean(self) -> Finding {
        let total = self.written.len();
        let paths = self.written.iter().filter_map(|key| Path::parse(key).ok()).collect();
        let mut failed = self.delete(paths).await;
        let stay = failed.len();
        if let Some(e) = failed.pop() {
            let why = store_error(&self.store, "delete from", &self.folder, e);
            return CLEANUP.warning(format!("{stay} of {total} objects stay: {}", brief(&why)));
        }
        if let Backend::Folder(root) = &self.store.backend {
            // Deleted objects leave their folders behind. That of this run is its own; the one above may hold others'.
            let own = root.join(&self.folder);
            if let Err(e) = tokio::fs::remove_dir_all(&own).await
                && e.kind() != std::io::ErrorKind::NotFound
            {
                return CLEANUP.warning(format!("{} stays: {e}", own.display()));
            }
            let _ = tokio::fs::remove_dir(root.join("doctor")).await;
        }
        CLEANUP.ok("nothing stays")
    }
}

/// The headers with which objects of a class are to be served.
pub(super) fn attributes(class: Class) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::CacheControl, class.cache_control().into());
    attributes.insert(Attribute::ContentType, class.content_type().into());
    attributes
}

/// Bytes that differ from one number to the next, and do not compress to nothing.
pub(super) fn pattern(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut out = BytesMut::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out.freeze()
}
