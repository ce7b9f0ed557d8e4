//! Whatever happens to a registry, its views are what they would be had they been made in one go.

use super::{require_right, site::add, world_with};
use crate::support::referee::Fault;
use ggen_marketplace::{View, package::PackageSpec};
use proptest::{prelude::*, test_runner::Config};

#[derive(Debug, Clone)]
enum Step {
    Publish(u8, u8),
    Yank(u8, u8),
    Unyank(u8, u8),
    /// With releases that the sources lost taken out.
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8, 0..4u8).prop_map(|(p, v)| Step::Publish(p, v)),
        2 => (0..6u8, 0..4u8).prop_map(|(p, v)| Step::Yank(p, v)),
        2 => (0..6u8, 0..4u8).prop_map(|(p, v)| Step::Unyank(p, v)),
        1 => Just(Step::Delete),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 24, max_shrink_iters: 60, ..Config::default() })]

    #[test]
    fn views_are_a_function_of_the_newest_state(steps in proptest::collection::vec((step(), proptest::option::weighted(0.4, 0..60usize)), 1..14)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let world = world_with(&View::ALL).await;
            for (step, dies_at) in steps {
                world.referee.set_fault(dies_at.map(Fault::DieAfter));
                let named = |p: u8| if p.is_multiple_of(2) { format!("crate:c{p}") } else { format!("pack:p{p}") };
                let id = |p: u8| named(p).parse::<PackageSpec>().unwrap().candidates().unwrap().remove(0);
                let version = |v: u8| format!("1.{v}.0").parse().unwrap();
                // That it died, or that there is no such release, is part of the history.
                match step {
                    Step::Publish(p, v) if p.is_multiple_of(2) => {
                        // With each version other keywords and dependencies: lists grow and shrink.
                        let more = format!(
                            "keywords = [\"k{v}\", \"all\"]\ncategories = [\"of-{v}\"]\n[dependencies]\nc{} = \"1\"\nnowhere-{v} = \"1\"\n",
                            (p + v) % 6
                        );
                        add(&world, &format!("c{p}"), &format!("1.{v}.0"), &more, "# Read me");
                        let _ = world.build().await;
                    }
                    Step::Publish(p, v) => {
                        world.add_pack(&format!("p{p}"), &format!("1.{v}.0"), "x");
                        let _ = world.build().await;
                    }
                    Step::Yank(p, v) => drop(world.registry().yank(&id(p), &version(v), None, &world.options).await),
                    Step::Unyank(p, v) => drop(world.registry().unyank(&id(p), &version(v), &world.options).await),
                    Step::Delete => {
                        let mut options = world.options.clone();
                        options.delete = true;
                        let _ = std::fs::remove_file(world.sources().join("c2-1.0.0.crate"));
                        let _ = world.registry().build(&[world.sources()], &options).await;
                    }
                }
            }
            world.referee.set_fault(None);
            world.build().await.unwrap();
            require_right(&world).await;
        });
    }
}
