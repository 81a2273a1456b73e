//! `cargo xtask bench appliance`: how long an appliance takes from its start to its first answer, and how large it is. The program is the one
//! that `cargo xtask appliance PROFILE` made last. Asserts nothing.

use crate::appliance;
use crate::fault::Fault;
use crate::shell::{run, target};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 5;
/// A machine that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(120);

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
    let accelerator = accelerator();
    let mut starts = (0..RUNS).map(|_| start(&image, accelerator)).collect::<Result<Vec<_>, _>>()?;
    starts.sort_by(|a, b| a.answered.total_cmp(&b.answered));
    let report = report(&image, accelerator, &starts)?;
    print!("{report}");
    Ok(std::fs::write(target().join("bench/appliance.md"), report)?)
}

/// The image is built with an operator, as real ones are.
fn operator(parts: &Path, directory: &Path) -> Command {
    let mut command = Command::new(parts.join("cloakroom"));
    command.arg("--data").arg(directory.join("ops")).args(["image", "operator"]).stdout(Stdio::null());
    command
}

fn accelerator() -> &'static str {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has_hardware = cpu.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if has_hardware && Path::new("/dev/kvm").exists() { "kvm" } else { "tcg" }
}

fn start(image: &Path, accelerator: &str) -> Result<Start, Fault> {
    let free = || -> std::io::Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
    let (workloads, operator) = (free()?, free()?);
    let wire = |net: &str, port: u16, to: &str| {
        format!("user,restrict=on,net={net},hostfwd=tcp:127.0.0.1:{port}-{to}")
    };
    let console = image.with_file_name("console.log");
    let _ = std::fs::remove_file(&console);
    let mut command = Command::new(image.join("qemu.sh"));
    command
        .env("ACCEL", accelerator)
        .env("DATA", "memory")
        .env("CONSOLE", format!("file:{}", console.display()));
    command.env("WORKLOADS", wire("10.77.0.0/24", workloads, "10.77.0.1:8480"));
    command.env("OPERATOR", wire("10.79.0.0/24", operator, "10.79.0.15:8482"));
    let begun = Instant::now();
    let mut machine = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let measured = watch(&mut machine, begun, &console, workloads);
    let _ = machine.kill();
    let _ = machine.wait();
    measured
}

fn watch(machine: &mut Child, begun: Instant, console: &Path, port: u16) -> Result<Start, Fault> {
    let mut is_ready = || std::fs::read_to_string(console).is_ok_and(|said| said.contains("{\"ready\":true"));
    until(machine, begun, &mut is_ready)?;
    let ready = begun.elapsed().as_secs_f64();
    until(machine, begun, &mut || answers(port).unwrap_or(false))?;
    let answered = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string(format!("/proc/{}/status", machine.id()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let resident = resident.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0;
    Ok(Start { ready, answered, resident })
}

fn until(machine: &mut Child, begun: Instant, done: &mut dyn FnMut() -> bool) -> Result<(), Fault> {
    while !done() {
        if machine.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
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
