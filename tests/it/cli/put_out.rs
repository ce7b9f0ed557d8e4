//! Archives that are put out of the cache: as files that share its blocks, as second names of its files, or as copies. Which of
//! them depends on the file system, and what comes of it does not.

use super::{Sandbox, flip};
use crate::transport::noise;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SIZE: u64 = 2 << 20;

/// A registry with one large pack, installed and locked; the cache lies in `disk`.
fn large() -> Sandbox {
    let mut s = Sandbox::with_registry();
    s.write("packages/large/pack.toml", "[pack]\nname = \"large\"\nversion = \"1.0.0\"\ndescription = \"D\"\n");
    s.write("packages/large/templates/noise.tmpl", noise(usize::try_from(SIZE).unwrap() * 2));
    s.run(&["build", "--source", "packages"]).ok();
    fs::create_dir(s.path("disk")).unwrap();
    s.set("XDG_CACHE_HOME", s.path("disk/cache").to_str().unwrap());
    s
}

fn download(s: &Sandbox, into: &str) -> PathBuf {
    let run = s.run(&["download", "--all-of", "ggen.lock", "-o", into]).ok();
    let path = s.path(run.out.trim());
    assert!(fs::metadata(&path).unwrap().len() > SIZE);
    path
}

fn cached(s: &Sandbox) -> PathBuf {
    let all = walkdir::WalkDir::new(s.path("disk/cache/ggen-market/archives")).into_iter().map(Result::unwrap);
    all.filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path).next().unwrap()
}

#[test]
fn whoever_changes_an_archive_that_was_put_out_harms_nobody() {
    let s = large();
    s.run(&["install", "large", "--into", "deps"]).ok();
    let first = download(&s, "first");
    let right = fs::read(&first).unwrap();
    // Where it is one file with two names, the cache is damaged by this; that is noticed.
    flip(&first);
    assert!(fs::read(download(&s, "second")).unwrap() == right);
    // And what was changed is put right.
    assert!(fs::read(download(&s, "first")).unwrap() == right);
    // What is installed is nobody else's in any case.
    let installed = s.path("deps/pack/large/templates/noise.tmpl");
    let text = fs::read(&installed).unwrap();
    flip(&installed);
    s.run(&["install", "--into", "again"]).ok();
    assert!(fs::read(s.path("again/pack/large/templates/noise.tmpl")).unwrap() == text);
}

/// A file system in a file, until it is dropped.
#[cfg(target_os = "linux")]
struct Disk(PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    /// `None` where this machine has no such file system, or does not let us.
    fn mount(kind: &str, image: &Path, at: &Path) -> Option<Self> {
        let done = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
        };
        fs::File::create(image).unwrap().set_len(512 << 20).unwrap();
        let made = done(Command::new(format!("mkfs.{kind}")).arg("-q").arg(image));
        let mounted = made && done(Command::new("mount").args(["-t", kind, "-o", "loop"]).arg(image).arg(at));
        mounted.then(|| Self(at.to_owned()))
    }

    fn free(&self) -> u64 {
        rustix::fs::syncfs(fs::File::open(&self.0).unwrap()).unwrap();
        let all = rustix::fs::statvfs(&self.0).unwrap();
        all.f_bfree * all.f_frsize
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Root alone may mount, and not everywhere; elsewhere this says that it was skipped.
#[cfg(target_os = "linux")]
#[test]
fn where_files_can_share_their_blocks_they_do_and_neither_changes_with_the_other() {
    use std::os::unix::fs::MetadataExt as _;
    for kind in ["xfs", "btrfs"] {
        let s = large();
        let Some(disk) = Disk::mount(kind, &s.path("image"), &s.path("disk")) else {
            println!("skipped: no {kind} can be mounted here");
            continue;
        };
        s.run(&["install", "large", "--into", "deps"]).ok();
        let before = disk.free();
        let out = download(&s, "disk/out");
        let (right, took) = (fs::read(&out).unwrap(), before.saturating_sub(disk.free()));
        assert!(took < SIZE / 4, "{kind}: {took} bytes for another {}", right.len());
        let inodes = [&out, &cached(&s)].map(|path| fs::metadata(path).unwrap().ino());
        assert!(inodes[0] != inodes[1] && fs::metadata(&out).unwrap().nlink() == 1, "{kind}: two files");
        flip(&out);
        assert!(fs::read(cached(&s)).unwrap() == right, "{kind}: the cache is as it was");
        assert!(fs::read(download(&s, "disk/again")).unwrap() == right, "{kind}");
    }
}
