//! Reading a lock file. It may have been merged, edited, or made by a stranger.

use super::{Ggen, HEAD, Lock, Locked, LockedId, VERSION};
use crate::{
    Error, ErrorKind,
    package::{Archive, ArchiveFormat, Kind, PackageId, PackageName, PackageSpec, Sha256},
    resolve::requirement,
};
use semver::VersionReq;
use std::{collections::BTreeMap, ops::Range, str::FromStr};
use toml_edit::{Document, Item, Table, TableLike};

/// No lock file is longer.
const MAX: usize = 64 << 20;

/// Why a text is not a lock file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
#[non_exhaustive]
pub struct LockError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
    /// Whether a newer version of this program wrote it.
    pub newer: bool,
}

impl From<LockError> for Error {
    fn from(e: LockError) -> Self {
        let kind = if e.newer { ErrorKind::Unsupported } else { ErrorKind::Invalid };
        let error = Self::new(kind, e.to_string());
        match e.reason.as_str() {
            MERGE => error.with_hint("finish the merge: take the tables of both sides, then run `ggen-market install`"),
            _ => error,
        }
    }
}

const MERGE: &str = "the marks of an unfinished merge";

struct Reader<'a> {
    text: &'a str,
}

impl FromStr for Lock {
    type Err = LockError;
    fn from_str(text: &str) -> Result<Self, LockError> {
        let reader = Reader { text };
        if text.len() > MAX {
            return Err(reader.wrong(None, format!("a lock file is at most {MAX} bytes long")));
        }
        let marks = ["<<<<<<< ", "=======", ">>>>>>> "];
        if let Some(at) = text.lines().position(|l| marks.iter().any(|m| l.starts_with(m))) {
            return Err(LockError { line: at + 1, reason: MERGE.into(), newer: false });
        }
        let document = Document::parse(text).map_err(|e| reader.wrong(e.span(), e.message().trim()))?;
        let mut lock = Lock { ggen: reader.ggen(document.as_table()), above: text.to_owned(), ..Lock::default() };
        if let Some(ours) = document.get("market") {
            let Some(table) = ours.as_table().filter(|t| !t.is_dotted()) else {
                return Err(reader.wrong(ours.span(), "`market` is not written as a table of its own"));
            };
            reader.market(table, &mut lock)?;
            (lock.above, lock.below) = without_ours(text, table);
        }
        lock.crlf = text.split_once('\n').is_some_and(|(line, _)| line.ends_with('\r'));
        Ok(lock)
    }
}

impl Reader<'_> {
    fn wrong(&self, span: Option<Range<usize>>, reason: impl Into<String>) -> LockError {
        let at = span.map_or(0, |s| s.start.min(self.text.len()));
        let line = self.text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        LockError { line, reason: reason.into(), newer: false }
    }

    /// What ggen wrote, as far as it is of the known form: it is not ours to refuse.
    fn ggen(&self, root: &Table) -> Vec<Ggen> {
        let packs = root.get("packs").and_then(Item::as_table_like);
        let one = |(name, item): (&str, &Item)| {
            let table = item.as_table_like()?;
            let text = |key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
            Some(Ggen { name: name.to_owned(), source: text("source")?, content_hash: text("content_hash")? })
        };
        packs.into_iter().flat_map(TableLike::iter).filter_map(one).collect()
    }

    fn market(&self, table: &Table, lock: &mut Lock) -> Result<(), LockError> {
        match table.get("version").and_then(Item::as_integer) {
            Some(VERSION) => {}
            Some(n) if n > VERSION => {
                let reason = format!("lock version {n} is newer than this program reads ({VERSION})");
                let span = table.get("version").and_then(Item::span);
                return Err(LockError { newer: true, ..self.wrong(span, reason) });
            }
            _ => return Err(self.wrong(table.span(), "[market] has no version")),
        }
        // Without it there is no saying where the wants are to be looked for.
        lock.registry = self.registry(table)?;
        for (key, item) in table {
            match key {
                "version" | "registry" => {}
                "wants" => lock.wants = self.requirements(key, item)?,
                "overrides" => lock.overrides = self.requirements(key, item)?,
                "optional" => {
                    let told = item.as_bool();
                    lock.optional = told.ok_or_else(|| self.wrong(item.span(), "`optional` is not true or false"))?;
                }
                "package" => self.packages(item, lock)?,
                _ => match item.as_value() {
                    Some(value) => lock.extra.push((self.key(table, key), value.to_string().trim().to_owned())),
                    None => return Err(self.wrong(item.span(), format!("[market.{key}] is not known here"))),
                },
            }
        }
        Ok(())
    }

    /// A key as it is written.
    fn key(&self, table: &Table, key: &str) -> String {
        table.key(key).map_or_else(|| key.to_owned(), |k| k.to_string().trim().to_owned())
    }

    fn text<'t>(&self, table: &'t Table, key: &str) -> Result<&'t str, LockError> {
        let item = table.get(key).ok_or_else(|| self.wrong(table.span(), format!("`{key}` is missing")))?;
        item.as_str().ok_or_else(|| self.wrong(item.span(), format!("`{key}` is not a text")))
    }

    /// An address or the name of a registry: it stands on one line, so that merging by lines cannot tear it.
    fn one_word<'t>(&self, table: &'t Table, key: &str) -> Result<&'t str, LockError> {
        let text = self.text(table, key)?;
        if !is_one_word(text) {
            let span = table.get(key).and_then(Item::span);
            return Err(self.wrong(span, format!("`{key}` is empty, or has a space or a control character in it")));
        }
        Ok(text)
    }

    fn registry(&self, table: &Table) -> Result<String, LockError> {
        self.one_word(table, "registry").map(str::to_owned)
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, table: &Table, key: &str) -> Result<T, LockError> {
        let text = self.text(table, key)?;
        text.parse().map_err(|e| self.wrong(table.get(key).and_then(Item::span), format!("`{key}`: {e}")))
    }

    fn number(&self, table: &Table, key: &str) -> Result<u64, LockError> {
        let item = table.get(key).ok_or_else(|| self.wrong(table.span(), format!("`{key}` is missing")))?;
        let number = item.as_integer().and_then(|n| u64::try_from(n).ok());
        number.ok_or_else(|| self.wrong(item.span(), format!("`{key}` is not a number of 0 or more")))
    }

    fn requirements(&self, key: &str, item: &Item) -> Result<BTreeMap<PackageId, VersionReq>, LockError> {
        let no_table = || self.wrong(item.span(), format!("`{key}` is not a table"));
        let table = item.as_table().ok_or_else(no_table)?;
        let mut out = BTreeMap::new();
        for (name, item) in table {
            let bad = |reason: String| self.wrong(item.span(), format!("{name:?}: {reason}"));
            let spec: PackageSpec = name.parse().map_err(|e: crate::package::NameError| bad(e.to_string()))?;
            let (Some(kind), None) = (spec.kind, &spec.version) else { return Err(bad("expected KIND:NAME".into())) };
            let id = PackageId::new(kind, &spec.name).map_err(|e| bad(e.to_string()))?;
            let req = item.as_str().ok_or_else(|| bad("its requirement is not a text".into()))?;
            out.insert(id, requirement(req).map_err(|e| bad(e.to_string()))?);
        }
        Ok(out)
    }

    fn packages(&self, item: &Item, lock: &mut Lock) -> Result<(), LockError> {
        let Some(tables) = item.as_array_of_tables() else {
            return Err(self.wrong(item.span(), "`package` is not a list of tables"));
        };
        let mut seen: BTreeMap<LockedId, Locked> = BTreeMap::new();
        for table in tables {
            let package = self.package(table)?;
            // A merge may bring the same table twice; two that contradict each other are for a person to decide.
            match seen.get(&package.locked_id()) {
                Some(other) if other.archive != package.archive => {
                    let reason = format!("{} {} is here twice, with other bytes", package.id, package.version);
                    return Err(self.wrong(table.span(), reason));
                }
                _ => drop(seen.insert(package.locked_id(), package)),
            }
        }
        lock.packages = seen.into_values().collect();
        Ok(())
    }

    fn package(&self, table: &Table) -> Result<Locked, LockError> {
        let name: PackageName = self.parsed(table, "name")?;
        let kind: Kind = self.parsed(table, "kind")?;
        let id = PackageId::new(kind, &name)
            .map_err(|e| self.wrong(table.get("name").and_then(Item::span), format!("`name`: {e}")))?;
        let registry = self.registry(table)?;
        let format = match self.text(table, "format")? {
            "crate" => ArchiveFormat::Crate,
            "tar.gz" => ArchiveFormat::TarGz,
            "zip" => ArchiveFormat::Zip,
            "opaque" => ArchiveFormat::Opaque,
            other => {
                return Err(self.wrong(table.get("format").and_then(Item::span), format!("unknown format {other:?}")));
            }
        };
        let url = table.contains_key("url").then(|| self.one_word(table, "url").map(str::to_owned)).transpose()?;
        let sha256: Sha256 = self.parsed(table, "sha256")?;
        let archive = Archive { format, sha256, size: self.number(table, "size")?, url };
        let dependencies = self.dependencies(table, &registry)?;
        const OURS: [&str; 10] =
            ["kind", "name", "version", "registry", "generation", "url", "format", "sha256", "size", "dependencies"];
        let mut extra = Vec::new();
        for (key, item) in table.iter().filter(|(key, _)| !OURS.contains(key)) {
            match item.as_value() {
                Some(value) => extra.push((self.key(table, key), value.to_string().trim().to_owned())),
                None => return Err(self.wrong(item.span(), format!("the table {key} is not known here"))),
            }
        }
        let (version, generation) = (self.parsed(table, "version")?, self.number(table, "generation")?);
        Ok(Locked { id, name, version, registry, generation, archive, dependencies, extra })
    }

    fn dependencies(&self, table: &Table, own: &str) -> Result<Vec<LockedId>, LockError> {
        let Some(item) = table.get("dependencies") else { return Ok(Vec::new()) };
        let list = item.as_array().ok_or_else(|| self.wrong(item.span(), "`dependencies` is not a list"))?;
        let one = |value: &toml_edit::Value| {
            let bad = |reason: &str| self.wrong(value.span(), format!("a dependency: {reason}"));
            let text = value.as_str().ok_or_else(|| bad("not a text"))?;
            let (text, registry) = text.split_once(" in ").unwrap_or((text, own));
            if !is_one_word(registry) {
                return Err(bad("its registry is empty, or has a space or a control character in it"));
            }
            let spec: PackageSpec = text.parse().map_err(|e: crate::package::NameError| bad(&e.to_string()))?;
            let (Some(kind), Some(version)) = (spec.kind, spec.version) else {
                return Err(bad("expected KIND:NAME@VERSION"));
            };
            let id = PackageId::new(kind, &spec.name).map_err(|e| bad(&e.to_string()))?;
            Ok(LockedId { id, registry: registry.to_owned(), version })
        };
        let mut out = list.iter().map(one).collect::<Result<Vec<_>, LockError>>()?;
        out.sort();
        out.dedup();
        Ok(out)
    }
}

/// What others wrote before our tables, and what they wrote between and after them, byte for byte. A comment belongs to nobody's
/// table, whatever stands next: only between two of ours it is lost.
fn without_ours(text: &str, market: &Table) -> (String, String) {
    let mut ours = Vec::new();
    lines_of(text, market, &mut ours);
    ours.sort_by_key(|lines| lines.start);
    let (mut above, mut below) = (None, String::new());
    let mut at = 0;
    for lines in ours {
        let between = &text[at..lines.start];
        if above.is_none() {
            above = Some(without_head(between));
        } else if !between.lines().all(says_nothing) {
            below.push_str(&without_head(between));
        }
        at = lines.end;
    }
    below.push_str(&text[at..]);
    let mut above = above.unwrap_or_default();
    // The empty line that is written before our head.
    if let Some(rest) = above.strip_suffix("\r\n").or(above.strip_suffix('\n'))
        && rest.ends_with('\n')
    {
        above.truncate(rest.len());
    }
    (above, below)
}

/// Where the lines of this table are, and those of each table below it that has a head of its own.
fn lines_of(text: &str, table: &Table, out: &mut Vec<Range<usize>>) {
    let head = table.span().unwrap_or_default();
    let mut end = head.end;
    for (_, item) in table {
        match item {
            Item::Table(below) if !below.is_dotted() => lines_of(text, below, out),
            Item::ArrayOfTables(tables) => tables.iter().for_each(|below| lines_of(text, below, out)),
            value => end = end.max(end_of(value)),
        }
    }
    if !table.is_implicit() {
        let start = text[..head.start].rfind('\n').map_or(0, |at| at + 1);
        let rest = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
        out.push(start..rest);
    }
}

/// Where a value ends, or the last of those with a dotted key.
fn end_of(item: &Item) -> usize {
    match item.as_table() {
        Some(dotted) => dotted.iter().map(|(_, item)| end_of(item)).max().unwrap_or_default(),
        None => item.span().unwrap_or_default().end,
    }
}

/// What stands before a table of ours, without the line that this program writes there.
fn without_head(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let others = lines.len() - lines.iter().rev().take_while(|line| says_nothing(line)).count();
    let is_ours = |line: &str| bare(line) == HEAD.trim_end();
    lines.into_iter().enumerate().filter(|(at, line)| *at < others || !is_ours(line)).map(|(_, line)| line).collect()
}

fn says_nothing(line: &str) -> bool {
    bare(line).is_empty() || bare(line).starts_with('#')
}

fn bare(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim()
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}
