//! What a request asks the broker for: one of the ways in, or to say that it runs.

use crate::head::Head;
use crate::outcome::Awaited;
use crate::recall::Puzzle;
use crate::wire::{Named, Target, ambiguous, malformed};
use cloakroom_model::{Code, Destination, EventKind, Host, Path, Query, Refusal, Scheme, Way, WorkloadId};
use cloakroom_policy::PolicySet;
use http::Method;
use http::header::{ACCEPT, UPGRADE};

const BASE: &str = "/to/";
const HOLDINGS: &str = "/.cloakroom/";
const HEALTH: &str = "/.cloakroom/health";
const REQUESTS: &str = "/.cloakroom/requests";
const OUTCOMES: &str = "/.cloakroom/requests/";
const REFUSALS: &str = "/.cloakroom/refusals/";
const CLAIM: &str = "/.cloakroom/claim";
const AWS_KEYS: &str = "/.cloakroom/aws/credentials";

/// What is asked for on the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Whether the broker runs.
    Health,
    /// Something that the broker keeps for this workload, or from it.
    Petition(Petition),
    /// The form of AWS keys for a placeholder that is shown.
    AwsKeys,
    /// A tunnel to intercept.
    Tunnel(Approach),
    /// One call.
    Call(Approach, Path, Query),
}

/// What a workload asks of the broker itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Petition {
    /// To be told what it holds.
    Holdings(Said),
    /// To be permitted what is not.
    Propose,
    /// To be told what became of what it asked for.
    Outcome(Awaited),
    /// To be told what a refusal means.
    Meaning(Puzzle, Said),
    /// To be given a placeholder that waits for it.
    Claim,
    /// To be given this placeholder in the form of AWS keys.
    AwsKeys(String),
    /// What only AWS's token service would be asked.
    AwsSts,
}

/// How an answer of the broker's own is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Json,
    /// What people and language models read best, and what a program gets that does not say what it takes.
    Words,
}

impl Said {
    fn of(head: &Head) -> Self {
        let accepts = head.fields.get_all(ACCEPT).iter().any(|value| {
            value.as_bytes().windows(JSON.len()).any(|window| window.eq_ignore_ascii_case(JSON))
        });
        if accepts { Self::Json } else { Self::Words }
    }
}

const JSON: &[u8] = b"application/json";

/// Where a request wants to go, before policy said which destination that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approach {
    /// The way it came.
    pub(crate) way: Way,
    host: Host,
    /// `None`: what the scheme makes of it.
    port: Option<u16>,
    /// Whether only https will do.
    tls: bool,
}

impl Ask {
    /// Reads what this head asks for.
    ///
    /// # Errors
    /// `malformed-call` when it is none of the ways in; as [`Path::parse`] and [`Query::parse`].
    pub(crate) fn of(head: &Head) -> Result<Self, Refusal> {
        match &head.target {
            Target::Authority(named) => tunnel(named),
            Target::Absolute { scheme, authority, path, query } => {
                // COMPAT: `http://host:80/` is what a program says when it was told to leave TLS to the proxy.
                let port = authority.port.filter(|port| *port != scheme.default_port());
                let tls = *scheme == Scheme::Https;
                let approach = Approach { way: Way::Absolute, host: authority.host.clone(), port, tls };
                call(approach, path, query.as_deref())
            }
            Target::Origin { path, query: None } if path == HEALTH && head.method == Method::GET => {
                Ok(Self::Health)
            }
            Target::Origin { path, query: None } if path == HOLDINGS && head.method == Method::GET => {
                Ok(Self::Petition(Petition::Holdings(Said::of(head))))
            }
            Target::Origin { path, query: None } if path == REQUESTS && head.method == Method::POST => {
                Ok(Self::Petition(Petition::Propose))
            }
            Target::Origin { path, query: None }
                if head.method == Method::GET && is_below(path, OUTCOMES) =>
            {
                Awaited::read(&path[OUTCOMES.len()..]).map(Petition::Outcome).map(Self::Petition)
            }
            Target::Origin { path, query: None }
                if head.method == Method::GET && is_below(path, REFUSALS) =>
            {
                let puzzle = Puzzle::read(&path[REFUSALS.len()..])?;
                Ok(Self::Petition(Petition::Meaning(puzzle, Said::of(head))))
            }
            Target::Origin { path, query: None } if path == CLAIM && head.method == Method::POST => {
                Ok(Self::Petition(Petition::Claim))
            }
            Target::Origin { path, query: None } if path == AWS_KEYS && head.method == Method::GET => {
                Ok(Self::AwsKeys)
            }
            Target::Origin { path, query: None } if Some(path.as_str()) == HOLDINGS.strip_suffix('/') => {
                Err(malformed("what a workload holds is told at /.cloakroom/, with the slash at its end"))
            }
            Target::Origin { path, query } => match path.strip_prefix(BASE) {
                Some(rest) => base_url(rest, query.as_deref()),
                None => Err(malformed(
                    "the target is no way in: use CONNECT, an absolute http:// URL, or /to/AUTHORITY/PATH",
                )),
            },
        }
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.starts_with(directory)
}

/// Path and query of a request inside a tunnel: its authority must be the tunnel's.
///
/// # Errors
/// `ambiguous-call` when it names another authority (T20); `malformed-call` for other forms of target.
pub(crate) fn inside(head: &Head, destination: &Destination) -> Result<(Path, Query), Refusal> {
    let Target::Origin { path, query } = &head.target else {
        return Err(malformed("a request inside a tunnel has a path as its target"));
    };
    if head.fields.contains_key(UPGRADE) && head.upgrade.is_none() {
        // What may be ignored on a plain connection makes no sense inside TLS (RFC 9113, section 3.1).
        return Err(malformed("a request inside a tunnel asks for an upgrade"));
    }
    let tunnel = Named { host: destination.host().clone(), port: Some(destination.port()) };
    let default = destination.scheme().default_port();
    if !head.host.as_ref().is_some_and(|host| host.agrees_with(&tunnel, default)) {
        return Err(ambiguous("the Host field names another authority than the tunnel"));
    }
    Ok((Path::parse(path)?, Query::parse(query.as_deref().unwrap_or_default())?))
}

/// What is spoken inside a tunnel that SOCKS5 opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// TLS, to intercept.
    Tls,
    /// HTTP in the clear: upgraded, as an absolute `http://` URL is.
    Plain,
}

impl Approach {
    /// Of a SOCKS5 request.
    pub(crate) fn of_socks(named: &Named, inside: Inside) -> Self {
        let tls = inside == Inside::Tls;
        let port = named.port.filter(|port| tls || *port != Scheme::Http.default_port());
        Self { way: Way::Socks, host: named.host.clone(), port, tls }
    }

    /// Of a connection that was on its way there.
    pub(crate) fn steered(named: &Named, inside: Inside) -> Self {
        Self { way: Way::Transparent, ..Self::of_socks(named, inside) }
    }

    /// The destination that an active permit of this workload names, if one does.
    pub(crate) fn permitted(&self, workload: WorkloadId, policies: &PolicySet) -> Option<Destination> {
        let port = if self.tls { self.port.or(Some(Scheme::Https.default_port())) } else { self.port };
        let named = policies.destination_for(workload, &self.host, port)?;
        (named.scheme() == Scheme::Https || !self.tls).then_some(named)
    }

    /// The destination as it was asked for, for the record of a refusal.
    pub(crate) fn wanted(&self) -> Destination {
        let port = self.port.unwrap_or(Scheme::Https.default_port());
        Destination::new(Scheme::Https, self.host.clone(), port)
    }
}

/// `destination-not-permitted` for what no permit names.
pub(crate) fn not_named(wanted: &Destination) -> Refusal {
    Refusal::new(Code::DestinationNotPermitted, "no active permit of this workload names the destination")
        .with(|facts| facts.destination = Some(wanted.clone()))
        .as_event(EventKind::UnnamedDestination)
}

fn tunnel(named: &Named) -> Result<Ask, Refusal> {
    if named.port.is_none() {
        return Err(malformed("a CONNECT request names a host and a port"));
    }
    let Named { host, port } = named.clone();
    Ok(Ask::Tunnel(Approach { way: Way::Connect, host, port, tls: true }))
}

/// `<authority>/<path…>` after `/to/`.
fn base_url(rest: &str, query: Option<&str>) -> Result<Ask, Refusal> {
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let Named { host, port } = Named::parse(authority)?;
    call(Approach { way: Way::BaseUrl, host, port, tls: true }, path, query)
}

fn call(approach: Approach, path: &str, query: Option<&str>) -> Result<Ask, Refusal> {
    Ok(Ask::Call(approach, Path::parse(path)?, Query::parse(query.unwrap_or_default())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HeadBounds, Received};

    const BOUNDS: HeadBounds = HeadBounds { bytes: 4096, fields: 16, target: 1024 };

    fn head(line: &str, host: &str) -> Head {
        Received::parse(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").into(), &BOUNDS).unwrap().head
    }

    fn asked(line: &str, host: &str) -> Result<Ask, Code> {
        Ask::of(&head(line, host)).map_err(|r| r.code())
    }

    fn wanted(line: &str, host: &str) -> (Way, String, Option<u16>, bool, String) {
        match asked(line, host).unwrap() {
            Ask::Call(a, path, query) => {
                let text = format!("{}?{}", path.encoded(), query.encoded());
                (a.way, a.host.to_string(), a.port, a.tls, text)
            }
            Ask::Tunnel(a) => (a.way, a.host.to_string(), a.port, a.tls, String::new()),
            Ask::Health | Ask::Petition(_) | Ask::AwsKeys => panic!("an errand of our own"),
        }
    }

    #[test]
    fn each_way_in_has_its_form() {
        let own = "127.0.0.1:8480";
        for (line, host, expected) in [
            (
                "GET /to/API.example.com/v1/x?a=b",
                own,
                (Way::BaseUrl, "api.example.com", None, true, "/v1/x?a=b"),
            ),
            ("GET /to/api.example.com:8443", own, (Way::BaseUrl, "api.example.com", Some(8443), true, "/?")),
            ("GET /to/h.example?a=b", own, (Way::BaseUrl, "h.example", None, true, "/?a=b")),
            ("GET http://h.example/v1", "h.example", (Way::Absolute, "h.example", None, false, "/v1?")),
            ("GET http://h.example:80/", "h.example", (Way::Absolute, "h.example", None, false, "/?")),
            ("GET http://h.example:81/", "h.example:81", (Way::Absolute, "h.example", Some(81), false, "/?")),
            ("GET https://h.example/", "h.example", (Way::Absolute, "h.example", None, true, "/?")),
            ("CONNECT h.example:443", "h.example:443", (Way::Connect, "h.example", Some(443), true, "")),
        ] {
            let (way, name, port, tls, text) = expected;
            assert_eq!(wanted(line, host), (way, name.to_owned(), port, tls, text.to_owned()), "{line}");
        }
        assert_eq!(asked("GET /.cloakroom/health", own), Ok(Ask::Health));
    }

    #[test]
    fn t84_what_is_no_way_in_is_refused() {
        for line in [
            "GET /",
            "GET /v1/credentials",
            "GET /to",
            "GET /to/",
            "GET /to//x",
            "GET /to/u@h.example/x",
            "GET /to/h.example%2fx/y",
            "GET /to/https://h.example/x",
            "GET /to/h.example:0443/x",
            "POST /.cloakroom/health",
            "POST /.cloakroom/",
            "GET /.cloakroom",
            "GET /.cloakroom/?x",
            "GET /.cloakroom/claim",
            "GET /.cloakroom/requests/",
            "GET /.cloakroom/requests/x",
            "POST /.cloakroom/requests/pr_01M8JHXRPR1G6PF3BQCZB35PWQ",
            "GET /.cloakroom/refusals/",
            "GET /.cloakroom/refusals/no-such-code",
            "GET /.cloakroom/refusals/internal-fault?x",
            "POST /.cloakroom/claim?code=x",
            "POST /.cloakroom/aws/credentials",
            "GET /.cloakroom/aws/credentials?x",
            "CONNECT h.example",
        ] {
            assert_eq!(asked(line, "h.example"), Err(Code::MalformedCall), "{line}");
        }
        for line in ["GET /to/h.example/../x", "GET /to/h.example//x", "GET http://h.example/%2e%2e/x"] {
            assert_eq!(asked(line, "h.example"), Err(Code::AmbiguousCall), "{line}");
        }
    }

    #[test]
    fn t20_a_request_inside_a_tunnel_names_the_tunnels_authority() {
        let of = |line: &str, host: &str, to: &str| {
            inside(&head(line, host), &to.parse().unwrap()).map(|_| ()).map_err(|r| r.code())
        };
        let (plain, other_port) = ("https://h.example", "https://h.example:8443");
        for (host, to) in [("h.example", plain), ("H.example:443", plain), ("h.example:8443", other_port)] {
            assert_eq!(of("GET /x", host, to), Ok(()), "{host} {to}");
        }
        for (host, to) in [
            ("g.example", plain),
            ("h.example:80", plain),
            ("h.example", other_port),
            ("h.example:443", other_port),
        ] {
            assert_eq!(of("GET /x", host, to), Err(Code::AmbiguousCall), "{host} {to}");
        }
        assert_eq!(of("GET http://h.example/x", "h.example", plain), Err(Code::MalformedCall));
        assert_eq!(of("CONNECT h.example:443", "h.example", plain), Err(Code::MalformedCall));
        assert_eq!(of("GET /../x", "h.example", plain), Err(Code::AmbiguousCall));
    }
}
