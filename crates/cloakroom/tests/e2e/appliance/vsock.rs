//! Two guests that no network joins: neither has a wire to the other, both have a number on one vsock. The robot is root of the one and has
//! no network card; the other is the broker. A third guest has all that the robot knows, and another number.

use super::machine::{Machine, Wire, free_port, patiently};
use super::pair::{contains, lines, next_rounds, nothing_of_the_canary};
use super::parts::{HOST, Image, Parts};
use super::root::guest_root;
use cloakroom_testkit::{CANARY, TAIL, TlsUpstream, echo};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROBOT: u32 = 3;
const BROKER: u32 = 4;
const OTHER: u32 = 5;
const HOST_NUMBER: u32 = 2;
const LISTENER: u32 = 8480;

/// Every try of a robot without a network. All of them have to come to nothing.
const TRIES: [&str; 8] = [
    "datagrams",
    "disks",
    "network cards",
    "number of another guest",
    "other ports of the broker",
    "the host, the hypervisor, other guests",
    "the nonce, as the workload's user",
    "the nonce, in the environment",
];

/// The calls of the guest that the workload is in.
const CALLS: [(&str, &str); 14] = [
    ("a nonce that is none", "400"),
    ("admin interface", "400"),
    ("another boot", "407"),
    ("another boot and the key", "407"),
    ("another path", "403"),
    ("another user by init", "none"),
    ("metadata service", "403"),
    ("past init", "407"),
    ("the end of init", "0"),
    ("the key alone", "403"),
    ("the number alone", "407"),
    ("this boot", "200 echoed"),
    ("this boot and a wrong key", "407"),
    ("through init", "200 echoed"),
];

/// The device that joins guests: vhost-device-vsock, which needs nothing of the host's kernel.
struct Vsock {
    device: Child,
    directory: PathBuf,
}

impl Vsock {
    fn start(image: &Image) -> Self {
        let directory = image.directory.path().to_owned();
        let mut command = Command::new(image.parts.vsock_device());
        for cid in [ROBOT, BROKER, OTHER] {
            let at = |end: &str| directory.join(format!("{cid}.{end}")).display().to_string();
            let (socket, host) = (at("device"), at("host"));
            command.args(["--vm", &format!("guest-cid={cid},socket={socket},uds-path={host},groups=one")]);
        }
        let errors = std::fs::File::create(directory.join("device.log")).unwrap();
        let device = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let started = Self { device, directory };
        for cid in [ROBOT, BROKER, OTHER] {
            patiently("the device listens", || started.socket(cid).exists().then_some(()));
        }
        started
    }

    fn socket(&self, cid: u32) -> PathBuf {
        self.directory.join(format!("{cid}.device"))
    }

    /// What the host gets from the broker's port: an answer, or nothing.
    fn asked_by_host(&self, port: u32, request: &str) -> String {
        let mut stream = UnixStream::connect(self.directory.join(format!("{BROKER}.host"))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // In one piece: the device reads no other.
        stream.write_all(format!("CONNECT {port}\n").as_bytes()).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut connected = String::new();
        if reader.read_line(&mut connected).is_err() || !connected.starts_with("OK") {
            return String::new();
        }
        let mut answer = Vec::new();
        stream.write_all(request.as_bytes()).unwrap();
        let _ = reader.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Vsock {
    fn drop(&mut self) {
        let _ = self.device.kill();
        let _ = self.device.wait();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.directory.join("device.log"));
            eprintln!("--- the device:\n{}", said.unwrap_or_default());
        }
    }
}

/// What a robot knows.
struct Knows<'a> {
    destination: &'a str,
    key: &'a str,
    placeholder: &'a str,
    boot: &'a str,
    former: &'a str,
}

/// A guest without a network card, with this number.
fn guest(image: &Image, vsock: &Vsock, cid: u32, name: &str, knows: &Knows<'_>) -> Machine {
    let Knows { destination, key, placeholder, boot, former } = knows;
    let plan = format!(
        "vsock={BROKER}\ndestination={destination}\nkey={key}\nplaceholder={placeholder}\nboot={boot}\nformer={former}\n"
    );
    let root = PathBuf::from(image.path(&format!("{name}.cpio")));
    let read = |path: &Path| std::fs::read(path).unwrap();
    let own = [
        ("init", &*read(&image.parts.robot())),
        ("plan", plan.as_bytes()),
        ("bin/cloakroom", &read(&image.parts.program())),
        ("ca.pem", &read(Path::new(&image.path("ops/ca.pem")))),
    ];
    guest_root(&image.parts, Path::new(&image.path("image")), &own, &root);
    let kernel = PathBuf::from(image.path("image/vmlinux"));
    Machine::guest(&kernel, &root, &Wire::Vsock(&vsock.socket(cid)), name, &[])
}

fn calls(machine: &mut Machine) -> BTreeMap<String, String> {
    machine.line("the end of its tries", |line| line == "DONE");
    lines(&machine.said(), "CALL")
}

#[test]
fn t93_a_guest_without_a_network_is_its_workload_by_its_number_and_the_nonce_of_its_boot() {
    let Some(parts) = Parts::find() else { return };
    let image = Image::build(parts, &format!("[upstream]\nallow-address = [\"{HOST}/32\"]\n"));
    let config = image.authority.server_config(&[HOST], &[b"http/1.1"]);
    let upstream = TlsUpstream::start_configured(config, |request, out| echo(request).write_to(out, false));
    let destination = format!("{HOST}:{}", upstream.port());
    let (vsock, link) = (Vsock::start(&image), free_port());
    let operator = format!("user,restrict=on,net=10.79.0.0/24,hostfwd=tcp:127.0.0.1:{link}-10.79.0.15:8482");
    let workloads = format!("vsock:{}", vsock.socket(BROKER).display());
    let variables = [("DATA", "memory"), ("WORKLOADS", &workloads), ("OPERATOR", &operator)];
    let mut broker = Machine::appliance(&image.path("image"), "broker", &variables, &[]);
    let ready = broker.line("the broker", |line| line.starts_with("{\"ready\":true"));
    assert!(ready.contains("\"vsock\":8480") && ready.contains("\"listen\":\"127.0.0.1:8480\""), "{ready}");
    let at = format!("127.0.0.1:{link}");
    image.operate(&["image", "enrol", "--at", &at, "--console", &image.path("broker.log")], "");

    let to = format!("https://{destination}");
    image.deposit(&to);
    let added = image.operate(&["workload", "add", "robot", "--cid", &ROBOT.to_string()], "");
    let (key, first) = (added["key"].as_str().unwrap(), added["boot"].as_str().unwrap());
    let placeholder = image.permit(&to, "robot", &["--holder", "cid"]);
    let knows =
        |boot, former| Knows { destination: &destination, key, placeholder: &placeholder, boot, former };

    let mut robot = guest(&image, &vsock, ROBOT, "robot", &knows(first, "cwb_of_another_boot"));
    let expected = CALLS.map(|(name, what)| (name.to_owned(), what.to_owned()));
    assert_eq!(calls(&mut robot), expected.into());
    let nothing = TRIES.map(|name| (name.to_owned(), "nothing".to_owned()));
    assert_eq!(lines(&robot.said(), "TRY"), nothing.clone().into());
    let permitted = upstream.requests().len();

    // Another number, with everything that the workload has; and the host.
    let mut other = guest(&image, &vsock, OTHER, "other", &knows(first, "cwb_of_another_boot"));
    nobody(&calls(&mut other));
    assert_eq!(lines(&other.said(), "TRY"), nothing.into());
    other.cut();
    the_host_is_nobody(&vsock, &destination, key, first, &placeholder);
    next_rounds(&mut robot, 1, "call=200 echoed");
    assert!(upstream.requests().len() > permitted);

    // The machine goes off, and its number is lent again. Before the next start its workload gets a boot of its own.
    image.operate(&["workload", "boot", "robot"], "");
    next_rounds(&mut robot, 1, "call=407");
    let memory = robot.memory(Wire::Vsock(Path::new("")).memory(), Path::new(&image.path("robot.memory")));
    robot_side_is_clean(&memory, &placeholder, &[&robot, &other, &broker]);
    for number in [ROBOT, OTHER, HOST_NUMBER] {
        let is_told = |line: &str| line.contains("other-boot") && line.contains(&format!("\"cid {number}\""));
        assert!(broker.said().lines().any(is_told), "nobody was told of {number}");
    }
}

/// Nothing but refusals, and nothing by which one could be told from another.
fn nobody(calls: &BTreeMap<String, String>) {
    assert_eq!(calls.len(), CALLS.len(), "{calls:?}");
    for (name, came) in calls {
        let expected = match name.as_str() {
            "a nonce that is none" | "admin interface" => "400",
            "another user by init" => "none",
            "the end of init" => "0",
            _ => "407",
        };
        assert_eq!(came, expected, "{name}");
    }
}

/// Whoever has the host has the machines; but to the broker it is no workload, and the operators' port is on no vsock.
fn the_host_is_nobody(vsock: &Vsock, destination: &str, key: &str, boot: &str, placeholder: &str) {
    let request = |begin: &str, key: &str| {
        format!(
            "{begin}GET /to/{destination}/v1/items/9 HTTP/1.1\r\nHost: broker\r\n{key}Authorization: Bearer {placeholder}\r\n\
             Connection: close\r\n\r\n"
        )
    };
    let (begin, key) = (format!("CLOAKROOM/1 boot {boot}\r\n"), format!("Cloakroom-Workload: {key}\r\n"));
    for request in [request("", ""), request(&begin, ""), request("", &key), request(&begin, &key)] {
        let answer = vsock.asked_by_host(LISTENER, &request);
        assert!(answer.starts_with("HTTP/1.1 407") && answer.contains("unknown-workload"), "{answer}");
    }
    for port in [8481, 8482, 22] {
        assert_eq!(vsock.asked_by_host(port, &request("", "")), "", "{port}");
    }
}

fn robot_side_is_clean(memory: &[u8], placeholder: &str, consoles: &[&Machine]) {
    assert!(contains(memory, placeholder.as_bytes()), "the search of its memory finds nothing at all");
    for needle in [CANARY, TAIL] {
        assert!(!contains(memory, needle.as_bytes()), "the canary is in the robot's memory");
    }
    for machine in consoles {
        nothing_of_the_canary("a console", machine.said().as_bytes());
    }
}
