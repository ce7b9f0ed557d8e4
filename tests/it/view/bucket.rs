//! Views in a bucket, over the wire: conditions, headers, keys with odd letters, answers that get lost.

use super::PUBLIC;
use crate::support::{
    rules,
    s3::{Effect, Fault, Op, S3},
    second_reader::Objects,
    world::World,
};
use ggen_marketplace::{Registry, View, ViewOptions};
use std::fs;

fn shown(objects: &Objects) -> Objects {
    let shown = objects.iter().filter(|(k, _)| rules::is_view(k) && !k.starts_with("views/"));
    shown.map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_race_in_a_bucket_leave_the_views_of_the_newest_state() {
    const WRITERS: u64 = 4;
    let mut world = World::without_registry();
    world.options.views = Some(ViewOptions::new(&View::ALL, Some(PUBLIC)).unwrap());
    let server = S3::start().await;
    let registry = |state: &str| Registry::new(server.store(), world.signing_key(), &world.dir.path().join(state));
    registry("first").init(&world.options).await.unwrap();
    // Now and then a file is written, and its answer gets lost: the client's second try is then told that it is another one.
    server.fault(Fault::new(Effect::DropAfter).on(&[Op::Put]).below("cargo/").chance(7, 200));
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let folder = world.dir.path().join(format!("from-{writer}"));
            fs::create_dir(&folder).unwrap();
            let file = world.add_crate("alpha", &format!("1.{writer}.0"), "a");
            fs::rename(file, folder.join("alpha.crate")).unwrap();
            let pack = world.add_pack("gamma", &format!("1.{writer}.0+build.{writer}"), "t");
            fs::rename(pack, folder.join("gamma")).unwrap();
            let (registry, options) = (registry(&format!("writer-{writer}")), world.options.clone());
            tokio::spawn(async move { registry.build(&[folder], &options).await?.require_views() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    server.heal();
    let objects = server.objects();
    assert_eq!(String::from_utf8(objects["cargo/al/ph/alpha"].clone()).unwrap().lines().count() as u64, WRITERS);
    // S3 reads a plus in the path of a request as a space: both keys are there, and say the same.
    let key = "packages/gamma/versions/1.2.0+build.2";
    assert_eq!(objects[key], objects[&key.replace('+', " ")]);
    // Looked at from one end to the other, nothing has to be put right.
    let reports = registry("last").update_views(true, &world.options).await.unwrap();
    assert_eq!(reports.iter().map(|r| (r.whole, r.files)).collect::<Vec<_>>(), [(true, 0); 4]);
    assert_eq!(shown(&server.objects()), shown(&objects));
    server.assert_fair();
}
