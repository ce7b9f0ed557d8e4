//! The search bundles of the next snapshot: one that holds everything, and behind it small ones with what has changed since.
//!
//! A commit writes one small bundle. It takes in the bundles before it that are not much larger, so their number stays
//! logarithmic; and once they hold a quarter of what the first one holds, all are folded into one. So publishing a release
//! costs, on average, a constant number of documents, however large the registry is.

use super::{commit::Batch, head::Head, options::BuildOptions, put::Work, registry::Registry};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{PackageLines, SearchBundle, limits},
    index,
    search::{self, Built, Document, Drafts, Located, Opened},
    store::is_absent,
};
use std::{collections::BTreeMap, sync::Arc};

/// A bundle of so few documents is always taken in.
const SMALL: u64 = 128;

/// Below so many documents in small bundles nothing is folded.
const FOLD: u64 = 1024;

/// Of a large bundle single documents are read, unless more than so many are wanted.
const WHOLE_ABOVE: usize = 500;

/// So many packages are looked up at once.
const LOT: usize = 4096;

/// A bundle of at most so many bytes is read as a whole: more than the largest that cannot be read in parts.
const WHOLE_BELOW: u64 = 4 * search::WHOLE;

/// What a snapshot will cite.
pub(super) struct Next {
    pub(super) cited: Vec<SearchBundle>,
    /// The bundle among them that is new.
    pub(super) new: Option<Built>,
}

/// By label; none where the package has nothing left to be found.
type Changed = BTreeMap<String, Option<Document>>;

impl Registry {
    /// Whether a run that changes no package may change what is found.
    pub(super) fn may_change_search(&self, batch: &Batch, head: &Head, options: &BuildOptions) -> bool {
        let missing = batch.mend_search && head.snapshot.search.is_empty() && head.snapshot.packages > 0;
        options.search && (missing || !batch.counts.is_empty())
    }

    /// Works out the search bundles for a state that `work` makes of `head`.
    pub(super) async fn search_of(
        &self,
        batch: &Batch,
        work: &Work,
        head: &mut Head,
        options: &BuildOptions,
    ) -> Result<Next> {
        let old = head.snapshot.search.clone();
        let idle = work.packages.is_empty();
        if !options.search {
            return Ok(Next { cited: if idle { old } else { Vec::new() }, new: None });
        }
        let missing = old.is_empty() && head.snapshot.packages > 0;
        if idle && batch.counts.is_empty() && !(missing && batch.mend_search) {
            return Ok(Next { cited: old, new: None });
        }
        if !old.is_empty() {
            let packages = Arc::clone(&work.packages);
            let changed = move || packages.iter().map(|p| (p.label.to_string(), document(p))).collect();
            match self.extend(&old, cpu::run(changed).await, batch).await {
                // All but the counts is made of the packages: nobody has to wait for what is gone or damaged.
                Err(e) if is_absent(&e) || matches!(e.kind(), ErrorKind::Untrusted | ErrorKind::Unsupported) => {
                    tracing::warn!("the search index is made anew, without download counts: {}", e.chain());
                }
                other => return other,
            }
        }
        let built = self.made_anew(batch, work, head).await?;
        Ok(Next { cited: vec![built.cited], new: Some(built) })
    }

    /// One bundle of everything. Each document is on disk before the next is made: of a million of them, what is in memory
    /// counts.
    async fn made_anew(&self, batch: &Batch, work: &Work, head: &mut Head) -> Result<Built> {
        let tree = if head.snapshot.packages > 0 { self.with_tree(head, index::all).await? } else { Vec::new() };
        // What is loaded of the tree can be loaded again.
        head.tree.nodes = index::Nodes::default();
        let (counts, changed) = (Arc::clone(&batch.counts), Arc::clone(&work.packages));
        cpu::run(move || {
            let mut drafts = Drafts::new();
            let mut add = |package: &Arc<PackageLines>| match document(package) {
                Some(mut document) => {
                    document.downloads = counts.get(&*package.label).copied().unwrap_or(document.downloads);
                    drafts.add(&document)
                }
                None => Ok(()),
            };
            for package in tree {
                if changed.binary_search_by_key(&package.key, |p| p.key).is_err() {
                    add(&package)?;
                }
            }
            changed.iter().try_for_each(add)?;
            fold(drafts)
        })
        .await
    }

    /// The old bundles with what has changed.
    async fn extend(&self, old: &[SearchBundle], mut changed: Changed, batch: &Batch) -> Result<Next> {
        let unchanged = || Ok(Next { cited: old.to_vec(), new: None });
        let mut labels: Vec<String> = changed.keys().cloned().collect();
        labels.extend(batch.counts.keys().filter(|l| !changed.contains_key(*l)).cloned());
        let opened = self.open_bundles(old, labels.len()).await?;
        let mut located = BTreeMap::new();
        // In lots: of a list of everything with a new count for each, only what the counts change is kept.
        for labels in labels.chunks(LOT) {
            let mut found = search::locate(&self.store, &opened, labels.to_vec()).await?;
            for label in labels {
                // Only what has another count than before; a package that is not there has none.
                let counted = batch.counts.get(label).zip(found.get(label));
                let changes = counted.filter(|(count, there)| there.document.downloads != **count);
                if let Some((_, there)) = changes.filter(|_| !changed.contains_key(label)) {
                    changed.insert(label.clone(), Some(there.document.clone()));
                }
            }
            found.retain(|label, _| changed.contains_key(label));
            located.append(&mut found);
        }
        for (label, document) in &mut changed {
            let Some(document) = document else { continue };
            let before = located.get(label).map_or(0, |l| l.document.downloads);
            document.downloads = batch.counts.get(label).copied().unwrap_or(before);
        }
        changed.retain(|label, document| document.as_ref() != located.get(label).map(|l| &l.document));
        if changed.is_empty() {
            return unchanged();
        }
        located.retain(|label, _| changed.contains_key(label));
        let later: u64 = old[1..].iter().map(|b| b.documents).sum::<u64>() + changed.len() as u64;
        let folds = later > FOLD.max(old[0].documents / 4);
        let kept = if folds { 0 } else { kept(old, changed.len() as u64) };
        let taken = self.open_whole(&old[kept..]).await?;
        let (reference, cited) = (opened[0].reference(), old.to_vec());
        let built = cpu::run(move || put_together(&cited, kept, &taken, changed, &located, reference)).await?;
        let mut cited = old[..kept].to_vec();
        cited.push(built.cited);
        Ok(Next { cited, new: Some(built) })
    }

    /// Opens bundles to look up so many documents in them.
    pub(super) async fn open_bundles(&self, cited: &[SearchBundle], wanted: usize) -> Result<Vec<Arc<Opened>>> {
        let mut out = Vec::with_capacity(cited.len());
        for bundle in cited {
            let whole = wanted > WHOLE_ABOVE || bundle.link.size <= WHOLE_BELOW;
            let tail = if whole { Ok(None) } else { search::fetch_tail(&self.store, bundle).await };
            out.push(match tail.or_else(unless_cut)? {
                Some(tail) => Arc::new(search::open_parts(bundle, tail)?),
                None => self.open_whole(std::slice::from_ref(bundle)).await?.remove(0),
            });
        }
        Ok(out)
    }

    pub(super) async fn open_whole(&self, cited: &[SearchBundle]) -> Result<Vec<Arc<Opened>>> {
        let mut out = Vec::with_capacity(cited.len());
        for bundle in cited {
            let bytes = self.store.get_linked(&bundle.link, limits::BUNDLE).await?;
            let bundle = *bundle;
            out.push(Arc::new(cpu::run(move || search::open_whole(&bundle, bytes)).await?));
        }
        Ok(out)
    }
}

/// Of an object that was cut short, a store gives no part that is behind its end, and does not say why: read as a whole, it
/// tells.
fn unless_cut<T>(e: Error) -> Result<Option<T>> {
    if is_absent(&e) || e.kind() == ErrorKind::Untrusted { Err(e) } else { Ok(None) }
}

/// What search knows of a package, but for its downloads. Lines that this program cannot read are passed over.
fn document(package: &Arc<PackageLines>) -> Option<Document> {
    let records: Vec<_> = package.lines.iter().filter_map(|l| l.record().ok()).collect();
    Document::of(&records, 0)
}

fn fold(drafts: Drafts) -> Result<Built> {
    let reference = drafts.reference();
    search::build(drafts, reference, Vec::new())
}

/// How many of the bundles stay when one of so many documents comes: the first always does.
fn kept(old: &[SearchBundle], mut documents: u64) -> usize {
    let mut kept = old.len();
    while kept > 1 && old[kept - 1].documents <= SMALL.max(2 * documents) {
        kept -= 1;
        documents += old[kept].documents;
    }
    kept
}

/// Makes the bundle that stands behind the first `kept` ones, of those after them and what has changed.
fn put_together(
    old: &[SearchBundle],
    kept: usize,
    taken: &[Arc<Opened>],
    changed: Changed,
    located: &BTreeMap<String, Located>,
    reference: u32,
) -> Result<Built> {
    let mut dead: Vec<Vec<u32>> = vec![Vec::new(); old.len()];
    let mut drafts = Drafts::new();
    for (opened, at) in taken.iter().zip(kept..) {
        for (bundle, numbers) in opened.replaces() {
            if let Some(earlier) = old[..at].iter().position(|b| b.link.sha256 == bundle) {
                dead[earlier].extend(numbers);
            }
        }
    }
    for (opened, at) in taken.iter().zip(kept..) {
        let gone: std::collections::HashSet<u32> = dead[at].iter().copied().collect();
        for (document, number) in opened.documents().zip(0..) {
            let document = document?;
            if !gone.contains(&number) && !changed.contains_key(&document.label()) {
                drafts.add(&document)?;
            }
        }
    }
    for place in located.values() {
        dead[place.bundle].push(place.number);
    }
    for document in changed.into_values().flatten() {
        drafts.add(&document)?;
    }
    if kept == 0 {
        return fold(drafts);
    }
    let replaces = old[..kept].iter().zip(dead).map(|(b, numbers)| search::replaces(b.link.sha256, numbers));
    search::build(drafts, reference, replaces.collect())
}

/// The download counts that the changes of a run bring: of several releases of a package the last one's.
pub(super) fn counts(changes: &[super::plan::Change], options: &BuildOptions) -> BTreeMap<String, u64> {
    let mut out: BTreeMap<String, u64> = options.downloads.iter().map(|(id, n)| (id.label(), *n)).collect();
    for change in changes {
        if let Some(count) = change.downloads {
            out.insert(change.label.to_string(), count);
        }
    }
    out
}

/// Fails where a bundle is larger than any reader takes.
pub(super) fn require_fit(built: &Built) -> Result<()> {
    if built.cited.link.size <= limits::BUNDLE && built.cited.tail.size <= limits::BUNDLE_TAIL {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, "the search index is larger than readers take")
        .with_hint("publish without one: `search = false` in the configuration"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Link, Sha256};

    #[test]
    fn bundles_that_are_not_much_larger_are_taken_in() {
        let bundles = |sizes: &[u64]| -> Vec<SearchBundle> {
            let link = Link { raw: None, sha256: Sha256::of(b""), size: 1 };
            sizes.iter().map(|n| SearchBundle { documents: *n, link, tail: link }).collect()
        };
        for (sizes, new, expected) in [
            (&[10][..], 1, 1),
            (&[10_000, 100], 1, 1),
            (&[10_000, 129], 1, 2),
            (&[10_000, 600, 128], 1, 2),
            (&[10_000, 300, 128], 100, 1),
            (&[10_000, 1_000], 499, 2),
            (&[10_000, 1_000], 500, 1),
        ] {
            assert_eq!(kept(&bundles(sizes), new), expected, "{sizes:?} {new}");
        }
        // However many releases come one by one, there are few bundles.
        let mut sizes = vec![1_000_000u64];
        for _ in 0..100_000 {
            let kept = kept(&bundles(&sizes), 1);
            let sum: u64 = 1 + sizes[kept..].iter().sum::<u64>();
            sizes.truncate(kept);
            sizes.push(sum);
            assert!(sizes.len() < 12, "{sizes:?}");
        }
    }
}
