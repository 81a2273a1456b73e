//! `cloakroom lock`: a workload's network, closed but for the broker's listeners.
//!
//! ```text
//!  workload's network ──► interface ──► steer: ports 80 and 443, and names, to the broker's listeners
//!                                   ├─► input: those listeners, and nothing else of this machine
//!                                   └─► forward: nothing
//! ```
//!
//! The rules are the kernel's: they hold whether the broker lives or not, and nothing that a workload does in its own namespace
//! changes them, for they stand at the other end of its wire.

mod check;
mod equivalent;
mod mark;
mod model;
mod namespace;
mod nft;
mod probe;
mod rules;
mod witness;

pub(crate) use mark::Mark;

use crate::Outcome;
use crate::broker::Broker;
use crate::cli::{Form, KEPT_IN, LockArguments, LockCommand, Shelf};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use cloakroom_admin::wire::{LockOutcome, LocksView};
use cloakroom_model::Name;
use model::Lock;
use serde_json::json;
use std::path::Path;

/// Does what was asked.
pub(crate) fn run(data: Option<&Path>, command: LockCommand, output: &Output) -> Outcome {
    if let LockCommand::Probe { attempt, at, mark } = command {
        return probe::run(&attempt, at, mark, output);
    }
    let data = DataDir::find(data)?;
    match command {
        LockCommand::Print { lock, form, shelf } => print(&data, lock, form, &shelf, output)?,
        LockCommand::Apply { lock, shelf } => apply(&data, lock, &shelf, output)?,
        LockCommand::Check { name, pid, shelf } => {
            return check::run(&data, &Lock::kept(&shelf, &name)?, pid, output);
        }
        LockCommand::Remove { name, shelf } => remove(&data, &name, &shelf, output)?,
        LockCommand::List => list(&data, output)?,
        LockCommand::Probe { .. } => {}
    }
    Ok(Exit::Done)
}

fn print(
    data: &DataDir,
    arguments: LockArguments,
    form: Form,
    shelf: &Shelf,
    output: &Output,
) -> Result<(), Failure> {
    let file = shelf.keep_in.join(format!("{}.nft", arguments.name));
    let lock = Lock::of(data, arguments, form == Form::Nft)?;
    let text = match form {
        Form::Nft => rules::text(&lock),
        Form::Kubernetes => equivalent::kubernetes(&lock)?,
        Form::Docker => equivalent::docker(&lock)?,
        Form::Fly => equivalent::fly(&lock)?,
        Form::Systemd => equivalent::systemd(&lock, &file),
    };
    if output.is_json() {
        return output.data(&json!({ "name": lock.name, "text": text }), String::new);
    }
    output.print_exactly(text.as_bytes())
}

fn apply(data: &DataDir, arguments: LockArguments, shelf: &Shelf, output: &Output) -> Result<(), Failure> {
    let mut lock = Lock::of(data, arguments, true)?;
    let text = rules::text(&lock);
    model::require_own(shelf)?;
    nft::load(&text)?;
    lock.in_force = nft::listed(&lock)?.unwrap_or_default();
    lock.keep(shelf, &text)?;
    let interfaces: Vec<&str> = lock.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    let document = json!({ "name": lock.name, "interfaces": interfaces, "doors": lock.doors });
    output.data(&document, || format!("locked {}: {}", lock.name, interfaces.join(", ")))?;
    let kept = if shelf.keep_in == Path::new(KEPT_IN) {
        String::new()
    } else {
        format!(" --keep-in {}", shelf.keep_in.display())
    };
    output.hint(&format!("prove it: cloakroom lock check {}{kept}", lock.name));
    Ok(())
}

fn remove(data: &DataDir, name: &Name, shelf: &Shelf, output: &Output) -> Result<(), Failure> {
    let was_there = nft::remove(name)?;
    witness::forget(name);
    let was_kept = Lock::forget(shelf, name)?;
    if !was_there && !was_kept {
        return Err(Failure::failed(format!("there is no lock {name}")));
    }
    // A broker that does not run has nothing to forget.
    if let Ok(broker) = Broker::of(data) {
        let _: Result<serde_json::Value, Failure> = broker.remove(&format!("locks/{name}"));
    }
    output.data(&json!({ "removed": name }), || format!("removed lock {name}"))
}

fn list(data: &DataDir, output: &Output) -> Result<(), Failure> {
    let locks: LocksView = Broker::of(data)?.read("locks")?;
    output.data(&locks, || {
        let rows: Vec<Vec<String>> = locks
            .locks
            .iter()
            .map(|lock| {
                vec![
                    lock.name.to_string(),
                    match lock.outcome {
                        LockOutcome::Closed => "held",
                        LockOutcome::Open => "open",
                        LockOutcome::NotProved => "not proved",
                    }
                    .into(),
                    lock.checked.clone(),
                ]
            })
            .collect();
        let verdict = if locks.locked {
            "the broker calls itself locked"
        } else {
            "the broker does not call itself locked"
        };
        format!("{}\n{verdict}", table(&["name", "last check", "when"], &rows))
    })
}
