//! A group that may become long is kept in parts, so that one row more costs a few of them, however many rows there are.
//!
//! The parts are a tree over the paths of the rows, cut as the index is: a part with too many entries is replaced by one for each
//! next letter. What stays in its place holds the best of all rows below it, and how many entries each part below has. A beginning
//! that all entries share is passed over, up to the end of a word. So the parts are a function of the rows alone.
//!
//! A change goes down to the parts that hold its paths, and up again. On the way up, the best of a part are what they were, with
//! the changed rows put in; only where one of them has left, or stands worse now, the parts below are asked for theirs. Nothing here reads
//! a store: what is not at hand is named, as in `index/`.

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

    /// A part that is there, with what changes below it. `name` is what the part above knows it by: a part that is whole bears it,
    /// too. `None` where something is lacking.
    fn part(&mut self, name: &str, prefix: &str, moved: &[&Moved<'_>]) -> Option<Tree> {
        let part = self.read(prefix)?;
        if part.is_whole() {
            return self.whole(name, prefix, part, moved);
        }
        let children = self.children(prefix, part, moved)?;
        let count: u64 = children.values().map(Tree::count).sum();
        // Unless it is made again.
        self.gone.insert(prefix.to_owned());
        if count <= self.layout.most(name) as u64 {
            return self.gathered(name, children).map(Tree::Rows);
        }
        let only = children.len() == 1 && prefix != self.layout.top;
        if only && children.keys().all(|n| self.layout.is_inside(prefix) || !n.ends_with(END)) {
            return children.into_values().next();
        }
        let rows = match self.still_best(prefix, part, moved) {
            Some(rows) => rows,
            None => self.refilled(prefix, &children)?,
        };
        let mut below = BTreeMap::new();
        for (name, tree) in children {
            self.below(&mut below, name, tree);
        }
        self.made.insert(prefix.to_owned(), Part { rows, below });
        Some(Tree::Cut { prefix: prefix.to_owned(), count })
    }

    fn read(&mut self, prefix: &str) -> Option<&'a Part> {
        match self.known.get(prefix) {
            Some(Some(part)) => return Some(part),
            Some(None) => self.wrong = Some(self.lacks(prefix)),
            None => drop(self.lacking.insert(prefix.to_owned())),
        }
        None
    }

    /// The same of a part that is whole. Usually it bears its name; where a run died, it may stand where one that was cut up was, and
    /// then it is of what is below its own prefix alone.
    fn whole(&mut self, name: &str, prefix: &str, part: &Part, moved: &[&Moved<'_>]) -> Option<Tree> {
        if moved.iter().any(|m| m.has_to_be(self.layout, prefix) && !part.rows.contains_key(&m.change.label)) {
            self.wrong = Some(self.lacks(prefix));
            return None;
        }
        self.gone.insert(prefix.to_owned());
        let mut rows = part.rows.clone();
        for m in moved {
            rows.remove(&m.change.label);
            rows.extend(m.row(prefix).map(|e| (Arc::clone(&m.change.label), Arc::clone(e))));
        }
        let items = self.items(prefix, rows.into_values().collect());
        Some(if name == self.layout.top { self.top(items) } else { self.place(name, items) })
    }

    /// What is below a part, by the next letter.
    fn children(&mut self, prefix: &str, part: &Part, moved: &[&Moved<'_>]) -> Option<BTreeMap<String, Tree>> {
        let mut out = BTreeMap::new();
        let mut complete = true;
        let mut there: BTreeMap<String, (&String, u64)> = BTreeMap::new();
        for (child, count) in &part.below {
            match next_letter(child, prefix) {
                Some(name) => drop(there.insert(name, (child, *count))),
                None => self.wrong = Some(format!("{} does not lead below itself", self.layout.key(prefix))),
            }
        }
        let paths = moved.iter().flat_map(|m| m.new.iter().chain(&m.old));
        let touched: BTreeSet<String> = paths.filter_map(|p| next_letter(p, prefix)).collect();
        for name in touched {
            let here: Vec<&Moved<'_>> = moved.iter().copied().filter(|m| m.is_below(&name)).collect();
            let tree = match there.remove(&name) {
                Some((child, count)) => self.edge(&name, child, count, &here),
                None => {
                    if here.iter().any(|m| m.has_to_be(self.layout, &name)) {
                        self.wrong = Some(self.lacks(&name));
                    }
                    let items = self.items(&name, here.iter().filter_map(|m| m.row(&name).cloned()).collect());
                    Some(self.place(&name, items))
                }
            };
            match tree {
                Some(tree) if tree.count() == 0 => drop(self.gone.insert(name)),
                Some(tree) => drop(out.insert(name, tree)),
                None => complete = false,
            }
        }
        let kept =
            |(name, (prefix, count)): (String, (&String, u64))| (name, Tree::Kept { prefix: prefix.clone(), count });
        out.extend(there.into_iter().map(kept));
        (complete && self.wrong.is_none()).then_some(out)
    }

    /// What was below `name` began with `child`; what comes may differ before that.
    fn edge(&mut self, name: &str, child: &str, count: u64, moved: &[&Moved<'_>]) -> Option<Tree> {
        let within: Vec<&Moved<'_>> = moved.iter().copied().filter(|m| m.is_below(child)).collect();
        let tree = if within.is_empty() {
            Tree::Kept { prefix: child.to_owned(), count }
        } else {
            self.part(name, child, &within)?
        };
        let rows = moved.iter().filter_map(|m| m.row(name).cloned()).collect();
        let mut beside = self.items(name, rows);
        beside.retain(|(path, _)| !path.starts_with(child));
        if beside.is_empty() { Some(tree) } else { self.beside(name, tree, beside) }
    }

    /// A tree, and entries that share only a beginning with it.
    fn beside(&mut self, name: &str, tree: Tree, mut items: Vec<Item>) -> Option<Tree> {
        let (child, count) = match tree {
            Tree::Rows(rows) => {
                items.extend(rows);
                items.sort_unstable_by(|a, b| (a.1.rank(), &a.0).cmp(&(b.1.rank(), &b.0)));
                return Some(self.place(name, items));
            }
            Tree::Cut { prefix, count } | Tree::Kept { prefix, count } => (prefix, count),
        };
        let mut prefix = child.as_str();
        for (path, _) in &items {
            prefix = shared(prefix, path);
        }
        let prefix = prefix.to_owned();
        let total = count + items.len() as u64;
        let mut next: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in items {
            if let Some(name) = next_letter(&item.0, &prefix) {
                next.entry(name).or_default().push(item);
            }
        }
        let old = Tree::Kept { prefix: child.clone(), count };
        let mut children = BTreeMap::new();
        if let Some(name) = next_letter(&child, &prefix) {
            let tree = match next.remove(&name) {
                Some(items) => self.beside(&name, old, items)?,
                None => old,
            };
            children.insert(name, tree);
        }
        for (name, items) in next {
            let tree = self.place(&name, items);
            children.insert(name, tree);
        }
        let rows = self.refilled(&prefix, &children)?;
        let mut below = BTreeMap::new();
        for (name, tree) in children {
            self.below(&mut below, name, tree);
        }
        self.made.insert(prefix.clone(), Part { rows, below });
        Some(Tree::Cut { prefix, count: total })
    }

    /// The best of a part, where they follow from what they were: no one of them left, or stands worse than before.
    fn still_best(&self, prefix: &str, part: &Part, moved: &[&Moved<'_>]) -> Option<BTreeMap<Arc<str>, Arc<Entry>>> {
        let mut rows: BTreeMap<&Arc<str>, &Arc<Entry>> = part.rows.iter().collect();
        for m in moved {
            let new = m.row(prefix);
            if let Some(old) = part.rows.get(&m.change.label) {
                let new = new?;
                let to_the_point = |e| self.layout.points(prefix, e);
                let pointless = match (to_the_point(old), to_the_point(new)) {
                    // True is less to the point.
                    (Some(old), Some(new)) => new & !old,
                    (Some(_), None) => true,
                    (None, _) => false,
                };
                if new.rank() > old.rank() || pointless {
                    return None;
                }
            }
            rows.extend(new.map(|e| (&m.change.label, e)));
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_unstable_by_key(|e| e.rank());
        Some(self.best(prefix, rows.into_iter()))
    }

    /// The best of what is below a part.
    fn refilled(&mut self, prefix: &str, children: &BTreeMap<String, Tree>) -> Option<BTreeMap<Arc<str>, Arc<Entry>>> {
        let mut rows: Vec<Arc<Entry>> = Vec::new();
        let mut complete = true;
        for tree in children.values() {
            match tree {
                Tree::Rows(items) => rows.extend(items.iter().map(|(_, e)| Arc::clone(e))),
                Tree::Cut { prefix, .. } | Tree::Kept { prefix, .. } => match self.made.get(prefix) {
                    Some(part) => rows.extend(part.rows.values().cloned()),
                    None => match self.read(prefix) {
                        Some(part) => rows.extend(part.rows.values().cloned()),
                        None => complete = false,
                    },
                },
            }
        }
        rows.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        rows.dedup_by(|a, b| a.label == b.label);
        complete.then(|| self.best(prefix, rows.iter()))
    }

    /// The entries of trees that are to be one part.
    fn gathered(&mut self, name: &str, children: BTreeMap<String, Tree>) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        let mut complete = true;
        for (child, tree) in children {
            match tree {
                Tree::Rows(more) => {
                    self.gone.insert(child);
                    items.extend(more);
                }
                Tree::Cut { prefix, .. } | Tree::Kept { prefix, .. } => match self.below_kept(&prefix) {
                    Some(rows) => items.extend(self.items(&child, rows)),
                    None => complete = false,
                },
            }
        }
        items.sort_unstable_by(|a, b| (a.1.rank(), &a.0).cmp(&(b.1.rank(), &b.0)));
        items.retain(|(path, _)| path.starts_with(name));
        complete.then_some(items)
    }

    /// All rows below a part that is to be no longer.
    fn below_kept(&mut self, prefix: &str) -> Option<Vec<Arc<Entry>>> {
        let part = match self.made.remove(prefix) {
            Some(part) => part,
            None => self.read(prefix)?.clone(),
        };
        self.gone.insert(prefix.to_owned());
        if part.is_whole() {
            return Some(part.rows.into_values().collect());
        }
        let mut rows = Vec::new();
        let mut complete = true;
        for child in part.below.keys() {
            match self.below_kept(child) {
                Some(more) => rows.extend(more),
                None => complete = false,
            }
        }
        complete.then_some(rows)
    }

    /// Parts that a state has had: of what is whole now, with the rows as they were.
    fn gone_of_old(&mut self, moved: &[&Moved<'_>]) {
        let numbers: BTreeSet<usize> = moved.iter().flat_map(|m| m.change.olds.keys().copied()).collect();
        let wholes = self.known.iter().filter_map(|(p, part)| Some((p, part.as_ref().filter(|p| p.is_whole())?)));
        let wholes: Vec<_> = wholes.map(|(p, part)| (p.clone(), part.rows.clone())).collect();
        for (prefix, now) in wholes {
            for number in &numbers {
                let mut rows = now.clone();
                for m in moved {
                    rows.remove(&m.change.label);
                    let old = m.change.olds.get(number).and_then(Option::as_ref);
                    rows.extend(old.map(|e| (Arc::clone(&m.change.label), Arc::clone(e))));
                }
                let mut before = Work::new(self.layout, self.known);
                let items = before.items(&prefix, rows.into_values().collect());
                if prefix == self.layout.top {
                    before.top(items)
                } else {
                    before.place(&prefix, items)
                };
                self.gone.extend(before.made.into_keys());
            }
        }
    }
}

#[cfg(test)]
mod tests;
