//! Bringing views up to the newest generation.
//!
//! A view may trail the checkpoint and never leads it: nothing here runs before the checkpoint is there. Its marker
//! (`views/<name>`, signed) says which snapshot its files show and which runs have begun to write another one. A run says
//! first that it begins; so whoever comes after a run that died looks again at everything that the dead one may have written,
//! and not at more. In `docs/views.md` stands what is guaranteed when several run at once.

mod packs;
mod shelf;
mod site;

use super::{
    commit::pause,
    head::Head,
    options::{BuildOptions, Progress},
    registry::Registry,
    watch::Watch,
};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{Entry, PackageLines, Page, Snapshot, Stored, TreeKind, keys, limits},
    index::{self, Missing, Nodes},
    package::{Link, Sha256},
    store::{Versioned, Written, is_absent, load_nodes},
    trust::{Begun, MAX_BEGUN, Shown, Shows},
    view::{self, File, Note, Rendered, View, ViewOptions},
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// How often a run begins again because the registry moved on, or somebody else wrote the same files.
const ATTEMPTS: u32 = 50;

/// So many files are looked at, and then written, at once: between the two stands one look at the log.
const BATCH: usize = 512;
/// In a folder, which nobody else writes to meanwhile.
const BATCH_HERE: usize = 4096;

/// How often files are looked at that another run writes at the same time.
const LOOKS: u32 = 3;

/// So many entries of the top page are read at once where a whole view is made.
const STRETCH: usize = 16;

/// So many packages are made into files before those are written.
const LOT: usize = 4096;

/// For so long a run that has not come to its end may still write.
const LINGERS: Duration = Duration::from_secs(3600);

/// What became of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewReport {
    /// Which one.
    pub view: View,
    /// The generation that it shows.
    pub generation: u64,
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether all of its files were looked at, and not only those of packages that changed.
    pub whole: bool,
    /// What is not shown as one might expect, among what was looked at.
    pub notes: Vec<Note>,
}

/// The marker of a view, and what the store goes by to tell that it is still the same one.
struct Standing {
    shown: Shown,
    version: Option<Versioned>,
}

/// One attempt at one view.
struct Attempt<'a> {
    view: View,
    settings: &'a ViewOptions,
    options: &'a BuildOptions,
    report: &'a mut ViewReport,
    /// The slot whose state is written.
    head: &'a Head,
    /// Nothing of the view is there yet.
    first: bool,
    /// The details of what is shown.
    shelf: shelf::Shelf,
    /// What there is for a catalogue.
    rows: packs::NewRows,
    /// The digest of the catalogue that was written.
    carries: Option<Sha256>,
}

/// A package to be written.
struct Changed {
    package: Arc<PackageLines>,
    /// What it was in each state that the view may show some of; `None`: that is not known.
    olds: Option<Vec<Option<Arc<PackageLines>>>>,
    /// The numbers of those states.
    of: Vec<usize>,
    /// Its downloads are not as in every one of them.
    recounted: bool,
}

impl Changed {
    fn wholly(package: Arc<PackageLines>) -> Self {
        Self { package, olds: None, of: Vec::new(), recounted: false }
    }

    /// Whether the view never showed it.
    fn is_new(&self) -> bool {
        self.olds.as_ref().is_some_and(|olds| olds.iter().all(Option::is_none))
    }
}

impl Registry {
    /// Brings the views that the options name up to the newest generation; with `anew`, by looking at every file of them. A
    /// view whose files are right costs one request.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where a view lacks a setting. [`ErrorKind::Unavailable`] where other jobs were faster each time.
    pub async fn update_views(&self, anew: bool, options: &BuildOptions) -> Result<Vec<ViewReport>> {
        match self.bring_views(&Watch::start(options.now), anew, options).await {
            (reports, None) => Ok(reports),
            (_, Some(e)) => Err(e),
        }
    }

    /// Gives what became of the views up to the first that fails, and why it does: what was committed before is told in any
    /// case.
    pub(super) async fn bring_views(
        &self,
        watch: &Watch,
        anew: bool,
        options: &BuildOptions,
    ) -> (Vec<ViewReport>, Option<Error>) {
        let mut reports = Vec::new();
        let Some(settings) = options.views.as_ref().filter(|v| !v.views.is_empty() && !options.dry_run) else {
            return (reports, None);
        };
        let mut head = None;
        for view in &settings.views {
            match self.bring(*view, settings, (watch, anew, options), &mut head).await {
                Ok(report) => reports.push(report),
                Err(e) => {
                    let usual = "the registry itself is as it should be; the next run brings the view up to date";
                    let hint = e.hint().unwrap_or(usual).to_owned();
                    let e = Error::new(e.kind(), format!("the view {view} is not up to date")).with_source(e);
                    return (reports, Some(e.with_hint(hint)));
                }
            }
        }
        (reports, None)
    }

    async fn bring(
        &self,
        view: View,
        settings: &ViewOptions,
        (watch, anew, options): (&Watch, bool, &BuildOptions),
        head: &mut Option<Head>,
    ) -> Result<ViewReport> {
        let _lock = self.store.lock_views().await?;
        let mut report = ViewReport { view, generation: 0, files: 0, bytes: 0, whole: false, notes: Vec::new() };
        let mut run = [0; 8];
        options.fill_random(&mut run)?;
        for attempt in 0..ATTEMPTS {
            let at = match head.take() {
                Some(head) => head,
                None => self.head(watch, true).await?,
            };
            report.generation = at.slot.claim().generation;
            let mut attempted = Attempt {
                view,
                settings,
                options,
                report: &mut report,
                head: &at,
                first: false,
                shelf: shelf::Shelf::of(&at),
                rows: Vec::new(),
                carries: None,
            };
            if attempted.make(self, (&watch.showing(options.clock), anew), run).await? {
                *head = Some(at);
                return Ok(report);
            }
            tracing::info!("the registry went on while the view {view} was written; beginning again");
            pause(attempt.min(6), options).await;
        }
        let message = format!("other jobs were faster than this one {ATTEMPTS} times");
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    async fn marker(&self, view: View) -> Result<Standing> {
        let key = keys::marker(view.as_str());
        let nothing = || Shown::nothing(self.key.origin().clone(), view.as_str());
        let Some(version) = self.store.get_versioned(&key).await? else {
            return Ok(Standing { shown: nothing(), version: None });
        };
        let shown = Shown::open(&version.bytes, view.as_str(), &self.keys).unwrap_or_else(|e| {
            // Nothing of what it says is believed: then every file is looked at.
            tracing::warn!("{} is not this registry's: {e}", self.store.place(&key));
            nothing()
        });
        Ok(Standing { shown, version: Some(version) })
    }

    /// A snapshot; `None` where it was collected as garbage.
    async fn snapshot_of(&self, link: &Link) -> Result<Option<Snapshot>> {
        let place = || self.store.place(&keys::blob(&link.sha256));
        match self.store.get_raw(link, limits::NODE, limits::NODE_RAW).await {
            Ok(raw) => Ok(Some(Snapshot::read(&raw).map_err(|e| e.at(place()))?)),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What differs between two states; `None` where the earlier one is not whole any more.
    async fn difference(&self, old: &Page, new: &Page, nodes: &mut Nodes) -> Result<Option<Vec<index::Difference>>> {
        loop {
            let lacking = match index::diff(old, new, nodes) {
                Ok(differences) => return Ok(Some(differences)),
                Err(Missing(lacking)) => lacking,
            };
            match self.load(lacking, nodes).await {
                Ok(()) => {}
                Err(e) if is_absent(&e) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// All packages below some entries.
    async fn below(&self, entries: Vec<Entry>) -> Result<Vec<Arc<PackageLines>>> {
        let mut nodes = Nodes::new();
        loop {
            match index::below(&nodes, &entries) {
                Ok(packages) => return Ok(packages),
                Err(Missing(lacking)) => self.load(lacking, &mut nodes).await?,
            }
        }
    }

    async fn load<I: Stored>(&self, mut lacking: Vec<Entry>, nodes: &mut Nodes<I>) -> Result<()> {
        lacking.sort_unstable_by_key(|e| e.link.sha256);
        lacking.dedup_by_key(|e| e.link.sha256);
        let before = nodes.len();
        // Leaves of details are not kept near: most of them are read once.
        let cache = self.cache.as_ref().filter(|_| I::TREE == TreeKind::Index);
        load_nodes(&self.store, cache, lacking, nodes).await?;
        if nodes.len() == before {
            return Err(Error::new(ErrorKind::Untrusted, format!("the index of {} cites itself", self.store)));
        }
        Ok(())
    }
}

/// Packages in lots whose files are in memory at once.
fn chunks(mut changed: Vec<Changed>) -> Vec<Vec<Changed>> {
    let mut out = Vec::new();
    while !changed.is_empty() {
        let rest = changed.split_off(changed.len().min(LOT));
        out.push(std::mem::replace(&mut changed, rest));
    }
    out
}

/// The runs whose writing a marker tells of, as far as they have to be looked after.
fn others(shown: &Shown, target: &Shows) -> Vec<Begun> {
    // Who writes the same writes nothing else.
    shown
        .begun
        .iter()
        .copied()
        .filter(|b| b.shows.snapshot != target.snapshot || b.shows.settings != target.settings)
        .collect()
}

impl Attempt<'_> {
    /// Makes the view of this attempt's state. False when the registry went on meanwhile, or somebody else wrote.
    async fn make(&mut self, registry: &Registry, (clock, anew): (&Watch, bool), run: [u8; 8]) -> Result<bool> {
        self.report.notes.clear();
        let Standing { shown, version } = registry.marker(self.view).await?;
        let claim = self.head.slot.claim();
        let settings = self.settings.settings(self.view);
        let target = Shows { generation: claim.generation, snapshot: claim.snapshot, settings };
        if shown.shows.is_some_and(|s| s.generation > target.generation) {
            return Ok(false);
        }
        let same = |s: &Shows| s.snapshot == target.snapshot && s.settings == target.settings;
        let others = others(&shown, &target);
        let right = shown.shows.as_ref().is_some_and(same);
        if right && others.is_empty() && !anew {
            self.report.generation = shown.shows.map_or(target.generation, |s| s.generation);
            let is_ours = shown.begun.iter().any(|b| b.run == run);
            return if is_ours { self.finish(registry, (&shown, &[], target), run, clock).await } else { Ok(true) };
        }
        // What needs a setting fails before anything is said or written.
        let fixed = view::fixed(self.view, self.settings)?;
        self.first = shown.shows.is_none() && shown.begun.is_empty() && version.is_none();
        let crowded = shown.begun.len() >= MAX_BEGUN;
        let mut begun = shown.clone();
        if crowded {
            begun.begun.drain(..MAX_BEGUN / 2);
        }
        begun.begun.push(Begun { time: clock.now(), run, shows: target });
        let bytes = begun.sign(&registry.key)?;
        if !registry.store.replace_signed(&keys::marker(self.view.as_str()), version.as_ref(), &bytes).await? {
            return Ok(false);
        }
        let bases: Vec<Shows> = shown.shows.iter().chain(others.iter().map(|b| &b.shows)).copied().collect();
        let remade = anew || crowded || shown.shows.is_none() || bases.iter().any(|b| b.settings != settings);
        let changed = if remade { None } else { self.changed(registry, &bases).await? };
        let written = match changed {
            changed if self.view == View::Site => self.write_site(registry, changed, &bases).await?,
            Some(changed) => self.write_changed(registry, changed).await?,
            None => {
                self.report.whole = true;
                self.write_all(registry, fixed).await?
            }
        };
        if !written {
            return Ok(false);
        }
        if self.view == View::Ggen {
            let Some(digest) = self.write_catalogue(registry, &shown).await? else { return Ok(false) };
            self.carries = Some(digest);
        }
        registry.store.flush().await?;
        self.finish(registry, (&shown, &others, target), run, clock).await
    }

    /// The packages that are not as in every one of these states; `None` where one of those is gone.
    async fn changed(&self, registry: &Registry, bases: &[Shows]) -> Result<Option<Vec<Changed>>> {
        let mut nodes = Nodes::new();
        let mut all: BTreeMap<Sha256, Changed> = BTreeMap::new();
        let mut done = HashSet::new();
        for (number, base) in bases.iter().enumerate().filter(|(_, b)| done.insert(b.snapshot.sha256)) {
            let Some(old) = registry.snapshot_of(&base.snapshot).await? else { return Ok(None) };
            let old = old.top().map_err(|e| e.at(registry.store.place(&keys::blob(&base.snapshot.sha256))))?;
            let Some(differences) = registry.difference(&old, &self.head.tree.top, &mut nodes).await? else {
                return Ok(None);
            };
            for index::Difference { old, new } in differences {
                let Some(label) = new.as_ref().or(old.as_ref()).map(|p| Arc::clone(&p.label)) else { continue };
                // A package never goes without tombstones; should one, its files are emptied.
                let package = new.unwrap_or_else(|| Arc::new(PackageLines::new(label)));
                let package_key = package.key;
                let new = || Changed { olds: Some(Vec::new()), ..Changed::wholly(package) };
                let entry = all.entry(package_key).or_insert_with(new);
                entry.olds.get_or_insert_default().push(old);
                entry.of.push(number);
            }
        }
        Ok(Some(all.into_values().collect()))
    }

    async fn write_changed(&mut self, registry: &Registry, changed: Vec<Changed>) -> Result<bool> {
        // What the view never showed is not looked for first.
        let (new, known): (Vec<_>, Vec<_>) = changed.into_iter().partition(Changed::is_new);
        for (changed, fresh) in [(known, false), (new, true)] {
            for changed in chunks(changed) {
                let files = self.render(registry, changed).await?;
                if !self.write(registry, files, fresh).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes every file, a stretch of the index at a time.
    async fn write_all(&mut self, registry: &Registry, fixed: Vec<File>) -> Result<bool> {
        if !self.write(registry, fixed, self.first).await? {
            return Ok(false);
        }
        for entries in self.head.tree.top.entries().chunks(STRETCH) {
            let packages = registry.below(entries.to_vec()).await?;
            for changed in chunks(packages.into_iter().map(Changed::wholly).collect()) {
                let files = self.render(registry, changed).await?;
                if !self.write(registry, files, self.first).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The files of these packages.
    async fn render(&mut self, registry: &Registry, changed: Vec<Changed>) -> Result<Vec<File>> {
        if self.view == View::Ggen {
            return self.render_packs(registry, &changed).await;
        }
        let (view, settings) = (self.view, self.settings.clone());
        let render = move || changed.par_iter().map(|c| view::package(view, &settings, &c.package)).collect();
        let rendered: Vec<Rendered> = cpu::run(render).await;
        let mut files = Vec::with_capacity(rendered.len());
        for Rendered { files: more, notes } in rendered {
            files.extend(more);
            self.report.notes.extend(notes);
        }
        Ok(files)
    }

    /// Writes files. False when the registry went on, or somebody else wrote one of them.
    async fn write(&mut self, registry: &Registry, files: Vec<File>, fresh: bool) -> Result<bool> {
        let total = files.len() as u64;
        let mut finished = 0;
        let next = self.head.slot.next_generation()?;
        let most = if registry.store.is_local() { BATCH_HERE } else { BATCH };
        let mut rest = files;
        while !rest.is_empty() {
            let mut batch = std::mem::take(&mut rest);
            rest = batch.split_off(batch.len().min(most));
            finished += batch.len() as u64;
            if !self.write_batch(registry, batch, fresh, next).await? {
                return Ok(false);
            }
            self.options.report(Progress::View { view: self.view, finished, total });
        }
        Ok(true)
    }

    async fn write_batch(&mut self, registry: &Registry, batch: Vec<File>, fresh: bool, next: u64) -> Result<bool> {
        let store = &registry.store;
        if store.is_local() {
            // Nobody else writes here as long as the folder is locked.
            if registry.read_slot(next).await?.is_some() {
                return Ok(false);
            }
            let written = store.write_folder(batch, fresh).await?;
            self.count(written);
            return Ok(true);
        }
        let keys: Vec<_> = batch.iter().map(|f| f.key.clone()).collect();
        for look in 0..LOOKS {
            let there =
                if fresh && look == 0 { batch.iter().map(|_| None).collect() } else { store.look_at(&keys).await? };
            // In this order. A newer state that was written before the look is in the log by now; what is written after the
            // look makes the condition fail.
            if registry.read_slot(next).await?.is_some() {
                return Ok(false);
            }
            let written = store.write_files(&batch, &there, self.view).await?;
            self.count(written);
            if !written.lost {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn count(&mut self, written: Written) {
        self.report.files += written.files;
        self.report.bytes += written.bytes;
    }

    /// Says that the view shows this attempt's state. False when another run has said so of another state meanwhile: then what
    /// this one wrote has to be looked at again.
    async fn finish(
        &self,
        registry: &Registry,
        (before, looked_after, target): (&Shown, &[Begun], Shows),
        run: [u8; 8],
        clock: &Watch,
    ) -> Result<bool> {
        for attempt in 0..ATTEMPTS {
            let Standing { mut shown, version } = registry.marker(self.view).await?;
            let agrees = |s: &Shows| s.snapshot == target.snapshot && s.settings == target.settings;
            if shown.shows == before.shows {
                shown.shows = Some(target);
                shown.carries = self.carries;
            } else if !shown.shows.as_ref().is_some_and(agrees) {
                return Ok(false);
            }
            // Of a run that may still be at work, the next one looks after what it wrote once more.
            let is_over = |b: &Begun| clock.now().since(b.time) > LINGERS;
            shown.begun.retain(|b| b.run != run && !(is_over(b) && (looked_after.contains(b) || agrees(&b.shows))));
            let bytes = shown.sign(&registry.key)?;
            if registry.store.replace_signed(&keys::marker(self.view.as_str()), version.as_ref(), &bytes).await? {
                return Ok(true);
            }
            pause(attempt.min(6), self.options).await;
        }
        Ok(false)
    }
}
