//! `list`: the registry's packages.

use crate::{
    args::List,
    failure::{Code, Failure},
    json,
    settings::Settings,
};
use futures::TryStreamExt as _;
use ggen_marketplace::{
    Package,
    package::{Kind, PackageName, Version},
};
use serde::Serialize;

/// One line. Only these few members of each package are kept while the index streams by: it comes in the order of hashes,
/// and people want names in order.
#[derive(Serialize)]
struct Row {
    kind: Kind,
    name: String,
    version: Version,
    summary: String,
    /// No release is left that is not yanked.
    yanked: bool,
    versions: u64,
    #[serde(skip)]
    order: Box<str>,
}

pub(crate) async fn run(args: &List, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let reader = settings.snapshot(&args.state).await?;
    let prefix = prefix(args.prefix.as_deref().unwrap_or_default())?;
    let mut rows = Vec::new();
    let mut packages = Box::pin(reader.list());
    while let Some(package) = packages.try_next().await? {
        if args.kind.is_none_or(|k| k == package.id.kind()) && package.id.name().starts_with(&prefix) {
            rows.extend(row(&package));
        }
    }
    rows.sort_unstable_by(|a, b| (a.kind, &a.order).cmp(&(b.kind, &b.order)));
    if ui.json {
        ui.write(|out| {
            rows.iter().try_for_each(|row| {
                serde_json::to_writer(&mut *out, row)?;
                out.write_all(b"\n")
            })
        })?;
        return Ok(Code::Done);
    }
    let cells = |r: &Row| {
        let yanked = if r.yanked { "(yanked) " } else { "" };
        vec![format!("{}:{}", r.kind, r.name), r.version.to_string(), format!("{yanked}{}", r.summary)]
    };
    ui.table(&["NAME", "VERSION", "SUMMARY"], &rows.iter().map(cells).collect::<Vec<_>>())?;
    Ok(Code::Done)
}

/// The beginning of a name, brought into the form in which names are compared.
fn prefix(text: &str) -> Result<String, Failure> {
    // A letter in front and behind, so that what is legal inside a name is legal here, at either end.
    match PackageName::new(&format!("a{text}a")) {
        Ok(_) => Ok(text.to_ascii_lowercase().replace('_', "-")),
        Err(_) => Err(Failure::usage(format!("no package's name begins with {text:?}"))
            .hint("names hold ASCII letters, digits, '-', '_' and '.'; --kind asks for a kind")),
    }
}

fn row(package: &Package) -> Option<Row> {
    let release = json::to_show(package).filter(|r| r.removed.is_none())?;
    Some(Row {
        kind: package.id.kind(),
        name: release.name.to_string(),
        version: release.version.clone(),
        summary: release.summary.clone(),
        yanked: release.yanked.is_some(),
        versions: package.releases.iter().filter(|r| r.removed.is_none()).count() as u64,
        order: package.id.name().into(),
    })
}
