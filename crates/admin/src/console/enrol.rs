//! `/enrol/{code}`: somebody makes a passkey, by a link that is good once. It counts once the approvers there are have signed it.

use super::frame::Told;
use super::page::{Body, page, refusal};
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::{approvers, input};
use crate::ballot::Invitation;
use crate::identity::Begun;
use crate::wire::EnrolledView;
use crate::{Problem, ProblemCode};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use cloakroom_policy::{Attestation, PasskeyTicket, base64url};
use http::{HeaderMap, header};
use maud::html;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// What a browser gives for a new passkey, in base64url.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    attestation_object: String,
    client_data: String,
}

/// What came of it.
#[derive(Serialize)]
struct Redeemed {
    #[serde(flatten)]
    enrolled: EnrolledView,
    /// What the pages of the session hold, where one has begun.
    half: Option<String>,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, Path(code): Path<String>) -> Response {
    let Some(invitation) = admin.ballots.invited(&code, Instant::now()) else {
        let problem = Problem::new(ProblemCode::NotFound, "this link is not good any more");
        return refusal(&problem.hinting("ask for another: cloakroom member invite NAME --role ROLE, or cloakroom approver enrol NAME --passkey"));
    };
    let party = &admin.ballots.party;
    let challenge = base64url(&PasskeyTicket { code: &code, party }.challenge());
    let told =
        Told { challenge: Some(challenge), name: Some(invitation.name.to_string()), ..Told::of(party) };
    page(title(&invitation), told, body(&invitation, party.origin()))
}

fn title(invitation: &Invitation) -> &'static str {
    if invitation.roles.is_empty() { "Become an approver" } else { "Make your passkey" }
}

fn body(invitation: &Invitation, origin: &str) -> Body {
    let mut body = Body::default();
    if !invitation.roles.is_empty() {
        body = body.labelled("A passkey for", "name", invitation.name.as_str()).labelled(
            "With it you log in as",
            "roles",
            &invitation.roles.to_string(),
        );
    }
    if invitation.approver {
        if invitation.roles.is_empty() {
            body = body.labelled("A passkey for the approver", "name", invitation.name.as_str());
        }
        body = body.words("With it you approve what programs may do with credentials. For that it counts once the approvers there are have signed it.");
    }
    body.labelled("It will be good at", "party", origin)
        .button("enrol", "Make the passkey")
        .and(html! { p .links hidden data-after { a .button href="/inbox" { "Go on to the inbox" } } })
}

pub(super) async fn redeem(
    State(admin): State<Arc<Admin>>,
    Path(code): Path<String>,
    headers: HeaderMap,
    input::Body(made): input::Body<Made>,
) -> Result<Response, Problem> {
    let Json((begun, enrolled)) = to_the_end(async move {
        let said = Attestation { object: made.attestation_object, client: made.client_data };
        let (enrolled, newcomer) = approvers::redeem(&admin, &code, &said).await?;
        let begun = match newcomer {
            // Whoever has just shown the passkey need not show it again.
            Some(newcomer) => Some(admin.begin_session(newcomer, &headers).await?),
            None => None,
        };
        Ok((begun, enrolled))
    })
    .await?;
    let (cookie, half) = begun.map(|Begun { cookie, half }| (cookie, half)).unzip();
    let mut answer = Json(Redeemed { enrolled, half }).into_response();
    if let Some(cookie) = cookie {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}
