//! An operator's templates, read from a folder.

use crate::{
    Error, ErrorKind, Result,
    view::{MAX_THEME, Theme},
};
use std::{collections::BTreeMap, fs, path::Path};

/// More files are no theme.
const MAX_FILES: usize = 512;

impl Theme {
    /// Reads a folder of templates and assets that take the place of the program's own, or stand beside them. What begins with
    /// a dot is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is neither a template nor an asset, and for a template with a mistake: it is named with
    /// its line. [`ErrorKind::Io`] where the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut total = 0;
        // Links are followed: that is how some systems mount a folder of settings.
        let walk = walkdir::WalkDir::new(folder).follow_links(true).max_depth(6).sort_by_file_name();
        let visible = |e: &walkdir::DirEntry| e.depth() == 0 || !e.file_name().to_string_lossy().starts_with('.');
        for entry in walk.into_iter().filter_entry(visible) {
            let entry = entry.map_err(|e| {
                Error::new(ErrorKind::Io, format!("cannot read the templates in {}", folder.display())).with_source(e)
            })?;
            if !entry.file_type().is_file() {
                continue;
            }
            let path = entry.path();
            let below = path.strip_prefix(folder).unwrap_or(path);
            let names: Option<Vec<&str>> = below.components().map(|c| c.as_os_str().to_str()).collect();
            let name = names
                .map(|n| n.join("/"))
                .ok_or_else(|| Error::new(ErrorKind::Invalid, format!("the name of {} is not text", path.display())))?;
            total += entry.metadata().map_or(0, |m| m.len());
            if total > MAX_THEME || files.len() >= MAX_FILES {
                let message =
                    format!("{} holds more than templates: over {MAX_FILES} files or 32 MiB", folder.display());
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
            files.insert(name, bytes.into());
        }
        Self::with(files).map_err(|e| {
            let hint = e.hint().map(str::to_owned);
            let error =
                Error::new(e.kind(), format!("the templates in {} are of no use", folder.display())).with_source(e);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }
}
