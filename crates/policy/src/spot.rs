//! The exact spot of a placeholder in a call.

use cloakroom_model::{HeaderForm, Signing};
use std::ops::Range;
use std::sync::Arc;

/// The exact spot of the placeholder in the canonical call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The header's only value of this name.
    Header(http::HeaderName, HeaderForm),
    /// The value of this cookie; it occurs once in the only Cookie header.
    Cookie(Box<str>),
    /// Index into `Query::pairs`.
    Query(usize),
    /// Index into `Path::segments`.
    Path(usize),
    /// Byte range of the string literal, quotes included, in `Payload::head` or in a message.
    Json(Range<usize>),
    /// Index into the pairs of the form body.
    Form(usize),
    /// The access key id of a signature (AWS Signature Version 4).
    SigV4(Signature),
    /// The id of a key, or a signature, in the header that this scheme names.
    Signed(Arc<Signing>),
    /// The only value of this header, which does not go out: the credential is shown by the connection.
    Mtls(http::HeaderName),
}

/// Where a call that is signed with AWS Signature Version 4 has its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL. The index is that of `X-Amz-Credential` in `Query::pairs`.
    Query(usize),
}
