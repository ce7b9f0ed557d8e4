//! A store as it is on a bad day, and the same bad day every time: answers take their time, requests fail with and without
//! effect, some stall for days, and a request that is on its way arrives also when the one who sent it is gone. All of it
//! follows from one seed, on a clock that only moves when everybody waits.

use super::referee::Referee;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// Numbers that follow from a seed (splitmix64, after Steele, Lea and Flood).
#[derive(Debug, Clone)]
pub(crate) struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    pub(crate) fn roll(&self, sides: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| u8::try_from(self.roll(256)).unwrap());
    }

    /// A time up to that many hours.
    pub(crate) fn hours(&self, up_to: u64) -> Duration {
        Duration::from_secs(self.roll(up_to * 3600 + 1))
    }
}

/// How late a signed request may arrive, as S3 has it.
const LATE: Duration = Duration::from_secs(15 * 60);

#[derive(Clone)]
pub(crate) struct Weather {
    referee: Referee,
    dice: Dice,
    /// What took effect, in order.
    log: Arc<Mutex<Vec<String>>>,
    fair: Arc<Mutex<bool>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Luck {
    Good,
    LostRequest,
    LostAnswer,
}

impl Weather {
    pub(crate) fn new(referee: Referee, dice: Dice) -> Self {
        Self { referee, dice, log: Arc::default(), fair: Arc::default() }
    }

    pub(crate) fn store(&self) -> ggen_marketplace::Store {
        ggen_marketplace::Store::new(Arc::new(self.clone()), "weather")
    }

    /// From now on everything works.
    pub(crate) fn clear_up(&self) {
        *self.fair.lock().unwrap() = true;
    }

    /// What took effect so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// What can be repeated is tried again, as every client of a store does.
    async fn again<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        what: String,
        act: impl Fn() -> F,
    ) -> Result<T> {
        for _ in 0..3 {
            match self.go(what.clone(), act()).await {
                Err(Error::Generic { .. }) => {}
                done => return done,
            }
        }
        self.go(what, act()).await
    }

    async fn go<T: Send + 'static>(
        &self,
        what: String,
        act: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let lost = |what: &str| Error::Generic { store: "weather", source: format!("{what} was lost").into() };
        let fair = *self.fair.lock().unwrap();
        let (mut before, mut after) =
            (Duration::from_millis(1 + self.dice.roll(40)), Duration::from_millis(1 + self.dice.roll(40)));
        let mut luck = Luck::Good;
        if !fair {
            match self.dice.roll(100) {
                0..3 => luck = Luck::LostRequest,
                3..6 => luck = Luck::LostAnswer,
                // A signed request that arrives later than this is refused, so a deletion does not come after days.
                6 if what.starts_with("delete") => before = self.dice.hours(100).min(LATE),
                6 => before = self.dice.hours(100),
                7 => after = self.dice.hours(100),
                _ => {}
            }
        }
        let log = Arc::clone(&self.log);
        // A task of its own: what was sent arrives, whatever becomes of the sender.
        let sent = tokio::spawn(async move {
            sleep(before).await;
            if luck == Luck::LostRequest {
                return Err(lost("the request"));
            }
            log.lock().unwrap().push(what);
            act.await
        });
        let answer = sent.await.unwrap();
        sleep(after).await;
        if luck == Luck::LostAnswer { Err(lost("the answer")) } else { answer }
    }
}

#[async_trait]
impl ObjectStore for Weather {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (referee, location) = (self.referee.clone(), location.clone());
        let what = format!("{:?} {location}", std::mem::discriminant(&opts.mode));
        self.go(what, async move { referee.put_opts(&location, payload, opts).await }).await
    }

    async fn put_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.referee.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (referee, location) = (self.referee.clone(), location.clone());
        let get = || {
            let (referee, location, options) = (referee.clone(), location.clone(), options.clone());
            async move { referee.get_opts(&location, options).await }
        };
        self.again(format!("get {location}"), get).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let one = move |location: Path| {
            let (this, referee) = (this.clone(), this.referee.clone());
            async move {
                let delete = || {
                    let (referee, location) = (referee.clone(), location.clone());
                    async move { referee.delete(&location).await }
                };
                this.again(format!("delete {location}"), delete).await?;
                Ok(location)
            }
        };
        locations.and_then(one).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, referee, prefix) = (self.clone(), self.referee.clone(), prefix.cloned());
        let listed = async move {
            let all = || {
                let (referee, prefix) = (referee.clone(), prefix.clone());
                async move { referee.list(prefix.as_ref()).try_collect::<Vec<_>>().await }
            };
            let all = this.again("list".to_owned(), all).await?;
            Ok::<_, Error>(futures::stream::iter(all.into_iter().map(Ok)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.referee.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (referee, from, to) = (self.referee.clone(), from.clone(), to.clone());
        let copy = || {
            let (referee, from, to, options) = (referee.clone(), from.clone(), to.clone(), options.clone());
            async move { referee.copy_opts(&from, &to, options).await }
        };
        self.again(format!("copy {from}"), copy).await
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("weather")
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("weather")
    }
}
