//! What a request asks beyond a path: conditions and parts (RFC 9110, sections 13 and 14).

use hyper::header::{self, HeaderMap};
use std::ops::Range;

/// What to send of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Bytes(Range<u64>),
    /// The part that was asked for is beyond its end.
    Unsatisfiable,
}

/// Whether `If-Match` holds for that tag; a request without one has nothing against it.
pub(super) fn may_go_on(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_MATCH).is_none_or(|value| value.to_str().is_ok_and(|list| listed(list, etag, false)))
}

/// Whether the asker has the object with that tag already.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let mut values = headers.get_all(header::IF_NONE_MATCH).iter();
    values.any(|value| value.to_str().is_ok_and(|list| listed(list, etag, true)))
}

/// Whether a list of tags holds that one. A weak tag counts only where bytes need not be the same.
fn listed(list: &str, etag: &str, weak: bool) -> bool {
    list.trim() == "*"
        || list.split(',').map(str::trim).any(|tag| {
            let strong = tag.strip_prefix("W/");
            (weak || strong.is_none()) && strong.unwrap_or(tag) == etag
        })
}

/// Whether a part is asked for at all: such a request gets the bytes as they are stored.
pub(super) fn wants_part(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RANGE)
}

/// The one part that is asked for. What is not understood, and more than one part, is answered in whole, as the standard
/// allows.
pub(super) fn part(headers: &HeaderMap, etag: &str, size: u64) -> Part {
    let Some(range) = headers.get(header::RANGE).and_then(|r| r.to_str().ok()) else { return Part::Whole };
    if let Some(condition) = headers.get(header::IF_RANGE)
        // A date never holds: no time of change is told.
        && condition.as_bytes() != etag.as_bytes()
    {
        return Part::Whole;
    }
    let Some((unit, wanted)) = range.split_once('=') else { return Part::Whole };
    let Some((first, last)) = wanted.trim().split_once('-') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || wanted.contains(',') {
        return Part::Whole;
    }
    // Beyond what fits, a number is as good as the largest one.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim()), first.trim().is_empty(), last.trim().is_empty()) {
        (Some(first), Some(last), _, _) if first > last => Part::Whole,
        (Some(first), _, _, _) if first >= size => Part::Unsatisfiable,
        (Some(first), Some(last), _, _) => Part::Bytes(first..last.saturating_add(1).min(size)),
        (Some(first), None, _, true) => Part::Bytes(first..size),
        (None, Some(0), true, _) => Part::Unsatisfiable,
        (None, Some(_), true, _) if size == 0 => Part::Unsatisfiable,
        (None, Some(tail), true, _) => Part::Bytes(size.saturating_sub(tail)..size),
        _ => Part::Whole,
    }
}

/// Whether gzip is taken, and not only tolerated less than the plain text (RFC 9110, section 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None::<f32>);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            let weight = weight.map_or(Some(1.0), |w| w.parse::<f32>().ok().filter(|w| (0.0..=1.0).contains(w)));
            match coding.as_str() {
                "gzip" | "x-gzip" => gzip = weight,
                "*" => any = weight,
                "identity" => identity = weight,
                _ => {}
            }
        }
    }
    gzip.or(any).is_some_and(|weight| weight > 0.0 && weight >= identity.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn one_part_is_understood_and_anything_else_is_the_whole() {
        for (asked, wanted) in [
            ("bytes=0-0", Part::Bytes(0..1)),
            ("bytes=3-9", Part::Bytes(3..10)),
            ("BYTES = 3 - 9 ", Part::Bytes(3..10)),
            ("bytes=5-", Part::Bytes(5..100)),
            ("bytes=-4", Part::Bytes(96..100)),
            ("bytes=-400", Part::Bytes(0..100)),
            ("bytes=99-99999999999999999999999", Part::Bytes(99..100)),
            ("bytes=100-", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=9-3", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(part(&headers(&[(header::RANGE, asked)]), "\"x\"", 100), wanted, "{asked}");
        }
        assert_eq!(part(&headers(&[]), "\"x\"", 100), Part::Whole);
        assert_eq!(part(&headers(&[(header::RANGE, "bytes=0-")]), "\"x\"", 0), Part::Unsatisfiable);
        assert_eq!(part(&headers(&[(header::RANGE, "bytes=-1")]), "\"x\"", 0), Part::Unsatisfiable);
        let held = |by: &str| {
            part(&headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, by)]), "\"x\"", 100) == Part::Bytes(0..2)
        };
        assert!(held("\"x\""));
        assert!(!held("\"y\"") && !held("W/\"x\"") && !held("Mon, 23 Nov 2026 00:00:00 GMT"));
    }

    #[test]
    fn conditions_are_lists_of_tags() {
        for (asked, known) in [
            ("\"x\"", true),
            ("W/\"x\"", true),
            ("\"a\", \"x\"", true),
            ("*", true),
            ("\"a\"", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(is_known(&headers(&[(header::IF_NONE_MATCH, asked)]), "\"x\""), known, "{asked}");
        }
        for (asked, goes) in [("\"x\"", true), ("*", true), ("W/\"x\"", false), ("\"a\"", false)] {
            assert_eq!(may_go_on(&headers(&[(header::IF_MATCH, asked)]), "\"x\""), goes, "{asked}");
        }
        assert!(may_go_on(&headers(&[]), "\"x\"") && !is_known(&headers(&[]), "\"x\""));
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_like_it() {
        for (asked, takes) in [
            ("gzip", true),
            ("br, gzip;q=0.8", true),
            ("*", true),
            ("GZIP", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("*;q=1, gzip;q=0", false),
            ("gzip;q=0, *;q=1", false),
            ("gzip;q=0.1, identity;q=0.9", false),
            ("gzip;q=x", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&headers(&[(header::ACCEPT_ENCODING, asked)])), takes, "{asked}");
        }
        assert!(!takes_gzip(&headers(&[])));
    }
}
