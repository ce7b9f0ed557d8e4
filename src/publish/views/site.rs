//! The web site: rows of packages go into groups, groups into files.
//!
//! A group's state is a file like any other: what belongs into it is a function of the newest state. It is worked out from what
//! stands there, which some run wrote for a state that the view may show some of, and from the packages that are not as in
//! every one of those; so all other rows in it are right. Which files a group may have had is worked out from the same: its rows
//! in each of those states. Groups that may become long are kept in parts (`view/site/parts.rs`), so that one release more costs
//! about the same in a registry of any size.

mod counts;
mod groups;
mod pages;
mod whole;

use super::{Attempt, BATCH, Changed};
use crate::{
    Error, Result, cpu,
    format::{PackageLines, keys},
    index::{self, Missing, Nodes, Tree},
    package::Sha256,
    publish::registry::Registry,
    trust::Shows,
    view::{
        File,
        site::{self, Broken, Change, Grown, Known, Laid, Layout, Maker, Not, Part, Rows},
    },
};
use bytes::Bytes;
use counts::all_counts;
use groups::{Touch, Touched, grow, lay_all, make_groups, tell, touched};
use pages::Wanted;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// So many groups are in memory as files at once.
const LOT: usize = 1024;

type Row = Arc<str>;
type Label = Arc<str>;

/// What became of an attempt.
enum Went {
    Done,
    /// The registry went on, or somebody else wrote.
    Behind,
    /// The groups that are there are not what they should be.
    Broken(String),
}

/// Ends an attempt that did not come to its end.
macro_rules! written {
    ($written:expr) => {
        if !$written {
            return Ok(Went::Behind);
        }
    };
}
use written;

impl Attempt<'_> {
    /// Writes the site: what changed, or all of it. False when the registry went on, or somebody else wrote.
    pub(super) async fn write_site(
        &mut self,
        registry: &Registry,
        changed: Option<Vec<Changed>>,
        bases: &[Shows],
    ) -> Result<bool> {
        let snapshot = &self.head.snapshot;
        let shown = site::Shown {
            generation: snapshot.generation,
            created: snapshot.created,
            origin: registry.key.origin().to_string(),
            key: format!("{}+{}", registry.key.origin(), registry.key.verifier().id()),
        };
        let maker = Arc::new(Maker::new(self.settings, shown)?);
        if let Some(changed) = changed {
            match self.site_of(registry, &maker, changed, bases).await? {
                Went::Done => return Ok(true),
                Went::Behind => return Ok(false),
                Went::Broken(why) => tracing::warn!("the site is made anew: {why}"),
            }
        }
        self.report.whole = true;
        match self.whole_site(registry, &maker).await? {
            Went::Done => Ok(true),
            Went::Behind => Ok(false),
            Went::Broken(why) => Err(Error::new(crate::ErrorKind::Unsupported, why)),
        }
    }

    /// Writes what depends on these packages.
    async fn site_of(
        &mut self,
        registry: &Registry,
        maker: &Arc<Maker>,
        mut changed: Vec<Changed>,
        bases: &[Shows],
    ) -> Result<Went> {
        let Some(mut counts) = self.recounted(registry, bases).await? else {
            return Ok(Went::Broken("what it shows cannot be compared".into()));
        };
        for change in &mut changed {
            // Both at once: a row of it may differ in its count alone.
            change.recounted |= counts.differ.remove(&*change.package.label).is_some();
        }
        for (label, of) in std::mem::take(&mut counts.differ) {
            let Some(package) = self.look_up(registry, &[Arc::from(label)]).await?.pop().and_then(|(_, p)| p) else {
                continue;
            };
            changed.push(Changed {
                olds: Some(vec![Some(Arc::clone(&package)); of.len()]),
                of,
                package,
                recounted: true,
            });
        }
        let labels =
            changed.iter().map(|c| c.package.label.to_string()).filter(|l| !counts.known.contains_key(l)).collect();
        let more = self.counts_of(registry, labels).await?;
        counts.known.extend(more);
        let mut known = Arc::new(counts.known);
        let changed = Arc::new(changed);
        let touched = {
            let (maker, changed, known) = (Arc::clone(maker), Arc::clone(&changed), Arc::clone(&known));
            cpu::run(move || touched(&maker, &changed, &known)).await
        };
        let Touch { mut plain, placed } = touched;
        let grown = match self.grown(registry, placed, bases.len() > 1).await? {
            Ok(grown) => grown,
            Err(why) => return Ok(Went::Broken(why)),
        };
        let laid = {
            let (maker, grown) = (Arc::clone(maker), Arc::clone(&grown.groups));
            match cpu::run(move || lay_all(&maker, &grown)).await {
                Ok(laid) => laid,
                Err(Broken::Rows(why)) => return Ok(Went::Broken(why)),
                Err(Broken::Failed(e)) => return Err(e),
            }
        };
        for (group, laid) in &laid {
            tell(&mut plain, group, grown.had.contains(group), laid.summary.clone());
        }
        let mut states = match self.states(registry, &plain).await? {
            Ok(states) => states,
            Err(why) => return Ok(Went::Broken(why)),
        };
        let (mut files, mut written) = (Vec::new(), Vec::new());
        for level in 0..3 {
            let made = match make_groups(maker, level, &mut plain, &mut states).await? {
                Ok(made) => made,
                Err(why) => return Ok(Went::Broken(why)),
            };
            for group in made {
                files.extend(group.files);
                written.push(site::write_state(&group.name, &group.rows));
            }
        }
        // Pages first, then what leads to them.
        let mut pages: BTreeMap<Label, Option<Arc<PackageLines>>> =
            changed.iter().map(|c| (Arc::clone(&c.package.label), Some(Arc::clone(&c.package)))).collect();
        let wanted_by = |(group, grown): &(String, Grown)| {
            let label = Label::from(group.strip_prefix("d/")?);
            Some((label, grown.made.get("").cloned()))
        };
        let mut dependents: BTreeMap<Label, Option<Part>> = grown.groups.iter().filter_map(wanted_by).collect();
        let others: Vec<Label> = dependents.keys().filter(|l| !pages.contains_key(*l)).cloned().collect();
        let more = self.counts_of(registry, others.iter().map(ToString::to_string).collect()).await?;
        Arc::make_mut(&mut known).extend(more);
        pages.extend(self.look_up(registry, &others).await?);
        let lacking: Vec<Label> = pages.keys().filter(|l| !dependents.contains_key(*l)).cloned().collect();
        let firsts: Vec<_> = lacking.iter().map(|l| (format!("d/{l}"), String::new())).collect();
        match read_parts(registry, firsts).await? {
            Ok(found) => dependents.extend(lacking.into_iter().zip(found.into_iter().map(|(_, _, part)| part))),
            Err(why) => return Ok(Went::Broken(why)),
        }
        let wanted = pages.into_iter().map(|(label, package)| {
            let dependents = dependents.remove(&label).flatten();
            Wanted { downloads: known.get(&*label).copied(), label, package, dependents }
        });
        let mut wanted: Vec<Wanted> = wanted.collect();
        // In the order in which details stand: few of their leaves are at hand at once.
        wanted.sort_by_cached_key(|w| Sha256::of(w.label.as_bytes()));
        written!(self.write_pages(registry, maker, wanted, (false, &mut None)).await?);
        written!(self.write_laid(registry, maker, laid).await?);
        written!(self.write(registry, files, false).await?);
        written!(self.write(registry, written, false).await?);
        Ok(Went::Done)
    }

    /// What becomes of the groups that are kept in parts; what is wrong with one, if anything is.
    async fn grown(
        &self,
        registry: &Registry,
        placed: BTreeMap<String, Vec<Change>>,
        careful: bool,
    ) -> Result<Result<Grew, String>> {
        let mut wanted: Vec<String> = placed.keys().cloned().collect();
        let (placed, mut known) = (Arc::new(placed), Arc::new(HashMap::<String, Known>::new()));
        let mut groups = Vec::with_capacity(wanted.len());
        // Each round reads what lies one part deeper, or what is to be put in the place of a part's best.
        while !wanted.is_empty() {
            let tried = {
                let (placed, known, wanted) = (Arc::clone(&placed), Arc::clone(&known), std::mem::take(&mut wanted));
                cpu::run(move || grow(&placed, &known, &wanted, careful)).await
            };
            let mut lacking = Vec::new();
            for (group, grown) in tried {
                match grown {
                    Ok(grown) => groups.push((group, grown)),
                    Err(Not::Right(why)) => return Ok(Err(why)),
                    Err(Not::Known(prefixes)) => {
                        lacking.extend(prefixes.into_iter().map(|p| (group.clone(), p)));
                        wanted.push(group);
                    }
                }
            }
            match read_parts(registry, lacking).await? {
                Ok(found) => {
                    let known = Arc::make_mut(&mut known);
                    for (group, prefix, part) in found {
                        known.entry(group).or_default().insert(prefix, part);
                    }
                }
                Err(why) => return Ok(Err(why)),
            }
        }
        let first = |group: &String| known.get(group)?.get(&Layout::of(group)?.top)?.as_ref();
        let had = known.keys().filter(|g| first(g).is_some()).cloned().collect();
        Ok(Ok(Grew { groups: Arc::new(groups), had }))
    }

    /// Writes groups that are kept in parts: what leads to others after them, and empties what nothing leads to any more.
    async fn write_laid(&mut self, registry: &Registry, maker: &Maker, laid: Vec<(String, Laid)>) -> Result<bool> {
        let (mut rounds, mut gone): (Vec<Vec<File>>, Vec<String>) = (Vec::new(), Vec::new());
        for (_, laid) in laid {
            rounds.resize_with(rounds.len().max(laid.files.len()), Vec::new);
            for (round, files) in rounds.iter_mut().zip(laid.files) {
                round.extend(files);
            }
            gone.extend(laid.gone);
        }
        for round in rounds {
            if !self.write(registry, round, false).await? {
                return Ok(false);
            }
        }
        let missing = maker.missing()?;
        let mut emptied = Vec::new();
        for keys in gone.chunks(BATCH) {
            for (key, there) in keys.iter().zip(registry.store.look_at(keys).await?) {
                if there.is_some_and(|t| !t.bytes.is_empty()) {
                    emptied.extend(gone_file(key, &missing));
                }
            }
        }
        self.write(registry, emptied, false).await
    }

    /// The states of all groups that are touched, and of those above them; what is wrong with one, if anything is.
    async fn states(
        &self,
        registry: &Registry,
        touched: &BTreeMap<String, Touched>,
    ) -> Result<Result<HashMap<String, Option<Rows>>, String>> {
        let mut names: BTreeSet<String> = touched.keys().cloned().collect();
        // It says which generation it is of.
        names.insert("home".into());
        let mut next: Vec<String> = names.iter().cloned().collect();
        while let Some(name) = next.pop() {
            if let Some((above, _)) = site::parent(&name)
                && names.insert(above.clone())
            {
                next.push(above);
            }
        }
        let states = match self.read_groups(registry, names.into_iter().collect()).await? {
            Ok(states) => states,
            Err(why) => return Ok(Err(why)),
        };
        for (name, state) in &states {
            let must = touched.get(name).map_or(&[][..], |t| &t.must);
            let has = |label: &Label| state.as_ref().is_some_and(|rows| rows.contains_key(label));
            if (state.is_none() && site::ALWAYS.contains(&name.as_str())) || !must.iter().all(has) {
                return Ok(Err(format!("{} is not there, or lacks something", keys::site::state(name))));
            }
        }
        Ok(Ok(states))
    }

    async fn read_groups(
        &self,
        registry: &Registry,
        names: Vec<String>,
    ) -> Result<Result<HashMap<String, Option<Rows>>, String>> {
        let mut out = HashMap::with_capacity(names.len());
        for names in names.chunks(BATCH) {
            let keys: Vec<String> = names.iter().map(|n| keys::site::state(n)).collect();
            for (name, there) in names.iter().zip(registry.store.look_at(&keys).await?) {
                let rows = match there.filter(|t| !t.bytes.is_empty()) {
                    Some(there) => match site::read_state(&there.bytes) {
                        Some(rows) => Some(rows),
                        None => return Ok(Err(format!("{} cannot be read", keys::site::state(name)))),
                    },
                    None => None,
                };
                out.insert(name.clone(), rows);
            }
        }
        Ok(Ok(out))
    }

    /// Packages of the newest state.
    async fn look_up(&self, registry: &Registry, labels: &[Label]) -> Result<Vec<(Label, Option<Arc<PackageLines>>)>> {
        let mut tree = Tree { top: self.head.tree.top.clone(), nodes: Nodes::new() };
        let keys: Vec<Sha256> = labels.iter().map(|l| Sha256::of(l.as_bytes())).collect();
        loop {
            let found: Vec<_> = keys.iter().map(|key| index::lookup(&tree, key).map(|p| p.cloned())).collect();
            let lacking: Vec<_> =
                found.iter().filter_map(|f| f.as_ref().err()).flat_map(|Missing(entries)| entries.clone()).collect();
            if lacking.is_empty() {
                return Ok(labels.iter().cloned().zip(found.into_iter().map(|f| f.ok().flatten())).collect());
            }
            registry.load(lacking, &mut tree.nodes).await?;
        }
    }
}

/// The file of that key once nothing belongs there; `None` for one that is not ours.
fn gone_file(key: &str, missing: &Bytes) -> Option<File> {
    let (folder, name) = key.split_once('/')?;
    let bytes = match (folder, name.rsplit_once('.').map(|(_, ending)| ending)) {
        ("c" | "k" | "p", Some("html")) => missing.clone(),
        ("p", Some("atom")) | ("search" | "site", Some("json")) | ("assets", _) => Bytes::new(),
        _ => return None,
    };
    Some(File { key: key.to_owned(), bytes })
}

/// Parts of groups, as they stand there; what is wrong with one, if anything is.
async fn read_parts(
    registry: &Registry,
    wanted: Vec<(String, String)>,
) -> Result<Result<Vec<(String, String, Option<Part>)>, String>> {
    let mut out = Vec::with_capacity(wanted.len());
    for lot in wanted.chunks(BATCH) {
        let layouts: Vec<_> =
            lot.iter().filter_map(|(group, prefix)| Some((Layout::of(group)?, group, prefix))).collect();
        let keys: Vec<String> = layouts.iter().map(|(layout, _, prefix)| layout.key(prefix)).collect();
        let there = registry.store.look_at(&keys).await?;
        for (((layout, group, prefix), key), there) in layouts.into_iter().zip(&keys).zip(there) {
            let part = match there.filter(|t| !t.bytes.is_empty()) {
                Some(there) => match Part::read(&layout, &there.bytes) {
                    Some(part) => Some(part),
                    None => return Ok(Err(format!("{key} cannot be read"))),
                },
                None => None,
            };
            out.push((group.clone(), prefix.clone(), part));
        }
    }
    Ok(Ok(out))
}

/// What became of the groups that are kept in parts.
struct Grew {
    groups: Arc<Vec<(String, Grown)>>,
    /// Those that had a first part.
    had: HashSet<String>,
}
