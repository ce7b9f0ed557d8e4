//! Compressed objects: gzip (RFC 1952), one member, fixed header, fixed level, so that the same content has the same digest.

use super::{FormatError, Link};
use crate::package::Sha256;
use bytes::Bytes;
use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use std::io::{Read, Write};

/// An immutable object, ready to be stored under its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What cites it.
    pub link: Link,
    /// The bytes to store.
    pub bytes: Bytes,
}

/// How hard an object is compressed. Pinned for each type of object: another level, or another compressor, gives other
/// digests for the same content (docs/format.md, "Determinism").
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effort {
    /// Shards and change lists: text, read by everybody. Level 6.
    Dense,
    /// Details: much text, read by few. Level 3 is half the work of a publish for a twentieth more bytes.
    Quick,
    /// Pages and snapshots: mostly digests, of which no level makes less than half. Level 2 (level 1 of zlib-rs has fixed
    /// codes, which hexadecimal digits do not suit).
    Digests,
}

impl Object {
    /// Compresses `raw`.
    pub(crate) fn seal(raw: &[u8], effort: Effort) -> Self {
        let level = match effort {
            Effort::Dense => 6,
            Effort::Quick => 3,
            Effort::Digests => 2,
        };
        // No name, no time; the OS byte says "unknown": the header is the same everywhere.
        let mut gz = GzBuilder::new()
            .mtime(0)
            .operating_system(255)
            .write(Vec::with_capacity(raw.len() / 4), Compression::new(level));
        // Writing to a Vec cannot fail.
        let bytes =
            gz.write_all(raw).and_then(|()| gz.finish()).unwrap_or_else(|e| unreachable!("in-memory gzip: {e}"));
        let link = Link { raw: Some(raw.len() as u64), sha256: Sha256::of(&bytes), size: bytes.len() as u64 };
        Self { link, bytes: bytes.into() }
    }
}

/// Decompresses stored bytes that were [checked](super::check) against their link; never more than the link promises.
pub(crate) fn unpack(stored: &[u8], link: &Link) -> Result<Vec<u8>, FormatError> {
    let Some(raw) = link.raw else { return Ok(stored.to_vec()) };
    let out = inflate(stored, raw)?;
    if out.len() as u64 == raw {
        return Ok(out);
    }
    Err(FormatError::Gzip(format!("{} bytes inside where the link says {raw}", out.len())))
}

/// Checks stored bytes against their link and decompresses them.
#[cfg(test)]
pub(crate) fn open(stored: &[u8], link: &Link) -> Result<Vec<u8>, FormatError> {
    super::check(stored, link)?;
    unpack(stored, link)
}

/// Decompresses at most `max` bytes: one gzip member, and nothing after it.
pub(crate) fn inflate(stored: &[u8], max: u64) -> Result<Vec<u8>, FormatError> {
    let broken = |e: std::io::Error| FormatError::Gzip(e.to_string());
    let mut rest = stored;
    // A false size must not allocate: what a gzip of this length can hold at most is 1032 times as much.
    let likely = max.min(stored.len() as u64 * 1032);
    let mut out = Vec::with_capacity(usize::try_from(likely.min(1 << 20)).unwrap_or(0));
    let mut gz = GzDecoder::new(&mut rest);
    (&mut gz).take(max).read_to_end(&mut out).map_err(broken)?;
    // One byte more than promised, or a trailer that does not hold, shows here.
    match gz.read(&mut [0u8; 1]).map_err(broken)? {
        0 if rest.is_empty() => Ok(out),
        0 => Err(FormatError::Gzip(format!("{} bytes after the end", rest.len()))),
        _ => Err(FormatError::Gzip(format!("more than {max} bytes inside"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link_of(bytes: &[u8], raw: u64) -> Link {
        Link { raw: Some(raw), sha256: Sha256::of(bytes), size: bytes.len() as u64 }
    }

    #[test]
    fn what_is_sealed_opens_and_sealing_is_deterministic() {
        for raw in [&b""[..], b"x", &[7u8; 100_000]] {
            for effort in [Effort::Dense, Effort::Quick, Effort::Digests] {
                let object = Object::seal(raw, effort);
                assert_eq!(object, Object::seal(raw, effort));
                assert_eq!(open(&object.bytes, &object.link).unwrap(), raw);
            }
        }
    }

    #[test]
    fn a_false_size_a_second_member_and_trailing_bytes_are_refused() {
        let one = Object::seal(b"hello", Effort::Dense).bytes;
        for raw in [0, 4, 6, 1 << 40] {
            assert!(matches!(open(&one, &link_of(&one, raw)), Err(FormatError::Gzip(_))), "raw {raw}");
        }
        let twice = [&one[..], &one[..]].concat();
        assert!(matches!(open(&twice, &link_of(&twice, 5)), Err(FormatError::Gzip(_))));
        let longer = [&one[..], b"x"].concat();
        assert!(matches!(open(&longer, &link_of(&longer, 5)), Err(FormatError::Gzip(_))));
        for cut in 0..one.len() {
            assert!(matches!(open(&one[..cut], &link_of(&one[..cut], 5)), Err(FormatError::Gzip(_))), "cut {cut}");
        }
    }

    #[test]
    fn bytes_are_checked_before_they_are_decompressed() {
        let object = Object::seal(b"hello", Effort::Dense);
        let mut bytes = object.bytes.to_vec();
        bytes[12] ^= 1;
        assert!(matches!(open(&bytes, &object.link), Err(FormatError::Digest { .. })));
        assert!(matches!(open(&bytes[1..], &object.link), Err(FormatError::Size { .. })));
    }
}
