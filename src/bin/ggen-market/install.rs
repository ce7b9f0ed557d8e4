//! `install`, `update`, `remove` and `installed`: the lock file and the folder that holds what it says.

use crate::{
    args::{Install, Installed, Reader, Remove, Update},
    bundle,
    failure::{Code, Failure},
    files,
    lockfile::{self, LockFile, Rules, Turn},
    output::{bytes, count},
    settings::Settings,
};
use ggen_marketplace::{
    Client, ErrorKind, InstallPlan, InstallReport, Installed as Marker, Resolver,
    package::{Kind, PackageId},
    resolve::{Lock, Prefer, Resolution, Want},
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

type Wants = BTreeMap<PackageId, semver::VersionReq>;

/// What happened to one package of the lock file.
#[derive(Serialize)]
struct Change {
    package: String,
    before: Vec<String>,
    after: Vec<String>,
}

#[derive(Serialize)]
struct Document {
    dry_run: bool,
    /// What changed in the lock file.
    changes: Vec<Change>,
    installed: Vec<Package>,
    removed: Vec<Package>,
    /// Packages that were there already.
    kept: usize,
}

#[derive(Serialize)]
struct Package {
    kind: Kind,
    name: String,
    version: String,
    /// Below the folder that it is installed in.
    path: String,
}

impl From<&Marker> for Package {
    fn from(m: &Marker) -> Self {
        let path = m.path().map(|p| p.display().to_string()).unwrap_or_default();
        Self { kind: m.kind, name: m.name.to_string(), version: m.version.to_string(), path }
    }
}

/// What becomes of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It is told what would be done.
    Plan,
    /// It is installed, and the lock file stays as it is: it says so already.
    Install,
    /// It is installed and locked.
    Lock,
}

impl Then {
    fn lock_or_plan(dry_run: bool) -> Self {
        if dry_run { Self::Plan } else { Self::Lock }
    }
}

pub(crate) async fn run(args: &Install, settings: &Settings) -> Result<Code, Failure> {
    let mut reader = args.reader.clone();
    reader.offline |= args.frozen;
    let client = settings.client(&reader)?;
    if args.locked || args.frozen {
        return as_locked(args, &reader, &client, settings).await;
    }
    let then = Then::lock_or_plan(args.dry_run);
    let mut turn = Turn::take(&args.lock.lock_file, &reader, settings).await;
    loop {
        turn.begin()?;
        let file = LockFile::load(&args.lock.lock_file)?;
        file.require_origin(&client)?;
        let rules = Rules::of(&file.lock, &args.choice);
        let resolver = lockfile::resolver(&client, &args.choice, &rules, &reader, settings)?;
        let lock = resolve(&file.lock, &file.lock, &args.wants, resolver, &client).await?;
        let lock = noted(&rules, lock, settings);
        if let Some(done) = finish(&file, &lock, &args.into.into, then, &client, &reader, settings).await? {
            return Ok(done);
        }
    }
}

/// Installs what is locked, and fails where that is not what it would have to be.
async fn as_locked(args: &Install, reader: &Reader, client: &Client, settings: &Settings) -> Result<Code, Failure> {
    let _turn = Turn::share(&args.lock.lock_file, reader, settings).await;
    let file = LockFile::load(&args.lock.lock_file)?;
    file.require_origin(client)?;
    require_wants(&file, &args.wants)?;
    file.lock.check(file.lock.wants())?;
    let rules = Rules::of(&file.lock, &args.choice);
    if !rules.hold_in(&file.lock) {
        return Err(Failure::drift(vec!["--optional or --override say other than the lock file".to_owned()]));
    }
    if !args.frozen {
        let resolver = lockfile::resolver(client, &args.choice, &rules, reader, settings)?;
        require_locked(&file.lock, resolver, client, settings).await?;
    }
    let then = if args.dry_run { Then::Plan } else { Then::Install };
    let done = finish(&file, &file.lock, &args.into.into, then, client, reader, settings).await?;
    Ok(done.unwrap_or(Code::Done))
}

pub(crate) async fn update(args: &Update, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let then = Then::lock_or_plan(args.dry_run);
    let mut turn = Turn::take(&args.lock.lock_file, &args.reader, settings).await;
    loop {
        turn.begin()?;
        let file = LockFile::require(&args.lock.lock_file)?;
        file.require_origin(&client)?;
        let ids = args.packages.iter().map(|p| file.find(p)).collect::<Result<Vec<_>, _>>()?;
        let kept = if ids.is_empty() {
            let all: Vec<_> = file.lock.packages().iter().map(|p| p.id.clone()).collect();
            file.lock.unlocked(&all)
        } else {
            file.lock.unlocked(&ids)
        };
        let rules = Rules::of(&file.lock, &args.choice);
        let resolver = lockfile::resolver(&client, &args.choice, &rules, &args.reader, settings)?;
        let lock = noted(&rules, resolve(&file.lock, &kept, &[], resolver, &client).await?, settings);
        if let Some(done) = finish(&file, &lock, &args.into.into, then, &client, &args.reader, settings).await? {
            return Ok(done);
        }
    }
}

pub(crate) async fn remove(args: &Remove, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let mut turn = Turn::take(&args.lock.lock_file, &args.reader, settings).await;
    loop {
        turn.begin()?;
        let file = LockFile::require(&args.lock.lock_file)?;
        let mut lock = file.lock.clone();
        for spec in &args.packages {
            let id = file.find(spec)?;
            lock = lock.without(&id).ok_or_else(|| {
                Failure::usage(format!("{id} was not asked for: something else needs it"))
                    .hint(format!("`ggen-market why {id}` shows what"))
            })?;
        }
        if let Some(done) = finish(&file, &lock, &args.into.into, Then::Lock, &client, &args.reader, settings).await? {
            return Ok(done);
        }
    }
}

fn noted(rules: &Rules, lock: Lock, settings: &Settings) -> Lock {
    let (lock, idle) = rules.note_in(lock);
    for name in idle {
        settings.ui.warn(&format!("nothing needs {name}: the override changes nothing, and is not remembered"));
    }
    lock
}

/// Resolves what was wanted before and what is wanted now. What `kept` locks stays where it fits.
async fn resolve(
    before: &Lock,
    kept: &Lock,
    given: &[Want],
    resolver: Resolver,
    client: &Client,
) -> Result<Lock, Failure> {
    let mut given = given.to_vec();
    for want in &mut given {
        want.kind = want.kind.or_else(|| lockfile::known_kind(before, want));
    }
    let is_given = |old: &Want| {
        given.iter().any(|w| w.kind == old.kind && w.name.normalized() == old.name.normalized() && !is_any(w))
    };
    let mut wants = lockfile::wants(before);
    wants.retain(|old| !is_given(old));
    wants.extend(given.iter().filter(|w| !(is_any(w) && wanted_before(before, w))).cloned().collect::<Vec<_>>());
    if wants.is_empty() {
        return Err(
            Failure::usage("nothing is wanted: name a package").hint("for instance `ggen-market install hello@^1`")
        );
    }
    let found = resolver.wants(wants.clone()).locked(kept).prefer(Prefer::Locked).run().await?;
    Ok(before.with(client.origin(), requirements(&wants, &found), &found))
}

fn is_any(want: &Want) -> bool {
    want.req == semver::VersionReq::STAR
}

fn wanted_before(lock: &Lock, want: &Want) -> bool {
    lock.wants().keys().any(|id| Some(id.kind()) == want.kind && id.name() == want.name.normalized())
}

/// What to write down as wanted. Whoever names no versions gets, from now on, those that can take the place of the chosen.
fn requirements(wants: &[Want], found: &Resolution) -> Wants {
    let one = |(want, place): (&Want, &usize)| {
        let chosen = &found.packages[*place];
        let caret = format!("^{}", chosen.version.semver());
        let req = if is_any(want) { caret.parse().unwrap_or(semver::VersionReq::STAR) } else { want.req.clone() };
        (chosen.id.clone(), req)
    };
    wants.iter().zip(&found.wanted).map(one).collect()
}

/// What is named is what is locked.
fn require_wants(file: &LockFile, given: &[Want]) -> Result<(), Failure> {
    let differs = |want: &&Want| {
        let mut locked = file.lock.wants().iter();
        !locked.any(|(id, req)| {
            want.kind.is_none_or(|k| k == id.kind())
                && id.name() == want.name.normalized()
                && (is_any(want) || want.req == *req)
        })
    };
    let details: Vec<_> = given.iter().filter(differs).map(|w| format!("{w} is not what is locked")).collect();
    if details.is_empty() { Ok(()) } else { Err(Failure::drift(details)) }
}

/// Resolving again would give what is locked. A registry that has expired cannot be asked: then the digests alone have to do.
async fn require_locked(lock: &Lock, resolver: Resolver, client: &Client, settings: &Settings) -> Result<(), Failure> {
    let wants = lockfile::wants(lock);
    let found = match resolver.wants(wants).locked(lock).prefer(Prefer::Locked).only_locked().run().await {
        Ok(found) => found,
        Err(e) if e.kind() == ErrorKind::Expired => {
            settings.ui.warn(&format!("{e}; going by the lock file alone"));
            return Ok(());
        }
        Err(e) => return Err(e.into()),
    };
    let again = lock.with(client.origin(), lock.wants().clone(), &found);
    if again.packages() == lock.packages() {
        return Ok(());
    }
    let mut details: Vec<_> = lockfile::changes(lock, &again).iter().map(line).collect();
    if details.is_empty() {
        details.push("what some package needs is not what the lock file says".to_owned());
    }
    Err(Failure::drift(details))
}

fn line((id, before, after): &(PackageId, Vec<String>, Vec<String>)) -> String {
    match (&before[..], &after[..]) {
        ([], after) => format!("{id} {} added", after.join(", ")),
        (before, []) => format!("{id} {} removed", before.join(", ")),
        (before, after) => format!("{id} {} -> {}", before.join(", "), after.join(", ")),
    }
}

/// Installs, and writes the lock file when all is there. Nothing is told and given where that has changed meanwhile.
async fn finish(
    file: &LockFile,
    lock: &Lock,
    into: &Path,
    then: Then,
    client: &Client,
    reader: &Reader,
    settings: &Settings,
) -> Result<Option<Code>, Failure> {
    let ui = &settings.ui;
    files::require_no_link(into)?;
    for name in file.lock.ggen_packs().iter().filter(|g| lock.packages().iter().any(|p| p.name.as_str() == g.name)) {
        ui.warn(&format!("{} is also locked by ggen itself, from {}", name.name, name.source));
    }
    let (installer, bar) = bundle::installer(client, lock, reader, settings)?;
    let installer = installer.into(into);
    let changes = lockfile::changes(&file.lock, lock);
    let dry_run = then == Then::Plan;
    let (installed, removed, kept) = if dry_run {
        bar.clear();
        planned(installer.plan()?)
    } else {
        let report = installer.run().await;
        bar.clear();
        let report = report?;
        if then == Then::Lock && !file.save(lock)? {
            return Ok(None);
        }
        done(&report)
    };
    let would = if dry_run { "would be " } else { "" };
    let size = lock.packages().iter().map(|p| p.archive.size).sum();
    ui.note(&format!(
        "{} {would}installed, {} {would}removed, {kept} there already, in {} ({} locked)",
        count(installed.len() as u64, "package"),
        removed.len(),
        into.display(),
        bytes(size)
    ));
    if ui.json {
        let change = |(id, before, after): (PackageId, _, _)| Change { package: id.to_string(), before, after };
        let changes = changes.into_iter().map(change).collect();
        ui.document(&Document { dry_run, changes, installed, removed, kept })?;
    } else {
        ui.write(|out| changes.iter().try_for_each(|c| writeln!(out, "{}", line(c))))?;
    }
    Ok(Some(Code::Done))
}

fn planned(plan: InstallPlan) -> (Vec<Package>, Vec<Package>, usize) {
    let one = |p: &ggen_marketplace::resolve::Locked| Package {
        kind: p.id.kind(),
        name: p.name.to_string(),
        version: p.version.to_string(),
        path: p.install_path().display().to_string(),
    };
    (plan.install.iter().map(one).collect(), plan.remove.iter().map(Package::from).collect(), plan.keep)
}

fn done(report: &InstallReport) -> (Vec<Package>, Vec<Package>, usize) {
    let all = |markers: &[Marker]| markers.iter().map(Package::from).collect();
    (all(&report.installed), all(&report.removed), report.kept)
}

#[derive(Serialize)]
struct Listed {
    folder: String,
    packages: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    package: Package,
    registry: String,
    files: u64,
    bytes: u64,
    /// False where an installation was cut short: `install` does it again.
    whole: bool,
}

pub(crate) fn list(args: &Installed, settings: &Settings) -> Result<Code, Failure> {
    let folder = &args.into.into;
    files::require_no_link(folder)?;
    let markers = ggen_marketplace::installed(folder)?;
    let row = |m: &Marker| Row {
        package: Package::from(m),
        registry: m.registry.clone(),
        files: m.files,
        bytes: m.bytes,
        whole: !m.unfinished
            && m.path().is_ok_and(|p| folder.join(p).symlink_metadata().is_ok_and(|there| there.is_dir())),
    };
    let rows: Vec<_> = markers.iter().map(row).collect();
    if settings.ui.json {
        settings.ui.document(&Listed { folder: folder.display().to_string(), packages: rows })?;
        return Ok(Code::Done);
    }
    let cells = |r: &Row| {
        let name = format!("{}:{}", r.package.kind, r.package.name);
        let path = folder.join(&r.package.path).display().to_string();
        vec![name, r.package.version.clone(), if r.whole { path } else { "not whole: install again".into() }]
    };
    settings.ui.table(&["PACKAGE", "VERSION", "PATH"], &rows.iter().map(cells).collect::<Vec<_>>())?;
    Ok(Code::Done)
}
