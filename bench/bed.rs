//! The bed: one authority, one upstream, and the broker with a credential, a workload and a permit.

use crate::machine;
use crate::server::Server;
use cloakroom_testkit::{Broker, BrokerBuilder, Request, TestAuthority, Way, Workload, shaped};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What every candidate stands on.
pub(crate) struct Bed {
    /// Signs every server's certificate.
    pub(crate) authority: TestAuthority,
    /// The upstream that everybody calls.
    pub(crate) upstream: Server,
    /// The broker's binary.
    pub(crate) binary: String,
}

/// A broker that may call the upstream.
pub(crate) struct Ours {
    /// The process.
    pub(crate) broker: Broker,
    /// Its workload.
    pub(crate) robot: Workload,
    /// A permitted call with the placeholder in it.
    pub(crate) request: Request,
}

impl Bed {
    /// Starts the upstream.
    pub(crate) fn new(binary: &str) -> Self {
        let authority = TestAuthority::new();
        let upstream = Server::upstream(&authority);
        Self { authority, upstream, binary: binary.into() }
    }

    /// Starts a broker on the proxy's core.
    pub(crate) fn pinned_broker(&self) -> Ours {
        let script = self.authority.directory().join("pinned.sh");
        self.wrap(&script, &[]);
        self.broker(&script.to_string_lossy(), &[])
    }

    /// Writes a program that stands in for the broker: `serve` runs behind `words` on the proxy's core, everything else
    /// as it is.
    pub(crate) fn wrap(&self, script: &Path, words: &[String]) {
        let (broker, words, core) = (&self.binary, words.join(" "), machine::PROXY);
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = serve ] || exec {broker} \"$@\"\nexec taskset -c {core} {words} {broker} \"$@\"\n"
        );
        std::fs::write(script, text).unwrap();
        std::fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts a broker from `program`; `uses` are further arguments of `placeholder issue`.
    pub(crate) fn broker(&self, program: &str, uses: &[&str]) -> Ours {
        let broker = BrokerBuilder::new(program, &self.authority).start();
        let robot = broker.workload("robot");
        let to = format!("https://127.0.0.1:{}", self.upstream.port());
        broker.deposit("bench", "bearer", &[&to], &shaped("sk_live_"));
        let policy = format!(
            "version = 1\n[[permit]]\nname = \"bench\"\nto = \"{to}\"\ncall = \"GET /v1/items/{{id}}\"\nplace = \"header authorization bearer\"\n"
        );
        let placeholder = broker.permit("bench", "robot", &policy, uses).text;
        let request = Request::new("GET", &format!("127.0.0.1:{}", self.upstream.port()), "/v1/items/1")
            .with("authorization", &format!("Bearer {placeholder}"));
        Ours { broker, robot, request }
    }

    /// The same call for those that substitute nothing.
    pub(crate) fn plain_request(&self) -> Vec<u8> {
        let authority = format!("127.0.0.1:{}", self.upstream.port());
        Request::new("GET", &authority, "/v1/items/1")
            .with("authorization", &format!("Bearer {}", "p".repeat(60)))
            .bytes(Way::Connect, None)
    }
}
