//! Manifests: real ones against what is known of them, and hostile ones.

use ggen_marketplace::{
    package::{
        DependencyKind, Kind, Record, Timestamp,
        manifest::{MAX_LIST, MAX_MANIFEST, Manifest, ManifestError, Problem, cargo, pack},
    },
    source::{Found, ScanOptions, Spool, scan},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// The real packages that lie beside the project on the machines that test it; nothing where they are missing.
pub(crate) fn corpus(what: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus").join(what);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

pub(crate) fn unpack(tar_xz: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("tar").arg("xf").arg(tar_xz).arg("-C").arg(folder.path()).status();
    assert!(status.unwrap().success());
    folder
}

/// A line of the real index, with what a registry derives from a manifest.
#[derive(serde::Deserialize)]
struct Line {
    name: String,
    vers: String,
    deps: Vec<Dep>,
    cksum: String,
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    features2: BTreeMap<String, Vec<String>>,
    links: Option<String>,
    rust_version: Option<String>,
}

#[derive(serde::Deserialize)]
struct Dep {
    name: String,
    req: String,
    features: Vec<String>,
    optional: bool,
    default_features: bool,
    target: Option<String>,
    kind: Option<String>,
    registry: Option<String>,
    package: Option<String>,
}

/// A dependency as text, with all that has to agree.
fn real_dep(d: &Dep) -> String {
    let features: BTreeSet<&str> = d.features.iter().map(String::as_str).filter(|f| !f.is_empty()).collect();
    format!(
        "{} ({}) {} kind={} target={:?} features={features:?} optional={} default={} registry={:?}",
        d.name,
        d.package.as_deref().unwrap_or(&d.name),
        d.req,
        d.kind.as_deref().unwrap_or("normal"),
        d.target,
        d.optional,
        d.default_features,
        d.registry,
    )
}

fn our_deps(r: &Record) -> Vec<String> {
    let one = |d: &ggen_marketplace::package::Dependency| {
        let kind = match d.kind {
            DependencyKind::Normal => "normal",
            DependencyKind::Dev => "dev",
            DependencyKind::Build => "build",
        };
        let features: BTreeSet<&str> = d.features.iter().map(String::as_str).collect();
        let name = d.name.as_str();
        format!(
            "{} ({name}) {} kind={kind} target={:?} features={features:?} optional={} default={} registry={:?}",
            d.alias.as_deref().unwrap_or(name),
            d.req,
            d.target,
            d.optional,
            d.default_features,
            d.registry,
        )
    };
    let mut all: Vec<_> = r.dependencies.iter().map(one).collect();
    all.sort();
    all
}

fn index_path(name: &str) -> String {
    let n = name.to_lowercase();
    match n.len() {
        1 => format!("index/1/{n}"),
        2 => format!("index/2/{n}"),
        3 => format!("index/3/{}/{n}", &n[..1]),
        _ => format!("index/{}/{}/{n}", &n[..2], &n[2..4]),
    }
}

#[test]
fn real_crates_give_what_their_real_index_lines_say() {
    let (Some(crates), Some(index)) = (corpus("crates"), corpus("cargo-index.tar.xz")) else { return };
    let index = unpack(&index);
    let records = Mutex::new(Vec::new());
    let spool = Spool::new().unwrap();
    let stats = scan(&[crates], &ScanOptions::new(Timestamp::from_unix(0)), &spool, |found| match found {
        Ok(Found::Fresh(c)) => records.lock().unwrap().push(c.record),
        other => panic!("{other:?}"),
    });
    assert_eq!(stats.unwrap().refused, 0);
    let records = records.into_inner().unwrap();
    assert_eq!(records.len(), 171);
    let mut differences = Vec::new();
    for r in &records {
        let lines = std::fs::read_to_string(index.path().join(index_path(r.name.as_str()))).unwrap();
        let lines = lines.lines().map(|l| serde_json::from_str::<Line>(l).unwrap());
        let version = r.version.to_string();
        let real = lines.into_iter().find(|l| l.vers == version).unwrap();
        let mut check = |what: &str, ours: String, real: String| {
            if ours != real {
                differences.push(format!("{} {version} {what}:\n  ours {ours}\n  real {real}", r.name));
            }
        };
        check("name", r.name.to_string(), real.name);
        check("cksum", r.archive.sha256.to_string(), real.cksum);
        check("links", format!("{:?}", r.links), format!("{:?}", real.links));
        check("rust_version", format!("{:?}", r.rust_version), format!("{:?}", real.rust_version));
        let mut features = real.features;
        features.extend(real.features2);
        check("features", format!("{:?}", r.features), format!("{features:?}"));
        let mut deps: Vec<_> = real.deps.iter().map(real_dep).collect();
        deps.sort();
        check("deps", format!("{:#?}", our_deps(r)), format!("{deps:#?}"));
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|e| e.unwrap().into_path());
    all.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect()
}

fn read_pack(path: &Path) -> Result<Manifest, ManifestError> {
    let name = |p: &Path| p.file_name().unwrap().to_str().unwrap().to_owned();
    pack::read(&name(path), &name(path.parent().unwrap()), &std::fs::read(path).unwrap())
}

#[test]
fn real_packs_are_all_read() {
    let Some(tar) = corpus("pack-manifests.tar.xz") else { return };
    let folder = unpack(&tar);
    let all = manifests(folder.path());
    assert_eq!(all.len(), 112);
    let read: Vec<_> = all.iter().map(|p| (p, read_pack(p))).collect();
    let refused: Vec<_> = read.iter().filter_map(|(_, r)| r.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(refused, [""; 0]);
    let by_name: BTreeMap<_, _> =
        read.iter().map(|(p, r)| (r.as_ref().unwrap().name.to_string(), (p, r.as_ref().unwrap()))).collect();
    assert_eq!(by_name.len(), 112);
    // Every one of these lies in a folder of its name.
    for (name, (path, _)) in &by_name {
        assert!(path.parent().unwrap().ends_with(name), "{name} in {}", path.display());
    }
    let count = |f: fn(&Manifest) -> bool| by_name.values().filter(|(_, m)| f(m)).count();
    // Counted independently with Python's tomllib.
    assert_eq!(count(|m| m.description.is_some()), 112);
    assert_eq!(count(|m| !m.keywords.is_empty()), 41);
    assert_eq!(count(|m| !m.categories.is_empty()), 42);
    assert_eq!(count(|m| !m.authors.is_empty()), 41);
    assert_eq!(count(|m| m.license.is_some()), 43);
    let wanted = |m: &Manifest| m.dependencies.iter().map(|d| format!("{} {}", d.name, d.req)).collect::<Vec<_>>();
    let edges: Vec<_> =
        by_name.iter().flat_map(|(n, (_, m))| wanted(m).into_iter().map(move |d| format!("{n} -> {d}"))).collect();
    assert_eq!(
        edges,
        [
            "agent-context-crafter -> agent-memory-forge *",
            "java26-sealed-domain -> java26-core *",
            "java26-virtual-thread-dao -> java26-core *",
        ]
    );
    let mut ecosystems = BTreeMap::<&str, usize>::new();
    let external = by_name.values().flat_map(|(_, m)| &m.external);
    external.for_each(|e| *ecosystems.entry(&e.ecosystem).or_default() += 1);
    assert_eq!(ecosystems, BTreeMap::from([("crates.io", 75), ("npm", 5), ("pypi", 2)]));
    // The one manifest of these that only TOML 1.1 can read.
    assert_eq!(by_name["rest-api-template"].1.keywords.len(), 8);
}

fn pack_of(text: &str) -> Result<Manifest, ManifestError> {
    pack::read("pack.toml", "folder-name", text.as_bytes())
}

fn crate_of(text: &str) -> Result<Manifest, ManifestError> {
    cargo::read(format!("[package]\nname = \"demo\"\nversion = \"1.0.0\"\n{text}").as_bytes())
}

#[test]
fn a_legal_id_wins_then_a_legal_name_then_the_folder() {
    let name = |id: &str, name: &str| {
        pack_of(&format!("[pack]\n{id}\n{name}\nversion = \"1.0.0\""))
            .map(|m| m.name.to_string())
            .map_err(|e| e.to_string())
    };
    let (dotted, title) = (r#"id = "io.ggen.nextjs""#, r#"name = "Next.js CRUD""#);
    assert_eq!(name(dotted, title).unwrap(), "io.ggen.nextjs");
    assert_eq!(name(dotted, r#"name = "other""#).unwrap(), "io.ggen.nextjs");
    assert_eq!(name(r#"id = "not legal""#, r#"name = "other""#).unwrap(), "other");
    assert_eq!(name("", title).unwrap(), "folder-name");
    assert_eq!(name("id = 3", title).unwrap(), "folder-name");
    // What the registry's own folders are called is no name of a pack.
    assert_eq!(name("", r#"name = "log""#).unwrap(), "folder-name");
    let none =
        pack::read("pack.toml", "not legal", b"[pack]\nid = \"../x\"\nversion = \"1.0.0\"").unwrap_err().to_string();
    assert_eq!(
        none,
        r#"pack.toml:2:6: `pack.id`: package name "../x" holds '/'; only ASCII letters, digits, '-', '_' and '.' are allowed"#
    );
}

#[test]
fn what_is_missing_is_named_with_its_place() {
    let message = |text: &str| pack_of(text).unwrap_err().to_string();
    assert_eq!(
        message("# ontology\n[pack]\nid = \"x\"\ntitle = \"X\""),
        "pack.toml:2:1: key `pack.version` is missing"
    );
    assert_eq!(message("[package]\nversion = 1.0"), "pack.toml:2:11: `package.version` must be a string, not float");
    assert_eq!(
        message("[pack]\nversion = \"v1.0.0\""),
        "pack.toml:2:11: `pack.version`: \"v1.0.0\" is not a semantic version: unexpected character 'v' while parsing major version number"
    );
    assert_eq!(message("x = 1"), "pack.toml: no table `[pack]`, `[package]` or `[gpack]`");
    assert_eq!(message("[pack]\nname = \"a\"\nname = \"b\""), "pack.toml:3:1: not TOML: duplicate key");
    let e = crate_of("[dependencies]\na = \"one\"").unwrap_err();
    assert_eq!(e.at, Some((5, 5)));
    assert!(matches!(*e.problem, Problem::Requirement { ref key, .. } if key == "dependencies.a"), "{e}");
}

#[test]
fn every_shape_of_words_is_understood() {
    let m = pack_of(
        r#"
        [package]
        name = "x"
        version = "1.0.0"
        author = "One"
        category = " Enterprise"
        readme = "docs/README.md"
        [package.tags]
        tags = ["A", "b "]
        [package.keywords]
        keywords = ["b", "c"]
        [marketplace]
        tags = ["d"]
        categories = ["enterprise", "Finance"]
        repository = "https://example.com/x"
        description = "What it does"
        license = "MIT"
        [metadata]
        description = "Something else"
        tags = ["a", 3, "e"]
        authors = ["One", "Two"]
        [documentation]
        readme = "other.md"
        "#,
    )
    .unwrap();
    assert_eq!(m.keywords, ["b", "c", "a", "d", "e"]);
    assert_eq!(m.categories, ["enterprise", "finance"]);
    assert_eq!(m.authors, ["One", "Two"]);
    assert_eq!((m.description.as_deref(), m.license.as_deref()), (Some("What it does"), Some("MIT")));
    assert_eq!(m.readme.as_deref(), Some("docs/README.md"));
    assert_eq!(m.repository.as_deref(), Some("https://example.com/x"));
}

#[test]
fn pack_dependencies_are_opt_in_and_the_rest_is_external() {
    let shown = |m: &Manifest| {
        let packs = m.dependencies.iter().map(|d| format!("{} {}{}", d.name, d.req, if d.optional { "?" } else { "" }));
        let external = m.external.iter().map(|e| {
            let optional = if e.optional { "?" } else { "" };
            format!("{}:{} {}{optional}{:?}", e.ecosystem, e.name, e.req.as_deref().unwrap_or("-"), e.features)
        });
        packs.chain(external).collect::<Vec<_>>()
    };
    let head = "[pack]\nname = \"x\"\nversion = \"1.0.0\"\n";
    let of = |rest: &str| shown(&pack_of(&format!("{head}{rest}")).unwrap());
    assert_eq!(of("dependencies = [\"b\", \"A\", \"a\"]"), ["b *", "A *"]);
    assert_eq!(of("[pack.dependencies]\nb = \"1.0\"\nc = { version = \"^2\", optional = true }"), ["b ^1.0", "c ^2?"]);
    assert_eq!(of("[dependencies]\nrequired = [\"b\"]\noptional = [\"c\"]"), ["c *?", "b *"]);
    assert_eq!(
        of(
            "[dependencies]\nserde = \"1.0\"\ntokio = { version = \"1\", features = [\"full\"], optional = true }\nx = { git = \"https://e\" }"
        ),
        ["crates.io:serde 1.0[]", "crates.io:tokio 1?[\"full\"]", "crates.io:x -[]"]
    );
    assert_eq!(
        of(
            "[dependencies]\na = \"templates/*.sparql\"\nb = \"src/\"\nc = 3\nd = [\"x\"]\ne = { path = \"p\" }\nf = true"
        ),
        [""; 0]
    );
    assert_eq!(
        of(
            "[dependencies.rust]\nsqlx = { version = \"0.7\" }\n[dependencies.typescript]\n\"@a/b\" = \"^4.9\"\n[dependencies.other]\nx = \"1\""
        ),
        ["crates.io:sqlx 0.7[]", "npm:@a/b ^4.9[]"]
    );
    let gpack = "[gpack]\nid = \"io.ggen.cli\"\nname = \"CLI\"\nversion = \"0.1.0\"\n[dependencies]\n\"test.web-api\" = \"^1.0\"";
    let m = pack::read("gpack.toml", "f", gpack.as_bytes()).unwrap();
    assert_eq!(shown(&m), ["test.web-api ^1.0"]);
    let fails = |rest: &str| pack_of(&format!("{head}{rest}")).unwrap_err().to_string();
    assert_eq!(
        fails("dependencies = [\"X\"]"),
        "pack.toml:4:16: `pack.dependencies`: a package cannot depend on itself"
    );
    assert!(
        fails("[pack.dependencies]\n\"../b\" = \"1\"")
            .starts_with("pack.toml:5:10: `pack.dependencies.../b`: package name")
    );
    assert!(fails("[pack.dependencies]\nb = \"1 || 2\"").contains("is not a version requirement"));
    assert!(fails("[pack.dependencies]\nb = 1").contains("must be a version requirement or a table, not integer"));
}

#[test]
fn cargo_dependencies_in_old_and_rare_forms() {
    let m = crate_of(
        r#"
        [dependencies]
        plain = "1"
        real = { version = "1.0, <1.5", package = "Real_Name", default_features = false }
        old-any = { optional = true }
        elsewhere = { version = "1", registry-index = "sparse+https://r.example/" }
        [dev_dependencies]
        plain = "2"
        only-here = { path = "../only-here" }
        [build-dependencies]
        cc = { version = "1", path = "../cc" }
        [build_dependencies]
        ignored = "1"
        [target.'cfg(unix)'.build-dependencies]
        cc = "1"
        "#,
    )
    .unwrap();
    let shown: Vec<_> = m
        .dependencies
        .iter()
        .map(|d| format!("{:?} {} {:?} {} {:?} {}", d.kind, d.name, d.alias, d.req, d.target, d.default_features))
        .collect();
    assert_eq!(
        shown,
        [
            "Normal elsewhere None ^1 None true",
            "Normal old-any None * None true",
            "Normal plain None ^1 None true",
            "Normal Real_Name Some(\"real\") ^1.0, <1.5 None false",
            "Dev plain None ^2 None true",
            "Build cc None ^1 None true",
            "Build cc None ^1 Some(\"cfg(unix)\") true",
        ]
    );
    assert_eq!(m.dependencies[0].registry.as_deref(), Some("sparse+https://r.example/"));
    assert!(m.dependencies[1].optional);
    assert_eq!(crate_of("license-file = \"L.txt\"").unwrap().license.as_deref(), Some("SEE LICENSE IN L.txt"));
    let project = cargo::read(b"[project]\nname = \"old\"\nversion = \"0.1.0\"").unwrap();
    assert_eq!((project.kind, project.name.as_str()), (Kind::Crate, "old"));
}

/// Hostile manifests: each is refused with a message that names the place or the key, and soon.
#[test]
fn hostile_crate_manifests_are_refused_by_name() {
    let dependency = |text: &str| format!("[package]\nname = \"demo\"\nversion = \"1.0.0\"\n[dependencies]\n{text}");
    let named = |name: &str| format!("[package]\nname = {name:?}\nversion = \"1.0.0\"");
    let version = |v: &str| format!("[package]\nname = \"demo\"\nversion = {v:?}");
    let many: String = (0..10_000).map(|i| format!("d{i} = \"1\"\n")).collect();
    let features: String = (0..10_000).map(|i| format!("f{i} = []\n")).collect();
    let long = vec!["*||*"; 10_000].join(",");
    let stars = vec!["*"; 10_000].join(",");
    let mut cases: Vec<(String, &str)> = vec![
        (String::new(), "no table `[package]`"),
        ("package = 3".into(), "`package` must be a table"),
        (named("demo").replace("name", "nam"), "key `package.name` is missing"),
        (dependency(&many), "has more than 4096 entries"),
        (dependency("").replace("[dependencies]", &format!("[features]\n{features}")), "has more than 4096 entries"),
        (dependency(&format!("a = {long:?}")), "is not a version requirement"),
        (dependency(&format!("a = {stars:?}")), "is not a version requirement"),
        (dependency("a = 1"), "must be a string or a table"),
        (dependency("a = { path = \"../a\" }"), "a path or git dependency without a version"),
        (dependency("a = { git = \"https://e\" }"), "a path or git dependency without a version"),
        (dependency("a = { workspace = true }"), "inherits from a workspace"),
        (dependency("a = { version = \"1\", registry = \"mine\" }"), "`registry-index` has to give its URL"),
        (dependency("a = { version = \"1\", registry-index = \"file:///etc\" }"), "has to start with http"),
        (dependency("a = { version = \"1\", registry-index = \"https://u:p@e/\" }"), "must not hold credentials"),
        (dependency("a = { version = \"1\", registry-index = \"x\" }"), "is not a URL"),
        (dependency("a = \"1\"\na = \"2\""), "duplicate key"),
        (dependency("\"a/b\" = \"1\""), "`dependencies.a/b`: package name"),
        (dependency("a = { version = \"1\", package = \"con\" }"), "is reserved"),
        (dependency("a = { version = \"1\", features = \"x\" }"), "must be a list of strings"),
        (dependency("a = { version = \"1\", optional = \"yes\" }"), "must be true or false"),
        (format!("x = {}1", "[".repeat(100_000)), "not TOML"),
        (format!("x = {}1{}", "{a=".repeat(100_000), "}".repeat(100_000)), "not TOML"),
        (format!("{} = 1", vec!["a"; 100_000].join(".")), "not TOML"),
    ];
    let long_name = "a".repeat(65);
    for name in [
        "",
        &long_name,
        "-a",
        ".a",
        "..",
        "a/b",
        "%2e%2e",
        "n\u{430}me",
        "e\u{301}",
        "con",
        "aux.rs",
        "std",
        "Test",
        "a\0b",
    ] {
        // (`{:?}` writes a null byte as \0, which is no escape of TOML.)
        cases.push((named(name).replace("\\0", "\\u0000").replace("\\u{301}", "\u{301}"), "package.name"));
    }
    let long_version = format!("1.0.0-{}", "a".repeat(10_000));
    for v in
        ["1", "1.0", "01.0.0", "v1.0.0", "99999999999999999999.0.0", &long_version, "\u{661}.0.0", "1.0.0 ", "1.0.0-01"]
    {
        cases.push((version(v), "package.version"));
    }
    for (text, expected) in &cases {
        let start = std::time::Instant::now();
        let e = cargo::read(text.as_bytes()).unwrap_err().to_string();
        let took = start.elapsed();
        assert!(e.contains(expected) && e.starts_with("Cargo.toml"), "{expected:?}: {}", &e[..e.len().min(300)]);
        assert!(e.len() < 600, "{e}");
        // 50 ms when optimised; a debug build on a busy machine is allowed more.
        assert!(took.as_millis() < if cfg!(debug_assertions) { 2000 } else { 50 }, "{expected}: {took:?}");
    }
    let big = vec![b' '; usize::try_from(MAX_MANIFEST).unwrap() + 1];
    assert_eq!(*cargo::read(&big).unwrap_err().problem, Problem::TooLarge);
    assert_eq!(*cargo::read(b"[package]\nname = \"\xff\"").unwrap_err().problem, Problem::NotUtf8(18));
    // As many as allowed are read.
    let most: String = (0..MAX_LIST).map(|i| format!("d{i} = \"1\"\n")).collect();
    assert_eq!(cargo::read(dependency(&most).as_bytes()).unwrap().dependencies.len(), MAX_LIST);
}

/// Text that is nearly a manifest.
fn nearly_toml() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("name"),
        Just("version"),
        Just("id"),
        Just("dependencies"),
        Just("features"),
        Just("tags"),
        Just("optional"),
        Just("package"),
        Just("target"),
        Just("description"),
        Just("required"),
        Just("registry-index"),
    ];
    let value = prop_oneof![
        Just("\"1.0.0\"".to_owned()),
        Just("\"a-b\"".to_owned()),
        Just("[\"a\", \"b\"]".to_owned()),
        Just("true".to_owned()),
        Just("{ version = \"1\", package = \"x\" }".to_owned()),
        Just("{ tags = [\"é\"] }".to_owned()),
        "\\PC{0,12}",
        Just("1".to_owned()),
    ];
    let header = prop_oneof![
        Just("[package]"),
        Just("[pack]"),
        Just("[gpack]"),
        Just("[dependencies]"),
        Just("[target.x.dependencies]"),
        Just("[features]"),
        Just("[package.tags]"),
        Just("[dev-dependencies]"),
        Just("[pack.dependencies]"),
        Just("[dependencies.rust]"),
    ];
    let line =
        prop_oneof![4 => (key, value).prop_map(|(k, v)| format!("{k} = {v}")), 2 => header.prop_map(str::to_owned)];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_manifest_makes_a_reader_panic(text in prop_oneof![nearly_toml(), "\\PC{0,200}"], odd in any::<Vec<u8>>()) {
        let mut bytes = text.into_bytes();
        for with_odd in [false, true] {
            if with_odd {
                bytes.extend(&odd);
            }
            for result in [cargo::read(&bytes), pack::read("pack.toml", "f", &bytes), pack::read("gpack.toml", "f", &bytes)] {
                if let Err(e) = result {
                    prop_assert!(e.to_string().len() < 1000);
                }
            }
        }
    }
}
