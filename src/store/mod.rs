//! Where registries live. The seam is [`object_store::ObjectStore`]; this module opens one from what a person types, reads
//! from it with a size cap and a digest, and writes to it in the few ways that the commit protocol allows.

mod cause;
mod clock;
mod cloud;
mod copy;
mod doctor;
mod http;
mod open;
mod probe;
mod read;
mod sweep;
mod trusted;
mod url;
mod write;

use cause::Cause;
pub(crate) use copy::Same;
pub use doctor::{Diagnosis, DoctorOptions, Finding, Outcome};
pub use open::{Store, StoreOptions};
pub(crate) use read::{Fetched, PARALLEL, Part, load_nodes};
pub(crate) use sweep::{Discarded, Listed, Versioned};
pub(crate) use trusted::TrustedState;
pub(crate) use url::stream_url;
pub(crate) use write::{Created, Later, Payload, Put};

use crate::{Error, ErrorKind};

/// Turns a store's error into one of ours: which key, what was tried, and a kind that says what to do.
fn store_error(store: &Store, verb: &str, key: &str, e: object_store::Error) -> Error {
    use object_store::Error as E;
    let place = store.place(key);
    let kind = match &e {
        E::NotFound { .. } | E::Precondition { .. } | E::NotModified { .. } | E::AlreadyExists { .. } => {
            ErrorKind::Unavailable
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::Io,
        E::NotSupported { .. } | E::NotImplemented { .. } | E::InvalidPath { .. } => ErrorKind::Invalid,
        _ if store.is_local() => ErrorKind::Io,
        _ => ErrorKind::Unavailable,
    };
    let hint = match (&e, io_kind(&e)) {
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
    };
    let error = Error::new(kind, format!("cannot {verb} {place}")).with_source(Cause(e));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
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
