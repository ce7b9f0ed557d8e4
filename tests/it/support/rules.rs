//! The rules that whoever writes to a registry keeps, and how both referees judge them.

use super::second_reader::{self, Objects};
use std::collections::{BTreeSet, HashSet};

/// What the layout knows, besides what lies below a folder of it.
const FILES: &[&str] = &["checkpoint", "gc/boundary", "mirror.json"];

/// The folders of the layout: those below `doctor/` have no rules.
const FOLDERS: &[&str] = &["blobs/sha256/", "log/", "trash/", "doctor/"];

/// Where views lie.
const VIEWS: &[&str] =
    &["cargo/", "index/", "packages/", "views/", "assets/", "c/", "k/", "p/crate/", "p/pack/", "search/", "site/"];
const VIEW_FILES: &[&str] = &[
    "index.json",
    "index.html",
    "404.html",
    "search.html",
    "categories.html",
    "keywords.html",
    "robots.txt",
    "sitemap.xml",
    "opensearch.xml",
    "feed.atom",
];

/// Whether a key is of a view: mutable, and derived.
pub(crate) fn is_view(key: &str) -> bool {
    let part = key.starts_with("sitemap-") && key.ends_with(".xml") && !key.contains('/');
    part || VIEW_FILES.contains(&key) || VIEWS.iter().any(|f| key.starts_with(f))
}

/// What is wrong with writing these bytes into a view, in a store that holds that.
pub(crate) fn view(objects: &Objects, key: &str, bytes: &[u8], overwrites: bool) -> Vec<String> {
    let mut fouls = Vec::new();
    if overwrites {
        fouls.push(format!("{key}: V1: a file of a view that is replaced without a condition"));
    }
    // What the others show is told apart less easily; one walk writes them all.
    if let Some(rest) = key.strip_prefix("index/") {
        let kind = rest.split('/').next().unwrap();
        let name = rest.rsplit('/').next().unwrap();
        let pointed = second_reader::pointed(objects);
        // What was given up by a collection of garbage cannot be read any more.
        let kept = objects.get("gc/boundary").map_or(0, |b| second_reader::boundary(b).keeps);
        let states: Vec<String> = (kept..=pointed)
            .map(|generation| {
                let found = second_reader::read_slot(objects, generation);
                let normalized = |r: &serde_json::Value| r["name"].as_str().unwrap().to_lowercase().replace('_', "-");
                let records = found.records.values().filter(|r| r["kind"] == kind && normalized(r) == name);
                // What could begin a tag is written by its number.
                let inert = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
                let line = |r| inert.iter().fold(format!("{r}\n"), |line, (c, number)| line.replace(*c, number));
                let mut lines: Vec<String> = records.map(line).collect();
                lines.sort();
                lines.concat()
            })
            .collect();
        let sorted = |bytes: &[u8]| {
            let mut lines: Vec<_> =
                String::from_utf8(bytes.to_vec()).unwrap().lines().map(|l| format!("{l}\n")).collect();
            lines.sort();
            lines.concat()
        };
        let Some(newest) = states.iter().rposition(|s| *s == sorted(bytes)) else {
            fouls.push(format!("{key}: V2: it shows what no checkpoint up to generation {pointed} does"));
            return fouls;
        };
        let there = objects.get(key).map(|there| sorted(there));
        if there.is_some_and(|there| states.iter().position(|s| *s == there) > Some(newest)) {
            fouls.push(format!("{key}: V3: it goes back to generation {newest}"));
        }
    }
    fouls
}

/// Whether a key never changes its bytes.
pub(crate) fn immutable(key: &str) -> bool {
    key.starts_with("blobs/") || key.starts_with("log/")
}

/// What a copy is meant to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mirrored {
    Newest,
    Part,
}

/// What a store holds.
pub(crate) struct Held<'a> {
    pub(crate) objects: &'a Objects,
    /// What it held and a collection of garbage took away. A request that was on its way for days may arrive after that.
    pub(crate) deleted: &'a BTreeSet<String>,
    pub(crate) mirror: Option<Mirrored>,
}

/// What is wrong with writing these bytes under that key, into a store that holds that.
pub(crate) fn put(held: &Held<'_>, key: &str, bytes: &[u8], conditional: bool) -> Vec<String> {
    let objects = held.objects;
    let mut fouls = Vec::new();
    let mut foul = |what: &str| fouls.push(format!("{key}: {what}"));
    if let Some(sha256) = key.strip_prefix("blobs/sha256/") {
        if second_reader::hex(bytes) != sha256 {
            foul("I2: an object that is not what its name says");
        }
        let cited = match held.mirror {
            None => second_reader::cited(bytes),
            Some(Mirrored::Newest) => second_reader::below(bytes),
            Some(Mirrored::Part) => Vec::new(),
        };
        for cited in cited {
            if !objects.contains_key(&cited) && !held.deleted.contains(&cited) {
                foul(&format!("I1: it is there before {cited}, which it cites"));
            }
        }
    } else if key.starts_with("log/") && !conditional {
        foul("I2: a slot that is not created conditionally");
    } else if let Some(sha256) = key.strip_prefix("trash/") {
        if second_reader::hex(bytes) != sha256 {
            foul("I2: what is in the trash is not what its name says");
        }
    } else if key == "gc/boundary" {
        let there = objects.get(key).map_or(0, |b| second_reader::boundary(b).generation);
        if second_reader::boundary(bytes).generation < there {
            foul("I15: the boundary goes back");
        }
    } else if !is_view(key) && !FILES.contains(&key) && !FOLDERS.iter().any(|f| key.starts_with(f)) {
        foul("a key that is not in the layout");
    }
    // Bytes that a stranger planted give way to the right ones.
    let right = |old: &[u8]| !key.starts_with("blobs/") || key.ends_with(&second_reader::hex(old));
    if immutable(key) && objects.get(key).is_some_and(|old| old != bytes && right(old)) {
        foul("I2: an immutable key that changes");
    }
    fouls
}

/// Which objects are known to reach nothing that is missing. What was found whole stays so until something is deleted, so a
/// long log costs each object once.
#[derive(Default)]
pub(crate) struct Whole {
    known: HashSet<String>,
}

impl Whole {
    /// What is missing below a slot or a checkpoint that was just written (I1).
    pub(crate) fn check(&mut self, objects: &Objects, key: &str) -> Option<String> {
        if !key.starts_with("log/") && key != "checkpoint" {
            return None;
        }
        let snapshot = std::panic::catch_unwind(|| snapshot(objects, key));
        let Ok(snapshot) = snapshot else {
            return Some(format!("{key}: I1: it does not continue the log, or what it names is not there"));
        };
        let missing = self.walk(objects, vec![snapshot]).err()?;
        Some(format!("{key}: I1: it reaches {missing}, which is not there"))
    }

    /// Everything that the newest slot reaches.
    pub(crate) fn reached(objects: &Objects) -> HashSet<String> {
        let Some(slot) = newest_slot(objects) else { return HashSet::new() };
        let mut all = Self::default();
        if let Ok(snapshot) = std::panic::catch_unwind(|| snapshot(objects, &slot)) {
            // What is missing was a foul when it was committed.
            let _ = all.walk(objects, vec![snapshot]);
        }
        all.known
    }

    fn walk(&mut self, objects: &Objects, mut stack: Vec<String>) -> Result<(), String> {
        let mut new = Vec::new();
        while let Some(key) = stack.pop() {
            if self.known.contains(&key) {
                continue;
            }
            let Some(bytes) = objects.get(&key) else {
                for known in &new {
                    self.known.remove(known);
                }
                return Err(key);
            };
            stack.extend(second_reader::below(bytes));
            self.known.insert(key.clone());
            new.push(key);
        }
        Ok(())
    }

    /// Something was deleted: nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// The key of the snapshot that a slot, or the checkpoint, commits; panics where the log is not a chain up to there.
fn snapshot(objects: &Objects, key: &str) -> String {
    let generation = match key.strip_prefix("log/") {
        Some(generation) => generation.parse().unwrap(),
        None => second_reader::pointed(objects),
    };
    format!("blobs/sha256/{}", second_reader::snapshot_link(objects, generation)[0])
}

pub(crate) fn newest_slot(objects: &Objects) -> Option<String> {
    objects.range("log/".to_owned().."log0".to_owned()).next_back().map(|(key, _)| key.clone())
}
