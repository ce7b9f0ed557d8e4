//! Copying from another store, byte for byte. What arrives is checked against the link that cites it before it is there for
//! anybody (invariant I25).

use super::{
    Put, Store,
    read::collect,
    store_error,
    write::{PART, Parts},
};
use crate::{
    Result,
    format::keys::{self, Class},
    package::Link,
    store::Fetched,
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};

/// What creating an object came to that may only ever have one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    Written,
    /// The same bytes were there.
    Present,
    /// Other bytes are there.
    Other,
}

impl Store {
    /// Copies an immutable object, unless the right bytes are here: they are read and hashed before they are relied on. How
    /// old they are does not matter: a copy is nobody's to collect garbage in (the key that it takes is not here).
    pub(crate) async fn copy_linked(&self, link: &Link, from: &Self) -> Result<Put> {
        if self.has_size(link).await && self.is_right(link).await {
            return Ok(Put::Present);
        }
        if link.size > PART {
            let bytes = from.stream_linked(*link).await?;
            self.put_parts(link, self.parts_from(bytes)).await?;
        } else {
            let _room = self.take_room(link.size).await?;
            self.put_checked(link, from.get_linked(link, PART).await?).await?;
        }
        Ok(Put::Written)
    }

    /// Whether an object of the right size is here, which says nothing of its bytes.
    pub(crate) async fn has_size(&self, link: &Link) -> bool {
        let key = keys::blob(&link.sha256);
        self.inner.head(&Path::from(key)).await.is_ok_and(|meta| meta.size == link.size)
    }

    /// Puts an immutable object whose bytes the caller has checked, and that is not here.
    pub(crate) async fn put_checked(&self, link: &Link, bytes: Bytes) -> Result<()> {
        let key = keys::blob(&link.sha256);
        let path = Path::from(key.as_str());
        let put = self.inner.put_opts(&path, PutPayload::from(bytes), self.options(Class::Blob)).await;
        put.map(drop).map_err(|e| store_error(self, "write", &key, e))
    }

    /// The parts of what comes from elsewhere. Its stream ends with an error where it is not what its link says, and so do
    /// they: before the last one, or after it.
    fn parts_from(&self, bytes: BoxStream<'static, Result<Bytes>>) -> Parts<'_> {
        let part = usize::try_from(PART).unwrap_or(usize::MAX);
        let parts = stream::try_unfold((bytes, Bytes::new()), move |(mut bytes, mut rest)| async move {
            let room = self.take_room(PART).await?;
            let mut out = BytesMut::with_capacity(part);
            while out.len() < part {
                if rest.is_empty() {
                    let Some(more) = bytes.try_next().await? else { break };
                    rest = more;
                }
                out.extend_from_slice(&rest.split_to(rest.len().min(part - out.len())));
            }
            Ok((!out.is_empty()).then(|| ((out.freeze(), room), (bytes, rest))))
        });
        parts.boxed()
    }

    /// Creates an object that may only ever have these bytes. Unlike a claim it may be tried again: whoever created it, what
    /// counts is what is there. It is flushed together with all else ([`Store::flush`]).
    pub(crate) async fn put_same(&self, key: &str, class: Class, bytes: &Bytes) -> Result<Same> {
        let mode = if self.single_writer { PutMode::Overwrite } else { PutMode::Create };
        let options = PutOptions { mode, ..self.options(class) };
        let put = self.inner.put_opts(&Path::from(key), PutPayload::from(bytes.clone()), options).await;
        match put {
            Ok(_) => Ok(Same::Written),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                match self.get_signed(key, None).await? {
                    Fetched::New { bytes: there, .. } if there == *bytes => Ok(Same::Present),
                    _ => Ok(Same::Other),
                }
            }
            Err(e) => Err(store_error(self, "create", key, e)),
        }
    }

    /// Reads something small and unsigned; `None` where it is not there.
    pub(crate) async fn get_note(&self, key: &str, max: u64) -> Result<Option<Bytes>> {
        match self.inner.get(&Path::from(key)).await {
            Ok(got) => collect(got.into_stream(), max).await.map(Some).map_err(|e| self.stream_error(key, e)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(store_error(self, "read", key, e)),
        }
    }
}
