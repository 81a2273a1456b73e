//! The document of the API (OpenAPI 3.1), made of the table of routes: what is not in the table is not in the document, and the other way round.

use super::operation::Shape;
use super::route::Route;
use crate::ProblemCode;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// `GET /api/v1/openapi.json`.
pub(crate) async fn show() -> Response {
    let text = document(&super::routes()).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The document of these routes.
pub(crate) fn document(routes: &[Route]) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for route in routes {
        schemas.extend(route.shape.schemas.clone());
        let methods = paths.entry(route.path).or_default();
        methods.insert(route.method.to_lowercase(), operation(route));
    }
    let mut of_refusals = Shape::default();
    of_refusals.refer::<crate::wire::ProblemDocument>();
    schemas.extend(of_refusals.schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cloakroom's admin API",
            "version": "1",
            "description": "On the admin socket for the broker's own user, and on the console's listener for sessions and API tokens. Secrets go in, sealed to the intake key, and never come out.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "api-token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "api-token": { "type": "http", "scheme": "bearer", "description": "cloakroom token create" },
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-cloakroom", "description": "A person who has logged in; cloakroom-PORT on loopback. Changes also need Cloakroom-CSRF." },
            },
            "schemas": schemas,
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.says,
        "description": format!("For: {}.", route.access.words()),
        "tags": [route.path.split('/').nth(3).unwrap_or_default()],
        "responses": responses(route),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &route.shape.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    operation
}

/// The method and the words of the path.
fn id(route: &Route) -> String {
    let words = route.path.split('/').skip(3).map(|word| word.trim_matches(['{', '}']));
    let words = words.map(|word| word.replace(['.', '-'], "_")).collect::<Vec<_>>().join("_");
    format!("{}_{words}", route.method.to_lowercase())
}

fn parameters(route: &Route) -> Vec<Value> {
    let of_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = of_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let field = |name: &str, says: &str| json!({ "name": name, "in": "header", "description": says, "schema": { "type": "string" } });
    if route.shape.paged {
        all.push(json!({ "name": "limit", "in": "query", "description": "At most so many; Link says where the next page is.", "schema": { "type": "integer", "minimum": 1, "maximum": 1000 } }));
        all.push(json!({ "name": "after", "in": "query", "description": "From after this id on.", "schema": { "type": "string", "pattern": "^[A-Za-z0-9_]{1,64}$" } }));
    }
    if route.shape.conditional {
        all.push(field("If-Match", "Only while it is in the state of this entity tag."));
    }
    if route.creates {
        all.push(json!({ "name": "Idempotency-Key", "in": "header", "description": "A second request with this key within ten minutes gets the first one's answer and makes nothing.", "schema": { "type": "string", "pattern": "^[!-~]{1,128}$" } }));
    }
    all
}

fn responses(route: &Route) -> Value {
    let mut all = Map::new();
    all.insert(success(route).into(), answer(route));
    for status in refusals(route) {
        all.insert(
            status.to_string(),
            json!({
                "description": titles(status),
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemDocument" } } },
            }),
        );
    }
    all.into()
}

fn success(route: &Route) -> &'static str {
    if route.path.ends_with("/take-over") { "101" } else { "200" }
}

fn answer(route: &Route) -> Value {
    let mut answer = json!({ "description": "Done." });
    if let Some(schema) = &route.shape.answer {
        answer["content"] = json!({ "application/json": { "schema": schema } });
    } else if route.path.ends_with("/events") {
        answer["content"] = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    } else if route.path.ends_with(".json") {
        answer["content"] = json!({ "application/json": { "schema": { "type": "object" } } });
    }
    let text = json!({ "schema": { "type": "string" } });
    if route.shape.tagged {
        answer["headers"]["ETag"] = text.clone();
    }
    if route.shape.paged {
        answer["headers"]["Link"] = text;
    }
    answer
}

/// The statuses with which this route may say no: those of every route, and those that what it takes brings along.
fn refusals(route: &Route) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from([401, 403, 429, 500, 503]);
    let (takes, changes) = (route.shape.body.is_some(), route.method != "GET");
    let named = route.path.contains('{');
    if takes || named || route.shape.paged || route.creates || route.path.ends_with("/take-over") {
        statuses.insert(400);
    }
    if takes || named || route.path.contains("/issuer") {
        statuses.insert(404);
    }
    if changes {
        statuses.insert(409);
    }
    if takes || route.creates {
        statuses.insert(422);
    }
    if route.shape.conditional {
        statuses.insert(412);
    }
    statuses
}

/// What the codes of this status have for titles.
fn titles(status: u16) -> String {
    let of_status = ProblemCode::ALL.iter().filter(|code| code.status().as_u16() == status);
    of_status.map(|code| format!("{code}: {}", code.title())).collect::<Vec<_>>().join("; ")
}
