//! `gc`: what nothing needs any more is taken away, slowly.

use crate::{
    args::Gc,
    config,
    failure::{Code, Failure},
    json::Amount,
    output::{bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{GcOptions, GcReport, package::Timestamp};
use serde::Serialize;
use std::time::Duration;

/// Longer is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

#[derive(Serialize)]
struct Document<'a> {
    generation: u64,
    keeps: u64,
    pins: &'a [u64],
    dry_run: bool,
    live: Amount,
    young: Amount,
    marked: Amount,
    ready: Option<Timestamp>,
    collected: Amount,
    spared: u64,
    restored: u64,
    trash: Amount,
    purged: Amount,
    leftovers: Amount,
    unknown: u64,
}

pub(crate) async fn run(args: &Gc, settings: &Settings) -> Result<Code, Failure> {
    let mut options = GcOptions::now();
    options.grace = time("--grace", &args.grace)?;
    if options.grace < GcOptions::MIN_GRACE {
        let why = "a writer may take 12 hours from its first object to its commit; the grace period is four times that, \
                   which leaves room for the caches of a CDN and for clocks that differ";
        return Err(Failure::usage(format!("--grace {} is too short: at least 48h", args.grace)).hint(why));
    }
    options.purge_after = time("--purge-after", &args.purge_after)?;
    (options.keep, options.dry_run) = (args.keep, args.dry_run);
    options.pins.clone_from(&args.pins);
    let writing = settings.writer(&args.writer)?;
    let bar = Bar::spinner(&settings.ui, "reading what is kept");
    let report = writing.registry.collect(&options).await;
    bar.clear();
    let report = report?;
    tell(settings, &report, args.dry_run);
    if settings.ui.json {
        settings.ui.document(&document(&report, args.dry_run))?;
    }
    Ok(Code::Done)
}

fn time(option: &str, text: &str) -> Result<Duration, Failure> {
    config::duration_up_to(text, LONGEST).map_err(|e| Failure::usage(format!("{option}: {e}")))
}

fn tell(settings: &Settings, report: &GcReport, dry_run: bool) {
    let ui = &settings.ui;
    let amount = |a: ggen_marketplace::Amount| format!("{}, {}", count(a.objects, "object"), bytes(a.bytes));
    let (would, pins) = (if dry_run { "would be " } else { "" }, report.pins.iter().map(|p| format!("{p}, ")));
    let kept = format!("{}{} to {}", pins.collect::<String>(), report.keeps, report.generation);
    ui.note(&format!("kept: {} (generations {kept})", amount(report.live)));
    if report.young.objects > 0 {
        ui.note(&format!("too young to judge: {}", amount(report.young)));
    }
    if report.marked.objects > 0 {
        let ready = report.ready.map(|t| format!("; the first can go at {t}")).unwrap_or_default();
        ui.note(&format!("{would}marked: {}{ready}", amount(report.marked)));
    }
    ui.note(&format!("{would}moved to the trash: {}", amount(report.collected)));
    if report.spared > 0 {
        ui.note(&format!("left alone, since they were written again: {}", count(report.spared, "object")));
    }
    if report.restored > 0 {
        ui.note(&format!("{would}brought back from the trash: {}", count(report.restored, "object")));
    }
    if report.purged.objects > 0 {
        ui.note(&format!("{would}deleted for good: {}", amount(report.purged)));
    }
    if report.trash.objects > 0 {
        ui.note(&format!("in the trash: {}", amount(report.trash)));
    }
    if report.leftovers.objects > 0 {
        let files = format!("{}, {}", count(report.leftovers.objects, "file"), bytes(report.leftovers.bytes));
        ui.note(&format!("{would}removed, since runs that were killed left them half written: {files}"));
    }
    if report.unknown > 0 {
        ui.note(&format!("left alone, since they are not of a registry: {}", count(report.unknown, "key")));
    }
}

fn document(report: &GcReport, dry_run: bool) -> Document<'_> {
    let amount = |a: ggen_marketplace::Amount| Amount { objects: a.objects, bytes: a.bytes };
    Document {
        generation: report.generation,
        keeps: report.keeps,
        pins: &report.pins,
        dry_run,
        live: amount(report.live),
        young: amount(report.young),
        marked: amount(report.marked),
        ready: report.ready,
        collected: amount(report.collected),
        spared: report.spared,
        restored: report.restored,
        trash: amount(report.trash),
        purged: amount(report.purged),
        leftovers: amount(report.leftovers),
        unknown: report.unknown,
    }
}
