//! What is legal but wide, each with a word for programs.

use crate::Policy;
use crate::class::{Class, by_method};
use crate::escape::quoted;
use crate::permit::{BodyRule, Permit};
use crate::remarks::{Service, uncaptured};
use crate::signing_text::leaves_body_out;
use crate::template::Template;
use crate::text::warnings;
use cloakroom_model::Destination;

/// Something that is wider than it needs to be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What kind: `tail-path`, `open-path`, `free-body`, `free-fields`, `no-rate`, `unsigned-body`, `look-twice`,
    /// `wide-credential`, `uncaptured` or `unused-permit`.
    pub code: &'static str,
    /// The permit's name, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit: Option<String>,
    /// In words.
    pub text: String,
}

impl Finding {
    /// About one permit.
    pub fn of_permit(code: &'static str, permit: &str, text: String) -> Self {
        Self { code, permit: Some(permit.to_owned()), text }
    }

    /// For people, on one line.
    pub fn line(&self) -> String {
        match &self.permit {
            Some(permit) => format!("permit {}: {}", quoted(permit), self.text),
            None => self.text.clone(),
        }
    }
}

impl Policy {
    /// Warnings about what is legal but wide: tails, writes without body constraint, secrets in URLs, plain http.
    pub fn lint(&self) -> Vec<String> {
        self.findings().iter().map(Finding::line).collect()
    }

    /// The same, told apart by kind.
    pub fn findings(&self) -> Vec<Finding> {
        self.permits().iter().flat_map(of_permit).collect()
    }

    /// Permits for token endpoints that are known, without `capture`.
    pub fn uncaptured(&self, service: &dyn Fn(&Destination) -> Option<Service>) -> Vec<Finding> {
        let found = |permit: &Permit| {
            let words = uncaptured(permit, &service(&permit.to)?)?;
            Some(Finding::of_permit("uncaptured", &permit.name, words))
        };
        self.permits().iter().filter_map(found).collect()
    }

    /// Where a credential with these destinations may go and no permit of this policy leads.
    pub fn wider_than_permits(&self, credential: &[Destination]) -> Vec<Finding> {
        let named = self.destinations();
        let unnamed = credential.iter().filter(|to| !named.contains(to));
        let text = |to: &Destination| format!("the credential may go to {to}, and no permit leads there");
        unnamed.map(|to| Finding { code: "wide-credential", permit: None, text: text(to) }).collect()
    }

    /// The names of the permits.
    pub fn permit_names(&self) -> impl Iterator<Item = &str> {
        self.permits().iter().map(|permit| permit.name.as_str())
    }
}

fn of_permit(permit: &Permit) -> Vec<Finding> {
    let finding = |code, text| Finding::of_permit(code, &permit.name, text);
    let mut found: Vec<Finding> =
        warnings(permit).into_iter().map(|text| finding("look-twice", text)).collect();
    for call in &permit.calls {
        let shown = format!("{} {}", call.method(), call.shown_path());
        if call.has_tail() {
            found.push(finding("tail-path", format!("{shown} allows every path below")));
        } else if call.is_open() && call.parameters().next().is_some() {
            found.push(finding("open-path", format!("{shown} names no part of the path")));
        }
        if let Some((code, words)) = free_body(permit, call) {
            found.push(finding(code, format!("{shown} {words}")));
        }
    }
    if leaves_body_out(permit) {
        found.push(finding("unsigned-body", "the signature does not cover the body".to_owned()));
    }
    if permit.rate.is_none() {
        found.push(finding("no-rate", "the rate is not limited".to_owned()));
    }
    found
}

/// A write whose body says more than the permit looks at.
fn free_body(permit: &Permit, call: &Template) -> Option<(&'static str, &'static str)> {
    // What is deleted stands in the path.
    if by_method(call.method()) == Class::Read || call.method() == "DELETE" {
        return None;
    }
    match &permit.body {
        BodyRule::Any { .. } => Some(("free-body", "does not constrain the body")),
        BodyRule::Form { closed: false, .. } => Some(("free-fields", "allows every form field")),
        BodyRule::Json { only: false, fields, .. } if fields.is_empty() => {
            Some(("free-fields", "allows every json body"))
        }
        BodyRule::Form { .. } | BodyRule::Json { .. } | BodyRule::None => None,
    }
}
