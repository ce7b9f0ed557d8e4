//! `mirror`: a copy of a registry, or of a part of it.

use crate::{
    args::Mirror,
    failure::{Code, Failure},
    output::{bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{MirrorOptions, MirrorReport, Store};
use serde::Serialize;
use std::{path::Path, time::Instant};

#[derive(Serialize)]
struct Document {
    generation: u64,
    previous: Option<u64>,
    dry_run: bool,
    objects: u64,
    bytes: u64,
    present: u64,
    packages: u64,
    slots: u64,
    gone: u64,
    seconds: f64,
}

pub(crate) async fn run(args: &Mirror, settings: &Settings) -> Result<Code, Failure> {
    let (ui, began) = (&settings.ui, Instant::now());
    let client = settings.mirrored(args)?;
    let to = destination(args, settings)?;
    let bar = Bar::spinner(ui, "comparing the two places");
    let mut options = MirrorOptions::default();
    options.only.clone_from(&args.only);
    (options.history, options.dry_run) = (args.history, args.dry_run);
    options.progress = Some(bar.follow_mirror());
    let report = client.mirror(&to, &options).await;
    bar.clear();
    let report = report?;
    let seconds = began.elapsed().as_secs_f64();
    if report.gone > 0 {
        ui.warn(&format!("{} not at the source any more", are(report.gone, "older generation")));
    }
    ui.note(&summary(&report, args.dry_run, seconds));
    if ui.json {
        let MirrorReport { generation, previous, objects, bytes, present, packages, slots, gone, .. } = report;
        let dry_run = args.dry_run;
        let document =
            Document { generation, previous, dry_run, objects, bytes, present, packages, slots, gone, seconds };
        ui.document(&document)?;
    }
    Ok(Code::Done)
}

/// A dry run makes no folder: what is not there is empty.
fn destination(args: &Mirror, settings: &Settings) -> Result<Store, Failure> {
    let folder = args.to.strip_prefix("file://").unwrap_or(&args.to);
    if args.dry_run && !folder.contains("://") && !Path::new(folder).exists() {
        return Ok(Store::open("memory:")?);
    }
    Ok(Store::create_with(&args.to, &settings.store_options(false))?)
}

fn are(n: u64, what: &str) -> String {
    format!("{} {}", count(n, what), if n == 1 { "is" } else { "are" })
}

fn summary(report: &MirrorReport, dry_run: bool, seconds: f64) -> String {
    let generation = report.generation;
    if let Some(previous) = report.previous.filter(|p| *p > generation) {
        return format!("nothing copied: the copy is at generation {previous}, the source only at {generation}");
    }
    if report.objects == 0 && report.previous == Some(generation) {
        return format!("nothing to copy: generation {generation} is there");
    }
    let what = format!("{}, {}", count(report.objects, "object"), bytes(report.bytes));
    if dry_run {
        return format!("{what} to copy for generation {generation}: nothing was written");
    }
    // A mirror that takes seconds says nothing about a rate; and a clock may stand still.
    #[expect(clippy::cast_precision_loss, reason = "shown without digits after the point")]
    let rate = report.packages as f64 / seconds.max(0.001);
    let packages = format!("{} in {seconds:.1} s ({rate:.0} packages/s)", count(report.packages, "package"));
    let from = report.previous.map(|p| format!(" (was {p})")).unwrap_or_default();
    format!("generation {generation}{from} is mirrored: {what} copied, {} there already; {packages}", report.present)
}
