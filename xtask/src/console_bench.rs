//! `cargo xtask bench console`: how long the broker takes to make each page of the console, with 10,000 placeholders and a million journal
//! records, and what the page weighs. Asserts nothing.

use crate::fault::Fault;
use crate::shell::{command, run, step, target};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PLACEHOLDERS: &str = "10000";
const RECORDS: &str = "1000000";
/// Times that each page is asked for; the median counts.
const RUNS: usize = 15;
/// What a page may take.
const BUDGET: Duration = Duration::from_millis(20);
/// What it may weigh with all that it loads.
const HEAVIEST: usize = 200 << 10;
const PAGES: [&str; 12] = [
    "/inbox",
    "/activity",
    "/activity?what=refusals&range=month",
    "/activity?event=wrong-place&range=week",
    "/placeholders",
    "/placeholders?state=denied",
    "/policies",
    "/credentials",
    "/workloads",
    "/status",
    "/policies/new",
    "/connect",
];
/// Lists, and how the addresses of the pages begin that are measured beside them: the first that a list links.
const LINKED: [(&str, &str); 3] = [
    ("/placeholders", "/placeholders/ph_"),
    ("/inbox", "/inbox/ap_"),
    ("/activity?what=calls", "/activity/0"),
];

/// One page.
struct Measured {
    path: String,
    median: Duration,
    slowest: Duration,
    bytes: usize,
    /// With the styles, scripts and pictures that it loads.
    with_files: usize,
}

/// Measures, prints and writes `target/bench/console.md`. `profile`: with which the broker is built.
pub(crate) fn measure(profile: &str) -> Result<(), Fault> {
    let directory = target().join("bench/console");
    let data = directory.join("data");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    step("build", || {
        let build = ["cargo", "build", "--quiet", "--profile", profile, "--package", "cloakroom"];
        run(command(&[&build[..], &["--bin", "cloakroom", "--example", "console_load"]].concat()))
    })?;
    let built = target().join(match profile {
        "dev" => "debug",
        "bench" => "release",
        other => other,
    });
    let program = built.join("cloakroom");
    step("fill", || fill(&program, &built.join("examples/console_load"), &data))?;
    let (mut broker, console) = start(&program, &data)?;
    let measured = measured(&program, &data, &console);
    let _ = broker.kill();
    let _ = broker.wait();
    let report = report(profile, &measured?);
    print!("{report}");
    Ok(std::fs::write(target().join("bench/console.md"), report)?)
}

/// A first start makes the directory, with one credential and one workload; the rest is written past the broker.
fn fill(program: &Path, load: &Path, data: &Path) -> Result<(), Fault> {
    let (mut broker, _) = start(program, data)?;
    let mut deposit = cli(program, data);
    deposit.args(["credential", "add", "bench", "--kind", "bearer", "--to", "https://api.example.com"]);
    let mut deposit = deposit.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    deposit.stdin.take().map(|mut input| input.write_all(b"of-no-worth-0123456789")).transpose()?;
    deposit.wait()?;
    let mut workload = cli(program, data);
    workload.args(["workload", "add", "bench"]).stdout(Stdio::null());
    run(workload)?;
    broker.kill()?;
    broker.wait()?;
    let mut load = Command::new(load);
    load.arg(data).args([PLACEHOLDERS, RECORDS]);
    run(load)
}

fn cli(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--data").arg(data);
    command
}

/// Starts the broker; gives where its console is.
fn start(program: &Path, data: &Path) -> Result<(Child, String), Fault> {
    let mut command = cli(program, data);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    let mut broker = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut line = String::new();
    let output = broker.stdout.take().ok_or_else(|| Fault::new("the broker says nothing"))?;
    BufReader::new(output).read_line(&mut line)?;
    let ready: serde_json::Value = serde_json::from_str(&line)?;
    let console =
        ready["console"].as_str().ok_or_else(|| Fault::new(format!("not ready: {line}")))?.to_owned();
    Ok((broker, console))
}

fn measured(program: &Path, data: &Path, console: &str) -> Result<Vec<Measured>, Fault> {
    let mut create = cli(program, data);
    create.args(["token", "create", "bench", "--role", "operator", "--role", "approver"]);
    let made = create.stderr(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&made.stdout);
    let token = text
        .split_whitespace()
        .find(|word| word.starts_with("ckt_"))
        .ok_or_else(|| Fault::new("no API token"))?;
    // The first look reads the journal, in the background.
    let deadline = Instant::now() + Duration::from_secs(600);
    while get(console, "/status", token)?.contains("The journal is being read") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    for (list, begins) in LINKED {
        let text = get(console, list, token)?;
        let linked = links(&text).find(|path| path.starts_with(begins));
        paths.push(linked.ok_or_else(|| Fault::new(format!("{list} links no {begins}")))?.to_owned());
    }
    paths.into_iter().map(|path| page(console, path, token)).collect()
}

/// The addresses that a page links or loads.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let after = |word| page.split(word).skip(1).filter_map(|rest: &str| rest.split('"').next());
    after("href=\"").chain(after("src=\""))
}

fn page(console: &str, path: String, token: &str) -> Result<Measured, Fault> {
    let mut times = Vec::new();
    let mut text = String::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let answer = get(console, &path, token)?;
        times.push(begun.elapsed());
        if !answer.starts_with("HTTP/1.1 200 ") {
            return Err(Fault::new(format!("{path}: {}", answer.lines().next().unwrap_or_default())));
        }
        text = answer;
    }
    times.sort();
    let is_file = |path: &&str| [".css", ".js", ".svg"].iter().any(|end| path.ends_with(end));
    let files: BTreeSet<&str> = links(&text).filter(is_file).collect();
    let mut with_files = text.len();
    for file in files {
        with_files += get(console, file, token)?.len();
    }
    Ok(Measured { path, median: times[RUNS / 2], slowest: times[RUNS - 1], bytes: text.len(), with_files })
}

/// Connection included: what a browser on the same machine waits for.
fn get(console: &str, path: &str, token: &str) -> Result<String, Fault> {
    let mut stream = TcpStream::connect(console)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn report(profile: &str, measured: &[Measured]) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut text = format!(
        "# The console with {PLACEHOLDERS} placeholders and {RECORDS} journal records ({profile} profile)\n\n| page | median, ms | slowest of {RUNS}, ms | KiB | KiB with its files | within {} ms and 200 KiB |\n|---|---|---|---|---|---|\n",
        BUDGET.as_millis()
    );
    for one in measured {
        let within = one.median <= BUDGET && one.with_files <= HEAVIEST;
        let within = if within { "yes" } else { "**no**" };
        let _ = writeln!(
            text,
            "| `{}` | {:.1} | {:.1} | {:.1} | {:.1} | {within} |",
            one.path,
            millis(one.median),
            millis(one.slowest),
            one.bytes as f64 / 1024.0,
            one.with_files as f64 / 1024.0
        );
    }
    text
}
