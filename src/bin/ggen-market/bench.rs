//! `bench`: how fast a deployment is, from here. What a store answers to its writers, and a registry to its readers.

use crate::{
    args::Bench,
    failure::{Code, Failure, Message},
    output::{bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{ErrorKind, MeasureOptions, Measurement, Store};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct Document {
    store: Option<String>,
    registry: Option<String>,
    operations: Vec<Row>,
}

/// Times in microseconds.
#[derive(Serialize)]
struct Row {
    operation: &'static str,
    at_once: usize,
    count: usize,
    failures: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    longest: Option<f64>,
    per_second: f64,
    bytes_per_second: f64,
}

impl From<&Measurement> for Row {
    fn from(m: &Measurement) -> Self {
        let at = |percent| m.percentile(percent).map(|t| t.as_secs_f64() * 1e6);
        Self {
            operation: m.operation,
            at_once: m.at_once,
            count: m.count(),
            failures: m.failures,
            p50: at(50),
            p90: at(90),
            p99: at(99),
            longest: at(100),
            per_second: m.per_second(),
            bytes_per_second: m.bytes_per_second(),
        }
    }
}

const HEADING: [&str; 10] =
    ["OPERATION", "AT ONCE", "COUNT", "FAILED", "P50", "P90", "P99", "LONGEST", "A SECOND", "BYTES A SECOND"];

pub(crate) async fn run(args: &Bench, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let mut options = MeasureOptions::default();
    options.at_once = usize::from(args.at_once);
    options.time = Duration::from_secs_f64(args.seconds);
    let store = if args.read_only { None } else { writable(args, settings)? };
    let bar = Bar::spinner(ui, "measuring the store");
    let mut rows = match &store {
        Some(store) => store.measure(&options).await?,
        None => Vec::new(),
    };
    bar.clear();
    let bar = Bar::spinner(ui, "measuring the registry");
    // A store alone can be measured before there is a registry in it, and without its key.
    let registry = match read(args, settings, &options).await {
        Ok((place, read)) => {
            rows.extend(read);
            Some(place)
        }
        Err(e) if store.is_some() && matches!(e.code, Code::Usage | Code::NotFound) => {
            bar.clear();
            e.at("the registry was not measured").warn(ui);
            None
        }
        Err(e) => return Err(e),
    };
    bar.clear();
    if ui.json {
        let store = store.as_ref().map(ToString::to_string);
        ui.document(&Document { store, registry, operations: rows.iter().map(Row::from).collect() })?;
    } else {
        ui.table(&HEADING, &rows.iter().map(cells).collect::<Vec<_>>())?;
    }
    Ok(failures(settings, &rows))
}

/// The store, if one is named that can be written to.
fn writable(args: &Bench, settings: &Settings) -> Result<Option<Store>, Failure> {
    match settings.store(args.store.as_ref()) {
        Ok(location) if location.starts_with("http://") || location.starts_with("https://") => {
            Err(Failure::usage("a store that is measured has to be one that can be written to")
                .hint("name the bucket or folder itself with --store, and where readers get it from with --registry"))
        }
        Ok(location) => Ok(Some(Store::open_with(&location, &settings.store_options(false))?)),
        // Who names a registry and no store wants that one read.
        Err(_) if settings.names_registry(&args.reader) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn read(
    args: &Bench,
    settings: &Settings,
    options: &MeasureOptions,
) -> Result<(String, Vec<Measurement>), Failure> {
    let place = if settings.names_registry(&args.reader) { None } else { args.store.as_ref() };
    let client = settings.client_of(place, &args.reader)?;
    Ok((client.store().to_string(), client.measure(options).await?))
}

fn cells(m: &Measurement) -> Vec<String> {
    let at = |percent| m.percentile(percent).map_or_else(|| "-".into(), duration);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, to the nearest byte")]
    let moved = if m.bytes > 0 { bytes(m.bytes_per_second() as u64) } else { "-".into() };
    vec![
        m.operation.into(),
        m.at_once.to_string(),
        m.count().to_string(),
        m.failures.to_string(),
        at(50),
        at(90),
        at(99),
        at(100),
        format!("{:.0}", m.per_second()),
        moved,
    ]
}

/// With three digits that mean something.
fn duration(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        0.0..100.0 => format!("{us:.1} us"),
        100.0..1_000.0 => format!("{us:.0} us"),
        1_000.0..100_000.0 => format!("{:.1} ms", us / 1e3),
        _ => format!("{:.0} ms", us / 1e3),
    }
}

/// Says what failed, and what that makes of the run.
fn failures(settings: &Settings, rows: &[Measurement]) -> Code {
    let ui = &settings.ui;
    for row in rows {
        let Some(e) = &row.failure else { continue };
        let mut message = Message::from(e);
        message.at(&format!("{}, {} at once: {} failed", row.operation, row.at_once, count(row.failures, "run")));
        message.print(ui, "problem:");
    }
    let worst = rows.iter().filter_map(|r| r.failure.as_ref()).map(|e| e.kind());
    // What does not verify is worse than what does not answer.
    let untrusted = worst.clone().any(|kind| kind == ErrorKind::Untrusted);
    match worst.count() {
        0 => Code::Done,
        _ if untrusted => Code::Untrusted,
        _ => Code::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_with_three_digits() {
        let shown: Vec<_> =
            [0, 450, 99_949, 150_000, 2_345_678, 1_500_000_000].map(Duration::from_nanos).map(duration).into();
        assert_eq!(shown, ["0.0 us", "0.4 us", "99.9 us", "150 us", "2.3 ms", "1500 ms"]);
    }
}
