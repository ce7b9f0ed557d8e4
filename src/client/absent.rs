//! What is not there: what was collected as garbage is told from what was lost by the boundary that a collection signs before
//! it takes anything away.

use super::Client;
use crate::{
    Error, ErrorKind, Result,
    format::{Marks, keys, limits},
    package::Timestamp,
    store::{Fetched, is_absent, may_be_absent},
    trust::Boundary,
};
use std::fmt::Display;

impl Client {
    /// The boundary of the last collection of garbage. One that is not signed by the registry's key excuses nothing.
    pub(super) async fn boundary(&self) -> Result<Option<Boundary>> {
        let store = &self.inner.store;
        match self.timed(store.get_signed(keys::BOUNDARY, None)).await? {
            Fetched::New { bytes, .. } => match Boundary::open(&bytes, &self.inner.keys) {
                Ok(boundary) => Ok(Some(boundary)),
                Err(e) => {
                    tracing::warn!("{} counts for nothing: {e}", store.place(keys::BOUNDARY));
                    Ok(None)
                }
            },
            Fetched::Absent | Fetched::NotModified => Ok(None),
        }
    }

    /// What a boundary says is marked as garbage.
    pub(super) async fn marks(&self, boundary: &Boundary) -> Result<Marks> {
        let Some(link) = boundary.marks else { return Ok(Marks::default()) };
        let raw = self.object(&link, limits::MARKS, limits::MARKS_RAW).await?;
        Marks::read(&raw).map_err(|e| e.at(self.inner.store.place(&keys::blob(&link.sha256))))
    }

    /// When a collection gave this generation up, if one did.
    pub(super) async fn was_collected(&self, generation: u64) -> Result<Option<Timestamp>> {
        if self.inner.options.offline {
            return Ok(None);
        }
        Ok(self.boundary().await?.filter(|b| !b.keeps(generation)).map(|b| b.time))
    }

    /// An outcome of reading something of a generation. Where it is not there because it was collected as garbage, or because
    /// the mirror was not meant to hold it, the error says so; never that it does not exist (invariant I27).
    pub(super) async fn explained<T>(&self, generation: u64, what: impl Display, outcome: Result<T>) -> Result<T> {
        let e = match outcome {
            Err(e) if may_be_absent(&e) => e,
            other => return other,
        };
        // What is signed counts before what is not.
        if is_absent(&e)
            && let Ok(Some(time)) = self.was_collected(generation).await
        {
            let message = format!("generation {generation} was collected as garbage by {time}");
            let hint = "`ggen-market history` shows which generations are still there";
            return Err(Error::new(ErrorKind::NotFound, message).with_source(e).with_hint(hint));
        }
        Err(self.or_not_mirrored(generation, what, e).await)
    }
}
