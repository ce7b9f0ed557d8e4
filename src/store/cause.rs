//! What went wrong below a store, in a line.

use super::open;
use std::{error::Error, fmt};

/// No more of what a server or a library says is shown.
const SHOWN: usize = 300;

/// The innermost cause of a store's error: its outer layers repeat the path and each other, and may repeat the URL that was
/// asked, which can carry credentials.
#[derive(Debug)]
pub(super) struct Cause(pub(super) object_store::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last: &dyn Error = &self.0;
        while let Some(below) = last.source() {
            last = below;
        }
        let text = brief(&last.to_string());
        // Whatever a transport puts into its message, no part of a URL before an `@` and no query is shown.
        let mut shown = String::with_capacity(text.len());
        for (i, word) in text.split(' ').enumerate() {
            if i > 0 {
                shown.push(' ');
            }
            match word.find("://") {
                Some(_) => shown.push_str(&open::redact(word.trim_matches(|c| "()<>\"',".contains(c)))),
                None => shown.push_str(word),
            }
        }
        f.write_str(&shown)
    }
}

impl Error for Cause {}

/// Of an answer whose body is a document (S3 tells errors as XML, proxies in HTML) the status, the code and the message.
fn brief(text: &str) -> String {
    let Some((head, body)) = text.split_once('<') else { return shown(text) };
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("{name}>"))?;
        rest.split_once('<').map(|(content, _)| content.trim()).filter(|content| !content.is_empty())
    };
    let head = head.trim_end_matches([' ', ':', '\n', '\r']);
    let parts: Vec<&str> = [Some(head), element("Code"), element("Message")].into_iter().flatten().collect();
    shown(&parts.join(": "))
}

/// One line without anything that a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_a_document_is_told_by_its_code_and_message() {
        let head = "Server returned non-2xx status code: 403 Forbidden";
        let xml = "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The key is wrong\u{1b}[2J</Message>\
                   <Key>secret</Key></Error>";
        assert_eq!(brief(&format!("{head}: {xml}")), format!("{head}: SignatureDoesNotMatch: The key is wrong [2J"));
        assert_eq!(brief(&format!("{head}: \n<html><body>no</body></html>")), head);
        assert_eq!(brief("connection closed"), "connection closed");
        for cut in ["<Error><Code>", "<Code></Code>", "<Code>x", "<"] {
            assert_eq!(brief(&format!("{head}: {cut}")), head, "{cut}");
        }
        assert_eq!(brief(&"x".repeat(1000)).len(), SHOWN);
    }
}
