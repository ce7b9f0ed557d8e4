//! Views: what other programs read. How they are written is here; what they hold is in the modules below.

mod bucket;
mod cargo;
mod ggen;
mod history;
mod inert;
mod site;

use super::support::{referee::Fault, rules, second_reader::Objects, world::World};
use ggen_marketplace::{BuildOptions, GcOptions, Report, SigningKey, View, ViewOptions};
use std::time::Duration;

const PUBLIC: &str = "https://packages.example.com/ggen";

/// A world whose builds write these views.
async fn world_with(views: &[View]) -> World {
    let mut world = World::new().await;
    world.options.views = Some(ViewOptions::new(views, Some(PUBLIC)).unwrap());
    world
}

/// The files of views, without the markers. One that is empty is as good as none, and so is one that says that there is
/// nothing: nothing is ever deleted.
fn shown(objects: &Objects) -> Objects {
    let missing = objects.get("404.html");
    let says_nothing = |key: &str, bytes: &[u8]| {
        bytes.is_empty()
            || key.starts_with("site/") && bytes == b"{\"rows\":{}}\n"
            || key != "404.html" && missing.is_some_and(|m| m == bytes)
            || key.starts_with("sitemap-") && !String::from_utf8_lossy(bytes).contains("<url>")
    };
    let shown = objects.iter().filter(|(k, v)| rules::is_view(k) && !k.starts_with("views/") && !says_nothing(k, v));
    shown.map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// What the views would be had they been made in one go from the newest state.
async fn made_anew(world: &World) -> Objects {
    let fork = world.referee.fork();
    for key in fork.objects().into_keys().filter(|k| rules::is_view(k)) {
        fork.lose(&key).await;
    }
    let reports = world.registry_in(fork.store()).update_views(false, &world.options).await.unwrap();
    assert!(reports.iter().all(|r| r.whole));
    shown(&fork.objects())
}

async fn require_right(world: &World) {
    let (found, want) = (shown(&world.referee.objects()), made_anew(world).await);
    for (key, bytes) in &want {
        let text = |bytes: Option<&Vec<u8>>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
        assert_eq!(text(found.get(key)), text(Some(bytes)), "{key}");
    }
    let more: Vec<_> = found.keys().filter(|k| !want.contains_key(*k)).collect();
    assert!(more.is_empty(), "{more:?}");
    // Looked at from one end to the other, nothing has to be put right: also what says that there is nothing any more.
    let fork = world.referee.fork();
    let reports = world.registry_in(fork.store()).update_views(true, &world.options).await.unwrap();
    let written: Vec<_> = fork.take_writes().into_iter().filter(|k| !k.starts_with("views/")).collect();
    assert_eq!((written, reports.iter().map(|r| r.files).sum()), (Vec::<String>::new(), 0));
    world.referee.assert_fair();
}

fn counts(report: &Report) -> Vec<(View, u64, u64)> {
    report.views.iter().map(|v| (v.view, v.generation, v.files)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_writes_what_changed_after_the_checkpoint_and_an_unchanged_one_nothing() {
    let world = world_with(&[View::Plain, View::Cargo]).await;
    world.add_crate("alpha", "1.0.0", "a");
    world.add_crate("Beta_x", "1.0.0", "b");
    world.add_pack("gamma", "1.0.0", "g");
    let report = world.build().await.unwrap();
    assert_eq!(counts(&report), [(View::Plain, 1, 3), (View::Cargo, 1, 3)]);
    let writes = world.referee.take_writes();
    let at = writes.iter().position(|k| k == "checkpoint").unwrap();
    let mut after = writes[at + 1..].to_vec();
    after[1..4].sort();
    after[6..9].sort();
    assert_eq!(
        after,
        [
            "views/plain",
            "index/crate/al/ph/alpha",
            "index/crate/be/ta/beta-x",
            "index/pack/ga/mm/gamma",
            "views/plain",
            "views/cargo",
            "cargo/al/ph/alpha",
            "cargo/be/ta/beta_x",
            "cargo/config.json",
            "views/cargo"
        ]
    );
    require_right(&world).await;

    let report = world.build().await.unwrap();
    assert_eq!(counts(&report), [(View::Plain, 1, 0), (View::Cargo, 1, 0)]);
    assert_eq!(world.referee.take_writes(), [""; 0]);

    world.add_crate("alpha", "1.1.0", "a, improved");
    let report = world.build().await.unwrap();
    assert_eq!(counts(&report), [(View::Plain, 2, 1), (View::Cargo, 2, 1)]);
    assert!(report.views.iter().all(|v| !v.whole));
    let writes = world.referee.take_writes();
    let views: Vec<_> = writes.iter().filter(|k| rules::is_view(k)).map(String::as_str).collect();
    let want =
        ["views/plain", "index/crate/al/ph/alpha", "views/plain", "views/cargo", "cargo/al/ph/alpha", "views/cargo"];
    assert_eq!(views, want);
    // A generation with nothing new in it costs the views nothing.
    world.registry().refresh(&world.options).await.and_then(Report::require_views).unwrap();
    assert!(!world.referee.take_writes().iter().any(|k| rules::is_view(k)));
    require_right(&world).await;
}

/// Every write of a run with views, with a crash before and after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_is_completed_by_the_next_one() {
    let mut steps = usize::MAX;
    let mut step = 0;
    while step < steps {
        for fault in [Fault::DieBefore(step), Fault::DieAfter(step)] {
            let world = world_with(&[View::Plain, View::Cargo]).await;
            world.add_crate("alpha", "1.0.0", "a");
            world.add_pack("gamma", "1.0.0", "g");
            world.build().await.unwrap();
            world.add_crate("alpha", "1.1.0", "a, improved");
            world.add_crate("delta", "1.0.0", "d");
            world.referee.set_fault(Some(fault));
            let died = world.build().await;
            if died.is_ok() {
                steps = world.referee.take_writes().len();
            }
            world.referee.set_fault(None);
            world.build().await.unwrap();
            require_right(&world).await;
            world.referee.take_writes();
            world.build().await.unwrap();
            assert_eq!(world.referee.take_writes(), [""; 0], "{fault:?}");
        }
        step += 1;
    }
    assert!(step >= 14, "{step}");
}

/// A run writes a yank and dies; the yank is taken back. What the view shows then differs in nothing from what its marker
/// says, but for what the dead run wrote.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_run_wrote_is_found_also_where_nothing_has_changed_since() {
    let world = world_with(&[View::Cargo]).await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let (alpha, version) =
        ("crate:alpha".parse::<ggen_marketplace::package::PackageSpec>().unwrap(), "1.0.0".parse().unwrap());
    let id = alpha.candidates().unwrap().remove(0);
    let before = shown(&world.referee.objects());
    // On a copy, to count the writes.
    let fork = world.referee.fork();
    let state = world.dir.path().join("state of the copy");
    let copy = ggen_marketplace::Registry::new(fork.store(), world.signing_key(), &state);
    copy.yank(&id, &version, None, &world.options).await.unwrap();
    let file = fork.take_writes().iter().position(|k| k == "cargo/al/ph/alpha").unwrap();

    world.referee.set_fault(Some(Fault::DieAfter(file)));
    let e = world.registry().yank(&id, &version, None, &world.options).await.unwrap().view_error.unwrap();
    assert!(e.to_string().contains("the view cargo is not up to date"), "{e}");
    world.referee.set_fault(None);
    assert_ne!(shown(&world.referee.objects()), before, "the dead run has written the file");
    // Somebody without views in the configuration takes the yank back, and then a run with them comes.
    let without = BuildOptions::at(world.options.now);
    world.registry().unyank(&id, &version, &without).await.unwrap();
    world.build().await.unwrap();
    assert_eq!(shown(&world.referee.objects()), before);
    require_right(&world).await;
}

/// Right before a file is written, another job publishes and writes its views: the older state does not take its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_slower_run_never_takes_the_place_of_a_newer_state() {
    for at in ["views/cargo", "cargo/al/ph/alpha", "cargo/config.json", "cargo/de/lt/delta"] {
        let world = world_with(&[View::Cargo]).await;
        world.add_crate("alpha", "1.0.0", "a");
        if at != "cargo/config.json" {
            world.build().await.unwrap();
            world.add_crate("alpha", "1.1.0", "a, improved");
        }
        world.add_crate("delta", "1.0.0", "d");
        let (rival, options) = (world.registry(), world.options.clone());
        let folder = world.dir.path().join("rival");
        std::fs::create_dir(&folder).unwrap();
        for name in ["alpha", "delta"] {
            let file = world.add_crate(name, "2.0.0", "newer");
            std::fs::rename(file, folder.join(format!("{name}.crate"))).unwrap();
        }
        world.referee.expect_a_crowd();
        world.referee.before(at, move || async move {
            rival.build(&[folder], &options).await.and_then(Report::require_views).unwrap();
        });
        let report = world.build().await.unwrap();
        assert_eq!(report.views[0].generation, report.generation + 1, "{at}: it shows what the rival published");
        require_right(&world).await;
        let alpha = String::from_utf8(world.referee.objects()["cargo/al/ph/alpha"].clone()).unwrap();
        assert!(alpha.contains("2.0.0"), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_race_leave_the_views_of_the_newest_state() {
    const WRITERS: u64 = 8;
    let world = world_with(&[View::Plain, View::Cargo]).await;
    world.add_crate("alpha", "0.1.0", "a");
    world.build().await.unwrap();
    world.referee.expect_a_crowd();
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let folder = world.dir.path().join(format!("from-{writer}"));
        std::fs::create_dir(&folder).unwrap();
        let file = world.add_crate("alpha", &format!("1.{writer}.0"), "a");
        std::fs::rename(&file, folder.join("alpha.crate")).unwrap();
        let (registry, options) = (world.registry(), world.options.clone());
        tasks.push(tokio::spawn(async move { registry.build(&[folder], &options).await?.require_views() }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let alpha = String::from_utf8(world.referee.objects()["cargo/al/ph/alpha"].clone()).unwrap();
    assert_eq!(alpha.lines().count() as u64, WRITERS + 1);
    require_right(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_a_lost_marker_and_a_strangers_one_remake_a_view() {
    let mut world = world_with(&[View::Plain, View::Cargo]).await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let alpha = "cargo/al/ph/alpha";
    let right = world.referee.objects()[alpha].clone();

    // Of another address, only Cargo's view is made anew.
    world.options.views =
        Some(ViewOptions::new(&[View::Plain, View::Cargo], Some("https://elsewhere.example.com")).unwrap());
    let report = world.build().await.unwrap();
    assert_eq!(report.views.iter().map(|v| (v.whole, v.files)).collect::<Vec<_>>(), [(false, 0), (true, 1)]);

    // What somebody wrote over stays, until all is looked at.
    world.referee.plant(alpha, b"rubbish").await;
    assert_eq!(world.build().await.unwrap().views[1].files, 0);
    let reports = world.registry().update_views(true, &world.options).await.unwrap();
    assert_eq!(reports.iter().map(|v| (v.whole, v.files)).collect::<Vec<_>>(), [(true, 0), (true, 1)]);
    assert_eq!(world.referee.objects()[alpha], right);

    world.referee.plant(alpha, b"rubbish").await;
    let stranger = SigningKey::generate(super::support::world::ORIGIN.parse().unwrap()).unwrap();
    let forged = ggen_marketplace::trust::Shown::nothing(stranger.origin().clone(), "cargo").sign(&stranger).unwrap();
    world.referee.plant("views/cargo", &forged).await;
    let report = world.build().await.unwrap();
    assert_eq!((report.views[1].whole, report.views[1].files), (true, 1));
    require_right(&world).await;

    // A view that lacks what it needs says so, and nothing of it is written.
    world.options.views = Some(ViewOptions::new(&[View::Cargo], None).unwrap());
    world.referee.take_writes();
    let e = world.build().await.unwrap_err();
    assert!(e.chain().contains("needs the address under which readers find the registry"), "{}", e.chain());
    assert_eq!(world.referee.take_writes(), [""; 0]);
}

/// The state that a view shows may be collected as garbage; then every file is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_a_collected_state_is_made_whole() {
    let mut world = world_with(&[View::Plain]).await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let with = world.options.views.take();
    world.add_crate("alpha", "1.1.0", "b");
    world.build().await.unwrap();
    for _ in 0..3 {
        world.options.now = world.options.now.plus(Duration::from_secs(10 * 86_400));
        world.options.clock = world.options.now;
        world.referee.pass(Duration::from_secs(10 * 86_400));
        let mut gc = GcOptions::at(world.options.now);
        gc.keep = 1;
        world.registry().refresh(&world.options).await.and_then(Report::require_views).unwrap();
        world.registry().collect(&gc).await.unwrap();
    }
    let views: Vec<_> = world.referee.objects().into_keys().filter(|k| rules::is_view(k)).collect();
    assert_eq!(views, ["index/crate/al/ph/alpha", "views/plain"], "a collection leaves views alone");
    world.options.views = with;
    let report = world.registry().refresh(&world.options).await.and_then(Report::require_views).unwrap();
    assert_eq!((report.views[0].whole, report.views[0].files), (true, 1));
    // It was looked for, and that is how it was found out.
    world.referee.forgive_late_reads();
    require_right(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_is_told_where_to_download_and_whether_to_log_in() {
    let mut world = world_with(&[View::Cargo]).await;
    world.add_crate("alpha", "1.0.0", "a");
    world.build().await.unwrap();
    let mut views = world.options.views.clone().unwrap();
    views.cargo_auth = true;
    world.options.views = Some(views);
    world.build().await.unwrap();
    let config = String::from_utf8(world.referee.objects()["cargo/config.json"].clone()).unwrap();
    assert_eq!(config, format!("{{\"dl\":\"{PUBLIC}/blobs/sha256/{{sha256-checksum}}\",\"auth-required\":true}}\n"));
}
