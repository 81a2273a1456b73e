//! Bodies of the fuzz targets: what strangers can send, and what must hold whatever they send.

use crate::ask::Ask;
use crate::canonical::end_to_end;
use crate::wire::{Chunked, Framing, HeadBounds, Received, Step};
use bytes::{Bytes, BytesMut};
use cloakroom_model::Code;

const BOUNDS: HeadBounds = HeadBounds { bytes: 16 * 1024, fields: 100, target: 8 * 1024 };

/// What a request head came to, in plain nouns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// The method.
    pub method: String,
    /// What is asked for.
    pub ask: String,
    /// The length of the body: `None` where it comes in chunks.
    pub length: Option<u64>,
    /// End-to-end fields, names in lower case, in the order of their first occurrence.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// Reads bytes as one request head.
///
/// # Errors
/// The code of the refusal, always `malformed-call` or `ambiguous-call`.
pub fn request_head(bytes: &[u8]) -> Result<Canonical, Code> {
    let read = Received::parse(&Bytes::copy_from_slice(bytes), &BOUNDS)
        .and_then(|it| Ok((Ask::of(&it.head)?, it.head, it.framing)));
    let (ask, head, framing) = match read {
        Ok(read) => read,
        Err(refusal) => {
            assert!(matches!(refusal.code(), Code::MalformedCall | Code::AmbiguousCall));
            return Err(refusal.code());
        }
    };
    let (method, headers) = (head.method, end_to_end(head.fields));
    let fields: Vec<_> =
        headers.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect();
    for (name, value) in &fields {
        assert!(!cloakroom_model::ends_here(name));
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
    let length = match framing {
        Framing::Empty => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    Ok(Canonical { method: method.to_string(), ask: format!("{ask:?}"), length, fields })
}

/// Decodes a chunked body twice: whole, and in pieces of `piece` bytes. Both must agree.
pub fn chunked_body(bytes: &[u8], piece: usize) {
    let whole = decode(bytes, bytes.len().max(1));
    let pieces = decode(bytes, piece.max(1));
    assert_eq!(whole, pieces, "a body must not depend on how it arrives");
}

/// The body, and what was left over; `None` where it was refused or is not complete.
fn decode(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut decoder = Chunked::new();
    let mut buffer = BytesMut::new();
    let mut body = Vec::new();
    let mut rest = bytes.chunks(piece);
    loop {
        match decoder.step(&mut buffer).ok()? {
            Step::Data(data) => body.extend_from_slice(&data),
            Step::More => buffer.extend_from_slice(rest.next()?),
            Step::End => {
                let left = buffer.iter().copied().chain(rest.flatten().copied()).collect();
                return Some((body, left));
            }
        }
    }
}
