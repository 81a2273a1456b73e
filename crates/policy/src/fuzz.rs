//! The body of the fuzz target for policy files: it lives here so that it changes with what it tests.

use crate::Policy;

/// Whatever the bytes are: no panic; and a policy that parses survives its normal form, its stored form and its text.
///
/// # Panics
/// When a property does not hold; that is how a fuzzer learns of it.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(policy) = Policy::parse("fuzz.toml", text) {
        assert_eq!(Policy::parse("fuzz.toml", &policy.to_toml()).as_ref(), Ok(&policy));
        assert_eq!(Policy::from_stored(&policy.to_stored()).as_ref(), Ok(&policy));
        assert!(policy.canonical_text().is_ascii());
        let _ = (policy.lint(), policy.explain("GET", "https://api.example.com/"));
    }
}

/// The kinds of a GraphQL document's operations in order, as the classifier reads them; `None` where it reads none. For comparison
/// with other readers.
pub fn operation_kinds(document: &str) -> Option<Vec<&'static str>> {
    let document = crate::class::graphql::Document::parse(document).ok()?;
    Some(document.operations.iter().map(|operation| operation.kind.as_str()).collect())
}

/// Whatever the bytes are, reading them as a GraphQL document, a multipart body or a mail does not panic.
pub fn call_body(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = crate::class::graphql::Document::parse(text);
    }
    let mut headers = http::HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("multipart/form-data; boundary=X"),
    );
    let _ = crate::class::form_parts(&headers, data);
    crate::question::read_mail(data);
}

/// Whatever the bytes are, reading them as what a browser gives for a passkey does not panic; and a key that is read is
/// written as it was.
///
/// # Panics
/// When a property does not hold; that is how a fuzzer learns of it.
pub fn passkey(data: &[u8]) {
    use crate::{Approvers, Attestation, PasskeyTicket, RelyingParty, base64url};
    let Ok(party) = RelyingParty::new("https://example.org", None) else { return };
    let ticket = PasskeyTicket { code: "code", party: &party };
    let challenge = base64url(&ticket.challenge());
    let client =
        format!(r#"{{"type":"webauthn.create","challenge":"{challenge}","origin":"https://example.org"}}"#);
    let said = Attestation { object: base64url(data), client: base64url(client.as_bytes()) };
    let Some(key) = ticket.redeem(&said) else { return };
    let line = format!("{key} ann");
    assert!(Approvers::new([line.clone()]).is_ok_and(|one| one.members()[0].key_text() == key), "{line}");
    let signature = cloakroom_model::Signature { key, signature: format!("1.{}..", base64url(data)) };
    assert!(Approvers::new([line]).is_ok_and(|one| one.denier("text", &signature).is_none()));
}

/// Whatever the bytes are, reading them as a JSON body does not panic, and every span is inside them.
///
/// # Panics
/// When a property does not hold; that is how a fuzzer learns of it.
pub fn json_body(data: &[u8]) {
    if let Ok(node) = crate::json::parse(data) {
        assert!(data.get(node.span).is_some());
    }
}
