//! Progress bars: on a terminal only, and on standard error.

use crate::output::Ui;
use ggen_marketplace::{MirrorProgress, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{sync::Arc, time::Duration};

/// A bar that goes away when it is dropped.
#[derive(Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A spinner with a word on what is being done.
    pub(crate) fn spinner(ui: &Ui, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(ui));
        bar.set_style(style("{spinner} {msg}", ProgressStyle::default_spinner()));
        bar.set_message(what);
        if ui.bars() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self(bar)
    }

    /// A bar for a download of so many bytes.
    pub(crate) fn download(ui: &Ui, size: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(size), target(ui));
        bar.set_style(style("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}", ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }

    /// What a build calls on its way.
    pub(crate) fn follow(&self) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let bar = self.0.clone();
        Arc::new(move |progress| match progress {
            Progress::Scanned(releases) => bar.set_message(format!("{releases} releases found; comparing")),
            Progress::Put { finished, total } => bar.set_message(format!("writing {finished}/{total} objects")),
            _ => {}
        })
    }

    /// What a mirror calls on its way.
    pub(crate) fn follow_mirror(&self) -> Arc<dyn Fn(MirrorProgress) + Send + Sync> {
        let bar = self.0.clone();
        Arc::new(move |at| {
            let MirrorProgress { objects, bytes, shards, of_shards, .. } = at;
            let (objects, size) = (crate::output::count(objects, "object"), crate::output::bytes(bytes));
            bar.set_message(format!("{objects}, {size} copied; {shards}/{of_shards} parts of the index are done"));
        })
    }
}

fn target(ui: &Ui) -> ProgressDrawTarget {
    if ui.bars() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// The templates above are right; were one not, there is a usual one.
fn style(template: &str, usual: ProgressStyle) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or(usual)
}
