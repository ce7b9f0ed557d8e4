//! The details of a run. They are too many for memory: what is new waits in the spool, and so do the leaves that change, line by
//! line. The tree is worked out from keys and lengths, and each leaf is made when its turn to be put has come.

use super::{
    commit::Batch,
    head::Head,
    plan::{Change, Outcome, What},
    put::Work,
    registry::Registry,
};
use crate::{
    Error, Result, cpu,
    format::{Changes, DetailLine, Keyed, Leaf, Object, ReleaseChange, seal_details},
    index::{Draft, Missing, NewLeaf, Tree, edit},
    package::{Sha256, detail_key},
    source::{Spool, SpoolRange},
};
use rayon::prelude::*;
use std::sync::Arc;

/// A detail whose line, with its line end, is in the spool.
pub(super) type Spooled = Keyed<SpoolRange>;

/// The changes that bring details, by number.
fn bringing(batch: &Batch, work: &Work) -> Vec<usize> {
    let brings = |(change, outcome): (&Change, &Outcome)| {
        matches!(change.what, What::Add { detail: Some(_), .. })
            && matches!(outcome, Outcome::Added | Outcome::Restored)
    };
    let all = batch.changes.iter().zip(&work.outcomes).enumerate();
    all.filter(|(_, both)| brings(*both)).map(|(number, _)| number).collect()
}

/// What becomes of the details, in the order of their keys: those of new releases are put in, and those of tombstones are
/// taken out.
fn changes(all: &[Change], bringing: &[usize], changed: &Changes) -> Vec<Spooled> {
    let added = bringing.par_iter().filter_map(|number| {
        let change = &all[*number];
        let What::Add { line, detail: Some(range), .. } = &change.what else { return None };
        let key = detail_key(&change.key, &change.label, &line.version);
        Some(Keyed { key, bytes: range.len, body: *range })
    });
    let mut out: Vec<Spooled> = added.collect();
    out.par_extend(changed.0.par_iter().filter(|c| c.change == ReleaseChange::Removed).map(|c| {
        let key = detail_key(&Sha256::of(c.package.as_bytes()), &c.package, &c.version);
        Keyed { key, bytes: 0, body: SpoolRange { offset: 0, len: 0 } }
    }));
    out.par_sort_unstable_by_key(|c| c.key);
    out
}

impl Registry {
    /// Works out the tree of details that the next snapshot will have. A run that brings none and takes none away reads
    /// nothing of it.
    pub(super) async fn draft_details(&self, batch: &Batch, work: &Work, head: &mut Head) -> Result<Draft<Spooled>> {
        let (all, bringing, changed) = (Arc::clone(&batch.changes), bringing(batch, work), Arc::clone(&work.changed));
        let changes = Arc::new(cpu::run(move || changes(&all, &bringing, &changed)).await);
        let spool = Arc::clone(&batch.spool);
        let keep = move |leaf: Arc<Leaf<DetailLine>>| spooled(&leaf, &spool).map(Arc::new);
        let compute = move |tree: &Tree<Spooled>| -> Result<_, Missing> { edit(&tree.top, &tree.nodes, &changes) };
        self.computed(&mut head.details, keep, compute).await
    }
}

/// A leaf that is going to change, with its lines in the spool.
fn spooled(leaf: &Leaf<DetailLine>, spool: &Spool) -> Result<Leaf<Spooled>> {
    let mut lines = Vec::new();
    for item in &leaf.items {
        lines.extend_from_slice(&item.body);
        lines.push(b'\n');
    }
    let SpoolRange { mut offset, .. } =
        spool.append(&lines).map_err(|e| Error::io("write to", &std::env::temp_dir(), e))?;
    let place = |item: &DetailLine| {
        let body = SpoolRange { offset, len: item.bytes };
        offset += item.bytes;
        Keyed { key: item.key, bytes: item.bytes, body }
    };
    Ok(Leaf { items: leaf.items.iter().map(place).collect(), skipped: Vec::new() })
}

/// Makes a leaf.
pub(super) fn seal(leaf: &NewLeaf<Spooled>, spool: &Spool) -> Result<Object> {
    let ranges = leaf.items.iter().map(|item| item.body);
    seal_details(leaf.at, leaf.bytes(), |raw| spool.read_all(ranges, raw))
        .map_err(|e| Error::io("read from", &std::env::temp_dir(), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Prefix, Stored, open};
    use crate::package::{Detail, Kind, PackageId, Version};

    /// The line of a detail that some later program wrote, and one of today.
    #[test]
    fn lines_are_carried_over_to_the_byte_and_those_of_a_later_version_too() {
        let id = PackageId::new(Kind::Crate, &"alpha".parse().unwrap()).unwrap();
        let mut lines: Vec<(Sha256, String)> = (0..9)
            .map(|minor| {
                let version: Version = format!("1.{minor}.0").parse().unwrap();
                let line = if minor == 4 {
                    format!(r#"{{"kind":"crate","later":{{"a":[1, 2]}},"name":"alpha","v":7,"version":"{version}"}}"#)
                } else {
                    serde_json::to_string(&Detail::new(Kind::Crate, "Alpha".parse().unwrap(), version.clone())).unwrap()
                };
                (detail_key(&id.key(), &id.label(), &version), line)
            })
            .collect();
        lines.sort();
        let raw = |lines: &[(Sha256, String)]| {
            let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
            format!("{{\"format\":2,\"prefix\":\"\",\"type\":\"details\"}}\n{text}")
        };
        let leaf = DetailLine::read(raw(&lines).into_bytes(), Prefix::ROOT).unwrap();
        assert_eq!((leaf.items.len(), leaf.skipped.len()), (9, 0));
        assert_eq!(leaf.items.iter().filter(|l| l.detail().is_err()).count(), 1);
        let spool = Spool::new().unwrap();
        spool.append(b"something else").unwrap();
        let mut items = spooled(&leaf, &spool).unwrap().items;
        // Without one in the middle, so that what is read is no single stretch.
        lines.remove(3);
        items.remove(3);
        let object = seal(&NewLeaf { at: Prefix::ROOT, items }, &spool).unwrap();
        assert_eq!(String::from_utf8(open(&object.bytes, &object.link).unwrap()).unwrap(), raw(&lines));
    }
}
