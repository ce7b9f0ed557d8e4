//! `doctor`: what the store, and the CDN in front of it, really do.

use crate::{
    args::Doctor,
    failure::{Code, Failure},
    output::{Ui, clean, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{Diagnosis, DoctorOptions, Finding, Outcome, Store};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    store: String,
    failed: usize,
    warnings: usize,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    check: &'a str,
    tried: &'a str,
    outcome: &'a str,
    detail: &'a str,
    breaks: Option<&'a str>,
    remedy: Option<&'a str>,
}

impl<'a> From<&'a Finding> for Found<'a> {
    fn from(f: &'a Finding) -> Self {
        let (check, tried, outcome) = (f.check, f.tried, f.outcome.as_str());
        Self { check, tried, outcome, detail: &f.detail, breaks: f.breaks, remedy: f.remedy }
    }
}

pub(crate) async fn run(args: &Doctor, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let location = settings.store(args.store.as_ref())?;
    if location.starts_with("http://") || location.starts_with("https://") {
        return Err(Failure::usage("a store that is tried out has to be one that can be written to")
            .hint("name the bucket or folder itself with --store, and where readers get it from with --public-url"));
    }
    let store = Store::open_with(&location, &settings.store_options(args.single_writer))?;
    let mut options = DoctorOptions::default();
    options.quick = args.quick;
    options.keys.extend(settings.pinned_if_any(args.key.as_ref())?);
    options.public_url = args.public_url.clone().filter(|url| !url.is_empty());
    let bar = Bar::spinner(ui, "trying out the store");
    let diagnosis = store.doctor(&options).await;
    bar.clear();
    let diagnosis = diagnosis?;
    if ui.json {
        ui.document(&Document {
            store: store.to_string(),
            failed: diagnosis.count(Outcome::Failed),
            warnings: diagnosis.count(Outcome::Warning),
            findings: diagnosis.findings.iter().map(Found::from).collect(),
        })?;
    } else {
        let row = |f: &Finding| vec![f.check.to_owned(), f.outcome.to_string(), f.detail.clone()];
        let rows: Vec<_> = diagnosis.findings.iter().map(row).collect();
        ui.table(&["CHECK", "RESULT", "DETAIL"], &rows)?;
    }
    explain(ui, &diagnosis);
    Ok(if diagnosis.is_sound() { Code::Done } else { Code::Untrusted })
}

/// Says what each finding that is not as it should be breaks, and what to do about it.
fn explain(ui: &Ui, diagnosis: &Diagnosis) {
    for finding in &diagnosis.findings {
        let text = format!("{}: {}", finding.check, finding.detail);
        match finding.outcome {
            Outcome::Failed => ui.label("problem:", &text),
            Outcome::Warning if ui.quiet() => continue,
            Outcome::Warning => ui.label("warning:", &text),
            _ => continue,
        }
        ui.say(&format!("  tried: {}", clean(finding.tried)));
        for (label, text) in [("breaks:", finding.breaks), ("do:", finding.remedy)] {
            if let Some(text) = text {
                ui.say(&format!("  {} {}", ui.strong(label), clean(text)));
            }
        }
    }
    let of = |outcome| diagnosis.count(outcome) as u64;
    let all = count(diagnosis.findings.len() as u64, "check");
    let (failed, warnings) = (of(Outcome::Failed), count(of(Outcome::Warning), "warning"));
    ui.note(&format!("{all}: {failed} failed, {warnings}, {} skipped", of(Outcome::Skipped)));
}
