//! GraphQL over HTTP: what the operations of a request are, and what that says.
//!
//! A request that could be read in two ways is not read at all: it counts as a write. What a document is made of is left to
//! `document`, and its words to `words`.

mod document;
mod words;

pub(crate) use document::{Document, Kind, Operation};

use super::rpc::{member, only_exact};
use super::{Class, Classified, Disagreement, READING, WRITING, begins_with_word, by_method, multipart};
use crate::decide::body::{BodyView, content_type};
use crate::json::{self, Json, Node};
use cloakroom_model::{Call, Pair};
use http::Method;

/// One request of a body: a document, and which of its operations is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) document: Document,
    pub(crate) operation: Option<String>,
}

/// Why nothing is known of a request, in one fixed sentence.
pub(crate) type Unknown = &'static str;

/// Members of a request that change nothing about which operation runs.
const MEMBERS: &[&str] = &["query", "operationName", "variables", "extensions"];

pub(super) fn classify(call: &Call, body: &BodyView<'_>) -> Result<Classified, Disagreement> {
    match requests(call, body) {
        Ok(requests) => judge(call, &requests),
        Err(why) => Ok(Classified::write(why)),
    }
}

fn judge(call: &Call, requests: &[Request]) -> Result<Classified, Disagreement> {
    let mut class = Classified::read("its GraphQL operations are queries");
    for request in requests {
        if let Some(wanted) = &request.operation
            && !request.document.operations.iter().any(|one| one.name.as_ref() == Some(wanted))
        {
            class = Classified::write("it asks for a GraphQL operation that the document does not have");
        }
        // All of them: which one runs is the server's choice.
        for operation in &request.document.operations {
            let own = of_operation(operation)?;
            if own.class == Class::Write {
                class = own;
            }
        }
    }
    if class.class == Class::Write && by_method(call.method.as_str()) == Class::Read {
        return Err(Disagreement(
            "the method only reads, and the GraphQL operation that it carries may write",
        ));
    }
    Ok(class)
}

/// The kind says it, and the name must not say the opposite.
fn of_operation(operation: &Operation) -> Result<Classified, Disagreement> {
    let named = |words| operation.name.as_deref().is_some_and(|name| begins_with_word(name, words));
    match operation.kind {
        Kind::Mutation if named(READING) => {
            Err(Disagreement("a GraphQL mutation is named as if it only read"))
        }
        Kind::Query if named(WRITING) => Err(Disagreement("a GraphQL query is named as if it wrote")),
        Kind::Mutation => Ok(Classified::write("a GraphQL operation is a mutation")),
        Kind::Subscription => {
            Ok(Classified::write("a GraphQL operation is a subscription, which stays open"))
        }
        Kind::Query if operation.fields.iter().any(|field| begins_with_word(field, WRITING)) => {
            Ok(Classified::write("a field of the GraphQL query is named as if it wrote"))
        }
        Kind::Query => Ok(Classified::read("its GraphQL operations are queries")),
    }
}

/// The requests of a call: one, or several where it is a batch.
///
/// # Errors
/// In one fixed sentence, where it is none or has more than one reading.
pub(crate) fn requests(call: &Call, body: &BodyView<'_>) -> Result<Vec<Request>, Unknown> {
    let in_url = call.query.pairs();
    match call.method {
        Method::GET if body.is_empty() => of_pairs(in_url).map(|one| vec![one]),
        // Servers differ in what counts where both say something.
        Method::POST if !in_url.is_empty() => Err("a GraphQL request by POST has a query in its URL too"),
        Method::POST => of_body(call, body),
        _ => Err("GraphQL comes by GET and POST only"),
    }
}

fn of_body(call: &Call, body: &BodyView<'_>) -> Result<Vec<Request>, Unknown> {
    match content_type(&call.headers).as_deref() {
        Some("application/json") => {
            of_json(body.json_if_it_is_one().ok_or("the body is not json with one meaning")?)
        }
        Some("application/graphql") => {
            let text = body.text().ok_or("the body cannot be read")?;
            Ok(vec![Request { document: Document::parse(text)?, operation: None }])
        }
        Some("application/x-www-form-urlencoded") => {
            let pairs = body.form_if_it_is_one().ok_or("the body is not a form with one meaning")?;
            of_pairs(pairs).map(|one| vec![one])
        }
        None if multipart::is_form(&call.headers) => {
            let text = body.bytes().ok_or("the body cannot be read")?;
            let operations = multipart::operations(&call.headers, text)?;
            of_json(&json::parse(operations)?)
        }
        _ => Err("the content type is none that GraphQL comes in"),
    }
}

fn of_json(node: &Node) -> Result<Vec<Request>, Unknown> {
    match &node.value {
        Json::Object(members) => of_members(members).map(|one| vec![one]),
        Json::Array(items) if !items.is_empty() => {
            let one = |item: &Node| match &item.value {
                Json::Object(members) => of_members(members),
                _ => Err("an item of a GraphQL batch is no request"),
            };
            items.iter().map(one).collect()
        }
        _ => Err("the body is no GraphQL request"),
    }
}

fn of_members(members: &[(String, Node)]) -> Result<Request, Unknown> {
    only_exact(members, MEMBERS)?;
    let Some(Json::Text(text)) = member(members, "query").map(|node| &node.value) else {
        return Err("the GraphQL request has no document (a persisted query says nothing)");
    };
    let operation = match member(members, "operationName").map(|node| &node.value) {
        None | Some(Json::Null) => None,
        Some(Json::Text(name)) => (!name.is_empty()).then(|| name.clone()),
        Some(_) => return Err("operationName is no name"),
    };
    if let Some(extensions) = member(members, "extensions") {
        harmless(extensions)?;
    }
    Ok(Request { document: Document::parse(text)?, operation })
}

/// Extensions that name a persisted query could replace the document.
fn harmless(extensions: &Node) -> Result<(), Unknown> {
    match &extensions.value {
        Json::Null => Ok(()),
        // Apollo's programs say which they are.
        Json::Object(members) => only_exact(members, &["clientLibrary"])
            .map_err(|_| "the GraphQL request has extensions, which may name another document"),
        _ => Err("extensions are no object"),
    }
}

/// `query=…&operationName=…&variables=…`, in a URL or a form.
fn of_pairs(pairs: &[Pair]) -> Result<Request, Unknown> {
    let mut seen: Vec<&str> = Vec::new();
    let (mut document, mut operation) = (None, None);
    for pair in pairs {
        if seen.contains(&pair.key()) {
            return Err("a part of the GraphQL request occurs twice");
        }
        seen.push(pair.key());
        match pair.key() {
            "query" => document = Some(Document::parse(pair.value())?),
            "operationName" => operation = Some(pair.value().to_owned()).filter(|name| !name.is_empty()),
            "variables" => {}
            "extensions" => harmless(&json::parse(pair.value().as_bytes())?)?,
            _ => return Err("the GraphQL request has a part that is not known"),
        }
    }
    let document = document.ok_or("the GraphQL request has no document (a persisted query says nothing)")?;
    Ok(Request { document, operation })
}
