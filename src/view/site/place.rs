//! Rows of groups that may become long, and where in such a group a row lies.
//!
//! A row lies under one or several **paths**: the words that a package is found by, the name by which it stands in a list, the digest
//! of who depends on something. `parts.rs` cuts a group up by the beginnings of its paths.

use super::{file, search};
use crate::{format::keys, package::Sha256, view::File};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Ends the word in a path; what comes after it is of the digest of the package, so that paths differ also where words do
/// not. No word and no name holds it, and it comes before all that they hold.
pub(super) const END: char = ' ';

/// So many hexadecimal digits of the digest are in a path: nobody can make some hundred packages that agree in all of them.
const DIGITS: usize = 8;

/// How large parts are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A part with more entries is cut up.
    pub(super) whole: usize,
    /// The same of a part that no browser reads.
    pub(super) inside: usize,
    /// What stands in the place of a part that was cut up: so many of its best rows,
    pub(super) best: usize,
    /// and so many of those that are more to the point.
    pub(super) pointed: usize,
}

/// So many packages stand on a page of a list.
pub(super) const LISTED: usize = 100;
/// What a browser reads at once: what was cut up has together no more rows than what was not.
const FOUND: Limits = Limits { whole: 100, inside: 512, best: 60, pointed: 40 };
const LIST: Limits = Limits { whole: LISTED, inside: LISTED, best: LISTED, pointed: 0 };
/// The page of a package names the first of those that depend on it.
const DEPENDENTS: Limits = Limits { whole: 512, inside: 512, best: 50, pointed: 0 };

/// A row, by what puts it there.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) label: Arc<str>,
    /// The row itself, as JSON.
    pub(super) json: Box<str>,
    yanked: bool,
    downloads: u64,
    /// How long its name is; of those that stand equally well, the shorter comes first.
    length: usize,
    digest: String,
    names: BTreeSet<String>,
    texts: BTreeSet<String>,
    /// Its name without separators.
    whole: String,
}

/// The best first: what can still be chosen, then what is downloaded most, then shorter names.
pub(super) type Rank<'a> = (bool, Reverse<u64>, usize, &'a str);

impl Entry {
    fn new(label: &Arc<str>, json: &str) -> Self {
        Self {
            digest: hex::encode(&Sha256::of(label.as_bytes()).0[..DIGITS / 2]),
            label: Arc::clone(label),
            json: json.into(),
            yanked: false,
            downloads: 0,
            length: 0,
            names: BTreeSet::new(),
            texts: BTreeSet::new(),
            whole: String::new(),
        }
    }

    /// The row of a package in a shard of the search.
    pub(super) fn found(label: &Arc<str>, json: &str) -> Option<Self> {
        type Row<'a> = (String, &'a RawValue, String, String, u64, u8);
        let (name, _, summary, tags, downloads, yanked): Row<'_> = serde_json::from_str(json).ok()?;
        Some(Self {
            yanked: yanked != 0,
            downloads,
            length: label.len(),
            names: search::name_words(&name),
            texts: search::text_words(&tags, &summary),
            whole: search::squashed(&name),
            ..Self::new(label, json)
        })
    }

    /// The row of a package in a list.
    pub(super) fn in_list(label: &Arc<str>, json: &str, (yanked, downloads): (bool, Option<u64>)) -> Self {
        Self { yanked, downloads: downloads.unwrap_or(0), length: label.len(), ..Self::new(label, json) }
    }

    /// The same, of what is stored.
    pub(super) fn listed(label: &Arc<str>, json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Standing {
            #[serde(default)]
            downloads: Option<u64>,
            #[serde(default)]
            yanked: bool,
        }
        let Standing { downloads, yanked } = serde_json::from_str(json).ok()?;
        Some(Self::in_list(label, json, (yanked, downloads)))
    }

    /// The row of a package that depends on another one; the row is its name.
    pub(super) fn of_dependent(label: &Arc<str>, json: &str) -> Self {
        Self::new(label, json)
    }

    /// The same, of what is stored.
    pub(super) fn dependent(label: &Arc<str>, json: &str) -> Option<Self> {
        serde_json::from_str::<Cow<'_, str>>(json).ok()?;
        Some(Self::of_dependent(label, json))
    }

    pub(super) fn rank(&self) -> Rank<'_> {
        (self.yanked, Reverse(self.downloads), self.length, &self.label)
    }

    /// The words of the shards that it is found in: of its name, and of its text.
    pub(super) fn words(&self) -> (&BTreeSet<String>, &BTreeSet<String>) {
        (&self.names, &self.texts)
    }
}

impl PartialEq for Entry {
    /// All else follows from these.
    fn eq(&self, other: &Self) -> bool {
        self.label == other.label && self.json == other.json
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Packages of which a word of the name begins so.
    Names,
    /// Those of which a word of the text does.
    Texts,
    /// Those of a category or a keyword, by their names.
    Lists,
    /// Those that depend on one.
    Dependents,
}

/// How a group is laid out.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    group: String,
    sort: Sort,
    /// What all paths of the group begin with.
    pub(crate) top: String,
    pub(super) limits: Limits,
}

impl Layout {
    /// `None` for a group that is kept as a whole.
    pub(crate) fn of(group: &str) -> Option<Self> {
        let (sort, top, limits) = match group.split_once('/')? {
            ("s", shard) => {
                let (kind, prefix) = shard.split_once('-')?;
                (if kind == "n" { Sort::Names } else { Sort::Texts }, search::decoded(prefix)?, FOUND)
            }
            ("c" | "k", _) => (Sort::Lists, String::new(), LIST),
            ("d", _) => (Sort::Dependents, String::new(), DEPENDENTS),
            _ => return None,
        };
        Some(Self { group: group.to_owned(), sort, top, limits })
    }

    /// So many entries may a part of that prefix have, and not be cut up.
    pub(super) fn most(&self, prefix: &str) -> usize {
        if self.is_inside(prefix) { self.limits.inside } else { self.limits.whole }
    }

    /// Whether no browser reads that part.
    pub(super) fn is_inside(&self, prefix: &str) -> bool {
        self.sort == Sort::Dependents || self.is_found() && prefix.contains(END)
    }

    /// Whether rows below that prefix cannot be told apart any further.
    pub(super) fn is_last(&self, prefix: &str) -> bool {
        let digits = match (self.sort, prefix.split_once(END)) {
            (Sort::Dependents, _) => prefix,
            (_, Some((_, digits))) => digits,
            (_, None) => "",
        };
        digits.len() >= DIGITS
    }

    /// Whether a row is more to the point for those who have typed just this: it has the word, or even (then false, which comes
    /// first) it is what the package is called. A name that was typed to its end is found, however unknown it is.
    pub(super) fn points(&self, prefix: &str, entry: &Entry) -> Option<bool> {
        let words = match self.sort {
            Sort::Names => &entry.names,
            Sort::Texts => &entry.texts,
            Sort::Lists | Sort::Dependents => return None,
        };
        match prefix.split_once(END) {
            // All of these have the word.
            Some((word, _)) => (entry.whole == word).then_some(false),
            None => words.contains(prefix).then(|| entry.whole != prefix),
        }
    }

    /// Where a row lies in this group.
    pub(super) fn paths(&self, entry: &Entry) -> Vec<String> {
        let path = |word: &str| format!("{word}{END}{}", entry.digest);
        let words = match self.sort {
            Sort::Names => &entry.names,
            Sort::Texts => &entry.texts,
            Sort::Lists => {
                let name = entry.label.split_once('/').map_or(&*entry.label, |(_, name)| name);
                return vec![path(name)];
            }
            Sort::Dependents => return vec![entry.digest.clone()],
        };
        // A word that is shorter than the beginnings of shards is a shard by itself.
        let letters = search::letters(if self.sort == Sort::Names { "n" } else { "t" });
        words.iter().filter(|w| search::top(w, letters) == self.top).map(|w| path(w)).collect()
    }

    /// Where a part is stored.
    pub(crate) fn key(&self, prefix: &str) -> String {
        let part = search::encoded(prefix);
        match self.group.split_once('/') {
            Some(("s", shard)) => {
                let kind = shard.split('-').next().unwrap_or_default();
                keys::site::shard(kind, &part)
            }
            _ if prefix == self.top => keys::site::state(&self.group),
            _ => keys::site::part(&self.group, &part),
        }
    }

    fn entry(&self, label: &Arc<str>, json: &str) -> Option<Entry> {
        match self.sort {
            Sort::Names | Sort::Texts => Entry::found(label, json),
            Sort::Lists => Entry::listed(label, json),
            Sort::Dependents => Entry::dependent(label, json),
        }
    }

    fn is_found(&self) -> bool {
        matches!(self.sort, Sort::Names | Sort::Texts)
    }
}

/// A part of a group: all rows whose paths begin alike; where these are too many, the best of them, and what leads to the others.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Part {
    pub(super) rows: BTreeMap<Arc<str>, Arc<Entry>>,
    /// The parts below it, by their prefixes, and how many entries they have. Empty: these are all rows.
    pub(super) below: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Stored<'a, R> {
    #[serde(default, borrow)]
    further: BTreeMap<Cow<'a, str>, u64>,
    rows: R,
}

impl Part {
    pub(super) fn is_whole(&self) -> bool {
        self.below.is_empty()
    }

    /// Its rows, the best first.
    pub(super) fn best_first(&self) -> Vec<&Arc<Entry>> {
        let mut rows: Vec<_> = self.rows.values().collect();
        rows.sort_unstable_by_key(|e| e.rank());
        rows
    }

    /// `None` where it is none.
    pub(crate) fn read(layout: &Layout, bytes: &[u8]) -> Option<Self> {
        let mut rows = BTreeMap::new();
        let mut add = |label: &str, json: &str| {
            let label = Arc::from(label);
            let entry = layout.entry(&label, json)?;
            rows.insert(label, Arc::new(entry));
            Some(())
        };
        let further = if layout.is_found() {
            // A row begins with its label, so that a browser reads one list.
            let stored: Stored<'_, Vec<&RawValue>> = serde_json::from_slice(bytes).ok()?;
            for row in stored.rows {
                let (label, rest) = row.get().strip_prefix("[\"")?.split_once("\",")?;
                add(label, &format!("[{rest}"))?;
            }
            stored.further
        } else {
            let stored: Stored<'_, BTreeMap<Cow<'_, str>, &RawValue>> = serde_json::from_slice(bytes).ok()?;
            for (label, row) in stored.rows {
                add(&label, row.get())?;
            }
            stored.further
        };
        Some(Self { rows, below: further.into_iter().map(|(k, v)| (k.into_owned(), v)).collect() })
    }

    /// How it is stored.
    pub(crate) fn write(&self, layout: &Layout, prefix: &str) -> File {
        let size: usize = self.rows.iter().map(|(k, e)| k.len() + e.json.len() + 8).sum();
        let mut text = String::with_capacity(size + 40 * self.below.len() + 32);
        text.push('{');
        if !self.is_whole() {
            // A map of texts and numbers: this cannot fail.
            text += &format!("\"further\":{},", serde_json::to_string(&self.below).unwrap_or_default());
        }
        let mut between = "";
        // Labels hold nothing that JSON would escape.
        if layout.is_found() {
            text += "\"rows\":[";
            for entry in self.best_first() {
                let rest = entry.json.strip_prefix('[').unwrap_or_default();
                for piece in [between, "[\"", &entry.label, "\",", rest] {
                    text.push_str(piece);
                }
                between = ",";
            }
            text += "]}\n";
        } else {
            text += "\"rows\":{";
            for (label, entry) in &self.rows {
                for piece in [between, "\"", label, "\":", &entry.json] {
                    text.push_str(piece);
                }
                between = ",";
            }
            text += "}}\n";
        }
        file(layout.key(prefix), text)
    }
}
