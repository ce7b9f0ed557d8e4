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
    assert!(Shard::read(raw.clone(), Prefix::ROOT).is_ok());
    let elsewhere = Prefix::ROOT.child(true);
    assert!(matches!(Shard::read(raw.clone(), elsewhere), Err(FormatError::Malformed { .. })));
    assert!(matches!(Page::read(&raw, Prefix::ROOT), Err(FormatError::Malformed { .. })));
    assert!(matches!(Changes::read(&raw), Err(FormatError::Malformed { .. })));
    // A header that lies about its place: the records' own keys tell.
    let key = Sha256::of(b"crate/alpha");
    let wrong = if Prefix::ROOT.child(true).covers(&key) { "0" } else { "1" };
    let lie = text(&raw).replacen("\"prefix\":\"\"", &format!("\"prefix\":\"{wrong}\""), 1);
    let e = Shard::read(lie.into_bytes(), Prefix::ROOT.child(wrong == "1")).unwrap_err();
    assert!(e.to_string().contains("another shard"), "{e}");
}

#[test]
fn a_shard_out_of_order_or_with_a_release_twice_is_refused() {
    let raw = text(&shard_of(&["alpha", "beta"], &["1.0.0", "2.0.0"]));
    let lines: Vec<_> = raw.lines().collect();
    for order in [[1, 3, 2, 4], [3, 4, 1, 2], [2, 1, 3, 4], [1, 1, 3, 4]] {
        let mixed: String = [lines[0]].into_iter().chain(order.map(|i| lines[i])).map(|l| format!("{l}\n")).collect();
        assert!(
            matches!(Shard::read(mixed.into_bytes(), Prefix::ROOT), Err(FormatError::Malformed { .. })),
            "{order:?}"
        );
    }
}

#[test]
fn a_line_that_cannot_be_read_is_skipped_with_a_reason_and_hides_no_other() {
    let raw = text(&shard_of(&["alpha", "beta"], &["1.0.0"]));
    let broken = raw.replacen("\"version\":\"1.0.0\"", "\"version\":\"one\"", 1);
    let shard = Shard::read(broken.into_bytes(), Prefix::ROOT).unwrap();
    assert_eq!((shard.packages.len(), shard.skipped.len()), (1, 1));
    assert!(shard.skipped[0].contains("semantic version"), "{:?}", shard.skipped);
    // A record of a later version, and of a kind unknown here, is carried: a writer must not lose it.
    let newer = raw.replace("\"v\":1", "\"v\":9");
    let shard = Shard::read(newer.into_bytes(), Prefix::ROOT).unwrap();
    assert_eq!((shard.packages.len(), shard.skipped.len()), (2, 0));
    assert!(matches!(shard.packages[0].lines[0].record(), Err(crate::package::RecordError::Newer(9))));
}

#[test]
fn a_registry_of_a_newer_format_is_told_apart_from_a_damaged_one() {
    let raw = text(&shard_of(&["alpha"], &["1.0.0"])).replacen("\"format\":1", "\"format\":2", 1);
    let e = Shard::read(raw.into_bytes(), Prefix::ROOT).unwrap_err();
    assert_eq!(e, FormatError::Newer { what: "shard", found: 2 });
    assert_eq!(e.at("x").kind(), crate::ErrorKind::Unsupported);
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
    use NodeType::{Page as P, Shard as S};
    let page =
        |entries: &[(&str, NodeType)]| Page::new(Prefix::ROOT, entries.iter().map(|(p, n)| entry(p, *n)).collect());
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
    ] {
        assert!(page(bad).is_err(), "{bad:?}");
    }
    let deep: Prefix = serde_json::from_value("101010101".into()).unwrap();
    assert!(Page::new(deep, vec![entry("0", S)]).is_err(), "an entry of another page");
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
