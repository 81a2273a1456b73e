//! The console's certificate from a real ACME server (Pebble): had, renewed, kept, and what happens when it is not.

use crate::support::{BINARY, eventually, settings_of};
use cloakroom_testkit::{Broker, BrokerBuilder, TestAuthority};
use serde_json::{Value, json};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const NAME: &str = "console.example.org";
/// How long a certificate is good, in seconds: it is renewed after two thirds of it.
const LIFE: u32 = 24;

/// Pebble, and the name server that it asks: every name is this machine.
struct Pebble {
    children: Vec<Child>,
    management: u16,
    authority: PathBuf,
}

fn free_port() -> u16 {
    // Of both kinds: one of these answers questions about names.
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

impl Pebble {
    /// At this port, checking names at that one.
    fn start(authority: &TestAuthority, port: u16, checks: u16) -> Self {
        let [certificate, key] = authority.leaf_files("pebble", &["127.0.0.1"]);
        let (management, names, asked) = (free_port(), free_port(), free_port());
        let configuration = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"), "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate, "privateKey": key, "httpPort": 1, "tlsPort": checks,
            "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": LIFE,
        } });
        let file = authority.directory().join("pebble.json");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let mut servers = [Command::new("pebble-challtestsrv"), Command::new("pebble")];
        servers[0].args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        servers[0].args([
            "-dns01",
            &format!("127.0.0.1:{names}"),
            "-management",
            &format!("127.0.0.1:{asked}"),
        ]);
        servers[1].arg("-config").arg(file).args(["-dnsserver", &format!("127.0.0.1:{names}")]);
        // By itself it believes half of what it has checked before without a check.
        servers[1].env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let start =
            |mut command: Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let children = servers.map(start).into();
        Self { children, management, authority: authority.file() }
    }

    fn stop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The certificate of its authority, which is another one at each start.
    fn root(&self) -> Option<String> {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let output =
            Command::new("curl").args(["-sSf", "--cacert"]).arg(&self.authority).arg(url).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A broker whose console gets its certificate at this port.
fn broker(authority: &TestAuthority, port: u16) -> Broker {
    let file = settings_of(authority);
    let settings = format!(
        "[console.tls]\ncertificate = \"acme\"\nnames = [\"{NAME}\"]\n[console.tls.acme]\nagree-to-terms = true\n\
         directory = \"https://127.0.0.1:{port}/dir\"\nca = {:?}\nallow-address = [\"127.0.0.0/8\"]\n",
        authority.file()
    );
    std::fs::write(&file, settings).unwrap();
    // What is trusted and allowed for calls is another matter.
    BrokerBuilder::bare(BINARY).argument("--config").argument(file).start()
}

fn port_of(broker: &Broker) -> u16 {
    broker.console().rsplit_once(':').unwrap().1.trim_end_matches('/').parse().unwrap()
}

/// Whether the console answers under its name to whoever trusts this authority alone.
fn asked(broker: &Broker, authority: &TestAuthority, root: &str) -> bool {
    let file = authority.directory().join("root.pem");
    std::fs::write(&file, root).unwrap();
    let port = port_of(broker);
    let mut command = Command::new("curl");
    command.args(["-sSf", "--cacert"]).arg(file).args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")]);
    command.arg(format!("https://{NAME}:{port}/healthz")).output().unwrap().status.success()
}

/// Of what the console shows to whoever offers this protocol; nothing where it shows nothing.
fn serial(broker: &Broker, protocol: &str) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{} -servername {NAME} -alpn {protocol} </dev/null 2>/dev/null | openssl x509 -noout -serial 2>/dev/null",
        port_of(broker)
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What `doctor` finds.
fn found(broker: &Broker) -> Value {
    // Other things are not as they should be here: the status says so.
    let answer = broker.run(&["doctor", "--json"]).json();
    let findings = answer["findings"].as_array().or(answer.as_array()).unwrap().clone();
    findings.into_iter().find(|one| one["check"] == "console's certificate").unwrap()
}

fn on_record(broker: &Broker, words: &str) -> bool {
    broker.cli(&["journal", "show"]).stdout.contains(words)
}

/// How often it is on record that the certificate was not renewed.
fn events(broker: &Broker) -> usize {
    broker.cli(&["journal", "show"]).stdout.matches("certificate-not-renewed").count()
}

#[test]
fn the_console_gets_its_certificate_by_a_check_on_its_own_listener_renews_it_while_it_runs_and_keeps_it() {
    let authority = TestAuthority::new();
    let port = free_port();
    let mut broker = broker(&authority, port);
    // Nobody answers yet: the console shows nothing, and says so.
    eventually("it says why", || broker.output().contains("the ACME server was not reached").then_some(()));
    assert_eq!(serial(&broker, "http/1.1"), "");
    assert_eq!(found(&broker)["standing"], "broken");
    let pebble = Pebble::start(&authority, port, port_of(&broker));
    let root = eventually("pebble answers", || pebble.root());
    eventually("the console shows a certificate", || asked(&broker, &authority, &root).then_some(()));
    assert_eq!(found(&broker)["standing"], "good");
    let first = serial(&broker, "http/1.1");
    assert_eq!(serial(&broker, "acme-tls/1"), "", "nothing is checked now");
    eventually("it is renewed", || (serial(&broker, "http/1.1") != first).then_some(()));
    assert!(asked(&broker, &authority, &root) && on_record(&broker, "certificate renewed"));
    for name in ["acme.pem", "acme-account.pem"] {
        let mode = std::fs::metadata(broker.data().join("keys").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    // After a start the console is somewhere else than its name leads: what there is, is kept and shown on, and everybody who looks is told.
    let last = serial(&broker, "http/1.1");
    broker.restart();
    assert_eq!(serial(&broker, "http/1.1"), last, "kept");
    let failed = "did not find the console at port 443 of its names";
    eventually("the failure is said", || broker.output().contains(failed).then_some(()));
    eventually("each failure is an event", || (events(&broker) == 2).then_some(()));
    let found = found(&broker);
    assert!(found["standing"] == "weak" && found.to_string().contains("not renewed"), "{found}");
    assert_eq!(serial(&broker, "http/1.1"), last, "the former one is shown on");
}

#[test]
fn a_certificate_is_not_had_where_another_one_answers_to_the_name() {
    let authority = TestAuthority::new();
    let port = free_port();
    let broker = broker(&authority, port);
    let pebble = Pebble::start(&authority, port, free_port());
    eventually("pebble answers", || pebble.root());
    eventually("it says why", || broker.output().contains("did not find the console").then_some(()));
    assert_eq!((serial(&broker, "http/1.1"), serial(&broker, "acme-tls/1")), (String::new(), String::new()));
    assert_eq!(found(&broker)["standing"], "broken");
    assert!(!broker.data().join("keys/acme.pem").exists());
}
