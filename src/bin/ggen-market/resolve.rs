//! `resolve`: which versions fit together, and who needs what. Changes nothing.

use crate::{
    args::{Preference, Resolve},
    failure::{Code, Failure},
    lockfile::{self, LockFile, Rules},
    settings::Settings,
};
use ggen_marketplace::{
    package::{Kind, Sha256},
    resolve::{Lock, Prefer, Resolution, Resolved},
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

#[derive(Serialize)]
struct Document<'a> {
    /// The generation of each registry, by its origin.
    generations: &'a BTreeMap<String, u64>,
    /// The places of what is wanted in `packages`.
    wanted: &'a [usize],
    packages: Vec<Package<'a>>,
}

#[derive(Serialize)]
struct Package<'a> {
    kind: Kind,
    name: String,
    version: String,
    registry: &'a str,
    sha256: Sha256,
    size: u64,
    yanked: bool,
    /// Places in `packages`.
    dependencies: &'a [usize],
}

pub(crate) async fn run(args: &Resolve, settings: &Settings) -> Result<Code, Failure> {
    let client = settings.client(&args.reader)?;
    let file = LockFile::load(&args.lock.lock_file)?;
    let wants = if args.wants.is_empty() { lockfile::wants(&file.lock) } else { args.wants.clone() };
    if wants.is_empty() {
        return Err(
            Failure::usage("nothing is wanted: name a package").hint("for instance `ggen-market resolve hello@^1`")
        );
    }
    let prefer = match args.prefer {
        Preference::Highest => Prefer::Highest,
        Preference::Minimal => Prefer::Minimal,
        Preference::Locked => Prefer::Locked,
    };
    // What is asked about without a lock file is not resolved by one.
    let nothing = Lock::default();
    let rules = Rules::of(if args.wants.is_empty() { &file.lock } else { &nothing }, &args.choice);
    let resolver = lockfile::resolver(&client, &args.choice, &rules, &args.reader, settings)?;
    let mut resolver = resolver.wants(wants).prefer(prefer);
    if prefer == Prefer::Locked {
        file.require_origin(&client)?;
        resolver = resolver.locked(&file.lock);
    }
    let found = resolver.run().await?;
    let ui = &settings.ui;
    for package in found.packages.iter().filter(|p| p.yanked) {
        ui.warn(&format!("{} {} is yanked", package.id, package.version));
    }
    if ui.json {
        ui.document(&document(&found))?;
    } else if args.tree {
        let text = tree(&found);
        ui.write(|out| out.write_all(text.as_bytes()))?;
    } else {
        let row = |p: &Resolved| vec![name(p), p.version.to_string(), p.registry.clone()];
        let rows: Vec<_> = found.packages.iter().map(row).collect();
        ui.table(&["PACKAGE", "VERSION", "REGISTRY"], &rows)?;
    }
    Ok(Code::Done)
}

fn name(p: &Resolved) -> String {
    format!("{}:{}", p.id.kind(), p.name)
}

impl<'a> From<&'a Resolved> for Package<'a> {
    fn from(p: &'a Resolved) -> Self {
        Self {
            kind: p.id.kind(),
            name: p.name.to_string(),
            version: p.version.to_string(),
            registry: &p.registry,
            sha256: p.archive.sha256,
            size: p.archive.size,
            yanked: p.yanked,
            dependencies: &p.dependencies,
        }
    }
}

fn document(found: &Resolution) -> Document<'_> {
    let packages = found.packages.iter().map(Package::from).collect();
    Document { generations: &found.generations, wanted: &found.wanted, packages }
}

/// Who needs what. What a package needs is shown where it is met first; elsewhere `(*)` stands for it.
fn tree(found: &Resolution) -> String {
    let mut out = String::new();
    let mut shown = vec![false; found.packages.len()];
    // A stack and no recursion: a graph may be deep.
    let mut rest: Vec<(usize, String, String)> =
        found.wanted.iter().rev().map(|p| (*p, String::new(), String::new())).collect();
    while let Some((place, branch, indent)) = rest.pop() {
        let package = &found.packages[place];
        let again = std::mem::replace(&mut shown[place], true) && !package.dependencies.is_empty();
        let mark = if again { " (*)" } else { "" };
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{branch}{} {}{mark}", name(package), package.version);
        if !again {
            for (i, need) in package.dependencies.iter().enumerate().rev() {
                let last = i + 1 == package.dependencies.len();
                let (arm, gap) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
                rest.push((*need, format!("{indent}{arm}"), format!("{indent}{gap}")));
            }
        }
    }
    out
}
