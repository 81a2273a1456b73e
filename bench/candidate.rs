//! Whom we measure: the yardstick, the neighbours, and our broker in each way in.

use crate::bed::{Bed, Ours};
use crate::connection::Route;
use crate::server::Server;
use cloakroom_testkit::{Request, Way};
use std::net::SocketAddr;

/// A call that the upstream answers with 1 KiB.
pub(crate) const SMALL: &str = "/v1/items/1";
/// One whose answer holds what came as `Authorization`.
pub(crate) const ECHO: &str = "/v1/items/echo";
/// One whose answer is large.
pub(crate) const LARGE: &str = "/v1/items/large";

/// What our broker is called where it intercepts, where it is a base URL over TLS, and what the bare relay is called.
pub(crate) const INTERCEPTION: &str = "cloakroom, interception";
pub(crate) const BASE_URL: &str = "cloakroom, base URL";
pub(crate) const RELAY: &str = "bare hyper relay, reverse proxy";

/// One of them.
pub(crate) struct Candidate {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Its process; none for the upstream itself.
    pub(crate) pid: Option<u32>,
    door: Door,
    request: Request,
    way: Way,
    who: Option<cloakroom_testkit::Workload>,
    address: SocketAddr,
    path: Option<&'static str>,
    name_on_certificate: Option<&'static str>,
}

enum Door {
    Tls(String),
    Tunnel(String),
    Plain,
}

impl Candidate {
    /// How to call this path of the upstream through it.
    pub(crate) fn route(&self, path: &str) -> Route {
        let request = Request { target: self.path.unwrap_or(path).to_owned(), ..self.request.clone() };
        let route = match &self.door {
            Door::Tunnel(ca) => Route::tunnel(self.address, ca, self.who.as_ref(), &request),
            Door::Tls(ca) => Route::tls(self.address, ca, request.bytes(self.way, self.who.as_ref())),
            Door::Plain => Route::plain(self.address, request.bytes(self.way, self.who.as_ref())),
        };
        match self.name_on_certificate {
            Some(name) => route.named(name),
            None => route,
        }
    }

    /// Whether it speaks TLS with its clients, as the yardstick does.
    pub(crate) fn is_tls(&self) -> bool {
        !matches!(self.door, Door::Plain)
    }

    fn relaying(name: &'static str, bed: &Bed, address: SocketAddr, pid: Option<u32>) -> Self {
        Self {
            name,
            pid,
            door: Door::Tls(bed.authority.pem().to_owned()),
            request: bed.plain_request(),
            way: Way::Connect,
            who: None,
            address,
            path: None,
            name_on_certificate: None,
        }
    }

    fn ours(name: &'static str, ours: &Ours, way: Way) -> Self {
        Self {
            name,
            pid: Some(ours.broker.pid()),
            door: match way {
                Way::Connect => Door::Tunnel(ours.broker.ca_pem()),
                Way::Absolute | Way::BaseUrl => Door::Plain,
            },
            request: ours.request.clone(),
            way,
            who: Some(ours.robot.clone()),
            address: ours.broker.listen(),
            path: None,
            name_on_certificate: None,
        }
    }
}

/// Everybody, running.
pub(crate) struct Field {
    /// In the order of the tables: the upstream itself first, nginx second.
    pub(crate) candidates: Vec<Candidate>,
    /// Those that are not there, and why.
    pub(crate) absent: Vec<&'static str>,
    /// Our broker with TLS on its workload listener.
    pub(crate) behind_tls: Ours,
    /// The yardstick.
    pub(crate) nginx: Server,
    _servers: Vec<Server>,
    _ours: Ours,
}

impl Field {
    /// Starts everybody.
    pub(crate) fn new(bed: &Bed) -> Self {
        let (nginx, relay) = (Server::nginx(bed, None), Server::relay(bed, None));
        let mut absent = Vec::new();
        let mut servers = Vec::new();
        let mut candidates = vec![
            Candidate::relaying("direct to the upstream", bed, bed.upstream.address(), None),
            Candidate::relaying("nginx, reverse proxy", bed, nginx.address(), Some(nginx.pid())),
        ];
        match Server::haproxy(bed) {
            None => absent.push("HAProxy is not installed"),
            Some(haproxy) => {
                candidates.push(Candidate::relaying(
                    "HAProxy, reverse proxy",
                    bed,
                    haproxy.address(),
                    Some(haproxy.pid()),
                ));
                servers.push(haproxy);
            }
        }
        candidates.push(Candidate::relaying(RELAY, bed, relay.address(), Some(relay.pid())));
        servers.push(relay);
        match Server::squid(bed) {
            None => absent.push("Squid with TLS interception is not installed, or this is not root"),
            Some((squid, ca)) => {
                let mut candidate =
                    Candidate::relaying("Squid, interception", bed, squid.address(), Some(squid.pid()));
                // It writes an address into a certificate as if it were a name, which no client accepts.
                candidate.name_on_certificate = Some("localhost");
                candidate.request.authority = format!("localhost:{}", bed.upstream.port());
                candidate.door = Door::Tunnel(ca);
                candidates.push(candidate);
                servers.push(squid);
            }
        }
        let (ours, behind_tls) =
            (bed.pinned_broker(""), bed.pinned_broker("[listen.tls]\ncertificate = \"own\"\n"));
        candidates.push(Candidate::ours(INTERCEPTION, &ours, Way::Connect));
        let mut base_url = Candidate::ours(BASE_URL, &behind_tls, Way::BaseUrl);
        base_url.door = Door::Tls(behind_tls.broker.ca_pem());
        candidates.push(base_url);
        candidates.push(Candidate::ours("cloakroom, base URL, plain in", &ours, Way::BaseUrl));
        candidates.push(Candidate::ours("cloakroom, absolute form, plain in", &ours, Way::Absolute));
        let mut counted = Candidate::ours("cloakroom, interception, counted uses", &ours, Way::Connect);
        counted.request = ours.counted.clone();
        candidates.push(counted);
        let mut echoed =
            Candidate::ours("cloakroom, interception, secret in the answer", &ours, Way::Connect);
        echoed.path = Some(ECHO);
        candidates.push(echoed);
        Self { candidates, absent, behind_tls, nginx, _servers: servers, _ours: ours }
    }

    /// Those that speak TLS in, one for each kind of program and way in.
    pub(crate) fn plain_calls(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| {
            candidate.is_tls() && candidate.path.is_none() && !candidate.name.ends_with("counted uses")
        })
    }
}
