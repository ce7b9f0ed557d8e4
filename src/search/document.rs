//! What search knows of a package: one document for each, made of its records.

use crate::package::{Kind, PackageName, Record, Timestamp, Version};
use serde::{Deserialize, Serialize};

/// What the index holds of a package. Stored in it as JSON, members in the order of their names, defaults left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) downloads: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keywords: Vec<String>,
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    pub(crate) name: PackageName,
    pub(crate) published: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) summary: String,
    pub(crate) version: Version,
    /// No release is left that is not yanked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) yanked: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Document {
    /// The document of a package with these releases, which are in the order of their versions; `None` where all of them
    /// were removed.
    pub(crate) fn of(releases: &[Record], downloads: u64) -> Option<Self> {
        let available = || releases.iter().rev().filter(|r| r.is_available());
        let newest = available().find(|r| !r.version.is_prerelease()).or_else(|| available().next());
        let shown = newest.or_else(|| releases.iter().rev().find(|r| r.removed.is_none()))?;
        Some(Self {
            categories: shown.categories.clone(),
            downloads,
            keywords: shown.keywords.clone(),
            kind: shown.kind,
            license: shown.license.clone(),
            name: shown.name.clone(),
            published: shown.published,
            summary: shown.summary.clone(),
            version: shown.version.clone(),
            yanked: newest.is_none(),
        })
    }

    /// `<kind>/<normalised name>`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.kind, self.name.normalized())
    }
}

/// How well a package stands without regard to any question: by its downloads and how new it is, in steps that every
/// machine computes alike. 32 steps are twice the downloads; being new is worth up to twice.
pub(super) fn standing(downloads: u64, published: u32, reference: u32) -> u16 {
    let n = downloads.saturating_add(1);
    let log = n.ilog2();
    // The next five bits below the highest one.
    let below = if log >= 5 { (n >> (log - 5)) & 31 } else { (n << (5 - log)) & 31 };
    let age = reference.saturating_sub(published).min(YOUNG);
    let fresh = (YOUNG - age) * 32 / YOUNG;
    u16::try_from(u64::from(log) * 32 + below + u64::from(fresh)).unwrap_or(u16::MAX)
}

/// So many days after its release a package is not new any more.
const YOUNG: u32 = 2 * 365;

/// Days since 1970.
pub(crate) fn days(time: Timestamp) -> u32 {
    u32::try_from(time.unix() / 86_400).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: &str, more: &str) -> Record {
        let line = format!(
            r#"{{"archive":{{"format":"tar.gz","sha256":"{}","size":1}},"kind":"pack","name":"A_b","published":"2026-01-01T00:00:00Z","summary":"of {version}","v":1,"version":"{version}"{more}}}"#,
            "0".repeat(64)
        );
        Record::from_line(&line).unwrap()
    }

    #[test]
    fn the_release_that_a_person_would_take_stands_for_the_package() {
        let yanked = r#","yanked":{"time":"2026-01-01T00:00:00Z"}"#;
        let removed = r#","removed":{"time":"2026-01-01T00:00:00Z"}"#;
        let of = |releases: &[(&str, &str)]| {
            let releases: Vec<_> = releases.iter().map(|(v, more)| record(v, more)).collect();
            Document::of(&releases, 3).map(|d| (d.version.to_string(), d.yanked))
        };
        let found = |v: &str, yanked| Some((v.to_owned(), yanked));
        assert_eq!(of(&[("1.0.0", ""), ("1.1.0", ""), ("2.0.0-rc.1", "")]), found("1.1.0", false));
        assert_eq!(of(&[("1.0.0", ""), ("1.1.0", yanked)]), found("1.0.0", false));
        assert_eq!(of(&[("1.0.0", yanked), ("1.1.0", yanked), ("1.2.0", removed)]), found("1.1.0", true));
        assert_eq!(of(&[("1.0.0", removed)]), None);
        let document = Document::of(&[record("1.0.0", "")], 3).unwrap();
        assert_eq!(document.label(), "pack/a-b");
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
    }

    #[test]
    fn downloads_and_youth_raise_the_standing() {
        let today = days(record("1.0.0", "").published);
        assert_eq!(standing(0, today, today), 32);
        assert_eq!(standing(0, today, today + 365), 16);
        assert_eq!(standing(0, today, today + 10_000), 0);
        let mut last = 0;
        for downloads in [1, 2, 3, 10, 31, 32, 33, 1000, 1_000_000, u64::MAX] {
            let now = standing(downloads, today, today + 10_000);
            assert!(now > last, "{downloads}: {now}");
            last = now;
        }
        assert!(last < 2100);
    }
}
