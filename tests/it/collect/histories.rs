//! Random histories: whatever was done in whatever order, what was acknowledged is there.

use super::*;
use std::collections::BTreeMap;

/// A generator that any seed starts, the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_ever_lost() {
    let seeds = std::env::var("GC_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(24);
    for seed in 0..seeds {
        let told = format!("seed {seed}");
        history(seed, &told).await;
    }
}

async fn history(seed: u64, told: &str) {
    let mut dice = Dice(seed);
    let mut it = Long::ago(400).await;
    it.world.add_lines("elsewhere.jsonl", 0..400);
    it.world.build().await.unwrap();
    // What was acknowledged: the archive of each release.
    let mut published = BTreeMap::new();
    for step in 0..30 {
        match dice.below(9) {
            0..=2 => {
                let (name, version) = (format!("crate-{}", dice.below(4)), format!("1.{step}.0"));
                let archive = it.publish(&name, &version).await;
                published.insert(format!("crate/{name}@{version}"), archive);
            }
            3 => {
                // A publisher dies somewhere before its claim, and leaves things behind.
                it.world.add_crate("lost", &format!("1.{step}.0"), "lost");
                it.world.referee.set_fault(Some(Fault::DieBefore(dice.below(5) as usize)));
                it.world.build().await.unwrap_err();
                it.world.referee.set_fault(None);
                fs::remove_file(it.world.sources().join(format!("lost-1.{step}.0.crate"))).unwrap();
            }
            4 => {
                let pick = dice.below(published.len().max(1) as u64) as usize;
                let Some(release) = published.keys().nth(pick).cloned() else { continue };
                let (name, version) = release.strip_prefix("crate/").unwrap().split_once('@').unwrap();
                let file = it.world.sources().join(format!("{name}-{version}.crate"));
                if dice.below(2) == 0 && file.exists() {
                    fs::remove_file(file).unwrap();
                    it.world.options.delete = true;
                    it.world.build().await.unwrap();
                    it.world.options.delete = false;
                } else {
                    let spec: ggen_marketplace::package::PackageSpec =
                        format!("crate:{name}@{version}").parse().unwrap();
                    let (id, version) = (spec.candidates().unwrap().remove(0), spec.version.unwrap());
                    // Of one that was removed there is nothing left to yank.
                    let _ = it.world.registry().yank(&id, &version, None, &it.world.options).await;
                }
            }
            5 => drop(it.world.registry().refresh(&it.world.options).await.unwrap()),
            _ => {
                let mut options = it.options();
                options.keep = 1 + dice.below(5);
                options.purge_after = DAY * u32::try_from(1 + dice.below(30)).unwrap();
                let cut = dice.below(3) == 0;
                if cut {
                    it.world.referee.set_fault(Some(Fault::DieBefore(dice.below(12) as usize)));
                }
                let report = it.world.registry().collect(&options).await;
                it.world.referee.set_fault(None);
                assert!(cut || report.is_ok(), "{told}, step {step}: {report:?}");
            }
        }
        it.pass(HOUR * u32::try_from(1 + dice.below(150)).unwrap());
        let found = it.world.found();
        let objects = it.world.referee.objects();
        for (release, archive) in &published {
            let record = found.records.get(release).unwrap_or_else(|| panic!("{told}, step {step}: lost {release}"));
            assert_eq!(record["archive"]["sha256"], **archive, "{told}, step {step}");
            let bytes = objects.get(&format!("blobs/sha256/{archive}"));
            assert_eq!(bytes.map(|b| second_reader::hex(b)).as_ref(), Some(archive), "{told}, step {step}: {release}");
        }
        it.kept();
    }
    let fouls = it.world.referee.take_fouls();
    assert!(fouls.is_empty(), "{told}: {fouls:#?}");
    it.world.referee.assert_fair();
}
