//! `cloakroom proposal …`: what workloads ask for. Accepting one prints a policy file and permits nothing.

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use clap::Subcommand;
use cloakroom_admin::wire::ProposalView;

#[derive(Subcommand)]
pub(crate) enum ProposalCommand {
    /// List the proposals
    #[command(after_help = "Example:\n  cloakroom proposal list")]
    List,
    /// Show what one proposal would permit
    #[command(after_help = "Example:\n  cloakroom proposal show pr_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Show {
        /// Id
        id: String,
    },
    /// Print it as a policy file, and take it off the list; nothing is permitted by that
    #[command(
        after_help = "Example:\n  cloakroom proposal accept pr_01HF7YAT00QTXS9F8T1S4ZKZ8M > charges.toml"
    )]
    Accept {
        /// Id
        id: String,
    },
    /// Take it off the list
    #[command(after_help = "Example:\n  cloakroom proposal drop pr_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Drop {
        /// Id
        id: String,
    },
}

pub(super) fn run(data: &DataDir, command: ProposalCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        ProposalCommand::List => list(&broker, output)?,
        ProposalCommand::Show { id } => show(&find(&broker, &id)?, output)?,
        ProposalCommand::Accept { id } => {
            let taken: ProposalView = broker.tell(&format!("proposals/{}/accept", segment(&id)?))?;
            if output.is_json() {
                output.data(&taken, String::new)?;
            } else {
                output.print_exactly(taken.policy.as_bytes())?;
            }
            output.hint(
                "nothing is permitted yet: read the file, then cloakroom placeholder issue --policy FILE",
            );
        }
        ProposalCommand::Drop { id } => {
            let taken: ProposalView = broker.remove(&format!("proposals/{}", segment(&id)?))?;
            output.data(&taken, || format!("dropped proposal {}", taken.id))?;
        }
    }
    Ok(Exit::Done)
}

fn list(broker: &Broker, output: &Output) -> Result<(), Failure> {
    let proposals: Vec<ProposalView> = broker.read("proposals")?;
    output.data(&proposals, || {
        let row = |one: &ProposalView| {
            vec![one.id.to_string(), one.workload.to_string(), one.at.clone(), beginning(&one.reason)]
        };
        table(
            &["ID", "WORKLOAD", "AT", "REASON (ITS OWN WORDS)"],
            &proposals.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

fn find(broker: &Broker, id: &str) -> Result<ProposalView, Failure> {
    let proposals: Vec<ProposalView> = broker.read("proposals")?;
    let found = proposals.into_iter().find(|one| one.id.to_string() == id);
    found.ok_or_else(|| {
        Failure::bad_input("there is no such proposal").hinting("list them: cloakroom proposal list")
    })
}

fn show(one: &ProposalView, output: &Output) -> Result<(), Failure> {
    output.data(one, || {
        let mut lines =
            vec![("id", one.id.to_string()), ("workload", one.workload.to_string()), ("at", one.at.clone())];
        // The workload's words, in short lines: what it says is for a person to judge, and must not push the policy away.
        lines.extend(pieces(&one.reason).map(|piece| ("its reason", piece)));
        lines.push(("policy", one.text.clone()));
        fields(&lines)
    })?;
    if !one.remarks.is_empty() {
        output.talk("\nwhat follows from it:");
        one.remarks.iter().for_each(|line| output.talk(&format!("  {line}")));
    }
    Ok(())
}

/// How many columns of a workload's words stand in one line.
const WIDTH: usize = 96;

/// The text is printable ASCII: the broker escapes all else.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    text.as_bytes().chunks(WIDTH).map(|piece| String::from_utf8_lossy(piece).into_owned())
}

fn beginning(text: &str) -> String {
    let short = pieces(text).next().unwrap_or_default();
    if short.len() < text.len() { format!("{short} ...") } else { short }
}
