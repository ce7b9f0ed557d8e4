//! What the server does wrong, and to which requests. The same faults and the same requests give the same outcome: chance
//! depends on the seed, the request and how often that request was made, and not on the order of arrival.

use super::wire::{Asked, Op};
use crate::support::second_reader;
use std::{collections::BTreeMap, time::Duration};

/// What happens to a request that a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It has no effect, and this status is the answer; 503 and 429 with `Retry-After: 1`.
    Answer(u16),
    /// It takes effect, and this status is the answer.
    AnswerAfter(u16),
    /// It has no effect, and the connection is closed.
    Drop,
    /// It takes effect, and the connection is closed before an answer.
    DropAfter,
    /// It waits, and then takes effect, whether the client is still there or not.
    StallBefore(Duration),
    /// It takes effect at once, and the answer waits.
    StallAfter(Duration),
    /// Half of the answer's body comes, and the connection is closed.
    CutBody,
    /// From here on nothing is answered, as after the death of the process that asks. It has no effect.
    DieBefore,
    /// Half of the request's body arrives; it has no effect, and nothing is answered from here on.
    DieHalfway,
    /// It takes effect, and nothing is answered from here on.
    DieAfter,
}

#[derive(Debug, Clone, Copy)]
enum Times {
    Always,
    /// Counted from 0.
    Nth(usize),
    First(usize),
    Chance {
        seed: u64,
        of_1000: u64,
    },
}

type Keys = Box<dyn Fn(&str) -> bool + Send>;

/// A fault: which requests, and what.
pub(crate) struct Fault {
    effect: Effect,
    ops: Option<Vec<Op>>,
    keys: Keys,
    times: Times,
    /// How many requests matched.
    matched: usize,
    /// How often each request was made.
    made: BTreeMap<(Op, String), u64>,
}

impl Fault {
    /// Strikes all requests but for what the other methods leave out.
    pub(crate) fn new(effect: Effect) -> Self {
        Self { effect, ops: None, keys: Box::new(|_| true), times: Times::Always, matched: 0, made: BTreeMap::new() }
    }

    /// Only these operations.
    pub(crate) fn on(mut self, ops: &[Op]) -> Self {
        self.ops = Some(ops.to_vec());
        self
    }

    /// Only whatever changes something.
    pub(crate) fn on_writes(self) -> Self {
        self.on(Op::WRITES)
    }

    pub(crate) fn keys(mut self, keys: impl Fn(&str) -> bool + Send + 'static) -> Self {
        self.keys = Box::new(keys);
        self
    }

    /// Only keys that begin so.
    pub(crate) fn below(self, prefix: &'static str) -> Self {
        self.keys(move |key| key.starts_with(prefix))
    }

    /// Only the n-th of the requests that match, counted from 0.
    pub(crate) fn nth(mut self, n: usize) -> Self {
        self.times = Times::Nth(n);
        self
    }

    /// Only the first n of the requests that match.
    pub(crate) fn first(mut self, n: usize) -> Self {
        self.times = Times::First(n);
        self
    }

    /// So many in 1,000 of the requests that match.
    pub(crate) fn chance(mut self, seed: u64, of_1000: u64) -> Self {
        self.times = Times::Chance { seed, of_1000 };
        self
    }

    /// What it does to this request, if anything.
    pub(super) fn strike(&mut self, asked: &Asked) -> Option<Effect> {
        if self.ops.as_ref().is_some_and(|ops| !ops.contains(&asked.op)) || !(self.keys)(&asked.key) {
            return None;
        }
        let number = self.matched;
        self.matched += 1;
        let strikes = match self.times {
            Times::Always => true,
            Times::Nth(n) => n == number,
            Times::First(n) => number < n,
            Times::Chance { seed, of_1000 } => {
                let made = self.made.entry((asked.op, asked.key.clone())).or_default();
                *made += 1;
                let digest = second_reader::hex(format!("{seed} {:?} {} {made}", asked.op, asked.key).as_bytes());
                u64::from_str_radix(&digest[..12], 16).unwrap() % 1000 < of_1000
            }
        };
        strikes.then_some(self.effect)
    }
}
