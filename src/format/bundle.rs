//! Search bundles: all files of a search index in one immutable object.
//!
//! The files stand one behind another (the *body*), and behind them the *tail*: a table of the files, a hash of each block
//! of the body, and copies of the ranges that a reader needs to open the index. The snapshot cites the digest of the tail
//! beside that of the whole object, so a reader may fetch either the whole of it, or the tail and then single blocks, and
//! believes nothing that the snapshot does not cover.

use super::FormatError;
use crate::package::{Link, Sha256};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, ops::Range};

/// The bundle format this program writes and the newest that it reads. It changes with every change of the search library's
/// own files, too.
pub const BUNDLE_VERSION: u32 = 5;

pub(super) const WHAT: &str = "search bundle";

/// The first line of a tail, up to the version.
const MAGIC: &str = "ggen-market/search-bundle/";

/// The smallest block.
const MIN_BLOCK: u64 = 2048;

/// A bundle has at most about so many blocks, so that their hashes stay below 400 kB.
const MAX_BLOCKS: u64 = 24_576;

/// So many bytes of a block's sha256 stand in the tail, which every reader fetches. The key vouches for the body as it is, so a
/// forger has to meet a given hash, and cannot choose two blocks that have the same one: 16 bytes are as good there as 32.
const HASH: usize = 16;

/// How a snapshot cites a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchBundle {
    /// Documents in it, those that a later bundle replaces included.
    pub documents: u64,
    /// The whole object.
    pub link: Link,
    /// Its last bytes: enough to check every other one.
    pub tail: Link,
}

/// A file of the index, in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// The documents of an earlier bundle that do not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replaces {
    pub(crate) bundle: Sha256,
    /// Numbers of documents, in order, each as the difference to the one before it.
    pub(crate) gaps: Vec<u32>,
}

impl Replaces {
    pub(crate) fn new(bundle: Sha256, mut documents: Vec<u32>) -> Self {
        documents.sort_unstable();
        documents.dedup();
        let mut last = 0;
        let gaps = documents.into_iter().map(|d| d - std::mem::replace(&mut last, d)).collect();
        Self { bundle, gaps }
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = u32> + '_ {
        self.gaps.iter().scan(0u32, |at, gap| {
            *at = at.saturating_add(*gap);
            Some(*at)
        })
    }
}

/// The second line of a tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// Bytes of a block; only the last one may be shorter.
    pub(crate) block: u64,
    /// Bytes of the body.
    pub(crate) body: u64,
    /// Documents in the index.
    pub(crate) documents: u32,
    pub(crate) files: Vec<File>,
    /// Ranges of the body that stand in the tail as well: offset and size, in order and apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hot: Vec<(u64, u64)>,
    /// The standing of the documents, which are in its order: `[standing, how many documents have it]`, the highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ranks: Vec<(u16, u32)>,
    /// The time, in days since 1970, that the age of a release is counted from.
    pub(crate) reference: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<Replaces>,
    /// So many documents at the end have no release left that is not yanked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) yanked: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A tail, read.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) table: Table,
    bytes: Bytes,
    /// Where in `bytes` the hashes begin.
    hashes: usize,
    /// For each hot range, where in `bytes` it stands.
    hot: Vec<usize>,
}

/// How long a block is in a body of that size.
pub(crate) fn block_of(body: u64) -> u64 {
    let mut block = MIN_BLOCK;
    while body.div_ceil(block) > MAX_BLOCKS {
        block *= 2;
    }
    block
}

/// Puts a bundle together; `table.block` and `table.body` are those of `body`.
pub(crate) fn seal(mut body: Vec<u8>, table: &Table) -> (SearchBundle, Bytes) {
    let tail_at = body.len();
    let mut tail = format!("{MAGIC}{BUNDLE_VERSION}\n").into_bytes();
    serde_json::to_writer(&mut tail, table).unwrap_or_else(|e| unreachable!("a table serialises: {e}"));
    tail.push(b'\n');
    let block = usize::try_from(table.block).unwrap_or(usize::MAX);
    for piece in body.chunks(block) {
        tail.extend_from_slice(&Sha256::of(piece).0[..HASH]);
    }
    for (offset, size) in &table.hot {
        // The ranges were read from this very body.
        let begin = usize::try_from(*offset).unwrap_or(usize::MAX);
        tail.extend_from_slice(&body[begin..begin + usize::try_from(*size).unwrap_or(0)]);
    }
    body.extend_from_slice(&tail);
    let link = |bytes: &[u8]| Link { raw: None, sha256: Sha256::of(bytes), size: bytes.len() as u64 };
    let bundle = SearchBundle { documents: table.documents.into(), link: link(&body), tail: link(&body[tail_at..]) };
    (bundle, body.into())
}

impl SearchBundle {
    /// Checks the tail of a whole bundle that was checked against its link, and reads it.
    pub(crate) fn split(&self, whole: &Bytes) -> Result<Tail, FormatError> {
        let at = self.link.size.checked_sub(self.tail.size).filter(|_| whole.len() as u64 == self.link.size);
        let at = at.and_then(|at| usize::try_from(at).ok()).ok_or_else(|| FormatError::malformed(WHAT, "no tail"))?;
        // A copy, so that whoever wants the whole as one piece of memory need not copy that.
        self.read_tail(Bytes::copy_from_slice(&whole[at..]))
    }

    /// Checks a tail and reads it.
    pub(crate) fn read_tail(&self, tail: Bytes) -> Result<Tail, FormatError> {
        super::check(&tail, &self.tail)?;
        let tail = Tail::read(tail)?;
        let wrong = |what: &str| Err(FormatError::malformed(WHAT, what));
        if u64::from(tail.table.documents) != self.documents {
            return wrong("it has another number of documents than it is cited for");
        }
        if tail.table.body.checked_add(self.tail.size) != Some(self.link.size) {
            return wrong("body and tail are not the whole of it");
        }
        Ok(tail)
    }
}

impl Tail {
    /// The tail of a body that has none yet: it knows what the table says.
    pub(crate) fn provisional(table: Table) -> Self {
        Self { table, bytes: Bytes::new(), hashes: 0, hot: Vec::new() }
    }

    /// Reads a tail whose digest was checked. Everything that is used as a place or a length later is checked here.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, FormatError> {
        let wrong = |why: &str| FormatError::malformed(WHAT, why);
        let line = |from: usize| -> Result<(Range<usize>, &str), FormatError> {
            let rest = bytes.get(from..).unwrap_or_default();
            let end = rest.iter().position(|b| *b == b'\n').ok_or_else(|| wrong("a line of its tail has no end"))?;
            let text = std::str::from_utf8(&rest[..end]).map_err(|_| wrong("its tail is not text"))?;
            Ok((from..from + end + 1, text))
        };
        let (first, magic) = line(0)?;
        let version = magic.strip_prefix(MAGIC).ok_or_else(|| wrong("its tail does not begin as one"))?;
        match version.parse::<u32>() {
            Ok(BUNDLE_VERSION) => {}
            Ok(found) if found > BUNDLE_VERSION => return Err(FormatError::Newer { what: WHAT, found }),
            Ok(found) => return Err(FormatError::Older { what: WHAT, found }),
            Err(_) => return Err(wrong("no version")),
        }
        let (second, table) = line(first.end)?;
        let table: Table = serde_json::from_str(table).map_err(|e| FormatError::malformed(WHAT, e))?;
        table.check()?;
        let blocks = usize::try_from(table.body.div_ceil(table.block)).map_err(|_| wrong("too many blocks"))?;
        let mut at = second.end + blocks.checked_mul(HASH).ok_or_else(|| wrong("too many blocks"))?;
        let mut hot = Vec::with_capacity(table.hot.len().min(bytes.len()));
        for (_, size) in &table.hot {
            hot.push(at);
            at = usize::try_from(*size)
                .ok()
                .and_then(|size| at.checked_add(size))
                .filter(|at| *at <= bytes.len())
                .ok_or_else(|| wrong("its tail is cut off"))?;
        }
        if at != bytes.len() {
            return Err(wrong("its tail has another length than its table says"));
        }
        Ok(Self { table, hashes: second.end, hot, bytes })
    }

    /// Checks the bytes of a block.
    pub(crate) fn check_block(&self, number: u64, bytes: &[u8]) -> Result<(), FormatError> {
        let range = self.block_range(number);
        let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(HASH).saturating_add(self.hashes);
        let want = self.bytes.get(at..at.saturating_add(HASH)).filter(|_| !range.is_empty());
        let want = want.ok_or_else(|| FormatError::malformed(WHAT, format!("it has no block {number}")))?;
        let size = range.end - range.start;
        if bytes.len() as u64 != size {
            return Err(FormatError::Size { got: bytes.len() as u64, want: size });
        }
        let got = Sha256::of(bytes);
        if got.0[..HASH] == *want { Ok(()) } else { Err(FormatError::Block { number, got }) }
    }

    /// Where in the body a block stands.
    pub(crate) fn block_range(&self, number: u64) -> Range<u64> {
        let begin = number.saturating_mul(self.table.block).min(self.table.body);
        begin..begin.saturating_add(self.table.block).min(self.table.body)
    }

    /// Bytes of the body that stand in the tail, if these do.
    pub(crate) fn hot(&self, range: &Range<u64>) -> Option<Bytes> {
        let after = self.table.hot.partition_point(|(offset, _)| *offset <= range.start);
        let (offset, size) = *self.table.hot.get(after.checked_sub(1)?)?;
        let skip = range.start - offset;
        if skip.checked_add(range.end - range.start)? > size {
            return None;
        }
        let at = self.hot[after - 1] + usize::try_from(skip).ok()?;
        Some(self.bytes.slice(at..at + usize::try_from(range.end - range.start).ok()?))
    }

    pub(crate) fn file(&self, name: &str) -> Option<&File> {
        self.table.files.iter().find(|f| f.name == name)
    }
}

impl Table {
    fn check(&self) -> Result<(), FormatError> {
        let wrong = |why: &str| Err(FormatError::malformed(WHAT, why));
        if !self.block.is_power_of_two() || self.block < MIN_BLOCK || self.block > 1 << 30 {
            return wrong("a block of impossible length");
        }
        let inside = |offset: u64, size: u64| offset.checked_add(size).is_some_and(|end| end <= self.body);
        let mut names = HashSet::new();
        if !self.files.iter().all(|f| inside(f.offset, f.size) && names.insert(f.name.as_str())) {
            return wrong("a file twice or outside of its body");
        }
        let mut last = 0;
        for (offset, size) in &self.hot {
            if *offset < last || *size == 0 || !inside(*offset, *size) {
                return wrong("hot ranges out of order or outside of its body");
            }
            last = offset + size;
        }
        let ordered = self.ranks.windows(2).all(|w| w[0].0 > w[1].0);
        let sum: u64 = self.ranks.iter().map(|(_, n)| u64::from(*n)).sum();
        // Yanked documents stand behind all others and have no place in the order.
        if !ordered || sum + u64::from(self.yanked) != u64::from(self.documents) {
            return wrong("ranks that are not those of its documents");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> (SearchBundle, Bytes) {
        let body: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        let table = Table {
            block: block_of(body.len() as u64),
            body: body.len() as u64,
            documents: 7,
            files: vec![
                File { name: "a".into(), offset: 0, size: 9_000 },
                File { name: "b".into(), offset: 9_000, size: 1_000 },
            ],
            hot: vec![(10, 20), (8_990, 30)],
            ranks: vec![(9, 2), (3, 4)],
            reference: 1,
            replaces: vec![Replaces::new(Sha256::of(b"x"), vec![9, 2, 5, 5])],
            yanked: 1,
        };
        seal(body, &table)
    }

    #[test]
    fn what_is_sealed_is_read_back_and_every_block_is_covered() {
        let (cited, bytes) = sample();
        let tail = cited.split(&bytes).unwrap();
        assert_eq!(tail.file("b").unwrap().size, 1_000);
        assert_eq!(tail.table.replaces[0].documents().collect::<Vec<_>>(), [2, 5, 9]);
        assert_eq!(tail.hot(&(12..30)).unwrap(), bytes.slice(12..30));
        assert_eq!(tail.hot(&(8_990..9_020)).unwrap(), bytes.slice(8_990..9_020));
        for outside in [9..12, 25..31, 9_020..9_021] {
            assert_eq!(tail.hot(&outside), None, "{outside:?}");
        }
        let body = usize::try_from(tail.table.body).unwrap();
        for at in (0..body).step_by(97).chain([body - 1]) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let number = at as u64 / tail.table.block;
            let range = tail.block_range(number);
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            tail.check_block(number, &bytes[range.clone()]).unwrap();
            assert!(matches!(tail.check_block(number, &changed[range]), Err(FormatError::Block { .. })), "{at}");
        }
        assert!(tail.check_block(3, &[]).is_err());
        assert!(tail.check_block(u64::MAX, &[]).is_err());
    }

    #[test]
    fn a_tail_that_is_not_the_one_cited_and_a_newer_version_are_told_apart() {
        let (cited, bytes) = sample();
        let at = bytes.len() - usize::try_from(cited.tail.size).unwrap();
        for i in at..bytes.len() {
            let mut changed = bytes[at..].to_vec();
            changed[i - at] ^= 1;
            assert!(matches!(cited.read_tail(changed.into()), Err(FormatError::Digest { .. })), "{i}");
        }
        let text = [format!("{MAGIC}{}\n", BUNDLE_VERSION + 1).as_bytes(), b"\xff"].concat();
        assert!(matches!(Tail::read(text.into()), Err(FormatError::Newer { .. })));
        let text = format!("{MAGIC}{}\n", BUNDLE_VERSION - 1);
        assert!(
            matches!(Tail::read(text.into()), Err(FormatError::Older { found, .. }) if found == BUNDLE_VERSION - 1)
        );
        assert!(matches!(Tail::read(format!("{MAGIC}x\n").into()), Err(FormatError::Malformed { .. })));
        let other = SearchBundle { documents: 8, ..cited };
        assert!(matches!(other.split(&bytes), Err(FormatError::Malformed { .. })));
    }

    #[test]
    fn false_tables_are_refused() {
        let (_, bytes) = sample();
        let at = bytes.windows(MAGIC.len()).position(|w| w == MAGIC.as_bytes()).unwrap();
        let text = |from: &str, to: &str| {
            let tail = &bytes[at..];
            let found = tail.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
            [&tail[..found], to.as_bytes(), &tail[found + from.len()..]].concat()
        };
        for (from, to) in [
            ("\"block\":2048", "\"block\":0"),
            ("\"block\":2048", "\"block\":2049"),
            ("\"block\":2048", "\"block\":18446744073709551615"),
            ("\"body\":10000", "\"body\":18446744073709551615"),
            ("\"body\":10000", "\"body\":20000"),
            ("\"offset\":9000", "\"offset\":9001"),
            ("\"offset\":9000", "\"offset\":18446744073709551615"),
            ("\"name\":\"b\"", "\"name\":\"a\""),
            ("[10,20]", "[10,21]"),
            ("[10,20]", "[10,18446744073709551615]"),
            ("[8990,30]", "[29,30]"),
            ("[9,2],[3,4]", "[3,4],[9,2]"),
            ("[3,4]", "[3,4294967295]"),
            ("\"documents\":7", "\"documents\":6"),
        ] {
            let read = Tail::read(text(from, to).into());
            assert!(matches!(read, Err(FormatError::Malformed { .. })), "{from} -> {to}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..400usize, flip in any::<(u16, u8)>(),
        ) {
            let _ = Tail::read(bytes.clone().into());
            let with_magic = [format!("{MAGIC}{BUNDLE_VERSION}\n").as_bytes(), &bytes].concat();
            let _ = Tail::read(with_magic.into());
            let (cited, whole) = sample();
            let mut tail = whole[whole.len() - usize::try_from(cited.tail.size).unwrap()..].to_vec();
            tail.truncate(tail.len().saturating_sub(cut % 2 * cut));
            let at = usize::from(flip.0) % tail.len();
            tail[at] ^= flip.1;
            if let Ok(tail) = Tail::read(tail.into()) {
                let _ = tail.hot(&(12..40));
                let _ = tail.check_block(1, &bytes);
                let _: Vec<_> = tail.table.replaces.iter().flat_map(Replaces::documents).take(1000).collect();
            }
        }
    }
}
