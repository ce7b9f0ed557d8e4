//! One question, from the first name to the answer.

use super::{
    Candidates, Key, Question, Resolution, Resolved, Set,
    explain::Explained,
    solver::{Node, Solver},
    universe::{Id, Known, Universe},
};
use crate::{Error, ErrorKind, Result};
use pubgrub::{PubGrubError, SelectedDependencies};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// A search that waits for packages.
pub(crate) struct Session {
    question: Question,
    universe: Universe,
    walk: Walk,
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
    /// Requirements that were not followed yet.
    open: Vec<(Id, Box<str>)>,
    seen: HashSet<(Id, u32)>,
    asked: HashSet<(Id, Box<str>)>,
}

impl Session {
    pub(crate) fn new(question: Question) -> Self {
        let universe = Universe::new(&question);
        let mut walk = Walk::default();
        for (key, req) in &question.wants {
            walk.ask(universe.id(key), &req.to_string());
        }
        let budget = question.budget;
        Self { universe, walk, steps: budget.steps, time: budget.time, rounds: budget.rounds, question }
    }

    /// Takes what a registry has of a package: `None` when it is proved to have nothing.
    pub(crate) fn learn(&mut self, key: &Key, candidates: Option<Arc<Candidates>>) {
        self.universe.learn(key, candidates);
    }

    /// Goes as far as it can.
    ///
    /// # Errors
    /// [`ErrorKind::Unsolvable`] with the reasons, or when it would be too much work.
    pub(crate) fn step(&mut self) -> Result<Step> {
        let start = Instant::now();
        let deadline = start + self.time;
        let mut solver = Solver::new(&self.universe, &self.question, self.steps, deadline);
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
                Err(PubGrubError::NoSolution(reasons)) => {
                    return Err(Explained::new(&solver, reasons).into_error());
                }
                Err(_) => out = Err(self.too_much("steps")),
            }
        }
        self.steps = *solver.steps.get_mut();
        drop(solver);
        self.time = self.time.saturating_sub(start.elapsed());
        let lacking = out?;
        if self.universe.len() > self.question.budget.packages {
            return Err(self.too_much("packages"));
        }
        self.rounds = self.rounds.checked_sub(1).ok_or_else(|| self.too_much("levels"))?;
        Ok(Step::Need(lacking.into_iter().map(|id| self.universe.key(id)).collect()))
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
    fn ask(&mut self, id: Id, req: &str) {
        if self.asked.insert((id, req.into())) {
            self.open.push((id, req.into()));
        }
    }

    /// Goes on until it lacks something, which is what it returns.
    fn go(&mut self, solver: &Solver<'_>, deadline: Instant) -> Option<Vec<Id>> {
        let (mut lacking, mut later) = (BTreeSet::new(), Vec::new());
        while let Some((id, req)) = self.open.pop() {
            match solver.universe.known(id) {
                Known::Absent => {}
                Known::Unasked => {
                    lacking.insert(id);
                    later.push((id, req));
                }
                Known::Present(candidates) => self.follow(solver, id, &candidates, &req),
            }
            if Instant::now() >= deadline {
                return None;
            }
        }
        self.open = later;
        Some(lacking.into_iter().collect())
    }

    fn follow(&mut self, solver: &Solver<'_>, id: Id, candidates: &Candidates, req: &str) {
        let meaning = candidates.meaning(solver.asked(id, req));
        let best = meaning.0.iter().rev().find_map(|(_, set): &(u32, Set)| solver.choose(id, set));
        let Some(at) = best.filter(|at| self.seen.insert((id, *at))) else { return };
        let Ok(release) = candidates.release(at) else { return };
        let own = solver.universe.key(id).registry;
        for need in solver.needs(id, release) {
            if let Ok(target) = solver.target(own, need) {
                self.ask(target, &need.req);
            }
        }
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
    let answer = |id: Id, req: &str| -> Option<usize> {
        let meaning = universe.candidates(id)?.meaning(solver.asked(id, req));
        let places = places.get(&id)?;
        let among = |set: &Set| places.iter().find(|p| pubgrub::VersionSet::contains(set, &p.0)).map(|p| p.1);
        match &*meaning.0 {
            [(_, set)] => among(set),
            parts => {
                let wide = solver.wide_id(id, solver.asked(id, req))?;
                let part = *selected.get(&Node::Wide(wide))? as usize;
                among(&parts[part].1)
            }
        }
    };
    let packages = chosen.iter().filter_map(|&(id, at)| {
        let key = universe.key(id);
        let candidates = universe.candidates(id)?;
        let release = candidates.release(at).ok()?;
        let needs = solver.needs(id, release).filter_map(|n| answer(solver.target(key.registry, n).ok()?, &n.req));
        let mut dependencies: Vec<usize> = needs.collect();
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
    let wanted = wanted.filter_map(|(key, req)| answer(universe.id(key), &req.to_string())).collect();
    Resolution { packages, wanted, generations: BTreeMap::new() }
}
