//! The digest of what is downloaded. Small objects are hashed where they are read. Of large ones whole lots are hashed beside
//! the reading, on the pool for what burns a core, so that socket, digest and disk are busy at the same time.

use crate::{
    cpu::{self, Running},
    package::{Sha256, Sha256Hasher},
};

/// So much is hashed at once beside the reading, or a piece more than this. Two lots are held: one is hashed while the next
/// is gathered.
const LOT: usize = 512 * 1024;

/// Smaller objects are hashed in place: to copy them and wake another thread takes longer. (Measured: an object of 1 MiB is there
/// 0.1 ms later when hashed in lots.)
const BESIDE: u64 = 8 * LOT as u64;

/// Whether an object of that size, once it is read, is hashed on the CPU pool.
pub(crate) fn is_hashed_beside(size: u64) -> bool {
    size >= BESIDE
}

pub(super) struct Hashing {
    hasher: Sha256Hasher,
    /// While it is so, the hasher is not here, but there.
    under_way: Option<Running<(Sha256Hasher, Vec<u8>)>>,
    /// Copied, so that the pieces can go: else a server that sends a byte at a time would have a whole buffer held for each,
    /// and new memory for each piece takes longer than to copy it.
    lot: Vec<u8>,
    /// The lot before, emptied: memory to use again.
    spare: Vec<u8>,
    size: u64,
    beside: bool,
}

impl Hashing {
    /// Of an object that is so long, as far as that is known.
    pub(super) fn new(size: Option<u64>) -> Self {
        Self {
            hasher: Sha256Hasher::default(),
            under_way: None,
            lot: Vec::new(),
            spare: Vec::new(),
            size: 0,
            beside: size.is_some_and(is_hashed_beside),
        }
    }

    /// How many bytes were taken.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Waits until there is room for another piece.
    pub(super) async fn room(&mut self) {
        if self.lot.len() >= LOT {
            self.catch_up().await;
            self.hash_lot();
        }
    }

    /// Takes the next piece. Whoever takes one without asking for room holds more in memory.
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        if !self.beside {
            self.hasher.update(piece);
            return;
        }
        self.lot.extend_from_slice(piece);
        if self.lot.len() >= LOT && self.under_way.is_none() {
            self.hash_lot();
        }
    }

    /// The digest of all pieces.
    pub(super) async fn finish(&mut self) -> Sha256 {
        self.catch_up().await;
        let mut hasher = std::mem::take(&mut self.hasher);
        hasher.update(&self.lot);
        hasher.finish()
    }

    fn hash_lot(&mut self) {
        let mut hasher = std::mem::take(&mut self.hasher);
        let mut lot = std::mem::replace(&mut self.lot, std::mem::take(&mut self.spare));
        self.under_way = Some(cpu::start(move || {
            hasher.update(&lot);
            lot.clear();
            (hasher, lot)
        }));
    }

    /// Waits for the lot that is under way.
    async fn catch_up(&mut self) {
        if let Some(running) = &mut self.under_way {
            (self.hasher, self.spare) = running.await;
            self.under_way = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of any size and in any pieces, with and without another thread, the digest is that of all bytes; and what is held does
    /// not grow with what comes.
    #[test]
    fn lots_change_no_digest_and_hold_no_more_than_themselves() {
        let bytes: Vec<u8> = (0..6_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let digest = async |size: usize, told: bool, piece: usize| {
            let mut hashing = Hashing::new(told.then_some(size as u64));
            let mut most = 0;
            for piece in bytes[..size].chunks(piece) {
                hashing.room().await;
                hashing.update(piece);
                most = most.max(hashing.lot.capacity() + hashing.spare.capacity());
            }
            assert_eq!(hashing.size(), size as u64);
            assert!(most <= 4 * (LOT + piece), "{most} bytes held, {size} in pieces of {piece}");
            assert!(most == 0 || (told && size as u64 >= BESIDE), "{size} is hashed in place");
            hashing.finish().await
        };
        for size in [0, 1, 14_000, 1 << 20, 4 << 20, (4 << 20) + 1, 6_000_000] {
            let want = Sha256::of(&bytes[..size]);
            for piece in [1_400, 16 << 10, LOT - 1, LOT, 417_792] {
                for told in [true, false] {
                    assert_eq!(one.block_on(digest(size, told, piece)), want, "{size} in pieces of {piece}");
                    assert_eq!(many.block_on(digest(size, told, piece)), want, "{size} in pieces of {piece}, beside");
                }
            }
        }
    }
}
