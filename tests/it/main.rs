//! The integration tests: one binary, one module for each subject.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod archive;
mod cli;
mod client;
mod crash;
mod docs;
mod http;
mod layering;
mod manifest;
mod mirror;
mod publish;
mod registry;
mod source;
mod support;
mod trust;
