//! Reading over a network that is slow, broken, hostile, or just far away.

mod connections;
mod matrix;
mod mirrors;
mod nginx;
mod parts;

use super::support::{weather::Dice, world::World};
use ggen_marketplace::{Client, ClientOptions, Store, StoreOptions};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// A registry of three generations in a folder, and the same as it was one generation before.
pub(crate) struct Published {
    pub(crate) world: World,
    pub(crate) folder: PathBuf,
    pub(crate) old: PathBuf,
    /// The archive of `crate:alpha`.
    pub(crate) archive: Vec<u8>,
}

impl Published {
    pub(crate) async fn new() -> Self {
        let world = World::without_registry();
        let folder = world.dir.path().join("registry");
        let registry = world.registry_in(Store::create(folder.to_str().unwrap()).unwrap());
        registry.init(&world.options).await.unwrap();
        world.add_crate("beta", "1.0.0", "b");
        registry.build(&[world.sources()], &world.options).await.unwrap();
        let old = world.dir.path().join("old");
        let archive = world.add_crate("alpha", "1.0.0", &noise(300_000));
        registry.build(&[world.sources()], &world.options).await.unwrap();
        copy(&folder, &old);
        world.add_crate("gamma", "1.0.0", "c");
        registry.build(&[world.sources()], &world.options).await.unwrap();
        let archive = fs::read(archive).unwrap();
        Self { world, folder, old, archive }
    }

    /// A client of these places, with patience for tests, and with the newest state seen already where there is a cache.
    pub(crate) fn client(&self, places: &[&str], cache: Option<&Path>) -> Client {
        self.client_with(places, cache, |_| {})
    }

    pub(crate) fn client_with(
        &self,
        places: &[&str],
        cache: Option<&Path>,
        change: impl FnOnce(&mut StoreOptions),
    ) -> Client {
        let mut how = StoreOptions::default();
        hasty(&mut how);
        change(&mut how);
        let mut options = ClientOptions::default();
        options.freshness = Duration::ZERO;
        options.cache = cache.map(Into::into);
        Client::new(Store::open_mirrors(places, &how).unwrap(), std::slice::from_ref(&self.world.key), options).unwrap()
    }
}

/// The bounds of the default, a tenth as long or less.
pub(crate) fn hasty(how: &mut StoreOptions) {
    let t = &mut how.transport;
    t.answer_timeout = Duration::from_millis(700);
    t.stall_timeout = Duration::from_millis(700);
    t.rate_window = Duration::from_millis(500);
    t.retry_budget = Duration::from_secs(2);
    t.grace = Duration::from_millis(200);
}

/// Text that hardly compresses.
pub(crate) fn noise(length: usize) -> String {
    let dice = Dice::new(7);
    (0..length)
        .map(|_| {
            char::from(b" !#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcd"[dice.roll(64) as usize])
        })
        .collect()
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let path = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::copy(entry.path(), path).unwrap();
        }
    }
}
