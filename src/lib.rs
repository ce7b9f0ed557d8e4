//! A package registry that is only files.

#![forbid(unsafe_code)]

mod cpu;
mod error;
pub mod format;
mod index;
pub mod package;
pub mod trust;

pub use error::{Error, ErrorKind, Result};
