//! JSON pointers (RFC 6901).

use std::fmt;

/// A pointer as its decoded reference tokens; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses `/a/b~1c`. `None` for the empty pointer and for `~` that begins no escape.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<Vec<_>>>()?;
        Some(Self { tokens })
    }

    /// As a person writes it: a pointer, or the bare name of a top-level member.
    pub(crate) fn written(text: &str) -> Option<Self> {
        match text.starts_with('/') {
            true => Self::parse(text),
            false => (!text.is_empty()).then(|| Self { tokens: vec![text.to_owned()] }),
        }
    }

    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whether one of both leads to the other, or both are the same.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.tokens.iter().zip(&other.tokens).all(|(own, others)| own == others)
    }
}

fn unescape(token: &str) -> Option<String> {
    let escapes_are_valid = token.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    escapes_are_valid.then(|| token.replace("~1", "/").replace("~0", "~"))
}

/// One token, as it stands in a pointer.
pub(crate) fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", escaped(token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_survives_its_text() {
        for text in ["/a", "/a/b~1c/0", "/m~0n", "/~01", "/", "/a//b"] {
            assert_eq!(Pointer::parse(text).map(|p| p.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Pointer::parse("/~01").unwrap().tokens(), ["~1"]);
        assert_eq!(Pointer::written("a/b").map(|p| p.to_string()).as_deref(), Some("/a~1b"));
        for bad in ["", "a", "/~", "/~2", "/a~"] {
            assert_eq!(Pointer::parse(bad), None, "{bad}");
        }
    }
}
