//! What a call that is signed with AWS Signature Version 4 says about its signature: the grammar, and nothing of secrets.
//!
//! SPEC: AWS, "Create a signed AWS API request" and "Authenticating requests: using query parameters".

use crate::Signature;
use crate::decide::place::only_value;
use cloakroom_model::{Call, Query};
use http::header::AUTHORIZATION;

/// The one algorithm. Signature Version 4A (`AWS4-ECDSA-P256-SHA256`) is not known here, and so refused.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The query keys of a presigned URL. They belong to the signature, so a policy does not list them.
pub const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// The header fields that belong to the signature, and are made anew.
pub const REPLACED: [&str; 3] = ["authorization", "x-amz-date", "x-amz-security-token"];

/// The most bytes of a body that is read to be hashed, where the policy says nothing: 1 MiB.
pub(crate) const MOST_BODY: u64 = 1024 * 1024;

/// What a signature is for: `KEY/20130524/us-east-1/s3/aws4_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'c> {
    /// The access key id: here the placeholder.
    pub access_key: &'c str,
    /// The region.
    pub region: &'c str,
    /// The service.
    pub service: &'c str,
}

/// Whether a body of this service is hashed by whoever sends it, who names the hash in `X-Amz-Content-Sha256`: it need not be read.
pub fn streams(service: &str) -> bool {
    service.starts_with("s3")
}

/// The scope of an `Authorization` value, where it is a signature in its one spelling.
pub fn in_authorization(value: &str) -> Option<Scope<'_>> {
    let fields = value.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let mut fields = fields.split(',').map(str::trim);
    let credential = fields.next()?.strip_prefix("Credential=")?;
    let headers = fields.next()?.strip_prefix("SignedHeaders=")?;
    let signature = fields.next()?.strip_prefix("Signature=")?;
    (fields.next().is_none() && are_headers(headers) && is_signature(signature)).then_some(())?;
    scope(credential)
}

/// The scope of a presigned URL, and which pair it stands in; `None` where the query has no key of a signature.
///
/// # Errors
/// One sentence, where the query is signed in part or twice.
pub fn in_query(query: &Query) -> Result<Option<(usize, Scope<'_>)>, &'static str> {
    let mut found = [None; PRESIGNED.len()];
    for (index, pair) in query.pairs().iter().enumerate() {
        // SECURITY: some services read these keys in any case; one spelling is let through, and it is judged.
        let Some(at) = PRESIGNED.iter().position(|key| key.eq_ignore_ascii_case(pair.key())) else {
            continue;
        };
        if PRESIGNED[at] != pair.key() || found[at].replace((index, pair.value())).is_some() {
            return Err("a key of the signature occurs twice, or in another spelling");
        }
    }
    let [algorithm, credential, date, expires, _, signature, headers] = found;
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let incomplete = "the query is signed in part: a presigned URL has all keys of its signature";
    let is = |part: Option<(usize, &str)>, good: fn(&str) -> bool| part.is_some_and(|(_, value)| good(value));
    let whole = is(algorithm, |value| value == ALGORITHM)
        && is(date, |value| value.len() == 16)
        && is(expires, is_number)
        && is(signature, is_signature)
        && is(headers, are_headers);
    let (index, credential) = credential.filter(|_| whole).ok_or(incomplete)?;
    scope(credential).map(|scope| Some((index, scope))).ok_or(incomplete)
}

/// The scope of the signature that stands there; `None` where none does.
pub fn scope_at(call: &Call, signature: Signature) -> Option<Scope<'_>> {
    match signature {
        Signature::Header => in_authorization(only_value(call, &AUTHORIZATION).ok()?),
        Signature::Query(_) => in_query(&call.query).ok()?.map(|(_, scope)| scope),
    }
}

fn scope(credential: &str) -> Option<Scope<'_>> {
    let mut parts = credential.split('/');
    let (access_key, date) = (parts.next()?, parts.next()?);
    let (region, service) = (parts.next()?, parts.next()?);
    let ends = parts.next() == Some("aws4_request") && parts.next().is_none();
    (ends && date.len() == 8 && is_number(date)).then_some(Scope { access_key, region, service })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_signature(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn are_headers(text: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    text.split(';').all(|part| !part.is_empty() && part.bytes().all(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024";

    #[test]
    fn the_scope_of_a_header_is_read_in_one_spelling_only() {
        let of = |text: &str| in_authorization(&text.replace("SIG", SIGNATURE)).map(|s| format!("{s:?}"));
        let good = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=host;x-amz-date, Signature=SIG";
        let scope = Scope { access_key: "AKIDEXAMPLE", region: "us-east-1", service: "iam" };
        assert_eq!(of(good), Some(format!("{scope:?}")));
        assert_eq!(of(&good.replace(", ", ",")), Some(format!("{scope:?}")));
        for (from, to) in [
            ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
            ("/aws4_request", ""),
            ("/aws4_request", "/aws4_request/x"),
            ("20150830", "2015083"),
            ("20150830", "2015x830"),
            ("SIG", "SIG0"),
            ("SIG", ""),
            ("host;x-amz-date", "Host"),
            ("host;x-amz-date", ""),
            ("Signature=", "signature="),
            ("Signature=SIG", "Signature=SIG, Signature=SIG"),
            ("SignedHeaders=host;x-amz-date, ", ""),
        ] {
            assert_eq!(of(&good.replacen(from, to, 1)), None, "{from} {to}");
        }
    }

    #[test]
    fn a_presigned_query_is_whole_or_refused() {
        let good = format!(
            "a=b&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE}"
        );
        let of = |text: &str| {
            in_query(&Query::parse(text).unwrap()).map(|it| it.map(|(at, s)| (at, s.region.to_owned())))
        };
        assert_eq!(of(&good), Ok(Some((2, "us-east-1".to_owned()))));
        assert_eq!(of("a=b"), Ok(None));
        for (from, to) in [
            ("&X-Amz-Expires=86400", ""),
            ("X-Amz-Expires=86400", "X-Amz-Expires=86400&X-Amz-Expires=1"),
            ("X-Amz-Date", "x-amz-date"),
            ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
            ("aws4_request", "aws3_request"),
            ("X-Amz-Signature=f", "X-Amz-Signature=F"),
        ] {
            assert!(of(&good.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }
}
