//! The places where one registry can be read: one, or several that are the same but for how fresh and how well they are.
//! None is trusted: what comes from any of them is measured by links and signatures, so the worst that one can do is to
//! cost time.

use super::{
    Cause,
    fault::{Ask, Body, Fault, Got, Then},
    io_kind, kind_of,
    transport::{MirrorOrder, Transport},
    web::Web,
};
use crate::{Error, ErrorKind};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore, path::Path as Key};
use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The longest time for which a mirror that failed is left alone.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// So often it is asked, the later times past caches, before one is believed to lack an object.
const ABSENCES: u32 = 3;

/// One of them.
pub(super) struct Mirror {
    place: Place,
    folder: Option<Arc<Path>>,
    shown: Arc<str>,
    health: Mutex<Health>,
}

pub(super) enum Place {
    /// A bucket, a folder, memory: its client tries again by itself where that helps.
    Object(Arc<dyn ObjectStore>),
    Web(Web),
}

/// What is remembered of a mirror, for as long as the store is open.
#[derive(Debug, Default, Clone, Copy)]
struct Health {
    /// Failures since it last answered.
    failures: u32,
    rest_until: Option<Instant>,
    /// From question to answer, lately.
    latency: Option<Duration>,
    /// It showed an older state than another one did: it may lack what is new.
    behind: bool,
}

pub(super) struct Mirrors {
    all: Vec<Arc<Mirror>>,
    pub(super) transport: Arc<Transport>,
    next: AtomicUsize,
}

impl Mirror {
    pub(super) fn new(place: Place, folder: Option<Arc<Path>>, shown: Arc<str>) -> Self {
        Self { place, folder, shown, health: Mutex::default() }
    }

    pub(super) fn place(&self, key: &str) -> String {
        match &self.folder {
            _ if key.is_empty() => self.shown.to_string(),
            Some(folder) => folder.join(key).display().to_string(),
            None => format!("{}/{key}", self.shown.trim_end_matches('/')),
        }
    }

    pub(super) fn is_web(&self) -> bool {
        matches!(self.place, Place::Web(_))
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // Plain numbers, each of them right by itself.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks once.
    pub(super) async fn get(&self, ask: &Ask<'_>) -> Result<Got, Fault> {
        let began = Instant::now();
        let got = match &self.place {
            Place::Web(web) => web.get(ask).await,
            Place::Object(store) => self.get_object(store, ask).await,
        };
        if got.is_ok() {
            let took = began.elapsed();
            let mut health = self.health();
            health.latency = Some(health.latency.map_or(took, |l| (l * 7 + took * 3) / 10));
        }
        got
    }

    async fn get_object(&self, store: &Arc<dyn ObjectStore>, ask: &Ask<'_>) -> Result<Got, Fault> {
        let options = GetOptions {
            if_none_match: ask.etag.map(Into::into),
            range: ask.is_part().then_some(match ask.until {
                Some(until) => GetRange::Bounded(ask.from..until),
                None => GetRange::Offset(ask.from),
            }),
            ..GetOptions::default()
        };
        match store.get_opts(&Key::from(ask.key), options).await {
            Ok(got) => {
                let (start, total) = (got.range.start, Some(got.meta.size));
                let (etag, version) = (got.meta.e_tag.clone(), got.meta.version.clone());
                let (place, local) = (self.place(ask.key), self.folder.is_some());
                let pieces = got.into_stream().map_err(move |e| fault(&place, local, e)).boxed();
                Ok(Got::Body(Body { etag, version, start, total, encoded: false, pieces }))
            }
            Err(object_store::Error::NotModified { .. }) => Ok(Got::NotModified),
            Err(e) => {
                let absent = matches!(e, object_store::Error::NotFound { .. });
                let fault = fault(&self.place(ask.key), self.folder.is_some(), e);
                if absent { Ok(Got::Absent(fault)) } else { Err(fault) }
            }
        }
    }

    pub(super) fn well(&self) {
        let mut health = self.health();
        (health.failures, health.rest_until) = (0, None);
    }

    pub(super) fn ill(&self) {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        let rest = Duration::from_secs(1 << health.failures.min(6)).min(LONGEST_REST);
        health.rest_until = Some(Instant::now() + rest);
    }

    pub(super) fn set_behind(&self, behind: bool) {
        self.health().behind = behind;
    }
}

/// The client of a bucket tries again by itself, and a folder answers the second time as it does the first.
fn fault(place: &str, local: bool, e: object_store::Error) -> Fault {
    let kind = kind_of(local, &e);
    Fault::new(Then::Never, super::named(place, "read", kind, super::hint_for(kind, &e, io_kind(&e)), Cause(e)))
}

impl Mirrors {
    pub(super) fn new(all: Vec<Arc<Mirror>>, transport: Arc<Transport>) -> Self {
        Self { all, transport, next: AtomicUsize::new(0) }
    }

    /// All mirrors of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::new([self.all.as_slice(), &other.all].concat(), Arc::clone(&self.transport))
    }

    pub(super) fn all(&self) -> &[Arc<Mirror>] {
        &self.all
    }

    pub(super) fn get(&self, number: usize) -> &Arc<Mirror> {
        &self.all[number]
    }

    /// In which order to ask: those that rest come last, the soonest to be back first; before them those that are behind.
    pub(super) fn order(&self) -> Vec<usize> {
        let now = Instant::now();
        let n = self.all.len();
        let first = match self.transport.options.order {
            MirrorOrder::RoundRobin => self.next.fetch_add(1, Ordering::Relaxed) % n.max(1),
            _ => 0,
        };
        let mut order: Vec<usize> = (0..n).map(|i| (first + i) % n).collect();
        let fastest = self.transport.options.order == MirrorOrder::Fastest;
        // One that was never asked is asked first: then its speed is known.
        order.sort_by_key(|i| {
            let health = *self.all[*i].health();
            let rest = health.rest_until.filter(|t| *t > now);
            (rest, health.behind, fastest.then(|| health.latency.unwrap_or_default()))
        });
        order
    }

    /// Those that do not rest; all, if all do.
    pub(super) fn awake(&self) -> Vec<usize> {
        let now = Instant::now();
        let awake: Vec<_> =
            (0..self.all.len()).filter(|i| self.all[*i].health().rest_until.is_none_or(|t| t <= now)).collect();
        if awake.is_empty() { (0..self.all.len()).collect() } else { awake }
    }
}

/// Asking one mirror after the other, and all of them again after a pause, within bounds.
pub(super) struct Rounds {
    mirrors: Arc<Mirrors>,
    key: String,
    order: Vec<usize>,
    tried: Vec<Tried>,
    round: u32,
    /// When something was got last.
    began: Instant,
}

/// What became of asking one of them.
#[derive(Default)]
struct Tried {
    times: u32,
    never: bool,
    past: bool,
    whole: bool,
    wrong: u32,
    absent: u32,
    /// Something else was the matter, once.
    faulty: bool,
    not_before: Option<Instant>,
    error: Option<Error>,
}

/// Wrong bytes from a web server may come from a cache on the way, which can be asked past. From a bucket they are what it
/// holds.
fn patience_with_wrong(mirror: &Mirror) -> u32 {
    if mirror.is_web() { 3 } else { 1 }
}

impl Rounds {
    pub(super) fn new(mirrors: &Arc<Mirrors>, key: &str) -> Self {
        let order = mirrors.order();
        Self::over(mirrors, key, order)
    }

    /// Only these.
    pub(super) fn over(mirrors: &Arc<Mirrors>, key: &str, order: Vec<usize>) -> Self {
        let tried = mirrors.all().iter().map(|_| Tried::default()).collect();
        Self { mirrors: Arc::clone(mirrors), key: key.into(), order, tried, round: 0, began: Instant::now() }
    }

    /// The next one to ask, when it is time to.
    ///
    /// # Errors
    /// What the last ones answered, when there is none any more.
    pub(super) async fn next(&mut self) -> Result<usize, Error> {
        let options = &self.mirrors.transport.options;
        loop {
            let in_round = |i: &&usize| !self.tried[**i].never && self.tried[**i].times <= self.round;
            let now = Instant::now();
            let left = options.retry_budget.saturating_sub(self.began.elapsed());
            let waits =
                |i: &usize| self.tried[*i].not_before.map_or(Duration::ZERO, |t| t.saturating_duration_since(now));
            if let Some(i) = self.order.iter().filter(in_round).find(|i| waits(i).is_zero()) {
                return Ok(*i);
            }
            let alive: Vec<usize> = self.order.iter().copied().filter(|i| !self.tried[*i].never).collect();
            let Some(wait) = alive.iter().map(waits).min() else { return Err(self.gave_up()) };
            if self.round >= options.retries || wait > left || left.is_zero() {
                return Err(self.gave_up());
            }
            let pause = pause(self.round).max(wait).min(left);
            tracing::debug!("asking for {} again in {} ms", self.key, pause.as_millis());
            tokio::time::sleep(pause).await;
            self.round += 1;
        }
    }

    /// Whether to ask past caches, and for the whole instead of a part.
    pub(super) fn manner(&self, i: usize) -> (bool, bool) {
        (self.tried[i].past, self.tried[i].whole)
    }

    /// It has no answer, or no more of it.
    pub(super) fn failed(&mut self, i: usize, fault: Fault) {
        tracing::debug!("{}", fault.error.chain());
        let tried = &mut self.tried[i];
        tried.times += 1;
        tried.faulty = true;
        match fault.then {
            Then::Again => {}
            Then::After(wait) => tried.not_before = Some(Instant::now() + wait),
            Then::Past => tried.past = true,
            Then::Whole => tried.whole = true,
            Then::Never => tried.never = true,
        }
        tried.error = Some(fault.error);
        self.mirrors.get(i).ill();
    }

    /// It says that there is no such thing. That is not an illness, but no proof either (invariant I27).
    pub(super) fn absent(&mut self, i: usize, fault: Fault) {
        let tried = &mut self.tried[i];
        tried.absent += 1;
        tried.times += 1;
        tried.past = true;
        tried.never |= fault.then == Then::Never || tried.absent >= ABSENCES;
        // Another fault says more than that it was not there the next time.
        tried.error.get_or_insert(fault.error);
    }

    /// Nobody is asked any more.
    pub(super) fn leave_all(&mut self) {
        self.tried.iter_mut().for_each(|t| t.never = true);
    }

    /// All of them say so, and nothing else was the matter.
    pub(super) fn all_absent(&self) -> bool {
        self.order.iter().all(|i| self.tried[*i].absent > 0 && !self.tried[*i].faulty)
    }

    /// It answered with something else than what was cited.
    pub(super) fn wrong(&mut self, i: usize, error: Error) {
        tracing::debug!("{}", error.chain());
        let patience = patience_with_wrong(self.mirrors.get(i));
        let tried = &mut self.tried[i];
        tried.times += 1;
        tried.wrong += 1;
        tried.faulty = true;
        (tried.past, tried.whole) = (true, true);
        tried.never |= tried.wrong >= patience;
        tried.error = Some(error);
        self.mirrors.get(i).ill();
    }

    /// Something was got: patience begins anew.
    pub(super) fn progress(&mut self) {
        self.began = Instant::now();
        self.round = 0;
        self.tried.iter_mut().for_each(|t| t.times = 0);
    }

    /// What to tell when nobody is left to ask.
    pub(super) fn gave_up(&mut self) -> Error {
        let errors = self.order.iter().filter_map(|i| self.tried[*i].error.take()).collect();
        none_gave(errors, &self.key)
            .unwrap_or_else(|| Error::new(ErrorKind::Unavailable, format!("nobody to ask for {}", self.key)))
    }
}

/// What to tell when each mirror answered with an error; `None` where there is none.
pub(super) fn none_gave(mut errors: Vec<Error>, key: &str) -> Option<Error> {
    if errors.len() < 2 {
        return errors.pop();
    }
    // If one was merely not there, later is another chance; that another one was wrong does not change that.
    let same = errors.iter().all(|e| e.kind() == errors[0].kind());
    let kind = if same { errors[0].kind() } else { ErrorKind::Unavailable };
    let all: Vec<_> = errors.iter().map(Error::chain).collect();
    let error = Error::new(kind, format!("none of {} mirrors gave {key}", errors.len()));
    Some(error.with_source(all.join("; ")).with_hint("try again later, or name another mirror"))
}

/// A random time that grows with each round ("full jitter": many clients that failed at once do not come back at once).
fn pause(round: u32) -> Duration {
    let most = Duration::from_millis(100 << round.min(5)).min(Duration::from_secs(2));
    let random = getrandom::u64().unwrap_or(u64::MAX / 2);
    Duration::from_micros(random % u64::try_from(most.as_micros()).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_one_mirror_was_wrong_does_not_make_another_one_s_absence_final() {
        let errors = |kinds: &[ErrorKind]| kinds.iter().map(|k| Error::new(*k, format!("{k:?}"))).collect::<Vec<_>>();
        assert!(none_gave(Vec::new(), "key").is_none());
        let (gone, wrong) = (ErrorKind::Unavailable, ErrorKind::Untrusted);
        for (kinds, kind) in
            [(&[wrong][..], wrong), (&[wrong, wrong], wrong), (&[gone, wrong], gone), (&[wrong, gone], gone)]
        {
            let error = none_gave(errors(kinds), "key").unwrap();
            assert_eq!(error.kind(), kind, "{kinds:?}");
            assert!(kinds.iter().all(|k| error.chain().contains(&format!("{k:?}"))), "{}", error.chain());
        }
    }
}
