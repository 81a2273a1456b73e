//! How long what takes the place of a secret is.
//!
//! Text does not mind. Where a format counts the bytes of its parts (protobuf, MessagePack, CBOR, frames of gRPC), a part of another
//! length makes everything behind it unreadable.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

/// How long a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// As long as the placeholder.
    Free,
    /// As long as what was found: the placeholder is cut, or begun again behind its end.
    Same,
}

impl Fit {
    /// What a body of this type needs.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        const WHOLE: [&str; 8] = [
            "application/cbor",
            "application/msgpack",
            "application/proto",
            "application/protobuf",
            "application/vnd.google.protobuf",
            "application/vnd.msgpack",
            "application/x-msgpack",
            "application/x-protobuf",
        ];
        const BEGIN: [&str; 3] = ["application/grpc", "application/grpc-web", "application/connect"];
        const END: [&str; 3] = ["proto", "cbor", "msgpack"];
        let kind = fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let plus = kind.iter().position(|byte| *byte == b'+');
        let (begin, end) = kind.split_at(plus.unwrap_or(kind.len()));
        let is =
            |text: &[u8], names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name.as_bytes()));
        let counted = is(kind, &WHOLE) || is(begin, &BEGIN) || is(end.get(1..).unwrap_or_default(), &END);
        if counted { Self::Same } else { Self::Free }
    }

    /// Puts the replacement for `found` bytes behind `clean`.
    pub(super) fn put(self, replacement: &[u8], found: usize, clean: &mut Vec<u8>) {
        match self {
            Self::Free => clean.extend_from_slice(replacement),
            // Whole symbols of every form stay whole, for their lengths divide both.
            Self::Same => clean.extend(replacement.iter().cycle().take(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_count_their_bytes_are_known_by_their_type() {
        for (kind, expected) in [
            ("application/grpc", Fit::Same),
            ("application/grpc+proto", Fit::Same),
            ("Application/GRPC-Web+proto; charset=x", Fit::Same),
            ("application/grpc-web-text", Fit::Free),
            ("application/connect+json", Fit::Same),
            ("application/x-protobuf; messageType=\"x\"", Fit::Same),
            ("application/vnd.api+msgpack", Fit::Same),
            ("application/json", Fit::Free),
            ("text/event-stream", Fit::Free),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(Fit::of(&fields), expected, "{kind}");
        }
        assert_eq!(Fit::of(&HeaderMap::new()), Fit::Free);
    }

    #[test]
    fn a_replacement_is_as_long_as_it_has_to_be() {
        for (found, expected) in [(2, "ab"), (3, "abc"), (8, "abcabcab")] {
            let mut clean = Vec::new();
            Fit::Same.put(b"abc", found, &mut clean);
            assert_eq!(clean, expected.as_bytes());
        }
    }
}
