//! The pages: what each template is given (`docs/views.md` lists it), and what is rendered from it.

use super::{
    Maker, file,
    group::{Card, Listed, Size, Sum},
    place::{END, Entry, Part},
    search::encoded,
};
use crate::{Error, format::keys, package::Timestamp, view::File};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;

/// So many dependents are named on a page.
const DEPENDENTS: usize = 50;

/// The site as a whole, as every template is told of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Site {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) origin: String,
    /// The address of the store, without a slash at its end.
    pub(super) base: String,
}

#[derive(Serialize)]
struct Page {
    path: String,
    /// Leads from the page to the site's root.
    root: String,
    title: String,
    description: String,
    canonical: Option<String>,
}

#[derive(Serialize)]
struct Document<'a, T> {
    site: &'a Site,
    page: Page,
    #[serde(flatten)]
    rest: T,
}

/// Nothing besides what every page is given.
#[derive(Serialize)]
struct Nothing {}

/// Renders the page of that key. Its title begins with `title`, unless that is empty.
pub(super) fn render(
    maker: &Maker,
    template: &str,
    key: &str,
    (title, description): (&str, &str),
    rest: impl Serialize,
) -> Result<Bytes, Error> {
    let site = &maker.site;
    let title = if title.is_empty() { site.title.clone() } else { format!("{title} - {}", site.title) };
    let description = if description.is_empty() { site.description.clone() } else { description.to_owned() };
    let mut page = Page {
        path: key.to_owned(),
        root: "../".repeat(key.matches('/').count()),
        title,
        description,
        canonical: Some(maker.url(key)),
    };
    if key == keys::site::MISSING {
        // It is sent for any path that leads nowhere.
        page.root = format!("{}/", site.base);
        page.canonical = None;
    }
    maker.templates.render(template, Document { site, page, rest })
}

pub(super) fn missing(maker: &Maker) -> Result<Bytes, Error> {
    render(maker, "404.html", keys::site::MISSING, ("Not found", ""), Nothing {})
}

pub(super) fn search(maker: &Maker) -> Result<Bytes, Error> {
    render(maker, "search.html", keys::site::SEARCH, ("Search", ""), Nothing {})
}

/// A package in a list, as a template is given it.
#[derive(Serialize)]
struct CardContext<'a> {
    kind: &'a str,
    name: &'a str,
    href: String,
    version: &'a str,
    summary: &'a str,
    published: Timestamp,
    downloads: Option<u64>,
    yanked: bool,
}

fn card(Listed { card, label }: &Listed) -> CardContext<'_> {
    let Card { downloads, name, published, summary, version, yanked, .. } = card;
    CardContext {
        kind: label.split('/').next().unwrap_or_default(),
        name,
        href: keys::site::page(label),
        version,
        summary,
        published: *published,
        downloads: *downloads,
        yanked: *yanked,
    }
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    href: String,
    count: u64,
}

fn sizes<'a>(what: &str, sizes: &'a [Size]) -> Vec<Group<'a>> {
    let group = |s: &'a Size| Group { name: &s.name, href: keys::site::list(what, &s.slug, ""), count: s.count };
    sizes.iter().map(group).collect()
}

#[derive(Serialize)]
struct Home<'a> {
    counts: Counts,
    newest: Vec<CardContext<'a>>,
    popular: Vec<CardContext<'a>>,
    categories: Vec<Group<'a>>,
    generation: u64,
    updated: Timestamp,
}

#[derive(Serialize)]
struct Counts {
    packages: u64,
    releases: u64,
    packs: u64,
    crates: u64,
}

/// So many of the newest packages stand on the home page; the feed has more.
const NEWEST: usize = 12;

pub(super) fn home(maker: &Maker, sum: &Sum, categories: &[Size]) -> Result<Bytes, Error> {
    let home = Home {
        counts: Counts { packages: sum.packages, releases: sum.releases, packs: sum.packs, crates: sum.crates },
        newest: sum.newest.iter().take(NEWEST).map(card).collect(),
        popular: sum.popular.iter().map(card).collect(),
        categories: sizes("c", categories),
        generation: maker.shown.generation,
        updated: maker.shown.created,
    };
    render(maker, "home.html", keys::site::HOME, ("", ""), home)
}

#[derive(Serialize)]
struct ListContext<'a> {
    what: &'a str,
    name: &'a str,
    /// What the names of its packages begin with; empty: they are all.
    prefix: String,
    count: u64,
    packages: Vec<CardContext<'a>>,
    /// Whether these are all of them, by name; else they are the best.
    whole: bool,
    parts: Vec<PartContext>,
    first: String,
}

#[derive(Serialize)]
struct PartContext {
    name: String,
    href: String,
    count: u64,
}

/// What names begin with, as people read it.
fn beginning(prefix: &str) -> String {
    match prefix.split_once(END) {
        Some((name, _)) => name.to_owned(),
        None if prefix.is_empty() => String::new(),
        None => format!("{prefix}…"),
    }
}

/// A list of packages, or of those whose names begin so.
pub(super) fn list(
    maker: &Maker,
    (what, slug): (&str, &str),
    name: &str,
    prefix: &str,
    part: &Part,
    packages: &[Listed],
) -> Result<Bytes, Error> {
    let href = |prefix: &str| keys::site::list(what, slug, &encoded(prefix));
    let key = href(prefix);
    let below = part.below.iter();
    let parts: Vec<_> = below
        .map(|(prefix, count)| PartContext { name: beginning(prefix), href: href(prefix), count: *count })
        .collect();
    let prefix = beginning(prefix);
    let title = if prefix.is_empty() { name.to_owned() } else { format!("{name}: {prefix}") };
    let list = ListContext {
        what: if what == "c" { "category" } else { "keyword" },
        name,
        prefix,
        count: if part.is_whole() { packages.len() as u64 } else { part.below.values().sum() },
        packages: packages.iter().map(card).collect(),
        whole: part.is_whole(),
        parts,
        first: href(""),
    };
    let description = format!("Packages of the {} {name}", list.what);
    #[derive(Serialize)]
    struct Rest<'a> {
        list: ListContext<'a>,
    }
    render(maker, "list.html", &key, (&title, &description), Rest { list })
}

pub(super) fn groups(maker: &Maker, what: &str, all: &[Size]) -> Result<Bytes, Error> {
    #[derive(Serialize)]
    struct Rest<'a> {
        groups: Vec<Group<'a>>,
    }
    let (template, key, title) = match what {
        "c" => ("categories.html", keys::site::CATEGORIES, "Categories"),
        _ => ("keywords.html", keys::site::KEYWORDS, "Keywords"),
    };
    render(maker, template, key, (title, ""), Rest { groups: sizes(what, all) })
}

#[derive(Serialize)]
struct Reference {
    kind: String,
    name: String,
    href: String,
}

#[derive(Serialize)]
pub(super) struct Dependents {
    count: u64,
    shown: Vec<Reference>,
}

/// The first of those that depend on a package, and how many they are.
pub(super) fn dependents(part: Option<&Part>) -> Dependents {
    let Some(part) = part else { return Dependents { count: 0, shown: Vec::new() } };
    let reference = |entry: &Arc<Entry>| Reference {
        kind: entry.label.split('/').next().unwrap_or_default().to_owned(),
        name: serde_json::from_str(&entry.json).unwrap_or_else(|_| entry.label.to_string()),
        href: keys::site::page(&entry.label),
    };
    let count = if part.is_whole() { part.rows.len() as u64 } else { part.below.values().sum() };
    Dependents { count, shown: part.rows.values().take(DEPENDENTS).map(reference).collect() }
}

pub(super) fn absent(maker: &Maker, label: &str, wanted_by: Option<&Part>) -> Result<Vec<File>, Error> {
    #[derive(Serialize)]
    struct Absent<'a> {
        kind: &'a str,
        name: &'a str,
        dependents: Dependents,
    }
    #[derive(Serialize)]
    struct Rest<'a> {
        absent: Absent<'a>,
    }
    let key = keys::site::page(label);
    if wanted_by.is_none_or(|part| part.rows.is_empty()) {
        return Ok(vec![file(key, missing(maker)?)]);
    }
    let (kind, name) = label.split_once('/').unwrap_or_default();
    let absent = Absent { kind, name, dependents: dependents(wanted_by) };
    let description = format!("The {kind} {name} is not in this registry");
    let html = render(maker, "absent.html", &key, (name, &description), Rest { absent })?;
    Ok(vec![file(key, html)])
}
