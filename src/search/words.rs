//! From text to words: how names and summaries are cut up, the same for what is indexed and for what is asked.

use crate::package::words::{lower, parts};
use std::collections::HashSet;
use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, TokenStream, WhitespaceTokenizer};

/// Words that say nothing about a package.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "into", "is", "it", "its", "no", "not", "of",
    "on", "or", "s", "that", "the", "this", "to", "with", "you", "your",
];

/// How names are compared for an exact match: lower case, and `_` and space as good as `-`.
pub(super) fn exact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '_' | ' ' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// A name without anything that separates: `Tokio-Util` and `tokio_util` are both `tokioutil`.
pub(super) fn squashed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name: what stands between separators, and where that is written in camel case or goes from letters to
/// digits, its parts as well. In order, none twice.
pub(super) fn of_name(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |word: &str| {
        let word = lower(word);
        if !word.is_empty() && seen.insert(word.clone()) {
            out.push(word);
        }
    };
    for chunk in name.split(|c: char| !c.is_alphanumeric()) {
        add(chunk);
        let parts = parts(chunk);
        if parts.len() > 1 {
            parts.into_iter().for_each(&mut add);
        }
    }
    out
}

/// The words of a text, in order, without those that say nothing.
pub(super) fn of_text(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(|w| lower(w.trim_matches('\'')));
    words.filter(|w| !w.is_empty() && !is_stop(w)).collect()
}

pub(super) fn is_stop(word: &str) -> bool {
    STOP.binary_search(&word).is_ok()
}

/// Cuts at white space and reduces each word to its stem. Registered as `stemmed`.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(Stemmer::new(Language::English)).build()
}

/// The stem of one word.
pub(super) fn stem(analyzer: &mut TextAnalyzer, word: &str) -> String {
    let mut stream = analyzer.token_stream(word);
    let mut out = String::new();
    stream.process(&mut |token| out.push_str(&token.text));
    out
}

/// The identifiers in a licence expression: `MIT OR Apache-2.0` has two.
pub(super) fn licenses(expression: &str) -> impl Iterator<Item = String> + '_ {
    expression
        .split(|c: char| c.is_whitespace() || "()/,".contains(c))
        .filter(|w| !w.is_empty() && !["OR", "AND", "WITH"].contains(w))
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_their_words() {
        for (name, words) in [
            ("tokio-util", &["tokio", "util"][..]),
            ("Foo_Bar.baz", &["foo", "bar", "baz"]),
            ("parseXML2json", &["parsexml2json", "parse", "xml", "2", "json"]),
            ("HTTPServer", &["httpserver", "http", "server"]),
            ("a-a-A", &["a"]),
            ("--", &[]),
        ] {
            assert_eq!(of_name(name), words, "{name}");
        }
        assert_eq!(squashed("Tokio_Util 2"), "tokioutil2");
        assert_eq!(exact(" Tokio_Util 2"), "tokio-util-2");
    }

    #[test]
    fn texts_lose_what_says_nothing_and_words_their_endings() {
        assert!(STOP.is_sorted());
        assert_eq!(of_text("It's a Parser for the-web, as 'you' like"), ["it's", "parser", "web", "like"]);
        let mut a = analyzer();
        assert_eq!(stem(&mut a, "parsing"), stem(&mut a, "parse"));
        assert_eq!(stem(&mut a, "formatting"), stem(&mut a, "formats"));
        assert_eq!(of_text(&"é".repeat(100))[0].len(), 48);
        assert_eq!(licenses("(MIT OR Apache-2.0) AND ISC").collect::<Vec<_>>(), ["mit", "apache-2.0", "isc"]);
    }
}
