//! `init`: a new registry, its key and its configuration.
//!
//! The order makes every interruption harmless. The key comes first, since a registry whose key is lost can never be
//! written again; a key that is there is used and never written over. The registry comes last.

use crate::{
    args::Init,
    config,
    failure::{Code, Failure},
    output::Ui,
    settings::{Settings, lies_in, public_key_file, read_key},
};
use ggen_marketplace::{Registry, SigningKey, Store, trust::Origin};
use serde::Serialize;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};
use zeroize::Zeroizing;

const KEY_FILE: &str = "ggen-market.key";

#[derive(Serialize)]
struct Document {
    origin: String,
    store: String,
    key: String,
    key_file: String,
    config: String,
    generation: u64,
}

pub(crate) async fn run(args: &Init, settings: &Settings, config: Option<&Path>) -> Result<Code, Failure> {
    if config.is_some_and(|c| !c.as_os_str().is_empty()) {
        // The paths in it would have to be worked out anew, for no gain: it can be moved by hand.
        return Err(Failure::usage(format!("`init` writes {} into the current directory", config::FILE))
            .hint("leave out --config and GGEN_MARKET_CONFIG, and change to the folder where the file should be"));
    }
    let origin = args.origin.as_ref().filter(|o| !o.is_empty()).ok_or_else(|| {
        Failure::usage("no origin is set")
            .hint("give --origin or set GGEN_MARKET_ORIGIN: the registry's own name, like registry.example.com/ggen")
    })?;
    let origin: Origin = origin.parse().map_err(ggen_marketplace::Error::from)?;
    let (location, options, cache) = settings.new_registry(args)?;
    let key_file = args.key.key_file.clone().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| KEY_FILE.into());
    let config_file = Path::new(config::FILE);
    if !args.force && config_file.symlink_metadata().is_ok() {
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
    let (key, new_key) = key(&key_file, &origin)?;
    let verifier = key.verifier().to_string();
    let new_config = config_file.symlink_metadata().is_err();
    write_new(config_file, text(&origin, &location, &verifier, &key_file)?.as_bytes(), args.force, 0o644)?;
    if let Err(e) = Registry::new(store.clone(), key, &cache).init(&options).await {
        // Nothing was signed by the new key then. After any other error that is not known, and the key has to stay.
        if e.kind() == ggen_marketplace::ErrorKind::Invalid {
            let made = [(new_key, key_file.as_path()), (new_config, config_file)];
            made.into_iter().filter(|(new, _)| *new).for_each(|(_, path)| drop(fs::remove_file(path)));
        }
        return Err(e.into());
    }
    let document = Document {
        origin: origin.to_string(),
        store: store.to_string(),
        key: verifier,
        key_file: key_file.display().to_string(),
        config: config::FILE.into(),
        generation: 0,
    };
    announce(&settings.ui, &document, new_key)
}

fn announce(ui: &Ui, made: &Document, new_key: bool) -> Result<Code, Failure> {
    let Document { origin, store, key, key_file, config, .. } = made;
    let known = if new_key { "" } else { ", which was there already" };
    ui.note(&format!("{store} holds a new registry, {origin}"));
    ui.note(&format!("{key_file} holds its secret key{known}: keep a copy in a safe place, and never publish it"));
    ui.note(&format!("{config} says where everything is; `ggen-market build --source FOLDER` publishes"));
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

/// Writes a file whole or not at all, flushed, with those permissions from its first moment.
fn write_new(path: &Path, bytes: &[u8], over: bool, mode: u32) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::io("write", path, &e);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are private, so a secret is at no time readable by others.
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    #[cfg(not(unix))]
    let _ = mode;
    temporary.as_file().sync_all().map_err(failed)?;
    let persisted = if over { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    persisted.map_err(|e| failed(e.error))?;
    // Not every system can flush a folder.
    let _ = OpenOptions::new().read(true).open(folder).and_then(|f| f.sync_all());
    Ok(())
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
    // In one pass: a path that holds a place's text is a path like any other.
    let mut pieces = include_str!("../../../templates/ggen-market.toml").split("{{");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        out.push_str(&value(name));
        out.push_str(rest);
    }
    Ok(out)
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
