//! A package registry that is only files.

#![forbid(unsafe_code)]

mod client;
mod cpu;
mod error;
pub mod format;
mod index;
pub mod package;
mod publish;
pub mod source;
mod store;
pub mod trust;

pub use client::{
    Client, ClientOptions, Generation, Package, Pin, Problem, SnapshotReader, Verified, VerifyOptions, default_cache,
};
pub use error::{Error, ErrorKind, Result};
pub use publish::{BuildOptions, Progress, Registry, Report};
pub use store::Store;
pub use trust::{SigningKey, VerifierKey};

/// Every parser of an unsigned remote object, for `fuzz/`.
#[cfg(fuzzing)]
pub fn fuzz_format(raw: &[u8]) {
    format::parse_all(raw);
}
