use super::{NewLeaf, Node, Nodes, diff, edit, is_divided_right, missing};
use crate::format::{Entry, Keyed, Line, NodeType, Object, Shard, Stored, TreeKind, limits, seal_details};
use crate::{
    format::{DetailLine, PackageLines, Page},
    package::{Sha256, detail_key},
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
struct Written<I = Arc<PackageLines>> {
    top: Page,
    nodes: Nodes<I>,
    written: u64,
}

/// What can be made into a leaf from memory.
trait Sealed: Stored {
    fn seal(leaf: &NewLeaf<Self>) -> Object;
}

impl Sealed for Arc<PackageLines> {
    fn seal(leaf: &NewLeaf<Self>) -> Object {
        Shard::seal(leaf.at, &leaf.items)
    }
}

impl Sealed for DetailLine {
    fn seal(leaf: &NewLeaf<Self>) -> Object {
        let lines = leaf.items.iter().map(|i| [&i.body[..], b"\n"].concat());
        let fill = |raw: &mut Vec<u8>| {
            raw.extend(lines.flatten());
            Ok::<_, ()>(())
        };
        seal_details(leaf.at, leaf.bytes(), fill).unwrap()
    }
}

impl<I: Sealed> Written<I> {
    fn new() -> Self {
        Self { top: Page::root(), nodes: Nodes::new(), written: 0 }
    }

    fn put(&mut self, mut changes: Vec<I>) {
        changes.sort_by_key(|p| *p.key());
        let draft = edit(&self.top, &self.nodes, &changes).unwrap_or_else(|m| panic!("lacks {m:?}"));
        let mut made = Vec::new();
        for leaf in &draft.leaves {
            let object = I::seal(leaf);
            made.push((leaf.entry(object.link), object));
        }
        let leaves: Vec<Entry> = made.iter().map(|(entry, _)| *entry).collect();
        let closed = draft.close(&leaves);
        for (entry, Object { link, bytes }) in made.into_iter().chain(closed.pages) {
            self.written += u64::from(!self.nodes.contains_key(&link.sha256));
            let raw = crate::format::open(&bytes, &link).unwrap();
            assert!(
                raw.len() as u64 <= I::TREE.limit() + 256 || entry.units(I::TREE) == 1 || entry.node == NodeType::Page
            );
            self.nodes.insert(link.sha256, Node::read(&entry, raw).unwrap());
        }
        self.top = Page::top(I::TREE, closed.top).unwrap();
    }

    /// The rows of all leaves, in order.
    fn leaves(&self) -> Vec<Entry> {
        let (mut out, mut rest) = (Vec::new(), self.top.entries().to_vec());
        rest.reverse();
        while let Some(entry) = rest.pop() {
            match &self.nodes[&entry.link.sha256] {
                Node::Page(page) => rest.extend(page.entries().iter().rev()),
                Node::Leaf(_) => out.push(entry),
            }
        }
        out
    }
}

impl Written {
    fn apply(&mut self, changes: &Model) {
        self.put(changes.iter().map(|(l, &(r, n))| Arc::new(lines(l, r, n))).collect());
    }

    fn of(model: &Model) -> Self {
        let mut tree = Self::new();
        tree.apply(model);
        tree
    }
}

/// A set of details, by package and number of the version; the value is how long each is. Nothing: it is taken out.
type Details = BTreeMap<(String, u16), u32>;

fn detail((label, minor): &(String, u16), length: u32) -> DetailLine {
    let version: crate::package::Version = format!("1.{minor}.0").parse().unwrap();
    let key = detail_key(&Sha256::of(label.as_bytes()), label, &version);
    if length == 0 {
        return Keyed { key, bytes: 0, body: bytes::Bytes::new() };
    }
    let (kind, name) = label.split_once('/').unwrap();
    let pad = "x".repeat(length as usize);
    let line = format!(r#"{{"description":"{pad}","kind":"{kind}","name":"{name}","v":1,"version":"{version}"}}"#);
    Keyed { key, bytes: line.len() as u64 + 1, body: line.into() }
}

impl Written<DetailLine> {
    fn change(&mut self, details: &Details) {
        self.put(details.iter().map(|(release, length)| detail(release, *length)).collect());
    }

    fn holding(details: &Details) -> Self {
        let mut tree = Self::new();
        tree.change(details);
        tree
    }
}

fn details() -> impl Strategy<Value = Details> {
    let release = ("(pack|crate)/x[a-z]{1,2}", 0u16..40);
    // Some are longer than a leaf.
    proptest::collection::btree_map(release, prop_oneof![8 => 1u32..60_000, 1 => 200_000u32..600_000], 0..40)
}

fn models() -> impl Strategy<Value = Model> {
    proptest::collection::btree_map("(pack|crate)/x[a-z]{1,5}", (1u8..4, 0u16..30_000), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_tree_of_details_is_history_independent(model in details(), detour in details(), cuts in proptest::collection::vec(0usize..40, 0..5)) {
        let direct = Written::holding(&model);
        prop_assert!(is_divided_right(TreeKind::Details, &direct.leaves()));
        prop_assert_eq!(direct.leaves().iter().map(|e| e.releases).sum::<u64>(), model.len() as u64);
        // Any batches, in any order, by way of details that are taken out again, or replaced.
        let mut tree = Written::holding(&detour);
        let all: Vec<_> = model.iter().map(|(k, v)| (k.clone(), *v)).collect();
        let mut start = all.len();
        for cut in cuts.iter().map(|c| c % (all.len() + 1)) {
            if cut < start {
                tree.change(&all[cut..start].iter().cloned().collect());
                start = cut;
            }
        }
        tree.change(&all[..start].iter().cloned().collect());
        tree.change(&detour.keys().filter(|k| !model.contains_key(*k)).map(|k| (k.clone(), 0)).collect());
        prop_assert_eq!(&tree.top, &direct.top);
        // What is not there can be taken out, and that changes nothing.
        let before = tree.written;
        tree.change(&detour.keys().filter(|k| !model.contains_key(*k)).map(|k| (k.clone(), 0)).collect());
        prop_assert_eq!((&tree.top, tree.written), (&direct.top, before));
        for (release, length) in &model {
            let want = detail(release, *length);
            let tree = super::Tree { top: tree.top.clone(), nodes: tree.nodes.clone() };
            let found = super::lookup(&tree, &want.key).unwrap();
            prop_assert_eq!(found.map(|l| &l.body), Some(&want.body));
        }
    }

    #[test]
    fn a_tree_that_is_divided_otherwise_is_noticed(model in details(), at in 0usize..1000) {
        let mut leaves = Written::holding(&model).leaves();
        prop_assume!(!leaves.is_empty());
        let at = at % leaves.len();
        let Entry { prefix, releases, bytes, .. } = leaves[at];
        if releases > 1 || prefix.depth() > 0 {
            // A leaf that stands one place too deep, and one that holds more than it may.
            leaves[at].prefix = prefix.child(false);
            prop_assert!(!is_divided_right(TreeKind::Details, &leaves));
        }
        leaves[at] = Entry { prefix, releases: releases + 1, bytes: bytes + limits::DETAILS_BODY, ..leaves[at] };
        prop_assert!(!is_divided_right(TreeKind::Details, &leaves));
    }

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
                    Node::Leaf(shard) => break shard.find(&key),
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

/// 2,000 releases of one package with 12 kB each: a page at the root, one after 18 bits that all have in common, and leaves
/// of which a change rewrites one.
#[test]
fn the_details_of_one_package_are_divided_below_it() {
    let model: Details = (0..2_000).map(|minor| (("crate/many".to_owned(), minor), 12_000)).collect();
    let mut tree = Written::holding(&model);
    let leaves = tree.leaves();
    assert!(leaves.len() >= 92 && leaves.iter().all(|e| e.bytes <= limits::DETAILS_BODY), "{}", leaves.len());
    assert!(leaves.iter().all(|e| e.prefix.depth() > 18));
    let mut pages: Vec<_> = tree
        .nodes
        .values()
        .filter_map(|n| if let Node::Page(p) = n { Some(p.prefix().depth()) } else { None })
        .collect();
    pages.sort_unstable();
    assert_eq!(pages, [0, 9, 18]);
    let before = tree.written;
    tree.change(&Details::from([(("crate/many".into(), 2_000), 12_000)]));
    // The leaf, or its two halves, and the three pages.
    assert!(tree.written - before <= 5, "{}", tree.written - before);
}

#[test]
fn a_detail_that_is_longer_than_a_leaf_stands_alone() {
    let mut model: Details = (0..30).map(|i| ((format!("crate/c{i}"), 0), 20_000)).collect();
    model.insert(("crate/large".into(), 0), 700_000);
    let tree = Written::holding(&model);
    let large: Vec<_> = tree.leaves().into_iter().filter(|e| e.bytes > limits::DETAILS_BODY).collect();
    assert!(matches!(&large[..], [one] if one.releases == 1), "{large:?}");
    // By itself it needs no page.
    let alone = Written::holding(&Details::from([(("crate/large".into(), 0), 700_000)]));
    assert!(matches!(alone.top.entries(), [one] if one.node == NodeType::Details && one.prefix.is_root()));
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
    let want = missing(&tree.top, &Nodes::<Arc<PackageLines>>::new(), &[key]);
    assert_eq!(want.len(), 1);
    assert!(want[0].prefix.covers(&key));
    assert!(missing(&tree.top, &tree.nodes, &[key]).is_empty());
    let all: Vec<_> = {
        let mut k: Vec<_> = model.keys().map(|l| Sha256::of(l.as_bytes())).collect();
        k.sort();
        k
    };
    assert_eq!(missing(&tree.top, &Nodes::<Arc<PackageLines>>::new(), &all).len(), tree.top.entries().len());
}
