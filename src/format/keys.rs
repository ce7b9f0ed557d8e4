//! Every key of a store is built and parsed here.

use crate::{Error, ErrorKind, Result, package::Sha256};

/// The one mutable object of the verified registry.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Where the newest collection of garbage is recorded.
pub(crate) const BOUNDARY: &str = "gc/boundary";

/// What a mirror says that it holds. Unsigned, and never believed.
pub(crate) const MIRROR: &str = "mirror.json";

/// What readers ask for by name, and what is replaced.
pub(crate) const POINTERS: [&str; 3] = [CHECKPOINT, BOUNDARY, MIRROR];

/// Where all immutable objects live.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// Where collected objects wait until they are purged.
pub(crate) const TRASH: &str = "trash";

/// What an object is to those who keep copies of it: browsers, proxies, CDNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Named by its digest.
    Blob,
    /// A commit: never replaced. (That one is *not* there may change at any moment.)
    Slot,
    /// A signed note or a document that is replaced.
    Pointer,
    /// A file of a view, of lines of text.
    ViewText,
    /// A file of a view, of JSON.
    ViewJson,
    /// A file of the web site, of this type.
    Site(&'static str),
}

impl Class {
    /// `Cache-Control` (RFC 9111, and RFC 8246 for `immutable`).
    pub(crate) fn cache_control(self) -> &'static str {
        match self {
            Self::Blob | Self::Slot => "public, max-age=31536000, immutable",
            Self::Pointer => "no-cache",
            // Nothing that is verified goes by them: a minute behind is nobody's harm, and spares a CDN many questions.
            Self::ViewText | Self::ViewJson | Self::Site(_) => "public, max-age=60",
        }
    }

    /// `Content-Type`. Blobs are compressed already, and hashed as they are stored: no cache on the way may take them for
    /// text that it could compress.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Blob => "application/octet-stream",
            Self::Slot | Self::Pointer | Self::ViewText => "text/plain; charset=utf-8",
            Self::ViewJson => "application/json",
            Self::Site(media) => media,
        }
    }
}

/// A folder for objects that only try out what a store does, and are gone afterwards; a new one each time.
pub(crate) fn probe_folder() -> Result<String> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random)
        .map_err(|e| Error::new(ErrorKind::Io, "this machine gives no randomness").with_source(e.to_string()))?;
    Ok(format!("doctor/{}", hex::encode(random)))
}

/// Where an immutable object lives.
pub(crate) fn blob(sha256: &Sha256) -> String {
    format!("{BLOBS}/{sha256}")
}

/// Where the commit of a generation lives.
pub(crate) fn slot(generation: u64) -> String {
    format!("log/{generation:010}")
}

/// Where it is recorded what a view shows.
pub(crate) fn marker(view: &str) -> String {
    format!("views/{view}")
}

/// Where Cargo finds out how to download.
pub(crate) const CARGO_CONFIG: &str = "cargo/config.json";

/// Where Cargo looks a crate up: by its name in lower case, in the folders of its index.
pub(crate) fn cargo_index(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    format!("cargo/{}{name}", name_folders(&name))
}

/// Where the records of a package stand for whoever reads no tree. A dot is `_` in the folders, as no normalised name holds:
/// servers hide what begins with a dot, and one system drops a dot at the end.
pub(crate) fn plain_index(kind: &str, name: &str) -> String {
    format!("index/{kind}/{}{name}", name_folders(&name.replace('.', "_")))
}

/// The folders of a name in Cargo's layout; names are ASCII.
fn name_folders(name: &str) -> String {
    match name.len() {
        0 => String::new(),
        1 | 2 => format!("{}/", name.len()),
        3 => format!("3/{}/", &name[..1]),
        _ => format!("{}/{}/", &name[..2], &name[2..4]),
    }
}

/// ggen's catalogue of everything.
pub(crate) const CATALOGUE: &str = "index.json";

/// Where ggen looks a release up. A store that reads `+` as a space, as S3 does in the path of a request, finds what is
/// asked for under the second key.
pub(crate) fn ggen_release(id: &str, version: &str) -> (String, Option<String>) {
    let key = format!("packages/{id}/versions/{version}");
    let spaced = version.contains('+').then(|| key.replace('+', " "));
    (key, spaced)
}

/// The pages of the web site that belong to no package and no list.
pub(crate) mod site {
    pub(crate) const HOME: &str = "index.html";
    pub(crate) const MISSING: &str = "404.html";
    pub(crate) const SEARCH: &str = "search.html";
    pub(crate) const CATEGORIES: &str = "categories.html";
    pub(crate) const KEYWORDS: &str = "keywords.html";
    pub(crate) const ROBOTS: &str = "robots.txt";
    pub(crate) const SITEMAP: &str = "sitemap.xml";
    /// The part of the sitemap with what is no package.
    pub(crate) const SITEMAP_LISTS: &str = "sitemap-lists.xml";
    pub(crate) const OPENSEARCH: &str = "opensearch.xml";
    pub(crate) const FEED: &str = "feed.atom";
    /// Which shards the search in the page has.
    pub(crate) const SHARDS: &str = "search/index.json";

    /// The folders of the site. Nothing else lies in them.
    pub(crate) const FOLDERS: [&str; 6] = ["assets", "c", "k", "p", "search", "site"];

    /// The page of a package, by its label.
    pub(crate) fn page(label: &str) -> String {
        format!("p/{label}.html")
    }

    /// The feed of a package.
    pub(crate) fn feed(label: &str) -> String {
        format!("p/{label}.atom")
    }

    /// A list (`c` or `k`), or the part of it with the names that begin so. No slug holds a dot.
    pub(crate) fn list(what: &str, slug: &str, part: &str) -> String {
        if part.is_empty() { format!("{what}/{slug}.html") } else { format!("{what}/{slug}.{part}.html") }
    }

    /// What the search in the page reads of the words that begin so.
    pub(crate) fn shard(kind: &str, part: &str) -> String {
        format!("search/{kind}-{part}.json")
    }

    /// The part of the sitemap with the packages of a bucket.
    pub(crate) fn sitemap(bucket: &str) -> String {
        format!("sitemap-{bucket}.xml")
    }

    /// The state of a group.
    pub(crate) fn state(group: &str) -> String {
        format!("site/{group}.json")
    }

    /// A part of a group's state; the first one stands where the state does.
    pub(crate) fn part(group: &str, part: &str) -> String {
        format!("site/parts/{group}/{part}.json")
    }

    /// How a file of the site is served, by its ending. The keys are built here, so that no package's name chooses.
    pub(crate) fn media_type(key: &str) -> &'static str {
        if key == OPENSEARCH {
            return "application/opensearchdescription+xml";
        }
        match key.rsplit_once('.').map(|(_, ending)| ending) {
            Some("html") => "text/html; charset=utf-8",
            Some("atom") => "application/atom+xml",
            Some("xml") => "application/xml",
            Some("json") => "application/json",
            Some("txt") => "text/plain; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("webp") => "image/webp",
            Some("ico") => "image/x-icon",
            Some("woff2") => "font/woff2",
            _ => "application/octet-stream",
        }
    }

    /// Whether a key is the site's, in a store that has one.
    pub(crate) fn is_site(key: &str) -> bool {
        let single = [HOME, MISSING, SEARCH, CATEGORIES, KEYWORDS, ROBOTS, SITEMAP, SITEMAP_LISTS, OPENSEARCH, FEED]
            .contains(&key);
        let part = || {
            let bucket = key.strip_prefix("sitemap-").and_then(|k| k.strip_suffix(".xml"));
            bucket.is_some_and(|b| b.len() == 2 && b.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        };
        single || part() || key.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder))
    }
}

/// The digest in the key of an immutable object; `None` for any other key.
pub(crate) fn parse_blob(key: &str) -> Option<Sha256> {
    key.strip_prefix(BLOBS)?.strip_prefix('/')?.parse().ok()
}

/// The generation in the key of a commit; `None` for any other key.
pub(crate) fn parse_slot(key: &str) -> Option<u64> {
    let digits = key.strip_prefix("log/")?;
    (digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Where a collected object waits.
pub(crate) fn trash(sha256: &Sha256) -> String {
    format!("{TRASH}/{sha256}")
}

/// The digest in the key of a collected object; `None` for any other key.
pub(crate) fn parse_trash(key: &str) -> Option<Sha256> {
    key.strip_prefix(TRASH)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_files_of_views_stand_where_cargo_and_ggen_look() {
        for (name, key) in [
            ("a", "cargo/1/a"),
            ("Ab", "cargo/2/ab"),
            ("Abc", "cargo/3/a/abc"),
            ("Inflector", "cargo/in/fl/inflector"),
            ("a_b-C", "cargo/a_/b-/a_b-c"),
        ] {
            assert_eq!(cargo_index(name), key);
        }
        assert_eq!(plain_index("pack", "io.ggen"), "index/pack/io/_g/io.ggen");
        assert_eq!(plain_index("crate", "log"), "index/crate/3/l/log");
        assert_eq!(ggen_release("a", "1.0.0"), ("packages/a/versions/1.0.0".into(), None));
        let plus = ("packages/a/versions/1.0.0+b".into(), Some("packages/a/versions/1.0.0 b".into()));
        assert_eq!(ggen_release("a", "1.0.0+b"), plus);
    }

    proptest! {
        #[test]
        fn a_blob_key_parses_back_and_no_other_text_is_one(bytes: [u8; 32], text in "blobs/sha256/[0-9a-fA-F+]{0,70}|\\PC{0,40}") {
            prop_assert_eq!(parse_blob(&blob(&Sha256(bytes))), Some(Sha256(bytes)));
            prop_assert_eq!(parse_trash(&trash(&Sha256(bytes))), Some(Sha256(bytes)));
            prop_assert_eq!(parse_trash(&blob(&Sha256(bytes))), None);
            if let Some(digest) = parse_blob(&text) {
                prop_assert_eq!(blob(&digest), text.as_str());
            }
            prop_assert_eq!(parse_slot(&text), None);
        }

        #[test]
        fn no_two_packages_share_a_file_of_a_view_and_no_file_is_a_folder(names in proptest::collection::hash_set("[a-z0-9][a-z0-9.-]{0,5}", 2..20)) {
            let names: Vec<_> = names.iter().filter_map(|n| crate::package::PackageName::new(n).ok()).map(|n| n.normalized()).collect();
            for of in [|n: &str| plain_index("pack", n), |n: &str| cargo_index(n)] {
                let keys: std::collections::BTreeMap<_, _> = names.iter().map(|n| (of(n), n)).collect();
                prop_assert_eq!(keys.len(), names.len());
                for key in keys.keys() {
                    prop_assert!(!keys.keys().any(|k| k.starts_with(&format!("{key}/"))), "{}", key);
                    prop_assert!(key.split('/').all(|part| !part.starts_with('.') && !part.ends_with('.') || key.starts_with("cargo")), "{}", key);
                }
            }
        }

        #[test]
        fn slots_sort_as_their_generations_do(a in 0..10_000_000_000u64, b in 0..10_000_000_000u64) {
            prop_assert_eq!(a.cmp(&b), slot(a).cmp(&slot(b)));
            prop_assert_eq!(parse_slot(&slot(a)), Some(a));
        }
    }
}
