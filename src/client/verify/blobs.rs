//! Archives and details: most of the bytes of a registry. They are read many at a time, each as a task of its own, whichever
//! shard they are of.

use super::{Audit, links_of, partial::What};
use crate::{
    Error, ErrorKind, Result,
    client::{Client, package::Package, snapshot::id_of},
    format::{PackageLines, limits},
    package::Link,
};
use futures::TryStreamExt;
use std::sync::Arc;
use tokio::task::JoinSet;

/// So many wait until they are read: bounds what is in memory.
const WAITING: usize = 4096;

/// An object to be read.
pub(super) struct Pending {
    generation: u64,
    link: Link,
    /// Whether it has to be there although the registry is mirrored in part.
    required: bool,
}

impl Audit {
    /// Notes the archives and details of these packages down, and reads them when there are many.
    pub(super) async fn blobs(&mut self, generation: u64, packages: &[Arc<PackageLines>]) {
        for lines in packages {
            let Some(id) = id_of(&lines.label) else { continue };
            let required = self.is_required(generation, &lines.key);
            for record in Package::read(id, lines).releases {
                let new = links_of(&record).into_iter().filter(|l| self.seen.insert(l.sha256));
                self.pending.extend(new.map(|link| Pending { generation, link, required }));
            }
        }
        if self.pending.len() >= WAITING {
            self.read_blobs().await;
        }
    }

    /// Reads and hashes what was noted down.
    pub(super) async fn read_blobs(&mut self) {
        // Dropped, the tasks stop.
        let mut running = JoinSet::new();
        for pending in std::mem::take(&mut self.pending) {
            if self.journal.as_ref().is_some_and(|j| j.knows(&pending.link.sha256)) {
                self.out.skipped += 1;
                continue;
            }
            if running.len() >= self.client.inner.store.parallel() {
                let done = running.join_next().await;
                self.blob_read(done);
            }
            let client = self.client.clone();
            running.spawn(async move {
                let result = check(&client, pending.link).await;
                (pending, result)
            });
        }
        while let Some(done) = running.join_next().await {
            self.blob_read(Some(done));
        }
    }

    fn blob_read(&mut self, done: Option<std::result::Result<(Pending, Result<()>), tokio::task::JoinError>>) {
        match done {
            Some(Ok((Pending { link, .. }, Ok(())))) => {
                self.out.objects += 1;
                self.out.bytes += link.size;
                if let Some(journal) = &mut self.journal {
                    journal.add(&link.sha256);
                }
            }
            Some(Ok((Pending { generation, link, required }, Err(error)))) => {
                let left_out = !required && self.is_left_out(generation, &error, What::Blob(&link));
                if !left_out {
                    self.seen.remove(&link.sha256);
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

async fn check(client: &Client, link: Link) -> Result<()> {
    if link.raw.is_some() {
        return client.object(&link, limits::NODE, limits::NODE_RAW).await.map(drop);
    }
    let mut bytes = client.inner.store.stream_linked(link).await?;
    while bytes.try_next().await?.is_some() {}
    Ok(())
}
