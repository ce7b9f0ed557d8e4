//! `cargo/`, line by line and read by the real Cargo.

mod built;
mod host;
mod lines;
mod packaged;
mod real;

use crate::support::{cargo::real_cargo, http::Manner, tarball::Tarball, world::World};
use ggen_marketplace::{
    BuildOptions, CargoDependencies, Registry, Report, Store, View, ViewOptions, package::PackageSpec,
};
use host::{By, Host};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A registry in a folder, served, and a project of somebody who uses it.
struct Desk {
    world: World,
    registry: Registry,
    options: BuildOptions,
    _host: Host,
}

impl Desk {
    async fn new(change: impl FnOnce(&mut ViewOptions)) -> Self {
        Self::served(By::Tests(Manner::Proper), change).await.unwrap()
    }

    /// `None` where there is no such server on this machine.
    async fn served(by: By, change: impl FnOnce(&mut ViewOptions)) -> Option<Self> {
        let world = World::without_registry();
        let folder = world.dir.path().join("registry");
        let store = Store::create(folder.to_str().unwrap()).unwrap();
        let registry = world.registry_in(store);
        let host = Host::start(&folder, by).await?;
        let mut options = world.options.clone();
        let mut views = ViewOptions::new(&[View::Cargo], Some(&host.url)).unwrap();
        change(&mut views);
        options.views = Some(views);
        registry.init(&options).await.unwrap();
        fs::create_dir_all(world.dir.path().join("project/src")).unwrap();
        fs::create_dir_all(world.dir.path().join("cargo-home")).unwrap();
        let desk = Self { world, registry, options, _host: host };
        let index = desk.options.views.as_ref().unwrap().cargo_index().unwrap();
        desk.cargo_config(&format!("[registries.ours]\nindex = \"{index}\"\n"));
        Some(desk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.world.dir.path().join(path)
    }

    fn cargo_config(&self, text: &str) {
        fs::write(self.path("cargo-home/config.toml"), text).unwrap();
    }

    /// Puts a crate among the sources: its manifest after `[package]`, name and version, and its files.
    fn add(&self, name: &str, version: &str, manifest: &str, files: &[(&str, &str)]) {
        let top = format!("{name}-{version}");
        let head = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\ndescription = \"A crate\"\nlicense = \"MIT\"\n"
        );
        let mut tarball = Tarball::default().file(format!("{top}/Cargo.toml"), format!("{head}{manifest}"));
        for (path, text) in files {
            tarball = tarball.file(format!("{top}/{path}"), text);
        }
        fs::write(self.world.sources().join(format!("{top}.crate")), tarball.gz()).unwrap();
    }

    async fn build(&self) -> Report {
        let report =
            self.registry.build(&[self.world.sources()], &self.options).await.and_then(Report::require_views).unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        report
    }

    fn project(&self, dependencies: &str, main: &str) {
        let manifest = format!(
            "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n{dependencies}"
        );
        fs::write(self.path("project/Cargo.toml"), manifest).unwrap();
        fs::write(self.path("project/src/main.rs"), main).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = real_cargo(&self.path("cargo-home"));
        command.args(args).current_dir(self.path("project")).env("CARGO_INCREMENTAL", "0");
        command
    }

    async fn cargo(&self, args: &[&str]) -> Output {
        run(self.command(args)).await
    }

    async fn cargo_ok(&self, args: &[&str]) -> String {
        let out = self.cargo(args).await;
        assert!(out.status.success(), "{args:?}: {}", said(&out));
        said(&out)
    }

    /// What Cargo asks for over HTTP, and the answers' status, by its own log. Neither is in the order of the other.
    async fn cargo_asks(&self, args: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut command = self.command(args);
        command.env("CARGO_HTTP_DEBUG", "true").env("CARGO_LOG", "network=debug");
        let out = run(command).await;
        assert!(out.status.success(), "{args:?}: {}", said(&out));
        let said = said(&out);
        let after = |mark: &str| {
            let found = said.lines().filter_map(|l| l.split_once(mark)?.1.split(' ').nth(1));
            let mut found: Vec<_> = found.map(str::to_owned).collect();
            found.sort();
            found
        };
        (
            after("http-debug: > GET").iter().map(|p| p.rsplit('/').next().unwrap().to_owned()).collect(),
            after("http-debug: < HTTP/"),
        )
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.path("project/Cargo.lock")).unwrap()
    }

    async fn yank(&self, spec: &str) {
        let spec: PackageSpec = spec.parse().unwrap();
        let id = spec.candidates().unwrap().remove(0);
        self.registry
            .yank(&id, &spec.version.unwrap(), None, &self.options)
            .await
            .and_then(Report::require_views)
            .unwrap();
    }
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// `heading` followed by the version, somewhere in a lock file.
fn locks(lock: &str, name: &str, version: &str) -> bool {
    lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_does_all_it_can_over_the_programs_own_server() {
    all_that_cargo_can(By::Serve).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_does_all_it_can_over_nginx() {
    all_that_cargo_can(By::Nginx(None)).await;
}

/// Crates that depend on each other in every way.
fn add_crates(desk: &Desk) {
    desk.add("alpha", "1.0.0", "", &[("src/lib.rs", "pub fn a() -> u32 { 1 }")]);
    // Upper case and an underscore; a dependency by another name; a feature of each kind.
    desk.add(
        "Beta_X",
        "0.1.0",
        "[features]\ndefault = [\"more\"]\nmore = [\"dep:first\"]\nweak = [\"first?/std\"]\nplain = []\n\
         [dependencies]\nfirst = { package = \"alpha\", version = \">=1, <2\", optional = true }\n",
        &[("src/lib.rs", "pub fn b() -> u32 { first::a() + 1 }")],
    );
    // Build metadata, a build script with a dependency for some platforms, one that no platform here needs, dev ones.
    desk.add(
        "gamma",
        "1.0.0+meta.1",
        "links = \"gamma\"\nrust-version = \"1.60\"\n[target.'cfg(any(unix, windows))'.build-dependencies]\nalpha = \"1\"\n\
         [target.'cfg(target_os = \"none\")'.dependencies]\nnowhere = \"1\"\n[dev-dependencies]\nalso-nowhere = \"1\"\n",
        &[
            ("build.rs", "fn main() { println!(\"cargo:rustc-env=A={}\", alpha::a()); }"),
            ("src/lib.rs", "pub const A: &str = env!(\"A\");"),
        ],
    );
    desk.add("nowhere", "1.0.0", "", &[("src/lib.rs", "compile_error!(\"of no use here\");")]);
    desk.add("a", "1.0.0", "", &[("src/lib.rs", "")]);
    desk.add("ab", "1.0.0", "", &[("src/lib.rs", "")]);
    desk.add("abc", "1.0.0", "", &[("src/lib.rs", "")]);
}

/// Adds, looks up, locks, fetches, builds, updates; yanked releases, and an archive that was changed.
async fn all_that_cargo_can(by: By) {
    let Some(desk) = Desk::served(by, |_| {}).await else { return };
    add_crates(&desk);
    let report = desk.build().await;
    assert_eq!((report.views[0].files, report.views[0].notes.as_slice()), (8, &[][..]));

    let line = fs::read_to_string(desk.path("registry/cargo/be/ta/beta_x")).unwrap();
    assert!(line.contains(r#""req":"\u003e=1, \u003c2""#), "as Cargo has to read it: {line}");

    desk.project("", "fn main() { println!(\"{} {}\", Beta_X::b(), gamma::A); }");
    for name in ["Beta_X", "gamma", "a", "ab", "abc"] {
        desk.cargo_ok(&["add", "--registry", "ours", name]).await;
    }
    let info = desk.cargo_ok(&["info", "--registry", "ours", "gamma"]).await;
    assert!(info.contains("1.0.0+meta.1") && info.contains("A crate"), "{info}");
    desk.cargo_ok(&["generate-lockfile"]).await;
    let lock = desk.lock();
    for (name, version) in [("alpha", "1.0.0"), ("Beta_X", "0.1.0"), ("gamma", "1.0.0+meta.1"), ("nowhere", "1.0.0")] {
        assert!(locks(&lock, name, version), "{name}: {lock}");
    }
    desk.cargo_ok(&["fetch"]).await;
    let ran = desk.cargo_ok(&["run", "--quiet", "--offline"]).await;
    assert_eq!(ran.trim(), "2 1");

    // What did not change is not sent again; but for the configuration, which Cargo always wants anew.
    let (asked, answered) = desk.cargo_asks(&["update"]).await;
    assert_eq!(asked, ["a", "ab", "abc", "alpha", "beta_x", "config.json", "gamma", "nowhere"]);
    assert_eq!(answered, ["200", "304", "304", "304", "304", "304", "304", "304"]);

    desk.add("alpha", "1.1.0", "", &[("src/lib.rs", "pub fn a() -> u32 { 10 }")]);
    assert_eq!(desk.build().await.views[0].files, 1);
    desk.cargo_ok(&["update"]).await;
    assert!(locks(&desk.lock(), "alpha", "1.1.0"));
    assert_eq!(desk.cargo_ok(&["run", "--quiet"]).await.trim(), "11 10");

    // A yanked release is not chosen anew, and stays for whoever has it locked.
    desk.yank("crate:alpha@1.1.0").await;
    fs::remove_dir_all(desk.path("cargo-home/registry")).unwrap();
    desk.cargo_ok(&["fetch", "--locked"]).await;
    fs::remove_file(desk.path("project/Cargo.lock")).unwrap();
    desk.cargo_ok(&["generate-lockfile"]).await;
    assert!(locks(&desk.lock(), "alpha", "1.0.0"), "{}", desk.lock());

    // What is not there is told to be so.
    let out = desk.cargo(&["add", "--registry", "ours", "nothing-of-that-name"]).await;
    assert!(!out.status.success() && said(&out).contains("could not be found"), "{}", said(&out));
    refuses_what_was_changed(&desk).await;
}

async fn refuses_what_was_changed(desk: &Desk) {
    let line = fs::read_to_string(desk.path("registry/cargo/al/ph/alpha")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let archive = desk.path("registry/blobs/sha256").join(line["cksum"].as_str().unwrap());
    fs::write(archive, "other bytes").unwrap();
    fs::remove_dir_all(desk.path("cargo-home/registry")).unwrap();
    let out = desk.cargo(&["fetch"]).await;
    let refused = "failed to verify the checksum of `alpha v1.0.0";
    assert!(!out.status.success() && said(&out).contains(refused), "{}", said(&out));
}

const TOKEN: &str = "Bearer open-sesame";

#[tokio::test(flavor = "multi_thread")]
async fn cargo_logs_in_to_a_private_registry() {
    logs_in(By::Tests(Manner::Locked(TOKEN))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_logs_in_to_a_private_registry_behind_nginx() {
    logs_in(By::Nginx(Some(TOKEN))).await;
}

/// To a server that answers nothing to those who do not send the token: neither index nor archives.
async fn logs_in(by: By) {
    let Some(desk) = Desk::served(by, |v| v.cargo_auth = true).await else { return };
    desk.add("alpha", "1.0.0", "", &[("src/lib.rs", "pub const A: u32 = 3;")]);
    desk.build().await;
    desk.project("alpha = { version = \"1\", registry = \"ours\" }\n", "fn main() { println!(\"{}\", alpha::A); }");
    let index = desk.options.views.as_ref().unwrap().cargo_index().unwrap();
    let config = |token: &str| {
        format!(
            "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n[registries.ours]\nindex = \"{index}\"\n{token}"
        )
    };
    desk.cargo_config(&config(""));
    let out = desk.cargo(&["fetch"]).await;
    assert!(!out.status.success() && said(&out).contains("no token found"), "{}", said(&out));
    desk.cargo_config(&config("token = \"Bearer wrong\"\n"));
    let out = desk.cargo(&["fetch"]).await;
    assert!(!out.status.success() && said(&out).contains("rejected"), "{}", said(&out));
    desk.cargo_config(&config(&format!("token = \"{TOKEN}\"\n")));
    let (asked, answered) = desk.cargo_asks(&["fetch"]).await;
    assert!(asked.iter().any(|path| path.len() == 64), "the archive: {asked:?}");
    assert!(answered.contains(&"200".to_owned()), "{answered:?}");
    assert_eq!(desk.cargo_ok(&["run", "--quiet", "--offline"]).await.trim(), "3");
}

/// Two registries, each with a crate that depends on one of the other.
#[tokio::test(flavor = "multi_thread")]
async fn dependencies_on_other_registries_lead_there() {
    let other = Desk::new(|_| {}).await;
    other.add("far", "1.0.0", "", &[("src/lib.rs", "pub const FAR: u32 = 7;")]);
    other.build().await;
    let theirs = other.options.views.as_ref().unwrap().cargo_index().unwrap();
    let desk = Desk::new(|_| {}).await;
    let ours = desk.options.views.as_ref().unwrap().cargo_index().unwrap();
    desk.add("near", "1.0.0", "", &[("src/lib.rs", "pub const NEAR: u32 = 1;")]);
    desk.add(
        "alpha",
        "1.0.0",
        &format!("[dependencies.far]\nversion = \"1\"\nregistry-index = \"{theirs}\"\n[dependencies.near]\nversion = \"1\"\nregistry-index = \"{ours}\"\n"),
        &[("src/lib.rs", "pub fn sum() -> u32 { far::FAR + near::NEAR }")],
    );
    desk.build().await;
    let line = fs::read_to_string(desk.path("registry/cargo/al/ph/alpha")).unwrap();
    assert!(line.contains(&theirs) && !line.contains(&ours), "{line}");
    desk.project("alpha = { version = \"1\", registry = \"ours\" }\n", "fn main() { println!(\"{}\", alpha::sum()); }");
    assert_eq!(desk.cargo_ok(&["run", "--quiet"]).await.trim(), "8");
}

/// Of one's own crates, dependencies without a registry are on crates.io, which here is a mirror of ours as well.
#[tokio::test(flavor = "multi_thread")]
async fn dependencies_without_a_registry_can_mean_crates_io() {
    let mirror = Desk::new(|_| {}).await;
    mirror.add("public", "1.0.0", "", &[("src/lib.rs", "pub const P: u32 = 5;")]);
    mirror.build().await;
    let desk = Desk::new(|v| v.cargo_dependencies = CargoDependencies::CratesIo).await;
    desk.add("own", "1.0.0", "[dependencies]\npublic = \"1\"\n", &[("src/lib.rs", "pub use public::P;")]);
    desk.build().await;
    let index = |d: &Desk| d.options.views.as_ref().unwrap().cargo_index().unwrap();
    desk.cargo_config(&format!(
        "[registries.ours]\nindex = \"{}\"\n[registries.mirror]\nindex = \"{}\"\n[source.crates-io]\nreplace-with = \"mirror\"\n",
        index(&desk),
        index(&mirror)
    ));
    desk.project("own = { version = \"1\", registry = \"ours\" }\n", "fn main() { println!(\"{}\", own::P); }");
    assert_eq!(desk.cargo_ok(&["run", "--quiet"]).await.trim(), "5");
    assert!(desk.lock().contains("registry+https://github.com/rust-lang/crates.io-index"), "{}", desk.lock());
}

/// The archives of real crates that this project itself was built from, if Cargo still has them.
fn cached(names: &[&str]) -> Option<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let folders: Vec<_> = fs::read_dir(home.join("registry/cache")).ok()?.map(|e| e.unwrap().path()).collect();
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let mut found = Vec::new();
    for name in names {
        let packages = lock.split("[[package]]").filter(|p| p.contains(&format!("\nname = \"{name}\"\n")));
        let before = found.len();
        for package in packages {
            let version = package.lines().find_map(|l| l.strip_prefix("version = \"")?.strip_suffix('"'))?;
            found.push(folders.iter().map(|f| f.join(format!("{name}-{version}.crate"))).find(|p| p.exists())?);
        }
        if found.len() == before {
            return None;
        }
    }
    Some(found)
}

/// crates.io is replaced: a project that knows nothing of us is built from real crates out of our registry.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_real_crates_builds_from_here_instead_of_crates_io() {
    let desk = Desk::new(|_| {}).await;
    let names = [
        "serde",
        "serde_core",
        "serde_derive",
        "serde_json",
        "itoa",
        "memchr",
        "zmij",
        "proc-macro2",
        "quote",
        "syn",
        "unicode-ident",
    ];
    let Some(archives) = cached(&names) else {
        println!("skipped: Cargo's cache lacks some of {names:?}");
        return;
    };
    for archive in archives {
        fs::copy(&archive, desk.world.sources().join(archive.file_name().unwrap())).unwrap();
    }
    if let Some(corpus) = crate::manifest::corpus("crates") {
        for name in ["heck-0.3.3", "unicode-segmentation-1.13.3"] {
            let archive = corpus.join(format!("{name}.crate"));
            if archive.exists() {
                fs::copy(&archive, desk.world.sources().join(format!("{name}.crate"))).unwrap();
            }
        }
    }
    desk.build().await;
    let index = desk.options.views.as_ref().unwrap().cargo_index().unwrap();
    desk.cargo_config(&format!("[source.crates-io]\nreplace-with = \"here\"\n[source.here]\nregistry = \"{index}\"\n"));
    desk.project(
        "serde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n",
        "#[derive(serde::Serialize)] struct S { a: u32 }\nfn main() { println!(\"{}\", serde_json::to_string(&S { a: 1 }).unwrap()); }",
    );
    desk.cargo_ok(&["generate-lockfile"]).await;
    // To the project it is crates.io as ever: its lock file holds without us, too.
    assert!(desk.lock().contains("registry+https://github.com/rust-lang/crates.io-index"));
    assert_eq!(desk.cargo_ok(&["run", "--quiet", "--locked"]).await.trim(), "{\"a\":1}");
}
