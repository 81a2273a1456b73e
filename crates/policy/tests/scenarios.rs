//! The cases in `scenarios/policy`: one policy and many calls in a file, each with its outcome.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Call, Refusal, Upgrade};
use cloakroom_policy::Policy;
use kit::{Desk, NOW};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A scenario file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// The policy file, verbatim.
    policy: String,
    /// The policy of a second placeholder of the same workload, if there is one.
    other_policy: Option<String>,
    /// The call that works.
    call: Base,
    /// The same call, one step different.
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    upgrade: Option<Upgrade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// `allowed` or a refusal's code.
    expect: String,
    /// The permit that allowed it, or came closest.
    permit: Option<String>,
    method: Option<String>,
    url: Option<String>,
    /// Headers that are set to another value.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Headers that are added, even if they are there.
    #[serde(default)]
    add: Vec<(String, String)>,
    /// Headers that are left out.
    #[serde(default)]
    drop: Vec<String>,
    body: Option<String>,
    /// The protocol that is asked for; an empty text asks for none.
    upgrade: Option<String>,
    /// The security event that the refusal is; an empty text: none.
    event: Option<String>,
    /// Whether a Basic challenge has to be offered.
    challenge: Option<bool>,
}

struct Texts {
    own: String,
    other: String,
    foreign: String,
}

impl Texts {
    /// Puts placeholders into a text, plain or encoded.
    fn fill(&self, text: &str) -> String {
        let own = &self.own;
        let percent: String = own.bytes().map(|b| format!("%{b:02X}")).collect();
        let unicode: String = own.bytes().map(|b| format!("\\u{b:04x}")).collect();
        let hex: String = own.bytes().map(|b| format!("{b:02x}")).collect();
        [
            ("<ph>", own.clone()),
            ("<other>", self.other.clone()),
            ("<foreign>", self.foreign.clone()),
            ("<half>", own[..own.len() / 2].to_owned()),
            ("<typo>", format!("{}~", &own[..own.len() - 1])),
            ("<percent>", percent),
            ("<unicode>", unicode),
            ("<hex>", hex),
            ("<base64>", STANDARD.encode(own)),
            ("<base64-user>", STANDARD.encode(format!("{own}:"))),
            ("<base64-user-x>", STANDARD.encode(format!("{own}:x"))),
            ("<base64-password>", STANDARD.encode(format!("git:{own}"))),
            ("<base64-password-colon>", STANDARD.encode(format!("git:x:{own}"))),
            ("<base64-both>", STANDARD.encode(format!("{own}:{own}"))),
            ("<base64-smuggled>", STANDARD.encode(format!("{}:{own}", STANDARD.encode(own)))),
            ("<base64-two>", STANDARD.encode(format!("{}:{own}", self.other))),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (mark, value)| text.replace(mark, &value))
    }
}

impl Case {
    fn call(&self, base: &Base, texts: &Texts) -> Result<Call, Refusal> {
        let mut headers: BTreeMap<String, String> = base.headers.clone();
        headers.extend(self.set.clone());
        self.drop.iter().for_each(|name| drop(headers.remove(name)));
        let headers: Vec<(String, String)> = headers
            .into_iter()
            .chain(self.add.iter().cloned())
            .map(|(name, value)| (name, texts.fill(&value)))
            .collect();
        let url = texts.fill(self.url.as_deref().unwrap_or(&base.url));
        let body = texts.fill(self.body.as_deref().unwrap_or(&base.body));
        let upgrade = match self.upgrade.as_deref() {
            None => base.upgrade,
            Some("") => None,
            Some("websocket") => Some(Upgrade::WebSocket),
            Some(other) => panic!("{}: unknown upgrade {other:?}", self.name),
        };
        let method = self.method.as_deref().unwrap_or(&base.method);
        kit::call(method, &url, &headers, body.as_bytes()).map(|call| Call { upgrade, ..call })
    }
}

fn check(file: &str, text: &str) -> Vec<String> {
    let scenario: Scenario = toml::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let parse = |text: &str| Policy::parse(file, text).unwrap_or_else(|complaints| panic!("{complaints:#?}"));
    let mut failures = Vec::new();
    for case in &scenario.cases {
        // Each case has rows of its own, so that no rate or order connects them.
        let mut desk = Desk::new();
        let robot = desk.workload("robot");
        let stranger = desk.workload("stranger");
        let policy = parse(&scenario.policy);
        let (_, own) = desk.issue_active(robot, &policy);
        let other = scenario.other_policy.as_deref().map(parse);
        let (_, other) = desk.issue_active(robot, other.as_ref().unwrap_or(&policy));
        let (_, foreign) = desk.issue_active(stranger, &policy);
        let texts = Texts { own, other, foreign };
        let set = desk.set();
        let result = case
            .call(&scenario.call, &texts)
            .and_then(|call| kit::decide(call, desk.principal(robot), &set, NOW));
        let (outcome, permit, challenge, event) = match &result {
            Ok(authorized) => {
                let uses = authorized.uses();
                assert!(uses.iter().all(|used| used.text() == texts.own || used.text() == texts.other));
                ("allowed".to_owned(), uses.first().map(|used| used.permit().to_owned()), false, None)
            }
            Err(refusal) => {
                let facts = refusal.facts();
                (refusal.code().to_string(), facts.permit.clone(), facts.challenge, refusal.event_kind())
            }
        };
        let permit_fits = case.permit.is_none() || case.permit == permit;
        let challenge_fits = case.challenge.is_none_or(|expected| expected == challenge);
        let event = event.map_or("", |kind| kind.as_str());
        let event_fits = case.event.as_ref().is_none_or(|expected| expected == event);
        if outcome != case.expect || !permit_fits || !challenge_fits || !event_fits {
            failures.push(format!(
                "{file}: {}: expected {}, got {outcome} {event:?} ({result:?})",
                case.name, case.expect
            ));
        }
    }
    failures
}

#[test]
fn every_scenario_comes_out_as_it_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/policy");
    let mut failures = Vec::new();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files += 1;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            failures.extend(check(&name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(files >= 8, "only {files} scenario files were found");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
