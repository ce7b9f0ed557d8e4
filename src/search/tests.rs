//! The index as a whole: what is found, in what order, and that the same documents give the same bytes.

use super::{
    document::Document,
    drafts::Drafts,
    index::{Built, build},
    searcher::{Answers, SearchOrder, SearchRequest, SearchResults, Searching},
};
use crate::{ErrorKind, Store, format::bundle::Replaces};
use std::sync::Arc;

fn document(name: &str, downloads: u64, summary: &str) -> Document {
    let text = format!(
        r#"{{"downloads":{downloads},"kind":"pack","name":"{name}","published":"2026-01-01T00:00:00Z","summary":"{summary}","version":"1.0.0"}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn sample() -> Vec<Document> {
    let mut all = vec![
        document("react", 1_000_000, "Library for building user interfaces"),
        document("react-dom", 900_000, "React package for working with the DOM"),
        document("react-http", 10, "Promise based HTTP client for React"),
        document("axios", 800_000, "Promise based HTTP client for the browser"),
        document("http-client", 5, "Nobody uses it"),
        document("parseXML", 70_000, "Parses a client's XML fast, http not needed"),
        document("old-http-client", 500_000, "A client for HTTP"),
        document("commander", 60_000, "The complete solution for command-line programs"),
    ];
    all[6].yanked = true;
    all[3].license = Some("MIT OR Apache-2.0".into());
    all[3].keywords = vec!["HTTP".into(), "xhr".into()];
    all[2].keywords = vec!["http".into()];
    all[3].categories = vec!["web".into()];
    all
}

fn drafts(documents: &[Document]) -> Drafts {
    let mut out = Drafts::new();
    documents.iter().for_each(|d| out.add(d).unwrap());
    out
}

fn built(documents: Vec<Document>) -> Built {
    let drafts = drafts(&documents);
    let reference = drafts.reference();
    build(drafts, reference, Vec::new()).unwrap()
}

fn open(all: &[&Built]) -> Searching {
    let readings = all.iter().map(|b| Arc::new(super::open_whole(&b.cited, b.bytes.clone()).unwrap()));
    Searching::new(readings.collect(), Store::open("memory:").unwrap())
}

fn documents(built: &Built) -> Vec<Document> {
    super::open_whole(&built.cited, built.bytes.clone()).unwrap().documents().collect::<Result<_, _>>().unwrap()
}

fn ask(searching: &Searching, request: &SearchRequest) -> SearchResults {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(searching.answer(&Answers::of(request).unwrap())).unwrap()
}

fn names(searching: &Searching, text: &str) -> Vec<String> {
    ask(searching, &SearchRequest::new(text)).hits.iter().map(|h| h.name.to_string()).collect()
}

#[test]
fn the_same_documents_give_the_same_bytes_in_any_order() {
    let a = built(sample());
    let mut reversed = sample();
    reversed.reverse();
    let b = built(reversed);
    assert_eq!(a.cited, b.cited);
    assert_eq!(a.bytes, b.bytes);
    let mut back = documents(&a);
    let mut all = sample();
    back.sort_by_key(Document::label);
    all.sort_by_key(Document::label);
    assert_eq!(back, all);
}

/// What the fuzz target begins with, and what any machine has to make of the sample. When a version of the format or of the search
/// library changes it, `UPDATE_SNAPSHOTS=1 cargo test --lib search` writes it anew; bundles that are stored stay what they are.
#[test]
fn the_bundle_is_the_one_that_fuzzing_begins_with() {
    let seed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/search/bundle");
    let bundle = built(sample()).bytes;
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&seed, &bundle).unwrap();
    }
    assert!(std::fs::read(&seed).unwrap() == bundle, "{} is not what is built now", seed.display());
}

#[test]
fn exact_names_come_first_then_words_and_yanked_ones_last() {
    let s = open(&[&built(sample())]);
    assert_eq!(names(&s, "http client"), ["http-client", "axios", "parseXML", "react-http", "old-http-client"]);
    assert_eq!(names(&s, "HTTP_Client")[0], "http-client");
    assert_eq!(names(&s, "httpclient"), ["http-client"]);
    assert_eq!(names(&s, "reac"), ["react", "react-dom", "react-http"]);
    assert_eq!(names(&s, "react-"), ["react", "react-dom", "react-http"]);
    assert_eq!(names(&s, "parse xml"), ["parseXML"]);
    assert_eq!(names(&s, "parsing"), ["parseXML"]);
    assert_eq!(names(&s, "nothing-like-it"), [""; 0]);
}

#[test]
fn frequent_words_stand_in_a_dictionary_of_their_own() {
    let summary = |i: u32| format!("common thing{i} {} tool", if i.is_multiple_of(3) { "third" } else { "other" });
    let all = (0..126).map(|i| document(&format!("p{i}"), 1000 - u64::from(i), &summary(i)));
    let built = built(all.collect());
    let reading = super::open_whole(&built.cited, built.bytes.clone()).unwrap().0;
    let fields = reading.fields;
    for (stem, field) in
        [("common", Some(fields.often)), ("tool", Some(fields.often)), ("third", Some(fields.text)), ("none", None)]
    {
        assert_eq!(reading.word(stem).unwrap().map(|(field, _)| field), field, "{stem}");
    }
    assert!(reading.term(fields.text, "common").unwrap().is_none(), "it stands in one of them");
    let s = open(&[&built]);
    assert_eq!(names(&s, "common thing7"), ["p7"]);
    assert_eq!(names(&s, "\"common thing7\""), ["p7"]);
    assert_eq!(names(&s, "\"thing7 common\""), [""; 0]);
    let mut request = SearchRequest::new("tool -third");
    assert_eq!(ask(&s, &request).total, 84);
    request.text = "-common".into();
    assert_eq!(ask(&s, &request).total, 0);
}

#[test]
fn one_list_tells_how_often_a_word_stands_and_whether_in_the_name() {
    let s = open(&[&built(vec![
        document("alpha", 1, "parser"),
        document("beta", 1, "parser finds parser files"),
        document("gamma", 1, "parser, fast parser, new parser"),
        document("delta", 1, "parser parser; and parser, then parser"),
        document("parser-one", 1, "nothing else"),
        document("parser-two", 1, "a parser"),
        document("parser-three", 1, "a parser says what a parser does"),
    ])]);
    let mut request = SearchRequest::new("parser");
    request.explain = true;
    let hits = ask(&s, &request).hits;
    assert_eq!(hits.len(), 7);
    for hit in hits {
        let in_name = hit.explanation.iter().any(|(part, _)| *part == "words in the name");
        assert_eq!(in_name, hit.name.as_str().starts_with("parser"), "{}", hit.name);
    }
    // A place that is given twice is one place all the same.
    assert_eq!(names(&s, "\"parser parser\""), ["delta"]);
    assert_eq!(names(&s, "\"parser one\""), ["parser-one"]);
    // What ends the name and what begins the summary are no neighbours.
    assert_eq!(names(&s, "\"one nothing\""), [""; 0]);
}

#[test]
fn a_misspelt_word_of_a_name_is_taken_for_the_one_that_stands_best() {
    let more = built(vec![document("io.example.workflow-pack", 5, "Orders and what becomes of them")]);
    let s = open(&[&built(sample()), &more]);
    let corrected = |text: &str| {
        let results = ask(&s, &SearchRequest::new(text));
        let corrected: Vec<_> = results.corrected.iter().map(|c| format!("{} {}", c.word, c.instead)).collect();
        (corrected.join(", "), results.hits.iter().map(|h| h.name.to_string()).collect::<Vec<_>>())
    };
    for typo in ["workflw", "worklow", "workfloww", "wokrflow", "Workflw"] {
        let (corrected, hits) = corrected(typo);
        assert_eq!(
            (corrected, &hits[..]),
            (format!("{} workflow", typo.to_lowercase()), &["io.example.workflow-pack".into()][..])
        );
    }
    let (how, hits) = corrected("htpp client");
    assert_eq!((how.as_str(), hits.len()), ("htpp http", 5));
    assert_eq!(hits.iter().collect::<std::collections::BTreeSet<_>>(), names(&s, "http client").iter().collect());
    // A word that something has is meant, and so is one that is too short, or too far from all others.
    assert_eq!(corrected("browser").0, "");
    assert_eq!(corrected("dmo"), (String::new(), Vec::new()));
    assert_eq!(corrected("workflabc"), (String::new(), Vec::new()));
    assert_eq!(corrected("xorkflow"), (String::new(), Vec::new()));
    assert_eq!(corrected("workflw kind:crate"), (String::new(), Vec::new()));
}

#[test]
fn a_long_name_that_is_there_is_what_was_meant() {
    let s = open(&[&built(vec![
        document("gettextvueloader", 1, ""),
        document("gettextvueloaders", 1_000_000, ""),
        document("axio", 1, ""),
        document("axios", 1_000_000, ""),
        document("gettext-vue-loadr", 1_000_000, ""),
    ])]);
    assert_eq!(names(&s, "axio"), ["axio", "axios"]);
    // The other one begins so; the third is a mistake away, and nobody asks for that one by this name.
    assert_eq!(names(&s, "gettextvueloader"), ["gettextvueloader", "gettextvueloaders"]);
    assert_eq!(names(&s, "gettextvueloade"), ["gettextvueloaders", "gettextvueloader"]);
}

#[test]
fn a_misspelt_name_is_found() {
    let s = open(&[&built(sample())]);
    for typo in ["axois", "axio", "axxios", "aios", "xaios"] {
        assert_eq!(names(&s, typo), ["axios"], "{typo}");
    }
    assert_eq!(names(&s, "comander"), ["commander"]);
    assert_eq!(names(&s, "komander"), ["commander"]);
    // Two mistakes in a short name are another name.
    assert_eq!(names(&s, "axxxos"), [""; 0]);
}

#[test]
fn the_dictionary_and_the_table_of_names_find_the_same() {
    let count = 3000u64;
    let name = |i: u64| {
        let r = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let parts = ["ba", "du", "k-i", "lo", "m.e", "nu", "ra", "so"];
        (0..4).map(|n| parts[usize::try_from(r >> (60 - 3 * n) & 7).unwrap()]).collect::<String>()
    };
    let documents: std::collections::BTreeMap<_, _> =
        (0..count).map(|i| (name(i), document(&name(i), i, "x"))).collect();
    let built = built(documents.into_values().collect());
    // The first ones by the dictionary, later ones by the table.
    let (fresh, used) = (|| open(&[&built]), open(&[&built]));
    (0..40).for_each(|i| drop(names(&used, &format!("{}q", name(i)))));
    let mut found = 0;
    for i in 0..60 {
        let (mut typo, at) = (name(i * 7), usize::try_from(i).unwrap() % 5);
        match i % 4 {
            0 => typo.insert(at, 'x'),
            1 => drop(typo.remove(at)),
            2 => typo.replace_range(at..=at, "zz"),
            _ => typo = format!("{}{}", &typo[1..2], typo.replacen(&typo[1..2], "", 1)),
        }
        let answers = names(&fresh(), &typo);
        assert_eq!(names(&used, &typo), answers, "{typo}");
        found += u64::from(!answers.is_empty());
    }
    assert!(found > 40, "{found}");
}

#[test]
fn names_that_begin_alike_are_found_whether_they_are_few_or_many() {
    let named =
        |prefix: &str, count: u64| (0..count).map(|i| document(&format!("{prefix}{i:03}"), i.pow(6), "x")).collect();
    let mut all: Vec<Document> = named("few-of-them-", 5);
    all.extend::<Vec<_>>(named("just-so-many-", 33));
    all.extend::<Vec<_>>(named("too-many-to-list-", 150));
    all.extend::<Vec<_>>(named(&"l".repeat(40), 34));
    let s = open(&[&built(all)]);
    let total = |text: &str| ask(&s, &SearchRequest::new(text)).total;
    for (prefix, count) in [("few-of", 5), ("f", 5), ("just-so", 33), ("just-so-many-01", 10), ("too-man", 128)] {
        assert_eq!(total(prefix), count, "{prefix}");
    }
    // Without separators too, and each package once.
    assert_eq!(total("fewofthem"), 5);
    assert_eq!(total("toomanyt"), 128);
    assert_eq!(total(&"l".repeat(36)), 34);
    // A list is no name: nothing is a mistake away from it, neither in the dictionary nor in the table of names.
    (0..20).for_each(|_| assert_eq!(total("just-sx"), 0));
    // A list holds the best.
    assert_eq!(names(&s, "too-m")[..2], ["too-many-to-list-149", "too-many-to-list-148"]);
    assert_eq!(names(&s, "toom")[..2], ["too-many-to-list-149", "too-many-to-list-148"]);
}

#[test]
fn of_many_answers_the_best_are_kept_whatever_their_order() {
    // More documents than a stretch holds; every one is an answer, and the best texts stand badly.
    let summary = |i: u64| ["red", "red blue", "red red blue green"][usize::try_from(i % 3).unwrap()];
    let all: Vec<_> = (0..5000).map(|i| document(&format!("p{i}"), 1 << (i % 20), summary(i))).collect();
    let s = open(&[&built(all)]);
    let mut request = SearchRequest::new("red blue");
    request.explain = true;
    request.limit = 5000;
    let every = ask(&s, &request);
    assert_eq!(every.total, 1667 + 1666);
    assert!(every.hits.is_sorted_by(|a, b| a.score >= b.score));
    for (offset, limit) in [(0, 1), (0, 10), (7, 20), (1000, 300)] {
        (request.offset, request.limit) = (offset, limit);
        let some = ask(&s, &request);
        assert_eq!((some.total, &some.hits[..]), (every.total, &every.hits[offset..offset + limit]));
    }
}

#[test]
fn conditions_narrow_and_orders_hold() {
    let s = open(&[&built(sample())]);
    assert_eq!(names(&s, "\"based http\""), ["axios", "react-http"]);
    assert_eq!(names(&s, "client -promise -nobody"), ["parseXML", "old-http-client"]);
    assert_eq!(names(&s, "license:apache-2.0"), ["axios"]);
    assert_eq!(names(&s, "keyword:http"), ["axios", "react-http"]);
    assert_eq!(names(&s, "client category:web"), ["axios"]);
    assert_eq!(names(&s, "kind:crate"), [""; 0]);
    let mut request = SearchRequest::new("client");
    request.order = SearchOrder::Downloads;
    let of = |r: &SearchRequest| ask(&s, r).hits.iter().map(|h| h.name.to_string()).collect::<Vec<_>>();
    assert_eq!(of(&request), ["axios", "old-http-client", "parseXML", "react-http", "http-client"]);
    request.order = SearchOrder::Name;
    assert_eq!(of(&request), ["axios", "http-client", "old-http-client", "parseXML", "react-http"]);
    (request.offset, request.limit) = (1, 2);
    assert_eq!(of(&request), ["http-client", "old-http-client"]);
    assert_eq!(ask(&s, &request).total, 5);
    let everything = SearchRequest::new(" * ");
    assert_eq!(ask(&s, &everything).total, 8);
    assert_eq!(of(&everything)[0], "react");
}

#[test]
fn facets_count_all_answers_and_a_score_is_explained() {
    let s = open(&[&built(sample())]);
    let mut request = SearchRequest::new("promise");
    (request.facets, request.explain, request.limit) = (true, true, 1);
    let results = ask(&s, &request);
    let facets: Vec<_> = results.facets.iter().map(|f| (f.field, f.value.as_str(), f.count)).collect();
    let expected = [
        ("category", "web", 1),
        ("keyword", "http", 2),
        ("keyword", "xhr", 1),
        ("kind", "pack", 2),
        ("license", "apache-2.0", 1),
        ("license", "mit", 1),
    ];
    assert_eq!(facets, expected);
    let hit = &results.hits[0];
    let sum: f32 = hit.explanation.iter().map(|(_, worth)| worth).sum();
    assert!((sum - hit.score).abs() < 1e-3, "{hit:?}");
    assert!(hit.explanation.iter().any(|(what, _)| *what == "words in the text"));
}

#[test]
fn a_later_bundle_replaces_documents_of_an_earlier_one() {
    let base = built(sample());
    let all = documents(&base);
    let number = |name: &str| u32::try_from(all.iter().position(|d| d.name.as_str() == name).unwrap()).unwrap();
    let replaces = vec![Replaces::new(base.cited.link.sha256, vec![number("axios"), number("react")])];
    let newer = vec![document("axios", 800_001, "Fetches things"), document("brand-new", 1, "A promise")];
    let delta = build(drafts(&newer), 0, replaces).unwrap();
    let s = open(&[&base, &delta]);
    assert_eq!(names(&s, "promise"), ["react-http", "brand-new"]);
    assert_eq!(names(&s, "axios"), ["axios"]);
    assert_eq!(ask(&s, &SearchRequest::new("axios")).hits[0].downloads, 800_001);
    assert_eq!(names(&s, "react")[0], "react-dom");
    assert_eq!(ask(&s, &SearchRequest::new("")).total, 8);
    let mut request = SearchRequest::new("");
    (request.order, request.limit) = (SearchOrder::Name, 3);
    let in_order: Vec<_> = ask(&s, &request).hits.iter().map(|h| h.name.to_string()).collect();
    assert_eq!(in_order, ["axios", "brand-new", "commander"]);
    // One that only takes away.
    let gone = build(Drafts::new(), 0, vec![Replaces::new(delta.cited.link.sha256, vec![0, 1])]).unwrap();
    let s = open(&[&base, &delta, &gone]);
    assert_eq!(names(&s, "axios"), [""; 0]);
}

#[test]
fn nothing_is_found_in_nothing_and_requests_have_bounds() {
    let s = open(&[]);
    assert_eq!(ask(&s, &SearchRequest::new("x")), SearchResults::default());
    assert_eq!(ask(&open(&[&built(Vec::new())]), &SearchRequest::new("")), SearchResults::default());
    let mut request = SearchRequest::new("x");
    request.limit = 10_001;
    assert_eq!(Answers::of(&request).err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn no_damage_that_is_vouched_for_makes_the_program_panic() {
    let whole = built(sample()).bytes.to_vec();
    let mut state = 7u64;
    let mut any = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n as u64).unwrap()
    };
    for round in 0..100 {
        let mut bytes = whole.clone();
        bytes.truncate(whole.len() - if round % 4 == 0 { any(200) } else { 0 });
        for _ in 0..=any(7) {
            let at = any(bytes.len());
            bytes[at] = u8::try_from(any(256)).unwrap();
        }
        super::ask_any(&bytes);
    }
}
