//! What a mirror says that it holds.

use super::{FORMAT_VERSION, FormatError, require_format};
use crate::package::Pattern;
use serde::{Deserialize, Serialize};

const WHAT: &str = "mirror";

/// `mirror.json`: which part of a registry a copy of it is meant to hold. It is not signed, and nothing is ever accepted
/// because of it: it words messages, and tells an auditor what was left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MirrorNote {
    pub(crate) format: u32,
    /// The newest generation here.
    pub(crate) generation: u64,
    /// Whether older generations were asked for as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) history: bool,
    /// What was asked for, sorted; none where it was everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<Vec<Pattern>>,
    pub(crate) origin: String,
    /// This generation and all later ones are here.
    pub(crate) since: u64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl MirrorNote {
    pub(crate) fn new(origin: &str, generation: u64, only: Option<Vec<Pattern>>) -> Self {
        let (format, kind) = (FORMAT_VERSION, WHAT.to_owned());
        Self { format, generation, history: false, only, origin: origin.to_owned(), since: generation, kind }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let out: Self = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed(WHAT, e))?;
        require_format(WHAT, out.format)?;
        if out.kind != WHAT {
            return Err(FormatError::malformed(WHAT, format!("it is a {}", out.kind)));
        }
        Ok(out)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        // Numbers and texts: this cannot fail.
        serde_json::to_vec(self).unwrap_or_else(|e| unreachable!("a mirror's note serialises: {e}"))
    }

    /// What it leaves out, for messages.
    pub(crate) fn holds(&self) -> String {
        const SHOWN: usize = 4;
        let Some(only) = &self.only else {
            return format!("this mirror holds generation {} and later ones", self.since);
        };
        let mut names: Vec<_> = only.iter().take(SHOWN).map(ToString::to_string).collect();
        if only.len() > SHOWN {
            names.push(format!("{} more", only.len() - SHOWN));
        }
        format!("this mirror holds only {}, and what they depend on", names.join(", "))
    }
}
