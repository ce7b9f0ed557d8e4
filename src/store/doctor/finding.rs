//! What `doctor` has to say.

use std::fmt;

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// The registry works, but something is worse than it need be.
    Warning,
    /// Something breaks.
    Failed,
    /// Not tried; the detail says why.
    Skipped,
}

impl Outcome {
    /// `ok`, `warning`, `failed` or `skipped`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check, which never changes: `create_only`, `public_range`, … All are in `docs/doctor.md`.
    pub check: &'static str,
    /// What was tried.
    pub tried: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// The figures.
    pub detail: String,
    /// What does not work because of it; `None` unless it is a warning or failed.
    pub breaks: Option<&'static str>,
    /// What can be done about it; `None` unless it is a warning or failed.
    pub remedy: Option<&'static str>,
}

/// All findings about a store and the URL in front of it, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// One for each check, those that were skipped included.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// How many checks came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|f| f.outcome == outcome).count()
    }

    /// Whether nothing failed. There may be warnings.
    pub fn is_sound(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    /// The finding of that check.
    pub fn find(&self, check: &str) -> Option<&Finding> {
        self.findings.iter().find(|f| f.check == check)
    }
}

/// A check, as far as it is the same whatever it finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) tried: &'static str,
    pub(super) breaks: &'static str,
    pub(super) remedy: &'static str,
}

impl Check {
    pub(super) fn ok(self, detail: impl Into<String>) -> Finding {
        let Self { id: check, tried, .. } = self;
        Finding { check, tried, outcome: Outcome::Ok, detail: detail.into(), breaks: None, remedy: None }
    }

    pub(super) fn skipped(self, why: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Skipped, ..self.ok(why) }
    }

    pub(super) fn warning(self, detail: impl Into<String>) -> Finding {
        let (breaks, remedy) = (Some(self.breaks), Some(self.remedy));
        Finding { outcome: Outcome::Warning, breaks, remedy, ..self.ok(detail) }
    }

    pub(super) fn failed(self, detail: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Failed, ..self.warning(detail) }
    }

    /// Settles on what the check found. Where the store did not even answer as it should, that is what it found.
    pub(super) fn settle(self, found: crate::Result<Finding>) -> Finding {
        found.unwrap_or_else(|e| self.failed(brief(&e)))
    }
}

/// An error on one line. Of the XML in which a bucket says what is wrong, the code is what helps.
pub(super) fn brief(e: &crate::Error) -> String {
    let text = e.chain();
    let Some((head, xml)) = text.split_once("<?xml") else { return text };
    let code = xml.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    format!("{}{code}", if code.is_empty() { head.trim_end_matches([':', ' ']) } else { head })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[test]
    fn of_a_buckets_xml_the_code_is_kept() {
        let xml = "403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Key>k</Key></Error>";
        for (source, want) in [
            (xml, "cannot list s3://b: 403 Forbidden: AccessDenied"),
            ("500 Oops: <?xml?><Code>", "cannot list s3://b: 500 Oops"),
            ("nobody answers", "cannot list s3://b: nobody answers"),
        ] {
            assert_eq!(brief(&Error::new(ErrorKind::Io, "cannot list s3://b").with_source(source)), want);
        }
    }
}
