//! Why something is not trusted.

use super::{
    keys::KeyError,
    note::NoteError,
    origin::{Origin, OriginError},
    policy::{Evidence, Misbehaviour},
};
use crate::{Error, ErrorKind, package::Timestamp};
use std::time::Duration;

/// Why a key, a slot or a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not a signed note, or not signed as it should be.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A key is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A registry's name is not one.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The keys given to check with are none, or of several origins.
    #[error("the keys to check with have to be of one origin, and at least one")]
    Keys,
    /// Signed, but as something else: a claim served as a checkpoint, for instance (I18).
    #[error("the signed text is not a {expected}: it begins with {found:?}")]
    Domain {
        /// What was wanted.
        expected: &'static str,
        /// Its first line, shortened.
        found: String,
    },
    /// Signed by a newer version of this program.
    #[error("the {what} has format version {version}; this program reads version 1")]
    Newer {
        /// What was read.
        what: &'static str,
        /// Its version.
        version: u32,
    },
    /// Signed, but its text breaks the format.
    #[error("the signed {what} is malformed: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// It speaks for another registry (a replay of another one's checkpoint).
    #[error("the {what} is of {found}, not of {expected}")]
    WrongOrigin {
        /// What was read.
        what: &'static str,
        /// The registry that was asked.
        expected: Origin,
        /// The registry it names.
        found: String,
    },
    /// It is of another generation than the place it was read from.
    #[error("the {what} is of generation {found}, not {expected}")]
    WrongGeneration {
        /// What was read.
        what: &'static str,
        /// The generation that was asked for.
        expected: u64,
        /// The one it names.
        found: u64,
    },
    /// The checkpoint's digest is not that of the slot it carries.
    #[error("the checkpoint's digest is not that of the slot inside it")]
    SlotDigest,
    /// Slot and checkpoint are by different keys.
    #[error("the checkpoint and the slot inside it are signed by different keys")]
    OtherKey,
    /// A claim that must not be signed.
    #[error("this claim cannot be signed: {0}")]
    Unsignable(&'static str),
    /// No new claim fits: the number of generations is used up.
    #[error("the registry's last generation is reached")]
    LastGeneration,
    /// The registry's own statement ran out.
    #[error("the newest checkpoint expired at {expires} (it is {now} now)")]
    Expired {
        /// When.
        expires: Timestamp,
        /// The time that it was held against.
        now: Timestamp,
    },
    /// It is dated later than now.
    #[error("the checkpoint is dated {time}, {} s in the future", ahead.as_secs())]
    Future {
        /// Its time.
        time: Timestamp,
        /// How much later.
        ahead: Duration,
    },
    /// The registry contradicted itself, and signed both statements.
    #[error("{}", .0.misbehaviour)]
    Misbehaviour(Box<Evidence>),
}

impl TrustError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Key(KeyError::Random(_)) => ErrorKind::Io,
            Self::Key(KeyError::Algorithm(_)) | Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Key(_) | Self::Origin(_) | Self::Keys | Self::Unsignable(_) | Self::LastGeneration => {
                ErrorKind::Invalid
            }
            Self::Expired { .. } => ErrorKind::Expired,
            _ => ErrorKind::Untrusted,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Note(NoteError::NotText | NoteError::Unsigned | NoteError::TooLarge(_)) => {
                "something other than a registry answered: check its address, and whether a proxy or login page is in between"
            }
            Self::Note(NoteError::UnknownKeys { .. }) => {
                "check the pinned key: if the registry changed its key, its operator can tell you the new one"
            }
            Self::Newer { .. } => "upgrade ggen-market",
            Self::Expired { .. } => {
                "the registry's scheduled build has stopped: tell its operator; an install from a lock file still works"
            }
            Self::Future { .. } => "check this machine's clock; if it is right, the registry's builder has a wrong one",
            Self::Misbehaviour(e) if e.misbehaviour == Misbehaviour::Equivocation => {
                "keep both notes and show them to the operator: the store was put back to an older state, or the key is in other hands"
            }
            Self::Misbehaviour(_) => "keep both notes and show them to the registry's operator",
            _ => return None,
        })
    }
}

impl From<TrustError> for Error {
    fn from(e: TrustError) -> Self {
        match e {
            TrustError::Key(e) => e.into(),
            TrustError::Origin(e) => e.into(),
            e => {
                let error = Self::new(e.kind(), e.to_string());
                if let Some(hint) = e.hint() { error.with_hint(hint) } else { error }
            }
        }
    }
}
