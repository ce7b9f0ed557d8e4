//! From what a scan finds to changes: everything that is large waits on disk, so that a million releases can be planned at
//! once.

use super::plan::{Blob, BlobAt, Change, What};
use crate::{
    Error, ErrorKind,
    format::{Line, limits},
    package::{Detail, Link, PackageId},
    source::{Candidate, Found, Payload, Refusal, Spool, SpoolRange},
};
use bytes::Bytes;

/// A change, and its archive where that is in memory.
pub(super) struct Staged {
    pub(super) change: Change,
    pub(super) ready: Option<(Link, Bytes)>,
}

/// The change that publishes what was found.
pub(super) fn stage(found: Found, spool: &Spool) -> Result<Staged, Refusal> {
    match found {
        Found::Known(known) => {
            let what = What::Known { version: known.version, sha256: known.sha256 };
            Ok(Staged { change: change(&known.id, known.place, None, what), ready: None })
        }
        Found::Fresh(candidate) => {
            let place = candidate.place.clone();
            fresh(*candidate, spool).map_err(|error| Refusal { place, error })
        }
    }
}

fn change(id: &PackageId, place: crate::source::Place, downloads: Option<u64>, what: What) -> Change {
    let label = id.label();
    Change { key: id.key(), label: label.into(), place: Some(place), downloads, what }
}

fn fresh(candidate: Candidate, spool: &Spool) -> Result<Staged, Error> {
    let Candidate { record, detail, payload, bytes, place, downloads, .. } = candidate;
    let id = record.id()?;
    let detail = detail.map(|detail| spool_detail(&detail, spool)).transpose()?;
    let link = Link { raw: None, sha256: record.archive.sha256, size: record.archive.size };
    let ready = bytes.map(|bytes| (link, bytes));
    let blob = match payload {
        Payload::File(path) => Some(Blob { link, at: BlobAt::File(path) }),
        Payload::Spooled(range) => Some(Blob { link, at: BlobAt::Spool(range) }),
        Payload::Elsewhere => None,
    };
    let line = Line::new(&record);
    if line.text.len() as u64 > limits::RECORD {
        let message = format!("its record is too large: {} bytes, at most {}", line.text.len(), limits::RECORD);
        return Err(Error::new(ErrorKind::Refused, message)
            .with_hint("dependencies, features and what else stands in the index have to be fewer, or shorter"));
    }
    let what = What::Add { line, blob: blob.map(Box::new), detail };
    Ok(Staged { change: change(&id, place, downloads, what), ready })
}

/// Puts the line of a detail aside, with its line end.
fn spool_detail(detail: &Detail, spool: &Spool) -> Result<SpoolRange, Error> {
    let refused = |e| Error::new(ErrorKind::Refused, "its detail cannot be written").with_source(e);
    let mut line = serde_json::to_vec(detail).map_err(refused)?;
    line.push(b'\n');
    if line.len() as u64 > limits::DETAIL {
        let message = format!("its readme and manifest are too large: at most {} bytes", limits::DETAIL);
        return Err(Error::new(ErrorKind::Refused, message));
    }
    spool.append(&line).map_err(|e| Error::io("write to", &std::env::temp_dir(), e))
}
