//! The benchmark bed: nginx as TLS upstream and as yardstick, neighbours, and our broker in each way in, one load client.
//!
//! Everything runs on loopback on this machine, the proxy under test on one core, client and upstream on another, so
//! ratios within one run mean something and figures of different machines do not. It measures and writes tables; it
//! asserts nothing about time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a broken bench must stop"
)]

mod bed;
mod callgrind;
mod load;
mod machine;
mod process;
mod report;
mod server;

use bed::Bed;
use cloakroom_testkit::Way;
use load::{Load, Route};
use report::Row;
use server::Server;
use std::path::Path;

/// Connections in the closed loop.
const CONNECTIONS: usize = 16;
/// Connections and calls per second in the open loop.
const PACED: (usize, u32) = (8, 400);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, broker, directory, rest @ ..] = arguments.as_slice() else {
        panic!("usage: bench MODE BROKER_BINARY DIRECTORY ..; run it as cargo xtask bench");
    };
    machine::pin(std::process::id(), machine::REST);
    let bed = Bed::new(broker);
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory).unwrap();
    match mode.as_str() {
        "callgrind" => callgrind::run(&bed, directory, rest),
        "load" => load(&bed, directory, rest[0].parse().expect("a number of seconds")),
        _ => panic!("no mode {mode:?}"),
    }
}

/// Each way in under load.
fn load(bed: &Bed, directory: &Path, seconds: u64) {
    let nginx = Server::nginx(bed, None);
    let relay = Server::relay(bed, None);
    let ours = bed.pinned_broker();
    let listen = ours.broker.listen();
    let (ca, pid) = (bed.authority.pem(), ours.broker.pid());
    let plain = bed.plain_request();
    let bytes = |way| ours.request.bytes(way, Some(&ours.robot));
    let candidates = [
        ("direct to the upstream", Route::tls(bed.upstream.port(), ca, plain.clone()), None),
        (
            "nginx, reverse proxy, TLS in and out",
            Route::tls(nginx.port(), ca, plain.clone()),
            Some(nginx.pid()),
        ),
        ("bare hyper relay, TLS in and out", Route::tls(relay.port(), ca, plain), Some(relay.pid())),
        (
            "cloakroom, CONNECT and interception, TLS in and out",
            Route::tunnel(listen, &ours.broker.ca_pem(), &ours.robot, &ours.request),
            Some(pid),
        ),
        ("cloakroom, absolute form, TLS out", Route::plain(listen, bytes(Way::Absolute)), Some(pid)),
        ("cloakroom, base URL, TLS out", Route::plain(listen, bytes(Way::BaseUrl)), Some(pid)),
    ];
    let rows: Vec<Row> = candidates
        .into_iter()
        .map(|(name, route, pid)| {
            println!("    {name}");
            Load::closed(&route, CONNECTIONS, 1);
            let before = pid.map(process::cpu_micros);
            let closed = Load::closed(&route, CONNECTIONS, seconds);
            let cpu = pid.zip(before).map(|(pid, before)| process::cpu_micros(pid) - before);
            let paced = Load::open(&route, PACED.0, PACED.1, seconds);
            Row { name, closed, paced, cpu, rss_kib: pid.map(process::rss_kib) }
        })
        .collect();
    let text = report::render(&rows, seconds, (CONNECTIONS, PACED));
    let file = directory.join("report.md");
    println!("{text}");
    std::fs::write(&file, text).unwrap();
    println!("    written to {}", file.display());
}
