//! From packed bytes to blocks of the tar stream, with every limit on amounts, and the gzip trailer, checked on the way.

use super::{ArchiveError, Limits};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// The unit of a tar stream.
pub(super) const BLOCK: usize = 512;

/// How much is unpacked at a time: a multiple of [`BLOCK`], so that no header ever straddles two fillings.
pub(super) const BUFFER: usize = 128 * 1024;

/// How much is read of the packed bytes at a time.
const INPUT: usize = 64 * 1024;

/// So many bytes unpack to at any ratio.
const RATIO_FREE: u64 = 16 << 20;

/// True where so many unpacked bytes for so many packed ones are a bomb.
pub(super) fn explodes(unpacked: u64, packed: u64, limits: &Limits) -> bool {
    unpacked > RATIO_FREE && unpacked > packed.saturating_mul(limits.ratio)
}

/// The packed bytes: buffered, counted and capped.
///
/// The buffer is filled to the brim, so where its borders fall, and with it every verdict on the ratio, depends on the
/// bytes alone and not on how they trickle in.
struct Packed<R> {
    input: R,
    buf: Box<[u8]>,
    pos: usize,
    len: usize,
    /// Bytes taken from `input`.
    read: u64,
    max: u64,
    /// Why `fill_buf` failed: the decoder above passes only an `io::Error` on.
    fault: Option<ArchiveError>,
}

impl<R: Read> Packed<R> {
    /// Bytes that the decoder has used up.
    fn used(&self) -> u64 {
        self.read - (self.len - self.pos) as u64
    }

    fn fill(&mut self) -> Result<(), ArchiveError> {
        (self.pos, self.len) = (0, 0);
        while self.len < self.buf.len() {
            match self.input.read(&mut self.buf[self.len..]) {
                Ok(0) => break,
                Ok(n) => {
                    self.len += n;
                    self.read += n as u64;
                    if self.read > self.max {
                        return Err(ArchiveError::PackedTooLarge { max: self.max });
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(ArchiveError::Input(e)),
            }
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Packed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.pos == self.len
            && let Err(fault) = self.fill()
        {
            self.fault = Some(fault);
            return Err(io::Error::other("reading the packed bytes failed"));
        }
        Ok(&self.buf[self.pos..self.len])
    }

    fn consume(&mut self, amount: usize) {
        self.pos = (self.pos + amount).min(self.len);
    }
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

/// The tar stream, block by block.
pub(super) struct Blocks<'l, R> {
    gz: GzDecoder<Packed<R>>,
    buf: Box<[u8]>,
    pos: usize,
    len: usize,
    /// Unpacked bytes so far.
    made: u64,
    /// The decoder came to its end and found the trailer right.
    ended: bool,
    limits: &'l Limits,
}

impl<'l, R: Read> Blocks<'l, R> {
    pub(super) fn new(input: R, limits: &'l Limits) -> Self {
        let buf = vec![0; INPUT].into_boxed_slice();
        let packed = Packed { input, buf, pos: 0, len: 0, read: 0, max: limits.packed, fault: None };
        let buf = vec![0; BUFFER].into_boxed_slice();
        Self { gz: GzDecoder::new(packed), buf, pos: 0, len: 0, made: 0, ended: false, limits }
    }

    /// Unpacks the next bytes; finds nothing only at the end of the gzip stream, whose trailer then was right.
    fn fill(&mut self) -> Result<(), ArchiveError> {
        (self.pos, self.len) = (0, 0);
        while self.len < BUFFER && !self.ended {
            match self.gz.read(&mut self.buf[self.len..]) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    self.len += n;
                    self.made += n as u64;
                    if self.made > self.limits.unpacked {
                        return Err(ArchiveError::UnpackedTooLarge { max: self.limits.unpacked });
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.decoder_fault(e)),
            }
        }
        // Only here, where the buffer is full or the stream ends: the packer checks at the same points.
        if explodes(self.made, self.gz.get_ref().used(), self.limits) {
            return Err(ArchiveError::Ratio { max: self.limits.ratio });
        }
        Ok(())
    }

    fn decoder_fault(&mut self, e: io::Error) -> ArchiveError {
        match self.gz.get_mut().fault.take() {
            Some(fault) => fault,
            None if e.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
            None => ArchiveError::Gzip(e),
        }
    }

    /// The next block; nothing where the stream ends between two blocks.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        if self.pos == self.len {
            self.fill()?;
        }
        match self.buf[self.pos..self.len].first_chunk() {
            Some(block) => {
                self.pos += BLOCK;
                Ok(Some(*block))
            }
            None if self.pos == self.len => Ok(None),
            None => Err(ArchiveError::Truncated),
        }
    }

    /// Some of the next bytes, at least one and at most `max` (which is not 0).
    pub(super) fn bytes(&mut self, max: u64) -> Result<&[u8], ArchiveError> {
        if self.pos == self.len {
            self.fill()?;
        }
        let n = (self.len - self.pos).min(usize::try_from(max).unwrap_or(usize::MAX));
        if n == 0 {
            return Err(ArchiveError::Truncated);
        }
        self.pos += n;
        Ok(&self.buf[self.pos - n..self.pos])
    }

    /// Goes over the zeros that fill up the last block of `size` bytes; false where they are not zeros.
    pub(super) fn padding(&mut self, size: u64) -> Result<bool, ArchiveError> {
        let mut left = size.next_multiple_of(BLOCK as u64) - size;
        let mut zeros = true;
        while left > 0 {
            let bytes = self.bytes(left)?;
            zeros &= bytes.iter().all(|b| *b == 0);
            left -= bytes.len() as u64;
        }
        Ok(zeros)
    }

    /// After the first block of the end marker: nothing but zeros may follow, at least one more block of them, and nothing
    /// at all may follow the gzip stream.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        match self.block() {
            Ok(Some(block)) if block.iter().all(|b| *b == 0) => {}
            Ok(Some(_)) => return Err(ArchiveError::AfterEndMarker),
            Ok(None) => return Err(ArchiveError::NoEndMarker),
            // The gzip stream is whole, so it is the tar stream in it that lacks something.
            Err(ArchiveError::Truncated) if self.ended => return Err(ArchiveError::NoEndMarker),
            Err(e) => return Err(e),
        }
        loop {
            if self.buf[self.pos..self.len].iter().any(|b| *b != 0) {
                return Err(ArchiveError::AfterEndMarker);
            }
            self.fill()?;
            if self.len == 0 {
                break;
            }
        }
        let packed = self.gz.get_mut();
        match packed.fill_buf() {
            Ok([]) => Ok(()),
            Ok([0x1f, 0x8b, ..]) => Err(ArchiveError::SecondMember),
            Ok(_) => Err(ArchiveError::TrailingBytes),
            Err(e) => Err(self.decoder_fault(e)),
        }
    }
}
