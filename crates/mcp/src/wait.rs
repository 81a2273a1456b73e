//! `await_outcome`: shows a person the page where they decide, and waits until they have.

use crate::handler::{Arguments, Asking, Handler, lacking, said};
use crate::plain;
use crate::tools::{LONGEST_PATIENCE, PATIENCE};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ElicitRequest, ElicitRequestParams, ErrorData,
    InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is asked whether somebody has decided.
const OFTEN: Duration = Duration::from_millis(500);
/// The name under which the person's answer comes back.
const DECIDE: &str = "decide";

impl Handler {
    pub(crate) async fn await_outcome(
        &self,
        asking: &Asking,
        request: &CallToolRequestParams,
        arguments: &Arguments<'_>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let id = id(arguments)?;
        let until = Instant::now() + patience(arguments)?;
        let mut has_answered = request.input_responses.is_some();
        loop {
            let result = said(asking.ask(format!("/.cloakroom/requests/{id}"), None).await?);
            if !is_waiting(&result) {
                return Ok(result.into());
            }
            if !has_answered
                && let Some(link) = link(&result)
                && can_show(context)
                && self.show_once(id)
            {
                has_answered = true;
                match shown_inline(context) {
                    true => return Ok(input_required(id, link).into()),
                    // Opening the page is the person's affair: whatever they answer, the broker says what was decided.
                    false => drop(context.peer.create_elicitation(params(id, link)).await),
                }
            }
            if Instant::now() + OFTEN >= until {
                return Ok(result.into());
            }
            tokio::select! {
                () = context.ct.cancelled() => return Ok(result.into()),
                () = tokio::time::sleep(OFTEN) => {}
            }
        }
    }
}

/// The id of a proposal or an approval, and nothing else: it becomes part of a path.
fn id<'a>(arguments: &'a Arguments<'_>) -> Result<&'a str, ErrorData> {
    let id = arguments.text("id", 29)?.ok_or_else(|| lacking("id"))?;
    let ulid = id.strip_prefix("pr_").or_else(|| id.strip_prefix("ap_"));
    let fine = |ulid: &str| ulid.len() == 26 && ulid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match ulid.is_some_and(fine) {
        true => Ok(id),
        false => Err(ErrorData::invalid_params(
            "id is that of a request (pr_...) or of an approval (ap_...)",
            None,
        )),
    }
}

fn patience(arguments: &Arguments<'_>) -> Result<Duration, ErrorData> {
    let seconds = match arguments.0.as_ref().and_then(|members| members.get("seconds")) {
        None | Some(Value::Null) => Some(PATIENCE),
        Some(value) => value.as_u64().filter(|seconds| *seconds <= LONGEST_PATIENCE),
    };
    let wrong = || ErrorData::invalid_params(format!("seconds is a number up to {LONGEST_PATIENCE}"), None);
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

fn is_waiting(result: &CallToolResult) -> bool {
    result.structured_content.as_ref().is_some_and(|document| document["state"] == "waiting")
}

fn link(result: &CallToolResult) -> Option<&str> {
    result.structured_content.as_ref()?["decide"].as_str().filter(|text| plain::is_link(text))
}

/// Whether the agent's client shows people links.
fn can_show(context: &RequestContext<RoleServer>) -> bool {
    let elicitation = context.client_capabilities().and_then(|can| can.elicitation);
    elicitation.is_some_and(|elicitation| elicitation.url.is_some())
}

/// SPEC: since 2026-07-28 a server asks for input in its result, and the client calls again; before, it sent a request of its own.
fn shown_inline(context: &RequestContext<RoleServer>) -> bool {
    let spoken = context.protocol_version();
    spoken.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

fn input_required(id: &str, link: &str) -> InputRequiredResult {
    let request = InputRequest::Elicitation(ElicitRequest::new(params(id, link)));
    InputRequiredResult::new(Some(InputRequests::from([(DECIDE.to_owned(), request)])), Some(id.to_owned()))
}

fn params(id: &str, link: &str) -> ElicitRequestParams {
    ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: format!(
            "A person has to decide on {id}. The page shows exactly what is asked; opening it approves nothing."
        ),
        url: link.to_owned(),
        elicitation_id: id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_id_is_waited_for_and_not_for_ever() {
        let with = |arguments: Value| match arguments {
            Value::Object(members) => Some(members),
            _ => None,
        };
        let good = "pr_01M8JHXRPR1G6PF3BQCZB35PWQ";
        assert_eq!(id(&Arguments(&with(json!({ "id": good })))).ok(), Some(good));
        for wrong in ["", "pr_", "ph_01M8JHXRPR1G6PF3BQCZB35PWQ", "pr_01M8JHXRPR1G6PF3BQCZB35P/.", "../claim"]
        {
            assert!(id(&Arguments(&with(json!({ "id": wrong })))).is_err(), "{wrong}");
        }
        let waits = |seconds: Value| patience(&Arguments(&with(json!({ "seconds": seconds })))).ok();
        assert_eq!(waits(Value::Null), Some(Duration::from_secs(PATIENCE)));
        assert_eq!(waits(json!(300)), Some(Duration::from_secs(300)));
        assert_eq!((waits(json!(301)), waits(json!(-1)), waits(json!("x"))), (None, None, None));
    }
}
