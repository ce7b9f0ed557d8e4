//! `gc` on a folder, and what the other verbs say afterwards.

use super::{ORIGIN, Sandbox};
use ggen_marketplace::{GcOptions, Registry, SigningKey, Store, package::Timestamp};
use std::{
    fs,
    time::{Duration, UNIX_EPOCH},
};

const DAY: u64 = 86_400;

/// Makes all files of a folder so many days old.
fn age(s: &Sandbox, folder: &str, days: u64) {
    let now = u64::try_from(Timestamp::now().unix()).unwrap();
    let then = UNIX_EPOCH + Duration::from_secs(now - DAY * days);
    for file in fs::read_dir(s.path(folder)).unwrap() {
        fs::File::options().write(true).open(file.unwrap().path()).unwrap().set_modified(then).unwrap();
    }
}

fn files(s: &Sandbox, folder: &str) -> usize {
    fs::read_dir(s.path(folder)).map_or(0, Iterator::count)
}

/// A registry of five generations and what of the older four only they need: marked three days ago, and not collected yet.
fn marked() -> (Sandbox, u64) {
    let mut s = Sandbox::new();
    let then = |days: u64| Timestamp::from_unix(Timestamp::now().unix() - i64::try_from(DAY * days).unwrap());
    s.set("SOURCE_DATE_EPOCH", &then(30).unix().to_string());
    s.run(&["init", "--store", "registry", "--origin", ORIGIN]).ok();
    for (version, days) in [("1.0.0", 29), ("1.1.0", 28), ("1.2.0", 27)] {
        s.set("SOURCE_DATE_EPOCH", &then(days).unix().to_string());
        s.a_crate("hello", version, "Says hello");
        s.run(&["build", "--source", "packages"]).ok();
    }
    age(&s, "registry/blobs/sha256", 20);
    // The program itself cannot be told another time.
    let key = SigningKey::from_secret_text(&s.read("ggen-market.key")).unwrap();
    let registry = Registry::new(Store::open(s.path("registry").to_str().unwrap()).unwrap(), key, &s.path("state"));
    let mut options = GcOptions::at(then(3));
    options.keep = 1;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let marked = runtime.block_on(registry.collect(&options)).unwrap().marked;
    s.env.clear();
    s.run(&["refresh"]).ok();
    (s, marked.objects)
}

/// The same, collected: of generations 0 to 2 only the slots are left.
pub(crate) fn collected() -> Sandbox {
    let (s, _) = marked();
    s.run(&["gc", "--keep", "1"]).ok();
    s
}

#[test]
fn a_folder_is_collected_and_says_so() {
    let (s, marked) = marked();
    assert_eq!(marked, 10, "three snapshots, two shards and leaves of details, two change lists, a search bundle");

    let before = files(&s, "registry/blobs/sha256");
    let dry = s.run(&["gc", "--keep", "1", "--dry-run", "--json"]).ok().says(&["would be moved to the trash"]).json();
    assert_eq!(
        (&dry["collected"]["objects"], &dry["generation"], &dry["keeps"]),
        (&marked.into(), &4.into(), &4.into())
    );
    assert_eq!((files(&s, "registry/blobs/sha256"), files(&s, "registry/trash")), (before, 0));
    let done = s.run(&["gc", "--keep", "1", "--json"]).ok().json();
    assert_eq!((&done["collected"], &done["live"], &done["dry_run"]), (&dry["collected"], &dry["live"], &false.into()));
    let gone = usize::try_from(marked).unwrap();
    assert_eq!((files(&s, "registry/blobs/sha256"), files(&s, "registry/trash")), (before - gone, gone));

    let verified = s.run(&["verify", "--all", "--json"]).ok().says(&["3 older generations went as garbage"]).json();
    assert_eq!((&verified["collected"], &verified["problems"]), (&3.into(), &serde_json::json!([])));
    assert_eq!(verified["marked"]["objects"], 0);
    let history = s.run(&["history", "--json"]).ok().json();
    let releases: Vec<_> = history["generations"].as_array().unwrap().iter().map(|g| g["releases"].as_u64()).collect();
    assert_eq!(
        releases,
        [Some(3), Some(3), None, None, None],
        "two generations with one snapshot, and three that went"
    );
    assert!(s.run(&["history"]).ok().out.lines().last().unwrap().contains("\t-\t-\t"));
    s.run(&["info", "hello", "--at", "1"]).code(6).says(&["generation 1 was collected as garbage"]);
    s.run(&["fetch", "hello@1.0.0"]).ok();

    // It was moved now, however old it is: the trash is not purged yet.
    assert_eq!(s.run(&["gc", "--keep", "1", "--json"]).ok().json()["purged"]["objects"], 0);
    age(&s, "registry/trash", 31);
    let purged = s.run(&["gc", "--keep", "1", "--json"]).ok().json();
    assert_eq!((&purged["purged"]["objects"], files(&s, "registry/trash")), (&(marked + 1).into(), 0), "and the list");
    s.run(&["verify", "--all"]).ok();
}

#[test]
fn what_is_asked_too_hastily_is_refused_with_the_reason() {
    let s = Sandbox::published();
    s.run(&["gc", "--grace", "47h"]).code(2).says(&["--grace 47h is too short: at least 48h", "12 hours"]);
    s.run(&["gc", "--grace", "soon"]).code(2).says(&["--grace", "no length of time"]);
    s.run(&["gc", "--keep", "0"]).code(2);
    s.run(&["gc", "--pin", "7"]).code(6).says(&["there is no generation 7 to pin"]);
    let idle = s.run(&["gc", "--json"]).ok().says(&["kept: "]).json();
    assert_eq!((&idle["marked"]["objects"], &idle["ready"]), (&0.into(), &serde_json::Value::Null));
    assert!(!s.path("registry/gc").exists(), "nothing to say, nothing written");
}
