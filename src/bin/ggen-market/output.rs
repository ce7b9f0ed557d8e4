//! The two streams: data on standard output, everything for people on standard error.

use crate::{
    args::{ColorWhen, Global},
    failure::Failure,
};
use ggen_marketplace::package::Timestamp;
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, BufWriter, IsTerminal as _, Write},
};

/// How to talk to whoever is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    pub(crate) json: bool,
    quiet: bool,
    /// Log lines and progress bars would write over each other.
    bars: bool,
    /// The width of the terminal that standard output is, if it is one.
    pub(crate) width: Option<usize>,
    out_color: bool,
    err_color: bool,
}

impl Ui {
    pub(crate) fn new(global: &Global) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let wanted = |terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                terminal && !plain && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        };
        let width = || terminal_size::terminal_size().map_or(80, |(w, _)| usize::from(w.0));
        Self {
            json: global.json,
            quiet: global.quiet,
            bars: err && !global.quiet && global.verbose == 0,
            width: out.then(width),
            out_color: wanted(out),
            err_color: wanted(err),
        }
    }

    /// Whether a progress bar is wanted and would be seen.
    pub(crate) fn bars(&self) -> bool {
        self.bars
    }

    /// Whether only errors are wanted.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard error may hold colors.
    pub(crate) fn colors_messages(&self) -> bool {
        self.err_color
    }

    /// A line for people, also with `--quiet`. A closed standard error is no reason to stop working.
    pub(crate) fn say(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// A line for people that `--quiet` leaves out.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            self.say(&clean(line));
        }
    }

    /// A warning; `--quiet` leaves it out.
    pub(crate) fn warn(&self, line: &str) {
        if !self.quiet {
            self.label("warning:", line);
        }
    }

    pub(crate) fn label(&self, label: &str, text: &str) {
        let color = if label == "error:" || label == "problem:" { "\x1b[1;31m" } else { "\x1b[1;33m" };
        let label = if self.err_color { format!("{color}{label}\x1b[0m") } else { label.to_owned() };
        self.say(&format!("{label} {}", clean(text)));
    }

    /// A word on standard error that stands out.
    pub(crate) fn strong(&self, word: &str) -> String {
        if self.err_color { format!("\x1b[1m{word}\x1b[0m") } else { word.to_owned() }
    }

    /// A word on standard output that stands out.
    pub(crate) fn bold<'a>(&self, word: &'a str) -> Cow<'a, str> {
        if self.out_color { format!("\x1b[1m{word}\x1b[0m").into() } else { word.into() }
    }

    /// Writes data.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        write(&mut out)?;
        Ok(out.flush()?)
    }

    /// Writes one JSON document.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.write(|out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Writes rows: aligned under headings for a terminal, separated by tabs for a program.
    pub(crate) fn table(&self, heading: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.write(|out| match self.width {
            Some(width) => aligned(out, &self.bold(&fit(heading, &widths(heading, rows), width)), heading, rows, width),
            None => rows.iter().try_for_each(|row| {
                let cells: Vec<_> = row.iter().map(|c| clean(c).replace('\t', " ")).collect();
                writeln!(out, "{}", cells.join("\t"))
            }),
        })
    }
}

fn aligned(out: &mut dyn Write, first: &str, heading: &[&str], rows: &[Vec<String>], width: usize) -> io::Result<()> {
    let widths = widths(heading, rows);
    writeln!(out, "{first}")?;
    for row in rows {
        let cells: Vec<_> = row.iter().map(|c| clean(c)).collect();
        writeln!(out, "{}", fit(&cells, &widths, width))?;
    }
    Ok(())
}

fn widths(heading: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let column = |i: usize| rows.iter().filter_map(move |row| row.get(i)).map(|c| columns(&clean(c))).max();
    heading.iter().enumerate().map(|(i, h)| columns(h).max(column(i).unwrap_or(0))).collect()
}

/// A row of cells, each as wide as its column, cut to the width of the terminal.
fn fit(cells: &[impl AsRef<str>], widths: &[usize], width: usize) -> String {
    let mut line = String::new();
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let cell = cell.as_ref();
        line.push_str(cell);
        if i + 1 < cells.len() {
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(cell)) + 2));
        }
    }
    cut(line.trim_end(), width).into_owned()
}

/// A text cut to so many columns.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return text.into();
    }
    let mut used = 1; // for the ellipsis
    let end = text.char_indices().find(|(_, c)| {
        used += char_columns(*c);
        used > width
    });
    format!("{}…", text[..end.map_or(text.len(), |(at, _)| at)].trim_end()).into()
}

fn columns(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

/// How wide a terminal shows a character. East Asian scripts and pictures take two columns; a few rare characters that
/// join with the one before are taken for one column, which at worst cuts a line early.
fn char_columns(c: char) -> usize {
    let wide = matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

/// A text of somebody else's that is safe to show on one line: no control character reaches a terminal, where it could
/// hide or forge what stands there, and none that turns the direction of writing.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let bad = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains(bad) { text.replace(bad, "\u{fffd}").into() } else { text.into() }
}

/// As [`clean`], for texts of several lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(|l| clean(&l.replace('\t', "    ")).into_owned() + "\n").collect()
}

/// A number of bytes as people read it.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    // Exact enough: one digit after the point is shown.
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 release`, `3 releases`.
pub(crate) fn count(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// The day of a time.
pub(crate) fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_once() {
        let shown: Vec<_> = [0, 999, 1000, 1_234_567, 999_949, 999_950, 5_000_000_000_000_000].map(bytes).into();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.2 MB", "999.9 kB", "1.0 MB", "5000.0 TB"]);
    }

    #[test]
    fn a_terminal_gets_columns_that_fit_it() {
        let rows = vec![
            vec!["crate:a".into(), "1.0.0".into(), "first \x1b[31mline".into()],
            vec!["pack:longer-name".into(), "0.1.0-rc.1".into(), "界界界界界界界界".into()],
        ];
        let mut out = Vec::new();
        let heading = ["NAME", "VERSION", "SUMMARY"];
        aligned(&mut out, &fit(&heading, &widths(&heading, &rows), 40), &heading, &rows, 40).unwrap();
        let text = String::from_utf8(out).unwrap();
        let want = "NAME              VERSION     SUMMARY\n\
                    crate:a           1.0.0       first �[3…\n\
                    pack:longer-name  0.1.0-rc.1  界界界界…\n";
        assert_eq!(text, want);
        assert!(text.lines().all(|l| columns(l) <= 40));
    }

    #[test]
    fn nothing_a_package_says_reaches_the_terminal_as_a_command() {
        assert_eq!(clean("a\x1b]0;owned\x07b\r\n\u{202e}c"), "a�]0;owned�b���c");
        assert_eq!(clean_lines("a\tb\r\nc\x08\n"), "a    b\nc�\n");
    }
}
