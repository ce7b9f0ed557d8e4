//! A bundle that is open: what it holds, and what is remembered of it.

use super::{
    directory::{Body, BundleDirectory, Source, is_lacking},
    document::Document,
    index::{self, Fields},
    names::{self, Group, Groups, Names},
    rank::Standing,
};
use crate::{
    Error, ErrorKind, Result,
    format::{
        FormatError,
        bundle::{SearchBundle, Table, Tail},
    },
    package::{Link, Sha256},
};
use bytes::Bytes;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tantivy::{
    Index, InvertedIndexReader, SegmentReader, TantivyDocument,
    directory::OwnedBytes,
    postings::TermInfo,
    schema::{Field, Value as _},
    store::StoreReader,
};

/// So many decompressed blocks of documents are kept for each bundle.
const STORE_CACHE: usize = 128;

/// So many places of terms are kept for each bundle: to look one up takes a block to be decompressed.
const TERM_CACHE: u64 = 16 << 10;

/// Bytes of documents kept for each bundle, about: what stands well is an answer to many questions.
const DOCUMENT_CACHE: u64 = 8 << 20;

/// How much of the file of names is read at once to find out where they are.
const HEAD: u64 = 1 << 10;

/// Bytes of blocks kept in memory for a bundle held in parts.
const BLOCK_CACHE: u64 = 64 << 20;

/// A bundle that is open.
pub(super) struct Reading {
    pub(super) cited: SearchBundle,
    pub(super) fields: Fields,
    body: Arc<Body>,
    /// None where the bundle holds no document, and only says what others do not hold any more.
    segment: Option<Segment>,
    /// `ends[i]` documents have one of the first `i + 1` standings.
    ends: Vec<u32>,
    /// All names, once a question was for a misspelt one.
    names: OnceLock<Names>,
    /// Where the names are for which no table is made.
    groups: Groups,
    /// The words of names.
    words: Groups,
    /// Where the lists of terms are, by field and term.
    terms: moka::sync::Cache<String, Option<TermInfo>>,
    shown: moka::sync::Cache<u32, Arc<Document>>,
}

struct Segment {
    reader: SegmentReader,
    store: StoreReader,
}

impl Reading {
    /// Opens a bundle that is at hand, and was checked against its link.
    pub(super) fn whole(cited: &SearchBundle, whole: Bytes) -> Result<Self> {
        let tail = cited.split(&whole).map_err(|e| unreadable(cited, e))?;
        Self::open(cited, tail, Source::Whole(OwnedBytes::new(Vec::from(whole))))
    }

    /// Opens a bundle of which only the tail is at hand.
    pub(super) fn parts(cited: &SearchBundle, tail: Bytes) -> Result<Self> {
        let tail = cited.read_tail(tail).map_err(|e| unreadable(cited, e))?;
        let blocks = moka::sync::Cache::builder()
            .weigher(|_, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .max_capacity(BLOCK_CACHE)
            .build();
        Self::open(cited, tail, Source::Parts { sha256: cited.link.sha256, blocks })
    }

    fn open(cited: &SearchBundle, tail: Tail, source: Source) -> Result<Self> {
        let mut sum = 0;
        let ends = tail.table.ranks.iter().map(|(_, n)| {
            sum += n;
            sum
        });
        let ends = ends.collect();
        let documents = tail.table.documents;
        let body = Arc::new(Body { tail, source });
        let (_, fields) = index::schema();
        let segment = match documents {
            0 => None,
            _ => {
                // Of a bundle that the key vouches for, and that is none, tantivy may think anything.
                let open = std::panic::AssertUnwindSafe(|| open_segment(&body, &fields, documents));
                let opened = std::panic::catch_unwind(open).unwrap_or_else(|_| Err(corrupt("it is no index")));
                Some(opened.map_err(|e| unreadable(cited, e))?)
            }
        };
        let read = |file| groups(&body, file).map_err(|e| unreadable(cited, e));
        let (groups, words) = (read(names::FILE)?, read(names::WORDS)?);
        let weigh = |_: &u32, d: &Arc<Document>| u32::try_from(400 + d.summary.len()).unwrap_or(u32::MAX);
        Ok(Self {
            cited: *cited,
            fields,
            body,
            segment,
            ends,
            names: OnceLock::new(),
            groups,
            words,
            terms: moka::sync::Cache::new(TERM_CACHE),
            shown: moka::sync::Cache::builder().weigher(weigh).max_capacity(DOCUMENT_CACHE).build(),
        })
    }

    pub(super) fn tail(&self) -> &Tail {
        &self.body.tail
    }

    /// How many documents it has.
    pub(super) fn documents(&self) -> u32 {
        self.body.tail.table.documents
    }

    /// Whether it is held in parts.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self.body.source, Source::Parts { .. })
    }

    /// Takes a block that was checked.
    pub(super) fn add_block(&self, number: u64, bytes: Bytes) {
        if let Source::Parts { blocks, .. } = &self.body.source {
            blocks.insert(number, bytes);
        }
    }

    /// The standing of a document.
    pub(super) fn standing(&self, document: u32) -> Standing {
        let mut standings = self.standings();
        standings.at = self.ends.partition_point(|end| *end <= document);
        standings.of(document)
    }

    /// The standing of one document after another.
    pub(super) fn standings(&self) -> Standings<'_> {
        Standings { ends: &self.ends, ranks: &self.body.tail.table.ranks, at: 0 }
    }

    pub(super) fn reader(&self) -> Option<&SegmentReader> {
        self.segment.as_ref().map(|s| &s.reader)
    }

    pub(super) fn inverted(&self, field: Field) -> Result<Option<Arc<InvertedIndexReader>>> {
        self.reader().map(|r| r.inverted_index(field)).transpose().map_err(|e| self.failed(e))
    }

    /// The documents whose names are at most so many mistakes away, in order. Of a bundle that is held in parts, only among the
    /// names with the same first letter: a mistake is rarely there, and all others are by far more.
    pub(super) fn misspelt(&self, name: &str, mistakes: u8) -> Result<Vec<u32>> {
        if !self.is_partial() {
            let names = match self.names.get() {
                Some(names) => names,
                None => {
                    let made = Names::gather(|add| {
                        self.groups.all().iter().try_for_each(|g| self.group(names::FILE, g, add))
                    })?;
                    self.names.get_or_init(|| made)
                }
            };
            return Ok(names.near(name, mistakes));
        }
        let mut out = Vec::new();
        self.near((names::FILE, &self.groups), name, mistakes, |_, document| out.push(document))?;
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    /// The words of names that are a mistake away, and not in the first letter, each with the first document whose name has it.
    pub(super) fn near_words(&self, word: &str) -> Result<Vec<(String, u32)>> {
        let mut out = Vec::new();
        self.near((names::WORDS, &self.words), word, 1, |near, document| {
            out.push((String::from_utf8_lossy(near).into_owned(), document));
        })?;
        Ok(out)
    }

    fn near(
        &self,
        (file, groups): (&str, &Groups),
        name: &str,
        mistakes: u8,
        mut each: impl FnMut(&[u8], u32),
    ) -> Result<()> {
        let wanted = names::bytes(name);
        for group in groups.near(name, mistakes) {
            let near = &mut |name: &[u8], document| {
                if names::is_near(name, &wanted, mistakes) {
                    each(name, document);
                }
            };
            match self.group(file, group, near) {
                // The others still say what they lack.
                Err(_) if is_lacking() => {}
                read => read?,
            }
        }
        Ok(())
    }

    fn group(&self, file: &str, group: &Group, each: &mut dyn FnMut(&[u8], u32)) -> Result<()> {
        let Some(file) = self.body.tail.file(file) else { return Ok(()) };
        let range = file.offset + group.range.start..file.offset + group.range.end;
        let bytes = self.body.read(range).map_err(|e| self.failed(e))?;
        let read = group.names(&bytes, |name, document| {
            if document < self.documents() {
                each(name, document);
            }
        });
        read.ok_or_else(|| self.failed("its names are none"))
    }

    /// Where the list of a term is; `None` where nothing has it.
    pub(super) fn term(&self, field: Field, text: &str) -> Result<Option<TermInfo>> {
        let mut key = String::with_capacity(text.len() + 4);
        key.push(char::from_u32(field.field_id()).unwrap_or_default());
        key.push_str(text);
        if let Some(known) = self.terms.get(&key) {
            return Ok(known);
        }
        let Some(inverted) = self.inverted(field)? else { return Ok(None) };
        let found = inverted.terms().get(text.as_bytes()).map_err(|e| self.failed(e))?;
        self.terms.insert(key, found.clone());
        Ok(found)
    }

    /// Where the list of a word of texts is, and in which of the two fields.
    pub(super) fn word(&self, stem: &str) -> Result<Option<(Field, TermInfo)>> {
        let Fields { often, text, .. } = self.fields;
        if let Some(place) = self.term(often, stem)? {
            return Ok(Some((often, place)));
        }
        Ok(self.term(text, stem)?.map(|place| (text, place)))
    }

    /// A document by its number.
    pub(super) fn document(&self, number: u32) -> Result<Document> {
        let segment = self.segment.as_ref().ok_or_else(|| self.failed("it has no documents"))?;
        let stored: TantivyDocument = segment.store.get(number).map_err(|e| self.failed(e))?;
        let text = stored.get_first(self.fields.document).and_then(|v| v.as_str().map(str::to_owned));
        let text = text.ok_or_else(|| self.failed(format!("document {number} is not there")))?;
        serde_json::from_str(&text).map_err(|e| self.failed(e))
    }

    /// The same, from memory if it was shown before.
    pub(super) fn shown(&self, number: u32) -> Result<Arc<Document>> {
        if let Some(document) = self.shown.get(&number) {
            return Ok(document);
        }
        let document = Arc::new(self.document(number)?);
        self.shown.insert(number, Arc::clone(&document));
        Ok(document)
    }

    /// The error for a bundle whose bytes are right, and which cannot be read all the same.
    pub(super) fn failed(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let what = format!("the search bundle {} cannot be read", self.cited.link.sha256.short());
        Error::new(ErrorKind::Unsupported, what).with_source(cause).with_hint("upgrade ggen-market")
    }
}

/// The standing of documents that come in order.
pub(super) struct Standings<'a> {
    ends: &'a [u32],
    ranks: &'a [(u16, u32)],
    at: usize,
}

impl Standings<'_> {
    pub(super) fn of(&mut self, document: u32) -> Standing {
        while self.ends.get(self.at).is_some_and(|end| *end <= document) {
            self.at += 1;
        }
        match self.ranks.get(self.at) {
            Some((steps, _)) => Standing { steps: *steps, yanked: false },
            None => Standing { steps: 0, yanked: true },
        }
    }
}

fn unreadable(cited: &SearchBundle, e: impl Into<Unreadable>) -> Error {
    let place = format!("the search bundle {}", cited.link.sha256.short());
    match e.into() {
        Unreadable::Format(e) => e.at(place),
        Unreadable::Index(e) => Error::new(ErrorKind::Unsupported, format!("{place} cannot be opened"))
            .with_source(e)
            .with_hint("upgrade ggen-market"),
    }
}

enum Unreadable {
    Format(FormatError),
    Index(tantivy::TantivyError),
}

impl From<FormatError> for Unreadable {
    fn from(e: FormatError) -> Self {
        Self::Format(e)
    }
}

impl From<tantivy::TantivyError> for Unreadable {
    fn from(e: tantivy::TantivyError) -> Self {
        Self::Index(e)
    }
}

fn corrupt(what: &str) -> tantivy::TantivyError {
    tantivy::TantivyError::DataCorruption(tantivy::error::DataCorruption::comment_only(what))
}

fn open_segment(body: &Arc<Body>, fields: &Fields, documents: u32) -> tantivy::Result<Segment> {
    let index = Index::open(BundleDirectory(Arc::clone(body)))?;
    if index.schema() != index::schema().0 {
        return Err(corrupt("its fields are not those that this program knows"));
    }
    let segments = index.searchable_segments()?;
    let [segment] = &segments[..] else { return Err(corrupt("it does not have one segment")) };
    let reader = SegmentReader::open(segment)?;
    if reader.max_doc() != documents {
        return Err(corrupt("it has another number of documents than its table says"));
    }
    let Fields { name, text, often, kind, license, keyword, category, .. } = *fields;
    for field in [name, text, often, kind, license, keyword, category] {
        reader.inverted_index(field)?;
    }
    let store = reader.get_store_reader(STORE_CACHE)?;
    Ok(Segment { reader, store })
}

/// Where the names of a bundle are, or the words of names.
fn groups(body: &Body, file: &str) -> tantivy::Result<Groups> {
    let Some(file) = body.tail.file(file).filter(|_| body.tail.table.documents > 0) else {
        return Ok(Groups::default());
    };
    // How long the head is stands nowhere, and it is short: what is read here is found at hand.
    let mut head = Vec::new();
    while head.len() as u64 <= Groups::MOST.min(file.size) {
        let from = file.offset + head.len() as u64;
        let piece = body.read(from..(from + HEAD).min(file.offset + file.size))?;
        head.extend_from_slice(&piece);
        if let Some(groups) = Groups::read(&head, file.size) {
            return Ok(groups);
        }
        if piece.is_empty() {
            break;
        }
    }
    Err(corrupt("its names are none"))
}

/// The ranges of a body that opening its index reads, and the dictionary of frequent words, in order and apart.
pub(super) fn hot_ranges(body: &Bytes, table: &Table) -> Result<Vec<(u64, u64)>> {
    // What opens the index is the same code that will open the finished one.
    let link = Link { raw: None, sha256: Sha256([0; 32]), size: 0 };
    let cited = SearchBundle { documents: table.documents.into(), link, tail: link };
    let source = Source::Noted(body.clone(), Mutex::new(Vec::new()));
    let reading = Reading::open(&cited, Tail::provisional(table.clone()), source)?;
    if let Some(inverted) = reading.inverted(reading.fields.often)? {
        // All of this dictionary is read.
        let mut all = inverted.terms().stream().map_err(|e| reading.failed(e))?;
        while all.advance() {}
    }
    let Source::Noted(_, noted) = &reading.body.source else { return Ok(Vec::new()) };
    let mut noted = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
    noted.sort_unstable_by_key(|r| (r.start, r.end));
    let mut out: Vec<(u64, u64)> = Vec::new();
    for range in noted {
        match out.last_mut() {
            Some((offset, size)) if range.start <= *offset + *size => *size = (*size).max(range.end - *offset),
            _ => out.push((range.start, range.end - range.start)),
        }
    }
    Ok(out)
}
