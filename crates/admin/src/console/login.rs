//! `/login` and `/logout`: a person shows a passkey and gets a session, and ends it. `/account` says who is logged in.

use super::approve::Said;
use super::frame::Told;
use super::page::{Body, page, refusal};
use super::sign_on;
use crate::admin::Admin;
use crate::api::approvals::require_next_count;
use crate::api::input;
use crate::identity::{Begun, Caller, Jar, Newcomer, TooMany};
use crate::listen::Ends;
use crate::{Problem, ProblemCode, secret_text};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use cloakroom_model::{Roles, Signature, Timestamp};
use cloakroom_policy::{Approvers, LoginTicket, base64url, passkey_id};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// Where somebody wanted to go.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    pub(super) next: String,
}

/// What a browser has the passkey sign.
#[derive(Serialize)]
pub(super) struct Asked {
    ticket: String,
    challenge: String,
    passkeys: Vec<String>,
}

/// What the passkey said to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    ticket: String,
    said: Said,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, Query(wanted): Query<Wanted>) -> Response {
    let party = &admin.ballots.party;
    let next = own_path(&wanted.next);
    let told = Told { next: Some(next.to_owned()), ..Told::of(party) };
    let body = Body::default()
        .words("Use the passkey that you made by a link. Links are made by operators: cloakroom member invite NAME --role ROLE")
        .button("login", "Log in");
    page("Log in", told, sign_on::offer(&admin, next, body))
}

/// SECURITY: a path of this console and nothing that a browser could read as another site (T82).
pub(super) fn own_path(next: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let own = next.starts_with('/') && !next.starts_with("//") && next.bytes().all(plain);
    if own { next } else { "/" }
}

pub(super) async fn challenge(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
) -> Result<Json<Asked>, Problem> {
    let party = &admin.ballots.party;
    let ticket = secret_text::fresh("")?;
    let begun = admin.identity.attempts.begin(ticket.clone(), ends.remote.ip(), Instant::now());
    begun.map_err(|TooMany| too_many())?;
    let challenge = base64url(&LoginTicket { code: &ticket, party }.challenge());
    let keys = keys(&admin).await?;
    let passkeys = keys.iter().filter_map(|(_, key)| passkey_id(key, party)).collect();
    Ok(Json(Asked { ticket, challenge, passkeys }))
}

pub(super) async fn enter(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    headers: HeaderMap,
    input::Body(answer): input::Body<Answer>,
) -> Result<Response, Problem> {
    let (from, now) = (ends.remote.ip(), Instant::now());
    if admin.identity.attempts.must_wait(from, now) {
        return Err(too_many());
    }
    let newcomer = match recognised(&admin, &answer).await {
        Ok(newcomer) => newcomer,
        Err(problem) => {
            admin.identity.attempts.failed(from, now);
            return Err(problem);
        }
    };
    tracing::info!(person = %newcomer.name, peer = %from, "logged in");
    let Begun { cookie, half } = admin.begin_session(newcomer, &headers).await?;
    let told = serde_json::json!({ "state": "logged-in", "half": half });
    Ok(([(header::SET_COOKIE, cookie)], Json(told)).into_response())
}

/// Whose passkey it is that signed this attempt.
async fn recognised(admin: &Admin, answer: &Answer) -> Result<Newcomer, Problem> {
    let unknown = || {
        Problem::new(ProblemCode::SignatureNotValid, "no passkey that may log in signed this attempt")
            .hinting(
                "load the page again; a passkey is made by a link: cloakroom member invite NAME --role ROLE",
            )
    };
    // SECURITY: first, so that an attempt is good once, whatever comes with it.
    if !admin.identity.attempts.take(&answer.ticket, Instant::now()) {
        return Err(unknown());
    }
    let party = &admin.ballots.party;
    let keys = keys(admin).await?;
    let is_it =
        |(_, key): &&(String, String)| passkey_id(key, party).as_deref() == Some(answer.said.passkey());
    let (name, key) = keys.iter().find(is_it).ok_or_else(unknown)?.clone();
    let said = answer.said.parts();
    LoginTicket { code: &answer.ticket, party }.signed_by(&key, &said).ok_or_else(unknown)?;
    let rows = admin.store.load().await?;
    let signature = Signature { key: key.clone(), signature: said };
    require_next_count(admin, &rows, &Approvers::stamped(signature, Timestamp::now()))?;
    Ok(Newcomer { name, key: Some(key), roles: Roles::default() })
}

/// Every passkey that may log in, and whose it is: members' first.
async fn keys(admin: &Admin) -> Result<Vec<(String, String)>, Problem> {
    let members = admin.store.members().await?;
    let live = members.into_iter().filter(|row| row.removed.is_none());
    let members = live.map(|row| (row.name.to_string(), row.key));
    let approvers = admin.approvers();
    let of_approvers = approvers.members().iter().map(|one| (one.name().to_owned(), one.key_text()));
    Ok(members.chain(of_approvers).collect())
}

pub(super) fn too_many() -> Problem {
    Problem::new(ProblemCode::TooManyAttempts, "too many attempts to log in came from this address")
}

pub(super) async fn leave(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Result<Response, Problem> {
    admin.end_session_of(&headers).await?;
    let forgotten = Jar::of(&admin.ballots.party).forget();
    let mut answer = Redirect::to("/login").into_response();
    if let Some(forgotten) = forgotten {
        answer.headers_mut().insert(header::SET_COOKIE, forgotten);
    }
    Ok(answer)
}

pub(super) async fn account(Extension(caller): Extension<Caller>) -> Response {
    if caller.session().is_none() {
        return refusal(&Problem::new(ProblemCode::NotAuthenticated, "this page is for people"));
    }
    let body = Body::default()
        .labelled("You are", "name", &caller.by().to_string())
        .labelled("You may act as", "roles", &caller.roles().to_string())
        .form("/logout", "Log out");
    page("Account", Told::default(), body)
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn t82_after_the_log_in_a_browser_stays_here() {
        for own in ["/", "/account", "/approve/ap_01HF7YAT00QTXS9F8T1S4ZKZ8M", "/a/../b"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/%2f%2fevil.example",
            "evil.example",
            "/x?next=//evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/@evil.example:80",
        ] {
            assert_eq!(own_path(other), "/", "{other}");
        }
    }
}
