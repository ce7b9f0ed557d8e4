//! Documents on their way into a bundle. Those of a large registry are much for memory, and they are written in an order that
//! is known only when all of them are there: so their texts wait on disk, and what orders them in memory.

use super::document::{Document, days, standing};
use crate::{Error, Result};
use std::{
    cmp::Reverse,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
};
use tempfile::SpooledTempFile;

/// So much text stays in memory: what one release adds does not touch the disk.
const IN_MEMORY: usize = 4 << 20;

/// How much is written at once.
const PIECE: usize = 256 << 10;

/// The documents of a bundle that is to be built.
pub(crate) struct Drafts {
    all: Vec<Draft>,
    texts: SpooledTempFile,
    /// What is not written yet.
    pending: Vec<u8>,
    end: u64,
}

/// What is known of a document without reading it.
pub(super) struct Draft {
    /// `<kind>/<normalised name>`.
    label: Box<str>,
    downloads: u64,
    /// The day of its release.
    day: u32,
    pub(super) yanked: bool,
    at: u64,
    size: u32,
}

impl Draft {
    pub(super) fn standing(&self, reference: u32) -> u16 {
        standing(self.downloads, self.day, reference)
    }

    /// Its name, normalised: as names are compared.
    pub(super) fn name(&self) -> &str {
        self.by_name().0
    }

    /// What it is ordered by where names order: by kind only where names are the same.
    pub(super) fn by_name(&self) -> (&str, &str) {
        self.label.split_once('/').map_or((&self.label, ""), |(kind, name)| (name, kind))
    }
}

fn failed(e: io::Error) -> Error {
    Error::io("write to", &std::env::temp_dir(), e)
}

impl Drafts {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), texts: SpooledTempFile::new(IN_MEMORY), pending: Vec::new(), end: 0 }
    }

    /// Takes a document.
    pub(crate) fn add(&mut self, document: &Document) -> Result<()> {
        let before = self.pending.len();
        serde_json::to_writer(&mut self.pending, document)
            .unwrap_or_else(|e| unreachable!("a document serialises: {e}"));
        let size = u32::try_from(self.pending.len() - before).map_err(|e| failed(io::Error::other(e)))?;
        self.all.push(Draft {
            label: document.label().into(),
            downloads: document.downloads,
            day: days(document.published),
            yanked: document.yanked,
            at: self.end,
            size,
        });
        self.end += u64::from(size);
        if self.pending.len() >= PIECE { self.write().map_err(failed) } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.texts.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// The day from which the age of releases is counted, in a bundle of these documents alone: that of the newest one, so
    /// that it is a function of what is indexed and not of a clock.
    pub(crate) fn reference(&self) -> u32 {
        self.all.iter().map(|d| d.day).max().unwrap_or(0)
    }

    /// Puts them into the order of a bundle: what can be chosen first, what stands best first.
    pub(super) fn sort(&mut self, reference: u32) {
        let place = |d: &Draft| (d.yanked, Reverse(d.standing(reference)));
        self.all.sort_unstable_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.label.cmp(&b.label)));
    }

    pub(super) fn all(&self) -> &[Draft] {
        &self.all
    }

    /// Hands out the documents, as JSON, in the order of [`all`](Self::all).
    pub(super) fn texts(mut self) -> io::Result<impl Iterator<Item = io::Result<String>>> {
        self.write()?;
        let Self { all, mut texts, .. } = self;
        Ok(all.into_iter().map(move |draft| read(&mut texts, &draft)))
    }

    /// One of so many documents, in the same order.
    pub(super) fn sample(&mut self, every: usize) -> io::Result<impl Iterator<Item = io::Result<String>>> {
        self.write()?;
        let Self { all, texts, .. } = self;
        Ok(all.iter().step_by(every).map(|draft| read(texts, draft)))
    }
}

fn read(texts: &mut SpooledTempFile, draft: &Draft) -> io::Result<String> {
    let mut text = vec![0; draft.size as usize];
    texts.seek(SeekFrom::Start(draft.at))?;
    texts.read_exact(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}
