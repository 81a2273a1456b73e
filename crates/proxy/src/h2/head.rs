//! One request head from a HEADERS frame (RFC 9113, section 8.3). The `h2` crate has checked the order and number of
//! pseudo-header fields, and that no field belongs to a connection; that a head has one reading is checked here.

use crate::head::Head;
use crate::wire::{
    HeadBounds, Named, Target, ambiguous, expects_continue, hides_a_field_that_matters, malformed, method,
    plain_length, single,
};
use bytes::{BufMut, BytesMut};
use cloakroom_model::{Refusal, Scheme, Upgrade};
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// How requests reach the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// The listener: a base URL, or any URL for the broker to call as a proxy.
    Listener,
    /// An intercepted tunnel: a path at the tunnel's authority, over https.
    Tunnel,
}

/// A head as it came over HTTP/2.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// The request.
    pub(super) head: Head,
    /// The declared length of the body.
    pub(super) length: Option<u64>,
    /// Whether the sender waits for `100 (Continue)`.
    pub(super) expects_continue: bool,
}

impl Received {
    /// Reads the head of a stream.
    ///
    /// # Errors
    /// `malformed-call` or `ambiguous-call`.
    pub(super) fn read(parts: Parts, around: Around, bounds: &HeadBounds) -> Result<Self, Refusal> {
        let Parts { method: raw, uri, headers, extensions, .. } = parts;
        let mut method = method(raw.as_str().as_bytes())?;
        let upgrade = upgrade(extensions.get())?;
        let fields = fields(headers, bounds)?;
        let host = host(&uri, &fields, &method)?;
        if upgrade.is_some() {
            // From here on it is what it is in HTTP/1.1.
            method = Method::GET;
        }
        let target = target(&method, &uri, host.as_ref(), around, bounds.target)?;
        let length = content_length(&fields)?;
        let expects_continue = expects_continue(&fields)?;
        Ok(Self { head: Head { method, target, host, fields, upgrade }, length, expects_continue })
    }
}

/// The `:protocol` of an extended CONNECT (RFC 8441).
fn upgrade(protocol: Option<&Protocol>) -> Result<Option<Upgrade>, Refusal> {
    match protocol.map(Protocol::as_str) {
        None => Ok(None),
        Some("websocket") => Ok(Some(Upgrade::WebSocket)),
        Some(_) => Err(malformed("the request asks for a protocol other than a WebSocket")),
    }
}

/// The fields, with the crumbs of a cookie put together again (RFC 9113, section 8.2.3).
fn fields(mut fields: HeaderMap, bounds: &HeadBounds) -> Result<HeaderMap, Refusal> {
    // A field takes as many bytes as in HTTP/1.1, so that one bound holds for both.
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields.len() > bounds.fields {
        return Err(malformed("the request has too many header fields"));
    }
    if bytes > bounds.bytes {
        return Err(malformed("the request head is too large"));
    }
    for (name, value) in &fields {
        field(name, value)?;
    }
    join_cookies(&mut fields)?;
    Ok(fields)
}

fn field(name: &HeaderName, value: &HeaderValue) -> Result<(), Refusal> {
    if hides_a_field_that_matters(name.as_str()) {
        return Err(ambiguous("a header field name has a '_' that some servers read as '-'"));
    }
    let bytes = value.as_bytes();
    let blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    if blank(bytes.first()) || blank(bytes.last()) {
        // SPEC: RFC 9113, section 8.2.1. HTTP/1.1 would trim it; a check of the untrimmed value would miss.
        return Err(malformed("a header field value begins or ends with a blank"));
    }
    if bytes.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(malformed("a header field value has a control character"));
    }
    // The `h2` crate resets streams with fields of a connection; should it ever not, they are not read here either.
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
            Err(malformed("the request has a header field that belongs to a connection"))
        }
        "te" if bytes != b"trailers" => Err(malformed("the TE field is not 'trailers' alone")),
        _ => Ok(()),
    }
}

fn join_cookies(fields: &mut HeaderMap) -> Result<(), Refusal> {
    let mut crumbs = fields.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return Ok(()) };
    let mut whole = BytesMut::from(first.as_bytes());
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.put_slice(b"; ");
        whole.put_slice(crumb.as_bytes());
    }
    let whole = HeaderValue::from_maybe_shared(whole.freeze())
        .map_err(|_| malformed("a header field value is not allowed"))?;
    fields.insert(COOKIE, whole);
    Ok(())
}

/// The authority: `:authority`, or `Host` where that is left out; where both are there, they agree (T20).
fn host(uri: &Uri, fields: &HeaderMap, method: &Method) -> Result<Option<Named>, Refusal> {
    let authority = uri.authority().map(|authority| Named::parse(authority.as_str())).transpose()?;
    let field = match single(fields, &HOST, "the request has two Host fields")? {
        Some(value) => {
            let text = value.to_str().map_err(|_| malformed("the Host field is not ASCII"))?;
            Some(Named::parse(text)?)
        }
        None => None,
    };
    if let (Some(authority), Some(field)) = (&authority, &field) {
        let default = if *method == Method::CONNECT {
            // COMPAT: as in HTTP/1.1, the Host of a CONNECT may leave the port out.
            authority.port.unwrap_or(Scheme::Https.default_port())
        } else {
            scheme(uri)?.unwrap_or(Scheme::Https).default_port()
        };
        if !authority.agrees_with(field, default) {
            return Err(ambiguous("the Host field names another authority than :authority"));
        }
    }
    match authority.or(field) {
        None => Err(malformed("the request has neither :authority nor Host")),
        host => Ok(host),
    }
}

/// `None` where the request has no `:authority`: then the `h2` crate does not say.
fn scheme(uri: &Uri) -> Result<Option<Scheme>, Refusal> {
    match uri.scheme_str() {
        None => Ok(None),
        Some("http") => Ok(Some(Scheme::Http)),
        Some("https") => Ok(Some(Scheme::Https)),
        Some(_) => Err(malformed("the scheme is neither http nor https")),
    }
}

/// The target in the form that HTTP/1.1 would have given it.
fn target(
    method: &Method,
    uri: &Uri,
    host: Option<&Named>,
    around: Around,
    longest: usize,
) -> Result<Target, Refusal> {
    if *method == Method::CONNECT {
        let named = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        return Target::parse(method, named.as_bytes(), longest);
    }
    let raw = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = Target::parse(method, raw.as_bytes(), longest)?;
    let Target::Origin { path, query } = target else {
        return Err(malformed("the :path is not a path"));
    };
    match (around, scheme(uri)?, host) {
        // SECURITY: what asks for http inside TLS was meant for somebody else, or by somebody else.
        (Around::Tunnel, Some(Scheme::Http), _) => {
            Err(malformed("a request inside a tunnel has https as its scheme"))
        }
        (Around::Listener, Some(scheme), Some(authority)) if !is_for_the_listener(&path) => {
            Ok(Target::Absolute { scheme, authority: authority.clone(), path, query })
        }
        _ => Ok(Target::Origin { path, query }),
    }
}

/// In HTTP/2 a request to a proxy has no form of its own: paths of the broker's own are base URLs and its health, and
/// every other request is for the authority that it names (RFC 9113, section 8.3.1).
fn is_for_the_listener(path: &str) -> bool {
    path == "/to" || path.starts_with("/to/") || path.starts_with("/.cloakroom/")
}

fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Refusal> {
    match single(fields, &CONTENT_LENGTH, "the request has two Content-Length fields")? {
        None => Ok(None),
        Some(value) => plain_length(value.as_bytes()).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Code;
    use http::Request;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 1024, fields: 8, target: 64 };

    fn read(method: &str, uri: &str, fields: &[(&str, &str)], around: Around) -> Result<Received, Code> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Received::read(parts, around, &BOUNDS).map_err(|refusal| refusal.code())
    }

    fn inside(fields: &[(&str, &str)]) -> Result<Received, Code> {
        read("POST", "https://h.example/x?a=b", fields, Around::Tunnel)
    }

    #[test]
    fn a_head_has_the_form_that_http_1_1_gives_it() {
        let head =
            inside(&[("content-length", "3"), ("te", "trailers"), ("expect", "100-continue")]).unwrap();
        assert_eq!((head.length, head.expects_continue), (Some(3), true));
        assert!(
            matches!(&head.head.target, Target::Origin { path, query: Some(query) } if path == "/x" && query == "a=b")
        );
        assert_eq!(head.head.host, Some(Named::parse("h.example").unwrap()));
        let of = |method: &str, uri: &str| read(method, uri, &[], Around::Listener).map(|it| it.head.target);
        let named = |text: &str| Named::parse(text).unwrap();
        let origin = |path: &str| Ok(Target::Origin { path: path.to_owned(), query: None });
        assert_eq!(of("GET", "http://127.0.0.1:8480/to/h.example/x"), origin("/to/h.example/x"));
        assert_eq!(of("GET", "http://127.0.0.1:8480/.cloakroom/health"), origin("/.cloakroom/health"));
        let absolute = |scheme, authority: &str| {
            Ok(Target::Absolute { scheme, authority: named(authority), path: "/x".to_owned(), query: None })
        };
        assert_eq!(of("GET", "http://h.example:81/x"), absolute(Scheme::Http, "h.example:81"));
        assert_eq!(of("GET", "https://h.example/x"), absolute(Scheme::Https, "h.example"));
        assert_eq!(of("CONNECT", "h.example:443"), Ok(Target::Authority(named("h.example:443"))));
    }

    #[test]
    fn t20_t21_t22_authorities_are_there_agree_and_are_canonical() {
        for (uri, fields, expected) in [
            ("https://h.example/", &[("host", "h.example")][..], None),
            ("https://h.example/", &[("host", "H.example:443")], None),
            ("/", &[("host", "h.example")], None),
            ("https://h.example/", &[("host", "g.example")], Some(Code::AmbiguousCall)),
            ("https://h.example/", &[("host", "h.example:80")], Some(Code::AmbiguousCall)),
            (
                "https://h.example/",
                &[("host", "h.example"), ("host", "h.example")],
                Some(Code::AmbiguousCall),
            ),
            ("/", &[("host", "h.example"), ("host", "g.example")], Some(Code::AmbiguousCall)),
            ("/", &[], Some(Code::MalformedCall)),
            ("/", &[("host", "")], Some(Code::MalformedCall)),
            ("/", &[("host", "h.example, g.example")], Some(Code::MalformedCall)),
            ("https://u@h.example/", &[], Some(Code::MalformedCall)),
            ("https://h.example:0443/", &[], Some(Code::MalformedCall)),
            ("https://h.example./", &[], Some(Code::MalformedCall)),
            ("http://h.example/", &[], Some(Code::MalformedCall)),
            ("ftp://h.example/", &[], Some(Code::MalformedCall)),
        ] {
            let read = read("GET", uri, fields, Around::Tunnel);
            assert_eq!(read.err(), expected, "{uri} {fields:?}");
        }
        let connect = |uri: &str, host: &str| read("CONNECT", uri, &[("host", host)], Around::Listener).err();
        assert_eq!(connect("h.example:8443", "h.example"), None);
        assert_eq!(connect("h.example:8443", "g.example:8443"), Some(Code::AmbiguousCall));
    }

    #[test]
    fn t36_t37_t41_fields_one_step_wrong_are_refused() {
        for field in [
            ("content-length", "+3"),
            ("content-length", "03"),
            ("content-length", "3, 3"),
            ("content-length", ""),
            ("x-a", " b"),
            ("x-a", "b\t"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("te", "trailers, chunked"),
            ("expect", "200-ok"),
        ] {
            assert_eq!(inside(&[field]).err(), Some(Code::MalformedCall), "{field:?}");
        }
        for fields in [
            &[("content-length", "3"), ("content-length", "3")][..],
            &[("expect", "100-continue"), ("expect", "100-continue")],
            &[("content_length", "3")],
            &[("proxy_authorization", "x")],
        ] {
            assert_eq!(inside(fields).err(), Some(Code::AmbiguousCall), "{fields:?}");
        }
        // Visible bytes that a URL must percent-encode come through the `http` crate, but not through here.
        assert_eq!(
            read("GET", "https://h.example/caf\u{e9}", &[], Around::Tunnel).err(),
            Some(Code::MalformedCall)
        );
        for method in ["get", "TRACE", "PRI", "G!T"] {
            assert_eq!(
                read(method, "https://h.example/", &[], Around::Tunnel).err(),
                Some(Code::MalformedCall)
            );
        }
    }

    #[test]
    fn cookie_crumbs_are_one_cookie_again() {
        let head =
            inside(&[("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]).unwrap();
        let cookies: Vec<_> = head.head.fields.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn t96_bounds_are_those_of_http_1_1() {
        let eight = [("x-a", "1"); 8];
        assert!(inside(&eight).is_ok());
        assert_eq!(inside(&[("x-a", "1"); 9]).err(), Some(Code::MalformedCall));
        let long = "a".repeat(1020);
        assert_eq!(inside(&[("x-a", &long)]).err(), Some(Code::MalformedCall));
        let uri = format!("https://h.example/{}", "a".repeat(64));
        assert_eq!(read("GET", &uri, &[], Around::Tunnel).err(), Some(Code::MalformedCall));
    }

    #[test]
    fn an_extended_connect_is_a_websocket_or_nothing() {
        let read = |protocol: &'static str| {
            let request = Request::builder().method("CONNECT").uri("https://h.example/chat");
            let request = request.extension(Protocol::from_static(protocol)).body(()).unwrap();
            Received::read(request.into_parts().0, Around::Tunnel, &BOUNDS).map_err(|refusal| refusal.code())
        };
        let head = read("websocket").unwrap().head;
        assert_eq!((head.method, head.upgrade), (Method::GET, Some(Upgrade::WebSocket)));
        assert!(matches!(head.target, Target::Origin { .. }));
        assert_eq!(read("connect-udp").err(), Some(Code::MalformedCall));
    }
}
