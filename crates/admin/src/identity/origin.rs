//! Whether a browser's request comes from a page of this console (T82). A page of another site cannot set these fields.

use crate::{Problem, ProblemCode};
use cloakroom_policy::RelyingParty;
use http::{HeaderMap, HeaderName, header};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what a page of another origin had the browser send. A browser that says neither where the page is from nor how it relates to
/// this one is refused too.
///
/// # Errors
/// [`ProblemCode::CrossSite`]
pub(crate) fn require_same_origin(headers: &HeaderMap, party: &RelyingParty) -> Result<(), Problem> {
    let site = headers.get(SITE).map(|site| site == "same-origin");
    let origin = headers.get(header::ORIGIN).map(|origin| is_own(origin.as_bytes(), headers, party));
    match (site, origin) {
        (Some(false), _) | (_, Some(false)) | (None, None) => {
            Err(Problem::new(ProblemCode::CrossSite, "the request does not come from a page of this console"))
        }
        _ => Ok(()),
    }
}

/// The host was checked before: it is one of the console's own names.
fn is_own(origin: &[u8], headers: &HeaderMap, party: &RelyingParty) -> bool {
    let Some(authority) = std::str::from_utf8(origin).ok().and_then(|text| text.split_once("://")) else {
        return false;
    };
    let (scheme, authority) = authority;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    matches!(scheme, "http" | "https") && (Some(authority) == host || authority == party.authority())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn t82_only_pages_of_this_console_may_send_what_changes_something() {
        let party = RelyingParty::new("https://console.example.org", None).unwrap();
        for (site, origin, may) in [
            (Some("same-origin"), Some("http://127.0.0.1:8481"), true),
            (Some("same-origin"), None, true),
            (None, Some("http://127.0.0.1:8481"), true),
            (None, Some("https://console.example.org"), true),
            (None, None, false),
            (Some("cross-site"), Some("http://127.0.0.1:8481"), false),
            (Some("same-site"), None, false),
            (Some("none"), None, false),
            (Some("same-origin"), Some("https://evil.example"), false),
            (None, Some("https://console.example.org.evil.example"), false),
            (None, Some("null"), false),
            (None, Some("http://127.0.0.1:8482"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8481"));
            for (name, value) in [(SITE, site), (header::ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(require_same_origin(&headers, &party).is_ok(), may, "{site:?} {origin:?}");
        }
    }
}
