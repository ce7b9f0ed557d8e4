//! What a reader does with a checkpoint that verified: take it, keep the one it has, or raise the alarm.

use super::{checkpoint::Checkpoint, error::TrustError};
use crate::package::Timestamp;
use bytes::Bytes;
use std::{fmt, time::Duration};

/// How far another machine's clock may be ahead of this one's (I22).
pub const SKEW: Duration = Duration::from_secs(5 * 60);

/// What [`decide`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which of the two checkpoints to go on with.
    pub verdict: Verdict,
    /// Whether that one is still good. Apart from the verdict, because an install from a lock file may go on with an
    /// expired checkpoint while a new resolution may not (I24).
    pub freshness: Freshness,
    /// The time that was held against it: the later of the machine's clock and the newest trusted statement (I22).
    pub now: Timestamp,
}

/// How a seen checkpoint relates to the trusted one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing was trusted before: store the seen one, then use it.
    First,
    /// The seen one is newer: store it, then use it (I23).
    Newer,
    /// It is the trusted one.
    Same,
    /// It is valid, but older: keep the trusted one and warn. Caches and mirrors lag; this is no alarm (I24).
    StaleMirror {
        /// By how many generations.
        behind: u64,
    },
    /// It is dated in the future by more than [`SKEW`]: do not trust it, since it would shut out every honest one after it.
    Future {
        /// By how much.
        ahead: Duration,
    },
    /// It is of another registry than the trusted one: the wrong state was given to compare with.
    OtherOrigin,
    /// Both are signed, and they contradict each other: stop, and keep the evidence (I24, I30).
    Misbehaviour(Box<Evidence>),
}

/// Whether a checkpoint may still be resolved against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It may, for so long.
    Fresh {
        /// Time left.
        left: Duration,
    },
    /// It ran out.
    Expired {
        /// When.
        expires: Timestamp,
    },
}

/// Two signed statements that cannot both be honest. Anyone with the public key can check them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What they prove.
    pub misbehaviour: Misbehaviour,
    /// The checkpoint trusted before, as received.
    pub trusted: Bytes,
    /// The checkpoint seen now, as received.
    pub seen: Bytes,
}

/// How two checkpoints contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// One generation, two slots.
    Equivocation,
    /// Neighbours in number, but the later one does not name the earlier as the slot before it.
    Fork,
    /// A later generation with an earlier time (I6).
    TimeWentBack,
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equivocation => "the registry signed two different states as the same generation",
            Self::Fork => "the registry signed a state that does not follow from the one before it",
            Self::TimeWentBack => "the registry signed a later generation with an earlier time",
        })
    }
}

/// Decides what to do with a checkpoint that was just opened, given the one that was trusted before (if any) and the
/// machine's clock. Pure: the caller stores what is to be stored **before** it uses it (I23).
///
/// See the [module](super) for an example.
pub fn decide(trusted: Option<&Checkpoint>, seen: &Checkpoint, clock: Timestamp) -> Decision {
    // A clock that was set back must not make old statements fresh again.
    let now = trusted.map_or(clock, |t| clock.max(t.slot().claim().time));
    let verdict = relate(trusted, seen, now);
    let counts = match (&verdict, trusted) {
        (Verdict::First | Verdict::Newer | Verdict::Same, _) | (_, None) => seen,
        (_, Some(trusted)) => trusted,
    };
    let claim = counts.slot().claim();
    let freshness = if now >= claim.expires {
        Freshness::Expired { expires: claim.expires }
    } else {
        Freshness::Fresh { left: claim.expires.since(now) }
    };
    Decision { verdict, freshness, now }
}

fn relate(trusted: Option<&Checkpoint>, seen: &Checkpoint, now: Timestamp) -> Verdict {
    let claim = seen.slot().claim();
    let ahead = claim.time.since(now);
    let Some(trusted) = trusted else {
        return if ahead > SKEW { Verdict::Future { ahead } } else { Verdict::First };
    };
    if trusted.origin() != seen.origin() {
        return Verdict::OtherOrigin;
    }
    if let Some(misbehaviour) = contradiction(trusted, seen) {
        let (trusted, seen) = (trusted.bytes().clone(), seen.bytes().clone());
        return Verdict::Misbehaviour(Box::new(Evidence { misbehaviour, trusted, seen }));
    }
    let known = trusted.generation();
    match claim.generation.cmp(&known) {
        std::cmp::Ordering::Less => Verdict::StaleMirror { behind: known - claim.generation },
        std::cmp::Ordering::Equal => Verdict::Same,
        std::cmp::Ordering::Greater if ahead > SKEW => Verdict::Future { ahead },
        std::cmp::Ordering::Greater => Verdict::Newer,
    }
}

/// What two checkpoints of one registry prove against it, whichever came first. Slots are compared and not whole notes:
/// a witness's signature on one of them changes nothing about what was said.
fn contradiction(a: &Checkpoint, b: &Checkpoint) -> Option<Misbehaviour> {
    if a.generation() == b.generation() {
        return (a.slot().digest() != b.slot().digest()).then_some(Misbehaviour::Equivocation);
    }
    let (earlier, later) = if a.generation() < b.generation() { (a.slot(), b.slot()) } else { (b.slot(), a.slot()) };
    let neighbours = later.claim().generation - earlier.claim().generation == 1;
    if neighbours && later.claim().previous != Some(earlier.digest()) {
        return Some(Misbehaviour::Fork);
    }
    (later.claim().time < earlier.claim().time).then_some(Misbehaviour::TimeWentBack)
}

impl Decision {
    /// Whether the seen checkpoint is to be stored as the trusted one.
    pub fn replaces_trusted(&self) -> bool {
        matches!(self.verdict, Verdict::First | Verdict::Newer)
    }

    /// An error where neither may be used without telling: the registry contradicted itself, or only a checkpoint from
    /// the future was to be had. A stale mirror is none.
    pub fn require_honest(&self) -> Result<(), TrustError> {
        match &self.verdict {
            Verdict::Misbehaviour(e) => Err(TrustError::Misbehaviour(e.clone())),
            Verdict::Future { ahead } => Err(TrustError::Future { time: self.now.plus(*ahead), ahead: *ahead }),
            Verdict::OtherOrigin => Err(TrustError::Keys),
            Verdict::First | Verdict::Newer | Verdict::Same | Verdict::StaleMirror { .. } => Ok(()),
        }
    }

    /// What a new resolution asks for: [`require_honest`](Self::require_honest), and not expired.
    pub fn require_fresh(&self) -> Result<(), TrustError> {
        self.require_honest()?;
        match self.freshness {
            Freshness::Fresh { .. } => Ok(()),
            Freshness::Expired { expires } => Err(TrustError::Expired { expires, now: self.now }),
        }
    }
}
