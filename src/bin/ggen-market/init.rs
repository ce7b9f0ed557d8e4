//! `init`: a new registry, its key and its configuration; and with `--template` what an operator needs around it.
//!
//! The order makes every interruption harmless. The key comes first, since a registry whose key is lost can never be
//! written again; a key that is there is used and never written over. The registry comes last.

use crate::{
    args::Init,
    config,
    failure::{Code, Failure},
    files::write_new,
    output::Ui,
    settings::{Known, Settings, lies_in, public_key_file, read_key},
    template::{self, Places, Rendered},
};
use ggen_marketplace::{Registry, SigningKey, Store, trust::Origin};
use serde::Serialize;
use std::{fs, path::Path};
use zeroize::Zeroizing;

const KEY_FILE: &str = "ggen-market.key";

#[derive(Serialize)]
struct Document {
    origin: Option<String>,
    store: Option<String>,
    key: Option<String>,
    key_file: Option<String>,
    config: String,
    /// None where only templates were written.
    generation: Option<u64>,
    templates: Vec<Rendered>,
}

pub(crate) async fn run(args: &Init, settings: &Settings, config: Option<&Path>) -> Result<Code, Failure> {
    if config.is_some_and(|c| !c.as_os_str().is_empty()) {
        // The paths in it would have to be worked out anew, for no gain: it can be moved by hand.
        return Err(Failure::usage(format!("`init` writes {} into the current directory", config::FILE))
            .hint("leave out --config and GGEN_MARKET_CONFIG, and change to the folder where the file should be"));
    }
    if !args.templates.is_empty() && Path::new(config::FILE).symlink_metadata().is_ok() {
        return write_templates(args, &settings.with_file()?);
    }
    let origin = args.origin.as_ref().filter(|o| !o.is_empty()).ok_or_else(|| {
        Failure::usage("no origin is set")
            .hint("give --origin or set GGEN_MARKET_ORIGIN: the registry's own name, like registry.example.com/ggen")
    })?;
    let origin: Origin = origin.parse().map_err(ggen_marketplace::Error::from)?;
    let (location, options, cache) = settings.new_registry(args)?;
    let key_file = args.key.key_file.clone().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| KEY_FILE.into());
    let config_file = Path::new(config::FILE);
    let again = is_interrupted(config_file, (&origin, &location), &key_file);
    if !args.force && !again && config_file.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("there is a {} here already", config::FILE))
            .hint("--force writes it anew; another registry wants another folder"));
    }
    let store = Store::create_with(&location, &settings.store_options(args.single_writer))?;
    if let Some(folder) = store.path() {
        if lies_in(&key_file, folder) {
            return Err(public_key_file(&key_file, folder));
        }
        if lies_in(config_file, folder) {
            return Err(Failure::usage("the current directory lies in the store")
                .hint("a store is public: run this where the configuration may stay"));
        }
    }
    // What cannot be written is found before anything is.
    template::check(&template::render(&args.templates, &Places::default()), Some(&location), args.force)?;
    let (key, new_key) = key(&key_file, &origin)?;
    let verifier = key.verifier().to_string();
    let new_config = config_file.symlink_metadata().is_err();
    let text = text(&origin, &location, &verifier, &key_file)?;
    write_new(config_file, text.as_bytes(), args.force || again, 0o644)?;
    if let Err(e) = Registry::new(store.clone(), key, &cache).init(&options).await {
        // Nothing was signed by the new key then. After any other error that is not known, and the key has to stay.
        if e.kind() == ggen_marketplace::ErrorKind::Invalid {
            let made = [(new_key, key_file.as_path()), (new_config, config_file)];
            made.into_iter().filter(|(new, _)| *new).for_each(|(_, path)| drop(fs::remove_file(path)));
        }
        return Err(e.into());
    }
    let known = Known { key: Some(verifier.clone()), ..settings.known(args) };
    let templates = template::render(&args.templates, &Places::new(&known));
    let document = Document {
        origin: Some(origin.to_string()),
        store: Some(store.to_string()),
        key: Some(verifier),
        key_file: Some(key_file.display().to_string()),
        config: config::FILE.into(),
        generation: Some(0),
        templates,
    };
    announce(&settings.ui, &document, new_key, args.force)
}

/// Whether the configuration and the key that are there are what this run would write: an earlier one was interrupted.
fn is_interrupted(config_file: &Path, (origin, location): (&Origin, &str), key_file: &Path) -> bool {
    let Ok(key) = read_key(key_file) else { return false };
    let wanted = text(origin, location, &key.verifier().to_string(), key_file);
    wanted.is_ok_and(|wanted| fs::read_to_string(config_file).is_ok_and(|there| there == wanted))
}

/// Writes templates for a registry that has its configuration already.
fn write_templates(args: &Init, settings: &Settings) -> Result<Code, Failure> {
    let known = settings.known(args);
    if let Some(wanted) = &known.origin {
        let wanted: Origin = wanted.parse().map_err(ggen_marketplace::Error::from)?;
        if let Some(said) = settings.config.origin.as_ref().filter(|said| **said != wanted) {
            return Err(Failure::usage(format!("the {} here is of {said}, not of {wanted}", config::FILE))
                .hint("another registry wants another folder"));
        }
    }
    let templates = template::render(&args.templates, &Places::new(&known));
    template::check(&templates, known.store.as_deref(), args.force)?;
    template::write(&templates, args.force, &settings.ui)?;
    if !settings.ui.json {
        template::print(&templates, &settings.ui)?;
        return Ok(Code::Done);
    }
    settings.ui.document(&Document {
        origin: known.origin,
        store: known.store,
        key: known.key,
        key_file: settings.config.key_file.as_ref().map(|f| f.display().to_string()),
        config: config::FILE.into(),
        generation: None,
        templates,
    })?;
    Ok(Code::Done)
}

fn announce(ui: &Ui, made: &Document, new_key: bool, force: bool) -> Result<Code, Failure> {
    let shown = |text: &Option<String>| text.clone().unwrap_or_default();
    let (origin, store, key) = (shown(&made.origin), shown(&made.store), shown(&made.key));
    let known = if new_key { "" } else { ", which was there already" };
    ui.note(&format!("{store} holds a new registry, {origin}"));
    let key_file = shown(&made.key_file);
    ui.note(&format!("{key_file} holds its secret key{known}: keep a copy in a safe place, and never publish it"));
    ui.note(&format!("{} says where everything is; `ggen-market build --source FOLDER` publishes", made.config));
    // Only now: the registry is there whatever becomes of these.
    template::write(&made.templates, force, ui)?;
    ui.note("readers pin this public key:");
    if ui.json {
        ui.document(made)?;
    } else {
        ui.write(|out| writeln!(out, "{key}"))?;
    }
    Ok(Code::Done)
}

/// The key in that file; a new one where there is none. And whether it is new.
fn key(path: &Path, origin: &Origin) -> Result<(SigningKey, bool), Failure> {
    if path.symlink_metadata().is_ok() {
        let key = read_key(path)?;
        if key.origin() != origin {
            let message = format!("the key in {} is of {}, not of {origin}", path.display(), key.origin());
            return Err(Failure::usage(message).hint("--key-file names another file for the new key"));
        }
        return Ok((key, false));
    }
    let key = SigningKey::generate(origin.clone())?;
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(&key.to_secret_text());
    text.push('\n');
    write_new(path, text.as_bytes(), false, 0o600)?;
    Ok((key, true))
}

/// The configuration file, commented.
fn text(origin: &Origin, store: &str, verifier: &str, key_file: &Path) -> Result<String, Failure> {
    let key_file: &str = key_file
        .to_str()
        .ok_or_else(|| Failure::usage("the key file's path is not UTF-8").hint("choose one that TOML can hold"))?;
    // A JSON string is a TOML string, but for one control character.
    let quoted = |text: &str| serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f");
    let value = |name: &str| match name {
        "origin" => origin.to_string(),
        "quoted origin" => quoted(origin.as_str()),
        "key" => quoted(verifier),
        "store" => quoted(store),
        "key_file" => quoted(key_file),
        other => unreachable!("the template has no place for {other:?}"),
    };
    Ok(template::fill(include_str!("../../../templates/ggen-market.toml"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_looks_like_a_place_of_the_template_stays_as_it_is() {
        let origin: Origin = "registry.example.com".parse().unwrap();
        let text = text(&origin, "./{{key_file}}", "vkey {{store}}", Path::new("a \"b\".key")).unwrap();
        for line in [r#"store = "./{{key_file}}""#, r#"key = "vkey {{store}}""#, r#"key_file = "a \"b\".key""#] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains("# The registry registry.example.com."));
    }
}
