//! The page of a package, and what its template is given.

use super::{
    Maker, Parsed, feed, file, group,
    page::{Dependents, dependents, render},
    place::Part,
    readme,
};
use crate::{
    Error,
    format::keys,
    package::{ArchiveFormat, Dependency, DependencyKind, Detail, Kind, Record, Timestamp},
    view::{CargoDependencies, File, ViewOptions},
};
use minijinja::Value as Safe;
use serde::Serialize;
use serde_json::json;

/// What stands on the page of a package besides its records.
pub(crate) struct More<'a> {
    /// The detail of the release that is shown.
    pub(crate) detail: Option<&'a Detail>,
    pub(crate) downloads: Option<u64>,
    /// Of the packages that depend on it, the first part.
    pub(crate) dependents: Option<&'a Part>,
}
#[derive(Serialize)]
struct Named {
    name: String,
    href: String,
}

#[derive(Serialize)]
struct Weblink {
    what: &'static str,
    href: String,
}

#[derive(Serialize)]
struct ArchiveContext {
    sha256: String,
    size: u64,
    size_text: String,
    href: String,
    format: &'static str,
    external: bool,
}

#[derive(Serialize)]
struct Signature<'a> {
    registry: bool,
    key: &'a str,
    publishers: usize,
}

#[derive(Serialize)]
struct Mark<'a> {
    reason: Option<&'a str>,
    time: Timestamp,
}

#[derive(Serialize)]
struct Install {
    tool: &'static str,
    text: String,
}

#[derive(Serialize)]
struct VersionContext<'a> {
    version: String,
    published: Timestamp,
    yanked: Option<Mark<'a>>,
    removed: Option<Mark<'a>>,
    size_text: String,
    sha256: String,
    href: Option<String>,
    prerelease: bool,
}

#[derive(Serialize)]
struct DependencyContext<'a> {
    name: &'a str,
    req: &'a str,
    kind: DependencyKind,
    optional: bool,
    target: Option<&'a str>,
    features: &'a [String],
    href: Option<String>,
    registry: Option<&'a str>,
}

#[derive(Serialize)]
struct ExternalContext<'a> {
    ecosystem: &'a str,
    name: &'a str,
    req: &'a str,
}

#[derive(Serialize)]
struct Feature<'a> {
    name: &'a str,
    enables: &'a [String],
}

#[derive(Serialize)]
struct PackageContext<'a> {
    kind: Kind,
    name: &'a str,
    version: String,
    summary: &'a str,
    license: Option<&'a str>,
    rust_version: Option<&'a str>,
    published: Timestamp,
    downloads: Option<u64>,
    keywords: Vec<Named>,
    categories: Vec<Named>,
    links: Vec<Weblink>,
    readme: Option<Safe>,
    archive: Option<ArchiveContext>,
    signature: Signature<'a>,
    yanked: Option<Mark<'a>>,
    removed: Option<Mark<'a>>,
    install: Vec<Install>,
    versions: Vec<VersionContext<'a>>,
    dependencies: Vec<DependencyContext<'a>>,
    external: Vec<ExternalContext<'a>>,
    features: Vec<Feature<'a>>,
    dependents: Dependents,
    feed: String,
}

/// `1.2 MB`.
fn size_text(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    // In tenths of a unit, rounded.
    let (mut tenths, mut unit) = ((n + 50) / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

fn yank(record: &Record) -> Option<Mark<'_>> {
    record.yanked.as_ref().map(|y| Mark { reason: y.reason.as_deref(), time: y.time })
}

fn removal(record: &Record) -> Option<Mark<'_>> {
    record.removed.as_ref().map(|r| Mark { reason: r.reason.as_deref(), time: r.time })
}

fn version(record: &Record) -> VersionContext<'_> {
    let here = record.archive.url.is_none() && record.removed.is_none();
    VersionContext {
        version: record.version.to_string(),
        published: record.published,
        yanked: yank(record),
        removed: removal(record),
        size_text: size_text(record.archive.size),
        sha256: record.archive.sha256.to_string(),
        href: here.then(|| keys::blob(&record.archive.sha256)),
        prerelease: record.version.is_prerelease(),
    }
}

fn dependency<'a>(maker: &Maker, record: &Record, dependency: &'a Dependency) -> DependencyContext<'a> {
    let elsewhere = dependency.registry.as_deref().filter(|r| *r != maker.own_index);
    let crates_io = record.kind == Kind::Crate && maker.dependencies == CargoDependencies::CratesIo;
    let named = |r: &'a str| {
        if r.contains("github.com/rust-lang/crates.io-index") || r.contains("//index.crates.io") {
            "crates.io"
        } else {
            r
        }
    };
    DependencyContext {
        name: dependency.name.as_str(),
        req: &dependency.req,
        kind: dependency.kind,
        optional: dependency.optional,
        target: dependency.target.as_deref(),
        features: &dependency.features,
        href: group::target(maker, record, dependency).map(|label| keys::site::page(&label)),
        registry: elsewhere.map(named).or((dependency.registry.is_none() && crates_io).then_some("crates.io")),
    }
}

/// The lines by which people get it.
fn install(maker: &Maker, record: &Record) -> Vec<Install> {
    let (name, version) = (&record.name, &record.version);
    if record.removed.is_some() {
        return Vec::new();
    }
    let mut out =
        vec![Install { tool: "ggen-market", text: format!("ggen-market install {}:{name}@{version}", record.kind) }];
    if record.kind == Kind::Crate
        && maker.cargo
        && record.archive.url.is_none()
        && record.archive.format == ArchiveFormat::Crate
    {
        let registry = ViewOptions::cargo_name(&maker.site.origin);
        out.push(Install { tool: "cargo", text: format!("cargo add --registry {registry} {name}@{version}") });
    }
    if record.kind == Kind::Pack && maker.ggen {
        out.push(Install { tool: "ggen", text: format!("ggen packs install {}", name.as_str().to_ascii_lowercase()) });
    }
    out
}

fn links(detail: Option<&Detail>) -> Vec<Weblink> {
    let Some(detail) = detail else { return Vec::new() };
    let all =
        [("homepage", &detail.homepage), ("repository", &detail.repository), ("documentation", &detail.documentation)];
    all.into_iter()
        .filter_map(|(what, url)| Some(Weblink { what, href: readme::web_address(url.as_deref()?)? }))
        .collect()
}

fn named(what: &str, texts: &[String]) -> Vec<Named> {
    let mut seen = std::collections::HashSet::new();
    let all = texts.iter().map(|t| t.trim()).filter(|t| !t.is_empty()).map(|t| (group::slug(t), t));
    let once = all.filter(|(slug, _)| seen.insert(slug.clone()));
    once.map(|(slug, name)| Named { name: name.to_owned(), href: keys::site::list(what, &slug, "") }).collect()
}

/// A JSON document that may stand in an element `script`: nothing in it ends that, or begins a comment.
fn json_in_script(value: &serde_json::Value) -> String {
    let mut out = value.to_string();
    let escaped =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    for (from, to) in escaped {
        if out.contains(from) {
            out = out.replace(from, to);
        }
    }
    out
}

fn json_ld(maker: &Maker, label: &str, context: &PackageContext<'_>) -> Safe {
    let mut document = json!({
        "@context": "https://schema.org",
        "@type": "SoftwareSourceCode",
        "name": context.name,
        "url": maker.url(&keys::site::page(label)),
        "version": context.version,
        "dateModified": context.published,
    });
    let link = |what: &str| context.links.iter().find(|l| l.what == what).map(|l| l.href.clone());
    let words: Vec<_> = context.keywords.iter().map(|k| k.name.clone()).collect();
    let texts = [
        ("description", Some(context.summary.to_owned()).filter(|s| !s.is_empty())),
        ("license", context.license.map(str::to_owned)),
        ("codeRepository", link("repository")),
        ("keywords", Some(words.join(", ")).filter(|w| !w.is_empty())),
        ("programmingLanguage", (context.kind == Kind::Crate).then(|| "Rust".to_owned())),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            document[name] = text.into();
        }
    }
    Safe::from_safe_string(json_in_script(&document))
}

pub(super) fn package(maker: &Maker, package: &Parsed, more: &More<'_>) -> Result<Vec<File>, Error> {
    let Some(shown) = package.shown() else { return Ok(Vec::new()) };
    let (label, detail) = (&*package.label, more.detail);
    let external = shown.archive.url.as_deref();
    let href = match external {
        None => Some(keys::blob(&shown.archive.sha256)),
        Some(url) => readme::web_address(url),
    };
    let archive = href.filter(|_| shown.removed.is_none()).map(|href| ArchiveContext {
        sha256: shown.archive.sha256.to_string(),
        size: shown.archive.size,
        size_text: size_text(shown.archive.size),
        href,
        format: shown.archive.format.extension(),
        external: external.is_some(),
    });
    let text = detail.and_then(|d| readme::html(d.readme.as_ref(), d.description.as_deref(), d.repository.as_deref()));
    let context = PackageContext {
        kind: shown.kind,
        name: shown.name.as_str(),
        version: shown.version.to_string(),
        summary: &shown.summary,
        license: shown.license.as_deref(),
        rust_version: shown.rust_version.as_deref(),
        published: shown.published,
        downloads: more.downloads,
        keywords: named("k", &shown.keywords),
        categories: named("c", &shown.categories),
        links: links(detail),
        readme: text.map(Safe::from_safe_string),
        archive,
        signature: Signature { registry: true, key: &maker.shown.key, publishers: shown.signatures.len() },
        yanked: yank(shown),
        removed: removal(shown),
        install: install(maker, shown),
        versions: package.records.iter().rev().map(version).collect(),
        dependencies: shown.dependencies.iter().map(|d| dependency(maker, shown, d)).collect(),
        external: shown
            .external
            .iter()
            .map(|e| ExternalContext { ecosystem: &e.ecosystem, name: &e.name, req: e.req.as_deref().unwrap_or("") })
            .collect(),
        features: shown.features.iter().map(|(name, enables)| Feature { name, enables }).collect(),
        dependents: dependents(more.dependents),
        feed: keys::site::feed(label),
    };
    #[derive(Serialize)]
    struct Rest<'a> {
        package: PackageContext<'a>,
        jsonld: Safe,
    }
    let jsonld = json_ld(maker, label, &context);
    let description =
        if shown.summary.is_empty() { format!("The {} {}", shown.kind, shown.name) } else { shown.summary.clone() };
    let title = format!("{} {}", shown.name, shown.version);
    let key = keys::site::page(label);
    let html = render(maker, "package.html", &key, (&title, &description), Rest { package: context, jsonld })?;
    let name = shown.name.to_string();
    Ok(vec![file(key, html), file(keys::site::feed(label), feed::package(maker, label, &name, &package.records))])
}
