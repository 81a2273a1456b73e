//! `cloakroom doctor`: looks at what tends to be wrong, says what it saw, and what to do about it. Changes nothing.

mod broker;
mod clock;
mod data;
mod names;
mod rungs;
mod trust;

use crate::Outcome;
use crate::cli::doctor::DoctorArguments;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, table};
use serde::Serialize;
use serde_json::json;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    /// As it should be.
    Good,
    /// Worth knowing; whether it should be otherwise is a matter of where this runs.
    Note,
    /// It works, and could be safer or fail soon.
    Weak,
    /// It does not work, or is not safe.
    Broken,
}

impl Standing {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Weak => "WEAK",
            Self::Broken => "BROKEN",
        }
    }
}

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: String,
    standing: Standing,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn new(check: impl Into<String>, standing: Standing, found: impl Into<String>) -> Self {
        Self { check: check.into(), standing, found: found.into(), remedy: None }
    }

    fn good(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(check, Standing::Good, found)
    }

    /// Adds what to do about it.
    fn remedied_by(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A command of ours that failed says itself what to do.
    fn of_failure(check: impl Into<String>, standing: Standing, failure: &Failure) -> Self {
        Self { remedy: failure.hint().map(str::to_owned), ..Self::new(check, standing, failure.to_string()) }
    }
}

/// Looks, and says. Ends with 1 where something is broken.
pub(crate) fn run(data: &DataDir, options: &DoctorArguments, output: &Output) -> Outcome {
    let mut findings = Vec::new();
    if !options.as_workload {
        findings.extend(data::look(data));
        findings.extend(broker::look(data));
        findings.extend(clock::look(data));
        findings.push(names::look(options.config.as_deref()));
    }
    findings.extend(trust::look(data, options));
    findings.extend(rungs::look(data, options.kernel.as_deref()));
    let worst = findings.iter().map(|finding| finding.standing).max().unwrap_or(Standing::Good);
    output.data(&json!({ "standing": worst, "findings": findings }), || said(&findings))?;
    Ok(if worst == Standing::Broken { Exit::Failed } else { Exit::Done })
}

fn said(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let remedy = finding.remedy.as_deref().map(|remedy| format!(" — {remedy}")).unwrap_or_default();
        vec![finding.check.clone(), finding.standing.word().into(), format!("{}{remedy}", finding.found)]
    };
    let count = |standing| findings.iter().filter(|finding| finding.standing == standing).count();
    let (broken, weak) = (count(Standing::Broken), count(Standing::Weak));
    let verdict = match (broken, weak) {
        (0, 0) => "nothing is broken or weak".to_owned(),
        _ => format!("{broken} broken, {weak} weak"),
    };
    format!("{}\n{verdict}", table(&["what", "", "found"], &findings.iter().map(row).collect::<Vec<_>>()))
}

/// Where a program is that this environment would start by this name.
fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}
