//! What the search in the page reads: shards of rows by the first letters of words. A row holds all that the browser shows and
//! weighs, so a shard is only where candidates come from: of a query of two words either one's shard finds the package.
//!
//! `n-re` has the packages of which a word of the name begins with `re`, `t-par` those of which a word of the text begins
//! with `par`; a shorter word is a shard by itself (`n-r`, `t-ai`). What a package puts where depends on it alone. A shard that is too
//! long for a browser is split into files by further letters, each with the best of its packages; `assets/search.js` reads them.

use super::Facts;
use crate::package::words::{lower, parts};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Letters of a shard of names, and of one of texts.
const NAME_LETTERS: usize = 2;
const TEXT_LETTERS: usize = 3;
/// A file with more packages is split.
const WHOLE: usize = 100;
/// What a file that is split keeps: the best, for those who have typed no further.
const BEST: usize = 60;
/// Words of one package.
const MAX_NAME_WORDS: usize = 12;
const MAX_TEXT_WORDS: usize = 32;

/// Words that say nothing about a package.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "for", "from", "in", "into", "is", "it", "its", "no",
    "not", "of", "on", "or", "s", "that", "the", "this", "to", "with", "you", "your",
];

/// The rows of a package: shard and row.
pub(super) fn rows(package: &Facts) -> BTreeMap<String, Value> {
    let tags = [package.keywords.join(" "), package.categories.join(" ")].join(" ");
    let row = json!([
        package.label,
        package.version,
        package.summary,
        tags.trim(),
        package.downloads.unwrap_or(0),
        u8::from(package.yanked),
    ]);
    let names = name_words(&package.label);
    let texts = text_words(&tags, &package.summary);
    let names = names.iter().map(|w| format!("n-{}", encoded(top(w, NAME_LETTERS))));
    let texts = texts.iter().map(|w| format!("t-{}", encoded(top(w, TEXT_LETTERS))));
    names.chain(texts).map(|shard| (shard, row.clone())).collect()
}

/// The files of a shard. What it is split into follows from its rows.
pub(super) fn render(shard: &str, rows: &BTreeMap<String, Value>) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let Some((kind, _)) = shard.split_once('-').filter(|_| !rows.is_empty()) else { return files };
    let mut entries: Vec<Entry<'_>> = rows.iter().filter_map(|(key, row)| Entry::new(key, row, shard)).collect();
    entries.sort_by(|a, b| a.order().cmp(&b.order()));
    let Some(prefix) = entries.iter().flat_map(|e| &e.words).next() else { return files };
    let prefix = top(prefix, letters(kind)).to_owned();
    let mut parts = BTreeMap::new();
    split(&prefix, &entries.iter().collect::<Vec<_>>(), usize::MAX, &mut parts);
    let further: Vec<&str> = parts.keys().filter(|p| **p != prefix).map(String::as_str).collect();
    for (part, entries) in &parts {
        let rows = entries.iter().map(|e| e.row()).collect();
        let further = if *part == prefix { further.clone() } else { Vec::new() };
        files.insert(format!("search/{kind}-{}.json", encoded(part)), File { rows, further }.bytes());
    }
    files
}

/// The shards that there are, so that nobody asks for one that is not there.
pub(super) fn directory<'a>(shards: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (kind, prefix) in shards.filter_map(|s| s.split_once('-')) {
        kinds.entry(kind).or_default().insert(prefix);
    }
    json!(kinds).to_string().into_bytes()
}

/// A file as the browser reads it.
#[derive(Serialize)]
struct File<'a> {
    /// The packages, the best first: `["crate/serde-json", label, version, summary, keywords, downloads, yanked]`.
    rows: Vec<Vec<&'a Value>>,
    /// The longer prefixes that have a file of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    further: Vec<&'a str>,
}

impl File<'_> {
    fn bytes(&self) -> Vec<u8> {
        // Maps with text as keys, and lists: nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A package in a shard.
struct Entry<'a> {
    key: Value,
    row: &'a [Value],
    /// The words for which it is in this shard.
    words: BTreeSet<String>,
    /// Its name without separators.
    whole: String,
    yanked: bool,
    downloads: u64,
}

impl<'a> Entry<'a> {
    fn new(key: &str, row: &'a Value, shard: &str) -> Option<Self> {
        let row = row.as_array()?;
        let [label, _, summary, tags, downloads, yanked] = row.as_slice() else { return None };
        let (kind, wanted) = shard.split_once('-')?;
        let words = match kind {
            "n" => name_words(label.as_str()?),
            _ => text_words(tags.as_str()?, summary.as_str()?),
        };
        let words: BTreeSet<String> = words.into_iter().filter(|w| encoded(top(w, letters(kind))) == wanted).collect();
        let (downloads, yanked) = (downloads.as_u64()?, yanked.as_u64()? != 0);
        let whole = squashed(label.as_str()?);
        (!words.is_empty()).then(|| Self { key: key.into(), row, words, whole, yanked, downloads })
    }

    /// The best first: what can still be chosen, then what is downloaded most, then shorter names.
    fn order(&self) -> (bool, std::cmp::Reverse<u64>, usize, &str) {
        let key = self.key.as_str().unwrap_or_default();
        (self.yanked, std::cmp::Reverse(self.downloads), key.len(), key)
    }

    fn row(&self) -> Vec<&Value> {
        std::iter::once(&self.key).chain(self.row).collect()
    }
}

/// The files for a prefix: itself, and where it is too long, one for each next letter. `above` is the size of the file over it.
fn split<'e, 'a>(
    prefix: &str,
    entries: &[&'e Entry<'a>],
    above: usize,
    parts: &mut BTreeMap<String, Vec<&'e Entry<'a>>>,
) {
    let whole = entries.len() <= WHOLE;
    let (mut exact, others): (Vec<&Entry<'_>>, Vec<_>) =
        entries.iter().copied().partition(|e| e.words.contains(prefix));
    exact.sort_by_key(|e| e.whole != prefix);
    // A file that would hold nearly what the one above it holds is left out: its readers take that one.
    if above == usize::MAX || whole || !exact.is_empty() || entries.len() * 10 < above * 9 {
        // Who has just this word comes first, however unknown: a name that was typed to its end is found.
        let best = if whole { WHOLE } else { BEST };
        parts.insert(prefix.to_owned(), exact.into_iter().chain(others).take(best).collect());
    }
    if whole {
        return;
    }
    let mut next: BTreeMap<&str, Vec<&'e Entry<'a>>> = BTreeMap::new();
    for entry in entries {
        let mut longer: Vec<&str> = Vec::new();
        for word in entry.words.iter().filter(|w| w.len() > prefix.len() && w.starts_with(prefix)) {
            let end = prefix.len() + word[prefix.len()..].chars().next().map_or(0, char::len_utf8);
            if longer.last() != Some(&&word[..end]) {
                longer.push(&word[..end]);
            }
        }
        for prefix in longer {
            next.entry(prefix).or_default().push(entry);
        }
    }
    let above = if parts.contains_key(prefix) { entries.len() } else { above };
    for (prefix, entries) in next {
        split(prefix, &entries, above, parts);
    }
}

fn letters(kind: &str) -> usize {
    if kind == "n" { NAME_LETTERS } else { TEXT_LETTERS }
}

/// The beginning of a word that decides on its shard. Of a word that does not begin in ASCII one letter: such alphabets are large.
fn top(word: &str, letters: usize) -> &str {
    let letters = if word.starts_with(|c: char| c.is_ascii()) { letters } else { 1 };
    word.char_indices().nth(letters).map_or(word, |(end, _)| &word[..end])
}

/// A prefix as it stands in keys: ASCII letters and digits, everything else by its number.
fn encoded(prefix: &str) -> String {
    let mut out = String::with_capacity(prefix.len());
    for c in prefix.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else {
            out += &format!("_{:x}", u32::from(c));
        }
    }
    out
}

/// The words of a name: what stands between separators, the parts of camel case, and all of it without separators.
fn name_words(name: &str) -> BTreeSet<String> {
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

fn squashed(name: &str) -> String {
    lower(&name.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
}

/// The words of keywords, categories and summary that are looked for.
fn text_words(tags: &str, summary: &str) -> BTreeSet<String> {
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

    /// The shards of a registry.
    fn shards(packages: &[Facts]) -> BTreeMap<String, BTreeMap<String, Value>> {
        let mut all: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for package in packages {
            for (shard, row) in rows(package) {
                all.entry(shard).or_default().insert(format!("pack/{}", package.label.to_lowercase()), row);
            }
        }
        all
    }

    /// The names in a file, and the prefixes that it leads to.
    fn read(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
        let file: Value = serde_json::from_slice(bytes).unwrap();
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let further = file["further"].as_array().map_or_else(Vec::new, |f| f.iter().map(text).collect());
        (file["rows"].as_array().unwrap().iter().map(|r| text(&r[1])).collect(), further)
    }

    #[test]
    fn a_package_lies_where_its_words_begin() {
        let mut package = facts("Tokio_Util", "Codecs for the async I/O of tokio", 7);
        package.keywords = vec!["two words".into()];
        package.categories = vec!["asynchronous".into()];
        let found = rows(&package);
        let shards: Vec<&str> = found.keys().map(String::as_str).collect();
        // `async` and `asynchronous` share a shard; `for`, `the` and `of` say nothing.
        assert_eq!(shards, ["n-to", "n-ut", "t-asy", "t-cod", "t-i", "t-o", "t-tok", "t-two", "t-wor"],);
        let row = json!(["Tokio_Util", "1.0.0", "Codecs for the async I/O of tokio", "two words asynchronous", 7, 0]);
        assert!(found.values().all(|r| *r == row));
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
        let found = rows(&facts("a", "日本語の説明 Élan ça9_x ﬀ", 0));
        let shards: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(shards, ["n-a", "t-_65e5", "t-_e7", "t-_e9", "t-_fb00", "t-x"]);
        for (shard, row) in found {
            let files = render(&shard, &BTreeMap::from([("pack/a".to_owned(), row)]));
            assert_eq!(files.keys().collect::<Vec<_>>(), [&format!("search/{shard}.json")]);
        }
    }

    #[test]
    fn the_best_come_first_and_yanked_ones_last() {
        let mut packages =
            vec![facts("re-c", "", 5), facts("re-b", "", 50), facts("re-a", "", 5), facts("re-gone", "", 900)];
        packages[3].yanked = true;
        let all = shards(&packages);
        let files = render("n-re", &all["n-re"]);
        assert_eq!(
            read(&files["search/n-re.json"]),
            (["re-b", "re-a", "re-c", "re-gone"].map(String::from).to_vec(), vec![])
        );
        assert!(render("n-re", &BTreeMap::new()).is_empty());
    }

    #[test]
    fn however_many_there_are_every_name_is_in_a_file_that_its_letters_lead_to() {
        // All of them begin alike, and nobody downloads the last ones.
        let mut packages: Vec<Facts> =
            (0..2000).map(|i| facts(&format!("react-part{i}-view"), "React views", 2000 - i)).collect();
        packages.extend((0..150).map(|i| facts(&format!("reactor{i}"), "", 9000)));
        packages.push(facts("react", "A library", 0));
        let all = shards(&packages);
        let files = render("n-re", &all["n-re"]);
        assert!(files.values().all(|f| read(f).0.len() <= WHOLE), "no file grows with the registry");
        let (best, further) = read(&files["search/n-re.json"]);
        assert_eq!(best.len(), BEST);
        assert_eq!(best[0], "reactor0");
        for package in &packages {
            let whole = squashed(&package.label);
            let longest = further.iter().filter(|p| whole.starts_with(*p)).max_by_key(|p| p.len()).unwrap();
            let (names, none) = read(&files[&format!("search/n-{longest}.json")]);
            assert!(names.contains(&package.label), "{} is not in {longest}", package.label);
            assert!(none.is_empty());
        }
        assert_eq!(
            read(&files["search/n-react.json"]).0[0],
            "react",
            "the name itself before all that have it as a word"
        );
        // Of a text the best will do.
        let texts = render("t-rea", &all["t-rea"]);
        assert!(texts.values().all(|f| read(f).0.len() <= WHOLE));
        assert!(texts.len() < 3, "{:?}", texts.keys());
    }

    #[test]
    fn one_more_package_changes_only_files_on_the_way_to_it() {
        let packages: Vec<Facts> = (0..3000).map(|i| facts(&format!("re{:04}-x", 2 * i), "", 3000 - i)).collect();
        let before = shards(&packages);
        let mut rows = before["n-re"].clone();
        rows.insert("pack/re0555-new".into(), self::rows(&facts("re0555-new", "", 0))["n-re"].clone());
        let (old, new) = (render("n-re", &before["n-re"]), render("n-re", &rows));
        let changed: Vec<&String> = new.iter().filter(|(k, v)| old.get(*k) != Some(v)).map(|(k, _)| k).collect();
        assert_eq!(changed, ["search/n-re05.json"], "of {} files", new.len());
        assert_eq!(render("n-re", &rows), new, "the same rows give the same files");
    }

    #[test]
    fn rows_of_another_form_are_left_out() {
        let good = rows(&facts("re", "", 1))["n-re"].clone();
        let bad = [json!(null), json!([]), json!(["re", "1", "", "", "many", 0]), json!(["xx", "1", "", "", 1, 0])];
        let mut all: BTreeMap<String, Value> =
            bad.into_iter().enumerate().map(|(i, v)| (format!("pack/b{i}"), v)).collect();
        all.insert("pack/re".into(), good);
        assert_eq!(read(&render("n-re", &all)["search/n-re.json"]).0, ["re"]);
    }

    #[test]
    fn the_directory_lists_the_shards_by_kind() {
        let bytes = directory(["t-par", "n-re", "n-a", "t-_65e5"].into_iter());
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"n":["a","re"],"t":["_65e5","par"]}"#);
        assert_eq!(directory(std::iter::empty()), b"{}");
        assert!(STOP.is_sorted());
    }
}
