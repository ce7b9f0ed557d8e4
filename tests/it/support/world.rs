//! A publisher's desk: a folder of packages, a key, a registry in a refereed store, and readers of it.

use super::{
    referee::Referee,
    second_reader::{self, Found},
    tarball::Tarball,
};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, Report, Result, SigningKey, Store, VerifierKey, package::Timestamp,
};
use std::{fs, path::PathBuf};

pub(crate) const ORIGIN: &str = "registry.example.com/ggen";

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) referee: Referee,
    pub(crate) key: VerifierKey,
    secret: String,
    pub(crate) options: BuildOptions,
}

impl World {
    /// A world with an empty registry in it.
    pub(crate) async fn new() -> Self {
        let world = Self::without_registry();
        world.registry().init(&world.options).await.unwrap();
        world.referee.take_writes();
        world
    }

    pub(crate) fn without_registry() -> Self {
        let key = SigningKey::generate(ORIGIN.parse().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("packages")).unwrap();
        let (secret, key) = (key.to_secret_text().to_string(), key.verifier().clone());
        Self { dir, referee: Referee::default(), key, secret, options: BuildOptions::at(Timestamp::now()) }
    }

    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_secret_text(&self.secret).unwrap()
    }

    /// A writer on this machine: all of them share one trust state.
    pub(crate) fn registry(&self) -> Registry {
        self.registry_in(self.referee.store())
    }

    pub(crate) fn registry_in(&self, store: Store) -> Registry {
        Registry::new(store, self.signing_key(), &self.dir.path().join("state"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.referee.store(), std::slice::from_ref(&self.key), ClientOptions::default()).unwrap()
    }

    /// A client with a cache and a trust state of its own.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut ClientOptions)) -> Client {
        let mut options = ClientOptions::default();
        options.cache = Some(self.dir.path().join("cache"));
        change(&mut options);
        Client::new(self.referee.store(), std::slice::from_ref(&self.key), options).unwrap()
    }

    pub(crate) fn sources(&self) -> PathBuf {
        self.dir.path().join("packages")
    }

    pub(crate) async fn build(&self) -> Result<Report> {
        self.registry().build(&[self.sources()], &self.options).await
    }

    /// Writes a real `.crate`, as cargo packs one.
    pub(crate) fn add_crate(&self, name: &str, version: &str, body: &str) -> PathBuf {
        let top = format!("{name}-{version}");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"The crate {name}\"\nlicense = \"MIT\"\n"
        );
        let bytes =
            Tarball::default().file(format!("{top}/Cargo.toml"), manifest).file(format!("{top}/src/lib.rs"), body).gz();
        let path = self.sources().join(format!("{top}.crate"));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes the folder of a template pack.
    pub(crate) fn add_pack(&self, name: &str, version: &str, template: &str) -> PathBuf {
        let path = self.sources().join(name);
        fs::create_dir_all(path.join("templates")).unwrap();
        let manifest =
            format!("[pack]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"The pack {name}\"\n");
        fs::write(path.join("pack.toml"), manifest).unwrap();
        fs::write(path.join("ontology.ttl"), "@prefix : <#> .\n").unwrap();
        fs::write(path.join("templates/main.tmpl"), template).unwrap();
        path
    }

    /// Writes a list of packages that are hosted elsewhere.
    pub(crate) fn add_lines(&self, file: &str, range: std::ops::Range<u64>) -> PathBuf {
        let line = |i: u64| {
            let sha256 = second_reader::hex(&i.to_be_bytes());
            format!(
                r#"{{"name":"elsewhere-{i}","version":"1.0.0","summary":"Number {i}","sha256":"{sha256}","size":{i},"download_url":"https://downloads.example.com/{i}.tar.gz"}}"#
            )
        };
        let path = self.sources().join(file);
        fs::write(&path, range.map(|i| line(i) + "\n").collect::<String>()).unwrap();
        path
    }

    /// The registry as the second reader sees it.
    pub(crate) fn found(&self) -> Found {
        second_reader::read(&self.referee.objects())
    }

    /// A reader of a registry whose builder holds the right key and cites a shard with false sizes.
    pub(crate) async fn lie_about_the_first_shard(&self, size: u64, raw: u64) -> Client {
        use std::io::{Read, Write};
        let objects = self.referee.objects();
        let slot = &objects["log/0000000001"];
        let link = std::str::from_utf8(slot).unwrap().lines().find_map(|l| l.strip_prefix("snapshot ")).unwrap();
        let stored = &objects[&format!("blobs/sha256/{}", link.split(' ').next().unwrap())];
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&stored[..]).read_to_end(&mut text).unwrap();
        let mut snapshot: serde_json::Value = serde_json::from_slice(&text).unwrap();
        snapshot["index"][0]["link"]["size"] = size.into();
        snapshot["index"][0]["link"]["raw"] = raw.into();
        let text = snapshot.to_string();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(text.as_bytes()).unwrap();
        let stored = gz.finish().unwrap();
        let sha256 = ggen_marketplace::package::Sha256::of(&stored);
        let claim = ggen_marketplace::trust::Claim {
            origin: ORIGIN.parse().unwrap(),
            generation: 1,
            previous: Some(ggen_marketplace::package::Sha256::of(&objects["log/0000000000"])),
            snapshot: ggen_marketplace::package::Link {
                raw: Some(text.len() as u64),
                sha256,
                size: stored.len() as u64,
            },
            time: self.options.now,
            expires: self.options.now.plus(self.options.validity),
            nonce: [0; 16],
        };
        let slot = claim.sign(&self.signing_key()).unwrap();
        let checkpoint = ggen_marketplace::trust::Checkpoint::sign(&slot, &self.signing_key()).unwrap();
        self.referee.plant(&format!("blobs/sha256/{sha256}"), &stored).await;
        self.referee.plant("checkpoint", checkpoint.bytes()).await;
        self.client()
    }
}
