//! A running broker that somebody got code into: what is tried in its place, by a build that tries where the test says, is refused by the kernel or
//! ends the process. Each attempt stands for itself, and works in a broker whose layer is off.

use crate::support::{BINARY, eventually, item, items, port_of_vsock, settings_of};
use cloakroom_testkit::{Broker, BrokerBuilder, TestAuthority, TlsUpstream, Way, echo, shaped};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// `SIGSYS`.
const BAD_CALL: i32 = 31;
const OPEN: &str = "[process.unconfined]\nfiles = \"a test of what they keep\"\ncalls = \"the same\"\n";

fn broker(settings: &str, attempt: &str) -> Broker {
    let authority = TestAuthority::new();
    let file = settings_of(&authority);
    std::fs::write(&file, settings).unwrap();
    let builder = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file);
    builder.variable("CLOAKROOM_ATTEMPT", attempt).start()
}

/// What the attempt came to, where the broker lived to tell.
fn came(broker: &Broker) -> String {
    eventually("the attempt is made", || {
        let said = broker.output();
        let line = said.lines().find(|line| line.contains("an attempt"))?;
        Some(line.split("came=").nth(1)?.to_owned())
    })
}

fn assert_refused(attempt: &str) {
    let closed = came(&broker("", attempt));
    assert!(closed.contains("refused"), "{attempt}: {closed}");
    let open = came(&broker(OPEN, attempt));
    assert!(open.contains("it worked"), "{attempt}, unconfined: {open}");
}

fn assert_ends(attempt: &str) {
    let mut broker = broker("", attempt);
    let status = broker.wait();
    assert_eq!(status.signal(), Some(BAD_CALL), "{attempt}: {status}");
    assert!(!broker.output().contains("it worked"), "{attempt}");
}

#[test]
fn t110_a_broker_that_would_become_another_program_ends() {
    assert_ends("become");
}

#[test]
fn t110_a_broker_that_would_start_a_program_ends() {
    assert_ends("start");
    assert!(came(&broker(OPEN, "start")).contains("it worked"));
}

#[test]
fn t110_a_broker_that_would_hear_on_another_port_ends_or_is_refused() {
    assert_ends("listen");
    assert!(came(&broker(OPEN, "listen")).contains("it worked"));
    // A port of one's own choice is kept by the list of files already.
    assert_refused("bind");
}

#[test]
fn t111_files_that_no_setting_names_cannot_be_opened() {
    for file in ["read /etc/shadow", "read /etc/passwd", "list /", "list /root", "list /proc"] {
        assert_refused(file);
    }
}

#[test]
fn t111_nothing_can_be_written_beside_the_data_directory() {
    let beside = tempfile::tempdir().unwrap();
    assert_refused(&format!("write {}", beside.path().join("file").display()));
}

#[test]
fn t111_one_of_many_narrow_brokers_can_open_nothing_of_its_neighbours_and_shares_no_key_with_them() {
    let neighbour = broker("", "");
    for file in ["cloakroom.db", "keys/kek", "ca.key"] {
        assert_refused(&format!("read {}", neighbour.data().join(file).display()));
    }
    assert_refused(&format!("write {}", neighbour.data().join("planted").display()));
    let own = broker("", "");
    for file in ["keys/kek", "keys/lookup", "keys/journal", "ca.key", "ca.pem"] {
        let of = |broker: &Broker| std::fs::read(broker.data().join(file)).unwrap();
        assert_ne!(of(&own), of(&neighbour), "{file}");
    }
    // What works at one of them is unknown at the other.
    let authority = TestAuthority::new();
    let upstream = TlsUpstream::start(&authority, echo);
    let robot = own.workload("robot");
    let elsewhere = neighbour.call(Way::Absolute, Some(&robot), &item(&upstream, "1", "nothing"));
    assert_eq!(elsewhere.code().as_deref(), Some("unknown-workload"));
}

#[test]
fn t111_no_other_program_of_the_machine_can_be_asked_to_do_something() {
    let beside = tempfile::tempdir().unwrap();
    let socket = beside.path().join("other.sock");
    let _listening = UnixListener::bind(&socket).unwrap();
    assert_refused(&format!("ask {}", socket.display()));
}

#[test]
fn t111_no_link_can_be_left_for_whoever_comes_by_as_root() {
    let beside = tempfile::tempdir().unwrap();
    // Where the broker may write, and where it may not.
    let (within, outside) = (beside.path().join("unix"), beside.path().join("elsewhere"));
    for directory in [&within, &outside] {
        std::fs::create_dir(directory).unwrap();
    }
    let listen = format!("[listen]\nunix = {:?}\n", within.join("w.sock"));
    for directory in [within, outside] {
        let closed = came(&broker(&listen, &format!("link {}", directory.join("link").display())));
        assert!(closed.contains("refused"), "{closed}");
    }
    assert!(
        came(&broker(OPEN, &format!("link {}", beside.path().join("link").display()))).contains("it worked")
    );
}

#[test]
fn t111_a_process_outside_cannot_be_signalled() {
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    assert_refused(&format!("signal {}", other.id()));
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn t88_the_process_cannot_be_made_dumpable_again() {
    assert_refused("dumpable");
}

#[test]
fn sockets_that_no_network_namespace_scopes_cannot_be_made() {
    assert_refused("vsock");
    // A broker that listens there makes no other: its socket was open before.
    let Some(port) = port_of_vsock() else { return };
    let listening = came(&broker(&format!("[listen]\nvsock = {port}\n"), "vsock"));
    assert!(listening.contains("refused"), "{listening}");
}

/// The layers by name, state and words, from the health document.
fn layers(broker: &Broker) -> Vec<[String; 3]> {
    let mut stream = UnixStream::connect(broker.data().join("admin.sock")).unwrap();
    let ask = "GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let health: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let text = |layer: &serde_json::Value, key: &str| layer[key].as_str().unwrap().to_owned();
    let layers = health["confinement"].as_array().unwrap().iter();
    layers.map(|layer| ["name", "state", "detail"].map(|key| text(layer, key))).collect()
}

#[test]
fn a_broker_says_how_it_is_closed_in_and_why_not() {
    let closed = layers(&broker("", ""));
    let names: Vec<&str> = closed.iter().map(|[name, ..]| name.as_str()).collect();
    assert_eq!(names, ["memory", "privileges", "files", "calls"]);
    // Tests run as whoever; root without another user to be is root in part.
    let is_root = rustix::process::geteuid().is_root();
    for [name, state, detail] in &closed {
        let in_part = name == "privileges" && is_root;
        assert_eq!(state, if in_part { "in-part" } else { "holds" }, "{name}: {detail}");
    }
    let open = layers(&broker(OPEN, ""));
    assert_eq!(open[2], ["files", "off", "a test of what they keep"]);
    assert_eq!(open[3], ["calls", "off", "the same"]);
}

/// What a start that fails says.
fn refusal(settings: &str) -> String {
    let authority = TestAuthority::new();
    let (file, data) = (settings_of(&authority), tempfile::tempdir().unwrap());
    std::fs::write(&file, settings).unwrap();
    let mut serve = Command::new(BINARY);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--config"]).arg(&file);
    let output = serve.env("CLOAKROOM_DATA", data.path()).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_layer_is_off_only_for_a_reason_and_never_where_all_are_insisted_on() {
    for (settings, why) in [
        ("[process.unconfined]\nfiles = \" \"\n", "no reason is given"),
        ("[process.unconfined]\nmemory = \"x\"\n", "is not known here"),
        ("[process]\ninsist = true\n[process.unconfined]\ncalls = \"slow\"\n", "insists on every layer"),
        ("[process]\nuser = \"nobody-of-this-name\"\n", "has no user nobody-of-this-name"),
    ] {
        assert!(refusal(settings).contains(why), "{settings}");
    }
}

#[test]
fn root_that_is_to_be_nobody_else_does_not_start_where_all_is_insisted_on() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    assert!(refusal("[process]\ninsist = true\n").contains("is root"));
}

/// Of the process itself, as the kernel sees it.
fn status(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap().trim().to_owned()
}

#[test]
fn t111_root_becomes_another_user_once_its_ports_are_open_and_keeps_no_privilege() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let authority = TestAuthority::new();
    std::fs::set_permissions(authority.directory(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let builder = BrokerBuilder::new(BINARY, &authority).argument("--user").argument("65534:65534");
    // Below 1024, on an address of loopback that nobody else takes.
    let privileged = "127.83.65.1:843";
    let builder =
        builder.argument("--transparent").argument(privileged).argument("--dns").argument("127.83.65.1:53");
    let broker = builder.owned_by(65534).start();
    assert_eq!(status(broker.pid(), "Uid"), "65534\t65534\t65534\t65534");
    assert_eq!(status(broker.pid(), "Gid"), "65534\t65534\t65534\t65534");
    for thread in std::fs::read_dir(format!("/proc/{}/task", broker.pid())).unwrap().flatten() {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
        for (field, value) in [("NoNewPrivs", "1"), ("Seccomp", "2"), ("Uid", "65534\t65534\t65534\t65534")] {
            assert!(status.contains(&format!("{field}:\t{value}\n")), "{field}: {status}");
        }
    }
    std::net::TcpStream::connect(privileged).unwrap();
    // Not dumpable: what belongs to it in /proc belongs to root again.
    assert_eq!(std::fs::metadata(format!("/proc/{}/environ", broker.pid())).unwrap().uid(), 0);
    let database = broker.data().join("cloakroom.db");
    assert_eq!(std::fs::metadata(database).unwrap().uid(), 65534);
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let robot = broker.workload("robot");
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
}

#[test]
fn a_directory_of_secrets_that_is_not_there_is_said() {
    let missing = tempfile::tempdir().unwrap();
    let path = missing.path().join("later");
    let settings = format!("[sources]\ndirectories = [{:?}]\n", path.to_str().unwrap());
    let broker = broker(&settings, "");
    assert!(broker.output().contains("cannot be opened before the next start"), "{}", broker.output());
}
