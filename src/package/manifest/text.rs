//! Free text of authors, brought into one form.

/// The most keywords or categories that are kept, and the longest, in bytes.
const MAX_WORDS: usize = 64;
const MAX_WORD: usize = 128;

/// One line without control characters (a terminal would obey them), trimmed; nothing when nothing is left.
pub(crate) fn clean_line(text: &str) -> Option<String> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    if line.is_empty() { None } else { Some(line.to_owned()) }
}

/// Text of several lines without control characters other than line ends and tabs; nothing when nothing is left.
pub(super) fn clean_text(text: &str) -> Option<String> {
    let kept: String =
        text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect::<String>().trim().to_owned();
    if kept.is_empty() { None } else { Some(kept) }
}

/// Adds keywords or categories: trimmed, in lower case, each once, in the order they came. What is too long to be a word
/// and what comes after the 64th is left out; the manifest still has it.
pub(crate) fn keep_words<'a>(into: &mut Vec<String>, words: impl IntoIterator<Item = &'a str>) {
    for word in words {
        let Some(word) = clean_line(word).map(|w| w.to_lowercase()) else { continue };
        if word.len() <= MAX_WORD && into.len() < MAX_WORDS && !into.contains(&word) {
            into.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_trimmed_lowered_and_kept_once_in_order() {
        let mut words = vec!["web".to_owned()];
        let long = "x".repeat(200);
        keep_words(&mut words, [" Enterprise ", "enterprise", "", "\u{1b}[1mWEB", "Web", &long, "Ärzte"]);
        assert_eq!(words, ["web", "enterprise", "[1mweb", "ärzte"]);
    }

    #[test]
    fn control_characters_do_not_survive() {
        assert_eq!(clean_line(" a\u{1b}[31m\nb\0 ").as_deref(), Some("a [31m b"));
        assert_eq!(clean_line(" \n\u{7}"), None);
        assert_eq!(clean_text("\u{feff}a\r\n\u{8}b\tc\n").as_deref(), Some("\u{feff}a\nb\tc"));
    }
}
