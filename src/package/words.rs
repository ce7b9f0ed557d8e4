//! How names and texts fall into words: the same for the search index and for the search in the page.

/// The longest word, in bytes; what is longer is cut.
const MAX_WORD: usize = 48;

/// A word as it is compared: in lower case, and not too long.
pub(crate) fn lower(word: &str) -> String {
    let mut out = word.to_lowercase();
    out.truncate(out.floor_char_boundary(MAX_WORD));
    out
}

/// Camel case and letters against digits: `parseXML2` is `parse`, `XML`, `2`.
pub(crate) fn parts(chunk: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut begin = 0;
    let chars: Vec<(usize, char)> = chunk.char_indices().collect();
    for (i, pair) in chars.windows(2).enumerate() {
        let ((_, a), (at, b)) = (pair[0], pair[1]);
        let next_is_lower = chars.get(i + 2).is_some_and(|(_, c)| c.is_lowercase());
        let hump = a.is_lowercase() && b.is_uppercase() || a.is_uppercase() && b.is_uppercase() && next_is_lower;
        if hump || a.is_numeric() != b.is_numeric() {
            out.push(&chunk[begin..at]);
            begin = at;
        }
    }
    out.push(&chunk[begin..]);
    out
}
