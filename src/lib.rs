//! A package registry that is only files.

#![forbid(unsafe_code)]

mod cpu;
mod error;
pub mod format;
mod index;
pub mod package;
mod store;
pub mod trust;

pub use error::{Error, ErrorKind, Result};
pub use store::Store;
