//! What people type: words, `"phrases"`, `field:value` and `-not`.

use super::words;
use crate::{Error, ErrorKind, Result, package::Kind};

/// The longest query, in bytes.
pub(super) const MAX_QUERY: usize = 1024;

/// How many words, phrases and fields a query may have.
pub(super) const MAX_ITEMS: usize = 32;

/// A field that a query can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Named {
    Kind,
    License,
    Keyword,
    Category,
    Name,
}

const NAMED: [(&str, Named); 5] = [
    ("category", Named::Category),
    ("keyword", Named::Keyword),
    ("kind", Named::Kind),
    ("license", Named::License),
    ("name", Named::Name),
];

/// A condition that every answer meets, or none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Condition {
    pub(super) what: Wanted,
    pub(super) not: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// These words, one behind another.
    Phrase(Vec<String>),
    Field(Named, String),
    /// One word, anywhere (only as a `-not`).
    Word(String),
}

/// A query, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Query {
    /// What is searched for, in order: no words means everything.
    pub(super) words: Vec<String>,
    /// The words as a name might be written, where the query is nothing but words.
    pub(super) name: Option<String>,
    pub(super) conditions: Vec<Condition>,
}

/// An error that points at a place in the query.
fn wrong(text: &str, at: usize, what: impl std::fmt::Display, hint: &str) -> Error {
    let column = text[..at].chars().count() + 1;
    let from = text[..at].char_indices().rev().nth(20).map_or(0, |(i, _)| i);
    let to = text[at..].char_indices().nth(20).map_or(text.len(), |(i, _)| at + i);
    let before: String = text[from..at].chars().filter(|c| !c.is_control()).collect();
    let after: String = text[at..to].chars().filter(|c| !c.is_control()).collect();
    Error::new(ErrorKind::Invalid, format!("the query cannot be read at column {column}: {what}"))
        .with_source(format!("{before}»{after}«"))
        .with_hint(hint.to_owned())
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_QUERY {
            let what = format!("a query has at most {MAX_QUERY} bytes; this one has {}", text.len());
            return Err(Error::new(ErrorKind::Invalid, what).with_hint("a few words find more than many"));
        }
        let mut out = Self::default();
        let mut plain = true;
        let mut at = 0;
        let mut items = 0;
        while let Some(begin) = text[at..].find(|c: char| !c.is_whitespace()).map(|i| at + i) {
            items += 1;
            if items > MAX_ITEMS {
                return Err(wrong(
                    text,
                    begin,
                    format!("more than {MAX_ITEMS} words"),
                    "a few words find more than many",
                ));
            }
            let (end, was_word) = out.item(text, begin)?;
            plain &= was_word;
            at = end;
        }
        let name: String = text.trim().trim_end_matches('*').chars().take(128).collect();
        out.name = Some(name).filter(|n| plain && !words::squashed(n).is_empty());
        if out.words.iter().any(|w| !words::is_stop(w)) {
            out.words.retain(|w| !words::is_stop(w));
        }
        let mut seen = std::collections::HashSet::new();
        out.words.retain(|w| seen.insert(w.clone()));
        out.words.truncate(MAX_ITEMS);
        Ok(out)
    }

    /// Reads what begins at `begin`: where it ends, and whether it was a plain word.
    fn item(&mut self, text: &str, begin: usize) -> Result<(usize, bool)> {
        let not = text[begin..].starts_with('-');
        let at = begin + usize::from(not);
        let rest = &text[at..];
        if not && (rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            return Err(wrong(text, begin, "nothing behind the `-`", "`-word` leaves out what has that word"));
        }
        if rest.starts_with('"') {
            let (phrase, end) = quoted(text, at)?;
            self.phrase(phrase, not);
            return Ok((end, false));
        }
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = &rest[..length];
        if let Some((field, value)) = word.split_once(':')
            && !value.starts_with([':', '/'])
            && !field.is_empty()
            && field.chars().all(|c| c.is_ascii_alphabetic())
        {
            return self.field(text, at, field, not).map(|end| (end, false));
        }
        self.word(text, at, word, not)?;
        Ok((at + length, !not))
    }

    fn word(&mut self, text: &str, at: usize, word: &str, not: bool) -> Result<()> {
        if let Some(star) = word.find('*')
            && star + 1 < word.len()
            && !word[star..].chars().all(|c| c == '*')
        {
            let hint = "`tok*` finds names that begin so; a name is also found by the words in it";
            return Err(wrong(text, at + star, "a `*` can only stand at the end of a word", hint));
        }
        // A name is cut as names are, so that `tokio-util` finds what `tokio util` finds.
        let parts = words::of_name(word);
        if not {
            self.without(word, parts);
        } else {
            self.words.extend(parts);
        }
        Ok(())
    }

    /// Without what has all of these parts, one behind another: `-actix-web` takes away neither `actix` nor `web`.
    fn without(&mut self, word: &str, parts: Vec<String>) {
        let in_order = words::of_text(word);
        let what = match in_order.len() {
            0 => parts.into_iter().next().map(Wanted::Word),
            1 => in_order.into_iter().next().map(Wanted::Word),
            _ => Some(Wanted::Phrase(in_order)),
        };
        self.conditions.extend(what.map(|what| Condition { what, not: true }));
    }

    fn phrase(&mut self, phrase: &str, not: bool) {
        let parts = words::of_text(phrase);
        if parts.is_empty() {
            return;
        }
        if !not {
            self.words.extend(parts.iter().cloned());
        }
        self.conditions.push(Condition { what: Wanted::Phrase(parts), not });
    }

    /// `field:value` or `field:"value"`: where it ends.
    fn field(&mut self, text: &str, at: usize, field: &str, not: bool) -> Result<usize> {
        let known = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, named)| *named);
        let Some(named) = known else {
            let names: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
            return Err(wrong(
                text,
                at,
                format!("there is no field {field:?}"),
                &format!("there are {}", names.join(", ")),
            ));
        };
        let from = at + field.len() + 1;
        let (value, end) = if text[from..].starts_with('"') {
            quoted(text, from)?
        } else {
            let length = text[from..].find(char::is_whitespace).unwrap_or(text.len() - from);
            (&text[from..from + length], from + length)
        };
        if value.trim().is_empty() {
            return Err(wrong(
                text,
                from,
                format!("no value for {field:?}"),
                "`license:MIT` finds what is under that licence",
            ));
        }
        if named == Named::Kind && value.parse::<Kind>().is_err() {
            let kinds = Kind::ALL.map(Kind::as_str).join(" or ");
            return Err(wrong(text, from, format!("there is no kind {value:?}"), &format!("a kind is {kinds}")));
        }
        self.conditions.push(Condition::of(named, value, not));
        Ok(end)
    }
}

impl Condition {
    pub(super) fn of(named: Named, value: &str, not: bool) -> Self {
        let value = match named {
            Named::Kind | Named::License => value.trim().to_lowercase(),
            Named::Keyword | Named::Category | Named::Name => words::exact(value),
        };
        Self { what: Wanted::Field(named, value), not }
    }
}

/// The text in quotes that begins at `at`, and where it ends.
fn quoted(text: &str, at: usize) -> Result<(&str, usize)> {
    match text[at + 1..].find('"') {
        Some(length) => Ok((&text[at + 1..at + 1 + length], at + length + 2)),
        None => Err(wrong(text, at, "this quotation mark is not closed", "put a second one where the phrase ends")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words_of(text: &str) -> Vec<String> {
        Query::parse(text).unwrap().words
    }

    #[test]
    fn words_phrases_fields_and_negations_are_read() {
        assert_eq!(words_of("HTTP client"), ["http", "client"]);
        assert_eq!(words_of("a client for the web"), ["client", "web"]);
        assert_eq!(words_of("the"), ["the"]);
        assert_eq!(words_of("tokio-util"), ["tokio", "util"]);
        assert_eq!(words_of("std::io http://x"), ["std", "io", "http", "x"]);
        assert_eq!(words_of(" * ** "), [""; 0]);
        let q = Query::parse("\"http client\" -\"old thing\" license:MIT -keyword:\"My_Key\" -slow kind:pack").unwrap();
        assert_eq!(q.words, ["http", "client"]);
        assert_eq!(q.name, None);
        let field = |named, value: &str, not| Condition { what: Wanted::Field(named, value.into()), not };
        let phrase = |a: &str, b: &str, not| Condition { what: Wanted::Phrase(vec![a.into(), b.into()]), not };
        let slow = Condition { what: Wanted::Word("slow".into()), not: true };
        let expected = [
            phrase("http", "client", false),
            phrase("old", "thing", true),
            field(Named::License, "mit", false),
            field(Named::Keyword, "my-key", true),
            slow,
            field(Named::Kind, "pack", false),
        ];
        assert_eq!(q.conditions, expected);
        assert_eq!(Query::parse("Tokio_Util*").unwrap().name.unwrap(), "Tokio_Util");
        let without = |text| Query::parse(text).unwrap().conditions;
        let word = |w: &str| [Condition { what: Wanted::Word(w.into()), not: true }];
        assert_eq!(without("a -actix-Web"), [phrase("actix", "web", true)]);
        assert_eq!(without("-http2"), word("http2"));
        assert_eq!(without("-the-end"), word("end"));
        assert_eq!(without("-the"), word("the"));
        assert_eq!(without("web -*"), []);
    }

    #[test]
    fn a_bad_query_is_told_with_the_place() {
        for (text, column, what) in [
            ("a \"b c", 3, "not closed"),
            ("x colour:red", 3, "no field \"colour\""),
            ("é license:", 11, "no value"),
            ("web - x", 5, "nothing behind"),
            ("kind:gem", 6, "no kind \"gem\""),
            ("a*b", 2, "end of a word"),
            ("*x", 1, "end of a word"),
            (&"w ".repeat(33), 65, "more than 32 words"),
        ] {
            let e = Query::parse(text).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid);
            assert!(e.to_string().contains(&format!("column {column}: ")), "{text}: {e}");
            assert!(e.to_string().contains(what), "{text}: {e}");
            assert!(e.hint().is_some(), "{text}");
        }
        let e = Query::parse(&"a".repeat(1 << 20)).unwrap_err();
        assert!(e.to_string().contains("1048576"), "{e}");
    }

    proptest! {
        #[test]
        fn no_query_makes_the_parser_panic(text in "[-\"a-z:* é\u{0}]{0,60}|\\PC{0,60}") {
            if let Ok(query) = Query::parse(&text) {
                prop_assert!(query.words.len() <= MAX_ITEMS);
            }
        }
    }
}
