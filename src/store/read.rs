//! Reading: every remote byte passes a size cap and, but for the signed objects, a digest, here and in what this calls
//! (invariant I25).

use super::{
    DiskCache, Download, Store,
    download::Wanted,
    fault::{Ask, Body, Fault, Got, Then},
    mirrors::{Mirror, Mirrors, Place, Rounds, none_gave},
    store_error,
    web::Web,
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, Entry, Marks, Stored, keys, limits::SIGNED},
    index::{Node, Nodes},
    package::{Link, Sha256},
};
use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt, TryStreamExt,
    stream::{BoxStream, FuturesUnordered},
};
use object_store::{UpdateVersion, path::Path};
use std::{collections::HashSet, ops::Range, sync::Arc};

/// How many objects are fetched at once.
pub(super) const PARALLEL: usize = 32;

/// The lines of a node that is read where it arrives.
const SHORT: u64 = 64 * 1024;

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

/// An answer to a question for a mutable object, opened.
#[derive(Debug)]
pub(crate) enum Answered<T> {
    /// It is there, and not the one asked about.
    New {
        opened: T,
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
        let etag = |_| etag;
        let asked = self.ask(Rounds::new(&self.mirrors, key), (key, SIGNED), &etag, &|bytes, _: &str| Ok(bytes));
        Ok(match asked.await?.1 {
            Answered::New { opened: bytes, version } => Fetched::New { bytes, version },
            Answered::NotModified => Fetched::NotModified,
            Answered::Absent => Fetched::Absent,
        })
    }

    /// Reads a signed object and opens it; a mirror whose answer does not open is left for the next one. `open` is given the
    /// bytes and what to call the place.
    pub(crate) async fn get_opened<T>(
        &self,
        key: &str,
        open: impl Fn(Bytes, &str) -> Result<T>,
    ) -> Result<Answered<T>> {
        self.ask(Rounds::new(&self.mirrors, key), (key, SIGNED), &|_| None, &open).await.map(|(_, got)| got)
    }

    /// Reads something small and unsigned; `None` where it is not there.
    pub(crate) async fn get_note(&self, key: &str, max: u64) -> Result<Option<Bytes>> {
        let asked = self.ask(Rounds::new(&self.mirrors, key), (key, max), &|_| None, &|bytes, _: &str| Ok(bytes));
        Ok(match asked.await?.1 {
            Answered::New { opened, .. } => Some(opened),
            Answered::NotModified | Answered::Absent => None,
        })
    }

    /// Asks all mirrors for a signed object at once, each with the ETag that is known of it, and gives what they answered
    /// together with their numbers: those that answer soon after the first. (A mirror that merely stopped being updated
    /// answers as well as any other; only side by side can it be told.)
    ///
    /// # Errors
    /// When none has an answer.
    pub(crate) async fn get_from_all<T>(
        &self,
        key: &str,
        etags: &[Option<String>],
        open: impl Fn(Bytes, &str) -> Result<T>,
    ) -> Result<Vec<(usize, Answered<T>)>> {
        let etag = |i: usize| etags.get(i)?.as_deref();
        let ask = |i: usize| self.ask(Rounds::over(&self.mirrors, key, vec![i]), (key, SIGNED), &etag, &open);
        let awake = self.mirrors.awake();
        let mut answers = Vec::new();
        let mut errors = Vec::new();
        let resting = (0..self.mirrors.all().len()).filter(|i| !awake.contains(i)).collect();
        for group in [awake.clone(), resting] {
            let mut asked: FuturesUnordered<_> = group.into_iter().map(ask).collect();
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok((i, Answered::Absent)) => answers.push((i, Answered::Absent)),
                    Ok(answer) => {
                        answers.push(answer);
                        let rest = async {
                            while let Some(answer) = asked.next().await {
                                answers.extend(answer.ok());
                            }
                        };
                        // Who is later than that is not waited for.
                        let _ = tokio::time::timeout(self.mirrors.transport.options.grace, rest).await;
                        return Ok(answers);
                    }
                    Err(e) => errors.push(e),
                }
            }
        }
        // Where some are absent and one failed, the failure is what can be acted on.
        none_gave(errors, key).map_or(Ok(answers), Err)
    }

    /// Remembers which mirrors show an older state than others.
    pub(crate) fn set_behind(&self, mirror: usize, behind: bool) {
        self.mirrors.get(mirror).set_behind(behind);
    }

    /// In how many places it can be read.
    pub(crate) fn mirrors(&self) -> usize {
        self.mirrors.all().len()
    }

    /// How messages call an object of that mirror.
    pub(crate) fn place_at(&self, mirror: usize, key: &str) -> String {
        self.mirrors.get(mirror).place(key)
    }

    async fn ask<'a, T>(
        &self,
        mut rounds: Rounds,
        (key, max): (&str, u64),
        etag: &impl Fn(usize) -> Option<&'a str>,
        open: &impl Fn(Bytes, &str) -> Result<T>,
    ) -> Result<(usize, Answered<T>)> {
        let mut last = 0;
        loop {
            let i = match rounds.next().await {
                Ok(i) => i,
                Err(_) if rounds.all_absent() => return Ok((last, Answered::Absent)),
                Err(e) => return Err(e),
            };
            last = i;
            let mirror = self.mirrors.get(i);
            let (past, _) = rounds.manner(i);
            let room = if mirror.is_web() { self.mirrors.transport.room.acquire().await.ok() } else { None };
            let got = mirror.get(&Ask { key, from: 0, until: None, etag: etag(i), past }).await;
            let read = match got {
                Ok(Got::Body(body)) => {
                    let version = UpdateVersion { e_tag: body.etag.clone(), version: body.version.clone() };
                    let encoded = body.encoded;
                    small(body, mirror, key, max).await.map(|bytes| (bytes, version, encoded))
                }
                Ok(Got::NotModified) => {
                    mirror.well();
                    return Ok((i, Answered::NotModified));
                }
                Ok(Got::Absent(fault)) => {
                    rounds.absent(i, fault);
                    continue;
                }
                Err(fault) => Err(fault),
            };
            drop(room);
            match read {
                Ok((bytes, version, encoded)) => match open(bytes, &mirror.place(key)) {
                    Ok(opened) => {
                        mirror.well();
                        return Ok((i, Answered::New { opened, version }));
                    }
                    Err(e) if encoded => rounds.wrong(i, super::download::described(e, encoded)),
                    Err(e) => rounds.wrong(i, e),
                },
                Err(fault) => rounds.failed(i, fault),
            }
        }
    }

    /// Reads a whole immutable object, capped at what the link says and checked against it.
    pub(crate) async fn get_linked(&self, link: &Link, max: u64) -> Result<Bytes> {
        let key = keys::blob(&link.sha256);
        if link.size > max {
            return Err(format::FormatError::TooLarge { size: link.size, max }.at(self.place(&key)));
        }
        Download::new(&self.mirrors, Wanted::of(key, link), true).collect().await
    }

    /// Reads a part of an immutable object. The length is right; the caller checks the bytes.
    pub(crate) async fn get_part(&self, link: &Link, range: Range<u64>) -> Result<Part> {
        let key = keys::blob(&link.sha256);
        let mut rounds = Rounds::new(&self.mirrors, &key);
        loop {
            let i = rounds.next().await?;
            let mirror = self.mirrors.get(i);
            let (past, whole) = rounds.manner(i);
            if whole {
                return Ok(Part::Unsupported);
            }
            let room = if mirror.is_web() { self.mirrors.transport.room.acquire().await.ok() } else { None };
            let ask = Ask { key: &key, from: range.start, until: Some(range.end), etag: None, past };
            let read = match mirror.get(&ask).await {
                Ok(Got::Body(body)) => part(body, mirror, link, &range).await,
                Ok(Got::Absent(fault)) => {
                    rounds.absent(i, fault);
                    continue;
                }
                // Nobody asked whether it is another one.
                Ok(Got::NotModified) => return Ok(Part::Unsupported),
                Err(fault) => Err(fault),
            };
            drop(room);
            match read {
                Ok(part) => {
                    mirror.well();
                    return Ok(part);
                }
                Err(fault) => rounds.failed(i, fault),
            }
        }
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

    /// The same, by way of a cache on disk.
    pub(crate) async fn get_raw_near(
        &self,
        cache: Option<&Arc<DiskCache>>,
        link: &Link,
        max: u64,
        max_raw: u64,
    ) -> Result<Vec<u8>> {
        let Some(cache) = cache.filter(|_| link.size <= max && link.raw.unwrap_or(link.size) <= max_raw) else {
            return self.get_raw(link, max, max_raw).await;
        };
        let (near, link) = (Arc::clone(cache), *link);
        let found = cpu::run(move || near.get(&link).and_then(|bytes| format::unpack(&bytes, &link).ok())).await;
        if let Some(raw) = found {
            return Ok(raw);
        }
        let (near, bytes) = (Arc::clone(cache), self.get_linked(&link, max).await?);
        let unpacked = cpu::run(move || {
            near.put(&link, &bytes);
            format::unpack(&bytes, &link)
        });
        unpacked.await.map_err(|e| e.at(self.place(&keys::blob(&link.sha256))))
    }

    /// Reads an object of which only the digest is known, as it is stored.
    pub(crate) async fn get_unsized(&self, sha256: &Sha256, max: u64) -> Result<Bytes> {
        let wanted = Wanted { key: keys::blob(sha256), sha256: *sha256, size: None, max };
        Download::new(&self.mirrors, wanted, true).collect().await
    }

    /// Reads a node of a tree.
    pub(crate) async fn get_node<I: Stored>(&self, cache: Option<&Arc<DiskCache>>, entry: &Entry) -> Result<Node<I>> {
        let raw = self.get_raw_near(cache, &entry.link, format::limits::NODE, format::limits::NODE_RAW).await?;
        let entry = *entry;
        let read = move || Node::read(&entry, raw);
        // What is short is read faster than it is handed to another thread.
        let read = if entry.bytes <= SHORT { read() } else { cpu::run(read).await };
        read.map_err(|e| e.at(self.place(&keys::blob(&entry.link.sha256))))
    }

    /// A download of an archive, in this registry or from where it is hosted.
    pub(crate) fn download(&self, link: &Link, url: Option<&str>) -> Result<Download> {
        let Some(url) = url else {
            return Ok(Download::new(&self.mirrors, Wanted::of(keys::blob(&link.sha256), link), false));
        };
        let shown = super::open::redact(url);
        let parsed = url::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let parsed =
            parsed.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("cannot download {shown}: no HTTP URL")))?;
        let transport = &self.mirrors.transport;
        let web = Web::new(&parsed, true, transport, &super::clock::Clock::default());
        let mirror = Mirror::new(Place::Web(web), None, shown.into());
        let elsewhere = Arc::new(Mirrors::new(vec![Arc::new(mirror)], Arc::clone(transport)));
        Ok(Download::new(&elsewhere, Wanted { key: String::new(), ..Wanted::of(String::new(), link) }, false))
    }

    /// The bytes of an archive as they come, hashed on the way: the last item is an error if they are not what the link
    /// says, so a caller that keeps nothing before the end keeps nothing wrong.
    pub(crate) async fn stream_linked(&self, link: Link) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.download(&link, None)?.stream().await
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

/// The bytes of a part, and no more of them. An answer that is as long as the whole object may be it; any other is a fault of
/// him who gave it.
async fn part(mut body: Body, mirror: &Mirror, link: &Link, range: &Range<u64>) -> Result<Part, Fault> {
    let key = keys::blob(&link.sha256);
    let (encoded, total) = (body.encoded, body.total);
    let wrong = |reason: String| {
        let error = format::FormatError::Malformed { what: "answer to a range", reason }.at(mirror.place(&key));
        Fault::new(Then::Past, super::download::described(error, encoded))
    };
    if encoded || total.is_some_and(|total| total != link.size) {
        return Err(wrong(format!("it is of {total:?} bytes, and the object has {}", link.size)));
    }
    if body.start != range.start {
        return Ok(Part::Unsupported);
    }
    let want = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut all = BytesMut::new();
    while all.len() < want
        && let Some(piece) = body.pieces.try_next().await?
    {
        all.extend_from_slice(&piece[..piece.len().min(want - all.len())]);
    }
    if all.len() < want {
        return Err(wrong(format!("{} bytes where {want} were asked for", all.len())));
    }
    Ok(Part::Bytes(all.freeze()))
}

/// The bytes of an object that no link cites, never more than it may have.
async fn small(mut body: Body, mirror: &Mirror, key: &str, max: u64) -> Result<Bytes, Fault> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.pieces.try_next().await? {
        if (all.len() + piece.len()) as u64 > max {
            let error = super::download::too_long(&mirror.place(key), max);
            return Err(Fault::new(Then::Past, super::download::described(error, body.encoded)));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// Fetches the nodes behind these entries, in parallel.
pub(crate) async fn load_nodes<I: Stored>(
    store: &Store,
    cache: Option<&Arc<DiskCache>>,
    entries: Vec<Entry>,
    into: &mut Nodes<I>,
) -> Result<()> {
    let mut fetched = futures::stream::iter(entries)
        .map(|entry| async move { store.get_node(cache, &entry).await.map(|node| (entry.link.sha256, node)) })
        .buffer_unordered(store.parallel());
    while let Some((sha256, node)) = fetched.try_next().await? {
        into.insert(sha256, node);
    }
    Ok(())
}
