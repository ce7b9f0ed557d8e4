//! `cargo/`, line by line and read by the real Cargo.
