use super::*;
use crate::{package::Sha256, resolve::Resolved};
use proptest::prelude::*;

fn id(text: &str) -> PackageId {
    let (kind, name) = text.split_once(':').unwrap();
    PackageId::new(kind.parse().unwrap(), &PackageName::new(name).unwrap()).unwrap()
}

/// `kind:name version needs…`, the needs by their places.
fn found(packages: &[(&str, &str, &[usize])]) -> Resolution {
    let package = |(name, version, needs): &(&str, &str, &[usize])| Resolved {
        id: id(name),
        name: PackageName::new(name.split_once(':').unwrap().1).unwrap(),
        version: version.parse().unwrap(),
        registry: "one.example".into(),
        archive: Archive { format: ArchiveFormat::TarGz, sha256: Sha256::of(name.as_bytes()), size: 7, url: None },
        dependencies: needs.to_vec(),
        yanked: false,
    };
    let packages = packages.iter().map(package).collect();
    Resolution { packages, wanted: vec![0], generations: BTreeMap::from([("one.example".into(), 5)]) }
}

fn wants(names: &[(&str, &str)]) -> BTreeMap<PackageId, VersionReq> {
    names.iter().map(|(n, r)| (id(n), r.parse().unwrap())).collect()
}

fn small() -> Lock {
    let found = found(&[("pack:app", "1.0.0", &[1]), ("pack:base", "1.2.0", &[])]);
    Lock::default().with("one.example", wants(&[("pack:app", "^1")]), &found)
}

#[test]
fn its_text_is_this() {
    let sha256 = |name: &str| Sha256::of(name.as_bytes());
    let want = format!(
        r#"{HEAD}[market]
version = 1
registry = "one.example"

[market.wants]
"pack:app" = "^1"

[[market.package]]
kind = "pack"
name = "app"
version = "1.0.0"
registry = "one.example"
generation = 5
format = "tar.gz"
sha256 = "{}"
size = 7
dependencies = [
    "pack:base@1.2.0",
]

[[market.package]]
kind = "pack"
name = "base"
version = "1.2.0"
registry = "one.example"
generation = 5
format = "tar.gz"
sha256 = "{}"
size = 7
"#,
        sha256("pack:app"),
        sha256("pack:base")
    );
    assert_eq!(small().to_text(), want);
    let read: Lock = want.parse().unwrap();
    assert_eq!(read, small());
    read.check(&wants(&[("pack:app", "^1")])).unwrap();
}

#[test]
fn adding_a_package_adds_lines_and_changes_none() {
    let before = small();
    let mut more = found(&[("pack:app", "1.0.0", &[1]), ("pack:base", "1.2.0", &[]), ("pack:bar", "0.1.0", &[1])]);
    more.generations.insert("one.example".into(), 9);
    let after = before.with("one.example", wants(&[("pack:app", "^1"), ("pack:bar", "^0.1")]), &more).to_text();
    let before = before.to_text();
    let mut rest = after.lines();
    assert!(before.lines().all(|line| rest.any(|l| l == line)), "every line is still there, in order:\n{after}");
    assert_eq!(after.lines().count() - before.lines().count(), 14);
    assert!(after.contains("generation = 9"));
}

#[test]
fn what_others_wrote_stays_as_it_is() {
    let foreign = "# by hand\ntitle = 'x'   # spaced\n\n[packs.log-tools]\nsource = \"git+https://example.com/x\"\ncontent_hash = \"blake3:ab\"\n\n[tool.other]\nlist = [ 1,2 ]\n";
    let read: Lock = foreign.parse().unwrap();
    assert_eq!(read.to_text(), foreign);
    assert_eq!(read.ggen_packs()[0].name, "log-tools");
    assert_eq!(read.ggen_packs()[0].content_hash, "blake3:ab");
    let locked = read.with("one.example", wants(&[("pack:app", "*")]), &found(&[("pack:app", "1.0.0", &[])]));
    let text = locked.to_text();
    assert!(text.starts_with(foreign), "{text}");
    assert_eq!(text.parse::<Lock>().unwrap(), locked);
    // In the middle of a file, and with members that a later version adds.
    let text = text.replace("generation = 5\n", "generation = 5\nadded-later = [1]\n") + "\n[after]\nx = 1\n";
    let again = text.parse::<Lock>().unwrap().to_text();
    assert!(
        again.contains("added-later = [1]") && again.contains("[after]\nx = 1") && again.contains("# by hand"),
        "{again}"
    );
    assert_eq!(again.parse::<Lock>().unwrap().to_text(), again);
}

/// Comments belong to nobody's table, and line ends and blanks to whoever wrote them.
#[test]
fn what_others_wrote_stays_byte_for_byte_wherever_it_stands() {
    let one = found(&[("pack:app", "1.0.0", &[])]);
    let two = found(&[("pack:app", "1.0.0", &[1]), ("pack:base", "1.2.0", &[])]);
    let want = || wants(&[("pack:app", "^1")]);
    for (above, below) in [
        ("[packs.x]\nsource = \"s\"\n# the last word\n", ""),
        ("[packs.x]\nsource = \"s\"   # odd\n\n\n# far off\n\n", ""),
        ("\u{feff}# a\r\n[packs.x]\r\nsource = 's'\r\n# the last word\r\n", "\r\n# more\r\n[after]\r\nx  =  1\r\n"),
        ("x = 1\n", "# of the next\n[after]\ny = '''\n[market]\n'''\n\n\n"),
        ("", "\n[[after]]\nx = 1\n[[after]]\n# no line end"),
    ] {
        let read: Lock = format!("{above}{below}").parse().unwrap();
        assert_eq!(read.to_text(), format!("{above}{below}"));
        // As it was read, our tables stand at the end; put them where they are to be.
        let ours =
            Lock { above: above.into(), below: below.into(), ..read.with("one.example", want(), &one) }.to_text();
        let mut lock: Lock = ours.parse().unwrap();
        for found in [&one, &two, &one] {
            lock = lock.with("one.example", want(), found);
            let text = lock.to_text();
            assert!(text.starts_with(above) && text.ends_with(below), "{text:?}");
            assert_eq!(text.matches(HEAD.trim_end()).count(), 1, "{text}");
            assert_eq!(
                text.contains("\r\n"),
                !text.replace("\r\n", "").contains('\n') && above.contains('\r'),
                "{text:?}"
            );
            let again: Lock = text.parse().unwrap();
            assert_eq!((again.to_text(), again.packages()), (text, lock.packages()));
        }
        assert_eq!(lock.to_text(), ours);
    }
    // Somebody else's table between ours, a comment between our head and our table, and none of ours in the end.
    let text = small().to_text();
    let torn = text.replacen("\n[market.wants]", "\n# mine\n[mine]\nx = 1 # one\n[market.wants]", 1);
    let torn = torn.replacen("[market]", "# why\n[market]", 1) + "# end";
    let lock: Lock = torn.parse().unwrap();
    assert_eq!(lock.packages(), small().packages());
    assert_eq!((lock.above.as_str(), lock.below.as_str()), ("# why\n", "\n# mine\n[mine]\nx = 1 # one\n# end"));
    assert_eq!(lock.to_text().parse::<Lock>().unwrap(), lock);
    let e = "market.version = 1\nmarket.registry = 'x'\n".parse::<Lock>().unwrap_err();
    assert_eq!(e.to_string(), "line 1: `market` is not written as a table of its own");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let text = small().to_text();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).parse::<Lock>().unwrap_err().to_string()
    };
    for (from, to, want) in [
        ("version = 1\n", "version = 2\n", "line 3: lock version 2 is newer than this program reads (1)"),
        ("version = 1\n", "", "line 2: [market] has no version"),
        ("registry = \"one.example\"\n", "", "line 2: `registry` is missing"),
        ("\"one.example\"", "\"\"", "line 4: `registry` is empty, or has a space or a control character in it"),
        ("\"one.example\"", "\"one\\n=======\"", "line 4: `registry` is empty, or has a space"),
        ("base@1.2.0\"", "base@1.2.0 in \"", "line 19: a dependency: its registry is empty, or has a space"),
        ("size = 7\n", "size = 7\nurl = \"a b\"\n", "line 18: `url` is empty, or has a space"),
        ("\"^1\"", "\"nonsense\"", "line 7: \"pack:app\": unexpected character 'n' while parsing major version number"),
        ("\"pack:app\" =", "\"app\" =", "line 7: \"app\": expected KIND:NAME"),
        ("name = \"app\"", "name = \"../app\"", "line 11: `name`: package name \"../app\" holds '/'"),
        ("name = \"app\"\n", "", "line 9: `name` is missing"),
        ("kind = \"pack\"", "kind = \"wasm\"", "line 10: `kind`: unknown kind of package \"wasm\""),
        ("\"1.0.0\"", "\"1.0\"", "line 12: `version`: \"1.0\" is not a semantic version"),
        ("generation = 5", "generation = -5", "line 14: `generation` is not a number of 0 or more"),
        ("format = \"tar.gz\"", "format = \"rar\"", "line 15: unknown format \"rar\""),
        ("sha256 = \"", "sha256 = \"x", "line 16: `sha256`: not a sha256 digest"),
        ("size = 7", "size = \"7\"", "line 17: `size` is not a number of 0 or more"),
        ("\"pack:base@1.2.0\"", "\"pack:base\"", "line 19: a dependency: expected KIND:NAME@VERSION"),
        ("[market.wants]", "[market.wants", "line 6: "),
        ("[market.wants]", "<<<<<<< mine\n[market.wants]", "line 6: the marks of an unfinished merge"),
    ] {
        let seen = refused(from, to);
        assert!(seen.starts_with(want), "{seen}\nnot\n{want}");
    }
    let twice = format!("{text}\n{}", text.split_once("wants]\n\"pack:app\" = \"^1\"\n\n").unwrap().1);
    assert_eq!(twice.parse::<Lock>().unwrap(), small(), "the same table twice, as a merge may leave it");
    let other = twice.replacen("size = 7", "size = 8", 1);
    assert!(other.parse::<Lock>().unwrap_err().reason.contains("here twice, with other bytes"));
}

#[test]
fn drift_is_told_whole() {
    let refused = |lock: &Lock, w| lock.check(&w).unwrap_err().details().to_vec();
    let lock = small();
    assert_eq!(refused(&lock, wants(&[("pack:app", "^2")])), ["pack:app is locked as ^1, not as ^2"]);
    assert_eq!(refused(&lock, wants(&[("pack:other", "*")])), ["pack:other is not locked", "pack:app is not wanted"]);
    let mut lacking = small();
    lacking.packages.remove(1);
    assert_eq!(refused(&lacking, lock.wants.clone()), ["pack:app 1.0.0 needs pack:base 1.2.0, which is not locked"]);
    let mut more = small();
    more.packages.push(Locked { version: "1.3.0".parse().unwrap(), ..more.packages[1].clone() });
    assert_eq!(refused(&more, lock.wants), ["nothing needs pack:base 1.3.0", "two versions of pack:base are locked"]);
}

#[test]
fn what_nobody_needs_any_more_goes_with_what_needed_it() {
    let found = found(&[
        ("pack:a", "1.0.0", &[1, 2]),
        ("pack:b", "1.0.0", &[]),
        ("pack:c", "1.0.0", &[]),
        ("pack:d", "1.0.0", &[2]),
    ]);
    let lock = Lock::default().with("one.example", wants(&[("pack:a", "*"), ("pack:d", "*")]), &found);
    let names = |lock: &Lock| lock.packages().iter().map(|p| p.id.name().to_owned()).collect::<Vec<_>>();
    let after = lock.without(&id("pack:a")).unwrap();
    assert_eq!(names(&after), ["c", "d"]);
    after.check(&wants(&[("pack:d", "*")])).unwrap();
    assert_eq!(lock.without(&id("pack:b")), None, "it is needed, but nobody asked for it");
    let chains = lock.chains(&id("pack:c"));
    let shown: Vec<Vec<_>> = chains.iter().map(|c| c.iter().map(|p| p.id.name()).collect()).collect();
    assert_eq!(shown, [["a", "c"], ["d", "c"]]);
}

/// Something that others may write, as whole lines.
fn of_others(kind: usize, number: usize) -> String {
    match kind {
        0 => "\n".into(),
        1 => format!("# {number}\n"),
        2 => format!("[table-{number}]\n"),
        3 => format!("[table-{number}]\nx  =  {{ y = [ 1,\n 2 ] }} # z\n"),
        4 => "[[list]]\nx = '''\n[market]\n\n# in a text\n'''\n".into(),
        _ => format!("[a.b-{number}]\n  [a.b-{number}.c]\n"),
    }
}

proptest! {
    #[test]
    fn whatever_stands_around_ours_stays(around in prop::collection::vec(0..6usize, 0..9), at in 0..9usize, crlf: bool) {
        let text = |from: usize, to: usize| -> String {
            let text: String = (from..to).map(|i| of_others(around[i], i)).collect();
            if crlf { text.replace('\n', "\r\n") } else { text }
        };
        let at = at.min(around.len());
        let lock = Lock { above: text(0, at), below: text(at, around.len()), crlf, ..small() };
        let read: Lock = lock.to_text().parse().unwrap();
        prop_assert_eq!(&read, &lock);
        prop_assert_eq!(read.to_text(), lock.to_text());
    }

    #[test]
    fn no_text_makes_reading_panic(text in "\\PC{0,200}|(\\[\\[?market(\\.package|\\.wants)?\\]\\]?\n|[a-z]{1,8} = (1|\"[a-z:@.0-9]{0,9}\"|\\[\\])\n){0,8}") {
        if let Ok(lock) = text.parse::<Lock>() {
            prop_assert_eq!(lock.to_text().parse::<Lock>().map(|l| l.to_text()), Ok(lock.to_text()));
        }
    }
}
