//! A store that referees. One lock makes it linearizable; every write is recorded, and one that breaks a rule of the commit
//! protocol fails the test at once. It can be told to fail, or to die, at the n-th write: before it, half-way, or after.

use super::second_reader::{self, Objects};
use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// When a fault strikes, at which write, and what the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the write.
    DieBefore(usize),
    /// The process dies after the write took effect.
    DieAfter(usize),
    /// The write takes effect and is reported as failed; the process lives.
    FailAfter(usize),
    /// The write does not take effect and is reported as failed; the process lives.
    FailBefore(usize),
}

#[derive(Default)]
struct State {
    objects: Objects,
    /// Keys written, in order.
    writes: Vec<String>,
    reads: Vec<String>,
    fault: Option<Fault>,
    dead: bool,
    /// Broken rules.
    fouls: Vec<String>,
    /// It holds a copy: only the newest state has to be whole, and of that only a part, where it is one.
    mirror: Option<Mirrored>,
}

/// What a copy is meant to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mirrored {
    Newest,
    Part,
}

#[derive(Clone, Default)]
pub(crate) struct Referee {
    state: Arc<Mutex<State>>,
    /// Serves reads, with their conditions and ranges.
    memory: Arc<InMemory>,
}

impl Referee {
    pub(crate) fn store(&self) -> ggen_marketplace::Store {
        ggen_marketplace::Store::new(Arc::new(self.clone()), "referee")
    }

    /// A referee of a copy.
    pub(crate) fn of_mirror(mirrored: Mirrored) -> Self {
        let referee = Self::default();
        referee.state.lock().unwrap().mirror = Some(mirrored);
        referee
    }

    pub(crate) fn objects(&self) -> Objects {
        self.state.lock().unwrap().objects.clone()
    }

    /// The keys written since the last call.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().writes)
    }

    pub(crate) fn take_reads(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().reads)
    }

    /// Sets a fault, counted from the next write, and brings a dead store back to life.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.dead) = (fault, false);
        state.writes.clear();
    }

    /// Puts bytes where a stranger with access to the bucket would.
    pub(crate) async fn plant(&self, key: &str, bytes: &[u8]) {
        self.state.lock().unwrap().objects.insert(key.into(), bytes.to_vec());
        self.memory.put(&Path::from(key), PutPayload::from(bytes.to_vec())).await.unwrap();
    }

    pub(crate) async fn lose(&self, key: &str) {
        self.state.lock().unwrap().objects.remove(key);
        self.memory.delete(&Path::from(key)).await.unwrap();
    }

    /// Fails the test if a rule was broken.
    pub(crate) fn assert_fair(&self) {
        let fouls = &self.state.lock().unwrap().fouls;
        assert!(fouls.is_empty(), "{fouls:#?}");
    }

    fn dead() -> Error {
        Error::Generic { store: "referee", source: "the process is dead".into() }
    }
}

impl State {
    /// The rules of a write.
    fn judge(&mut self, key: &str, bytes: &[u8], create: bool) {
        let mirror = self.mirror;
        let mut foul = |what: &str| self.fouls.push(format!("{key}: {what}"));
        if let Some(sha256) = key.strip_prefix("blobs/sha256/") {
            if second_reader::hex(bytes) != sha256 {
                foul("I2: an object that is not what its name says");
            }
            if self.objects.get(key).is_some_and(|old| old == bytes) {
                foul("I5: rewritten with the same bytes");
            }
            let whole = if mirror.is_some() { second_reader::cited_now(bytes) } else { second_reader::cited(bytes) };
            for cited in whole.into_iter().filter(|_| mirror != Some(Mirrored::Part)) {
                if !self.objects.contains_key(&cited) {
                    foul(&format!("I1: it is there before {cited}, which it cites"));
                }
            }
        } else if key.starts_with("log/") {
            if !create {
                foul("I2: a slot that is not created conditionally");
            }
            if self.objects.contains_key(key) {
                foul("I2: a slot that exists");
            }
        } else if key != "checkpoint" && (key != "mirror.json" || mirror.is_none()) {
            foul("a key that is not in the layout");
        }
    }

    /// After a slot or a checkpoint, everything that it reaches must be there (I1).
    fn closure(&mut self, key: &str) {
        let objects = &self.objects;
        let whole = std::panic::catch_unwind(|| match key.strip_prefix("log/") {
            Some(_) if self.mirror.is_some() => {}
            Some(generation) => drop(second_reader::read_slot(objects, generation.parse().unwrap())),
            None if key == "checkpoint" && self.mirror != Some(Mirrored::Part) => drop(second_reader::read(objects)),
            None => {}
        });
        if whole.is_err() {
            self.fouls.push(format!("{key}: I1: it reaches something that is not there"));
        }
    }
}

#[async_trait]
impl ObjectStore for Referee {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let bytes: Vec<u8> = payload.iter().flat_map(|b| b.to_vec()).collect();
        let key = location.as_ref().to_owned();
        let create = opts.mode == PutMode::Create;
        let (fault, number, put) = {
            let mut state = self.state.lock().unwrap();
            if state.dead {
                return Err(Self::dead());
            }
            let number = state.writes.len();
            if create && state.objects.contains_key(&key) {
                return Err(Error::AlreadyExists { path: key, source: "it exists".into() });
            }
            let fault = state.fault;
            if fault == Some(Fault::DieBefore(number)) {
                state.dead = true;
                return Err(Self::dead());
            }
            state.writes.push(key.clone());
            if fault == Some(Fault::FailBefore(number)) {
                return Err(Error::Generic { store: "referee", source: "503 slow down".into() });
            }
            state.judge(&key, &bytes, create);
            state.objects.insert(key.clone(), bytes);
            state.closure(&key);
            if fault == Some(Fault::DieAfter(number)) {
                state.dead = true;
            }
            // Under the same lock: who reads sees what was written, also when the writer's task is stopped meanwhile. In
            // memory nothing is waited for.
            let put = self.memory.put(location, payload).now_or_never().expect("memory is never waited for");
            (fault, number, put?)
        };
        match fault {
            Some(Fault::DieAfter(n)) if n == number => Err(Self::dead()),
            Some(Fault::FailAfter(n)) if n == number => {
                Err(Error::Generic { store: "referee", source: "connection reset".into() })
            }
            _ => Ok(put),
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "put_multipart".into(), implementer: "referee".into() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        {
            let mut state = self.state.lock().unwrap();
            if state.dead {
                return Err(Self::dead());
            }
            if !options.head {
                state.reads.push(location.as_ref().to_owned());
            }
        }
        self.memory.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let state = Arc::clone(&self.state);
        locations
            .map(move |l| {
                state.lock().unwrap().fouls.push(format!("I5: {l:?} was deleted"));
                l
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: "referee".into() })
    }
}

impl fmt::Display for Referee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("referee")
    }
}

impl fmt::Debug for Referee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("referee")
    }
}
