//! The reader's decision.

use super::*;
use ggen_marketplace::{
    Error, ErrorKind,
    trust::{Freshness, MAX_VALIDITY, Misbehaviour, SKEW, TrustError, Verdict, decide},
};
use proptest::prelude::*;
use std::time::Duration;

#[track_caller]
fn misbehaviour(trusted: &Checkpoint, seen: &Checkpoint) -> Misbehaviour {
    let decision = decide(Some(trusted), seen, at(DAY as i64 / 2));
    assert!(!decision.replaces_trusted());
    let Err(TrustError::Misbehaviour(evidence)) = decision.require_fresh() else { panic!("{decision:?}") };
    // Both notes are in the evidence as they were received: anyone can check them again.
    assert_eq!(Checkpoint::open(evidence.trusted.clone(), &pinned()).unwrap(), *trusted);
    assert_eq!(Checkpoint::open(evidence.seen.clone(), &pinned()).unwrap(), *seen);
    let kind = evidence.misbehaviour;
    let shown: Error = TrustError::Misbehaviour(evidence).into();
    assert_eq!(shown.kind(), ErrorKind::Untrusted);
    assert!(shown.hint().is_some());
    kind
}

#[test]
fn t02_the_first_and_every_newer_checkpoint_replaces_what_was_trusted() {
    let c = chain(4);
    for (trusted, seen, verdict) in [
        (None, &c[2], Verdict::First),
        (Some(&c[0]), &c[1], Verdict::Newer),
        (Some(&c[0]), &c[3], Verdict::Newer),
        (Some(&c[3]), &c[3], Verdict::Same),
    ] {
        let decision = decide(trusted, seen, at(3 * 3600));
        assert_eq!(decision.verdict, verdict);
        assert_eq!(decision.replaces_trusted(), verdict != Verdict::Same);
        decision.require_fresh().unwrap();
    }
}

#[test]
fn i24_t40_an_older_valid_checkpoint_is_a_stale_mirror_and_no_alarm() {
    let c = chain(5);
    let decision = decide(Some(&c[4]), &c[1], at(5 * 3600));
    assert_eq!(decision.verdict, Verdict::StaleMirror { behind: 3 });
    assert!(!decision.replaces_trusted());
    decision.require_fresh().unwrap();
    // What counts then is the trusted one: the old one's expiry is of no interest.
    let late = at(DAY as i64 + 3 * 3600);
    assert!(late > c[1].slot().claim().expires && late < c[4].slot().claim().expires);
    assert_eq!(decide(Some(&c[4]), &c[1], late).freshness, Freshness::Fresh { left: Duration::from_secs(3600) });
}

#[test]
fn i24_t13_the_same_generation_with_other_bytes_is_equivocation() {
    let c = chain(2);
    let mut other = c[1].slot().claim().clone();
    other.nonce = [1; 16];
    assert_eq!(misbehaviour(&c[1], &checkpoint(&other)), Misbehaviour::Equivocation);
    assert_eq!(misbehaviour(&checkpoint(&other), &c[1]), Misbehaviour::Equivocation);
}

#[test]
fn i06_i30_a_neighbour_that_names_another_slot_before_it_is_a_fork() {
    let c = chain(3);
    let mut other = c[1].slot().claim().clone();
    other.nonce = [1; 16];
    let other = checkpoint(&other);
    assert_eq!(misbehaviour(&other, &c[2]), Misbehaviour::Fork);
    // Also when a mirror shows the older one of the two.
    assert_eq!(misbehaviour(&c[2], &other), Misbehaviour::Fork);
    // Two generations on there is no link to compare: only the log itself can tell.
    let later = checkpoint(&claim(Some(c[2].slot()), 3 * 3600));
    assert_eq!(decide(Some(&other), &later, at(3 * 3600)).verdict, Verdict::Newer);
}

#[test]
fn i06_a_later_generation_with_an_earlier_time_is_refused() {
    let c = chain(1);
    assert_eq!(misbehaviour(&c[0], &checkpoint(&claim(Some(c[0].slot()), -1))), Misbehaviour::TimeWentBack);
    let same_second = checkpoint(&claim(Some(c[0].slot()), 0));
    assert_eq!(decide(Some(&c[0]), &same_second, at(0)).verdict, Verdict::Newer);
}

#[test]
fn t25_i24_expiry_is_told_apart_from_the_verdict() {
    let c = chain(2);
    let expires = c[1].slot().claim().expires;
    let last_second = Timestamp::from_unix(expires.unix() - 1);
    decide(None, &c[1], last_second).require_fresh().unwrap();
    for clock in [expires, expires.plus(Duration::from_secs(DAY))] {
        let decision = decide(Some(&c[0]), &c[1], clock);
        // Trust moves forward all the same, and an install from a lock file may go on.
        assert_eq!(decision.verdict, Verdict::Newer);
        assert_eq!(decision.freshness, Freshness::Expired { expires });
        decision.require_honest().unwrap();
        let e: Error = decision.require_fresh().unwrap_err().into();
        assert_eq!(e.kind(), ErrorKind::Expired);
    }
}

#[test]
fn t29_an_expired_trusted_checkpoint_does_not_block_a_newer_one() {
    let old = chain(1).remove(0);
    let new = checkpoint(&claim(Some(old.slot()), 30 * DAY as i64));
    let decision = decide(Some(&old), &new, at(30 * DAY as i64));
    assert_eq!(decision.verdict, Verdict::Newer);
    decision.require_fresh().unwrap();
}

#[test]
fn i22_a_clock_that_was_set_back_does_not_make_an_old_statement_fresh() {
    let c = chain(1);
    // Signed a week later but already run out again when it was signed over: the trusted time is past the old expiry.
    let mut next = claim(Some(c[0].slot()), 7 * DAY as i64);
    next.expires = next.time.plus(Duration::from_secs(1));
    let trusted = checkpoint(&next);
    let decision = decide(Some(&trusted), &c[0], at(0));
    assert_eq!((decision.verdict.clone(), decision.now), (Verdict::StaleMirror { behind: 1 }, next.time));
    // At a right clock it is expired; the clock alone (set back) would have said the same for ever.
    assert!(decide(Some(&trusted), &trusted, next.expires).require_fresh().is_err());
}

#[test]
fn i22_a_checkpoint_from_the_future_is_not_trusted_but_for_skew() {
    let c = chain(2);
    let within = Timestamp::from_unix(START + 3600 - 300);
    assert_eq!(decide(Some(&c[0]), &c[1], within).verdict, Verdict::Newer);
    let before = Timestamp::from_unix(within.unix() - 1);
    for trusted in [None, Some(&c[0])] {
        let decision = decide(trusted, &c[1], before);
        assert_eq!(decision.verdict, Verdict::Future { ahead: SKEW + Duration::from_secs(1) });
        assert!(!decision.replaces_trusted());
        let e = decision.require_honest().unwrap_err();
        assert!(matches!(&e, TrustError::Future { time, .. } if *time == c[1].slot().claim().time), "{e}");
        assert!(Error::from(e).hint().unwrap().contains("clock"));
    }
}

#[test]
fn a_state_of_another_registry_is_not_compared_with() {
    let other = SigningKey::generate("other.example".parse().unwrap()).unwrap();
    let theirs = Claim { origin: other.origin().clone(), ..claim(None, 0) };
    let theirs = Checkpoint::sign(&theirs.sign(&other).unwrap(), &other).unwrap();
    let decision = decide(Some(&theirs), &chain(1)[0], at(0));
    assert_eq!(decision.verdict, Verdict::OtherOrigin);
    assert!(decision.require_honest().is_err());
}

#[test]
fn i21_a_week_is_the_writers_limit_and_not_the_readers() {
    assert_eq!(MAX_VALIDITY, Duration::from_secs(7 * DAY));
    let long = Claim { expires: at(0).plus(Duration::from_secs(365 * DAY)), ..claim(None, 0) };
    decide(None, &checkpoint(&long), at(100 * DAY as i64)).require_fresh().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Mirrors of an honest registry, in whatever order they show its states: trust never goes back, and nobody is accused.
    #[test]
    fn i23_trust_never_decreases_and_an_honest_registry_is_never_accused(
        order in prop::collection::vec(0usize..6, 1..20), clock in 5 * 3600i64..40 * 3600,
    ) {
        let c = chain(6);
        let mut trusted: Option<&Checkpoint> = None;
        for i in order {
            let decision = decide(trusted, &c[i], at(clock));
            prop_assert!(decision.require_honest().is_ok(), "{:?}", decision);
            let before = trusted.map(Checkpoint::generation);
            if decision.replaces_trusted() {
                trusted = Some(&c[i]);
            }
            prop_assert!(trusted.map(Checkpoint::generation) >= before);
            prop_assert!(trusted.map(Checkpoint::generation) >= Some(c[i].generation()));
        }
    }
}
