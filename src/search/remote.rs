//! Fetching: a bundle as a whole, or its tail and then the blocks that a question needs.

use super::{bundle::Reading, directory::Lack};
use crate::{
    Error, ErrorKind, Result,
    format::{self, FormatError, SearchBundle, keys, limits},
    package::Sha256,
    store::{Part, Store},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// Blocks that are this near to each other are fetched in one request: to ask twice would take longer.
const GAP: u64 = 2 * 1024;

/// A bundle, ready to be asked.
pub(crate) struct Opened(pub(super) Reading);

impl Opened {
    pub(crate) fn is_partial(&self) -> bool {
        self.0.is_partial()
    }

    /// The day that the age of its documents is counted from.
    pub(crate) fn reference(&self) -> u32 {
        self.0.tail().table.reference
    }
}

/// Opens a bundle whose bytes are at hand, and were checked against its link.
pub(crate) fn open_whole(cited: &SearchBundle, whole: Bytes) -> Result<Opened> {
    Reading::whole(cited, whole).map(Opened)
}

/// Opens a bundle of which only the tail is at hand.
pub(crate) fn open_parts(cited: &SearchBundle, tail: Bytes) -> Result<Opened> {
    Reading::parts(cited, tail).map(Opened)
}

/// Fetches the tail of a bundle; `None` where the store does not give parts of objects.
pub(crate) async fn fetch_tail(store: &Store, cited: &SearchBundle) -> Result<Option<Bytes>> {
    if cited.tail.size > limits::BUNDLE_TAIL || cited.tail.size > cited.link.size {
        let max = limits::BUNDLE_TAIL.min(cited.link.size);
        return Err(FormatError::TooLarge { size: cited.tail.size, max }.at("a search bundle"));
    }
    let range = cited.link.size - cited.tail.size..cited.link.size;
    match checked(store, cited, range, |bytes| format::check(bytes, &cited.tail)).await? {
        Part::Bytes(bytes) => Ok(Some(bytes)),
        Part::Unsupported => Ok(None),
    }
}

/// A part of a bundle that is what it should be. One that is not is asked for once more: it may have been damaged on the way, or
/// have come from a server that is wrong about parts, as another one need not be.
async fn checked(
    store: &Store,
    cited: &SearchBundle,
    range: Range<u64>,
    check: impl Fn(&Bytes) -> Result<(), FormatError>,
) -> Result<Part> {
    let mut last = None;
    for _ in 0..2 {
        let Part::Bytes(bytes) = store.get_part(&cited.link, range.clone()).await? else {
            return Ok(Part::Unsupported);
        };
        match check(&bytes) {
            Ok(()) => return Ok(Part::Bytes(bytes)),
            Err(e) => last = Some(e.at(store.place(&keys::blob(&cited.link.sha256)))),
        }
    }
    Err(last.unwrap_or_else(|| unreachable!("it was tried")))
}

/// Fetches blocks, near ones together and all at once, and checks each.
pub(super) async fn fetch(store: &Store, opened: &[Arc<Opened>], lacking: BTreeSet<Lack>) -> Result<()> {
    let mut wanted: BTreeMap<Sha256, Vec<u64>> = BTreeMap::new();
    for (bundle, block) in lacking {
        wanted.entry(bundle).or_default().push(block);
    }
    let mut ranges = Vec::new();
    for (bundle, blocks) in wanted {
        let found = opened.iter().find(|o| o.0.cited.link.sha256 == bundle);
        let opened = found.ok_or_else(|| Error::new(ErrorKind::Invalid, "a block of a bundle that is not open"))?;
        ranges.extend(coalesce(&blocks, opened.0.tail().table.block).into_iter().map(|r| (Arc::clone(opened), r)));
    }
    let fetched =
        futures::stream::iter(ranges).map(|(opened, blocks)| async move { fetch_run(store, &opened, blocks).await });
    fetched.buffer_unordered(store.parallel()).try_collect().await
}

/// Runs of blocks: each run is one request.
fn coalesce(blocks: &[u64], block: u64) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for number in blocks {
        match out.last_mut() {
            Some(run) if (number - run.end) * block <= GAP => run.end = number + 1,
            _ => out.push(*number..number + 1),
        }
    }
    out
}

async fn fetch_run(store: &Store, opened: &Opened, blocks: Range<u64>) -> Result<()> {
    let (cited, tail) = (&opened.0.cited, opened.0.tail());
    let range = tail.block_range(blocks.start).start..tail.block_range(blocks.end - 1).end;
    let of = |number: u64, bytes: &Bytes| {
        let at = tail.block_range(number);
        let at =
            usize::try_from(at.start - range.start).unwrap_or(0)..usize::try_from(at.end - range.start).unwrap_or(0);
        bytes.get(at).map(|b| bytes.slice_ref(b)).unwrap_or_default()
    };
    let check = |bytes: &Bytes| blocks.clone().try_for_each(|n| tail.check_block(n, &of(n, bytes)));
    let mut part = checked(store, cited, range.clone(), check).await?;
    // It gave parts a moment ago, so another server answers now: one of many behind one address, which the next question need
    // not meet.
    for _ in 0..2 {
        if matches!(part, Part::Unsupported) {
            part = checked(store, cited, range.clone(), check).await?;
        }
    }
    let Part::Bytes(bytes) = part else {
        return Err(Error::new(ErrorKind::Unavailable, format!("{store} gives no parts of objects any more"))
            .with_hint("fetch the search index as a whole: --local"));
    };
    blocks.for_each(|number| opened.0.add_block(number, of(number, &bytes)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_blocks_are_fetched_together() {
        assert_eq!(coalesce(&[1, 2, 3, 5, 6, 9], 2048), [1..7, 9..10]);
        assert_eq!(coalesce(&[1, 3, 4], 4096), [1..2, 3..5]);
        assert!(coalesce(&[], 4096).is_empty());
    }
}
