//! Two guests. The robot is root of one, and its only wire ends in the other, which is the broker. It tries everything; the destinations and
//! the rest of the internet are this machine, which answers whoever reaches it and records what comes.

use super::machine::{Machine, Wire, free_port, usual};
use super::parts::{HOST, Image, Parts};
use super::root::guest_root;
use super::wire::frames;
use crate::ladder::{Rung, kvm_runs};
use cloakroom_testkit::{CANARY, TestAuthority, TlsUpstream, echo, hunt};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const BROKER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const WORKLOADS_CARD: &str = "52:54:00:c1:00:01";
const OUTSIDE_CARD: &str = "52:54:00:c1:00:02";

/// Every try of the robot. All of them have to come to nothing.
const TRIES: [&str; 16] = [
    "address of an operator",
    "arp for other addresses",
    "capture",
    "disks",
    "dns at the broker",
    "dns elsewhere",
    "ipv6",
    "loopback of the broker",
    "other addresses of the broker",
    "ping elsewhere",
    "ping the broker",
    "ports of the broker",
    "route through the broker",
    "spoofed source",
    "tcp by address",
    "udp",
];

/// Its calls through the broker, and what they come to.
const CALLS: [(&str, &str); 9] = [
    ("admin interface", "400"),
    ("another path", "403"),
    ("another port", "403"),
    ("console of the broker", "403"),
    ("link of operators", "403"),
    ("metadata service", "403"),
    ("permitted", "200 echoed"),
    ("tunnel elsewhere", "403"),
    ("without a key", "407"),
];

/// The internet stand-in: a destination with TLS, and whoever answers datagrams.
struct Internet {
    destination: TlsUpstream,
    port: u16,
    got: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Internet {
    fn start(authority: &TestAuthority) -> Self {
        let config = authority.server_config(&[HOST], &[b"http/1.1"]);
        let destination = TlsUpstream::start_configured(config, |request, out| {
            echo(request).write_to(out, request.method == "HEAD")
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (port, got) = (socket.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let record = Arc::clone(&got);
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                record.lock().unwrap().push(bytes[..length].to_vec());
                let _ = socket.send_to(&bytes[..length], from);
            }
        });
        Self { destination, port, got }
    }

    fn datagrams(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// What the robot knows.
    fn plan(&self, own: &str, broker: Ipv4Addr, key: &str, placeholder: &str) -> String {
        format!(
            "own={own}\nbroker={broker}\ndestination={HOST}:{}\ndatagrams={HOST}:{}\nothers={OUTSIDE},10.79.0.15\n\
             card={WORKLOADS_CARD}\nkey={key}\nplaceholder={placeholder}\n",
            self.destination.port(),
            self.port
        )
    }
}

/// The robot's root: its program, and the plan.
fn robot_root(parts: &Parts, image: &Path, plan: &str, out: &Path) {
    let program = std::fs::read(parts.robot()).unwrap();
    guest_root(parts, image, &[("init", &program), ("plan", plan.as_bytes())], out);
}

/// `name: what`, of the lines that begin with this word.
pub(super) fn lines(said: &str, word: &str) -> BTreeMap<String, String> {
    let of_word =
        said.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.split_once(": "));
    of_word.map(|(name, what)| (name.to_owned(), what.to_owned())).collect()
}

/// Which round a line tells of, and how it went.
fn round(line: &str) -> Option<(u32, &str)> {
    let (number, how) = line.strip_prefix("ROUND ")?.split_once(' ')?;
    Some((number.parse().ok()?, how))
}

/// The next rounds that end after now: each has to go like this.
pub(super) fn next_rounds(robot: &mut Machine, count: u32, expected: &str) {
    let last = robot.said().lines().filter_map(round).next_back().map_or(0, |(number, _)| number);
    // The round that runs now began before.
    for number in last + 2..last + 2 + count {
        let line = robot.line("another round", |line| round(line).is_some_and(|(is, _)| is == number));
        assert_eq!(round(&line).unwrap().1, expected, "round {number}");
    }
}

pub(super) fn nothing_of_the_canary(place: &str, bytes: &[u8]) {
    let hits = hunt(bytes);
    assert!(hits.is_empty(), "{place}: {hits:?}");
}

#[test]
fn t84_t111_t112_root_of_a_guest_behind_the_appliance_reaches_nothing_but_the_permitted_call() {
    let Some(parts) = Parts::find() else { return };
    the_robot_comes_nowhere(usual(), parts);
}

/// The same by hardware, where a KVM runs the kernel; what is said where it does not is what was seen.
#[test]
#[expect(clippy::print_stderr, reason = "says what is left out")]
fn t84_t111_t112_the_same_robot_under_kvm_reaches_nothing_where_a_kvm_runs_the_kernel() {
    let Some(parts) = Parts::find() else { return };
    match kvm_runs(&parts.kernel()) {
        Ok(()) => the_robot_comes_nowhere(Rung::KvmGuests, parts),
        Err(why) => {
            eprintln!("LEFT OUT: rung two-guests-kvm, so nothing here proves isolation by hardware: {why}");
            assert_ne!(usual(), Rung::KvmGuests, "CLOAKROOM_ACCEL asks for KVM, and {why}");
        }
    }
}

fn the_robot_comes_nowhere(rung: Rung, parts: Parts) {
    rung.say();
    let image = Image::build(
        parts,
        &format!("[upstream]\nallow-address = [\"{HOST}/32\"]\n[listen]\nconsole = \"0.0.0.0:8481\"\n"),
    );
    let internet = Internet::start(&image.authority);
    let (link, wire) = (free_port(), image.path("wire"));
    let mut broker = Machine::appliance(
        &image.path("image"),
        "broker",
        &[
            ("ACCEL", rung.accelerator()),
            ("DATA", "memory"),
            ("WORKLOADS", &format!("stream,server=on,addr.type=unix,addr.path={wire}")),
            (
                "OPERATOR",
                &format!("user,restrict=on,net=10.79.0.0/24,hostfwd=tcp:127.0.0.1:{link}-10.79.0.15:8482"),
            ),
        ],
        &[
            "-object",
            &format!("filter-dump,id=o,netdev=outside,file={}", image.path("outside.pcap")),
            "-object",
            &format!("filter-dump,id=w,netdev=workloads,file={}", image.path("workloads.pcap")),
        ],
    );
    // Whatever the settings say, the console is on no wire.
    let ready = broker.line("the broker", |line| line.starts_with("{\"ready\":true"));
    assert!(ready.contains("\"console\":\"127.0.0.1:8481\""), "{ready}");
    image.operate(
        &["image", "enrol", "--at", &format!("127.0.0.1:{link}"), "--console", &image.path("broker.log")],
        "",
    );

    let to = format!("https://{HOST}:{}", internet.destination.port());
    image.deposit(&to);
    let key = image.operate(&["workload", "add", "robot"], "")["key"].as_str().unwrap().to_owned();
    let placeholder = image.permit(&to, "robot", &[]);
    an_operator_is_known_by_certificate(&image, link);

    let root = PathBuf::from(image.path("robot.cpio"));
    let plan = internet.plan("10.77.0.2/24", BROKER, &key, &placeholder);
    robot_root(&image.parts, Path::new(&image.path("image")), &plan, &root);
    let kernel = PathBuf::from(image.path("image/vmlinux"));
    let cable = format!("stream,server=off,addr.type=unix,addr.path={wire}");
    let cable = Wire::Card(&cable);
    let mut robot = Machine::guest_on(rung, &kernel, &root, &cable, "robot", &[]);
    robot.line("the end of its tries", |line| line == "DONE");

    let said = robot.said();
    let nothing = TRIES.map(|name| (name.to_owned(), "nothing".to_owned()));
    assert_eq!(lines(&said, "TRY"), nothing.into());
    assert_eq!(lines(&said, "CALL"), CALLS.map(|(name, what)| (name.to_owned(), what.to_owned())).into());
    next_rounds(&mut robot, 1, "call=200 echoed direct=closed");

    // Frozen, the broker lets nothing through; thawed, it goes on; dead, nothing is left.
    broker.qmp("stop", json!({}));
    next_rounds(&mut robot, 2, "call=none direct=closed");
    let before = internet.destination.requests().len();
    next_rounds(&mut robot, 1, "call=none direct=closed");
    assert_eq!(internet.destination.requests().len(), before);
    broker.qmp("cont", json!({}));
    robot.line("a call after the thaw", |line| {
        round(line).is_some_and(|(number, how)| number > 4 && how.starts_with("call=200 echoed"))
    });
    broker.cut();
    next_rounds(&mut robot, 2, "call=none direct=closed");

    assert_eq!(internet.datagrams(), 0, "{:?}", internet.got);
    let requests = internet.destination.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.target.starts_with("/v1/items/")));
    only_the_broker_spoke(Path::new(&image.path("outside.pcap")), internet.destination.port());
    // The robot's side: all of its memory, everything on its wire, all that it said, and what it was started from.
    let memory = robot.memory(cable.memory(), Path::new(&image.path("robot.memory")));
    assert!(contains(&memory, placeholder.as_bytes()), "the search of its memory finds nothing at all");
    robot_side_is_clean(&image, &memory, &said);
    rung.record(&json!({
        "tries": lines(&said, "TRY"),
        "calls": lines(&said, "CALL"),
        "while the broker was frozen and when it was dead": "call=none direct=closed",
        "datagrams that reached the internet stand-in": internet.datagrams(),
        "requests there that were not the permitted one": requests.iter().filter(|one| !one.target.starts_with("/v1/items/")).count(),
        "places on the robot's side with the canary": 0,
        "bytes of the robot's memory that were searched": memory.len(),
    }));
}

fn robot_side_is_clean(image: &Image, memory: &[u8], said: &str) {
    for needle in [CANARY, cloakroom_testkit::TAIL] {
        assert!(!contains(memory, needle.as_bytes()), "the canary is in the robot's memory");
    }
    let wire = std::fs::read(image.path("workloads.pcap")).unwrap();
    assert!(wire.len() > 1000);
    nothing_of_the_canary("the robot's wire", &wire);
    nothing_of_the_canary("the robot's console", said.as_bytes());
    nothing_of_the_canary("the broker's console", &std::fs::read(image.path("broker.log")).unwrap());
}

pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

/// Another key than the one in the image is no operator; nor is nobody.
fn an_operator_is_known_by_certificate(image: &Image, link: u16) {
    let stranger = image.path("stranger");
    super::parts::done(&["--data", &stranger, "image", "operator"]);
    for file in ["appliance.toml", "appliance.pem"] {
        std::fs::copy(image.path(&format!("ops/{file}")), format!("{stranger}/{file}")).unwrap();
    }
    let output = image.try_to_operate("stranger", &["credential", "list"], "");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    // Another appliance at the same address is not taken for this one.
    let other = format!("{stranger}/operator.pem");
    std::fs::copy(other, image.path("ops/appliance.pem.other")).unwrap();
    std::fs::rename(image.path("ops/appliance.pem"), image.path("ops/appliance.pem.right")).unwrap();
    std::fs::rename(image.path("ops/appliance.pem.other"), image.path("ops/appliance.pem")).unwrap();
    let output = image.try_to_operate("ops", &["credential", "list"], "");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    std::fs::rename(image.path("ops/appliance.pem.right"), image.path("ops/appliance.pem")).unwrap();
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sk", "-m", "20", &format!("https://127.0.0.1:{link}/api/v1/credentials")]);
    let answer = curl.output().unwrap();
    assert!(!answer.status.success() && answer.stdout.is_empty(), "{answer:?}");
}

/// On the wire to the destinations the broker's card sends to the one destination, and nothing that came from elsewhere.
fn only_the_broker_spoke(record: &Path, port: u16) {
    let host: Ipv4Addr = HOST.parse().unwrap();
    let frames = frames(record);
    let sent: Vec<_> = frames.iter().filter(|frame| frame.sender() == OUTSIDE_CARD).collect();
    assert!(sent.iter().any(|frame| frame.ipv4().is_some()), "nothing was recorded");
    for frame in sent {
        assert!(frame.is_arp() || frame.ipv4() == Some((6, OUTSIDE, host, port)), "{:?}", frame.ipv4());
    }
    // Nobody else is on that wire but the user network's own end.
    let others = frames.iter().map(super::wire::Frame::sender).filter(|sender| sender != OUTSIDE_CARD);
    assert!(others.into_iter().all(|sender| sender.starts_with("52:55:")));
}

#[test]
fn the_robot_gets_out_where_nothing_stops_it() {
    let Some(parts) = Parts::find() else { return };
    let image = Image::build(parts, "");
    let internet = Internet::start(&image.authority);
    let root = PathBuf::from(image.path("robot.cpio"));
    let plan = internet.plan("10.0.2.16/24", HOST.parse().unwrap(), "none", "none");
    robot_root(&image.parts, Path::new(&image.path("image")), &plan, &root);
    let kernel = PathBuf::from(image.path("image/vmlinux"));
    let mut robot = Machine::guest(&kernel, &root, &Wire::Card("user"), "robot", &[]);
    robot.line("the end of its tries", |line| line == "DONE");
    let tries = lines(&robot.said(), "TRY");
    assert!(TRIES.iter().all(|name| tries.contains_key(*name)), "{tries:?}");
    for open in ["tcp by address", "udp", "ping elsewhere", "arp for other addresses", "capture"] {
        assert!(tries[open].starts_with("REACHED"), "{open}: {tries:?}");
    }
    assert!(internet.datagrams() > 0);
    assert!(internet.destination.connections() > 0);
}

#[test]
fn the_rounds_of_a_robot_are_told_apart() {
    assert_eq!(round("ROUND 12 call=none direct=closed"), Some((12, "call=none direct=closed")));
    assert_eq!(round("TRY udp: nothing"), None);
    assert_eq!(lines("x\nTRY a b: nothing\nTRY c: REACHED d: e\n", "TRY")["c"], "REACHED d: e");
}
