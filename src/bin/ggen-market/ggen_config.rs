//! `ggen-config`: the lines for `ggen.toml` by which ggen uses what is installed, and its own record of it, `.ggen/packs.lock`.

use crate::{
    args::GgenConfig,
    failure::{Code, Failure},
    files,
    lockfile::LockFile,
    settings::Settings,
};
use ggen_marketplace::{
    package::{Kind, Timestamp},
    resolve::{Locked, LockedId},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};
use toml_edit::{DocumentMut, InlineTable, Item, Table};

/// What ggen calls its configuration, and its record of packs; both below the folder of the project, which is the current one.
const CONFIG: &str = "ggen.toml";
const RECORD: &str = ".ggen/packs.lock";

#[derive(Serialize)]
struct Document {
    packs: Vec<Pack>,
    config: String,
    /// The files that were written.
    written: Vec<&'static str>,
}

#[derive(Serialize)]
struct Pack {
    name: String,
    path: String,
}

pub(crate) fn run(args: &GgenConfig, settings: &Settings) -> Result<Code, Failure> {
    let file = LockFile::require(&args.lock.lock_file)?;
    let locked: Vec<&Locked> = file.lock.packages().iter().filter(|p| p.id.kind() == Kind::Pack).collect();
    // Not all that is below the folder was put there by this program: the folder may be the project's own.
    let folder = plain(&args.into.into.join(Kind::Pack.as_str()));
    let mut packs = Vec::new();
    for pack in &locked {
        let path = args.into.into.join(pack.install_path());
        if !path.is_dir() {
            let message = format!("{} is locked, and not installed in {}", pack.id, args.into.into.display());
            return Err(Failure::not_found(message).hint("`ggen-market install` installs what is locked"));
        }
        packs.push(Pack { name: pack.name.to_string(), path: plain(&path) });
    }
    let mut lines = DocumentMut::new();
    merge(&mut lines, &packs, &folder)?;
    let config = lines.to_string();
    let mut written = Vec::new();
    if args.write {
        // A checkout may be a stranger's: nothing is written through a link out of it.
        [CONFIG, RECORD].into_iter().try_for_each(|file| files::require_no_link(Path::new(file)))?;
        let mut document = read(CONFIG, |text| text.parse::<DocumentMut>())?.unwrap_or_default();
        let before = document.to_string();
        for name in merge(&mut document, &packs, &folder)? {
            settings.ui.warn(&format!("{name} is in {CONFIG} from elsewhere, and is left as it is"));
        }
        let after = document.to_string();
        if after != before {
            files::write_new(Path::new(CONFIG), after.as_bytes(), true, 0o644)?;
            written.push(CONFIG);
        }
        if let Some(text) = record(&locked)? {
            let folder = Path::new(RECORD).parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
            files::write_new(Path::new(RECORD), text.as_bytes(), true, 0o644)?;
            written.push(RECORD);
        }
        let what =
            if written.is_empty() { "nothing had to be written".into() } else { written.join(" and ") + " written" };
        settings.ui.note(&what);
    }
    if settings.ui.json {
        settings.ui.document(&Document { packs, config, written })?;
    } else {
        settings.ui.write(|out| write!(out, "{config}"))?;
    }
    Ok(Code::Done)
}

/// A path as it stands in a configuration: with slashes, and nothing that says only that it begins here.
fn plain(path: &Path) -> String {
    let parts: PathBuf = path.components().filter(|c| *c != Component::CurDir).collect();
    parts.display().to_string().replace('\\', "/")
}

/// A file of ggen's; `None` where it is not there.
fn read<T, E: std::fmt::Display>(path: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::io("read", Path::new(path), &e)),
    };
    parse(&text).map(Some).map_err(|e| broken(path, &e.to_string()))
}

fn broken(path: &str, why: &str) -> Failure {
    Failure::usage(format!("{path} cannot be read: {why}")).hint("it is ggen's: put it right, or take it away")
}

/// Puts the packs into `[packs]`, and takes out what this program put there (it is installed in that folder) and is locked no more. Everything else stays; the names
/// of packs that come from elsewhere are returned.
fn merge(document: &mut DocumentMut, packs: &[Pack], folder: &str) -> Result<Vec<String>, Failure> {
    let table = document.entry("packs").or_insert_with(|| Item::Table(Table::new()));
    let table = table.as_table_mut().ok_or_else(|| broken(CONFIG, "`packs` is no table"))?;
    let path_of = |item: &Item| item.get("path").and_then(Item::as_str).map(str::to_owned);
    let is_ours = |item: &Item| path_of(item).is_some_and(|p| Path::new(&plain(Path::new(&p))).starts_with(folder));
    let names: Vec<String> = table.iter().filter(|(_, item)| is_ours(item)).map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|n| packs.iter().all(|p| p.name != **n)) {
        table.remove(name);
    }
    let mut others = Vec::new();
    for pack in packs {
        match table.get(&pack.name) {
            Some(item) if !is_ours(item) => others.push(pack.name.clone()),
            Some(item) if path_of(item).as_ref() == Some(&pack.path) => {}
            _ => {
                let mut value = InlineTable::new();
                value.insert("path", pack.path.as_str().into());
                table.insert(&pack.name, Item::Value(value.into()));
            }
        }
    }
    Ok(others)
}

/// ggen's record of packs, as it is to be; `None` where it is so already. It is ggen's own form: a pack is known by its name in
/// lower case, and each one that another needs is in it, too.
fn record(locked: &[&Locked]) -> Result<Option<String>, Failure> {
    let mut document = read(RECORD, |text| serde_json::from_str::<Map<String, Value>>(text))?.unwrap_or_default();
    let packs = document.entry("packs").or_insert_with(|| json!({}));
    let packs = packs.as_object_mut().ok_or_else(|| broken(RECORD, "`packs` is no object"))?;
    let now = Timestamp::for_build()?;
    let id = |name: &str| name.to_ascii_lowercase();
    let mut changed = false;
    let ours: Vec<String> = locked.iter().map(|p| url(&p.registry)).collect();
    let is_over = |name: &String, entry: &Value| {
        let from = entry["source"]["url"].as_str().unwrap_or_default();
        ours.iter().any(|url| url == from) && locked.iter().all(|p| id(p.name.as_str()) != *name)
    };
    packs.retain(|name, entry| {
        let over = is_over(name, entry);
        changed |= over;
        !over
    });
    for pack in locked {
        let needs = |d: &&LockedId| d.id.kind() == Kind::Pack;
        let name_of = |d: &LockedId| locked.iter().find(|p| p.id == d.id).map(|p| id(p.name.as_str()));
        let mut entry = json!({
            "version": pack.version.to_string(),
            "source": { "type": "Registry", "url": url(&pack.registry) },
            "integrity": format!("sha256-{}", pack.archive.sha256),
            "dependencies": pack.dependencies.iter().filter(needs).filter_map(name_of).collect::<Vec<_>>(),
        });
        let there = packs.get(&id(pack.name.as_str()));
        let installed = there.and_then(|t| t.get("installed_at")).cloned();
        entry["installed_at"] = installed.clone().unwrap_or_default();
        if installed.is_some() && there == Some(&entry) {
            continue;
        }
        entry["installed_at"] = json!(now);
        packs.insert(id(pack.name.as_str()), entry);
        changed = true;
    }
    if !changed {
        return Ok(None);
    }
    document.insert("updated_at".into(), json!(now));
    document.entry("ggen_version").or_insert_with(|| concat!("ggen-market ", env!("CARGO_PKG_VERSION")).into());
    let text = serde_json::to_string_pretty(&document).map_err(|e| broken(RECORD, &e.to_string()))?;
    Ok(Some(text + "\n"))
}

/// Where a registry of that origin is, as ggen writes sources down.
fn url(origin: &str) -> String {
    format!("https://{origin}")
}
