//! Which paths of a URL are objects of a registry, and what those objects are. Everything else is not there: a folder that
//! holds a registry may hold anything besides (invariant of every server: what is not named here is not served).

use crate::{
    format::keys::{self, Class},
    package::Sha256,
};

/// Longer paths are no object's.
const MAX_PATH: usize = 1024;

/// What is behind a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Names of folders and the file, below the registry; none is empty, begins with a dot or holds a separator.
    pub(super) key: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of the verified registry. A blob has its digest in its key.
    Stored(Class, Option<Sha256>),
    /// Derived from it, for browsers, curl and cargo; the type follows from the place and never from a package's name.
    View(&'static str),
}

impl Kind {
    pub(super) fn cache_control(self) -> &'static str {
        match self {
            Self::Stored(class, _) => class.cache_control(),
            Self::View(_) => "no-cache",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Stored(class, _) => class.content_type(),
            Self::View(kind) => kind,
        }
    }

    /// Whether it may be sent compressed: text that is not hashed or signed as it is stored.
    pub(super) fn compresses(self) -> bool {
        let is_text = |kind: &str| kind.starts_with("text/") || kind == JSON || kind.ends_with("xml");
        matches!(self, Self::View(kind) if is_text(kind))
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The object that a path of a URL (still percent-encoded, without its query) names.
pub(super) fn object(path: &str) -> Option<Object> {
    let decoded = decode(path)?;
    let mut key = decoded.strip_prefix('/')?.to_owned();
    if key.is_empty() || key.ends_with('/') {
        key.push_str("index.html");
    }
    let safe = |name: &str| {
        !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', ':']) && !name.chars().any(char::is_control)
    };
    if !key.split('/').all(safe) {
        return None;
    }
    let kind = kind(&key)?;
    Some(Object { key, kind })
}

fn kind(key: &str) -> Option<Kind> {
    if keys::POINTERS.contains(&key) {
        return Some(Kind::Stored(Class::Pointer, None));
    }
    if let Some(digest) = keys::parse_blob(key) {
        return Some(Kind::Stored(Class::Blob, Some(digest)));
    }
    if keys::parse_slot(key).is_some() {
        return Some(Kind::Stored(Class::Slot, None));
    }
    let (top, name) = match key.split_once('/') {
        None => ("", key),
        Some((top, rest)) => (top, rest.rsplit('/').next().unwrap_or(rest)),
    };
    Some(Kind::View(match (top, name) {
        ("", "index.json") => JSON,
        ("index" | "cargo", _) if !key.ends_with("/index.html") => TEXT,
        ("packages", _) => JSON,
        _ if keys::site::is_site(key) => keys::site::media_type(key),
        _ => return None,
    }))
}

/// Percent-decoding (RFC 3986, section 2.1), once. A `+` is a `+`: versions hold it.
fn decode(path: &str) -> Option<String> {
    if path.len() > MAX_PATH {
        return None;
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let high = digit()?;
                high << 4 | digit()?
            }
            other => other,
        });
    }
    // An encoded separator would make another path of one name.
    let encoded = path.to_ascii_lowercase();
    if encoded.contains("%2f") || encoded.contains("%5c") {
        return None;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_belongs_to_a_registry_has_a_place() {
        let blob = format!("/blobs/sha256/{}", "0f".repeat(32));
        let found = |path: &str| object(path).map(|o| (o.key, o.kind.content_type()));
        assert_eq!(found("/checkpoint"), Some(("checkpoint".into(), TEXT)));
        assert_eq!(found("/gc/boundary"), Some(("gc/boundary".into(), TEXT)));
        assert_eq!(found("/mirror.json"), Some(("mirror.json".into(), TEXT)));
        assert_eq!(found("/log/0000000001"), Some(("log/0000000001".into(), TEXT)));
        assert_eq!(found(&blob), Some((blob[1..].into(), "application/octet-stream")));
        for (path, key, kind) in [
            ("/", "index.html", "text/html; charset=utf-8"),
            ("/404.html", "404.html", "text/html; charset=utf-8"),
            ("/p/pack/hello.html", "p/pack/hello.html", "text/html; charset=utf-8"),
            ("/p/pack/hello.atom", "p/pack/hello.atom", "application/atom+xml"),
            ("/search/n-he.json", "search/n-he.json", JSON),
            ("/site/d/pack/hello.json", "site/d/pack/hello.json", JSON),
            ("/sitemap-0f.xml", "sitemap-0f.xml", "application/xml"),
        ] {
            assert_eq!(found(path), Some((key.into(), kind)));
        }
        assert_eq!(found("/index/he/ll/hello"), Some(("index/he/ll/hello".into(), TEXT)));
        assert_eq!(found("/index/ev/il/evil.html"), Some(("index/ev/il/evil.html".into(), TEXT)));
        assert_eq!(found("/packages/x/versions/1.0.0+b"), Some(("packages/x/versions/1.0.0+b".into(), JSON)));
        assert_eq!(found("/packages/x/versions/1.0.0%2Bb"), Some(("packages/x/versions/1.0.0+b".into(), JSON)));
        assert_eq!(found("/assets/a.css"), Some(("assets/a.css".into(), "text/css; charset=utf-8")));
        for path in [
            "",
            "checkpoint",
            "/checkpoint/",
            "/Checkpoint",
            "/gc/",
            "/gc/boundary/",
            "/gc/other",
            "/mirror.json/",
            "/trash/x",
            "/views/cargo",
            "/doctor/x",
            "/notes.txt",
            "/log/1",
            "/log/00000000001",
            "/log/",
            "/blobs/",
            "/blobs/sha256/",
            "/blobs/sha256/abc",
            "/index/.hidden",
            "/index/../checkpoint",
            "/index/%2e%2e/checkpoint",
            "/index/..%2f..%2fx",
            "/index/..%5cx",
            "/index/a\\b",
            "/index/C:/x",
            "/index//x",
            "//index/x",
            "/index/%00",
            "/index/%0a",
            "/index/%",
            "/index/%f",
            "/index/%zz",
            "/index/%ff",
            "/index/",
            "/sitemap-xy.xml",
            "/other.html",
            "/P/pack/hello.html",
            &format!("/index/{}", "a".repeat(MAX_PATH)),
            &blob.to_uppercase(),
            &format!("{blob}%231"),
            &format!("{blob}/"),
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_key_leaves_its_folder(path in "/(index|p|c|site|assets|blobs|log)/([a-z.%/\\\\0-9A-F+:]{0,40})") {
            if let Some(object) = object(&path) {
                for name in object.key.split('/') {
                    prop_assert!(!name.is_empty() && !name.starts_with('.'), "{}", object.key);
                    prop_assert!(!name.contains(['\\', '\0', ':']), "{}", object.key);
                }
            }
        }
    }
}
