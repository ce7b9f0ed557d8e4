//! What a run changes in groups, and what becomes of them. Nothing here reads or writes a store.

use super::{Label, Row, counts::Counts};
use crate::{
    Result, cpu,
    format::{PackageLines, keys},
    publish::views::Changed,
    view::{
        File,
        site::{self, Broken, Change, Grown, Known, Laid, Layout, Maker, Not, Parsed, Rows, RowsOf},
    },
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What a run changes in groups that are kept as a whole: the rows, and those that have to be there.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) rows: BTreeMap<Label, Option<Row>>,
    /// Rows that are there in each of the states that the view may show some of.
    pub(super) must: Vec<Label>,
}

/// What a run changes.
#[derive(Default)]
pub(super) struct Touch {
    pub(super) plain: BTreeMap<String, Touched>,
    pub(super) placed: BTreeMap<String, Vec<Change>>,
}

/// The rows that these packages change.
pub(super) fn touched(maker: &Maker, changed: &[Changed], counts: &Counts) -> Touch {
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
    let mut out = Touch::default();
    for (change, new, olds) in all {
        let label = &change.package.label;
        let plain: BTreeSet<&str> =
            olds.iter().chain([&new]).filter_map(|r| r.plain.as_ref()).map(|(g, _)| g.as_str()).collect();
        for group in plain {
            let in_group = |r: &RowsOf| r.plain.as_ref().filter(|(g, _)| g == group).map(|(_, row)| Arc::clone(row));
            let touched = out.plain.entry(group.to_owned()).or_default();
            let row = in_group(&new);
            if row.is_some() && !olds.is_empty() && olds.iter().all(|o| in_group(o).is_some()) {
                touched.must.push(Arc::clone(label));
            }
            touched.rows.insert(Arc::clone(label), row);
        }
        let placed: BTreeSet<&String> = olds.iter().chain([&new]).flat_map(|r| r.placed.keys()).collect();
        for group in placed {
            let row = new.placed.get(group);
            // A count is in the rows, and what it was is not known.
            if !change.recounted && !olds.is_empty() && olds.iter().all(|o| o.placed.get(group) == row) {
                continue;
            }
            let old = olds.iter().map(|o| o.placed.get(group).cloned());
            out.placed.entry(group.clone()).or_default().push(Change {
                label: Arc::clone(label),
                new: row.cloned(),
                must: row.is_some() && !olds.is_empty() && olds.iter().all(|o| o.placed.contains_key(group)),
                olds: change.of.iter().copied().zip(old).collect(),
            });
        }
    }
    out
}

/// What becomes of groups that are kept in parts: the parts, or those that have to be read first.
pub(super) type Growing = Result<Grown, Not>;

/// Tries to make groups with the parts that are known of them.
pub(super) fn grow(
    placed: &BTreeMap<String, Vec<Change>>,
    known: &HashMap<String, Known>,
    wanted: &[String],
    careful: bool,
) -> Vec<(String, Growing)> {
    let none = Known::new();
    let grown = wanted.par_iter().filter_map(|group| {
        let changes = placed.get(group)?;
        let layout = Layout::of(group)?;
        Some((group.clone(), site::changed(&layout, known.get(group).unwrap_or(&none), changes, careful)))
    });
    grown.collect()
}

/// What becomes of groups that are kept in parts.
pub(super) fn lay_all(maker: &Maker, grown: &[(String, Grown)]) -> Result<Vec<(String, Laid)>, Broken> {
    let laid = grown.par_iter().filter_map(|(group, grown)| {
        let layout = Layout::of(group)?;
        Some(site::lay(maker, group, &layout, grown).map(|laid| (group.clone(), laid)))
    });
    laid.collect()
}

/// Tells the group above of one that is kept in parts, and that may have `had` rows before.
pub(super) fn tell(above: &mut BTreeMap<String, Touched>, group: &str, had: bool, summary: Option<Row>) {
    if let Some((name, key)) = site::parent(group) {
        let touched = above.entry(name).or_default();
        let key = Label::from(key);
        if had {
            touched.must.push(Arc::clone(&key));
        }
        touched.rows.insert(key, summary);
    }
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
    let maker = Arc::clone(maker);
    let made = cpu::run(move || {
        let make = |(name, state, touched)| make_group(&maker, name, state, touched);
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

fn make_group(maker: &Maker, name: String, state: Rows, touched: Touched) -> Result<Group, Broken> {
    let rows = patched(&state, &touched.rows);
    let files = maker.group(&name, &rows)?;
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
