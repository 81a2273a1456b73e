//! Prints how fast replies are searched: `cargo run --release -p cloakroom-egress --features fuzz --example scrub`.

use bytes::Bytes;
use cloakroom_egress::gauge::Gauge;
use http::HeaderMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each figure is measured; the best of several runs counts, since the machine has other work.
const RUN: Duration = Duration::from_millis(20);
const RUNS: usize = 9;
const PREFIX: &str = "sk-live-acme-";

fn main() {
    let texts: [(&str, fn(&mut Dice, &mut String)); 6] = [
        ("JSON, one line", compact),
        ("JSON, indented", indented),
        ("JSON in JSON", nested),
        ("prose, short lines", prose),
        ("shared prefix here and there", prefixed),
        ("shared prefix everywhere", prefixes),
    ];
    println!("| GB/s over 1 MiB | 1 secret | 10 | 1,000 |\n|---|---|---|---|");
    let gauges = [1, 10, 1000].map(|count| Gauge::new(secrets(count).iter().map(String::as_str)));
    for (name, write) in texts {
        let text = fill(1 << 20, write);
        let speeds = gauges.each_ref().map(|gauge| {
            let spent = best(|| gauge.count(&text));
            text.len() as f64 / spent.as_nanos() as f64
        });
        println!("| {name} | {:.2} | {:.2} | {:.2} |", speeds[0], speeds[1], speeds[2]);
    }
    let reply = fill(1024, compact);
    let event = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\" token\"}}]}\n\n");
    let head = head();
    println!("\n| ns | 1 secret | 10 | 1,000 |\n|---|---|---|---|");
    let row = |name: &str, call: &dyn Fn(&Gauge) -> u64| {
        let ns = gauges.each_ref().map(|gauge| best(|| call(gauge)).as_nanos());
        println!("| {name} | {} | {} | {} |", ns[0], ns[1], ns[2]);
    };
    row("body of 1 KiB", &|gauge| gauge.count(&reply));
    row("event of 53 bytes", &|gauge| gauge.count(&event));
    row("head of 8 fields", &|gauge| gauge.count_fields(&head));
}

fn best(mut call: impl FnMut() -> u64) -> Duration {
    let one_run = |call: &mut dyn FnMut() -> u64| {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < RUN {
            black_box(call());
            calls += 1;
        }
        start.elapsed() / calls
    };
    (0..RUNS).map(|_| one_run(&mut call)).min().unwrap_or_default()
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 16] = [
            "active",
            "customer",
            "status",
            "the",
            "invoice",
            "pending",
            "value",
            "updated",
            "name",
            "https",
            "example",
            "of",
            "description",
            "list",
            "metadata",
            "email",
        ];
        WORDS[self.roll(16) as usize]
    }

    fn symbols(&mut self, count: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..count).map(|_| char::from(ALPHABET[self.roll(62) as usize])).collect()
    }
}

fn secrets(count: usize) -> Vec<String> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    (0..count).map(|_| format!("{PREFIX}{}", dice.symbols(24))).collect()
}

fn fill(length: usize, write: fn(&mut Dice, &mut String)) -> Bytes {
    let (mut dice, mut text) = (Dice(88_172_645_463_325_252), String::new());
    while text.len() < length {
        write(&mut dice, &mut text);
    }
    text.truncate(length);
    text.into()
}

fn compact(dice: &mut Dice, text: &mut String) {
    let (id, count) = (dice.symbols(16), dice.roll(100_000));
    let words = [dice.word(), dice.word(), dice.word(), dice.word()];
    *text += &format!(
        "{{\"id\":\"obj_{id}\",\"{}\":\"{} {}\",\"created\":\"2026-11-24T10:20:30Z\",\"count\":{count},\"url\":\"https://api.example.com/v1/{}/{id}\"}},",
        words[0], words[1], words[2], words[3]
    );
}

fn indented(dice: &mut Dice, text: &mut String) {
    let (id, count) = (dice.symbols(16), dice.roll(100_000));
    *text += &format!(
        "  {{\n    \"id\": \"obj_{id}\",\n    \"{}\": \"{} {}\",\n    \"count\": {count}\n  }},\n",
        dice.word(),
        dice.word(),
        dice.word()
    );
}

fn nested(dice: &mut Dice, text: &mut String) {
    let mut inner = String::new();
    compact(dice, &mut inner);
    *text += &inner.replace('"', "\\\"");
}

fn prose(dice: &mut Dice, text: &mut String) {
    for _ in 0..12 {
        *text += dice.word();
        text.push(' ');
    }
    text.pop();
    text.push('\n');
}

fn prefixed(dice: &mut Dice, text: &mut String) {
    for _ in 0..8 {
        compact(dice, text);
    }
    *text += &format!("{{\"key\":\"{PREFIX}{}\"}},", dice.symbols(24));
}

fn prefixes(dice: &mut Dice, text: &mut String) {
    *text += &format!("\"{PREFIX}{}\",", dice.symbols(24));
}

fn head() -> HeaderMap {
    let fields = [
        ("content-type", "application/json; charset=utf-8"),
        ("date", "Tue, 24 Nov 2026 00:10:20 GMT"),
        ("server", "nginx"),
        ("cache-control", "no-cache, no-store, max-age=0"),
        ("x-request-id", "req_0123456789abcdefghij"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
        ("connection", "keep-alive"),
        ("content-length", "1024"),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
        .collect()
}
