//! What templates draw besides their own text: icons, numbers, days.
//!
//! They were macros of a template once. A call of a macro costs what a hundred lines of a page do, and every page has twenty.

use super::feed::escape;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use minijinja::{Environment, ErrorKind as Kind, Value};
use std::collections::BTreeMap;

/// Where icons lie in a theme.
pub(super) const ICONS: &str = "icons/";

/// Adds the functions that every template can call.
pub(super) fn add_to(environment: &mut Environment<'static>, files: &BTreeMap<String, Bytes>) -> Result<(), Error> {
    let mut icons = BTreeMap::new();
    for (name, bytes) in files {
        let Some(icon) = name.strip_prefix(ICONS).and_then(|n| n.strip_suffix(".svg")) else { continue };
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("{name}:1: an icon has to be UTF-8 text")))?;
        icons.insert(icon.to_owned(), Value::from_safe_string(text.trim().to_owned()));
    }
    environment.add_function("icon", move |name: &str| {
        let lacking = || minijinja::Error::new(Kind::InvalidOperation, format!("there is no {ICONS}{name}.svg"));
        icons.get(name).cloned().ok_or_else(lacking)
    });
    environment.add_function("number", grouped);
    environment.add_function("day", day);
    Ok(())
}

/// `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The day of a time.
fn day(time: &str) -> Value {
    let day = time.split('T').next().unwrap_or_default();
    Value::from_safe_string(format!("<time datetime=\"{}\">{}</time>", escape(time), escape(day)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345, "12,345"),
            (123_456, "123,456"),
            (1_002_003, "1,002,003"),
        ] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn a_day_is_a_time_for_machines_and_people() {
        let html = day("2026-11-23T15:20:57Z").to_string();
        assert_eq!(html, "<time datetime=\"2026-11-23T15:20:57Z\">2026-11-23</time>");
        assert!(!day("\"><b>").to_string().contains("<b>"));
    }
}
