//! `publish`: some packages, now, from many jobs at once.

use crate::{
    args::Publish,
    build::{require_private_key, tell},
    failure::{Code, Failure},
    progress::Bar,
    settings::Settings,
};
use std::time::Instant;

pub(crate) async fn run(args: &Publish, settings: &Settings) -> Result<Code, Failure> {
    let began = Instant::now();
    let mut writing = settings.writer(&args.writer)?;
    require_private_key(&writing, &args.paths)?;
    let bar = Bar::spinner(&settings.ui, "reading packages");
    // No scan cache: what is named is read.
    writing.options.dry_run = args.dry_run;
    writing.options.progress = Some(bar.follow());
    let report = writing.registry.build(&args.paths, &writing.options).await;
    bar.clear();
    tell(&settings.ui, report?, args.dry_run, began)
}
