//! The integration tests: one binary, one module for each subject.

mod archive;
mod layering;
mod manifest;
mod registry;
mod source;
mod support;
mod trust;
