//! What a package is: its name, versions, digests, the record that describes a release, and how archives and manifests
//! are read. No module here does network I/O, and none knows how a registry is stored.

pub(crate) mod address;
pub mod archive;
mod detail;
mod digest;
pub mod manifest;
mod name;
mod pattern;
mod record;
mod time;
mod version;
pub(crate) mod words;

pub(crate) use detail::detail_key;
pub use detail::{DETAIL_VERSION, Detail, TextFile};
pub use digest::{DigestError, Sha256, Sha256Hasher};
pub use name::{Kind, NameError, PackageId, PackageName, PackageSpec};
pub use pattern::Pattern;
pub use record::{
    Archive, ArchiveFormat, Dependency, DependencyKind, External, Link, MAX_SUMMARY, PublisherSignature,
    RECORD_VERSION, Record, RecordError, Removed, Yanked,
};
pub(crate) use record::{summarize, unique_keys};
pub use time::{Timestamp, TimestampError};
pub use version::{Version, VersionError};
