//! The integration tests: one binary, one module for each subject.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod archive;
mod cli;
mod client;
mod collect;
mod cost;
mod crash;
mod deploy;
mod docs;
mod doctor;
mod http;
mod layering;
mod manifest;
mod mirror;
mod publish;
mod registry;
mod resolve;
mod s3;
mod search;
mod serve;
mod simulation;
mod source;
mod store;
mod support;
mod transport;
mod trust;
mod view;
