//! Proves a lock from inside: each attempt has to end at the lock, and to be seen ending there.

use super::model::Lock;
use super::probe::{ATTEMPTS, Came, PORT};
use super::{namespace, nft};
use crate::Outcome;
use crate::broker::Broker;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::serve::Listening;
use cloakroom_admin::wire::{LockAttempt, LockReport};
use std::net::SocketAddr;
use std::process::Command;

/// Ports of the broker's machine that are tried beside its own: a shell, the console, the default listener.
const OTHERS: [u16; 3] = [22, 8481, 8480];

/// Checks a lock, says what was found, and tells the broker.
pub(super) fn run(data: &DataDir, lock: &Lock, pid: Option<u32>, output: &Output) -> Outcome {
    let inside = Inside::of(lock, pid)?;
    let mut attempts = vec![rules_in_force(lock)?, no_stray(&inside, lock)];
    if !lock.names_bridges {
        attempts.push(no_new_port(lock));
    }
    for attempt in ATTEMPTS {
        attempts.push(inside.attempt(lock, attempt, None)?);
    }
    for at in closed_ports(data, lock) {
        attempts.push(inside.attempt(lock, PORT, Some(at))?);
    }
    let report = LockReport { name: lock.name.clone(), attempts };
    let told = Broker::of(data)?.post::<serde_json::Value>("locks", &report);
    output.data(&report, || said(&report))?;
    if let Err(failure) = told {
        output.warning(&format!("the broker could not be told: {failure}"));
    }
    Ok(if report.held() { Exit::Done } else { Exit::Refused })
}

fn said(report: &LockReport) -> String {
    let rows: Vec<Vec<String>> = report
        .attempts
        .iter()
        .map(|one| {
            vec![one.name.clone(), if one.held { "closed" } else { "OPEN" }.into(), one.detail.clone()]
        })
        .collect();
    let failed = report.attempts.iter().filter(|one| !one.held).count();
    let verdict = match failed {
        0 => format!("lock {} holds", report.name),
        _ => format!(
            "lock {} does NOT hold: {failed} of {} attempts are open or not proved",
            report.name,
            report.attempts.len()
        ),
    };
    format!("{}{verdict}", table(&["attempt", "", "what came of it"], &rows))
}

fn rules_in_force(lock: &Lock) -> Result<LockAttempt, Failure> {
    let listed = nft::listed(lock).unwrap_or_default();
    let held = !listed.is_empty() && listed == lock.in_force;
    let detail = match (held, listed.is_empty()) {
        (true, _) => "as they were applied",
        (false, true) => "there are none: apply the lock again",
        (false, false) => "they are not those that were applied",
    };
    Ok(LockAttempt { name: "rules".into(), held, detail: detail.into() })
}

/// Attempts go one way out; there may be others.
fn no_stray(inside: &Inside, lock: &Lock) -> LockAttempt {
    let known = lock
        .interfaces
        .iter()
        .flat_map(|one| [vec![one.name.clone()], one.ports.clone(), one.new_ports()].concat());
    let known: Vec<String> = known.collect();
    let strays = match namespace::near_ends(&inside.0) {
        Ok(ends) => ends.into_iter().map(|end| end.name).filter(|name| !known.contains(name)).collect(),
        Err(failure) => vec![failure.to_string()],
    };
    let detail = if strays.is_empty() { "every wire ends at the lock".into() } else { strays.join(", ") };
    LockAttempt { name: "wires".into(), held: strays.is_empty(), detail }
}

/// Where rules cannot name a bridge they name its ports.
fn no_new_port(lock: &Lock) -> LockAttempt {
    let new: Vec<String> = lock.interfaces.iter().flat_map(super::model::Interface::new_ports).collect();
    let detail = match new.is_empty() {
        true => "every port of the bridge is closed to the others".to_owned(),
        false => format!("apply the lock again: {}", new.join(", ")),
    };
    LockAttempt { name: "ports".into(), held: new.is_empty(), detail }
}

/// Ports at the addresses where the broker can be reached that are none of its doors.
fn closed_ports(data: &DataDir, lock: &Lock) -> Vec<SocketAddr> {
    let own = Listening::last(data).map(|listening| listening.address.port());
    let doors: Vec<SocketAddr> = lock.doors.all().filter(|door| !door.ip().is_unspecified()).collect();
    let mut addresses: Vec<_> = doors.iter().map(SocketAddr::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports: Vec<u16> =
        OTHERS.into_iter().chain(own).chain(lock.doors.transparent.map(|door| door.port())).collect();
    let all = addresses
        .into_iter()
        .flat_map(|address| ports.iter().map(move |port| SocketAddr::new(address, *port)));
    // The transparent listener is a door for what is steered alone: called by its own address it is closed.
    let is_door = |at: &SocketAddr| Some(*at) == lock.doors.proxy || Some(*at) == lock.doors.dns;
    let mut closed: Vec<SocketAddr> = all.filter(|at| !is_door(at)).collect();
    closed.sort_unstable();
    closed.dedup();
    closed
}

/// How the attempts get to where the workload is.
struct Inside(Vec<String>);

impl Inside {
    fn of(lock: &Lock, pid: Option<u32>) -> Result<Self, Failure> {
        let enter = match (pid, &lock.namespace) {
            (Some(pid), _) => vec!["--target".to_owned(), pid.to_string(), "--net".to_owned()],
            (None, Some(namespace)) => namespace::entered(namespace),
            (None, None) => {
                return Err(Failure::bad_input(
                    "the lock is on an interface: nothing says where the workload is",
                )
                .hinting(
                    "name a process of it: --pid PID; a machine of its own cannot be entered from here",
                ));
            }
        };
        Ok(Self(enter))
    }

    /// One attempt. SECURITY: silence alone proves nothing, for nobody may be there to answer; a packet that the lock dropped does.
    fn attempt(&self, lock: &Lock, attempt: &str, at: Option<SocketAddr>) -> Result<LockAttempt, Failure> {
        let before = nft::dropped(&lock.name)?;
        let came = self.came(attempt, at)?;
        let dropped = nft::dropped(&lock.name)?.saturating_sub(before);
        let (held, detail) = match came {
            Came::Nowhere(why) => (true, format!("the kernel there does not let it go: {why}")),
            Came::Refused => (true, "the broker answered that it may not".into()),
            Came::Silence if dropped > 0 => (true, "the lock dropped it".into()),
            Came::Silence => (
                false,
                "no answer, but the lock saw no packet: not proved (has this machine a route there?)".into(),
            ),
            Came::Answered(how) => (false, how),
        };
        let name = at.map_or_else(|| attempt.to_owned(), |at| format!("{attempt} {at}"));
        Ok(LockAttempt { name, held, detail })
    }

    fn came(&self, attempt: &str, at: Option<SocketAddr>) -> Result<Came, Failure> {
        let mut command = Command::new("nsenter");
        command.args(&self.0).arg("--").arg(std::env::current_exe()?).args(["lock", "probe", attempt]);
        command.args(at.into_iter().flat_map(|at| ["--at".to_owned(), at.to_string()]));
        let output = command.output().map_err(|error| {
            Failure::failed(format!("nsenter cannot be run: {}", crate::failure::plain(&error)))
                .hinting("install the package util-linux")
        })?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            Failure::failed(format!(
                "the attempt {attempt} could not be made: {}",
                said.lines().next().unwrap_or("no reason")
            ))
            .hinting("entering a namespace takes root")
        })
    }
}
