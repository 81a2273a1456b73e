//! Proves a lock from inside: each attempt has to end at the lock, and to be seen ending there.

use super::mark::Mark;
use super::model::Lock;
use super::probe::{ATTEMPTS, Attempt, Came};
use super::witness::{Seen, Witness};
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

/// Checks a lock, says what was found, and tells the broker.
pub(super) fn run(data: &DataDir, lock: &Lock, pid: Option<u32>, output: &Output) -> Outcome {
    let inside = Inside::of(lock, pid)?;
    let mut attempts = vec![rules_in_force(lock), no_stray(&inside, lock)];
    if !lock.names_bridges {
        attempts.push(no_new_port(lock));
    }
    let closed = closed_ports(data, lock).into_iter().map(Attempt::on_broker);
    attempts.extend(inside.try_all(lock, ATTEMPTS.into_iter().chain(closed))?);
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

    /// Makes every attempt, each with a mark of its own, and judges it by what became of its packets. What cannot be tried proves nothing.
    fn try_all(
        &self,
        lock: &Lock,
        attempts: impl Iterator<Item = Attempt>,
    ) -> Result<Vec<LockAttempt>, Failure> {
        let marked = attempts.map(|attempt| Ok((attempt, Mark::random()?)));
        let marked: Vec<(Attempt, Mark)> = marked.collect::<Result<_, Failure>>()?;
        let witness = Witness::look(lock, &marked);
        let came: Vec<Result<Came, Failure>> =
            marked.iter().map(|(attempt, mark)| self.came(attempt, *mark)).collect();
        let seen = witness.and_then(|witness| witness.seen());
        let judge = |index: usize, came: &Result<Came, Failure>| match (came, &seen) {
            (Err(failure), _) | (Ok(Came::Silence), Err(failure)) => {
                (LockOutcome::NotProved, failure.to_string())
            }
            (Ok(came), Ok(seen)) => judged(came, seen[index]),
            (Ok(came), Err(_)) => judged(came, Seen::default()),
        };
        let each = marked.iter().zip(&came).enumerate().map(|(index, ((attempt, _), came))| {
            let (outcome, detail) = judge(index, came);
            found(&attempt.to_string(), outcome, detail)
        });
        Ok(each.collect())
    }

    fn came(&self, attempt: &Attempt, mark: Mark) -> Result<Came, Failure> {
        let (to, mark) = (attempt.to.to_string(), mark.to_string());
        let mut command = Command::new("nsenter");
        command.args(&self.0).arg("--").arg(std::env::current_exe()?);
        command.args(["lock", "probe", attempt.name, "--at", &to, "--mark", &mark]);
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

/// SECURITY: silence alone proves nothing, for nobody may be there to answer. A packet of this very attempt that came to the lock and did not
/// come out behind it does.
fn judged(came: &Came, seen: Seen) -> (LockOutcome, String) {
    match came {
        Came::Nowhere(why) => (LockOutcome::Closed, format!("the kernel there does not let it go: {why}")),
        Came::Unjudged(why) => {
            (LockOutcome::NotProved, format!("it could not be made, or not be judged: {why}"))
        }
        Came::Refused if seen.met == 0 && seen.arrived == 0 => (
            LockOutcome::NotProved,
            "an answer in the broker's words came, but the lock saw none of the packets".into(),
        ),
        Came::Refused => (LockOutcome::Closed, "the broker answered that it may not".into()),
        Came::Answered(how) => (LockOutcome::Open, how.clone()),
        Came::Silence => match seen {
            Seen { handed: 1.., .. } => {
                (LockOutcome::Open, "the lock let it through; nobody answered".into())
            }
            Seen { arrived: 1.., .. } => {
                (LockOutcome::NotProved, "it came to a listener of this machine, which did not answer".into())
            }
            Seen { met: 1.., .. } => (LockOutcome::Closed, "the lock dropped it".into()),
            Seen { asked: 1.., .. } => {
                (LockOutcome::Closed, "the lock dropped its question for the next hop".into())
            }
            Seen { .. } => (
                LockOutcome::NotProved,
                "no answer, but the lock saw none of its packets (has this machine a route there?)".into(),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_judged_by_where_the_attempts_own_packets_were_seen() {
        let of =
            |met, handed, arrived| judged(&Came::Silence, Seen { met, handed, arrived, ..Seen::default() }).0;
        assert_eq!(of(0, 0, 0), LockOutcome::NotProved);
        assert_eq!(judged(&Came::Silence, Seen { asked: 1, ..Seen::default() }).0, LockOutcome::Closed);
        assert_eq!(
            judged(&Came::Silence, Seen { asked: 1, handed: 1, ..Seen::default() }).0,
            LockOutcome::Open
        );
        assert_eq!(of(2, 0, 0), LockOutcome::Closed);
        assert_eq!(of(2, 1, 0), LockOutcome::Open);
        assert_eq!(of(2, 0, 1), LockOutcome::NotProved);
        // The broker's words are anybody's.
        assert_eq!(judged(&Came::Refused, Seen::default()).0, LockOutcome::NotProved);
        assert_eq!(judged(&Came::Refused, Seen { arrived: 1, ..Seen::default() }).0, LockOutcome::Closed);
        // What was said is not outweighed by what was counted.
        let dropped = Seen { met: 1, ..Seen::default() };
        assert_eq!(judged(&Came::Answered(String::new()), dropped).0, LockOutcome::Open);
        assert_eq!(judged(&Came::Unjudged(String::new()), dropped).0, LockOutcome::NotProved);
    }
}
