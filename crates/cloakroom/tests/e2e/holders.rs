//! What the holder of a placeholder has to show besides a key: a certificate, a user, a network; and hours.

use crate::support::{BINARY, item, items, port_of_vsock};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, Request, Response, TestAuthority, TlsUpstream, Way, Workload, echo, shaped,
};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

struct Stage {
    broker: Broker,
    authority: TestAuthority,
    upstream: TlsUpstream,
    files: tempfile::TempDir,
}

impl Stage {
    /// A broker with these settings; `{files}` stands for a directory of its own.
    fn with(settings: &str) -> Self {
        let (authority, files) = (TestAuthority::new(), tempfile::tempdir().unwrap());
        let file = authority.directory().join("settings.toml");
        std::fs::write(&file, settings.replace("{files}", files.path().to_str().unwrap())).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        Self { broker, authority, upstream, files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn add(&self, name: &str, more: &[&str]) -> (Workload, Value) {
        let added = self.broker.cli_json(&[&["workload", "add", name][..], more].concat());
        (Workload { name: name.into(), key: added["key"].as_str().unwrap().into() }, added)
    }

    /// With a certificate in files of its name.
    fn add_with_certificate(&self, name: &str) -> Workload {
        self.add(name, &["--mtls", "--out", self.files.path().to_str().unwrap()]).0
    }

    fn permit(&self, workload: &str, holder: &str) -> Issued {
        self.broker.permit("c", workload, &items(&self.upstream), &["--holder", holder])
    }

    /// The status and body of `GET /v1/items/1` by curl; 000 where there was no answer.
    fn curl(&self, issued: &Issued, arguments: &[&str]) -> (u16, String) {
        let output = Command::new("curl")
            .args([
                "-q",
                "--silent",
                "--show-error",
                "--write-out",
                "\n%{http_code} %{http_connect}",
                "--cacert",
            ])
            .arg(self.broker.ca_file())
            .args(["-H", &format!("Authorization: Bearer {}", issued.text)])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .output()
            .unwrap();
        self.broker.log().lock().unwrap().push([&output.stdout[..], &output.stderr].concat());
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, codes) = told.rsplit_once('\n').unwrap();
        let (status, connect) = codes.split_once(' ').unwrap();
        // A CONNECT that was refused is all there is.
        let status = if status == "000" && connect != "200" { connect } else { status };
        (status.parse().unwrap(), body.to_owned())
    }

    fn by_base_url(&self, issued: &Issued, more: &[&str]) -> (u16, String) {
        let url = format!("https://{}/to/{}/v1/items/1", self.broker.listen(), self.upstream.authority());
        self.curl(issued, &[more, &[&url]].concat())
    }

    fn by_proxy(&self, issued: &Issued, certificate: Option<&str>) -> (u16, String) {
        let (proxy, ca) = (format!("https://{}", self.broker.listen()), self.broker.ca_file());
        let url = format!("{}/v1/items/1", self.upstream.url());
        let [crt, key] =
            ["crt", "key"].map(|end| self.file(&format!("{}.{end}", certificate.unwrap_or_default())));
        let mut arguments = vec!["--proxy", &proxy, "--proxy-cacert", ca.to_str().unwrap(), &url];
        if certificate.is_some() {
            arguments.extend(["--proxy-cert", crt.to_str().unwrap(), "--proxy-key", key.to_str().unwrap()]);
        }
        self.curl(issued, &arguments)
    }

    /// Security events on record: kind, placeholder, peer.
    fn events(&self) -> Vec<(String, String, String)> {
        let journal = self.broker.cli_json(&["journal", "show"]);
        let entries = journal.as_array().unwrap().iter().map(|record| &record["entry"]);
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let events = entries.filter(|entry| entry["kind"] == "event");
        events.map(|entry| (text(entry, "event"), text(entry, "placeholder"), text(entry, "peer"))).collect()
    }
}

/// `--cert` and `--key` of a workload's files.
fn showing(stage: &Stage, name: &str) -> [String; 4] {
    let file = |end: &str| stage.file(&format!("{name}.{end}")).display().to_string();
    ["--cert".into(), file("crt"), "--key".into(), file("key")]
}

fn code(body: &str) -> String {
    let document: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    document["code"].as_str().unwrap().to_owned()
}

#[test]
fn t70_t93_curl_shows_a_certificate_through_an_https_proxy_and_an_https_base_url() {
    let stage = Stage::with("[listen.tls]\ncertificate = \"own\"\n");
    let robot = stage.add_with_certificate("robot");
    stage.add_with_certificate("other");
    for end in ["crt", "key"] {
        let mode = stage.file(&format!("robot.{end}")).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
    let issued = stage.permit("robot", "mtls");
    let certificate = showing(&stage, "robot");
    let certificate = certificate.each_ref().map(String::as_str);
    assert_eq!(stage.by_proxy(&issued, Some("robot")).0, 200);
    for version in ["--http1.1", "--http2"] {
        let (status, body) = stage.by_base_url(&issued, &[&certificate[..], &[version]].concat());
        assert_eq!(status, 200, "{version}: {body}");
    }
    assert_eq!(stage.upstream.requests().len(), 3);

    // One step wrong: a key instead, nothing, another workload's certificate, one of another authority.
    let key = format!("Cloakroom-Workload: robot:{}", robot.key);
    let (status, body) = stage.by_base_url(&issued, &["-H", &key]);
    assert_eq!((status, code(&body).as_str()), (403, "wrong-workload"));
    assert!(body.contains("\"rule\":\"holder mtls\""), "{body}");
    let (status, body) = stage.by_base_url(&issued, &[]);
    assert_eq!((status, code(&body).as_str()), (407, "unknown-workload"));
    assert_eq!(stage.by_proxy(&issued, None).0, 407);
    let others = showing(&stage, "other");
    let (status, body) = stage.by_base_url(&issued, &others.each_ref().map(String::as_str));
    assert_eq!((status, code(&body).as_str()), (403, "wrong-workload"));
    let both = [&others.each_ref().map(String::as_str)[..], &["-H", &key]].concat();
    assert_eq!(stage.by_base_url(&issued, &both).0, 407, "the certificate of one and the key of another");
    let (chain, private) = stage.authority.leaf_pem(&["robot"]);
    std::fs::write(stage.file("foreign.crt"), chain).unwrap();
    std::fs::write(stage.file("foreign.key"), private).unwrap();
    let foreign = showing(&stage, "foreign");
    assert_eq!(stage.by_base_url(&issued, &foreign.each_ref().map(String::as_str)).0, 0, "no handshake");
    let kinds: Vec<(String, String)> =
        stage.events().into_iter().map(|(kind, placeholder, _)| (kind, placeholder)).collect();
    let of = |kind: &str| (kind.to_owned(), issued.id.clone());
    assert_eq!(kinds, [of("holder-unproven"), of("other-workload")]);
    assert_eq!(stage.upstream.requests().len(), 3);

    // The certificate ends with its workload.
    stage.broker.cli(&["workload", "remove", "robot"]);
    let (status, body) = stage.by_base_url(&issued, &certificate);
    assert_eq!((status, code(&body).as_str()), (407, "unknown-workload"));
}

#[test]
fn t70_all_that_is_named_has_to_be_shown() {
    let stage = Stage::with("[listen.tls]\ncertificate = \"own\"\n");
    let robot = stage.add_with_certificate("robot");
    let issued = stage.permit("robot", "key,mtls");
    let certificate = showing(&stage, "robot");
    let certificate = certificate.each_ref().map(String::as_str);
    let key = format!("Cloakroom-Workload: {}", robot.key);
    assert_eq!(stage.by_base_url(&issued, &[&certificate[..], &["-H", &key]].concat()).0, 200);
    for shown in [&certificate[..], &["-H", &key]] {
        let (status, body) = stage.by_base_url(&issued, shown);
        assert_eq!((status, code(&body).as_str()), (403, "wrong-workload"), "{shown:?}");
    }
    // A key that is wrong is not made good by the certificate.
    let wrong = [&certificate[..], &["-H", "Cloakroom-Workload: cwk_wrong"]].concat();
    assert_eq!(stage.by_base_url(&issued, &wrong).0, 407);
    assert_eq!(stage.upstream.requests().len(), 1);
    let shown = stage.broker.cli(&["placeholder", "show", &issued.id]).stdout;
    assert!(shown.contains("holder shows") && shown.contains("key,mtls"), "{shown}");
}

#[test]
fn t93_over_the_unix_listener_the_kernel_says_who_calls() {
    let mut stage = Stage::with("[listen]\nunix = \"{files}/workloads.sock\"\n");
    let own = rustix::process::geteuid().as_raw();
    stage.add("robot", &["--uid", &own.to_string()]);
    let (neighbour, _) = stage.add("neighbour", &["--uid", &(own + 1).to_string()]);
    let taken = stage.broker.run(&["workload", "add", "third", "--uid", &own.to_string()]);
    assert!(!taken.status.success() && taken.stderr.contains("is that of workload"), "{taken:?}");
    let (issued, others) = (stage.permit("robot", "uid"), stage.permit("neighbour", "uid"));
    let socket = stage.file("workloads.sock").display().to_string();
    let url = format!("http://localhost/to/{}/v1/items/1", stage.upstream.authority());
    let call = |stage: &Stage, issued: &Issued, more: &[&str]| {
        stage.curl(issued, &[&["--unix-socket", &socket][..], more, &[&url]].concat())
    };
    assert_eq!(call(&stage, &issued, &[]).0, 200);
    // The neighbour's key does not make this user the neighbour's.
    let key = format!("Cloakroom-Workload: neighbour:{}", neighbour.key);
    let (status, body) = call(&stage, &others, &["-H", &key]);
    assert_eq!((status, code(&body).as_str()), (403, "wrong-workload"));
    let (status, body) = call(&stage, &others, &[]);
    assert_eq!((status, code(&body).as_str()), (403, "wrong-workload"));
    // Over the network nobody is a user.
    let request = item(&stage.upstream, "1", &others.text);
    let answer = stage.broker.call(Way::Absolute, Some(&neighbour), &request);
    assert_eq!(answer.code().as_deref(), Some("wrong-workload"), "{}", answer.text());
    let user = format!("uid {own}");
    let of = |kind: &str, peer: &str| (kind.to_owned(), others.id.clone(), peer.to_owned());
    assert_eq!(
        stage.events(),
        [of("holder-unproven", &user), of("other-workload", &user), of("holder-unproven", "127.0.0.1")]
    );
    // The socket outlives its broker: by a start, and handed over.
    stage.broker.restart();
    assert_eq!(call(&stage, &issued, &[]).0, 200);
    stage.broker.take_over();
    assert_eq!(call(&stage, &issued, &[]).0, 200);
    assert_eq!(stage.upstream.requests().len(), 3);
}

#[test]
fn the_vsock_listener_is_named_and_outlives_its_broker() {
    let Some(port) = port_of_vsock() else { return };
    let mut stage = Stage::with(&format!("[listen]\nvsock = {port}\n"));
    let named = |stage: &Stage| {
        assert!(stage.broker.output().contains(&format!("\"vsock\":{port}")), "{}", stage.broker.output());
        let told = stage.broker.run(&["doctor"]).stdout;
        assert!(told.contains(&format!("vsock:{port}")), "{told}");
    };
    named(&stage);
    // Nobody else can have the port, also while one broker hands it to the next.
    let other = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--config"])
        .arg(stage.authority.directory().join("settings.toml"))
        .env("CLOAKROOM_DATA", stage.file("other"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && told.contains("cannot listen on the vsock's port"), "{told}");
    stage.broker.take_over();
    named(&stage);
    stage.broker.restart();
    named(&stage);
}

#[test]
fn t93_a_guest_is_one_workloads_alone_and_each_boot_has_a_nonce_of_its_own() {
    let stage = Stage::with("");
    let (_, added) = stage.add("robot", &["--cid", "3"]);
    stage.add("elsewhere", &[]);
    let refused = |words: &[&str], why: &str| {
        let answer = stage.broker.run(words);
        assert!(!answer.status.success() && answer.stderr.contains(why), "{words:?}: {answer:?}");
    };
    refused(&["workload", "add", "third", "--cid", "3"], "CID 3 is that of workload");
    for number in ["0", "1", "2", "4294967295", "x"] {
        refused(&["workload", "add", "third", "--cid", number], "a guest's CID is a number from 3");
    }
    refused(&["workload", "boot", "elsewhere"], "is in no virtual machine");
    refused(&["workload", "boot", "nobody"], "nobody");
    let boot = |told: &Value| told["boot"].as_str().unwrap().to_owned();
    let begun = stage.broker.cli_json(&["workload", "boot", "robot"]);
    let nonces = [boot(&added), boot(&begun), boot(&stage.broker.cli_json(&["workload", "boot", "robot"]))];
    assert!(nonces.iter().all(|nonce| nonce.starts_with("cwb_") && nonce.len() == 47), "{nonces:?}");
    assert!(nonces[0] != nonces[1] && nonces[1] != nonces[2]);
    // What is kept of them opens nothing; what is signed names the number.
    for file in ["cloakroom.db", "cloakroom.db-wal"] {
        let bytes = std::fs::read(stage.broker.data().join(file)).unwrap();
        assert!(
            nonces.iter().all(|nonce| memchr::memmem::find(&bytes, nonce.as_bytes()).is_none()),
            "{file}"
        );
    }
    let issued = stage.permit("robot", "cid");
    let text = stage.broker.cli(&["approval", "show", &issued.approval]).stdout;
    assert!(text.contains("\nworkload cid: 3\n") && !text.contains("cwb_"), "{text}");
    let acts = stage.broker.cli(&["journal", "show"]).stdout;
    assert_eq!(acts.matches("boot begun").count(), 2, "{acts}");
    // By network nobody is a guest, whatever it says first.
    let mut wire = stage.broker.wire();
    wire.send(format!("CLOAKROOM/1 boot {}\r\n", nonces[2]).as_bytes());
    wire.send(&item(&stage.upstream, "1", &issued.text).bytes(Way::Absolute, None));
    assert_eq!(wire.receive("GET").unwrap().status, 400);
    // The number ends with its workload, and may be another's then.
    stage.broker.cli(&["workload", "remove", "robot"]);
    stage.add("heir", &["--cid", "3"]);
}

#[test]
fn a_file_in_the_way_of_the_unix_listener_stops_the_start_and_stays() {
    let files = tempfile::tempdir().unwrap();
    let (way, settings) = (files.path().join("workloads.sock"), files.path().join("settings.toml"));
    std::fs::write(&way, "dear to somebody").unwrap();
    std::fs::write(&settings, format!("[listen]\nunix = {way:?}\n")).unwrap();
    let output = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--config"])
        .arg(&settings)
        .env("CLOAKROOM_DATA", files.path().join("data"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("cannot listen on"), "{told}");
    assert_eq!(std::fs::read_to_string(&way).unwrap(), "dear to somebody");
}

#[test]
fn t92_t93_the_network_is_that_of_the_address_that_a_believed_balancer_names() {
    let stage = Stage::with("[listen]\nproxy-protocol = [\"127.0.0.0/8\"]\n");
    let (robot, _) = stage.add("robot", &["--from", "192.0.2.0/24", "--from", "2001:db8::/32"]);
    let issued = stage.permit("robot", "key,network");
    let call = |header: &[u8], request: Request| -> Response {
        let mut wire = stage.broker.wire();
        wire.send(header);
        wire.send(&request.bytes(Way::Absolute, Some(&robot)));
        wire.receive("GET").unwrap()
    };
    let request = || item(&stage.upstream, "1", &issued.text);
    for inside in
        [&b"PROXY TCP4 192.0.2.7 192.0.2.2 56324 443\r\n"[..], b"PROXY TCP6 2001:db8::7 ::1 1 1\r\n"]
    {
        assert_eq!(call(inside, request()).status, 200);
    }
    let outside = b"PROXY TCP4 198.51.100.7 192.0.2.2 56324 443\r\n";
    let claiming = request().with("x-forwarded-for", "192.0.2.7").with("forwarded", "for=192.0.2.7");
    for request in [request(), claiming] {
        let answer = call(outside, request);
        assert_eq!(answer.code().as_deref(), Some("wrong-workload"), "{}", answer.text());
    }
    // The balancer itself is in nobody's network.
    assert_eq!(call(b"PROXY UNKNOWN\r\n", request()).code().as_deref(), Some("wrong-workload"));
    let of = |peer: &str| ("holder-unproven".to_owned(), issued.id.clone(), peer.to_owned());
    assert_eq!(stage.events(), [of("198.51.100.7"), of("198.51.100.7"), of("127.0.0.1")]);
    assert_eq!(stage.upstream.requests().len(), 2);
}

#[test]
fn t92_without_a_balancer_the_network_is_that_of_the_connection() {
    let stage = Stage::with("");
    let (robot, _) = stage.add("robot", &["--from", "127.0.0.0/8"]);
    let (stranger, _) = stage.add("stranger", &["--from", "192.0.2.0/24"]);
    let (issued, foreign) = (stage.permit("robot", "key,network"), stage.permit("stranger", "key,network"));
    let call = |who: &Workload, issued: &Issued| {
        let request = item(&stage.upstream, "1", &issued.text).with("x-forwarded-for", "192.0.2.7");
        stage.broker.call(Way::Connect, Some(who), &request)
    };
    assert_eq!(call(&robot, &issued).status, 200);
    assert_eq!(call(&stranger, &foreign).code().as_deref(), Some("wrong-workload"));
}

#[test]
fn what_a_workload_cannot_show_is_not_demanded_and_a_network_alone_is_nobody() {
    let stage = Stage::with("");
    stage.add("robot", &["--uid", "1001"]);
    let file = stage.file("policy.toml");
    std::fs::write(&file, items(&stage.upstream)).unwrap();
    let issue = |holder: &str| {
        let words = ["placeholder", "issue", "--credential", "c", "--workload", "robot", "--policy"];
        stage.broker.run(&[&words[..], &[file.to_str().unwrap(), "--holder", holder]].concat())
    };
    for (holder, why) in [
        ("mtls", "cannot show mtls"),
        ("key,network", "cannot show network"),
        ("network", "cannot show network"),
        ("cid", "cannot show cid"),
        ("password", "key, mtls, uid, cid, network"),
    ] {
        let answer = issue(holder);
        assert!(!answer.status.success() && answer.stderr.contains(why), "{holder}: {answer:?}");
    }
    assert!(issue("key,uid").status.success());
    // On the workload listener an address says where somebody is, and not who.
    stage.add("local", &["--from", "127.0.0.0/8"]);
    let local = stage.permit("local", "network");
    let answer = stage.broker.call(Way::Absolute, None, &item(&stage.upstream, "1", &local.text));
    assert_eq!((answer.status, answer.code().as_deref()), (407, Some("unknown-workload")));
    // A file in the way is found before a key is made that nobody would see again.
    std::fs::write(stage.file("agent.key"), "").unwrap();
    let words = ["workload", "add", "agent", "--mtls", "--out", stage.files.path().to_str().unwrap()];
    let answer = stage.broker.run(&words);
    assert!(!answer.status.success() && answer.stderr.contains("exists already"), "{answer:?}");
    assert!(!stage.broker.cli(&["workload", "list"]).stdout.contains("agent"));
}

#[test]
fn a_placeholder_counts_in_its_hours_and_what_descends_from_it_in_no_others() {
    let stage = Stage::with("");
    let (robot, _) = stage.add("robot", &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Half a day around now, and the other half.
    let hour = |later: u64| format!("{:02}:00", (now / 3600 + later) % 24);
    let (around, beyond) = (format!("{}-{}", hour(18), hour(6)), format!("{}-{}", hour(6), hour(18)));
    let permit = |more: &[&str]| stage.broker.permit("c", "robot", &items(&stage.upstream), more);
    let (open, shut) = (permit(&["--daily", &around]), permit(&["--daily", &beyond]));
    let call = |issued: &Issued| {
        stage.broker.call(Way::Absolute, Some(&robot), &item(&stage.upstream, "1", &issued.text))
    };
    assert_eq!(call(&open).status, 200);
    let refused = call(&shut);
    assert_eq!((refused.status, refused.code().as_deref()), (403, Some("placeholder-not-yet")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((5 * 3600..=6 * 3600).contains(&wait), "{wait}");
    assert_eq!(stage.broker.cli_json(&["placeholder", "show", &shut.id])["state"], "not-yet");
    let text = stage.broker.cli(&["approval", "show", &open.approval]).stdout;
    assert!(text.contains(&format!("\ndaily: {around}+00:00 (refused at other times)\n")), "{text}");
    let child = |more: &[&str]| {
        let file = stage.file("policy.toml");
        std::fs::write(&file, items(&stage.upstream)).unwrap();
        let words =
            ["placeholder", "issue", "--credential", "c", "--workload", "robot", "--parent", &open.id];
        stage.broker.run(&[&words[..], &["--policy", file.to_str().unwrap()], more].concat())
    };
    for wider in [&[][..], &["--daily", &beyond]] {
        let answer = child(wider);
        assert!(!answer.status.success() && answer.stderr.contains("its hours"), "{answer:?}");
    }
    assert!(child(&["--daily", &around]).status.success());
    let wrong = child(&["--daily", "8-18"]);
    assert!(!wrong.status.success() && wrong.stderr.contains("08:00-18:00"), "{wrong:?}");
}
