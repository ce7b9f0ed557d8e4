//! Files that are written into the user's folders.

use crate::{failure::Failure, settings::lies_in};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// Writes a file whole or not at all, flushed, with those permissions from its first moment. One that is there is written
/// over only if `over` says so.
pub(crate) fn write_new(path: &Path, bytes: &[u8], over: bool, mode: u32) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::io("write", path, &e);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are private, so a secret is at no time readable by others.
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    #[cfg(not(unix))]
    let _ = mode;
    temporary.as_file().sync_all().map_err(failed)?;
    let persisted = if over { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    persisted.map_err(|e| failed(e.error))?;
    // Not every system can flush a folder.
    let _ = OpenOptions::new().read(true).open(folder).and_then(|f| f.sync_all());
    Ok(())
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
