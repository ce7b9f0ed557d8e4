//! The matrix of faults: each fault by each kind of object, once, every tenth time and always. Each cell ends in the exact
//! bytes or in an error of a kind that is known beforehand; in bounded time and bytes; with nothing left but what is whole;
//! and what is trusted never gets older.
//!
//! Faults of writing (F31 to F37) are not here: `tests/it/s3` and `tests/it/store` have them. F02, F03: `connections`.

use super::Published;
use crate::support::{
    http,
    proxy::{Fault, Often, Plan, Proxy},
    weather::Dice,
};
use futures::StreamExt as _;
use ggen_marketplace::{ErrorKind, Result};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Checkpoint,
    Slot,
    Snapshot,
    Shard,
    Detail,
    Archive,
}

const KINDS: [Kind; 6] = [Kind::Checkpoint, Kind::Slot, Kind::Snapshot, Kind::Shard, Kind::Detail, Kind::Archive];

/// How a cell ends when the fault strikes always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It does no harm, or a way around it was found.
    Exact,
    Is(ErrorKind),
}

pub(super) const FAULTS: [(&str, Fault, End); 46] = {
    use End::{Exact, Is};
    use ErrorKind::{Invalid, Unavailable, Untrusted};
    [
        ("F04 reset", Fault::Reset, Is(Unavailable)),
        ("F05 cut at 1 %", Fault::Cut(10), Is(Unavailable)),
        ("F05 cut at 50 %", Fault::Cut(500), Is(Unavailable)),
        ("F05 cut before the last byte", Fault::Cut(1000), Is(Unavailable)),
        ("F06 shorter", Fault::Shorter, Is(Unavailable)),
        ("F07 longer", Fault::Longer, Is(Untrusted)),
        ("F07 surplus", Fault::Surplus, Exact),
        ("F08 endless", Fault::Endless, Is(Untrusted)),
        ("F08 chunked", Fault::Chunked, Exact),
        ("F09 drip", Fault::Drip, Is(Unavailable)),
        ("F10 stall", Fault::Stall, Is(Unavailable)),
        ("F10 silent", Fault::Silent, Is(Unavailable)),
        ("F11 500", Fault::Status(500), Is(Unavailable)),
        ("F12 502", Fault::Status(502), Is(Unavailable)),
        ("F13 503 at once", Fault::Busy(503, 0), Is(Unavailable)),
        ("F13 503 soon", Fault::Busy(503, 1), Is(Unavailable)),
        ("F14 429", Fault::Status(429), Is(Unavailable)),
        ("F14 429 in an hour", Fault::Busy(429, 3600), Is(Unavailable)),
        ("F15 S3 error", Fault::S3Error, Is(Untrusted)),
        ("F16 login page", Fault::LoginPage, Is(Untrusted)),
        ("F16 same length", Fault::SameLength, Is(Untrusted)),
        ("F17 F18 404", Fault::Status(404), Is(Unavailable)),
        ("F18 410", Fault::Status(410), Is(Unavailable)),
        ("F19 403", Fault::Status(403), Is(Unavailable)),
        ("401", Fault::Status(401), Is(Invalid)),
        ("418", Fault::Status(418), Is(Unavailable)),
        ("F20 redirect loop", Fault::RedirectLoop, Is(Unavailable)),
        ("F21 to a file", Fault::Redirect("file:///etc/passwd"), Is(Unavailable)),
        ("F21 to link-local", Fault::Redirect("http://169.254.169.254/latest"), Is(Unavailable)),
        ("F21 to nowhere", Fault::Redirect("http://["), Is(Unavailable)),
        ("F22 says gzip", Fault::SaysGzip, Exact),
        ("F39 gzip", Fault::Gzip, Is(Unavailable)),
        ("F23 bomb", Fault::Bomb, Is(Unavailable)),
        ("F24 no range", Fault::CutNoRange, Exact),
        ("F25 wrong range", Fault::CutWrongRange, Exact),
        ("F25 lying range", Fault::CutLyingRange, Exact),
        ("F26 other version", Fault::CutOtherVersion, Exact),
        ("F27 old", Fault::Old, Exact),
        ("F29 alternating", Fault::Alternating, Exact),
        ("F30 bit flip", Fault::BitFlip, Is(Untrusted)),
        ("F38 a day ahead", Fault::WrongDate(true), Exact),
        ("F38 a day behind", Fault::WrongDate(false), Exact),
        ("empty", Fault::Empty, Is(Untrusted)),
        ("204", Fault::NoContent, Is(Unavailable)),
        ("304 unasked", Fault::Unasked304, Is(Unavailable)),
        ("no HTTP", Fault::Garbage, Is(Unavailable)),
    ]
};

/// Whether a cell makes sense: only the checkpoint has an older state.
fn applies(fault: Fault, kind: Kind) -> bool {
    kind == Kind::Checkpoint || !matches!(fault, Fault::Old | Fault::Alternating)
}

/// Reads something of every kind, with nothing remembered but what is trusted.
async fn read(p: &Published, url: &str, cache: &Path, out: &Path, patience: u32) -> Result<()> {
    let client = p.client_with(&[url], Some(cache), |how| {
        let t = &mut how.transport;
        for time in [&mut t.answer_timeout, &mut t.stall_timeout, &mut t.rate_window, &mut t.retry_budget] {
            *time *= patience;
        }
    });
    let newest = client.latest().await?;
    assert_eq!(newest.generation(), 3);
    let record = newest.find_release(&"crate:alpha".parse()?).await?;
    let detail = newest.detail(&record).await?.unwrap();
    assert_eq!(detail.description.as_deref(), Some("The crate alpha"));
    assert_eq!(client.history(3).await?.len(), 3);
    newest.fetch_to(&record, out, |_| {}).await?;
    assert!(fs::read(out).unwrap() == p.archive, "the exact bytes");
    Ok(())
}

/// Which objects of each kind a reader asks for.
async fn keys(p: &Published) -> BTreeMap<Kind, Vec<String>> {
    let proxy = Proxy::fair(&p.folder).await;
    let asked = || proxy.asked().iter().map(|q| q.key().to_owned()).collect::<Vec<_>>();
    let client = p.client(&[&proxy.url], None);
    let newest = client.latest().await.unwrap();
    let mut first = asked();
    let snapshot = first.split_off(1);
    let record = newest.find_release(&"crate:alpha".parse().unwrap()).await.unwrap();
    let shard = asked();
    newest.detail(&record).await.unwrap();
    let detail = asked();
    client.history(3).await.unwrap();
    let slots: Vec<_> = asked().into_iter().filter(|k| k.starts_with("log/")).collect();
    let archive = vec![format!("blobs/sha256/{}", record.archive.sha256)];
    assert_eq!((snapshot.len(), shard.len(), detail.len(), slots.len()), (1, 1, 1, 2));
    let all = [first, slots, snapshot, shard, detail, archive];
    KINDS.into_iter().zip(all).collect()
}

/// What is in a cache folder that has seen the newest state and nothing else.
async fn seed(p: &Published, cache: &Path) {
    p.client(&[p.folder.to_str().unwrap()], Some(cache)).latest().await.unwrap();
    fs::remove_dir_all(cache.join("blobs")).unwrap();
}

fn trusted(cache: &Path) -> Vec<u8> {
    let folder = fs::read_dir(cache.join("trust")).unwrap().next().unwrap().unwrap().path();
    fs::read(folder.join("checkpoint")).unwrap()
}

struct Cell {
    name: String,
    ended: Result<(), ErrorKind>,
    struck: usize,
    took: Duration,
    excess: usize,
}

impl Cell {
    fn is_right(&self, wanted: End) -> bool {
        let right = match wanted {
            End::Exact => self.ended == Ok(()),
            End::Is(kind) => self.ended == Err(kind),
        };
        right && self.struck > 0 && self.took <= Duration::from_secs(30) && self.excess <= 1 << 20
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ended, struck, took, excess } = self;
        write!(f, "{name}: {ended:?}, struck {struck} in {took:?}, excess {excess}")
    }
}

/// Reads so many times, until it fails.
async fn run(p: &Published, seeded: &Path, plan: Plan, (name, times): (String, usize), patience: u32) -> Cell {
    let proxy = Proxy::start(&p.folder, plan).await;
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    super::copy(seeded, &cache);
    let before = trusted(&cache);
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("alpha.crate");
    let began = Instant::now();
    let mut ended = Ok(());
    for _ in 0..times {
        // Nothing of the last time is left but what is trusted.
        let _ = fs::remove_file(&file);
        let _ = fs::remove_dir_all(cache.join("blobs"));
        ended = read(p, &proxy.url, &cache, &file, patience).await;
        if ended.is_err() {
            break;
        }
    }
    let took = began.elapsed();
    assert_eq!(file.exists(), ended.is_ok(), "{name}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), usize::from(ended.is_ok()), "{name}: nothing half-done is left");
    let temporary = walkdir::WalkDir::new(&cache).into_iter().filter_map(|e| e.ok());
    let temporary: Vec<_> = temporary.filter(|e| e.file_name().to_str().unwrap().starts_with(".tmp")).collect();
    assert!(temporary.is_empty(), "{name}: {temporary:?}");
    assert!(trusted(&cache) == before, "{name}: what is trusted is as new as before");
    if let Err(e) = &ended {
        assert!(e.chain().contains(&proxy.url) && e.hint().is_some(), "{name}: {} {:?}", e.chain(), e.hint());
        assert_ne!(e.kind(), ErrorKind::NotFound, "{name}");
    }
    Cell { name, ended: ended.map_err(|e| e.kind()), struck: proxy.struck(), took, excess: proxy.excess() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f04_f40_every_cell_ends_in_the_exact_bytes_or_in_the_error_it_should() {
    let p = Published::new().await;
    let keys = keys(&p).await;
    let seeded = p.world.dir.path().join("seeded");
    seed(&p, &seeded).await;
    let mut cells = Vec::new();
    for (name, fault, end) in FAULTS {
        for kind in KINDS.into_iter().filter(|kind| applies(fault, *kind)) {
            for often in [Often::Once, Often::Always] {
                let plan = Plan { keys: keys[&kind].clone(), old: Some(p.old.clone()), ..Plan::new(fault, often) };
                let wanted = match (often, fault) {
                    // Nobody waits for an hour, and nobody asks again without what was asked for.
                    (_, Fault::Busy(_, 3600) | Fault::Status(401)) | (Often::Always, _) => end,
                    _ => End::Exact,
                };
                cells.push((plan, wanted, format!("{name}, {kind:?}, {often:?}")));
            }
        }
    }
    let count = cells.len();
    let began = Instant::now();
    let (p, seeded) = (&p, seeded.as_path());
    let ended: Vec<_> = futures::stream::iter(cells)
        .map(|(plan, wanted, name)| async move { (run(p, seeded, plan.clone(), (name, 1), 1).await, plan, wanted) })
        .buffer_unordered(24)
        .collect()
        .await;
    let longest = ended.iter().max_by_key(|(c, ..)| c.took).unwrap();
    println!("{count} cells in {:?}; the longest: {} in {:?}", began.elapsed(), longest.0.name, longest.0.took);
    let mut wrong = Vec::new();
    for (cell, plan, wanted) in ended {
        if cell.is_right(wanted) {
            continue;
        }
        // Where the machine has much else to do, an honest answer comes too late for the haste of these tests: once more, alone
        // and with patience. What is really wrong is wrong again.
        println!("once more: {cell}");
        let again = run(p, seeded, plan, (cell.name, 1), 4).await;
        if !again.is_right(wanted) {
            wrong.push(again.to_string());
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// How often a cell reads where one request in ten is struck: once would be too seldom for most kinds to be struck at all.
const READS: usize = 3;

/// A seed by which one of the first requests is struck, each time another one.
pub(super) fn striking(number: u64) -> u64 {
    let at = number % READS as u64;
    let strikes_there = |seed: &u64| {
        let dice = Dice::new(*seed);
        (0..at).all(|_| dice.roll(10) != 0) && dice.roll(10) == 0
    };
    (number * 1_000..).find(strikes_there).unwrap()
}

/// One request in ten: of each kind, and of any. Nearly always healed; where not, in the same error as always.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f04_f40_one_in_ten_is_healed() {
    let p = Published::new().await;
    let keys = keys(&p).await;
    let seeded = p.world.dir.path().join("seeded");
    seed(&p, &seeded).await;
    let mut cells = Vec::new();
    for (name, fault, end) in FAULTS {
        let mut add = |keys: Vec<String>, seed, what: String| {
            let plan = Plan { keys, old: Some(p.old.clone()), seed, ..Plan::new(fault, Often::Tenth) };
            cells.push((plan, end, format!("{name}, {what}, one in ten")));
        };
        for (number, kind) in (1..).zip(KINDS).filter(|(_, kind)| applies(fault, *kind)) {
            add(keys[&kind].clone(), striking(number), format!("{kind:?}"));
        }
        if applies(fault, Kind::Archive) {
            (1..=2).for_each(|seed| add(Vec::new(), seed, format!("any, seed {seed}")));
        }
    }
    let count = cells.len();
    let began = Instant::now();
    let (p, seeded) = (&p, seeded.as_path());
    let ended: Vec<_> = futures::stream::iter(cells)
        .map(|(plan, end, name)| async move { (run(p, seeded, plan.clone(), (name, READS), 1).await, plan, end) })
        // Most of them wait most of the time.
        .buffer_unordered(48)
        .collect()
        .await;
    let (mut healed, mut struck) = (0, 0);
    for (mut cell, plan, end) in ended {
        // Nobody waits for an hour, and nobody asks again without what was asked for.
        let healable = !matches!(plan.fault, Fault::Busy(_, 3600) | Fault::Status(401));
        if cell.ended.is_err_and(|kind| End::Is(kind) != end) {
            // As above.
            println!("once more: {cell}");
            cell = run(p, seeded, plan.clone(), (cell.name, READS), 4).await;
        }
        assert!(cell.struck > 0 || plan.keys.is_empty(), "{cell}");
        struck += usize::from(cell.struck > 0 && healable);
        match cell.ended {
            Ok(()) => {
                assert!(cell.struck == 0 || healable, "{cell}");
                healed += usize::from(cell.struck > 0);
            }
            Err(kind) => assert_eq!(End::Is(kind), end, "{cell}"),
        }
        assert!(cell.took < Duration::from_secs(60) && cell.excess <= 1 << 20, "{cell}");
    }
    println!(
        "{count} cells with one request in ten struck, in {:?}: {struck} that can be healed, {healed} of them healed",
        began.elapsed()
    );
    assert!(healed * 100 >= struck * 97, "{healed} of {struck}");
}

/// F01: nobody listens. F02: there is no such host.
#[tokio::test(flavor = "multi_thread")]
async fn f01_f02_who_cannot_be_reached_is_named() {
    let p = Published::new().await;
    let dir = tempfile::tempdir().unwrap();
    for url in ["http://127.0.0.1:9", "http://no-such-host.invalid/registry"] {
        let e = read(&p, url, &dir.path().join("cache"), &dir.path().join("out"), 1).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unavailable, "{e:?}");
        assert!(e.chain().contains(url), "{}", e.chain());
    }
    // The server of the other tests agrees with the proxy.
    let server = http::Server::serve(&p.folder).await;
    read(&p, &server.url, &dir.path().join("cache"), &dir.path().join("out"), 1).await.unwrap();
}
