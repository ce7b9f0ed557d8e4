//! Where registries live. The seam is [`object_store::ObjectStore`]; this module opens one from what a person types, reads
//! from it with a size cap and a digest, and writes to it in the few ways that the commit protocol allows.

mod cache;
mod cause;
mod clock;
mod cloud;
mod copy;
mod doctor;
mod download;
mod fault;
mod hashing;
mod http;
mod leftovers;
mod mirrors;
mod open;
mod probe;
mod read;
mod sweep;
mod transport;
mod trusted;
mod view;
mod web;
mod write;

pub(crate) use cache::DiskCache;
pub use cache::{CachePart, cache_usage, clean_cache};
use cause::Cause;
pub(crate) use copy::Same;
pub(crate) use doctor::measure;
pub use doctor::{Diagnosis, DoctorOptions, Finding, MeasureOptions, Measurement, Outcome};
pub(crate) use download::{Download, Step};
pub(crate) use hashing::is_hashed_beside;
pub use open::{Store, StoreOptions};
use read::PARALLEL;
pub(crate) use read::{Answered, Fetched, Part, load_nodes};
pub(crate) use sweep::{Discarded, Listed, Versioned};
pub use transport::{MirrorOrder, TransportOptions};
pub(crate) use trusted::TrustedState;
pub(crate) use view::Written;
pub(crate) use write::{Created, Later, Payload, Put};

use crate::{Error, ErrorKind};
pub(crate) use object_store::UpdateVersion;

/// Turns a store's error into one of ours: which key, what was tried, and a kind that says what to do.
fn store_error(store: &Store, verb: &str, key: &str, e: object_store::Error) -> Error {
    let kind = kind_of(store.is_local(), &e);
    named(&store.place(key), verb, kind, hint_for(kind, &e, io_kind(&e)), Cause(e))
}

fn named(place: &str, verb: &str, kind: ErrorKind, hint: Option<&str>, cause: Cause) -> Error {
    let error = Error::new(kind, format!("cannot {verb} {place}")).with_source(cause);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What can be done about a store's error.
fn kind_of(local: bool, e: &object_store::Error) -> ErrorKind {
    use object_store::Error as E;
    match e {
        E::NotFound { .. } | E::Precondition { .. } | E::NotModified { .. } | E::AlreadyExists { .. } => {
            ErrorKind::Unavailable
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::Io,
        E::NotSupported { .. } | E::NotImplemented { .. } | E::InvalidPath { .. } => ErrorKind::Invalid,
        _ if local => ErrorKind::Io,
        _ => ErrorKind::Unavailable,
    }
}

fn hint_for(kind: ErrorKind, e: &object_store::Error, io: Option<std::io::ErrorKind>) -> Option<&'static str> {
    use object_store::Error as E;
    match (e, io) {
        (E::PermissionDenied { .. }, _) | (_, Some(std::io::ErrorKind::PermissionDenied)) => {
            Some("the store refuses: check its permissions and your credentials")
        }
        (_, Some(std::io::ErrorKind::ReadOnlyFilesystem)) => Some("the store is read-only"),
        (_, Some(std::io::ErrorKind::StorageFull)) => {
            Some("free some space and run the same command again: it goes on where it stopped")
        }
        (E::NotFound { .. }, _) => {
            Some("an object that is cited must be there: the copy may be incomplete, or the cache in front of it stale")
        }
        (E::NotImplemented { .. } | E::NotSupported { .. }, _) => Some("this kind of location can only be read"),
        _ if kind == ErrorKind::Unavailable => Some("check the address and the network, or try again later"),
        _ => None,
    }
}

/// Whether an error says that the store holds no such object.
pub(crate) fn is_absent(e: &Error) -> bool {
    let cause = std::error::Error::source(e).and_then(|e| e.downcast_ref::<Cause>());
    matches!(cause, Some(Cause(object_store::Error::NotFound { .. })))
}

/// The same, or that it will not tell: buckets whose objects are public and whose list is not call what is absent forbidden.
/// Good for wording a message.
pub(crate) fn may_be_absent(e: &Error) -> bool {
    let cause = std::error::Error::source(e).and_then(|e| e.downcast_ref::<Cause>());
    is_absent(e) || matches!(cause, Some(Cause(object_store::Error::PermissionDenied { .. })))
}

/// The `std::io` cause below a store's error, if there is one.
fn io_kind(e: &object_store::Error) -> Option<std::io::ErrorKind> {
    let mut next: Option<&dyn std::error::Error> = Some(e);
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = e.source();
    }
    None
}
