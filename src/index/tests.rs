use super::{Node, Nodes, diff, edit, missing};
use crate::format::{Line, Object, Prefix};
use crate::{
    format::{PackageLines, Page},
    package::Sha256,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of packages, by label; the value is the number of releases and the length of each line.
type Model = BTreeMap<String, (u8, u16)>;

fn lines(label: &str, releases: u8, length: u16) -> PackageLines {
    let mut out = PackageLines::new(label.into());
    let (kind, name) = label.split_once('/').unwrap();
    for minor in 0..releases {
        let version: crate::package::Version = format!("1.{minor}.0").parse().unwrap();
        let pad = "x".repeat(length.into());
        let text = format!(r#"{{"kind":"{kind}","name":"{name}","summary":"{pad}","v":1,"version":"{version}"}}"#);
        out.lines.push(Line { version, text: text.into() });
    }
    out
}

/// A tree with everything it ever stored.
#[derive(Clone)]
struct Written {
    top: Page,
    nodes: Nodes,
    written: u64,
}

impl Written {
    fn new() -> Self {
        Self { top: Page::root(), nodes: Nodes::new(), written: 0 }
    }

    fn apply(&mut self, changes: &Model) {
        let mut changes: Vec<_> = changes.iter().map(|(l, &(r, n))| Arc::new(lines(l, r, n))).collect();
        changes.sort_by_key(|p| p.key);
        let edited = edit(&self.top, &self.nodes, &changes).unwrap_or_else(|m| panic!("lacks {m:?}"));
        for (entry, Object { link, bytes }) in edited.nodes {
            self.written += 1;
            let raw = crate::format::open(&bytes, &link).unwrap();
            assert!(raw.len() < 256 * 1024 || entry.packages == 1);
            self.nodes.insert(link.sha256, Node::read(&entry, raw).unwrap());
        }
        self.top = Page::new(Prefix::ROOT, edited.top).unwrap();
    }

    fn of(model: &Model) -> Self {
        let mut tree = Self::new();
        tree.apply(model);
        tree
    }
}

fn models() -> impl Strategy<Value = Model> {
    proptest::collection::btree_map("(pack|crate)/x[a-z]{1,5}", (1u8..4, 0u16..30_000), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_tree_is_history_independent(model in models(), detour in models(), cuts in proptest::collection::vec(0usize..60, 0..5)) {
        let direct = Written::of(&model);
        // Any batches, in any order, by way of packages that are taken out again.
        let mut tree = Written::new();
        tree.apply(&detour);
        let all: Vec<_> = model.iter().map(|(k, v)| (k.clone(), *v)).collect();
        let mut start = all.len();
        for cut in cuts.iter().map(|c| c % (all.len() + 1)) {
            if cut < start {
                tree.apply(&all[cut..start].iter().cloned().collect());
                start = cut;
            }
        }
        tree.apply(&all[..start].iter().cloned().collect());
        tree.apply(&detour.keys().filter(|k| !model.contains_key(*k)).map(|k| (k.clone(), (0, 0))).collect());
        prop_assert_eq!(&tree.top, &direct.top);
        // And nothing is written for a change that changes nothing.
        let before = tree.written;
        tree.apply(&model);
        prop_assert_eq!(tree.written, before);
    }

    #[test]
    fn every_package_is_found_and_absence_is_proved(model in models(), other in "(pack|crate)/x[a-z]{1,5}") {
        let tree = Written::of(&model);
        for label in model.keys().chain([&other]) {
            let key = Sha256::of(label.as_bytes());
            let mut at = &tree.top;
            let found = loop {
                let Some(entry) = at.find(&key) else { break None };
                match &tree.nodes[&entry.link.sha256] {
                    Node::Page(page) => at = page,
                    Node::Shard(shard) => break shard.find(&key),
                }
            };
            let want = model.get(label).map(|&(r, n)| lines(label, r, n));
            prop_assert_eq!(found.map(|p| &**p), want.as_ref());
        }
    }

    #[test]
    fn a_difference_is_exactly_what_changed(a in models(), b in models()) {
        let (x, mut y) = (Written::of(&a), Written::of(&b));
        y.nodes.extend(x.nodes.clone());
        let mut got: Vec<_> = diff(&x.top, &y.top, &y.nodes).unwrap().into_iter().map(|d| (d.old.map(Arc::unwrap_or_clone), d.new.map(Arc::unwrap_or_clone))).collect();
        let mut want: Vec<_> = a.keys().chain(b.keys()).collect::<std::collections::BTreeSet<_>>().into_iter()
            .map(|l| (a.get(l).map(|&(r, n)| lines(l, r, n)), b.get(l).map(|&(r, n)| lines(l, r, n))))
            .filter(|(o, n)| o != n).collect();
        let key = |d: &(Option<PackageLines>, Option<PackageLines>)| d.0.as_ref().or(d.1.as_ref()).map(|p| p.key);
        got.sort_by_key(key);
        want.sort_by_key(key);
        prop_assert_eq!(got, want);
    }
}

#[test]
fn a_large_tree_has_pages_and_one_change_rewrites_one_path() {
    let model: Model = (0..20_000).map(|i| (format!("pack/p{i}"), (2, 900))).collect();
    let mut tree = Written::of(&model);
    let pages = tree.nodes.values().filter(|n| matches!(n, Node::Page(_))).count();
    assert!(pages > 400, "{pages} pages");
    let (before, links) = (tree.written, tree.top.entries().to_vec());
    tree.apply(&Model::from([("pack/one-more".into(), (1, 100))]));
    // The shard (or its two halves) and its page; nothing else.
    assert!(tree.written - before <= 3, "{} nodes written", tree.written - before);
    assert_eq!(tree.top.entries().iter().filter(|e| !links.contains(e)).count(), 1);
}

#[test]
fn the_tree_does_not_depend_on_the_number_of_threads() {
    let model: Model = (0..3_000).map(|i| (format!("crate/c{i}"), (1, 500))).collect();
    let with = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(|| Written::of(&model));
    assert_eq!(with(1).top, with(4).top);
}

#[test]
fn what_is_missing_is_named_before_it_is_needed() {
    let model: Model = (0..2_000).map(|i| (format!("pack/p{i}"), (1, 900))).collect();
    let tree = Written::of(&model);
    let key = Sha256::of(b"pack/p7");
    let want = missing(&tree.top, &Nodes::new(), &[key]);
    assert_eq!(want.len(), 1);
    assert!(want[0].prefix.covers(&key));
    assert!(missing(&tree.top, &tree.nodes, &[key]).is_empty());
    let all: Vec<_> = {
        let mut k: Vec<_> = model.keys().map(|l| Sha256::of(l.as_bytes())).collect();
        k.sort();
        k
    };
    assert_eq!(missing(&tree.top, &Nodes::new(), &all).len(), tree.top.entries().len());
}
