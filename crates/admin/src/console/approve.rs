//! `/approve/{approval}`: the exact text, and a yes or a no by passkey. Whoever has the id may read; nothing is decided
//! without a signature that the data plane verifies too.

use super::frame::Told;
use super::look::chip;
use super::page::{Body, page, refusal};
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::approvals::{deny_one, grant_one, require_next_count, show_one, show_one_of};
use crate::api::input;
use crate::peer::Peer;
use crate::wire::ApprovalView;
use crate::{Problem, ProblemCode};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use cloakroom_model::{ApprovalId, Signature, Timestamp};
use cloakroom_policy::{Approver, Approvers};
use maud::html;
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;

/// What a browser gives for a passkey's signature, in base64url.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// The id of the passkey at its authenticator.
    passkey: String,
    authenticator_data: String,
    client_data: String,
    signature: String,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, Path(approval): Path<String>) -> Response {
    match shown(&admin, &approval) {
        Ok(answer) => answer,
        Err(problem) => refusal(&problem),
    }
}

fn shown(admin: &Admin, approval: &str) -> Result<Response, Problem> {
    let shown = show_one_of(admin, &admin.console.board()?.rows, id(approval)?)?;
    let (party, approvers) = (&admin.ballots.party, admin.approvers());
    let passkeys: Vec<String> = approvers.members().iter().filter_map(|one| one.passkey_at(party)).collect();
    let told = Told { passkeys: Some(passkeys.join(" ")), ..Told::of(party) };
    let approval = &shown.approval;
    let signed = format!(" {} of {} approvers have signed", approval.signed.len(), approval.needed);
    let mut body = Body::default()
        .and(html! { p { (chip(&approval.state)) (signed) } })
        .text(&shown.text)
        .labelled("Phrase", "phrase", &shown.phrase)
        .labelled("SHA-256", "digest", &shown.digest);
    if !shown.remarks.is_empty() {
        body = body.words("What follows from it (no part of what is signed):").lines(&shown.remarks);
    }
    if shown.approval.state == "pending" {
        body = match passkeys.is_empty() {
            true => {
                body.words("No approver has a passkey for this console. The command line grants with keys.")
            }
            false => body.button("grant", "Approve").other_button("deny", "Deny"),
        };
    }
    let body = body.and(
        html! { p .links { a href={ "/inbox/" (approval.id) } { "In the inbox, with what it changes" } } },
    );
    Ok(page("Approve exactly this?", told, body))
}

pub(super) async fn grant(
    State(admin): State<Arc<Admin>>,
    Path(approval): Path<String>,
    input::Body(said): input::Body<Said>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let signature = said.signature(&admin)?;
        // SECURITY: before anything waits its turn for it: a stranger holds up nobody who changes something.
        let text = show_one(&admin, id(&approval)?).await?.text;
        if admin
            .approvers()
            .approver_of(&text, &Approvers::stamped(signature.clone(), Timestamp::now()))
            .is_none()
        {
            let detail = "no enrolled approver's passkey signed this approval's text";
            return Err(Problem::new(ProblemCode::SignatureNotValid, detail));
        }
        grant_one(&admin, Peer::Console, &approval, signature).await
    })
    .await
}

pub(super) async fn deny(
    State(admin): State<Arc<Admin>>,
    Path(approval): Path<String>,
    input::Body(said): input::Body<Said>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let signature = Approvers::stamped(said.signature(&admin)?, Timestamp::now());
        let text = show_one(&admin, id(&approval)?).await?.text;
        admin.approvers().denier(&text, &signature).map(Approver::name).ok_or_else(|| {
            Problem::new(ProblemCode::SignatureNotValid, "no approver's passkey signed this no")
        })?;
        let rows = admin.store.load().await?;
        require_next_count(&admin, &rows, &signature)?;
        deny_one(&admin, Peer::Console, &approval).await
    })
    .await
}

impl Said {
    /// The id of the passkey at its authenticator.
    pub(super) fn passkey(&self) -> &str {
        &self.passkey
    }

    /// All three parts, with points between.
    pub(super) fn parts(&self) -> String {
        [&*self.authenticator_data, &self.client_data, &self.signature].join(".")
    }

    fn signature(self, admin: &Admin) -> Result<Signature, Problem> {
        let approvers = admin.approvers();
        let signer = approvers.passkey(&admin.ballots.party, &self.passkey).ok_or_else(|| {
            Problem::new(ProblemCode::SignatureNotValid, "this passkey is no enrolled approver's")
                .hinting("enrol it: cloakroom approver enrol NAME --passkey")
        })?;
        Ok(Signature { key: signer.key_text(), signature: self.parts() })
    }
}

/// SECURITY: by the approval's own id alone. A workload learns the ids of its placeholders, and not of their approvals.
pub(super) fn id(text: &str) -> Result<&str, Problem> {
    match ApprovalId::from_str(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Problem::new(ProblemCode::NotFound, "there is no such approval")),
    }
}
