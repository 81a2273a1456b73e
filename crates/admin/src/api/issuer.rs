//! The issuer of tokens: its public documents, and its keys by id and age.

use super::input::Body;
use super::precondition::{IfMatch, Tag, Tagged};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{IssuerKeyView, IssuerRotation, IssuerView};
use crate::{Problem, ProblemCode};
use axum::extract::State;
use axum::{Extension, Json};
use cloakroom_egress::custody::CustodyError;
use cloakroom_egress::issuer::{Issuer, IssuerError};
use cloakroom_model::Timestamp;
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn show(State(admin): State<Arc<Admin>>) -> Result<Tagged<IssuerView>, Problem> {
    let shown = view(issuer(&admin)?)?;
    Ok(Tagged(Tag::of(&state_of(&shown)), shown))
}

/// The keys that there are, and which are withdrawn. When one begins to sign by itself is no part of it.
fn state_of(shown: &IssuerView) -> Vec<(&str, Option<&str>)> {
    shown.keys.iter().map(|key| (key.id.as_str(), key.withdrawn.as_deref())).collect()
}

pub(crate) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    expected: IfMatch,
    Body(rotation): Body<IssuerRotation>,
) -> Result<Json<IssuerView>, Problem> {
    to_the_end(async move {
        let issuer = Arc::clone(issuer(&admin)?);
        let act = Act::begin(&admin, by).await?;
        expected.require(&state_of(&view(&issuer)?))?;
        let what = if rotation.withdraw { "issuer keys withdrawn" } else { "issuer key announced" };
        act.note(what, issuer.url(), None).await?;
        let after = Duration::from_secs(rotation.after);
        let turning = Arc::clone(&issuer);
        // A key of RSA takes a while to find.
        let turned = tokio::task::spawn_blocking(move || match rotation.withdraw {
            true => turning.withdraw(),
            false => turning.rotate(after),
        });
        let turned = turned.await.map_err(|_| Problem::new(ProblemCode::InternalFault, "no key was made"))?;
        if let Err(error) = turned {
            act.note(&format!("{what}: failed"), issuer.url(), None).await?;
            return Err(problem(&error));
        }
        view(&issuer)
    })
    .await
}

fn issuer(admin: &Admin) -> Result<&Arc<Issuer>, Problem> {
    admin.issuer.as_ref().ok_or_else(|| {
        Problem::new(ProblemCode::NotFound, "this broker is no issuer of tokens")
            .hinting("name its URL and audiences in [issuer] of the settings: see docs/issuer.md")
    })
}

fn problem(error: &IssuerError) -> Problem {
    match error {
        IssuerError::Announced(_) => Problem::new(ProblemCode::Conflict, error.to_string())
            .hinting("wait until it signs; or, where keys are compromised, add --withdraw"),
        IssuerError::TooMany => Problem::new(ProblemCode::Conflict, error.to_string())
            .hinting("wait some minutes; or, where keys are compromised, add --withdraw"),
        IssuerError::Custody(CustodyError::Sealed) => {
            Problem::new(ProblemCode::BrokerSealed, error.to_string())
        }
        IssuerError::Custody(custody) => {
            Problem::new(ProblemCode::StoreFailed, custody.to_string()).hinting(custody.hint())
        }
    }
}

fn view(issuer: &Issuer) -> Result<IssuerView, Problem> {
    let now = Timestamp::now();
    let document = |text: &str| serde_json::from_str(text).unwrap_or_default();
    let closed = |error| problem(&IssuerError::Custody(error));
    let keys = issuer.keys(now).map_err(closed)?.into_iter().map(|key| IssuerKeyView {
        id: key.id,
        made: key.made.to_string(),
        signs_from: key.signs_from.to_string(),
        signs: key.signs,
        withdrawn: key.withdrawn.map(|end| end.to_string()),
    });
    Ok(IssuerView {
        url: issuer.url().to_owned(),
        keys: keys.collect(),
        discovery: document(&issuer.discovery()),
        key_set: document(&issuer.key_set(now).map_err(closed)?),
    })
}
