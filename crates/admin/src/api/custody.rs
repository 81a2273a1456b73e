//! Sealing and unsealing. What operators bring passes through here sealed.

use super::input::Body;
use super::precondition::{IfMatch, Tag, Tagged};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::identity::Caller;
use crate::peer::Peer;
use crate::wire::{CustodyView, Unsealing};
use crate::{Problem, ProblemCode};
use axum::extract::State;
use axum::{Extension, Json};
use cloakroom_egress::custody::{CustodyError, Standing, Turned, UnsealError, Wants};
use cloakroom_model::{EventKind, SecurityEvent};
use std::sync::Arc;

pub(crate) async fn show(State(admin): State<Arc<Admin>>) -> Result<Tagged<CustodyView>, Problem> {
    let shown = whole(&admin).await?;
    Ok(Tagged(Tag::of(&state_of(&shown)), shown))
}

/// What a rotation is about: how far a rewrap has come, and who has brought what, is no part of it.
fn state_of(shown: &CustodyView) -> (Option<u32>, Option<u32>) {
    (shown.current, shown.minimum)
}

/// Another root key: what is sealed from now on is sealed under it.
pub(crate) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    expected: IfMatch,
) -> Result<Json<CustodyView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        expected.require(&state_of(&view(&admin)))?;
        act.note("root key rotated", "custody", None).await?;
        if let Err(error) = admin.custody.rotate_root().await {
            act.note("root key rotated: failed", "custody", None).await?;
            return Err(fault(&error));
        }
        whole(&admin).await
    })
    .await
}

/// Begins to bring everything under the current root key; [`show`] tells how far that has come.
pub(crate) async fn rewrap(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
) -> Result<Json<CustodyView>, Problem> {
    to_the_end(async move {
        Act::begin(&admin, by).await?.note("rewrap begun", "custody", None).await?;
        admin.begin_rewrap().await.map_err(|error| fault(&error))?;
        whole(&admin).await
    })
    .await
}

/// SECURITY: wiped first, recorded then: a journal that cannot be written must not keep secrets open.
pub(crate) async fn seal(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
) -> Result<Json<CustodyView>, Problem> {
    to_the_end(async move {
        let was_open = !admin.custody.is_sealed();
        admin.custody.seal();
        if was_open {
            admin.events.raise(SecurityEvent::new(EventKind::CustodySealed));
        }
        admin.logins.let_go();
        Act::begin(&admin, by).await?.note("custody sealed", "custody", None).await?;
        Ok(view(&admin))
    })
    .await
}

pub(crate) async fn unseal(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    Body(unsealing): Body<Unsealing>,
) -> Result<Json<CustodyView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, caller.by().clone()).await?;
        let brought = unsealing.part.as_ref();
        let turned = admin.custody.unseal(brought, &caller.answerable()).await;
        let what = match &turned {
            Ok(Turned::Opened) => "custody unsealed",
            Ok(_) => "share given",
            Err(_) => "unseal refused",
        };
        act.note(what, "custody", None).await?;
        if turned.map_err(|error| problem(&error))? == Turned::Opened {
            admin.events.raise(SecurityEvent::new(EventKind::CustodyUnsealed));
            admin.resume_rewrap();
        }
        Ok(view(&admin))
    })
    .await
}

/// What custody could not do.
pub(crate) fn fault(error: &CustodyError) -> Problem {
    let code = match error {
        CustodyError::Sealed | CustodyError::Provider(_) | CustodyError::Refused(_) => {
            ProblemCode::BrokerSealed
        }
        _ => ProblemCode::StoreFailed,
    };
    Problem::new(code, error.to_string()).hinting(error.hint())
}

fn problem(error: &UnsealError) -> Problem {
    let code = match error {
        UnsealError::NotSealed => ProblemCode::Conflict,
        UnsealError::Provider(_) => ProblemCode::BrokerSealed,
        _ => ProblemCode::NotUnsealed,
    };
    Problem::new(code, error.to_string()).hinting(error.hint())
}

async fn whole(admin: &Admin) -> Result<CustodyView, Problem> {
    // Asked once: what follows is about the same moment.
    let standing = admin.custody.standing();
    let (versions, rewrap) = admin.root_versions(&standing).await?;
    Ok(CustodyView { versions, rewrap, ..shown(standing) })
}

/// How it stands, but for what only the rows tell.
pub(crate) fn view(admin: &Admin) -> CustodyView {
    shown(admin.custody.standing())
}

fn shown(standing: Standing) -> CustodyView {
    let Standing { provider, sealed, wants, intake, versions, .. } = standing;
    let (wants, given, threshold) = match wants {
        Wants::Nothing => (None, None, None),
        Wants::Passphrase => (Some("passphrase"), None, None),
        Wants::Shares { given, threshold } => (Some("share"), Some(given), Some(threshold)),
    };
    let wants = wants.filter(|_| sealed.is_some()).map(str::to_owned);
    CustodyView {
        state: if sealed.is_some() { "sealed" } else { "open" }.into(),
        kek: provider.into(),
        reason: sealed.map(|why| why.reason().into()),
        wants,
        intake: intake.map(|intake| intake.public_key),
        given,
        threshold,
        current: versions.map(|(current, _)| current),
        minimum: versions.map(|(_, minimum)| minimum),
        versions: Vec::new(),
        rewrap: None,
    }
}
