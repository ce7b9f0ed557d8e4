//! Going through all answers of a bundle in the order of documents, and keeping the best.
//!
//! Lists are read a stretch of documents at a time: each adds what its word is worth to a table of the stretch, and then the
//! table is read once. So a document costs a few additions for each of its words, however many lists there are, and whether
//! it can be among the best is known before its score is worked out: documents come with the best standing first.

use super::{
    bundle::Reading,
    directory::is_lacking,
    find::{Set, Terms},
    rank::{Match, NameMatch, Saturation, Standing, Weights},
};
use crate::Result;
use std::{cmp::Reverse, iter::Peekable, slice};
use tantivy::{TERMINATED, postings::BlockSegmentPostings};

/// Documents of a stretch: the table stays in a core's nearest cache.
const STRETCH: usize = 2048;

/// A document that answers.
pub(super) struct Answer {
    pub(super) document: u32,
    pub(super) found: Match,
    pub(super) standing: Standing,
}

/// The documents that have a word, in order.
struct List {
    postings: BlockSegmentPostings,
    /// The next one in the block that is decoded.
    at: usize,
    word: usize,
    share: f32,
    worth: Saturation,
}

/// What a stretch of documents has of a query's words.
struct Table {
    touched: [u64; STRETCH / 64],
    words: Vec<u32>,
    text: Vec<f32>,
    in_name: Vec<f32>,
}

impl List {
    /// The next document; [`TERMINATED`] behind the last one.
    fn next(&self) -> u32 {
        self.postings.docs().get(self.at).copied().unwrap_or(TERMINATED)
    }

    /// Enters the documents from `base` on that are of this stretch.
    fn enter(&mut self, base: u32, table: &mut Table) {
        let end = base + STRETCH as u32;
        let bit = 1 << (self.word & 31);
        loop {
            let documents = &self.postings.docs()[self.at..];
            let count = documents.partition_point(|d| *d < end);
            let frequencies = &self.postings.freqs()[self.at..];
            for (document, frequency) in documents[..count].iter().zip(frequencies) {
                let at = (document - base) as usize;
                table.touched[at / 64] |= 1 << (at % 64);
                table.words[at] |= bit;
                table.text[at] += self.worth.of(*frequency);
                table.in_name[at] += if frequency % 2 == 0 { self.share } else { 0.0 };
            }
            self.at += count;
            if count < documents.len() {
                return;
            }
            self.postings.advance();
            self.at = 0;
            if self.postings.docs().is_empty() {
                return;
            }
        }
    }
}

/// The names among the answers, in the order of documents.
type Names<'a> = Peekable<slice::Iter<'a, (u32, NameMatch)>>;

/// Goes through all answers in a bundle, in the order of documents.
pub(super) fn answers(
    reading: &Reading,
    terms: &Terms,
    weights: &Weights,
    everything: bool,
    dead: Option<&Set>,
    mut each: impl FnMut(&Answer),
) -> Result<()> {
    let counts = |document: u32| {
        !dead.is_some_and(|d| d.contains(document)) && terms.allowed.as_ref().is_none_or(|a| a.contains(document))
    };
    let mut standings = reading.standings();
    if everything {
        for document in (0..reading.documents()).filter(|d| counts(*d)) {
            each(&Answer { document, found: Match::default(), standing: standings.of(document) });
        }
        return Ok(());
    }
    let mut lists = Vec::new();
    for list in terms.lists(reading)? {
        let (word, share) = (list.word, weights.share[list.word]);
        let worth = Saturation::new(share);
        lists.push(List { postings: list.postings, at: 0, word, share, worth });
    }
    if is_lacking() {
        return Ok(());
    }
    let mut table = Table {
        touched: [0; STRETCH / 64],
        words: vec![0; STRETCH],
        text: vec![0.0; STRETCH],
        in_name: vec![0.0; STRETCH],
    };
    let mut names: Names<'_> = terms.names.iter().peekable();
    loop {
        let next_name = names.peek().map_or(TERMINATED, |(d, _)| *d);
        let next = lists.iter().map(List::next).min().unwrap_or(TERMINATED).min(next_name);
        if next == TERMINATED {
            return Ok(());
        }
        let base = next - next % STRETCH as u32;
        lists.iter_mut().for_each(|list| list.enter(base, &mut table));
        table.drain(base, &mut names, weights, |document, found| {
            if found.is_answer() && counts(document) {
                each(&Answer { document, found, standing: standings.of(document) });
            }
        });
    }
}

impl Table {
    /// What each document of the stretch matches, in order. The table is empty afterwards.
    fn drain(&mut self, base: u32, names: &mut Names<'_>, weights: &Weights, mut each: impl FnMut(u32, Match)) {
        for (document, _) in names.clone().take_while(|(d, _)| *d < base + STRETCH as u32) {
            let at = (document - base) as usize;
            self.touched[at / 64] |= 1 << (at % 64);
        }
        for i in 0..self.touched.len() {
            let mut bits = std::mem::take(&mut self.touched[i]);
            while bits != 0 {
                let at = i * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let document = base + at as u32;
                let words = std::mem::take(&mut self.words[at]);
                let (text, in_name) = (std::mem::take(&mut self.text[at]), std::mem::take(&mut self.in_name[at]));
                let mut found = Match::new(words, text, in_name, weights);
                if names.peek().is_some_and(|(d, _)| *d == document) {
                    found.name = names.next().map(|(_, name)| *name);
                }
                each(document, found);
            }
        }
    }
}

/// The best answers, the best first.
pub(super) struct Best<K> {
    keep: usize,
    heap: std::collections::BinaryHeap<Reverse<K>>,
}

impl<K: Ord> Best<K> {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, heap: std::collections::BinaryHeap::with_capacity(keep.min(1024) + 1) }
    }

    /// What must be surpassed by whatever comes now; `None` while anything is kept.
    pub(super) fn least(&self) -> Option<&K> {
        if self.heap.len() < self.keep { None } else { self.heap.peek().map(|Reverse(k)| k) }
    }

    pub(super) fn add(&mut self, key: K) {
        if self.heap.len() < self.keep {
            self.heap.push(Reverse(key));
        } else if let Some(mut least) = self.heap.peek_mut()
            && key > least.0
        {
            *least = Reverse(key);
        }
    }

    pub(super) fn into_sorted(self) -> Vec<K> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(k)| k).collect()
    }
}
