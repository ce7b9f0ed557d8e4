//! The test server itself.
