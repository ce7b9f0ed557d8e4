//! Groups: what is shown of several packages at once. Which there are:
//!
//! | group | rows | files |
//! |---|---|---|
//! | `b/<2 hex>` | packages, by the first digits of their place in the index | a part of the sitemap |
//! | `b/<1 hex>` | sums of those | |
//! | `home` | sums of those, and the largest categories | the home page, the feed, the sitemap |
//! | `c/<slug>`, `k/<slug>` * | packages of a category, of a keyword | lists |
//! | `categories` | their sizes | the list of categories |
//! | `kk/<1 hex>`, `keywords` | sizes of keywords, and of those the largest | the list of keywords |
//! | `d/<kind>/<name>` * | packages that depend on one | (its page) |
//! | `s/<shard>` *, `s` | packages that a query may find; the shards that have some | what the search in the page reads |
//!
//! Those with a star may hold any number of packages: they are kept in parts (`parts.rs`), and `laid.rs` has their files.

use super::{Facts, Maker, Parsed, feed, file, page, place::Entry, search};
use crate::{
    Error,
    format::keys,
    package::{Kind, PackageId, Record, Sha256, Timestamp},
    view::{CargoDependencies, File},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// The rows of a group, as JSON, by what puts them there: a package's label, or the name of a group below.
pub(crate) type Rows = BTreeMap<Arc<str>, Arc<str>>;

/// Groups that are there also without rows.
pub(crate) const ALWAYS: [&str; 4] = ["categories", "home", "keywords", "s"];

/// So many of the newest packages, and of the most downloaded ones, are known of any number of them.
const NEWEST: usize = 20;
const POPULAR: usize = 12;
/// So many categories stand on the home page.
const CATEGORIES: usize = 24;
/// So many keywords stand in the list of them; and so many of each of the sixteen parts are known.
const KEYWORDS: usize = 500;
const KEYWORDS_OF_PART: usize = 100;

/// Why the files of a group were not made.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Its rows are not what this program writes: all has to be made anew.
    Rows(String),
    /// A template failed.
    Failed(Error),
}

impl From<Error> for Broken {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

/// The group in which a group has a row, and under which name.
pub(crate) fn parent(group: &str) -> Option<(String, String)> {
    let (above, key) = match group.split_once('/') {
        Some(("b", bucket)) if bucket.len() == 2 => (format!("b/{}", &bucket[..1]), bucket),
        Some(("b", _)) | None if group != "home" && group != "keywords" && group != "s" => ("home".into(), group),
        Some(("c", slug)) => ("categories".into(), slug),
        Some(("k", slug)) => (format!("kk/{}", &hex::encode(Sha256::of(slug.as_bytes()).0)[..1]), slug),
        Some(("kk", part)) => ("keywords".into(), part),
        Some(("s", shard)) => ("s".into(), shard),
        _ => return None,
    };
    Some((above, key.to_owned()))
}

/// How many groups stand below it: first those with rows of packages, then those with rows of them, and so on.
pub(crate) fn level(group: &str) -> usize {
    match group.split_once('/') {
        None if matches!(group, "home" | "keywords") => 2,
        None | Some(("kk", _)) => 1,
        Some(("b", bucket)) => usize::from(bucket.len() == 1),
        Some(_) => 0,
    }
}

#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    rows: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// The rows in a state; `None` where it is none.
pub(crate) fn read_state(bytes: &[u8]) -> Option<Rows> {
    let state: State<'_> = serde_json::from_slice(bytes).ok()?;
    Some(state.rows.into_iter().map(|(k, v)| (k.into(), v.get().into())).collect())
}

/// The state of rows.
pub(crate) fn write_state(group: &str, rows: &Rows) -> File {
    let size: usize = rows.iter().map(|(k, v)| k.len() + v.len() + 4).sum();
    let mut text = String::with_capacity(size + 16);
    text.push_str("{\"rows\":{");
    for (i, (key, row)) in rows.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        // Labels, slugs and names of shards: none holds what JSON would escape.
        text.push('"');
        text.push_str(key);
        text.push_str("\":");
        text.push_str(row);
    }
    text.push_str("}}\n");
    file(keys::site::state(group), text)
}

/// A package in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Card {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) downloads: Option<u64>,
    pub(super) name: String,
    pub(super) published: Timestamp,
    /// How many releases it has that were not removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) releases: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) summary: String,
    /// What the category or the keyword is called by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    pub(super) version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) yanked: bool,
}

/// A card, and whose it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) card: Card,
    pub(super) label: String,
}

/// What is known of many packages.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sum {
    /// The buckets that hold any.
    pub(super) buckets: Vec<String>,
    pub(super) crates: u64,
    pub(super) newest: Vec<Listed>,
    pub(super) packages: u64,
    pub(super) packs: u64,
    pub(super) popular: Vec<Listed>,
    pub(super) releases: u64,
}

impl Sum {
    fn keep_the_first(&mut self) {
        self.newest.sort_by(|a, b| b.card.published.cmp(&a.card.published).then_with(|| a.label.cmp(&b.label)));
        self.newest.truncate(NEWEST);
        self.popular.sort_by(|a, b| b.card.downloads.cmp(&a.card.downloads).then_with(|| a.label.cmp(&b.label)));
        self.popular.truncate(POPULAR);
    }

    fn add(&mut self, other: Self) {
        self.buckets.extend(other.buckets);
        self.crates += other.crates;
        self.newest.extend(other.newest);
        self.packages += other.packages;
        self.packs += other.packs;
        self.popular.extend(other.popular);
        self.releases += other.releases;
    }
}

/// How large a category or a keyword is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) count: u64,
    pub(super) name: String,
    pub(super) slug: String,
}

pub(super) fn to_row(value: &impl Serialize) -> Arc<str> {
    // With room for most: what grows is moved, and threads wait for each other over that.
    let mut text = Vec::with_capacity(512);
    // Texts, numbers and lists of such: this cannot fail.
    serde_json::to_writer(&mut text, value).unwrap_or_else(|e| unreachable!("a row serialises: {e}"));
    std::str::from_utf8(&text).unwrap_or_else(|e| unreachable!("JSON is text: {e}")).into()
}

pub(super) fn from_row<T: DeserializeOwned>(group: &str, row: &str) -> Result<T, Broken> {
    serde_json::from_str(row).map_err(|e| Broken::Rows(format!("a row of {group} cannot be read: {e}")))
}

/// What a category or a keyword is called in keys: itself, where it is plain; else the plain part of it and a digest, so that
/// no two have the same.
pub(super) fn slug(text: &str) -> String {
    let text = text.trim().to_lowercase();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let device = crate::package::PackageName::new(&text).is_err();
    if !device && text.len() <= 64 && text.chars().all(plain) {
        return text;
    }
    let digest = Sha256::of(text.as_bytes());
    let kept: String = text.chars().map(|c| if plain(c) { c } else { '-' }).take(40).collect();
    format!("{}--{}", kept.trim_matches('-'), &hex::encode(digest.0)[..10]).trim_start_matches('-').to_owned()
}

/// The label of what a dependency leads to, where that is in this registry.
pub(super) fn target(maker: &Maker, record: &Record, dependency: &crate::package::Dependency) -> Option<String> {
    let here = match &dependency.registry {
        Some(registry) => *registry == maker.own_index,
        None => record.kind != Kind::Crate || maker.dependencies == CargoDependencies::Here,
    };
    let id = here.then(|| PackageId::new(record.kind, &dependency.name).ok())??;
    Some(id.label())
}

/// The rows of a package, by group.
#[derive(Default)]
pub(crate) struct RowsOf {
    /// In a group that is kept as a whole. (A package of which all was removed has none.)
    pub(crate) plain: Option<(String, Arc<str>)>,
    /// In those that are kept in parts.
    pub(crate) placed: BTreeMap<String, Arc<Entry>>,
}

/// The rows of a package.
pub(crate) fn rows(maker: &Maker, package: &Parsed, downloads: Option<u64>) -> RowsOf {
    let mut out = RowsOf::default();
    let Some(shown) = package.present() else { return out };
    let mut card = Card {
        downloads,
        name: shown.name.to_string(),
        published: shown.published,
        releases: None,
        summary: shown.summary.clone(),
        text: None,
        version: shown.version.to_string(),
        yanked: shown.yanked.is_some(),
    };
    let label = &package.label;
    let (mut keywords, mut categories) = (BTreeMap::new(), BTreeMap::new());
    for (texts, into) in [(&shown.keywords, &mut keywords), (&shown.categories, &mut categories)] {
        for text in texts.iter().filter(|t| !t.trim().is_empty()) {
            into.entry(slug(text)).or_insert_with(|| text.trim().to_owned());
        }
    }
    for (what, texts) in [("k", keywords), ("c", categories)] {
        for (slug, text) in texts {
            card.text = Some(text);
            let entry = Entry::in_list(label, &to_row(&card), (card.yanked, downloads));
            out.placed.insert([what, "/", &slug].concat(), Arc::new(entry));
        }
    }
    card.text = None;
    card.releases = Some(package.records.iter().filter(|r| r.removed.is_none()).count() as u64);
    out.plain = Some((["b/", &package.bucket].concat(), to_row(&card)));
    let name = Arc::new(Entry::of_dependent(label, &to_row(&card.name)));
    for dependency in &shown.dependencies {
        if let Some(target) = target(maker, shown, dependency) {
            out.placed.insert(["d/", &target].concat(), Arc::clone(&name));
        }
    }
    let facts = Facts {
        label: card.name,
        version: card.version,
        summary: card.summary,
        keywords: shown.keywords.clone(),
        categories: shown.categories.clone(),
        downloads,
        yanked: card.yanked,
    };
    let (found, shards) = search::row(label, &facts);
    let found = Arc::new(found);
    out.placed.extend(shards.into_iter().map(|shard| (["s/", &shard].concat(), Arc::clone(&found))));
    out
}

/// The row of a group in the group above it; none where it has no rows itself.
pub(crate) fn summary(group: &str, rows: &Rows) -> Result<Option<Arc<str>>, Broken> {
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(match group.split_once('/') {
        Some(("b", bucket)) if bucket.len() == 2 => Some(to_row(&bucket_sum(group, bucket, rows)?)),
        Some(("b", _)) => Some(to_row(&whole_sum(group, rows)?)),
        Some(("kk", _)) => Some(to_row(&largest(sizes(group, rows)?, KEYWORDS_OF_PART))),
        None if group == "categories" => Some(to_row(&largest(sizes(group, rows)?, CATEGORIES))),
        _ => None,
    })
}

fn bucket_sum(group: &str, bucket: &str, rows: &Rows) -> Result<Sum, Broken> {
    let mut sum = Sum { buckets: vec![bucket.to_owned()], ..Sum::default() };
    for (label, row) in rows {
        let card: Card = from_row(group, row)?;
        sum.packages += 1;
        match label.split('/').next() {
            Some("pack") => sum.packs += 1,
            _ => sum.crates += 1,
        }
        sum.releases += card.releases.unwrap_or(0);
        if card.yanked {
            continue;
        }
        let listed = Listed { card: Card { releases: None, ..card }, label: label.to_string() };
        if listed.card.downloads.is_some() {
            sum.popular.push(listed.clone());
        }
        sum.newest.push(listed);
    }
    sum.keep_the_first();
    Ok(sum)
}

fn whole_sum(group: &str, rows: &Rows) -> Result<Sum, Broken> {
    let mut sum = Sum::default();
    for row in rows.values() {
        sum.add(from_row(group, row)?);
    }
    sum.keep_the_first();
    Ok(sum)
}

fn sizes(group: &str, rows: &Rows) -> Result<Vec<Size>, Broken> {
    rows.values().map(|row| from_row(group, row)).collect()
}

/// The largest, the largest first.
fn largest(mut sizes: Vec<Size>, most: usize) -> Vec<Size> {
    sizes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.slug.cmp(&b.slug)));
    sizes.truncate(most);
    sizes
}

/// The files of a group.
pub(super) fn files(maker: &Maker, group: &str, rows: &Rows) -> Result<Vec<File>, Broken> {
    Ok(match group.split_once('/') {
        Some(("b", bucket)) if bucket.len() == 2 => {
            let mut packages = Vec::with_capacity(rows.len());
            for (label, row) in rows {
                packages.push((keys::site::page(label), Some(from_row::<Card>(group, row)?.published)));
            }
            vec![file(keys::site::sitemap(bucket), feed::sitemap(&maker.site.base, &packages))]
        }
        None if group == "home" => home(maker, rows)?,
        None if group == "categories" => {
            let mut sizes = sizes(group, rows)?;
            let lists = sizes.iter().map(|s| (keys::site::list("c", &s.slug, ""), None));
            let pages = [keys::site::HOME, keys::site::SEARCH, keys::site::CATEGORIES, keys::site::KEYWORDS];
            let all: Vec<_> = pages.into_iter().map(|p| (p.to_owned(), None)).chain(lists).collect();
            sizes.sort_by(|a, b| a.name.cmp(&b.name));
            vec![
                file(keys::site::CATEGORIES, page::groups(maker, "c", &sizes)?),
                file(keys::site::SITEMAP_LISTS, feed::sitemap(&maker.site.base, &all)),
            ]
        }
        None if group == "keywords" => {
            let mut all = Vec::new();
            for row in rows.values() {
                all.extend(from_row::<Vec<Size>>(group, row)?);
            }
            vec![file(keys::site::KEYWORDS, page::groups(maker, "k", &largest(all, KEYWORDS))?)]
        }
        None if group == "s" => vec![file(keys::site::SHARDS, search::directory(rows.keys().map(|k| &**k)))],
        _ => Vec::new(),
    })
}

fn home(maker: &Maker, rows: &Rows) -> Result<Vec<File>, Broken> {
    let (mut buckets, mut categories) = (Rows::new(), Vec::new());
    for (key, row) in rows {
        if &**key == "categories" {
            categories = from_row("home", row)?;
        } else {
            buckets.insert(Arc::clone(key), Arc::clone(row));
        }
    }
    let sum = whole_sum("home", &buckets)?;
    let parts: Vec<String> = sum.buckets.iter().map(|b| keys::site::sitemap(b)).collect();
    Ok(vec![
        file(keys::site::FEED, feed::all(&maker.site, &sum.newest)),
        file(keys::site::SITEMAP, feed::sitemaps(&maker.site.base, &parts)),
        file(keys::site::HOME, page::home(maker, &sum, &categories)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_group_but_the_last_ones_has_one_above_it_which_comes_after_it() {
        for (group, above) in [
            ("b/a0", Some(("b/a", "a0"))),
            ("b/a", Some(("home", "b/a"))),
            ("categories", Some(("home", "categories"))),
            ("c/web", Some(("categories", "web"))),
            ("kk/a", Some(("keywords", "a"))),
            ("s/n-re", Some(("s", "n-re"))),
            ("home", None),
            ("keywords", None),
            ("s", None),
            ("d/crate/a", None),
        ] {
            assert_eq!(parent(group), above.map(|(g, k)| (g.to_owned(), k.to_owned())), "{group}");
            assert!(above.is_none_or(|(above, _)| level(above) > level(group)), "{group}");
        }
        let (above, key) = parent("k/json").unwrap();
        assert!(above.starts_with("kk/") && above.len() == 4 && key == "json");
        assert_eq!((level("k/json"), level(&above), level("keywords")), (0, 1, 2));
    }

    #[test]
    fn no_two_texts_have_the_same_slug_and_none_is_a_path() {
        let texts = [
            "web",
            "c++",
            "c#",
            "c",
            "web-programming::http",
            "Größe",
            "groesse",
            "con",
            "..",
            "a/b",
            "a.2",
            "--",
            "日本",
            "<script>",
        ];
        let slugs: BTreeSet<_> = texts.iter().map(|t| slug(t)).collect();
        assert_eq!(slugs.len(), texts.len(), "{slugs:?}");
        assert_eq!((slug("Web"), slug("utf-8")), ("web".into(), "utf-8".into()));
        for slug in slugs {
            assert!(!slug.is_empty() && slug.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{slug}");
        }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let rows = Rows::from([("crate/a".into(), r#"{"x":[1,"é\""]}"#.into()), ("pack/b.c".into(), "1".into())]);
        let state = write_state("b/00", &rows);
        assert_eq!(state.key, "site/b/00.json");
        assert_eq!(read_state(&state.bytes), Some(rows));
        assert_eq!(write_state("home", &Rows::new()).bytes, "{\"rows\":{}}\n".as_bytes());
        for bad in ["", "{}", "[]", "{\"rows\":{}", "{\"rows\":[]}"] {
            assert_eq!(read_state(bad.as_bytes()), None, "{bad}");
        }
    }
}
