//! Writing: immutable objects under their digest, create-only slots, and the one mutable pointer.

use super::{PARALLEL, Store, open::Backend, store_error};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::keys::{self, Class},
    package::{Link, Sha256Hasher, Timestamp},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, UpdateVersion, path::Path,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// Files up to this size go up in one request; larger ones in parts of this size, so that memory stays flat.
pub(super) const PART: u64 = 8 * 1024 * 1024;

/// So many parts of one file go up at once.
const PARTS: usize = 4;

/// In a bucket, an object up to this size is sent at once, on condition that it is not there: to ask first would take as
/// long as to send it. A larger one is asked for first, so that a run which was interrupted sends nothing large twice.
const SENT_UNASKED: u64 = 256 * 1024;

/// How many objects are put into a bucket at once: it answers after a while, whatever it is sent, so what is under way decides how
/// fast many small objects go up. How many bytes that may be is bounded by the room in memory.
const PUTS: usize = 96;

/// How often a store is asked whether it refuses to create what exists.
const CONDITIONAL_TRIES: u32 = 4;

/// An object of that key that was last written longer ago may be about to be collected as garbage (invariant I10): it is
/// written again instead of being relied on. A quarter of the shortest grace period.
const YOUNG: Duration = Duration::from_secs(12 * 3600);

/// The parts of something large, all but the last of one size, each with the room that it takes. What they are in the end
/// is checked before they end.
pub(super) type Parts<'a> = BoxStream<'a, Result<(Bytes, OwnedSemaphorePermit)>>;

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
    /// `now` is the time by which an object is old.
    pub(crate) async fn put_linked(&self, link: &Link, payload: Payload, now: Timestamp) -> Result<Put> {
        let key = keys::blob(&link.sha256);
        let unasked = self.backend == Backend::Cloud && link.size <= SENT_UNASKED;
        if !unasked && self.is_there(&key, link, now).await {
            return Ok(Put::Present);
        }
        let (bytes, _room) = match payload {
            Payload::Bytes(bytes) => (bytes, None),
            Payload::Later(later) if link.size <= PART => {
                let room = self.take_room(link.size).await?;
                let (bytes, hasher) = later.piece(0, link.size, Sha256Hasher::default()).await?;
                if hasher.finish() != link.sha256 {
                    return Err(later.changed());
                }
                (bytes, Some(room))
            }
            Payload::Later(later) => {
                self.put_parts(link, self.parts_of(link, &later)).await?;
                return Ok(Put::Written);
            }
        };
        if unasked {
            let options = PutOptions { mode: PutMode::Create, ..self.options(Class::Blob) };
            match self.inner.put_opts(&Path::from(key.as_str()), PutPayload::from(bytes.clone()), options).await {
                Ok(_) => return Ok(Put::Written),
                Err(object_store::Error::AlreadyExists { .. }) if self.is_there(&key, link, now).await => {
                    return Ok(Put::Present);
                }
                // Not the right bytes, or old, or no clear answer: below it is written whatever is there.
                Err(e) => tracing::debug!("{key}: {e}"),
            }
        }
        let path = Path::from(key.as_str());
        let put = self.inner.put_opts(&path, PutPayload::from(bytes), self.options(Class::Blob)).await;
        put.map(|_| Put::Written).map_err(|e| store_error(self, "write", &key, e))
    }

    /// How an object is written, with the headers under which a bucket serves it over HTTP.
    pub(super) fn options(&self, class: Class) -> PutOptions {
        PutOptions { attributes: self.attributes(class), ..PutOptions::default() }
    }

    pub(super) fn attributes(&self, class: Class) -> Attributes {
        let mut attributes = Attributes::new();
        if self.backend == Backend::Cloud {
            attributes.insert(Attribute::CacheControl, class.cache_control().into());
            attributes.insert(Attribute::ContentType, class.content_type().into());
        }
        attributes
    }

    /// How many objects to put at once.
    pub(crate) fn puts_at_once(&self) -> usize {
        self.connections.unwrap_or(if self.backend == Backend::Cloud { PUTS } else { PARALLEL })
    }

    /// Waits until so many bytes more may be in memory.
    pub(crate) async fn take_room(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        // Who wants more than there is takes all of it.
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.room.all);
        // The semaphore is never closed.
        let room = Semaphore::acquire_many_owned(Arc::clone(&self.room.free), kib).await;
        room.map_err(|e| Error::new(ErrorKind::Io, "no room for an upload").with_source(e))
    }

    /// The same without waiting: nothing where there is no room now.
    pub(crate) fn try_room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).ok()?;
        Semaphore::try_acquire_many_owned(Arc::clone(&self.room.free), kib).ok()
    }

    /// Uploads something large in parts. The object appears only when the last part is in and the parts have come to an end
    /// without an error, so bytes that changed on the way never become visible.
    pub(super) async fn put_parts(&self, link: &Link, parts: Parts<'_>) -> Result<()> {
        let key = &keys::blob(&link.sha256);
        let failed = |e| store_error(self, "write", key, e);
        let options =
            PutMultipartOptions { attributes: self.attributes(Class::Blob), ..PutMultipartOptions::default() };
        let mut upload = self.inner.put_multipart_opts(&Path::from(key.as_str()), options).await.map_err(failed)?;
        let sent = self.send_parts(key, parts, upload.as_mut()).await;
        let outcome = match sent {
            Ok(()) => match upload.complete().await {
                Ok(_) => Ok(()),
                // It may have taken effect: the client's own second try is then told that there is no such upload.
                Err(_) if self.has_size(link).await && self.is_right(link).await => Ok(()),
                Err(e) => Err(failed(e)),
            },
            Err(e) => Err(e),
        };
        if outcome.is_err() {
            // Parts that stay behind would be billed; nothing refers to them. That this fails too changes nothing.
            let _ = upload.abort().await;
        }
        outcome
    }

    async fn send_parts(&self, key: &str, mut parts: Parts<'_>, upload: &mut dyn MultipartUpload) -> Result<()> {
        let sent = |part: std::result::Result<object_store::Result<()>, tokio::task::JoinError>| match part {
            Ok(part) => part.map_err(|e| store_error(self, "write", key, e)),
            Err(e) => Err(Error::new(ErrorKind::Io, "an upload broke off").with_source(e)),
        };
        // Tasks of their own: they go on while the next part waits for room. Dropped, they stop.
        let mut sending = JoinSet::new();
        while let Some((bytes, room)) = parts.try_next().await? {
            let part = upload.put_part(PutPayload::from(bytes));
            sending.spawn(async move {
                let _room = room;
                part.await
            });
            if sending.len() >= PARTS
                && let Some(part) = sending.join_next().await
            {
                sent(part)?;
            }
        }
        while let Some(part) = sending.join_next().await {
            sent(part)?;
        }
        Ok(())
    }

    /// The parts of a file; an error at the end if it is not what the link says.
    fn parts_of<'a>(&'a self, link: &'a Link, later: &'a Later) -> Parts<'a> {
        let parts = stream::try_unfold(Sha256Hasher::default(), move |hasher| async move {
            if hasher.size() >= link.size {
                return if hasher.finish() == link.sha256 { Ok(None) } else { Err(later.changed()) };
            }
            let len = PART.min(link.size - hasher.size());
            let room = self.take_room(len).await?;
            let (bytes, hasher) = later.piece(hasher.size(), len, hasher).await?;
            Ok(Some(((bytes, room), hasher)))
        });
        parts.boxed()
    }

    async fn is_there(&self, key: &str, link: &Link, now: Timestamp) -> bool {
        let Ok(meta) = self.inner.head(&Path::from(key)).await else { return false };
        // By whichever clock is ahead: what is too young by the wrong one would be relied on, and then be collected.
        let ahead = u64::try_from(self.clock_ahead().unwrap_or_default()).unwrap_or_default();
        let age = now.plus(Duration::from_secs(ahead)).since(Timestamp::from_unix(meta.last_modified.timestamp()));
        meta.size == link.size && age <= YOUNG && self.is_right(link).await
    }

    /// Whether the right bytes are there: all of them are read.
    pub(super) async fn is_right(&self, link: &Link) -> bool {
        let Ok(mut stream) = self.stream_linked(*link).await else { return false };
        while let Some(piece) = stream.next().await {
            if piece.is_err() {
                return false;
            }
        }
        true
    }

    /// Makes all objects written so far survive a loss of power. A no-op where a finished write is durable by itself.
    pub(crate) async fn flush(&self) -> Result<()> {
        #[cfg(target_os = "linux")]
        if let Backend::Folder(folder) = self.backend.clone()
            && folder.is_dir()
        {
            let flushed = tokio::task::spawn_blocking(move || {
                let opened = std::fs::File::open(&folder)?;
                rustix::fs::syncfs(&opened).map_err(std::io::Error::from)
            });
            let failed = |e| Error::io("flush", self.path().unwrap_or(std::path::Path::new("")), e);
            return match flushed.await {
                Ok(done) => done.map_err(failed),
                Err(e) => Err(failed(std::io::Error::other(e))),
            };
        }
        Ok(())
    }

    /// Creates an object that must not exist. Never retried here: a retry could report a success of the first try as a
    /// loss (invariant I4).
    pub(crate) async fn put_new(&self, key: &str, class: Class, bytes: Bytes) -> Created {
        let path = Path::from(key);
        let mut options = self.options(class);
        if self.single_writer {
            // The store need not know conditions then; nobody can come between.
            match self.inner.head(&path).await {
                Ok(_) => return Created::Exists,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Created::Unknown(store_error(self, "look for", key, e)),
            }
        } else {
            options.mode = PutMode::Create;
        }
        match self.commits.put_opts(&path, PutPayload::from(bytes), options).await {
            Ok(_) => Created::Yes,
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Created::Exists
            }
            Err(e) => Created::Unknown(store_error(self, "create", key, e)),
        }
    }

    /// Makes sure that the store refuses to create what exists, by creating an object anew that holds these very bytes. A
    /// store that ignores the condition answers with a success, and has changed nothing. That two writers at once get one
    /// winner is not shown by this: `doctor` shows it.
    pub(crate) async fn require_conditional(&self, key: &str, class: Class, bytes: &Bytes) -> Result<()> {
        if self.single_writer || self.is_local() || self.conditional.get().is_some() {
            return Ok(());
        }
        let mut unclear = None;
        for attempt in 0..CONDITIONAL_TRIES {
            let options = PutOptions { mode: PutMode::Create, ..self.options(class) };
            match self.inner.put_opts(&Path::from(key), PutPayload::from(bytes.clone()), options).await {
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    let _ = self.conditional.set(());
                    return Ok(());
                }
                Err(e) => unclear = Some(store_error(self, "create", key, e)),
                Ok(_) => {
                    let message = format!(
                        "{self} ignores conditional writes: of two jobs that publish at once, one would be lost"
                    );
                    return Err(Error::new(ErrorKind::Invalid, message).with_hint(
                        "`ggen-market doctor` shows what the store lacks; if only one job ever writes to it, say so: \
                         --single-writer",
                    ));
                }
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        Err(unclear.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, format!("{self} does not answer"))))
    }

    /// Replaces a mutable object: only while it is still the one that was read, where the store knows such a condition, so
    /// that a request which was long on its way cannot bring back what was replaced (I12). False when it is another one by
    /// now.
    pub(crate) async fn put_pointer(
        &self,
        key: &str,
        class: Class,
        bytes: Bytes,
        known: Option<UpdateVersion>,
    ) -> Result<bool> {
        // On a disk it is flushed; in a bucket it is tried again, which is harmless: whoever writes it looks at the log
        // again afterwards.
        let store = if self.is_local() { &self.commits } else { &self.inner };
        let path = Path::from(key);
        if let Some(known) = known.filter(|_| !self.is_local() && !self.single_writer) {
            let options = PutOptions { mode: PutMode::Update(known), ..self.options(class) };
            match store.put_opts(&path, PutPayload::from(bytes.clone()), options).await {
                Ok(_) => return Ok(true),
                Err(object_store::Error::Precondition { .. }) => return Ok(false),
                // Not every store has this.
                Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {}
                Err(e) => return Err(store_error(self, "write", key, e)),
            }
        }
        let put = store.put_opts(&path, PutPayload::from(bytes), self.options(class)).await;
        put.map(|_| true).map_err(|e| store_error(self, "write", key, e))
    }

    /// By how many seconds the store's clock is ahead of this machine's, as far as that is known.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        self.clock.ahead()
    }
}
