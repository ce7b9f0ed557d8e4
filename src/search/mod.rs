//! Search: an index that the job which builds the registry makes, and that any reader asks by itself.
//!
//! One document for each package ([`document`], on its way [`drafts`]); an index of them in one immutable object ([`index`], and
//! [`format::bundle`](crate::format) for its bytes); a directory over that object, held whole or fetched in parts
//! ([`directory`], [`bundle`], [`remote`]); what people type ([`query`]), what it matches ([`find`], and misspelt names [`names`]), what a match is
//! worth ([`rank`]), and which answers are the best ([`answers`]).
//! tantivy keeps the dictionaries, lists, columns and documents; ranking is ours.

mod answers;
mod bundle;
mod directory;
mod document;
mod drafts;
mod find;
mod index;
mod locate;
mod names;
mod query;
mod rank;
mod remote;
mod searcher;
mod shelf;
#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
mod vouched;
mod words;

pub(crate) use document::Document;
pub(crate) use drafts::Drafts;
pub(crate) use index::{Built, WHOLE, build, replaces};
pub(crate) use locate::{Located, all_documents, locate};
pub(crate) use remote::{Opened, fetch_tail, open_parts, open_whole};
pub(crate) use searcher::{Answers, Searching};
pub use searcher::{Correction, Facet, SearchHit, SearchOrder, SearchRequest, SearchResults};
#[cfg(any(test, fuzzing))]
pub(crate) use vouched::ask as ask_any;
