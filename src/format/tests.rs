use super::*;
use crate::package::{Kind, PackageId, PackageName, Record, Timestamp};
use proptest::prelude::*;
use std::sync::Arc;

fn record(name: &str, version: &str) -> Record {
    let line = format!(
        r#"{{"archive":{{"format":"crate","sha256":"{}","size":1}},"kind":"crate","name":"{name}","published":"{}","v":1,"version":"{version}"}}"#,
        Sha256::of(name.as_bytes()),
        Timestamp::from_unix(1)
    );
    Record::from_line(&line).unwrap()
}

fn read_shard(raw: Vec<u8>, prefix: Prefix) -> Result<Shard, FormatError> {
    <Arc<PackageLines>>::read(raw, prefix)
}

/// A shard of these packages, as raw bytes.
fn shard_of(names: &[&str], versions: &[&str]) -> Vec<u8> {
    let mut packages: Vec<_> = names
        .iter()
        .map(|name| {
            let id = PackageId::new(Kind::Crate, &PackageName::new(name).unwrap()).unwrap();
            let mut lines = PackageLines::new(id.label().into());
            lines.lines = versions.iter().map(|v| Line::new(&record(name, v))).collect();
            Arc::new(lines)
        })
        .collect();
    packages.sort_by_key(|p| p.key);
    let object = Shard::seal(Prefix::ROOT, &packages);
    open(&object.bytes, &object.link).unwrap()
}

fn text(raw: &[u8]) -> String {
    String::from_utf8(raw.to_vec()).unwrap()
}

#[test]
fn i28_a_node_is_accepted_only_for_the_place_it_was_cited_for() {
    let raw = shard_of(&["alpha"], &["1.0.0"]);
    assert!(read_shard(raw.clone(), Prefix::ROOT).is_ok());
    let elsewhere = Prefix::ROOT.child(true);
    assert!(matches!(read_shard(raw.clone(), elsewhere), Err(FormatError::Malformed { .. })));
    for tree in [TreeKind::Index, TreeKind::Details] {
        assert!(matches!(Page::read(tree, &raw, Prefix::ROOT), Err(FormatError::Malformed { .. })));
    }
    assert!(matches!(DetailLine::read(raw.clone(), Prefix::ROOT), Err(FormatError::Malformed { .. })));
    assert!(matches!(Changes::read(&raw), Err(FormatError::Malformed { .. })));
    // A header that lies about its place: the records' own keys tell.
    let key = Sha256::of(b"crate/alpha");
    let wrong = if Prefix::ROOT.child(true).covers(&key) { "0" } else { "1" };
    let lie = text(&raw).replacen("\"prefix\":\"\"", &format!("\"prefix\":\"{wrong}\""), 1);
    let e = read_shard(lie.into_bytes(), Prefix::ROOT.child(wrong == "1")).unwrap_err();
    assert!(e.to_string().contains("another shard"), "{e}");
}

#[test]
fn a_shard_out_of_order_or_with_a_release_twice_is_refused() {
    let raw = text(&shard_of(&["alpha", "beta"], &["1.0.0", "2.0.0"]));
    let lines: Vec<_> = raw.lines().collect();
    for order in [[1, 3, 2, 4], [3, 4, 1, 2], [2, 1, 3, 4], [1, 1, 3, 4]] {
        let mixed: String = [lines[0]].into_iter().chain(order.map(|i| lines[i])).map(|l| format!("{l}\n")).collect();
        assert!(
            matches!(read_shard(mixed.into_bytes(), Prefix::ROOT), Err(FormatError::Malformed { .. })),
            "{order:?}"
        );
    }
}

#[test]
fn a_line_that_cannot_be_read_is_skipped_with_a_reason_and_hides_no_other() {
    let raw = text(&shard_of(&["alpha", "beta"], &["1.0.0"]));
    let broken = raw.replacen("\"version\":\"1.0.0\"", "\"version\":\"one\"", 1);
    let shard = read_shard(broken.into_bytes(), Prefix::ROOT).unwrap();
    assert_eq!((shard.items.len(), shard.skipped.len()), (1, 1));
    assert!(shard.skipped[0].contains("semantic version"), "{:?}", shard.skipped);
    // A record of a later version, and of a kind unknown here, is carried: a writer must not lose it.
    let newer = raw.replace("\"v\":1", "\"v\":9");
    let shard = read_shard(newer.into_bytes(), Prefix::ROOT).unwrap();
    assert_eq!((shard.items.len(), shard.skipped.len()), (2, 0));
    assert!(matches!(shard.items[0].lines[0].record(), Err(crate::package::RecordError::Newer(9))));
}

fn detail_line(name: &str, version: &str) -> (Sha256, String) {
    let id = PackageId::new(Kind::Crate, &PackageName::new(name).unwrap()).unwrap();
    let version: crate::package::Version = version.parse().unwrap();
    let detail = crate::package::Detail::new(Kind::Crate, PackageName::new(name).unwrap(), version.clone());
    (crate::package::detail_key(&id.key(), &id.label(), &version), serde_json::to_string(&detail).unwrap())
}

fn details_of(prefix: Prefix, lines: &[(Sha256, String)]) -> Vec<u8> {
    let object = seal_details(prefix, 0, |raw| {
        lines.iter().for_each(|(_, line)| raw.extend_from_slice(format!("{line}\n").as_bytes()));
        Ok::<_, ()>(())
    });
    let object = object.unwrap();
    open(&object.bytes, &object.link).unwrap()
}

#[test]
fn i28_a_leaf_of_details_is_accepted_only_for_its_place_and_in_order() {
    let mut lines: Vec<_> = ["alpha", "beta", "gamma"].iter().map(|n| detail_line(n, "1.0.0")).collect();
    lines.sort();
    let leaf = DetailLine::read(details_of(Prefix::ROOT, &lines), Prefix::ROOT).unwrap();
    assert_eq!(leaf.items.iter().map(|i| i.key).collect::<Vec<_>>(), lines.iter().map(|(k, _)| *k).collect::<Vec<_>>());
    assert!(leaf.items.iter().all(|i| i.bytes == i.body.len() as u64 + 1 && i.detail().is_ok()));
    assert!(leaf.find(&lines[1].0).is_some() && leaf.find(&Sha256::of(b"delta")).is_none());
    // Cited for another place, or as another type; and one whose header lies about its place.
    let one = |prefix| details_of(prefix, &lines[..1]);
    let half = |one: bool| Prefix::ROOT.child(one);
    assert!(DetailLine::read(one(Prefix::ROOT), half(true)).is_err());
    assert!(read_shard(one(Prefix::ROOT), Prefix::ROOT).is_err());
    let wrong = half(!half(true).covers(&lines[0].0));
    let e = DetailLine::read(one(wrong), wrong).unwrap_err();
    assert!(e.to_string().contains("belongs into another leaf"), "{e}");
    // Out of order, and twice.
    for order in [[1, 0, 2], [0, 0, 1]] {
        let mixed: Vec<_> = order.iter().map(|i| lines[*i].clone()).collect();
        assert!(DetailLine::read(details_of(Prefix::ROOT, &mixed), Prefix::ROOT).is_err(), "{order:?}");
    }
    let broken = text(&details_of(Prefix::ROOT, &lines)).replacen("\"version\":\"1.0.0\"", "\"version\":\"one\"", 1);
    let leaf = DetailLine::read(broken.into_bytes(), Prefix::ROOT).unwrap();
    assert_eq!((leaf.items.len(), leaf.skipped.len()), (2, 1));
}

/// The details of a package stand side by side, in the order in which the index has packages; those of one package lie apart.
#[test]
fn the_place_of_a_detail_begins_like_that_of_its_package() {
    let bits = |key: &Sha256| key.0.iter().map(|b| format!("{b:08b}")).collect::<String>();
    let package = bits(&Sha256::of(b"crate/alpha"));
    let places: std::collections::BTreeSet<String> =
        (0..64).map(|minor| bits(&detail_line("alpha", &format!("1.{minor}.0")).0)).collect();
    assert_eq!(places.len(), 64);
    assert!(places.iter().all(|p| p[..18] == package[..18]));
    assert!(places.iter().any(|p| p.as_bytes()[18] == b'0') && places.iter().any(|p| p.as_bytes()[18] == b'1'));
    let release = bits(&Sha256::of(b"crate/alpha@1.7.0"));
    assert!(places.contains(&format!("{}{}", &package[..18], &release[18..])));
}

#[test]
fn a_registry_of_another_format_is_told_apart_from_a_damaged_one() {
    let read = |format: u32| {
        let raw = text(&shard_of(&["alpha"], &["1.0.0"]));
        let raw = raw.replacen("\"format\":2", &format!("\"format\":{format}"), 1);
        read_shard(raw.into_bytes(), Prefix::ROOT)
    };
    assert!(read(2).is_ok());
    assert_eq!(read(3).unwrap_err(), FormatError::Newer { what: "shard", found: 3 });
    assert_eq!(read(1).unwrap_err(), FormatError::Older { what: "shard", found: 1 });
    assert_eq!(read(3).unwrap_err().at("x").kind(), crate::ErrorKind::Unsupported);
    // Its details would be taken for none.
    let e = Snapshot::read(br#"{"format":1,"everything":"else"}"#).unwrap_err();
    assert_eq!(e, FormatError::Older { what: "snapshot", found: 1 });
    let e = e.at("x");
    assert_eq!(e.kind(), crate::ErrorKind::Unsupported);
    assert!(e.hint().unwrap().contains("publish the packages anew"), "{e:?}");
    let e = Snapshot::read(br#"{"format":3,"everything":"else"}"#).unwrap_err();
    assert_eq!(e, FormatError::Newer { what: "snapshot", found: 3 });
}

#[test]
fn pages_whose_entries_overlap_or_stand_at_the_wrong_depth_are_refused() {
    let entry = |prefix: &str, node| Entry {
        bytes: 1,
        link: Link { raw: Some(1), sha256: Sha256::of(b""), size: 1 },
        packages: 1,
        prefix: serde_json::from_value(prefix.into()).unwrap(),
        releases: 1,
        node,
    };
    use NodeType::{Details as D, Page as P, Shard as S};
    let all = |entries: &[(&str, NodeType)]| entries.iter().map(|(p, n)| entry(p, *n)).collect::<Vec<_>>();
    let page = |entries: &[(&str, NodeType)]| Page::top(TreeKind::Index, all(entries));
    assert!(page(&[]).is_ok());
    assert!(page(&[("", S)]).is_ok());
    assert!(page(&[("0", S), ("10", S), ("110000000", P)]).is_ok());
    for bad in [
        &[("", P)][..],
        &[("0", P)],
        &[("0000000000", S)],
        &[("1", S), ("0", S)],
        &[("0", S), ("0", S)],
        &[("0", S), ("01", S)],
        &[("", S), ("1", S)],
        &[("0", D)],
    ] {
        assert!(page(bad).is_err(), "{bad:?}");
    }
    // Of the details, a snapshot has the one row of their root, which is a page like any other.
    let counted = |packages: u64, mut all: Vec<Entry>| {
        all.iter_mut().for_each(|e| e.packages = packages);
        all
    };
    let top = |entries: &[(&str, NodeType)]| Page::top(TreeKind::Details, counted(0, all(entries)));
    let root = |entries: &[(&str, NodeType)]| Page::new(TreeKind::Details, Prefix::ROOT, counted(0, all(entries)));
    assert!(top(&[]).is_ok() && top(&[("", P)]).is_ok() && top(&[("", D)]).is_ok());
    assert!(root(&[("0", D), ("10", D), ("110000000", P)]).is_ok());
    for bad in [&[("", S)][..], &[("0", D)], &[("000000000", P)], &[("", D), ("1", D)]] {
        assert!(top(bad).is_err(), "{bad:?}");
    }
    // A root that is one leaf has no page, and no page leads to itself.
    for bad in [&[("", D)][..], &[("", P)], &[("0", S)], &[("0", P)]] {
        assert!(root(bad).is_err(), "{bad:?}");
    }
    assert!(Page::top(TreeKind::Details, counted(1, all(&[("", D)]))).is_err(), "packages are not counted there");
    assert!(Page::top(TreeKind::Index, counted(0, all(&[("", S)]))).is_err(), "here they are");
    let deep: Prefix = serde_json::from_value("101010101".into()).unwrap();
    assert!(Page::new(TreeKind::Index, deep, vec![entry("0", S)]).is_err(), "an entry of another page");
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&raw);
    }

    /// Most random bytes fail at the first letter; damaged real ones get further.
    #[test]
    fn no_damage_makes_a_parser_panic(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
        let mut raw = shard_of(&["alpha", "beta", "gamma"], &["1.0.0", "1.0.1-rc.1+b"]);
        let len = raw.len();
        raw[at % len] = byte;
        raw.truncate(len - cut % len);
        parse_all(&raw);
        let mut raw = details_of(Prefix::ROOT, &[detail_line("alpha", "1.0.0"), detail_line("beta", "1.0.0")]);
        let len = raw.len();
        raw[at % len] = byte;
        raw.truncate(len - cut % len);
        parse_all(&raw);
    }

    #[test]
    fn a_prefix_covers_exactly_the_keys_that_begin_with_it(bits in "[01]{0,63}", key: [u8; 32]) {
        let prefix: Prefix = serde_json::from_value(bits.clone().into()).unwrap();
        prop_assert_eq!(&prefix.to_string(), &bits);
        let text: String = key.iter().map(|b| format!("{b:08b}")).collect();
        prop_assert_eq!(prefix.covers(&Sha256(key)), text.starts_with(&bits));
    }

    #[test]
    fn changes_come_back_as_they_were(rows in proptest::collection::btree_set(("[a-c]{1,2}", 0u64..4, 0usize..4), 0..20)) {
        use ReleaseChange::{Added, Removed, Unyanked, Yanked};
        let release = |(name, minor, what): (String, u64, usize)| ChangedRelease {
            package: format!("pack/{name}").into(),
            version: format!("1.{minor}.0").parse().unwrap(),
            change: [Added, Removed, Unyanked, Yanked][what],
        };
        let mut changes = Changes(rows.into_iter().map(release).collect());
        changes.sort();
        let object = changes.seal();
        prop_assert_eq!(Changes::read(&open(&object.bytes, &object.link).unwrap()).unwrap(), changes);
    }
}
