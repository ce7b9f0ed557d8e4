//! Sources: what a scan finds, refuses and remembers.

mod places;

use crate::manifest::corpus;
use ggen_marketplace::{
    ErrorKind,
    package::{ArchiveFormat, Kind, Sha256, Timestamp},
    source::{Candidate, Found, Known, Payload, Place, Refusal, ScanOptions, ScanStats, Spool, read_again, scan},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// What a scan gave, sorted by place.
#[derive(Default)]
struct Result {
    fresh: Vec<Candidate>,
    known: Vec<Known>,
    refused: Vec<Refusal>,
    stats: ScanStats,
    spool: Option<Spool>,
}

impl Result {
    fn names(&self) -> Vec<String> {
        self.fresh.iter().map(|c| format!("{} {}", c.record.name, c.record.version)).collect()
    }

    /// `file[:line] message: cause` with the folder of the test left out.
    fn refusals(&self, folder: &Path) -> Vec<String> {
        let prefix = format!("{}/", folder.display());
        let text = |r: &Refusal| format!("{} {}", r.place, r.error.chain()).replace(&prefix, "");
        self.refused.iter().map(text).collect()
    }
}

fn options() -> ScanOptions {
    ScanOptions::new(Timestamp::from_unix(1_700_000_000))
}

fn run(sources: &[&Path], options: &ScanOptions) -> Result {
    let spool = Spool::new().unwrap();
    let out = Mutex::new(Result::default());
    let sources: Vec<_> = sources.iter().map(|p| p.to_path_buf()).collect();
    let stats = scan(&sources, options, &spool, |found| {
        let mut out = out.lock().unwrap();
        match found {
            Ok(Found::Fresh(c)) => out.fresh.push(*c),
            Ok(Found::Known(k)) => out.known.push(k),
            Err(r) => out.refused.push(r),
        }
    });
    let mut out = out.into_inner().unwrap();
    out.stats = stats.unwrap();
    out.fresh.sort_by(|a, b| a.place.cmp(&b.place));
    out.known.sort_by(|a, b| a.place.cmp(&b.place));
    out.refused.sort_by(|a, b| a.place.cmp(&b.place));
    out.spool = Some(spool);
    out
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A gzip-compressed tar of those files.
fn tar_gz(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

const PACK: &str = "[pack]\nname = \"a-pack\"\nversion = \"1.2.3\"\ndescription = \"What it is\"\n";
const CRATE: &str = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\ndescription = \"A crate\"\n";

fn sha(n: u64) -> Sha256 {
    Sha256::of(&n.to_le_bytes())
}

fn line(n: u64) -> String {
    format!(
        r#"{{"name":"p-{n}","version":"1.0.0","download_url":"https://example.com/p-{n}-1.0.0.tar.gz","sha256":"{}","size":{n}}}"#,
        sha(n)
    )
}

#[test]
fn everything_in_a_folder_is_found_by_what_it_is() {
    let t = tempfile::tempdir().unwrap();
    let f = t.path();
    write(
        f,
        &[
            ("packs/a/pack.toml", PACK),
            ("packs/a/ReadMe.md", "# A pack\n"),
            ("packs/a/templates/x.tmpl", "x"),
            // Below a package, whatever it looks like: a part of it.
            ("packs/a/examples/pack.toml", "[pack]\nname = \"inner\"\nversion = \"1.0.0\"\n"),
            ("packs/a/examples/broken.jsonl", "{"),
            // Folders that only group.
            ("packs/healthcare/fhir/package.toml", "[package]\nname = \"fhir\"\nversion = \"2.0.0\"\n"),
            ("packs/g/gpack.toml", "[gpack]\nid = \"io.g\"\nname = \"G G\"\nversion = \"3.0.0\"\n"),
            // Another program's file of that name: not a package, but a folder to search.
            ("other/package.toml", "[tool]\nx = 1\n"),
            ("other/deep/pack.toml", "[pack]\nversion = \"4.0.0\"\n"),
            ("flat.toml", PACK),
            ("crate/Cargo.toml", CRATE),
            (".git/x/pack.toml", PACK),
            ("node_modules/x/pack.toml", PACK),
            ("target/CACHEDIR.TAG", ""),
            ("target/x/pack.toml", PACK),
            ("lists/l.jsonl", &format!("{}\n\n{}", line(1), line(2))),
        ],
    );
    fs::write(f.join("c.crate"), tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE), ("demo-0.1.0/src/lib.rs", "")])).unwrap();
    // A name says nothing: this is a pack, and that a crate.
    fs::write(f.join("other-9.9.9.TGZ"), tar_gz(&[("x/package.toml", &PACK.replace("pack", "package"))])).unwrap();
    fs::write(f.join("z.tar.gz"), tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE)])).unwrap();
    let r = run(&[f], &options());
    assert_eq!(r.refusals(f), [""; 0]);
    assert_eq!(
        r.names(),
        [
            "demo 0.1.0",
            "p-1 1.0.0",
            "p-2 1.0.0",
            "deep 4.0.0",
            "a-package 1.2.3",
            "a-pack 1.2.3",
            "io.g 3.0.0",
            "fhir 2.0.0",
            "demo 0.1.0",
        ]
    );
    assert_eq!(r.stats, ScanStats { archives: 3, folders: 4, lines: 2, known: 0, refused: 0 });
    let pack = &r.fresh[5];
    let Payload::Spooled(range) = pack.payload else { panic!("{:?}", pack.payload) };
    let bytes = r.spool.as_ref().unwrap().read(range).unwrap();
    assert_eq!((Sha256::of(&bytes), bytes.len() as u64), (pack.record.archive.sha256, pack.record.archive.size));
    assert_eq!((pack.record.kind, pack.record.archive.format), (Kind::Pack, ArchiveFormat::TarGz));
    let detail = pack.detail.as_ref().unwrap();
    assert_eq!(detail.manifest.as_ref().unwrap().text, PACK);
    let readme = detail.readme.as_ref().unwrap();
    assert_eq!((readme.path.as_str(), readme.text.as_str()), ("ReadMe.md", "# A pack\n"));
    assert_eq!(detail.files, Some(5));
    assert_eq!(pack.record.published, options().now);
    let demo = &r.fresh[0];
    let stored = fs::read(f.join("c.crate")).unwrap();
    assert_eq!((demo.record.kind, demo.record.archive.sha256), (Kind::Crate, Sha256::of(&stored)));
    assert_eq!(demo.payload, Payload::File(f.join("c.crate")));
    assert_eq!(r.fresh[8].record.archive.format, ArchiveFormat::Crate);
}

#[test]
fn one_bad_package_does_not_stop_the_others() {
    let t = tempfile::tempdir().unwrap();
    let f = t.path();
    write(
        f,
        &[
            ("a/pack.toml", "[pack]\nid = \"a\"\ntitle = \"A\"\n"),
            ("b/pack.toml", "[pack\n"),
            ("c/pack.toml", PACK),
            ("x.crate", "not gzip at all"),
            ("empty.crate", ""),
            ("l.jsonl", &format!("{}\n{{\n{}\n", line(1), line(2))),
        ],
    );
    fs::write(f.join("f.crate"), tar_gz(&[("demo-0.2.0/Cargo.toml", CRATE)])).unwrap();
    fs::write(f.join("g.crate"), tar_gz(&[("a-pack/pack.toml", PACK)])).unwrap();
    fs::write(f.join("h.tar.gz"), tar_gz(&[("h/readme", "x")])).unwrap();
    let whole = tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE)]);
    fs::write(f.join("i.crate"), &whole[..whole.len() - 9]).unwrap();
    #[cfg(unix)]
    {
        write(f, &[("d/pack.toml", PACK)]);
        std::os::unix::fs::symlink("/etc/passwd", f.join("d/link")).unwrap();
        // A link to a package is not followed.
        std::os::unix::fs::symlink(f.join("c"), f.join("linked")).unwrap();
    }
    let r = run(&[f], &options());
    assert_eq!(r.names(), ["a-pack 1.2.3", "p-1 1.0.0", "p-2 1.0.0"]);
    let refusals = r.refusals(f);
    let expected = [
        "a pack.toml:1:1: key `pack.version` is missing",
        "b pack.toml:1:6: not TOML: ",
        "d d/link is a symbolic link",
        "empty.crate the archive is not a gzip file",
        "f.crate the crate's top folder is \"demo-0.2.0\", but its manifest says \"demo-0.1.0\"",
        "g.crate the archive holds no Cargo.toml in its top folder",
        "h.tar.gz the archive holds no pack.toml, package.toml, gpack.toml or Cargo.toml in its top folder",
        "i.crate the archive is cut short",
        "l.jsonl:2 the record is refused: column ",
        "x.crate the archive is not a gzip file",
    ];
    assert_eq!(refusals.len(), expected.len(), "{refusals:#?}");
    for (r, e) in refusals.iter().zip(expected) {
        assert!(r.starts_with(e), "{r}\n{e}");
    }
    assert!(r.refused.iter().all(|r| r.error.kind() == ErrorKind::Refused));
    assert_eq!(r.stats.refused, 10);
}

#[test]
fn a_source_that_is_not_there_fails_the_scan_and_a_wrong_file_is_refused() {
    let t = tempfile::tempdir().unwrap();
    let f = t.path();
    write(f, &[("p/pack.toml", PACK), ("x.zip", "PK")]);
    let spool = Spool::new().unwrap();
    let e =
        scan(&[f.join("p"), f.join("missing")], &options(), &spool, |_| panic!("nothing is handed over")).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Io);
    let r = run(&[&f.join("p/pack.toml"), &f.join("x.zip"), &f.join("p")], &options());
    assert_eq!(r.names(), ["a-pack 1.2.3"]);
    assert_eq!(r.refused.len(), 2);
    assert_eq!(r.refused[0].error.hint(), Some("a manifest alone is not a package: name its folder"));
    assert_eq!(r.refused[1].error.hint(), None);
    // A single file of each kind, and a link that was named.
    write(f, &[("l.jsonl", &line(7))]);
    fs::write(f.join("c.crate"), tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE)])).unwrap();
    let mut sources = vec![f.join("l.jsonl"), f.join("c.crate")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(f.join("p"), f.join("q")).unwrap();
        sources.push(f.join("q"));
    }
    let r = run(&sources.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &options());
    assert_eq!(r.names(), ["demo 0.1.0", "p-7 1.0.0", "a-pack 1.2.3"][..if cfg!(unix) { 3 } else { 2 }]);
}

#[test]
fn a_folder_packs_to_the_same_bytes_wherever_it_lies() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = [("pack.toml", PACK), ("templates/日本.tmpl", "x"), (".hidden", "y")];
    write(&a.path().join("one"), &files);
    write(&b.path().join("two/deeper"), &files);
    let digest = |r: Result| r.fresh[0].record.clone();
    assert_eq!(digest(run(&[a.path()], &options())), digest(run(&[&b.path().join("two/deeper")], &options())));
}

/// Makes everything below a folder look `seconds` old, so that a cache may trust it.
fn age(folder: &Path, seconds: u64) {
    // One "now" for the whole run: a second that ticks on between two calls would be a change of time.
    static NOW: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| Timestamp::now().unix() as u64);
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(*NOW - seconds);
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            fs::File::options().write(true).open(entry.path()).unwrap().set_modified(then).unwrap();
        }
    }
}

fn cached(folder: &Path) -> ScanOptions {
    ScanOptions { cache: Some(folder.join("cache/scan")), ..options() }
}

#[test]
fn unchanged_files_and_folders_are_known_without_reading() {
    let t = tempfile::tempdir().unwrap();
    let f = &t.path().join("source");
    write(f, &[("p/pack.toml", PACK), ("p/x", "1"), ("l.jsonl", &line(1)), ("bad.crate", "x")]);
    fs::write(f.join("c.crate"), tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE)])).unwrap();
    age(f, 60);
    let o = cached(t.path());
    let first = run(&[f], &o);
    assert_eq!((first.fresh.len(), first.known.len(), first.refused.len()), (3, 0, 1));
    let second = run(&[f], &o);
    // Lists are always read; what was refused is looked at again.
    assert_eq!((second.names(), second.refused.len(), second.stats.known), (vec!["p-1 1.0.0".into()], 1, 2));
    for known in &second.known {
        let fresh = first.fresh.iter().find(|c| c.place == known.place).unwrap();
        assert_eq!((&known.version, known.sha256), (&fresh.record.version, fresh.record.archive.sha256));
        assert_eq!(known.id, fresh.record.id().unwrap());
        let again = read_again(&known.place, &o, &Spool::new().unwrap()).unwrap();
        assert_eq!((again.record, again.detail), (fresh.record.clone(), fresh.detail.clone()));
    }
    let line = Place { path: f.join("l.jsonl").as_path().into(), line: Some(1) };
    assert_eq!(read_again(&line, &o, &Spool::new().unwrap()).unwrap_err().error.kind(), ErrorKind::Invalid);

    // `rescan` reads everything, whatever the cache says.
    assert_eq!(run(&[f], &ScanOptions { rescan: true, ..o.clone() }).stats.known, 0);
    assert_eq!(run(&[f], &o).stats.known, 2);

    // A change of size, of time, of the number (another file renamed over it), and of one file of a folder.
    fs::write(f.join("p/x"), "12").unwrap();
    age(f, 60);
    assert_eq!(run(&[f], &o).names(), ["p-1 1.0.0", "a-pack 1.2.3"]);
    age(&f.join("c.crate"), 50);
    assert_eq!(run(&[f], &o).names(), ["demo 0.1.0", "p-1 1.0.0"]);
    fs::copy(f.join("c.crate"), f.join("new")).unwrap();
    age(&f.join("new"), 50);
    fs::rename(f.join("new"), f.join("c.crate")).unwrap();
    #[cfg(unix)]
    assert!(run(&[f], &o).stats.known == 1, "another file of the same size and time");
    fs::rename(f.join("p/x"), f.join("p/y")).unwrap();
    assert!(run(&[f], &o).names().contains(&"a-pack 1.2.3".into()));
    assert_eq!(run(&[f], &o).stats.known, 2);

    // What is not seen any more is forgotten.
    fs::remove_file(f.join("c.crate")).unwrap();
    run(&[f], &o);
    assert!(!fs::read_to_string(o.cache.unwrap()).unwrap().contains("c.crate"));
}

#[test]
fn what_was_modified_just_now_is_not_trusted() {
    let t = tempfile::tempdir().unwrap();
    let f = &t.path().join("source");
    write(f, &[("p/pack.toml", PACK)]);
    fs::write(f.join("c.crate"), tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE)])).unwrap();
    let o = cached(t.path());
    run(&[f], &o);
    assert_eq!(run(&[f], &o).stats.known, 0);
    // A pinned build time is not the time of the scan.
    let pinned = ScanOptions { now: Timestamp::from_unix(4_000_000_000), ..o };
    run(&[f], &pinned);
    assert_eq!(run(&[f], &pinned).stats.known, 0);
}

#[test]
fn a_damaged_or_foreign_cache_is_not_used() {
    let t = tempfile::tempdir().unwrap();
    let f = &t.path().join("source");
    fs::create_dir(f).unwrap();
    for i in 0..3 {
        fs::write(f.join(format!("{i}.crate")), tar_gz(&[("demo-0.1.0/Cargo.toml", CRATE)])).unwrap();
    }
    age(f, 60);
    let o = cached(t.path());
    let path = o.cache.clone().unwrap();
    run(&[f], &o);
    let good = fs::read(&path).unwrap();
    assert_eq!(run(&[f], &o).stats.known, 3);
    let text = String::from_utf8(good.clone()).unwrap();
    let foreign = text.replacen("cache 1", "cache 2", 1).into_bytes();
    let digit = good.iter().position(|b| *b == b'.').unwrap();
    let flipped = good.iter().enumerate().map(|(i, b)| if i == digit + 20 { b ^ 1 } else { *b }).collect();
    for bad in
        [Vec::new(), b"\xff\xfe".to_vec(), foreign, flipped, good[..good.len() - 30].to_vec(), good[1..].to_vec()]
    {
        fs::write(&path, &bad).unwrap();
        let r = run(&[f], &o);
        assert_eq!((r.stats.known, r.fresh.len()), (0, 3));
        // It was written anew.
        assert_eq!(fs::read(&path).unwrap(), good);
    }
    // A cache that cannot be written is no reason to fail.
    let nowhere = ScanOptions { cache: Some(f.join("0.crate/scan")), ..options() };
    assert_eq!(run(&[f], &nowhere).fresh.len(), 3);
}

fn list(text: &str) -> Result {
    let t = tempfile::tempdir().unwrap();
    let path = t.path().join("l.jsonl");
    fs::write(&path, text).unwrap();
    run(&[&path], &options())
}

/// A line with more members, or with some in the place of the usual ones.
fn with(members: &str) -> String {
    let mut base: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line(1)).unwrap();
    base.extend(serde_json::from_str::<serde_json::Map<_, _>>(&format!("{{{members}}}")).unwrap());
    serde_json::Value::Object(base).to_string()
}

#[test]
fn a_line_of_a_list_gives_a_record_and_a_detail_only_where_there_is_more() {
    let r = list(&line(1));
    assert_eq!(r.fresh[0].detail, None);
    assert_eq!(r.fresh[0].payload, Payload::Elsewhere);
    assert_eq!(r.fresh[0].place.to_string().rsplit_once("/l.jsonl").unwrap().1, ":1");
    let plain = &r.fresh[0].record;
    assert_eq!((plain.kind, plain.archive.format, plain.published), (Kind::Pack, ArchiveFormat::TarGz, options().now));
    assert_eq!(plain.archive.url.as_deref(), Some("https://example.com/p-1-1.0.0.tar.gz"));

    let full = with(
        r#""kind": "crate", "description": "Short", "keywords": [" A", "a", "b"], "categories": ["X"], "license": "MIT",
        "dependencies": [{"name": "serde", "req": "1.0", "kind": "dev", "alias": "s"}], "links": "z", "rust_version": "1.70",
        "external": [{"ecosystem": "npm", "name": "left-pad"}], "features": {"default": ["std"], "std": []},
        "published": "2026-01-02T03:04:05Z", "yanked": true, "format": "opaque", "homepage": null"#,
    );
    let r = list(&full);
    assert_eq!(r.refusals(Path::new("/")), [""; 0]);
    let c = &r.fresh[0];
    assert_eq!(c.detail, None, "a short description stands in the record");
    assert_eq!(
        c.record.to_line(),
        format!(
            concat!(
                r#"{{"archive":{{"format":"opaque","sha256":"{}","size":1,"url":"https://example.com/p-1-1.0.0.tar.gz"}},"categories":["x"],"#,
                r#""dependencies":[{{"alias":"s","kind":"dev","name":"serde","req":"^1.0"}}],"external":[{{"ecosystem":"npm","name":"left-pad"}}],"#,
                r#""features":{{"default":["std"],"std":[]}},"keywords":["a","b"],"kind":"crate","license":"MIT","links":"z","name":"p-1","#,
                r#""published":"2026-01-02T03:04:05Z","rust_version":"1.70","summary":"Short","v":1,"version":"1.0.0","#,
                r#""yanked":{{"time":"2026-01-02T03:04:05Z"}}}}"#
            ),
            sha(1)
        )
    );
    let long = "word ".repeat(100);
    let r = list(&with(&format!(
        r#""description": "{long}", "summary": "Short", "x-team": {{"b": [1, null, 2.5], "a": "é"}}, "authors": ["A"], "readme": "R",
        "yanked": {{"reason": "why", "time": "2026-01-02T03:04:05Z"}}"#
    )));
    let (record, detail) = (&r.fresh[0].record, r.fresh[0].detail.as_ref().unwrap());
    assert_eq!((record.summary.as_str(), detail.description.as_deref()), ("Short", Some(long.as_str())));
    assert_eq!(serde_json::to_string(&detail.extra).unwrap(), r#"{"x-team":{"a":"é","b":[1,null,2.5]}}"#);
    assert_eq!((detail.authors.len(), detail.readme.as_ref().unwrap().text.as_str()), (1, "R"));
    assert_eq!(record.yanked.as_ref().unwrap().reason.as_deref(), Some("why"));
    for (url, format) in [
        ("https://e/x.crate", ArchiveFormat::Crate),
        ("http://e/x.TGZ?x=.zip", ArchiveFormat::TarGz),
        ("https://e/x.zip#y", ArchiveFormat::Zip),
        ("https://e/download", ArchiveFormat::Opaque),
    ] {
        assert_eq!(list(&with(&format!(r#""download_url": "{url}""#))).fresh[0].record.archive.format, format);
    }
}

#[test]
fn bad_lines_are_refused_one_by_one_with_their_reason() {
    let many = (0..10_000).map(|i| format!(r#"{{"name":"d{i}","req":"1"}}"#)).collect::<Vec<_>>().join(",");
    let deep = format!(r#"{}"x": {}1{}}}"#, &line(1).replace('}', ","), "[".repeat(100_000), "]".repeat(100_000));
    let twice = |more: &str| line(1).replace('}', &format!(",{more}}}"));
    let cases = [
        ("[]".to_owned(), "column 1: invalid type: sequence, expected a record"),
        ("{} {}".into(), "column 4: trailing characters"),
        ("{}".into(), "member `name` is missing"),
        (line(1).replace("size", "sise"), "member `size` is missing"),
        (with(r#""sha256": null"#), "member `sha256` is missing"),
        (with(r#""size": -1"#), "invalid value"),
        (with(r#""size": 1.5"#), "invalid type"),
        (with(r#""sha256": "AB""#), "64 lower-case hexadecimal digits"),
        (with(r#""name": "../x""#), "holds '/'"),
        (with(r#""name": "log""#), "`name`: package name \"log\" is reserved"),
        (with(r#""kind": "crate", "name": "std""#), "is reserved"),
        (with(r#""kind": "wheel""#), "unknown variant"),
        (with(r#""version": "1.0""#), "is not a semantic version"),
        (with(r#""download_url": "file:///etc/passwd""#), "`download_url`: must start with http:// or https://"),
        (with(r#""download_url": "https://u:p@e/x""#), "`download_url`: must not hold credentials"),
        (with(r#""download_url": "https://e/x?X-Amz-Signature=1""#), "`download_url`: must not hold credentials"),
        (with(r#""download_url": "x.tar.gz""#), "`download_url`: not a URL"),
        (
            with(&format!(r#""download_url": "https://e/{}""#, "x".repeat(3000))),
            "`download_url`: longer than 2048 bytes",
        ),
        (
            with(r#""dependencies": [{"name": "a", "req": "*||*"}]"#),
            "the dependency on \"a\": not a version requirement",
        ),
        (with(r#""dependencies": [{"name": "a/b", "req": "*"}]"#), "holds '/'"),
        (
            with(r#""name": "My_Pack", "dependencies": [{"name": "my-pack", "req": "*"}]"#),
            "the dependency on \"my-pack\": a package cannot depend on itself",
        ),
        (
            with(r#""dependencies": [{"name": "a", "req": "1", "registry": "git:x"}]"#),
            "the dependency on \"a\": a registry's URL has to",
        ),
        (with(&format!(r#""dependencies": [{many}]"#)), "`dependencies` has more than 4096 entries"),
        (with(r#""yanked": "yes""#), "did not match any variant"),
        (with(r#""published": "today""#), "not a time"),
        (twice(r#""size": 2"#), "duplicate field `size`"),
        (twice(r#""license": null, "license": "MIT""#), "duplicate field `license`"),
        (twice(r#""x": 1, "x": 1"#), "duplicate field \"x\""),
        (twice(r#""x": {"y": [{"z": 1, "z": 2}]}"#), "duplicate field \"z\""),
        (twice(r#""features": {"a": [], "a": []}"#), "duplicate key \"a\""),
        (twice(r#""x": 1e999"#), "number out of range"),
        (deep, "recursion limit exceeded"),
        (format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20)), "the line is longer than 1048576 bytes"),
    ];
    // All of them in one list, with a good line between any two.
    let mut text = String::from("\u{feff}");
    for (i, (bad, _)) in cases.iter().enumerate() {
        text += &format!("{bad}\r\n{}\n", line(1000 + i as u64));
    }
    let start = std::time::Instant::now();
    let r = list(&text);
    assert!(start.elapsed().as_millis() < 3000);
    assert_eq!((r.fresh.len(), r.refused.len()), (cases.len(), cases.len()));
    for (i, (refusal, (bad, expected))) in r.refused.iter().zip(&cases).enumerate() {
        let text = refusal.error.chain();
        assert!(text.starts_with("the record is refused: ") && text.contains(expected), "{text}\n{expected}");
        assert!(text.len() < 400, "{text}");
        assert_eq!(refusal.place.line, Some(2 * i as u64 + 1), "{}", &bad[..bad.len().min(100)]);
    }
    let mut bytes = line(1).into_bytes();
    bytes[12] = 0xff;
    let t = tempfile::tempdir().unwrap();
    fs::write(t.path().join("l.jsonl"), bytes).unwrap();
    assert!(run(&[t.path()], &options()).refused[0].error.chain().contains("invalid unicode"));
}

#[test]
fn a_compressed_list_is_read_also_when_it_breaks_off() {
    let text: String = (0..20_000).map(|n| line(n) + "\n").collect();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let t = tempfile::tempdir().unwrap();
    // By content: the name does not say that it is compressed.
    let path = t.path().join("l.jsonl");
    fs::write(&path, &gz).unwrap();
    let r = run(&[&path], &options());
    assert_eq!((r.fresh.len(), r.refused.len()), (20_000, 0));
    assert!(r.fresh.iter().all(|c| c.record.name.as_str() == format!("p-{}", c.place.line.unwrap() - 1)));
    fs::write(&path, &gz[..gz.len() / 2]).unwrap();
    let r = run(&[&path], &options());
    let n = r.fresh.len();
    assert!(n > 5_000 && n < 15_000, "{n}");
    assert_eq!(r.refused.len(), 1);
    assert_eq!((r.refused[0].place.line, r.refused[0].error.kind()), (Some(n as u64 + 1), ErrorKind::Io));
}

#[test]
fn our_own_examples_are_good() {
    let r = run(&[&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/packages")], &options());
    assert_eq!(r.refusals(Path::new("/")), [""; 0]);
    let names: BTreeMap<_, _> = r.fresh.iter().map(|c| (c.record.name.to_string(), c)).collect();
    assert_eq!(r.stats, ScanStats { archives: 0, folders: 4, lines: 3, known: 0, refused: 0 });
    assert_eq!(names.len(), 6);
    for c in r.fresh.iter().filter(|c| c.place.line.is_none()) {
        assert!(
            !c.record.summary.is_empty() && c.record.license.is_some() && !c.record.keywords.is_empty(),
            "{:?}",
            c.record
        );
        assert!(c.detail.as_ref().unwrap().readme.is_some());
    }
}

#[test]
fn real_crates_in_a_warm_cache_are_known() {
    let Some(crates) = corpus("crates") else { return };
    let t = tempfile::tempdir().unwrap();
    let o = cached(t.path());
    assert_eq!(run(&[&crates], &o).fresh.len(), 171);
    assert_eq!(run(&[&crates], &o).stats.known, 171);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_list_makes_the_scan_panic(
        odd in proptest::collection::vec(prop_oneof![
            "\\PC{0,60}",
            Just(line(1)),
            ("[a-z_]{1,12}", "\\PC{0,20}").prop_map(|(k, v)| line(1).replace('}', &format!(",\"{k}\":{v}}}"))),
            (0..200usize).prop_map(|n| line(1).chars().take(n).collect()),
        ], 0..20)
    ) {
        let text = odd.join("\n");
        let r = list(&text);
        let lines = text.lines().filter(|l| !l.trim_ascii().is_empty()).count();
        prop_assert!(r.fresh.len() + r.refused.len() <= lines.max(1) * 2);
    }
}
