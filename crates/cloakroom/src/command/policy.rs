//! `cloakroom policy …`: works on files alone.

use crate::Outcome;
use crate::catalogue::known_at;
use crate::cli::PolicyCommand;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_policy::{Background, Explained, Policy, Verdict};
use serde_json::json;
use std::path::Path;

/// No policy file is larger.
const LARGEST: u64 = 512 * 1024;

pub(super) fn run(command: PolicyCommand, output: &Output) -> Outcome {
    match command {
        PolicyCommand::Check { file } => check(&file, output),
        PolicyCommand::Diff { old, new } => diff(&old, &new, output),
        PolicyCommand::Explain { file, method, url } => explain(&file, &method, &url, output),
    }
}

/// The file's name and text.
pub(super) fn text_of(file: &Path) -> Result<(String, String), Failure> {
    let read = std::fs::metadata(file).and_then(|about| match about.len() {
        0..=LARGEST => std::fs::read(file),
        _ => Err(std::io::Error::other("the file is larger than 512 KiB")),
    });
    let bytes = read.map_err(|error| {
        let why = crate::failure::plain(&error);
        Failure::bad_input(format!("cannot read {}: {why}", file.display()))
            .hinting("name a policy file (TOML)")
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::bad_input(format!("{} is not UTF-8 text", file.display())))?;
    Ok((file.display().to_string(), text))
}

/// The policy, or every complaint about it.
pub(super) fn parse(file: &str, text: &str) -> Result<Policy, Failure> {
    Policy::parse(file, text)
        .map_err(|complaints| Failure::bad_policy(complaints.into_iter().map(Into::into).collect()))
}

fn read(file: &Path) -> Result<Policy, Failure> {
    let (name, text) = text_of(file)?;
    parse(&name, &text)
}

fn check(file: &Path, output: &Output) -> Outcome {
    let policy = read(file)?;
    let (text, warnings) = (policy.canonical_text(), policy.lint());
    let remarks = policy.remarks(&Background { destinations: Vec::new(), service: &known_at });
    let document = json!({
        "ok": true,
        "text": text,
        "destinations": policy.destinations(),
        "warnings": warnings,
        "remarks": remarks,
    });
    output.data(&document, || text.clone())?;
    output.talk("what follows from it:");
    remarks.iter().for_each(|line| output.talk(&format!("  {line}")));
    for warning in &warnings {
        output.warning(warning);
    }
    Ok(Exit::Done)
}

fn diff(old: &Path, new: &Path, output: &Output) -> Outcome {
    let diff = Policy::diff(&read(old)?, &read(new)?);
    output.data(&diff, || {
        let allowed = diff.allowed.iter().map(|line| format!("newly allowed: {line}"));
        let refused = diff.refused.iter().map(|line| format!("newly refused: {line}"));
        let lines: Vec<String> = allowed.chain(refused).collect();
        match diff.verdict {
            Verdict::Equal => "both allow the same calls".into(),
            verdict => format!("{}\nverdict: {}", lines.join("\n"), verdict.as_str()),
        }
    })?;
    Ok(Exit::Done)
}

fn explain(file: &Path, method: &str, url: &str, output: &Output) -> Outcome {
    let explained = read(file)?.explain(method, url).map_err(|refusal| {
        Failure::bad_input(refusal.reason())
            .hinting("write the call as METHOD URL, such as GET https://api.example.com/v1")
    })?;
    output.data(&explained, || explained.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(if explained.iter().any(|one| one.allowed) { Exit::Done } else { Exit::Refused })
}

fn line(one: &Explained) -> String {
    let code = one.code.map(|code| format!(" ({code})")).unwrap_or_default();
    match &one.mismatch {
        None if one.allowed => format!("allows   {}", one.permit),
        None => format!("refuses  {}{code}", one.permit),
        Some(why) => format!("refuses  {}: {why}{code}", one.permit),
    }
}
