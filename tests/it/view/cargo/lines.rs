//! The lines of the index, held to Cargo's own types and to what crates.io serves for the same crates.

use super::Desk;
use crate::manifest::{corpus, unpack};
use cargo_util_schemas::index::IndexPackage;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// Every line below a folder of an index, by name and version.
pub(super) fn lines(index: &Path, wanted: impl Fn(&str, &str) -> bool) -> BTreeMap<(String, String), String> {
    let files = walkdir::WalkDir::new(index).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let mut out = BTreeMap::new();
    for file in files.filter(|f| f.file_name() != "config.json") {
        let text = fs::read_to_string(file.path()).unwrap();
        for line in text.lines().filter(|l| !l.is_empty()) {
            let parsed: IndexPackage<'_> = serde_json::from_str(line).unwrap();
            let (name, version) = (parsed.name.to_string(), parsed.vers.to_string());
            let file = file.path().file_name().unwrap().to_str().unwrap();
            assert_eq!(file, name.to_lowercase());
            if wanted(&name, &version) {
                out.insert((name, version), line.to_owned());
            }
        }
    }
    out
}

/// A line as a value whose dependencies stand in one order: crates.io has them in that of its database.
pub(super) fn ordered(line: &str) -> BTreeMap<String, Value> {
    let mut value: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
    let deps = value.get_mut("deps").unwrap().as_array_mut().unwrap();
    for dep in deps.iter_mut() {
        // So are a dependency's features; and one of an empty name, which older Cargos let pass, means nothing.
        let features = dep["features"].as_array_mut().unwrap();
        features.retain(|f| f != "");
        features.sort_by_key(Value::to_string);
    }
    deps.sort_by_key(Value::to_string);
    value
}

/// The lines of every real crate at hand are those of crates.io, field by field, but for what an archive cannot tell.
#[tokio::test(flavor = "multi_thread")]
async fn real_crates_have_the_lines_that_crates_io_serves() {
    let (Some(crates), Some(index)) = (corpus("crates"), corpus("cargo-index.tar.xz")) else { return };
    let real = unpack(&index);
    let desk = Desk::new(|_| {}).await;
    let report = desk.registry.build(&[crates], &desk.options).await.unwrap();
    assert_eq!((report.added, report.views[0].notes.len()), (171, 0));
    let ours = lines(&desk.path("registry/cargo"), |_, _| true);
    assert_eq!(ours.len(), 171);
    let known = |name: &str, version: &str| ours.contains_key(&(name.to_owned(), version.to_owned()));
    let theirs = lines(&real.path().join("index"), known);
    let published = serde_json::to_value(desk.options.now).unwrap();
    let (mut differences, mut times, mut yanked) = (Vec::new(), 0, 0);
    for (release, ours) in &ours {
        let (ours, theirs) = (ordered(ours), ordered(&theirs[release]));
        let mut fields: Vec<_> = ours.keys().chain(theirs.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields {
            let (ours, theirs) = (ours.get(field), theirs.get(field));
            match field.as_str() {
                // An archive does not say when it was published first; the list of its source may.
                "pubtime" => {
                    assert_eq!(ours, Some(&published));
                    times += 1;
                }
                // Nor that it was yanked afterwards.
                "yanked" if ours != theirs => {
                    assert_eq!(ours, Some(&Value::Bool(false)));
                    yanked += 1;
                }
                _ if ours == theirs => {}
                _ => differences.push(format!("{release:?} {field}:\n  ours {ours:?}\n  real {theirs:?}")),
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(times, 171);
    println!("{yanked} of 171 are yanked on crates.io");
}

/// Each line goes through Cargo's own types and comes out as it went in.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_goes_through_cargos_own_types_unchanged() {
    let desk = Desk::new(|_| {}).await;
    desk.add(
        "Full_One",
        "1.2.3-rc.1+b.2",
        "links = \"z\"\nrust-version = \"1.70\"\n[features]\ndefault = [\"a\"]\na = []\nb = [\"dep:x\"]\nc = [\"x?/y\"]\n\
         [dependencies]\nx = { package = \"real-x\", version = \"1\", optional = true, default-features = false, features = [\"y\"] }\n\
         elsewhere = { version = \"=1.2.3\", registry-index = \"https://github.com/rust-lang/crates.io-index\" }\n\
         [target.'cfg(windows)'.build-dependencies]\nbuilder = \">=1, <3\"\n[dev-dependencies]\ntester = \"*\"\n",
        &[("src/lib.rs", "")],
    );
    desk.build().await;
    let line = fs::read_to_string(desk.path("registry/cargo/fu/ll/full_one")).unwrap();
    let value: Value = serde_json::from_str(&line).unwrap();
    let typed: IndexPackage<'_> = serde_json::from_str(&line).unwrap();
    let mut again = serde_json::to_value(&typed).unwrap();
    // The types write what is not there as null; the index leaves it out.
    let members = again.as_object_mut().unwrap();
    members.retain(|_, v| !v.is_null());
    for dep in members["deps"].as_array_mut().unwrap() {
        dep.as_object_mut().unwrap().retain(|k, v| k == "target" || !(v.is_null() || k == "lib" && *v == false));
    }
    assert_eq!(again, value);
    let want = serde_json::json!({
        "name": "Full_One",
        "vers": "1.2.3-rc.1+b.2",
        "deps": [
            {"name": "elsewhere", "req": "=1.2.3", "features": [], "optional": false, "default_features": true, "target": null, "kind": "normal", "registry": "https://github.com/rust-lang/crates.io-index"},
            {"name": "x", "req": "^1", "features": ["y"], "optional": true, "default_features": false, "target": null, "kind": "normal", "package": "real-x"},
            {"name": "tester", "req": "*", "features": [], "optional": false, "default_features": true, "target": null, "kind": "dev"},
            {"name": "builder", "req": ">=1, <3", "features": [], "optional": false, "default_features": true, "target": "cfg(windows)", "kind": "build"},
        ],
        "cksum": value["cksum"],
        "features": {"a": [], "default": ["a"]},
        "features2": {"b": ["dep:x"], "c": ["x?/y"]},
        "yanked": false,
        "links": "z",
        "rust_version": "1.70",
        "v": 2,
        "pubtime": desk.options.now,
    });
    assert_eq!(value, want);
}
