//! A publisher's desk: a folder of packages, a key, a registry in a refereed store, and readers of it.

use super::{
    referee::Referee,
    second_reader::{self, Found},
    tarball::Tarball,
};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, Report, Result, SigningKey, Store, VerifierKey,
    package::{Sha256, Timestamp},
    trust::{Checkpoint, Claim},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
};

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

    /// Publishes what there is. Views that are asked for have to come along.
    pub(crate) async fn build(&self) -> Result<Report> {
        self.registry().build(&[self.sources()], &self.options).await.and_then(Report::require_views)
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

    /// Writes a `.crate` with a readme of so many bytes, which no other one has.
    pub(crate) fn add_readme(&self, name: &str, version: &str, bytes: usize) -> PathBuf {
        let top = format!("{name}-{version}");
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nreadme = \"README.md\"\n");
        let mut readme = format!("# {top}\n");
        while readme.len() < bytes {
            readme += &format!("{}\n", second_reader::hex(readme.as_bytes()));
        }
        readme.truncate(bytes);
        let tar = Tarball::default().file(format!("{top}/Cargo.toml"), manifest);
        let path = self.sources().join(format!("{top}.crate"));
        fs::write(&path, tar.file(format!("{top}/README.md"), readme).file(format!("{top}/src/lib.rs"), name).gz())
            .unwrap();
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

    /// Plants a compressed object, as anybody can, and gives its link.
    pub(crate) async fn plant_gz(&self, raw: &[u8]) -> serde_json::Value {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(raw).unwrap();
        let stored = gz.finish().unwrap();
        let sha256 = second_reader::hex(&stored);
        self.referee.plant(&format!("blobs/sha256/{sha256}"), &stored).await;
        serde_json::json!({ "raw": raw.len(), "sha256": sha256, "size": stored.len() })
    }

    /// The snapshot of a generation.
    pub(crate) fn snapshot(&self, generation: u64) -> serde_json::Value {
        let objects = self.referee.objects();
        let slot = String::from_utf8(objects[&format!("log/{generation:010}")].clone()).unwrap();
        let link = slot.lines().find_map(|l| l.strip_prefix("snapshot ")).unwrap();
        let stored = &objects[&format!("blobs/sha256/{}", link.split(' ').next().unwrap())];
        let mut raw = Vec::new();
        flate2::read::GzDecoder::new(&stored[..]).read_to_end(&mut raw).unwrap();
        serde_json::from_slice(&raw).unwrap()
    }

    /// Commits a snapshot by hand, with the right key: what a builder could do that is broken, or in the wrong hands.
    pub(crate) async fn commit_by_hand(&self, generation: u64, snapshot: &serde_json::Value) {
        let link = self.plant_gz(snapshot.to_string().as_bytes()).await;
        let before = self.referee.objects()[&format!("log/{:010}", generation - 1)].clone();
        let claim = Claim {
            origin: ORIGIN.parse().unwrap(),
            generation,
            previous: Some(Sha256::of(&before)),
            snapshot: serde_json::from_value(link).unwrap(),
            time: self.options.now,
            expires: self.options.now.plus(self.options.validity),
            nonce: [0; 16],
        };
        let slot = claim.sign(&self.signing_key()).unwrap();
        let checkpoint = Checkpoint::sign(&slot, &self.signing_key()).unwrap();
        self.referee.plant(&format!("log/{generation:010}"), slot.bytes()).await;
        self.referee.plant("checkpoint", checkpoint.bytes()).await;
    }
}
