//! An S3-compatible server in this process, on loopback. One lock around all of its state makes every operation
//! linearizable, which the S3 servers at hand for tests are not; it referees what is written, and fails as it is told to.
//!
//! By hand on hyper and not on the `s3s` crate, whose traits answer one operation at a time above the connection: half of
//! the faults here (a dropped connection, half of a body, an effect without an answer) happen below it.
//!
//! It checks who signed a request and the digests of bodies, and not the signature itself.

mod client;
mod faults;
mod list;
mod protocol;
mod serve;
mod state;
mod upload;
mod wire;

pub(crate) use client::Access;
pub(crate) use faults::{Effect, Fault};
pub(crate) use state::{Conditions, Entry, Settings};
pub(crate) use wire::Op;

use super::second_reader::{self, Found, Objects};
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) const BUCKET: &str = "registry";
pub(crate) const ACCESS_KEY: &str = "AKTESTTESTTESTTESTTE";
pub(crate) const SECRET_KEY: &str = "a-secret-that-nobody-checks";

/// A server that runs as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct S3 {
    /// `http://127.0.0.1:port`, without the bucket.
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl S3 {
    /// A server that behaves, and referees.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut state = State::default();
        change(&mut state.settings);
        let state = Arc::new(Mutex::new(state));
        let url = serve::listen(Arc::clone(&state)).await;
        Self { url, state }
    }

    /// How to get in, with the client's retries off.
    pub(crate) fn access(&self) -> Access {
        Access {
            endpoint: self.url.clone(),
            bucket: BUCKET.into(),
            key: ACCESS_KEY.into(),
            secret: SECRET_KEY.into(),
            ..Access::default()
        }
    }

    /// The registry in this server, with the client's retries off.
    pub(crate) fn store(&self) -> ggen_marketplace::Store {
        self.access().store()
    }

    /// Changes how it behaves from now on.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// Adds a fault; of several that match a request, the one that was added first strikes.
    pub(crate) fn fault(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Takes all faults back, and answers again.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.dead = false;
    }

    /// How many requests a fault struck so far.
    pub(crate) fn struck(&self) -> usize {
        self.lock().struck
    }

    /// The requests since the last call, in the order in which they took effect.
    pub(crate) fn take_log(&self) -> Vec<Entry> {
        std::mem::take(&mut self.lock().log)
    }

    pub(crate) fn objects(&self) -> Objects {
        self.lock().objects.clone()
    }

    /// The registry as the second reader sees it.
    pub(crate) fn found(&self) -> Found {
        second_reader::read(&self.objects())
    }

    /// Immutable keys that were written again with the bytes that they had.
    pub(crate) fn rewrites(&self) -> Vec<String> {
        self.lock().rewrites.clone()
    }

    /// Multipart uploads that were begun and neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// Puts bytes where a stranger with access to the bucket would.
    pub(crate) fn plant(&self, key: &str, bytes: &[u8]) {
        self.lock().store(key, bytes.to_vec(), Vec::new(), None);
    }

    /// Loses an object, as nobody asked for.
    pub(crate) fn lose(&self, key: &str) {
        let mut state = self.lock();
        state.objects.remove(key).unwrap_or_else(|| panic!("{key} is not there"));
        state.metas.remove(key);
        state.whole.forget();
    }

    /// The rules that were broken so far.
    pub(crate) fn fouls(&self) -> Vec<String> {
        self.lock().fouls.clone()
    }

    /// Fails the test if a rule was broken.
    pub(crate) fn assert_fair(&self) {
        let fouls = self.fouls();
        assert!(fouls.is_empty(), "{fouls:#?}");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
