//! `cloakroom policy lint`: what is wider than it needs to be, in a policy, beside it and over time.

use super::recorded::Recorded;
use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::catalogue::known_at;
use crate::cli::LintArguments;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::wire::{CredentialView, GrantedView};
use cloakroom_model::{Destination, PlaceholderId, Timestamp};
use cloakroom_policy::{Finding, Policy};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// What is looked at.
struct Subject {
    policy: Policy,
    placeholder: Option<PlaceholderId>,
    /// Where the credential may go; none where it is not known.
    credential: Option<Vec<Destination>>,
    /// Before this it could not be used.
    begins: Option<u64>,
    recorded: Option<Recorded>,
}

pub(super) fn run(data: Option<&Path>, options: &LintArguments, output: &Output) -> Outcome {
    let subject = match &options.placeholder {
        Some(id) => of_placeholder(data, id, options)?,
        None => of_file(data, options)?,
    };
    let mut findings = subject.policy.findings();
    findings.extend(subject.policy.uncaptured(&known_at));
    if let Some(destinations) = &subject.credential {
        findings.extend(subject.policy.wider_than_permits(destinations));
    }
    if let Some(recorded) = &subject.recorded {
        findings.extend(unused(&subject, recorded, options.unused));
    }
    let document = json!({ "ok": findings.is_empty(), "findings": findings });
    output.data(&document, || match findings.is_empty() {
        true => "nothing is wider than it needs to be, as far as can be told".to_owned(),
        false => {
            let lines = findings.iter().map(|finding| format!("{}: {}", finding.code, finding.line()));
            lines.collect::<Vec<_>>().join("\n")
        }
    })?;
    Ok(if options.deny && !findings.is_empty() { Exit::Refused } else { Exit::Done })
}

fn of_file(data: Option<&Path>, options: &LintArguments) -> Result<Subject, Failure> {
    let file = options.file.as_deref().ok_or_else(|| Failure::bad_input("name a policy file"))?;
    let policy = super::policy::read(file)?;
    let credential = match &options.credential {
        None => None,
        Some(name) => {
            let broker = Broker::of(&DataDir::find(data)?)?;
            let shown: CredentialView = broker.read(&format!("credentials/{}", segment(name)?))?;
            Some(shown.destinations)
        }
    };
    let recorded = options.journal.as_deref().map(|journal| Recorded::read(journal, 0)).transpose()?;
    Ok(Subject { policy, placeholder: None, credential, begins: None, recorded })
}

fn of_placeholder(data: Option<&Path>, id: &str, options: &LintArguments) -> Result<Subject, Failure> {
    let data = DataDir::find(data)?;
    let granted: Vec<GrantedView> = Broker::of(&data)?.read("tuples")?;
    let one = granted.into_iter().find(|one| one.id.to_string() == id).ok_or_else(|| {
        Failure::bad_input("there is no such placeholder").hinting("list them: cloakroom placeholder list")
    })?;
    let journal = match &options.journal {
        Some(journal) => journal.clone(),
        None => super::journal::directory(&data)?,
    };
    Ok(Subject {
        policy: super::policy::parse("policy", &one.policy)?,
        placeholder: Some(one.id),
        credential: Some(one.destinations),
        begins: one.begins,
        recorded: Some(Recorded::read(&journal, 0)?),
    })
}

/// Permits that no call used within the span. Of a file alone permits are known by their names.
fn unused(subject: &Subject, recorded: &Recorded, span: Duration) -> Vec<Finding> {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let since = Timestamp::now().millis().saturating_sub(millis);
    // What could not be used for so long yet is not called unused.
    if subject.begins.is_some_and(|begins| begins > since) {
        return Vec::new();
    }
    let last = |permit: &str| {
        let of_permit = recorded.intents.iter().filter(|intent| {
            intent.uses.iter().any(|used| {
                used.permit == permit && subject.placeholder.is_none_or(|own| own == used.placeholder)
            })
        });
        of_permit.map(|intent| intent.at).max()
    };
    let finding = |permit: &str| match last(permit) {
        Some(at) if at.millis() >= since => None,
        Some(at) => Some(Finding::of_permit("unused-permit", permit, format!("no call used it since {at}"))),
        None => Some(Finding::of_permit("unused-permit", permit, "no call on record used it".to_owned())),
    };
    subject.policy.permit_names().filter_map(finding).collect()
}
