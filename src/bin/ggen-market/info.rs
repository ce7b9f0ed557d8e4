//! `info`: what a package is, on one page.

use crate::{
    args::Lookup,
    failure::{Code, Failure},
    json::{self, Which},
    output::{bytes, clean},
    settings::Settings,
};
use ggen_marketplace::{
    Package, SnapshotReader,
    package::{Dependency, DependencyKind, External, PackageSpec, Record, Version},
};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    origin: &'a str,
    generation: u64,
    #[serde(flatten)]
    package: Which,
    /// The version to take when nobody says which.
    newest: Option<&'a Version>,
    versions: u64,
    yanked: u64,
    removed: u64,
    /// The release that the page is about.
    release: Option<&'a Record>,
    skipped: &'a [String],
}

pub(crate) async fn run(args: &Lookup, settings: &Settings) -> Result<Code, Failure> {
    let reader = settings.snapshot(&args.state).await?;
    let package = reader.find(&args.package).await?;
    let release = match &args.package.version {
        Some(_) => {
            Some(reader.find_release(&PackageSpec { kind: Some(package.id.kind()), ..args.package.clone() }).await?)
        }
        None => json::to_show(&package).cloned(),
    };
    if settings.ui.json {
        settings.ui.document(&document(&reader, &package, release.as_ref()))?;
    } else {
        let page = page(&reader, &package, release.as_ref());
        let title = settings.ui.bold(&page.0).into_owned();
        settings.ui.write(|out| write!(out, "{title}\n{}", page.1))?;
    }
    Ok(Code::Done)
}

fn document<'a>(reader: &'a SnapshotReader, package: &'a Package, release: Option<&'a Record>) -> Document<'a> {
    let (yanked, removed) = marks(package);
    Document {
        origin: &reader.snapshot().origin,
        generation: reader.generation(),
        package: Which::of(package),
        newest: package.newest().map(|r| &r.version),
        versions: package.releases.len() as u64,
        yanked,
        removed,
        release,
        skipped: &package.skipped,
    }
}

fn marks(package: &Package) -> (u64, u64) {
    let count = |f: fn(&&Record) -> bool| package.releases.iter().filter(f).count() as u64;
    (count(|r| r.yanked.is_some() && r.removed.is_none()), count(|r| r.removed.is_some()))
}

/// The title and the rest of the page.
fn page(reader: &SnapshotReader, package: &Package, release: Option<&Record>) -> (String, String) {
    let mut page = Page(String::new());
    let mut title = Which::of(package).to_string();
    if let Some(r) = release {
        title += &format!(" {}", r.version);
        if !r.summary.is_empty() {
            page.0 += &format!("{}\n", clean(&r.summary));
        }
        page.0.push('\n');
        page.row("note", &json::note(r));
        page.release(r);
    }
    let (yanked, removed) = marks(package);
    let marks = [(yanked, "yanked"), (removed, "removed")].into_iter().filter(|(n, _)| *n > 0);
    let marks: Vec<_> = marks.map(|(n, what)| format!("{n} {what}")).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    page.row("versions", &format!("{}{marks}", package.releases.len()));
    if release.map(|r| &r.version) != package.newest().map(|r| &r.version) {
        page.row("newest", &package.newest().map_or_else(|| "none".into(), |r| r.version.to_string()));
    }
    for reason in &package.skipped {
        page.row("not read", reason);
    }
    page.row("registry", &format!("{}, generation {}", reader.snapshot().origin, reader.generation()));
    (title, page.0)
}

/// A page of labelled lines.
pub(crate) struct Page(pub(crate) String);

impl Page {
    /// A line, where there is something to say.
    pub(crate) fn row(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.0 += &format!("{label:<13} {}\n", clean(value));
        }
    }

    /// What a record says.
    pub(crate) fn release(&mut self, r: &Record) {
        self.row("license", r.license.as_deref().unwrap_or_default());
        self.row("keywords", &r.keywords.join(", "));
        self.row("categories", &r.categories.join(", "));
        self.row("rust", r.rust_version.as_deref().unwrap_or_default());
        self.row("published", &r.published.to_string());
        self.row("size", &bytes(r.archive.size));
        self.row("sha256", &r.archive.sha256.to_string());
        self.row("hosted at", r.archive.url.as_deref().unwrap_or_default());
        let of = |kind| r.dependencies.iter().filter(move |d| d.kind == kind);
        self.list("dependencies", of(DependencyKind::Normal).map(dependency));
        self.list("to build", of(DependencyKind::Build).map(dependency));
        self.list("external", r.external.iter().map(external));
    }

    /// One line for each item.
    pub(crate) fn list(&mut self, label: &str, items: impl Iterator<Item = String>) {
        for (i, item) in items.enumerate() {
            self.row(if i == 0 { label } else { "" }, &item);
        }
    }
}

pub(crate) fn dependency(d: &Dependency) -> String {
    let mut notes = Vec::new();
    notes.extend(d.optional.then(|| "optional".to_owned()));
    notes.extend(d.alias.as_ref().map(|a| format!("as {a}")));
    notes.extend((!d.default_features).then(|| "no default features".to_owned()));
    notes.extend((!d.features.is_empty()).then(|| format!("features {}", d.features.join(", "))));
    notes.extend(d.target.as_ref().map(|t| format!("on {t}")));
    notes.extend(d.registry.as_ref().map(|r| format!("from {r}")));
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("{} {}{notes}", d.name, d.req)
}

pub(crate) fn external(e: &External) -> String {
    let req = e.req.as_ref().map(|r| format!(" {r}")).unwrap_or_default();
    format!("{}:{}{req}{}", e.ecosystem, e.name, if e.optional { " (optional)" } else { "" })
}
