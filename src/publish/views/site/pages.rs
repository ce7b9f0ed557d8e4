//! The pages of packages: what they take is read, they are rendered, and written.

use super::Label;
use crate::{
    Result, cpu,
    format::PackageLines,
    package::Sha256,
    publish::{
        registry::Registry,
        views::{Attempt, shelf::Shelf},
    },
    view::{
        File, Note, View,
        site::{Maker, More, Parsed, Part, Unread},
    },
};
use rayon::prelude::*;
use std::{collections::HashSet, sync::Arc};

/// So many pages are in memory as files at once: few enough to be still in the processor's caches when they are written.
const LOT: usize = 128;

impl Attempt<'_> {
    /// Renders pages of packages, and writes them.
    pub(super) async fn write_pages(
        &mut self,
        registry: &Registry,
        maker: &Arc<Maker>,
        mut wanted: Vec<Wanted>,
        (fresh, made): (bool, &mut Option<HashSet<String>>),
    ) -> Result<bool> {
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(LOT));
            let lot = std::mem::replace(&mut wanted, rest);
            let read: Vec<Read> = cpu::run(move || lot.into_par_iter().map(Read::new).collect()).await;
            self.shelf.fetch(registry, read.iter().filter_map(Read::place).collect()).await?;
            let (maker, shelf) = (Arc::clone(maker), self.shelf.clone());
            let render = move || read.into_par_iter().map(|r| r.render(&maker, &shelf)).collect::<Result<Vec<_>>>();
            let rendered = cpu::run(render).await?;
            let mut files = Vec::with_capacity(2 * rendered.len());
            for (more, unread) in rendered {
                files.extend(more);
                self.report.notes.extend(unread.into_iter().map(|(what, why)| Note { view: View::Site, what, why }));
            }
            if !self.write_made(registry, files, (fresh, made)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A page that is to be rendered.
pub(super) struct Wanted {
    pub(super) label: Label,
    /// None: it is not in the registry.
    pub(super) package: Option<Arc<PackageLines>>,
    pub(super) downloads: Option<u64>,
    /// Of those that depend on it, the first part.
    pub(super) dependents: Option<Part>,
}

/// With its records parsed.
struct Read {
    wanted: Wanted,
    parsed: Option<Parsed>,
}

impl Read {
    fn new(wanted: Wanted) -> Self {
        let parsed = wanted.package.as_deref().and_then(Parsed::new);
        Self { wanted, parsed }
    }

    /// Where the detail of the release that is shown stands.
    fn place(&self) -> Option<Sha256> {
        self.parsed.as_ref().and_then(Parsed::shown).and_then(Shelf::place)
    }

    /// Its files, and what of it could not be read.
    fn render(self, maker: &Maker, shelf: &Shelf) -> Result<(Vec<File>, Vec<Unread>)> {
        let Wanted { label, package, downloads, dependents } = &self.wanted;
        let Some(parsed) = &self.parsed else {
            // Of a kind that this program does not know, nothing is shown.
            return Ok((
                if package.is_some() { Vec::new() } else { maker.absent(label, dependents.as_ref())? },
                Vec::new(),
            ));
        };
        let mut unread = parsed.unread.clone();
        let detail = parsed.shown().and_then(|record| {
            let detail = shelf.find(record).transpose();
            detail.unwrap_or_else(|e| {
                let what = format!("{}@{}", label.replacen('/', ":", 1), record.version);
                unread.push((what, e.to_string()));
                None
            })
        });
        let more = More { detail: detail.as_ref(), downloads: *downloads, dependents: dependents.as_ref() };
        Ok((maker.package(parsed, &more)?, unread))
    }
}
