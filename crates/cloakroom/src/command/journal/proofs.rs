//! What the journal can show to others: checkpoints, proofs, and whether they hold.

use super::directory;
use crate::Outcome;
use crate::broker::Broker;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::output::Output;
use cloakroom_admin::wire::CheckpointDocument;
use cloakroom_store::journal::{self, Checked, Checkpoint, Consistency, Mention, Proof, PublicKey, Witness};
use serde_json::{Value, json};
use std::path::Path;

/// The checkpoints in a witness's file.
pub(super) fn witness(
    data: &DataDir,
    file: Option<&Path>,
    key: Option<&Path>,
    output: &Output,
) -> Result<Witness, Failure> {
    let Some(file) = file else {
        return Ok(Witness { key: key.map(read_key).transpose()?, checkpoints: Vec::new() });
    };
    let key = public_key(data, key)?;
    let (checkpoints, unreadable) = journal::checkpoints_in(&read(file)?, &key);
    if checkpoints.is_empty() {
        let text = format!("{} holds no checkpoint that this journal signed", file.display());
        return Err(Failure::bad_input(text)
            .hinting("name the file that the witness keeps, and with --key the key it was signed with"));
    }
    if unreadable > 0 {
        output.warning(&format!("{} holds {unreadable} more that do not verify", file.display()));
    }
    Ok(Witness { key: Some(key), checkpoints })
}

/// The latest checkpoint: a new one where a broker runs.
pub(super) fn checkpoint(data: &DataDir, output: &Output) -> Outcome {
    let directory = directory(data)?;
    let note = match fresh(data) {
        Some(note) => note,
        None => journal::latest_checkpoint(&directory)?,
    };
    output.data(&json!({ "checkpoint": note }), || note.clone())?;
    Ok(Exit::Done)
}

/// Asks a running broker to sign all that it has recorded.
fn fresh(data: &DataDir) -> Option<String> {
    let asked = Broker::of(data).and_then(|broker| broker.tell::<CheckpointDocument>("checkpoint"));
    asked.ok().map(|document| document.checkpoint)
}

pub(super) fn prove(data: &DataDir, wanted: &str, output: &Output) -> Outcome {
    let directory = directory(data)?;
    // Before the files are read: what a broker has in memory belongs to the record.
    let _ = fresh(data);
    let sequence = match wanted.parse::<u64>() {
        Ok(sequence) => sequence,
        Err(_) => named(&directory, wanted, output)?,
    };
    let proof = journal::prove(&directory, sequence)?;
    // What would not convince others is not handed out.
    let checked = proof.check(&public_key(data, None)?).map_err(|why| {
        Failure::failed(format!("the proof of record {sequence} does not hold: {why}"))
            .hinting("run \"cloakroom journal verify\"")
    })?;
    let text = proof.to_string();
    let document = json!({ "sequence": sequence, "size": checked.size, "root": checked.root, "proof": text });
    output.data(&document, || text)?;
    Ok(Exit::Done)
}

/// The record that an id stands for: its intent, else the first that names it.
fn named(directory: &Path, id: &str, output: &Output) -> Result<u64, Failure> {
    let id = id.strip_prefix("urn:cloakroom:request:").unwrap_or(id);
    let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain {
        return Err(Failure::bad_input("that is neither a sequence number nor an id")
            .hinting("\"cloakroom journal show\" and \"cloakroom explain\" name both"));
    }
    let found = journal::find(directory, id)?;
    let chosen = found.iter().find(|mention| mention.kind == "intent").or(found.first());
    let Some(Mention { sequence, kind }) = chosen else {
        return Err(Failure::failed(format!("no record names {id}"))
            .hinting("list the records: cloakroom journal show"));
    };
    let others: Vec<String> = found
        .iter()
        .filter(|other| other.sequence != *sequence)
        .map(|other| other.sequence.to_string())
        .collect();
    if !others.is_empty() {
        let (others, more) = others.split_at(others.len().min(10));
        let more = if more.is_empty() { "" } else { " and more" };
        output.hint(&format!("this is record {sequence}, {kind:?}; also in {}{more}", others.join(", ")));
    }
    Ok(*sequence)
}

pub(super) fn check(
    data: &DataDir,
    file: &Path,
    key: Option<&Path>,
    since: Option<&Path>,
    output: &Output,
) -> Outcome {
    let (text, key) = (read(file)?, public_key(data, key)?);
    let malformed = |why: &str| {
        Failure::bad_input(format!("{}: {why}", file.display()))
            .hinting("name a file with what \"cloakroom journal prove\" or \"consistency\" printed")
    };
    match since {
        Some(since) => {
            let proof = Consistency::parse(&text).map_err(malformed)?;
            let old = checkpoint_in(since, &key)?;
            say_consistency(proof.check(&old, &key), &old, None, output)
        }
        None if text.starts_with("old ") => Err(Failure::bad_input("the proof is about two checkpoints")
            .hinting("name the older one: --since OLD")),
        None => say_inclusion(Proof::parse(&text).map_err(malformed)?.check(&key), output),
    }
}

fn say_inclusion(checked: Result<Checked, &'static str>, output: &Output) -> Outcome {
    match checked {
        Ok(checked) => {
            let record = Value::Object(checked.record.clone());
            let document = json!({ "ok": true, "sequence": checked.sequence, "record": record, "size": checked.size, "root": checked.root, "signer": checked.signer });
            output.data(&document, || {
                let Checked { sequence, size, signer, .. } = &checked;
                format!("the proof holds: record {sequence} of {size}, signed by {signer}\n{record}")
            })?;
            Ok(Exit::Done)
        }
        Err(why) => {
            output.data(&json!({ "ok": false, "why": why }), || format!("the proof does not hold: {why}"))?;
            Ok(Exit::Refused)
        }
    }
}

pub(super) fn consistency(data: &DataDir, old: &Path, new: Option<&Path>, output: &Output) -> Outcome {
    let directory = directory(data)?;
    let key = public_key(data, None)?;
    let old = checkpoint_in(old, &key)?;
    let new = new.map(read).transpose()?;
    if new.is_none() {
        let _ = fresh(data);
    }
    let proof = journal::consistency(&directory, old.size, new.as_deref())?;
    say_consistency(proof.check(&old, &key), &old, Some(&proof), output)
}

fn say_consistency(
    checked: Result<Checkpoint, &'static str>,
    old: &Checkpoint,
    proof: Option<&Consistency>,
    output: &Output,
) -> Outcome {
    match checked {
        Ok(new) => {
            let document = json!({ "ok": true, "old": old.size, "new": new.size, "proof": proof.map(ToString::to_string) });
            output.data(&document, || match proof {
                Some(proof) => proof.to_string(),
                None => format!("the checkpoint of {} records continues the one of {}", new.size, old.size),
            })?;
            Ok(Exit::Done)
        }
        Err(why) => {
            output.data(&json!({ "ok": false, "why": why }), || format!("it does not hold: {why}"))?;
            Ok(Exit::Refused)
        }
    }
}

fn checkpoint_in(file: &Path, key: &PublicKey) -> Result<Checkpoint, Failure> {
    let (found, _) = journal::checkpoints_in(&read(file)?, key);
    // Of several, the last: files of checkpoints grow at their end.
    found.last().copied().ok_or_else(|| {
        Failure::bad_input(format!("{} holds no checkpoint that this journal signed", file.display()))
            .hinting("\"cloakroom journal checkpoint\" prints one")
    })
}

fn public_key(data: &DataDir, file: Option<&Path>) -> Result<PublicKey, Failure> {
    read_key(file.map_or_else(|| data.journal().join("key.pub"), Path::to_owned))
}

fn read_key(file: impl AsRef<Path>) -> Result<PublicKey, Failure> {
    PublicKey::open_file(file.as_ref()).map_err(|error| {
        Failure::bad_input(error.to_string())
            .hinting("name the journal's public key: --key FILE (a copy of DIR/journal/key.pub)")
    })
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        Failure::bad_input(format!("cannot read {}: {}", file.display(), plain(&error)))
            .hinting("name a text file")
    })
}
