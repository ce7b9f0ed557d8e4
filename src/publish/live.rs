//! What is alive: everything that the generations to be kept reach (invariant I14). Of a million packages only digests are
//! held.

use super::registry::Registry;
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{DetailLine, Entry, NodeType, PackageLines, Snapshot, TreeKind, keys, limits},
    index::Node,
    package::{Link, Sha256},
    store::is_absent,
    trust::Slot,
};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use std::{collections::HashSet, sync::Arc};

/// The objects that kept generations reach.
#[derive(Default)]
pub(super) struct Live {
    digests: HashSet<Sha256>,
    /// The nodes and snapshots that were read. Apart from the others: any text in a record may look like the digest of a
    /// node, and must not pass for a node that was read.
    walked: HashSet<Sha256>,
}

impl Live {
    pub(super) fn holds(&self, sha256: &Sha256) -> bool {
        self.digests.contains(sha256)
    }

    pub(super) fn add(&mut self, sha256: Sha256) {
        self.digests.insert(sha256);
    }

    /// Whether a node is yet to be read.
    fn visit(&mut self, link: &Link) -> bool {
        self.digests.insert(link.sha256);
        self.walked.insert(link.sha256)
    }

    /// The same of a node below another one. What is in a leaf of details is for people and refers to nothing.
    fn is_to_be_read(&mut self, (_, entry): &(TreeKind, Entry)) -> bool {
        if entry.node == NodeType::Details {
            self.add(entry.link.sha256);
            return false;
        }
        self.visit(&entry.link)
    }
}

/// What reading one object came to: the digests in it, and the nodes below it, each of its tree.
type Found = (Vec<Sha256>, Vec<(TreeKind, Entry)>);

impl Registry {
    /// Adds all that these slots reach. Each node is read once, however many generations share it; any error ends the
    /// collection, since nothing is deleted on doubt. With `mend`, a node that an earlier collection took away by mistake
    /// comes back from the trash.
    pub(super) async fn walk(&self, live: &mut Live, slots: &[Slot], mend: bool) -> Result<()> {
        let links: Vec<_> = slots.iter().map(|s| s.claim().snapshot).filter(|l| live.visit(l)).collect();
        let mut rest = Vec::new();
        let mut snapshots = futures::stream::iter(links)
            .map(|link| async move {
                let raw = self.read_live(&link, mend).await?;
                let place = || self.store.place(&keys::blob(&link.sha256));
                cpu::run(move || names_of_snapshot(&raw)).await.map_err(|e| e.at(place()))
            })
            .buffer_unordered(self.store.parallel());
        while let Some((digests, entries)) = snapshots.try_next().await? {
            live.digests.extend(digests);
            rest.extend(entries.into_iter().filter(|e| live.is_to_be_read(e)));
        }
        while !rest.is_empty() {
            let mut nodes = futures::stream::iter(std::mem::take(&mut rest))
                .map(|(tree, entry)| async move {
                    let raw = self.read_live(&entry.link, mend).await?;
                    let place = || self.store.place(&keys::blob(&entry.link.sha256));
                    cpu::run(move || names_of_node(tree, &entry, raw)).await.map_err(|e| e.at(place()))
                })
                .buffer_unordered(self.store.parallel());
            while let Some((digests, entries)) = nodes.try_next().await? {
                live.digests.extend(digests);
                rest.extend(entries.into_iter().filter(|e| live.is_to_be_read(e)));
            }
        }
        Ok(())
    }

    async fn read_live(&self, link: &Link, mend: bool) -> Result<Vec<u8>> {
        match self.store.get_raw(link, limits::NODE, limits::NODE_RAW).await {
            Err(e) if is_absent(&e) && mend && self.store.restore(&link.sha256).await? => {
                self.store.get_raw(link, limits::NODE, limits::NODE_RAW).await
            }
            Err(e) if is_absent(&e) => {
                let message = "what the registry needs cannot be worked out, so nothing is collected";
                Err(Error::new(ErrorKind::Untrusted, message)
                    .with_source(e)
                    .with_hint("`ggen-market verify --all` shows what is missing"))
            }
            other => other,
        }
    }
}

/// What a snapshot links to, members of later formats included; but for the snapshot that it was made from, which is kept
/// by being committed, or not at all.
fn names_of_snapshot(raw: &[u8]) -> Result<Found, crate::format::FormatError> {
    let snapshot = Snapshot::read(raw)?;
    let mut digests = Vec::new();
    if let Ok(Value::Object(mut members)) = serde_json::from_slice(raw) {
        members.remove("previous");
        names_of_value(&Value::Object(members), &mut digests);
    }
    let index = snapshot.index.iter().map(|e| (TreeKind::Index, *e));
    Ok((digests, index.chain(snapshot.details.map(|e| (TreeKind::Details, e))).collect()))
}

fn names_of_node(tree: TreeKind, entry: &Entry, raw: Vec<u8>) -> Result<Found, crate::format::FormatError> {
    let mut digests = Vec::new();
    names_of_lines(&raw, &mut digests);
    let entries = match tree {
        TreeKind::Index => Node::<Arc<PackageLines>>::read(entry, raw)?.entries().to_vec(),
        TreeKind::Details => Node::<DetailLine>::read(entry, raw)?.entries().to_vec(),
    };
    Ok((digests, entries.into_iter().map(|e| (tree, e)).collect()))
}

/// Every text that is a digest. More than the links of a record that this program knows: what a later version links to is
/// kept as well, and that a description names some digest keeps an object too many at worst.
fn names_of_lines(raw: &[u8], out: &mut Vec<Sha256>) {
    let digest = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<Sha256>().ok();
    out.extend(raw.split(|b| *b == b'"').filter(|t| t.len() == 64).filter_map(digest));
    // Digits can be written as escapes, which no writer of ours does.
    if raw.windows(2).any(|w| w == b"\\u") {
        let values = raw.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        values.for_each(|value| names_of_value(&value, out));
    }
}

fn names_of_value(value: &Value, out: &mut Vec<Sha256>) {
    match value {
        Value::String(text) => out.extend(text.parse::<Sha256>()),
        Value::Array(items) => items.iter().for_each(|item| names_of_value(item, out)),
        Value::Object(members) => members.values().for_each(|member| names_of_value(member, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_is_found_however_it_is_written() {
        let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        let escaped = format!(r"\u0063{}", &c[1..]);
        let raw = format!(
            "{{\"format\":1}}\n{{\"later\":[{{\"sha256\":\"{a}\"}}],\"short\":\"{}\"}}\n{{\"x\":{{\"y\":\"{escaped}\"}},\"z\":\"{b}\"}}\n",
            &a[1..]
        );
        let mut found = Vec::new();
        names_of_lines(raw.as_bytes(), &mut found);
        let want: HashSet<Sha256> = [a, b, c].iter().map(|d| d.parse().unwrap()).collect();
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), want);
    }
}
