//! Files that are written into the user's folders.

use crate::{failure::Failure, settings::lies_in};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// What a relative path leads to lies in a checkout that a stranger may have made: no part of it may be a link, which would lead
/// somewhere else. A path from the root is the user's own word.
pub(crate) fn require_no_link(path: &Path) -> Result<(), Failure> {
    let mut way = PathBuf::new();
    for part in path.components().take_while(|_| path.is_relative()) {
        way.push(part);
        if way.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
            let message = format!("{} is a link, which may lead anywhere", way.display());
            return Err(Failure::usage(message).hint("if it leads where you want, give the path from the root"));
        }
    }
    Ok(())
}

/// Writes a file whole or not at all, flushed, with those permissions from its first moment. One that is there is written
/// over only if `over` says so.
pub(crate) fn write_new(path: &Path, bytes: &[u8], over: bool, mode: u32) -> Result<(), Failure> {
    place(prepare(path, bytes, mode)?, path, over).map_err(|e| Failure::io("write", path, &e))
}

/// A file that waits for its name, beside where it is to be.
pub(crate) fn prepare(path: &Path, bytes: &[u8], mode: u32) -> Result<NamedTempFile, Failure> {
    let failed = |e: io::Error| Failure::io("write", path, &e);
    // Temporary files are private, so a secret is at no time readable by others.
    let mut temporary = NamedTempFile::new_in(folder_of(path)).map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    #[cfg(not(unix))]
    let _ = mode;
    temporary.as_file().sync_all().map_err(failed)?;
    Ok(temporary)
}

/// Gives it its name.
pub(crate) fn place(temporary: NamedTempFile, path: &Path, over: bool) -> io::Result<()> {
    let persisted = if over { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    persisted.map_err(|e| e.error)?;
    // Not every system can flush a folder.
    let _ = OpenOptions::new().read(true).open(folder_of(path)).and_then(|f| f.sync_all());
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The permissions of a file that holds a secret and that others than its owner can read.
#[cfg(unix)]
pub(crate) fn open_to_others(path: &Path, file: &fs::File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    // systemd lets a service read its credentials by an access list, which shows as the right of the group; nobody else
    // reaches the folder.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|f| !f.is_empty());
    let credential = credentials.is_some_and(|folder| lies_in(path, Path::new(&folder)));
    Ok((mode & if credential { 0o037 } else { 0o077 } != 0).then_some(mode))
}
