//! What is accepted, and that GNU tar and Python see the same in it.

use super::{Seen, corpus, list};
use crate::support::tarball::{Head, Tarball, fix_checksum, gzip, record};
use ggen_marketplace::package::archive::{Limits, pack, read};
use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

/// Archives that have to be accepted, each with the paths in it.
fn accepted() -> Vec<(&'static str, Vec<u8>, Vec<String>)> {
    let t = Tarball::default;
    let long = format!("p-1/{}テンプレート.tmpl", "long/".repeat(30));
    let paths = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let one = || vec!["a".to_owned()];
    vec![
        ("a file", t().file("p-1/a", "1").gz(), one()),
        ("an empty file", t().file("p-1/a", "").gz(), one()),
        ("a dotfile", t().file("p-1/.gitignore", "").gz(), paths(&[".gitignore"])),
        (
            "folders",
            t().folder("p-1").folder("p-1/d/").file("p-1/d/a", "1").folder("p-1/e").gz(),
            paths(&["d/", "d/a", "e/"]),
        ),
        ("a folder after its file", t().file("p-1/d/a", "1").folder("p-1/d").gz(), paths(&["d/a", "d/"])),
        ("whole blocks", t().file("p-1/a", [b'x'; 1024]).file("p-1/b", "2").gz(), paths(&["a", "b"])),
        ("GNU magic", t().entry(Head::new("p-1/a", b'0').gnu(), "1").gz(), one()),
        ("old file flag", t().entry(Head::new("p-1/a", 0), "1").gz(), one()),
        ("prefix", t().entry(Head::new("a", b'0').put(345, "p-1/d"), "1").gz(), paths(&["d/a"])),
        ("GNU long name", t().long_name(&long).file(&long[..100], "1").gz(), vec![long[4..].to_owned()]),
        (
            "GNU long name of a folder",
            t().long_name("p-1/l/").folder("p-1/x").file("p-1/a", "").gz(),
            paths(&["l/", "a"]),
        ),
        ("PAX path", t().pax(&[("path", &long)]).file("p-1/x", "1").gz(), vec![long[4..].to_owned()]),
        ("PAX path over a strange name", t().pax(&[("path", "p-1/a")]).file(b"\xff/../x", "1").gz(), one()),
        (
            "harmless PAX keys",
            t().pax(&[
                ("mtime", "1700000000.123456789"),
                ("atime", "0"),
                ("ctime", "-1.5"),
                ("uid", "1000"),
                ("gid", "3000000"),
                ("uname", "an\u{e9}"),
                ("gname", "staff"),
                ("comment", "two\nlines = one"),
                ("size", "1"),
            ])
            .file("p-1/a", "1")
            .gz(),
            one(),
        ),
        ("PAX header without records", t().pax(&[]).file("p-1/a", "1").gz(), one()),
        (
            "names beyond ASCII",
            t().file("p-1/ж", "1").file("p-1/テンプレート", "2").gz(),
            paths(&["ж", "テンプレート"]),
        ),
        (
            "no twins",
            t().file("p-1/a", "").file("p-1/a.b", "").file("p-1/a-b/c", "").gz(),
            paths(&["a", "a.b", "a-b/c"]),
        ),
        ("odd modes", t().entry(Head::new("p-1/a", b'0').mode(0o107644), "1").gz(), one()),
        (
            "numbers with spaces",
            t().entry(Head::new("p-1/a", b'0').put(100, "   644 \0").put(124, "         1 \0"), "1").gz(),
            one(),
        ),
        (
            "owner in base 256",
            t().entry(Head::new("p-1/a", b'0').put(108, b"\x80\0\0\0\0\x2d\xc6\xc0"), "1").gz(),
            one(),
        ),
        ("owner empty", t().entry(Head::new("p-1/a", b'0').put(108, [0; 16]), "1").gz(), one()),
        ("much padding", gzip(&t().file("p-1/a", "1").bytes([0; 20_480]).open()), one()),
        ("gzip with a name", named_gzip(&t().file("p-1/a", "1").tar()), one()),
        (
            "names that only look reserved",
            t().file("p-1/console", "").file("p-1/com10", "").gz(),
            paths(&["console", "com10"]),
        ),
    ]
}

fn named_gzip(tar: &[u8]) -> Vec<u8> {
    let gz = flate2::GzBuilder::new().filename("a.tar").comment("why").extra(vec![1, 2]).mtime(7);
    let mut gz = gz.write(Vec::new(), flate2::Compression::best());
    gz.write_all(tar).unwrap();
    gz.finish().unwrap()
}

#[test]
fn what_packers_write_is_accepted() {
    for (name, archive, paths) in accepted() {
        let (summary, seen) = list(&archive).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let found: Vec<_> = seen.iter().map(|s| format!("{}{}", s.path, if s.directory { "/" } else { "" })).collect();
        assert_eq!(found, paths, "{name}");
        assert_eq!(summary.top, "p-1");
        assert_eq!(summary.files, seen.iter().filter(|s| !s.directory).count() as u64, "{name}");
        assert_eq!(summary.unpacked, seen.iter().map(|s| s.content.len() as u64).sum::<u64>(), "{name}");
    }
}

#[test]
fn only_the_owners_execute_bit_matters() {
    for (mode, executable) in [
        (0o644, false),
        (0o755, true),
        (0o100, true),
        (0o011, false),
        (0o6755, true),
        (0o7000, false),
        (0o100664, false),
        (0, false),
    ] {
        let archive = Tarball::default().entry(Head::new("p-1/a", b'0').mode(mode), "").gz();
        assert_eq!(list(&archive).unwrap().1[0].executable, executable, "{mode:o}");
    }
}

#[test]
fn content_is_whole_whatever_the_visitor_reads() {
    let archive = Tarball::default().file("p-1/a", vec![b'a'; 300_000]).file("p-1/b", "bbb").gz();
    for part in [0, 1, 511, 131_073, 400_000] {
        let mut seen = Vec::new();
        read(&archive[..], &Limits::default(), |entry, input| {
            let mut content = Vec::new();
            std::io::Read::take(input, part).read_to_end(&mut content)?;
            assert!(content.iter().all(|b| *b == entry.path.as_bytes()[0]));
            seen.push(content.len() as u64);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [part.min(300_000), part.min(3)]);
    }
}

#[test]
fn real_crates_are_accepted() {
    for path in corpus() {
        let (summary, seen) =
            list(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
        assert_eq!(Some(summary.top.as_str()), path.file_stem().and_then(|s| s.to_str()));
        assert!(seen.iter().any(|s| s.path == "Cargo.toml"));
    }
}

/// Lists of archives as other programs see them: one line for each entry.
mod others {
    use super::*;

    const PYTHON: &str = r"
import sys, tarfile, zlib, json, os
for n in range(int(sys.argv[2])):
    try:
        out = []
        with tarfile.open(os.path.join(sys.argv[1], str(n)), 'r:gz') as t:
            for m in t:
                data = t.extractfile(m).read() if m.isreg() else b''
                out.append([m.name + ('/' if m.isdir() else ''), len(data), zlib.crc32(data), bool(m.mode & 0o100)])
        print(json.dumps(out))
    except Exception as e:
        print(json.dumps(repr(e)))
";

    fn runs(program: &str) -> bool {
        let found = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
        if !found {
            println!("skipped: no {program} to compare with");
        }
        found
    }

    /// What Python's `tarfile` sees in each of `archives`.
    pub(super) fn python(archives: &[Vec<u8>]) -> Option<Vec<serde_json::Value>> {
        if !runs("python3") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for (n, archive) in archives.iter().enumerate() {
            std::fs::write(folder.path().join(n.to_string()), archive).unwrap();
        }
        let mut command = Command::new("python3");
        command.args(["-X", "utf8", "-c", PYTHON]).arg(folder.path()).arg(archives.len().to_string());
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Some(
            out.stdout
                .split(|b| *b == b'\n')
                .filter(|l| !l.is_empty())
                .map(|l| serde_json::from_slice(l).unwrap())
                .collect(),
        )
    }

    /// What GNU tar sees.
    pub(super) fn gnu_tar(archives: &[Vec<u8>]) -> Option<Vec<Result<Vec<String>, String>>> {
        runs("tar").then(|| archives.iter().map(|a| gnu_tar_one(a)).collect())
    }

    fn gnu_tar_one(archive: &[u8]) -> Result<Vec<String>, String> {
        let mut command = Command::new("tar");
        command.env("LC_ALL", "C").args(["--quoting-style=literal", "-tzf", "-"]);
        let mut tar = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may leave before it has read everything.
        let _ = tar.stdin.take().unwrap().write_all(archive);
        let out = tar.wait_with_output().unwrap();
        if !out.status.success() || !out.stderr.is_empty() {
            return Err(String::from_utf8_lossy(&out.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
    }
}

fn full_path(seen: &Seen) -> String {
    format!("p-1/{}{}", seen.path, if seen.directory { "/" } else { "" })
}

/// Holds what `list` says of `archives`, all of which it accepts, against the other programs.
fn compare(archives: &[Vec<u8>], names: impl Fn(usize) -> String) {
    let ours: Vec<Vec<Seen>> = archives.iter().map(|a| list(a).unwrap().1).collect();
    // The top folder itself, which our visitor never sees, is in the other lists if the archive lists it.
    if let Some(theirs) = others::gnu_tar(archives) {
        for (n, theirs) in theirs.into_iter().enumerate() {
            let theirs = theirs.unwrap_or_else(|e| panic!("{}: GNU tar: {e}", names(n)));
            // It shows a folder's last slash only where the archive has one.
            let bare = |p: &String| p.trim_end_matches('/').to_owned();
            let theirs: Vec<_> = theirs.iter().map(bare).filter(|p| p != "p-1").collect();
            let ours: Vec<_> = ours[n].iter().map(full_path).map(|p| bare(&p)).collect();
            assert_eq!(theirs, ours, "{}: GNU tar", names(n));
        }
    }
    if let Some(theirs) = others::python(archives) {
        assert_eq!(theirs.len(), archives.len());
        for (n, mut theirs) in theirs.into_iter().enumerate() {
            let ours: Vec<_> = ours[n].iter().map(python_row).collect();
            if let Some(rows) = theirs.as_array_mut() {
                rows.retain(|r| r[0] != "p-1/");
                rows.iter_mut()
                    .filter(|r| r[0].as_str().is_some_and(|p| p.ends_with('/')))
                    .for_each(|r| r[3] = false.into());
            }
            assert_eq!(theirs, serde_json::Value::from(ours), "{}: Python", names(n));
        }
    }
}

fn python_row(seen: &Seen) -> serde_json::Value {
    let mut crc = flate2::Crc::new();
    crc.update(&seen.content);
    let executable = seen.executable && !seen.directory;
    serde_json::json!([full_path(seen), seen.content.len(), crc.sum(), executable])
}

#[test]
fn other_programs_see_the_same() {
    let archives = accepted();
    let bytes: Vec<_> = archives.iter().map(|a| a.1.clone()).collect();
    compare(&bytes, |n| archives[n].0.to_owned());
}

/// A folder with all that makes a path need more than a plain header.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("p-1");
    let deep = format!("{}deep", "long-folder-name/".repeat(8));
    for name in ["a", "d/run", ".dot", "テンプレート.tmpl", "e\u{301}", &deep] {
        let path = top.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, name).unwrap();
    }
    folder
}

#[test]
fn other_programs_see_the_same_in_what_we_pack() {
    let folder = folder();
    let mut archive = Vec::new();
    let summary = pack(&folder.path().join("p-1"), "p-1", &mut archive, &Limits::default()).unwrap();
    assert_eq!(summary.files, 6);
    compare(&[archive], |_| "our own".to_owned());
}

#[test]
fn what_other_programs_pack_is_accepted() {
    let folder = folder();
    let script = "
import sys, tarfile
kind = getattr(tarfile, sys.argv[1] + '_FORMAT')
with tarfile.open(fileobj=sys.stdout.buffer, mode='w|gz', format=kind, encoding='utf-8') as t: t.add('p-1')
";
    let mut commands = Vec::new();
    for format in ["PAX", "GNU"] {
        let mut python = Command::new("python3");
        python.args(["-c", script, format]);
        commands.push((format!("Python, {format}"), python));
    }
    for format in ["gnu", "oldgnu", "pax", "posix"] {
        let mut tar = Command::new("tar");
        tar.args([&format!("--format={format}"), "-czf", "-", "p-1"]);
        commands.push((format!("GNU tar, {format}"), tar));
    }
    let mut archives = Vec::new();
    for (name, mut command) in commands {
        match command.current_dir(folder.path()).output() {
            Ok(out) if out.status.success() => archives.push((name, out.stdout)),
            _ => println!("skipped: {name} does not run here"),
        }
    }
    for (name, archive) in &archives {
        let (summary, _) = list(archive).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(summary.files, 6, "{name}");
    }
    let bytes: Vec<_> = archives.iter().map(|a| a.1.clone()).collect();
    compare(&bytes, |n| archives[n].0.clone());
}

/// Damages headers at random (their checksums right again), and compares what is still accepted: whatever another program
/// would read differently must not be.
#[test]
fn other_programs_see_the_same_in_damaged_archives() {
    let base = Tarball::default()
        .file("p-1/a", "1")
        .entry(Head::new("b", b'0').put(345, "p-1/d"), "22")
        .folder("p-1/e/")
        .pax_body([record("mtime", b"1.5"), record("path", b"p-1/long"), record("uid", b"77")].concat())
        .file("p-1/f", "333")
        .long_name("p-1/other")
        .entry(Head::new("p-1/g", b'0').gnu(), "4444")
        .entry(Head::new("p-1/h", 0), "")
        .tar();
    let mut random = 0x9e37_79b9_7f4a_7c13_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let interesting = *b"\0\0 /.017+-_xLgK5\x80\xff~Aa\n";
    let mut kept = Vec::new();
    for _ in 0..6000 {
        let mut tar = base.clone();
        for _ in 0..=next(3) {
            let blocks = tar.len() / 512 - 2;
            let at = next(blocks) * 512
                + if next(3) == 0 {
                    next(512)
                } else {
                    [next(100), 100 + next(57), 257 + next(8), 345 + next(155)][next(4)]
                };
            tar[at] = if next(4) == 0 { next(256) as u8 } else { interesting[next(interesting.len())] };
        }
        for block in tar.chunks_mut(512) {
            // Headers are the blocks with a magic number, or that had one.
            if block[257..].starts_with(b"ust") || block[258..].starts_with(b"star") {
                fix_checksum(block);
            }
        }
        let archive = gzip(&tar);
        if list(&archive).is_ok_and(|(summary, _)| summary.top == "p-1") {
            kept.push(archive);
        }
    }
    assert!(
        kept.len() > 200,
        "only {} of the damaged archives were accepted: this compares next to nothing",
        kept.len()
    );
    kept.truncate(700);
    println!("{} damaged archives are still accepted", kept.len());
    compare(&kept, |n| {
        let file = std::env::temp_dir().join(format!("differs-{n}.tar.gz"));
        let _ = std::fs::write(&file, &kept[n]);
        format!("damaged archive {n}, kept as {}", file.display())
    });
}

#[test]
fn other_programs_see_the_same_in_real_crates() {
    let crates = corpus();
    let few: Vec<_> = crates.iter().step_by(12).collect();
    let archives: Vec<_> = few.iter().map(|p| std::fs::read(p).unwrap()).collect();
    if let Some(theirs) = others::gnu_tar(&archives) {
        for (n, theirs) in theirs.into_iter().enumerate() {
            let (summary, seen) = list(&archives[n]).unwrap();
            let ours: Vec<_> = seen.iter().map(|s| format!("{}/{}", summary.top, s.path)).collect();
            assert_eq!(theirs.unwrap(), ours, "{}", few[n].display());
        }
    }
}
