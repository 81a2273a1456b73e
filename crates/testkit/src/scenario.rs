//! Scenario files: one call that works, and the same call one step wrong, many times.

use crate::wire::{Request, Way};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the call does, as a sentence.
    pub name: String,
    /// The credential's kind.
    pub kind: String,
    /// The public prefix of the credential's format; the canary's tail follows.
    pub prefix: String,
    /// The policy, with `{upstream}` for the destination.
    pub policy: String,
    /// The call that works.
    pub call: Step,
    /// What the upstream must have received: texts in the head or the body, with `{secret}`.
    pub arrives: Vec<String>,
    /// The same call, one step wrong.
    pub wrong: Vec<Step>,
}

/// A call, or what of it differs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What is wrong, as a phrase.
    #[serde(default)]
    pub name: String,
    /// The refusal it must get.
    #[serde(default)]
    pub code: String,
    /// The ways in for which this holds; all where absent.
    pub ways: Option<Vec<String>>,
    /// The method.
    pub method: Option<String>,
    /// Path and query.
    pub target: Option<String>,
    /// `host:port` of the destination, where it is not the upstream's.
    pub authority: Option<String>,
    /// What `Host` says.
    pub host: Option<String>,
    /// Header fields: an empty text takes one away.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A header line that is sent in addition, so that a name can occur twice.
    pub extra_header: Option<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// So many spaces are put behind the body.
    #[serde(default)]
    pub padding: usize,
    /// Which workload calls: `robot` or `other`.
    pub workload: Option<String>,
}

/// What stands for the braces in a scenario.
pub struct Meanings<'a> {
    /// `127.0.0.1:PORT`.
    pub authority: &'a str,
    /// The placeholder.
    pub placeholder: &'a str,
    /// The secret behind it.
    pub secret: &'a str,
}

impl Meanings<'_> {
    /// Replaces `{upstream}`, `{authority}`, `{port}`, `{placeholder}`, `{secret}`, and the Basic values `{basic-user}`,
    /// `{basic-password}`, `{basic-user-secret}`, `{basic-password-secret}`.
    pub fn fill(&self, text: &str) -> String {
        let basic = |user: &str, password: &str| STANDARD.encode(format!("{user}:{password}"));
        let port = self.authority.rsplit(':').next().unwrap_or_default();
        text.replace("{upstream}", &format!("https://{}", self.authority))
            .replace("{authority}", self.authority)
            .replace("{port}", port)
            .replace("{placeholder}", self.placeholder)
            .replace("{secret}", self.secret)
            .replace("{basic-user}", &basic(self.placeholder, ""))
            .replace("{basic-password}", &basic("robot", self.placeholder))
            .replace("{basic-user-secret}", &basic(self.secret, ""))
            .replace("{basic-password-secret}", &basic("robot", self.secret))
    }
}

impl Scenario {
    /// Every `.toml` file of a directory, in order.
    pub fn all(directory: &Path) -> Vec<Self> {
        let mut files: Vec<_> =
            std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        let read = |file: &std::path::PathBuf| {
            let text = std::fs::read_to_string(file).unwrap();
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        files.iter().map(read).collect()
    }

    /// The call that works.
    pub fn right(&self, meanings: &Meanings<'_>) -> Request {
        self.changed_by(&Step::default(), meanings)
    }

    /// The call with one step changed.
    pub fn changed_by(&self, step: &Step, meanings: &Meanings<'_>) -> Request {
        let call = &self.call;
        let pick = |changed: &Option<String>, usual: &Option<String>, fallback: &str| {
            meanings.fill(changed.as_deref().or(usual.as_deref()).unwrap_or(fallback))
        };
        let mut request = Request::new(
            &pick(&step.method, &call.method, "GET"),
            &pick(&step.authority, &call.authority, "{authority}"),
            &pick(&step.target, &call.target, "/"),
        );
        request.host = step.host.as_ref().map(|host| meanings.fill(host));
        let mut headers = call.headers.clone();
        headers.extend(step.headers.clone());
        headers.retain(|_, value| !value.is_empty());
        request.headers = headers.into_iter().map(|(name, value)| (name, meanings.fill(&value))).collect();
        if let Some((name, value)) = &step.extra_header {
            request.headers.push((name.clone(), meanings.fill(value)));
        }
        let padding = " ".repeat(step.padding);
        request.body = (pick(&step.body, &call.body, "") + &padding).into_bytes();
        request
    }
}

impl Step {
    /// The ways in for which it holds.
    pub fn ways(&self) -> Vec<Way> {
        let named = |way: &Way| {
            let name = match way {
                Way::Connect => "connect",
                Way::Absolute => "absolute",
                Way::BaseUrl => "base-url",
            };
            self.ways.as_ref().is_none_or(|ways| ways.iter().any(|way| way == name))
        };
        Way::ALL.into_iter().filter(named).collect()
    }
}
