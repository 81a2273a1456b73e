//! `cloakroom custody …`

mod rewrap;
mod shares;

use crate::Outcome;
use crate::broker::Broker;
use crate::cli::{CustodyCommand, UnsealCustody};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use crate::secret_input;
use cloakroom_admin::wire::{CustodyView, Unsealing};
use cloakroom_egress::custody::Intake;

pub(super) fn run(data: &DataDir, command: CustodyCommand, output: &Output) -> Outcome {
    if let CustodyCommand::Init(options) = &command {
        return shares::init(data, options, output);
    }
    let broker = Broker::of(data)?;
    match command {
        CustodyCommand::Status | CustodyCommand::Init(_) => show(&broker.read("custody")?, output),
        CustodyCommand::Seal => show(&broker.tell("custody/seal")?, output),
        CustodyCommand::Unseal(options) => unseal(&broker, &options, output),
        CustodyCommand::RotateKek => {
            show(&broker.tell("custody/rotate")?, output)?;
            output.hint("what was sealed before is under the older version still: cloakroom custody rewrap");
            Ok(Exit::Done)
        }
        CustodyCommand::Rewrap => rewrap::run(&broker, output),
    }
}

fn unseal(broker: &Broker, options: &UnsealCustody, output: &Output) -> Outcome {
    let standing: CustodyView = broker.read("custody")?;
    let part = match &standing.wants {
        None => None,
        Some(what) => {
            let brought = secret_input::read(options.file.as_deref(), what).map_err(|failure| {
                failure
                    .hinting(format!("bring the {what} on a terminal, by stdin, or in a file: --file FILE"))
            })?;
            // Read after whoever brings it had their time to type.
            let standing: CustodyView = broker.read("custody")?;
            let nothing = || Failure::failed("the broker waits for nothing any more");
            let intake = Intake { public_key: standing.intake.ok_or_else(nothing)? };
            Some(intake.seal_part(brought).map_err(|error| Failure::failed(error.to_string()))?)
        }
    };
    show(&broker.post("custody/unseal", &Unsealing { part })?, output)
}

fn show(custody: &CustodyView, output: &Output) -> Outcome {
    output.data(custody, || {
        let head = fields(&lines(custody));
        if custody.versions.is_empty() {
            return head;
        }
        let rows: Vec<Vec<String>> = custody
            .versions
            .iter()
            .map(|root| {
                let is_current = custody.current == Some(root.version);
                let state = match (root.held, is_current) {
                    (_, true) => "current",
                    (true, false) => "held",
                    (false, false) => "not held",
                };
                vec![root.version.to_string(), root.sealed.to_string(), state.to_owned()]
            })
            .collect();
        format!("{head}\n\n{}", table(&["ROOT KEY", "SEALED UNDER IT", ""], &rows))
    })?;
    Ok(Exit::Done)
}

fn lines(custody: &CustodyView) -> Vec<(&'static str, String)> {
    let mut lines = vec![("custody", custody.state.clone()), ("kek", custody.kek.clone())];
    lines.extend(custody.reason.clone().map(|reason| ("because", reason)));
    match (&custody.wants, custody.given, custody.threshold) {
        (Some(_), Some(given), Some(threshold)) => {
            lines.push(("shares", format!("{given} of {threshold} given")));
        }
        (Some(what), ..) => lines.push(("wanted", format!("the {what}"))),
        _ => {}
    }
    if let Some(rewrap) = &custody.rewrap {
        let state = match (&rewrap.trouble, rewrap.running) {
            (Some(trouble), _) => format!(": {trouble}"),
            (None, true) => ", running".into(),
            (None, false) => ", cut off".into(),
        };
        lines.push(("rewrap", format!("{} of {}{state}", rewrap.done, rewrap.total)));
    }
    lines
}
