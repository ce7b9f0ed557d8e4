//! The pages: what each template is given (`docs/views.md` lists it), and what is rendered from it.

use super::{
    Maker, Rows, file,
    group::{Card, Listed, Size, Sum},
};
use crate::{Error, format::keys, package::Timestamp, view::File};
use serde::Serialize;

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
) -> Result<String, Error> {
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

pub(super) fn missing(maker: &Maker) -> Result<String, Error> {
    render(maker, "404.html", keys::site::MISSING, ("Not found", ""), Nothing {})
}

pub(super) fn search(maker: &Maker) -> Result<String, Error> {
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
    let group = |s: &'a Size| Group { name: &s.name, href: keys::site::list(what, &s.slug, 1), count: s.count };
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

pub(super) fn home(maker: &Maker, sum: &Sum, categories: &[Size]) -> Result<String, Error> {
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

/// Which page of a list it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) number: usize,
    pub(super) pages: usize,
    pub(super) count: usize,
}

#[derive(Serialize)]
struct ListContext<'a> {
    what: &'a str,
    name: &'a str,
    count: usize,
    packages: Vec<CardContext<'a>>,
    number: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
}

pub(super) fn list(
    maker: &Maker,
    (what, slug): (&str, &str),
    name: &str,
    At { number, pages, count }: At,
    packages: &[Listed],
) -> Result<String, Error> {
    let href = |n: usize| keys::site::list(what, slug, n);
    let list = ListContext {
        what: if what == "c" { "category" } else { "keyword" },
        name,
        count,
        packages: packages.iter().map(card).collect(),
        number,
        pages,
        previous: (number > 1).then(|| href(number - 1)),
        next: (number < pages).then(|| href(number + 1)),
    };
    let title = if number > 1 { format!("{name}, page {number}") } else { name.to_owned() };
    let description = format!("Packages of the {} {name}", list.what);
    #[derive(Serialize)]
    struct Rest<'a> {
        list: ListContext<'a>,
    }
    render(maker, "list.html", &href(number), (&title, &description), Rest { list })
}

pub(super) fn groups(maker: &Maker, what: &str, all: &[Size]) -> Result<String, Error> {
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
    count: usize,
    shown: Vec<Reference>,
}

pub(super) fn dependents(rows: &Rows) -> Dependents {
    let reference = |(label, row): (&std::sync::Arc<str>, &std::sync::Arc<str>)| Reference {
        kind: label.split('/').next().unwrap_or_default().to_owned(),
        name: serde_json::from_str(row).unwrap_or_else(|_| label.to_string()),
        href: keys::site::page(label),
    };
    Dependents { count: rows.len(), shown: rows.iter().take(DEPENDENTS).map(reference).collect() }
}

pub(super) fn absent(maker: &Maker, label: &str, rows: &Rows) -> Result<Vec<File>, Error> {
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
    if rows.is_empty() {
        return Ok(vec![file(key, missing(maker)?)]);
    }
    let (kind, name) = label.split_once('/').unwrap_or_default();
    let absent = Absent { kind, name, dependents: dependents(rows) };
    let description = format!("The {kind} {name} is not in this registry");
    let html = render(maker, "absent.html", &key, (name, &description), Rest { absent })?;
    Ok(vec![file(key, html)])
}
