//! What a run changes in groups, and what becomes of them. Nothing here reads or writes a store.

use super::{Label, Row, counts::Counts, gone};
use crate::{
    Result, cpu,
    format::{PackageLines, keys},
    publish::views::Changed,
    view::{
        File,
        site::{self, Broken, Maker, Parsed, Rows},
    },
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What a run changes in a group.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) rows: BTreeMap<Label, Option<Row>>,
    /// Which rows those were in each of the states that the view may show some of, by its number.
    pub(super) olds: BTreeMap<usize, BTreeMap<Label, Option<Row>>>,
    /// Rows that are there in all of them.
    pub(super) must: Vec<Label>,
}

/// The rows that these packages change.
pub(super) fn touched(maker: &Maker, changed: &[Changed], counts: &Counts) -> BTreeMap<String, Touched> {
    let rows = |package: &PackageLines| {
        let count = counts.get(&*package.label).copied();
        Parsed::new(package).map(|p| site::rows(maker, &p, count)).unwrap_or_default()
    };
    let all: Vec<_> = changed
        .par_iter()
        .map(|c| {
            let olds: Vec<_> =
                c.olds.iter().flatten().map(|old| old.as_deref().map(rows).unwrap_or_default()).collect();
            (c, rows(&c.package), olds)
        })
        .collect();
    let mut out: BTreeMap<String, Touched> = BTreeMap::new();
    for (change, new, olds) in all {
        let label = &change.package.label;
        let groups: BTreeSet<&String> = new.keys().chain(olds.iter().flat_map(BTreeMap::keys)).collect();
        for group in groups {
            let row = new.get(group);
            // A count is in the rows, and what it was is not known.
            if !change.recounted
                && !olds.is_empty()
                && olds.iter().all(|o| o.get(group) == row)
                && !group.starts_with("b/")
            {
                continue;
            }
            let touched = out.entry(group.clone()).or_default();
            touched.rows.insert(Arc::clone(label), row.cloned());
            for (number, old) in change.of.iter().zip(&olds) {
                touched.olds.entry(*number).or_default().insert(Arc::clone(label), old.get(group).cloned());
            }
            if row.is_some() && !olds.is_empty() && olds.iter().all(|o| o.contains_key(group)) {
                touched.must.push(Arc::clone(label));
            }
        }
    }
    out
}

/// A group as it is to be.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) rows: Rows,
    pub(super) files: Vec<File>,
    /// Its row above.
    summary: Option<Row>,
    /// Whether it has had rows.
    had: bool,
}

/// Makes the groups of a level, and tells those above. The reason, where something is wrong with what was there.
pub(super) async fn make_groups(
    maker: &Arc<Maker>,
    level: usize,
    touched: &mut BTreeMap<String, Touched>,
    states: &mut HashMap<String, Option<Rows>>,
) -> Result<Result<Vec<Group>, String>> {
    let mut names: Vec<String> = states.keys().filter(|g| site::level(g) == level).cloned().collect();
    names.sort_unstable();
    let mut work = Vec::with_capacity(names.len());
    for name in names {
        let state = states.remove(&name).flatten();
        let touched = touched.remove(&name).unwrap_or_default();
        if !touched.must.iter().all(|l| state.as_ref().is_some_and(|rows| rows.contains_key(l))) {
            return Ok(Err(format!("{} is not there, or lacks something", keys::site::state(&name))));
        }
        work.push((name, state.unwrap_or_default(), touched));
    }
    let missing = maker.missing()?;
    let maker = Arc::clone(maker);
    let made = cpu::run(move || {
        let make = |(name, state, touched)| make_group(&maker, &missing, name, state, touched);
        work.into_par_iter().map(make).collect::<Result<Vec<Group>, Broken>>()
    });
    let made = match made.await {
        Ok(made) => made,
        Err(Broken::Rows(why)) => return Ok(Err(why)),
        Err(Broken::Failed(e)) => return Err(e),
    };
    for group in &made {
        if let Some((above, key)) = site::parent(&group.name) {
            let above = touched.entry(above).or_default();
            let key = Label::from(key);
            if group.had {
                above.must.push(Arc::clone(&key));
            }
            above.rows.insert(key, group.summary.clone());
        }
    }
    Ok(Ok(made))
}

fn patched(rows: &Rows, changes: &BTreeMap<Label, Option<Row>>) -> Rows {
    let mut rows = rows.clone();
    for (label, row) in changes {
        match row {
            Some(row) => drop(rows.insert(Arc::clone(label), Arc::clone(row))),
            None => drop(rows.remove(label)),
        }
    }
    rows
}

fn make_group(maker: &Maker, missing: &str, name: String, state: Rows, touched: Touched) -> Result<Group, Broken> {
    let rows = patched(&state, &touched.rows);
    let mut files = maker.group(&name, &rows)?;
    // What the files were in states that the view may show some of: all of them are looked at.
    let mut olds = BTreeSet::new();
    for old in touched.olds.values() {
        olds.extend(site::keys_of(&name, &patched(&state, old))?);
    }
    for file in &files {
        olds.remove(&file.key);
    }
    files.extend(olds.into_iter().filter_map(|key| gone(&key, missing).map(|bytes| File { key, bytes })));
    let summary = site::summary(&name, &rows)?;
    Ok(Group { had: !state.is_empty(), summary, files, rows, name })
}

/// Fills the groups of groups. What is wrong, if anything is: then this program cannot read its own rows.
pub(super) fn summarize(groups: &mut BTreeMap<String, Rows>) -> Option<String> {
    for level in 0..2 {
        let here: Vec<_> = groups.iter().filter(|(g, _)| site::level(g) == level).collect();
        let rows = |(name, rows): (&String, &Rows)| Ok((site::parent(name), site::summary(name, rows)?));
        let above: Result<Vec<_>, Broken> = here.into_par_iter().map(rows).collect();
        match above {
            Ok(above) => {
                for (parent, row) in above {
                    if let (Some((group, key)), Some(row)) = (parent, row) {
                        groups.entry(group).or_default().insert(key.into(), row);
                    }
                }
            }
            Err(Broken::Rows(why)) => return Some(why),
            Err(Broken::Failed(e)) => return Some(e.to_string()),
        }
    }
    None
}
