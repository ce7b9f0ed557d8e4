//! The registry on an S3 server: what wrong answers, rivals and sudden deaths do to it, and whether the test server is a
//! fair judge of that.

mod answers;
mod collecting;
mod conditions;
mod dying;
mod requests;
mod server;
mod writers;
