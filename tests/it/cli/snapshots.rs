//! What people see, word for word. `UPDATE_SNAPSHOTS=1 cargo test` writes the files in `tests/it/snapshots` anew.
//!
//! By hand and not by a library: one function is all that is needed, and the tree of dependencies stays as it is.

use super::{ORIGIN, Sandbox};
use std::path::Path;

/// Takes out what differs from run to run: digests, keys, times, sizes of what holds digests, the temporary folder.
fn normal(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "[DIR]");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let (word, len) = matched(rest, out.chars().next_back()).unwrap_or(("", 0));
        if len > 0 {
            out.push_str(word);
            rest = &rest[len..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// What stands at the beginning of the text instead of what is replaced, and how long that is.
fn matched(text: &str, before: Option<char>) -> Option<(&'static str, usize)> {
    if before.is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let run = |t: &str, f: fn(char) -> bool| t.find(|c| !f(c)).unwrap_or(t.len());
    let hex = run(text, |c| matches!(c, '0'..='9' | 'a'..='f'));
    if hex == 64 {
        return Some(("[SHA256]", 64));
    }
    if hex == 8 && text[8..].starts_with('+') {
        return Some(("[KEY]", 9 + run(&text[9..], |c| c.is_ascii_alphanumeric() || "+/=".contains(c))));
    }
    let shape: String = text.chars().take(20).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape == "0000-00-00T00:00:00Z" {
        return Some(("[TIME]", 20));
    }
    if shape.starts_with("0000-00-00") {
        return Some(("[DATE]", 10));
    }
    let number = run(text, |c| c.is_ascii_digit() || c == '.');
    let unit = |u: &str| number > 0 && text[number..].starts_with(u);
    for (unit, word) in [(" ms", "[MS]"), (" MB/s", "[RATE]"), ("/s", "[RATE]")] {
        if number > 0 && text[number..].starts_with(unit) {
            return Some((word, number + unit.len()));
        }
    }
    ["B", "kB", "MB"]
        .iter()
        .find(|u| unit(&format!(" {u}")))
        .map(|u| ("[SIZE]", number + 1 + u.len()))
        .or_else(|| (unit(" s\n") && text[..number].contains('.')).then_some(("[SECONDS]", number + 2)))
}

/// Holds a run to its snapshot: the command, its exit code and both streams.
#[track_caller]
fn check(s: &Sandbox, name: &str, runs: &[&[&str]]) {
    let mut seen = String::new();
    for args in runs {
        let run = s.run(args);
        seen += &format!("$ ggen-market {}\n", args.join(" "));
        for (stream, text) in [("stdout", &run.out), ("stderr", &run.err)] {
            if !text.is_empty() {
                seen += &format!("--- {stream}\n{}", normal(text, s.dir.path()));
            }
        }
        seen += &format!("--- exit {}\n\n", run.code);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &seen).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == seen, "{} is not what is seen now (UPDATE_SNAPSHOTS=1 writes it anew):\n{seen}", path.display());
}

#[test]
fn the_first_day() {
    let s = Sandbox::new();
    s.a_crate("hello", "1.0.0", "Says hello");
    s.a_crate("hello", "1.1.0-rc.1", "Says hello to everybody");
    s.a_pack("greeter", "0.1.0", "Templates of greetings");
    s.write("packages/broken/pack.toml", "[pack]\nname = \"broken\"\nversion = \"1\"\n");
    check(
        &s,
        "first-day",
        &[
            &["init", "--store", "./registry", "--origin", ORIGIN],
            &["init", "--store", "./registry", "--origin", ORIGIN],
            &["build", "--source", "packages", "--dry-run"],
            &["build", "--source", "packages"],
            &["build", "--source", "packages"],
            &["yank", "hello@1.0.0", "--reason", "greets the wrong people"],
            &["yank", "hello@1.0.0", "--reason", "greets the wrong people"],
            &["history"],
            &["diff", "1", "2"],
            &["verify"],
        ],
    );
    let config = normal(&s.read("ggen-market.toml"), s.dir.path());
    s.write("config", &config);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/config.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &config).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), config);
}

#[test]
fn looking_things_up() {
    let s = Sandbox::published();
    s.run(&["yank", "hello@1.0.0", "--reason", "greets the wrong people"]).ok();
    check(
        &s,
        "lookups",
        &[
            &["list"],
            &["list", "--json"],
            &["info", "hello"],
            &["info", "hello@1.0.0"],
            &["info", "greeter", "--json"],
            &["versions", "hello"],
            &["versions", "hello", "--json"],
            &["show", "greeter@0.1.0"],
            &["fetch", "hello@1.0.0"],
        ],
    );
}

#[test]
fn errors() {
    let s = Sandbox::published();
    s.write("bad.toml", "sotre = \"x\"\nvalid_for = 7\n");
    std::fs::create_dir(s.path("empty")).unwrap();
    check(
        &s,
        "errors",
        &[
            &["info", "nothing"],
            &["info", "hello@1.0"],
            &["show", "hello@9.0.0"],
            &["yank", "hello"],
            &["list", "--config", "bad.toml"],
            &["list", "--registry", "nowhere"],
            &["list", "--registry", "empty"],
            &["build", "--source", "packages", "--store", "empty", "--cache", "fresh"],
            &["build"],
            &["list", "--key", "registry.example.com/ggen+00000000+AQO5hfhsRC2bUnHHDfoUUYBFS+NwSaf/KplT30lv2XnG"],
        ],
    );
}

#[test]
fn the_doctor_of_a_folder() {
    let s = Sandbox::published();
    check(&s, "doctor", &[&["doctor"], &["doctor", "-h"]]);
}

#[test]
fn help() {
    let s = Sandbox::new();
    check(&s, "help", &[&["--help"], &["build", "--help"], &["info", "-h"]]);
}
