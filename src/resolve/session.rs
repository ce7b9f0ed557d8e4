//! One question, from the first name to the answer.

use super::{
    Candidates, Key, Question, Resolution, Resolved, Set as VersionSet,
    explain::Explained,
    solver::{Edge, Memo, Node, Solver},
    universe::{AtHand, Id, Universe},
};
use crate::{Error, ErrorKind, Result};
use pubgrub::{PubGrubError, SelectedDependencies, Set};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// A search that waits for packages.
pub(crate) struct Session {
    question: Question,
    universe: Universe,
    memo: Memo,
    walk: Walk,
    /// What is at hand is learned only when it is asked for: see [`Session::begin_in_order`].
    in_order: bool,
    /// What is left of the budget.
    steps: u64,
    time: Duration,
    rounds: u32,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// These packages have to be known, to be told by [`Session::learn`].
    Need(Vec<Key>),
    Done(Resolution),
}

/// Goes from what is wanted along the versions that would be taken first, so that almost every package that an answer may
/// hold is known before the search begins: one round of questions for each level of the graph, whatever the search does.
#[derive(Default)]
struct Walk {
    /// Releases whose needs were not followed yet: first what is wanted, which is none.
    open: Vec<Option<(Id, u32)>>,
    seen: Set<(Id, u32)>,
}

impl Session {
    pub(crate) fn new(question: Question) -> Self {
        let universe = Universe::new(&question);
        let memo = Memo::new(&universe, &question);
        let walk = Walk { open: vec![None], ..Walk::default() };
        let budget = question.budget;
        Self {
            universe,
            memo,
            walk,
            in_order: false,
            steps: budget.steps,
            time: budget.time,
            rounds: budget.rounds,
            question,
        }
    }

    /// Takes what a registry has of a package: `None` when it is proved to have nothing.
    pub(crate) fn learn(&mut self, key: &Key, candidates: Option<Arc<Candidates>>) {
        self.universe.learn(key, candidates);
    }

    /// Goes as far as it can. What is at hand is taken from there, and never asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Unsolvable`] with the reasons, or when it would be too much work.
    pub(crate) fn step(&mut self, at_hand: AtHand<'_>) -> Result<Step> {
        loop {
            let keys = match self.advance(at_hand)? {
                Step::Need(keys) if self.in_order => keys,
                step => return Ok(step),
            };
            let mut rest = Vec::new();
            for key in keys {
                match at_hand(&key) {
                    Some(found) => self.learn(&key, found),
                    None => rest.push(key),
                }
            }
            if !rest.is_empty() {
                return Ok(Step::Need(rest));
            }
        }
    }

    fn advance(&mut self, at_hand: AtHand<'_>) -> Result<Step> {
        let at_hand = if self.in_order { &|_: &Key| None } else { at_hand };
        let start = Instant::now();
        let deadline = start + self.time;
        let mut solver = Solver::new(&self.universe, &self.question, &self.memo, at_hand, (self.steps, deadline));
        let mut out = self.walk.go(&solver, deadline).ok_or_else(|| self.too_much("steps"));
        if matches!(&out, Ok(lacking) if lacking.is_empty()) {
            match pubgrub::resolve(&solver, Node::Root, 0u32) {
                Ok(selected) => {
                    let needed = std::mem::take(&mut *solver.needed.borrow_mut());
                    if needed.is_empty() {
                        return Ok(Step::Done(resolution(&solver, &selected)));
                    }
                    out = Ok(needed.into_iter().collect());
                }
                // What is not known yet was taken for a package that fits whatever is asked: if that is too much to ask,
                // so is the truth.
                Err(PubGrubError::NoSolution(reasons)) if !self.universe.took_what_was_at_hand() => {
                    return Err(Explained::new(&solver, reasons).into_error());
                }
                Err(PubGrubError::NoSolution(_)) => {
                    (self.steps, self.time) = (*solver.steps.get_mut(), self.time.saturating_sub(start.elapsed()));
                    self.begin_in_order();
                    return Ok(Step::Need(Vec::new()));
                }
                Err(_) => out = Err(self.too_much("steps")),
            }
        }
        self.steps = *solver.steps.get_mut();
        self.time = self.time.saturating_sub(start.elapsed());
        let lacking = out?;
        if self.universe.len() > self.question.budget.packages {
            return Err(self.too_much("packages"));
        }
        self.rounds = self.rounds.checked_sub(1).ok_or_else(|| self.too_much("levels"))?;
        Ok(Step::Need(lacking.into_iter().map(|id| self.universe.key(id)).collect()))
    }

    /// There is no answer. Which of the reasons are found depends on what was known when, and people compare what they are
    /// told: so it begins again, and learns of packages level by level as if each had to be asked for.
    fn begin_in_order(&mut self) {
        let (steps, time, rounds) = (self.steps, self.time, self.rounds);
        *self = Self { in_order: true, steps, time, rounds, ..Self::new(self.question.clone()) };
    }

    fn too_much(&self, what: &str) -> Error {
        let budget = self.question.budget;
        let text = match what {
            "packages" => format!("more than {} packages would have to be looked at", budget.packages),
            "levels" => format!("what needs what goes on for more than {} levels", budget.rounds),
            _ => format!("no versions that fit together were found within {} s of work", budget.time.as_secs_f32()),
        };
        Error::new(ErrorKind::Unsolvable, text).with_hint("ask for fewer packages, or for narrower versions of them")
    }
}

impl Walk {
    /// Goes on until it lacks something, which is what it returns.
    fn go(&mut self, solver: &Solver<'_>, deadline: Instant) -> Option<Vec<Id>> {
        let mut later = Vec::new();
        while let Some(release) = self.open.pop() {
            let known = match release {
                None => self.follow(solver, &solver.wanted()),
                Some((id, at)) => match &*solver.edges(id, at) {
                    Ok(edges) => self.follow(solver, edges),
                    Err(_) => true,
                },
            };
            if !known {
                later.push(release);
            }
            if self.seen.len().is_multiple_of(32) && Instant::now() >= deadline {
                return None;
            }
        }
        self.open = later;
        Some(std::mem::take(&mut *solver.needed.borrow_mut()).into_iter().collect())
    }

    /// Opens the releases that would be taken first. Whether all of them are known.
    fn follow(&mut self, solver: &Solver<'_>, edges: &[Edge]) -> bool {
        let mut known = true;
        for (node, set) in edges {
            let best = match node {
                Node::Root | Node::Links(_) => None,
                Node::Unasked(_) => {
                    known = false;
                    None
                }
                Node::Group(id, _) => solver.choose(*id, set).map(|at| (*id, at)),
                Node::Wide(wide) => {
                    let (id, parts) = solver.wide_parts(*wide);
                    parts.iter().rev().find_map(|(_, set)| solver.choose(id, set)).map(|at| (id, at))
                }
            };
            if let Some(best) = best.filter(|best| self.seen.insert(*best)) {
                self.open.push(Some(best));
            }
        }
        known
    }
}

/// What the search has chosen, in order and with who needs what.
fn resolution(solver: &Solver<'_>, selected: &SelectedDependencies<Node, u32>) -> Resolution {
    let universe = solver.universe;
    let mut chosen: Vec<(Id, u32)> = selected
        .iter()
        .filter_map(|(node, at)| match node {
            Node::Group(id, _) => Some((*id, *at)),
            _ => None,
        })
        .collect();
    let order = |(id, at): &(Id, u32)| {
        let key = universe.key(*id);
        (key.id, key.registry, *at)
    };
    chosen.sort_by_cached_key(order);
    let mut places: HashMap<Id, Vec<(u32, usize)>> = HashMap::new();
    for (place, (id, at)) in chosen.iter().enumerate() {
        places.entry(*id).or_default().push((*at, place));
    }
    // The one of the chosen versions of a package that a requirement was answered with.
    let among = |id: Id, set: &VersionSet| {
        places.get(&id)?.iter().find(|p| pubgrub::VersionSet::contains(set, &p.0)).map(|p| p.1)
    };
    let answer = |(node, set): &Edge| match node {
        Node::Group(id, _) => among(*id, set),
        Node::Wide(wide) => {
            let (id, parts) = solver.wide_parts(*wide);
            among(id, &parts.get(*selected.get(node)? as usize)?.1)
        }
        Node::Root | Node::Unasked(_) | Node::Links(_) => None,
    };
    let packages = chosen.iter().filter_map(|&(id, at)| {
        let key = universe.key(id);
        let candidates = universe.candidates(id)?;
        let release = candidates.release(at).ok()?;
        let edges = solver.edges(id, at);
        let mut dependencies: Vec<usize> = edges.iter().flatten().filter_map(answer).collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        Some(Resolved {
            name: release.name.clone(),
            version: candidates.version(at).clone(),
            registry: universe.origin(key.registry).to_owned(),
            archive: release.archive.clone(),
            dependencies,
            yanked: release.yanked.is_some(),
            id: key.id,
        })
    });
    let packages = packages.collect();
    let wanted = solver.question.wants.iter();
    let wanted =
        wanted.filter_map(|(key, req)| answer(&solver.edge(universe.id_of(key), &req.to_string()).ok()?)).collect();
    Resolution { packages, wanted, generations: BTreeMap::new() }
}
