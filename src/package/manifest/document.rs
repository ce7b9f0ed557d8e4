//! A parsed TOML file that remembers where everything stands, so that every complaint names file, line and column.
//!
//! Serde would drop the places of values that are read leniently, and would have to buffer the many shapes that one key
//! has in real manifests; `toml`'s own document type has both the values and their spans.

use super::{MAX_LIST, MAX_MANIFEST};
use crate::package::{NameError, PackageName, VersionError};
use std::{borrow::Cow, fmt};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

type Value<'i> = Spanned<DeValue<'i>>;

/// Why a manifest cannot be used, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {problem}", Place(*.at))]
pub struct ManifestError {
    /// The manifest's file name.
    pub file: String,
    /// Line and column, both from 1, where the complaint is about something that stands there.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub problem: Box<Problem>,
}

impl From<ManifestError> for crate::Error {
    fn from(e: ManifestError) -> Self {
        Self::new(crate::ErrorKind::Refused, e.to_string())
    }
}

struct Place(Option<(usize, usize)>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
    }
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Larger than [`MAX_MANIFEST`].
    #[error("the manifest is larger than {MAX_MANIFEST} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("not UTF-8 text: the first {0} bytes are")]
    NotUtf8(usize),
    /// Not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// No table in it says that it describes a package.
    #[error("no table {0}")]
    NoTable(&'static str),
    /// A key that must be there is not.
    #[error("key `{0}` is missing")]
    Missing(String),
    /// A value of another type than it has to be.
    #[error("`{key}` must be {expected}, not {found}")]
    Type {
        /// The key, with its tables.
        key: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A name that cannot be one.
    #[error("`{key}`: {error}")]
    Name {
        /// The key, with its tables.
        key: String,
        /// What is wrong with the name.
        error: NameError,
    },
    /// A version that is none.
    #[error("`{key}`: {error}")]
    Version {
        /// The key, with its tables.
        key: String,
        /// What is wrong with the version.
        error: VersionError,
    },
    /// A requirement on versions that cannot be read.
    #[error("`{key}`: {text:?} is not a version requirement: {reason}")]
    Requirement {
        /// The key, with its tables.
        key: String,
        /// The requirement, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A dependency that nobody who gets the package from a registry could find.
    #[error("`{key}`: {reason}")]
    Dependency {
        /// The key, with its tables.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// A list longer than [`MAX_LIST`].
    #[error("`{0}` has more than {MAX_LIST} entries")]
    TooMany(String),
}

/// Checks size and encoding of a manifest's bytes.
pub(super) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, ManifestError> {
    let fail = |problem| ManifestError { file: file.to_owned(), at: None, problem: Box::new(problem) };
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(fail(Problem::TooLarge));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| fail(Problem::NotUtf8(e.valid_up_to())))?;
    Ok(text)
}

/// A whole file.
pub(super) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn parse(file: &'a str, text: &'a str) -> Result<Self, ManifestError> {
        // A byte order mark is not TOML, but editors of one system write it and no reader can see it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { file, text, root }),
            Err(e) => {
                let problem = Box::new(Problem::Syntax(shorten(e.message(), 200)));
                Err(ManifestError { file: file.to_owned(), at: e.span().map(|s| place(text, s.start)), problem })
            }
        }
    }

    pub(super) fn root(&self) -> Table<'_> {
        Table { file: self.file, text: self.text, path: String::new(), at: None, map: self.root.get_ref() }
    }
}

/// One table of a file.
#[derive(Clone)]
pub(super) struct Table<'d> {
    file: &'d str,
    text: &'d str,
    /// Its dotted name; empty for the root.
    path: String,
    at: Option<usize>,
    map: &'d DeTable<'d>,
}

impl<'d> Table<'d> {
    pub(super) fn get(&self, key: &str) -> Option<&'d Value<'d>> {
        self.map.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d str, &'d Value<'d>)> + use<'d> {
        self.map.iter().map(|(k, v)| (k.get_ref().as_ref(), v))
    }

    /// The entries, where there are not too many of them.
    pub(super) fn bounded(&self) -> Result<impl Iterator<Item = (&'d str, &'d Value<'d>)> + use<'d>, ManifestError> {
        if self.map.len() > MAX_LIST {
            return Err(self.fail_at(self.at, Problem::TooMany(self.path.clone())));
        }
        Ok(self.entries())
    }

    /// The dotted name of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        let key = shorten(key, 80);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn value_as_table(&self, key: &str, value: &'d Value<'d>) -> Option<Table<'d>> {
        let map = value.get_ref().as_table()?;
        Some(Table { file: self.file, text: self.text, path: self.key(key), at: Some(value.span().start), map })
    }

    /// The table under `key`; nothing when there is none or it is something else.
    pub(super) fn loose_table(&self, key: &str) -> Option<Table<'d>> {
        self.value_as_table(key, self.get(key)?)
    }

    /// The table under `key`.
    pub(super) fn table(&self, key: &str) -> Result<Option<Table<'d>>, ManifestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        self.value_as_table(key, value).map(Some).ok_or_else(|| self.wrong_type(key, value, "a table"))
    }

    /// The string under `key`; nothing when there is none or it is something else.
    pub(super) fn loose_str(&self, key: &str) -> Option<&'d str> {
        self.get(key)?.get_ref().as_str()
    }

    /// The string under `key`.
    pub(super) fn str(&self, key: &str) -> Result<Option<&'d str>, ManifestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.get_ref().as_str().map(Some).ok_or_else(|| self.wrong_type(key, value, "a string"))
    }

    /// The string under `key`, which must be there.
    pub(super) fn required(&self, key: &str) -> Result<&'d str, ManifestError> {
        self.str(key)?.ok_or_else(|| self.fail_at(self.at, Problem::Missing(self.key(key))))
    }

    /// The truth value under `key`.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ManifestError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong_type(key, value, "true or false"))
    }

    /// The list of strings under `key`.
    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<&'d str>>, ManifestError> {
        self.get(key).map(|value| self.value_as_list(key, value)).transpose()
    }

    pub(super) fn value_as_list(&self, key: &str, value: &'d Value<'d>) -> Result<Vec<&'d str>, ManifestError> {
        const EXPECTED: &str = "a list of strings";
        let array = value.get_ref().as_array().ok_or_else(|| self.wrong_type(key, value, EXPECTED))?;
        if array.len() > MAX_LIST {
            return Err(self.fail(value, Problem::TooMany(self.key(key))));
        }
        array.iter().map(|v| v.get_ref().as_str().ok_or_else(|| self.wrong_type(key, v, EXPECTED))).collect()
    }

    /// The strings under `key`, whatever stands between them; a single string is a list of one.
    pub(super) fn loose_list(&self, key: &str) -> Vec<&'d str> {
        match self.get(key).map(Spanned::get_ref) {
            Some(DeValue::String(s)) => vec![s.as_ref()],
            Some(DeValue::Array(a)) => a.iter().filter_map(|v| v.get_ref().as_str()).take(MAX_LIST).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn wrong_type(&self, key: &str, value: &Value<'_>, expected: &'static str) -> ManifestError {
        let found = value.get_ref().type_str();
        self.fail(value, Problem::Type { key: self.key(key), expected, found })
    }

    /// A complaint about `value`.
    pub(super) fn fail(&self, value: &Value<'_>, problem: Problem) -> ManifestError {
        self.fail_at(Some(value.span().start), problem)
    }

    /// A complaint about what stands under `key`, or about the table where nothing does.
    pub(super) fn fail_key(&self, key: &str, problem: Problem) -> ManifestError {
        self.fail_at(self.get(key).map(|v| v.span().start).or(self.at), problem)
    }

    fn fail_at(&self, at: Option<usize>, problem: Problem) -> ManifestError {
        ManifestError { file: self.file.to_owned(), at: at.map(|at| place(self.text, at)), problem: Box::new(problem) }
    }

    /// `text` as a package's name.
    pub(super) fn name(&self, key: &str, value: &Value<'_>, text: &str) -> Result<PackageName, ManifestError> {
        PackageName::new(text).map_err(|error| self.fail(value, Problem::Name { key: self.key(key), error }))
    }

    /// `text` as a version requirement, in the one spelling that cargo's index has too: `1.0` becomes `^1.0`.
    pub(super) fn requirement(&self, key: &str, value: &Value<'_>, text: &str) -> Result<String, ManifestError> {
        requirement(text).map_err(|reason| {
            self.fail(value, Problem::Requirement { key: self.key(key), text: shorten(text, 80), reason })
        })
    }
}

/// A version requirement in its one spelling, or what is wrong with it.
pub(crate) fn requirement(text: &str) -> Result<String, String> {
    match semver::VersionReq::parse(text.trim()) {
        Ok(req) => Ok(req.to_string()),
        Err(e) => Err(shorten(&e.to_string(), 200)),
    }
}

pub(super) fn shorten(text: &str, max: usize) -> String {
    let text: Cow<str> = if text.len() > max { (&text[..text.floor_char_boundary(max)]).into() } else { text.into() };
    text.replace(|c: char| c.is_control(), " ")
}

/// Line and column of a byte offset, from 1; the column counts characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.bytes().filter(|b| *b == b'\n').count() + 1, before[line_start..].chars().count() + 1)
}
