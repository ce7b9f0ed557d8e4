//! `build`: publish what the sources hold.

use crate::{
    args::Build,
    failure::{Code, Failure, Message},
    json::{self, Changed},
    output::{Ui, bytes, count},
    progress::Bar,
    settings::{Settings, Writing, lies_in},
    stats, views,
};
use ggen_marketplace::Report;
use serde::Serialize;
use std::{path::PathBuf, time::Instant};

#[derive(Serialize)]
struct Document {
    generation: u64,
    committed: bool,
    dry_run: bool,
    added: u64,
    unchanged: u64,
    yanked: u64,
    unyanked: u64,
    removed: u64,
    deletion_skipped: bool,
    refused: Vec<Refused>,
    changes: Vec<Changed>,
    views: Vec<views::Shown>,
    scan: Scan,
    objects: u64,
    bytes: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct Refused {
    path: String,
    line: Option<u64>,
    #[serde(flatten)]
    error: Message,
}

#[derive(Serialize)]
struct Scan {
    archives: u64,
    folders: u64,
    lines: u64,
    known: u64,
    refused: u64,
}

pub(crate) async fn run(args: &Build, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let began = Instant::now();
    let mut writing = settings.writer(&args.writer)?;
    let sources = settings.sources(&args.sources)?;
    require_private_key(&writing, &sources)?;
    let bar = Bar::spinner(ui, "searching for packages");
    let cache = writing.scan_cache(&sources);
    if let Some(file) = &args.stats {
        writing.options.downloads = stats::read(file)?.into();
    }
    let options = &mut writing.options;
    (options.dry_run, options.delete, options.rescan) = (args.dry_run, args.delete, args.rescan);
    options.cache = Some(cache);
    options.progress = Some(bar.follow());
    let report = writing.registry.build(&sources, &writing.options).await;
    bar.clear();
    tell(ui, report?, args.dry_run, began)
}

/// A secret key that lies among what is searched for packages could be packed into one.
pub(crate) fn require_private_key(writing: &Writing, sources: &[PathBuf]) -> Result<(), Failure> {
    if let Some(key) = &writing.key_file
        && let Some(source) = sources.iter().find(|s| lies_in(key, s))
    {
        let message = format!("the key file {} lies in the source {}", key.display(), source.display());
        return Err(Failure::usage(message).hint("it could be packed and published: keep it elsewhere"));
    }
    Ok(())
}

/// Tells what was published and what was not.
pub(crate) fn tell(ui: &Ui, mut report: Report, dry_run: bool, began: Instant) -> Result<Code, Failure> {
    for refusal in &report.refused {
        let mut message = Message::from(&refusal.error);
        message.at(&refusal.place.to_string());
        message.print(ui, "refused:");
    }
    if report.deletion_skipped {
        ui.warn("nothing was taken out, because something was refused: what a refused file holds is not known");
    }
    views::tell(ui, &report.views);
    let code = if report.refused.is_empty() { Code::Done } else { Code::Refused };
    let seconds = began.elapsed().as_secs_f64();
    let summary = summary(&report, dry_run, seconds);
    let view_error = report.view_error.take();
    if ui.json {
        ui.document(&document(report, dry_run, seconds))?;
    } else if dry_run {
        ui.table(&["CHANGE", "PACKAGE", "VERSION"], &json::change_rows(&report.changes))?;
    }
    ui.note(&summary);
    view_error.map_or(Ok(code), |e| Err(e.into()))
}

/// `12 releases added, 3 unchanged, 1 refused; generation 5; 14 objects, 1.2 MB written in 0.4 s`.
fn summary(report: &Report, dry_run: bool, seconds: f64) -> String {
    let mut parts = vec![format!("{} {}", count(report.added, "release"), if dry_run { "to add" } else { "added" })];
    let rest = [
        (report.unchanged, "unchanged"),
        (report.yanked, "yanked"),
        (report.unyanked, "unyanked"),
        (report.removed, "removed"),
        (report.refused.len() as u64, "refused"),
    ];
    parts.extend(rest.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    let releases = parts.join(", ");
    let generation = report.generation;
    if dry_run {
        return format!("{releases}; generation {generation} stays as it is: nothing was written");
    }
    let state = match (report.committed, report.changes.0.is_empty()) {
        (true, false) => format!("generation {generation}"),
        (true, true) => format!("generation {generation} renews the registry's validity"),
        (false, _) => format!("generation {generation} still holds"),
    };
    let written = if report.puts == 0 {
        "nothing written".to_owned()
    } else {
        format!("{}, {} written", count(report.puts, "object"), bytes(report.bytes))
    };
    let files: u64 = report.views.iter().map(|v| v.files).sum();
    let written = if files > 0 { format!("{written}, {} of views", count(files, "file")) } else { written };
    format!("{releases}; {state}; {written} in {seconds:.1} s")
}

fn document(report: Report, dry_run: bool, seconds: f64) -> Document {
    let refused = report.refused.iter().map(|r| Refused {
        path: r.place.path.display().to_string(),
        line: r.place.line,
        error: Message::from(&r.error),
    });
    let scan = report.scan;
    Document {
        generation: report.generation,
        committed: report.committed,
        dry_run,
        added: report.added,
        unchanged: report.unchanged,
        yanked: report.yanked,
        unyanked: report.unyanked,
        removed: report.removed,
        deletion_skipped: report.deletion_skipped,
        refused: refused.collect(),
        changes: json::changed(&report.changes),
        views: views::document(report.views),
        scan: Scan {
            archives: scan.archives,
            folders: scan.folders,
            lines: scan.lines,
            known: scan.known,
            refused: scan.refused,
        },
        objects: report.puts,
        bytes: report.bytes,
        seconds,
    }
}
