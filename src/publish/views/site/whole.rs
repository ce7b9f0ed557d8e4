//! The whole site: the first time, for other settings, and where what is there cannot be relied on.

use super::{LOT, Label, Went, all_counts, gone_file, groups::summarize, pages::Wanted, written};
use crate::{
    Error, Result, cpu,
    format::{PackageLines, keys},
    publish::{
        registry::Registry,
        views::{Attempt, STRETCH},
    },
    view::{
        File,
        site::{self, Broken, Entry, Layout, Maker, Parsed, Part, Rows},
    },
};
use futures::TryStreamExt;
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// A group that is kept in parts, and its rows.
type Placed = (String, Vec<Arc<Entry>>);

impl Attempt<'_> {
    /// Writes every file of the site, and empties what is there besides.
    pub(super) async fn whole_site(&mut self, registry: &Registry, maker: &Arc<Maker>) -> Result<Went> {
        let mut counts = all_counts(registry, &self.head.snapshot.search).await?;
        // None told is as good as none at all.
        counts.retain(|_, count| *count > 0);
        let counts = Arc::new(counts);
        let fresh = self.first;
        // Of a site that was not there nothing can be left over, and nobody has to look for it.
        let mut made = if fresh && self.is_bare(registry).await? { None } else { Some(HashSet::new()) };
        let fixed = maker.fixed(&self.settings.site.theme)?;
        written!(self.write_made(registry, fixed, (fresh, &mut made)).await?);
        let mut plain: BTreeMap<String, Rows> = site::ALWAYS.iter().map(|g| ((*g).to_owned(), Rows::new())).collect();
        let mut placed: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
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
                if let Some((group, row)) = rows.plain {
                    plain.entry(group).or_default().insert(label, row);
                }
                for (group, entry) in rows.placed {
                    placed.entry(group).or_default().push(entry);
                }
            }
        }
        let mut placed: Vec<Placed> = placed.into_iter().collect();
        let (placed, mut dependents) = cpu::run(move || {
            placed.par_sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let of = placed.par_iter().filter_map(|(group, rows)| {
                let label = Label::from(group.strip_prefix("d/")?);
                let mut grown = site::all(&Layout::of(group)?, rows.iter().cloned());
                Some((label, grown.made.remove("")?))
            });
            let dependents: HashMap<Label, Part> = of.collect();
            (Arc::new(placed), dependents)
        })
        .await;
        for packages in self.stretches(registry) {
            let wanted = packages.await?.into_iter().map(|package| {
                let (label, dependents) = (Arc::clone(&package.label), dependents.remove(&package.label));
                Wanted { downloads: counts.get(&*label).copied(), label, package: Some(package), dependents }
            });
            let wanted = wanted.collect();
            written!(self.write_pages(registry, maker, wanted, (fresh, &mut made)).await?);
        }
        let absent = dependents.into_iter().collect::<BTreeMap<_, _>>().into_iter().map(|(label, part)| Wanted {
            downloads: None,
            label,
            package: None,
            dependents: Some(part),
        });
        let absent = absent.collect();
        written!(self.write_pages(registry, maker, absent, (fresh, &mut made)).await?);
        self.write_groups(registry, maker, (plain, placed), (fresh, made)).await
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
        (mut plain, placed): (BTreeMap<String, Rows>, Arc<Vec<Placed>>),
        (fresh, mut made): (bool, Option<HashSet<String>>),
    ) -> Result<Went> {
        for from in (0..placed.len()).step_by(LOT) {
            let (maker, placed) = (Arc::clone(maker), Arc::clone(&placed));
            let laid = cpu::run(move || {
                let lay = |(group, rows): &Placed| {
                    let layout = Layout::of(group)?;
                    let grown = site::all(&layout, rows.iter().cloned());
                    Some(site::lay(&maker, group, &layout, &grown).map(|laid| (group.clone(), laid)))
                };
                placed[from..placed.len().min(from + LOT)].par_iter().filter_map(lay).collect::<Result<Vec<_>, _>>()
            });
            let laid = match laid.await {
                Ok(laid) => laid,
                Err(Broken::Failed(e)) => return Err(e),
                Err(Broken::Rows(why)) => return Ok(Went::Broken(why)),
            };
            let mut files = Vec::new();
            for (group, laid) in laid {
                if let (Some((above, key)), Some(row)) = (site::parent(&group), laid.summary) {
                    plain.entry(above).or_default().insert(key.into(), row);
                }
                files.extend(laid.files.into_iter().flatten());
            }
            // A run that dies here is followed by one that writes all.
            written!(self.write_made(registry, files, (fresh, &mut made)).await?);
        }
        if let Some(why) = summarize(&mut plain) {
            return Ok(Went::Broken(why));
        }
        let (files, states) = {
            let maker = Arc::clone(maker);
            let made = cpu::run(move || {
                let files = plain.par_iter().map(|(name, rows)| maker.group(name, rows)).collect::<Result<Vec<_>, _>>();
                files.map(|f| (f, plain.iter().map(|(name, rows)| site::write_state(name, rows)).collect::<Vec<_>>()))
            });
            match made.await {
                Ok(made) => made,
                Err(Broken::Failed(e)) => return Err(e),
                Err(Broken::Rows(why)) => return Ok(Went::Broken(why)),
            }
        };
        written!(self.write_made(registry, files.into_iter().flatten().collect(), (fresh, &mut made)).await?);
        written!(self.write_made(registry, states, (fresh, &mut made)).await?);
        if let Some(made) = made {
            let left = self.left_over(registry, maker, &made).await?;
            written!(self.write(registry, left, false).await?);
        }
        Ok(Went::Done)
    }

    async fn is_bare(&self, registry: &Registry) -> Result<bool> {
        for folder in keys::site::FOLDERS {
            if registry.store.listed(folder).try_next().await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
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
                let is_plain = |group: &&str| !group.starts_with("parts/") && Layout::of(group).is_none();
                if let Some(group) = state.filter(is_plain) {
                    let empty = maker.group(group, &Rows::new());
                    let empty = empty.map_err(|e| match e {
                        Broken::Failed(e) => e,
                        Broken::Rows(why) => Error::new(crate::ErrorKind::Unsupported, why),
                    })?;
                    out.extend(empty.into_iter().filter(|f| !made.contains(&f.key)));
                    out.push(site::write_state(group, &Rows::new()));
                } else {
                    out.extend(gone_file(&key, &missing));
                }
            }
        }
        Ok(out)
    }

    pub(super) async fn write_made(
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
}
