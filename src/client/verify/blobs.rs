//! Archives and leaves of details: most of the bytes of a registry. They are read many at a time, each as a task of its own,
//! whichever shard they are of.

use super::{
    Audit, archive_of,
    details::{self, Places},
    partial::What,
};
use crate::{
    Error, ErrorKind, Result,
    client::{Client, package::Package, snapshot::id_of},
    format::{Entry, PackageLines},
    package::Link,
};
use futures::TryStreamExt;
use std::sync::Arc;
use tokio::task::JoinSet;

/// So many wait until they are read: bounds what is in memory.
const WAITING: usize = 4096;

/// What is read so.
#[derive(Clone, Copy)]
pub(super) enum Object {
    Archive(Link),
    /// A leaf.
    Details(Entry),
}

impl Object {
    fn link(&self) -> &Link {
        match self {
            Self::Archive(link) => link,
            Self::Details(entry) => &entry.link,
        }
    }
}

/// An object to be read.
pub(super) struct Pending {
    generation: u64,
    object: Object,
    /// Whether it has to be there although the registry is mirrored in part.
    required: bool,
}

impl Audit {
    /// Notes the archives of these packages down, and reads them when there are many.
    pub(super) async fn blobs(&mut self, generation: u64, packages: &[Arc<PackageLines>]) {
        for lines in packages {
            let Some(id) = id_of(&lines.label) else { continue };
            let required = self.is_required(generation, &lines.key);
            for record in Package::read(id, lines).releases {
                if let Some(link) = archive_of(&record) {
                    self.note_down(generation, Object::Archive(link), required);
                }
            }
        }
        if self.pending.len() >= WAITING {
            self.read_blobs().await;
        }
    }

    /// Notes an object down, unless it was found to be right.
    pub(super) fn note_down(&mut self, generation: u64, object: Object, required: bool) {
        let new = match &object {
            Object::Archive(link) => self.seen.insert(link.sha256),
            // What is right in its own place may be cited for another one.
            Object::Details(entry) => self.leaves.get(&entry.link.sha256).is_none_or(|(seen, _)| seen != entry),
        };
        if new {
            self.pending.push(Pending { generation, object, required });
        }
    }

    /// Reads and hashes what was noted down.
    pub(super) async fn read_blobs(&mut self) {
        // Dropped, the tasks stop.
        let mut running = JoinSet::new();
        for pending in std::mem::take(&mut self.pending) {
            if self.is_known(&pending.object) {
                self.seen.insert(pending.object.link().sha256);
                self.out.skipped += 1;
                continue;
            }
            if running.len() >= self.client.inner.store.parallel() {
                let done = running.join_next().await;
                self.blob_read(done);
            }
            let client = self.client.clone();
            running.spawn(async move {
                let result = check(&client, pending.object).await;
                (pending, result)
            });
        }
        while let Some(done) = running.join_next().await {
            self.blob_read(Some(done));
        }
    }

    /// Whether the audit that this one goes on from found it to be right. Leaves are read in any case: whether one is right
    /// depends on where it is cited, and on the releases that there are.
    fn is_known(&self, object: &Object) -> bool {
        matches!(object, Object::Archive(link) if self.journal.as_ref().is_some_and(|j| j.knows(&link.sha256)))
    }

    fn blob_read(&mut self, done: Option<std::result::Result<(Pending, Result<Places>), tokio::task::JoinError>>) {
        match done {
            Some(Ok((Pending { object, .. }, Ok(places)))) => {
                let link = object.link();
                // An archive is among what was seen since it was noted down.
                if matches!(object, Object::Archive(_)) || !self.seen.contains(&link.sha256) {
                    self.out.objects += 1;
                    self.out.bytes += link.size;
                }
                self.seen.insert(link.sha256);
                match (object, &mut self.journal) {
                    (Object::Details(entry), _) => drop(self.leaves.insert(entry.link.sha256, (entry, places))),
                    (Object::Archive(link), Some(journal)) => journal.add(&link.sha256),
                    (Object::Archive(_), None) => {}
                }
            }
            Some(Ok((Pending { generation, object, required }, Err(error)))) => {
                let left_out = !required && self.is_left_out(generation, &error, What::Object(&object));
                if !left_out {
                    self.seen.remove(&object.link().sha256);
                    self.problem(generation, error);
                }
            }
            Some(Err(e)) => {
                let error = Error::new(ErrorKind::Io, "a task of the audit broke off").with_source(e);
                self.problem(self.out.generation, error);
            }
            None => {}
        }
    }
}

async fn check(client: &Client, object: Object) -> Result<Places> {
    let link = match object {
        Object::Archive(link) => link,
        Object::Details(entry) => return details::check(client, &entry).await,
    };
    let mut bytes = client.inner.store.stream_linked(link).await?;
    while bytes.try_next().await?.is_some() {}
    Ok(Places::default())
}
