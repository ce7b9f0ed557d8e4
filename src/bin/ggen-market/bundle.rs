//! `download`, `export` and `import`: archives for machines without a network.

use crate::{
    args::{Download, Export, Import, Reader},
    failure::{Code, Failure},
    lockfile::{LockFile, Turn},
    output::{bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{Bundle, Client, Installer, resolve::Lock};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// An installer of a lock file, with every registry that is configured and a bar on the way.
pub(crate) fn installer(
    client: &Client,
    lock: &Lock,
    reader: &Reader,
    settings: &Settings,
) -> Result<(Installer, Bar), Failure> {
    let mut installer = client.install(lock);
    for (_, other) in settings.others(reader)? {
        installer = installer.registry(other);
    }
    let bar = Bar::download(&settings.ui, lock.packages().iter().map(|p| p.archive.size).sum());
    let (shown, done) = (bar.clone(), AtomicU64::new(0));
    let installer = installer.progress(move |more| shown.set(done.fetch_add(more, Ordering::Relaxed) + more));
    Ok((installer, bar))
}

#[derive(Serialize)]
struct Downloaded {
    files: Vec<String>,
    bytes: u64,
}

pub(crate) async fn download(args: &Download, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let file = LockFile::require(&args.all_of)?;
    let (installer, bar) = installer(&client, &file.lock, &args.reader, settings)?;
    let paths = installer.download_to(&args.output).await;
    bar.clear();
    let paths = paths?;
    let size = file.lock.packages().iter().map(|p| p.archive.size).sum();
    let ui = &settings.ui;
    if ui.json {
        let files = paths.iter().map(|p| p.display().to_string()).collect();
        ui.document(&Downloaded { files, bytes: size })?;
    } else {
        ui.write(|out| paths.iter().try_for_each(|p| writeln!(out, "{}", p.display())))?;
    }
    let what = count(paths.len() as u64, "archive");
    ui.note(&format!("{what} ({}) in {}, all verified", bytes(size), args.output.display()));
    Ok(Code::Done)
}

#[derive(Serialize)]
struct Bundled {
    file: String,
    generation: u64,
    packages: usize,
    archives: usize,
    bytes: u64,
}

fn bundled(file: &std::path::Path, bundle: &Bundle) -> Bundled {
    let packages = bundle.lock.packages().len();
    let Bundle { generation, archives, bytes, .. } = *bundle;
    Bundled { file: file.display().to_string(), generation, packages, archives, bytes }
}

pub(crate) async fn export(args: &Export, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let file = LockFile::require(&args.lock.lock_file)?;
    let bundle = client.export(&file.lock, &args.file).await?;
    let ui = &settings.ui;
    let what = count(bundle.archives as u64, "archive");
    ui.note(&format!("{what} ({}) and what proves them are in {}", bytes(bundle.bytes), args.file.display()));
    if ui.json {
        ui.document(&bundled(&args.file, &bundle))?;
    }
    Ok(Code::Done)
}

pub(crate) async fn import(args: &Import, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let _turn = Turn::take(&args.lock.lock_file, &args.reader, settings).await;
    let file = LockFile::load(&args.lock.lock_file)?;
    let bundle = client.import(&args.file).await?;
    let ui = &settings.ui;
    let what = count(bundle.archives as u64, "archive");
    ui.note(&format!("{what} ({}) of generation {} are in the cache", bytes(bundle.bytes), bundle.generation));
    if file.lock == Lock::default() && file.save(&bundle.lock)? {
        ui.note(&format!("{} is that of the bundle; `ggen-market install --frozen` installs it", file.path.display()));
    } else if file.differs(&bundle.lock) {
        ui.warn(&format!("{} is another one than in the bundle, and stays as it is", file.path.display()));
    }
    if ui.json {
        ui.document(&bundled(&args.file, &bundle))?;
    }
    Ok(Code::Done)
}
