//! The files of views: mutable, derived, and written so that an older state never takes the place of a newer one.

use super::{Store, open::Backend, read::collect, store_error};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::keys::Class,
    view::{File, View},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion, path::Path};
use rayon::prelude::*;
use std::{
    fs,
    io::{self, Write as _},
    path::{Path as FilePath, PathBuf},
    time::Duration,
};

/// How often a file is written whose outcome stays unknown.
const TRIES: u32 = 4;

/// The largest file of a view that is read to be compared: what is larger is not ours.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// What stands where a file of a view belongs.
pub(crate) struct There {
    pub(crate) bytes: Bytes,
    version: UpdateVersion,
}

/// Keeps other jobs of this machine from writing views into the same folder, until it is dropped.
pub(crate) struct ViewLock {
    _folder: Option<fs::File>,
}

/// What writing files came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Somebody else wrote one of them meanwhile.
    pub(crate) lost: bool,
}

impl Written {
    fn add(&mut self, bytes: usize) {
        self.files += 1;
        self.bytes += bytes as u64;
    }
}

impl Store {
    /// Waits until nobody else on this machine writes views into this folder. A folder knows no condition on which a file is
    /// replaced, so its writers take turns; of a bucket nothing is locked.
    pub(crate) async fn lock_views(&self) -> Result<ViewLock> {
        #[cfg(unix)]
        if let Backend::Folder(folder) = self.backend.clone() {
            let locked = tokio::task::spawn_blocking(move || {
                let opened = fs::File::open(&folder)?;
                opened.lock()?;
                Ok::<_, io::Error>(opened)
            });
            let failed = |e| Error::io("lock", self.path().unwrap_or(FilePath::new("")), e);
            let file = locked.await.map_err(|e| failed(io::Error::other(e)))?.map_err(failed)?;
            return Ok(ViewLock { _folder: Some(file) });
        }
        Ok(ViewLock { _folder: None })
    }

    /// What stands in the places of these files.
    pub(crate) async fn look_at(&self, keys: &[String]) -> Result<Vec<Option<There>>> {
        let looks: Vec<_> = keys.iter().map(|key| self.view_file(key)).collect();
        futures::stream::iter(looks).buffered(self.parallel()).try_collect().await
    }

    /// A file of a view.
    pub(crate) async fn view_file(&self, key: &str) -> Result<Option<There>> {
        let got = match self.inner.get(&Path::from(key)).await {
            Ok(got) => got,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(store_error(self, "read", key, e)),
        };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = collect(got.into_stream(), MAX_FILE).await.map_err(|e| self.stream_error(key, e))?;
        Ok(Some(There { bytes, version }))
    }

    /// Writes files in the places that were looked at, each only while nobody else has written it since, where the store
    /// knows such a condition. What stands there already is not written.
    pub(crate) async fn write_files(&self, files: &[File], there: &[Option<There>], view: View) -> Result<Written> {
        let mut out = Written::default();
        let is_right = |file: &File, there: &Option<There>| {
            there.as_ref().map_or(file.bytes.is_empty(), |t| t.bytes == file.bytes)
        };
        let wrong = files.iter().zip(there).filter(|(file, there)| !is_right(file, there));
        let writes: Vec<_> =
            wrong.map(|(file, there)| self.write_file(file, there.as_ref(), view.class(&file.key))).collect();
        let mut running = futures::stream::iter(writes).buffer_unordered(self.parallel());
        while let Some(written) = running.try_next().await? {
            match written {
                Some(bytes) => out.add(bytes),
                None => out.lost = true,
            }
        }
        Ok(out)
    }

    async fn write_file(&self, file: &File, there: Option<&There>, class: Class) -> Result<Option<usize>> {
        let written = Some(file.bytes.len());
        let (path, payload) = (Path::from(file.key.as_str()), PutPayload::from(file.bytes.clone()));
        let known = there.is_none_or(|t| t.version.e_tag.is_some() || t.version.version.is_some());
        if !self.single_writer && known {
            let mut options = self.options(class);
            options.mode = there.map_or(PutMode::Create, |t| PutMode::Update(t.version.clone()));
            // The client of a bucket repeats nothing that has a condition: it cannot tell whether the first try took effect.
            // Here it can be told.
            for attempt in 0..TRIES {
                match self.inner.put_opts(&path, payload.clone(), options.clone()).await {
                    Ok(_) => return Ok(written),
                    Err(StoreError::Precondition { .. } | StoreError::AlreadyExists { .. }) => {
                        let ours =
                            attempt > 0 && self.view_file(&file.key).await?.is_some_and(|t| t.bytes == file.bytes);
                        return Ok(written.filter(|_| ours));
                    }
                    Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => break,
                    Err(e) if attempt + 1 == TRIES => return Err(store_error(self, "write", &file.key, e)),
                    Err(e) => tracing::debug!("{}: {e}", file.key),
                }
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            }
        }
        let put = self.inner.put_opts(&path, payload, self.options(class)).await;
        put.map(|_| written).map_err(|e| store_error(self, "write", &file.key, e))
    }

    /// Writes files into a folder, without asking anybody: its lock is held. What stands there already is not written. Where it is
    /// `fresh`, nothing is expected to be there.
    pub(crate) async fn write_folder(&self, files: Vec<File>, fresh: bool) -> Result<Written> {
        let Backend::Folder(folder) = self.backend.clone() else {
            return Err(Error::new(ErrorKind::Invalid, format!("{self} is no folder")));
        };
        cpu::run(move || {
            let written = files.into_par_iter().map(|file| {
                let path = folder.join(file.key.as_str());
                let written = if fresh { create(&path, &file.bytes) } else { replace(&path, &file.bytes) };
                written.map_err(|e| Error::io("write", &path, e))
            });
            let done: Vec<Option<usize>> = written.collect::<Result<_>>()?;
            let mut out = Written::default();
            done.into_iter().flatten().for_each(|bytes| out.add(bytes));
            Ok(out)
        })
        .await
    }
}

/// Makes a file where there is none: half the work of putting one in the place of another. A run that dies over it leaves half a
/// file behind, and word that it had begun: so the next one compares all files.
fn create(path: &FilePath, bytes: &[u8]) -> io::Result<Option<usize>> {
    if bytes.is_empty() {
        return replace(path, bytes);
    }
    let mut made = fs::File::create_new(path);
    if let (Err(e), Some(folder)) = (&made, path.parent())
        && e.kind() == io::ErrorKind::NotFound
    {
        fs::create_dir_all(folder)?;
        made = fs::File::create_new(path);
    }
    match made {
        Ok(mut file) => file.write_all(bytes).map(|()| Some(bytes.len())),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => replace(path, bytes),
        Err(e) => Err(e),
    }
}

/// Puts a file in the place of another one in one step, so that nobody ever reads half of it.
fn replace(path: &FilePath, bytes: &[u8]) -> io::Result<Option<usize>> {
    match fs::read(path) {
        Ok(there) if there == bytes => return Ok(None),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound && bytes.is_empty() => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Nobody else writes here, and what a run that died left behind is written over.
    name.push("#1");
    let beside: PathBuf = path.with_file_name(name);
    if let Err(e) = fs::write(&beside, bytes) {
        let Some(folder) = path.parent().filter(|_| e.kind() == io::ErrorKind::NotFound) else { return Err(e) };
        fs::create_dir_all(folder)?;
        fs::write(&beside, bytes)?;
    }
    fs::rename(&beside, path)?;
    Ok(Some(bytes.len()))
}
