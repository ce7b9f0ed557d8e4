//! Finding: what one query matches in one bundle, and what that is worth.

use super::{
    bundle::{Reading, is_lacking},
    index::LISTED_PREFIX,
    query::{Condition, Named, Query, Wanted},
    rank::{Match, NameMatch, Score, Weights},
    words,
};
use crate::Result;
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};
use tantivy::{
    DocSet, InvertedIndexReader, TERMINATED, Term,
    postings::{Postings as _, SegmentPostings, TermInfo},
    query::FuzzyTermQuery,
    schema::{Field, IndexRecordOption},
};

/// How many names that begin alike are looked at.
const PREFIXES: usize = 4096;

/// How many names that are a mistake away.
const TYPOS: usize = 256;

/// Names of this length may be one mistake away, from the second on also two.
const TYPO_LENGTHS: (usize, usize, usize) = (4, 8, 40);

/// A query all of whose words stand in so many packages is meant as it is written.
const COMMON: u64 = 40;

/// So many names that are right or begin right are no little.
const ENOUGH: usize = 5;

/// A package that stands so well is not a mistake for another one: 12 doublings.
const WELL_KNOWN: u16 = 12 * 32;

/// A set of documents.
#[derive(Debug, Clone)]
pub(super) struct Set(Vec<u64>);

impl Set {
    pub(super) fn new(documents: u32, full: bool) -> Self {
        Self(vec![if full { u64::MAX } else { 0 }; documents.div_ceil(64) as usize])
    }

    pub(super) fn insert(&mut self, document: u32) {
        if let Some(word) = self.0.get_mut(document as usize / 64) {
            *word |= 1 << (document % 64);
        }
    }

    pub(super) fn contains(&self, document: u32) -> bool {
        self.0.get(document as usize / 64).is_some_and(|word| word >> (document % 64) & 1 == 1)
    }

    fn keep(&mut self, other: &Self, not: bool) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a &= if not { !*b } else { *b };
        }
    }
}

/// A query with what is the same for all bundles.
pub(super) struct Asked {
    /// The words, as the index has them.
    pub(super) stems: Vec<String>,
    pub(super) name: Option<Name>,
    pub(super) conditions: Vec<Condition>,
}

/// The query as a name.
pub(super) struct Name {
    exact: String,
    squashed: String,
    /// Whether it could be a single name, misspelt.
    one: bool,
}

impl Asked {
    pub(super) fn new(query: &Query) -> Self {
        let mut analyzer = words::analyzer();
        let mut stems: Vec<String> = query.words.iter().map(|w| words::stem(&mut analyzer, w)).collect();
        let mut seen = std::collections::HashSet::new();
        stems.retain(|s| !s.is_empty() && seen.insert(s.clone()));
        let name = query.name.as_ref().map(|n| Name {
            exact: words::exact(n),
            squashed: words::squashed(n),
            one: !n.contains(char::is_whitespace),
        });
        let mut conditions = query.conditions.clone();
        for condition in &mut conditions {
            match &mut condition.what {
                Wanted::Phrase(parts) => parts.iter_mut().for_each(|w| *w = words::stem(&mut analyzer, w)),
                Wanted::Word(word) => *word = words::stem(&mut analyzer, word),
                Wanted::Field(..) => {}
            }
        }
        Self { stems, name, conditions }
    }

    pub(super) fn is_everything(&self) -> bool {
        self.stems.is_empty() && self.name.is_none()
    }
}

/// The places of a query's words in a bundle.
pub(super) struct Terms {
    /// For each word: in names, in texts.
    words: Vec<[Option<TermInfo>; 2]>,
    /// Documents by their whole name.
    names: BTreeMap<u32, NameMatch>,
    allowed: Option<Set>,
}

/// What a step gave, or nothing where it lacks something: then the other steps still say what they lack.
fn soft<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(_) if is_lacking() => Ok(None),
        other => other.map(Some),
    }
}

struct Finder<'a> {
    reading: &'a Reading,
}

impl Terms {
    /// Looks up the words. First all places, then all lists that are needed for names and conditions.
    pub(super) fn look_up(reading: &Reading, asked: &Asked) -> Result<Self> {
        let f = Finder { reading };
        let fields = &reading.fields;
        let mut words = Vec::with_capacity(asked.stems.len());
        for stem in &asked.stems {
            let places = [fields.words, fields.text].map(|field| soft(f.term(field, stem)));
            let [a, b] = places;
            words.push([a?.flatten(), b?.flatten()]);
        }
        let names = soft(f.names(asked))?.unwrap_or_default();
        let allowed = soft(f.allowed(&asked.conditions))?.flatten();
        Ok(Self { words, names, allowed })
    }

    pub(super) fn frequency(&self, word: usize) -> u64 {
        self.words[word][1].as_ref().map_or(0, |t| u64::from(t.doc_freq))
    }

    /// Adds names that are so many mistakes away.
    pub(super) fn add_typos(&mut self, reading: &Reading, asked: &Asked, mistakes: u8) -> Result<()> {
        let Some(name) = asked.name.as_ref() else { return Ok(()) };
        for document in (Finder { reading }).typos(name, mistakes)? {
            self.names.entry(document).or_insert(NameMatch::Typo(mistakes));
        }
        Ok(())
    }

    /// Whether names were found that are surely what was meant: a good one, or several.
    pub(super) fn has_names(&self, reading: &Reading) -> bool {
        self.names.len() >= ENOUGH
            || self.names.keys().next().is_some_and(|best| reading.standing(*best).0 >= WELL_KNOWN)
    }
}

/// How many mistakes a query may hold.
pub(super) fn mistakes(asked: &Asked, frequencies: &[u64]) -> u8 {
    let Some(name) = asked.name.as_ref().filter(|n| n.one) else { return 0 };
    let (one, two, most) = TYPO_LENGTHS;
    match name.exact.chars().count() {
        _ if frequencies.iter().all(|f| *f >= COMMON) => 0,
        length if length < one || length > most => 0,
        length if length < two => 1,
        _ => 2,
    }
}

impl Finder<'_> {
    fn inverted(&self, field: Field) -> Result<Option<Arc<InvertedIndexReader>>> {
        self.reading.inverted(field)
    }

    fn term(&self, field: Field, text: &str) -> Result<Option<TermInfo>> {
        let Some(inverted) = self.inverted(field)? else { return Ok(None) };
        inverted.terms().get(text.as_bytes()).map_err(|e| self.reading.failed(e))
    }

    fn postings(&self, field: Field, term: &TermInfo, option: IndexRecordOption) -> Result<Option<SegmentPostings>> {
        let Some(inverted) = self.inverted(field)? else { return Ok(None) };
        inverted.read_postings_from_terminfo(term, option).map(Some).map_err(|e| self.reading.failed(e))
    }

    fn documents(&self, field: Field, term: &TermInfo, each: &mut dyn FnMut(u32)) -> Result<()> {
        if let Some(mut postings) = self.postings(field, term, IndexRecordOption::Basic)? {
            while postings.doc() != TERMINATED {
                each(postings.doc());
                postings.advance();
            }
        }
        Ok(())
    }

    /// Documents whose name as a whole matches.
    fn names(&self, asked: &Asked) -> Result<BTreeMap<u32, NameMatch>> {
        let mut out = BTreeMap::new();
        let Some(name) = &asked.name else { return Ok(out) };
        let fields = self.reading.fields;
        let (mut lists, mut prefixed) = (Vec::new(), Vec::new());
        for (text, what) in [(&name.exact, NameMatch::Exact), (&name.squashed, NameMatch::Squashed)] {
            if let Some(Some(term)) = soft(self.term(fields.name, text))? {
                lists.push((fields.name, term, what));
            }
        }
        if name.exact.chars().count() <= LISTED_PREFIX {
            if let Some(Some(term)) = soft(self.term(fields.prefix, &name.exact))? {
                lists.push((fields.prefix, term, NameMatch::Prefix));
            }
        } else {
            prefixed = soft(self.prefixed(&name.exact))?.unwrap_or_default();
        }
        for (field, term, what) in lists {
            soft(self.documents(field, &term, &mut |document| {
                let at = out.entry(document).or_insert(what);
                *at = what.max(*at);
            }))?;
        }
        soft(self.all_documents(fields.name, &prefixed, |document| {
            out.entry(document).or_insert(NameMatch::Prefix);
        }))?;
        Ok(out)
    }

    /// The documents of many terms of one field.
    fn all_documents(&self, field: Field, terms: &[TermInfo], mut each: impl FnMut(u32)) -> Result<()> {
        let (Some(inverted), Some(first)) = (self.inverted(field)?, terms.first()) else { return Ok(()) };
        let failed = |e| self.reading.failed(e);
        let mut list =
            soft(inverted.read_block_postings_from_terminfo(first, IndexRecordOption::Basic).map_err(failed))?;
        for term in terms {
            // A reader is made once and filled again; where nothing is at hand, each term still says what it lacks.
            match &mut list {
                Some(list) => {
                    if soft(inverted.reset_block_postings_from_terminfo(term, list).map_err(failed))?.is_none() {
                        continue;
                    }
                    while !list.docs().is_empty() {
                        list.docs().iter().for_each(|document| each(*document));
                        list.advance();
                    }
                }
                None => {
                    let read = inverted.read_block_postings_from_terminfo(term, IndexRecordOption::Basic);
                    soft(read.map_err(failed))?;
                }
            }
        }
        Ok(())
    }

    /// The names that begin so.
    fn prefixed(&self, prefix: &str) -> Result<Vec<TermInfo>> {
        let Some(inverted) = self.inverted(self.reading.fields.name)? else { return Ok(Vec::new()) };
        let range = inverted.terms().range().ge(prefix).lt(behind(prefix)).limit(PREFIXES as u64);
        let mut stream = range.into_stream().map_err(|e| self.reading.failed(e))?;
        let mut out = Vec::new();
        while out.len() < PREFIXES && stream.advance() {
            out.push(stream.value().clone());
        }
        Ok(out)
    }

    fn typos(&self, name: &Name, distance: u8) -> Result<Vec<u32>> {
        let field = self.reading.fields.name;
        let Some(inverted) = self.inverted(field)? else { return Ok(Vec::new()) };
        let query = FuzzyTermQuery::new(Term::from_field_text(field, &name.exact), distance, true);
        let automaton = query.automaton().map_err(|e| self.reading.failed(e))?;
        let mut search = inverted.terms().search(automaton);
        if self.reading.is_partial() {
            // Not the whole dictionary: a mistake is rarely in the first letter. What is read is one stretch of it.
            let Some(first) = name.exact.chars().next() else { return Ok(Vec::new()) };
            let first = first.to_string();
            let stretch = inverted.terms().range().ge(&first).lt(behind(&first));
            stretch.into_stream().map_err(|e| self.reading.failed(e))?;
            search = search.ge(&first).lt(behind(&first));
        }
        let mut stream = search.into_stream().map_err(|e| self.reading.failed(e))?;
        let mut terms = Vec::new();
        while terms.len() < TYPOS && stream.advance() {
            terms.push(stream.value().clone());
        }
        let mut out = Vec::new();
        self.all_documents(field, &terms, |document| out.push(document))?;
        Ok(out)
    }

    /// The documents that meet all conditions; `None` where there are none to meet.
    fn allowed(&self, conditions: &[Condition]) -> Result<Option<Set>> {
        if conditions.is_empty() {
            return Ok(None);
        }
        let mut out = Set::new(self.reading.documents(), true);
        for condition in conditions {
            if let Some(set) = soft(self.condition(&condition.what))? {
                out.keep(&set, condition.not);
            }
        }
        Ok(Some(out))
    }

    fn condition(&self, wanted: &Wanted) -> Result<Set> {
        let fields = &self.reading.fields;
        let mut set = Set::new(self.reading.documents(), false);
        let (field, text) = match wanted {
            Wanted::Phrase(parts) => {
                self.phrase(parts, &mut set)?;
                return Ok(set);
            }
            Wanted::Word(word) => (fields.text, word),
            Wanted::Field(named, value) => {
                let field = match named {
                    Named::Kind => fields.kind,
                    Named::License => fields.license,
                    Named::Keyword => fields.keyword,
                    Named::Category => fields.category,
                    Named::Name => fields.name,
                };
                (field, value)
            }
        };
        if let Some(term) = self.term(field, text)? {
            self.documents(field, &term, &mut |document| set.insert(document))?;
        }
        Ok(set)
    }

    /// Documents in whose text these words stand one behind another.
    fn phrase(&self, parts: &[String], set: &mut Set) -> Result<()> {
        let text = self.reading.fields.text;
        let mut places = Vec::new();
        for part in parts {
            places.push(soft(self.term(text, part))?.flatten());
        }
        let mut lists = Vec::new();
        for place in &places {
            let Some(place) = place else { return Ok(()) };
            lists.extend(soft(self.postings(text, place, IndexRecordOption::WithFreqsAndPositions))?.flatten());
        }
        if is_lacking() || lists.len() != parts.len() {
            return Ok(());
        }
        let (mut at, mut here) = (Vec::new(), Vec::new());
        let mut document = lists[0].doc();
        'documents: while document != TERMINATED {
            for list in &mut lists {
                let next = if list.doc() < document { list.seek(document) } else { list.doc() };
                if next > document {
                    document = next;
                    continue 'documents;
                }
            }
            lists[0].positions(&mut at);
            for (i, list) in lists.iter_mut().enumerate().skip(1) {
                list.positions_with_offset(0, &mut here);
                at.retain(|p| here.binary_search(&(p + i as u32)).is_ok());
            }
            if !at.is_empty() {
                set.insert(document);
            }
            document = lists[0].advance();
        }
        Ok(())
    }
}

/// The least text behind all that begin so.
fn behind(prefix: &str) -> Vec<u8> {
    let mut out = prefix.as_bytes().to_vec();
    // No byte of UTF-8 is 255.
    if let Some(last) = out.last_mut() {
        *last += 1;
    }
    out
}

struct List {
    postings: SegmentPostings,
    word: usize,
    in_name: bool,
}

/// Goes through all answers in a bundle, in the order of documents.
pub(super) fn answers(
    reading: &Reading,
    terms: &Terms,
    weights: &Weights,
    everything: bool,
    dead: Option<&Set>,
    mut each: impl FnMut(u32, Score),
) -> Result<()> {
    let counts = |document: u32| {
        !dead.is_some_and(|d| d.contains(document)) && terms.allowed.as_ref().is_none_or(|a| a.contains(document))
    };
    if everything {
        let nothing = Match::default();
        (0..reading.documents()).filter(|d| counts(*d)).for_each(|d| each(d, nothing.score(reading, d)));
        return Ok(());
    }
    let f = Finder { reading };
    let fields = [reading.fields.words, reading.fields.text];
    let options = [IndexRecordOption::Basic, IndexRecordOption::WithFreqs];
    let mut lists = Vec::new();
    for (word, places) in terms.words.iter().enumerate() {
        for (i, place) in places.iter().enumerate() {
            let Some(place) = place else { continue };
            if let Some(Some(postings)) = soft(f.postings(fields[i], place, options[i]))? {
                lists.push(List { postings, word, in_name: i == 0 });
            }
        }
    }
    if is_lacking() {
        return Ok(());
    }
    let mut names = terms.names.iter().peekable();
    loop {
        let next_name = names.peek().map_or(TERMINATED, |(d, _)| **d);
        let document = lists.iter().map(|l| l.postings.doc()).min().unwrap_or(TERMINATED).min(next_name);
        if document == TERMINATED {
            return Ok(());
        }
        let mut found = Match::default();
        for list in lists.iter_mut().filter(|l| l.postings.doc() == document) {
            let share = weights.share[list.word];
            if list.in_name {
                found.in_name(list.word, share);
            } else {
                found.in_text(list.word, share, list.postings.term_freq());
            }
            list.postings.advance();
        }
        if next_name == document {
            found.name = names.next().map(|(_, m)| *m);
        }
        if found.is_answer() && counts(document) {
            each(document, found.score(reading, document));
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

    pub(super) fn add(&mut self, key: K) {
        if self.heap.len() < self.keep {
            self.heap.push(Reverse(key));
        } else if self.heap.peek().is_some_and(|least| key > least.0) {
            self.heap.pop();
            self.heap.push(Reverse(key));
        }
    }

    pub(super) fn into_sorted(self) -> Vec<K> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(k)| k).collect()
    }
}
