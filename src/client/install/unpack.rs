//! From an archive to a folder that nobody sees yet.

use crate::{
    Error, ErrorKind, Result,
    client::archives::{ArchiveFile, Hashed},
    package::{
        Archive, ArchiveFormat, Kind,
        archive::{self, Entry, Limits},
    },
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// So much of a file is written at once: most files whole. (`io::copy` takes 8 KiB at a time.)
const BUFFER: usize = 128 * 1024;

/// What was unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unpacked {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Unpacks into a folder that it makes. Fails when the archive breaks a rule or its bytes are not the right ones; the folder
/// is then worth nothing.
pub(super) fn unpack(kind: Kind, name: &str, archive: &Archive, from: &ArchiveFile, into: &Path) -> Result<Unpacked> {
    fs::create_dir(into).map_err(|e| Error::io("create", into, e))?;
    let mut bytes = Hashed::new(&from.file);
    let out = match archive.format {
        ArchiveFormat::Crate | ArchiveFormat::TarGz => {
            let limits = Limits { twins: kind == Kind::Crate, ..Limits::default() };
            let mut buffer = vec![0; BUFFER];
            let summary = archive::read(&mut bytes, &limits, |entry, content| write(into, entry, content, &mut buffer));
            summary.map(|s| Unpacked { files: s.files, bytes: s.unpacked }).map_err(Error::from)
        }
        // What the registry does not look into is installed as the one file that it is.
        ArchiveFormat::Zip | ArchiveFormat::Opaque => {
            let path = into.join(format!("{name}.{}", archive.format.extension()));
            let copied = new_file(&path, false).and_then(|mut file| io::copy(&mut bytes, &mut file));
            copied.map(|bytes| Unpacked { files: 1, bytes }).map_err(|e| Error::io("write", &path, e))
        }
    };
    // Where the bytes are wrong, that is the reason for whatever else is.
    bytes.check(archive)?;
    out.map_err(|e| {
        let kind = if e.kind() == ErrorKind::Io { ErrorKind::Io } else { ErrorKind::Refused };
        Error::new(kind, format!("the archive of {name} cannot be unpacked")).with_source(e)
    })
}

/// Every file is created anew: on a file system that takes two names for one, the second fails and replaces nothing.
fn write(into: &Path, entry: &Entry<'_>, content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<()> {
    let path: PathBuf = into.join(entry.path);
    if entry.directory {
        return fs::create_dir_all(path);
    }
    let mut file = match new_file(&path, entry.executable) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(into))?;
            new_file(&path, entry.executable)?
        }
        file => file?,
    };
    loop {
        match content.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => file.write_all(&buffer[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn new_file(path: &Path, executable: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // What the user's umask leaves of it.
        options.mode(if executable { 0o777 } else { 0o666 });
    }
    let _ = executable;
    options.open(path)
}
