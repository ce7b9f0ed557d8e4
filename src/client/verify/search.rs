//! Search bundles: that they are there and right, and that the newest ones hold the packages of the index and no others, so
//! that nobody finds what is not there or misses what is.

use super::{Audit, partial::What};
use crate::{
    Error, ErrorKind,
    client::SnapshotReader,
    cpu,
    format::{PackageLines, limits},
    search::{self, Document, Opened},
};
use std::{collections::BTreeMap, sync::Arc};

impl Audit {
    /// Reads the bundles of a snapshot. `packages` are those of its index, where they are all known.
    pub(super) async fn search(&mut self, reader: &SnapshotReader, packages: Option<Vec<Arc<PackageLines>>>) {
        let generation = reader.generation();
        let mut opened = Vec::new();
        let cited = reader.snapshot().search.clone();
        for bundle in &cited {
            // The newest ones are opened even if an older generation has shown that their bytes are right.
            if packages.is_none() && self.seen.contains(&bundle.link.sha256) {
                continue;
            }
            let read = self.client.inner.store.get_linked(&bundle.link, limits::BUNDLE).await;
            let cited = *bundle;
            let read = match read {
                Ok(bytes) => cpu::run(move || search::open_whole(&cited, bytes)).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(bundle) => opened.push(bundle),
                Err(error) if self.is_left_out(generation, &error, What::Generation) => continue,
                Err(error) => {
                    self.problem(generation, error);
                    continue;
                }
            }
            self.count(&bundle.link);
        }
        if let Some(packages) = packages.filter(|_| opened.len() == cited.len() && !cited.is_empty()) {
            let compared = cpu::run(move || compare(&opened, &packages)).await;
            if let Some(error) = compared.err() {
                self.problem(generation, error);
            }
        }
    }
}

/// Whether the bundles hold one document for each package, made of its records. Download counts stand nowhere else.
fn compare(opened: &[Opened], packages: &[Arc<PackageLines>]) -> Result<(), Error> {
    let mut found: BTreeMap<String, Document> = search::all_documents(opened)?;
    let wrong = |label: &str| {
        let message = format!("the search index is not that of the packages: {label} is not found as it is");
        Err(Error::new(ErrorKind::Untrusted, message)
            .with_hint("the next build that changes something mends it when the bundles are deleted"))
    };
    for package in packages {
        let records: Vec<_> = package.lines.iter().filter_map(|l| l.record().ok()).collect();
        let there = found.remove(&*package.label);
        let expected = Document::of(&records, there.as_ref().map_or(0, |d| d.downloads));
        if there != expected {
            return wrong(&package.label);
        }
    }
    found.keys().next().map_or(Ok(()), |label| wrong(label))
}
