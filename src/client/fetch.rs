//! Downloading one archive.

use super::{SnapshotReader, archives::save, partial};
use crate::{Error, ErrorKind, Result, package::Record, store::Download};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use std::{
    fs::File,
    io::{self, Seek as _},
    path::Path,
    sync::Arc,
};
use tempfile::NamedTempFile;

impl SnapshotReader {
    /// The bytes of a release's archive as they come, from the registry or from where it is hosted. The stream ends with an
    /// error when they are not the bytes that the record names: a caller uses nothing before the end.
    pub async fn fetch(&self, record: &Record) -> Result<BoxStream<'static, Result<Bytes>>> {
        let stream = self.explained(record, self.download(record)?.stream().await).await?;
        let (reader, record) = (self.clone(), Arc::new(record.clone()));
        let explained = stream.then(move |item| {
            let (reader, record) = (reader.clone(), Arc::clone(&record));
            async move { reader.explained(&record, item).await }
        });
        Ok(explained.boxed())
    }

    /// Where an archive of this registry is absent, the error says why, if that can be known.
    async fn explained<T>(&self, record: &Record, outcome: Result<T>) -> Result<T> {
        if outcome.is_ok() || record.archive.url.is_some() {
            return outcome;
        }
        self.client().explained(self.generation(), partial::release(record), outcome).await
    }

    fn download(&self, record: &Record) -> Result<Download> {
        if record.removed.is_some() {
            let message = format!("{} {} was removed from the registry", record.name, record.version);
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        self.client().download(&record.archive)
    }

    /// Downloads a release's archive into a file, which appears under its name only when it is whole and right.
    pub async fn fetch_to(&self, record: &Record, path: &Path, progress: impl FnMut(u64)) -> Result<()> {
        let mut download = self.download(record)?;
        let failed = |e| Error::io("write", path, e);
        let mut temporary = beside(path).map_err(failed)?;
        let saved = save(&mut download, temporary.as_file_mut(), &failed, progress).await;
        self.explained(record, saved).await?;
        place(temporary, path).map_err(failed)
    }
}

/// Whether something has that name that is no file: a device or a pipe, as `/dev/null` and `/dev/stdout` are.
fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// A file that waits for its name, beside where it is to be.
pub(super) fn beside(path: &Path) -> io::Result<NamedTempFile> {
    if is_device(path) {
        return NamedTempFile::new();
    }
    NamedTempFile::new_in(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Gives it its name, when all of it is on the disk. A device or a pipe keeps its own, and is given what is in the file.
pub(super) fn place(mut temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    if is_device(path) {
        temporary.rewind()?;
        return io::copy(&mut temporary, &mut File::options().write(true).open(path)?).map(drop);
    }
    set_usual_mode(temporary.as_file())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map(drop).map_err(|e| e.error)
}

/// Temporary files are private; a download is as readable as any file of this user's.
pub(super) fn set_usual_mode(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}
