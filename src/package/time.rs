//! Points in time as the registry writes them: whole seconds, UTC.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// A point in time, in whole seconds since 1970, UTC. Its one spelling is `2026-11-23T15:20:57Z`, 20 bytes, as in cargo's
/// `pubtime`. Years 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not a time of the form `2026-11-23T15:20:57Z`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: {0:?} (expected the form 2026-11-23T15:20:57Z)")]
pub struct TimestampError(String);

const LAST: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z

impl Timestamp {
    /// Seconds since 1970; clamped to the years 1970 to 9999.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(0, LAST))
    }

    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now() -> Self {
        Self::from_unix(Utc::now().timestamp())
    }

    /// `SOURCE_DATE_EPOCH` where it is set to a number of seconds, else the clock: what a build stamps.
    pub fn for_build() -> Result<Self, TimestampError> {
        match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(v) => v.parse().map(Self::from_unix).map_err(|_| TimestampError(v)),
            Err(_) => Ok(Self::now()),
        }
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0
    }

    /// This time and `d` more.
    pub fn plus(self, d: Duration) -> Self {
        Self::from_unix(self.0.saturating_add_unsigned(d.as_secs()))
    }

    /// How long `self` is after `earlier`; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = DateTime::<Utc>::from_timestamp(self.0, 0).ok_or(fmt::Error)?;
        let (date, time) = (t.date_naive(), t.time());
        // Every record has one, and every page several: a pattern of chrono's takes a hundred times as long, `write!` ten times.
        let mut text = *b"0000-00-00T00:00:00Z";
        let numbers = [
            (0..4, u32::try_from(date.year()).map_err(|_| fmt::Error)?),
            (5..7, date.month()),
            (8..10, date.day()),
            (11..13, time.hour()),
            (14..16, time.minute()),
            (17..19, time.second()),
        ];
        for (at, mut number) in numbers {
            for digit in text[at].iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
                number /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(s: &str) -> Result<Self, TimestampError> {
        let bad = || TimestampError(s.chars().take(40).collect());
        let Ok(bytes) = <&[u8; 20]>::try_from(s.as_bytes()) else { return Err(bad()) };
        let form = b"0000-00-00T00:00:00Z";
        if bytes.iter().zip(form).any(|(b, f)| if *f == b'0' { !b.is_ascii_digit() } else { b != f }) {
            return Err(bad());
        }
        let number = |at: std::ops::Range<usize>| bytes[at].iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
        let year = i32::try_from(number(0..4)).unwrap_or(0);
        // A leap second has no place here: it would not come back as it was written.
        let date = NaiveDate::from_ymd_opt(year, number(5..7), number(8..10));
        let t = date.and_then(|d| d.and_hms_opt(number(11..13), number(14..16), number(17..19)));
        let t = Self(t.ok_or_else(bad)?.and_utc().timestamp());
        if (0..=LAST).contains(&t.0) { Ok(t) } else { Err(bad()) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = Cow::<str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn there_is_one_spelling() {
        for good in ["1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "9999-12-31T23:59:59Z"] {
            assert_eq!(good.parse::<Timestamp>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2026-11-23T15:20:57z",
            "2026-11-23 15:20:57Z",
            "2026-11-23T15:20:60Z",
            "2023-02-29T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "+026-11-23T15:20:57Z",
            "2026-11-23T15:20:5é",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_and_read_is_what_chrono_says(seconds in 0..=LAST, text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z") {
            let pattern = "%Y-%m-%dT%H:%M:%SZ";
            let time = Timestamp::from_unix(seconds);
            prop_assert_eq!(time.to_string(), DateTime::<Utc>::from_timestamp(seconds, 0).unwrap().format(pattern).to_string());
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
            let read = chrono::NaiveDateTime::parse_from_str(&text, pattern).ok().map(|t| Timestamp(t.and_utc().timestamp()));
            prop_assert_eq!(text.parse().ok(), read.filter(|t| t.0 >= 0 && t.to_string() == text));
        }
    }
}
