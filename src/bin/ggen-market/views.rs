//! `views`: the files for other readers, brought up to date without a build.

use crate::{
    args::Views,
    failure::{Code, Failure},
    output::{Ui, bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::ViewReport;
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    views: Vec<Shown>,
}

/// A view, as JSON documents tell of it.
#[derive(Serialize)]
pub(crate) struct Shown {
    view: &'static str,
    generation: u64,
    files: u64,
    bytes: u64,
    whole: bool,
    notes: Vec<Noted>,
}

#[derive(Serialize)]
struct Noted {
    what: String,
    why: String,
}

pub(crate) async fn run(args: &Views, settings: &Settings) -> Result<Code, Failure> {
    let mut writing = settings.writer(&args.writer)?;
    if writing.options.views.is_none() {
        return Err(Failure::usage("no views are set").hint(
            "give --views, set GGEN_MARKET_VIEWS, or write `views = [\"plain\", \"cargo\"]` into the configuration",
        ));
    }
    let bar = Bar::spinner(&settings.ui, "writing views");
    writing.options.progress = Some(bar.follow());
    let reports = writing.registry.update_views(args.rebuild, &writing.options).await;
    bar.clear();
    let reports = reports?;
    tell(&settings.ui, &reports);
    for report in &reports {
        let (name, generation) = (report.view, report.generation);
        let written = match report.files {
            0 => "nothing written".to_owned(),
            files => format!("{}, {} written", count(files, "file"), bytes(report.bytes)),
        };
        settings.ui.note(&format!("{name}: shows generation {generation}; {written}"));
    }
    if settings.ui.json {
        settings.ui.document(&Document { views: document(reports) })?;
    }
    Ok(Code::Done)
}

/// How many notes of a view are told one by one.
const NOTES: usize = 20;

/// Tells what views do not show as one might expect.
pub(crate) fn tell(ui: &Ui, reports: &[ViewReport]) {
    for report in reports {
        for note in report.notes.iter().take(NOTES) {
            ui.warn(&format!("{}: {}: {}", note.view, note.what, note.why));
        }
        let more = report.notes.len().saturating_sub(NOTES);
        if more > 0 {
            ui.warn(&format!("{}: {more} more of this kind; --json has all", report.view));
        }
    }
}

pub(crate) fn document(reports: Vec<ViewReport>) -> Vec<Shown> {
    let shown = reports.into_iter().map(|r| Shown {
        view: r.view.as_str(),
        generation: r.generation,
        files: r.files,
        bytes: r.bytes,
        whole: r.whole,
        notes: r.notes.into_iter().map(|n| Noted { what: n.what, why: n.why }).collect(),
    });
    shown.collect()
}
