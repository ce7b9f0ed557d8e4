//! A store in memory that has one fault, as real ones have them.

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, memory::InMemory, path::Path,
};
use std::{fmt, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Every write is done, whatever its condition.
    IgnoresConditions,
    /// A create looks whether there is something, and writes a moment later.
    LooksThenWrites,
    /// What is absent is forbidden.
    Forbids,
    /// A list leaves out what is new, which here is all.
    ListLags,
    /// Lists are forbidden.
    ForbidsList,
    /// An upload cannot be broken off.
    RefusesAbort,
    /// A list holds everything twice.
    ListsTwice,
    /// Its clock is so many seconds ahead.
    Clock(i64),
    LosesAttributes,
    /// Reads give what was there before the last write.
    Stale,
    IgnoresRange,
    /// A + in a key is a space.
    PlusIsSpace,
    /// Of an upload, the second part is lost.
    LosesPart,
    /// A deletion is reported and not done.
    KeepsDeleted,
    /// A deletion is refused.
    RefusesDelete,
}

#[derive(Debug)]
pub(crate) struct Odd {
    pub(crate) objects: InMemory,
    /// What was there before.
    before: InMemory,
    fault: Fault,
}

impl Odd {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { objects: InMemory::new(), before: InMemory::new(), fault }
    }

    fn key(&self, path: &Path) -> Path {
        if self.fault == Fault::PlusIsSpace {
            Path::parse(path.as_ref().replace('+', " ")).unwrap()
        } else {
            path.clone()
        }
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

fn denied(path: &Path) -> Error {
    Error::PermissionDenied { path: path.to_string(), source: "403".into() }
}

#[async_trait]
impl ObjectStore for Odd {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let path = &self.key(path);
        match self.fault {
            Fault::IgnoresConditions => options.mode = PutMode::Overwrite,
            Fault::LooksThenWrites if options.mode == PutMode::Create => {
                if self.objects.head(path).await.is_ok() {
                    return Err(Error::AlreadyExists { path: path.to_string(), source: "there".into() });
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                options.mode = PutMode::Overwrite;
            }
            Fault::LosesAttributes => options.attributes = Default::default(),
            Fault::Stale if options.mode == PutMode::Overwrite => {
                if let Ok(old) = self.objects.get(path).await {
                    self.before.put(path, old.bytes().await?.into()).await?;
                }
            }
            _ => {}
        }
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.objects.put_multipart_opts(path, options).await?;
        Ok(match self.fault {
            Fault::LosesPart => Box::new(Lossy { upload, loses: Some(2) }),
            Fault::RefusesAbort => Box::new(Lossy { upload, loses: None }),
            _ => upload,
        })
    }

    async fn get_opts(&self, path: &Path, mut options: GetOptions) -> Result<GetResult> {
        let path = &self.key(path);
        if self.fault == Fault::IgnoresRange {
            options.range = None;
        }
        let old = self.fault == Fault::Stale && self.before.head(path).await.is_ok();
        let store = if old { &self.before } else { &self.objects };
        let mut got = match store.get_opts(path, options).await {
            Err(Error::NotFound { .. }) if self.fault == Fault::Forbids => return Err(denied(path)),
            got => got?,
        };
        if let Fault::Clock(ahead) = self.fault {
            got.meta.last_modified += Duration::from_secs(ahead.unsigned_abs()) * u32::from(ahead > 0);
            got.meta.last_modified -= Duration::from_secs(ahead.unsigned_abs()) * u32::from(ahead < 0);
        }
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.fault {
            Fault::KeepsDeleted => paths,
            Fault::RefusesDelete => paths.map(|path| Err(denied(&path?))).boxed(),
            Fault::PlusIsSpace => {
                let paths = paths.map(|p| Ok(Path::parse(p?.as_ref().replace('+', " ")).unwrap()));
                self.objects.delete_stream(paths.boxed())
            }
            _ => self.objects.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let all = self.objects.list(prefix);
        match self.fault {
            Fault::ForbidsList => futures::stream::iter([Err(denied(prefix.unwrap()))]).boxed(),
            Fault::ListLags => all.filter(|_| std::future::ready(false)).boxed(),
            Fault::ListsTwice => {
                all.flat_map(|m| futures::stream::iter([m.as_ref().unwrap().clone(), m.unwrap()]).map(Ok)).boxed()
            }
            _ => all,
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Lossy {
    upload: Box<dyn MultipartUpload>,
    /// The part to lose; without one, it refuses to be broken off.
    loses: Option<usize>,
}

#[async_trait]
impl MultipartUpload for Lossy {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.loses = self.loses.map(|n| n.saturating_sub(1));
        if self.loses == Some(0) { Box::pin(std::future::ready(Ok(()))) } else { self.upload.put_part(data) }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        if self.loses.is_none() { Err(denied(&Path::from("upload"))) } else { self.upload.abort().await }
    }
}
