//! Finding the documents of packages whose names are known: for whoever replaces them.

use super::{
    bundle::Reading,
    directory::{attempt, is_lacking},
    document::Document,
    remote::{self, Opened},
    words,
};
use crate::{Error, ErrorKind, Result, package::Sha256, store::Store};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tantivy::{DocSet as _, TERMINATED, schema::IndexRecordOption};

/// How many rounds of fetching it may take: terms, lists and documents need one each.
const ROUNDS: usize = 12;

/// Where a document is.
pub(crate) struct Located {
    /// The bundle, by its place among those that were searched.
    pub(crate) bundle: usize,
    /// Its number there.
    pub(crate) number: u32,
    pub(crate) document: Document,
}

/// For each bundle, the documents that later ones replace.
fn dead(opened: &[impl AsRef<Opened>]) -> Vec<BTreeSet<u32>> {
    let mut dead = vec![BTreeSet::new(); opened.len()];
    for (at, later) in opened.iter().enumerate() {
        for (bundle, numbers) in later.as_ref().replaces() {
            let named = |o: &&_| AsRef::<Opened>::as_ref(*o).0.cited.link.sha256 == bundle;
            if let Some(earlier) = opened[..at].iter().position(|o| named(&o)) {
                dead[earlier].extend(numbers);
            }
        }
    }
    dead
}

/// All documents of bundles that are held whole, by label, but for those that are replaced.
pub(crate) fn all_documents(opened: &[impl AsRef<Opened>]) -> Result<BTreeMap<String, Document>> {
    let mut out = BTreeMap::new();
    for (opened, dead) in opened.iter().zip(dead(opened)) {
        for (document, _) in opened.as_ref().documents().zip(0u32..).filter(|(_, n)| !dead.contains(n)) {
            let document = document?;
            out.insert(document.label(), document);
        }
    }
    Ok(out)
}

/// The documents of packages, by label, that no later bundle replaces.
pub(crate) async fn locate(
    store: &Store,
    opened: &[Arc<Opened>],
    labels: Vec<String>,
) -> Result<BTreeMap<String, Located>> {
    let dead = dead(opened);
    for _ in 0..ROUNDS {
        let found = attempt(|| {
            let mut out = BTreeMap::new();
            for (bundle, opened) in opened.iter().enumerate() {
                find(&opened.0, &labels, |number, document| {
                    if !dead[bundle].contains(&number) {
                        out.insert(document.label(), Located { bundle, number, document });
                    }
                })?;
            }
            Ok(out)
        })?;
        match found {
            Ok(found) => return Ok(found),
            Err(lacking) => remote::fetch(store, opened, lacking).await?,
        }
    }
    Err(Error::new(ErrorKind::Unavailable, "the search index was read again and again without an end"))
}

fn find(reading: &Reading, labels: &[String], mut each: impl FnMut(u32, Document)) -> Result<()> {
    let Some(inverted) = reading.inverted(reading.fields.name)? else { return Ok(()) };
    for label in labels {
        let name = label.split_once('/').map_or(label.as_str(), |(_, name)| name);
        let term = match inverted.terms().get(words::exact(name)) {
            Ok(Some(term)) => term,
            Ok(None) => continue,
            Err(_) if is_lacking() => continue,
            Err(e) => return Err(reading.failed(e)),
        };
        let mut postings = match inverted.read_postings_from_terminfo(&term, IndexRecordOption::Basic) {
            Ok(postings) => postings,
            Err(_) if is_lacking() => continue,
            Err(e) => return Err(reading.failed(e)),
        };
        while postings.doc() != TERMINATED {
            match reading.document(postings.doc()) {
                Ok(document) if document.label() == *label => each(postings.doc(), document),
                Ok(_) => {}
                Err(_) if is_lacking() => {}
                Err(e) => return Err(e),
            }
            postings.advance();
        }
    }
    Ok(())
}

impl AsRef<Opened> for Opened {
    fn as_ref(&self) -> &Opened {
        self
    }
}

impl Opened {
    /// Which documents of earlier bundles do not count any more.
    pub(crate) fn replaces(&self) -> impl Iterator<Item = (Sha256, Vec<u32>)> + '_ {
        self.0.tail().table.replaces.iter().map(|r| (r.bundle, r.documents().collect()))
    }

    /// All documents, in order, of a bundle that is held whole.
    pub(crate) fn documents(&self) -> impl Iterator<Item = Result<Document>> + '_ {
        (0..self.0.documents()).map(|number| self.0.document(number))
    }
}
