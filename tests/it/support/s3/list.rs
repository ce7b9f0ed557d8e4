//! `ListObjectsV2`: sorted, and in pages.

use super::{
    state::State,
    wire::{Asked, Reply, escape, escape_url},
};
use std::ops::Bound;

/// A line of a page.
enum Line {
    Object(String),
    /// All keys that begin so.
    Folder(String),
}

impl Line {
    /// Where the next page goes on: after this one and whatever it stands for.
    fn end(&self) -> String {
        match self {
            Self::Object(key) => key.clone(),
            Self::Folder(prefix) => format!("{prefix}\u{10ffff}"),
        }
    }
}

pub(super) fn list(state: &State, asked: &Asked) -> Reply {
    let prefix = asked.parameter("prefix").unwrap_or("");
    let delimiter = asked.parameter("delimiter").filter(|d| !d.is_empty());
    let most = asked.parameter("max-keys").and_then(|n| n.parse().ok()).unwrap_or(1000).min(state.settings.page);
    let after = match asked.parameter("continuation-token") {
        None => asked.parameter("start-after").unwrap_or("").to_owned(),
        Some(token) => match hex::decode(token).ok().and_then(|t| String::from_utf8(t).ok()) {
            Some(after) => after,
            None => return Reply::error(400, "InvalidArgument", "The continuation token is not ours", prefix),
        },
    };
    let (lines, truncated) = page(state, prefix, delimiter, after, most);
    let url = asked.parameter("encoding-type") == Some("url");
    let shown = |text: &str| escape(&if url { escape_url(text) } else { text.to_owned() });
    let mut out = format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{truncated}</IsTruncated>",
        shown(prefix),
        lines.len()
    );
    if url {
        out += "<EncodingType>url</EncodingType>";
    }
    if let (true, Some(last)) = (truncated, lines.last()) {
        out += &format!("<NextContinuationToken>{}</NextContinuationToken>", hex::encode(last.end()));
    }
    for line in &lines {
        match line {
            Line::Object(key) => {
                let (meta, size) = (&state.metas[key], state.objects[key].len());
                let modified = meta.modified.format("%Y-%m-%dT%H:%M:%S.000Z");
                let (key, tag) = (shown(key), escape(&meta.etag));
                out += &format!(
                    "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>{tag}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                );
            }
            Line::Folder(prefix) => {
                out += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", shown(prefix));
            }
        }
    }
    Reply::xml(out + "</ListBucketResult>")
}

fn page(state: &State, prefix: &str, delimiter: Option<&str>, mut after: String, most: usize) -> (Vec<Line>, bool) {
    let mut lines: Vec<Line> = Vec::new();
    loop {
        let from = if after.as_str() < prefix { Bound::Included(prefix) } else { Bound::Excluded(after.as_str()) };
        let next = state.objects.range::<str, _>((from, Bound::Unbounded)).next();
        let Some((key, _)) = next.filter(|(key, _)| key.starts_with(prefix)) else { return (lines, false) };
        if lines.len() >= most {
            return (lines, true);
        }
        let cut = delimiter.and_then(|d| key[prefix.len()..].find(d).map(|at| prefix.len() + at + d.len()));
        let line = match cut {
            Some(end) => Line::Folder(key[..end].to_owned()),
            None => Line::Object(key.clone()),
        };
        after = line.end();
        lines.push(line);
    }
}
