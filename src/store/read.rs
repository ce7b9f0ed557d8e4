//! Reading: every remote byte passes a size cap and, but for the signed objects, a digest, here and nowhere else
//! (invariant I25).

use super::{Store, store_error};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, Entry, Marks, keys},
    index::{Node, Nodes},
    package::{Link, Sha256, Sha256Hasher},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectStoreExt, UpdateVersion, path::Path};
use std::{collections::HashSet, ops::Range};

/// How many objects are fetched at once.
pub(crate) const PARALLEL: usize = 32;

/// An answer to a question for a mutable object.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It is there, and not the one asked about.
    New {
        bytes: Bytes,
        /// By which it is known again.
        version: UpdateVersion,
    },
    /// It is still the one with the ETag asked about.
    NotModified,
    /// The store says that it is not there.
    Absent,
}

/// An answer to a question for a part of an object.
#[derive(Debug)]
pub(crate) enum Part {
    /// These very bytes, not checked yet: a part has no digest of its own here.
    Bytes(Bytes),
    /// The store gives whole objects only.
    Unsupported,
}

impl Store {
    /// Reads a signed object (slot or checkpoint): capped, and checked by its signature in the caller.
    pub(crate) async fn get_signed(&self, key: &str, etag: Option<&str>) -> Result<Fetched> {
        let options = GetOptions { if_none_match: etag.map(Into::into), ..GetOptions::default() };
        let got = match self.inner.get_opts(&Path::from(key), options).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(Fetched::Absent),
            Err(object_store::Error::NotModified { .. }) => return Ok(Fetched::NotModified),
            Err(e) => return Err(store_error(self, "read", key, e)),
        };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = collect(got.into_stream(), format::limits::SIGNED).await.map_err(|e| self.stream_error(key, e))?;
        Ok(Fetched::New { bytes, version })
    }

    /// Reads a whole immutable object, capped at what the link says and checked against it.
    pub(crate) async fn get_linked(&self, link: &Link, max: u64) -> Result<Bytes> {
        let key = keys::blob(&link.sha256);
        if link.size > max {
            return Err(format::FormatError::TooLarge { size: link.size, max }.at(self.place(&key)));
        }
        let got = self.inner.get(&Path::from(key.as_str())).await.map_err(|e| store_error(self, "read", &key, e))?;
        let bytes = collect(got.into_stream(), link.size).await.map_err(|e| self.stream_error(&key, e))?;
        format::check(&bytes, link).map_err(|e| e.at(self.place(&key)))?;
        Ok(bytes)
    }

    /// Reads a part of an immutable object. The length is right; the caller checks the bytes.
    pub(crate) async fn get_part(&self, link: &Link, range: Range<u64>) -> Result<Part> {
        let key = keys::blob(&link.sha256);
        let max = range.end - range.start;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let got = match self.inner.get_opts(&Path::from(key.as_str()), options).await {
            Ok(got) => got,
            // What object_store makes of a 200 where a 206 was asked for.
            Err(object_store::Error::NotSupported { .. }) => return Ok(Part::Unsupported),
            Err(e) => return Err(store_error(self, "read", &key, e)),
        };
        if got.range != range || got.meta.size != link.size {
            let found = format!("bytes {}..{} of {}", got.range.start, got.range.end, got.meta.size);
            let wanted = format!("bytes {}..{} of {}", range.start, range.end, link.size);
            let reason = format!("{found} where {wanted} were asked for");
            return Err(format::FormatError::Malformed { what: "answer to a range", reason }.at(self.place(&key)));
        }
        let bytes = collect(got.into_stream(), max).await.map_err(|e| self.stream_error(&key, e))?;
        if bytes.len() as u64 != max {
            return Err(format::FormatError::Size { got: bytes.len() as u64, want: max }.at(self.place(&key)));
        }
        Ok(Part::Bytes(bytes))
    }

    /// Reads an object that is stored compressed, and decompresses it.
    pub(crate) async fn get_raw(&self, link: &Link, max: u64, max_raw: u64) -> Result<Vec<u8>> {
        let place = || self.place(&keys::blob(&link.sha256));
        let raw = link.raw.unwrap_or(link.size);
        if raw > max_raw {
            return Err(format::FormatError::TooLarge { size: raw, max: max_raw }.at(place()));
        }
        let bytes = self.get_linked(link, max).await?;
        let link = *link;
        cpu::run(move || format::unpack(&bytes, &link)).await.map_err(|e| e.at(place()))
    }

    /// Reads a compressed object of which only the digest is known, and gives the link that it turns out to have.
    pub(crate) async fn get_unsized(&self, sha256: &Sha256, max: u64, max_raw: u64) -> Result<(Vec<u8>, Link)> {
        let key = keys::blob(sha256);
        let got = self.inner.get(&Path::from(key.as_str())).await.map_err(|e| store_error(self, "read", &key, e))?;
        let bytes = collect(got.into_stream(), max).await.map_err(|e| self.stream_error(&key, e))?;
        let link = Link { raw: None, sha256: *sha256, size: bytes.len() as u64 };
        format::check(&bytes, &link).map_err(|e| e.at(self.place(&key)))?;
        let raw = cpu::run(move || format::inflate(&bytes, max_raw)).await.map_err(|e| e.at(self.place(&key)))?;
        let link = Link { raw: Some(raw.len() as u64), ..link };
        Ok((raw, link))
    }

    /// Reads a node of the index.
    pub(crate) async fn get_node(&self, entry: &Entry) -> Result<Node> {
        let raw = self.get_raw(&entry.link, format::limits::NODE, format::limits::NODE_RAW).await?;
        Node::read(entry, raw).map_err(|e| e.at(self.place(&keys::blob(&entry.link.sha256))))
    }

    /// The bytes of an archive as they come, hashed on the way: the last item is an error if they are not what the link
    /// says, so a caller that keeps nothing before the end keeps nothing wrong.
    pub(crate) async fn stream_linked(&self, link: Link) -> Result<BoxStream<'static, Result<Bytes>>> {
        let key = keys::blob(&link.sha256);
        let got = self.inner.get(&Path::from(key.as_str())).await.map_err(|e| store_error(self, "read", &key, e))?;
        let (store, place) = (self.clone(), self.place(&key));
        let bytes = got.into_stream().map_err(move |e| store_error(&store, "read", &key, e)).boxed();
        Ok(checked(bytes, link, place))
    }

    /// How many objects the store holds besides these, and their bytes: first those that are not marked as garbage, then
    /// those that are. `None` where the store cannot be listed.
    pub(crate) async fn blobs_outside(
        &self,
        known: &HashSet<Sha256>,
        marks: &Marks,
    ) -> Option<((u64, u64), (u64, u64))> {
        let mut listed = self.inner.list(Some(&Path::from(keys::BLOBS)));
        let (mut unmarked, mut marked) = ((0, 0), (0, 0));
        while let Some(meta) = listed.try_next().await.ok()? {
            if let Some(digest) = keys::parse_blob(meta.location.as_ref()).filter(|digest| !known.contains(digest)) {
                let sum = if marks.marked(&digest).is_some() { &mut marked } else { &mut unmarked };
                *sum = (sum.0 + 1, sum.1 + meta.size);
            }
        }
        Some((unmarked, marked))
    }

    pub(super) fn stream_error(&self, key: &str, e: StreamError) -> Error {
        match e {
            StreamError::Store(e) => store_error(self, "read", key, e),
            StreamError::TooLong(max) => Error::new(
                ErrorKind::Untrusted,
                format!("{} is longer than the {max} bytes it may have", self.place(key)),
            )
            .with_hint(
                "something else than the registry answers here: a login page, another file, or a hostile server",
            ),
        }
    }
}

/// Passes bytes on and hashes them on the way; where they are not what the link says, the last item is an error.
pub(super) fn checked(
    bytes: BoxStream<'static, Result<Bytes>>,
    link: Link,
    place: String,
) -> BoxStream<'static, Result<Bytes>> {
    let state = Some((Sha256Hasher::default(), bytes, place));
    futures::stream::try_unfold(state, move |state| async move {
        let Some((mut hasher, mut bytes, place)) = state else { return Ok(None) };
        if let Some(piece) = bytes.try_next().await? {
            hasher.update(&piece);
            if hasher.size() > link.size {
                return Err(format::FormatError::Size { got: hasher.size(), want: link.size }.at(place));
            }
            return Ok(Some((piece, Some((hasher, bytes, place)))));
        }
        let (got, digest) = (hasher.size(), hasher.finish());
        if got != link.size {
            return Err(format::FormatError::Size { got, want: link.size }.at(place));
        }
        if digest != link.sha256 {
            return Err(format::FormatError::Digest { got: digest, want: link.sha256 }.at(place));
        }
        Ok(None)
    })
    .boxed()
}

pub(super) enum StreamError {
    Store(object_store::Error),
    TooLong(u64),
}

/// Takes a stream to its end, never more than `max` bytes.
pub(super) async fn collect(
    mut stream: BoxStream<'static, object_store::Result<Bytes>>,
    max: u64,
) -> std::result::Result<Bytes, StreamError> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(piece) = stream.try_next().await.map_err(StreamError::Store)? {
        let have = first.as_ref().map_or(all.len(), Bytes::len);
        if (have + piece.len()) as u64 > max {
            return Err(StreamError::TooLong(max));
        }
        // Most objects come in one piece, which then needs no copy.
        match first.take() {
            None if all.is_empty() => first = Some(piece),
            None => all.extend_from_slice(&piece),
            Some(begin) => {
                all.extend_from_slice(&begin);
                all.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// Fetches the nodes behind these entries, in parallel.
pub(crate) async fn load_nodes(store: &Store, entries: Vec<Entry>, into: &mut Nodes) -> Result<()> {
    let mut fetched = futures::stream::iter(entries)
        .map(|entry| async move { store.get_node(&entry).await.map(|node| (entry.link.sha256, node)) })
        .buffer_unordered(PARALLEL);
    while let Some((sha256, node)) = fetched.try_next().await? {
        into.insert(sha256, node);
    }
    Ok(())
}
