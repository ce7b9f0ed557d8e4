//! `fetch`: download a release's archive. Nothing is seen under its name, or on standard output, before it was verified.

use crate::{
    args::Fetch,
    failure::{Code, Failure},
    json::Which,
    output::bytes,
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{
    SnapshotReader,
    package::{Record, Sha256, Version},
};
use serde::Serialize;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    package: Which,
    version: &'a Version,
    path: String,
    size: u64,
    sha256: Sha256,
}

pub(crate) async fn run(args: &Fetch, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && ui.json {
        return Err(Failure::usage("standard output cannot be both the archive and a JSON document")
            .hint("leave out --json, or name a file"));
    }
    let reader = settings.snapshot(&args.state).await?;
    let record = reader.find_release(&args.package).await?;
    if let Some(yanked) = record.yanked.as_ref() {
        let reason = yanked.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        ui.warn(&format!("{} {} is yanked{reason}", Which::record(&record), record.version));
    }
    if to_stdout {
        let folder = tempfile::tempdir().map_err(|e| Failure::io("write to", &std::env::temp_dir(), &e))?;
        let path = folder.path().join("archive");
        download(settings, &reader, &record, &path).await?;
        let mut file = File::open(&path).map_err(|e| Failure::io("read", &path, &e))?;
        ui.write(|out| io::copy(&mut file, out).map(drop))?;
        return Ok(Code::Done);
    }
    let path = target(args.output.as_deref(), &record);
    // Also for a link that leads nowhere: it would be replaced.
    if !args.force && path.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("{} is there already", path.display()))
            .hint("--force writes over it; -o names another file"));
    }
    download(settings, &reader, &record, &path).await?;
    ui.note(&format!("{} ({}) is here and verified", path.display(), bytes(record.archive.size)));
    if ui.json {
        ui.document(&Document {
            package: Which::record(&record),
            version: &record.version,
            path: path.display().to_string(),
            size: record.archive.size,
            sha256: record.archive.sha256,
        })?;
    }
    Ok(Code::Done)
}

/// Name, version and extension are all of a form that is safe in a path.
fn target(output: Option<&Path>, record: &Record) -> PathBuf {
    let name = format!("{}-{}.{}", record.name, record.version, record.archive.format.extension());
    match output {
        None => name.into(),
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(file) => file.to_owned(),
    }
}

async fn download(settings: &Settings, reader: &SnapshotReader, record: &Record, path: &Path) -> Result<(), Failure> {
    let bar = Bar::download(&settings.ui, record.archive.size);
    let result = reader.fetch_to(record, path, |done| bar.set(done)).await;
    bar.clear();
    Ok(result?)
}
