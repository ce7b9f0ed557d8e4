//! Finding: what one query matches in one bundle, and what that is worth.

use super::{
    bundle::Reading,
    directory::is_lacking,
    index::{LISTED_FROM, LISTED_PREFIX, MARK},
    names,
    query::{Condition, Named, Query, Wanted},
    rank::NameMatch,
    words,
};
use crate::Result;
use std::sync::Arc;
use tantivy::{
    DocSet, InvertedIndexReader, TERMINATED,
    postings::{BlockSegmentPostings, Postings as _, SegmentPostings, TermInfo},
    schema::{Field, IndexRecordOption},
};

/// How many names that begin alike are looked at where there is no list of them.
const PREFIXES: usize = 8 * LISTED_FROM;

/// How many packages whose names are a mistake away: those that stand best.
const TYPOS: usize = 256;

/// The shortest word that may be a mistake, in characters.
pub(super) const SHORTEST: usize = 4;

/// Names of this length, without separators, may be one mistake away, from the second on also two.
const TYPO_LENGTHS: (usize, usize, usize) = (SHORTEST, 8, names::LONGEST);

/// A query all of whose words stand in so many packages is meant as it is written.
const COMMON: u64 = 40;

/// So many names that are right or begin right are no little.
const ENOUGH: usize = 5;

/// A name of so many letters that is there is not a mistake for another one, whoever uses it.
const MEANT: usize = 12;

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
#[derive(Clone)]
pub(super) struct Asked {
    /// The words, as the index has them.
    pub(super) stems: Vec<String>,
    /// The same as they were written.
    pub(super) words: Vec<String>,
    pub(super) name: Option<Name>,
    pub(super) conditions: Vec<Condition>,
}

/// The query as a name.
#[derive(Clone)]
pub(super) struct Name {
    exact: String,
    squashed: String,
    /// Whether it could be a single name, misspelt.
    one: bool,
}

impl Asked {
    pub(super) fn new(query: &Query) -> Self {
        let mut analyzer = words::analyzer();
        let (mut stems, mut written) = (Vec::new(), Vec::new());
        for word in &query.words {
            let stem = words::stem(&mut analyzer, word);
            if !stem.is_empty() && !stems.contains(&stem) {
                stems.push(stem);
                written.push(word.clone());
            }
        }
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
        Self { stems, words: written, name, conditions }
    }

    /// The same question with another word in this place.
    pub(super) fn replace(&mut self, word: usize, instead: &str) {
        // The query as a name was looked for already.
        self.name = None;
        self.stems[word] = words::stem(&mut words::analyzer(), instead);
    }

    pub(super) fn is_everything(&self) -> bool {
        self.stems.is_empty() && self.name.is_none()
    }
}

/// The places of a query's words in a bundle.
pub(super) struct Terms {
    words: Vec<Option<(Field, TermInfo)>>,
    /// Documents by their whole name, in order.
    pub(super) names: Vec<(u32, NameMatch)>,
    /// Where the words and the name stand is known, whatever else has to be fetched.
    pub(super) placed: bool,
    /// There is no such name.
    pub(super) unknown: bool,
    /// There is such a name, and it is too long to be a mistake for another one.
    meant: bool,
    pub(super) allowed: Option<Set>,
}

/// The documents that have a word of the query.
pub(super) struct WordList {
    pub(super) postings: BlockSegmentPostings,
    pub(super) word: usize,
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
        let mut words = Vec::with_capacity(asked.stems.len());
        for stem in &asked.stems {
            words.push(soft(f.word(stem))?.flatten());
        }
        let places = f.name_places(asked)?;
        let placed = !is_lacking();
        let unknown = placed && places.is_empty();
        let long = asked.name.as_ref().is_some_and(|name| name.squashed.len() >= MEANT);
        let meant = long && places.iter().any(|(_, what)| *what >= NameMatch::Squashed);
        let names = soft(f.names(places))?.unwrap_or_default();
        let allowed = soft(f.allowed(&asked.conditions))?.flatten();
        Ok(Self { words, names, placed, unknown, meant, allowed })
    }

    pub(super) fn frequency(&self, word: usize) -> u64 {
        self.words[word].as_ref().map_or(0, |(_, t)| u64::from(t.doc_freq))
    }

    /// Adds names that are so many mistakes away.
    pub(super) fn add_typos(&mut self, reading: &Reading, asked: &Asked, mistakes: u8) -> Result<()> {
        let Some(name) = asked.name.as_ref() else { return Ok(()) };
        let known = self.names.len();
        for document in reading.misspelt(&name.squashed, mistakes)?.into_iter().take(TYPOS) {
            if self.names[..known].binary_search_by_key(&document, |(d, _)| *d).is_err() {
                self.names.push((document, NameMatch::Typo(mistakes)));
            }
        }
        self.names.sort_unstable();
        Ok(())
    }

    /// Whether names were found that are surely what was meant: a good one, or several.
    pub(super) fn has_names(&self, reading: &Reading) -> bool {
        self.meant
            || self.names.len() >= ENOUGH
            || self.names.first().is_some_and(|(best, _)| reading.standing(*best).steps >= WELL_KNOWN)
    }

    /// The documents that have each word.
    pub(super) fn lists(&self, reading: &Reading) -> Result<Vec<WordList>> {
        let f = Finder { reading };
        let mut out = Vec::with_capacity(self.words.len());
        for (word, place) in self.words.iter().enumerate() {
            let Some((field, place)) = place else { continue };
            if let Some(Some(postings)) = soft(f.blocks(*field, place, IndexRecordOption::WithFreqs))? {
                out.push(WordList { postings, word });
            }
        }
        Ok(out)
    }
}

/// How many mistakes a query may hold.
pub(super) fn mistakes(asked: &Asked, frequencies: &[u64]) -> u8 {
    let Some(name) = asked.name.as_ref().filter(|n| n.one) else { return 0 };
    let (one, two, most) = TYPO_LENGTHS;
    match name.squashed.chars().count() {
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
        // Nobody asks for a list of another sort by writing it so.
        if text.contains(MARK) { Ok(None) } else { self.reading.term(field, text) }
    }

    fn word(&self, stem: &str) -> Result<Option<(Field, TermInfo)>> {
        if stem.contains(MARK) { Ok(None) } else { self.reading.word(stem) }
    }

    /// The list for what many names begin with.
    fn listed(&self, prefix: &str) -> Result<Option<TermInfo>> {
        self.reading.term(self.reading.fields.name, &format!("{prefix}{MARK}"))
    }

    fn postings(&self, field: Field, term: &TermInfo, option: IndexRecordOption) -> Result<Option<SegmentPostings>> {
        let Some(inverted) = self.inverted(field)? else { return Ok(None) };
        inverted.read_postings_from_terminfo(term, option).map(Some).map_err(|e| self.reading.failed(e))
    }

    fn blocks(&self, field: Field, term: &TermInfo, option: IndexRecordOption) -> Result<Option<BlockSegmentPostings>> {
        let Some(inverted) = self.inverted(field)? else { return Ok(None) };
        inverted.read_block_postings_from_terminfo(term, option).map(Some).map_err(|e| self.reading.failed(e))
    }

    fn documents(&self, field: Field, term: &TermInfo, each: &mut dyn FnMut(u32)) -> Result<()> {
        if let Some(mut postings) = self.blocks(field, term, IndexRecordOption::Basic)? {
            while !postings.docs().is_empty() {
                postings.docs().iter().for_each(|document| each(*document));
                postings.advance();
            }
        }
        Ok(())
    }

    /// The lists of documents whose name as a whole matches.
    fn name_places(&self, asked: &Asked) -> Result<Vec<(TermInfo, NameMatch)>> {
        let mut out = Vec::new();
        let Some(name) = &asked.name else { return Ok(out) };
        let field = self.reading.fields.name;
        for (text, what) in [(&name.exact, NameMatch::Exact), (&name.squashed, NameMatch::Squashed)] {
            out.extend(soft(self.term(field, text))?.flatten().map(|term| (term, what)));
        }
        // Many names that begin so have a list; few stand side by side in the dictionary.
        let listed =
            if name.exact.chars().count() <= LISTED_PREFIX { soft(self.listed(&name.exact))? } else { Some(None) };
        match listed {
            Some(Some(term)) => out.push((term, NameMatch::Prefix)),
            Some(None) => {
                let terms = soft(self.prefixed(&name.exact))?.unwrap_or_default();
                out.extend(terms.into_iter().map(|term| (term, NameMatch::Prefix)));
            }
            // Whether there is a list is not known yet. If there is none, these are needed next.
            None => drop(soft(self.prefixed(&name.exact))?),
        }
        Ok(out)
    }

    /// The documents of these lists, in order.
    fn names(&self, places: Vec<(TermInfo, NameMatch)>) -> Result<Vec<(u32, NameMatch)>> {
        let mut out = Vec::new();
        self.all_documents(self.reading.fields.name, &places, |document, what| out.push((document, what)))?;
        // Of several matches of a document the best.
        out.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        out.dedup_by_key(|(document, _)| *document);
        Ok(out)
    }

    /// The documents of many terms of one field.
    fn all_documents(
        &self,
        field: Field,
        terms: &[(TermInfo, NameMatch)],
        mut each: impl FnMut(u32, NameMatch),
    ) -> Result<()> {
        let (Some(inverted), Some((first, _))) = (self.inverted(field)?, terms.first()) else { return Ok(()) };
        let failed = |e| self.reading.failed(e);
        let mut list =
            soft(inverted.read_block_postings_from_terminfo(first, IndexRecordOption::Basic).map_err(failed))?;
        for (term, what) in terms {
            // A reader is made once and filled again; where nothing is at hand, each term still says what it lacks.
            match &mut list {
                Some(list) => {
                    if soft(inverted.reset_block_postings_from_terminfo(term, list).map_err(failed))?.is_none() {
                        continue;
                    }
                    while !list.docs().is_empty() {
                        list.docs().iter().for_each(|document| each(*document, *what));
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
            if is_name(stream.key()) {
                out.push(stream.value().clone());
            }
        }
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
        let place = match wanted {
            Wanted::Phrase(parts) => {
                self.phrase(parts, &mut set)?;
                return Ok(set);
            }
            Wanted::Word(word) => self.word(word)?,
            Wanted::Field(named, value) => {
                let field = match named {
                    Named::Kind => fields.kind,
                    Named::License => fields.license,
                    Named::Keyword => fields.keyword,
                    Named::Category => fields.category,
                    Named::Name => fields.name,
                };
                self.term(field, value)?.map(|term| (field, term))
            }
        };
        if let Some((field, term)) = place {
            self.documents(field, &term, &mut |document| set.insert(document))?;
        }
        Ok(set)
    }

    /// Documents in whose text these words stand one behind another.
    fn phrase(&self, parts: &[String], set: &mut Set) -> Result<()> {
        let mut places = Vec::new();
        for part in parts {
            places.push(soft(self.word(part))?.flatten());
        }
        let mut lists = Vec::new();
        for place in &places {
            let Some((field, place)) = place else { return Ok(()) };
            lists.extend(soft(self.postings(*field, place, IndexRecordOption::WithFreqsAndPositions))?.flatten());
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

/// Whether an entry of the names' dictionary is one, and not a list of names that begin so.
fn is_name(entry: &[u8]) -> bool {
    entry.last().is_none_or(|last| char::from(*last) != MARK)
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
