//! The integration tests: one binary, one module for each subject.

mod archive;
mod client;
mod manifest;
mod publish;
mod registry;
mod source;
mod support;
