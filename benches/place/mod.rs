//! A registry to measure, made with a fixed seed: every machine makes the same one. Nothing comes from the network.

use criterion::{BatchSize, Bencher};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, Registry, Report, SigningKey, Store, VerifierKey,
    package::{Kind, PackageId, PackageName, Timestamp},
};
use std::{
    fs::File,
    io::{BufWriter, Result, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};
use tokio::runtime::Runtime;

/// A registry, and what publishes to it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) key: VerifierKey,
    pub(crate) options: BuildOptions,
}

impl Place {
    /// Of so many packages that are hosted elsewhere, in a folder.
    pub(crate) fn new(runtime: &Runtime, count: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("registry").to_str().unwrap()).unwrap();
        Self::filled(runtime, dir, store, count)
    }

    /// The same in memory: without the disk, and what it takes to flush it.
    pub(crate) fn in_memory(runtime: &Runtime, count: u64) -> Self {
        Self::filled(runtime, tempfile::tempdir().unwrap(), Store::open("memory:").unwrap(), count)
    }

    fn filled(runtime: &Runtime, dir: tempfile::TempDir, store: Store, count: u64) -> Self {
        let key = SigningKey::generate("bench.example.com".parse().unwrap()).unwrap();
        let verifier = key.verifier().clone();
        let registry = Registry::new(store.clone(), key, &dir.path().join("state"));
        let options = BuildOptions::at(Timestamp::now());
        runtime.block_on(registry.init(&options)).unwrap();
        let place = Self { dir, registry, store, key: verifier, options };
        if count > 0 {
            place.publish(runtime, 0..count);
        }
        place
    }

    /// These packages as JSON Lines.
    pub(crate) fn list(&self, name: &str, range: Range<u64>) -> PathBuf {
        let path = self.dir.path().join(format!("{name}.jsonl"));
        write_records(&path, range, 0).unwrap();
        path
    }

    pub(crate) fn publish(&self, runtime: &Runtime, range: Range<u64>) -> Report {
        self.build(runtime, &[self.list("list", range)])
    }

    pub(crate) fn build(&self, runtime: &Runtime, sources: &[PathBuf]) -> Report {
        runtime.block_on(self.registry.build(sources, &self.options)).unwrap()
    }

    /// Measures what one release more takes, each time another one, after so many.
    pub(crate) fn one_more(&self, runtime: &Runtime, bencher: &mut Bencher<'_>, next: &mut u64) {
        bencher.iter_batched(
            || {
                *next += 1;
                self.list("one", *next..*next + 1)
            },
            |one| self.build(runtime, &[one]),
            BatchSize::PerIteration,
        );
    }

    pub(crate) fn client(&self, options: ClientOptions) -> Client {
        Client::new(self.store.clone(), std::slice::from_ref(&self.key), options).unwrap()
    }
}

/// A package that `write_records` wrote.
pub(crate) fn id(i: u64) -> PackageId {
    PackageId::new(Kind::Pack, &PackageName::new(&format!("package-{i}")).unwrap()).unwrap()
}

/// Records of packages that are hosted elsewhere, each with a readme of about so many bytes.
pub(crate) fn write_records(path: &Path, range: Range<u64>, readme: usize) -> Result<()> {
    const WORDS: [&str; 16] = [
        "fast", "small", "typed", "async", "template", "ontology", "server", "client", "parser", "query", "graph",
        "schema", "report", "bridge", "worker", "index",
    ];
    let mut out = BufWriter::new(File::create(path)?);
    for i in range {
        // A fixed mixing of the number stands for chance.
        let r = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
        let word = |n: u32| WORDS[(r.rotate_right(n * 4) & 15) as usize];
        let mut text = String::new();
        let mut next = r;
        while text.len() < readme {
            next = next.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ i;
            text += WORDS[(next & 15) as usize];
            text += &format!(" {:x} ", next >> 48);
        }
        write!(
            out,
            r#"{{"name":"package-{i}","version":"1.{}.{}","summary":"A {} {} {} for {}","keywords":["{}","{}"],"license":"MIT","sha256":"{:016x}{:016x}{:016x}{:016x}","size":{},"download_url":"https://downloads.example.com/package-{i}.tar.gz""#,
            r % 10,
            r % 7,
            word(0),
            word(1),
            word(2),
            word(3),
            word(4),
            word(5),
            r,
            !r,
            r ^ i,
            i,
            1000 + r % 100_000,
        )?;
        if !text.is_empty() {
            write!(out, r#","readme":"{text}""#)?;
        }
        writeln!(out, "}}")?;
    }
    out.flush()
}
