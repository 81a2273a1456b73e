//! What the request says about this connection: `Connection`, `Upgrade` and `Expect`.

use super::fields::single;
use super::{Version, ambiguous, malformed};
use cloakroom_model::Refusal;
use http::HeaderMap;

/// The options of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    /// Whether another request may follow on this connection.
    pub(super) keep_alive: bool,
    /// Whether the sender waits for `100 (Continue)` before it sends the body.
    pub(super) expects_continue: bool,
}

impl ConnectionOptions {
    /// Reads the fields.
    ///
    /// # Errors
    /// `ambiguous-call` when `Connection` names a field that is no hop's business; `malformed-call` for upgrades that
    /// cannot be ignored and for unknown expectations.
    pub(super) fn of(fields: &HeaderMap, version: Version) -> Result<Self, Refusal> {
        let close = has_close(fields)?;
        refuse_upgrades(fields)?;
        Ok(Self {
            keep_alive: version == Version::Http11 && !close,
            expects_continue: expects_continue(fields)? && version == Version::Http11,
        })
    }
}

/// Whether `close` is among the options.
///
/// SECURITY: `Connection: authorization` asks a hop to drop a field (T44). A sender names only fields that are the
/// hop's business anyway; whoever names another wants two programs to see different requests.
fn has_close(fields: &HeaderMap) -> Result<bool, Refusal> {
    let mut close = false;
    for value in fields.get_all("connection") {
        let value = value.to_str().map_err(|_| malformed("the Connection field is not ASCII"))?;
        for option in value.split(',').map(|option| option.trim_matches([' ', '\t'])) {
            match option.to_ascii_lowercase().as_str() {
                "close" => close = true,
                "" | "keep-alive" | "upgrade" | "http2-settings" | "te" | "trailer" | "trailers"
                | "proxy-connection" => {}
                _ => return Err(ambiguous("the Connection field names a field that goes end to end")),
            }
        }
    }
    Ok(close)
}

/// `h2c` may be ignored (RFC 9110, section 7.8), and is; a WebSocket cannot work without its upgrade, so it is refused.
fn refuse_upgrades(fields: &HeaderMap) -> Result<(), Refusal> {
    let ignorable = |value: &[u8]| value.eq_ignore_ascii_case(b"h2c");
    let all = fields.get_all("upgrade").iter().all(|value| ignorable(value.as_bytes()));
    if all { Ok(()) } else { Err(malformed("the request asks for an upgrade, which is not relayed")) }
}

fn expects_continue(fields: &HeaderMap) -> Result<bool, Refusal> {
    match single(fields, "expect", "the request has two Expect fields")? {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(malformed("the request has an expectation other than 100-continue")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Code;
    use http::{HeaderName, HeaderValue};

    fn options(version: Version, fields: &[(&'static str, &'static str)]) -> Result<(bool, bool), Code> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let options = ConnectionOptions::of(&map, version).map_err(|r| r.code())?;
        Ok((options.keep_alive, options.expects_continue))
    }

    #[test]
    fn a_connection_is_kept_unless_one_side_says_close() {
        assert_eq!(options(Version::Http11, &[]), Ok((true, false)));
        assert_eq!(options(Version::Http11, &[("connection", "Keep-Alive, TE")]), Ok((true, false)));
        assert_eq!(
            options(Version::Http11, &[("connection", "keep-alive"), ("connection", "CLOSE")]),
            Ok((false, false))
        );
        assert_eq!(options(Version::Http10, &[("connection", "keep-alive")]), Ok((false, false)));
    }

    #[test]
    fn t44_only_hop_by_hop_names_may_be_connection_options() {
        for value in [
            "authorization",
            "close, Host",
            "cookie",
            "x-api-key",
            "content-length",
            "content-type",
            "transfer-encoding",
        ] {
            assert_eq!(
                options(Version::Http11, &[("connection", value)]),
                Err(Code::AmbiguousCall),
                "{value}"
            );
        }
    }

    #[test]
    fn t38_t39_expectations_and_upgrades_are_known_or_refused() {
        assert_eq!(options(Version::Http11, &[("expect", "100-Continue")]), Ok((true, true)));
        assert_eq!(options(Version::Http10, &[("expect", "100-continue")]), Ok((false, false)));
        for value in ["", "100-continue, 100-continue", "100-continueX", "x=\"100-continue\"", "200-ok"] {
            assert_eq!(options(Version::Http11, &[("expect", value)]), Err(Code::MalformedCall), "{value}");
        }
        let twice = [("expect", "100-continue"), ("expect", "100-continue")];
        assert_eq!(options(Version::Http11, &twice), Err(Code::AmbiguousCall));
        assert_eq!(
            options(Version::Http11, &[("upgrade", "h2c"), ("connection", "upgrade, http2-settings")]),
            Ok((true, false))
        );
        assert_eq!(options(Version::Http11, &[("upgrade", "websocket")]), Err(Code::MalformedCall));
    }
}
