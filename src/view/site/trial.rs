//! A small registry by which templates are tried out before anything is published: with everything that a page may show, and
//! with nothing of it.

use super::{
    Maker, More, Parsed, Rows, Shown, Templates,
    group::{self, Broken},
    laid,
    page::{self, Site},
    parts,
    place::{Entry, LISTED, Layout, Part},
};
use crate::{
    Error,
    format::{Line, PackageLines},
    package::{Detail, Kind, Record, TextFile, Timestamp},
    view::CargoDependencies,
};
use std::{collections::BTreeMap, sync::Arc};

/// A record with all that there is, and one with as little as there may be.
const FULL: &str = r#"{"archive":{"format":"crate","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":123456},"categories":["development-tools"],"dependencies":[{"features":["std"],"kind":"build","name":"other","optional":true,"req":"^1","target":"cfg(unix)"},{"name":"serde","registry":"sparse+https://elsewhere.example.com/","req":"1"},{"kind":"dev","name":"bare","req":"*"}],"external":[{"ecosystem":"npm","name":"left-pad"}],"features":{"default":["std"],"std":[]},"keywords":["sample"],"kind":"crate","license":"MIT","name":"Sample","published":"2026-01-01T00:00:00Z","rust_version":"1.70","signatures":[{"key":"k","signature":"s"}],"summary":"A sample","v":1,"version":"1.2.0"}"#;
const YANKED: &str = r#"{"archive":{"format":"crate","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},"kind":"crate","name":"Sample","published":"2025-01-01T00:00:00Z","v":1,"version":"1.1.0-rc.1","yanked":{"reason":"a mistake","time":"2026-01-01T00:00:00Z"}}"#;
const REMOVED: &str = r#"{"archive":{"format":"crate","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},"kind":"crate","name":"Sample","published":"2025-01-01T00:00:00Z","removed":{"time":"2026-01-01T00:00:00Z"},"v":1,"version":"1.0.0"}"#;
const BARE: &str = r#"{"archive":{"format":"zip","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"url":"https://downloads.example.com/bare.zip"},"kind":"pack","name":"bare","published":"2026-01-01T00:00:00Z","v":1,"version":"0.1.0"}"#;
const YANKED_BARE: &str = r#"{"archive":{"format":"tar.gz","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},"kind":"pack","name":"yanked","published":"2026-01-01T00:00:00Z","v":1,"version":"0.1.0","yanked":{"time":"2026-01-01T00:00:00Z"}}"#;
const GONE: &str = r#"{"archive":{"format":"tar.gz","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},"kind":"pack","name":"gone","published":"2026-01-01T00:00:00Z","removed":{"reason":"asked for","time":"2026-01-01T00:00:00Z"},"v":1,"version":"0.1.0"}"#;

fn parsed(label: &str, lines: &[&str]) -> Option<Parsed> {
    let mut package = PackageLines::new(label.into());
    package.lines = lines.iter().filter_map(|l| Some(Line::new(&Record::from_line(l).ok()?))).collect();
    Parsed::new(&package)
}

/// Renders every template.
pub(super) fn try_out(templates: Templates) -> Result<(), Error> {
    let maker = Maker {
        templates,
        site: Site {
            title: "Sample".into(),
            description: "A sample".into(),
            origin: "sample.example.com".into(),
            base: "https://sample.example.com".into(),
        },
        shown: Shown {
            generation: 1,
            created: Timestamp::from_unix(1_767_225_600),
            origin: "sample.example.com".into(),
            key: "sample.example.com+00000000".into(),
        },
        cargo: true,
        ggen: true,
        dependencies: CargoDependencies::Here,
        own_index: String::new(),
    };
    maker.missing()?;
    page::search(&maker)?;
    for (count, packages) in [(0, Vec::new()), (1, sample()), (2 * LISTED + 1, sample())] {
        lists(&maker, count, &packages).map_err(|e| match e {
            Broken::Failed(e) => e,
            Broken::Rows(what) => unreachable!("the sample's own rows are read: {what}"),
        })?;
        for package in &packages {
            let mut detail = Detail::new(Kind::Crate, shown_name(package), package.records[0].version.clone());
            detail.readme =
                Some(TextFile { path: "README.md".into(), text: "# Sample\n\nText".into(), truncated: true });
            detail.homepage = Some("https://sample.example.com".into());
            let dependents = dependents(count);
            for detail in [None, Some(&detail)] {
                maker.package(
                    package,
                    &More { detail, downloads: detail.map(|_| 1_234_567), dependents: dependents.as_ref() },
                )?;
            }
            maker.absent("crate/nowhere", dependents.as_ref())?;
        }
    }
    Ok(())
}

fn shown_name(package: &Parsed) -> crate::package::PackageName {
    package.records[0].name.clone()
}

fn sample() -> Vec<Parsed> {
    let all = [
        parsed("crate/sample", &[REMOVED, YANKED, FULL]),
        parsed("pack/bare", &[BARE]),
        parsed("pack/yanked", &[YANKED_BARE]),
        parsed("pack/gone", &[GONE]),
    ];
    all.into_iter().flatten().collect()
}

/// So many packages that depend on one.
fn dependents(count: usize) -> Option<Part> {
    let layout = Layout::of("d/crate/sample")?;
    let entry = |i| Arc::new(Entry::of_dependent(&format!("crate/d{i}").into(), &format!("\"d{i}\"")));
    parts::all(&layout, (0..count).map(entry)).made.remove("")
}

/// The home page and the lists of so many packages.
fn lists(maker: &Maker, count: usize, packages: &[Parsed]) -> Result<(), Broken> {
    let mut plain: BTreeMap<String, Rows> = group::ALWAYS.iter().map(|g| ((*g).to_owned(), Rows::new())).collect();
    let mut placed: BTreeMap<String, Vec<Arc<Entry>>> = BTreeMap::new();
    for package in packages {
        // The same one many times: lists of several pages.
        for i in 0..count {
            let label = if i == 0 { package.label.clone() } else { format!("{}-{i}", package.label).into() };
            let (bucket, records, unread) = (package.bucket.clone(), package.records.clone(), Vec::new());
            let group::RowsOf { plain: row, placed: rows } =
                group::rows(maker, &Parsed { label: Arc::clone(&label), bucket, records, unread }, Some(1000));
            if let Some((group, row)) = row {
                plain.entry(group).or_default().insert(label, row);
            }
            for (group, entry) in rows {
                placed.entry(group).or_default().push(entry);
            }
        }
    }
    for (group, rows) in placed {
        let Some(layout) = Layout::of(&group) else { continue };
        let laid = laid::lay(maker, &group, &layout, &parts::all(&layout, rows.into_iter()))?;
        if let (Some((above, key)), Some(row)) = (group::parent(&group), laid.summary) {
            plain.entry(above).or_default().insert(key.into(), row);
        }
    }
    for level in 0..3 {
        let here: Vec<_> = plain.keys().filter(|g| group::level(g) == level).cloned().collect();
        for name in here {
            let rows = plain.get(&name).cloned().unwrap_or_default();
            maker.group(&name, &rows)?;
            if let (Some((above, key)), Some(row)) = (group::parent(&name), group::summary(&name, &rows)?) {
                plain.entry(above).or_default().insert(key.into(), row);
            }
        }
    }
    Ok(())
}
