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

mod answer;
mod bed;
mod bodies;
mod budget;
mod callgrind;
mod candidate;
mod chart;
mod connection;
mod contact;
mod engines;
mod events;
mod handshakes;
mod histogram;
mod http2;
mod latency;
mod load;
mod machine;
mod memory;
mod overload;
mod process;
mod report;
mod requests;
mod revocation;
mod server;
mod spread;
mod syscalls;

use bed::Bed;
use candidate::Field;
use report::{Plan, Report};
use std::path::Path;
use std::time::Duration;

const USAGE: &str = "\
usage: cargo xtask bench [callgrind | overload | stream | streams | revocation | spends | scrub | events] [OPTION ..]

  --quick         one run, short loops, fewer idle connections: under three minutes
  --runs N        paired runs (5)
  --seconds N     length of each loop (3)
  --idle N        idle connections whose memory is measured (5000)
  --only SECTION  requests, latency, handshakes, contact, bodies, memory, syscalls or http2; may be repeated
  callgrind [NAME ..]   instructions per request of nginx, relay, connect, absolute, base-url (broker: the last three)
  overload        calls answered at once, twice and four times the rate that saturates; takes --seconds
  streams         memory with 1,000 streams of HTTP/2 at once; takes --seconds
  revocation [ROUNDS]   how soon what is open ends when its placeholder is revoked (30)
  stream          memory while an answer of 10 GB goes through each way in
  spends          durable single uses per second, and how long one takes beside fdatasync
  scrub           GB/s at which replies are searched
  events          how late the events of a stream come

Each also puts its figures beside their budgets: target/bench/budgets.md and budgets.svg.
";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, directory, rest @ ..] = arguments.as_slice() else { panic!("{USAGE}") };
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory).unwrap();
    machine::raise_file_limit();
    machine::pin(std::process::id(), machine::REST);
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["callgrind", ..] => {
            let report = callgrind::run(&Bed::new(broker, 0), &plan(directory, &[]), &rest[1..]);
            write(report, &directory.join("callgrind.md"));
        }
        ["spends"] => {
            let plan = plan(directory, &[]);
            let mut report = Report::new(&plan);
            engines::spends(&plan, &mut report);
            write(report, &directory.join("spends.md"));
        }
        ["scrub"] => {
            let mut report = Report::new(&plan(directory, &[]));
            engines::scrub(&mut report);
            write(report, &directory.join("scrub.md"));
        }
        ["events"] => {
            let mut report = Report::new(&plan(directory, &[]));
            events::run(broker, &mut report);
            write(report, &directory.join("events.md"));
        }
        ["stream"] => {
            let mut report = Report::new(&plan(directory, &[]));
            memory::stream(&Bed::new(broker, STREAM), STREAM, &mut report);
            write(report, &directory.join("stream.md"));
        }
        ["overload", rest @ ..] => {
            let plan = plan(directory, rest);
            let mut report = Report::new(&plan);
            overload::run(&Bed::new(broker, 0), &plan, &mut report);
            write(report, &directory.join("overload.md"));
        }
        ["streams", rest @ ..] => {
            let plan = plan(directory, rest);
            let mut report = Report::new(&plan);
            memory::streams(&Bed::new(broker, 0), &plan, &mut report);
            write(report, &directory.join("streams.md"));
        }
        ["revocation"] => revocation::run(broker, directory, 30),
        ["revocation", rounds] => revocation::run(broker, directory, rounds.parse().expect(USAGE)),
        words => measure(&Bed::new(broker, bodies::BYTES), &plan(directory, words)),
    }
}

/// How much goes through in the mode `stream`.
const STREAM: u64 = 10_000_000_000;

fn plan(directory: &Path, mut words: &[&str]) -> Plan {
    let mut plan = Plan {
        runs: 5,
        time: Duration::from_secs(3),
        idle: 5_000,
        only: Vec::new(),
        directory: directory.to_owned(),
    };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("not a number: {text:?}\n\n{USAGE}"));
    loop {
        words = match words {
            [] => return plan,
            ["--quick", rest @ ..] => {
                (plan.runs, plan.time, plan.idle) = (1, Duration::from_secs(1), 1_000);
                rest
            }
            ["--runs", runs, rest @ ..] => {
                plan.runs = number(runs);
                rest
            }
            ["--seconds", seconds, rest @ ..] => {
                plan.time = Duration::from_secs(number(seconds) as u64);
                rest
            }
            ["--idle", idle, rest @ ..] => {
                plan.idle = number(idle);
                rest
            }
            ["--only", section, rest @ ..] if USAGE.contains(section) => {
                plan.only.push((*section).to_owned());
                rest
            }
            [word, ..] => panic!("what is {word:?}?\n\n{USAGE}"),
        }
    }
}

fn measure(bed: &Bed, plan: &Plan) {
    let mut report = Report::new(plan);
    {
        let field = Field::new(bed);
        field.absent.iter().for_each(|absent| report.absent(absent));
        for section in ["requests", "latency", "handshakes", "contact", "bodies", "syscalls", "http2"] {
            match section {
                _ if !plan.wants(section) => {}
                "requests" => requests::run(bed, &field, plan, &mut report),
                "latency" => latency::run(bed, &field, plan, &mut report),
                "handshakes" => handshakes::run(&field, plan, &mut report),
                "contact" => contact::run(bed, plan, &mut report),
                "bodies" => bodies::run(&field, plan, &mut report),
                "syscalls" => syscalls::run(&field, plan, &mut report),
                _ => http2::run(&field, plan, &mut report),
            }
        }
    }
    if plan.wants("memory") {
        memory::run(bed, plan, &mut report);
    }
    write(report, &plan.directory.join("report.md"));
}

fn write(report: Report, file: &Path) {
    let text = report.finish();
    println!("{text}");
    std::fs::write(file, text).unwrap();
    println!("    written to {}", file.display());
}
