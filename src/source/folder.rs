//! A package folder: packed into an archive, which is then read back like one that came from elsewhere. So there is one
//! way only by which a package's bytes become a record, and what is published here is known to pass the readers' checks.

use super::{Candidate, Error, Payload, Result, ScanOptions, Spool, candidate, changed, packed, stamp};
use crate::{
    ErrorKind,
    package::{
        archive,
        manifest::{MAX_MANIFEST, pack},
    },
};
use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    path::Path,
};

/// Whether the folder has a manifest that makes it a package.
pub(super) fn is_package(path: &Path) -> bool {
    matches!(find_manifest(path), Ok(Some(_)) | Err(_))
}

/// The folder's manifest. A file of that name in which no table says that this is a package is another program's.
fn find_manifest(path: &Path) -> Result<Option<(&'static str, Vec<u8>)>> {
    for (name, _) in pack::FILES {
        let file = path.join(name);
        match std::fs::symlink_metadata(&file) {
            Ok(meta) if meta.is_file() => {}
            // A link is not followed, and is refused when the folder is packed.
            Ok(_) => continue,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            // What cannot be looked at may be a package: it is refused, and not taken for one that is gone.
            Err(e) => return Err(Error::io("read", &file, e)),
        }
        let bytes = read_capped(&file).map_err(|e| Error::io("read", &file, e))?;
        if pack::recognizes(&bytes) {
            return Ok(Some((name, bytes)));
        }
    }
    Ok(None)
}

/// One byte more than a manifest may have is enough to refuse it.
fn read_capped(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Packs the folder into the spool.
pub(super) fn read(path: &Path, options: &ScanOptions, spool: &Spool) -> Result<Candidate> {
    let found = find_manifest(path)?;
    let (file, bytes) =
        found.ok_or_else(|| Error::new(ErrorKind::Refused, "the folder holds no package's manifest"))?;
    // `.` has no name of its own.
    let full = path.canonicalize().map_err(|e| Error::io("read", path, e))?;
    let folder = full.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let top = pack::read(file, folder, &bytes)?.name;
    let before = stamp::folder(path)?;
    let mut out = spool.writer();
    archive::pack(path, top.as_str(), &mut out, &options.limits)?;
    let range = out.flush().and_then(|()| out.finish()).map_err(|e| Error::io("write a copy of", path, e))?;
    if stamp::folder(path)? != before {
        return Err(changed(path));
    }
    let input = spool.reader(range).map_err(|e| Error::io("read the copy of", path, e))?;
    let packed = packed::read(BufReader::new(input), packed::Expect::Any, &options.limits)?;
    if packed.manifest.name != top {
        return Err(changed(path));
    }
    Ok(candidate(packed, Payload::Spooled(range), path, before, options.now))
}
