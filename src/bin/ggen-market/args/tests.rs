//! The manual and the command line say the same.

use super::*;
use crate::{config, failure::Code, settings};

const PAGE: &str = include_str!("../../../../docs/cli.md");

#[test]
fn the_command_tree_is_sound() {
    command().debug_assert();
}

/// Whether the page names a word as code, and not only as a part of another one.
fn names(word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let code = PAGE.split('`').skip(1).step_by(2);
    code.into_iter().any(|code| code.split(|c| !inside(c)).any(|w| w == word))
}

#[test]
fn the_manual_names_every_verb_option_and_variable() {
    let mut tree = command();
    tree.build();
    let mut missing = Vec::new();
    for verb in tree.get_subcommands() {
        let heading = format!("\n### `{}", verb.get_name());
        if !PAGE.contains(&heading) {
            missing.push(format!("a heading for {}", verb.get_name()));
        }
        for arg in verb.get_arguments() {
            let option = arg.get_long().map(|l| format!("--{l}"));
            let variable = arg.get_env().map(|e| e.to_string_lossy().into_owned());
            missing.extend(option.into_iter().chain(variable).filter(|w| w != "--help" && !names(w)));
        }
    }
    missing.extend(config::KEYS.iter().filter(|k| !names(k)).map(|k| format!("the key {k}")));
    let unknown_to_clap = [
        settings::SECRET,
        settings::AUTHORIZATION,
        "GGEN_MARKET_LOG",
        "GGEN_MARKET_SOURCES",
        "SOURCE_DATE_EPOCH",
        "NO_COLOR",
    ];
    missing.extend(unknown_to_clap.into_iter().filter(|v| !names(v)).map(Into::into));
    assert!(missing.is_empty(), "docs/cli.md lacks {missing:?}");
}

#[test]
fn the_manual_names_no_verb_option_or_variable_that_is_not() {
    let mut tree = command();
    tree.build();
    let mut known = vec!["--help".to_owned(), "--version".to_owned()];
    for arg in tree.get_subcommands().flat_map(clap::Command::get_arguments) {
        known.extend(arg.get_long().map(|l| format!("--{l}")));
        known.extend(arg.get_env().map(|e| e.to_string_lossy().into_owned()));
    }
    known.extend([settings::SECRET, settings::AUTHORIZATION, "GGEN_MARKET_LOG", "GGEN_MARKET_SOURCES"].map(Into::into));
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let words = PAGE
        .split(|c| !inside(c))
        .filter(|w| w.starts_with("GGEN_MARKET_") || (w.starts_with("--") && w.len() > 3 && !w.starts_with("---")));
    let unknown: Vec<_> = words.filter(|w| !known.iter().any(|k| k == w)).collect();
    assert!(unknown.is_empty(), "docs/cli.md names {unknown:?}");
    for heading in PAGE.lines().filter_map(|l| l.strip_prefix("### `")) {
        let verb = heading.split(|c| !inside(c)).next().unwrap();
        assert!(tree.find_subcommand(verb).is_some(), "{verb}");
    }
}

#[test]
fn the_manual_has_every_exit_code_with_its_meaning() {
    for (code, meaning) in Code::ALL {
        let row = format!("| {} | {meaning} |", code as i32);
        assert!(PAGE.contains(&row), "docs/cli.md lacks {row:?}");
    }
    assert!(PAGE.contains("| 130 |") && PAGE.contains("| 143 |"));
}
