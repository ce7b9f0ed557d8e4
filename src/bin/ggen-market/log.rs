//! What happens inside, on standard error.

use crate::{args::Global, output::Ui};
use tracing_subscriber::{EnvFilter, fmt};

/// Starts the log. Without a filter of the user's, only this project's own modules speak: what others log may hold the
/// address that was asked, with whatever secret is in it.
pub(crate) fn start(global: &Global, ui: Ui) {
    let level = match global.verbose {
        0 if global.quiet => "error",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let usual = format!("off,ggen_marketplace={level},ggen_market={level}");
    let wanted = std::env::var("GGEN_MARKET_LOG").ok().filter(|v| !v.is_empty());
    let filter = wanted.map_or_else(
        || EnvFilter::try_new(&usual),
        |f| {
            EnvFilter::try_new(&f).inspect_err(|e| {
                ui.warn(&format!("GGEN_MARKET_LOG is no filter ({e}); going on without it"));
            })
        },
    );
    let filter = filter.or_else(|_| EnvFilter::try_new(&usual)).unwrap_or_default();
    let lines = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ui.colors_messages())
        .with_target(global.verbose > 0)
        // A closed standard error is no reason to stop working.
        .log_internal_errors(false);
    // Only one log can be started, and this is the one.
    let _ = if global.verbose > 0 {
        tracing::subscriber::set_global_default(lines.finish())
    } else {
        tracing::subscriber::set_global_default(lines.without_time().finish())
    };
}
