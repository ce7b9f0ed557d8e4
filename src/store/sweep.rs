//! What only a collection of garbage does: list all that there is, move objects out of the way, bring them back, delete
//! them for good.

use super::{
    Store, is_absent,
    open::Backend,
    read::collect,
    store_error,
    write::{PART, Payload},
};
use crate::{
    Error, ErrorKind, Result, format,
    format::keys::{self, Class},
    package::{Link, Sha256, Timestamp},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutPayload,
    UpdateVersion, path::Path,
};
use std::{
    fs, io,
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::Instant;

/// What a look at an object says counts for so long.
const FRESH: Duration = Duration::from_secs(60);

/// How often it is looked at, where looking takes longer than that. It stays then, for the next collection.
const LOOKS: u32 = 5;

/// An object of a listing.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
    /// When it was last written, by the store's clock.
    pub(crate) modified: Timestamp,
}

/// What moving an object to the trash came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discarded {
    Yes,
    /// It was written again meanwhile, and stays.
    Changed,
    /// Another collection was faster.
    Gone,
}

/// A signed object that is replaced, with what the store goes by to tell that it is still the same one.
#[derive(Debug)]
pub(crate) struct Versioned {
    pub(crate) bytes: Bytes,
    version: UpdateVersion,
}

fn modified(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_unix(meta.last_modified.timestamp())
}

impl Store {
    /// Everything below a folder.
    pub(crate) fn listed(&self, folder: &'static str) -> BoxStream<'_, Result<Listed>> {
        let one =
            |meta: ObjectMeta| Listed { size: meta.size, modified: modified(&meta), key: meta.location.to_string() };
        self.inner.list(Some(&Path::from(folder))).map_ok(one).map_err(|e| store_error(self, "list", folder, e)).boxed()
    }

    /// When an object was last written; `None` where there is none.
    pub(crate) async fn last_written(&self, key: &str) -> Result<Option<Timestamp>> {
        match self.inner.head(&Path::from(key)).await {
            Ok(meta) => Ok(Some(modified(&meta))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(store_error(self, "look for", key, e)),
        }
    }

    /// Moves an object into the trash, if it was last written at that time. It is looked at before it is copied and right
    /// before it is deleted: what was written again is wanted by somebody (I16).
    pub(crate) async fn discard(&self, sha256: &Sha256, written: Timestamp) -> Result<Discarded> {
        let (from, to) = (keys::blob(sha256), keys::trash(sha256));
        let now = self.last_written(&from).await?;
        if now != Some(written) {
            return Ok(if now.is_some() { Discarded::Changed } else { Discarded::Gone });
        }
        if let Backend::Folder(folder) = self.backend.clone() {
            let moved = tokio::task::spawn_blocking({
                let (from, to) = (folder.join(&from), folder.join(&to));
                move || move_file(&from, &to)
            });
            let failed = |e| Error::io("move", &folder.join(&from), e);
            return moved.await.map_err(|e| failed(io::Error::other(e)))?.map_err(failed);
        }
        if !self.copy(&from, &to).await? {
            return Ok(Discarded::Gone);
        }
        // A look that took long says nothing any more: a process may have slept in between, and somebody written it again.
        for _ in 0..LOOKS {
            let looked = Instant::now();
            if self.last_written(&from).await? != Some(written) {
                return Ok(Discarded::Changed);
            }
            if looked.elapsed() < FRESH {
                self.delete(&from).await?;
                return Ok(Discarded::Yes);
            }
        }
        Ok(Discarded::Changed)
    }

    /// Brings an object back from the trash, if it is there; what is in the trash stays until it is purged.
    pub(crate) async fn restore(&self, sha256: &Sha256) -> Result<bool> {
        let restored = self.copy(&keys::trash(sha256), &keys::blob(sha256)).await?;
        if restored {
            self.flush().await?;
            tracing::warn!("{} was brought back from the trash", self.place(&keys::blob(sha256)));
        }
        Ok(restored)
    }

    /// Deletes an object of the trash for good.
    pub(crate) async fn purge(&self, sha256: &Sha256) -> Result<()> {
        self.delete(&keys::trash(sha256)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.inner.delete(&Path::from(key)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(store_error(self, "delete", key, e)),
        }
    }

    /// Copies an object inside the store, and makes sure that the copy is there: some stores say yes, and tell of a failure
    /// only in the body of the answer. False where there is nothing to copy.
    async fn copy(&self, from: &str, to: &str) -> Result<bool> {
        let meta = match self.inner.head(&Path::from(from)).await {
            Ok(meta) => meta,
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(e) => return Err(store_error(self, "look for", from, e)),
        };
        // What `object_store` makes in a folder is a second name of the same file: both are as old as the younger one, and to
        // move one onto the other does nothing (POSIX), so what was brought back could not be collected again.
        let copied =
            if self.is_local() { None } else { Some(self.inner.copy(&Path::from(from), &Path::from(to)).await) };
        match copied {
            Some(Ok(())) => {}
            Some(Err(StoreError::NotFound { .. })) => return Ok(false),
            // A folder, or a store that cannot copy, or not something that large.
            other => {
                tracing::debug!("{from} is read and written: {other:?}");
                match self.copy_through(from, to, meta.size).await {
                    Err(e) if is_absent(&e) => return Ok(false),
                    done => done?,
                }
            }
        }
        match self.inner.head(&Path::from(to)).await {
            Ok(copy) if copy.size == meta.size => Ok(true),
            Ok(_) | Err(StoreError::NotFound { .. }) => {
                Err(Error::new(ErrorKind::Unavailable, format!("{} is no whole copy of {from}", self.place(to)))
                    .with_hint("nothing was deleted; try again later"))
            }
            Err(e) => Err(store_error(self, "look for", to, e)),
        }
    }

    /// Copies by reading and writing, a part at a time.
    async fn copy_through(&self, from: &str, to: &str, size: u64) -> Result<()> {
        let (reading, writing) = (|e| store_error(self, "read", from, e), |e| store_error(self, "write", to, e));
        let mut stream = self.inner.get(&Path::from(from)).await.map_err(reading)?.into_stream();
        if size <= PART {
            let bytes = collect(stream, size).await.map_err(|e| self.stream_error(from, e))?;
            let put = self.inner.put_opts(&Path::from(to), PutPayload::from(bytes), self.options(Class::Blob)).await;
            return put.map(drop).map_err(writing);
        }
        let options =
            PutMultipartOptions { attributes: self.attributes(Class::Blob), ..PutMultipartOptions::default() };
        let mut upload = self.inner.put_multipart_opts(&Path::from(to), options).await.map_err(writing)?;
        let sent = async {
            let mut part = BytesMut::new();
            while let Some(piece) = stream.try_next().await.map_err(reading)? {
                part.extend_from_slice(&piece);
                if part.len() as u64 >= PART {
                    upload.put_part(PutPayload::from(part.split().freeze())).await.map_err(writing)?;
                }
            }
            if !part.is_empty() {
                upload.put_part(PutPayload::from(part.freeze())).await.map_err(writing)?;
            }
            upload.complete().await.map(drop).map_err(writing)
        }
        .await;
        if sent.is_err() {
            // Parts that stay behind would be billed. That this fails too changes nothing.
            let _ = upload.abort().await;
        }
        sent
    }

    /// Reads a signed object that is going to be replaced.
    pub(crate) async fn get_versioned(&self, key: &str) -> Result<Option<Versioned>> {
        let got = match self.inner.get(&Path::from(key)).await {
            Ok(got) => got,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(store_error(self, "read", key, e)),
        };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = collect(got.into_stream(), format::limits::SIGNED).await.map_err(|e| self.stream_error(key, e))?;
        Ok(Some(Versioned { bytes, version }))
    }

    /// Replaces a signed object, if it is still the one that was seen (`None`: if there still is none). False when it is
    /// not. A store that knows no such condition is looked at once more right before.
    pub(crate) async fn replace_signed(&self, key: &str, seen: Option<&Versioned>, bytes: &Bytes) -> Result<bool> {
        let path = Path::from(key);
        let mut options = self.options(Class::Pointer);
        let known = seen.is_none_or(|s| s.version.e_tag.is_some() || s.version.version.is_some());
        if !self.single_writer && !self.is_local() && known {
            options.mode = seen.map_or(PutMode::Create, |s| PutMode::Update(s.version.clone()));
            let refused = match self.commits.put_opts(&path, PutPayload::from(bytes.clone()), options.clone()).await {
                Ok(_) => return Ok(true),
                Err(e @ (StoreError::NotImplemented { .. } | StoreError::NotSupported { .. })) => Err(e),
                Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(None),
                Err(e) => Ok(Some(e)),
            };
            match refused {
                Err(e) => tracing::debug!("{key}: {e}"),
                // It may have happened all the same: what is there now says.
                Ok(refused) => {
                    let there = self.get_versioned(key).await?.map(|v| v.bytes);
                    return match refused {
                        _ if there.as_ref() == Some(bytes) => Ok(true),
                        Some(e) if there.as_ref() == seen.map(|s| &s.bytes) => Err(store_error(self, "write", key, e)),
                        _ => Ok(false),
                    };
                }
            }
        }
        if self.get_versioned(key).await?.map(|v| v.bytes).as_ref() != seen.map(|s| &s.bytes) {
            return Ok(false);
        }
        self.put_pointer(key, Class::Pointer, bytes.clone(), None).await
    }

    /// Stores a sealed object.
    pub(crate) async fn put_object(&self, object: format::Object, now: Timestamp) -> Result<Link> {
        self.put_linked(&object.link, Payload::Bytes(object.bytes), now).await?;
        self.flush().await?;
        Ok(object.link)
    }
}

/// On a disk, moving is one step, and keeps the file's time: it is set first, so that the trash tells since when it is there.
fn move_file(from: &std::path::Path, to: &std::path::Path) -> io::Result<Discarded> {
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(Timestamp::now().unix()).unwrap_or_default());
    let moved = || {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::File::options().write(true).open(from)?.set_modified(now)?;
        fs::rename(from, to)
    };
    match moved() {
        Ok(()) => Ok(Discarded::Yes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Discarded::Gone),
        Err(e) => Err(e),
    }
}
