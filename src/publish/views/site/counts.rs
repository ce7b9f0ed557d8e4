//! How often packages were downloaded: the search index knows, and nothing else does.

use crate::{
    ErrorKind, Result, cpu,
    format::SearchBundle,
    publish::{registry::Registry, views::Attempt},
    search,
    store::is_absent,
    trust::Shows,
};
use std::collections::BTreeMap;

/// Download counts, by label.
pub(super) type Counts = BTreeMap<String, u64>;

/// What is known of downloads without a look at the whole search index.
#[derive(Default)]
pub(super) struct Recounted {
    /// Counts that were met.
    pub(super) known: Counts,
    /// Packages whose count differs from that in some of the states, and the numbers of those.
    pub(super) differ: BTreeMap<String, Vec<usize>>,
}

impl Attempt<'_> {
    /// How often these packages were downloaded, as far as anybody told.
    pub(super) async fn counts_of(&self, registry: &Registry, labels: Vec<String>) -> Result<Counts> {
        let cited = &self.head.snapshot.search;
        if cited.is_empty() || labels.is_empty() {
            return Ok(Counts::new());
        }
        let opened = registry.open_bundles(cited, labels.len()).await?;
        let located = search::locate(&registry.store, &opened, labels).await?;
        Ok(located
            .into_iter()
            .filter(|(_, l)| l.document.downloads > 0)
            .map(|(k, l)| (k, l.document.downloads))
            .collect())
    }

    /// What the search index says of downloads otherwise than it did in these states; `None` where that cannot be told.
    pub(super) async fn recounted(&self, registry: &Registry, bases: &[Shows]) -> Result<Option<Recounted>> {
        let mut out = Recounted::default();
        let new = &self.head.snapshot.search;
        for (number, base) in bases.iter().enumerate() {
            let Some(old) = registry.snapshot_of(&base.snapshot).await? else { return Ok(None) };
            let old = old.search;
            let other = |of: &[_], than: &[SearchBundle]| -> Vec<SearchBundle> {
                of.iter().filter(|b: &&SearchBundle| !than.iter().any(|t| t.link == b.link)).copied().collect()
            };
            let (added, dropped) = (other(new, &old), other(&old, new));
            if added.is_empty() && dropped.is_empty() {
                continue;
            }
            if old.is_empty() != new.is_empty() {
                return Ok(None);
            }
            let after = all_counts(registry, &added).await?;
            let Some(before) = readable(all_counts(registry, &dropped).await)? else { return Ok(None) };
            let mut rest = Vec::new();
            for (label, count) in &after {
                match before.get(label) {
                    Some(before) if before == count => {}
                    Some(_) => out.differ.entry(label.clone()).or_default().push(number),
                    None => rest.push(label.clone()),
                }
            }
            if !rest.is_empty() {
                let opened = readable(registry.open_bundles(&old, rest.len()).await)?;
                let Some(opened) = opened else { return Ok(None) };
                let located = readable(search::locate(&registry.store, &opened, rest.clone()).await)?;
                let Some(located) = located else { return Ok(None) };
                for label in rest {
                    if located.get(&label).map_or(0, |l| l.document.downloads) != after[&label] {
                        out.differ.entry(label).or_default().push(number);
                    }
                }
            }
            out.known.extend(after.into_iter().filter(|(_, n)| *n > 0));
        }
        Ok(Some(out))
    }
}

/// What was read of an earlier state; `None` where that cannot be read any more, or never could by this program.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(e) if is_absent(&e) || matches!(e.kind(), ErrorKind::Untrusted | ErrorKind::Unsupported) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What these bundles say of downloads.
pub(super) async fn all_counts(registry: &Registry, cited: &[SearchBundle]) -> Result<Counts> {
    let opened = registry.open_whole(cited).await?;
    cpu::run(move || Ok(search::all_documents(&opened)?.into_iter().map(|(label, d)| (label, d.downloads)).collect()))
        .await
}
