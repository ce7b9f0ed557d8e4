//! The same faults while a search index is read in place, by parts of one object. Each ends in exactly the answers that the
//! whole index gives, or in an error of a kind that says what to do; never in other answers, and never in "not found".

use super::{
    hasty,
    matrix::{End, FAULTS, striking},
};
use crate::{
    search::remote::records,
    support::{
        proxy::{Fault, Often, Plan, Proxy},
        world::World,
    },
};
use futures::StreamExt as _;
use ggen_marketplace::{
    Client, ClientOptions, ErrorKind, Result, SearchHit, SearchMode, SearchRequest, Store, StoreOptions, VerifierKey,
};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

const QUESTIONS: [&str; 3] = ["metiso", "bakilo dumeno", "ba"];

/// Asks with nothing remembered.
async fn ask(key: &VerifierKey, place: &str, mode: SearchMode) -> Result<Vec<Vec<SearchHit>>> {
    let mut how = StoreOptions::default();
    hasty(&mut how);
    let client =
        Client::new(Store::open_mirrors(&[place], &how)?, std::slice::from_ref(key), ClientOptions::default())?;
    let searcher = client.latest().await?.searcher(mode).await?;
    let mut out = Vec::new();
    for text in QUESTIONS {
        out.push(searcher.search(&SearchRequest::new(text)).await?.hits.clone());
    }
    Ok(out)
}

/// A registry with an index that is large enough to be read in place: the key of that object.
async fn publish(world: &World, folder: &Path) -> String {
    let registry = world.registry_in(Store::create(folder.to_str().unwrap()).unwrap());
    registry.init(&world.options).await.unwrap();
    fs::write(world.sources().join("all.jsonl"), records()).unwrap();
    registry.build(&[world.sources()], &world.options).await.unwrap();
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let client = Client::new(store, std::slice::from_ref(&world.key), ClientOptions::default()).unwrap();
    let cited = client.latest().await.unwrap().snapshot().search[0];
    format!("blobs/sha256/{}", cited.link.sha256)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f04_f40_an_index_that_is_read_in_place_gives_the_right_answers_or_none() {
    let world = World::without_registry();
    let folder = world.dir.path().join("registry");
    let key = publish(&world, &folder).await;
    let right = ask(&world.key, folder.to_str().unwrap(), SearchMode::Local).await.unwrap();
    assert!(!right[0].is_empty(), "then nothing is read of it");
    let mut cells = Vec::new();
    for (number, (name, fault, end)) in (1..).zip(FAULTS) {
        for often in [Often::Once, Often::Tenth, Often::Always] {
            let plan = Plan { keys: vec![key.clone()], seed: striking(number), ..Plan::new(fault, often) };
            let end = match fault {
                // An older state has no such object, and nobody asked for another encoding of a part.
                Fault::Old | Fault::Alternating | Fault::SaysGzip => End::Is(ErrorKind::Unavailable),
                // Each time a part of another place, or of another object.
                Fault::CutLyingRange | Fault::CutOtherVersion => End::Is(ErrorKind::Untrusted),
                _ => end,
            };
            let wanted = match (often, fault) {
                (_, Fault::Busy(_, 3600) | Fault::Status(401)) | (Often::Always | Often::Tenth, _) => end,
                (Often::Once, _) => End::Exact,
            };
            cells.push((plan, wanted, format!("{name}, {often:?}")));
        }
    }
    let count = cells.len();
    let (world, folder, right) = (&world, &folder, &right);
    let ended: Vec<_> = futures::stream::iter(cells)
        .map(|(plan, wanted, name)| async move {
            let healable = !matches!(plan.fault, Fault::Busy(_, 3600) | Fault::Status(401));
            let tenth = plan.often == Often::Tenth && healable;
            let proxy = Proxy::start(folder, plan).await;
            let began = Instant::now();
            let ended = ask(&world.key, &proxy.url, SearchMode::Remote).await;
            assert!(began.elapsed() < Duration::from_secs(60), "{name}: {:?}", began.elapsed());
            assert!(proxy.struck() > 0, "{name}");
            (name, ended, wanted, tenth)
        })
        .buffer_unordered(12)
        .collect()
        .await;
    let (mut exact, mut wrong, mut tenths, mut healed) = (0, Vec::new(), 0, 0);
    for (name, ended, wanted, tenth) in ended {
        tenths += usize::from(tenth);
        healed += usize::from(tenth && ended.is_ok());
        match (&ended, wanted) {
            (Ok(hits), _) => {
                assert!(hits == right, "{name}: other answers");
                exact += 1;
            }
            (Err(e), End::Is(kind)) if e.kind() == kind || e.kind() == ErrorKind::Untrusted => {}
            // Where always means that parts are given up at once, now and then may strike each of three times.
            (Err(e), End::Exact) if tenth && e.kind() == ErrorKind::Unavailable => {}
            (Err(e), _) => wrong.push(format!("{name}: {wanted:?}, and ended in {:?}: {}", e.kind(), e.chain())),
        }
    }
    println!(
        "{count} cells of reading in place; {exact} with the right answers, the others with the error they should; {healed} of {tenths} healed where one request in ten was struck"
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // Which requests are struck is a matter of which comes first: some cells may have bad luck, and not a quarter of them.
    assert!(healed * 100 >= tenths * 75, "{healed} of {tenths}");
}
