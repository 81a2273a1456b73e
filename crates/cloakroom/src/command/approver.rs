//! `cloakroom approver …`: whose signatures count, and how that changes.

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::ApproverCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use cloakroom_admin::wire::{ApprovalView, ApproverView, NewApprover, NewPasskey, PasskeyLink};
use cloakroom_model::Name;
use std::path::Path;

/// How much of a key's SHA-256 tells it from the others.
const SHORT: usize = 16;

pub(super) fn run(data: &DataDir, command: ApproverCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        ApproverCommand::List => list(&broker, output),
        ApproverCommand::Enrol { name, public_key: Some(file), .. } => enrol(&broker, name, &file, output),
        ApproverCommand::Enrol { name, .. } => invite(&broker, name, output),
        ApproverCommand::Remove { approver } => {
            let asked: ApprovalView = broker.tell(&format!("approvers/{}/remove", segment(&approver)?))?;
            waits(&asked, output)
        }
    }
}

fn list(broker: &Broker, output: &Output) -> Outcome {
    let approvers: Vec<ApproverView> = broker.read("approvers")?;
    output.data(&approvers, || {
        let short = |one: &ApproverView| one.digest.chars().take(SHORT).collect();
        let row = |one: &ApproverView| vec![one.name.clone(), one.kind.clone(), short(one), one.key.clone()];
        table(&["NAME", "KIND", "SHA-256", "KEY"], &approvers.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(Exit::Done)
}

fn enrol(broker: &Broker, name: Name, file: &Path, output: &Output) -> Outcome {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let asked: ApprovalView = broker.post("approvers", &NewApprover { name, key: key_of(&text, file)? })?;
    waits(&asked, output)
}

/// The key without the comment behind it: the name is given.
fn key_of(text: &str, file: &Path) -> Result<String, Failure> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let [line] = lines.as_slice() else {
        return Err(Failure::bad_input(format!("{} is not one public key", file.display())).hinting(
            "name the file with the public half: id_ed25519.pub, or approver.pub of another broker",
        ));
    };
    // SECURITY: a private key in the wrong place is not sent anywhere.
    if line.starts_with("-----") {
        return Err(Failure::bad_input(format!("{} is no public key", file.display()))
            .hinting("name the file with the public half: id_ed25519.pub"));
    }
    let words = if line.contains('-') { 2 } else { 1 };
    Ok(line.split_whitespace().take(words).collect::<Vec<_>>().join(" "))
}

fn invite(broker: &Broker, name: Name, output: &Output) -> Outcome {
    let link: PasskeyLink = broker.post("approvers/passkey", &NewPasskey { name })?;
    output.data(&link, || link.url.clone())?;
    output.hint(&format!(
        "good once, for {} minutes; open it in the browser of whoever is enrolled",
        link.seconds / 60
    ));
    Ok(Exit::Done)
}

fn waits(asked: &ApprovalView, output: &Output) -> Outcome {
    output.data(asked, || format!("{} {}: a change of the approvers", asked.state, asked.id))?;
    output.talk(&format!("{} of {} approvers have signed", asked.signed.len(), asked.needed));
    output.hint(&format!("next: cloakroom approval grant {}", asked.id));
    Ok(Exit::Done)
}
