//! Instructions for each kept-alive request, counted by callgrind: the figure that noise cannot touch.
//!
//! A program starts under callgrind with counting off, answers some calls, and is counted for [`CALLS`] more over the
//! same connection. valgrind offers no SHA instructions, so what is hashed looks dearer than it is.

use crate::bed::Bed;
use crate::report::{Plan, Report};
use crate::server::Server;
use cloakroom_testkit::{Log, Way, Wire};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Without it glibc moves larger blocks by one instruction that callgrind counts once for every byte.
pub(crate) const COPYING: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM");

/// Calls before counting.
const WARM: usize = 200;
/// Calls that are counted.
const CALLS: usize = 1_000;
/// Lines of each list of functions.
const SHOWN: usize = 90;

/// Instructions that AWS-LC takes for a block of SHA-256 without SHA instructions, as under valgrind, and with them: both are
/// straight code, counted in its disassembly (`sha256_block_data_order_avx` and `_hw`).
const BLOCK: (u64, u64) = (2_093, 171);

/// Counts each program; writes `callgrind.txt` (the broker's functions) beside the report.
pub(crate) fn run(bed: &Bed, plan: &Plan, only: &[String]) -> Report {
    let directory = &plan.directory;
    let wanted = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(word.as_str()));
    let mut report = Report::new(plan);
    report.section(
        "Instructions per kept-alive request",
        &format!(
            "callgrind, user space, {CALLS} calls over one connection after {WARM}; TLS to the upstream, 1 KiB of JSON. There are no SHA \
             instructions under valgrind: SHA-256 is counted as software does it, for itself in the next column, and the last column is \
             what a CPU that has them runs ({} instructions for each block instead of {}). glibc copies with vector instructions, not \
             by `rep movsb`, of which each byte would count.",
            BLOCK.1, BLOCK.0
        ),
        "| program | instructions per request | of them SHA-256 | with SHA instructions |",
    );
    let mut nginx = None;
    for (short, name) in [
        ("nginx", "nginx, reverse proxy, TLS in and out"),
        ("relay", "bare hyper relay, TLS in and out"),
        ("connect", "broker, CONNECT and interception, TLS in and out"),
        ("absolute", "broker, absolute form, TLS out"),
        ("base-url", "broker, base URL, TLS out"),
    ] {
        if !(wanted(short) || only.iter().any(|word| word == "broker") && name.starts_with("broker")) {
            continue;
        }
        let file = directory.join(format!("callgrind.{short}"));
        let count = match short {
            "nginx" => neighbour(bed, &Server::nginx(bed, Some(&file)), &file),
            "relay" => neighbour(bed, &Server::relay(bed, Some(&file)), &file),
            "connect" => broker(bed, Way::Connect, &file),
            "absolute" => broker(bed, Way::Absolute, &file),
            _ => broker(bed, Way::BaseUrl, &file),
        };
        let hashing = hashing(&file);
        let in_hardware = count - hashing + hashing * BLOCK.1 / BLOCK.0;
        report.row(&format!("| {name} | {count} | {hashing} | {in_hardware} |"));
        match (short, nginx) {
            ("nginx", _) => nginx = Some(count as f64),
            ("connect", Some(nginx)) => {
                report.hold("T1", count as f64 / nginx);
                report.hold("T1 SHA", in_hardware as f64 / nginx);
            }
            _ => {}
        }
        if short == "connect" {
            std::fs::write(directory.join("callgrind.txt"), functions(name, &file)).unwrap();
        }
    }
    report
}

fn neighbour(bed: &Bed, server: &Server, file: &Path) -> u64 {
    counted(server.pid(), file, direct(bed, server), &bed.plain_request().bytes(Way::Connect, None))
}

/// A broker for each way in: the counter cannot be trusted once it was switched off again.
fn broker(bed: &Bed, way: Way, file: &Path) -> u64 {
    let script = file.with_extension("sh");
    bed.wrap(&script, &format!("env {}={} {}", COPYING.0, COPYING.1, callgrind(file).join(" ")));
    let ours = bed.broker(&script.to_string_lossy(), "");
    let (wire, who) = (Wire::open(ours.broker.listen(), Log::default()), &ours.robot);
    let (wire, inside) = match way {
        Way::Connect => {
            let tunnel = wire.tunnel(&ours.request.authority, Some(who), "127.0.0.1", &ours.broker.ca_pem());
            (tunnel.expect("a tunnel"), None)
        }
        Way::Absolute | Way::BaseUrl => (wire, Some(who)),
    };
    counted(ours.broker.pid(), file, wire, &ours.request.bytes(way, inside))
}

/// The functions that cost most, inclusive and alone, and who calls the dearest helpers.
fn functions(name: &str, file: &Path) -> String {
    let head = |arguments: &[&str]| -> String {
        let text = annotated(file, arguments);
        let functions = text.lines().skip_while(|line| !line.contains("file:function"));
        functions.take(SHOWN).map(|line| format!("{line}\n")).collect()
    };
    let (inclusive, alone) = (head(&["--inclusive=yes"]), head(&["--inclusive=no"]));
    let callers = annotated(file, &["--inclusive=yes", "--tree=caller"]);
    let callers: String = callers
        .split("\n\n")
        .filter(|block| {
            let own = block.lines().find(|line| line.contains(" * ")).unwrap_or_default();
            ["memcpy", "memset", ":malloc ", ":free ", "rust_dealloc"]
                .iter()
                .any(|helper| own.contains(helper))
        })
        .map(|block| format!("{block}\n\n"))
        .collect();
    format!(
        "{name}: instructions over {CALLS} calls, by function\n\n# inclusive\n\n{inclusive}\n# alone\n\n{alone}\n\
         # callers of helpers\n\n{callers}"
    )
}

fn direct(bed: &Bed, server: &Server) -> Wire {
    Wire::open(([127, 0, 0, 1], server.port()).into(), Log::default()).wrap("127.0.0.1", bed.authority.pem())
}

/// The words before a program that starts it under callgrind, not yet counting.
pub(crate) fn callgrind(file: &Path) -> Vec<String> {
    let out = format!("--callgrind-out-file={}", file.display());
    ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", &out].map(str::to_owned).to_vec()
}

fn counted(pid: u32, file: &Path, mut wire: Wire, request: &[u8]) -> u64 {
    let mut calls = |number| {
        for _ in 0..number {
            wire.send(request);
            let response = wire.receive("GET").expect("an answer");
            assert_eq!(response.status, 200, "{response:?}");
        }
    };
    calls(WARM);
    control(&["-i", "on"], pid);
    calls(CALLS);
    control(&["-d"], pid);
    let dump = newest(file);
    std::fs::rename(&dump, file).unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    total.unwrap().trim().parse::<u64>().unwrap() / CALLS as u64
}

/// Instructions of SHA-256 for each call.
fn hashing(file: &Path) -> u64 {
    let text = annotated(file, &["--inclusive=no"]);
    let blocks = text.lines().filter(|line| line.contains("sha256_block"));
    let counts =
        blocks.filter_map(|line| line.split_whitespace().next()?.replace(',', "").parse::<u64>().ok());
    counts.sum::<u64>() / CALLS as u64
}

fn control(arguments: &[&str], pid: u32) {
    let status = Command::new("callgrind_control")
        .args(arguments)
        .arg(pid.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("callgrind_control runs").success(), "callgrind_control {arguments:?} failed");
}

/// The dump with the highest number.
fn newest(file: &Path) -> PathBuf {
    let stem = format!("{}.", file.file_name().unwrap().to_string_lossy());
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(&stem)?.parse::<u32>().ok();
    let dumps = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    dumps.filter(|path| number(path).is_some()).max_by_key(|path| number(path)).expect("a dump")
}

fn annotated(file: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("callgrind_annotate");
    command.args(["--auto=no", "--threshold=100"]).args(arguments).arg(file);
    let output = command.output().expect("callgrind_annotate runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
