//! Bundles that a key vouches for and that are none, for fuzzing and property tests.

use super::{Answers, SearchRequest, Searching, open_whole};
use crate::{
    Store,
    format::bundle::{SearchBundle, Tail},
    package::{Link, Sha256},
};
use bytes::Bytes;
use std::sync::Arc;

/// Opens any bytes as if they were cited, and asks them a question of each sort.
pub(crate) fn ask(raw: &[u8]) {
    let magic = b"ggen-market/search-bundle/";
    let at = raw.windows(magic.len()).rposition(|w| w == magic).unwrap_or(0);
    let link = |bytes: &[u8]| Link { raw: None, sha256: Sha256::of(bytes), size: bytes.len() as u64 };
    let documents = Tail::read(Bytes::copy_from_slice(&raw[at..])).map_or(0, |t| t.table.documents.into());
    let cited = SearchBundle { documents, link: link(raw), tail: link(&raw[at..]) };
    // As much memory as it says it needs is what such a bundle could take.
    if documents > 1 << 20 {
        return;
    }
    let Ok(opened) = open_whole(&cited, Bytes::copy_from_slice(raw)) else { return };
    let (Ok(store), Ok(runtime)) = (Store::open("memory:"), tokio::runtime::Builder::new_current_thread().build())
    else {
        return;
    };
    let searching = Searching::new(vec![Arc::new(opened)], store);
    for text in [
        "",
        "http client",
        "reactt",
        "htpp client",
        "rea",
        "\"based http\" -slow kind:pack",
        "license:mit keyword:http",
    ] {
        let mut request = SearchRequest::new(text);
        (request.facets, request.limit) = (true, 5);
        if let Ok(question) = Answers::of(&request) {
            let _ = runtime.block_on(searching.answer(&question));
        }
    }
}
