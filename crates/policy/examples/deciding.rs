//! What a decision costs, with few placeholders in force and with many, and what a new snapshot costs.
//!
//! `cargo run --release -p cloakroom-policy --example deciding`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "../tests/kit/mod.rs"]
mod kit;

use cloakroom_model::{Call, WorkloadId};
use cloakroom_policy::{Identified, Policy, PolicySet};
use kit::{Desk, NOW};
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const BATCH: usize = 2_000;
const BATCHES: usize = 15;

fn main() {
    println!("a decision: the median of {BATCHES} batches of {BATCH} calls");
    let small = Bed::new(1, 1);
    let few = small.decisions();
    println!("  {:>6} placeholders x {:>2} permits: {few:>6} ns", 1, 1);
    for (placeholders, permits) in [(10, 1), (1, 10), (10, 10)] {
        println!(
            "  {placeholders:>6} placeholders x {permits:>2} permits: {:>6} ns",
            Bed::new(placeholders, permits).decisions()
        );
    }
    let large = Bed::new(10_000, 10);
    let many = large.decisions();
    println!("  {:>6} placeholders x {:>2} permits: {many:>6} ns", 10_000, 10);
    println!("  10,000 x 10 against 10 x 1 and alternately:");
    compare(&Bed::new(10, 1), &large);
    snapshots(large);
}

/// One workload with this many placeholders, each with this many permits, and calls by the last one.
struct Bed {
    desk: Desk,
    robot: WorkloadId,
    text: String,
    set: PolicySet,
}

impl Bed {
    fn new(placeholders: usize, permits: usize) -> Self {
        let mut desk = Desk::new();
        let robot = desk.workload("robot");
        let mut text = String::new();
        for number in 0..placeholders {
            text = desk.issue_last_active(robot, &policy(number, permits));
        }
        let set = desk.set();
        Self { desk, robot, text, set }
    }

    fn call(&self, number: usize) -> Call {
        let fields = [
            ("authorization", format!("Bearer {}", self.text)),
            ("user-agent", "example-sdk/2.31.0 python/3.12.4 linux/x86_64".into()),
            ("accept", "application/json".into()),
            ("accept-encoding", "gzip, deflate, br".into()),
            ("content-type", "application/json".into()),
            ("x-request-id", format!("9f1c2d7e-53b1-4c39-8a77-{number:012x}")),
            ("idempotency-key", format!("{number:032x}")),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        ];
        let fields: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let item = r#"{"amount":4200,"currency":"eur","note":"two tickets, row 7","list":[1,2,3,4,5,6]},"#;
        let body = format!("[{}{{}}]", item.repeat(11));
        let host = self.desk.rows.credentials.last().unwrap().destinations[0].clone();
        kit::call("POST", &format!("{host}/v1/charges/ch_{number}"), &fields, body.as_bytes()).unwrap()
    }

    /// Nanoseconds of a batch, for each call.
    fn batch(&self) -> u128 {
        let calls: Vec<(Call, _)> =
            (0..BATCH).map(|number| (self.call(number), self.desk.principal(self.robot))).collect();
        let began = busy();
        for (call, principal) in calls {
            let authorized =
                Identified::new(call, principal, &self.set).and_then(|i| i.authorize(&self.set, NOW));
            let authorized = authorized.unwrap();
            black_box(authorized.intent());
            black_box(authorized);
        }
        (busy() - began).as_nanos() / BATCH as u128
    }

    fn decisions(&self) -> u128 {
        median((0..BATCHES).map(|_| self.batch()).collect())
    }
}

/// The last permit in canonical order allows the call.
fn policy(number: usize, permits: usize) -> Policy {
    let permit = |index: usize| {
        let path =
            if index + 1 == permits { "charges/{id}".to_owned() } else { format!("other{index}/{{id}}") };
        format!(
            "[[permit]]\nname = \"p{index}\"\nto = \"https://h{}.example.com\"\ncall = \"POST /v1/{path}\"\nplace = \"header authorization bearer\"\n",
            number % 1000
        )
    };
    let text: String = (0..permits).map(permit).collect();
    Policy::parse("bench.toml", &format!("version = 1\n{text}")).unwrap()
}

/// Batches of both in turn, so that other work on the machine hits both.
fn compare(few: &Bed, many: &Bed) {
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        of_few.push(few.batch());
        of_many.push(many.batch());
    }
    let (few, many) = (median(of_few), median(of_many));
    println!("  {few} ns and {many} ns: {:.2} times", many as f64 / few as f64);
}

fn snapshots(mut bed: Bed) {
    let time = |what: &str, make: &dyn Fn() -> PolicySet| {
        let mut took: Vec<Duration> = Vec::new();
        let mut set = None;
        for _ in 0..5 {
            drop(set.take());
            let began = Instant::now();
            set = Some(make());
            took.push(began.elapsed());
        }
        println!("  {what}: {} ms", median(took.iter().map(Duration::as_millis).collect()));
        set.unwrap()
    };
    println!("a snapshot of 10,000 placeholders x 10 permits, the median of 5");
    let first = time("the first, every signature verified", &|| bed.desk.activate(None).0);
    let id = bed.desk.rows.placeholders[5_000].id;
    bed.desk.row(id).state = cloakroom_model::PlaceholderState::Revoked;
    time("the next, one row changed", &|| bed.desk.activate(Some(&first)).0);
}

/// How long this thread has been computing: other work on the machine does not count. Elsewhere than on Linux, the clock.
fn busy() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    // Giving the rest of the time slice away has the kernel bring its account up to date.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = account.and_then(|text| text.split(' ').next().and_then(|nanos| nanos.parse().ok()));
    nanos.map_or_else(|| BEGAN.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

fn median<T: Ord + Copy>(mut all: Vec<T>) -> T {
    all.sort_unstable();
    all[all.len() / 2]
}
