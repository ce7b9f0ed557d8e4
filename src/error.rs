//! The one error type of the public API: a kind that says what to do, a message that speaks for its own layer, and the
//! cause below it.

use std::{fmt, sync::Arc};

/// What a caller can do about an [`Error`].
///
/// Kinds are grouped by remedy, not by the module that failed. The command line maps each to one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something the caller gave is wrong (a name, an option, a configuration file): correct it.
    Invalid,
    /// The registry proved that there is no such package or release.
    NotFound,
    /// A package breaks a rule of the registry: its author has to change it.
    Refused,
    /// A release of that name and version exists with other bytes: publish a new version.
    Conflict,
    /// A signature, a digest or the log does not hold: do not use what was read; ask the registry's operator.
    Untrusted,
    /// The newest checkpoint that could be had has expired: the operator's scheduled build has stopped.
    Expired,
    /// The object was written by a newer version of this program: upgrade.
    Unsupported,
    /// The network or the store did not answer as it should: try again later.
    Unavailable,
    /// No versions of the packages fit together, or a lock file does not hold what it would have to: ask for something else,
    /// or resolve anew. [`Error::details`] has the reasons.
    Unsolvable,
    /// The local machine refused: permissions, a full disk, a path that is not there.
    Io,
}

/// An error of this library.
///
/// [`Error::kind`] tells what to do. The message speaks only for its own layer; the cause is in
/// [`source`](std::error::Error::source). No message holds a secret.
///
/// ```
/// use ggen_marketplace::{ErrorKind, package::PackageName};
/// let e: ggen_marketplace::Error = PackageName::new("../etc").unwrap_err().into();
/// assert_eq!(e.kind(), ErrorKind::Invalid);
/// ```
/// (Cheap to share: many may have waited for the one request that failed.)
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The result of this library's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), details: Vec::new(), hint: None, source: None }))
    }

    /// An error of the local machine: `verb` says what was tried, `path` on what.
    pub(crate) fn io(verb: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        let full = source.kind() == std::io::ErrorKind::StorageFull;
        let e = Self::new(ErrorKind::Io, format!("cannot {verb} {}", path.display())).with_source(source);
        if full {
            e.with_hint("free some space and run the same command again: it goes on where it stopped")
        } else {
            e
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).hint = Some(hint.into());
        self
    }

    pub(crate) fn with_details(mut self, details: Vec<String>) -> Self {
        Arc::make_mut(&mut self.0).details = details;
        self
    }

    /// The same error for one of several who waited for the same thing.
    pub(crate) fn shared(all: Arc<Self>) -> Self {
        Self(Arc::clone(&all.0))
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What led to it, one sentence each, where the message alone does not say enough: the reasons for which no versions
    /// of some packages fit together.
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// A sentence that helps a person to go on, where there is one.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Message and causes on one line, for logs: `outer: inner: innermost`.
    pub fn chain(&self) -> String {
        let mut out = self.0.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(e) = next {
            let text = e.to_string();
            // Some libraries repeat their cause in their own message; a person needs it once.
            if !out.contains(&text) {
                out.push_str(": ");
                out.push_str(&text);
            }
            next = e.source();
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| &**e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waited_gets_the_same_error() {
        let cause = Error::new(ErrorKind::Io, "inner").with_source("innermost");
        let all = Arc::new(Error::new(ErrorKind::Unavailable, "outer").with_source(cause).with_hint("wait"));
        let other = Error::shared(Arc::clone(&all));
        assert_eq!((other.kind(), other.hint(), other.chain()), (all.kind(), all.hint(), all.chain()));
        assert_eq!(other.chain(), "outer: inner: innermost");
        assert_eq!(Error::shared(all).chain(), "outer: inner: innermost");
    }
}
