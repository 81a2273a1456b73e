//! Text for an approver's eyes: ASCII only, one spelling per text, nothing that moves a cursor.

use std::fmt::Write;

/// `text` in double quotes. Everything but printable ASCII becomes `\u{…}`; so do quote and backslash, so that two
/// texts never look alike (T75).
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, |c| matches!(c, ' '..='~')))
}

/// `text` without quotes, for texts that stand where a blank or a quote would end them.
pub(crate) fn bare(text: &str) -> String {
    escaped(text, |c| matches!(c, '!'..='~'))
}

/// `text` on one line, quotes and backslashes as they are: for texts that are shown to be copied.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| matches!(c, ' '..='~');
    text.chars()
        .map(|c| if shown(c) { c.to_string() } else { format!("\\u{{{:x}}}", u32::from(c)) })
        .collect()
}

fn escaped(text: &str, shown: impl Fn(char) -> bool) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        if shown(c) && !matches!(c, '"' | '\\') {
            written.push(c);
        } else {
            // Writing to a String does not fail.
            let _ = write!(written, "\\u{{{:x}}}", u32::from(c));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t75_nothing_invisible_or_moving_is_shown() {
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(
            quoted("p\u{430}y\u{202e}\u{200b}\u{1b}[2J\n\"\\"),
            "\"p\\u{430}y\\u{202e}\\u{200b}\\u{1b}[2J\\u{a}\\u{22}\\u{5c}\""
        );
        assert_eq!(bare("a b\u{e9}"), "a\\u{20}b\\u{e9}");
    }
}
