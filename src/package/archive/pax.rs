//! PAX extended headers: `<length> <key>=<value>\n`, again and again.

use super::{ArchiveError, error::shown};
use std::ops::Range;

/// Keys that change nothing that matters here, and what their value has to be for every program to read it.
const HARMLESS: [(&str, Check); 8] = [
    ("atime", is_time),
    ("comment", |_| true),
    ("ctime", is_time),
    ("gid", is_id),
    ("gname", |_| true),
    ("mtime", is_time),
    ("uid", is_id),
    ("uname", |_| true),
];

type Check = fn(&[u8]) -> bool;

/// What the records of one header say about the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// Where in the body its path stands.
    pub(super) path: Option<Range<usize>>,
    /// Its size.
    pub(super) size: Option<u64>,
}

/// Reads all records of `body`; `entry` is the header's own name, for messages.
pub(super) fn parse(body: &[u8], entry: &[u8]) -> Result<Records, ArchiveError> {
    let malformed = || ArchiveError::PaxMalformed { entry: shown(entry) };
    let mut out = Records::default();
    // One bit for each harmless key.
    let mut seen = 0u16;
    let mut at = 0;
    while at < body.len() {
        let (key, value, end) = record(body, at).ok_or_else(malformed)?;
        let again = match key {
            "path" => out.path.replace(value).is_some(),
            "size" => {
                // Digits only: "+1" and "1e3" are numbers to some programs.
                let size = digits(&body[value]).ok_or_else(|| ArchiveError::PaxSize { entry: shown(entry) })?;
                out.size.replace(size).is_some()
            }
            _ => {
                let i = HARMLESS.iter().position(|h| h.0 == key).ok_or_else(|| refuse(key, entry))?;
                if !HARMLESS[i].1(&body[value]) {
                    return Err(malformed());
                }
                let bit = 1 << i;
                let again = seen & bit != 0;
                seen |= bit;
                again
            }
        };
        if again {
            return Err(ArchiveError::PaxDuplicate { key: key.to_owned() });
        }
        at = end;
    }
    Ok(out)
}

/// The record at `at`: its key, where its value stands, and where the next one starts.
fn record(body: &[u8], at: usize) -> Option<(&str, Range<usize>, usize)> {
    let rest = &body[at..];
    let space = rest.iter().take(8).position(|b| *b == b' ')?;
    if rest[0] == b'0' {
        return None;
    }
    let len = usize::try_from(digits(&rest[..space])?).ok()?;
    // At least the digits, the space, a key of one byte, '=' and the line feed.
    let record = rest.get(..len).filter(|_| len >= space + 4)?;
    let (b'\n', record) = record.split_last()? else { return None };
    let key = &record[space + 1..];
    let key = &key[..key.iter().position(|b| *b == b'=')?];
    if key.is_empty() || !key.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let value = at + space + 1 + key.len() + 1..at + len - 1;
    Some((std::str::from_utf8(key).ok()?, value, at + len))
}

fn refuse(key: &str, entry: &[u8]) -> ArchiveError {
    let lower = key.to_ascii_lowercase();
    let owned = shown(key.as_bytes());
    if lower.starts_with("gnu.sparse.") {
        ArchiveError::Sparse { entry: shown(entry) }
    } else if lower == "linkpath" {
        ArchiveError::Link { entry: shown(entry) }
    } else if ["xattr", "acl", "selinux", "fflags"].iter().any(|word| lower.contains(word)) {
        ArchiveError::Attribute { key: owned }
    } else {
        ArchiveError::PaxKey { key: owned }
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_id(value: &[u8]) -> bool {
    digits(value).is_some_and(|n| n < u64::from(u32::MAX))
}

/// Seconds with an optional sign and fraction, small enough for every program's clock.
fn is_time(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"-").unwrap_or(value);
    let mut parts = value.splitn(2, |b| *b == b'.');
    let whole = parts.next().unwrap_or_default();
    digits(whole).is_some_and(|n| n <= 1 << 40) && parts.next().is_none_or(|f| f.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_exactly_as_long_as_it_says() {
        let body = b"13 path=a/b\n\n";
        assert_eq!(record(body, 0), Some(("path", 8..12, 13)));
        for bad in [
            &b""[..],
            b"x",
            b"10 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"010 path=a\n",
            b" 11 path=a\n",
            b"+11 path=a\n",
            b"5 ab\n",
            b"4 =\n",
            b"6 =ab\n",
            b"99999999999999999999 path=a\n",
        ] {
            assert!(bad.is_empty() || record(bad, 0).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn times_and_ids() {
        assert!([&b"0"[..], b"1700000000.123456789", b"-1.5", b"1."].iter().all(|t| is_time(t)));
        assert!(![&b""[..], b"-", b".5", b"1e3", b"1.2.3", b"+1", b"9999999999999"].iter().any(|t| is_time(t)));
        assert!(is_id(b"1000") && !is_id(b"-1") && !is_id(b"4294967295") && !is_id(b""));
    }
}
