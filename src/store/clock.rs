//! What time it is where a store is.

use crate::package::Timestamp;
use chrono::DateTime;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// How far a store's clock is ahead of this machine's, as its last answer told. A claim that is dated after its store's
/// time would stop all other writers, since time in the log never goes back (invariant I6).
#[derive(Debug, Clone)]
pub(super) struct Clock(Arc<AtomicI64>);

/// No answer has told the time yet.
const SILENT: i64 = i64::MIN;

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(SILENT)))
    }
}

impl Clock {
    /// Takes in the `Date` of an answer (RFC 9110, section 6.6.1).
    pub(super) fn heard(&self, date: &str) {
        if let Ok(there) = DateTime::parse_from_rfc2822(date) {
            self.0.store(there.timestamp() - Timestamp::now().unix(), Ordering::Relaxed);
        }
    }

    /// By how many seconds the store's clock is ahead; negative where it is behind, `None` where it never told.
    pub(super) fn ahead(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|s| *s != SILENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_date_counts_and_nonsense_does_not() {
        let clock = Clock::default();
        assert_eq!(clock.ahead(), None);
        for date in ["", "yesterday", "Mon, 99 Nov 2026 20:00:00 GMT"] {
            clock.heard(date);
            assert_eq!(clock.ahead(), None, "{date}");
        }
        let there = Timestamp::now().unix() + 3600;
        clock.heard(&DateTime::from_timestamp(there, 0).unwrap().to_rfc2822());
        assert!((3598..=3600).contains(&clock.ahead().unwrap()));
    }
}
