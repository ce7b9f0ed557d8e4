//! Readmes: Markdown from strangers, as HTML that can do nothing.
//!
//! There is no list of what is forbidden. The events of the parser become HTML from a closed set of elements, written here one by
//! one; text is escaped; raw HTML is never passed on, only the text in it. The attributes are `href` of links (checked), `id` of headings
//! (letters, digits, `-`), `class` of code (the same), `start` of lists (a number). So what a browser is given does not depend on
//! how well somebody else's HTML is understood, as it does with a filter behind an HTML parser.

use super::feed::escape;
use crate::package::TextFile;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};
use std::collections::HashMap;
use url::Url;

/// More of a readme is not shown, in bytes.
const MAX_SHOWN: usize = 256 << 10;

/// Elements may be this deep; what is deeper stands beside each other. (Browsers stop somewhere, too.)
const MAX_DEPTH: usize = 48;

/// An address that a link may lead to from anywhere: of a web page.
pub(super) fn web_address(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    (matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none())
    .then(|| url.into())
}

/// The readme of a release, else its description; `None` where it has neither.
pub(super) fn html(readme: Option<&TextFile>, description: Option<&str>, repository: Option<&str>) -> Option<String> {
    let Some(readme) = readme.filter(|r| !r.text.trim().is_empty()) else {
        let paragraphs = description?.split("\n\n").map(str::trim).filter(|p| !p.is_empty());
        let html: String = paragraphs.map(|p| format!("<p>{}</p>\n", escape(p))).collect();
        return (!html.is_empty()).then_some(html);
    };
    let mut text = readme.text.as_str();
    let cut = readme.truncated || text.len() > MAX_SHOWN;
    if text.len() > MAX_SHOWN {
        text = &text[..text.floor_char_boundary(MAX_SHOWN)];
        // At the end of a line, if there are lines.
        text = text.rsplit_once('\n').map_or(text, |(whole, _)| whole);
    }
    let ending = readme.path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    let mut out = match ending.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd") => markdown(text, &Places::new(repository, &readme.path)),
        _ => format!("<pre>{}</pre>\n", escape(text)),
    };
    if cut {
        out.push_str("<p class=\"cut\">The readme goes on; what is shown here was cut.</p>\n");
    }
    Some(out)
}

/// What relative links are resolved against: files of the repository, where it is on a host whose addresses are known.
struct Places {
    /// Where pages show the readme's folder, with a slash at its end, and the part of it that no link may leave.
    pages: Option<(Url, String)>,
}

impl Places {
    fn new(repository: Option<&str>, readme: &str) -> Self {
        Self { pages: repository.and_then(|r| Self::pages(r, readme)) }
    }

    fn pages(repository: &str, readme: &str) -> Option<(Url, String)> {
        let mut url = Url::parse(&web_address(repository)?).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        let blob = match url.host_str()? {
            "github.com" => "blob",
            "gitlab.com" => "-/blob",
            _ => return None,
        };
        let path = url.path().trim_matches('/').to_owned();
        let mut parts = path.split('/');
        let (owner, name) = (parts.next()?, parts.next()?.trim_end_matches(".git"));
        // A crate in a folder of the repository says so by the address of that folder.
        let rest: Vec<&str> = parts.collect();
        let folder = match rest.as_slice() {
            ["tree" | "blob", _, folder @ ..] | ["-", "tree" | "blob", _, folder @ ..] => folder.join("/"),
            _ => String::new(),
        };
        if owner.is_empty() || name.is_empty() {
            return None;
        }
        let root = format!("/{owner}/{name}/{blob}/HEAD/");
        let mut at = format!("{root}{folder}");
        for part in readme.rsplit_once('/').map_or("", |(folders, _)| folders).split('/').filter(|p| !p.is_empty()) {
            at = format!("{}/{part}", at.trim_end_matches('/'));
        }
        url.set_path(&format!("{}/", at.trim_end_matches('/')));
        Some((url, root))
    }

    /// Where a link of the readme leads; `None` where that is nothing to follow.
    fn link(&self, target: &str) -> Option<String> {
        let target = target.trim();
        if let Some(anchor) = target.strip_prefix('#') {
            return Some(format!("#{}", anchor_of(&percent_decoded(anchor))));
        }
        match Url::parse(target) {
            Ok(url) if url.scheme() == "mailto" => Some(url.into()),
            Ok(_) => web_address(target),
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                let (base, root) = self.pages.as_ref()?;
                if target.starts_with("//") || target.starts_with('\\') {
                    return None;
                }
                // From the top of the repository, as its host reads it.
                let joined = match target.strip_prefix('/') {
                    Some(rest) => base.join(root).ok()?.join(rest),
                    None => base.join(target),
                };
                let url = joined.ok()?;
                (url.origin() == base.origin() && url.path().starts_with(root.as_str())).then(|| url.into())
            }
            Err(_) => None,
        }
    }
}

fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
        .map(|(k, _)| k.into_owned())
        .next()
        .unwrap_or_default()
}

/// What a heading is called in links: as GitHub does it, below a prefix that nothing else on the page has.
fn anchor_of(heading: &str) -> String {
    let mut out = String::from("readme-");
    for c in heading.trim().to_lowercase().chars() {
        match c {
            ' ' | '-' => out.push('-'),
            c if c.is_alphanumeric() || c == '_' => out.push(c),
            _ => {}
        }
    }
    out
}

fn markdown(text: &str, places: &Places) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::new(places);
    writer.out.reserve(text.len() + text.len() / 8);
    for event in Parser::new_ext(text, options) {
        writer.event(event);
    }
    writer.out
}

struct Writer<'p> {
    places: &'p Places,
    out: String,
    /// What closes the elements that are open; empty for one that was left out.
    open: Vec<&'static str>,
    depth: usize,
    /// Where the heading begins that is being written, and its text.
    heading: Option<(usize, String)>,
    anchors: HashMap<String, u32>,
    /// The image whose description is being read: where it is, and what is said of it.
    image: Option<(String, String, usize)>,
    links: usize,
    in_head: bool,
    html: Option<String>,
}

impl<'p> Writer<'p> {
    fn new(places: &'p Places) -> Self {
        Self {
            places,
            out: String::new(),
            open: Vec::new(),
            depth: 0,
            heading: None,
            anchors: HashMap::new(),
            image: None,
            links: 0,
            in_head: false,
            html: None,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        if let Some((_, text, depth)) = &mut self.image {
            // The description of an image is text alone.
            match event {
                Event::Start(Tag::Image { .. }) => *depth += 1,
                Event::End(TagEnd::Image) if *depth > 0 => *depth -= 1,
                Event::End(TagEnd::Image) => self.end_image(),
                Event::Text(t) | Event::Code(t) => text.push_str(&t),
                Event::SoftBreak | Event::HardBreak => text.push(' '),
                _ => {}
            }
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => {
                self.note_heading(&text);
                self.out.push_str(&format!("<code>{}</code>", escape(&text)));
            }
            Event::Html(html) => match &mut self.html {
                Some(block) => block.push_str(&html),
                None => self.raw(&html),
            },
            Event::InlineHtml(html) if is_break(&html) => self.out.push_str("<br>"),
            // A tag; what stands between two of them comes as text.
            Event::InlineHtml(_) => {}
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>\n"),
            Event::Rule => self.out.push_str("<hr>\n"),
            Event::TaskListMarker(done) => self.out.push_str(if done { "\u{2611} " } else { "\u{2610} " }),
            // What the options above do not turn on.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => self.text(&text),
        }
    }

    fn note_heading(&mut self, text: &str) {
        if let Some((_, heading)) = &mut self.heading {
            heading.push_str(text);
        }
    }

    fn text(&mut self, text: &str) {
        self.note_heading(text);
        self.out.push_str(&escape(text));
    }

    fn enter(&mut self, tag: &str, close: &'static str) {
        if self.depth >= MAX_DEPTH {
            self.open.push("");
            return;
        }
        self.depth += 1;
        self.out.push_str(tag);
        self.open.push(close);
    }

    fn leave(&mut self) {
        if let Some(close) = self.open.pop().filter(|c| !c.is_empty()) {
            self.depth -= 1;
            self.out.push_str(close);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.enter("<p>", "</p>\n"),
            Tag::Heading { .. } => {
                self.heading = Some((self.out.len(), String::new()));
            }
            Tag::BlockQuote(_) => self.enter("<blockquote>\n", "</blockquote>\n"),
            Tag::CodeBlock(kind) => {
                let class = match kind {
                    CodeBlockKind::Fenced(info) => language(&info),
                    CodeBlockKind::Indented => String::new(),
                };
                self.enter(&format!("<pre><code{class}>"), "</code></pre>\n");
            }
            Tag::HtmlBlock => {
                self.html = Some(String::new());
                self.open.push("");
            }
            Tag::List(Some(start)) => self.enter(&format!("<ol start=\"{start}\">\n"), "</ol>\n"),
            Tag::List(None) => self.enter("<ul>\n", "</ul>\n"),
            Tag::Item => self.enter("<li>", "</li>\n"),
            Tag::Table(_) => self.enter("<table>\n", "</table>\n"),
            Tag::TableHead => {
                self.in_head = true;
                self.enter("<thead><tr>", "</tr></thead>\n");
            }
            Tag::TableRow => self.enter("<tr>", "</tr>\n"),
            Tag::TableCell if self.in_head => self.enter("<th>", "</th>"),
            Tag::TableCell => self.enter("<td>", "</td>"),
            Tag::Emphasis => self.enter("<em>", "</em>"),
            Tag::Strong => self.enter("<strong>", "</strong>"),
            Tag::Strikethrough => self.enter("<del>", "</del>"),
            Tag::Link { dest_url, .. } => self.link(&dest_url),
            Tag::Image { dest_url, .. } => self.image = Some((dest_url.into_string(), String::new(), 0)),
            // What the options above do not turn on.
            _ => self.open.push(""),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.end_heading(level as usize),
            TagEnd::HtmlBlock => {
                self.leave();
                let html = self.html.take().unwrap_or_default();
                self.raw(&html);
            }
            TagEnd::TableHead => {
                self.leave();
                self.in_head = false;
            }
            TagEnd::Link => {
                if self.open.last().is_some_and(|c| !c.is_empty()) {
                    self.links -= 1;
                }
                self.leave();
            }
            _ => self.leave(),
        }
    }

    fn link(&mut self, target: &str) {
        let Some(href) = self.places.link(target) else { return self.open.push("") };
        let rel = if href.starts_with('#') { "" } else { " rel=\"nofollow noopener\"" };
        self.enter(&format!("<a href=\"{}\"{rel}>", escape(&href)), "</a>");
        self.links += usize::from(self.open.last().is_some_and(|c| !c.is_empty()));
    }

    /// Where an image would be is a link to it: no page asks another host for anything.
    fn end_image(&mut self) {
        let Some((target, text, _)) = self.image.take() else { return };
        let name = target.rsplit('/').next().unwrap_or_default();
        let text = if text.trim().is_empty() { name.split(['?', '#']).next().unwrap_or_default() } else { text.trim() };
        self.note_heading(text);
        let href = if self.links == 0 { self.places.link(&target).filter(|h| !h.starts_with('#')) } else { None };
        let text = escape(text);
        match href {
            Some(href) => {
                let href = escape(&href);
                self.out.push_str(&format!("<a class=\"image\" href=\"{href}\" rel=\"nofollow noopener\">{text}</a>"));
            }
            // What lies in the address itself has no name.
            None if target.trim_start().get(..5).is_some_and(|s| s.eq_ignore_ascii_case("data:"))
                && text.contains("base64") => {}
            None => self.out.push_str(&text),
        }
    }

    /// Headings stand below that of the page.
    fn end_heading(&mut self, level: usize) {
        let Some((at, text)) = self.heading.take() else { return };
        let level = (level + 1).min(6);
        let mut anchor = anchor_of(&text);
        let seen = self.anchors.entry(anchor.clone()).or_insert(0);
        if *seen > 0 {
            anchor = format!("{anchor}-{seen}");
        }
        *seen += 1;
        self.out.insert_str(at, &format!("<h{level} id=\"{}\">", escape(&anchor)));
        self.out.push_str(&format!("</h{level}>\n"));
    }

    /// Of raw HTML, the text.
    fn raw(&mut self, html: &str) {
        let text = text_of(html);
        for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
            self.out.push_str(&format!("<p>{}</p>\n", escape(paragraph)));
        }
    }
}

/// `<br>`, `<br/>`, `<br />`.
fn is_break(html: &str) -> bool {
    let inner = html.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/').trim();
    inner.eq_ignore_ascii_case("br")
}

/// The class by which a language is told, in letters that end no attribute.
fn language(info: &CowStr<'_>) -> String {
    let word = info.split([' ', ',', '{', '\t']).next().unwrap_or_default();
    let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || "-+_".contains(*c)).take(24).collect();
    if word.is_empty() { word } else { format!(" class=\"language-{word}\"") }
}

/// The text in a piece of HTML, without tags, comments, and what is no text (scripts, styles). However it is misread, what
/// comes out is text: it is escaped like any other.
fn text_of(html: &str) -> String {
    const NO_TEXT: [&str; 6] = ["script", "style", "template", "textarea", "title", "svg"];
    let (mut out, mut rest) = (String::new(), html);
    while let Some((text, tag)) = rest.split_once('<') {
        out.push_str(text);
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
        // In this order: of what is no tag, the end is not looked for, again and again, in all of the rest.
        let Some((inner, after)) = is_tag.then(|| tag.split_once('>')).flatten() else {
            // An angle bracket of a text, or a tag that never ends.
            out.push_str(if is_tag { "" } else { "<" });
            rest = if is_tag { "" } else { tag };
            continue;
        };
        rest = after;
        let word = inner.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric);
        let name = word.collect::<String>().to_ascii_lowercase();
        match name.as_str() {
            "br" => out.push('\n'),
            "p" | "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "li" | "tr" | "table" | "summary" => {
                out.push_str("\n\n");
            }
            _ => {}
        }
        if NO_TEXT.contains(&name.as_str()) && !inner.starts_with('/') && !inner.ends_with('/') {
            let end = format!("</{name}");
            let at = rest.as_bytes().windows(end.len()).position(|w| w.eq_ignore_ascii_case(end.as_bytes()));
            rest = at.map_or("", |at| &rest[at..]);
        }
    }
    out.push_str(rest);
    for (entity, character) in
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        out = out.replace(entity, character);
    }
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
