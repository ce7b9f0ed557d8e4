//! What the server holds, and the referee.

use super::{
    faults::{Effect, Fault},
    upload::Upload,
    wire::{Asked, Op, Reply},
};
use crate::support::{
    rules::{self, Held, Whole},
    second_reader::{self, Objects},
};
use chrono::{DateTime, Utc};
use ggen_marketplace::package::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What the server makes of a condition on a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// It holds it.
    Kept,
    /// It writes in any case, as Garage does.
    Ignored,
    /// It looks, waits for so long, and then writes: writers who come at once all win, as with s3s-fs.
    Racing(Duration),
}

/// How the server behaves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Objects can be read without a signature.
    pub(crate) public_read: bool,
    /// Judge what is written. The registry that is judged is at the root of the bucket: off for any other keys.
    pub(crate) referee: bool,
    /// One writer at a time is at work: slots may be written without a condition.
    pub(crate) single_writer: bool,
    /// The most keys in one page of a listing.
    pub(crate) page: usize,
    pub(crate) conditions: Conditions,
    /// Whoever asks for what is not there is told 403, as by S3 without the right to list.
    pub(crate) absent_is_forbidden: bool,
    /// Seconds by which its clock is ahead.
    pub(crate) clock: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_read: false,
            referee: true,
            single_writer: false,
            page: 1000,
            conditions: Conditions::Kept,
            absent_is_forbidden: false,
            clock: 0,
        }
    }
}

/// A request in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) op: Op,
    pub(crate) key: String,
    /// What the client was told; 0 where it was told nothing.
    pub(crate) status: u16,
    /// Whether the request was carried out, whatever the client was told of it.
    pub(crate) done: bool,
    pub(crate) conditional: bool,
    /// Of the body that was sent, or of the one that was received.
    pub(crate) bytes: u64,
    /// The user agent.
    pub(crate) agent: String,
}

/// What belongs to an object besides its bytes.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) etag: String,
    pub(super) modified: DateTime<Utc>,
    /// As they were sent, and are given back.
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: Objects,
    pub(super) metas: BTreeMap<String, Meta>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) settings: Settings,
    pub(super) faults: Vec<Fault>,
    pub(super) dead: bool,
    /// How many requests a fault struck.
    pub(super) struck: usize,
    pub(super) log: Vec<Entry>,
    pub(super) rewrites: Vec<String>,
    pub(super) fouls: Vec<String>,
    pub(super) whole: Whole,
    /// Keys that the registry's own programs deleted.
    deleted: BTreeSet<String>,
    requests: u64,
}

impl State {
    pub(super) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(Timestamp::now().unix() + self.settings.clock, 0).unwrap()
    }

    pub(super) fn request_id(&mut self) -> String {
        self.requests += 1;
        format!("{:016X}", self.requests)
    }

    /// What is wrong with this request, if something is.
    pub(super) fn strike(&mut self, asked: &Asked) -> Option<Effect> {
        let mut struck = None;
        for fault in &mut self.faults {
            // Each counts for itself.
            struck = fault.strike(asked).filter(|_| struck.is_none()).or(struck);
        }
        self.struck += usize::from(struck.is_some());
        struck
    }

    pub(super) fn note(&mut self, asked: &Asked, told: u16, done: bool, bytes: usize) {
        let (op, key, conditional) = (asked.op, asked.key.clone(), asked.is_conditional());
        let agent = asked.header("user-agent").unwrap_or("").to_owned();
        self.log.push(Entry { op, key, status: told, done, conditional, bytes: bytes as u64, agent });
    }

    /// Stores an object, without judging it.
    pub(super) fn store(
        &mut self,
        key: &str,
        bytes: Vec<u8>,
        headers: Vec<(String, String)>,
        etag: Option<String>,
    ) -> String {
        let etag = etag.unwrap_or_else(|| tag(&bytes));
        let meta = Meta { etag: etag.clone(), modified: self.now(), headers };
        self.metas.insert(key.into(), meta);
        self.objects.insert(key.into(), bytes);
        self.deleted.remove(key);
        etag
    }

    /// Judges and stores an object, by whichever operation it came.
    pub(super) fn write(
        &mut self,
        key: &str,
        bytes: Vec<u8>,
        headers: Vec<(String, String)>,
        etag: Option<String>,
        conditional: bool,
    ) -> String {
        let referee = self.settings.referee;
        if referee {
            let conditional = conditional || self.settings.single_writer;
            if rules::immutable(key) && self.objects.get(key).is_some_and(|old| *old == bytes) {
                self.rewrites.push(key.into());
            }
            let held = Held { objects: &self.objects, deleted: &BTreeSet::new(), mirror: None };
            self.fouls.extend(rules::put(&held, key, &bytes, conditional));
        }
        let etag = self.store(key, bytes, headers, etag);
        if referee {
            self.fouls.extend(self.whole.check(&self.objects, key));
        }
        etag
    }

    pub(super) fn delete(&mut self, key: &str) {
        if self.settings.referee && self.objects.contains_key(key) {
            if key.starts_with("log/") || key == "checkpoint" {
                self.fouls.push(format!("{key}: I5: it was deleted, and has to stay for ever"));
            } else if key.starts_with("blobs/") && Whole::reached(&self.objects).contains(key) {
                self.fouls.push(format!("{key}: I1: it was deleted, and the newest slot reaches it"));
            }
            self.whole.forget();
            if !key.starts_with("doctor/") && !key.starts_with("trash/") {
                self.deleted.insert(key.into());
            }
        }
        self.objects.remove(key);
        self.metas.remove(key);
    }

    /// Somebody reads the bytes under that key.
    pub(super) fn read(&mut self, key: &str) {
        if self.deleted.contains(key) {
            self.fouls.push(format!("{key}: it is read, and was deleted"));
        }
    }

    pub(super) fn absent(&self, key: &str) -> Reply {
        if self.settings.absent_is_forbidden {
            return Reply::error(403, "AccessDenied", "Access Denied", key);
        }
        Reply::error(404, "NoSuchKey", "The specified key does not exist.", key)
    }
}

/// A strong tag, equal for equal bytes.
pub(super) fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &second_reader::hex(bytes)[..32])
}
