//! The web site: static pages, made from templates. A page for each package, lists, a home page, feeds, sitemaps, and the files
//! that the search in the page reads.
//!
//! What is shown of several packages at once goes through **groups**: a package puts a row into each group that it belongs to,
//! the rows of a group are one file (`site/<group>.json`), and what the group's pages show follows from its rows. So one release
//! more touches the groups of its package and no others; `publish/views/site.rs` reads their rows, changes those, and writes.

mod draw;
mod feed;
mod group;
mod laid;
mod package;
mod page;
mod parts;
mod place;
mod readme;
mod search;
mod template;
mod trial;

use super::{CargoDependencies, File, View, ViewOptions};
use crate::{
    Error,
    format::{PackageLines, keys},
    package::{Kind, Record, Timestamp},
};
use bytes::Bytes;
pub(crate) use group::{ALWAYS, Broken, Rows, RowsOf, level, parent, read_state, rows, summary, write_state};
pub(crate) use laid::{Laid, lay};
pub(crate) use package::More;
pub(crate) use parts::{Change, Grown, Known, Not, all, changed};
pub(crate) use place::{Entry, Layout, Part};
use std::sync::Arc;
pub use template::Theme;
pub(crate) use template::{MAX_THEME, Templates};

/// What a web site is called, and what it looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteOptions {
    /// What it is called; by default, the registry's origin.
    pub title: Option<String>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Its templates and assets.
    pub theme: Theme,
}

/// What the search in the page knows of a package.
pub(crate) struct Facts {
    /// Its name as its author writes it.
    pub(crate) label: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) keywords: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) downloads: Option<u64>,
    /// No release is left that is not yanked.
    pub(crate) yanked: bool,
}

/// The state of a registry that is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) generation: u64,
    pub(crate) created: Timestamp,
    pub(crate) origin: String,
    /// The registry's public key.
    pub(crate) key: String,
}

/// Makes the files of the site.
pub(crate) struct Maker {
    templates: Templates,
    site: page::Site,
    shown: Shown,
    /// Of which programs there are install lines.
    cargo: bool,
    ggen: bool,
    dependencies: CargoDependencies,
    /// By which dependencies may name this registry.
    own_index: String,
}

impl Maker {
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] where no address is set.
    pub(crate) fn new(options: &ViewOptions, shown: Shown) -> Result<Self, Error> {
        let base = options.address(View::Site)?.to_owned();
        let title = options.site.title.clone().unwrap_or_else(|| shown.origin.clone());
        let description =
            options.site.description.clone().unwrap_or_else(|| format!("The packages of {}", shown.origin));
        Ok(Self {
            templates: options.site.theme.templates()?,
            site: page::Site { title, description, origin: shown.origin.clone(), base },
            cargo: options.views.contains(&View::Cargo),
            ggen: options.views.contains(&View::Ggen),
            dependencies: options.cargo_dependencies,
            own_index: options.cargo_index()?,
            shown,
        })
    }

    /// The files that depend on the settings alone.
    pub(crate) fn fixed(&self, theme: &Theme) -> Result<Vec<File>, Error> {
        let mut files = vec![
            file(keys::site::MISSING, self.missing()?),
            file(keys::site::SEARCH, page::search(self)?),
            file(keys::site::ROBOTS, feed::robots(&self.site.base)),
            file(keys::site::OPENSEARCH, feed::opensearch(&self.site)),
        ];
        files.extend(theme.assets().map(|(key, bytes)| File { key: key.to_owned(), bytes }));
        Ok(files)
    }

    /// What stands in the place of a page that shows nothing any more: nothing is ever deleted.
    pub(crate) fn missing(&self) -> Result<Bytes, Error> {
        page::missing(self)
    }

    /// The files of a group that is kept as a whole.
    pub(crate) fn group(&self, group: &str, rows: &Rows) -> Result<Vec<File>, Broken> {
        group::files(self, group, rows)
    }

    /// The page and the feed of a package with these dependents.
    pub(crate) fn package(&self, package: &Parsed, more: &More<'_>) -> Result<Vec<File>, Error> {
        package::package(self, package, more)
    }

    /// The page of a package that is not here, though packages here want it.
    pub(crate) fn absent(&self, label: &str, wanted_by: Option<&Part>) -> Result<Vec<File>, Error> {
        page::absent(self, label, wanted_by)
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.site.base)
    }
}

fn file(key: impl Into<String>, bytes: impl Into<Bytes>) -> File {
    File { key: key.into(), bytes: bytes.into() }
}

/// A release, as `kind:name@version`, and why it is not shown.
pub(crate) type Unread = (String, String);

/// A package whose records were read.
pub(crate) struct Parsed {
    /// `<kind>/<normalised name>`.
    pub(crate) label: Arc<str>,
    /// The first two digits of its place in the index.
    bucket: String,
    /// In the order of their versions.
    records: Vec<Record>,
    /// Releases that could not be read, and why.
    pub(crate) unread: Vec<Unread>,
}

impl Parsed {
    /// `None` where no record can be read by this program, so that there is nothing to show.
    pub(crate) fn new(package: &PackageLines) -> Option<Self> {
        // Of a kind that this program does not know, nothing is shown.
        package.label.split_once('/')?.0.parse::<Kind>().ok()?;
        let mut out = Self {
            label: Arc::clone(&package.label),
            bucket: hex::encode(&package.key.0[..1]),
            records: Vec::with_capacity(package.lines.len()),
            unread: Vec::new(),
        };
        for line in &package.lines {
            match line.record() {
                Ok(record) => out.records.push(record),
                Err(e) => {
                    let what = format!("{}@{}", out.label.replacen('/', ":", 1), line.version);
                    out.unread.push((what, e.to_string()));
                }
            }
        }
        (!out.records.is_empty()).then_some(out)
    }

    /// The release that stands for the package: the newest that is neither yanked nor removed, a pre-release only for want of
    /// another; else the newest that was not removed.
    fn present(&self) -> Option<&Record> {
        let available = || self.records.iter().rev().filter(|r| r.is_available());
        let newest = available().find(|r| !r.version.is_prerelease()).or_else(|| available().next());
        newest.or_else(|| self.records.iter().rev().find(|r| r.removed.is_none()))
    }

    /// The release that its page is about: also of a package of which all was removed there is one.
    pub(crate) fn shown(&self) -> Option<&Record> {
        self.present().or(self.records.last())
    }
}
