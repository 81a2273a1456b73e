//! `cargo xtask bench appliance`: how long an appliance takes from its start to its first answer, and how large it is. The program is the one
//! that `cargo xtask appliance PROFILE` made last. Asserts nothing.

use crate::appliance;
use crate::fault::Fault;
use crate::shell::{run, target};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 5;
/// Brokers beside each other.
const MANY: usize = 20;
/// Calls of which the median is taken.
const CALLS: usize = 201;
/// A machine alone that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much later each further one may be, where they are emulated and the processors are few.
const BESIDE: Duration = Duration::from_secs(30);

/// What one start came to.
struct Start {
    /// From the start of QEMU to the line that says ready, in seconds.
    ready: f64,
    /// To the first answer to a call, in seconds.
    answered: f64,
    /// What QEMU holds in memory then, in MiB: the guest's pages and its own.
    resident: f64,
}

/// Measures, prints and writes `target/bench/appliance.md`.
pub(crate) fn measure() -> Result<(), Fault> {
    let directory = target().join("bench/appliance");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    let image = directory.join("image");
    let parts = appliance::directory();
    let mut build = Command::new(parts.join("cloakroom"));
    build.arg("--data").arg(directory.join("ops")).args(["image", "build", "--out"]).arg(&image);
    build
        .arg("--kernel")
        .arg(parts.join("kernel/vmlinuz"))
        .arg("--modules")
        .arg(parts.join("kernel/modules"));
    run(operator(&parts, &directory))?;
    run(build)?;
    let accelerator = accelerator(&parts)?;
    let mut starts = (0..RUNS).map(|_| start(&image, accelerator)).collect::<Result<Vec<_>, _>>()?;
    starts.sort_by(|a, b| a.answered.total_cmp(&b.answered));
    let mut report = report(&image, accelerator, &starts)?;
    report.push_str(&side_by_side(&directory, &image, accelerator)?);
    print!("{report}");
    Ok(std::fs::write(target().join("bench/appliance.md"), report)?)
}

/// The image is built with an operator, as real ones are.
fn operator(parts: &Path, directory: &Path) -> Command {
    let mut command = Command::new(parts.join("cloakroom"));
    command.arg("--data").arg(directory.join("ops")).args(["image", "operator"]).stdout(Stdio::null());
    command
}

/// KVM where it is seen to run the kernel: a `/dev/kvm` may be there and not.
fn accelerator(parts: &Path) -> Result<&'static str, Fault> {
    let mut doctor = Command::new(parts.join("cloakroom"));
    doctor.args(["doctor", "--json", "--kernel"]).arg(parts.join("kernel/vmlinuz"));
    let found: Value = serde_json::from_slice(&doctor.output()?.stdout)
        .map_err(|_| Fault::new("cloakroom doctor does not say what it found"))?;
    let findings = found["findings"].as_array().into_iter().flatten();
    let mut by_kvm = findings.filter(|finding| finding["check"] == "rung: machines by KVM");
    Ok(if by_kvm.any(|finding| finding["standing"] == "good") { "kvm" } else { "tcg" })
}

fn start(image: &Path, accelerator: &str) -> Result<Start, Fault> {
    let begun = Instant::now();
    let mut guest = Guest::start(image, accelerator, "console.log")?;
    guest.until_it_answers(begun, PATIENCE)
}

/// A running appliance; it ends with this.
struct Guest {
    machine: Child,
    console: PathBuf,
    /// Where its workload listener is reached on this machine.
    workloads: u16,
}

impl Guest {
    fn start(image: &Path, accelerator: &str, console: &str) -> Result<Self, Fault> {
        let free = || -> std::io::Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (workloads, operator) = (free()?, free()?);
        let wire = |net: &str, port: u16, to: &str| {
            format!("user,restrict=on,net={net},hostfwd=tcp:127.0.0.1:{port}-{to}")
        };
        let console = image.with_file_name(console);
        let _ = std::fs::remove_file(&console);
        let mut command = Command::new(image.join("qemu.sh"));
        command
            .env("ACCEL", accelerator)
            .env("DATA", "memory")
            .env("CONSOLE", format!("file:{}", console.display()));
        command.env("WORKLOADS", wire("10.77.0.0/24", workloads, "10.77.0.1:8480"));
        command.env("OPERATOR", wire("10.79.0.0/24", operator, "10.79.0.15:8482"));
        let machine = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self { machine, console, workloads })
    }

    /// Waits for its line and its first answer.
    fn until_it_answers(&mut self, begun: Instant, patience: Duration) -> Result<Start, Fault> {
        let Self { machine, console, workloads } = self;
        let mut is_ready =
            || std::fs::read_to_string(&console).is_ok_and(|said| said.contains("{\"ready\":true"));
        until(machine, begun, patience, &mut is_ready)?;
        let ready = begun.elapsed().as_secs_f64();
        until(machine, begun, patience, &mut || answers(*workloads).unwrap_or(false))?;
        let answered = begun.elapsed().as_secs_f64();
        Ok(Start { ready, answered, resident: memory(machine, "status", "VmRSS:") })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}

/// A row of what the kernel says of this process, in MiB.
fn memory(process: &Child, file: &str, row: &str) -> f64 {
    let said = std::fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap_or_default();
    let kib = said.lines().find_map(|line| line.strip_prefix(row)?.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

/// What many brokers beside each other take, as processes and as guests, and what the way into a guest adds to a call.
fn side_by_side(directory: &Path, image: &Path, accelerator: &str) -> Result<String, Fault> {
    let begun = Instant::now();
    let program = appliance::directory().join("cloakroom");
    let mut brokers = Vec::new();
    for number in 0..MANY {
        brokers.push(Process::start(&program, &directory.join(format!("broker{number}")))?);
    }
    for broker in &mut brokers {
        broker.until_ready(begun)?;
    }
    let all = begun.elapsed().as_secs_f64();
    let own: f64 = brokers.iter().map(|broker| memory(&broker.0, "smaps_rollup", "Pss:")).sum();
    let near = median_call(brokers[0].port(directory)?)?;
    drop(brokers);
    let wanted = guests_that_fit();
    let begun = Instant::now();
    let mut guests = Vec::new();
    for number in 0..wanted {
        guests.push(Guest::start(image, accelerator, &format!("console{number}.log"))?);
    }
    let mut resident = 0.0;
    let patience = guests.iter().skip(1).fold(PATIENCE, |patience, _| patience + BESIDE);
    for guest in &mut guests {
        resident += guest.until_it_answers(begun, patience)?.resident;
    }
    let guests_up = begun.elapsed().as_secs_f64();
    let far = median_call(guests[0].workloads)?;
    let mut text = String::new();
    let rows = [
        (format!("{MANY} brokers as processes: all ready, s; memory, MiB"), format!("{all:.1}; {own:.0}")),
        (format!("{wanted} as guests: all answer, s; memory, MiB"), format!("{guests_up:.1}; {resident:.0}")),
        ("a refused call on a connection of its own, by loopback, ms (median)".into(), format!("{near:.3}")),
        (format!("the same into one of {wanted} guests, ms (median)"), format!("{far:.3}")),
        ("added by the way into the guest, ms".into(), format!("{:.3}", far - near)),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    Ok(text)
}

/// As many guests as brokers, or as `CLOAKROOM_BENCH_GUESTS` says, or as there is memory for.
fn guests_that_fit() -> usize {
    const EACH_KIB: usize = 700 * 1024;
    let said = std::env::var("CLOAKROOM_BENCH_GUESTS").ok().and_then(|count| count.parse().ok());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    let free: usize = free.and_then(|kib| kib.parse().ok()).unwrap_or_default();
    said.unwrap_or(MANY).min(free / EACH_KIB).max(1)
}

/// A broker as a process; it ends with this.
struct Process(Child);

impl Process {
    fn start(program: &Path, data: &Path) -> Result<Self, Fault> {
        let mut command = Command::new(program);
        command.arg("--data").arg(data).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--console",
            "127.0.0.1:0",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        Ok(Self(child))
    }

    /// It says one line when it is ready.
    fn until_ready(&mut self, begun: Instant) -> Result<(), Fault> {
        let said = self.0.stdout.as_mut().map(|said| said.read(&mut [0; 512]));
        if begun.elapsed() > PATIENCE || !matches!(said, Some(Ok(1..))) {
            return Err(Fault::new("a broker did not come up"));
        }
        Ok(())
    }

    /// Where the first of them listens.
    fn port(&self, directory: &Path) -> Result<u16, Fault> {
        let said = std::fs::read_to_string(directory.join("broker0/listen"))?;
        let port = said.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| Fault::new("a broker does not say where it listens"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Of calls one after another, each on a connection of its own, in ms. They are refused, which is the shortest way through a broker and closes
/// the connection.
fn median_call(port: u16) -> Result<f64, Fault> {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /to/127.0.0.1/ HTTP/1.1\r\nHost: broker\r\n\r\n")?;
        skip_answer(&mut stream)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[CALLS / 2])
}

fn skip_answer(stream: &mut TcpStream) -> Result<(), Fault> {
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Err(Fault::new("the broker closed the connection"));
        }
        answer.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if length.is_none_or(|length: usize| body.len() >= length) {
            return Ok(());
        }
    }
}

fn until(
    machine: &mut Child,
    begun: Instant,
    patience: Duration,
    done: &mut dyn FnMut() -> bool,
) -> Result<(), Fault> {
    while !done() {
        if machine.try_wait()?.is_some() || begun.elapsed() > patience {
            return Err(Fault::new("the appliance did not come up"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A call without a key: the broker says no, which is an answer.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /to/127.0.0.1/ HTTP/1.1\r\nHost: broker\r\n\r\n")?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"HTTP/1.1 ")
}

fn report(image: &Path, accelerator: &str, starts: &[Start]) -> Result<String, Fault> {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = |path: &Path| -> std::io::Result<f64> {
        Ok(std::fs::metadata(path)?.len() as f64 / f64::from(1 << 20))
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut text = format!("# The appliance ({accelerator}; load {})\n\n", load.trim());
    let middle = &starts[starts.len() / 2];
    let (first, last) = (&starts[0], &starts[starts.len() - 1]);
    let program = appliance::directory().join("cloakroom");
    let rows = [
        ("program, MiB", format!("{:.1}", mib(&program)?)),
        ("initramfs, MiB", format!("{:.1}", mib(&image.join("initramfs.cpio"))?)),
        ("kernel, MiB", format!("{:.1}", mib(&image.join("vmlinux"))?)),
        ("start to ready, s (median)", format!("{:.2}", middle.ready)),
        (
            "start to first answer, s (least, median, most)",
            format!("{:.2}, {:.2}, {:.2}", first.answered, middle.answered, last.answered),
        ),
        ("resident memory of QEMU then, MiB", format!("{:.0}", middle.resident)),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    Ok(text)
}
