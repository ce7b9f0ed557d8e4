//! Made-up graphs: what is found, what is not and why, and that nothing takes for ever.

mod registries;

use super::*;
use crate::{
    format::{Line, PackageLines},
    package::{Archive, ArchiveFormat, Dependency, DependencyKind, RECORD_VERSION, Record, Sha256, Yanked},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

const DAY: i64 = 86_400;

/// Registries in memory.
#[derive(Default, Clone, Debug)]
struct Graph {
    packages: HashMap<Key, Vec<Record>>,
}

fn key(registry: u16, name: &str) -> Key {
    let (kind, name) = name.split_once(':').unwrap_or(("pack", name));
    Key { registry, id: PackageId::new(kind.parse().unwrap(), &PackageName::new(name).unwrap()).unwrap() }
}

fn record(id: &PackageId, version: &str) -> Record {
    let archive = Archive { format: ArchiveFormat::TarGz, sha256: Sha256::of(b""), size: 0, url: None };
    Record {
        archive,
        categories: Vec::new(),
        dependencies: Vec::new(),
        external: Vec::new(),
        features: BTreeMap::new(),
        keywords: Vec::new(),
        kind: id.kind(),
        license: None,
        links: None,
        name: PackageName::new(id.name()).unwrap(),
        published: Timestamp::from_unix(DAY),
        removed: None,
        rust_version: None,
        signatures: Vec::new(),
        summary: String::new(),
        v: RECORD_VERSION,
        version: version.parse().unwrap(),
        yanked: None,
    }
}

impl Graph {
    /// `name version: dependency requirement, …` on each line, in the first registry. Names are packs unless they say
    /// otherwise. Marks behind the version: `!` yanked, `+N` published on day N, `~` before a dependency optional.
    fn new(text: &str) -> Self {
        let mut out = Self::default();
        text.lines().map(str::trim).filter(|l| !l.is_empty()).for_each(|l| out.add(0, l));
        out
    }

    fn add(&mut self, registry: u16, line: &str) {
        let (head, needs) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let mut head = head.split(' ');
        let key = key(registry, head.next().unwrap());
        let mut record = record(&key.id, head.next().unwrap());
        for mark in head {
            match mark.split_at(1) {
                ("!", _) => record.yanked = Some(Yanked { reason: Some("it hurts".into()), time: record.published }),
                ("+", day) => record.published = Timestamp::from_unix(day.parse::<i64>().unwrap() * DAY),
                ("#", library) => record.links = Some(library.into()),
                _ => panic!("{mark}"),
            }
        }
        for need in needs.split(", ").filter(|n| !n.is_empty()) {
            let (name, req) = need.split_once(' ').unwrap();
            let (name, optional) = name.strip_prefix('~').map_or((name, false), |n| (n, true));
            let (req, registry) = req.split_once(" in ").map_or((req, None), |(r, i)| (r, Some(i.to_owned())));
            record.dependencies.push(Dependency {
                alias: None,
                default_features: true,
                features: Vec::new(),
                kind: DependencyKind::Normal,
                name: PackageName::new(name).unwrap(),
                optional,
                registry,
                req: req.into(),
                target: None,
            });
        }
        self.packages.entry(key).or_default().push(record);
    }

    fn candidates(&self, key: &Key) -> Option<Arc<Candidates>> {
        let mut records = self.packages.get(key)?.clone();
        records.sort_by(|a, b| a.version.cmp(&b.version));
        let mut lines = PackageLines::new(key.id.label().into());
        lines.lines = records.iter().map(Line::new).collect();
        Some(Arc::new(Candidates::new(key.id.clone(), Arc::new(lines))))
    }

    fn question(wants: &[&str]) -> Question {
        let want = |text: &&str| {
            let (name, req) = text.split_once(' ').unwrap_or((text, "*"));
            (key(0, name), requirement(req).unwrap())
        };
        let named = |origin: &str, alias: &str| RegistryNames { origin: origin.into(), aliases: vec![alias.into()] };
        Question {
            registries: vec![
                named("one.example", "https://one.example/"),
                named("two.example", "https://two.example/"),
            ],
            wants: wants.iter().map(want).collect(),
            prefer: Prefer::Highest,
            cutoff: None,
            optional: BTreeSet::new(),
            overrides: Vec::new(),
            locked: Vec::new(),
            only_locked: false,
            budget: Budget::default(),
        }
    }

    fn ask_rounds(&self, question: Question) -> (crate::Result<Resolution>, usize) {
        self.ask_with(question, |_| false)
    }

    /// The answer with these packages in memory, and how many rounds of questions it took for the others.
    fn ask_with(&self, question: Question, in_memory: impl Fn(&Key) -> bool) -> (crate::Result<Resolution>, usize) {
        let mut session = Session::new(question);
        let mut rounds = 0;
        loop {
            match session.step(&|key| in_memory(key).then(|| self.candidates(key))) {
                Err(e) => return (Err(e), rounds),
                Ok(Step::Done(resolution)) => return (Ok(resolution), rounds),
                Ok(Step::Need(keys)) => {
                    assert!(!keys.is_empty());
                    rounds += 1;
                    keys.iter().for_each(|k| session.learn(k, self.candidates(k)));
                }
            }
        }
    }

    fn ask(&self, question: Question) -> crate::Result<Resolution> {
        self.ask_rounds(question).0
    }

    /// What is found, as `name version` in order.
    fn found(&self, wants: &[&str]) -> String {
        shown(&self.ask(Self::question(wants)).unwrap())
    }

    fn refused(&self, question: Question) -> String {
        let e = self.ask(question).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsolvable);
        format!("{e}\n{}", e.details().iter().map(|l| format!("  {l}\n")).collect::<String>())
    }
}

fn shown(resolution: &Resolution) -> String {
    let one = |p: &Resolved| format!("{} {}", p.id.name(), p.version);
    resolution.packages.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_highest_that_fit_together_are_taken() {
    let graph = Graph::new(
        "app 1.0.0: lib ^1, logs *
         lib 1.0.0: logs ^1
         lib 1.1.0: logs ^2
         lib 2.0.0
         logs 1.0.0
         logs 1.5.0
         logs 2.0.0",
    );
    assert_eq!(graph.found(&["app"]), "app 1.0.0, lib 1.1.0, logs 2.0.0");
    assert_eq!(graph.found(&["app", "logs <2"]), "app 1.0.0, lib 1.0.0, logs 1.5.0");
    let mut minimal = Graph::question(&["app"]);
    minimal.prefer = Prefer::Minimal;
    assert_eq!(shown(&graph.ask(minimal).unwrap()), "app 1.0.0, lib 1.0.0, logs 1.0.0");
    let resolution = graph.ask(Graph::question(&["app", "lib"])).unwrap();
    assert_eq!((resolution.wanted, &resolution.packages[0].dependencies[..]), (vec![0, 1], &[1, 2][..]));
}

#[test]
fn of_a_crate_there_is_one_version_for_each_compatible_range_and_of_a_pack_one() {
    let text = "KIND:app 1.0.0: a *, b *
         KIND:a 1.0.0: rand ^0.7
         KIND:b 1.0.0: rand ^0.8
         KIND:rand 0.7.0
         KIND:rand 0.7.3
         KIND:rand 0.8.5";
    assert_eq!(
        Graph::new(&text.replace("KIND", "crate")).found(&["crate:app"]),
        "a 1.0.0, app 1.0.0, b 1.0.0, rand 0.7.3, rand 0.8.5"
    );
    assert_eq!(
        Graph::new(&text.replace("KIND", "pack")).refused(Graph::question(&["app"])),
        "no versions of these packages fit together\n\
         \x20 you want pack:app of one.example *\n\
         \x20 pack:app of one.example 1.0.0 needs pack:a of one.example *\n\
         \x20 pack:app of one.example 1.0.0 needs pack:b of one.example *\n\
         \x20 pack:a of one.example 1.0.0 needs pack:rand of one.example ^0.7\n\
         \x20 pack:b of one.example 1.0.0 needs pack:rand of one.example ^0.8\n"
    );
    // Whoever takes several ranges gets one of them, and the higher where nothing else counts.
    let wide = Graph::new(
        "crate:a 1.0.0: rand >=0.7, logs >=1
         crate:rand 0.7.3: logs ^1
         crate:rand 0.8.5: logs ^9
         crate:logs 1.0.0
         crate:logs 2.0.0",
    );
    assert_eq!(
        wide.found(&["crate:a"]),
        "a 1.0.0, logs 2.0.0, logs 1.0.0, rand 0.7.3".replace("logs 2.0.0, logs 1.0.0", "logs 1.0.0, logs 2.0.0")
    );
}

#[test]
fn a_native_library_is_linked_once() {
    let graph = Graph::new(
        "crate:app 1.0.0: old *, ssl-sys ^2
         crate:old 1.0.0: ssl-sys ^1
         crate:old 1.1.0: ssl-sys ^2
         crate:ssl-sys 1.0.0 #ssl
         crate:ssl-sys 2.0.0 #ssl",
    );
    assert_eq!(graph.found(&["crate:app"]), "app 1.0.0, old 1.1.0, ssl-sys 2.0.0");
    let text = graph.refused(Graph::question(&["crate:app", "crate:old =1.0.0"]));
    assert!(text.contains("only one crate can link the native library ssl"), "{text}");
}

#[test]
fn pre_releases_are_taken_only_when_asked_for() {
    let graph = Graph::new(
        "a 1.0.0
         a 1.1.0-rc.1
         a 2.0.0-rc.1
         b 1.0.0-beta.1",
    );
    assert_eq!(graph.found(&["a"]), "a 1.0.0");
    assert_eq!(graph.found(&["a ^1.1.0-rc.0"]), "a 1.1.0-rc.1");
    assert_eq!(graph.found(&["a =2.0.0-rc.1"]), "a 2.0.0-rc.1");
    let text = graph.refused(Graph::question(&["b"]));
    assert!(text.contains("there is only the pre-release 1.0.0-beta.1, which has to be asked for"), "{text}");
}

#[test]
fn a_yanked_release_is_taken_only_when_it_is_locked() {
    let graph = Graph::new(
        "a 1.0.0
         a 1.1.0 !",
    );
    assert_eq!(graph.found(&["a"]), "a 1.0.0");
    assert!(graph.refused(Graph::question(&["a =1.1.0"])).contains("1.1.0 is yanked: it hurts"));
    for prefer in [Prefer::Highest, Prefer::Locked] {
        let mut locked = Graph::question(&["a"]);
        (locked.prefer, locked.locked) = (prefer, vec![(key(0, "a"), "1.1.0".parse().unwrap())]);
        let resolution = graph.ask(locked).unwrap();
        assert!(shown(&resolution) == "a 1.1.0" && resolution.packages[0].yanked);
    }
}

#[test]
fn what_is_locked_stays_where_it_fits() {
    let graph = Graph::new(
        "app 1.0.0: logs *
         app 2.0.0: logs ^2
         logs 1.0.0
         logs 1.1.0
         logs 2.0.0",
    );
    let locked = |name: &str, version: &str| (key(0, name), version.parse().unwrap());
    let ask = |wants: &[&str], only| {
        let mut question = Graph::question(wants);
        question.locked = vec![locked("app", "1.0.0"), locked("logs", "1.0.0")];
        (question.prefer, question.only_locked) = (Prefer::Locked, only);
        question
    };
    assert_eq!(shown(&graph.ask(ask(&["app"], false)).unwrap()), "app 1.0.0, logs 1.0.0");
    assert_eq!(shown(&graph.ask(ask(&["app", "logs >=1.1"], false)).unwrap()), "app 1.0.0, logs 2.0.0");
    assert_eq!(shown(&graph.ask(ask(&["app"], true)).unwrap()), "app 1.0.0, logs 1.0.0");
    assert!(graph.refused(ask(&["app ^2"], true)).contains("2.0.0 is not in the lock file"));
}

#[test]
fn what_is_newer_than_the_cut_off_is_not_there() {
    let graph = Graph::new(
        "a 1.0.0 +1
         a 1.1.0 +5
         a 1.2.0 +9",
    );
    let ask = |wants: &[&str], day| {
        let mut question = Graph::question(wants);
        question.cutoff = Some(Timestamp::from_unix(day * DAY));
        question
    };
    assert_eq!(shown(&graph.ask(ask(&["a"], 9)).unwrap()), "a 1.2.0");
    assert_eq!(shown(&graph.ask(ask(&["a"], 8)).unwrap()), "a 1.1.0");
    let text = graph.refused(ask(&["a ^1.1"], 2));
    assert!(text.contains("1.1.0 to 1.2.0 is newer than 1970-01-03T00:00:00Z"), "{text}");
}

#[test]
fn optional_dependencies_are_taken_when_asked_for() {
    let graph = Graph::new(
        "a 1.0.0: ~b *, c *
         b 1.0.0: ~d *
         c 1.0.0
         d 1.0.0",
    );
    assert_eq!(graph.found(&["a"]), "a 1.0.0, c 1.0.0");
    let mut question = Graph::question(&["a"]);
    question.optional = BTreeSet::from([key(0, "a")]);
    assert_eq!(shown(&graph.ask(question).unwrap()), "a 1.0.0, b 1.0.0, c 1.0.0");
}

#[test]
fn a_name_is_looked_up_in_its_own_registry_and_in_no_other() {
    let mut graph = Graph::new("app 1.0.0: inner ^1");
    graph.add(1, "inner 1.9.0");
    let text = graph.refused(Graph::question(&["app"]));
    assert!(text.contains("needs pack:inner of one.example ^1, which one.example does not have"), "{text}");
    graph.add(0, "app 1.1.0: inner ^1 in sparse+https://two.example");
    graph.add(1, "inner 1.9.1: deep *");
    graph.add(1, "deep 1.0.0");
    graph.add(0, "deep 2.0.0");
    let resolution = graph.ask(Graph::question(&["app"])).unwrap();
    let seen: Vec<_> = resolution.packages.iter().map(|p| (p.id.name(), p.registry.as_str())).collect();
    assert_eq!(seen, [("app", "one.example"), ("deep", "two.example"), ("inner", "two.example")]);
    graph.add(0, "app 2.0.0: inner * in https://three.example");
    assert!(
        graph
            .refused(Graph::question(&["app ^2"]))
            .contains("https://three.example, a registry that is not configured")
    );
}

#[test]
fn an_override_takes_the_place_of_what_everybody_asks() {
    let graph = Graph::new(
        "app 1.0.0: logs ^1
         logs 1.0.0
         logs 2.0.0",
    );
    let mut question = Graph::question(&["app"]);
    question.overrides = vec![(key(0, "logs"), requirement("^2").unwrap())];
    assert_eq!(shown(&graph.ask(question).unwrap()), "app 1.0.0, logs 2.0.0");
}

#[test]
fn one_round_of_questions_for_each_level() {
    let mut graph = Graph::default();
    for level in 0..12 {
        for i in 0..20 {
            let needs = (0..20).map(|n| format!("p{}-{n} ^1", level + 1)).collect::<Vec<_>>().join(", ");
            graph.add(0, &format!("p{level}-{i} 1.0.0: {}", if level < 11 { needs.as_str() } else { "" }));
        }
    }
    let (resolution, rounds) = graph.ask_rounds(Graph::question(&["p0-0"]));
    assert_eq!((resolution.unwrap().packages.len(), rounds), (1 + 11 * 20, 12));
}

#[test]
fn a_package_that_needs_itself() {
    let graph = Graph::new(
        "a 1.0.0: a ^1
         b 1.0.0: b ^2
         b 2.0.0",
    );
    assert_eq!(graph.found(&["a"]), "a 1.0.0");
    assert!(graph.refused(Graph::question(&["b ^1"])).contains("it needs another version of itself"));
    let cycle = Graph::new(
        "a 1.0.0: b *
         b 1.0.0: a *",
    );
    assert_eq!(cycle.found(&["a"]), "a 1.0.0, b 1.0.0");
}

#[test]
fn what_cannot_be_read_is_passed_over_and_told() {
    let mut graph = Graph::new(
        "a 1.0.0
         a 1.1.0: b nonsense
         b 1.0.0",
    );
    assert_eq!(graph.found(&["a"]), "a 1.0.0");
    let text = graph.refused(Graph::question(&["a =1.1.0"]));
    assert!(text.contains("\"nonsense\", which is no requirement"), "{text}");
    graph.packages.get_mut(&key(0, "a")).unwrap()[1].v = 9;
    let text = graph.refused(Graph::question(&["a =1.1.0"]));
    assert!(text.contains("its record is of version 9, newer than this program reads"), "{text}");
}

/// Ends in an error, and soon.
#[track_caller]
fn hostile(graph: &Graph, wants: &[&str]) -> String {
    let start = Instant::now();
    let text = graph.refused(Graph::question(wants));
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    text
}

#[test]
fn a_graph_that_goes_on_for_ever_ends_in_an_error() {
    let mut graph = Graph::default();
    for i in 0..3_000 {
        graph.add(0, &format!("p{i} 1.0.0: p{} *", i + 1));
    }
    assert!(hostile(&graph, &["p0"]).contains("goes on for more than 500 levels"));
}

#[test]
fn a_graph_that_is_too_wide_ends_in_an_error() {
    let mut graph = Graph::default();
    let needs: Vec<_> = (0..20_001).map(|i| format!("p{i} *")).collect();
    graph.add(0, &format!("all 1.0.0: {}", needs.join(", ")));
    assert!(hostile(&graph, &["all"]).contains("more than 20000 packages"));
}

/// More pigeons than holes: no search that only learns clauses gets through this in any reasonable time.
#[test]
fn a_puzzle_without_a_solution_ends_in_an_error() {
    const HOLES: usize = 12;
    let mut graph = Graph::default();
    for pigeon in 0..=HOLES {
        for hole in 0..HOLES {
            graph.add(0, &format!("pigeon{pigeon} 1.{hole}.0: hole{hole} =1.{pigeon}.0"));
            graph.add(0, &format!("hole{hole} 1.{pigeon}.0"));
        }
    }
    let wants: Vec<_> = (0..=HOLES).map(|p| format!("pigeon{p}")).collect();
    let wants: Vec<_> = wants.iter().map(String::as_str).collect();
    assert!(hostile(&graph, &wants).contains("within 3 s of work"));
    // One pigeon less, and they fit.
    assert_eq!(graph.ask(Graph::question(&wants[1..])).unwrap().packages.len(), 2 * HOLES);
}

#[test]
fn very_many_versions_that_all_fail_end_in_an_error_that_can_be_read() {
    let mut graph = Graph::new("logs 1.0.0");
    for i in 0..3_000 {
        graph.add(0, &format!("a 1.{i}.0: b ={i}.0.0"));
        graph.add(0, &format!("b {i}.0.0: logs ^2"));
    }
    let text = hostile(&graph, &["a"]);
    assert!(text.lines().count() <= 42, "{text}");
}

#[test]
fn a_long_chain_of_conflicts_is_explained() {
    let mut graph = Graph::default();
    for i in 0..120 {
        graph.add(0, &format!("p{i} 1.0.0: p{} ^1", i + 1));
        graph.add(0, &format!("p{i} 1.1.0: p{} ^1", i + 1));
    }
    graph.add(0, "p120 2.0.0");
    let text = hostile(&graph, &["p0"]);
    assert!(text.contains("… and ") && text.contains("you want pack:p0"), "{text}");
}

const REQS: [&str; 7] = ["*", "^1", "^2", "=1.0.0", ">=1.1", "<2", "^0.1"];
const VERSIONS: [&str; 4] = ["0.1.0", "1.0.0", "1.1.0", "2.0.0"];

/// Up to five packages with up to four versions, each with up to three needs; some are yanked, some link a library.
fn graphs() -> impl Strategy<Value = (Graph, Vec<String>)> {
    let need = (0..5usize, 0..REQS.len());
    let release = (prop::collection::vec(need.clone(), 0..4), 0..8u8);
    let package = prop::collection::vec(prop::option::of(release), VERSIONS.len());
    (prop::collection::vec(package, 5), prop::collection::vec(need, 1..4), any::<bool>()).prop_map(
        |(packages, wants, crates)| {
            let kind = if crates { "crate" } else { "pack" };
            let mut graph = Graph::default();
            for (i, releases) in packages.iter().enumerate() {
                for (release, version) in releases.iter().zip(VERSIONS) {
                    let Some((needs, mark)) = release else { continue };
                    let needs: Vec<_> = needs.iter().map(|(n, r)| format!("p{n} {}", REQS[*r])).collect();
                    let mark = match mark {
                        0 => " !",
                        1 => " #z",
                        _ => "",
                    };
                    graph.add(0, &format!("{kind}:p{i} {version}{mark}: {}", needs.join(", ")));
                }
            }
            (graph, wants.iter().map(|(n, r)| format!("{kind}:p{n} {}", REQS[*r])).collect())
        },
    )
}

/// Whether two releases exclude each other.
fn exclude(a: &Record, b: &Record) -> bool {
    let (v, w) = (a.version.semver(), b.version.semver());
    let same = v.major == w.major && (v.major > 0 || v.minor == w.minor && (v.minor > 0 || v.patch == w.patch));
    a.name == b.name && (same || a.kind == Kind::Pack) || a.links.is_some() && a.links == b.links
}

/// Whether these releases are an answer: everything that is wanted or needed is among them, no two of them exclude each other.
fn is_answer(wants: &[(Key, VersionReq)], chosen: &[&Record]) -> bool {
    let met = |id: &PackageId, req: &VersionReq| {
        chosen.iter().any(|r| r.id().unwrap() == *id && req.matches(r.version.semver()))
    };
    let needs = |r: &&Record| {
        let met = |d: &Dependency| met(&PackageId::new(r.kind, &d.name).unwrap(), &requirement(&d.req).unwrap());
        r.yanked.is_none() && r.dependencies.iter().all(met)
    };
    wants.iter().all(|(key, req)| met(&key.id, req))
        && chosen.iter().all(needs)
        && chosen.iter().enumerate().all(|(i, a)| !chosen[..i].iter().any(|b| exclude(a, b)))
}

/// Whether there is any answer, by trying all: every release is in or out, but for those that can be in no answer.
fn any_answer<'r>(wants: &[(Key, VersionReq)], rest: &[&'r Record], chosen: &mut Vec<&'r Record>) -> bool {
    let Some((first, rest)) = rest.split_first() else { return is_answer(wants, chosen) };
    if first.yanked.is_none() && !chosen.iter().any(|c| exclude(c, first)) {
        chosen.push(first);
        if any_answer(wants, rest, chosen) {
            return true;
        }
        chosen.pop();
    }
    any_answer(wants, rest, chosen)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_found_exactly_when_there_is_one((graph, wants) in graphs()) {
        let wants: Vec<_> = wants.iter().map(String::as_str).collect();
        for prefer in [Prefer::Highest, Prefer::Minimal] {
            let mut question = Graph::question(&wants);
            question.prefer = prefer;
            let asked = question.wants.clone();
            // Whatever is in memory already, the answer is the same, and so are the reasons.
            let told = |r: crate::Result<Resolution>| r.map_err(|e| (e.to_string(), e.details().to_vec()));
            let cold = told(graph.ask(question.clone()));
            let (warm, rounds) = graph.ask_with(question.clone(), |_| true);
            prop_assert!(rounds == 0 || warm.is_err(), "nothing had to be asked");
            prop_assert_eq!(&told(warm), &cold);
            let half = |key: &Key| key.id.name().ends_with(['1', '3']);
            prop_assert_eq!(&told(graph.ask_with(question.clone(), half).0), &cold);
            let mut all: Vec<_> = graph.packages.values().flatten().collect();
            all.sort_by_key(|r| (&r.name, &r.version));
            match graph.ask(question.clone()) {
                Err(e) => {
                    prop_assert_eq!(e.kind(), ErrorKind::Unsolvable);
                    prop_assert!(!e.details().is_empty());
                    prop_assert!(!any_answer(&asked, &all, &mut Vec::new()), "there is one: {:?}", e.details());
                }
                Ok(resolution) => {
                    let chosen: Vec<_> = resolution.packages.iter().map(|p| {
                        *all.iter().find(|r| r.id().unwrap() == p.id && r.version == p.version).unwrap()
                    }).collect();
                    prop_assert!(is_answer(&asked, &chosen), "{}", shown(&resolution));
                    // Nothing is in it that nobody needs, and the edges lead where the requirements say.
                    let mut reached = resolution.wanted.clone();
                    let mut at = 0;
                    while at < reached.len() {
                        let next = &resolution.packages[reached[at]].dependencies;
                        reached.extend(next.iter().filter(|d| !reached.contains(d)).copied().collect::<Vec<_>>());
                        at += 1;
                    }
                    reached.sort_unstable();
                    reached.dedup();
                    prop_assert_eq!(reached.len(), chosen.len(), "{}", shown(&resolution));
                    prop_assert_eq!(graph.ask(question).unwrap(), resolution, "the same again");
                }
            }
        }
    }
}
