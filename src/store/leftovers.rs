//! What killed runs leave in a folder: files that were written beside their places, to be moved there in one step. Whoever
//! writes, `object_store` or the writer of views, calls them like the file, with `#` and a number behind it. No key looks so,
//! and no list shows them.

use super::{Listed, Store, open::Backend};
use crate::{Error, Result, format::keys, package::Timestamp, view::View};
use std::{fs, io, path::Path, time::UNIX_EPOCH};
use walkdir::{DirEntry, WalkDir};

/// The folders of a registry itself.
const FOLDERS: [&str; 5] = ["blobs", "gc", "log", "trash", "views"];

impl Store {
    /// The files that are still beside their places, in a folder; elsewhere there are none. Of what else lies in the same
    /// folder nothing is looked at: what belongs to a view counts only where the registry has one. No link is followed.
    pub(crate) async fn leftovers(&self) -> Result<Vec<Listed>> {
        let Backend::Folder(folder) = self.backend.clone() else { return Ok(Vec::new()) };
        let walk = tokio::task::spawn_blocking(move || {
            let has = |view: &View| folder.join(keys::marker(view.as_str())).is_file();
            let views: Vec<View> = View::ALL.into_iter().filter(has).collect();
            let walk = WalkDir::new(&folder).into_iter().filter_entry(|e| e.depth() != 1 || is_walked(e, &views));
            walk.filter_map(|entry| leftover(&folder, &entry.ok()?, &views)).collect()
        });
        walk.await.map_err(|e| Error::io("list", self.path().unwrap_or(Path::new("")), io::Error::other(e)))
    }

    /// Removes one, if nobody has written to it since. False where somebody has, or it is gone.
    pub(crate) async fn remove_leftover(&self, left: &Listed) -> Result<bool> {
        let Backend::Folder(folder) = self.backend.clone() else { return Ok(false) };
        let (path, written) = (folder.join(&left.key), left.modified);
        let removed = tokio::task::spawn_blocking({
            let path = path.clone();
            move || match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() && modified(&found) == Some(written) => {
                    fs::remove_file(&path).map(|()| true)
                }
                Ok(_) => Ok(false),
                Err(e) => Err(e),
            }
        });
        match removed.await.map_err(io::Error::other).and_then(|removed| removed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map_err(|e| Error::io("remove", &path, e)),
        }
    }
}

/// Whether it is a file at the top, or a folder in which files of the registry and its views lie.
fn is_walked(entry: &DirEntry, views: &[View]) -> bool {
    let name = entry.file_name().to_str().unwrap_or_default();
    // By any key in it: that of a view's folder is that of the view.
    let of_view = || views.iter().any(|view| holds(*view, &format!("{name}/any")));
    !entry.file_type().is_dir() || FOLDERS.contains(&name) || of_view()
}

fn leftover(folder: &Path, entry: &DirEntry, views: &[View]) -> Option<Listed> {
    let (stem, number) = entry.file_name().to_str()?.rsplit_once('#')?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) || !entry.file_type().is_file() {
        return None;
    }
    let above = entry.path().parent()?.strip_prefix(folder).ok()?;
    let names: Option<Vec<&str>> = above.components().map(|c| c.as_os_str().to_str()).chain([Some(stem)]).collect();
    if !is_key(&names?.join("/"), views) {
        return None;
    }
    let found = entry.metadata().ok()?;
    let key = entry.path().strip_prefix(folder).ok()?.to_str()?.to_owned();
    Some(Listed { key, size: found.len(), modified: modified(&found)? })
}

/// Whether something of that key is written into a registry with these views.
fn is_key(key: &str, views: &[View]) -> bool {
    keys::POINTERS.contains(&key)
        || keys::parse_blob(key).is_some()
        || keys::parse_trash(key).is_some()
        || keys::parse_slot(key).is_some()
        || View::ALL.iter().any(|view| keys::marker(view.as_str()) == key)
        || views.iter().any(|view| holds(*view, key))
}

/// Whether that key is one of a view.
fn holds(view: View, key: &str) -> bool {
    match view {
        View::Plain => key.starts_with("index/"),
        View::Cargo => key.starts_with("cargo/"),
        View::Ggen => key == keys::CATALOGUE || key.starts_with("packages/"),
        View::Site => keys::site::is_site(key),
    }
}

fn modified(found: &fs::Metadata) -> Option<Timestamp> {
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?))
}
