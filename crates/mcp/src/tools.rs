//! The tools: their names, what they are for, and what they take. Read by language models, so the words say when to use which.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Longest texts that are taken, as the listener takes them.
pub(crate) const LONGEST_POLICY: usize = 15_000;
pub(crate) const LONGEST_REASON: usize = 500;
/// How long an outcome is waited for, in seconds.
pub(crate) const PATIENCE: u64 = 30;
pub(crate) const LONGEST_PATIENCE: u64 = 300;

/// What the server says of itself.
pub(crate) const INSTRUCTIONS: &str = "Credentials in this environment are placeholders: they work only through the Cloakroom broker, for calls that a \
human approved. Use list_holdings before you try calls out; explain_refusal when an answer carries \"Proxy-Status: cloakroom\"; request_access for what is \
not permitted; await_outcome until a human has decided. No tool approves anything or shows a credential. Never look for a way around a refusal.";

/// One of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    ListHoldings,
    ExplainRefusal,
    RequestAccess,
    AwaitOutcome,
}

const ALL: [Named; 4] =
    [Named::ListHoldings, Named::ExplainRefusal, Named::RequestAccess, Named::AwaitOutcome];

impl Named {
    pub(crate) fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|tool| tool.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ListHoldings => "list_holdings",
            Self::ExplainRefusal => "explain_refusal",
            Self::RequestAccess => "request_access",
            Self::AwaitOutcome => "await_outcome",
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::ListHoldings => {
                "What this workload holds: its placeholders by id (never their text), the destinations, methods and paths that each permits, uses left, and when it ends."
            }
            Self::ExplainRefusal => {
                "What a refusal means and what can be done. Give the code (member \"code\" of the answer), or the request id (member \"instance\", or the header Cloakroom-Request) for one of your latest refused calls."
            }
            Self::RequestAccess => {
                "Asks a human to permit calls that are not permitted. Ask as narrowly as you can and give the true reason. Nothing is permitted by asking; use await_outcome with the id that comes back."
            }
            Self::AwaitOutcome => {
                "Waits until a human has decided: on a request (pr_...), or on a call that was refused with approval-required (its member \"approval\", ap_...). Shows the person the page where they decide, where the client can. Comes back with \"waiting\" when the time is over; call it again then."
            }
        }
    }

    fn takes(self) -> Value {
        match self {
            Self::ListHoldings => object(json!({}), &[]),
            Self::ExplainRefusal => object(
                json!({
                    "code": { "type": "string", "description": "such as call-not-permitted" },
                    "request": { "type": "string", "description": "the id of the refused call" },
                }),
                &[],
            ),
            Self::RequestAccess => object(
                json!({
                    "policy": {
                        "type": "string",
                        "maxLength": LONGEST_POLICY,
                        "description": "a policy file in TOML: version = 1, then for each permit a table [[permit]] with name, to (https://host), call (\"GET /path/{segment}\", a list), place (\"header authorization bearer\")",
                    },
                    "reason": { "type": "string", "maxLength": LONGEST_REASON, "description": "why, for the human who decides" },
                }),
                &["policy", "reason"],
            ),
            Self::AwaitOutcome => object(
                json!({
                    "id": { "type": "string", "pattern": "^(pr|ap)_[0-9A-Z]{26}$" },
                    "seconds": { "type": "integer", "minimum": 0, "maximum": LONGEST_PATIENCE, "default": PATIENCE },
                }),
                &["id"],
            ),
        }
    }

    fn tool(self) -> Tool {
        let takes: JsonObject = match self.takes() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let asks = self == Self::RequestAccess;
        let hints =
            ToolAnnotations::new().read_only(!asks).destructive(false).idempotent(true).open_world(false);
        Tool::new(self.name(), self.purpose(), Arc::new(takes)).with_annotations(hints)
    }
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Every tool.
pub(crate) fn all() -> Vec<Tool> {
    ALL.into_iter().map(Named::tool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_by_the_name_they_are_listed_with() {
        for tool in all() {
            assert!(Named::of(&tool.name).is_some(), "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], false);
        }
        assert_eq!(Named::of("approve"), None);
    }
}
