//! `/enrol/{code}`: somebody makes a passkey, by a link that is good once. It counts once the approvers there are have signed it.

use super::page::{Body, page, refusal};
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::{approvers, input};
use crate::wire::ApprovalView;
use crate::{Problem, ProblemCode};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use cloakroom_policy::{Attestation, PasskeyTicket, base64url};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;

/// What a browser gives for a new passkey, in base64url.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    attestation_object: String,
    client_data: String,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, Path(code): Path<String>) -> Response {
    let Some(name) = admin.ballots.invited(&code, Instant::now()) else {
        let problem = Problem::new(ProblemCode::NotFound, "this link is not good any more");
        return refusal(&problem.hinting("ask for another: cloakroom approver enrol NAME --passkey"));
    };
    let party = &admin.ballots.party;
    let challenge = base64url(&PasskeyTicket { code: &code, party }.challenge());
    let told = [
        ("origin", party.origin()),
        ("rp-id", party.id()),
        ("challenge", challenge.as_str()),
        ("name", name.as_str()),
    ];
    let body = Body::default()
        .labelled("A passkey for the approver", "name", name.as_str())
        .labelled("It will be good at", "party", party.origin())
        .words("With it you approve what programs may do with credentials. It counts once the approvers there are have signed it.")
        .button("enrol", "Make the passkey");
    page("Become an approver", &told, &body)
}

pub(super) async fn redeem(
    State(admin): State<Arc<Admin>>,
    Path(code): Path<String>,
    input::Body(made): input::Body<Made>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let said = Attestation { object: made.attestation_object, client: made.client_data };
        approvers::redeem(&admin, &code, &said).await
    })
    .await
}
