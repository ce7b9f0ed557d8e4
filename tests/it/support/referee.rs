//! A store that referees. One lock makes it linearizable; every write is recorded, and one that breaks a rule of the commit
//! protocol, or of the collection of garbage, fails the test at once. It can be told to fail, or to die, at the n-th write:
//! before it, half-way, or after. Its clock can be put forward.

use super::{
    rules::{self, Held, Mirrored},
    second_reader::{self, Objects},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream::BoxStream};
use ggen_marketplace::package::Timestamp;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

/// An object that was last written longer ago may be about to be collected: it is written again (I10).
const OLD: TimeDelta = TimeDelta::hours(12);

/// When a fault strikes, at which write, and what the caller is told. A copy and a deletion count as writes.
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

/// Runs once, right before a certain write.
type Hook = Box<dyn FnOnce() -> futures::future::BoxFuture<'static, ()> + Send>;

#[derive(Default)]
struct State {
    objects: Objects,
    /// When each was written, and the how-manieth write that was.
    written: BTreeMap<String, (DateTime<Utc>, usize)>,
    count: usize,
    /// How far the clock was put forward.
    ahead: TimeDelta,
    /// Where the clock began, if it goes as tokio's does.
    simulated: Option<(DateTime<Utc>, tokio::time::Instant)>,
    /// What was deleted and did not come back.
    deleted: BTreeSet<String>,
    /// What generations reach, once it was worked out.
    reach: BTreeMap<u64, BTreeSet<String>>,
    /// Keys written, in order; `copy …` and `delete …` among them.
    writes: Vec<String>,
    reads: Vec<String>,
    fault: Option<Fault>,
    /// What to do, once, before a write that begins so.
    hooks: Vec<(String, Hook)>,
    dead: bool,
    /// Whether it copies; not all stores do.
    no_copy: bool,
    /// Several writers at once may write the same object.
    crowded: bool,
    /// Broken rules.
    fouls: Vec<String>,
    /// Reads of what was deleted.
    late_reads: Vec<String>,
    /// It holds a copy: only the newest state has to be whole, and of that only a part, where it is one.
    mirror: Option<Mirrored>,
}

#[derive(Clone, Default)]
pub(crate) struct Referee {
    state: Arc<Mutex<State>>,
}

/// What a write does.
enum Write {
    Put { bytes: Vec<u8>, mode: PutMode },
    Copy { from: String },
    Delete,
}

/// What comes in parts is one write, at its end.
#[derive(Debug)]
struct Upload {
    referee: Referee,
    key: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        part.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let bytes = std::mem::take(&mut self.bytes);
        self.referee.write(&self.key, Write::Put { bytes, mode: PutMode::Overwrite }).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.bytes.clear();
        Ok(())
    }
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

    /// The rules that were broken so far.
    pub(crate) fn take_fouls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().fouls)
    }

    /// Another store that holds the same.
    pub(crate) fn fork(&self) -> Self {
        let state = self.state.lock().unwrap();
        let copy = State {
            objects: state.objects.clone(),
            written: state.written.clone(),
            count: state.count,
            ahead: state.ahead,
            deleted: state.deleted.clone(),
            reach: state.reach.clone(),
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(copy)) }
    }

    /// Sets a fault, counted from the next write, and brings a dead store back to life.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.dead) = (fault, false);
        state.writes.clear();
    }

    /// Does something, once, right before the next write (`copy …` and `delete …` are such) that begins so; or, for `read …`,
    /// when the answer to the next such read is on its way.
    pub(crate) fn before<F: Future<Output = ()> + Send + 'static>(
        &self,
        write: &str,
        hook: impl FnOnce() -> F + Send + 'static,
    ) {
        self.state.lock().unwrap().hooks.push((write.into(), Box::new(|| Box::pin(hook()))));
    }

    /// Puts the store's clock forward.
    pub(crate) fn pass(&self, time: Duration) {
        self.state.lock().unwrap().ahead += TimeDelta::from_std(time).unwrap();
    }

    /// Puts the store's clock back: for registries that began long ago.
    pub(crate) fn turn_back(&self, time: Duration) {
        self.state.lock().unwrap().ahead -= TimeDelta::from_std(time).unwrap();
    }

    /// From now on its clock goes as tokio's does, which may be paused, and begins at that time.
    pub(crate) fn begin_at(&self, time: Timestamp) {
        let began = DateTime::from_timestamp(time.unix(), 0).unwrap();
        self.state.lock().unwrap().simulated = Some((began, tokio::time::Instant::now()));
    }

    pub(crate) fn cannot_copy(&self) {
        self.state.lock().unwrap().no_copy = true;
    }

    /// Puts bytes where a stranger with access to the bucket would.
    pub(crate) async fn plant(&self, key: &str, bytes: &[u8]) {
        self.state.lock().unwrap().store(key, bytes.to_vec());
    }

    pub(crate) async fn lose(&self, key: &str) {
        let mut state = self.state.lock().unwrap();
        state.objects.remove(key).unwrap();
        state.written.remove(key);
    }

    /// From now on, several writers are at work: two may put the same new object, which is no waste of either.
    pub(crate) fn expect_a_crowd(&self) {
        self.state.lock().unwrap().crowded = true;
    }

    /// Forgets who read what was deleted already: a process that hung for weeks may.
    pub(crate) fn forgive_late_reads(&self) {
        self.state.lock().unwrap().late_reads.clear();
    }

    /// Fails the test if a rule was broken.
    pub(crate) fn assert_fair(&self) {
        let state = self.state.lock().unwrap();
        assert!(state.fouls.is_empty(), "{:#?}", state.fouls);
        assert!(state.late_reads.is_empty(), "read after they were deleted: {:#?}", state.late_reads);
    }

    fn dead() -> Error {
        Error::Generic { store: "referee", source: "the process is dead".into() }
    }

    /// Does what is to be done here.
    async fn reached(&self, place: &str) {
        let hook = {
            let mut state = self.state.lock().unwrap();
            let at = state.hooks.iter().position(|(at, _)| place.starts_with(at));
            at.map(|at| state.hooks.remove(at))
        };
        if let Some((_, hook)) = hook {
            hook().await;
        }
    }

    /// One write, under the one lock.
    async fn write(&self, key: &str, write: Write) -> Result<PutResult> {
        let name = match &write {
            Write::Put { .. } => key.to_owned(),
            Write::Copy { .. } => format!("copy {key}"),
            Write::Delete => format!("delete {key}"),
        };
        self.reached(&name).await;
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return Err(Self::dead());
        }
        let number = state.writes.len();
        state.allows(key, &write)?;
        let fault = state.fault;
        if fault == Some(Fault::DieBefore(number)) {
            state.dead = true;
            return Err(Self::dead());
        }
        state.writes.push(name);
        if fault == Some(Fault::FailBefore(number)) {
            return Err(Error::Generic { store: "referee", source: "503 slow down".into() });
        }
        match write {
            Write::Put { bytes, mode } => {
                state.judge(key, &bytes, mode == PutMode::Create);
                if rules::is_view(key) {
                    let fouls = rules::view(&state.objects, key, &bytes, mode == PutMode::Overwrite);
                    state.fouls.extend(fouls);
                }
                state.store(key, bytes);
                state.closure(key);
            }
            Write::Copy { from } => {
                let bytes = state.objects[&from].clone();
                state.judge(key, &bytes, false);
                state.store(key, bytes);
            }
            Write::Delete => {
                state.judge_deletion(key);
                state.objects.remove(key);
                state.written.remove(key);
                state.deleted.insert(key.to_owned());
            }
        }
        if fault == Some(Fault::DieAfter(number)) {
            state.dead = true;
            return Err(Self::dead());
        }
        if fault == Some(Fault::FailAfter(number)) {
            return Err(Error::Generic { store: "referee", source: "connection reset".into() });
        }
        Ok(PutResult { e_tag: Some(state.count.to_string()), version: None, extensions: Default::default() })
    }

    fn answer(&self, location: &Path, options: &GetOptions) -> Result<GetResult> {
        let mut state = self.state.lock().unwrap();
        let key = location.as_ref().to_owned();
        if state.dead {
            return Err(Self::dead());
        }
        if !options.head {
            state.reads.push(key.clone());
            if state.deleted.contains(&key) {
                state.late_reads.push(key.clone());
            }
        }
        let meta = Self::meta(&state, &key)
            .ok_or_else(|| Error::NotFound { path: key.clone(), source: "it is not there".into() })?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            None => 0..meta.size,
            Some(GetRange::Bounded(range)) => range.start..range.end.min(meta.size),
            Some(GetRange::Offset(from)) => *from..meta.size,
            Some(GetRange::Suffix(last)) => meta.size.saturating_sub(*last)..meta.size,
        };
        let Some(bytes) = state.objects[&key].get(range.start as usize..range.end as usize) else {
            return Err(Error::Generic { store: "referee", source: "that range is behind the end".into() });
        };
        let bytes = bytes.to_vec();
        let payload = GetResultPayload::Stream(futures::stream::iter([Ok(bytes.into())]).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default(), extensions: Default::default() })
    }

    fn meta(state: &State, key: &str) -> Option<ObjectMeta> {
        let (last_modified, number) = state.written.get(key)?;
        Some(ObjectMeta {
            location: Path::from(key),
            last_modified: *last_modified,
            size: state.objects[key].len() as u64,
            e_tag: Some(number.to_string()),
            version: None,
        })
    }
}

impl State {
    fn now(&self) -> DateTime<Utc> {
        let now = match self.simulated {
            Some((began, at)) => began + TimeDelta::from_std(at.elapsed()).unwrap(),
            None => DateTime::from_timestamp(Timestamp::now().unix(), 0).unwrap(),
        };
        now + self.ahead
    }

    fn store(&mut self, key: &str, bytes: Vec<u8>) {
        self.count += 1;
        self.written.insert(key.to_owned(), (self.now(), self.count));
        self.objects.insert(key.to_owned(), bytes);
        self.deleted.remove(key);
    }

    /// What a write is conditional on.
    fn allows(&self, key: &str, write: &Write) -> Result<()> {
        let (path, exists) = (key.to_owned(), self.objects.contains_key(key));
        let absent = |path: &str| Error::NotFound { path: path.to_owned(), source: "it is not there".into() };
        match write {
            Write::Put { mode: PutMode::Create, .. } if exists => {
                Err(Error::AlreadyExists { path, source: "it exists".into() })
            }
            Write::Put { mode: PutMode::Update(version), .. }
                if version.e_tag != self.written.get(key).map(|(_, n)| n.to_string()) =>
            {
                Err(Error::Precondition { path, source: "it is another one".into() })
            }
            Write::Copy { .. } if self.no_copy => {
                Err(Error::NotImplemented { operation: "copy".into(), implementer: "referee".into() })
            }
            Write::Copy { from } if !self.objects.contains_key(from) => Err(absent(from)),
            Write::Delete if !exists => Err(absent(key)),
            _ => Ok(()),
        }
    }

    /// The rules of a write.
    fn judge(&mut self, key: &str, bytes: &[u8], create: bool) {
        let held = Held { objects: &self.objects, deleted: &self.deleted, mirror: self.mirror };
        self.fouls.extend(rules::put(&held, key, bytes, create));
        let old = self.written.get(key).is_some_and(|(written, _)| self.now() - *written > OLD);
        let same = self.objects.get(key).is_some_and(|there| there == bytes);
        if !self.crowded && rules::immutable(key) && same && !old {
            self.fouls.push(format!("{key}: I5: rewritten needlessly"));
        }
    }

    /// The rules of a deletion: only a collection deletes (I5), only after it has said so (I15), only what was there for
    /// long, lies in the trash as well (I16), and is reached by nothing that the boundary keeps (I14).
    fn judge_deletion(&mut self, key: &str) {
        let Some(sha256) = key.strip_prefix("blobs/sha256/") else {
            if !key.starts_with("trash/") && !key.starts_with("doctor/") {
                self.fouls.push(format!("{key}: I5: it was deleted"));
            }
            return;
        };
        let trashed = self.objects.get(&format!("trash/{sha256}")) == self.objects.get(key);
        let Some(boundary) = self.objects.get("gc/boundary").map(|b| second_reader::boundary(b)) else {
            self.fouls.push(format!("{key}: I15: it was deleted before there was a boundary"));
            return;
        };
        if !trashed {
            self.fouls.push(format!("{key}: I16: it was deleted and is not in the trash"));
        }
        let newest = self.objects.keys().filter_map(|k| k.strip_prefix("log/")).next_back().unwrap().parse().unwrap();
        for generation in boundary.pins.into_iter().chain(boundary.keeps..=newest) {
            if !self.reach.contains_key(&generation) {
                let objects = &self.objects;
                let read = std::panic::catch_unwind(|| second_reader::read_slot(objects, generation).reached);
                match read {
                    Ok(reached) => drop(self.reach.insert(generation, reached)),
                    Err(_) => self.fouls.push(format!("{key}: I14: generation {generation} is kept and not whole")),
                }
            }
            if self.reach.get(&generation).is_some_and(|reached| reached.contains(key)) {
                self.fouls.push(format!("{key}: I14: generation {generation}, which is kept, reaches it"));
            }
        }
    }

    /// After a slot or a checkpoint, everything that it reaches must be there (I1).
    fn closure(&mut self, key: &str) {
        let objects = &self.objects;
        let generation: Option<u64> = key.strip_prefix("log/").map(|g| g.parse().unwrap());
        // Where garbage was collected at its base or later, its writer looks again before the checkpoint (I15).
        let boundary = objects.get("gc/boundary").map(|b| second_reader::boundary(b).generation);
        if generation.is_some_and(|g| boundary.is_some_and(|b| b + 1 >= g)) {
            return;
        }
        let whole = std::panic::catch_unwind(|| match generation {
            Some(_) if self.mirror.is_some() => {}
            Some(generation) => drop(second_reader::read_slot(objects, generation)),
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
        self.write(location.as_ref(), Write::Put { bytes, mode: opts.mode }).await
    }

    async fn put_multipart_opts(&self, path: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload { referee: self.clone(), key: path.to_string(), bytes: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let answer = self.answer(location, &options);
        self.reached(&format!("read {location}")).await;
        answer
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let referee = self.clone();
        locations
            .then(move |location| {
                let referee = referee.clone();
                async move {
                    let location = location?;
                    referee.write(location.as_ref(), Write::Delete).await.map(|_| location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let state = self.state.lock().unwrap();
        if state.dead {
            return futures::stream::iter([Err(Self::dead())]).boxed();
        }
        let folder = prefix.map_or_else(String::new, |p| format!("{p}/"));
        let found: Vec<_> =
            state.objects.keys().filter(|k| k.starts_with(&folder)).map(|k| Self::meta(&state, k)).collect();
        futures::stream::iter(found.into_iter().flatten().map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotImplemented { operation: "list_with_delimiter".into(), implementer: "referee".into() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        self.write(to.as_ref(), Write::Copy { from: from.to_string() }).await.map(drop)
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
