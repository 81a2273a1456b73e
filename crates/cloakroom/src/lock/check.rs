//! Proves a lock from inside: each attempt has to end at the lock, and to be seen ending there.

use super::model::Lock;
use super::probe::{ATTEMPTS, Came, PATIENCE, PORT};
use super::{namespace, nft};
use crate::Outcome;
use crate::broker::Broker;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::serve::Listening;
use cloakroom_admin::wire::{LockAttempt, LockOutcome, LockReport};
use std::net::SocketAddr;
use std::process::Command;

/// Ports of the broker's machine that are tried beside its own: a shell, the console, the default listener.
const OTHERS: [u16; 3] = [22, 8481, 8480];

/// What came of an attempt that is counted as dropped.
const DROPPED: &str = "the lock dropped it";

/// Checks a lock, says what was found, and tells the broker.
pub(super) fn run(data: &DataDir, lock: &Lock, pid: Option<u32>, output: &Output) -> Outcome {
    let inside = Inside::of(lock, pid)?;
    let mut attempts = vec![rules_in_force(lock), no_stray(&inside, lock)];
    if !lock.names_bridges {
        attempts.push(no_new_port(lock));
    }
    let was_quiet = is_quiet(lock);
    for attempt in ATTEMPTS {
        attempts.push(inside.attempt(lock, attempt, None));
    }
    for at in closed_ports(data, lock) {
        attempts.push(inside.attempt(lock, PORT, Some(at)));
    }
    if !(was_quiet && is_quiet(lock)) {
        attempts.iter_mut().for_each(doubt);
    }
    let report = LockReport { name: lock.name.clone(), attempts };
    let told = Broker::of(data)?.post::<serde_json::Value>("locks", &report);
    output.data(&report, || said(&report))?;
    if let Err(failure) = told {
        output.warning(&format!("the broker could not be told: {failure}"));
    }
    Ok(match report.outcome() {
        LockOutcome::Closed => Exit::Done,
        LockOutcome::Open => Exit::Refused,
        LockOutcome::NotProved => Exit::NotProved,
    })
}

fn said(report: &LockReport) -> String {
    let word = |outcome| match outcome {
        LockOutcome::Closed => "closed",
        LockOutcome::Open => "OPEN",
        LockOutcome::NotProved => "NOT PROVED",
    };
    let row = |one: &LockAttempt| vec![one.name.clone(), word(one.outcome).into(), one.detail.clone()];
    let rows: Vec<Vec<String>> = report.attempts.iter().map(row).collect();
    let count = |outcome| report.attempts.iter().filter(|one| one.outcome == outcome).count();
    let (name, all) = (&report.name, report.attempts.len());
    let (open, unknown) = (count(LockOutcome::Open), count(LockOutcome::NotProved));
    let verdict = match report.outcome() {
        LockOutcome::Closed => format!("lock {name} holds"),
        LockOutcome::Open => {
            format!("lock {name} does NOT hold: of {all} attempts {open} are open and {unknown} not proved")
        }
        LockOutcome::NotProved => {
            format!(
                "lock {name} is NOT PROVED: {unknown} of {all} attempts could not be judged; none was seen to be open"
            )
        }
    };
    format!("{}\n{verdict}", table(&["attempt", "", "what came of it"], &rows))
}

fn found(name: &str, outcome: LockOutcome, detail: impl Into<String>) -> LockAttempt {
    LockAttempt { name: name.into(), outcome, detail: detail.into() }
}

fn rules_in_force(lock: &Lock) -> LockAttempt {
    let (outcome, detail) = match nft::listed(lock) {
        Ok(Some(listed)) if listed == lock.in_force && !listed.is_empty() => {
            (LockOutcome::Closed, "as they were applied".into())
        }
        Ok(Some(_)) => (LockOutcome::Open, "they are not those that were applied".into()),
        Ok(None) => (LockOutcome::Open, "there are none: apply the lock again".into()),
        Err(failure) => (LockOutcome::NotProved, failure.to_string()),
    };
    found("rules", outcome, detail)
}

/// Whether the lock drops nothing while nothing is attempted, for as long as an attempt takes. A machine's own rare packets may come once.
fn is_quiet(lock: &Lock) -> bool {
    let stands_still = || {
        let before = nft::dropped(&lock.name).ok();
        std::thread::sleep(PATIENCE);
        before.is_some() && before == nft::dropped(&lock.name).ok()
    };
    (0..3).any(|_| stands_still())
}

/// SECURITY: where others' packets are dropped all the time, one more says nothing of the attempt's own.
fn doubt(attempt: &mut LockAttempt) {
    if attempt.detail == DROPPED {
        attempt.outcome = LockOutcome::NotProved;
        attempt.detail =
            "no answer, and the lock drops other packets all the time: stop the workload, and check again"
                .into();
    }
}

/// Attempts go one way out; there may be others.
fn no_stray(inside: &Inside, lock: &Lock) -> LockAttempt {
    let known = lock
        .interfaces
        .iter()
        .flat_map(|one| [vec![one.name.clone()], one.ports.clone(), one.new_ports()].concat());
    let known: Vec<String> = known.collect();
    let ends = match namespace::near_ends(&inside.0) {
        Ok(ends) => ends,
        Err(namespace::Unlockable::Leads(failure)) => {
            return found("wires", LockOutcome::Open, failure.to_string());
        }
        Err(namespace::Unlockable::Unknown(failure)) => {
            return found("wires", LockOutcome::NotProved, failure.to_string());
        }
    };
    let strays: Vec<String> =
        ends.into_iter().map(|end| end.name).filter(|name| !known.contains(name)).collect();
    match strays.is_empty() {
        true => found("wires", LockOutcome::Closed, "every wire ends at the lock"),
        false => found("wires", LockOutcome::Open, strays.join(", ")),
    }
}

/// Where rules cannot name a bridge they name its ports.
fn no_new_port(lock: &Lock) -> LockAttempt {
    let new: Vec<String> = lock.interfaces.iter().flat_map(super::model::Interface::new_ports).collect();
    match new.is_empty() {
        true => found("ports", LockOutcome::Closed, "every port of the bridge is closed to the others"),
        false => found("ports", LockOutcome::Open, format!("apply the lock again: {}", new.join(", "))),
    }
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

    /// One attempt. SECURITY: silence alone proves nothing, for nobody may be there to answer; a packet that the lock dropped does. What
    /// cannot be tried proves nothing either.
    fn attempt(&self, lock: &Lock, attempt: &str, at: Option<SocketAddr>) -> LockAttempt {
        let name = at.map_or_else(|| attempt.to_owned(), |at| format!("{attempt} {at}"));
        let (outcome, detail) = self
            .judged(lock, attempt, at)
            .unwrap_or_else(|failure| (LockOutcome::NotProved, failure.to_string()));
        found(&name, outcome, detail)
    }

    fn judged(
        &self,
        lock: &Lock,
        attempt: &str,
        at: Option<SocketAddr>,
    ) -> Result<(LockOutcome, String), Failure> {
        let before = nft::dropped(&lock.name)?;
        let came = self.came(attempt, at)?;
        let dropped = nft::dropped(&lock.name)?.saturating_sub(before);
        Ok(match came {
            Came::Nowhere(why) => {
                (LockOutcome::Closed, format!("the kernel there does not let it go: {why}"))
            }
            Came::Unjudged(why) => {
                (LockOutcome::NotProved, format!("it could not be made, or not be judged: {why}"))
            }
            Came::Refused => (LockOutcome::Closed, "the broker answered that it may not".into()),
            Came::Silence if dropped > 0 => (LockOutcome::Closed, DROPPED.into()),
            Came::Silence => (
                LockOutcome::NotProved,
                "no answer, but the lock saw no packet (has this machine a route there?)".into(),
            ),
            Came::Answered(how) => (LockOutcome::Open, how),
        })
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
