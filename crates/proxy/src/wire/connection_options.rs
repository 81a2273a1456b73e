//! What the request says about this connection: `Connection`, `Upgrade` and `Expect`.

use super::fields::single;
use super::{Version, ambiguous, malformed};
use cloakroom_model::{Refusal, Upgrade};
use http::HeaderMap;
use http::header::{CONNECTION, EXPECT, UPGRADE};

/// The options of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    /// Whether another request may follow on this connection.
    pub(super) keep_alive: bool,
    /// Whether the sender waits for `100 (Continue)` before it sends the body.
    pub(super) expects_continue: bool,
    /// Which other protocol the connection is to speak.
    pub(super) upgrade: Option<Upgrade>,
}

impl ConnectionOptions {
    /// Reads the fields.
    ///
    /// # Errors
    /// `ambiguous-call` when `Connection` names a field that is no hop's business; `malformed-call` for upgrades that
    /// cannot be ignored and for unknown expectations.
    pub(super) fn of(fields: &HeaderMap, version: Version) -> Result<Self, Refusal> {
        let close = has_close(fields)?;
        let upgrade = upgrade(fields, version)?;
        Ok(Self {
            keep_alive: version == Version::Http11 && !close,
            expects_continue: expects_continue(fields)? && version == Version::Http11,
            upgrade,
        })
    }
}

/// Whether `close` is among the options.
///
/// SECURITY: `Connection: authorization` asks a hop to drop a field (T44). A sender names only fields that are the
/// hop's business anyway; whoever names another wants two programs to see different requests.
fn has_close(fields: &HeaderMap) -> Result<bool, Refusal> {
    let mut close = false;
    for value in fields.get_all(CONNECTION) {
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

/// `h2c` may be ignored (RFC 9110, section 7.8), and is; a WebSocket cannot work without its upgrade.
fn upgrade(fields: &HeaderMap, version: Version) -> Result<Option<Upgrade>, Refusal> {
    let Some(value) = single(fields, &UPGRADE, "the request has two Upgrade fields")? else {
        return Ok(None);
    };
    if value.as_bytes().eq_ignore_ascii_case(b"h2c") {
        return Ok(None);
    }
    if !value.as_bytes().eq_ignore_ascii_case(b"websocket") || version != Version::Http11 {
        return Err(malformed("the request asks for an upgrade other than to a WebSocket"));
    }
    let said = fields.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    if said.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade")) {
        Ok(Some(Upgrade::WebSocket))
    } else {
        Err(malformed("the request has an Upgrade field that its Connection field does not name"))
    }
}

/// Whether the sender waits for `100 (Continue)`.
///
/// # Errors
/// `malformed-call` for unknown expectations.
pub(crate) fn expects_continue(fields: &HeaderMap) -> Result<bool, Refusal> {
    match single(fields, &EXPECT, "the request has two Expect fields")? {
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
        for fields in [
            &[("upgrade", "websocket")][..],
            &[("upgrade", "websocket, h2c"), ("connection", "upgrade")],
            &[("upgrade", "tls/1.0"), ("connection", "upgrade")],
        ] {
            assert_eq!(options(Version::Http11, fields), Err(Code::MalformedCall), "{fields:?}");
        }
        let twice = [("upgrade", "websocket"), ("upgrade", "websocket"), ("connection", "upgrade")];
        assert_eq!(options(Version::Http11, &twice), Err(Code::AmbiguousCall));
        let mut map = HeaderMap::new();
        map.insert("upgrade", HeaderValue::from_static("WebSocket"));
        map.insert("connection", HeaderValue::from_static("keep-alive, Upgrade"));
        assert_eq!(ConnectionOptions::of(&map, Version::Http11).unwrap().upgrade, Some(Upgrade::WebSocket));
        assert!(ConnectionOptions::of(&map, Version::Http10).is_err());
    }
}
