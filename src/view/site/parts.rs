//! A group that may become long is kept in parts, so that one row more costs a few of them, however many rows there are.
//!
//! The parts are a tree over the paths of the rows, cut as the index is: a part with too many entries is replaced by one for each
//! next letter. What stays in its place holds the best of all rows below it, and how many entries each part below has. A beginning
//! that all entries share is passed over, up to the end of a word. So the parts are a function of the rows alone.
//!
//! A change goes down to the parts that hold its paths, and up again. On the way up, the best of a part are what they were, with
//! the changed rows put in; only where one of them has left, or stands worse now, the parts below are asked for theirs. Nothing here reads
//! a store: what is not at hand is named, as in `index/`.

mod change;

use super::place::{END, Entry, Layout, Part};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Parts that were read, by their prefixes; `None`: there is none.
pub(crate) type Known = HashMap<String, Option<Part>>;

/// What changes in a group, of one package.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) label: Arc<str>,
    /// Its row now.
    pub(crate) new: Option<Arc<Entry>>,
    /// Its rows in the states that the group may show some of, by their numbers.
    pub(crate) olds: BTreeMap<usize, Option<Arc<Entry>>>,
    /// It has a row in each of them, and now: so it has to be there.
    pub(crate) must: bool,
}

/// The parts that a group is to have.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    /// Parts that are written, by their prefixes; what leads to others is above them.
    pub(crate) made: BTreeMap<String, Part>,
    /// Parts that are no longer.
    pub(crate) gone: BTreeSet<String>,
    /// How many entries the group has.
    pub(crate) count: u64,
}

/// Why there are no parts.
#[derive(Debug, PartialEq)]
pub(crate) enum Not {
    /// These have to be read first.
    Known(Vec<String>),
    /// What is there is not what it has to be.
    Right(String),
}

/// The parts of a group with these rows.
pub(crate) fn all(layout: &Layout, rows: impl Iterator<Item = Arc<Entry>>) -> Grown {
    let known = Known::new();
    let mut work = Work::new(layout, &known);
    let items = work.items(&layout.top, rows.collect());
    let tree = work.top(items);
    work.grown(tree)
}

/// What becomes of a group by these changes. With `careful`, a run may have died over it or be at work: parts that one of the states
/// has had, and the new one has not, are gone as well, whether anything leads to them or not.
pub(crate) fn changed(layout: &Layout, known: &Known, changes: &[Change], careful: bool) -> Result<Grown, Not> {
    let mut work = Work::new(layout, known);
    let all: Vec<_> = changes.iter().map(|c| Moved::new(layout, c)).collect();
    let all: Vec<&Moved<'_>> = all.iter().collect();
    let tree = match known.get(&layout.top) {
        Some(None) if all.iter().any(|m| m.change.must) => return Err(Not::Right(work.lacks(&layout.top))),
        Some(None) => {
            let new = all.iter().filter_map(|m| m.change.new.clone()).collect();
            let items = work.items(&layout.top, new);
            Some(work.top(items))
        }
        _ => work.part(&layout.top, &layout.top, &all),
    };
    if let Some(why) = work.wrong {
        return Err(Not::Right(why));
    }
    let Some(tree) = tree else { return Err(Not::Known(work.lacking.into_iter().collect())) };
    if careful {
        // Whatever lay on the way to a row.
        let ends = |p: &String| p.char_indices().map(|(i, c)| i + c.len_utf8()).collect::<Vec<_>>();
        for path in all.iter().flat_map(|m| m.old.iter().chain(&m.new)) {
            work.gone.extend(ends(path).into_iter().filter(|i| *i >= layout.top.len()).map(|i| path[..i].to_owned()));
        }
        work.gone_of_old(&all);
    }
    Ok(work.grown(tree))
}

/// A change, and where it takes place.
struct Moved<'a> {
    change: &'a Change,
    new: Vec<String>,
    old: BTreeSet<String>,
}

impl<'a> Moved<'a> {
    fn new(layout: &Layout, change: &'a Change) -> Self {
        let old = change.olds.values().flatten().flat_map(|e| layout.paths(e)).collect();
        Self { new: change.new.as_ref().map(|e| layout.paths(e)).unwrap_or_default(), old, change }
    }

    fn is_below(&self, prefix: &str) -> bool {
        self.new.iter().chain(&self.old).any(|p| p.starts_with(prefix))
    }

    /// Whether it has a row below the prefix in whatever state is shown.
    fn has_to_be(&self, layout: &Layout, prefix: &str) -> bool {
        let is_below = |e: &Arc<Entry>| layout.paths(e).iter().any(|p| p.starts_with(prefix));
        self.change.must && self.change.olds.values().flatten().all(is_below)
    }

    /// Its row, if that lies below the prefix.
    fn row(&self, prefix: &str) -> Option<&'a Arc<Entry>> {
        self.change.new.as_ref().filter(|_| self.new.iter().any(|p| p.starts_with(prefix)))
    }
}

/// An entry: a row under one of its paths.
type Item = (String, Arc<Entry>);

/// What is below a prefix.
enum Tree {
    /// So few rows that they are one part; these are its entries, the best first.
    Rows(Vec<Item>),
    /// A part that was cut up.
    Cut { prefix: String, count: u64 },
    /// A part that does not change. It may be whole.
    Kept { prefix: String, count: u64 },
}

impl Tree {
    fn count(&self) -> u64 {
        match self {
            Self::Rows(items) => items.len() as u64,
            Self::Cut { count, .. } | Self::Kept { count, .. } => *count,
        }
    }
}

struct Work<'a> {
    layout: &'a Layout,
    known: &'a Known,
    lacking: BTreeSet<String>,
    wrong: Option<String>,
    made: BTreeMap<String, Part>,
    gone: BTreeSet<String>,
}

fn next_letter(path: &str, prefix: &str) -> Option<String> {
    let c = path.strip_prefix(prefix)?.chars().next()?;
    Some(format!("{prefix}{c}"))
}

/// What two texts begin with.
fn shared<'t>(a: &'t str, b: &str) -> &'t str {
    let end = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((i, _), _)| i);
    &a[..end.unwrap_or(a.len().min(b.len()))]
}

impl<'a> Work<'a> {
    fn new(layout: &'a Layout, known: &'a Known) -> Self {
        Self { layout, known, lacking: BTreeSet::new(), wrong: None, made: BTreeMap::new(), gone: BTreeSet::new() }
    }

    fn lacks(&self, prefix: &str) -> String {
        format!("{} is not there, or lacks something", self.layout.key(prefix))
    }

    fn grown(mut self, tree: Tree) -> Grown {
        let count = tree.count();
        if let Tree::Rows(items) = tree {
            self.put(&self.layout.top.clone(), items);
        }
        self.gone.retain(|p| !self.made.contains_key(p));
        Grown { made: self.made, gone: self.gone, count }
    }

    /// The entries of rows below a prefix, the best first.
    fn items(&self, prefix: &str, mut rows: Vec<Arc<Entry>>) -> Vec<Item> {
        rows.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        rows.dedup_by(|a, b| a.label == b.label);
        let paths = |e: Arc<Entry>| {
            let paths = self.layout.paths(&e);
            paths.into_iter().filter(|p| p.starts_with(prefix)).map(move |p| (p, Arc::clone(&e)))
        };
        rows.into_iter().flat_map(paths).collect()
    }

    /// A part that is whole.
    fn put(&mut self, prefix: &str, items: Vec<Item>) {
        if items.is_empty() {
            self.gone.insert(prefix.to_owned());
            return;
        }
        let rows = items.into_iter().map(|(_, e)| (Arc::clone(&e.label), e)).collect();
        self.made.insert(prefix.to_owned(), Part { rows, below: BTreeMap::new() });
    }

    /// These entries, below the top.
    fn top(&mut self, items: Vec<Item>) -> Tree {
        let top = self.layout.top.clone();
        if items.len() <= self.layout.most(&top) { Tree::Rows(items) } else { self.cut(top, items) }
    }

    /// These entries, below the prefix by which the part above knows them.
    fn place(&mut self, name: &str, items: Vec<Item>) -> Tree {
        if items.len() <= self.layout.most(name) || self.layout.is_last(name) {
            return Tree::Rows(items);
        }
        let mut prefix = items[0].0.as_str();
        for (path, _) in &items {
            prefix = shared(prefix, path);
        }
        // At the end of a word there is a part of its own: whoever types the word reads it.
        if let Some((word, _)) = prefix.split_once(END)
            && !name.contains(END)
        {
            prefix = word;
        }
        let prefix = prefix.to_owned();
        self.cut(prefix, items)
    }

    fn cut(&mut self, prefix: String, items: Vec<Item>) -> Tree {
        let count = items.len() as u64;
        let rows = self.best(&prefix, items.iter().map(|(_, e)| e));
        let mut next: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in items {
            if let Some(name) = next_letter(&item.0, &prefix) {
                next.entry(name).or_default().push(item);
            }
        }
        let mut below = BTreeMap::new();
        for (name, items) in next {
            let tree = self.place(&name, items);
            self.below(&mut below, name, tree);
        }
        self.made.insert(prefix.clone(), Part { rows, below });
        Tree::Cut { prefix, count }
    }

    /// Puts a tree below a part.
    fn below(&mut self, below: &mut BTreeMap<String, u64>, name: String, tree: Tree) {
        match tree {
            Tree::Rows(items) if items.is_empty() => self.put(&name, items),
            Tree::Rows(items) => {
                below.insert(name.clone(), items.len() as u64);
                self.put(&name, items);
            }
            Tree::Cut { prefix, count } | Tree::Kept { prefix, count } => drop(below.insert(prefix, count)),
        }
    }

    /// What a part keeps of these rows, which come the best first.
    fn best<'e>(&self, prefix: &str, rows: impl Iterator<Item = &'e Arc<Entry>>) -> BTreeMap<Arc<str>, Arc<Entry>> {
        let (best, pointed) = (self.layout.limits.best, self.layout.limits.pointed);
        let mut out = BTreeMap::new();
        let mut to_the_point = Vec::new();
        for entry in rows {
            if out.len() < best {
                out.insert(Arc::clone(&entry.label), Arc::clone(entry));
            }
            if pointed > 0
                && let Some(less) = self.layout.points(prefix, entry)
            {
                to_the_point.push((less, entry));
            }
        }
        to_the_point.sort_by_key(|(less, _)| *less);
        to_the_point.dedup_by(|a, b| a.1.label == b.1.label);
        for (_, entry) in to_the_point.into_iter().take(pointed) {
            out.insert(Arc::clone(&entry.label), Arc::clone(entry));
        }
        out
    }
}

#[cfg(test)]
mod tests;
