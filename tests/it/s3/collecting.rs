//! A collection of garbage that dies: before a write, after it, or half-way through its body, at each write of one that marks, of
//! one that takes away and of one that purges. Nothing that is kept is harmed, and a plain run afterwards ends where one
//! without trouble ends.

use crate::support::{
    s3::{Effect, Fault, Op, S3},
    second_reader::{self, Objects},
    world::World,
};
use ggen_marketplace::{BuildOptions, GcOptions, GcReport, Registry, Result, package::Timestamp};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const DEATHS: [Effect; 3] = [Effect::DieBefore, Effect::DieHalfway, Effect::DieAfter];

const DAY: i64 = 86_400;

/// How long ago it all began.
const DAYS: i64 = 100;

/// The day of each collection, and the least number of writes that it takes.
const COLLECTIONS: [(i64, usize); 3] = [(30, 2), (33, 12), (64, 5)];

/// What is published, and when: a folder for each day.
struct Past {
    world: World,
    began: i64,
    folders: Vec<(i64, PathBuf)>,
}

impl Past {
    fn new() -> Self {
        let world = World::without_registry();
        let folders = [(0, "1.0.0"), (10, "1.1.0"), (20, "1.2.0")].map(|(day, version)| {
            let folder = world.dir.path().join(version);
            fs::create_dir(&folder).unwrap();
            let archive = world.add_crate("alpha", version, version);
            fs::rename(&archive, folder.join(archive.file_name().unwrap())).unwrap();
            (day, folder)
        });
        Self { began: Timestamp::now().unix() - DAYS * DAY, folders: folders.into(), world }
    }

    /// Both clocks show that day from now on.
    fn goes_to(&self, day: i64, server: &S3) -> Timestamp {
        server.set(|s| s.clock = (day - DAYS) * DAY);
        Timestamp::from_unix(self.began + day * DAY)
    }

    fn registry(&self, server: &S3, state: &Path) -> Registry {
        Registry::new(server.store(), self.world.signing_key(), state)
    }

    async fn collect(&self, number: usize, server: &S3, state: &Path) -> Result<GcReport> {
        let mut options = GcOptions::at(self.goes_to(COLLECTIONS[number].0, server));
        options.keep = 1;
        self.registry(server, state).collect(&options).await
    }

    /// A server on which all of that has happened, and the collections before that one.
    async fn before(&self, number: usize, state: &Path) -> S3 {
        let server = S3::start().await;
        let now = self.goes_to(0, &server);
        self.registry(&server, state).init(&BuildOptions::at(now)).await.unwrap();
        for (day, folder) in &self.folders {
            let now = self.goes_to(*day, &server);
            let built = self.registry(&server, state).build(std::slice::from_ref(folder), &BuildOptions::at(now)).await;
            assert_eq!(built.unwrap().added, 1);
        }
        for earlier in 0..number {
            self.collect(earlier, &server, state).await.unwrap();
        }
        server.take_log();
        server
    }
}

/// Keys, but for lists of marks, which hold the second in which they were written; and what the boundary says.
fn state(server: &S3) -> (Vec<String>, String) {
    let objects = server.objects();
    let is_list = |bytes: &[u8]| {
        let mut text = String::new();
        let read = std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut text);
        read.is_ok() && text.starts_with(r#"{"format":2,"type":"marks"}"#)
    };
    let boundary = objects.get("gc/boundary").map(|b| second_reader::boundary(b));
    let said = boundary.map(|b| format!("{} {} {:?}", b.generation, b.keeps, b.pins)).unwrap_or_default();
    (objects.into_iter().filter(|(_, bytes)| !is_list(bytes)).map(|(key, _)| key).collect(), said)
}

/// What the boundary promises is there.
fn whole(objects: &Objects, what: &str) {
    let newest = second_reader::read(objects).generation;
    let keeps = objects.get("gc/boundary").map_or(0, |b| second_reader::boundary(b).keeps);
    for generation in keeps..=newest {
        let read = std::panic::catch_unwind(|| second_reader::read_slot(objects, generation));
        assert!(read.is_ok(), "{what}: generation {generation} is not whole");
    }
}

async fn dies_everywhere(number: usize) {
    let past = Past::new();
    let folder = past.world.dir.path().to_owned();
    let (goal, writes) = {
        let server = past.before(number, &folder.join("uncut")).await;
        past.collect(number, &server, &folder.join("uncut")).await.unwrap();
        let writes = server.take_log().iter().filter(|e| Op::WRITES.contains(&e.op)).count();
        (state(&server), writes)
    };
    assert!(writes >= COLLECTIONS[number].1, "it takes {writes} writes");
    let mut done = BTreeMap::<bool, u32>::new();
    for step in 0..writes {
        for death in DEATHS {
            let what = format!("collection {number} dies: {death:?} at write {step} of {writes}");
            let at = folder.join(format!("{number} {death:?} {step}"));
            let server = past.before(number, &at).await;
            server.fault(Fault::new(death).on_writes().nth(step));
            let died = past.collect(number, &server, &at).await;
            assert!(server.struck() > 0, "{what}: it never came to that");
            *done.entry(died.is_ok()).or_default() += 1;
            server.heal();
            whole(&server.objects(), &what);
            past.collect(number, &server, &at).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
            whole(&server.objects(), &what);
            assert_eq!(state(&server), goal, "{what}");
            server.assert_fair();
        }
    }
    // A store that is dead is not taken for one that did what it was told.
    assert_eq!(done.get(&true), None, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_a_collection_that_marks() {
    dies_everywhere(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_a_collection_that_takes_away() {
    dies_everywhere(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_write_of_a_collection_that_purges() {
    dies_everywhere(2).await;
}
