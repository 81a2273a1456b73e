//! `cloakroom journal …`: reads the files; a broker may run or not.

mod export;
mod proofs;

use crate::Outcome;
use crate::cli::JournalCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::progress::{Progress, Unit};
use cloakroom_model::Timestamp;
use cloakroom_store::journal::{self, Entry, Record, Verdict};
use serde_json::json;
use std::io::ErrorKind;
use std::path::PathBuf;

pub(super) fn run(data: &DataDir, command: JournalCommand, output: &Output) -> Outcome {
    match command {
        JournalCommand::Show { since } => {
            let records = journal::read(&directory(data)?, since)?;
            output.data(&records, || rows(&records))?;
            Ok(Exit::Done)
        }
        JournalCommand::Verify { witness, key } => {
            let directory = directory(data)?;
            let witness = proofs::witness(data, witness.as_deref(), key.as_deref(), output)?;
            let mut progress =
                Progress::begin(output, "verifying the journal", Unit::Bytes, journal::size(&directory)?);
            let verdict = journal::verify_against(&directory, witness, &mut |bytes| progress.add(bytes))?;
            drop(progress);
            verify(&verdict, output)
        }
        JournalCommand::Checkpoint => proofs::checkpoint(data, output),
        JournalCommand::Prove { record } => proofs::prove(data, &record, output),
        JournalCommand::Check { proof, key, since } => {
            proofs::check(data, &proof, key.as_deref(), since.as_deref(), output)
        }
        JournalCommand::Consistency { old, new } => proofs::consistency(data, &old, new.as_deref(), output),
        JournalCommand::Export { format, since } => {
            export::run(&directory(data)?, format, since, output)?;
            Ok(Exit::Done)
        }
    }
}

/// Where the journal is, if it is there.
pub(crate) fn directory(data: &DataDir) -> Result<PathBuf, Failure> {
    let directory = data.journal();
    match directory.metadata() {
        Ok(found) if found.is_dir() => Ok(directory),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(Failure::file("read", &directory, &error).hinting("run the command as the broker's user"))
        }
        _ => Err(Failure::failed(format!("there is no journal in {}", data.path().display()))
            .hinting("name the data directory: --data DIR")),
    }
}

fn verify(verdict: &Verdict, output: &Output) -> Outcome {
    output.data(verdict, || match &verdict.first_bad {
        None => format!(
            "the journal verifies: {}{}, {}, {}, root {}{}",
            counted(verdict.records, "record"),
            if verdict.retired > 0 { format!(" ({} retired)", verdict.retired) } else { String::new() },
            counted(verdict.segments, "segment"),
            counted(verdict.checkpoints, "signed checkpoint"),
            verdict.root,
            verdict.witnessed.map(|size| format!(", witnessed up to record {size}")).unwrap_or_default()
        ),
        Some(bad) => format!(
            "the journal does not verify: {} at offset {}, record {}: {}",
            bad.segment, bad.offset, bad.sequence, bad.why
        ),
    })?;
    if verdict.unfinished_bytes > 0 {
        let bytes = verdict.unfinished_bytes;
        output.warning(&format!(
            "{bytes} bytes of an unfinished record stand at the end; the next start removes them"
        ));
    }
    Ok(if verdict.ok { Exit::Done } else { Exit::Refused })
}

fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Records as a table: sequence, time, kind, and what the entry says.
pub(super) fn rows(records: &[Record]) -> String {
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    table(&["SEQUENCE", "TIME", "KIND", "WHAT"], &rows)
}

fn row(record: &Record) -> Vec<String> {
    let mut entry = serde_json::to_value(&record.entry).unwrap_or_else(|_| json!({}));
    let mut taken = |key: &str| entry.as_object_mut().and_then(|members| members.shift_remove(key));
    let kind = taken("kind").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let at = taken("at").and_then(|at| at.as_u64()).map(|at| Timestamp::from_millis(at).to_string());
    vec![record.sequence.to_string(), at.unwrap_or_default(), kind, what(&record.entry, &entry)]
}

/// The entry in words, for those a person reads most; members for the others.
fn what(entry: &Entry, members: &serde_json::Value) -> String {
    match entry {
        Entry::Intent(intent) => {
            format!("{} {} {}{}", intent.request, intent.method, intent.destination, intent.path)
        }
        Entry::Act { act, subject, name, by, .. } => {
            let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("{act}{name} {subject} by {by}")
        }
        _ => {
            let pairs = members.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
            let text = pairs.map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}={}", text.escape_debug()),
                None => format!("{key}={value}"),
            });
            text.collect::<Vec<_>>().join(" ")
        }
    }
}
