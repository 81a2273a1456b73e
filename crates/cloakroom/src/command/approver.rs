//! `cloakroom approver …`: whose signatures count.

use crate::Outcome;
use crate::broker::Broker;
use crate::cli::ApproverCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, table};
use cloakroom_admin::wire::ApproverView;

pub(super) fn run(data: &DataDir, command: ApproverCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    let ApproverCommand::List = command;
    let approvers: Vec<ApproverView> = broker.read("approvers")?;
    output.data(&approvers, || {
        let row = |one: &ApproverView| vec![one.name.clone(), one.kind.clone(), one.key.clone()];
        table(&["NAME", "KIND", "KEY"], &approvers.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(Exit::Done)
}
