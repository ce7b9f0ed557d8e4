//! Limits: each at its border, and that a bomb costs neither time nor memory.

use super::{list, list_within};
use crate::support::tarball::{Head, Tarball, gzip};
use ggen_marketplace::package::archive::{ArchiveError, Limits, read};
use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

fn files(n: usize) -> Vec<u8> {
    (0..n).fold(Tarball::default(), |t, i| t.file(format!("p-1/{i}"), "x")).gz()
}

#[test]
fn each_limit_at_its_border() {
    let archive = Tarball::default().file("p-1/a", vec![b'x'; 5000]).file("p-1/d/bb", "y").gz();
    let unpacked = 512 + 5120 + 1024 + 1024;
    let exact =
        Limits { packed: archive.len() as u64, unpacked, ratio: 1, files: 4, file: 5000, path: 8, twins: false };
    list_within(&archive, &exact).unwrap();
    let refused = |limits: Limits| list_within(&archive, &limits).unwrap_err();
    let less = Limits { packed: exact.packed - 1, ..exact };
    assert!(matches!(refused(less), ArchiveError::PackedTooLarge { .. }));
    let less = Limits { unpacked: unpacked - 1, ..exact };
    assert!(matches!(refused(less), ArchiveError::UnpackedTooLarge { max: 7679 }));
    // Four: the top, a, d and d/bb.
    assert!(matches!(refused(Limits { files: 3, ..exact }), ArchiveError::TooManyFiles { max: 3 }));
    let e = refused(Limits { file: 4999, ..exact });
    assert!(matches!(e, ArchiveError::FileTooLarge { size: 5000, max: 4999, ref entry } if entry == "p-1/a"));
    let e = refused(Limits { path: 7, ..exact });
    assert!(matches!(e, ArchiveError::PathTooLong { len: 8, max: 7, ref entry } if entry == "p-1/d/bb"));
}

#[test]
fn counts_that_explode() {
    let limits = Limits { files: 100, ..Limits::default() };
    list_within(&files(99), &limits).unwrap();
    assert!(matches!(list_within(&files(100), &limits), Err(ArchiveError::TooManyFiles { max: 100 })));
    // One path implies hundreds of folders.
    let deep = Tarball::default().long_name(format!("p-1/{}", "x/".repeat(200) + "a")).file("p-1/a", "").gz();
    assert!(matches!(list_within(&deep, &limits), Err(ArchiveError::TooManyFiles { max: 100 })));
}

#[test]
fn a_size_that_only_the_header_has() {
    let archive = gzip(&Tarball::default().entry(Head::new("p-1/a", b'0').size((8 << 30) - 1), "").open());
    assert!(matches!(list(&archive), Err(ArchiveError::FileTooLarge { size: 0x1_ffff_ffff, .. })));
}

/// An endless archive of one endless file of zeros, packed about 1,000 to 1.
struct Endless {
    start: io::Cursor<Vec<u8>>,
    again: io::Cursor<Vec<u8>>,
    given: u64,
}

impl Endless {
    fn new() -> Self {
        // A deflate stream that is flushed ends at a byte and refers to nothing before it: so it can be repeated.
        let mut raw = flate2::Compress::new(flate2::Compression::best(), false);
        let mut deflate = |bytes: &[u8]| {
            let mut out = Vec::with_capacity(bytes.len() + 100);
            raw.compress_vec(bytes, &mut out, flate2::FlushCompress::Full).unwrap();
            assert!(out.len() < bytes.len() + 100);
            out
        };
        let head = Tarball::default().entry(Head::new("p-1/zeros", b'0').size((8 << 30) - 512), "").open();
        let mut start = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        start.extend(deflate(&head));
        let again = deflate(&vec![0; 1 << 20]);
        assert!(again.len() < 2000);
        Self { start: io::Cursor::new(start), again: io::Cursor::new(again), given: 0 }
    }
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut n = self.start.read(into)?;
        if n == 0 {
            if self.again.position() as usize == self.again.get_ref().len() {
                self.again.set_position(0);
            }
            n = self.again.read(into)?;
        }
        self.given += n as u64;
        Ok(n)
    }
}

/// Reads the endless bomb; says what refused it, how many bytes it gave and how many its file had until then.
fn defuse(limits: &Limits) -> (ArchiveError, u64, u64) {
    let mut bomb = Endless::new();
    let mut content = 0;
    let e = read(&mut bomb, limits, |_, input| {
        content += io::copy(input, &mut io::sink()).unwrap_or_default();
        Ok(())
    })
    .unwrap_err();
    (e, bomb.given, content)
}

#[test]
fn a_bomb_is_cut_off_by_its_ratio() {
    let start = Instant::now();
    let limits = Limits { file: u64::MAX, ..Limits::default() };
    let (e, given, _) = defuse(&limits);
    assert!(matches!(e, ArchiveError::Ratio { max: 200 }), "{e:?}");
    // 16 MiB are free; packed 1,000 to 1 that is about 17 kB, and the buffer may have taken one filling more.
    assert!(given <= 2 * 64 * 1024, "{given} bytes were read before the bomb was seen");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_bomb_is_cut_off_by_its_size() {
    let limits = Limits { file: u64::MAX, ratio: u64::MAX, unpacked: 40 << 20, ..Limits::default() };
    assert!(matches!(defuse(&limits).0, ArchiveError::UnpackedTooLarge { .. }));
    let limits = Limits { file: u64::MAX, ratio: u64::MAX, unpacked: u64::MAX, packed: 50_000, ..Limits::default() };
    let (e, given, _) = defuse(&limits);
    assert!(matches!(e, ArchiveError::PackedTooLarge { max: 50_000 }));
    assert!(given <= 64 * 1024);
}

#[test]
fn zeros_behind_the_end_marker_count() {
    let archive = gzip(&Tarball::default().file("p-1/a", "").bytes(vec![0; 1 << 20]).open());
    let limits = Limits { unpacked: 100_000, ..Limits::default() };
    assert!(matches!(list_within(&archive, &limits), Err(ArchiveError::UnpackedTooLarge { .. })));
}

#[test]
fn errors_of_input_and_visitor_are_not_the_archives() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    let whole = files(3);
    let cut = (&whole[..whole.len() / 2]).chain(Broken);
    let e = read(cut, &Limits::default(), |_, _| Ok(())).unwrap_err();
    assert!(matches!(e, ArchiveError::Input(ref e) if e.to_string() == "the disk is on fire"), "{e:?}");
    let behind = whole.chain(Broken);
    assert!(matches!(read(behind, &Limits::default(), |_, _| Ok(())), Err(ArchiveError::Input(_))));

    let e = read(&whole[..], &Limits::default(), |_, _| Err(io::Error::other("full"))).unwrap_err();
    assert!(matches!(e, ArchiveError::Visit { ref entry, .. } if entry == "p-1/0"), "{e:?}");
    assert_eq!(ggen_marketplace::Error::from(e).chain(), "cannot process \"p-1/0\" of the archive: full");
}

#[test]
fn a_visitor_cannot_hide_that_an_archive_is_damaged() {
    let archive = gzip(&Tarball::default().entry(Head::new("p-1/a", b'0').size(2000), "x").open());
    let swallow = read(&archive[..], &Limits::default(), |_, input| {
        let _ = io::copy(input, &mut io::sink());
        Ok(())
    });
    assert!(matches!(swallow, Err(ArchiveError::Truncated)));
}

/// Run alone, in a process of its own, by the test below.
#[test]
#[ignore = "a part of memory_stays_flat"]
#[cfg(target_os = "linux")]
fn read_a_gigabyte() {
    let limits = Limits { file: u64::MAX, ratio: u64::MAX, unpacked: 1 << 30, ..Limits::default() };
    let (_, _, content) = defuse(&limits);
    assert!(content < 1 << 30);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}

#[test]
#[cfg(target_os = "linux")]
fn memory_stays_flat() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "archive::limits::read_a_gigabyte", "--ignored", "--nocapture"]);
    let out = child.output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let line = text.lines().find_map(|l| l.split_once("VmHWM:")).unwrap_or_else(|| panic!("{text}"));
    let kib: u64 = line.1.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak memory: {kib} KiB");
    assert!(kib < 32 * 1024, "{kib} KiB for an archive of 1 GiB");
}

/// Some published crates hold twins; where they are allowed, nothing else is.
#[test]
fn twins_are_files_of_one_folder_and_only_where_they_are_allowed() {
    let pair = |a: &str, b: &str| Tarball::default().file(format!("p-1/{a}"), "a").file(format!("p-1/{b}"), "b");
    let allowed = Limits { twins: true, ..Limits::default() };
    let (summary, _) = list_within(&pair("README.md", "Readme.md").gz(), &allowed).unwrap();
    assert_eq!(summary.files, 2);
    let strict = list_within(&pair("README.md", "Readme.md").gz(), &Limits::default()).unwrap_err();
    assert!(matches!(strict, ArchiveError::Twin { .. }), "{strict:?}");
    for again in ["README.md", "Readme.md"] {
        let e =
            list_within(&pair("README.md", "Readme.md").file(format!("p-1/{again}"), "c").gz(), &allowed).unwrap_err();
        assert!(matches!(e, ArchiveError::Duplicate { .. }), "{e:?}");
    }
    for (a, b) in [("Src/a", "src/b"), ("src", "SRC/b"), ("SRC/b", "src")] {
        let e = list_within(&pair(a, b).gz(), &allowed).unwrap_err();
        assert!(matches!(e, ArchiveError::Twin { .. }), "{a} {b}: {e:?}");
    }
}
