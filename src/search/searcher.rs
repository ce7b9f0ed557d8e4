//! Asking several bundles as if they were one.

use super::{
    answers::{Answer, Best, answers},
    bundle::Reading,
    directory::{attempt, is_lacking},
    document::Document,
    find::{self, Asked, Set, Terms},
    query::{Condition, Named, Query},
    rank::{Score, Weights},
    remote::{self, Opened},
};
use crate::{
    Error, ErrorKind, Result,
    package::{Kind, PackageName, Timestamp, Version},
    store::Store,
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// The most answers that one request gives.
pub(crate) const MAX_LIMIT: usize = 10_000;

/// How many rounds of fetching a question may take before it is given up: it takes three, or five with a typo.
const ROUNDS: usize = 24;

/// How many values of a field are counted.
const FACETS: usize = 20;

/// The order of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SearchOrder {
    /// The best first.
    #[default]
    Relevance,
    /// The most downloaded first.
    Downloads,
    /// The newest release first.
    Recent,
    /// In the order of names.
    Name,
}

/// A question.
///
/// ```
/// use ggen_marketplace::SearchRequest;
/// let mut request = SearchRequest::new("http client");
/// request.limit = 5;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SearchRequest {
    /// Words, `"phrases"`, `field:value` and `-not`; at most 1024 bytes. Empty: everything.
    pub text: String,
    /// Only packages of this kind.
    pub kind: Option<Kind>,
    /// Only packages filed under this category.
    pub category: Option<String>,
    /// Only packages with this keyword.
    pub keyword: Option<String>,
    /// Only packages whose licence names this identifier.
    pub license: Option<String>,
    /// What comes first.
    pub order: SearchOrder,
    /// How many answers, at most 10,000.
    pub limit: usize,
    /// How many answers to pass over first; with `limit` at most a million.
    pub offset: usize,
    /// Count the answers by kind, category, keyword and licence.
    pub facets: bool,
    /// Say what each answer's score is made of.
    pub explain: bool,
}

impl SearchRequest {
    /// The best twenty answers to that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: None,
            category: None,
            keyword: None,
            license: None,
            order: SearchOrder::default(),
            limit: 20,
            offset: 0,
            facets: false,
            explain: false,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SearchHit {
    /// The package's kind.
    pub kind: Kind,
    /// Its name, as its author writes it.
    pub name: PackageName,
    /// The version to take when nobody says which.
    pub version: Version,
    /// What it is.
    pub summary: String,
    /// How often it was downloaded, as far as the registry was told; 0 if it was not.
    pub downloads: u64,
    /// When that version was published.
    pub published: Timestamp,
    /// Its licence.
    pub license: Option<String>,
    /// Its keywords.
    pub keywords: Vec<String>,
    /// Its categories.
    pub categories: Vec<String>,
    /// No release is left that is not yanked.
    pub yanked: bool,
    /// What it is ranked by.
    pub score: f32,
    /// What the score is made of, where that was asked for.
    pub explanation: Vec<(&'static str, f32)>,
}

/// How many answers have a value in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facet {
    /// `category`, `keyword`, `kind` or `license`.
    pub field: &'static str,
    /// The value, in the form in which it is compared.
    pub value: String,
    /// Answers that have it.
    pub count: u64,
}

/// A word of a question that no package has, and the word of a name that was searched for in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Correction {
    /// As it was asked.
    pub word: String,
    /// One mistake away from it.
    pub instead: String,
}

/// The answers to a question.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct SearchResults {
    /// How many there are in all.
    pub total: u64,
    /// Those that were asked for, in order.
    pub hits: Vec<SearchHit>,
    /// The twenty most frequent values of each field, the most frequent first, where that was asked for.
    pub facets: Vec<Facet>,
    /// Words that were taken for mistakes, where nothing answers the question as it was asked.
    pub corrected: Vec<Correction>,
}

/// The bundles of one snapshot, open.
pub(crate) struct Searching {
    readings: Vec<Arc<Opened>>,
    /// For each bundle, what later ones have replaced in it.
    dead: Vec<Option<Set>>,
    store: Store,
}

/// An answer, by its place: the order first, then the earlier bundle and document.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    key: f64,
    bundle: usize,
    document: u32,
    score: Score,
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let place = |p: &Self| (Reverse(p.bundle), Reverse(p.document));
        self.key.total_cmp(&other.key).then_with(|| place(self).cmp(&place(other)))
    }
}

/// What a query matches.
struct Gathered {
    best: Best<Place>,
    /// The answers of each bundle, where they are to be counted.
    counted: Vec<Vec<u32>>,
    total: u64,
}

/// A question, read and checked.
pub(crate) struct Answers<'a> {
    request: &'a SearchRequest,
    asked: Asked,
}

impl<'a> Answers<'a> {
    pub(crate) fn of(request: &'a SearchRequest) -> Result<Self> {
        let far = request.limit > MAX_LIMIT || request.offset.saturating_add(request.limit) > 1_000_000;
        if far {
            let what = format!("at most {MAX_LIMIT} answers at once, and a million in all");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let mut query = Query::parse(&request.text)?;
        let options = [
            (Named::Category, request.category.as_deref()),
            (Named::Keyword, request.keyword.as_deref()),
            (Named::License, request.license.as_deref()),
            (Named::Kind, request.kind.map(Kind::as_str)),
        ];
        for (named, value) in options {
            query.conditions.extend(value.map(|v| Condition::of(named, v, false)));
        }
        Ok(Self { asked: Asked::new(&query), request })
    }
}

impl Searching {
    pub(crate) fn new(readings: Vec<Arc<Opened>>, store: Store) -> Self {
        let dead = (0..readings.len()).map(|i| {
            let at = &readings[i].0;
            let mut set = None;
            let replaces = readings[i + 1..].iter().flat_map(|r| &r.0.tail().table.replaces);
            for replaces in replaces.filter(|r| r.bundle == at.cited.link.sha256) {
                let set = set.get_or_insert_with(|| Set::new(at.documents(), false));
                replaces.documents().for_each(|d| set.insert(d));
            }
            set
        });
        Self { dead: dead.collect(), readings, store }
    }

    /// Whether any bundle is held in parts.
    pub(crate) fn is_partial(&self) -> bool {
        self.readings.iter().any(|r| r.is_partial())
    }

    /// Answers a question. What is not at hand is fetched on the way.
    pub(crate) async fn answer(&self, question: &Answers<'_>) -> Result<SearchResults> {
        for _ in 0..ROUNDS {
            // The bytes are what the registry's key vouches for, and tantivy may still stumble over them: over a bundle of
            // another version, for one.
            let work = std::panic::AssertUnwindSafe(|| attempt(|| self.at_hand(question)));
            let answered = std::panic::catch_unwind(work).unwrap_or_else(|_| Err(stumbled()));
            match answered? {
                Ok(results) => return Ok(results),
                Err(lacking) => remote::fetch(&self.store, &self.readings, lacking).await?,
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the search index was read again and again without an end"))
    }

    fn at_hand(&self, question: &Answers<'_>) -> Result<SearchResults> {
        let Answers { request, asked } = question;
        let (mut found, frequencies) = self.find(asked, request)?;
        let mut corrected = Vec::new();
        if found.total == 0
            && !is_lacking()
            && let Some((other, words)) = self.corrected(asked, &frequencies)?
        {
            let (instead, _) = self.find(&other, request)?;
            if instead.total > 0 {
                (found, corrected) = (instead, words);
            }
        }
        if is_lacking() {
            return Ok(SearchResults::default());
        }
        let Gathered { best, counted, total } = found;
        Ok(SearchResults {
            total,
            hits: self.hits(best.into_sorted(), request)?,
            facets: self.facets(&counted)?,
            corrected,
        })
    }

    /// What the question as it stands finds, and how many documents have each of its words.
    fn find(&self, asked: &Asked, request: &SearchRequest) -> Result<(Gathered, Vec<u64>)> {
        let mut terms = Vec::with_capacity(self.readings.len());
        for reading in &self.readings {
            terms.push(Terms::look_up(&reading.0, asked)?);
        }
        let frequencies: Vec<u64> =
            (0..asked.stems.len()).map(|w| terms.iter().map(|t| t.frequency(w)).sum()).collect();
        let known = |(r, t): (&Arc<Opened>, &Terms)| t.has_names(&r.0);
        let mut mistakes = find::mistakes(asked, &frequencies);
        // While lists are on their way it is not known what they hold; only that a name stands nowhere can be certain.
        let doubt =
            if is_lacking() { !terms.iter().all(|t| t.unknown) } else { self.readings.iter().zip(&terms).any(known) };
        if doubt {
            mistakes = 0;
        }
        if is_lacking() && terms.iter().all(|t| t.placed) {
            // While lists are on their way, so may be what a word that nothing has is likely to be a mistake for.
            self.corrected(asked, &frequencies)?;
        }
        let documents = self.readings.iter().map(|r| u64::from(r.0.documents())).sum();
        let weights = Weights::new(documents, &frequencies);
        // One mistake where little was found, and two only where nothing was.
        for distance in 1..=mistakes {
            if distance > 1 && (is_lacking() || self.gather(&terms, &weights, asked, request)?.total > 0) {
                break;
            }
            for (reading, terms) in self.readings.iter().zip(&mut terms) {
                terms.add_typos(&reading.0, asked, distance)?;
            }
        }
        Ok((self.gather(&terms, &weights, asked, request)?, frequencies))
    }

    /// The question with words of names in place of those that no document has: of the words that are a mistake away the
    /// one whose package stands best. None where there is none.
    fn corrected(&self, asked: &Asked, frequencies: &[u64]) -> Result<Option<(Asked, Vec<Correction>)>> {
        let (mut other, mut corrected) = (asked.clone(), Vec::new());
        for (at, word) in asked.words.iter().enumerate() {
            if frequencies[at] > 0 || word.chars().count() < find::SHORTEST {
                continue;
            }
            let mut best: Option<(Reverse<u16>, String)> = None;
            for reading in &self.readings {
                for (near, document) in reading.0.near_words(word)? {
                    let here = (Reverse(reading.0.standing(document).steps), near);
                    if best.as_ref().is_none_or(|best| here < *best) {
                        best = Some(here);
                    }
                }
            }
            if let Some((_, instead)) = best {
                other.replace(at, &instead);
                corrected.push(Correction { word: word.clone(), instead });
            }
        }
        Ok(Some((other, corrected)).filter(|(_, corrected)| !corrected.is_empty() && !is_lacking()))
    }

    /// All answers in all bundles: the best of them, how many there are, and for counts which.
    fn gather(&self, terms: &[Terms], weights: &Weights, asked: &Asked, request: &SearchRequest) -> Result<Gathered> {
        let keep = request.offset + request.limit;
        let by_name = request.order == SearchOrder::Name;
        // In the order of names each bundle gives its best, which are then compared by their names.
        let mut best = Best::new(if by_name { keep * self.readings.len() } else { keep });
        let mut counted = vec![Vec::new(); if request.facets { self.readings.len() } else { 0 }];
        let mut total = 0;
        for (bundle, (reading, terms)) in self.readings.iter().zip(terms).enumerate() {
            let reading = &reading.0;
            let column = match order_column(reading, request.order) {
                Err(_) if is_lacking() => continue,
                column => column?,
            };
            let dead = self.dead[bundle].as_ref();
            let mut best_here = Best::new(if by_name { keep } else { 0 });
            answers(reading, terms, weights, asked.is_everything(), dead, |answer| {
                total += 1;
                let Answer { document, found, standing } = answer;
                if let Some(counted) = counted.get_mut(bundle) {
                    counted.push(*document);
                }
                let best = if by_name { &mut best_here } else { &mut best };
                let most = column.as_ref().map_or_else(|| found.most(*standing).into(), |column| column(*document));
                // Of two with the same key the earlier one is better, and that is there already.
                if best.least().is_some_and(|least: &Place| most <= least.key) {
                    return;
                }
                let score = found.score(*standing);
                let key = column.as_ref().map_or_else(|| score.total().into(), |column| column(*document));
                best.add(Place { key, bundle, document: *document, score });
            })?;
            best_here.into_sorted().into_iter().for_each(|p| best.add(p));
        }
        Ok(Gathered { best, counted, total })
    }

    fn hits(&self, places: Vec<Place>, request: &SearchRequest) -> Result<Vec<SearchHit>> {
        let by_name = request.order == SearchOrder::Name && self.readings.len() > 1;
        let wanted = if by_name { 0 } else { request.offset };
        let mut out = Vec::new();
        for place in places.into_iter().skip(wanted) {
            match self.readings[place.bundle].0.shown(place.document) {
                Ok(document) => out.push((document, place.score)),
                Err(_) if is_lacking() => {}
                Err(e) => return Err(e),
            }
        }
        if by_name {
            out.sort_by_cached_key(|(d, _)| (d.name.normalized(), d.kind.as_str()));
            out.drain(..request.offset.min(out.len()));
            out.truncate(request.limit);
        }
        Ok(out.into_iter().map(|(document, score)| hit(&document, &score, request.explain)).collect())
    }

    fn facets(&self, counted: &[Vec<u32>]) -> Result<Vec<Facet>> {
        let mut out = Vec::new();
        for field in ["category", "keyword", "kind", "license"].into_iter().filter(|_| !counted.is_empty()) {
            let mut counts = std::collections::BTreeMap::<String, u64>::new();
            for (reading, documents) in self.readings.iter().zip(counted) {
                match count_values(&reading.0, field, documents) {
                    Ok(values) => values.into_iter().for_each(|(v, n)| *counts.entry(v).or_default() += n),
                    Err(_) if is_lacking() => {}
                    Err(e) => return Err(e),
                }
            }
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_by_key(|(_, n)| Reverse(*n));
            counts.truncate(FACETS);
            out.extend(counts.into_iter().map(|(value, count)| Facet { field, value, count }));
        }
        Ok(out)
    }
}

fn stumbled() -> Error {
    Error::new(ErrorKind::Unsupported, "the search index holds what this program cannot read")
        .with_hint("upgrade ggen-market")
}

/// By what a document is ordered where it is not the score: more comes first.
type Column = Box<dyn Fn(u32) -> f64>;

fn order_column(reading: &Reading, order: SearchOrder) -> Result<Option<Column>> {
    let name = match order {
        SearchOrder::Relevance => return Ok(None),
        SearchOrder::Downloads => "downloads",
        SearchOrder::Recent => "published",
        SearchOrder::Name => "order",
    };
    let Some(reader) = reading.reader() else { return Ok(None) };
    let column = reader.fast_fields().u64(name).map_err(|e| reading.failed(e))?.first_or_default_col(0);
    let sign = if order == SearchOrder::Name { -1.0 } else { 1.0 };
    Ok(Some(Box::new(move |document| sign * column.get_val(document) as f64)))
}

/// The values that a document can have in one field are fewer.
const VALUES: u32 = 1024;

/// How many of these documents have each value of a field.
fn count_values(reading: &Reading, field: &str, documents: &[u32]) -> Result<Vec<(String, u64)>> {
    let Some(reader) = reading.reader() else { return Ok(Vec::new()) };
    let Some(column) = reader.fast_fields().str(field).map_err(|e| reading.failed(e))? else { return Ok(Vec::new()) };
    // By value, not in a table as long as the column says that it is: of a bundle that is none it may say anything.
    let mut counts = HashMap::<u64, u64>::new();
    for document in documents {
        for (value, number) in column.term_ords(*document).zip(0..) {
            if number >= VALUES {
                return Err(reading.failed(format!("document {document} has no end of values")));
            }
            *counts.entry(value).or_default() += 1;
        }
    }
    let mut out = Vec::with_capacity(counts.len());
    for (value, count) in counts {
        let mut text = String::new();
        column.ord_to_str(value, &mut text).map_err(|e| reading.failed(e))?;
        out.push((text, count));
    }
    Ok(out)
}

fn hit(d: &Document, score: &Score, explain: bool) -> SearchHit {
    SearchHit {
        kind: d.kind,
        name: d.name.clone(),
        version: d.version.clone(),
        summary: d.summary.clone(),
        downloads: d.downloads,
        published: d.published,
        license: d.license.clone(),
        keywords: d.keywords.clone(),
        categories: d.categories.clone(),
        yanked: d.yanked,
        score: score.total(),
        explanation: if explain { score.parts() } else { Vec::new() },
    }
}
