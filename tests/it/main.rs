//! The integration tests: one binary, one module for each subject.

mod archive;
mod cli;
mod manifest;
mod registry;
mod source;
mod support;
