//! From what a scan finds to changes: the detail of a release is sealed, its record gets the link, and everything that is
//! large waits on disk, so that a million releases can be planned at once.

use super::plan::{Blob, BlobAt, Change, What};
use crate::{
    Error, ErrorKind,
    format::{Effort, Line, Object, limits},
    package::{Link, PackageId},
    source::{Candidate, Found, Payload, Refusal, Spool},
};
use bytes::Bytes;

/// A change, and those of its objects that are in memory.
pub(super) struct Staged {
    pub(super) change: Change,
    pub(super) ready: Vec<(Link, Bytes)>,
}

/// The change that publishes what was found.
pub(super) fn stage(found: Found, spool: &Spool) -> Result<Staged, Refusal> {
    match found {
        Found::Known(known) => {
            let what = What::Known { version: known.version, sha256: known.sha256 };
            Ok(Staged { change: change(&known.id, known.place, None, what), ready: Vec::new() })
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
    let Candidate { mut record, detail, payload, bytes, place, downloads, .. } = candidate;
    let id = record.id()?;
    let (mut blobs, mut ready) = (Vec::new(), Vec::new());
    if let Some(detail) = detail {
        let refused =
            |e: serde_json::Error| Error::new(ErrorKind::Refused, "its detail cannot be written").with_source(e);
        let object = Object::seal(&serde_json::to_vec(&detail).map_err(refused)?, Effort::Quick);
        if object.link.size > limits::NODE || object.link.raw > Some(limits::NODE_RAW) {
            return Err(Error::new(ErrorKind::Refused, "its readme and manifest are too large"));
        }
        let range = spool.append(&object.bytes).map_err(|e| Error::io("write to", &std::env::temp_dir(), e))?;
        record.detail = Some(object.link);
        blobs.push(Blob { link: object.link, at: BlobAt::Spool(range) });
        ready.push((object.link, object.bytes));
    }
    let link = Link { raw: None, sha256: record.archive.sha256, size: record.archive.size };
    ready.extend(bytes.map(|bytes| (link, bytes)));
    match payload {
        Payload::File(path) => blobs.push(Blob { link, at: BlobAt::File(path) }),
        Payload::Spooled(range) => blobs.push(Blob { link, at: BlobAt::Spool(range) }),
        Payload::Elsewhere => {}
    }
    let what = What::Add { line: Line::new(&record), blobs: blobs.into() };
    Ok(Staged { change: change(&id, place, downloads, what), ready })
}
