//! What more than one subject's tests need.

pub(crate) mod http;
pub(crate) mod tarball;
