//! One request head from its raw bytes.

use super::connection_options::ConnectionOptions;
use super::fields::{parse as parse_fields, single};
use super::{Framing, Named, Target, ambiguous, malformed};
use crate::head::Head;
use bytes::Bytes;
use cloakroom_model::Refusal;
use http::header::HOST;
use http::{HeaderMap, Method};
use std::ops::Range;

/// The versions of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0: for CONNECT only.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadBounds {
    /// Bytes of the whole head.
    pub(crate) bytes: usize,
    /// Header fields.
    pub(crate) fields: usize,
    /// Bytes of the request target.
    pub(crate) target: usize,
}

/// A head as it came over HTTP/1, and what it says about its connection.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The request.
    pub(crate) head: Head,
    /// How long the body is.
    pub(crate) framing: Framing,
    /// Whether the sender waits for `100 (Continue)`.
    pub(crate) expects_continue: bool,
    /// Whether another request may follow.
    pub(crate) keep_alive: bool,
}

impl Received {
    /// Parses a head, its final empty line included.
    ///
    /// # Errors
    /// `malformed-call` or `ambiguous-call`.
    pub(crate) fn parse(bytes: &Bytes, bounds: &HeadBounds) -> Result<Self, Refusal> {
        let mut lines = Lines::of(bytes)?;
        let first = lines.next().unwrap_or(Ok(0..0))?;
        let (method, target, version) = request_line(&bytes[first], bounds.target)?;
        // COMPAT: Python before 3.12 sends CONNECT as HTTP/1.0; anything else in it has no Host and no chunks.
        if version == Version::Http10 && method != Method::CONNECT {
            return Err(malformed("the request is HTTP/1.0, which is understood for CONNECT only"));
        }
        let fields = parse_fields(bytes, lines, bounds.fields)?;
        let host = host(&fields, version)?;
        agree(&target, host.as_ref())?;
        let framing = Framing::of(&fields, version)?;
        if method == Method::CONNECT && framing != Framing::Empty {
            return Err(malformed("a CONNECT request has a body"));
        }
        let ConnectionOptions { keep_alive, expects_continue, upgrade } =
            ConnectionOptions::of(&fields, version)?;
        if upgrade.is_some() && (method != Method::GET || framing != Framing::Empty) {
            return Err(malformed("a WebSocket begins with a GET without a body"));
        }
        let head = Head { method, target, host, fields, upgrade };
        Ok(Self { head, framing, expects_continue, keep_alive })
    }
}

/// The lines of a head without their CRLF, and without the empty one at its end.
///
/// SECURITY: a bare LF ends a line for some programs and a bare CR for others; neither stands here (T37).
pub(super) struct Lines<'a> {
    text: &'a [u8],
    from: usize,
}

impl<'a> Lines<'a> {
    fn of(head: &'a [u8]) -> Result<Self, Refusal> {
        let text = head
            .strip_suffix(b"\r\n\r\n")
            .ok_or_else(|| malformed("the request head does not end with an empty line"))?;
        Ok(Self { text, from: 0 })
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Range<usize>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.from;
        let rest = self.text.get(from..)?;
        let Some(length) = memchr::memchr2(b'\r', b'\n', rest) else {
            self.from = self.text.len() + 1;
            return Some(Ok(from..self.text.len()));
        };
        if !rest[length..].starts_with(b"\r\n") {
            return Some(Err(malformed("the request head has a CR or LF that does not end a line")));
        }
        self.from = from + length + 2;
        Some(Ok(from..from + length))
    }
}

fn request_line(line: &[u8], longest: usize) -> Result<(Method, Target, Version), Refusal> {
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("the request line is not method, target and version with single spaces"));
    };
    let method = self::method(method)?;
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(malformed("the request is neither HTTP/1.1 nor HTTP/1.0")),
    };
    Ok((method.clone(), Target::parse(&method, target, longest)?, version))
}

/// A method.
///
/// # Errors
/// `malformed-call` for what is none, and for TRACE.
///
/// SECURITY: methods are case-sensitive (RFC 9110, section 9.1) and not every server knows; so only upper case is one.
pub(crate) fn method(raw: &[u8]) -> Result<Method, Refusal> {
    let well_formed = (1..=24).contains(&raw.len())
        && raw[0].is_ascii_uppercase()
        && raw.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
    let method = if well_formed { Method::from_bytes(raw).ok() } else { None };
    match method {
        // TRACE echoes the request, and PRI begins an HTTP/2 connection.
        Some(method) if method != Method::TRACE && method.as_str() != "PRI" => Ok(method),
        _ => Err(malformed("the method is not one that may be used here")),
    }
}

fn host(fields: &HeaderMap, version: Version) -> Result<Option<Named>, Refusal> {
    match single(fields, &HOST, "the request has two Host fields")? {
        Some(value) => {
            let text = value.to_str().map_err(|_| malformed("the Host field is not ASCII"))?;
            Named::parse(text).map(Some)
        }
        // COMPAT: and without Host.
        None if version == Version::Http10 => Ok(None),
        None => Err(malformed("the request has no Host field")),
    }
}

/// SECURITY: RFC 9112 says that the target wins over `Host`; not every program behind us does as it says (T20).
fn agree(target: &Target, host: Option<&Named>) -> Result<(), Refusal> {
    let (authority, default) = match target {
        Target::Origin { .. } => return Ok(()),
        Target::Absolute { scheme, authority, .. } => (authority, scheme.default_port()),
        Target::Authority(authority) => {
            // COMPAT: many programs leave the port out of the Host of a CONNECT; it names the same host all the same.
            (authority, authority.port.unwrap_or(443))
        }
    };
    match host {
        Some(host) if !authority.agrees_with(host, default) => {
            Err(ambiguous("the Host field names another authority than the request target"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Code;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 4096, fields: 8, target: 64 };

    fn code(head: &str) -> Option<Code> {
        Received::parse(&Bytes::copy_from_slice(head.as_bytes()), &BOUNDS).err().map(|r| r.code())
    }

    #[test]
    fn a_plain_head_has_one_reading() {
        let bytes =
            Bytes::from_static(b"POST /v1?a=b HTTP/1.1\r\nHost: h.example\r\nContent-Length: 3\r\n\r\n");
        let received = Received::parse(&bytes, &BOUNDS).unwrap();
        assert_eq!(received.head.method, Method::POST);
        assert_eq!(received.framing, Framing::Length(3));
        assert!(received.keep_alive && !received.expects_continue);
    }

    #[test]
    fn t34_t37_a_request_line_one_step_wrong_is_refused() {
        for line in [
            "get / HTTP/1.1",
            "Get / HTTP/1.1",
            "GET  / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "GET\t/\tHTTP/1.1",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "GET / HTTP/01.1",
            "TRACE / HTTP/1.1",
            "PRI * HTTP/2.0",
            "PRI / HTTP/1.1",
            "-GET / HTTP/1.1",
            "G@T / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "",
        ] {
            assert_eq!(
                code(&format!("{line}\r\nHost: h.example\r\n\r\n")),
                Some(Code::MalformedCall),
                "{line}"
            );
        }
    }

    #[test]
    fn t20_t21_host_is_there_once_and_agrees_with_the_target() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", Some(Code::MalformedCall)),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", Some(Code::MalformedCall)),
            ("CONNECT a.example:443 HTTP/1.0\r\nHost: b.example\r\n\r\n", Some(Code::AmbiguousCall)),
            ("CONNECT a.example:443 HTTP/1.0\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Some(Code::AmbiguousCall)),
            ("GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", Some(Code::MalformedCall)),
            ("GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n", Some(Code::MalformedCall)),
            ("GET / HTTP/1.1\r\nHost: \r\n\r\n", Some(Code::MalformedCall)),
            ("GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", Some(Code::MalformedCall)),
            ("GET / HTTP/1.1\r\nHost: a.example\r\n b.example\r\n\r\n", Some(Code::MalformedCall)),
            ("GET http://a.example/ HTTP/1.1\r\nHost: A.example:80\r\n\r\n", None),
            ("GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", Some(Code::AmbiguousCall)),
            ("GET http://a.example/ HTTP/1.1\r\nHost: a.example:443\r\n\r\n", Some(Code::AmbiguousCall)),
            ("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", None),
            ("CONNECT a.example:8443 HTTP/1.1\r\nHost: a.example\r\n\r\n", None),
            ("CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", Some(Code::AmbiguousCall)),
            ("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:444\r\n\r\n", Some(Code::AmbiguousCall)),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\n",
                Some(Code::MalformedCall),
            ),
        ] {
            assert_eq!(code(head), expected, "{head}");
        }
    }

    #[test]
    fn t37_bare_line_ends_are_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        ] {
            assert_eq!(code(head), Some(Code::MalformedCall), "{head:?}");
        }
    }

    #[test]
    fn t96_too_many_fields_or_too_long_a_target_are_refused() {
        let eight = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned() + &"X: y\r\n".repeat(7) + "\r\n";
        assert_eq!(code(&eight), None);
        let nine = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned() + &"X: y\r\n".repeat(8) + "\r\n";
        assert_eq!(code(&nine), Some(Code::MalformedCall));
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(64));
        assert_eq!(code(&long), Some(Code::MalformedCall));
    }
}
