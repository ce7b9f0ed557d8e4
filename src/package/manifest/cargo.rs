//! The `Cargo.toml` inside a `.crate`, read as crates.io reads it into its index.
//!
//! Why not a library: `cargo-util-schemas`, cargo's own types, parses the whole manifest and with it refuses packages for
//! odd shapes in tables that no registry looks at; its newest version that builds with this project's Rust (0.14.1; 0.14.3
//! wants 1.97) brings seven crates that nothing else here uses (a calendar, an erased serde, a dynamic value type, …),
//! makes an incompatible release with every cargo, and still leaves the step from manifest to index to us. `cargo_toml`
//! guesses targets from the file system. What an index needs is a dozen keys, and the test that compares this reader with
//! the real index lines of real crates holds it to them, so it is kept small and here.
//!
//! Crates that were published years ago are read too: `[project]`, `dev_dependencies`, `default_features`, dependencies
//! without any version.

use super::{
    Manifest, ManifestError, Problem,
    document::{self, Document, Table},
    keep_words,
    text::{clean_line, clean_text},
};
use crate::package::{Dependency, DependencyKind, Kind, PackageId, PackageName, TextFile, summarize};
use toml::{Spanned, de::DeValue};

/// The manifest's name in a `.crate`.
pub const FILE: &str = "Cargo.toml";

/// Reads the bytes of a `Cargo.toml` out of a `.crate`.
pub fn read(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let text = document::text(FILE, bytes)?;
    let document = Document::parse(FILE, text)?;
    let root = document.root();
    // `[project]` is what `[package]` was called before 2015.
    let package = match root.table("package")? {
        Some(table) => table,
        None => root.table("project")?.ok_or_else(|| root.fail_key("package", Problem::NoTable("`[package]`")))?,
    };
    let name = name(&package)?;
    let version = package
        .required("version")?
        .parse()
        .map_err(|error| package.fail_key("version", Problem::Version { key: package.key("version"), error }))?;
    let file = TextFile { path: FILE.into(), text: text.to_owned(), truncated: false };
    let mut m = Manifest::new(Kind::Crate, name, version, file);
    m.authors = package.loose_list("authors").into_iter().filter_map(clean_line).collect();
    m.description = package.loose_str("description").and_then(clean_text);
    m.documentation = package.loose_str("documentation").and_then(clean_line);
    m.homepage = package.loose_str("homepage").and_then(clean_line);
    m.repository = package.loose_str("repository").and_then(clean_line);
    m.readme = package.loose_str("readme").and_then(clean_line);
    keep_words(&mut m.categories, package.loose_list("categories"));
    keep_words(&mut m.keywords, package.loose_list("keywords"));
    m.license = license(&package);
    m.links = package.str("links")?.map(str::to_owned);
    m.rust_version = package.str("rust-version")?.map(str::to_owned);
    dependencies(&root, None, &mut m.dependencies)?;
    if let Some(targets) = root.table("target")? {
        for (target, value) in targets.bounded()? {
            let table = targets.value_as_table(target, value);
            let table = table.ok_or_else(|| targets.wrong_type(target, value, "a table"))?;
            dependencies(&table, Some(&platform(target)), &mut m.dependencies)?;
        }
    }
    if m.dependencies.len() > super::MAX_LIST {
        return Err(root.fail_key("dependencies", Problem::TooMany("dependencies".into())));
    }
    if let Some(features) = root.table("features")? {
        for (feature, value) in features.bounded()? {
            let turned_on = features.value_as_list(feature, value)?.into_iter().map(str::to_owned).collect();
            m.features.insert(feature.to_owned(), turned_on);
        }
    }
    Ok(m)
}

fn name(package: &Table<'_>) -> Result<PackageName, ManifestError> {
    let text = package.required("name")?;
    let fail = |error| package.fail_key("name", Problem::Name { key: package.key("name"), error });
    let name = PackageName::new(text).map_err(fail)?;
    PackageId::new(Kind::Crate, &name).map_err(fail)?;
    Ok(name)
}

/// The licence: an expression, or else npm's words for "there is a file".
fn license(package: &Table<'_>) -> Option<String> {
    let expression = package.loose_str("license").and_then(clean_line);
    let in_file = || package.loose_str("license-file").and_then(clean_line).map(|f| format!("SEE LICENSE IN {f}"));
    expression.or_else(in_file).map(|text| summarize(&text))
}

/// The dependency tables of the whole package or of one target. A table's newer spelling wins, as in cargo.
fn dependencies(table: &Table<'_>, target: Option<&str>, out: &mut Vec<Dependency>) -> Result<(), ManifestError> {
    let kinds = [
        (DependencyKind::Normal, ["dependencies", "dependencies"]),
        (DependencyKind::Dev, ["dev-dependencies", "dev_dependencies"]),
        (DependencyKind::Build, ["build-dependencies", "build_dependencies"]),
    ];
    for (kind, [new, old]) in kinds {
        let Some(dependencies) = table.table(if table.has(new) { new } else { old })? else { continue };
        for (key, value) in dependencies.bounded()? {
            out.extend(dependency(&dependencies, key, value, kind, target)?);
        }
    }
    Ok(())
}

fn dependency<'d>(
    table: &Table<'d>,
    key: &'d str,
    value: &'d Spanned<DeValue<'d>>,
    kind: DependencyKind,
    target: Option<&str>,
) -> Result<Option<Dependency>, ManifestError> {
    let mut dependency = Dependency {
        alias: None,
        default_features: true,
        features: Vec::new(),
        kind,
        // Cargo holds local names to the same rule as real ones.
        name: table.name(key, value, key)?,
        optional: false,
        registry: None,
        req: "*".into(),
        target: target.map(str::to_owned),
    };
    if let Some(text) = value.get_ref().as_str() {
        dependency.req = table.requirement(key, value, text)?;
        return Ok(Some(dependency));
    }
    let Some(t) = table.value_as_table(key, value) else {
        return Err(table.wrong_type(key, value, "a string or a table"));
    };
    if let (Some(real), Some(at)) = (t.str("package")?, t.get("package"))
        && real != key
    {
        dependency.name = t.name("package", at, real)?;
        dependency.alias = Some(key.to_owned());
    }
    match (t.str("version")?, t.get("version")) {
        (Some(text), Some(at)) => dependency.req = t.requirement("version", at, text)?,
        // Cargo leaves such development dependencies out when it publishes.
        _ if (t.has("path") || t.has("git")) && kind == DependencyKind::Dev => return Ok(None),
        _ if t.has("path") || t.has("git") => {
            let reason = "a path or git dependency without a version: nobody else could find it";
            return Err(table.fail(value, Problem::Dependency { key: table.key(key), reason }));
        }
        _ if t.has("workspace") => {
            let reason = "inherits from a workspace: this manifest was not prepared for publishing";
            return Err(table.fail(value, Problem::Dependency { key: table.key(key), reason }));
        }
        // No version at all meant any version, until cargo forbade it.
        _ => {}
    }
    dependency.optional = t.flag("optional")?.unwrap_or(false);
    dependency.features = t.list("features")?.unwrap_or_default().into_iter().map(str::to_owned).collect();
    let spelling = if t.has("default-features") { "default-features" } else { "default_features" };
    dependency.default_features = t.flag(spelling)?.unwrap_or(true);
    dependency.registry = registry(&t)?;
    Ok(Some(dependency))
}

/// A target as cargo's index spells it: one space around `=` and after `,` of a `cfg(…)`, none elsewhere. What is no `cfg`,
/// or holds something that none has, stays as it is.
fn platform(target: &str) -> String {
    let Some(inner) = target.strip_prefix("cfg(").and_then(|t| t.strip_suffix(')')) else { return target.to_owned() };
    let mut out = String::from("cfg(");
    // Every other part, split at quotes, is the inside of a string.
    for (i, part) in inner.split('"').enumerate() {
        if i % 2 == 1 {
            out.extend(['"'].into_iter().chain(part.chars()).chain(['"']));
            continue;
        }
        for c in part.chars().filter(|c| !c.is_ascii_whitespace()) {
            match c {
                '=' => out.push_str(" = "),
                ',' => out.push_str(", "),
                ')' => {
                    // A comma before the closing parenthesis means nothing.
                    let kept = out.trim_end_matches(", ").len();
                    out.truncate(kept);
                    out.push(')');
                }
                c if c.is_alphanumeric() || "_(#".contains(c) => out.push(c),
                _ => return target.to_owned(),
            }
        }
    }
    out.push(')');
    out
}

/// The other registry a dependency comes from. None given means the registry of the package itself, as in cargo's index.
fn registry(dependency: &Table<'_>) -> Result<Option<String>, ManifestError> {
    let fail =
        |key: &str, reason| Err(dependency.fail_key(key, Problem::Dependency { key: dependency.key(key), reason }));
    let Some(index) = dependency.str("registry-index")? else {
        if dependency.has("registry") {
            return fail("registry", "names a registry of the author's machine: `registry-index` has to give its URL");
        }
        return Ok(None);
    };
    match registry_url(index) {
        Ok(()) => Ok(Some(index.to_owned())),
        Err(reason) => fail("registry-index", reason),
    }
}

/// Whether a text is the URL of a registry that anybody could use; else why not.
pub(crate) fn registry_url(text: &str) -> Result<(), &'static str> {
    match url::Url::parse(text.strip_prefix("sparse+").unwrap_or(text)) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err("a registry's URL has to start with http:// or https://")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("a registry's URL must not hold credentials")
        }
        Ok(_) => Ok(()),
        Err(_) => Err("a registry's URL is not a URL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_spelt_as_in_cargos_index() {
        for (written, spelt) in [
            ("cfg(unix)", "cfg(unix)"),
            ("x86_64-pc-windows-msvc", "x86_64-pc-windows-msvc"),
            (r#"cfg(target_arch="wasm32")"#, r#"cfg(target_arch = "wasm32")"#),
            (r#"cfg( all(unix,not( a="b , c" ),) )"#, r#"cfg(all(unix, not(a = "b , c")))"#),
            ("cfg(a & b)", "cfg(a & b)"),
        ] {
            assert_eq!(platform(written), spelt);
        }
    }
}
