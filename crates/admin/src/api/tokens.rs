//! API tokens: made for programs with an end and some of their maker's roles, shown once, revoked.

use super::input::Body;
use super::page::{Listed, Page};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::identity::Caller;
use crate::wire::{ApiTokenView, IssuedApiToken, NewApiToken};
use crate::{Problem, ProblemCode, find, secret_text};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{ApiTokenId, ApiTokenRecord, Role, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// What an API token begins with: whoever finds one somewhere knows what it is.
const PREFIX: &str = "ckt_";
/// No API token lives longer: one that is forgotten ends.
const LONGEST: u64 = 366 * 86_400;

/// The caller's own; everybody's where an operator asks.
pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    page: Page,
) -> Result<Listed<ApiTokenView>, Problem> {
    let rows = admin.store.api_tokens().await?;
    let shown = rows.iter().filter(|row| caller.has(Role::Operator) || caller.owns(&row.owner));
    Ok(page.of(shown.map(view).collect(), |one| one.id.to_string()))
}

pub(crate) async fn create(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewApiToken>,
) -> Result<Json<IssuedApiToken>, Problem> {
    to_the_end(async move {
        require_within(&caller, &new)?;
        let act = Act::begin(&admin, caller.by().clone()).await?;
        let rows = admin.store.api_tokens().await?;
        if rows.iter().any(|row| row.revoked.is_none() && row.name == new.name) {
            let detail = format!("API token {:?} exists already", new.name.as_str());
            return Err(Problem::new(ProblemCode::NameTaken, detail)
                .hinting("choose another name, or revoke that one"));
        }
        let (text, created) = (secret_text::fresh(PREFIX)?, Timestamp::now());
        let row = ApiTokenRecord {
            id: ApiTokenId::fresh()?,
            name: new.name.clone(),
            hash: admin.api_token_hash(&text),
            roles: new.roles,
            owner: caller.by().to_string(),
            owner_key: caller.key().map(str::to_owned),
            created,
            expires: created.plus(Duration::from_secs(new.expires_in)),
            revoked: None,
        };
        let (token, id) = (view(&row), row.id.to_string());
        act.carry_out("API token created", id, Some(&new.name), || admin.store.add_api_token(row)).await?;
        Ok(IssuedApiToken { token, text })
    })
    .await
}

pub(crate) async fn revoke(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    Path(token): Path<String>,
) -> Result<Json<ApiTokenView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, caller.by().clone()).await?;
        let rows = admin.store.api_tokens().await?;
        let row = find::api_token(&rows, &token)?.clone();
        caller.require_own(&row.owner)?;
        let now = Timestamp::now();
        let stored = || admin.store.revoke_api_token(row.id, now);
        act.carry_out("API token revoked", row.id.to_string(), Some(&row.name), stored).await?;
        Ok(view(&ApiTokenRecord { revoked: Some(now), ..row }))
    })
    .await
}

/// SECURITY: nobody makes what may do more than they, and an API token makes none that outlives it.
fn require_within(caller: &Caller, new: &NewApiToken) -> Result<(), Problem> {
    if caller.is_api_token() {
        return Err(Problem::new(ProblemCode::RoleMissing, "an API token may not make another one"));
    }
    if caller.is_by_groups() {
        let detail = "whoever has roles by a provider's groups makes no API token: it would outlive them";
        return Err(Problem::new(ProblemCode::RoleMissing, detail).hinting("members make them"));
    }
    if new.roles.is_empty() || !(1..=LONGEST).contains(&new.expires_in) {
        return Err(Problem::new(
            ProblemCode::MalformedRequest,
            "an API token has at least one role, and ends within a year",
        ));
    }
    if !caller.roles().include(&new.roles) {
        return Err(Problem::new(
            ProblemCode::RoleMissing,
            "an API token has no role that its maker has not",
        )
        .hinting(format!("your roles: {}", caller.roles())));
    }
    Ok(())
}

fn view(row: &ApiTokenRecord) -> ApiTokenView {
    let state = match row.revoked {
        Some(_) => "revoked",
        None if row.expires <= Timestamp::now() => "expired",
        None => "active",
    };
    ApiTokenView {
        id: row.id,
        name: row.name.clone(),
        roles: row.roles.clone(),
        owner: row.owner.clone(),
        created: row.created.to_string(),
        expires: row.expires.to_string(),
        state: state.into(),
    }
}
