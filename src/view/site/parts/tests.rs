//! Whatever changes, and whoever dies over it: the parts are what they would be had they been made in one go.

use super::*;
use crate::view::site::{Facts, search};
use proptest::{prelude::*, test_runner::Config};

/// What there is to know of a package here: its words, its downloads, whether it is yanked.
type Told = (Vec<&'static str>, u64, bool);
type State = BTreeMap<String, Told>;
type Stored = BTreeMap<String, Vec<u8>>;

fn layout(group: &str) -> Layout {
    let mut layout = Layout::of(group).unwrap();
    // Small ones, so that few rows have many parts.
    layout.limits.whole = 6;
    layout.limits.inside = if group.starts_with("s/") { 9 } else { 6 };
    layout.limits.best = 4;
    layout.limits.pointed = layout.limits.pointed.min(2);
    layout
}

fn entry(group: &str, label: &str, known: &Told) -> Option<Arc<Entry>> {
    let (words, downloads, yanked) = known;
    let label: Arc<str> = label.into();
    let entry = match group.split_once('/').unwrap() {
        ("s", shard) => {
            let is_name = shard.starts_with('n');
            let facts = Facts {
                label: if is_name { words.join("-") } else { "x".into() },
                version: "1.0.0".into(),
                summary: if is_name { String::new() } else { words.join(" ") },
                keywords: Vec::new(),
                categories: Vec::new(),
                downloads: Some(*downloads),
                yanked: *yanked,
            };
            let (entry, shards) = search::row(&label, &facts);
            shards.contains(shard).then_some(entry)
        }
        ("k", _) => Entry::listed(&label, &format!("{{\"downloads\":{downloads},\"yanked\":{yanked}}}")),
        _ => Entry::dependent(&label, "\"x\""),
    };
    entry.map(Arc::new)
}

fn whole(group: &str, state: &State) -> Grown {
    all(&layout(group), state.iter().filter_map(|(label, known)| entry(group, label, known)))
}

fn put(stored: &mut Stored, group: &str, prefix: &str, part: Option<&Part>) {
    match part {
        Some(part) => drop(stored.insert(prefix.to_owned(), part.write(&layout(group), prefix).bytes.to_vec())),
        None => drop(stored.remove(prefix)),
    }
}

fn stored(group: &str, grown: &Grown) -> Stored {
    let mut out = Stored::new();
    grown.made.iter().for_each(|(prefix, part)| put(&mut out, group, prefix, Some(part)));
    out
}

/// The changes that lead to a state from those that something may be left of.
fn changes(group: &str, olds: &[&State], new: &State) -> Vec<Change> {
    let labels: BTreeSet<&String> = olds.iter().flat_map(|s| s.keys()).chain(new.keys()).collect();
    let of = |state: &State, label: &str| state.get(label).and_then(|known| entry(group, label, known));
    let differs = |label: &&String| olds.iter().any(|old| old.get(*label) != new.get(*label));
    let change = |label: &String| {
        let (row, olds) = (of(new, label), olds.iter().map(|old| of(old, label)));
        let olds: BTreeMap<usize, _> = olds.enumerate().collect();
        let must = row.is_some() && olds.values().all(Option::is_some);
        Change { label: label.as_str().into(), new: row, olds, must }
    };
    labels.into_iter().filter(differs).map(change).collect()
}

/// As a run does it: reads what is asked for, round by round. With what it read, and how many parts that were.
fn run(group: &str, stored: &Stored, changes: &[Change], careful: bool) -> Result<(Grown, usize), String> {
    let layout = layout(group);
    let mut known = Known::new();
    loop {
        match changed(&layout, &known, changes, careful) {
            Ok(grown) => return Ok((grown, known.len())),
            Err(Not::Right(why)) => return Err(why),
            Err(Not::Known(prefixes)) => {
                assert!(!prefixes.is_empty());
                for prefix in prefixes {
                    let part = stored.get(&prefix).map(|b| Part::read(&layout, b).unwrap());
                    assert!(known.insert(prefix, part).is_none(), "asked for twice");
                }
            }
        }
    }
}

/// The writes of a run: what leads to others after them, what is emptied at the end, and the rest in any order, since much of it is
/// written at once.
fn writes(grown: &Grown, seed: u64) -> Vec<(&String, Option<&Part>)> {
    let mut heights: BTreeMap<&String, usize> = BTreeMap::new();
    let mut longest_first: Vec<_> = grown.made.iter().collect();
    longest_first.sort_by_key(|(p, _)| std::cmp::Reverse(p.len()));
    for (prefix, part) in longest_first {
        let below = part.below.keys().filter_map(|p| heights.get(p)).max();
        heights.insert(prefix, below.map_or(0, |h| h + 1));
    }
    let any = |prefix: &String| crate::package::Sha256::of(format!("{seed} {prefix}").as_bytes());
    let mut made: Vec<_> = grown.made.iter().map(|(p, part)| (p, Some(part))).collect();
    made.sort_by_key(|(p, _)| (heights[p], any(p)));
    let mut gone: Vec<_> = grown.gone.iter().map(|p| (p, None)).collect();
    gone.sort_by_key(|(p, _)| any(p));
    made.into_iter().chain(gone).collect()
}

const GROUPS: [&str; 4] = ["s/n-re", "s/t-rea", "k/many", "d/crate/x"];
const WORDS: [&str; 11] =
    ["rea", "reap", "read", "reads", "reader", "readable", "react", "reacts", "reactive", "rest", "other"];

fn package() -> impl Strategy<Value = Told> {
    (proptest::collection::vec(0..WORDS.len(), 1..4), 0..5u64, proptest::bool::weighted(0.1))
        .prop_map(|(words, downloads, yanked)| (words.into_iter().map(|w| WORDS[w]).collect(), downloads, yanked))
}

/// Names that begin alike, in two kinds.
fn label(n: u8) -> String {
    let kind = if n.is_multiple_of(2) { "crate" } else { "pack" };
    format!("{kind}/{}{}", ["a", "ab", "abc", "b"][usize::from(n / 2) % 4], n / 8)
}

fn step() -> impl Strategy<Value = Vec<(u8, Option<Told>)>> {
    let one = || (0..90u8, proptest::option::weighted(0.7, package()));
    prop_oneof![4 => proptest::collection::vec(one(), 1..3), 1 => proptest::collection::vec(one(), 20..80)]
}

proptest! {
    #![proptest_config(Config { cases: 400, max_shrink_iters: 400, ..Config::default() })]

    #[test]
    fn parts_are_a_function_of_the_rows_whatever_happened(
        which in 0..GROUPS.len(),
        steps in proptest::collection::vec((step(), proptest::option::weighted(0.6, (0..12usize, 0..1000u64))), 1..12),
    ) {
        let group = GROUPS[which];
        let mut state = State::new();
        let mut there = Stored::new();
        // States that something may be left of, by runs that died.
        let mut others: Vec<State> = Vec::new();
        for (step, dies_at) in steps {
            let mut new = state.clone();
            for (n, known) in step {
                match known {
                    Some(known) => drop(new.insert(label(n), known)),
                    None => drop(new.remove(&label(n))),
                }
            }
            let olds: Vec<&State> = std::iter::once(&state).chain(&others).collect();
            let changes = changes(group, &olds, &new);
            let grown = match run(group, &there, &changes, olds.len() > 1) {
                Ok((grown, _)) => grown,
                // Then all of it is made anew, and what is there besides is emptied.
                Err(why) => {
                    prop_assert!(!others.is_empty(), "nobody died: {}", why);
                    let mut grown = whole(group, &new);
                    grown.gone = there.keys().filter(|p| !grown.made.contains_key(*p)).cloned().collect();
                    grown
                }
            };
            let (last, seed) = dies_at.unwrap_or((usize::MAX, 0));
            for (prefix, part) in writes(&grown, seed).into_iter().take(last) {
                put(&mut there, group, prefix, part);
            }
            if dies_at.is_some() {
                others.push(new);
                continue;
            }
            state = new;
            others.clear();
            let want = whole(group, &state);
            prop_assert_eq!(&there, &stored(group, &want));
            if !changes.is_empty() {
                prop_assert_eq!(grown.count, want.count);
            }
        }
    }
}

/// A registry in which every package has the same word.
fn common(count: u64) -> State {
    (0..count).map(|i| (format!("pack/p{i:05}"), (vec!["react"], count - i, false))).collect()
}

#[test]
fn one_row_more_costs_few_parts_however_many_there_are() {
    for group in GROUPS {
        for count in [500u64, 4000] {
            let before = common(count);
            let there = stored(group, &whole(group, &before));
            let mut after = before.clone();
            after.insert("pack/new".into(), (vec!["react"], 0, false));
            let (grown, read) = run(group, &there, &changes(group, &[&before], &after), false).unwrap();
            assert!(read <= 8, "{group}, {count}: {read} parts are read");
            let largest = grown.made.values().map(|p| p.rows.len() + p.below.len()).max().unwrap();
            assert!(grown.made.len() <= 25 && largest <= 30, "{group}, {count}: {} of {largest}", grown.made.len());
            // The best one leaves, and another one takes its place.
            let mut after = before.clone();
            after.remove("pack/p00000");
            let (_, read) = run(group, &there, &changes(group, &[&before], &after), false).unwrap();
            assert!(read <= 8 + 40, "{group}, {count}: {read} parts are read");
        }
    }
}

#[test]
fn what_was_lost_or_planted_is_noticed() {
    for group in GROUPS {
        let before = common(300);
        let mut after = before.clone();
        after.get_mut("pack/p00007").unwrap().1 = 77_777;
        let changes = changes(group, &[&before], &after);
        // Who depends on something has no rank: its row is the same.
        let expected = !group.starts_with("d/");
        let good = stored(group, &whole(group, &before));
        let on_the_way: Vec<String> = run(group, &good, &changes, false).unwrap().0.made.into_keys().collect();
        for prefix in on_the_way.into_iter().filter(|p| good.contains_key(p)) {
            let mut there = good.clone();
            there.remove(&prefix);
            assert_eq!(
                run(group, &there, &changes, false).is_err(),
                expected || !changes.is_empty(),
                "{group} {prefix:?}"
            );
        }
    }
}
