//! Downloading one archive.

use super::{SnapshotReader, partial};
use crate::{
    Error, ErrorKind, Result,
    package::{Link, Record},
    store,
};
use bytes::Bytes;
use futures::{TryStreamExt, stream::BoxStream};
use std::{io::Write, path::Path};

impl SnapshotReader {
    /// The bytes of a release's archive as they come, from the registry or from where it is hosted. The stream ends with an
    /// error when they are not the bytes that the record names: a caller uses nothing before the end.
    pub async fn fetch(&self, record: &Record) -> Result<BoxStream<'static, Result<Bytes>>> {
        if self.client().inner.options.offline {
            return Err(Error::new(ErrorKind::Unavailable, "an archive cannot be fetched with --offline"));
        }
        if record.removed.is_some() {
            let message = format!("{} {} was removed from the registry", record.name, record.version);
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let link = Link { raw: None, sha256: record.archive.sha256, size: record.archive.size };
        let client = self.client();
        match &record.archive.url {
            Some(url) => store::stream_url(url, link).await,
            None => {
                let found = client.inner.store.stream_linked(link).await;
                client.explained(self.generation(), partial::release(record), found).await
            }
        }
    }

    /// Downloads a release's archive into a file, which appears under its name only when it is whole and right.
    pub async fn fetch_to(&self, record: &Record, path: &Path, mut progress: impl FnMut(u64)) -> Result<()> {
        let mut stream = self.fetch(record).await?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |e| Error::io("write", path, e);
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let mut done = 0;
        while let Some(bytes) = stream.try_next().await? {
            temporary.write_all(&bytes).map_err(failed)?;
            done += bytes.len() as u64;
            progress(done);
        }
        let file = temporary.as_file();
        set_usual_mode(file).and_then(|()| file.sync_all()).map_err(failed)?;
        temporary.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

/// Temporary files are private; a download is as readable as any file of this user's.
fn set_usual_mode(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}
