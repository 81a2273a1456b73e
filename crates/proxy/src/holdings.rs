//! `GET /.cloakroom/`: a workload asks what it holds, what that is good for, and how to ask for more.

use crate::ask::Said;
use crate::desk::Desk;
use crate::problem;
use crate::reply::{AnswerBody, own};
use cloakroom_model::{Principal, Timestamp};
use cloakroom_policy::{Holding, quoted};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use std::fmt::Write;

/// So many are told of at most.
const MOST: usize = 100;
const HOW: &str = "Put the placeholder where the credential would stand and make the ordinary call through this listener: as HTTP proxy \
(your name and key are its user and password), or as base URL /to/AUTHORITY/PATH with the header Cloakroom-Workload: KEY. \
What is refused says why: \"code\", \"detail\" and \"hint\" of the answer.";

impl Desk {
    /// What the workload holds, in JSON or in plain words. No placeholder is in it: whoever holds one has it.
    ///
    /// # Errors
    /// `rate-limited` where too many of its calls are under way.
    pub(crate) fn tell_holdings(
        &self,
        principal: &Principal,
        said: Said,
    ) -> Result<Response<AnswerBody>, cloakroom_model::Refusal> {
        let _underway = self.shared.calls.begin(principal.workload())?;
        let proxy = &self.shared.proxy;
        let holdings = proxy.policies.load().holdings(principal, Timestamp::now());
        let told: Vec<(&Holding, Option<u32>)> = holdings
            .iter()
            .take(MOST)
            .map(|holding| (holding, proxy.uses.left(holding.placeholder)))
            .collect();
        let (kind, text) = match said {
            Said::Json => ("application/json", document(principal, &told, holdings.len()).to_string()),
            Said::Words => ("text/plain; charset=utf-8", words(principal, &told, holdings.len())),
        };
        let mut response = Response::new(own(text.into()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }
}

fn document(principal: &Principal, told: &[(&Holding, Option<u32>)], of: usize) -> Value {
    let placeholders = told.iter().map(|(holding, left)| {
        let permits = holding.permits.iter().map(|permit| {
            let (to, place) = (permit.to.to_string(), &permit.place);
            json!({ "name": permit.name, "to": to, "call": permit.calls, "place": place, "facts": permit.facts })
        });
        json!({
            "id": holding.placeholder,
            "credential": holding.credential,
            "state": state(holding),
            "why": holding.dormant.as_ref().map(|refusal| refusal.reason()),
            "expires": holding.expires.map(|end| end.to_string()),
            "uses_left": left,
            "permits": permits.collect::<Vec<_>>(),
        })
    });
    json!({
        "workload": principal.name(),
        "placeholders": placeholders.collect::<Vec<_>>(),
        "more": of - told.len(),
        "how": HOW,
        "ask": problem::ASK,
    })
}

fn state(holding: &Holding) -> &'static str {
    holding.dormant.as_ref().map_or("active", |refusal| refusal.code().as_str())
}

fn words(principal: &Principal, told: &[(&Holding, Option<u32>)], of: usize) -> String {
    let held = match of {
        0 => "no placeholder".into(),
        1 => "1 placeholder".into(),
        many => format!("{many} placeholders"),
    };
    let mut text = format!("You are workload {}. You hold {held}.\n{HOW}\n", principal.name());
    for (holding, left) in told {
        let credential = holding.credential.as_ref().map_or("?", |name| name.as_str());
        let _ = write!(text, "\nplaceholder {} for {credential}: {}", holding.placeholder, state(holding));
        if let Some(refusal) = &holding.dormant {
            let _ = write!(text, " ({})", refusal.reason());
        }
        if let Some(left) = left {
            let _ = write!(text, ", {left} uses left");
        }
        if let Some(end) = holding.expires {
            let _ = write!(text, ", until {end}");
        }
        text.push('\n');
        for permit in &holding.permits {
            let _ = writeln!(text, "  permit {}", quoted(&permit.name));
            for fact in &permit.facts {
                let _ = writeln!(text, "    {fact}");
            }
        }
    }
    if of > told.len() {
        let _ = writeln!(text, "\nNot listed: {} more.", of - told.len());
    }
    let _ = writeln!(text, "\nTo ask for more: {}.\nAs JSON: Accept: application/json", problem::ASK);
    text
}
