//! What the broker itself posts to AWS, signed with an access key.

use super::canonical::hashed;
use super::key::SigningKey;
use super::{DATE, SESSION, is_signed, misplaced, normal, sensitive, sigv4, stamp};
use crate::custody::AccessKey;
use cloakroom_model::{Destination, Refusal, Timestamp};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

/// Signs a `POST` of this body to a path without a query, for a region and a service. `Host` is what the way out will say; besides it
/// `Content-Type` and all that begins with `X-Amz-` is signed.
///
/// # Errors
/// Where a field cannot be written.
pub(crate) fn sign_own(
    fields: &mut HeaderMap,
    (to, path): (&Destination, &str),
    body: &[u8],
    access: &AccessKey,
    (region, service): (&str, &str),
    at: Timestamp,
) -> Result<(), Refusal> {
    let key = SigningKey::new(&access.secret, stamp(at), region, service);
    fields.insert(DATE, HeaderValue::try_from(key.stamp()).map_err(|_| misplaced())?);
    if let Some(session) = &access.session {
        fields.insert(SESSION, sensitive(Zeroizing::new(session.as_bytes().to_vec()))?);
    }
    let mut headers = normal(fields, is_signed)?;
    headers.insert("host".into(), to.authority().to_string());
    let names = headers.keys().map(String::as_str).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let lines = Zeroizing::new(lines);
    let request = Zeroizing::new(format!("POST\n{path}\n\n{}\n{names}\n{}", *lines, hashed(body)));
    let signed = key.sign_request(&request);
    let (algorithm, id, scope) = (sigv4::ALGORITHM, &access.id, key.scope());
    let value = format!("{algorithm} Credential={id}/{scope}, SignedHeaders={names}, Signature={signed}");
    fields.insert(AUTHORIZATION, sensitive(Zeroizing::new(value.into_bytes()))?);
    Ok(())
}
