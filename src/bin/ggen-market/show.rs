//! `show`: everything about one release, its readme and manifest included.

use crate::{
    args::Lookup,
    failure::{Code, Failure},
    info::{Page, dependency},
    json::{self, Which},
    output::{bytes, clean_lines},
    settings::Settings,
};
use ggen_marketplace::{
    ErrorKind,
    package::{DependencyKind, Detail, Record},
};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    origin: &'a str,
    generation: u64,
    record: &'a Record,
    detail: Option<&'a Detail>,
}

pub(crate) async fn run(args: &Lookup, settings: &Settings) -> Result<Code, Failure> {
    let reader = settings.snapshot(&args.state).await?;
    let record = reader.find_release(&args.package).await?;
    let detail = match reader.detail(&record).await {
        // What a newer program wrote for people is not all that there is to show.
        Err(e) if e.kind() == ErrorKind::Unsupported => {
            settings.ui.warn(&e.chain());
            None
        }
        other => other?,
    };
    if settings.ui.json {
        let (origin, generation) = (reader.snapshot().origin.as_str(), reader.generation());
        settings.ui.document(&Document { origin, generation, record: &record, detail: detail.as_ref() })?;
        return Ok(Code::Done);
    }
    let title = format!("{} {}", Which::record(&record), record.version);
    let title = settings.ui.bold(&title).into_owned();
    let page = page(&record, detail.as_ref());
    settings.ui.write(|out| write!(out, "{title}\n{page}"))?;
    Ok(Code::Done)
}

fn page(record: &Record, detail: Option<&Detail>) -> String {
    let mut page = Page(String::new());
    if !record.summary.is_empty() {
        page.0 += &clean_lines(&record.summary);
    }
    page.0.push('\n');
    page.row("note", &json::note(record));
    page.release(record);
    page.list("to develop", record.dependencies.iter().filter(|d| d.kind == DependencyKind::Dev).map(dependency));
    page.list("features", record.features.iter().map(|(name, on)| format!("{name} = [{}]", on.join(", "))));
    page.row("links", record.links.as_deref().unwrap_or_default());
    page.list("signed by", record.signatures.iter().map(|s| s.key.clone()));
    let Some(detail) = detail else { return page.0 };
    page.list("authors", detail.authors.iter().cloned());
    page.row("homepage", detail.homepage.as_deref().unwrap_or_default());
    page.row("repository", detail.repository.as_deref().unwrap_or_default());
    page.row("documentation", detail.documentation.as_deref().unwrap_or_default());
    page.row("files", &detail.files.map(|n| n.to_string()).unwrap_or_default());
    page.row("unpacked", &detail.unpacked.map(bytes).unwrap_or_default());
    page.list("also", detail.extra.iter().map(|(name, value)| format!("{name}: {value}")));
    if let Some(text) = detail.description.as_ref().filter(|d| d.trim() != record.summary) {
        page.0 += &format!("\n--- description\n{}", clean_lines(text));
    }
    for file in [&detail.readme, &detail.manifest].into_iter().flatten() {
        let cut = if file.truncated { " (cut)" } else { "" };
        page.0 += &format!("\n--- {}{cut}\n{}", crate::output::clean(&file.path), clean_lines(&file.text));
    }
    page.0
}
