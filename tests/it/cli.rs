//! The command line: the real program, in folders of its own.

mod bench;
mod cache;
pub(crate) mod collect;
mod config;
mod doctor;
mod errors;
mod ggen;
#[cfg(unix)]
mod hostile;
mod install;
mod lifecycle;
mod lockfile;
#[cfg(target_os = "linux")]
mod memory;
mod mirror;
mod network;
mod places;
mod put_out;
mod search;
mod secrets;
mod snapshots;
mod streams;
mod views;

use crate::support::tarball::Tarball;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "registry.example.com/ggen";

/// A folder with a home of its own, in which the program is run.
pub(crate) struct Sandbox {
    pub(crate) dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Standard error holds all of these.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in\n{}", self.err);
        }
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in\n{}", self.out))
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// With an empty registry.
    pub(crate) fn with_registry() -> Self {
        let sandbox = Self::new();
        sandbox.run(&["init", "--store", "registry", "--origin", ORIGIN]).ok();
        sandbox
    }

    /// With a registry that holds `crate:hello` 1.0.0 and 1.1.0 and `pack:greeter` 0.1.0.
    pub(crate) fn published() -> Self {
        let sandbox = Self::with_registry();
        sandbox.a_crate("hello", "1.0.0", "Says hello");
        sandbox.a_crate("hello", "1.1.0", "Says hello to everybody");
        sandbox.a_pack("greeter", "0.1.0", "Templates of greetings");
        sandbox.run(&["build", "--source", "packages"]).ok();
        sandbox
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn a_crate(&self, name: &str, version: &str, description: &str) {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"{description}\"\n\
             license = \"MIT\"\nkeywords = [\"greeting\"]\n\n[dependencies]\nserde = {{ version = \"1\", optional = true }}\n"
        );
        let top = format!("{name}-{version}");
        let archive =
            Tarball::default().file(format!("{top}/Cargo.toml"), manifest).file(format!("{top}/src/lib.rs"), "");
        self.write(&format!("packages/{top}.crate"), archive.gz());
    }

    fn a_pack(&self, name: &str, version: &str, description: &str) {
        let manifest = format!("[pack]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"{description}\"\n");
        self.write(&format!("packages/{name}/pack.toml"), manifest);
        self.write(&format!("packages/{name}/README.md"), format!("# {name}\n\nFor \x1b[31mall\x1b[0m.\n"));
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(n, _)| n != name);
        self.env.push((name.into(), value.into()));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ggen-market"));
        command.args(args).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        // Nothing of the machine's: neither its caches nor its variables.
        command.env("HOME", self.path("home")).env("XDG_CACHE_HOME", self.path("cache"));
        command.env("LOCALAPPDATA", self.path("cache")).env("TMPDIR", std::env::temp_dir());
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let output = self.output(args);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The public key, as `init` wrote it down.
    pub(crate) fn key(&self) -> String {
        self.run(&["key"]).ok().out.trim().to_owned()
    }

    /// The stored objects of that type, by what their first line says about the object itself: a snapshot's entries name
    /// the types of what they link to.
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let is_one = |path: &PathBuf| {
            let mut text = String::new();
            let file = std::fs::File::open(path).unwrap();
            let read = std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text);
            let first = read.ok().and_then(|_| serde_json::from_str(text.lines().next()?).ok());
            first.is_some_and(|head: serde_json::Value| head["type"] == kind)
        };
        let all = std::fs::read_dir(self.path("registry/blobs/sha256")).unwrap();
        let mut found: Vec<_> = all.map(|e| e.unwrap().path()).filter(is_one).collect();
        found.sort();
        found
    }
}

/// Changes one byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
