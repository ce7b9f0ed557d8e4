//! Publishes the packages of `examples/packages` into `./registry`, and reads one back: `cargo run --example quickstart`.
//!
//! It can be run again and again: the key stays in `./ggen-market.key`, and what is published is not published twice.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use futures::TryStreamExt;
use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, Result, SigningKey, Store};
use std::{fs, io::Write, path::Path};

#[tokio::main]
async fn main() -> Result<()> {
    let key = signing_key(Path::new("ggen-market.key"))?;
    let pinned = key.verifier().clone();
    let store = Store::create("./registry")?;

    // The writer's side.
    let registry = Registry::new(store.clone(), key, Path::new("./registry-state"));
    let options = BuildOptions::now();
    if !Path::new("./registry/checkpoint").exists() {
        registry.init(&options).await?;
    }
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/packages");
    let report = registry.build(&[packages.into()], &options).await?;
    println!("./registry: generation {}, {} added, {} unchanged", report.generation, report.added, report.unchanged);
    for refused in &report.refused {
        println!("refused: {}: {}", refused.place, refused.error);
    }

    // The reader's side: all it needs is the place and the key.
    let client = Client::new(store, std::slice::from_ref(&pinned), ClientOptions::default())?;
    let newest = client.latest().await?;
    let mut names: Vec<_> = newest.list().map_ok(|package| package.id.to_string()).try_collect().await?;
    names.sort();
    println!("packages: {}", names.join(", "));
    let package = newest.find(&"order-workflow-pack".parse()?).await?;
    if let Some(release) = package.newest() {
        println!("{} {}: {}", release.name, release.version, release.summary);
        println!("sha256 {}, {} bytes", release.archive.sha256, release.archive.size);
    }
    println!("try: cargo run -- list --registry ./registry --key '{pinned}'");
    Ok(())
}

/// The key in that file, or a new one.
fn signing_key(path: &Path) -> Result<SigningKey> {
    if let Ok(text) = fs::read_to_string(path) {
        return Ok(SigningKey::from_secret_text(text.trim())?);
    }
    let key = SigningKey::generate("registry.example.com/quickstart".parse()?)?;
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let written = file.open(path).and_then(|mut f| f.write_all(key.to_secret_text().as_bytes()));
    written.unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    Ok(key)
}
