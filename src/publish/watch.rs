//! What time it is, in the time that a run stamps.

use crate::package::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// Clocks that differ by less were set right; by more, the machine slept.
const SLEPT: Duration = Duration::from_secs(60);

/// The time that a run stamps, and what has passed since. A run can take days, because a request hangs or a laptop sleeps;
/// what it reads then must not seem to come from the future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    start: Timestamp,
    began: Instant,
    /// A second clock: the first one stands still while a machine sleeps, and this one can be set.
    wall: Timestamp,
}

impl Watch {
    pub(super) fn start(now: Timestamp) -> Self {
        Self { start: now, began: Instant::now(), wall: Timestamp::now() }
    }

    /// The same watch, as if it had shown that time when it was started.
    pub(super) fn showing(self, time: Timestamp) -> Self {
        Self { start: time, ..self }
    }

    /// How long ago it was started.
    pub(super) fn elapsed(&self) -> Duration {
        let (steady, wall) = (self.began.elapsed(), Timestamp::now().since(self.wall));
        if wall > steady + SLEPT { wall } else { steady }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.start.plus(self.elapsed())
    }
}
