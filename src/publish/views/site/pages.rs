//! The pages of packages: what they take is read, they are rendered, and written.

use super::{Label, packs};
use crate::{
    Result, cpu,
    format::{PackageLines, limits},
    package::Link,
    publish::{registry::Registry, views::Attempt},
    store::Store,
    view::{
        File, Note, View,
        site::{Maker, More, Parsed, Part, Unread},
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use rayon::prelude::*;
use std::{collections::HashSet, sync::Arc};

/// So many pages are in memory as files at once: few enough to be still in the processor's caches when they are written.
const LOT: usize = 128;

/// So many details are read at once.
const PARALLEL: usize = 16;

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
            let store = registry.store.clone();
            let read: Vec<Read> =
                cpu::run(move || lot.into_par_iter().map(|wanted| Read::here(&store, wanted)).collect()).await;
            let reads: Vec<_> = read.into_iter().map(|read| read.complete(registry)).collect();
            let read: Vec<Read> = futures::stream::iter(reads).buffered(PARALLEL).try_collect().await?;
            let (maker, store) = (Arc::clone(maker), registry.store.clone());
            let render = move || read.into_par_iter().map(|r| r.render(&maker, &store)).collect::<Result<Vec<_>>>();
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

/// With all that it takes.
struct Read {
    wanted: Wanted,
    parsed: Option<Parsed>,
    /// The detail of the release that is shown, as it is stored.
    detail: Option<(Link, Option<Bytes>)>,
}

impl Read {
    /// With what can be read without asking anybody. (A task and a thread for each small file took longer than all else.)
    fn here(store: &Store, wanted: Wanted) -> Self {
        let parsed = wanted.package.as_deref().and_then(Parsed::new);
        let link = parsed.as_ref().and_then(Parsed::shown).filter(|r| r.removed.is_none()).and_then(|r| r.detail);
        let detail = link.map(|link| (link, store.get_here(&link, limits::NODE).map(Bytes::from)));
        Self { wanted, parsed, detail }
    }

    async fn complete(mut self, registry: &Registry) -> Result<Self> {
        if let Some((link, bytes @ None)) = &mut self.detail {
            *bytes = Some(registry.store.get_linked(link, limits::NODE).await?);
        }
        Ok(self)
    }

    /// Its files, and what of it could not be read.
    fn render(self, maker: &Maker, store: &Store) -> Result<(Vec<File>, Vec<Unread>)> {
        let Wanted { label, package, downloads, dependents } = &self.wanted;
        let Some(parsed) = &self.parsed else {
            // Of a kind that this program does not know, nothing is shown.
            return Ok((
                if package.is_some() { Vec::new() } else { maker.absent(label, dependents.as_ref())? },
                Vec::new(),
            ));
        };
        let detail = match &self.detail {
            Some((link, Some(bytes))) => Some(packs::open_detail(store, link, bytes)?),
            _ => None,
        };
        let more = More { detail: detail.as_ref(), downloads: *downloads, dependents: dependents.as_ref() };
        Ok((maker.package(parsed, &more)?, parsed.unread.clone()))
    }
}
