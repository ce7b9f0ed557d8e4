//! Sets of versions, by their places in the sorted list of a package's versions.
//!
//! All versions of a package are known before anything is decided about it, so a set of them is a few spans of numbers. What a
//! requirement matches is asked of it version by version, once: pre-releases, which no pair of bounds describes, are exact then.

use smallvec::SmallVec;
use std::fmt;

/// A set of numbers: spans from (including) to (excluding), in order, with gaps between them.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Set(SmallVec<[(u32, u32); 2]>);

impl Clone for Set {
    /// As one piece of memory: the search does little else.
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl Set {
    pub(super) const NONE: Self = Self(SmallVec::new_const());

    pub(super) fn all() -> Self {
        Self::span(0, u32::MAX)
    }

    pub(super) fn span(from: u32, to: u32) -> Self {
        let mut out = Self::NONE;
        out.push(from, to);
        out
    }

    /// Adds a span that begins at or behind the end of the last one.
    pub(super) fn push(&mut self, from: u32, to: u32) {
        if from >= to {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            _ => self.0.push((from, to)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its spans that lie below `end`.
    pub(super) fn spans(&self, end: u32) -> impl DoubleEndedIterator<Item = (u32, u32)> + '_ {
        self.0.iter().map(move |s| (s.0, s.1.min(end))).filter(|s| s.0 < s.1)
    }

    /// Its numbers below `end`.
    pub(super) fn below(&self, end: u32) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.spans(end).flat_map(|(from, to)| from..to)
    }
}

impl pubgrub::VersionSet for Set {
    type V = u32;

    fn empty() -> Self {
        Self::NONE
    }

    fn full() -> Self {
        Self::all()
    }

    fn singleton(v: u32) -> Self {
        Self::span(v, v.saturating_add(1))
    }

    fn complement(&self) -> Self {
        let mut out = Self::NONE;
        let mut from = 0;
        for span in &self.0 {
            out.push(from, span.0);
            from = span.1;
        }
        out.push(from, u32::MAX);
        out
    }

    fn intersection(&self, other: &Self) -> Self {
        let mut out = Self::NONE;
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            out.push(x.0.max(y.0), x.1.min(y.1));
            if x.1 <= y.1 {
                a.next()
            } else {
                b.next()
            };
        }
        out
    }

    fn union(&self, other: &Self) -> Self {
        let mut out = Self::NONE;
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let first = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 > y.0 => b.next(),
                (Some(_), _) => a.next(),
                (None, _) => b.next(),
            };
            let Some(&(from, to)) = first else { return out };
            out.push(from, to);
        }
    }

    fn contains(&self, v: &u32) -> bool {
        self.0.iter().any(|s| s.0 <= *v && *v < s.1)
    }

    fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).is_empty()
    }

    fn subset_of(&self, other: &Self) -> bool {
        self.0.iter().all(|s| other.0.iter().any(|o| o.0 <= s.0 && s.1 <= o.1))
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pubgrub::VersionSet as _;
    use std::collections::BTreeSet;

    const END: u32 = 24;

    fn set(numbers: &BTreeSet<u32>) -> Set {
        let mut out = Set::NONE;
        numbers.iter().for_each(|n| out.push(*n, n + 1));
        out
    }

    fn numbers(set: &Set) -> BTreeSet<u32> {
        set.below(END).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_set(a in prop::collection::btree_set(0..END, 0..12), b in prop::collection::btree_set(0..END, 0..12)) {
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(&numbers(&x), &a);
            prop_assert_eq!(x.intersection(&y), set(&a.intersection(&b).copied().collect()));
            prop_assert_eq!(x.union(&y), set(&a.union(&b).copied().collect()));
            prop_assert_eq!(numbers(&x.complement()), (0..END).filter(|n| !a.contains(n)).collect());
            prop_assert_eq!(&x.complement().complement(), &x);
            prop_assert_eq!(x.is_disjoint(&y), a.is_disjoint(&b));
            prop_assert_eq!(x.subset_of(&y), a.is_subset(&b));
            prop_assert_eq!(x == y, a == b, "one spelling for each set");
            for n in 0..END {
                prop_assert_eq!(x.contains(&n), a.contains(&n));
            }
        }
    }

    #[test]
    fn the_ends_are_right() {
        assert_eq!(Set::all().complement(), Set::NONE);
        assert_eq!(Set::NONE.complement(), Set::all());
        assert_eq!(Set::singleton(3).union(&Set::singleton(4)), Set::span(3, 5));
    }
}
