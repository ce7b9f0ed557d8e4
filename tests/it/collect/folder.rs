//! Collections of a folder, which has other ways than a bucket: a move is one step, and a file may have two names.

use crate::support::world::World;
use ggen_marketplace::{BuildOptions, GcOptions, GcReport, Registry, Store, View, ViewOptions, package::Timestamp};
use object_store::{ObjectStoreExt as _, local::LocalFileSystem};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

const DAY: Duration = Duration::from_secs(86_400);

/// A registry in a folder, whose generations expire within a day.
struct Folder {
    world: World,
    began: Timestamp,
    day: u32,
}

impl Folder {
    async fn new() -> Self {
        let it = Self { world: World::without_registry(), began: Timestamp::now(), day: 0 };
        it.registry().init(&it.build_options()).await.unwrap();
        it
    }

    fn root(&self) -> PathBuf {
        self.world.dir.path().join("registry")
    }

    fn registry(&self) -> Registry {
        self.world.registry_in(Store::create(self.root().to_str().unwrap()).unwrap())
    }

    fn now(&self) -> Timestamp {
        self.began.plus(DAY * self.day)
    }

    fn build_options(&self) -> BuildOptions {
        let mut options = BuildOptions::at(self.now());
        options.validity = DAY;
        options
    }

    async fn publish(&self, version: &str) {
        self.world.add_crate("alpha", version, version);
        let report = self.registry().build(&[self.world.sources()], &self.build_options()).await.unwrap();
        assert_eq!(report.added, 1);
    }

    async fn collect_on(&mut self, day: u32) -> GcReport {
        self.day = day;
        let mut options = GcOptions::at(self.now());
        options.keep = 1;
        self.registry().collect(&options).await.unwrap()
    }

    /// The names of the files in a folder of the registry.
    fn names(&self, folder: &str) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.root().join(folder)) else { return BTreeSet::new() };
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// How many days ago it was written.
fn days_old(path: &Path) -> u64 {
    fs::metadata(path).unwrap().modified().unwrap().elapsed().unwrap_or_default().as_secs() / 86_400
}

/// Makes a file so many days old.
fn age(path: &Path, days: u64) {
    let now = Duration::from_secs(u64::try_from(Timestamp::now().unix()).unwrap());
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + now - Duration::from_secs(86_400 * days)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_back_from_the_trash_is_a_file_of_its_own_and_can_be_collected_again() {
    let mut it = Folder::new().await;
    let before = it.names("blobs/sha256");
    it.publish("1.0.0").await;
    let cited: Vec<String> = it.names("blobs/sha256").difference(&before).cloned().collect();
    assert!(cited.len() >= 5, "{cited:?}");
    let at = |folder: &str, name: &String| it.root().join(folder).join(name);
    // As if a collection had taken them by mistake, ten days ago.
    fs::create_dir(it.root().join("trash")).unwrap();
    for name in &cited {
        fs::rename(at("blobs/sha256", name), at("trash", name)).unwrap();
        age(&at("trash", name), 10);
    }
    assert!(it.registry().collect(&GcOptions::at(it.now())).await.unwrap().restored > 0);
    // That each has a time of its own is what two names of one file cannot have.
    for name in &cited {
        assert_eq!(fs::read(at("blobs/sha256", name)).unwrap(), fs::read(at("trash", name)).unwrap());
        assert_eq!((days_old(&at("blobs/sha256", name)), days_old(&at("trash", name))), (0, 10), "{name}");
    }

    it.day = 1;
    it.publish("1.1.0").await;
    let marked = it.collect_on(5).await.marked;
    // All but the archive and the first search bundle.
    let dead = (cited.len() + before.len()) as u64 - 2;
    assert_eq!(marked.objects, dead);
    let report = it.collect_on(8).await;
    assert_eq!(report.collected, marked);
    let (blobs, trash) = (it.names("blobs/sha256"), it.names("trash"));
    assert_eq!(cited.iter().filter(|name| blobs.contains(*name)).count(), 2, "{blobs:?}");
    assert!(cited.iter().all(|name| trash.contains(name)), "{trash:?}");
    // Of what was put there ten days earlier only those two are still as old.
    assert_eq!(it.collect_on(25).await.purged.objects, 2);
    assert_eq!(it.collect_on(29).await.purged.objects, 0);
    assert!(it.collect_on(31).await.purged.objects >= dead);
    assert!(it.names("trash").is_empty());
    assert_eq!(it.collect_on(40).await.collected.objects, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_killed_runs_left_beside_its_place_is_removed_and_nothing_else_is() {
    let mut it = Folder::new().await;
    it.publish("1.0.0").await;
    let mut options = it.build_options();
    options.views = Some(ViewOptions::new(&[View::Plain, View::Site], Some("https://example.com")).unwrap());
    it.registry().update_views(false, &options).await.unwrap();
    let root = it.root();
    let put = |key: &str, days: u64| {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "half").unwrap();
        age(&path, days);
    };
    let digest = "ab".repeat(32);
    let blob = format!("blobs/sha256/{digest}");
    // As the library leaves it that writes them, when it is killed.
    let library = LocalFileSystem::new_with_prefix(&root).unwrap();
    let mut upload = library.put_multipart(&blob.as_str().into()).await.unwrap();
    upload.put_part("half".into()).await.unwrap();
    std::mem::forget(upload);
    put(&format!("{blob}#1"), 3);
    let left = [
        &format!("{blob}#17"),
        &format!("trash/{digest}#1"),
        "log/0000000001#1",
        "checkpoint#1",
        "gc/boundary#1",
        "mirror.json#1",
        "views/cargo#1",
        "index/crate/al/ph/alpha#1",
        "index.html#1",
        "p/crate/alpha.html#1",
        "site/parts/d/x/y.json#1",
    ];
    left.iter().for_each(|key| put(key, 3));
    let stay = [
        &format!("{blob}#2x"),
        &format!("{blob}#"),
        &format!("{blob}.tmp"),
        "blobs/sha256/README#1",
        "log/notes#1",
        "README#1",
        "notes/today#1",
        ".git/x#1",
        // Of views that this registry does not have.
        "cargo/al/ph/alpha#1",
        "packages/alpha/versions/1.0.0#1",
        "index.json#1",
    ];
    stay.iter().for_each(|key| put(key, 3));
    put(&format!("{blob}#3"), 1);
    #[cfg(unix)]
    {
        put("elsewhere/0000000001#1", 3);
        std::os::unix::fs::symlink(root.join("README#1"), root.join(format!("{blob}#4"))).unwrap();
        std::os::unix::fs::symlink(root.join("elsewhere"), root.join("p/linked")).unwrap();
    }
    let all = || -> BTreeSet<PathBuf> {
        walkdir::WalkDir::new(&root).into_iter().map(|e| e.unwrap().into_path()).filter(|p| !p.is_dir()).collect()
    };
    let before = all();
    let mut options = GcOptions::at(it.now());
    options.dry_run = true;
    let would = it.registry().collect(&options).await.unwrap().leftovers;
    let count = left.len() as u64 + 1;
    assert_eq!((would.objects, would.bytes), (count, 4 * count));
    assert_eq!(all(), before);

    assert_eq!(it.collect_on(0).await.leftovers, would);
    let after = all();
    let gone: BTreeSet<String> = before
        .difference(&after)
        .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"))
        .collect();
    let wanted: BTreeSet<String> = left.iter().map(|k| (*k).to_owned()).chain([format!("{blob}#1")]).collect();
    assert_eq!(gone, wanted);
    assert!(after.is_subset(&before));
    // The one that was young is not any more.
    assert_eq!(it.collect_on(2).await.leftovers.objects, 1);
}
