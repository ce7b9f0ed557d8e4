//! A package registry that is only files.

#![forbid(unsafe_code)]

mod cpu;
mod error;
pub mod package;
pub mod source;

pub use error::{Error, ErrorKind, Result};
