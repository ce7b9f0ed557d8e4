//! Shards: the records of all packages below a prefix, one JSON object a line.

use super::{Effort, FormatError, Header, Item, Leaf, Object, Prefix, Stored, TreeKind};
use crate::package::{Record, RecordError, Sha256, Version};
use bytes::Bytes;
use std::sync::Arc;

/// One record line as it is stored, without its line end. Lines that this program does not have to change are carried
/// over byte for byte: what a later version of the format put into them survives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) version: Version,
    pub(crate) text: Bytes,
}

impl Line {
    pub(crate) fn new(record: &Record) -> Self {
        // Boxed: what a text kept beyond its length would be kept a million times.
        Self { version: record.version.clone(), text: record.to_line().into_boxed_str().into_boxed_bytes().into() }
    }

    pub(crate) fn record(&self) -> Result<Record, RecordError> {
        let text = std::str::from_utf8(&self.text).map_err(|e| RecordError::Malformed(e.to_string()))?;
        Record::from_line(text)
    }
}

/// All releases of one package, in the order of their versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageLines {
    /// `<kind>/<normalised name>`. A text, not a [`crate::package::PackageId`]: a shard may hold kinds that this program
    /// does not know, and must carry them over.
    pub(crate) label: Arc<str>,
    /// sha256 of the label: its place in the tree.
    pub(crate) key: Sha256,
    pub(crate) lines: Vec<Line>,
}

impl PackageLines {
    pub(crate) fn new(label: Arc<str>) -> Self {
        Self { key: Sha256::of(label.as_bytes()), label, lines: Vec::new() }
    }

    /// As it is kept: most packages have one release, and room for three more would be kept a hundred thousand times.
    pub(crate) fn share(mut self) -> Arc<Self> {
        self.lines.shrink_to_fit();
        Arc::new(self)
    }

    /// What it weighs in a shard: its lines and their line ends.
    pub(crate) fn bytes(&self) -> u64 {
        self.lines.iter().map(|l| l.text.len() as u64 + 1).sum()
    }

    /// The line of a release; build metadata does not make another one.
    pub(crate) fn find(&self, version: &Version) -> Option<&Line> {
        self.lines.iter().find(|l| l.version.same_release(version))
    }
}

impl Item for Arc<PackageLines> {
    const TREE: TreeKind = TreeKind::Index;

    fn key(&self) -> &Sha256 {
        &self.key
    }

    fn bytes(&self) -> u64 {
        PackageLines::bytes(self)
    }

    fn releases(&self) -> u64 {
        self.lines.len() as u64
    }

    fn is_same(&self, other: &Self) -> bool {
        self.lines == other.lines
    }
}

/// A shard, read.
pub(crate) type Shard = Leaf<Arc<PackageLines>>;

impl Stored for Arc<PackageLines> {
    fn read(raw: Vec<u8>, prefix: Prefix) -> Result<Shard, FormatError> {
        let mut current: Option<PackageLines> = None;
        let mut label = String::new();
        let mut out = Shard::read_lines(raw, "shard", prefix, |out, head, text| {
            label.clear();
            label.push_str(&head.kind);
            label.push('/');
            label.push_str(&head.name);
            out.add(&mut current, &label, Line { version: head.version, text }, prefix)
        })?;
        out.items.extend(current.map(PackageLines::share));
        Ok(out)
    }
}

impl Shard {
    /// Takes the next line, which must stand in order: by key, then by version, none twice. `current` is the package whose
    /// lines are being read.
    fn add(
        &mut self,
        current: &mut Option<PackageLines>,
        label: &str,
        line: Line,
        prefix: Prefix,
    ) -> Result<(), FormatError> {
        let wrong = |what: &str| Err(FormatError::malformed("shard", format!("{label} {}: {what}", line.version)));
        if let Some(package) = current.as_mut().filter(|p| *p.label == *label) {
            if package.lines.last().is_some_and(|l| l.version >= line.version) {
                return wrong("out of order or twice");
            }
            package.lines.push(line);
            return Ok(());
        }
        let mut next = PackageLines::new(label.into());
        if !prefix.covers(&next.key) {
            return wrong("belongs into another shard");
        }
        if current.as_ref().is_some_and(|p| p.key >= next.key) {
            return wrong("out of order or twice");
        }
        next.lines.push(line);
        self.items.extend(current.replace(next).map(PackageLines::share));
        Ok(())
    }

    /// Writes the shard of these packages, which are in the order of their keys.
    pub(crate) fn seal(prefix: Prefix, packages: &[Arc<PackageLines>]) -> Object {
        let body: u64 = packages.iter().map(|p| p.bytes()).sum();
        let mut raw = Vec::with_capacity(usize::try_from(body).unwrap_or(0) + 128);
        Header::write(&mut raw, "shard", Some(prefix));
        for line in packages.iter().flat_map(|p| &p.lines) {
            raw.extend_from_slice(&line.text);
            raw.push(b'\n');
        }
        Object::seal(&raw, Effort::Dense)
    }
}
