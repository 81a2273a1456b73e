//! What the workload listener speaks: SOCKS5, TLS of its own, the PROXY protocol; and what it refuses.

use crate::support::{BINARY, Furnished, eventually, item, items};
use cloakroom_testkit::{Broker, Request, TestAuthority, TlsUpstream, Way, Wire, Workload, echo, shaped};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Stage {
    broker: Broker,
    authority: TestAuthority,
    upstream: TlsUpstream,
    robot: Workload,
    placeholder: String,
}

impl Stage {
    /// A broker with these settings.
    fn with(settings: &str) -> Self {
        let Furnished { broker, upstream, robot, authority } = Furnished::with(settings);
        let placeholder = broker.permit("c", "robot", &items(&upstream), &[]).text;
        Self { broker, authority, upstream, robot, placeholder }
    }

    fn plain() -> Self {
        Self::with("")
    }

    fn item(&self) -> Request {
        item(&self.upstream, "1", &self.placeholder)
    }

    fn ca(&self) -> String {
        self.broker.ca_pem()
    }

    fn port(&self) -> u16 {
        self.upstream.authority().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// A connection on which SOCKS5 was asked for `host` and `port`: and the reply's code.
    fn socks(&self, mut wire: Wire, key: &str, host: &str, port: u16) -> (Wire, u8) {
        wire.send(b"\x05\x02\x00\x02");
        assert_eq!(wire.read_some(2).unwrap(), b"\x05\x02");
        wire.send(&login("robot", key));
        assert_eq!(wire.read_some(2).unwrap(), b"\x01\x00");
        wire.send(&connect(host, port));
        let reply = wire.read_some(10).unwrap();
        assert_eq!((reply.len(), reply[0], &reply[2..]), (10, 5, &[0, 1, 0, 0, 0, 0, 0, 0][..]));
        (wire, reply[1])
    }

    fn tunnelled(&self, wire: Wire) -> Wire {
        let (wire, code) = self.socks(wire, &self.robot.key, "127.0.0.1", self.port());
        assert_eq!(code, 0);
        wire
    }

    fn assert_answers(&self, mut wire: Wire, way: Way) {
        wire.send(&self.item().bytes(way, Some(&self.robot)));
        let answer = wire.receive("GET").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            self.upstream.last().header("authorization"),
            Some(format!("Bearer {}", shaped("sk_live_")).as_str())
        );
        assert!(answer.text().contains(&self.placeholder));
    }

    /// The refusals on record: code, way and peer.
    fn refusals(&self) -> Vec<(String, String, String)> {
        let journal = self.broker.cli_json(&["journal", "show"]);
        let text = |entry: &serde_json::Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let records = journal.as_array().unwrap_or_else(|| panic!("{journal}"));
        let entries = records.iter().map(|record| &record["entry"]);
        let refusals = entries.filter(|entry| entry["kind"] == "refusal");
        refusals.map(|entry| (text(entry, "code"), text(entry, "way"), text(entry, "peer"))).collect()
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl")
            .args(["-q", "--silent", "--show-error", "--fail-with-body", "--cacert"])
            .arg(self.broker.ca_file())
            .args(["-H", &format!("Authorization: Bearer {}", self.placeholder)])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .output()
            .unwrap();
        let told = [&output.stdout[..], &output.stderr].concat();
        self.broker.log().lock().unwrap().push(told.clone());
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}\n{}", self.broker.output());
        assert!(told.contains(&self.placeholder), "{arguments:?}: {told}");
        told
    }
}

fn login(name: &str, key: &str) -> Vec<u8> {
    let counted = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[1][..], &counted(name), &counted(key)].concat()
}

fn connect(host: &str, port: u16) -> Vec<u8> {
    let address = match host.parse::<std::net::Ipv4Addr>() {
        Ok(address) => [&[1][..], &address.octets()].concat(),
        Err(_) => [&[3, u8::try_from(host.len()).unwrap()], host.as_bytes()].concat(),
    };
    [&[5, 1, 0][..], &address, &port.to_be_bytes()].concat()
}

#[test]
fn socks_opens_a_tunnel_for_tls_and_for_plain_http_that_is_upgraded() {
    let stage = Stage::plain();
    let wire = stage.tunnelled(stage.broker.wire()).wrap("127.0.0.1", &stage.ca());
    stage.assert_answers(wire, Way::Connect);
    let wire = stage.tunnelled(stage.broker.wire());
    stage.assert_answers(wire, Way::Connect);
    assert_eq!(stage.refusals(), []);
}

#[test]
fn t69_a_wrong_key_over_socks_is_told_nothing_but_no() {
    let stage = Stage::plain();
    for (name, key) in [("robot", "cw_wrong"), ("other", stage.robot.key.as_str()), ("", "")] {
        let mut wire = stage.broker.wire();
        wire.send(b"\x05\x01\x02");
        assert_eq!(wire.read_some(2).unwrap(), b"\x05\x02");
        wire.send(&login(name, key));
        assert_eq!(wire.read_some(10).unwrap(), b"\x01\x01");
        assert_eq!(wire.read_some(10).unwrap(), b"");
    }
    let refusal = ("unknown-workload".to_owned(), "socks".to_owned(), "127.0.0.1".to_owned());
    assert_eq!(stage.refusals(), vec![refusal; 3]);
}

#[test]
fn a_socks_request_one_step_wrong_ends_with_the_code_that_rfc_1928_has_for_it() {
    let stage = Stage::plain();
    let (wire, code) = stage.socks(stage.broker.wire(), &stage.robot.key, "unnamed.example", 443);
    drop(wire);
    assert_eq!(code, 2);
    let (wire, code) = stage.socks(stage.broker.wire(), &stage.robot.key, "127.0.0.1", 1);
    drop(wire);
    assert_eq!(code, 2);
    for (request, reply) in [
        (&b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50"[..], 7),
        (b"\x05\x01\x00\x02\x7f\x00\x00\x01\x00\x50", 8),
        (b"\x05\x01\x00\x03\x03a/b\x00\x50", 1),
    ] {
        let mut wire = stage.broker.wire();
        wire.send(b"\x05\x01\x02");
        wire.read_some(2).unwrap();
        wire.send(&login("robot", &stage.robot.key));
        wire.read_some(2).unwrap();
        wire.send(request);
        assert_eq!(wire.read_some(10).unwrap()[1], reply, "{}", request.escape_ascii());
        assert_eq!(wire.read_some(10).unwrap(), b"");
    }
    let mut wire = stage.broker.wire();
    wire.send(b"\x05\x01\x00");
    assert_eq!(wire.read_some(10).unwrap(), b"\x05\xff");
    let codes: Vec<String> = stage.refusals().into_iter().map(|(code, ..)| code).collect();
    let (unnamed, malformed) = ("destination-not-permitted", "malformed-call");
    assert_eq!(codes, [unnamed, unnamed, malformed, malformed, malformed, malformed]);
    assert_eq!(stage.upstream.requests().len(), 0);
}

#[test]
fn t20_a_host_inside_a_socks_tunnel_is_the_tunnels() {
    let stage = Stage::plain();
    let mut wire = stage.tunnelled(stage.broker.wire());
    let mut other = stage.item();
    other.host = Some("other.example".into());
    wire.send(&other.bytes(Way::Connect, None));
    assert_eq!(wire.receive("GET").unwrap().code().as_deref(), Some("ambiguous-call"));
    assert_eq!(stage.upstream.requests().len(), 0);
}

#[test]
fn socks_that_is_switched_off_is_refused() {
    let stage = Stage::with("[listen]\nsocks5 = false\n");
    let mut wire = stage.broker.wire();
    wire.send(b"\x05\x01\x02");
    assert_eq!(wire.read_some(10).unwrap(), b"\x05\xff");
    stage.assert_answers(stage.broker.wire(), Way::Absolute);
}

#[test]
fn curl_works_over_socks() {
    let stage = Stage::plain();
    let Workload { name, key } = &stage.robot;
    let proxy = format!("socks5h://{name}:{key}@{}", stage.broker.listen());
    let plain = format!("http://{}/v1/items/1", stage.upstream.authority());
    for url in [format!("{}/v1/items/1", stage.upstream.url()), plain] {
        stage.curl(&["--proxy", &proxy, &url]);
    }
    assert_eq!(stage.upstream.requests().len(), 2);
}

#[test]
fn every_way_in_works_inside_tls_and_nothing_works_outside() {
    let stage = Stage::with("[listen.tls]\ncertificate = \"own\"\nnames = [\"broker.internal\"]\n");
    let tls = |name: &str| stage.broker.wire().wrap(name, &stage.ca());
    stage.assert_answers(tls("127.0.0.1"), Way::Absolute);
    stage.assert_answers(tls("broker.internal"), Way::BaseUrl);
    let authority = stage.upstream.authority();
    let tunnel = tls("127.0.0.1").tunnel(&authority, Some(&stage.robot), "127.0.0.1", &stage.ca());
    stage.assert_answers(tunnel.unwrap_or_else(|no| panic!("{}", no.text())), Way::Connect);
    let socks = stage.tunnelled(tls("127.0.0.1")).wrap("127.0.0.1", &stage.ca());
    stage.assert_answers(socks, Way::Connect);
    let before = stage.upstream.requests().len();
    let mut plain = stage.broker.wire();
    plain.send(&stage.item().bytes(Way::Absolute, Some(&stage.robot)));
    let answer = plain.receive("GET").unwrap();
    assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")), "{}", answer.text());
    let mut plain = stage.broker.wire();
    plain.send(b"\x05\x01\x02");
    assert_eq!(plain.read_some(10).unwrap(), b"\x05\xff");
    assert_eq!(stage.upstream.requests().len(), before);
}

#[test]
fn curl_works_with_an_https_proxy_and_an_https_base_url() {
    let stage = Stage::with("[listen.tls]\ncertificate = \"own\"\n");
    let (listen, ca) = (stage.broker.listen(), stage.broker.ca_file());
    let Workload { name, key } = &stage.robot;
    let proxy = format!("https://{name}:{key}@{listen}");
    let ca = ca.to_str().unwrap();
    stage.curl(&["--proxy", &proxy, "--proxy-cacert", ca, &format!("{}/v1/items/1", stage.upstream.url())]);
    let base = format!("https://{listen}/to/{}/v1/items/1", stage.upstream.authority());
    stage.curl(&["-H", &format!("Cloakroom-Workload: {name}:{key}"), &base]);
    assert_eq!(stage.upstream.requests().len(), 2);
}

/// A directory with a certificate for 127.0.0.1 as the listener's own, and settings that name it.
struct Given {
    directory: tempfile::TempDir,
}

impl Given {
    fn new(authority: &TestAuthority) -> Self {
        let given = Self { directory: tempfile::tempdir().unwrap() };
        given.renew(authority);
        given
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn renew(&self, authority: &TestAuthority) {
        let (chain, key) = authority.leaf_pem(&["127.0.0.1"]);
        std::fs::write(self.file("chain.pem"), chain).unwrap();
        std::fs::write(self.file("key.pem"), key).unwrap();
        self.close(0o600);
    }

    fn close(&self, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(self.file("key.pem"), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn settings(&self) -> String {
        format!(
            "[listen.tls]\ncertificate = {:?}\nkey = {:?}\n",
            self.file("chain.pem"),
            self.file("key.pem")
        )
    }
}

#[test]
fn a_given_certificate_is_shown_and_read_again_on_hangup() {
    let (first, second) = (TestAuthority::new(), TestAuthority::new());
    let given = Given::new(&first);
    let stage = Stage::with(&given.settings());
    stage.assert_answers(stage.broker.wire().wrap("127.0.0.1", first.pem()), Way::Absolute);
    given.renew(&second);
    hang_up(&stage.broker);
    eventually("the new certificate is shown", || {
        let mut wire = stage.broker.wire().wrap("127.0.0.1", second.pem());
        wire.send(b"GET /.cloakroom/health HTTP/1.1\r\nHost: h\r\n\r\n");
        wire.receive("GET").ok().filter(|answer| answer.status == 200)
    });
    // What cannot be read leaves the last one shown.
    std::fs::write(given.file("chain.pem"), "nothing").unwrap();
    hang_up(&stage.broker);
    eventually("the failure is told", || {
        stage.broker.output().contains("could not be read again").then_some(())
    });
    stage.assert_answers(stage.broker.wire().wrap("127.0.0.1", second.pem()), Way::Absolute);
}

fn hang_up(broker: &Broker) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(broker.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
}

#[test]
fn a_given_certificate_one_step_wrong_stops_the_start() {
    let authority = TestAuthority::new();
    let given = Given::new(&authority);
    let file = given.file("settings.toml");
    std::fs::write(&file, given.settings()).unwrap();
    let started = || {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--config"]).arg(&file);
        let output = command.env("CLOAKROOM_DATA", data.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    given.close(0o640);
    assert!(started().contains("can be read by other users"));
    given.close(0o600);
    std::fs::write(given.file("key.pem"), TestAuthority::new().leaf_pem(&["127.0.0.1"]).1).unwrap();
    assert!(started().contains("do not belong together"));
    std::fs::remove_file(given.file("chain.pem")).unwrap();
    assert!(started().contains("cannot read"));
}

#[test]
fn t92_behind_a_balancer_the_peer_is_whom_the_balancer_names() {
    let stage = Stage::with("[listen]\nproxy-protocol = [\"127.0.0.0/8\"]\n");
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07"[..], b"\xc0\0\x02\x02\xdc\x04\x01\xbb"]
        .concat();
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.2 56324 443\r\n".to_vec();
    for header in [v1, v2] {
        let mut wire = stage.broker.wire();
        wire.send(&header);
        stage.assert_answers(wire, Way::Absolute);
        let mut wire = stage.broker.wire();
        wire.send(&header);
        wire.send(&stage.item().with("x-forwarded-for", "198.51.100.1").bytes(Way::Absolute, None));
        assert_eq!(wire.receive("GET").unwrap().code().as_deref(), Some("unknown-workload"));
    }
    let refusal = ("unknown-workload".to_owned(), "absolute".to_owned(), "192.0.2.7".to_owned());
    assert_eq!(stage.refusals(), vec![refusal; 2]);
}

#[test]
fn t92_a_balancer_that_does_not_name_its_peer_is_refused() {
    let stage = Stage::with("[listen]\nproxy-protocol = [\"127.0.0.1/32\"]\n");
    let mut wire = stage.broker.wire();
    wire.send(&stage.item().bytes(Way::Absolute, Some(&stage.robot)));
    assert_eq!(wire.read_some(10).unwrap(), b"");
    let refusal = ("malformed-call".to_owned(), String::new(), "127.0.0.1".to_owned());
    assert_eq!(stage.refusals(), [refusal]);
    assert_eq!(stage.upstream.requests().len(), 0);
}

#[test]
fn t92_nobody_but_a_balancer_names_a_peer() {
    let stage = Stage::with("[listen]\nproxy-protocol = [\"10.0.0.0/8\"]\n");
    let mut wire = stage.broker.wire();
    wire.send(b"PROXY TCP4 192.0.2.7 192.0.2.2 56324 443\r\n");
    wire.send(&stage.item().bytes(Way::Absolute, Some(&stage.robot)));
    assert_eq!(wire.receive("GET").unwrap().code().as_deref(), Some("malformed-call"));
    stage.assert_answers(stage.broker.wire(), Way::Absolute);
    assert_eq!(stage.upstream.requests().len(), 1);
}

#[test]
fn no_call_is_lost_while_another_process_takes_over() {
    let mut stage = Stage::plain();
    let (listen, log) = (stage.broker.listen(), stage.broker.log());
    let request = stage.item().bytes(Way::Absolute, Some(&stage.robot));
    let tunnelled = stage.item().bytes(Way::Connect, None);
    let (authority, robot, ca) = (stage.upstream.authority(), stage.robot.clone(), stage.ca());
    let done = Arc::new(AtomicBool::new(false));
    let calls = |speak: Box<dyn Fn(Wire) -> Option<Wire> + Send>, bytes: Vec<u8>| {
        let (done, log) = (done.clone(), log.clone());
        std::thread::spawn(move || {
            let mut made = 0;
            while !done.load(Ordering::Relaxed) {
                let mut wire = speak(Wire::open(listen, log.clone())).expect("no tunnel");
                wire.send(&bytes);
                let answer = wire.receive("GET").unwrap_or_else(|error| panic!("call {made}: {error}"));
                assert_eq!(answer.status, 200, "call {made}: {}", answer.text());
                made += 1;
            }
            made
        })
    };
    let callers = [
        calls(Box::new(Some), request),
        calls(Box::new(move |wire| wire.tunnel(&authority, Some(&robot), "127.0.0.1", &ca).ok()), tunnelled),
    ];
    let made = |stage: &Stage| stage.upstream.requests().len();
    for _ in 0..3 {
        let before = made(&stage);
        eventually("some calls were made", || (made(&stage) > before + 4).then_some(()));
        let pid = stage.broker.pid();
        stage.broker.take_over();
        assert_ne!(stage.broker.pid(), pid);
        assert_eq!(stage.broker.listen(), listen);
    }
    let before = made(&stage);
    eventually("calls go on", || (made(&stage) > before + 4).then_some(()));
    done.store(true, Ordering::Relaxed);
    let told: usize = callers.map(|caller| caller.join().unwrap()).iter().sum();
    assert_eq!(told, made(&stage));
    // The command line finds the last one, and its journal is one chain.
    stage.broker.cli(&["placeholder", "list"]);
    stage.broker.verify_journal();
}

#[test]
fn taking_over_where_nobody_runs_is_a_start_and_where_it_fails_nothing_is_taken() {
    let mut stage = Stage::plain();
    let wrong = stage.broker.data().join("wrong.toml");
    std::fs::write(&wrong, "[listen.tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n").unwrap();
    let answer = stage.broker.run(&["serve", "--take-over", "--config", wrong.to_str().unwrap()]);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    stage.assert_answers(stage.broker.wire(), Way::Absolute);
    stage.broker.stop();
    let answer = Command::new("timeout")
        .args(["--signal=TERM", "--kill-after=20", "3", BINARY, "serve", "--take-over", "--json"])
        .args(["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"])
        .env("CLOAKROOM_DATA", stage.broker.data())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&answer.stdout).contains("\"ready\":true"), "{answer:?}");
}

#[test]
fn t97_a_workload_that_hammers_leaves_room_for_another() {
    let stage = Stage::with("[limits]\ncalls = 8\ncalls-per-workload = 8\n");
    // The upstream answers these when it is told to.
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let slow = TlsUpstream::start(&stage.authority, move |request| {
        let _ = gate.lock().unwrap().recv();
        echo(request)
    });
    stage.broker.deposit("slow", "bearer", &[&slow.url()], &shaped("ghp_"));
    let noisy = stage.broker.permit("slow", "robot", &items(&slow), &[]).text;
    let other = stage.broker.workload("other");
    let quiet = stage.broker.permit("c", "other", &items(&stage.upstream), &[]).text;
    let hammer = || {
        let mut wire = stage.broker.wire();
        wire.send(&item(&slow, "1", &noisy).bytes(Way::Absolute, Some(&stage.robot)));
        wire
    };
    // Six calls hang, for the last quarter of eight is not for who has that many.
    let mut hanging: Vec<Wire> = (0..6).map(|_| hammer()).collect();
    eventually("the calls are under way", || (slow.requests().len() == 6).then_some(()));
    for _ in 0..5 {
        let refused = hammer().receive("GET").unwrap();
        assert_eq!(
            (refused.status, refused.code().as_deref()),
            (429, Some("rate-limited")),
            "{}",
            refused.text()
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
        let served = stage.broker.call(Way::Absolute, Some(&other), &item(&stage.upstream, "1", &quiet));
        assert_eq!(served.status, 200, "{}", served.text());
    }
    drop(release);
    for wire in &mut hanging {
        assert_eq!(wire.receive("GET").unwrap().status, 200);
    }
    assert_eq!(hammer().receive("GET").unwrap().status, 200);
    assert_eq!(slow.requests().len(), 7);
}
