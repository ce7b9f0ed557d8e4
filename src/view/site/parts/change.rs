//! The way down to the parts that changes reach, and up again: what is there is read, and what it becomes is worked out.

use super::{Item, Moved, Tree, Work, next_letter, shared};
use crate::view::site::place::{END, Entry, Part};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl<'a> Work<'a> {
    /// A part that is there, with what changes below it. `name` is what the part above knows it by: a part that is whole bears it,
    /// too. `None` where something is lacking.
    pub(super) fn part(&mut self, name: &str, prefix: &str, moved: &[&Moved<'_>]) -> Option<Tree> {
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
    pub(super) fn gone_of_old(&mut self, moved: &[&Moved<'_>]) {
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
