//! The real program on a real disk, killed without warning, or out of space: a plain run afterwards ends where a run
//! without trouble ends.

use super::support::{second_reader, world::World};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

/// A folder of packages, and the program with a home of its own.
struct Desk {
    world: World,
}

impl Desk {
    fn new() -> Self {
        let world = World::without_registry();
        for i in 0..60 {
            world.add_crate(&format!("crate-{i}"), "1.0.0", &format!("// {i}\n").repeat(500));
        }
        world.add_lines("elsewhere.jsonl", 0..4_000);
        fs::write(world.dir.path().join("key"), world.signing_key().to_secret_text().as_bytes()).unwrap();
        Self { world }
    }

    fn command(&self, registry: &str, verb: &str) -> Command {
        let dir = self.world.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ggen-market"));
        command.current_dir(dir).env_clear().env("HOME", dir.join(format!("home-of-{registry}"))).arg(verb);
        command.env("SOURCE_DATE_EPOCH", self.world.options.now.unix().to_string());
        command.env("GGEN_MARKET_SECRET_KEY", self.world.signing_key().to_secret_text().as_str());
        command.env("GGEN_MARKET_KEY", self.world.key.to_string());
        command.env("GGEN_MARKET_REGISTRY", registry).env("GGEN_MARKET_STORE", registry);
        command
    }

    fn init(&self, registry: &str) {
        let folder = self.world.dir.path().join(registry);
        let store = ggen_marketplace::Store::create(folder.to_str().unwrap()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let state = self.world.dir.path().join(format!("init-of-{registry}"));
        let registry = ggen_marketplace::Registry::new(store, self.world.signing_key(), &state);
        runtime.block_on(registry.init(&self.world.options)).unwrap();
    }

    fn build(&self, registry: &str) -> Command {
        let mut command = self.command(registry, "build");
        command.arg("--source").arg(self.world.sources());
        command
    }

    fn found(&self, registry: &str) -> second_reader::Found {
        second_reader::read(&objects(&self.world.dir.path().join(registry)))
    }
}

fn objects(folder: &Path) -> second_reader::Objects {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    files
        .map(|e| (e.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), fs::read(e.path()).unwrap()))
        .collect()
}

fn shown(out: &Output) -> String {
    format!("{:?} {}{}", out.status, String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn killed_at_any_moment_it_leaves_the_old_state_or_the_new_one() {
    let desk = Desk::new();
    desk.init("uncut");
    let out = desk.build("uncut").output().unwrap();
    assert!(out.status.success(), "{}", shown(&out));
    let goal = desk.found("uncut");
    let mut cut = 0;
    for round in 0..12u64 {
        let registry = format!("round-{round}");
        desk.init(&registry);
        // Later in every round, and again in the same registry: what one cut left is what the next run finds.
        for again in 0..3 {
            let mut child = desk.build(&registry).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(5 + 12 * round + 7 * again));
            let running = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            cut += u32::from(running);
            let between = desk.found(&registry);
            assert!(between.records.is_empty() || between.index == goal.index, "neither the old state nor the new one");
        }
        let out = desk.build(&registry).output().unwrap();
        assert!(out.status.success(), "{}", shown(&out));
        assert_eq!(desk.found(&registry).index, goal.index);
        let out = desk.command(&registry, "verify").arg("--all").output().unwrap();
        assert!(out.status.success(), "{}", shown(&out));
    }
    assert!(cut >= 6, "only {cut} of 36 runs were still under way when they were killed");
}

#[test]
fn a_full_disk_is_named_and_the_next_run_goes_on() {
    let desk = Desk::new();
    let folder = desk.world.dir.path().join("small");
    fs::create_dir(&folder).unwrap();
    let mount = |options: &str| {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&folder).output();
        status.is_ok_and(|o| o.status.success())
    };
    if !mount("size=160k") {
        println!("skipped: a small file system cannot be mounted here (it takes root)");
        return;
    }
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        desk.init("small");
        let out = desk.build("small").output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{}", shown(&out));
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(text.contains("No space left on device") && text.contains("free some space"), "{text}");
        assert!(desk.found("small").records.is_empty());
        assert!(mount("remount,size=64m"));
        let out = desk.build("small").output().unwrap();
        assert!(out.status.success(), "{}", shown(&out));
        assert_eq!(desk.found("small").records.len(), 4_060);
    }));
    Command::new("umount").arg(&folder).status().unwrap();
    outcome.unwrap();
}

#[test]
fn programs_that_race_on_one_folder_all_land() {
    const WRITERS: u64 = 6;
    let desk = Desk::new();
    desk.init("shared");
    let children: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let folder = desk.world.dir.path().join(format!("from-{writer}"));
            fs::create_dir(&folder).unwrap();
            let file = desk.world.add_lines(&format!("w{writer}.jsonl"), writer * 100..writer * 100 + 100);
            fs::rename(file, folder.join("list.jsonl")).unwrap();
            let mut build = desk.command("shared", "build");
            build.arg("--source").arg(folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", shown(&out));
    }
    let found = desk.found("shared");
    assert_eq!((found.generation, found.records.len()), (WRITERS, 600));
    let out = desk.command("shared", "verify").arg("--all").output().unwrap();
    assert!(out.status.success(), "{}", shown(&out));
}
