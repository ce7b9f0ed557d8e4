//! Getting one immutable object, whatever happens on the way: from one mirror or several, in one answer or in parts. The
//! digest decides at the end, whoever gave the bytes (invariant I25).

use super::{
    fault::{Ask, Body, Fault, Got, Then},
    hashing::Hashing,
    mirrors::{Mirrors, Rounds},
};
use crate::{
    Error, ErrorKind, Result,
    format::FormatError,
    package::{Link, Sha256},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// So much is progress in any case; less only if it is a good part of what is left.
const PROGRESS: u64 = 64 * 1024;

/// What is wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) sha256: Sha256,
    /// How long it is, where that is known.
    pub(super) size: Option<u64>,
    /// More is never read.
    pub(super) max: u64,
}

impl Wanted {
    pub(super) fn of(key: String, link: &Link) -> Self {
        Self { key, sha256: link.sha256, size: Some(link.size), max: link.size }
    }
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// The bytes that follow.
    Piece(Bytes),
    /// What came so far was wrong: forget it, it comes anew.
    Restart,
    /// That was all, and it is what was wanted.
    Done,
}

/// A download under way. Dropping it ends it.
pub(crate) struct Download {
    mirrors: Arc<Mirrors>,
    wanted: Wanted,
    rounds: Rounds,
    at: Option<UnderWay>,
    hashing: Hashing,
    /// Whose bytes are among those that were passed on.
    givers: BTreeSet<usize>,
    /// Parts of several mirrors did not fit together: from now on, all of it from one.
    alone: bool,
    restarts: usize,
    /// How much there was when patience last began anew.
    progress_at: u64,
    /// Requests for small objects share a bound; a long download must not hold others up.
    bounded: bool,
}

struct UnderWay {
    mirror: usize,
    /// How much of what comes is known already.
    skip: u64,
    encoded: bool,
    pieces: BoxStream<'static, Result<Bytes, Fault>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Download {
    pub(super) fn new(mirrors: &Arc<Mirrors>, wanted: Wanted, bounded: bool) -> Self {
        let rounds = Rounds::new(mirrors, &wanted.key);
        let (mirrors, hashing) = (Arc::clone(mirrors), Hashing::new(wanted.size));
        Self {
            mirrors,
            wanted,
            rounds,
            at: None,
            hashing,
            givers: BTreeSet::new(),
            alone: false,
            restarts: 0,
            progress_at: 0,
            bounded,
        }
    }

    /// The next thing to do. After [`Step::Done`] or an error there is none.
    pub(crate) async fn step(&mut self) -> Result<Step> {
        loop {
            self.hashing.room().await;
            let Some(mut at) = self.at.take() else {
                if let Some(step) = self.connect().await? {
                    return Ok(step);
                }
                continue;
            };
            match at.pieces.try_next().await {
                Ok(Some(mut piece)) => {
                    let known = at.skip.min(piece.len() as u64);
                    at.skip -= known;
                    let piece = piece.split_off(usize::try_from(known).unwrap_or(usize::MAX));
                    if piece.is_empty() {
                        self.at = Some(at);
                        continue;
                    }
                    if self.hashing.size() + piece.len() as u64 > self.wanted.max {
                        let error = self.too_long(at.mirror);
                        if let Some(step) = self.wrong(at.mirror, at.encoded, error) {
                            return Ok(step);
                        }
                        continue;
                    }
                    self.givers.insert(at.mirror);
                    self.hashing.update(&piece);
                    self.note_progress();
                    self.at = Some(at);
                    return Ok(Step::Piece(piece));
                }
                Ok(None) => {
                    if let Some(step) = self.ended(at).await {
                        return Ok(step);
                    }
                }
                Err(fault) => self.rounds.failed(at.mirror, fault),
            }
        }
    }

    /// Asks the next mirror for what is missing.
    async fn connect(&mut self) -> Result<Option<Step>> {
        let mirror = self.rounds.next().await?;
        let (past, whole) = self.rounds.manner(mirror);
        if self.alone && self.givers.iter().any(|g| *g != mirror) {
            self.forget();
            return Ok(Some(Step::Restart));
        }
        let done = self.hashing.size();
        let ask = Ask { key: &self.wanted.key, from: if whole { 0 } else { done }, until: None, etag: None, past };
        let room = if self.bounded && self.mirrors.get(mirror).is_web() {
            Arc::clone(&self.mirrors.transport.room).acquire_owned().await.ok()
        } else {
            None
        };
        match self.mirrors.get(mirror).get(&ask).await {
            Ok(Got::Body(body)) => return Ok(self.begin(mirror, body, room)),
            Ok(Got::NotModified) => {
                let error =
                    Error::new(ErrorKind::Unavailable, format!("{}: 304 to a plain question", self.place(mirror)));
                self.rounds.failed(mirror, Fault::new(Then::Past, error));
            }
            Ok(Got::Absent(fault)) => self.rounds.absent(mirror, fault),
            Err(fault) => self.rounds.failed(mirror, fault),
        }
        Ok(None)
    }

    fn begin(&mut self, mirror: usize, body: Body, room: Option<OwnedSemaphorePermit>) -> Option<Step> {
        // A wrong length is a wrong object: nobody has to read it to know.
        if let (Some(total), Some(size)) = (body.total, self.wanted.size)
            && total != size
        {
            let error = if total > size {
                self.too_long(mirror)
            } else {
                FormatError::Size { got: total, want: size }.at(self.place(mirror))
            };
            let error = described(error, body.encoded);
            self.rounds.wrong(mirror, error);
            return None;
        }
        let skip = self.hashing.size().saturating_sub(body.start);
        self.at = Some(UnderWay { mirror, skip, encoded: body.encoded, pieces: body.pieces, _room: room });
        None
    }

    /// The answer is over. Is it all?
    async fn ended(&mut self, at: UnderWay) -> Option<Step> {
        let got = self.hashing.size();
        if let Some(size) = self.wanted.size
            && got < size
        {
            let why = format!("the answer ended after {got} of {size} bytes");
            let error = Error::new(ErrorKind::Unavailable, format!("cannot read {}", self.place(at.mirror)))
                .with_source(why)
                .with_hint("check the address and the network, or try again later");
            self.rounds.failed(at.mirror, Fault::new(Then::Again, error));
            return None;
        }
        let digest = self.hashing.finish().await;
        if digest == self.wanted.sha256 {
            self.givers.iter().for_each(|g| self.mirrors.get(*g).well());
            return Some(Step::Done);
        }
        let error = FormatError::Digest { got: digest, want: self.wanted.sha256 }.at(self.place(at.mirror));
        self.wrong(at.mirror, at.encoded, error)
    }

    /// What came is not what was wanted. Who is to blame is known only where one gave all of it.
    fn wrong(&mut self, last: usize, encoded: bool, error: Error) -> Option<Step> {
        let error = described(error, encoded);
        if self.givers.iter().any(|g| *g != last) {
            self.alone = true;
            let fault = Fault::new(Then::Past, error);
            self.rounds.failed(last, fault);
        } else {
            self.rounds.wrong(last, error);
        }
        let passed_on = !self.givers.is_empty();
        self.forget();
        passed_on.then_some(Step::Restart)
    }

    fn forget(&mut self) {
        self.restarts += 1;
        if self.restarts > 3 * self.mirrors.all().len() + 1 {
            // Each one had its chance, and one more.
            self.rounds.leave_all();
        }
        self.hashing = Hashing::new(self.wanted.size);
        self.givers.clear();
        self.progress_at = 0;
        self.at = None;
    }

    /// A server that gives a few bytes before each failure does not buy itself time without end by them.
    fn note_progress(&mut self) {
        let done = self.hashing.size();
        let gained = done - self.progress_at;
        let left = self.wanted.size.unwrap_or(u64::MAX).saturating_sub(self.progress_at);
        if gained >= PROGRESS || gained.saturating_mul(4) >= left {
            self.progress_at = done;
            self.rounds.progress();
        }
    }

    fn too_long(&self, mirror: usize) -> Error {
        too_long(&self.place(mirror), self.wanted.max)
    }

    fn place(&self, mirror: usize) -> String {
        self.mirrors.get(mirror).place(&self.wanted.key)
    }

    /// The bytes as they come, once there are any. What was passed on cannot be taken back, so where it has to begin anew the
    /// last item is an error.
    pub(crate) async fn stream(mut self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let first = loop {
            match self.step().await? {
                Step::Piece(piece) => break piece,
                Step::Restart => {}
                Step::Done => return Ok(futures::stream::empty().boxed()),
            }
        };
        let rest = futures::stream::try_unfold(self, |mut download| async move {
            match download.step().await? {
                Step::Piece(piece) => Ok(Some((piece, download))),
                Step::Done => Ok(None),
                Step::Restart => Err(download.rounds.gave_up()),
            }
        });
        Ok(futures::stream::iter([Ok(first)]).chain(rest).boxed())
    }

    /// Takes it to its end, in memory.
    pub(super) async fn collect(mut self) -> Result<Bytes> {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        loop {
            match self.step().await? {
                Step::Done => return Ok(first.unwrap_or_else(|| all.freeze())),
                Step::Restart => {
                    first = None;
                    all.clear();
                }
                // Most objects come in one piece, which then needs no copy.
                Step::Piece(piece) => match first.take() {
                    None if all.is_empty() => first = Some(piece),
                    None => all.extend_from_slice(&piece),
                    Some(begin) => {
                        all.extend_from_slice(&begin);
                        all.extend_from_slice(&piece);
                    }
                },
            }
        }
    }
}

pub(super) fn too_long(place: &str, max: u64) -> Error {
    Error::new(ErrorKind::Untrusted, format!("{place} is longer than the {max} bytes it may have"))
        .with_hint("something else than the registry answers here: a login page, another file, or a hostile server")
}

/// Bytes that were compressed on the way are another's fault than bytes that were changed.
pub(super) fn described(error: Error, encoded: bool) -> Error {
    if !encoded {
        return error;
    }
    Error::new(ErrorKind::Unavailable, "the server, or a cache on the way, compresses what must not be touched")
        .with_source(error.chain())
        .with_hint("`ggen-market doctor --public-url` tells its operator what to change")
}
