//! What more than one subject's tests need.

pub(crate) mod cargo;
pub(crate) mod cdn;
pub(crate) mod http;
pub(crate) mod odd;
pub(crate) mod proxy;
pub(crate) mod referee;
pub(crate) mod rules;
pub(crate) mod s3;
pub(crate) mod second_reader;
pub(crate) mod tarball;
pub(crate) mod tls;
pub(crate) mod weather;
pub(crate) mod world;
