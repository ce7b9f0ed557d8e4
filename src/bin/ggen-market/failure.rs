//! What went wrong, as a person and an exit code are told. The cause chain of the library's errors is printed here, once.

use crate::output::{Ui, clean};
use ggen_marketplace::{Error, ErrorKind, package::TimestampError, trust::KeyError};
use serde::Serialize;
use std::{io, path::Path};

/// How the program ends. One number for each remedy, so that a script can go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Unavailable = 4,
    Untrusted = 5,
    NotFound = 6,
    Unsupported = 7,
    Unsolvable = 8,
}

impl Code {
    /// Every code that a verb ends with, and what it means; `--help` prints these lines.
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Done, "done"),
        (Self::Failed, "this machine refused: permissions, a full disk, a file that is not there"),
        (Self::Usage, "the command line, the environment or the configuration is wrong"),
        (Self::Refused, "some packages were refused (the others are published), or a release has other bytes already"),
        (Self::Unavailable, "the network or the store did not answer as it should: try again later"),
        (
            Self::Untrusted,
            "not trusted: a signature or digest does not hold, it expired, verify or doctor found problems",
        ),
        (Self::NotFound, "there is no such package, release or generation"),
        (Self::Unsupported, "written by a newer version of this program: upgrade"),
        (Self::Unsolvable, "no versions fit together, or the lock file does not hold what it would have to"),
    ];

    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Usage,
            ErrorKind::Refused | ErrorKind::Conflict => Self::Refused,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Untrusted | ErrorKind::Expired => Self::Untrusted,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Unsolvable => Self::Unsolvable,
            // Io, and kinds that do not exist yet.
            _ => Self::Failed,
        }
    }
}

/// One thing that is wrong: printed for people, and a member of the JSON documents.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    /// The kind of error by its remedy.
    kind: &'static str,
    message: String,
    /// What led to it, where the message alone does not say enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    /// The causes, the outermost first, without those that the message says already.
    causes: Vec<String>,
    hint: Option<String>,
}

impl From<&Error> for Message {
    fn from(e: &Error) -> Self {
        let message = e.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut next = std::error::Error::source(e);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some libraries repeat their cause in their own message; a person needs it once.
            if !message.contains(&text) && !causes.iter().any(|c| c.contains(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        Self { kind: word(e.kind()), message, details: e.details().to_vec(), causes, hint: e.hint().map(Into::into) }
    }
}

impl Message {
    /// Says where.
    pub(crate) fn at(&mut self, place: &str) {
        self.message = format!("{place}: {}", self.message);
    }

    pub(crate) fn print(&self, ui: &Ui, label: &str) {
        ui.label(label, &self.message);
        for detail in &self.details {
            ui.say(&format!("  {}", clean(detail)));
        }
        for cause in &self.causes {
            ui.say(&format!("  caused by: {}", clean(cause)));
        }
        if let Some(hint) = &self.hint {
            ui.say(&format!("  {} {}", ui.strong("hint:"), clean(hint)));
        }
    }
}

/// The name of a kind of error in JSON.
fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "invalid",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Refused => "refused",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Untrusted => "untrusted",
        ErrorKind::Expired => "expired",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Unsolvable => "unsolvable",
        ErrorKind::Io => "io",
        _ => "other",
    }
}

/// Why a verb ends before it is done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// Usually one; a configuration file can have many mistakes; none when nobody reads any more.
    messages: Vec<Message>,
}

impl Failure {
    fn new(code: Code, kind: ErrorKind, message: String) -> Self {
        Self {
            code,
            messages: vec![Message { kind: word(kind), message, details: Vec::new(), causes: Vec::new(), hint: None }],
        }
    }

    /// Something that the user gave is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, ErrorKind::Invalid, message.into())
    }

    /// This machine refused: `verb` says what was tried, `path` on what.
    pub(crate) fn io(verb: &str, path: &Path, cause: &io::Error) -> Self {
        Self::new(Code::Failed, ErrorKind::Io, format!("cannot {verb} {}", path.display())).because(cause)
    }

    /// What was named is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, ErrorKind::NotFound, message.into())
    }

    /// The lock file would have to change.
    pub(crate) fn drift(details: Vec<String>) -> Self {
        let message = "the lock file does not hold what it would have to".to_owned();
        let mut out = Self::new(Code::Unsolvable, ErrorKind::Unsolvable, message);
        out.messages.iter_mut().for_each(|m| m.details.clone_from(&details));
        out.hint("run without --locked and --frozen to resolve anew")
    }

    /// Says where.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.messages.iter_mut().for_each(|m| m.at(place));
        self
    }

    /// Whoever read standard output has gone. That is how `| head` ends, and no error.
    fn closed() -> Self {
        Self { code: Code::Done, messages: Vec::new() }
    }

    pub(crate) fn because(mut self, cause: impl ToString) -> Self {
        if let Some(last) = self.messages.last_mut() {
            last.causes.push(cause.to_string());
        }
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(last) = self.messages.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }

    /// Adds the messages of another one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.messages.extend(other.messages);
        self
    }

    pub(crate) fn print(&self, ui: &Ui) {
        for message in &self.messages {
            message.print(ui, "error:");
        }
    }

    /// Prints what does not end the run.
    pub(crate) fn warn(&self, ui: &Ui) {
        for message in self.messages.iter().filter(|_| !ui.quiet()) {
            message.print(ui, "warning:");
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self { code: Code::of(e.kind()), messages: vec![Message::from(&e)] }
    }
}

impl From<KeyError> for Failure {
    fn from(e: KeyError) -> Self {
        Error::from(e).into()
    }
}

impl From<TimestampError> for Failure {
    fn from(e: TimestampError) -> Self {
        Self::usage("SOURCE_DATE_EPOCH is not a number of seconds since 1970").because(e)
    }
}

/// An error of standard output: the only stream whose errors reach a verb without a path.
impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Self::closed();
        }
        Self::io("write to", Path::new("standard output"), &e)
    }
}
