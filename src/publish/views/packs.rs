//! ggen's view: each release of a pack is looked into, hashed and signed; the catalogue is carried on from the one before.

use super::{Attempt, Changed, STRETCH};
use crate::{
    Error, Result, cpu,
    format::{self, FormatError, keys, limits},
    package::{Detail, Link, Sha256},
    publish::registry::Registry,
    store::Store,
    trust::Shown,
    view::{
        File,
        ggen::{self, Known, Made, Rows, Wanted},
    },
};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

/// So many archives are looked into at once.
const PARALLEL: usize = 16;

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
        let looks: Vec<_> = all
            .into_iter()
            .map(|(name, wanted)| async move {
                let known = look_into(registry, &wanted).await?;
                Ok::<_, Error>((name, wanted.is_newest(), ggen::make(&wanted, &known, address)))
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
        Ok(files)
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

/// Reads a detail.
pub(super) async fn detail(registry: &Registry, link: &Link) -> Result<Detail> {
    let bytes = registry.store.get_linked(link, limits::NODE).await?;
    let (store, link) = (registry.store.clone(), *link);
    cpu::run(move || open_detail(&store, &link, &bytes)).await
}

/// A detail, from its verified bytes.
pub(super) fn open_detail(store: &Store, link: &Link, bytes: &[u8]) -> Result<Detail> {
    let place = || store.place(&keys::blob(&link.sha256));
    let raw = link.raw.unwrap_or(link.size);
    if raw > limits::NODE_RAW {
        return Err(FormatError::TooLarge { size: raw, max: limits::NODE_RAW }.at(place()));
    }
    let raw = format::unpack(bytes, link).map_err(|e| e.at(place()))?;
    serde_json::from_slice(&raw)
        .map_err(|e| FormatError::Malformed { what: "detail", reason: e.to_string() }.at(place()))
}

/// Reads what a release links to, and signs its archive.
async fn look_into(registry: &Registry, wanted: &Wanted) -> Result<Known> {
    let record = &wanted.record;
    let mut known = Known::default();
    if record.removed.is_some() {
        return Ok(known);
    }
    if let Some(link) = &record.detail {
        known.detail = Some(detail(registry, link).await?);
    }
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
