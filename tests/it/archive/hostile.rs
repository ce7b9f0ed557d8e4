//! Every class of hostile archive, with the one error it must end in. The ids A01-A37 are those of the project's list of
//! archives that other readers accepted.

use super::list;
use crate::support::tarball::{Head, Tarball, gzip, record};
use ggen_marketplace::package::archive::{ArchiveError, PathProblem};

struct Case {
    name: &'static str,
    archive: Vec<u8>,
    expected: &'static str,
    is_expected: fn(&ArchiveError) -> bool,
}

macro_rules! case {
    ($name:expr, $archive:expr, $($expected:tt)+) => {
        Case {
            name: $name,
            archive: $archive,
            expected: stringify!($($expected)+),
            is_expected: |e| {
                use ArchiveError::*;
                #[allow(unused_imports, reason = "not every expectation names a problem")]
                use PathProblem as P;
                matches!(e, $($expected)+)
            },
        }
    };
}

fn check(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in cases {
        match list(&case.archive) {
            Ok((summary, _)) => wrong.push(format!("{}: accepted: {summary:?}", case.name)),
            Err(e) if (case.is_expected)(&e) => {}
            Err(e) => wrong.push(format!("{}: {e:?} instead of {}", case.name, case.expected)),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn t() -> Tarball {
    Tarball::default()
}

/// An honest file before the hostile entry, so that the archive is refused for nothing else.
fn good() -> Tarball {
    t().file("p-1/good", "good")
}

fn named(name: impl AsRef<[u8]>) -> Vec<u8> {
    good().file(name, "x").gz()
}

fn typed(flag: u8) -> Vec<u8> {
    good().entry(Head::new("p-1/odd", flag), "").gz()
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    good().pax(records).file("p-1/a", "12345").gz()
}

#[test]
fn paths_that_leave_the_folder_or_have_two_spellings() {
    check(vec![
        case!("A01 two up", named("p-1/../../esc"), Path { problem: P::Parent, .. }),
        case!("A01 up within", named("p-1/a/../b"), Path { problem: P::Parent, .. }),
        case!("A01 starts up", named("../esc"), Path { problem: P::Parent, .. }),
        case!("A01 ends up", named("p-1/.."), Path { problem: P::Parent, .. }),
        case!("A02 absolute", named("/etc/passwd"), Path { problem: P::Absolute, .. }),
        case!("A03 drive", named("C:/x"), Path { problem: P::Drive, .. }),
        case!("A03 drive, backslash", named(r"C:\x"), Path { problem: P::Drive, .. }),
        case!("A03 drive, relative", named("c:x"), Path { problem: P::Drive, .. }),
        case!("A03 server", named(r"\\srv\x"), Path { problem: P::Backslash, .. }),
        case!("A03 server, slashes", named("//srv/x"), Path { problem: P::Absolute, .. }),
        case!("A03 device path", named("//?/C:/x"), Path { problem: P::Absolute, .. }),
        case!("A04 backslashes", named(r"p-1\..\..\esc"), Path { problem: P::Backslash, .. }),
        case!("A04 one backslash", named(r"p-1/a\b"), Path { problem: P::Backslash, .. }),
        case!("A05 up by PAX", pax(&[("path", "p-1/../../esc")]), Path { problem: P::Parent, .. }),
        case!(
            "A05 up by long name",
            good().long_name("p-1/../../esc").file("p-1/a", "").gz(),
            Path { problem: P::Parent, .. }
        ),
        case!("A05 absolute by PAX", pax(&[("path", "/esc")]), Path { problem: P::Absolute, .. }),
        case!(
            "A05 up by prefix",
            good().entry(Head::new("esc", b'0').put(345, "p-1/.."), "").gz(),
            Path { problem: P::Parent, .. }
        ),
        case!("A06 dots", named("./p-1/./a"), Path { problem: P::Current, .. }),
        case!("A06 dot within", named("p-1/./a"), Path { problem: P::Current, .. }),
        case!("A06 dot as folder", good().folder("p-1/./").gz(), Path { problem: P::Current, .. }),
        case!("doubled slash", named("p-1//a"), Path { problem: P::Empty, .. }),
        case!("file ends with a slash", named("p-1/a/"), Path { problem: P::Empty, .. }),
        case!("folder ends with two", good().folder("p-1/a//").gz(), Path { problem: P::Empty, .. }),
        case!("no name", named(""), Path { problem: P::Empty, .. }),
        case!("no name by PAX", pax(&[("path", "")]), Path { problem: P::Empty, .. }),
        case!("no name by long name", good().long_name("").file("p-1/a", "").gz(), Path { problem: P::Empty, .. }),
        case!("root folder", good().folder("/").gz(), Path { problem: P::Empty, .. }),
    ]);
}

#[test]
fn names_that_not_every_system_holds() {
    let long = format!("p-1/{}", "x".repeat(256));
    let deep = format!("p-1{}", "/x".repeat(600));
    let mut cases = vec![
        case!("newline", named("p-1/a\nb"), Path { problem: P::Control, .. }),
        case!("carriage return", named("p-1/a\rb"), Path { problem: P::Control, .. }),
        case!("escape sequence", named("p-1/\x1b[2J"), Path { problem: P::Control, .. }),
        case!("delete", named("p-1/\x7f"), Path { problem: P::Control, .. }),
        case!("C1", named("p-1/\u{9b}31m"), Path { problem: P::Control, .. }),
        case!("line separator", named("p-1/a\u{2028}b"), Path { problem: P::Control, .. }),
        case!("reordered", named("p-1/\u{202e}txt.exe"), Path { problem: P::Control, .. }),
        case!("NUL by PAX", pax(&[("path", "p-1/a\0b")]), Path { problem: P::Control, .. }),
        case!(
            "NUL by long name",
            good().long_name("p-1/a\0b").file("p-1/a", "").gz(),
            Path { problem: P::Control, .. }
        ),
        case!("NUL in the header", named("p-1/a\0b"), Header { field: "name", .. }),
        case!(
            "NUL in the prefix",
            good().entry(Head::new("a", b'0').put(345, "p-1\0x"), "").gz(),
            Header { field: "name prefix", .. }
        ),
        case!("Latin 1", named(b"p-1/\xe9"), Path { problem: P::NotUtf8, .. }),
        case!("overlong UTF-8", named(b"p-1/\xc0\xaf"), Path { problem: P::NotUtf8, .. }),
        case!("surrogate", named(b"p-1/\xed\xa0\x80"), Path { problem: P::NotUtf8, .. }),
        case!(
            "bytes by PAX",
            good().pax_body(record("path", b"p-1/\xff")).file("p-1/a", "").gz(),
            Path { problem: P::NotUtf8, .. }
        ),
        case!("name too long", good().long_name(&long).file("p-1/a", "").gz(), Path { problem: P::PartTooLong, .. }),
        case!(
            "path too long",
            good().long_name(&deep).file("p-1/a", "").gz(),
            PathTooLong { len: 1203, max: 1024, .. }
        ),
    ];
    for name in [
        "con",
        "CON",
        "aux.rs",
        "Aux.tar.gz",
        "nul",
        "prn.txt",
        "com1",
        "LPT9.x",
        "com\u{b2}",
        "conin$",
        "CONOUT$",
        "con .x",
        "con/a",
        "trailing.",
        "trailing ",
        "trailing./a",
        "...",
        " ",
        "a<b",
        "a>b",
        "a:b",
        "file:stream",
        "a\"b",
        "a|b",
        "a?",
        "*",
    ] {
        cases.push(case!("Windows", named(format!("p-1/{name}")), Path { problem: P::Windows, .. }));
    }
    cases.push(case!("Windows top", t().file("nul/a", "").gz(), Path { problem: P::Windows, .. }));
    check(cases);
}

#[test]
fn everything_but_files_and_folders() {
    let link = |flag, target: &str| good().entry(Head::new("p-1/l", flag).target(target), "");
    check(vec![
        case!("A07 symlink out", link(b'2', "../../etc/passwd").gz(), Link { entry } if entry == "p-1/l"),
        case!("A08 symlink, then through it", link(b'2', "/tmp").file("p-1/l/x", "").gz(), Link { .. }),
        case!("A09 symlink to a sibling", link(b'2', "../q-1").file("p-1/l/x", "").gz(), Link { .. }),
        case!("symlink inside", link(b'2', "good").gz(), Link { .. }),
        case!("A10 hard link out", link(b'1', "../../etc/passwd").gz(), Link { .. }),
        case!("A11 hard link inside", link(b'1', "p-1/good").gz(), Link { .. }),
        case!("A12 symlink and folder", link(b'2', "x").folder("p-1/l").gz(), Link { .. }),
        case!(
            "A12 folder and symlink",
            good().folder("p-1/l").entry(Head::new("p-1/l", b'2').target("x"), "").gz(),
            Link { .. }
        ),
        case!(
            "A13 marker as a symlink",
            good().entry(Head::new("p-1/.registry-ok", b'2').target("x"), "").gz(),
            Link { .. }
        ),
        case!(
            "long link target",
            good().entry(Head::new("././@LongLink", b'K').gnu(), "x\0").file("p-1/a", "").gz(),
            Link { .. }
        ),
        case!("link target by PAX", pax(&[("linkpath", "/etc/passwd")]), Link { .. }),
        case!(
            "a file with a target",
            good().entry(Head::new("p-1/a", b'0').target("x"), "").gz(),
            Header { field: "link name", .. }
        ),
        case!(
            "top as a symlink",
            t().entry(Head::new("p-1", b'2').target("/"), "").file("p-1/a", "").gz(),
            Link { .. }
        ),
        case!("A21 named pipe", typed(b'6'), Fifo { entry } if entry == "p-1/odd"),
        case!("A22 character device", typed(b'3'), Device { .. }),
        case!("A23 block device", typed(b'4'), Device { .. }),
        case!("A24 socket", typed(b's'), UnknownType { flag: b's', .. }),
        case!("A24 unknown", typed(b'Z'), UnknownType { flag: b'Z', .. }),
        case!("A25 contiguous", typed(b'7'), Contiguous { .. }),
        case!(
            "A26 sparse",
            good().entry(Head::new("p-1/s", b'S').gnu().put(386, "00000000000\0"), "").gz(),
            Sparse { .. }
        ),
        case!("A26 sparse by PAX", pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.name", "p-1/b")]), Sparse { .. }),
        case!("A27 multi-volume", typed(b'M'), UnknownType { flag: b'M', .. }),
        case!("A27 volume name", typed(b'V'), UnknownType { flag: b'V', .. }),
        case!("A27 folder dump", typed(b'D'), UnknownType { flag: b'D', .. }),
        case!("A27 old long name", typed(b'N'), UnknownType { flag: b'N', .. }),
        case!("A28 Solaris header", typed(b'X'), UnknownType { flag: b'X', .. }),
        case!("A28 Solaris access list", typed(b'A'), UnknownType { flag: b'A', .. }),
        case!("A28 extended attribute", pax(&[("SCHILY.xattr.user.x", "1")]), Attribute { .. }),
        case!("A28 macOS attribute", pax(&[("LIBARCHIVE.xattr.com.apple.x", "1")]), Attribute { .. }),
        case!("A28 access list", pax(&[("SCHILY.acl.access", "user::rwx")]), Attribute { .. }),
        case!("A28 SELinux", pax(&[("RHT.security.selinux", "x")]), Attribute { .. }),
        case!("A28 file flags", pax(&[("SCHILY.fflags", "uchg")]), Attribute { .. }),
    ]);
}

#[test]
fn one_top_folder_with_files() {
    check(vec![
        case!("A14 a sibling", named("q-1/x"), TwoTops { entry, top } if entry == "q-1/x" && top == "p-1"),
        case!("A15 no top folder", t().file("a", "").gz(), NoTopFolder { entry } if entry == "a"),
        case!("A15 a file beside it", named("Cargo.toml"), NoTopFolder { .. }),
        case!("A16 two top folders", t().folder("p-1").folder("q-1").gz(), TwoTops { .. }),
        case!("A17 another version's", named("p-2/x"), TwoTops { .. }),
        case!("twin of the top", named("P-1/x"), TwoTops { .. }),
        case!("A18 top as a file", t().file("p-1", "").gz(), NoTopFolder { .. }),
        case!("A18 top as a file after files", good().file("p-1", "").gz(), NoTopFolder { .. }),
        case!("A19 empty archive", t().gz(), NoFiles),
        case!("A20 only folders", t().folder("p-1/").folder("p-1/a").gz(), NoFiles),
    ]);
}

#[test]
fn paths_that_are_one_somewhere() {
    let pair = |a: &str, b: &str| t().file(format!("p-1/{a}"), "1").file(format!("p-1/{b}"), "2").gz();
    check(vec![
        case!("twice", pair("a", "a"), Duplicate { entry } if entry == "p-1/a"),
        case!("twice by PAX", t().file("p-1/a", "").pax(&[("path", "p-1/a")]).file("p-1/b", "").gz(), Duplicate { .. }),
        case!("a folder twice", good().folder("p-1/d").folder("p-1/d/").gz(), Duplicate { .. }),
        case!("the top twice", t().folder("p-1").folder("p-1/").file("p-1/a", "").gz(), Duplicate { .. }),
        case!("case", pair("README", "readme"), Twin { entry } if entry == "p-1/readme"),
        case!("case of a folder", pair("Src/a", "src/b"), Twin { .. }),
        case!("case of a listed folder", good().folder("p-1/Src").file("p-1/src/b", "").gz(), Twin { .. }),
        case!("case beyond ASCII", pair("É", "é"), Twin { .. }),
        case!("composed and not", pair("é", "e\u{301}"), Twin { .. }),
        case!("case and composition", pair("É", "e\u{301}"), Twin { .. }),
        case!("sharp s", pair("straße", "STRASSE"), Twin { .. }),
        case!("Kelvin", pair("\u{212a}", "k"), Twin { .. }),
        case!("final sigma", pair("ς", "Σ"), Twin { .. }),
        case!("Korean", pair("한", "\u{1112}\u{1161}\u{11ab}"), Twin { .. }),
        case!("invisible to HFS+", pair("git", "g\u{200c}it"), Twin { .. }),
        case!("file, then folder", pair("a", "a/b"), FileAndFolder { .. }),
        case!("folder, then file", pair("a/b", "a"), FileAndFolder { .. }),
        case!("listed folder, then file", good().folder("p-1/d").file("p-1/d", "").gz(), FileAndFolder { .. }),
        case!("file, then listed folder", good().folder("p-1/good").gz(), FileAndFolder { .. }),
    ]);
}

#[test]
fn extended_headers_that_programs_read_differently() {
    let size = |size: &str| pax(&[("size", size)]);
    let body = |body: &[u8]| good().pax_body(body).file("p-1/a", "").gz();
    check(vec![
        case!("A29 size above", size("1024"), PaxSize { entry } if entry == "p-1/a"),
        case!("A30 size below", size("4"), PaxSize { .. }),
        case!("A31 -1", size("-1"), PaxSize { .. }),
        case!("A31 +5", size("+5"), PaxSize { .. }),
        case!("A31 5e0", size("5e0"), PaxSize { .. }),
        case!("A31 space", size(" 5"), PaxSize { .. }),
        case!("A31 empty", size(""), PaxSize { .. }),
        case!("A31 beyond 64 bits", size("18446744073709551621"), PaxSize { .. }),
        case!("A32 path twice", pax(&[("path", "p-1/b"), ("path", "p-1/c")]), PaxDuplicate { key } if key == "path"),
        case!("A32 time twice", pax(&[("mtime", "1"), ("mtime", "1")]), PaxDuplicate { key } if key == "mtime"),
        case!("A32 size twice", pax(&[("size", "5"), ("size", "5")]), PaxDuplicate { .. }),
        case!(
            "A33 global path",
            good().entry(Head::new("g", b'g'), record("path", b"p-1/z")).file("p-1/a", "").gz(),
            GlobalPax
        ),
        case!(
            "A33 global comment",
            t().entry(Head::new("pax_global_header", b'g'), record("comment", b"c0ffee")).file("p-1/a", "").gz(),
            GlobalPax
        ),
        case!(
            "A34 long name, then PAX",
            good().long_name("p-1/l").pax(&[("path", "p-1/x")]).file("p-1/a", "").gz(),
            TwoExtensions { .. }
        ),
        case!(
            "A34 PAX, then long name",
            good().pax(&[("path", "p-1/x")]).long_name("p-1/l").file("p-1/a", "").gz(),
            TwoExtensions { .. }
        ),
        case!(
            "two PAX headers",
            good().pax(&[("mtime", "1")]).pax(&[("path", "p-1/x")]).file("p-1/a", "").gz(),
            TwoExtensions { .. }
        ),
        case!(
            "two long names",
            good().long_name("p-1/l").long_name("p-1/m").file("p-1/a", "").gz(),
            TwoExtensions { .. }
        ),
        case!("A35 no line feed", body(b"14 path=p-1/zX"), PaxMalformed { .. }),
        case!("A35 ends within", body(b"99 path=p-1/z\n"), PaxMalformed { .. }),
        case!("length too short", body(b"9 path=p-1/zz\n"), PaxMalformed { .. }),
        case!("length 0", body(b"0 path=p-1/z\n"), PaxMalformed { .. }),
        case!("length with a zero before it", body(b"015 path=p-1/z\n"), PaxMalformed { .. }),
        case!("length signed", body(b"+14 path=p-1/z\n"), PaxMalformed { .. }),
        case!("no length", body(b" path=p-1/z\n"), PaxMalformed { .. }),
        case!("no key", body(b"10 =p-1/z\n"), PaxMalformed { .. }),
        case!("no value", body(b"8 path\n\n"), PaxMalformed { .. }),
        case!("key with a NUL", body(b"15 pa\0th=p-1/z\n"), PaxMalformed { .. }),
        case!("zeros after the records", body(b"14 path=p-1/z\n\0\0"), PaxMalformed { .. }),
        case!("time is none", pax(&[("mtime", "soon")]), PaxMalformed { .. }),
        case!("owner is none", pax(&[("uid", "-1")]), PaxMalformed { .. }),
        case!("unknown key", pax(&[("hdrcharset", "BINARY")]), PaxKey { key } if key == "hdrcharset"),
        case!("key in capitals", pax(&[("PATH", "p-1/z")]), PaxKey { .. }),
        case!("A36 PAX, then nothing", good().pax(&[("path", "p-1/z")]).gz(), Dangling),
        case!("A36 long name, then nothing", good().long_name("p-1/z").gz(), Dangling),
        case!("A36 PAX, then no end", gzip(&good().pax(&[("path", "p-1/z")]).open()), Dangling),
        case!(
            "A37 PAX header of 2 GiB",
            gzip(&good().entry(Head::new("x", b'x').size(2 << 30), "").open()),
            ExtensionTooLarge { size: 0x8000_0000, .. }
        ),
        case!(
            "A37 long name of 2 GiB",
            gzip(&good().entry(Head::new("x", b'L').size(2 << 30), "").open()),
            ExtensionTooLarge { .. }
        ),
        case!(
            "A37 PAX header just too large",
            good().pax(&[("comment", &"x".repeat(65_536))]).file("p-1/a", "").gz(),
            ExtensionTooLarge { .. }
        ),
    ]);
}

#[test]
fn headers_that_programs_read_differently() {
    let head = || Head::new("p-1/a", b'0');
    // The last byte of the last block, and then the end.
    let padding = |t: &Tarball| {
        let mut open = t.clone().open();
        *open.last_mut().unwrap() = b'!';
        [open, t.clone().file("p-1/b", "").tar()].concat()
    };
    let put = |at: usize, bytes: &[u8]| good().entry(head().put(at, bytes), "x").gz();
    check(vec![
        case!(
            "checksum",
            good().entry(head().put(148, "0000001\0").wrong_checksum(), "").gz(),
            Header { field: "checksum", .. }
        ),
        case!("checksum left out", good().entry(head().wrong_checksum(), "").gz(), Header { field: "checksum", .. }),
        case!("garbage", good().bytes([0xaa; 512]).gz(), Header { field: "checksum", .. }),
        case!("no magic", put(257, &[0; 8]), Header { field: "magic number", .. }),
        case!("half a magic", put(257, b"ustar \x0000"), Header { field: "magic number", .. }),
        case!("other version", put(263, b"01"), Header { field: "magic number", .. }),
        case!(
            "GNU magic with a prefix",
            good().entry(head().gnu().put(345, "q-1"), "").gz(),
            Header { field: "GNU part", .. }
        ),
        case!("bytes at the end", put(508, b"tar\0"), Header { field: "reserved part", .. }),
        case!("size not octal", put(124, b"00000000008\0"), Header { field: "size", .. }),
        case!("size negative", put(124, b"-0000000001\0"), Header { field: "size", .. }),
        case!("size signed", put(124, b"+0000000001\0"), Header { field: "size", .. }),
        case!("size with an underscore", put(124, b"0000000_001\0"), Header { field: "size", .. }),
        case!("size after a NUL", put(124, b"1\x0011111111\0\0"), Header { field: "size", .. }),
        case!("size missing", put(124, &[0; 12]), Header { field: "size", .. }),
        case!("size in base 256", put(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x01"), Header { field: "size", .. }),
        case!("size negative in base 256", put(124, &[0xff; 12]), Header { field: "size", .. }),
        case!("mode no number", put(100, b"rwxr-xr-"), Header { field: "mode", .. }),
        case!("owner no number", put(108, b"zzzzzzz\0"), Header { field: "owner", .. }),
        case!("group negative", put(116, &[0xff; 8]), Header { field: "group", .. }),
        case!("time no number", put(136, b"1e9        \0"), Header { field: "time", .. }),
        case!(
            "time out of range",
            put(136, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
            Header { field: "time", .. }
        ),
        case!("device no number", put(329, b"x"), Header { field: "device", .. }),
        case!(
            "folder with content",
            good().entry(Head::new("p-1/d", b'5'), [b'x'; 512]).gz(),
            Header { field: "size", .. }
        ),
        case!("old folder", good().entry(Head::new("p-1/d/", 0), "").gz(), Header { field: "type", .. }),
        case!(
            "old folder under a long name",
            good().long_name("p-1/f").entry(Head::new("p-1/d/", 0), "").gz(),
            Header { field: "type", .. }
        ),
        case!("bytes in the padding", gzip(&padding(&good().file("p-1/a", "x"))), Header { field: "padding", .. }),
        case!(
            "bytes in the padding of an extended header",
            gzip(&padding(&good().pax(&[("mtime", "1")]))),
            Header { field: "padding", .. }
        ),
    ]);
}

#[test]
fn what_ends_too_early_or_goes_on_too_long() {
    let fine = good().gz();
    let n = fine.len();
    let with = |more: &[u8]| [&fine[..], more].concat();
    let patched = |at: usize, b: u8| {
        let mut bytes = fine.clone();
        bytes[at] ^= b;
        bytes
    };
    let open = good().open();
    let lone = [&open[..], &[0; 512]].concat();
    check(vec![
        case!("nothing at all", Vec::new(), Truncated),
        case!("no gzip", b"PK\x03\x04 this is a zip file".to_vec(), Gzip(_)),
        case!("a plain tar", good().tar(), Gzip(_)),
        case!("gzip of nothing", gzip(b""), NoEndMarker),
        case!("wrong checksum", patched(n - 8, 1), Gzip(_)),
        case!("wrong length", patched(n - 1, 1), Gzip(_)),
        case!("no trailer", fine[..n - 8].to_vec(), Truncated),
        case!("half a trailer", fine[..n - 3].to_vec(), Truncated),
        case!("half of it", fine[..n / 2].to_vec(), Truncated),
        case!("only a gzip header", fine[..10].to_vec(), Truncated),
        case!("reserved gzip flag", patched(3, 0x80), Gzip(_)),
        case!("unknown compression", patched(2, 1), Gzip(_)),
        case!("bytes after it", with(b"x"), TrailingBytes),
        case!("zeros after it", with(&[0; 512]), TrailingBytes),
        case!("a zip after it", with(b"PK\x03\x04"), TrailingBytes),
        case!("a second stream", with(&gzip(b"")), SecondMember),
        case!("a second archive", with(&t().file("q-1/x", "").gz()), SecondMember),
        case!("the tar in two streams", [gzip(&open), gzip(&[0; 1024])].concat(), NoEndMarker),
        case!("no end marker", gzip(&open), NoEndMarker),
        case!("half an end marker", gzip(&lone), NoEndMarker),
        case!("one and a half", gzip(&[&lone[..], &[0; 100]].concat()), NoEndMarker),
        case!(
            "a lone block of zeros within",
            gzip(&[&lone[..], &t().file("p-1/b", "").tar()].concat()),
            AfterEndMarker
        ),
        case!(
            "a second tar behind the first",
            gzip(&[good().tar(), t().file("p-1/b", "").tar()].concat()),
            AfterEndMarker
        ),
        case!("bytes behind the end", gzip(&[good().tar(), vec![0; 4000], b"x".to_vec()].concat()), AfterEndMarker),
        case!("content cut", gzip(&good().entry(Head::new("p-1/a", b'0').size(2000), "x").open()), Truncated),
        case!("padding cut", gzip(&open[..516]), Truncated),
        case!("header cut", gzip(&open[..100]), Truncated),
        case!("extended header cut", gzip(&good().entry(Head::new("x", b'x').size(900), "x").open()), Truncated),
    ]);
}

#[test]
fn a_message_names_the_entry_and_is_safe_to_print() {
    let e = list(&named("p-1/\x1b[2J\u{202e}")).unwrap_err();
    assert_eq!(e.to_string(), r#"the path "p-1/\u{1b}[2J\u{202e}" holds a control character"#);
    let e = list(&named(format!("p-1/a\\{}", "x".repeat(90)))).unwrap_err();
    assert!(e.to_string().contains("p-1/a"));
    let e = ggen_marketplace::Error::from(list(&typed(b'6')).unwrap_err());
    assert_eq!(e.kind(), ggen_marketplace::ErrorKind::Refused);
    assert_eq!(e.to_string(), r#""p-1/odd" is a named pipe; only files and folders are allowed"#);
}
