//! Many weeks of a registry in a moment: publishers, a job that renews it, one that collects garbage, and readers, on a
//! store in bad weather. Every run follows from a seed; a run that fails names it, and `GGEN_SIMULATE=<seed>` repeats it.

use super::support::{
    referee::Referee,
    second_reader,
    weather::{Dice, Weather},
    world::World,
};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Error, ErrorKind, GcOptions, Registry, package::Timestamp,
};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// How many seeds are tried where nobody says otherwise (`GGEN_SIMULATIONS`).
const SEEDS: u64 = 300;

const PUBLISHERS: u64 = 3;
const RELEASES: u64 = 3;

/// One run: its world, its weather, and what was promised to whom.
struct Run {
    world: World,
    weather: Weather,
    dice: Dice,
    began: Instant,
    /// Releases of which a publisher was told that they are published.
    promised: Mutex<BTreeSet<String>>,
}

impl Run {
    fn options(&self) -> BuildOptions {
        let mut options = BuildOptions::at(self.now());
        let dice = self.dice.clone();
        options.random = Some(Arc::new(move |bytes| dice.fill(bytes)));
        options
    }

    fn now(&self) -> Timestamp {
        self.world.options.now.plus(self.began.elapsed())
    }

    /// A writer with a trust state of its own.
    fn registry(&self, name: &str) -> Registry {
        Registry::new(self.weather.store(), self.world.signing_key(), &self.world.dir.path().join(name))
    }

    /// Does it again until it works. Some tries are killed: what they sent arrives all the same.
    async fn insist<T, F: Future<Output = Result<T, Error>>>(&self, what: &str, act: impl Fn() -> F) -> T {
        for _ in 0..100 {
            let killed_after = if self.dice.roll(8) == 0 { Duration::from_millis(self.dice.roll(1500)) } else { DAYS };
            match timeout(killed_after, act()).await {
                Ok(Ok(done)) => return done,
                // Whatever the weather does, it is never told as anything but bad weather.
                Ok(Err(e)) => assert_eq!(e.kind(), ErrorKind::Unavailable, "{what}: {}", e.chain()),
                Err(_) => {}
            }
            // Mostly soon; now and then when a collection may have taken away what the last try left.
            sleep(self.dice.hours(if self.dice.roll(8) == 0 { 400 } else { 1 })).await;
        }
        panic!("{what}: it never worked");
    }

    async fn publisher(&self, number: u64) {
        let name = format!("publisher-{number}");
        let registry = self.registry(&name);
        for release in 0..RELEASES {
            sleep(self.dice.hours(300)).await;
            // All of them publish versions of one package as well as packages of their own.
            let (package, version) = match release % 2 {
                0 => (format!("own-{number}"), format!("1.0.{release}")),
                _ => ("shared".to_owned(), format!("1.{number}.{release}")),
            };
            let file = self.file(&package, &version);
            self.insist(&name, || async {
                let options = self.options();
                registry.build(std::slice::from_ref(&file), &options).await
            })
            .await;
            let kind = if package.starts_with("own") { "crate" } else { "pack" };
            self.promised.lock().unwrap().insert(format!("{kind}/{package}@{version}"));
        }
    }

    /// The package of one release: its own are archives, the others are hosted elsewhere.
    fn file(&self, package: &str, version: &str) -> PathBuf {
        if package.starts_with("own") {
            return self.world.add_crate(package, version, "//! Its own.");
        }
        let sha256 = second_reader::hex(format!("{package} {version}").as_bytes());
        let line = format!(
            r#"{{"name":"{package}","version":"{version}","sha256":"{sha256}","size":1,"download_url":"https://example.com/x.tar.gz"}}"#
        );
        let path = self.world.dir.path().join(format!("{package}-{version}.jsonl"));
        fs::write(&path, line + "\n").unwrap();
        path
    }

    async fn refresher(&self) {
        let registry = self.registry("refresher");
        for _ in 0..8 {
            sleep(Duration::from_secs(4 * 24 * 3600)).await;
            self.insist("refresher", || async { registry.refresh(&self.options()).await }).await;
        }
    }

    /// Collects garbage at every opportunity, and keeps as little as it may.
    async fn collector(&self, number: u64) {
        let registry = self.registry(&format!("collector-{number}"));
        for _ in 0..12 {
            sleep(self.dice.hours(120)).await;
            self.insist("collector", || async { registry.collect(&self.gc()).await }).await;
        }
    }

    fn gc(&self) -> GcOptions {
        let mut options = GcOptions::at(self.now());
        options.keep = 1;
        options.purge_after = Duration::from_secs(7 * 24 * 3600);
        options
    }

    /// Whatever was promised before a reader asks, it finds; and it is never brought back.
    async fn reader(&self) {
        let mut options = ClientOptions::default();
        options.cache = Some(self.world.dir.path().join("reader"));
        // For readers all this is long past.
        (options.allow_expired, options.timeout, options.freshness) = (true, Duration::from_secs(60), Duration::ZERO);
        let client = Client::new(self.weather.store(), std::slice::from_ref(&self.world.key), options).unwrap();
        let mut newest = 0;
        for _ in 0..12 {
            sleep(self.dice.hours(80)).await;
            let promised = self.promised.lock().unwrap().clone();
            self.insist("reader", || async {
                let reader = client.latest().await?;
                assert!(reader.generation() >= newest, "generation {} after {newest}", reader.generation());
                for release in &promised {
                    let found = reader.find_release(&release.replacen('/', ":", 1).parse().unwrap()).await;
                    assert!(
                        !matches!(&found, Err(e) if e.kind() == ErrorKind::NotFound),
                        "generation {} lacks {release}, which was promised",
                        reader.generation()
                    );
                    found?;
                }
                Ok(())
            })
            .await;
            newest = client.latest().await.map_or(newest, |r| r.generation());
        }
    }

    /// Everything that must hold when the sky is clear again.
    async fn settle(&self) {
        self.weather.clear_up();
        // The last stalled request arrives.
        sleep(Duration::from_secs(200 * 3600)).await;
        self.registry("last").refresh(&self.options()).await.unwrap();
        self.world.referee.forgive_late_reads();
        self.world.referee.assert_fair();
        let found = self.world.found();
        let kept: BTreeSet<String> = found.records.keys().cloned().collect();
        let promised = self.promised.lock().unwrap().clone();
        assert_eq!(promised.len() as u64, PUBLISHERS * RELEASES);
        assert_eq!(kept, promised, "nothing is lost, and nothing is there that nobody wanted");
        let objects = self.world.referee.objects();
        let slots: Vec<_> = objects.keys().filter_map(|k| k.strip_prefix("log/")).collect();
        assert_eq!(slots.len() as u64, found.generation + 1, "the log has no gap");
        // What a collection did not give up is whole.
        let keeps = objects.get("gc/boundary").map_or(0, |b| second_reader::boundary(b).keeps);
        for generation in keeps..=found.generation {
            second_reader::read_slot(&objects, generation);
        }
        self.tidy_up().await;
    }

    /// When nobody wants the past any more, collections leave what the newest generation reaches, and nothing else.
    async fn tidy_up(&self) {
        let registry = self.registry("last");
        for _ in 0..3 {
            sleep(Duration::from_secs(14 * 24 * 3600)).await;
            let refreshed = registry.refresh(&self.options()).await.unwrap();
            assert!(refreshed.committed);
            registry.collect(&self.gc()).await.unwrap();
        }
        self.world.referee.assert_fair();
        let found = self.world.found();
        let objects = self.world.referee.objects();
        let blobs: BTreeSet<_> = objects.keys().filter(|k| k.starts_with("blobs/")).cloned().collect();
        let left: Vec<_> = blobs.difference(&found.reached).collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

const DAYS: Duration = Duration::from_secs(1000 * 24 * 3600);

/// Runs one seed, and gives what took effect on the store, in order.
fn simulate(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::without_registry();
        // A fixed day, so that every run is the same; long ago, since readers go by this machine's clock.
        world.options.now = Timestamp::from_unix(1_700_000_000);
        let dice = Dice::new(seed);
        let weather = Weather::new(Referee::clone(&world.referee), dice.clone());
        world.referee.begin_at(world.options.now);
        let run = Run { world, weather, dice, began: Instant::now(), promised: Mutex::default() };
        run.world.registry().init(&run.options()).await.unwrap();
        run.world.referee.expect_a_crowd();
        let publishers = futures::future::join_all((0..PUBLISHERS).map(|n| run.publisher(n)));
        tokio::join!(publishers, run.refresher(), run.collector(0), run.collector(1), run.reader());
        run.settle().await;
        run.weather.log()
    })
}

#[test]
fn in_any_weather_nothing_promised_is_lost() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    if let Some(seed) = number("GGEN_SIMULATE") {
        println!("{}", simulate(seed).join("\n"));
        return;
    }
    let next = Mutex::new(0..number("GGEN_SIMULATIONS").unwrap_or(SEEDS));
    std::thread::scope(|s| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            s.spawn(|| {
                loop {
                    let Some(seed) = next.lock().unwrap().next() else { return };
                    let run = std::panic::catch_unwind(|| simulate(seed));
                    assert!(run.is_ok(), "the seed was {seed}: repeat it with GGEN_SIMULATE={seed}");
                }
            });
        }
    });
}

#[test]
fn the_same_seed_is_the_same_day() {
    assert_eq!(simulate(7), simulate(7));
}
