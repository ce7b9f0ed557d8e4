//! Writing: immutable objects under their digest, create-only slots, and the one mutable pointer.

use super::{Store, store_error};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::keys,
    package::{Link, Sha256Hasher, Timestamp},
};
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::SemaphorePermit;

/// Files up to this size go up in one request; larger ones in parts of this size, so that memory stays flat.
const PART: u64 = 8 * 1024 * 1024;

/// An object of that key that was last written longer ago may be about to be collected as garbage (invariant I10): it is
/// written again instead of being relied on. A quarter of the shortest grace period.
const YOUNG: Duration = Duration::from_secs(12 * 3600);

/// The bytes of an immutable object.
#[derive(Clone)]
pub(crate) enum Payload {
    Bytes(Bytes),
    /// Read when they are needed, so that a queue of uploads holds no bytes.
    Later(Later),
}

/// Bytes that lie on this machine's disk.
#[derive(Clone)]
pub(crate) struct Later {
    /// Reads so many bytes from that offset; fails where there are fewer.
    pub(crate) read: Arc<dyn Fn(u64, u64) -> std::io::Result<Bytes> + Send + Sync>,
    /// What messages call it.
    pub(crate) place: PathBuf,
}

impl Later {
    /// Reads a piece and takes it into the hash. On the pool for CPU work and not on one of tokio's many blocking threads:
    /// hashing is most of it, and an allocator that keeps a heap for each thread keeps few of them then.
    async fn piece(&self, offset: u64, len: u64, mut hasher: Sha256Hasher) -> Result<(Bytes, Sha256Hasher)> {
        let read = Arc::clone(&self.read);
        let done = cpu::run(move || {
            let bytes = read(offset, len)?;
            hasher.update(&bytes);
            Ok::<_, std::io::Error>((bytes, hasher))
        });
        match done.await {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.changed()),
            other => other.map_err(|e| Error::io("read", &self.place, e)),
        }
    }

    fn changed(&self) -> Error {
        Error::new(ErrorKind::Refused, format!("{} changed while it was being published", self.place.display()))
            .with_hint("run the build again when nothing writes to the file")
    }
}

/// What putting an immutable object came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Written,
    /// The right bytes were there already: an earlier run was interrupted after it had written them.
    Present,
}

/// The answer to a conditional create.
#[derive(Debug)]
pub(crate) enum Created {
    Yes,
    Exists,
    /// Neither a clear yes nor a clear no: it may have happened (invariant I4).
    Unknown(Error),
}

impl Store {
    /// Stores an immutable object under its digest. It is not written again where the right bytes are already there; what
    /// is there is read and hashed before it is relied on, since anybody who can write to the store may have planted it.
    pub(crate) async fn put_linked(&self, link: &Link, payload: Payload) -> Result<Put> {
        let key = keys::blob(&link.sha256);
        if self.is_there(&key, link).await {
            return Ok(Put::Present);
        }
        match payload {
            Payload::Bytes(bytes) => self.put_bytes(&key, bytes).await?,
            Payload::Later(later) if link.size <= PART => {
                let _room = self.take_room(link.size).await?;
                let (bytes, hasher) = later.piece(0, link.size, Sha256Hasher::default()).await?;
                if hasher.finish() != link.sha256 {
                    return Err(later.changed());
                }
                self.put_bytes(&key, bytes).await?;
            }
            Payload::Later(later) => self.put_parts(&key, link, &later).await?,
        }
        Ok(Put::Written)
    }

    /// Waits until so many bytes more may be in memory.
    async fn take_room(&self, bytes: u64) -> Result<SemaphorePermit<'_>> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let room = self.room.acquire_many(kib).await;
        room.map_err(|e| Error::new(ErrorKind::Io, "no room for an upload").with_source(e))
    }

    async fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<()> {
        let put = self.inner.put(&Path::from(key), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|e| store_error(self, "write", key, e))
    }

    /// Uploads something large in parts. The object appears only when the last part is in, so bytes that changed on the way
    /// never become visible.
    async fn put_parts(&self, key: &str, link: &Link, later: &Later) -> Result<()> {
        let failed = |e| store_error(self, "write", key, e);
        let mut upload = self.inner.put_multipart(&Path::from(key)).await.map_err(failed)?;
        let outcome: Result<()> = async {
            let mut hasher = Sha256Hasher::default();
            let mut bytes;
            while hasher.size() < link.size {
                let len = PART.min(link.size - hasher.size());
                let _room = self.take_room(len).await?;
                (bytes, hasher) = later.piece(hasher.size(), len, hasher).await?;
                upload.put_part(PutPayload::from(bytes)).await.map_err(failed)?;
            }
            if hasher.finish() != link.sha256 {
                return Err(later.changed());
            }
            match upload.complete().await {
                Ok(_) => Ok(()),
                // It may have taken effect: the client's own second try is then told that there is no such upload.
                Err(_) if self.is_there(key, link).await => Ok(()),
                Err(e) => Err(failed(e)),
            }
        }
        .await;
        if outcome.is_err() {
            // Parts that stay behind would be billed; nothing refers to them. That this fails too changes nothing.
            let _ = upload.abort().await;
        }
        outcome
    }

    async fn is_there(&self, key: &str, link: &Link) -> bool {
        let Ok(meta) = self.inner.head(&Path::from(key)).await else { return false };
        let age = Timestamp::now().since(Timestamp::from_unix(meta.last_modified.timestamp()));
        if meta.size != link.size || age > YOUNG {
            return false;
        }
        let Ok(mut stream) = self.stream_linked(*link).await else { return false };
        while let Some(piece) = futures::StreamExt::next(&mut stream).await {
            if piece.is_err() {
                return false;
            }
        }
        true
    }

    /// Makes all objects written so far survive a loss of power. A no-op where a finished write is durable by itself.
    pub(crate) async fn flush(&self) -> Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(folder) = self.folder.clone().filter(|f| f.is_dir()) {
            let flushed = tokio::task::spawn_blocking(move || {
                let opened = std::fs::File::open(&folder)?;
                rustix::fs::syncfs(&opened).map_err(std::io::Error::from)
            });
            let failed = |e| Error::io("flush", self.folder.as_deref().unwrap_or(std::path::Path::new("")), e);
            return match flushed.await {
                Ok(done) => done.map_err(failed),
                Err(e) => Err(failed(std::io::Error::other(e))),
            };
        }
        Ok(())
    }

    /// Creates an object that must not exist. Never retried here: a retry could report a success of the first try as a
    /// loss (invariant I4).
    pub(crate) async fn put_new(&self, key: &str, bytes: Bytes) -> Created {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.durable.put_opts(&Path::from(key), PutPayload::from(bytes), options).await {
            Ok(_) => Created::Yes,
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Created::Exists
            }
            Err(e) => Created::Unknown(store_error(self, "create", key, e)),
        }
    }

    /// Replaces the mutable pointer.
    pub(crate) async fn put_pointer(&self, key: &str, bytes: Bytes) -> Result<()> {
        let put = Arc::clone(&self.durable).put(&Path::from(key), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|e| store_error(self, "write", key, e))
    }
}
