//! `yank` and `unyank`.

use crate::{
    args::{Unyank, Yank},
    failure::{Code, Failure},
    json::Which,
    settings::{Settings, Writing},
};
use ggen_marketplace::{
    Report,
    package::{PackageId, PackageSpec, Version},
};
use serde::Serialize;

/// A reason stands in the index with the record: it costs every reader of the package.
const MAX_REASON: usize = 1000;

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    package: Which,
    version: Version,
    /// Whether anything is not as it was before.
    changed: bool,
    generation: u64,
}

pub(crate) async fn yank(args: &Yank, settings: &Settings) -> Result<Code, Failure> {
    let reason = args.reason.as_deref().map(str::trim).filter(|r| !r.is_empty());
    if reason.is_some_and(|r| r.contains(char::is_control) || r.len() > MAX_REASON) {
        return Err(Failure::usage("the reason is not one line of plain text")
            .hint(format!("everybody who looks at the package sees it: at most {MAX_REASON} bytes, no line ends")));
    }
    let writing = settings.writer(&args.release.writer)?;
    let (package, version) = release(&args.release.package, &writing).await?;
    let report = writing.registry.yank(&package, &version, reason, &writing.options).await?;
    let changed = report.yanked > 0;
    done(settings, &package, version, report, changed, "yanked")
}

pub(crate) async fn unyank(args: &Unyank, settings: &Settings) -> Result<Code, Failure> {
    let writing = settings.writer(&args.writer)?;
    let (package, version) = release(&args.package, &writing).await?;
    let report = writing.registry.unyank(&package, &version, &writing.options).await?;
    let changed = report.unyanked > 0;
    done(settings, &package, version, report, changed, "unyanked")
}

/// Which release is meant. A bare name is looked up, since it may be that of a pack and of a crate.
async fn release(spec: &PackageSpec, writing: &Writing) -> Result<(PackageId, Version), Failure> {
    let Some(version) = spec.version.clone() else {
        return Err(Failure::usage(format!("{spec} names no version")).hint(format!("write {spec}@VERSION")));
    };
    let package = match spec.kind {
        Some(kind) => PackageId::new(kind, &spec.name).map_err(ggen_marketplace::Error::from)?,
        None => writing.client()?.latest().await?.find(spec).await?.id.clone(),
    };
    Ok((package, version))
}

fn done(
    settings: &Settings,
    package: &PackageId,
    version: Version,
    report: Report,
    changed: bool,
    what: &str,
) -> Result<Code, Failure> {
    let generation = report.generation;
    settings.ui.note(&if changed {
        format!("{package}@{version} is {what}; generation {generation}")
    } else {
        format!("{package}@{version} was {what} already; generation {generation} still holds")
    });
    if settings.ui.json {
        settings.ui.document(&Document { package: Which::id(package), version, changed, generation })?;
    }
    report.view_error.map_or(Ok(Code::Done), |e| Err(e.into()))
}
