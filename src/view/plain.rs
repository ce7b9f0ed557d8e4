//! `index/<kind>/<folders>/<name>`: the record lines of a package as they stand in its shard (but for how strings are written), for whoever has curl and a
//! JSON parser. Nothing is left out: yanked releases and tombstones are there too, and records of later versions.

use super::{File, Rendered, inert};
use crate::format::{PackageLines, keys};

pub(super) fn package(package: &PackageLines) -> Rendered {
    let Some((kind, name)) = package.label.split_once('/') else { return Rendered::default() };
    let mut bytes = Vec::with_capacity(usize::try_from(package.bytes()).unwrap_or(0));
    for line in &package.lines {
        bytes.extend_from_slice(&line.text);
        bytes.push(b'\n');
    }
    let file = File { key: keys::plain_index(kind, name), bytes: inert(&bytes) };
    Rendered { files: vec![file], notes: Vec::new() }
}
