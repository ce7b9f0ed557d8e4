//! What a run reads to write the site.

use super::{add, built, require_right, world_with};
use crate::support::second_reader::{Objects, hex};
use ggen_marketplace::View;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

/// The keys of the leaves of details, by what their first lines say.
fn leaves_of_details(objects: &Objects) -> BTreeSet<&str> {
    let is_one = |bytes: &[u8]| {
        let mut text = String::new();
        let read = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text);
        let first = read.ok().and_then(|_| serde_json::from_str::<serde_json::Value>(text.lines().next()?).ok());
        first.is_some_and(|head| head["type"] == "details")
    };
    objects.iter().filter(|(k, b)| k.starts_with("blobs/") && is_one(b)).map(|(k, _)| k.as_str()).collect()
}

/// Pages are written some at a time, and few leaves are at hand: so they are written in the order in which details stand.
#[tokio::test(flavor = "multi_thread")]
async fn each_leaf_of_details_is_read_once_however_many_packages_are_new() {
    let world = world_with(&[View::Site]).await;
    add(&world, "first", "1.0.0", "", "First");
    built(&world).await;
    for i in 0..400 {
        let readme: String = (0..300).map(|j| hex(format!("{i} {j}").as_bytes()) + "\n").collect();
        add(&world, &format!("crate-{i}"), "1.0.0", "", readme);
    }
    let mut without = world.options.clone();
    without.views = None;
    world.registry().build(&[world.sources()], &without).await.unwrap();
    let objects = world.referee.objects();
    let leaves = leaves_of_details(&objects);
    assert!(leaves.len() > 40, "{}", leaves.len());
    for anew in [false, true] {
        world.referee.take_reads();
        let report = world.registry().update_views(anew, &world.options).await.unwrap().remove(0);
        assert_eq!(report.whole, anew);
        let mut times = BTreeMap::new();
        for key in world.referee.take_reads() {
            *times.entry(key).or_insert(0) += 1;
        }
        let read: Vec<(&&str, &i32)> = leaves.iter().filter_map(|leaf| Some((leaf, times.get(*leaf)?))).collect();
        assert!(read.len() > 40 && read.iter().all(|(_, n)| **n == 1), "anew: {anew}; {read:?}");
    }
    require_right(&world).await;
}
