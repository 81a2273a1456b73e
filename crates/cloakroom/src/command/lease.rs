//! `cloakroom lease …`: what sources have lent and was not given back yet.

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::LeaseCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, table};
use cloakroom_admin::wire::LeaseView;

pub(super) fn run(data: &DataDir, command: LeaseCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        LeaseCommand::List => {
            let leases: Vec<LeaseView> = broker.read("leases")?;
            output.data(&leases, || {
                let rows: Vec<Vec<String>> = leases.iter().map(row).collect();
                table(&["ID", "CREDENTIAL", "STATE", "ASKED", "EXPIRES", "ATTEMPTS", "TROUBLE"], &rows)
            })?;
        }
        LeaseCommand::Dismiss { id } => {
            let gone: LeaseView = broker.remove(&format!("leases/{}", segment(&id)?))?;
            output.data(&gone, || format!("dismissed lease {} of {}", gone.id, gone.credential))?;
        }
    }
    Ok(Exit::Done)
}

fn row(one: &LeaseView) -> Vec<String> {
    vec![
        one.id.to_string(),
        one.credential.clone(),
        one.state.clone(),
        one.asked.clone(),
        one.expires.clone().unwrap_or_default(),
        one.attempts.to_string(),
        one.trouble.clone().unwrap_or_default(),
    ]
}
