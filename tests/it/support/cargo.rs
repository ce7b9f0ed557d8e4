//! The Cargo that runs these tests, as a reader of a registry.

use std::{path::Path, process::Command};

/// Cargo with a home of its own, deaf to what is set for the run of the tests: a target folder, a proxy, and above all
/// `CARGO_NET_OFFLINE`, which says that the *tests* fetch nothing, not that what they drive does not.
pub(crate) fn real_cargo(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        if ["CARGO", "RUSTC", "RUSTFLAGS"].iter().any(|p| upper.starts_with(p)) || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.env("CARGO_HOME", home).env("CARGO_TERM_COLOR", "never").env("CARGO_NET_RETRY", "0");
    command
}
