//! `cloakroom approval …`: the text that is shown is the text that is signed, in this process.

use crate::broker::{Broker, segment};
use crate::cli::ApprovalCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::{Outcome, approver};
use cloakroom_admin::wire::{ApprovalText, ApprovalView, GrantRequest};
use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::path::PathBuf;

pub(super) fn run(data: &DataDir, command: ApprovalCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        ApprovalCommand::List => list(&broker, output),
        ApprovalCommand::Show { id } => {
            let shown: ApprovalText = broker.read(&format!("approvals/{}", segment(&id)?))?;
            if output.is_json() {
                output.data(&shown, String::new)?;
            } else {
                output.print_exactly(shown.text.as_bytes())?;
                beside(&shown, output);
            }
            Ok(Exit::Done)
        }
        ApprovalCommand::Text { id } => {
            let shown: ApprovalText = broker.read(&format!("approvals/{}", segment(&id)?))?;
            output.print_exactly(shown.text.as_bytes())?;
            Ok(Exit::Done)
        }
        ApprovalCommand::Grant { id, ssh_signature: Some(file), yes, .. } => {
            grant(&broker, segment(&id)?, &Pen::Signed(file), yes, output)
        }
        ApprovalCommand::Grant { id, key, yes, .. } => {
            let key = key.unwrap_or_else(|| data.approver_key());
            grant(&broker, segment(&id)?, &Pen::Key(key), yes, output)
        }
        ApprovalCommand::Withdraw { id } => {
            let withdrawn: ApprovalView = broker.tell(&format!("approvals/{}/withdraw", segment(&id)?))?;
            said(&withdrawn, output)
        }
        ApprovalCommand::Deny { id } => {
            let denied: ApprovalView = broker.tell(&format!("approvals/{}/deny", segment(&id)?))?;
            said(&denied, output)
        }
    }
}

/// What signs.
enum Pen {
    /// The key in this file, here.
    Key(PathBuf),
    /// Something else did: its signature is in this file.
    Signed(PathBuf),
}

fn grant(broker: &Broker, id: &str, pen: &Pen, yes: bool, output: &Output) -> Outcome {
    let shown: ApprovalText = broker.read(&format!("approvals/{id}"))?;
    output.talk(&shown.text);
    beside(&shown, output);
    if shown.approval.state == "pending" && !yes && !agreed(output)? {
        output.talk("nothing was granted");
        return Ok(Exit::Refused);
    }
    let signature = match pen {
        Pen::Key(key) => approver::sign(key, &shown.text)?,
        Pen::Signed(file) => approver::read_ssh_signature(file)?,
    };
    let granted =
        broker.post(&format!("approvals/{}/grant", shown.approval.id), &GrantRequest { signature })?;
    said(&granted, output)
}

/// What stands beside the text, for people: stdout has the text alone, byte for byte.
fn beside(shown: &ApprovalText, output: &Output) {
    if !shown.remarks.is_empty() {
        output.talk("\nwhat follows from it (no part of what is signed):");
        shown.remarks.iter().for_each(|line| output.talk(&format!("  {line}")));
    }
    output.talk(&format!("\nphrase: {}", shown.phrase));
    if let Some(page) = &shown.page {
        output.talk(&format!("by passkey: {page}"));
    }
}

fn said(decided: &ApprovalView, output: &Output) -> Outcome {
    output.data(decided, || {
        let what = match (decided.kind.as_str(), decided.placeholder) {
            ("call", Some(placeholder)) => format!("one call of placeholder {placeholder}"),
            (_, Some(placeholder)) => format!("placeholder {placeholder}"),
            (_, None) => "a change of the approvers".to_owned(),
        };
        format!("{} {}: {what}", decided.state, decided.id)
    })?;
    if decided.state == "pending" {
        output.talk(&format!("{} of {} approvers have signed", decided.signed.len(), decided.needed));
    }
    Ok(Exit::Done)
}

/// COMPAT: scripts grant with the bare command; where there is no terminal, giving it is the agreement.
fn agreed(output: &Output) -> Result<bool, Failure> {
    if output.is_json() || !stdin().is_terminal() {
        return Ok(true);
    }
    let mut err = stderr();
    write!(err, "grant? [y/N] ").and_then(|()| err.flush())?;
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn list(broker: &Broker, output: &Output) -> Outcome {
    let approvals: Vec<ApprovalView> = broker.read("approvals")?;
    output.data(&approvals, || {
        fn shown(part: Option<&impl ToString>) -> String {
            part.map_or_else(|| "-".to_owned(), ToString::to_string)
        }
        let row = |one: &ApprovalView| {
            vec![
                one.id.to_string(),
                one.kind.clone(),
                one.state.clone(),
                shown(one.credential.as_ref()),
                shown(one.workload.as_ref()),
                format!("{}/{}", one.signed.len(), one.needed),
                one.created.clone(),
                shown(one.placeholder.as_ref()),
            ]
        };
        let rows: Vec<Vec<String>> = approvals.iter().map(row).collect();
        table(&["ID", "FOR", "STATE", "CREDENTIAL", "WORKLOAD", "SIGNED", "CREATED", "PLACEHOLDER"], &rows)
    })?;
    Ok(Exit::Done)
}
