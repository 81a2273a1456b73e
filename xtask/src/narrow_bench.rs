//! `cargo xtask bench narrow`: what many narrow brokers on one host cost, one for each integration: memory of each, and how long starts take.
//! The program is `cloakroom` as the named profile builds it. Asserts nothing.

use crate::fault::Fault;
use crate::shell::{command, run, target};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Brokers that run at once, where nothing else is said.
const BROKERS: usize = 50;

/// One broker: its process, and how long it took to be ready.
struct Broker {
    process: Child,
    ready: Duration,
}

/// What a process holds (`/proc/PID/smaps_rollup`), in KiB.
struct Memory {
    /// All pages that are there.
    resident: u64,
    /// The same, each shared page divided by who shares it.
    proportional: u64,
    /// Pages that nobody else has.
    own: u64,
}

/// Builds, measures, prints and writes `target/bench/narrow.md`. `words`: a profile (`bench` when left out), a number of brokers.
pub(crate) fn measure(words: &[&str]) -> Result<(), Fault> {
    let profile = words.first().copied().unwrap_or("bench");
    let brokers =
        words.get(1).map_or(Ok(BROKERS), |word| word.parse()).map_err(|_| Fault::new("how many brokers?"))?;
    run(command(&["cargo", "build", "--quiet", "--profile", profile, "--package", "cloakroom"]))?;
    // The bench profile shares its directory with release, dev's is called debug.
    let program = target().join(match profile {
        "bench" => "release",
        "dev" => "debug",
        other => other,
    });
    let program = program.join("cloakroom");
    let directory = target().join("bench/narrow");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    // Twice: a first start makes keys, authority and database.
    let first = starts(&program, &directory, brokers)?;
    let first_ready = sorted(first.iter().map(|broker| broker.ready));
    stop(first);
    let again = starts(&program, &directory, brokers)?;
    let again_ready = sorted(again.iter().map(|broker| broker.ready));
    let memory: Vec<Memory> =
        again.iter().map(|broker| memory(broker.process.id())).collect::<Result<_, _>>()?;
    stop(again);
    let report = report(profile, &load, [&first_ready, &again_ready], &memory);
    print!("{report}");
    Ok(std::fs::write(target().join("bench/narrow.md"), report)?)
}

/// Starts them one after the other, each on a directory of its own.
fn starts(program: &Path, directory: &Path, brokers: usize) -> Result<Vec<Broker>, Fault> {
    (0..brokers).map(|number| start(program, directory.join(number.to_string()))).collect()
}

fn start(program: &Path, data: PathBuf) -> Result<Broker, Fault> {
    let begun = Instant::now();
    let mut process = Command::new(program)
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    if let Some(said) = process.stdout.take() {
        BufReader::new(said).read_line(&mut line)?;
    }
    let broker = Broker { process, ready: begun.elapsed() };
    if line.contains("\"ready\":true") {
        return Ok(broker);
    }
    stop(vec![broker]);
    Err(Fault::new("a broker did not get ready"))
}

fn stop(brokers: Vec<Broker>) {
    for mut broker in brokers {
        let _ = broker.process.kill();
        let _ = broker.process.wait();
    }
}

/// Takes root: a broker lets no other process of its user look.
fn memory(process: u32) -> Result<Memory, Fault> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let sum = |names: &[&str]| -> u64 {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
                .unwrap_or_default()
        };
        names.iter().map(|name| value(name)).sum()
    };
    Ok(Memory {
        resident: sum(&["Rss"]),
        proportional: sum(&["Pss"]),
        own: sum(&["Private_Clean", "Private_Dirty"]),
    })
}

fn sorted<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values
}

fn report(profile: &str, load: &str, ready: [&[Duration]; 2], memory: &[Memory]) -> String {
    let mut text = format!(
        "# {} brokers on one host (profile {profile}; load before {})\n\n| of each broker | least | median | most |\n|---|---|---|---|\n",
        memory.len(),
        load.trim()
    );
    let [first, again] =
        ready.map(|ready| ready.iter().map(|took| took.as_secs_f64() * 1000.0).collect::<Vec<_>>());
    let mib = |of: fn(&Memory) -> u64| {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let mib = |kib: u64| kib as f64 / 1024.0;
        sorted(memory.iter().map(of)).into_iter().map(mib).collect::<Vec<_>>()
    };
    for (name, values) in [
        ("first start to ready, ms", first),
        ("start to ready, ms", again),
        ("resident (RSS), MiB", mib(|memory| memory.resident)),
        ("its share (PSS), MiB", mib(|memory| memory.proportional)),
        ("its own pages (USS), MiB", mib(|memory| memory.own)),
    ] {
        let (Some(least), Some(most)) = (values.first(), values.last()) else { continue };
        let _ = writeln!(text, "| {name} | {least:.1} | {:.1} | {most:.1} |", values[values.len() / 2]);
    }
    let total: f64 = mib(|memory| memory.proportional).iter().sum();
    let _ = writeln!(text, "\nTogether {total:.0} MiB (the sum of PSS).");
    text
}
