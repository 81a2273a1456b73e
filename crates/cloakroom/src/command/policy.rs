//! `cloakroom policy …`: works on files alone.

use crate::Outcome;
use crate::catalogue::known_at;
use crate::cli::PolicyCommand;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_policy::{Background, Change, Explained, Finding, Policy, Proof, Verdict};
use serde_json::json;
use std::path::Path;

/// No policy file is larger.
const LARGEST: u64 = 512 * 1024;

pub(super) fn run(data: Option<&Path>, command: PolicyCommand, output: &Output) -> Outcome {
    match command {
        PolicyCommand::Check { file } => check(&file, output),
        PolicyCommand::Diff { old, new } => diff(&old, &new, output),
        PolicyCommand::Lint(options) => super::lint::run(data, &options, output),
        PolicyCommand::Replay(options) => super::replay::run(&options, output),
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

pub(super) fn read(file: &Path) -> Result<Policy, Failure> {
    let (name, text) = text_of(file)?;
    parse(&name, &text)
}

fn check(file: &Path, output: &Output) -> Outcome {
    let policy = read(file)?;
    let (text, mut warnings) = (policy.canonical_text(), policy.lint());
    warnings.extend(policy.uncaptured(&known_at).iter().map(Finding::line));
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
        let allowed = diff.allowed.iter().map(|change| change_text("newly allowed", change));
        let refused = diff.refused.iter().map(|change| change_text("newly refused", change));
        let lines: Vec<String> = allowed.chain(refused).collect();
        match diff.verdict {
            Verdict::Equal => "both allow the same calls".into(),
            verdict => format!("{}\nverdict: {}", lines.join("\n"), verdict.as_str()),
        }
    })?;
    if !diff.exact {
        output.warning("not every change is shown by a call: take what is not proved for a change");
    }
    Ok(Exit::Done)
}

/// A region: the call, the rules that tell it from what both allow, and a call that shows it.
fn change_text(what: &str, change: &Change) -> String {
    let mut lines = vec![format!("{what}: {}", change.call)];
    let proof = match change.proof {
        Proof::Shown if change.rules.is_empty() => "  all that its permit allows there",
        Proof::Shown => "",
        Proof::MoreOften => "  the same calls, more often",
        Proof::NotProved => {
            "  not proved: no call shows it, and the other policy is not proved to allow all of it"
        }
    };
    lines.extend((!proof.is_empty()).then(|| proof.to_owned()));
    lines.extend(change.rules.iter().map(|rule| format!("  where    {rule}")));
    if let Some(example) = &change.example {
        let example: Vec<String> = example.lines();
        let begins = ["  example  "].into_iter().chain(std::iter::repeat("           "));
        lines.extend(begins.zip(example).map(|(begin, line)| format!("{begin}{line}")));
    }
    lines.join("\n")
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
