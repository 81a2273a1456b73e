//! The bed: one authority, one upstream, and the broker with a credential, a workload and a permit.

use crate::machine;
use crate::server::Server;
use cloakroom_testkit::{Broker, BrokerBuilder, Request, TestAuthority, Workload, shaped};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Room for every measurement; nothing else differs from the settings that a new broker has.
const SETTINGS: &str =
    "[limits]\nconnections = 30000\nconnections-per-workload = 30000\nkeep-alive-idle = \"600s\"\n";

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
    /// The same with a placeholder whose uses are counted.
    pub(crate) counted: Request,
}

impl Bed {
    /// Starts the upstream, with a large answer of so many bytes.
    pub(crate) fn new(binary: &str, large: u64) -> Self {
        let authority = TestAuthority::new();
        let upstream = Server::upstream(&authority, large);
        Self { authority, upstream, binary: binary.into() }
    }

    /// Starts a broker on the proxy's core, with further settings.
    pub(crate) fn pinned_broker(&self, settings: &str) -> Ours {
        let script = self.authority.directory().join("pinned.sh");
        self.wrap(&script, "");
        self.broker(&script.to_string_lossy(), settings)
    }

    /// Writes a program that stands in for the broker: `serve` runs behind `words` on the proxy's core, everything else
    /// as it is.
    pub(crate) fn wrap(&self, script: &Path, words: &str) {
        let (broker, core) = (&self.binary, machine::PROXY);
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = serve ] || exec {broker} \"$@\"\nexec taskset -c {core} {words} {broker} \"$@\"\n"
        );
        std::fs::write(script, text).unwrap();
        std::fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts a broker from `program`, with further settings.
    pub(crate) fn broker(&self, program: &str, settings: &str) -> Ours {
        let file = self.authority.directory().join("cloakroom.toml");
        std::fs::write(&file, format!("{SETTINGS}{settings}")).unwrap();
        let broker =
            BrokerBuilder::new(program, &self.authority).argument("--config").argument(&file).start();
        let robot = broker.workload("robot");
        let authority = format!("127.0.0.1:{}", self.upstream.port());
        let to = format!("https://{authority}");
        broker.deposit("bench", "bearer", &[&to], &shaped("sk_live_"));
        let policy = format!(
            "version = 1\n[[permit]]\nname = \"bench\"\nto = \"{to}\"\ncall = \"GET /v1/items/{{id}}\"\nplace = \"header authorization bearer\"\n"
        );
        let request = |more: &[&str]| {
            let placeholder = broker.permit("bench", "robot", &policy, more).text;
            Request::new("GET", &authority, "/v1/items/1")
                .with("authorization", &format!("Bearer {placeholder}"))
        };
        let (request, counted) = (request(&[]), request(&["--uses", "1000000000"]));
        Ours { broker, robot, request, counted }
    }

    /// The same call for those that substitute nothing.
    pub(crate) fn plain_request(&self) -> Request {
        let authority = format!("127.0.0.1:{}", self.upstream.port());
        Request::new("GET", &authority, "/v1/items/1")
            .with("authorization", &format!("Bearer {}", "p".repeat(60)))
    }
}
