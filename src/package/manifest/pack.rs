//! The manifest of a ggen package: `pack.toml`, `package.toml` or `gpack.toml`, in every shape that is in use.
//!
//! **Name.** The `id` if it is a legal name, else the `name` if it is one, else the folder's name: real packages have a
//! title in `name` and the name in `id`, or live in a folder that is named differently, and this order loses none of them.
//!
//! **Dependencies.** A top-level `[dependencies]` means crates.io crates in some manifests, packs in others, and files in
//! yet others; one name (`clap-noun-verb`) is even both a crate and a pack. So a dependency on a pack has to be said where
//! nothing else can be meant: `[pack.dependencies]` (or `[package.dependencies]`, `[gpack.dependencies]`, each also as a
//! list of names), `required` and `optional` lists in `[dependencies]`, and `[dependencies]` of a file with a `[gpack]`
//! table. Everything else that has a version requirement is kept as [`External`]; a value that is a path or a pattern is
//! not a requirement, and stays in the verbatim manifest only.

use super::{
    Manifest, ManifestError, Problem,
    document::{self, Document, Table, requirement},
    keep_words,
    text::{clean_line, clean_text},
};
use crate::package::{Dependency, DependencyKind, External, Kind, PackageId, PackageName, TextFile, summarize};
use std::collections::BTreeSet;
use toml::{Spanned, de::DeValue};

/// The manifest's possible names, in the order they are looked for, each with its own table.
pub const FILES: [(&str, &str); 3] = [("pack.toml", "pack"), ("package.toml", "package"), ("gpack.toml", "gpack")];

/// Whether a text describes a package: it has one of the tables, or it is no TOML at all. A broken manifest has to be
/// reported, not passed over.
pub(crate) fn recognizes(bytes: &[u8]) -> bool {
    let Ok(text) = document::text("", bytes) else { return true };
    Document::parse("", text).map_or(true, |d| FILES.iter().any(|(_, table)| d.root().loose_table(table).is_some()))
}

/// Tables in which some packages say what others say in the main one.
const MORE: [&str; 2] = ["marketplace", "metadata"];

/// Reads the manifest `file`, one of [`FILES`], of a package in the folder named `folder`.
pub fn read(file: &str, folder: &str, bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let text = document::text(file, bytes)?;
    let document = Document::parse(file, text)?;
    let root = document.root();
    let (table, main) = main_table(&root, file)?;
    let name = name(&main, folder)?;
    let version = main
        .required("version")?
        .parse()
        .map_err(|error| main.fail_key("version", Problem::Version { key: main.key("version"), error }))?;
    let verbatim = TextFile { path: file.into(), text: text.to_owned(), truncated: false };
    let mut m = Manifest::new(Kind::Pack, name, version, verbatim);
    m.description = first(&root, &main, "description", &MORE, clean_text);
    m.license = first(&root, &main, "license", &MORE, clean_line).map(|l| summarize(&l));
    words(&root, &main, &mut m);
    places(&root, &main, &mut m);
    let mut wanted = Wanted { owner: PackageId::new(Kind::Pack, &m.name).ok(), ..Wanted::default() };
    own_dependencies(&main, &mut wanted)?;
    if let Some(dependencies) = root.loose_table("dependencies") {
        if table == "gpack" {
            wanted.all_of(&dependencies)?;
        } else {
            shared_dependencies(&dependencies, &mut wanted)?;
        }
    }
    (m.dependencies, m.external) = (wanted.packs, wanted.external);
    Ok(m)
}

/// The table that describes the package: the file's own one, else any of the others.
fn main_table<'d>(root: &Table<'d>, file: &str) -> Result<(&'static str, Table<'d>), ManifestError> {
    let own = FILES.iter().filter(|(f, _)| *f == file);
    let mut tables = own.chain(FILES.iter()).map(|(_, t)| *t);
    tables
        .find_map(|t| root.loose_table(t).map(|table| (t, table)))
        .ok_or_else(|| root.fail_key("", Problem::NoTable("`[pack]`, `[package]` or `[gpack]`")))
}

fn name(main: &Table<'_>, folder: &str) -> Result<PackageName, ManifestError> {
    let legal = |text: &str| {
        let name = PackageName::new(text)?;
        PackageId::new(Kind::Pack, &name).map(|_| name)
    };
    let written = ["id", "name"].into_iter().filter_map(|key| Some((key, main.loose_str(key)?)));
    let mut first = None;
    for (key, text) in written.chain([("folder", folder)]) {
        match legal(text) {
            Ok(name) => return Ok(name),
            Err(error) => _ = first.get_or_insert((key, error)),
        }
    }
    // The first thing that the author wrote is what the author should be told about.
    Err(match first {
        Some((key @ ("id" | "name"), error)) => main.fail_key(key, Problem::Name { key: main.key(key), error }),
        _ => main.fail_key("name", Problem::Missing(main.key("name"))),
    })
}

/// Keywords, categories and authors: under the singular or the plural, as a string, a list or a table that holds the list
/// (`[package.tags] tags = […]`), in the main table or in `[marketplace]` and `[metadata]`.
fn words(root: &Table<'_>, main: &Table<'_>, m: &mut Manifest) {
    let more = MORE.into_iter().filter_map(|t| root.loose_table(t));
    for table in [main.clone()].into_iter().chain(more) {
        for key in ["keywords", "keyword", "tags"] {
            keep_words(&mut m.keywords, list_or_table(&table, key));
        }
        for key in ["categories", "category"] {
            keep_words(&mut m.categories, list_or_table(&table, key));
        }
        for author in ["authors", "author"].into_iter().flat_map(|key| list_or_table(&table, key)) {
            if let Some(author) = clean_line(author).filter(|a| !m.authors.contains(a)) {
                m.authors.push(author);
            }
        }
    }
}

fn list_or_table<'d>(table: &Table<'d>, key: &str) -> Vec<&'d str> {
    match table.loose_table(key) {
        Some(inner) => inner.loose_list(key),
        None => table.loose_list(key),
    }
}

/// Web addresses and the readme's path.
fn places(root: &Table<'_>, main: &Table<'_>, m: &mut Manifest) {
    let find = |key: &str, others: &[&str]| first(root, main, key, others, clean_line);
    m.repository = find("repository", &MORE);
    m.homepage = find("homepage", &MORE);
    m.documentation = find("documentation", &MORE);
    m.readme = find("readme", &["documentation", "docs"]);
}

/// The first text that says something, in the main table or in the others.
fn first(
    root: &Table<'_>,
    main: &Table<'_>,
    key: &str,
    others: &[&str],
    clean: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let others = others.iter().filter_map(|t| root.loose_table(t)?.loose_str(key));
    main.loose_str(key).into_iter().chain(others).find_map(clean)
}

/// What was found that the package needs.
#[derive(Default)]
struct Wanted {
    owner: Option<PackageId>,
    seen: BTreeSet<PackageId>,
    packs: Vec<Dependency>,
    external: Vec<External>,
}

impl Wanted {
    fn pack(
        &mut self,
        table: &Table<'_>,
        key: &str,
        at: &Spanned<DeValue<'_>>,
        name: &str,
        form: Form,
    ) -> Result<(), ManifestError> {
        let name = table.name(key, at, name)?;
        let id = PackageId::new(Kind::Pack, &name)
            .map_err(|error| table.fail(at, Problem::Name { key: table.key(key), error }))?;
        if self.owner.as_ref() == Some(&id) {
            let reason = "a package cannot depend on itself";
            return Err(table.fail(at, Problem::Dependency { key: table.key(key), reason }));
        }
        // The same package in two of the places is one dependency; the first place is the more explicit one.
        if !self.seen.insert(id) {
            return Ok(());
        }
        if self.packs.len() >= super::MAX_LIST {
            return Err(table.fail(at, Problem::TooMany("dependencies".into())));
        }
        self.packs.push(Dependency {
            alias: None,
            default_features: true,
            features: form.features,
            kind: DependencyKind::Normal,
            name,
            optional: form.optional,
            registry: None,
            req: form.req,
            target: None,
        });
        Ok(())
    }

    /// A list of names: any version will do.
    fn names(&mut self, table: &Table<'_>, key: &str, optional: bool) -> Result<(), ManifestError> {
        let Some(value) = table.get(key) else { return Ok(()) };
        for name in table.value_as_list(key, value)? {
            self.pack(table, key, value, name, Form { optional, ..Form::any() })?;
        }
        Ok(())
    }

    /// A table whose every key is a package: `"io.example.base" = "^1.0"` or `{ version, optional, features }`. The lists
    /// `required` and `optional` are understood here too.
    fn all_of(&mut self, table: &Table<'_>) -> Result<(), ManifestError> {
        for (key, value) in table.bounded()? {
            match value.get_ref() {
                DeValue::String(req) => {
                    let req = table.requirement(key, value, req)?;
                    self.pack(table, key, value, key, Form { req, ..Form::any() })?;
                }
                DeValue::Array(_) if matches!(key, "required" | "optional") => {
                    self.names(table, key, key == "optional")?;
                }
                DeValue::Table(_) => {
                    let t = table.value_as_table(key, value).unwrap_or_else(|| table.clone());
                    let mut form = Form::any();
                    if let (Some(req), Some(at)) = (t.str("version")?, t.get("version")) {
                        form.req = t.requirement("version", at, req)?;
                    }
                    form.optional = t.flag("optional")?.unwrap_or(false);
                    form.features = t.list("features")?.unwrap_or_default().into_iter().map(str::to_owned).collect();
                    self.pack(table, key, value, key, form)?;
                }
                _ => return Err(table.wrong_type(key, value, "a version requirement or a table")),
            }
        }
        Ok(())
    }

    fn external(&mut self, ecosystem: &str, name: &str, form: Form) {
        if let (Some(name), true) = (clean_line(name), self.external.len() < super::MAX_LIST) {
            let (features, optional) = (form.features, form.optional);
            let req = Some(form.req).filter(|r| !r.is_empty());
            self.external.push(External { ecosystem: ecosystem.to_owned(), features, name, optional, req });
        }
    }
}

/// How a dependency is wanted.
struct Form {
    req: String,
    optional: bool,
    features: Vec<String>,
}

impl Form {
    fn any() -> Self {
        Self { req: "*".into(), optional: false, features: Vec::new() }
    }
}

/// `[pack.dependencies]` and its like, or `dependencies = ["name", …]` in the main table.
fn own_dependencies(main: &Table<'_>, wanted: &mut Wanted) -> Result<(), ManifestError> {
    match main.get("dependencies").map(Spanned::get_ref) {
        Some(DeValue::Array(_)) => wanted.names(main, "dependencies", false),
        Some(_) => main.table("dependencies")?.map_or(Ok(()), |table| wanted.all_of(&table)),
        None => Ok(()),
    }
}

/// The ambiguous top-level `[dependencies]`: packs in its two lists, crates and other languages' packages elsewhere.
fn shared_dependencies(table: &Table<'_>, wanted: &mut Wanted) -> Result<(), ManifestError> {
    for (key, value) in table.entries() {
        match value.get_ref() {
            DeValue::Array(_) if matches!(key, "required" | "optional") => {
                wanted.names(table, key, key == "optional")?;
            }
            DeValue::String(req) if requirement(req).is_ok() => {
                wanted.external("crates.io", key, Form { req: req.trim().to_owned(), ..Form::any() });
            }
            DeValue::Table(_) => {
                let Some(inner) = table.value_as_table(key, value) else { continue };
                match (crate_form(&inner), ecosystem(key)) {
                    (Some(form), _) => wanted.external("crates.io", key, form),
                    (None, Some(ecosystem)) => language(&inner, ecosystem, wanted),
                    (None, None) => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A table that asks for a crate as cargo's manifests do.
fn crate_form(table: &Table<'_>) -> Option<Form> {
    let req = table.loose_str("version");
    // A path alone means a part of the package itself.
    if req.is_none() && !table.has("git") {
        return None;
    }
    Some(Form {
        req: req.map(|r| r.trim().to_owned()).unwrap_or_default(),
        optional: table.get("optional").and_then(|v| v.get_ref().as_bool()).unwrap_or(false),
        features: table.loose_list("features").into_iter().map(str::to_owned).collect(),
    })
}

/// The packages of one language.
fn language(table: &Table<'_>, ecosystem: &str, wanted: &mut Wanted) {
    for (key, value) in table.entries() {
        if let Some(req) = value.get_ref().as_str().filter(|r| !r.contains(['/', '\\'])).and_then(clean_line) {
            wanted.external(ecosystem, key, Form { req, ..Form::any() });
        } else if let Some(form) = table.value_as_table(key, value).and_then(|t| crate_form(&t)) {
            wanted.external(ecosystem, key, form);
        }
    }
}

/// Where the packages of a language are looked up.
fn ecosystem(language: &str) -> Option<&'static str> {
    Some(match language {
        "rust" | "cargo" | "crates" => "crates.io",
        "typescript" | "javascript" | "node" | "npm" => "npm",
        "python" | "pypi" | "pip" => "pypi",
        "java" | "kotlin" | "maven" => "maven",
        "go" | "golang" => "go",
        "ruby" | "gem" => "rubygems",
        "csharp" | "dotnet" | "nuget" => "nuget",
        "elixir" | "erlang" | "hex" => "hex",
        _ => return None,
    })
}
