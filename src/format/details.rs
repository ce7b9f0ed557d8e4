//! Leaves of the tree of details: what people read about the releases below a prefix, one JSON object a line.

use super::{Effort, FormatError, Header, Item, Leaf, Object, Prefix, Stored, TreeKind};
use crate::package::{DETAIL_VERSION, Detail, Sha256, detail_key};
use bytes::Bytes;
use serde::Deserialize;

const WHAT: &str = "details";

/// Something in the tree of details, with the bytes of its line or a word of where they are.
#[derive(Debug, Clone)]
pub(crate) struct Keyed<B> {
    /// Its place: [`detail_key`].
    pub(crate) key: Sha256,
    /// What its line weighs, with the line end; nothing where the release has no detail any more.
    pub(crate) bytes: u64,
    pub(crate) body: B,
}

/// One detail as it is stored, without its line end.
pub(crate) type DetailLine = Keyed<Bytes>;

impl<B: Clone + Send + Sync + 'static> Item for Keyed<B> {
    const TREE: TreeKind = TreeKind::Details;

    fn key(&self) -> &Sha256 {
        &self.key
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn releases(&self) -> u64 {
        1
    }

    /// A detail is never given anew for a release that has one: whoever changes one knows that it is another.
    fn is_same(&self, _: &Self) -> bool {
        false
    }
}

impl Stored for DetailLine {
    fn read(raw: Vec<u8>, prefix: Prefix) -> Result<Leaf<Self>, FormatError> {
        Leaf::<Self>::read_lines(raw, WHAT, prefix, |out, head, line| {
            let label = format!("{}/{}", head.kind, head.name);
            let key = detail_key(&Sha256::of(label.as_bytes()), &label, &head.version);
            let wrong = |what: &str| Err(FormatError::malformed(WHAT, format!("{label} {}: {what}", head.version)));
            if !prefix.covers(&key) {
                return wrong("belongs into another leaf");
            }
            if out.items.last().is_some_and(|before| before.key >= key) {
                return wrong("out of order or twice");
            }
            out.items.push(Self { key, bytes: line.len() as u64 + 1, body: line });
            Ok(())
        })
    }
}

#[derive(Deserialize)]
struct Form {
    v: u32,
}

impl DetailLine {
    /// What it says.
    pub(crate) fn detail(&self) -> Result<Detail, FormatError> {
        let malformed = |e| FormatError::malformed("detail", e);
        let Form { v } = serde_json::from_slice(&self.body).map_err(malformed)?;
        if v > DETAIL_VERSION {
            return Err(FormatError::Newer { what: "detail", found: v });
        }
        serde_json::from_slice(&self.body).map_err(malformed)
    }
}

/// Writes the leaf at `prefix` of so many bytes of lines, which `fill` appends in the order of their keys, each with its line
/// end.
pub(crate) fn seal_details<E>(
    prefix: Prefix,
    bytes: u64,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Object, E> {
    let mut raw = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0) + 128);
    Header::write(&mut raw, WHAT, Some(prefix));
    fill(&mut raw)?;
    Ok(Object::seal(&raw, Effort::Quick))
}
