//! The benchmark bed: nginx as TLS upstream and as yardstick, our broker in each way in, one load client.
//!
//! Everything runs on loopback on this machine, so ratios within one run mean something and figures of different
//! machines do not. It measures and writes a table; it asserts nothing about time.

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

mod load;
mod nginx;
mod process;
mod report;

use cloakroom_testkit::{BrokerBuilder, TestAuthority, Way, shaped};
use load::{Load, Route};
use nginx::Nginx;
use report::Row;
use std::path::PathBuf;

/// Connections in the closed loop.
const CONNECTIONS: usize = 16;
/// Connections and calls per second in the open loop.
const PACED: (usize, u32) = (8, 400);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, report, seconds] = arguments.as_slice() else {
        panic!("usage: bench BROKER_BINARY REPORT_FILE SECONDS; run it as cargo xtask bench");
    };
    let seconds: u64 = seconds.parse().expect("a number of seconds");
    let authority = TestAuthority::new();
    let upstream = Nginx::upstream(&authority);
    let yardstick = Nginx::reverse_proxy(&authority, upstream.port());
    let broker = BrokerBuilder::new(broker, &authority).start();
    let robot = broker.workload("robot");
    let to = format!("https://127.0.0.1:{}", upstream.port());
    broker.deposit("bench", "bearer", &[&to], &shaped("sk_live_"));
    let policy = format!(
        "version = 1\n[[permit]]\nname = \"bench\"\nto = \"{to}\"\ncall = \"GET /v1/items/{{id}}\"\nplace = \"header authorization bearer\"\n"
    );
    let placeholder = broker.permit("bench", "robot", &policy, &[]).text;
    let request =
        cloakroom_testkit::Request::new("GET", &format!("127.0.0.1:{}", upstream.port()), "/v1/items/1")
            .with("authorization", &format!("Bearer {placeholder}"));

    let direct = Route::tls(upstream.port(), authority.pem(), request.bytes(Way::Connect, None));
    let proxied = Route::tls(yardstick.port(), authority.pem(), request.bytes(Way::Connect, None));
    let connect = Route::tunnel(broker.listen(), &broker.ca_pem(), &robot, &request);
    let absolute = Route::plain(broker.listen(), request.bytes(Way::Absolute, Some(&robot)));
    let base_url = Route::plain(broker.listen(), request.bytes(Way::BaseUrl, Some(&robot)));
    let ours = Some(broker.pid());
    let candidates = [
        ("direct to the upstream", direct, None),
        ("nginx, reverse proxy, TLS in and out", proxied, Some(yardstick.pid())),
        ("cloakroom, CONNECT and interception, TLS in and out", connect, ours),
        ("cloakroom, absolute form, TLS out", absolute, ours),
        ("cloakroom, base URL, TLS out", base_url, ours),
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
    println!("{text}");
    let file = PathBuf::from(report);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    println!("    written to {}", file.display());
}
