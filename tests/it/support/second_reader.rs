//! A second reader of the stored format, written from `docs/format.md` alone: it shares no code with the library, so that
//! the two can only agree on what is really in the store. (It checks digests and structure, not signatures.)

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

/// The objects of a store, by key.
pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

/// What a second reader finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) generation: u64,
    /// By `kind/name@version`.
    pub(crate) records: BTreeMap<String, Value>,
    /// Likewise, of those that have one.
    pub(crate) details: BTreeMap<String, Value>,
    /// The leaf in which each of them stands, by key.
    pub(crate) leaves: BTreeMap<String, String>,
    /// Every key that the newest slot reaches, itself included.
    pub(crate) reached: BTreeSet<String>,
    pub(crate) index: Value,
}

/// Reads the state that a slot commits, and panics where something that it reaches is missing or wrong.
pub(crate) fn read_slot(objects: &Objects, generation: u64) -> Found {
    let mut found = Found { generation, ..Found::default() };
    found.reached.insert(format!("log/{generation:010}"));
    let link = snapshot_link(objects, generation);
    let snapshot = blob(objects, &link[0], number(&link[1]), Some(number(&link[2])), &mut found.reached);
    let snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!(snapshot["type"], "snapshot");
    if let Some(changes) = snapshot.get("changes") {
        linked(objects, changes, &mut found.reached);
    }
    for bundle in snapshot.get("search").and_then(Value::as_array).into_iter().flatten() {
        let bytes = linked(objects, &bundle["link"], &mut found.reached);
        search_bundle(&bytes, bundle);
    }
    let (packages, releases) = entries(objects, snapshot["index"].as_array().unwrap(), "", &mut found);
    assert_eq!((packages, releases), (snapshot["packages"].as_u64().unwrap(), snapshot["releases"].as_u64().unwrap()));
    found.index = snapshot["index"].clone();
    if let Some(root) = snapshot.get("details") {
        assert_eq!(root["prefix"], "");
        details(objects, root, &mut found);
        assert_eq!(root["releases"].as_u64().unwrap(), found.details.len() as u64);
    }
    for release in found.details.keys() {
        assert!(found.records[release].get("removed").is_none(), "{release} is a tombstone and has a detail");
    }
    for (release, record) in &found.records {
        let from_archive = record.get("removed").is_none() && record["archive"].get("url").is_none();
        assert!(!from_archive || found.details.contains_key(release), "{release} lost its detail");
    }
    found
}

/// Reads what an entry of the tree of details leads to.
fn details(objects: &Objects, entry: &Value, found: &mut Found) {
    let prefix = entry["prefix"].as_str().unwrap();
    let raw = String::from_utf8(linked(objects, &entry["link"], &mut found.reached)).unwrap();
    let (header, body) = raw.split_once('\n').unwrap();
    let header: Value = serde_json::from_str(header).unwrap();
    assert_eq!((&header["type"], &header["prefix"], &header["format"]), (&entry["type"], &entry["prefix"], &2.into()));
    assert!(entry.get("packages").is_none());
    let (bytes, releases) = (entry["bytes"].as_u64().unwrap(), entry["releases"].as_u64().unwrap());
    let lines: Vec<Value> = body.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    if entry["type"] == "page" {
        assert!(bytes > 262_144 && releases > 1 && prefix.len().is_multiple_of(9), "{prefix:?} is divided for nothing");
        let mut last = String::new();
        for entry in &lines {
            let below = entry["prefix"].as_str().unwrap();
            let deeper = below.len() - prefix.len();
            assert!(below.starts_with(prefix) && below > last.as_str() && deeper > 0);
            assert!(if entry["type"] == "page" { deeper == 9 } else { deeper <= 9 });
            details(objects, entry, found);
            last = below.to_owned();
        }
        let sum = |member: &str| lines.iter().map(|e| e[member].as_u64().unwrap()).sum::<u64>();
        assert_eq!((bytes, releases), (sum("bytes"), sum("releases")));
        return;
    }
    assert_eq!(entry["type"], "details");
    assert_eq!((bytes, releases), (body.len() as u64, lines.len() as u64));
    assert!(bytes <= 262_144 || releases == 1);
    let bits = |text: &str| Sha256::digest(text).iter().map(|b| format!("{b:08b}")).collect::<String>();
    let mut last = String::new();
    for detail in lines {
        let name = detail["name"].as_str().unwrap().to_lowercase().replace('_', "-");
        let label = format!("{}/{name}", detail["kind"].as_str().unwrap());
        let release = format!("{label}@{}", detail["version"].as_str().unwrap());
        let key = format!("{}{}", &bits(&label)[..18], &bits(&release)[18..]);
        assert!(key.starts_with(prefix) && key > last, "{release} in the leaf {prefix:?}");
        last = key;
        let leaf = format!("blobs/sha256/{}", entry["link"]["sha256"].as_str().unwrap());
        found.leaves.insert(release.clone(), leaf);
        assert!(found.details.insert(release, detail).is_none(), "twice");
    }
}

/// Checks a search bundle as somebody would who reads it in parts: the tail against what cites it, and each block of the body
/// against the tail.
fn search_bundle(bytes: &[u8], cited: &Value) {
    let size = usize::try_from(cited["tail"]["size"].as_u64().unwrap()).unwrap();
    let (body, tail) = bytes.split_at(bytes.len() - size);
    assert_eq!(cited["tail"]["sha256"], hex(tail));
    let mut lines = tail.splitn(3, |b| *b == b'\n');
    assert_eq!(lines.next().unwrap(), b"ggen-market/search-bundle/5");
    let table: Value = serde_json::from_slice(lines.next().unwrap()).unwrap();
    assert_eq!((&table["documents"], table["body"].as_u64()), (&cited["documents"], Some(body.len() as u64)));
    let blocks: Vec<_> = body.chunks(usize::try_from(table["block"].as_u64().unwrap()).unwrap()).collect();
    let (hashes, hot) = lines.next().unwrap().split_at(blocks.len() * 16);
    for (block, hash) in blocks.iter().zip(hashes.chunks(16)) {
        assert_eq!(Sha256::digest(block)[..16], *hash);
    }
    let copies = table.get("hot").and_then(Value::as_array).into_iter().flatten();
    let number = |n: &Value| usize::try_from(n.as_u64().unwrap()).unwrap();
    let copied: Vec<u8> = copies.flat_map(|r| body[number(&r[0])..][..number(&r[1])].to_vec()).collect();
    assert_eq!(copied, hot);
    let files = table["files"].as_array().unwrap().iter().map(|f| number(&f["size"])).sum::<usize>();
    assert_eq!(files, body.len(), "files stand one behind another");
}

/// Digest, size and uncompressed size of the snapshot that a slot commits; panics where the slot does not continue the log.
pub(crate) fn snapshot_link(objects: &Objects, generation: u64) -> Vec<String> {
    let claim = text(&objects[&format!("log/{generation:010}")]);
    let line = |name: &str| claim.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(claim.lines().next(), Some("ggen-market/claim/v1"));
    assert_eq!(line("generation "), generation.to_string());
    if generation > 0 {
        let before = &objects[&format!("log/{:010}", generation - 1)];
        assert_eq!(line("previous "), hex(before), "the log is a chain");
    }
    line("snapshot ").split(' ').map(Into::into).collect()
}

/// Reads what the checkpoint names.
pub(crate) fn read(objects: &Objects) -> Found {
    read_slot(objects, pointed(objects))
}

/// The generation that the checkpoint names; panics where its slot is not there, or another one.
pub(crate) fn pointed(objects: &Objects) -> u64 {
    let checkpoint = text(&objects["checkpoint"]);
    let mut lines = checkpoint.lines();
    assert_eq!(lines.next(), Some("ggen-market/checkpoint/v1"));
    let (_origin, generation, digest) = (lines.next().unwrap(), lines.next().unwrap(), lines.next().unwrap());
    let slot = &objects[&format!("log/{:010}", number(generation))];
    assert_eq!(digest, hex(slot));
    assert!(checkpoint.contains(&text(slot)), "the slot stands inline");
    number(generation)
}

fn entries(objects: &Objects, entries: &[Value], below: &str, found: &mut Found) -> (u64, u64) {
    let mut sums = (0, 0);
    let mut last = String::new();
    for entry in entries {
        let prefix = entry["prefix"].as_str().unwrap().to_owned();
        assert!(prefix.starts_with(below) && (prefix > last || (last.is_empty() && prefix.is_empty())), "{prefix}");
        let raw = String::from_utf8(linked(objects, &entry["link"], &mut found.reached)).unwrap();
        let (header, body) = raw.split_once('\n').unwrap();
        let header: Value = serde_json::from_str(header).unwrap();
        assert_eq!((&header["type"], &header["prefix"]), (&entry["type"], &entry["prefix"]));
        let lines: Vec<Value> = body.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let counts = if entry["type"] == "page" {
            assert_eq!(prefix.len(), below.len() + 9);
            self::entries(objects, &lines, &prefix, found)
        } else {
            assert_eq!(entry["bytes"].as_u64().unwrap(), body.len() as u64);
            shard(objects, &lines, &prefix, found)
        };
        assert_eq!(counts, (entry["packages"].as_u64().unwrap(), entry["releases"].as_u64().unwrap()));
        assert!(entry["bytes"].as_u64().unwrap() <= 65_536 || counts.0 == 1 || entry["type"] == "page");
        sums = (sums.0 + counts.0, sums.1 + counts.1);
        last = prefix;
    }
    sums
}

fn shard(objects: &Objects, lines: &[Value], prefix: &str, found: &mut Found) -> (u64, u64) {
    let mut names = BTreeSet::new();
    for record in lines {
        let name = record["name"].as_str().unwrap().to_lowercase().replace('_', "-");
        let label = format!("{}/{name}", record["kind"].as_str().unwrap());
        let bits: String = Sha256::digest(label.as_bytes()).iter().map(|b| format!("{b:08b}")).collect();
        assert!(bits.starts_with(prefix), "{label} is in the shard {prefix}");
        if record.get("removed").is_none() && record["archive"].get("url").is_none() {
            let archive = &record["archive"];
            blob(
                objects,
                archive["sha256"].as_str().unwrap(),
                archive["size"].as_u64().unwrap(),
                None,
                &mut found.reached,
            );
        }
        let version = record["version"].as_str().unwrap();
        let twice = found.records.insert(format!("{label}@{version}"), record.clone());
        assert!(twice.is_none(), "{label}@{version} is there once");
        names.insert(label);
    }
    (names.len() as u64, lines.len() as u64)
}

/// What a boundary says.
pub(crate) struct Boundary {
    pub(crate) generation: u64,
    pub(crate) keeps: u64,
    pub(crate) pins: Vec<u64>,
    pub(crate) marks: Option<String>,
}

pub(crate) fn boundary(note: &[u8]) -> Boundary {
    let note = text(note);
    assert_eq!(note.lines().next(), Some("ggen-market/boundary/v1"));
    let line = |name: &str| note.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    let listed = |list: &str| if list == "none" { Vec::new() } else { list.split(',').map(number).collect() };
    Boundary {
        generation: number(line("generation ")),
        keeps: number(line("keeps ")),
        pins: listed(line("pins ")),
        marks: line("marks ").split_once(' ').map(|(sha256, _)| sha256.to_owned()),
    }
}

/// What a list of marks holds: when each object was marked first.
pub(crate) fn marks(objects: &Objects) -> BTreeMap<String, String> {
    let Some(list) = objects.get("gc/boundary").and_then(|b| boundary(b).marks) else { return BTreeMap::new() };
    let mut raw = String::new();
    MultiGzDecoder::new(&objects[&format!("blobs/sha256/{list}")][..]).read_to_string(&mut raw).unwrap();
    let (header, rows) = raw.split_once('\n').unwrap();
    assert_eq!(header, r#"{"format":2,"type":"marks"}"#);
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row["sha256"].as_str().unwrap().to_owned(), row["marked"].as_str().unwrap().to_owned())
    };
    rows.lines().map(row).collect()
}

/// The keys that an object links to directly, if it is one that links: a shard, a page or a snapshot.
pub(crate) fn cited(stored: &[u8]) -> Vec<String> {
    links(stored, &["changes", "previous"])
}

/// The keys that an object needs: those that it links to, but for the snapshot before it, which may be collected.
pub(crate) fn below(stored: &[u8]) -> Vec<String> {
    links(stored, &["changes"])
}

fn links(stored: &[u8], of_snapshots: &[&str]) -> Vec<String> {
    let mut raw = String::new();
    // Archives are compressed too, and large; what links begins with a brace.
    let mut first = [0];
    if MultiGzDecoder::new(stored).read_exact(&mut first).is_err() || first != *b"{" {
        return Vec::new();
    }
    if MultiGzDecoder::new(stored).read_to_string(&mut raw).is_err() {
        return Vec::new();
    }
    let values: Vec<Value> = raw.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let Some(first) = values.first() else { return Vec::new() };
    let mut links = Vec::new();
    match first["type"].as_str() {
        Some("snapshot") => {
            links.extend(first["index"].as_array().unwrap().iter().map(|e| &e["link"]));
            links.extend(first.get("details").map(|e| &e["link"]));
            links.extend(of_snapshots.iter().filter_map(|member| first.get(member)));
            let bundles = first.get("search").and_then(Value::as_array);
            links.extend(bundles.into_iter().flatten().map(|b| &b["link"]));
        }
        Some("page") => links.extend(values[1..].iter().map(|e| &e["link"])),
        Some("shard") => {
            let here = |r: &&Value| r.get("removed").is_none() && r["archive"].get("url").is_none();
            links.extend(values[1..].iter().filter(here).map(|r| &r["archive"]));
        }
        _ => {}
    }
    links.iter().map(|l| format!("blobs/sha256/{}", l["sha256"].as_str().unwrap())).collect()
}

fn linked(objects: &Objects, link: &Value, reached: &mut BTreeSet<String>) -> Vec<u8> {
    blob(objects, link["sha256"].as_str().unwrap(), link["size"].as_u64().unwrap(), link["raw"].as_u64(), reached)
}

fn blob(objects: &Objects, sha256: &str, size: u64, raw: Option<u64>, reached: &mut BTreeSet<String>) -> Vec<u8> {
    let key = format!("blobs/sha256/{sha256}");
    let stored = objects.get(&key).unwrap_or_else(|| panic!("{key} is cited and not there"));
    assert_eq!((hex(stored), stored.len() as u64), (sha256.to_owned(), size), "{key}");
    reached.insert(key);
    let Some(raw) = raw else { return stored.clone() };
    let mut out = Vec::new();
    MultiGzDecoder::new(&stored[..]).read_to_end(&mut out).unwrap();
    assert_eq!(out.len() as u64, raw);
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}
