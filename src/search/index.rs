//! Building: documents in, a bundle out. The same documents give the same bytes, on any machine.

use super::{
    bundle,
    document::Document,
    drafts::{Draft, Drafts},
    names,
    shelf::Shelf,
    words,
};
use crate::{
    Error, ErrorKind, Result,
    format::bundle::{File, Replaces, SearchBundle, Table, block_of, seal},
    package::Sha256,
};
use bytes::Bytes;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    path::Path,
};
use tantivy::{
    Directory as _, Index, IndexSettings, TantivyDocument,
    index::{SegmentComponent, SegmentId},
    schema::{Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions},
    store::{Compressor, ZstdCompressor},
    tokenizer::{PreTokenizedString, TextAnalyzer, Token, TokenizerManager, WhitespaceTokenizer},
};

/// What segments are called: tantivy would take a random name.
pub(super) const SEGMENT: &str = "00000000-0000-0000-0000-000000000001";

/// The longest beginning of names that has a list of its own, in characters.
pub(super) const LISTED_PREFIX: usize = 32;

/// What more names than these begin with has a list; others are found side by side in the dictionary.
pub(super) const LISTED_FROM: usize = 32;

/// How many packages such a list holds: those that stand best.
const LISTED: u32 = 128;

/// What the index writer's tables are sized for. It says nothing about the bytes that are written.
fn budget(documents: usize) -> usize {
    documents.saturating_mul(4096).clamp(1 << 20, 64 << 20)
}

/// A bundle with a smaller body is always fetched whole, and has no copies in its tail of what opening it needs.
pub(crate) const WHOLE: u64 = 256 << 10;

/// How much text one compressed block of documents holds: a hit costs one block.
const STORE_BLOCK: usize = 2 << 10;

/// So many words are remembered with their stems.
const STEMS: usize = 64 << 10;

/// Which words are frequent is told from one document in four, and from so many at most.
const SAMPLE: usize = 16 << 10;

/// A frequent word is one that a document in so many has: some three thousand words are, whatever the number of documents.
const OFTEN: usize = 4096;

/// And that so many have: in a small bundle all words stand close together.
const OFTEN_FROM: usize = 64;

/// Behind the beginning of names, in the dictionary of names: the list for it. So both are found by one read.
pub(super) const MARK: char = '\u{1}';

/// The fields of the index.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// Whole names: as they are compared, and without separators. With a [`MARK`], beginnings of up to [`LISTED_PREFIX`]
    /// characters that more than [`LISTED_FROM`] names share, for the [`LISTED`] best packages each.
    pub(super) name: Field,
    /// Words of names, summary, keywords and categories, stemmed, with positions: an even number of times those of the name,
    /// all others an odd one ([`Making::text`]).
    pub(super) text: Field,
    /// Those of them that many documents have ([`Making::learn`]). They are asked for most, and stand in a dictionary of their
    /// own, so small that the tail has it: where their lists are needs no reading.
    pub(super) often: Field,
    pub(super) kind: Field,
    pub(super) license: Field,
    pub(super) keyword: Field,
    pub(super) category: Field,
    /// Columns, read only when an order or a count asks for them.
    pub(super) downloads: Field,
    pub(super) published: Field,
    pub(super) order: Field,
    /// The document, as JSON.
    pub(super) document: Field,
}

pub(super) fn schema() -> (Schema, Fields) {
    let mut b = Schema::builder();
    let plain = |tokenizer: &str| {
        let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer).set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing.set_index_option(IndexRecordOption::Basic))
    };
    let positions = TextFieldIndexing::default().set_tokenizer("stems").set_fieldnorms(false);
    let positions = positions.set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let number = NumericOptions::default().set_fast();
    let fields = Fields {
        name: b.add_text_field("name", plain("raw")),
        text: b.add_text_field("text", TextOptions::default().set_indexing_options(positions.clone())),
        often: b.add_text_field("often", TextOptions::default().set_indexing_options(positions)),
        kind: b.add_text_field("kind", plain("raw").set_fast("raw")),
        license: b.add_text_field("license", plain("raw").set_fast("raw")),
        keyword: b.add_text_field("keyword", plain("raw").set_fast("raw")),
        category: b.add_text_field("category", plain("raw").set_fast("raw")),
        downloads: b.add_u64_field("downloads", number.clone()),
        published: b.add_u64_field("published", number.clone()),
        order: b.add_u64_field("order", number),
        document: b.add_text_field("document", TextOptions::default().set_stored()),
    };
    (b.build(), fields)
}

pub(super) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    // What is indexed are stems already.
    manager.register("stems", WhitespaceTokenizer::default());
    manager
}

/// A finished bundle.
pub(crate) struct Built {
    pub(crate) cited: SearchBundle,
    pub(crate) bytes: Bytes,
}

/// Makes the bundle of these documents. `replaces` says which documents of earlier bundles do not count any more.
pub(crate) fn build(mut drafts: Drafts, reference: u32, mut replaces: Vec<Replaces>) -> Result<Built> {
    replaces.retain(|r| !r.gaps.is_empty());
    drafts.sort(reference);
    let all = drafts.all();
    let mut table = Table {
        block: 0,
        body: 0,
        documents: u32::try_from(all.len())
            .map_err(|_| Error::new(ErrorKind::Refused, "more packages than a search bundle holds"))?,
        files: Vec::new(),
        hot: Vec::new(),
        ranks: ranks(all, reference),
        reference,
        replaces,
        yanked: all.iter().map(|d| u32::from(d.yanked)).sum(),
    };
    let mut body = Vec::new();
    if !all.is_empty() {
        body = write_index(drafts, &mut table).map_err(failed)?;
    }
    (table.body, table.block) = (body.len() as u64, block_of(body.len() as u64));
    let body = Bytes::from(body);
    if table.body > WHOLE {
        table.hot = bundle::hot_ranges(&body, &table)?;
    }
    let (cited, bytes) = seal(body.into(), &table);
    Ok(Built { cited, bytes })
}

fn failed(e: tantivy::TantivyError) -> Error {
    Error::new(ErrorKind::Io, "the search index cannot be built").with_source(e)
}

/// How many documents have each standing, of those that are not yanked.
fn ranks(drafts: &[Draft], reference: u32) -> Vec<(u16, u32)> {
    let mut out: Vec<(u16, u32)> = Vec::new();
    for document in drafts.iter().take_while(|d| !d.yanked) {
        let standing = document.standing(reference);
        match out.last_mut() {
            Some((last, count)) if *last == standing => *count += 1,
            _ => out.push((standing, 1)),
        }
    }
    out
}

/// The files of an index of these documents, one behind another. One thread, one segment, documents in order: so tantivy
/// writes the same files each time, but for the segment's name.
fn write_index(drafts: Drafts, table: &mut Table) -> tantivy::Result<Vec<u8>> {
    let shelf = Shelf::default();
    let index = write_files(drafts, &shelf)?;
    let metas = index.searchable_segment_metas()?;
    let [meta] = &metas[..] else { return Err(invalid("more than one segment")) };
    let pinned = index.new_segment_meta(SegmentId::from_uuid_string(SEGMENT).map_err(invalid)?, table.documents);
    let mut about: serde_json::Value = serde_json::from_slice(&shelf.atomic_read(Path::new(META))?)?;
    if let Some(id) = about.pointer_mut("/segments/0/segment_id") {
        *id = SEGMENT.into();
    }
    shelf.atomic_write(Path::new(META), about.to_string().as_bytes())?;
    let named = |c: SegmentComponent| (meta.relative_path(c.clone()), pinned.relative_path(c));
    let others = [names::FILE, names::WORDS, META].map(|name| (name.into(), name.into()));
    let files = COMPONENTS.into_iter().map(named).chain(others);
    // Its length at once, and room for the tail: nothing here takes more memory, and growing would take twice as much.
    let size = usize::try_from(shelf.size()?).map_err(invalid)?;
    let mut body = Vec::with_capacity(size + size / 16);
    for (file, name) in files {
        let offset = body.len() as u64;
        if let Some(size) = shelf.take(&file, &mut body)? {
            table.files.push(File { name: name.to_string_lossy().into_owned(), offset, size });
        }
    }
    Ok(body)
}

fn write_files(mut drafts: Drafts, shelf: &Shelf) -> tantivy::Result<Index> {
    let (schema, fields) = schema();
    let settings = IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level: Some(3) }),
        docstore_compress_dedicated_thread: false,
        docstore_blocksize: STORE_BLOCK,
        ..IndexSettings::default()
    };
    let builder = Index::builder().schema(schema).settings(settings).tokenizers(tokenizers());
    let all = drafts.all();
    let mut writer = builder.single_segment_index_writer::<TantivyDocument>(shelf.clone(), budget(all.len()))?;
    let names = names::file(all.iter().map(|d| words::squashed(d.name())).zip(0..).collect());
    shelf.atomic_write(Path::new(names::FILE), &names)?;
    let orders = orders(all);
    let mut making = Making::new(fields, all);
    making.learn(&mut drafts)?;
    for (text, order) in drafts.texts()?.zip(orders) {
        writer.add_document(making.indexed(text?, order)?)?;
    }
    shelf.atomic_write(Path::new(names::WORDS), &names::file(making.words.into_iter().collect()))?;
    writer.finalize()
}

/// What tantivy keeps of the index as a whole.
const META: &str = "meta.json";

/// In the order in which they stand in a bundle: what a query reads together stands together.
const COMPONENTS: [SegmentComponent; 6] = [
    SegmentComponent::Store,
    SegmentComponent::Positions,
    SegmentComponent::Postings,
    SegmentComponent::Terms,
    SegmentComponent::FastFields,
    SegmentComponent::FieldNorms,
];

fn invalid(e: impl ToString) -> tantivy::TantivyError {
    tantivy::TantivyError::InternalError(e.to_string())
}

/// The place of each document in the order of names.
fn orders(drafts: &[Draft]) -> Vec<u64> {
    let mut by_name: Vec<u32> = (0..).take(drafts.len()).collect();
    by_name.sort_unstable_by_key(|at| drafts[*at as usize].by_name());
    let mut out = vec![0; drafts.len()];
    for (at, order) in by_name.into_iter().zip(0..) {
        out[at as usize] = order;
    }
    out
}

/// What is indexed of documents that come with the best first.
struct Making {
    fields: Fields,
    /// How many packages each list of names that begin alike holds by now.
    listed: HashMap<String, u32>,
    analyzer: TextAnalyzer,
    /// The stems that many documents have.
    often: HashSet<String>,
    /// The words of names, with the first document that has each.
    words: HashMap<String, u32>,
    /// How many documents there were.
    made: u32,
    /// Words that were reduced before: to do it anew would take longer than everything else here.
    stems: HashMap<String, String>,
}

impl Making {
    fn new(fields: Fields, drafts: &[Draft]) -> Self {
        let mut listed = HashMap::new();
        shared_beginnings(drafts, |prefix| {
            listed.insert(prefix.to_owned(), 0);
        });
        Self {
            fields,
            listed,
            analyzer: words::analyzer(),
            often: HashSet::new(),
            words: HashMap::new(),
            made: 0,
            stems: HashMap::new(),
        }
    }

    /// Finds out which words many documents have. An estimate does: readers look for a word in both dictionaries.
    fn learn(&mut self, drafts: &mut Drafts) -> tantivy::Result<()> {
        if drafts.all().len() < OFTEN_FROM {
            return Ok(());
        }
        let every = drafts.all().len().div_ceil(SAMPLE).max(4);
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut sampled = 0;
        for text in drafts.sample(every)? {
            let document: Document = serde_json::from_str(&text?)?;
            let words = texts(&document, words::of_name(document.name.as_str())).flatten();
            let stems: HashSet<String> = words.map(|word| self.stem(word)).collect();
            stems.into_iter().for_each(|stem| *counts.entry(stem).or_default() += 1);
            sampled += 1;
        }
        counts.retain(|_, count| *count * OFTEN >= sampled && *count * every >= OFTEN_FROM);
        self.often = counts.into_keys().collect();
        Ok(())
    }

    /// The stem of a word, in the memory of the word.
    fn stem(&mut self, mut word: String) -> String {
        if let Some(stem) = self.stems.get(&word) {
            word.replace_range(.., stem);
            return word;
        }
        let stem = words::stem(&mut self.analyzer, &word);
        if self.stems.len() >= STEMS {
            self.stems.clear();
        }
        self.stems.insert(word, stem.clone());
        stem
    }

    /// The words of a document, and where they stand. One that the name has stands there an even number of times, any other an
    /// odd number: where that is not so by itself, its first place is given twice. So one list of documents tells how often
    /// each has a word, to within one, and whether its name does.
    fn text(&mut self, d: &Document) -> Vec<Token> {
        let named = words::of_name(d.name.as_str());
        for word in &named {
            if !self.words.contains_key(word) {
                self.words.insert(word.clone(), self.made);
            }
        }
        let (mut tokens, mut position, mut of_name) = (Vec::new(), 0, 0);
        for (i, words) in texts(d, named).enumerate() {
            for text in words.into_iter().map(|w| self.stem(w)).filter(|stem| !stem.is_empty()) {
                tokens.push(Token { position, text, ..Token::default() });
                position += 1;
            }
            if i == 0 {
                of_name = tokens.len();
            }
            // What ends one text and what begins the next are no neighbours.
            position += 1;
        }
        let mut by_word: Vec<usize> = (0..tokens.len()).collect();
        by_word.sort_by(|a, b| tokens[*a].text.cmp(&tokens[*b].text));
        let mut again: Vec<usize> = by_word
            .chunk_by(|a, b| tokens[*a].text == tokens[*b].text)
            .filter(|places| (places.len() % 2 == 0) != (places[0] < of_name))
            .map(|places| places[0])
            .collect();
        again.sort_unstable();
        for place in again.into_iter().rev() {
            tokens.insert(place, tokens[place].clone());
        }
        tokens
    }

    fn indexed(&mut self, text: String, order: u64) -> tantivy::Result<TantivyDocument> {
        let d: Document = serde_json::from_str(&text)?;
        let f = self.fields;
        let mut out = TantivyDocument::new();
        let name = d.name.normalized();
        let forms: Vec<_> = forms(&name).collect();
        for form in &forms {
            out.add_text(f.name, form);
        }
        self.list(&forms, |prefix| out.add_text(f.name, format!("{prefix}{MARK}")));
        let (often, rare): (Vec<_>, Vec<_>) = self.text(&d).into_iter().partition(|t| self.often.contains(&t.text));
        for (field, tokens) in [(f.text, rare), (f.often, often)].into_iter().filter(|(_, tokens)| !tokens.is_empty()) {
            out.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
        }
        for (field, values) in [(f.keyword, &d.keywords), (f.category, &d.categories)] {
            values.iter().for_each(|value| out.add_text(field, words::exact(value)));
        }
        out.add_text(f.kind, d.kind.as_str());
        for license in d.license.iter().flat_map(|l| words::licenses(l)) {
            out.add_text(f.license, license);
        }
        out.add_u64(f.downloads, d.downloads);
        out.add_u64(f.published, u64::try_from(d.published.unix()).unwrap_or(0));
        out.add_u64(f.order, order);
        out.add_text(f.document, text);
        self.made += 1;
        Ok(out)
    }

    /// The lists that a package of that name is to stand in.
    fn list(&mut self, forms: &[Cow<'_, str>], mut add: impl FnMut(&str)) {
        for (i, form) in forms.iter().enumerate() {
            for prefix in beginnings(form) {
                // What is not shared, nothing longer is either.
                let Some(count) = self.listed.get_mut(prefix) else { break };
                if *count < LISTED && !forms[..i].iter().any(|f| f.starts_with(prefix)) {
                    *count += 1;
                    add(prefix);
                }
            }
        }
    }
}

/// The words of a document: those of its name, of its summary, and of each keyword and category.
fn texts(d: &Document, named: Vec<String>) -> impl Iterator<Item = Vec<String>> {
    let more = d.keywords.iter().chain(&d.categories).map(|value| words::of_text(value));
    [named, words::of_text(&d.summary)].into_iter().chain(more)
}

/// A normalised name, which is how names are compared, and if that is another text the same without separators.
fn forms(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let squashed = words::squashed(name);
    let other = (squashed != name).then_some(Cow::Owned(squashed));
    std::iter::once(Cow::Borrowed(name)).chain(other)
}

/// The beginnings of a name that may have a list, the shortest first.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.char_indices().map(|(i, _)| i).skip(1).chain([name.len()]);
    ends.take(LISTED_PREFIX).map(|end| &name[..end])
}

/// What more than [`LISTED_FROM`] names begin with.
fn shared_beginnings(drafts: &[Draft], mut each: impl FnMut(&str)) {
    let mut names: Vec<Cow<'_, str>> = drafts.iter().flat_map(|d| forms(d.name())).collect();
    names.sort_unstable();
    names.dedup();
    // The names that begin alike stand side by side: if more than so many do, the first and the last of that many do.
    let mut last = "";
    for window in names.windows(LISTED_FROM + 1) {
        let (first, behind) = (&*window[0], &*window[LISTED_FROM]);
        for prefix in beginnings(first).take_while(|p| behind.starts_with(p)) {
            if !last.starts_with(prefix) {
                each(prefix);
            }
        }
        last = first;
    }
}

/// That these documents of an earlier bundle do not count any more.
pub(crate) fn replaces(bundle: Sha256, documents: Vec<u32>) -> Replaces {
    Replaces::new(bundle, documents)
}
