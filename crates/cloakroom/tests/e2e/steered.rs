//! Programs that know of no broker: their connections are steered to it on their way, and the names they use are answered by it.

use crate::internet::{BROKER, NAME, OUTSIDE, Rig, WORKLOAD, run};
use crate::support::policy;
use cloakroom_testkit::{Broker, Issued, hunt, shaped};
use serde_json::Value;
use std::process::Output;

/// A rig whose broker takes what is steered to it, and a workload `robot` that is known by where it sends from.
pub(crate) struct Stage {
    pub(crate) broker: Broker,
    pub(crate) issued: Issued,
    pub(crate) rig: Rig,
}

impl Stage {
    pub(crate) fn new() -> Option<Self> {
        let rig = Rig::new()?;
        let broker = rig.broker();
        broker.deposit("c", "bearer", &[&format!("https://{NAME}")], &shaped("sk_live_"));
        broker.cli(&["workload", "add", "robot", "--from", &format!("{WORKLOAD}/32")]);
        let policy =
            policy(&format!("https://{NAME}"), "GET /v1/items/{id}", "header authorization bearer", "");
        let issued = broker.permit("c", "robot", &policy, &["--holder", "network"]);
        Some(Self { broker, issued, rig })
    }

    /// By hand, what `lock apply` does.
    fn steer(&self) {
        let rules = format!(
            "table ip steer {{ chain pre {{ type nat hook prerouting priority dstnat; iifname \"wl0\" tcp dport {{ 80, 443 }} dnat to {BROKER}:8443; }}; }}"
        );
        run(self.rig.beside_broker("nft").arg(rules));
    }

    /// curl in the workload's namespace, with nothing but the authority's certificate.
    pub(crate) fn curl(&self, arguments: &[&str]) -> (String, Output) {
        let mut command = self.rig.as_workload("curl");
        command.args(["-q", "-sS", "-m", "10", "--cacert"]).arg(self.broker.ca_file());
        command.args(["-H", &format!("Authorization: Bearer {}", self.issued.text)]).args(arguments);
        for variable in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        let output = command.output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            assert!(hunt(bytes).is_empty(), "{output:?}");
        }
        (String::from_utf8_lossy(&output.stdout).into_owned(), output)
    }

    /// Codes of refusals on record, and kinds of events.
    pub(crate) fn on_record(&self) -> Vec<String> {
        let journal = self.broker.cli_json(&["journal", "show"]);
        let entries = journal.as_array().unwrap().iter().map(|record| &record["entry"]);
        let word = |entry: &Value| match entry["kind"].as_str() {
            Some("refusal") => entry["code"].as_str().map(str::to_owned),
            Some("event") => entry["event"].as_str().map(str::to_owned),
            _ => None,
        };
        entries.filter_map(word).collect()
    }
}

#[test]
fn t20_what_is_steered_goes_where_its_name_its_address_and_its_host_agree_and_nowhere_else() {
    let Some(stage) = Stage::new() else { return };
    stage.steer();
    let call = format!("https://{NAME}/v1/items/7");
    let (body, output) = stage.curl(&[&call]);
    assert!(body.contains(&stage.issued.text), "{output:?}\n{}", stage.broker.output());
    let sent = stage.rig.requests();
    assert!(sent.len() == 1 && sent[0].contains(&shaped("sk_live_")), "{sent:?}");
    // Plain HTTP is upgraded.
    let (body, output) = stage.curl(&[&format!("http://{NAME}/v1/items/8")]);
    assert!(body.contains("/v1/items/8") && body.contains(&stage.issued.text), "{output:?}");
    assert_eq!(stage.rig.requests().len(), 2);

    // One step wrong, each; nothing of it reaches the internet.
    let before = (stage.rig.packets(), stage.on_record().len());
    let given = run(stage.rig.as_workload("getent").args(["ahostsv4", NAME]));
    let given = String::from_utf8_lossy(&given.stdout).split_whitespace().next().unwrap().to_owned();
    assert!(given.starts_with("198.18.") || given.starts_with("198.19."), "{given}");
    let (body, _) = stage.curl(&["-X", "DELETE", &call]);
    assert!(body.contains("call-not-permitted"), "{body}");
    let (body, _) = stage.curl(&["-H", "Host: evil.example", &format!("http://{NAME}/v1/items/8")]);
    assert!(body.contains("ambiguous-call"), "the Host field names another: {body}");
    let (body, _) = stage.curl(&["-H", "Host: evil.example", &call]);
    assert!(body.contains("ambiguous-call"), "the Host field inside TLS names another: {body}");
    let closed = [
        (
            "the name in the handshake is another",
            vec![
                "--resolve".into(),
                format!("evil.example:443:{given}"),
                "https://evil.example/v1/items/7".into(),
            ],
        ),
        ("there is no name in the handshake", vec!["-k".into(), format!("https://{given}/v1/items/7")]),
        (
            "the address was never given out",
            vec!["--resolve".into(), format!("{NAME}:443:{OUTSIDE}"), call.clone()],
        ),
        (
            "the address stands for nothing",
            vec!["--resolve".into(), format!("{NAME}:443:198.18.255.1"), call.clone()],
        ),
        ("an address is no name", vec!["-k".into(), format!("https://{OUTSIDE}/v1/items/7")]),
        ("nobody told of this address", vec!["-k".into(), "https://169.254.169.254/".into()]),
    ];
    for (why, arguments) in closed {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (body, output) = stage.curl(&arguments);
        assert!(!output.status.success() && body.is_empty(), "{why}: {output:?}");
    }
    for (to, code) in
        [(OUTSIDE, "destination-not-permitted"), ("169.254.169.254", "destination-not-permitted")]
    {
        let (body, _) = stage.curl(&[&format!("http://{to}/v1/items/7")]);
        assert!(body.contains(code), "{to}: {body}");
    }
    let (body, _) = stage.curl(&[&format!("http://{BROKER}:8443/v1/items/7")]);
    assert!(body.contains("destination-not-permitted"), "the listener itself is no destination: {body}");
    let record = stage.on_record();
    let count = |word: &str| record[before.1..].iter().filter(|one| *one == word).count();
    assert_eq!(count("misnamed-tunnel"), 2, "{record:?}");
    assert_eq!(count("destination-not-permitted"), 7, "{record:?}");
    assert_eq!((stage.rig.packets(), stage.rig.requests().len()), (before.0, 2));
}

#[test]
fn t52_names_outside_the_permits_do_not_exist_and_nobody_is_asked() {
    let Some(stage) = Stage::new() else { return };
    let before = stage.rig.packets();
    let look = |name: &str| stage.rig.as_workload("getent").args(["ahosts", name]).output().unwrap();
    assert!(look(NAME).status.success());
    for name in ["evil.example", "c2VjcmV0.api.example.test", "example.test", "localhost.evil.example"] {
        assert!(!look(name).status.success(), "{name}");
    }
    assert!(stage.on_record().iter().any(|word| word == "unnamed-name"), "{:?}", stage.on_record());
    // A storm of questions stays within bounds on the record, and reaches nobody.
    let storm = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(5)\nfor n in range(300):\n    label = b'%08d' % n\n    s.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x08' + label + b'\\4evil\\7example\\0\\0\\1\\0\\1', ('10.77.0.1', 53))\n    assert s.recv(512)[3] & 15 == 3\n";
    run(stage.rig.as_workload("python3").args(["-c", storm]));
    let noted = stage.on_record().iter().filter(|word| *word == "unnamed-name").count();
    assert!((1..=60).contains(&noted), "{noted}");
    // Over TCP the same; and a stranger learns nothing.
    let tcp = "import socket, sys\ns = socket.create_connection(('10.77.0.1', 53), 5, (sys.argv[1], 0))\nq = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3api\\7example\\4test\\0\\0\\1\\0\\1'\ns.sendall(len(q).to_bytes(2, 'big') + q)\nprint(s.recv(512)[5] & 15)\n";
    let ask = |from: &str| {
        String::from_utf8_lossy(&run(stage.rig.as_workload("python3").args(["-c", tcp, from])).stdout)
            .trim()
            .to_owned()
    };
    assert_eq!(ask(WORKLOAD), "0");
    run(stage.rig.as_workload("ip").args(["addr", "add", "10.77.0.9/24", "dev", "out0"]));
    assert_eq!(ask("10.77.0.9"), "5");
    // A revoked placeholder takes its names with it.
    stage.broker.cli(&["placeholder", "revoke", &stage.issued.id]);
    assert!(!look(NAME).status.success());
    assert_eq!((stage.rig.packets(), stage.rig.questions()), (before, 0));
}

#[test]
fn t93_an_address_that_is_no_workloads_or_two_workloads_is_nobody() {
    let Some(stage) = Stage::new() else { return };
    stage.steer();
    let call = format!("http://{NAME}/v1/items/7");
    let address = run(stage.rig.as_workload("getent").args(["ahostsv4", NAME]));
    let address = String::from_utf8_lossy(&address.stdout).split_whitespace().next().unwrap().to_owned();
    let pinned = format!("{NAME}:80:{address}");
    let code = |more: &[&str]| stage.curl(&[more, &["--resolve", &pinned, &call]].concat()).0;
    assert!(code(&[]).contains("/v1/items/7"));
    run(stage.rig.as_workload("ip").args(["addr", "add", "10.77.0.9/24", "dev", "out0"]));
    assert!(code(&["--interface", "10.77.0.9"]).contains("unknown-workload"));
    // An address that stands for a name of another workload tells this one nothing.
    stage.broker.cli(&["workload", "add", "curious", "--from", "10.77.0.9/32"]);
    let curious = code(&["--interface", "10.77.0.9"]);
    assert!(curious.contains("destination-not-permitted") && !curious.contains(NAME), "{curious}");
    stage.broker.cli(&["workload", "remove", "curious"]);
    // A workload key is no proof here: what is steered has no place for one.
    let other = stage.broker.cli_json(&["workload", "add", "other", "--from", "10.77.0.0/24"]);
    let key = format!("Cloakroom-Workload: {}", other["key"].as_str().unwrap());
    assert!(code(&["-H", &key]).contains("unknown-workload"), "two have the address");
    assert!(
        code(&["--interface", "10.77.0.9"]).contains("destination-not-permitted"),
        "the other has no permit"
    );
}

#[test]
fn t93_in_a_lesson_the_address_of_another_workloads_name_tells_nothing() {
    let Some(stage) = Stage::new() else { return };
    stage.steer();
    let look = |stage: &Stage| {
        let given = run(stage.rig.as_workload("getent").args(["ahostsv4", NAME]));
        String::from_utf8_lossy(&given.stdout).split_whitespace().next().unwrap().to_owned()
    };
    let call = format!("http://{}/v1/items/7", look(&stage));
    run(stage.rig.as_workload("ip").args(["addr", "add", "10.77.0.9/24", "dev", "out0"]));
    stage.broker.cli(&["workload", "add", "curious", "--from", "10.77.0.9/32"]);
    let mut lesson = std::process::Command::new(crate::support::BINARY)
        .args(["learn", "--workload", "curious", "--for", "1h"])
        .env("CLOAKROOM_DATA", stage.broker.data())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(lesson.stderr.as_mut().unwrap()), &mut line)
        .unwrap();
    assert!(line.contains("is in a lesson"), "{line}");
    let steered = || stage.curl(&["--interface", "10.77.0.9", "-i", &call]).0;
    let curious = steered();
    assert!(!curious.contains(NAME), "{curious}");
    // What it asked for itself it may go to, and is told that it is in a lesson.
    let ask = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(5)\ns.bind(('10.77.0.9', 0))\ns.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3api\\7example\\4test\\0\\0\\1\\0\\1', ('10.77.0.1', 53))\nassert s.recv(512)[3] & 15 == 0\n";
    run(stage.rig.as_workload("python3").args(["-c", ask]));
    let told = steered();
    assert!(told.contains(NAME), "{told}");
    lesson.kill().unwrap();
    lesson.wait().unwrap();
}

#[test]
fn t97_questions_over_tcp_of_one_workload_shut_out_no_other() {
    let Some(stage) = Stage::new() else { return };
    run(stage.rig.as_workload("ip").args(["addr", "add", "10.77.0.9/24", "dev", "out0"]));
    stage.broker.cli(&["workload", "add", "greedy", "--from", "10.77.0.9/32"]);
    let script = "import socket\nq = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3api\\7example\\4test\\0\\0\\1\\0\\1'\nm = len(q).to_bytes(2, 'big') + q\ndef ask(source):\n    s = socket.create_connection(('10.77.0.1', 53), 5, (source, 0))\n    try:\n        s.sendall(m)\n        return s, len(s.recv(512))\n    except OSError:\n        return s, 0\nheld = [ask('10.77.0.9') for n in range(80)]\nprint(sum(1 for s, got in held if got), 1 if ask('10.77.0.2')[1] else 0)\n";
    let said = run(stage.rig.as_workload("python3").args(["-c", script]));
    // The first of the eighty are idle for less than the bound while the last are tried.
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "8 1");
}

#[test]
fn what_tproxy_hands_over_is_known_by_its_own_end() {
    let Some(stage) = Stage::new() else { return };
    let rules = format!(
        "table ip steer {{ chain pre {{ type filter hook prerouting priority mangle; iifname \"wl0\" tcp dport {{ 80, 443 }} tproxy to {BROKER}:8443 meta mark set 1 accept; }}; }}"
    );
    run(stage.rig.beside_broker("nft").arg(rules));
    run(stage.rig.beside_broker("ip").args("rule add fwmark 1 lookup 100".split(' ')));
    run(stage.rig.beside_broker("ip").args("route add local 0.0.0.0/0 dev lo table 100".split(' ')));
    let (body, output) = stage.curl(&[&format!("https://{NAME}/v1/items/7")]);
    assert!(body.contains(&stage.issued.text), "{output:?}\n{}", stage.broker.output());
    let (body, _) = stage.curl(&[&format!("http://{OUTSIDE}/v1/items/7")]);
    assert!(body.contains("destination-not-permitted"), "{body}");
    let (_, output) =
        stage.curl(&["--resolve", &format!("{NAME}:443:{OUTSIDE}"), &format!("https://{NAME}/v1/items/7")]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(stage.rig.requests().len(), 1);
}

#[test]
fn t20_an_address_that_a_permit_names_is_a_destination_without_a_name() {
    let Some(stage) = Stage::new() else { return };
    stage.steer();
    let to = format!("https://{OUTSIDE}");
    stage.broker.deposit("a", "bearer", &[&to], &shaped("sk_live_"));
    let allowed = policy(&to, "GET /v1/items/{id}", "header authorization bearer", "");
    let issued = stage.broker.permit("a", "robot", &allowed, &["--holder", "network"]);
    let bearer = format!("Authorization: Bearer {}", issued.text);
    let call = |arguments: &[&str]| {
        let mut command = stage.rig.as_workload("curl");
        command
            .args(["-q", "-sS", "-m", "10", "-H", &bearer, "--cacert"])
            .arg(stage.broker.ca_file())
            .args(arguments);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    let body = call(&[&format!("{to}/v1/items/7")]);
    assert!(body.contains(&issued.text), "{body}\n{}", stage.broker.output());
    // The address is not the name's: what the handshake or the Host field adds is another destination.
    let pinned = format!("{NAME}:443:{OUTSIDE}");
    assert_eq!(call(&["--resolve", &pinned, &format!("https://{NAME}/v1/items/7")]), "");
    assert!(call(&["-H", &format!("Host: {NAME}"), &format!("{to}/v1/items/7")]).contains("ambiguous-call"));
    // Nor is the name's permit the address's.
    let (body, _) = stage.curl(&[&format!("{to}/v1/items/7")]);
    assert!(body.contains("destination-not-permitted") || body.contains("place-not-permitted"), "{body}");
    assert_eq!(stage.rig.requests().len(), 1);
}

#[test]
fn a_broker_that_takes_over_takes_what_is_steered_and_the_names_too() {
    let Some(mut stage) = Stage::new() else { return };
    stage.steer();
    let call = format!("https://{NAME}/v1/items/7");
    assert!(stage.curl(&[&call]).0.contains("/v1/items/7"));
    stage.broker.take_over();
    let (body, output) = stage.curl(&[&call]);
    assert!(body.contains("/v1/items/7"), "{output:?}\n{}", stage.broker.output());
    assert!(!stage.rig.as_workload("getent").args(["ahosts", "evil.example"]).status().unwrap().success());
}
