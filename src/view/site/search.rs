//! What the search in the page reads: shards of rows by the first letters of words. A row holds all that the browser shows and
//! weighs, so a shard is only where candidates come from: of a query of two words either one's shard finds the package.
//!
//! `n-re` has the packages of which a word of the name begins with `re`, `t-par` those of which a word of the text begins
//! with `par`; a shorter word is a shard by itself (`n-r`, `t-ai`). What a package puts where depends on it alone. A shard that is too
//! long for a browser is split into files by further letters, each with the best of its packages; `assets/search.js` reads them.

use super::{Facts, place::Entry};
use crate::package::words::{lower, parts};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Letters of a shard of names, and of one of texts.
const NAME_LETTERS: usize = 2;
const TEXT_LETTERS: usize = 3;
/// Words of one package.
const MAX_NAME_WORDS: usize = 12;
const MAX_TEXT_WORDS: usize = 32;

/// Words that say nothing about a package.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "for", "from", "in", "into", "is", "it", "its", "no",
    "not", "of", "on", "or", "s", "that", "the", "this", "to", "with", "you", "your",
];

/// The row of a package, and the shards that it stands in.
pub(super) fn row(label: &Arc<str>, package: &Facts) -> (Entry, BTreeSet<String>) {
    let tags = [package.keywords.join(" "), package.categories.join(" ")].join(" ");
    let row = json!([
        package.label,
        package.version,
        package.summary,
        tags.trim(),
        package.downloads.unwrap_or(0),
        u8::from(package.yanked),
    ]);
    let entry = Entry::found(label, &row.to_string()).unwrap_or_else(|| unreachable!("it is of the form that is read"));
    let (names, texts) = entry.words();
    let names = names.iter().map(|w| ["n-", &encoded(top(w, NAME_LETTERS))].concat());
    let texts = texts.iter().map(|w| ["t-", &encoded(top(w, TEXT_LETTERS))].concat());
    let shards = names.chain(texts).collect();
    (entry, shards)
}

/// The shards that there are, so that nobody asks for one that is not there.
pub(super) fn directory<'a>(shards: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (kind, prefix) in shards.filter_map(|s| s.split_once('-')) {
        kinds.entry(kind).or_default().insert(prefix);
    }
    json!(kinds).to_string().into_bytes()
}

/// So many letters decide on a shard of that kind.
pub(super) fn letters(kind: &str) -> usize {
    if kind == "n" { NAME_LETTERS } else { TEXT_LETTERS }
}

/// The beginning of a word that decides on its shard. Of a word that does not begin in ASCII one letter: such alphabets are large.
pub(super) fn top(word: &str, letters: usize) -> &str {
    let letters = if word.starts_with(|c: char| c.is_ascii()) { letters } else { 1 };
    word.char_indices().nth(letters).map_or(word, |(end, _)| &word[..end])
}

/// A prefix as it stands in keys: ASCII letters and digits, everything else by its number, between `_`.
pub(super) fn encoded(prefix: &str) -> String {
    let mut out = String::with_capacity(prefix.len());
    for c in prefix.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else {
            out += &format!("_{:x}_", u32::from(c));
        }
    }
    out
}

/// The prefix that stands in a key so.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for (i, piece) in text.split('_').enumerate() {
        if i % 2 == 0 {
            out.push_str(piece);
        } else {
            out.push(char::from_u32(u32::from_str_radix(piece, 16).ok()?)?);
        }
    }
    Some(out)
}

/// The words of a name: what stands between separators, the parts of camel case, and all of it without separators.
pub(super) fn name_words(name: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::from([squashed(name)]);
    for chunk in name.split(|c: char| !c.is_alphanumeric()) {
        // One letter of a name in camel case says nothing.
        let parts = parts(chunk).into_iter().filter(|p| p.len() > 1);
        for word in std::iter::once(chunk).chain(parts) {
            if out.len() < MAX_NAME_WORDS {
                out.insert(lower(word));
            }
        }
    }
    out.remove("");
    out
}

pub(super) fn squashed(name: &str) -> String {
    lower(&name.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
}

/// The words of keywords, categories and summary that are looked for.
pub(super) fn text_words(tags: &str, summary: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for word in [tags, summary].into_iter().flat_map(|t| t.split(|c: char| !c.is_alphanumeric())) {
        let word = lower(word);
        if out.len() < MAX_TEXT_WORDS && !word.is_empty() && STOP.binary_search(&word.as_str()).is_err() {
            out.insert(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(label: &str, summary: &str, downloads: u64) -> Facts {
        Facts {
            label: label.into(),
            version: "1.0.0".into(),
            summary: summary.into(),
            keywords: Vec::new(),
            categories: Vec::new(),
            downloads: Some(downloads),
            yanked: false,
        }
    }

    fn shards(package: &Facts) -> (Entry, Vec<String>) {
        let (entry, shards) = row(&"pack/it".into(), package);
        (entry, shards.into_iter().collect())
    }

    #[test]
    fn a_package_lies_where_its_words_begin() {
        let mut package = facts("Tokio_Util", "Codecs for the async I/O of tokio", 7);
        package.keywords = vec!["two words".into()];
        package.categories = vec!["asynchronous".into()];
        let (entry, shards) = shards(&package);
        // `async` and `asynchronous` share a shard; `for`, `the` and `of` say nothing.
        assert_eq!(shards, ["n-to", "n-ut", "t-asy", "t-cod", "t-i", "t-o", "t-tok", "t-two", "t-wor"]);
        let row = json!(["Tokio_Util", "1.0.0", "Codecs for the async I/O of tokio", "two words asynchronous", 7, 0]);
        assert_eq!(*entry.json, *row.to_string());
    }

    #[test]
    fn names_fall_into_words_humps_and_the_whole() {
        let words = |n: &str| name_words(n).into_iter().collect::<Vec<_>>();
        assert_eq!(words("tokio-util"), ["tokio", "tokioutil", "util"]);
        assert_eq!(words("parseXML2json"), ["json", "parse", "parsexml2json", "xml"]);
        assert_eq!(words("HTTPServer"), ["http", "httpserver", "server"]);
        assert_eq!(words("x"), ["x"]);
        assert_eq!(words(&"ab-".repeat(60))[1].len(), 48);
    }

    #[test]
    fn keys_are_ascii_whatever_the_words_are() {
        let (_, shards) = shards(&facts("a", "日本語の説明 Élan ça9_x ﬀ", 0));
        assert_eq!(shards, ["n-a", "t-_65e5_", "t-_e7_", "t-_e9_", "t-_fb00_", "t-x"]);
        for text in ["", "re", "日a本1", "é a0", "_", "a_e9_"] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        }
        assert_eq!((decoded("_zz_"), decoded("_110000_")), (None, None));
        // Which letter begins a number and which ends one is told apart.
        assert_ne!(encoded("éa"), encoded("\u{e9a}"));
    }

    #[test]
    fn the_directory_lists_the_shards_by_kind() {
        let bytes = directory(["t-par", "n-re", "n-a", "t-_65e5"].into_iter());
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"n":["a","re"],"t":["_65e5","par"]}"#);
        assert_eq!(directory(std::iter::empty()), b"{}");
        assert!(STOP.is_sorted());
    }
}
