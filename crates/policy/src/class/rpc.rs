//! JSON-RPC 2.0, and the Model Context Protocol that speaks it.

use super::{Classified, Known, Speaks, Terms, names_operation};
use crate::decide::body::BodyView;
use crate::json::{Json, Node};
use cloakroom_model::Call;
use std::collections::BTreeSet;

/// What MCP's methods do by its specification (2025-11-25). `tools/call` does whatever the tool does; a subscription, a
/// log level and a cancellation change something at the server.
const MCP_READS: &[&str] = &[
    "initialize",
    "notifications/initialized",
    "ping",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "tasks/list",
    "tasks/get",
    "tasks/result",
];

/// One call of a JSON-RPC body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Invocation<'n> {
    pub(crate) method: &'n str,
    pub(crate) params: Option<&'n Node>,
    /// Of `tools/call`.
    pub(crate) tool: Option<&'n str>,
}

pub(super) fn classify(call: &Call, body: &BodyView<'_>, terms: &Terms) -> Classified {
    if names_operation(&call.query) {
        return Classified::write("a query key names an operation beside the one of the body");
    }
    if call.method == http::Method::GET && terms.speaks == Speaks::Mcp && body.is_empty() {
        return Classified::read("it listens to an MCP server (GET)");
    }
    if call.method != http::Method::POST {
        return Classified::write("the protocol comes by POST, and nobody knows what this method does");
    }
    let Some(invocations) = body.json_if_it_is_one().and_then(|node| invocations(node).ok()) else {
        return Classified::write("the body is not JSON-RPC 2.0 with one meaning");
    };
    if !headers_agree(call, &invocations) {
        return Classified::write("a header names another method or tool than the body");
    }
    let all = |test: &dyn Fn(&Invocation<'_>) -> bool| invocations.iter().all(test);
    if invocations.iter().any(|one| lists(&terms.writes, one)) {
        return Classified::write("the permit says that this method or tool writes");
    }
    if all(&|one| lists(&terms.reads, one)) {
        return Classified::read("the permit says that this method or tool only reads");
    }
    let by_specification =
        |one: &Invocation<'_>| terms.speaks == Speaks::Mcp && MCP_READS.contains(&one.method);
    if all(&|one| by_specification(one) || lists(&terms.reads, one)) {
        return Classified::read("MCP's specification says that this method only reads");
    }
    Classified::write("it calls a method or tool that is not known to read")
}

/// Gateways route by these headers of MCP without a look at the body.
fn headers_agree(call: &Call, invocations: &[Invocation<'_>]) -> bool {
    let says = |name: &str, own: Option<&str>| {
        let mut values = call.headers.get_all(name).iter();
        values.all(|value| own.is_some_and(|own| value.as_bytes() == own.as_bytes()))
    };
    let only = if let [one] = invocations { Some(one) } else { None };
    says("mcp-method", only.map(|one| one.method)) && says("mcp-name", only.and_then(|one| one.tool))
}

fn lists(known: &BTreeSet<Known>, one: &Invocation<'_>) -> bool {
    match one.tool {
        Some(tool) => known.contains(&Known::Tool(tool.into())),
        None => one.method != "tools/call" && known.contains(&Known::Method(one.method.into())),
    }
}

/// The calls of a body, one or a batch.
///
/// # Errors
/// In words, where it is no JSON-RPC 2.0 or could be read in another way: a reply, an empty batch, a member whose name differs
/// by case only from one that counts.
pub(crate) fn invocations(node: &Node) -> Result<Vec<Invocation<'_>>, &'static str> {
    match &node.value {
        Json::Array(items) if !items.is_empty() => items.iter().map(invocation).collect(),
        Json::Object(_) => invocation(node).map(|one| vec![one]),
        _ => Err("the body is no JSON-RPC call"),
    }
}

fn invocation(node: &Node) -> Result<Invocation<'_>, &'static str> {
    let Json::Object(members) = &node.value else { return Err("the body is no JSON-RPC call") };
    only_exact(members, &["jsonrpc", "id", "method", "params"])?;
    if !matches!(member(members, "jsonrpc").map(|node| &node.value), Some(Json::Text(version)) if version == "2.0")
    {
        return Err("the body does not say that it is JSON-RPC 2.0");
    }
    let Some(Json::Text(method)) = member(members, "method").map(|node| &node.value) else {
        return Err("the call names no method");
    };
    let params = member(members, "params");
    let tool = if method == "tools/call" { Some(tool(params)?) } else { None };
    Ok(Invocation { method, params, tool })
}

fn tool(params: Option<&Node>) -> Result<&str, &'static str> {
    let Some(Json::Object(members)) = params.map(|node| &node.value) else {
        return Err("tools/call names no tool");
    };
    only_exact(members, &["name", "arguments", "_meta", "task"])?;
    match member(members, "name").map(|node| &node.value) {
        Some(Json::Text(name)) => Ok(name),
        _ => Err("tools/call names no tool"),
    }
}

/// SECURITY: some readers match member names without regard to case, and the last one wins (T31).
pub(super) fn only_exact(members: &[(String, Node)], known: &[&str]) -> Result<(), &'static str> {
    let exact = members.iter().all(|(name, _)| known.contains(&name.as_str()));
    if exact { Ok(()) } else { Err("the object has a member that is not among those that are known") }
}

pub(super) fn member<'n>(members: &'n [(String, Node)], name: &str) -> Option<&'n Node> {
    members.iter().find(|(own, _)| own == name).map(|(_, node)| node)
}
