//! The packer.

use super::{list, list_within};
use ggen_marketplace::package::{
    Sha256,
    archive::{ArchiveError, Limits, PathProblem, SKIPPED, pack},
};
use std::{fs, path::Path};

fn packed(folder: &Path) -> Result<Vec<u8>, ArchiveError> {
    packed_within(folder, &Limits::default())
}

fn packed_within(folder: &Path, limits: &Limits) -> Result<Vec<u8>, ArchiveError> {
    let mut out = Vec::new();
    pack(folder, "p-1.0.0", &mut out, limits)?;
    Ok(out)
}

fn write(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

const LONG: &str =
    "templates/a-long-folder-name-that-goes-on/and-on/and-on-until-it-passes-one-hundred-bytes/in-all/file.tmpl";

fn sample(folder: &Path, reversed: bool) {
    let mut files = vec![
        ("package.toml", "name = \"p\"\n"),
        ("src/main.rs", "fn main() {}\n"),
        ("src.rs", ""),
        (".env.example", "A=1\n"),
        ("templates/テンプレート.tmpl", "{{ name }}\n"),
        (LONG, "long\n"),
        ("B", "upper\n"),
        ("a", "lower\n"),
    ];
    if reversed {
        files.reverse();
    }
    for (path, content) in files {
        write(folder, path, content);
    }
    fs::create_dir_all(folder.join("empty")).unwrap();
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn bytes_depend_on_the_files_alone() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(one.path(), false);
    sample(two.path(), true);
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(two.path().join("a")).unwrap().set_modified(old).unwrap();
    #[cfg(unix)]
    set_mode(&two.path().join("a"), 0o600);
    for skipped in SKIPPED {
        write(two.path(), &format!("src/{skipped}/config"), "x");
    }
    let bytes = packed(one.path()).unwrap();
    assert_eq!(bytes, packed(two.path()).unwrap());
    // Another digest here means that every package would get other bytes: a change to announce, not to wave through.
    assert_eq!(Sha256::of(&bytes).short(), "4d67fe9e8d22");
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
}

#[test]
fn the_list_is_sorted_and_has_no_folders() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path(), true);
    let (summary, seen) = list(&packed(folder.path()).unwrap()).unwrap();
    let paths: Vec<_> = seen.iter().map(|s| s.path.as_str()).collect();
    let expected =
        [".env.example", "B", "a", "package.toml", "src.rs", "src/main.rs", LONG, "templates/テンプレート.tmpl"];
    assert_eq!(paths, expected);
    assert_eq!((summary.top.as_str(), summary.files), ("p-1.0.0", 8));
    assert!(seen.iter().all(|s| !s.executable && !s.directory));
}

#[test]
#[cfg(unix)]
fn the_owners_execute_bit_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("run", 0o755), ("mine", 0o700), ("plain", 0o644), ("others", 0o611), ("suid", 0o4755)] {
        write(folder.path(), name, "");
        set_mode(&folder.path().join(name), mode);
    }
    let (_, seen) = list(&packed(folder.path()).unwrap()).unwrap();
    let executable: Vec<_> = seen.iter().filter(|s| s.executable).map(|s| s.path.as_str()).collect();
    assert_eq!(executable, ["mine", "run", "suid"]);
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_refused() {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(folder.path(), "a", "");

    for target in ["a", "/etc/passwd", "missing", "."] {
        symlink(target, at("link")).unwrap();
        assert!(matches!(packed(folder.path()), Err(ArchiveError::Symlink { path }) if path == at("link")));
        fs::remove_file(at("link")).unwrap();
    }
    let socket = UnixListener::bind(at("socket")).unwrap();
    assert!(matches!(packed(folder.path()), Err(ArchiveError::Special { path }) if path == at("socket")));
    drop(socket);
    fs::remove_file(at("socket")).unwrap();

    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::write(&odd, "").unwrap();
    assert!(matches!(packed(folder.path()), Err(ArchiveError::Path { problem: PathProblem::NotUtf8, .. })));
    fs::remove_file(&odd).unwrap();

    for (name, problem) in [
        ("a\nb", PathProblem::Control),
        ("aux.rs", PathProblem::Windows),
        ("a\\b", PathProblem::Backslash),
        ("a.", PathProblem::Windows),
    ] {
        write(folder.path(), name, "");
        assert!(
            matches!(packed(folder.path()), Err(ArchiveError::Path { problem: p, .. }) if p == problem),
            "{name:?}"
        );
        fs::remove_file(at(name)).unwrap();
    }
    write(folder.path(), "A", "");
    assert!(matches!(packed(folder.path()), Err(ArchiveError::Twin { entry }) if entry == "p-1.0.0/a"));
    fs::remove_file(at("A")).unwrap();
    packed(folder.path()).unwrap();
}

#[test]
fn folders_and_tops_that_cannot_be_packed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(packed(folder.path()), Err(ArchiveError::NoFiles)));
    assert!(matches!(packed(&folder.path().join("missing")), Err(ArchiveError::Folder { .. })));
    write(folder.path(), "a", "");
    assert!(matches!(packed(&folder.path().join("a")), Err(ArchiveError::Folder { .. })));
    for top in ["", ".", "..", "a/b", "/", "a\\b", "C:", "nul", "a\n"] {
        let e = pack(folder.path(), top, Vec::new(), &Limits::default());
        assert!(matches!(e, Err(ArchiveError::Path { .. })), "{top:?}: {e:?}");
    }
}

#[test]
fn what_the_reader_would_refuse_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "zeros", vec![0; 20 << 20]);
    assert!(matches!(packed(folder.path()), Err(ArchiveError::Ratio { max: 200 })));
    let loose = Limits { ratio: 2000, ..Limits::default() };
    let archive = packed_within(folder.path(), &loose).unwrap();
    list_within(&archive, &loose).unwrap();

    let exact = Limits {
        packed: archive.len() as u64,
        unpacked: (20 << 20) + 1536,
        files: 2,
        file: 20 << 20,
        path: 13,
        ..loose
    };
    list_within(&packed_within(folder.path(), &exact).unwrap(), &exact).unwrap();
    let refused = |limits: Limits| packed_within(folder.path(), &limits).unwrap_err();
    assert!(matches!(refused(Limits { packed: exact.packed - 1, ..exact }), ArchiveError::PackedTooLarge { .. }));
    assert!(matches!(refused(Limits { unpacked: exact.unpacked - 1, ..exact }), ArchiveError::UnpackedTooLarge { .. }));
    assert!(matches!(refused(Limits { files: 1, ..exact }), ArchiveError::TooManyFiles { .. }));
    assert!(matches!(refused(Limits { file: exact.file - 1, ..exact }), ArchiveError::FileTooLarge { .. }));
    assert!(matches!(refused(Limits { path: 12, ..exact }), ArchiveError::PathTooLong { .. }));
}

/// Writes to the file that is being packed as soon as the first bytes come out.
struct Meddler<F>(Option<F>);

impl<F: FnOnce()> std::io::Write for Meddler<F> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        if let Some(meddle) = self.0.take() {
            meddle();
        }
        Ok(buf.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let meddled = |meddle: fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        // Incompressible, so that bytes come out while the file is still being read.
        let mut x = 1u32;
        let noise = std::iter::repeat_with(|| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        });
        let noise: Vec<u8> = noise.take(1 << 20).collect();
        write(folder.path(), "a", noise);
        write(folder.path(), "b", "bbb");
        let path = folder.path().to_owned();
        pack(folder.path(), "p-1", Meddler(Some(move || meddle(&path))), &Limits::default())
    };
    let grow = |folder: &Path| {
        use std::io::Write as _;
        fs::File::options().append(true).open(folder.join("a")).unwrap().write_all(b"x").unwrap();
    };
    assert!(matches!(meddled(grow), Err(ArchiveError::Changed { path }) if path.ends_with("a")));
    let shrink =
        |folder: &Path| fs::File::options().write(true).open(folder.join("a")).unwrap().set_len(300_000).unwrap();
    assert!(matches!(meddled(shrink), Err(ArchiveError::Changed { path }) if path.ends_with("a")));
    let replace = |folder: &Path| fs::rename(folder.join("a"), folder.join("b")).unwrap();
    assert!(matches!(meddled(replace), Err(ArchiveError::Changed { path }) if path.ends_with("b")));
    meddled(|_| ()).unwrap();
}

#[test]
fn a_failing_output_is_named() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", "");
    assert!(matches!(pack(folder.path(), "p-1", Full, &Limits::default()), Err(ArchiveError::Output(_))));
}
