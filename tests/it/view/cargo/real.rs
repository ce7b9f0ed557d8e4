//! The real index of the dependencies of 19 large projects, as our own: the real Cargo locks every crate of it that nothing else
//! there depends on, and takes what it takes by the lines of crates.io.

use super::Desk;
use crate::{
    manifest::{corpus, unpack},
    support::{cargo::real_cargo, http::Server, tarball::Tarball},
};
use semver::{Version, VersionReq};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

type Lines = BTreeMap<String, Vec<Value>>;

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// Every line below a folder of an index.
fn each_line(index: &Path, mut each: impl FnMut(&str)) {
    for file in walkdir::WalkDir::new(index).sort_by_file_name().into_iter().map(Result::unwrap) {
        if file.file_type().is_file() && file.file_name() != "config.json" {
            fs::read_to_string(file.path()).unwrap().lines().for_each(&mut each);
        }
    }
}

fn target(dep: &Value) -> &str {
    dep["package"].as_str().unwrap_or(text(dep, "name"))
}

/// Of each crate, the newest release of each line that Cargo takes for compatible, and those that somebody wants exactly.
fn newest(index: &Path) -> Lines {
    let mut exact: BTreeSet<(String, String)> = BTreeSet::new();
    each_line(index, |line| {
        if line.contains("\"=") {
            let line: Value = serde_json::from_str(line).unwrap();
            for dep in line["deps"].as_array().unwrap() {
                exact.extend(text(dep, "req").strip_prefix('=').map(|v| (target(dep).to_owned(), v.trim().to_owned())));
            }
        }
    });
    type Compatible = (String, (u64, u64, u64));
    let mut best: BTreeMap<Compatible, (Version, Value)> = BTreeMap::new();
    let mut out = Lines::new();
    each_line(index, |line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let version: Version = text(&line, "vers").parse().unwrap();
        if line["yanked"] == true || !version.pre.is_empty() {
            return;
        }
        let compatible = match (version.major, version.minor) {
            (0, 0) => (0, 0, version.patch),
            (0, minor) => (0, minor, 0),
            (major, _) => (major, 0, 0),
        };
        let name = text(&line, "name").to_owned();
        if exact.contains(&(name.clone(), version.to_string())) {
            out.entry(name.clone()).or_default().push(line.clone());
        }
        let best = best.entry((name, compatible)).or_insert_with(|| (version.clone(), line.clone()));
        if best.0 < version {
            *best = (version, line);
        }
    });
    for ((name, _), (_, line)) in best {
        let lines = out.entry(name).or_default();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    out
}

/// The releases that can be reached from the newest one of every crate, with their dependencies for development left aside.
fn reachable(all: &Lines) -> (Lines, BTreeSet<String>) {
    let version = |line: &Value| text(line, "vers").parse::<Version>().unwrap();
    let mut wanted: Vec<(&String, &Value)> =
        all.iter().filter_map(|(n, l)| Some((n, l.iter().max_by_key(|l| version(l))?))).collect();
    let (mut seen, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut out = Lines::new();
    while let Some((name, line)) = wanted.pop() {
        if !seen.insert((name, version(line))) {
            continue;
        }
        out.entry(name.clone()).or_default().push(line.clone());
        for dep in line["deps"].as_array().unwrap().iter().filter(|d| d["kind"] != "dev") {
            let req: VersionReq = text(dep, "req").parse().unwrap();
            let Some((name, lines)) = all.get_key_value(target(dep)) else { continue };
            needed.insert(name.clone());
            wanted.extend(lines.iter().filter(|l| req.matches(&version(l))).map(|l| (name, l)));
        }
    }
    let roots = all.keys().filter(|n| !needed.contains(*n)).cloned().collect();
    (out, roots)
}

/// A line in one form: crates.io has kept what it was sent, spaces in requirements and platforms, and names for which there is another
/// one that is the same.
fn plain(line: &str) -> BTreeMap<String, Value> {
    let mut line = super::lines::ordered(line);
    let deps = line.get_mut("deps").unwrap().as_array_mut().unwrap();
    for dep in deps.iter_mut() {
        dep["req"] = text(dep, "req").parse::<VersionReq>().unwrap().to_string().into();
        if let Some(target) = dep["target"].as_str() {
            dep["target"] = target.split_whitespace().collect::<String>().replace(",)", ")").into();
        }
        let dep = dep.as_object_mut().unwrap();
        if dep.get("package") == dep.get("name") {
            dep.remove("package");
        }
    }
    deps.sort_by_key(Value::to_string);
    line
}

/// The manifest that Cargo would have made that line of.
fn manifest(line: &Value) -> String {
    let mut out = String::from("[package]\n");
    for (member, key) in [("name", "name"), ("vers", "version"), ("links", "links"), ("rust_version", "rust-version")] {
        if let Some(text) = line[member].as_str() {
            writeln!(out, "{key} = {text:?}").unwrap();
        }
    }
    out += "edition = \"2021\"\n[features]\n";
    for features in ["features", "features2"].iter().filter_map(|f| line[f].as_object()) {
        for (name, enables) in features {
            writeln!(out, "{name:?} = {enables}").unwrap();
        }
    }
    for dep in line["deps"].as_array().unwrap() {
        let table = match text(dep, "kind") {
            "dev" => "dev-dependencies",
            "build" => "build-dependencies",
            _ => "dependencies",
        };
        let target = dep["target"].as_str().map(|t| format!("target.{t:?}.")).unwrap_or_default();
        let package = dep["package"].as_str().map(|p| format!(", package = {p:?}")).unwrap_or_default();
        writeln!(
            out,
            "[{target}{table}]\n{:?} = {{ version = {:?}, features = {}, optional = {}, default-features = {}{package} }}",
            text(dep, "name"),
            text(dep, "req"),
            dep["features"],
            dep["optional"],
            dep["default_features"],
        )
        .unwrap();
    }
    // A table may be opened once.
    let mut tables: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut at = "";
    let mut order = Vec::new();
    for row in out.lines() {
        if row.starts_with('[') {
            at = row;
            if !order.contains(&at) {
                order.push(at);
            }
        } else {
            tables.entry(at.to_owned()).or_default().push(row);
        }
    }
    order.iter().map(|t| format!("{t}\n{}\n", tables.get(*t).map(|r| r.join("\n")).unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_locks_every_root_of_a_real_index_as_by_the_lines_of_crates_io() {
    let Some(index) = corpus("cargo-index.tar.xz") else { return };
    let real = unpack(&index);
    let (releases, roots) = reachable(&newest(&real.path().join("index")));
    let desk = Desk::new(|_| {}).await;
    // What crates.io serves of these releases.
    let theirs = desk.path("theirs");
    for (name, lines) in &releases {
        let lines: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let small = name.to_lowercase();
        let folder = match small.len() {
            n @ (1 | 2) => theirs.join(n.to_string()),
            3 => theirs.join("3").join(&small[..1]),
            _ => theirs.join(&small[..2]).join(&small[2..4]),
        };
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&small), lines).unwrap();
    }
    let server = Server::with(&theirs, crate::support::http::Manner::Proper).await;
    fs::write(theirs.join("config.json"), format!("{{\"dl\":\"{}/dl\"}}", server.url)).unwrap();
    // And what we make of the manifests that these lines were made of.
    let count: usize = releases.values().map(Vec::len).sum();
    for line in releases.values().flatten() {
        let top = format!("{}-{}", text(line, "name"), text(line, "vers"));
        let tarball = Tarball::default().file(format!("{top}/Cargo.toml"), manifest(line));
        fs::write(desk.world.sources().join(format!("{top}.crate")), tarball.gz()).unwrap();
    }
    let report = desk.build().await;
    assert_eq!(report.added as usize, count);
    assert!(count > 1000 && roots.len() > 5, "{count} releases, {} roots", roots.len());

    // But for what is of the archive alone, the lines are the same.
    let made = super::lines::lines(&desk.path("registry/cargo"), |_, _| true);
    let mut differ = Vec::new();
    for line in releases.values().flatten() {
        let release = (text(line, "name").to_owned(), text(line, "vers").to_owned());
        let [mut ours, mut theirs] = [&made[&release], &line.to_string()].map(|l| plain(l));
        for of_the_archive in ["cksum", "pubtime", "yanked"] {
            ours.remove(of_the_archive);
            theirs.remove(of_the_archive);
        }
        let fields: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differs = fields.into_iter().filter(|f| ours.get(*f) != theirs.get(*f));
        differ.extend(differs.map(|f| {
            let one_sided = |a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>| match (a.get(f), b.get(f)) {
                (Some(Value::Array(a)), Some(Value::Array(b))) => {
                    Value::Array(a.iter().filter(|v| !b.contains(v)).cloned().collect()).to_string()
                }
                (a, _) => format!("{a:?}"),
            };
            format!("{release:?} {f}: ours {} real {}", one_sided(&ours, &theirs), one_sided(&theirs, &ours))
        }));
    }
    assert!(differ.is_empty(), "{} of {count}: {}", differ.len(), differ[..differ.len().min(20)].join("\n"));

    let ours = desk.options.views.as_ref().unwrap().cargo_index().unwrap();
    let theirs = format!("sparse+{}/", server.url);
    let (mut differ, mut locked) = (Vec::new(), 0);
    for root in &roots {
        let newest = releases[root].iter().max_by_key(|l| text(l, "vers").parse::<Version>().unwrap()).unwrap();
        let mut locks = Vec::new();
        for (side, index) in [("ours", &ours), ("theirs", &theirs)] {
            let home = desk.path(&format!("home-{side}"));
            fs::create_dir_all(&home).unwrap();
            let config =
                format!("[source.crates-io]\nreplace-with = \"here\"\n[source.here]\nregistry = \"{index}\"\n");
            fs::write(home.join("config.toml"), config).unwrap();
            desk.project(&format!("{root} = \"={}\"\n", text(newest, "vers")), "fn main() {}");
            let _ = fs::remove_file(desk.path("project/Cargo.lock"));
            let mut command = real_cargo(&home);
            command.args(["generate-lockfile"]).current_dir(desk.path("project"));
            let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let lock = if out.status.success() {
                // The archives are others.
                desk.lock().lines().filter(|l| !l.starts_with("checksum")).collect::<Vec<_>>().join("\n")
            } else {
                super::said(&out).lines().filter(|l| !l.contains("Updating")).collect::<Vec<_>>().join("\n")
            };
            locks.push((out.status.success(), lock));
        }
        // The corpus is what the projects took in their time, and lacks what some newer release of a root wants: then Cargo has to say
        // the same of both.
        let whole = !locks[1].1.contains("no matching package named");
        locked += usize::from(locks[0].0);
        if locks[0] != locks[1] || whole && !locks[0].0 {
            differ.push(format!("{root}: ours {:?}\ntheirs {:?}", locks[0], locks[1]));
        }
    }
    assert!(differ.is_empty(), "{} of {}: {}", differ.len(), roots.len(), differ.join("\n\n"));
    assert!(locked > 18, "only {locked} of {} could be locked", roots.len());
    println!("{locked} of {} roots are locked, of {count} releases", roots.len());
}
