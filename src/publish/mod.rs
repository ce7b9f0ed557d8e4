//! Publishing: from what a scan found to a commit.
//!
//! One way for every verb: changes are planned against the newest snapshot (pure), what is new is put, a slot is claimed,
//! and its checkpoint is signed; then the views follow. Who loses the slot to another writer plans the same changes again on top of the winner's.

mod commit;
mod details;
mod early;
mod gc;
mod head;
mod live;
mod options;
mod plan;
mod put;
mod registry;
mod search;
mod stage;
mod theme;
mod views;
mod watch;

pub use options::{Amount, BuildOptions, GcOptions, GcReport, Progress, RandomSource, Report};
pub use registry::Registry;
pub use views::ViewReport;
