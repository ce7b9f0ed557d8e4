//! One question to one mirror, and what came of it.

use crate::Error;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::time::Duration;

/// What is asked of a mirror.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) key: &'a str,
    /// From this byte on.
    pub(super) from: u64,
    /// Up to this one, which is not asked for any more; else to the end.
    pub(super) until: Option<u64>,
    /// Only if it is not the one with this ETag.
    pub(super) etag: Option<&'a str>,
    /// Past the caches on the way.
    pub(super) past: bool,
}

impl Ask<'_> {
    /// Whether not all of it is asked for.
    pub(super) fn is_part(&self) -> bool {
        self.from > 0 || self.until.is_some()
    }
}

/// An answer.
pub(super) enum Got {
    Body(Body),
    NotModified,
    /// It says that there is no such thing; what that means knows who asked.
    Absent(Fault),
}

/// The begin of an answer.
pub(super) struct Body {
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
    /// Which byte of the object comes first: one that cannot send a part sends all of it.
    pub(super) start: u64,
    /// How long the whole object is, if that was said.
    pub(super) total: Option<u64>,
    /// The bytes are said to be compressed, though nobody asked for it. (Some say so of what is stored compressed.)
    pub(super) encoded: bool,
    pub(super) pieces: BoxStream<'static, Result<Bytes, Fault>>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) then: Then,
}

/// What may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The same once more.
    Again,
    /// The same once more, but not before so long.
    After(Duration),
    /// The same past the caches on the way.
    Past,
    /// All of it instead of a part.
    Whole,
    /// Nothing, here.
    Never,
}

impl Fault {
    pub(super) fn new(then: Then, error: Error) -> Self {
        Self { error, then }
    }
}
