//! A form that the broker itself posts, signed with an access key.

use super::canonical::hashed;
use super::key::SigningKey;
use super::{DATE, SESSION, misplaced, sensitive, sigv4, stamp};
use crate::custody::AccessKey;
use cloakroom_model::{Destination, Refusal, Timestamp};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

/// Signs a `POST` of this body to a path without a query. `Host` is what the way out will say; the other fields that are signed are
/// `Content-Type` and those of the signature.
///
/// # Errors
/// Where a field cannot be written.
#[expect(clippy::too_many_arguments, reason = "each is a part of what is signed")]
pub(crate) fn sign_form(
    fields: &mut HeaderMap,
    to: &Destination,
    path: &str,
    body: &[u8],
    access: &AccessKey,
    region: &str,
    service: &str,
    at: Timestamp,
) -> Result<(), Refusal> {
    let key = SigningKey::new(&access.secret, stamp(at), region, service);
    let kind = fields.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let mut headers = format!("content-type:{kind}\nhost:{}\nx-amz-date:{}\n", to.authority(), key.stamp());
    let mut names = "content-type;host;x-amz-date".to_owned();
    fields.insert(DATE, HeaderValue::try_from(key.stamp()).map_err(|_| misplaced())?);
    if let Some(session) = &access.session {
        headers.push_str(&format!("x-amz-security-token:{session}\n"));
        names.push_str(";x-amz-security-token");
        fields.insert(SESSION, sensitive(Zeroizing::new(session.as_bytes().to_vec()))?);
    }
    let headers = Zeroizing::new(headers);
    let request = Zeroizing::new(format!("POST\n{path}\n\n{}\n{names}\n{}", *headers, hashed(body)));
    let signed = key.sign_request(&request);
    let (algorithm, id, scope) = (sigv4::ALGORITHM, &access.id, key.scope());
    let value = format!("{algorithm} Credential={id}/{scope}, SignedHeaders={names}, Signature={signed}");
    fields.insert(AUTHORIZATION, sensitive(Zeroizing::new(value.into_bytes()))?);
    Ok(())
}
