//! What a call asks the destination to do, where the body says it in a protocol of its own: GraphQL, JSON-RPC, MCP, AWS actions.
//!
//! Shown wherever it can be read, declared or not: what is shown decides nothing.

use super::page::Page;
use super::shown;
use crate::class::{action_name, graphql, rpc};
use crate::decide::body::BodyView;
use crate::escape::quoted;
use crate::json::{Json, Node};
use cloakroom_model::Call;

/// How many calls of a batch are named one by one; all stand in the fields below.
const MOST: usize = 50;

pub(super) fn show(page: &mut Page<'_>, call: &Call, body: &BodyView<'_>) {
    if let Ok(requests) = graphql::requests(call, body) {
        return of_graphql(page, &requests);
    }
    if let Some(invocations) = body.json_if_it_is_one().and_then(|node| rpc::invocations(node).ok()) {
        return of_rpc(page, &invocations);
    }
    if let Some(action) = action_name(call, body) {
        page.pieces("action (AWS)", &action);
    }
}

fn of_graphql(page: &mut Page<'_>, requests: &[graphql::Request]) {
    let batch = requests.len() > 1;
    for (index, request) in requests.iter().enumerate().take(MOST) {
        if batch {
            page.line(&format!("GraphQL request {} of {}:", index + 1, requests.len()));
        }
        let several = request.document.operations.len() > 1;
        for operation in &request.document.operations {
            let wanted = several && operation.name.is_some() && operation.name == request.operation;
            let note = if wanted { " (asked for)" } else { "" };
            let name = operation.name.as_deref().unwrap_or("(no name)");
            page.pieces(&format!("GraphQL {}{note}", operation.kind.as_str()), name);
            page.pieces("  its fields", &operation.fields.join(", "));
        }
    }
    more(page, requests.len());
}

fn of_rpc(page: &mut Page<'_>, invocations: &[rpc::Invocation<'_>]) {
    for (index, one) in invocations.iter().enumerate().take(MOST) {
        if invocations.len() > 1 {
            page.line(&format!("call {} of {}:", index + 1, invocations.len()));
        }
        page.pieces("calls the method (JSON-RPC)", one.method);
        let Some(tool) = one.tool else {
            one.params.into_iter().for_each(|params| shown::leaves(page, "  parameter", "", params));
            continue;
        };
        page.pieces("  with the tool (MCP)", tool);
        let arguments = one.params.and_then(|params| member(params, "arguments"));
        arguments.into_iter().for_each(|arguments| shown::leaves(page, "  argument", "", arguments));
    }
    more(page, invocations.len());
}

fn more(page: &mut Page<'_>, count: usize) {
    if count > MOST {
        page.line(&format!("! {} more are in the body below", quoted(&(count - MOST).to_string())));
    }
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Json::Object(members) = &node.value else { return None };
    members.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}
