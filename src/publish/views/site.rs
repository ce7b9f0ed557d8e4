//! The web site: rows of packages go into groups, groups into files.
//!
//! A group's state is a file like any other: what belongs into it is a function of the newest state. It is worked out from what
//! stands there, which some run wrote for a state that the view may show some of, and from the packages that are not as in
//! every one of those; so all other rows in it are right. Which files a group may have had is worked out from the same: its rows
//! in each of those states.

mod counts;
mod groups;

use super::{Attempt, BATCH, Changed, STRETCH, packs};
use crate::{
    Error, Result, cpu,
    format::{PackageLines, keys},
    index::{self, Missing, Nodes, Tree},
    package::Sha256,
    publish::registry::Registry,
    trust::Shows,
    view::{
        File, Note, View,
        site::{self, Broken, Maker, More, Parsed, Rows, Unread},
    },
};
use counts::all_counts;
use futures::{StreamExt, TryStreamExt};
use groups::{Touched, make_groups, summarize, touched};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// So many details are read at once.
const PARALLEL: usize = 16;

/// So many pages, or groups, are in memory as files at once.
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
        let mut states = match self.states(registry, &touched).await? {
            Ok(states) => states,
            Err(why) => return Ok(Went::Broken(why)),
        };
        let (mut files, mut rows) = (Vec::new(), touched);
        let mut written = Vec::new();
        for level in 0..3 {
            let made = match make_groups(maker, level, &mut rows, &mut states).await? {
                Ok(made) => made,
                Err(why) => return Ok(Went::Broken(why)),
            };
            for group in made {
                files.extend(group.files);
                written.push(site::write_state(&group.name, &group.rows));
                states.insert(group.name, Some(group.rows));
            }
        }
        // Pages first, then what leads to them.
        let mut pages: BTreeMap<Label, Option<Arc<PackageLines>>> =
            changed.iter().map(|c| (Arc::clone(&c.package.label), Some(Arc::clone(&c.package)))).collect();
        let targets: Vec<Label> = states.keys().filter_map(|g| g.strip_prefix("d/")).map(Arc::from).collect();
        let others: Vec<Label> = targets.into_iter().filter(|l| !pages.contains_key(l)).collect();
        let more = self.counts_of(registry, others.iter().map(ToString::to_string).collect()).await?;
        Arc::make_mut(&mut known).extend(more);
        pages.extend(self.look_up(registry, &others).await?);
        let mut wanted = Vec::with_capacity(pages.len());
        let lacking: Vec<Label> = pages.keys().filter(|l| !states.contains_key(&format!("d/{l}"))).cloned().collect();
        let found = match self.read_groups(registry, lacking.iter().map(|l| format!("d/{l}")).collect()).await? {
            Ok(found) => found,
            Err(why) => return Ok(Went::Broken(why)),
        };
        states.extend(found);
        for (label, package) in pages {
            let dependents = states.remove(&format!("d/{label}")).flatten().unwrap_or_default();
            wanted.push(Wanted { downloads: known.get(&*label).copied(), label, package, dependents });
        }
        written!(self.write_pages(registry, maker, wanted, (false, &mut None)).await?);
        written!(self.write(registry, files, false).await?);
        written!(self.write(registry, written, false).await?);
        Ok(Went::Done)
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

    /// Writes every file of the site, and empties what is there besides.
    async fn whole_site(&mut self, registry: &Registry, maker: &Arc<Maker>) -> Result<Went> {
        let mut counts = all_counts(registry, &self.head.snapshot.search).await?;
        // None told is as good as none at all.
        counts.retain(|_, count| *count > 0);
        let counts = Arc::new(counts);
        let fresh = self.first;
        let mut made = Some(HashSet::new());
        let fixed = maker.fixed(&self.settings.site.theme)?;
        written!(self.write_made(registry, fixed, (fresh, &mut made)).await?);
        let mut groups: BTreeMap<String, Rows> = site::ALWAYS.iter().map(|g| ((*g).to_owned(), Rows::new())).collect();
        for packages in self.stretches(registry) {
            let packages = packages.await?;
            let (maker, counts) = (Arc::clone(maker), Arc::clone(&counts));
            let rows = cpu::run(move || {
                let rows = |p: &Arc<PackageLines>| {
                    let parsed = Parsed::new(p)?;
                    Some((Arc::clone(&p.label), site::rows(&maker, &parsed, counts.get(&*p.label).copied())))
                };
                packages.par_iter().filter_map(rows).collect::<Vec<_>>()
            });
            for (label, rows) in rows.await {
                for (group, row) in rows {
                    groups.entry(group).or_default().insert(Arc::clone(&label), row);
                }
            }
        }
        if let Some(why) = summarize(&mut groups) {
            return Ok(Went::Broken(why));
        }
        let mut here = HashSet::new();
        for packages in self.stretches(registry) {
            let packages = packages.await?;
            let wanted = packages.into_iter().map(|package| {
                let label = Arc::clone(&package.label);
                here.insert(Arc::clone(&label));
                let dependents = groups.get(&format!("d/{label}")).cloned().unwrap_or_default();
                Wanted { downloads: counts.get(&*label).copied(), label, package: Some(package), dependents }
            });
            let wanted = wanted.collect();
            written!(self.write_pages(registry, maker, wanted, (fresh, &mut made)).await?);
        }
        let absent = groups.iter().filter_map(|(g, rows)| Some((Label::from(g.strip_prefix("d/")?), rows)));
        let absent = absent.filter(|(label, _)| !here.contains(label));
        let absent =
            absent.map(|(label, rows)| Wanted { downloads: None, label, package: None, dependents: rows.clone() });
        let absent = absent.collect();
        written!(self.write_pages(registry, maker, absent, (fresh, &mut made)).await?);
        self.write_groups(registry, maker, groups, (fresh, made.unwrap_or_default())).await
    }

    /// The packages of the newest state, some at a time.
    fn stretches<'r>(
        &self,
        registry: &'r Registry,
    ) -> Vec<impl Future<Output = Result<Vec<Arc<PackageLines>>>> + use<'r>> {
        let entries = self.head.tree.top.entries();
        entries.chunks(STRETCH).map(|entries| registry.below(entries.to_vec())).collect()
    }

    async fn write_groups(
        &mut self,
        registry: &Registry,
        maker: &Arc<Maker>,
        groups: BTreeMap<String, Rows>,
        (fresh, made): (bool, HashSet<String>),
    ) -> Result<Went> {
        let mut made = Some(made);
        let groups: Vec<(String, Rows)> = groups.into_iter().collect();
        let groups = Arc::new(groups);
        for from in (0..groups.len()).step_by(LOT) {
            let (maker, all) = (Arc::clone(maker), Arc::clone(&groups));
            let files = cpu::run(move || {
                let lot = &all[from..all.len().min(from + LOT)];
                lot.par_iter().map(|(name, rows)| maker.group(name, rows)).collect::<Result<Vec<_>, _>>()
            });
            let files = match files.await {
                Ok(files) => files.into_iter().flatten().collect(),
                Err(Broken::Failed(e)) => return Err(e),
                Err(Broken::Rows(why)) => return Ok(Went::Broken(why)),
            };
            written!(self.write_made(registry, files, (fresh, &mut made)).await?);
        }
        for lot in groups.chunks(LOT) {
            let states = lot.iter().map(|(name, rows)| site::write_state(name, rows)).collect();
            written!(self.write_made(registry, states, (fresh, &mut made)).await?);
        }
        let left = self.left_over(registry, maker, &made.unwrap_or_default()).await?;
        written!(self.write(registry, left, false).await?);
        Ok(Went::Done)
    }

    /// What stands in the place of files that are there and belong to nothing any more.
    async fn left_over(&self, registry: &Registry, maker: &Maker, made: &HashSet<String>) -> Result<Vec<File>> {
        let missing = maker.missing()?;
        let mut out = Vec::new();
        for folder in keys::site::FOLDERS {
            let mut listed = registry.store.listed(folder);
            while let Some(there) = listed.try_next().await? {
                let key = there.key;
                if made.contains(&key) {
                    continue;
                }
                let state = key.strip_prefix("site/").and_then(|k| k.strip_suffix(".json"));
                if let Some(group) = state {
                    let empty = maker.group(group, &Rows::new());
                    let empty = empty.map_err(|e| match e {
                        Broken::Failed(e) => e,
                        Broken::Rows(why) => Error::new(crate::ErrorKind::Unsupported, why),
                    })?;
                    out.extend(empty.into_iter().filter(|f| !made.contains(&f.key)));
                    out.push(site::write_state(group, &Rows::new()));
                } else if let Some(bytes) = gone(&key, &missing) {
                    out.push(File { key, bytes });
                }
            }
        }
        Ok(out)
    }

    async fn write_made(
        &mut self,
        registry: &Registry,
        files: Vec<File>,
        (fresh, made): (bool, &mut Option<HashSet<String>>),
    ) -> Result<bool> {
        if let Some(made) = made {
            made.extend(files.iter().map(|f| f.key.clone()));
        }
        self.write(registry, files, fresh).await
    }

    /// Renders pages of packages, and writes them.
    async fn write_pages(
        &mut self,
        registry: &Registry,
        maker: &Arc<Maker>,
        mut wanted: Vec<Wanted>,
        (fresh, made): (bool, &mut Option<HashSet<String>>),
    ) -> Result<bool> {
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(LOT));
            let lot = std::mem::replace(&mut wanted, rest);
            let reads: Vec<_> = lot.into_iter().map(|wanted| read(registry, wanted)).collect();
            let read: Vec<Read> = futures::stream::iter(reads).buffered(PARALLEL).try_collect().await?;
            let maker = Arc::clone(maker);
            let rendered =
                cpu::run(move || read.par_iter().map(|r| r.render(&maker)).collect::<Result<Vec<_>>>()).await?;
            let mut files = Vec::with_capacity(2 * rendered.len());
            for (more, unread) in rendered {
                files.extend(more);
                self.report.notes.extend(unread.into_iter().map(|(what, why)| Note { view: View::Site, what, why }));
            }
            if !self.write_made(registry, files, (fresh, made)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What the file of that key is once nothing belongs there; `None` for one that is not ours.
fn gone(key: &str, missing: &str) -> Option<bytes::Bytes> {
    let (folder, name) = key.split_once('/')?;
    match (folder, name.rsplit_once('.').map(|(_, ending)| ending)) {
        ("c" | "k" | "p", Some("html")) => Some(missing.to_owned().into()),
        ("p", Some("atom")) | ("search", Some("json")) | ("assets", _) => Some(bytes::Bytes::new()),
        _ => None,
    }
}

/// A page that is to be rendered.
struct Wanted {
    label: Label,
    /// None: it is not in the registry.
    package: Option<Arc<PackageLines>>,
    downloads: Option<u64>,
    dependents: Rows,
}

/// With all that it takes.
struct Read {
    wanted: Wanted,
    parsed: Option<Parsed>,
    detail: Option<crate::package::Detail>,
}

async fn read(registry: &Registry, wanted: Wanted) -> Result<Read> {
    let parsed = wanted.package.as_deref().and_then(Parsed::new);
    let detail = match parsed.as_ref().and_then(Parsed::shown).filter(|r| r.removed.is_none()).and_then(|r| r.detail) {
        Some(link) => Some(packs::detail(registry, &link).await?),
        None => None,
    };
    Ok(Read { wanted, parsed, detail })
}

impl Read {
    /// Its files, and what of it could not be read.
    fn render(&self, maker: &Maker) -> Result<(Vec<File>, Vec<Unread>)> {
        let Wanted { label, package, downloads, dependents } = &self.wanted;
        let Some(parsed) = &self.parsed else {
            // Of a kind that this program does not know, nothing is shown.
            return Ok((if package.is_some() { Vec::new() } else { maker.absent(label, dependents)? }, Vec::new()));
        };
        let more = More { detail: self.detail.as_ref(), downloads: *downloads, dependents };
        Ok((maker.package(parsed, &more)?, parsed.unread.clone()))
    }
}
