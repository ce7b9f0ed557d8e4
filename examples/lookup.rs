//! The least that a program needs to read a registry:
//! `cargo run --example lookup -- https://packages.example.com/ggen KEY NAME`

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use ggen_marketplace::{Client, ClientOptions, Result, Store, default_cache};

#[tokio::main]
async fn main() -> Result<()> {
    let [place, key, name] = std::env::args().skip(1).collect::<Vec<_>>().try_into().unwrap_or_else(|_| {
        eprintln!("usage: lookup PLACE KEY NAME");
        std::process::exit(2)
    });
    let mut options = ClientOptions::default();
    options.cache = default_cache();
    let client = Client::new(Store::open(&place)?, &[key.parse()?], options)?;
    let package = client.latest().await?.find(&name.parse()?).await?;
    for release in package.releases.iter().filter(|r| r.is_available()) {
        println!("{} {} {}", release.name, release.version, release.archive.sha256);
    }
    Ok(())
}
