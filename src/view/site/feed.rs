//! What machines read of the site: feeds (Atom, RFC 4287), the sitemap, robots.txt, the OpenSearch description.

use super::{Maker, group::Listed, page::Site};
use crate::{
    format::keys,
    package::{Record, Timestamp},
};
use std::{borrow::Cow, fmt::Write as _};

/// So many releases are in the feed of a package.
const ENTRIES: usize = 50;

/// Bytes at which a text has to be looked at: what is escaped, what is no text, and what characters begin with that XML has no
/// room for.
const LOOKED_AT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = !matches!(byte as u8, b'\t' | b'\n' | b'\r');
        byte += 1;
    }
    let others = [b'&', b'<', b'>', b'"', b'\'', 0x7f, 0xc2, 0xef];
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// A text in XML: escaped, and without what XML has no room for. Most texts are right as they are.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    let next = |text: &str| text.bytes().position(|b| LOOKED_AT[usize::from(b)]);
    let Some(mut at) = next(text) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    loop {
        // No byte in the table is in the middle of a character.
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            Some('\'') => out.push_str("&#39;"),
            Some(c) if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
        match next(rest) {
            Some(further) => at = further,
            None => break,
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

struct Entry {
    /// Where it is; with its version, so that each release is an entry of its own.
    id: String,
    link: String,
    title: String,
    updated: Timestamp,
    text: String,
}

fn atom(site: &Site, key: &str, (title, page): (&str, &str), entries: &[Entry]) -> String {
    let own = format!("{}/{key}", site.base);
    let own = escape(&own);
    let updated = entries.iter().map(|e| e.updated).max().unwrap_or(Timestamp::from_unix(0));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<id>{own}</id>\n<title>{}</title>\n\
         <updated>{updated}</updated>\n<author><name>{}</name></author>\n<link rel=\"self\" type=\"application/atom+xml\" href=\"{own}\"/>\n\
         <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n",
        escape(title),
        escape(&site.title),
        escape(&format!("{}/{page}", site.base)),
    );
    for Entry { id, link, title, updated, text } in entries {
        let (id, link, title, text) = (escape(id), escape(link), escape(title), escape(text));
        // Writing to a text cannot fail.
        let _ = writeln!(
            out,
            "<entry>\n<id>{id}</id>\n<title>{title}</title>\n<updated>{updated}</updated>\n<link rel=\"alternate\" type=\"text/html\" \
             href=\"{link}\"/>\n<summary>{text}</summary>\n</entry>"
        );
    }
    out + "</feed>\n"
}

/// The newest release of each of the packages that were published last.
pub(super) fn all(site: &Site, newest: &[Listed]) -> String {
    let entries: Vec<_> = newest
        .iter()
        .map(|Listed { card, label }| {
            let link = format!("{}/{}", site.base, keys::site::page(label));
            let id = format!("{link}#{}", card.version);
            let title = format!("{} {}", card.name, card.version);
            Entry { id, link, title, updated: card.published, text: card.summary.clone() }
        })
        .collect();
    atom(site, keys::site::FEED, (&format!("{}: new releases", site.title), keys::site::HOME), &entries)
}

/// The releases of a package, the newest first.
pub(super) fn package(maker: &Maker, label: &str, name: &str, records: &[Record]) -> String {
    let page = keys::site::page(label);
    let link = maker.url(&page);
    let mut newest: Vec<&Record> = records.iter().collect();
    newest.sort_by(|a, b| b.published.cmp(&a.published).then_with(|| b.version.cmp(&a.version)));
    let entries: Vec<_> = newest
        .into_iter()
        .take(ENTRIES)
        .map(|record| {
            let mark = |what: &str, reason: &Option<String>| match reason {
                Some(reason) => format!("{what}: {reason}"),
                None => what.to_owned(),
            };
            let (text, since) = match (&record.removed, &record.yanked) {
                (Some(removed), _) => (mark("Removed", &removed.reason), removed.time),
                (None, Some(yanked)) => (mark("Yanked", &yanked.reason), yanked.time),
                (None, None) => (record.summary.clone(), record.published),
            };
            Entry {
                id: format!("{link}#{}", record.version),
                link: link.clone(),
                title: format!("{name} {}", record.version),
                updated: since.max(record.published),
                text,
            }
        })
        .collect();
    let title = format!("{name}: releases in {}", maker.site.title);
    atom(&maker.site, &keys::site::feed(label), (&title, &page), &entries)
}

const SITEMAPS: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

/// Pages, with when they changed where that is known.
pub(super) fn sitemap(base: &str, pages: &[(String, Option<Timestamp>)]) -> String {
    let mut out = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<urlset xmlns=\"{SITEMAPS}\">\n");
    for (key, changed) in pages {
        let changed = changed.map(|t| format!("<lastmod>{t}</lastmod>")).unwrap_or_default();
        let _ = writeln!(out, "<url><loc>{}</loc>{changed}</url>", escape(&format!("{base}/{key}")));
    }
    out + "</urlset>\n"
}

/// The parts of a sitemap. It is always in parts, so that one package more changes one of them.
pub(super) fn sitemaps(base: &str, parts: &[String]) -> String {
    let mut out = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<sitemapindex xmlns=\"{SITEMAPS}\">\n");
    for key in std::iter::once(keys::site::SITEMAP_LISTS).chain(parts.iter().map(String::as_str)) {
        let _ = writeln!(out, "<sitemap><loc>{}</loc></sitemap>", escape(&format!("{base}/{key}")));
    }
    out + "</sitemapindex>\n"
}

/// Pages are for everybody; what only programs read is not worth a crawler's time.
pub(super) fn robots(base: &str) -> String {
    let path = url::Url::parse(base).map(|u| u.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let closed = ["blobs", "log", "search", "site"].map(|folder| format!("Disallow: {path}/{folder}/\n"));
    format!("User-agent: *\n{}Sitemap: {base}/{}\n", closed.concat(), keys::site::SITEMAP)
}

/// How a browser adds the site to its search engines.
pub(super) fn opensearch(site: &Site) -> String {
    // Its short name has at most 16 letters.
    let short: String = site.title.chars().take(16).collect();
    let icon = format!("{}/assets/icon.svg", site.base);
    let (base, icon) = (escape(&site.base), escape(&icon));
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<OpenSearchDescription xmlns=\"http://a9.com/-/spec/opensearch/1.1/\">\n\
         <ShortName>{}</ShortName>\n<Description>{}</Description>\n<InputEncoding>UTF-8</InputEncoding>\n<Image type=\"image/svg+xml\">{icon}</Image>\n\
         <Url type=\"text/html\" template=\"{base}/{}?q={{searchTerms}}\"/>\n</OpenSearchDescription>\n",
        escape(short.trim()),
        escape(&site.description),
        keys::site::SEARCH,
    )
}
