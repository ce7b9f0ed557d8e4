//! Prefixes of keys: places in the index tree.

use crate::package::Sha256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// The first bits of a package's key: a place in the tree, and all packages below it. Written as `0` and `1` in reading
/// order; the root is the empty text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Left-aligned; the bits past `len` are zero, so that the derived order is the tree's order.
    bits: u64,
    len: u8,
}

impl Prefix {
    /// The whole tree.
    pub const ROOT: Self = Self { bits: 0, len: 0 };
    /// How many bits one page covers below its own prefix.
    pub const STRIDE: u8 = 9;
    /// The deepest place: seven pages. A shard there is never split, so nobody can grow the tree by grinding names.
    pub const MAX_DEPTH: u8 = 63;

    /// Number of bits.
    pub fn depth(self) -> u8 {
        self.len
    }

    /// Whether it is the root.
    pub fn is_root(self) -> bool {
        self.len == 0
    }

    /// Whether a page may stand here.
    pub(crate) fn is_page_boundary(self) -> bool {
        self.len.is_multiple_of(Self::STRIDE)
    }

    /// One bit further. The caller keeps below [`Self::MAX_DEPTH`].
    pub(crate) fn child(self, one: bool) -> Self {
        debug_assert!(self.len < Self::MAX_DEPTH);
        Self { bits: self.bits | (u64::from(one) << (63 - self.len)), len: self.len + 1 }
    }

    /// Whether a key lies below this place.
    pub fn covers(self, key: &Sha256) -> bool {
        self.covers_bits(leading(key))
    }

    /// Whether another place is this one or lies below it.
    pub(crate) fn contains(self, other: Self) -> bool {
        other.len >= self.len && self.covers_bits(other.bits)
    }

    /// Whether the first key below this place is not after `key`.
    pub(crate) fn begins_at_or_before(self, key: &Sha256) -> bool {
        self.bits <= leading(key)
    }

    fn covers_bits(self, bits: u64) -> bool {
        self.len == 0 || (bits ^ self.bits) >> (64 - self.len) == 0
    }
}

/// The bits of a key that the tree looks at.
fn leading(key: &Sha256) -> u64 {
    let mut first = [0u8; 8];
    first.copy_from_slice(&key.0[..8]);
    u64::from_be_bytes(first)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.len).try_for_each(|i| f.write_str(if self.bits >> (63 - i) & 1 == 1 { "1" } else { "0" }))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        if text.len() > usize::from(Self::MAX_DEPTH) || !text.bytes().all(|b| matches!(b, b'0' | b'1')) {
            return Err(de::Error::custom("a prefix is at most 63 digits, each 0 or 1"));
        }
        Ok(text.bytes().fold(Self::ROOT, |p, b| p.child(b == b'1')))
    }
}
