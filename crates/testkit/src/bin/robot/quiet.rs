//! A guest without a network card: all that it has is a number on the vsock, and the broker's. Root of it tries every other way out, shows
//! its nonce, its key, and what it should not have; then `cloakroom init` leads a program of another user to the broker.
//!
//! The plan: `vsock=CID`, `destination`, `key`, `placeholder`, `boot` (the nonce of this boot) and `former` (that of another).

use crate::{busybox, report, say};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

const HOST: u32 = 2;
const LISTENER: u32 = 8480;
/// A call through the broker takes a while where everything is emulated.
const CALL: Duration = Duration::from_secs(30);
/// Whom `init` starts its command as, and whom it does not know.
const USER: u32 = 1000;
const STRANGER: u32 = 2000;
/// The nonce of this boot, as `init` is told it. Root's alone.
const NONCE: &str = "/nonce";
/// Where `init` answers to base URLs.
const DIRECT: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 2), 8480);

pub(crate) struct Plan {
    broker: u32,
    destination: String,
    key: String,
    placeholder: String,
    boot: String,
    former: String,
}

impl Plan {
    /// `None` where the plan is that of a guest with a wire.
    pub(crate) fn read() -> Option<Self> {
        let text = std::fs::read_to_string("/plan").unwrap();
        let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default().to_owned();
        Some(Self {
            broker: values.get("vsock")?.parse().unwrap(),
            destination: value("destination"),
            key: value("key"),
            placeholder: value("placeholder"),
            boot: value("boot"),
            former: value("former"),
        })
    }

    /// Everything, then rounds until the machine is stopped from outside.
    pub(crate) fn live(&self) -> ! {
        busybox(&["ip", "link", "set", "lo", "up"]);
        std::fs::write(NONCE, &self.boot).unwrap();
        busybox(&["chmod", "400", NONCE]);
        say("UP");
        self.tries();
        self.calls();
        self.through_init();
        say("DONE");
        for round in 0.. {
            say(&format!("ROUND {round} call={}", self.permitted(&line(&self.boot))));
            std::thread::sleep(Duration::from_millis(200));
        }
        unreachable!("there are more rounds than time")
    }

    fn tries(&self) {
        report("network cards", names_in("/sys/class/net", &["lo"]));
        report("disks", names_in("/sys/block", &["ram", "loop", "zram"]));
        report("datagrams", datagram(self.broker));
        report("number of another guest", as_another(self.broker));
        let few = [22, 80, 443, 1024, LISTENER, 8481, 8482, 9999];
        let others = [0, 1, HOST, 6, 100].into_iter().flat_map(|cid| few.map(|port| (cid, port)));
        report("the host, the hypervisor, other guests", reached(others.collect()));
        let ports = (1..=1024).chain(8000..=8999).filter(|port| *port != LISTENER);
        report("other ports of the broker", reached(ports.map(|port| (self.broker, port)).collect()));
    }

    fn calls(&self) {
        let (boot, former) = (line(&self.boot), line(&self.former));
        let key = format!("Cloakroom-Workload: {}\r\n", self.key);
        let key = key.as_str();
        let permitted = self.target("/v1/items/1");
        for (name, begin, key, target) in [
            ("another path", &boot, "", &self.target("/admin")),
            ("admin interface", &boot, "", &"/api/v1/credentials".to_owned()),
            ("metadata service", &boot, "", &"/to/169.254.169.254/latest/meta-data".to_owned()),
            ("the number alone", &Vec::new(), "", &permitted),
            ("the key alone", &Vec::new(), key, &permitted),
            ("another boot", &former, "", &permitted),
            ("another boot and the key", &former, key, &permitted),
            ("this boot and a wrong key", &boot, "Cloakroom-Workload: cwk_wrong\r\n", &permitted),
            ("a nonce that is none", &b"CLOAKROOM/1 boot \r\n".to_vec(), "", &permitted),
        ] {
            say(&format!("CALL {name}: {}", status(&self.ask(begin, target, key))));
        }
        say(&format!("CALL this boot: {}", self.permitted(&boot)));
    }

    /// `init` knows the nonce; the program that it starts does not, and another user of the machine gets nothing by it.
    fn through_init(&self) {
        let broker = format!("vsock:{}:{LISTENER}", self.broker);
        let user = USER.to_string();
        let words = [
            "init", "--broker", &broker, "--boot", NONCE, "--ca", "/ca.pem", "--user", &user, "--", "/init",
            "call",
        ];
        let mut init = Command::new("/bin/cloakroom").args(words).stdin(Stdio::piped()).spawn().unwrap();
        let is_there = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect(DIRECT).is_ok()
        });
        assert!(is_there, "init does not listen");
        let other = Command::new("/init").arg("other").uid(STRANGER).gid(STRANGER).status();
        assert!(other.unwrap().success());
        // Its command ends with its input.
        drop(init.stdin.take());
        let ended = init.wait().unwrap();
        say(&format!("CALL the end of init: {}", ended.code().unwrap_or(-1)));
    }

    /// What `init` starts.
    pub(crate) fn as_command(&self) {
        report("the nonce, as the workload's user", std::fs::read_to_string(NONCE).ok());
        let told = std::env::vars().find(|(_, value)| value.contains(&self.boot) || value.contains(NONCE));
        report("the nonce, in the environment", told.map(|(name, _)| name));
        say(&format!("CALL through init: {}", self.answered(&self.by_loopback())));
        let direct = self.ask(&[], &self.target("/v1/items/2"), "");
        say(&format!("CALL past init: {}", status(&direct)));
        let _ = io::stdin().read_to_end(&mut Vec::new());
    }

    /// What another user starts.
    pub(crate) fn as_other(&self) {
        say(&format!("CALL another user by init: {}", status(&self.by_loopback())));
    }

    fn by_loopback(&self) -> String {
        let connected = TcpStream::connect(DIRECT).and_then(|stream| {
            stream.set_read_timeout(Some(CALL))?;
            Ok(stream)
        });
        connected
            .map(|stream| exchange(stream, &self.request(&self.target("/v1/items/3"), "")))
            .unwrap_or_default()
    }

    /// `200 echoed` where the reply names the placeholder: the destination echoes what it got.
    fn permitted(&self, begin: &[u8]) -> String {
        self.answered(&self.ask(begin, &self.target("/v1/items/1"), ""))
    }

    fn answered(&self, answer: &str) -> String {
        format!("{}{}", status(answer), if answer.contains(&self.placeholder) { " echoed" } else { "" })
    }

    fn target(&self, path: &str) -> String {
        format!("/to/{}{path}", self.destination)
    }

    fn request(&self, target: &str, key: &str) -> Vec<u8> {
        format!(
            "GET {target} HTTP/1.1\r\nHost: broker\r\n{key}Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.placeholder
        )
        .into_bytes()
    }

    fn ask(&self, begin: &[u8], target: &str, key: &str) -> String {
        let connected = connect(self.broker, LISTENER).and_then(|socket| {
            socket.set_read_timeout(Some(CALL))?;
            Ok(socket)
        });
        connected
            .map(|socket| exchange(socket, &[begin, &self.request(target, key)].concat()))
            .unwrap_or_default()
    }
}

/// What a connection begins with, by the docs.
fn line(nonce: &str) -> Vec<u8> {
    format!("CLOAKROOM/1 boot {nonce}\r\n").into_bytes()
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> String {
    let mut answer = Vec::new();
    if stream.write_all(request).is_ok() {
        let _ = stream.take(64 * 1024).read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> String {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("none").to_owned()
}

/// The kernel gives up by itself, after two seconds.
fn connect(cid: u32, port: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.connect(&SockAddr::vsock(cid, port))?;
    Ok(socket)
}

/// Those of these that somebody answers at.
fn reached(all: Vec<(u32, u32)>) -> Option<String> {
    let (next, open) = (Mutex::new(all.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some((cid, port)) = next.lock().unwrap().next() else { return };
                    if connect(cid, port).is_ok() {
                        open.lock().unwrap().push(format!("{cid}:{port}"));
                    }
                }
            });
        }
    });
    let open = open.into_inner().unwrap();
    (!open.is_empty()).then(|| open.join(", "))
}

/// From a number that the hypervisor did not give this machine.
fn as_another(broker: u32) -> Option<String> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None).ok()?;
    socket.bind(&SockAddr::vsock(77, 1024)).ok()?;
    socket.connect(&SockAddr::vsock(broker, LISTENER)).ok()?;
    Some("connected as 77".into())
}

fn datagram(broker: u32) -> Option<String> {
    let socket = Socket::new(Domain::VSOCK, Type::DGRAM, None).ok()?;
    let sent = socket.send_to(b"data", &SockAddr::vsock(broker, LISTENER)).ok()?;
    Some(format!("{sent} bytes sent"))
}

/// What is in a directory, but for what begins with these words.
fn names_in(directory: &str, but: &[&str]) -> Option<String> {
    let names = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let names: Vec<String> = names.filter(|name| !but.iter().any(|word| name.starts_with(word))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
