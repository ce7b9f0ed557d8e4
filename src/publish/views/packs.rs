//! ggen's view: each release of a pack is looked into, hashed and signed; the catalogue is carried on from the one before.

use super::{Attempt, Changed, STRETCH, shelf::Shelf};
use crate::{
    Error, Result, cpu,
    format::keys,
    package::{Link, Sha256},
    publish::registry::Registry,
    trust::Shown,
    view::{
        File, Note, View,
        ggen::{self, Known, Made, Rows, Wanted},
    },
};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

/// So many archives are looked into at once.
const PARALLEL: usize = 16;

/// The details of so many releases are in memory at once.
const LOT: usize = 128;

/// Rows of the catalogue for packs that were looked at, by normalised name; none for a pack that has nothing to offer.
pub(super) type NewRows = Vec<(String, Option<Value>)>;

impl Attempt<'_> {
    /// The files of these packages, and their rows.
    pub(super) async fn render_packs(&mut self, registry: &Registry, changed: &[Changed]) -> Result<Vec<File>> {
        let address = self.settings.address(self.view)?;
        let mut files = Vec::new();
        let mut all = Vec::new();
        for Changed { package, olds, .. } in changed {
            let Some(name) = package.label.strip_prefix("pack/") else { continue };
            let wanted = ggen::wanted(package, olds.as_deref(), &mut self.report.notes);
            if !wanted.iter().any(Wanted::is_newest) {
                self.rows.push((name.to_owned(), None));
            }
            all.extend(wanted.into_iter().map(|w| (name.to_owned(), w)));
        }
        while !all.is_empty() {
            let rest = all.split_off(all.len().min(LOT));
            let lot = std::mem::replace(&mut all, rest);
            self.shelf.fetch(registry, lot.iter().filter_map(|(_, w)| Shelf::place(&w.record)).collect()).await?;
            let looks: Vec<_> = lot
                .into_iter()
                .map(|(name, wanted)| {
                    let known = self.known(&wanted);
                    async move {
                        let known = look_into(registry, &wanted, known).await?;
                        Ok::<_, Error>((name, wanted.is_newest(), ggen::make(&wanted, &known, address)))
                    }
                })
                .collect();
            let mut made = futures::stream::iter(looks).buffered(PARALLEL);
            while let Some((name, newest, Made { files: more, row, notes })) = made.try_next().await? {
                files.extend(more);
                if newest {
                    self.rows.push((name, row));
                    self.report.notes.extend(notes);
                }
            }
        }
        Ok(files)
    }

    /// What its detail says of a release.
    fn known(&mut self, wanted: &Wanted) -> Known {
        let detail = self.shelf.find(&wanted.record).transpose().unwrap_or_else(|e| {
            let what = format!("pack:{}@{}", wanted.record.name, wanted.record.version);
            self.report.notes.push(Note { view: View::Ggen, what, why: e.to_string() });
            None
        });
        Known { detail, ..Known::default() }
    }

    /// Writes the catalogue, after everything that it leads to, and gives its digest. `None` when the registry went on.
    pub(super) async fn write_catalogue(&mut self, registry: &Registry, before: &Shown) -> Result<Option<Sha256>> {
        let left_out = Sha256::of(b"");
        if before.carries == Some(left_out) && !self.report.whole {
            // There were too many packs, and it takes a look at all to know that there are not.
            return Ok(Some(left_out));
        }
        if self.rows.is_empty()
            && !self.report.whole
            && let Some(digest) = before.carries
        {
            return Ok(Some(digest));
        }
        let rows = std::mem::take(&mut self.rows);
        let carried = match before.carries.filter(|_| !self.report.whole) {
            Some(digest) => self.carried(registry, &digest).await?,
            None => None,
        };
        let rows = match carried {
            Some(mut carried) => {
                for (name, row) in rows {
                    match row {
                        Some(row) => drop(carried.insert(name, row)),
                        None => drop(carried.remove(&name)),
                    }
                }
                carried
            }
            None if self.report.whole => rows.into_iter().filter_map(|(name, row)| Some((name, row?))).collect(),
            None => self.all_rows(registry).await?,
        };
        let (file, note) = ggen::catalogue(&rows);
        self.report.notes.extend(note);
        let digest = Sha256::of(&file.bytes);
        Ok(self.write(registry, vec![file], self.first).await?.then_some(digest))
    }

    /// The rows of the catalogue that is there, if it is the one that was written last.
    async fn carried(&self, registry: &Registry, digest: &Sha256) -> Result<Option<Rows>> {
        let there = registry.store.view_file(keys::CATALOGUE).await?;
        Ok(there.and_then(|there| ggen::read(&there.bytes, digest)))
    }

    /// The rows of all packs, worked out anew.
    async fn all_rows(&mut self, registry: &Registry) -> Result<Rows> {
        let mut rows = Rows::new();
        for entries in self.head.tree.top.entries().chunks(STRETCH) {
            let packages = registry.below(entries.to_vec()).await?;
            // As if no file had changed: only the rows are made.
            let same = |package| Changed { olds: Some(Vec::new()), ..Changed::wholly(package) };
            let changed: Vec<_> = packages.into_iter().map(same).collect();
            self.render_packs(registry, &changed).await?;
            rows.extend(std::mem::take(&mut self.rows).into_iter().filter_map(|(name, row)| Some((name, row?))));
        }
        Ok(rows)
    }
}

/// Reads the archive of a release, and signs it.
async fn look_into(registry: &Registry, wanted: &Wanted, mut known: Known) -> Result<Known> {
    let record = &wanted.record;
    if wanted.has_archive() && record.archive.size <= ggen::MAX_ARCHIVE {
        let link = Link { raw: None, sha256: record.archive.sha256, size: record.archive.size };
        let _room = registry.store.take_room(link.size).await?;
        let bytes = registry.store.get_linked(&link, ggen::MAX_ARCHIVE).await?;
        known.signature = registry.key.sign_archive(&bytes);
        match cpu::run(move || ggen::facts(&bytes)).await {
            Ok(facts) => known.facts = Some(facts),
            // It was let in by rules that may leave more room than these.
            Err(e) => known.unread = Some(e.to_string()),
        }
    }
    Ok(known)
}
