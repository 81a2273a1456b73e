//! Logins: begun here, answered by the console or here; what they bring is stored as any other credential.

use super::credentials::{Fresh, not_accepted, sorted, store_new, unless_taken};
use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::login::{Full, Open, Purpose, WAITING};
use crate::peer::Peer;
use crate::wire::{CredentialView, LoginAgain, LoginAnswer, LoginView, NewLogin};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_egress::login::{Answer, Invitation, LoggedIn, LoginError, PATIENCE, Waiting};
use cloakroom_model::{CredentialId, CredentialKind, LoginId, Name, Timestamp};
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the console takes answers.
pub(crate) const CALLBACK: &str = "/oauth/callback";
/// How long one question after a login may wait for news: whoever stops the broker waits for it.
const NEWS: Duration = Duration::from_secs(2);
/// How long the server may take to be asked for a login.
const BEGINNING: Duration = Duration::from_secs(20);

type Begun = Result<(Waiting, Invitation), LoginError>;

pub(crate) async fn begin(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewLogin>,
) -> Result<Json<LoginView>, Problem> {
    to_the_end(async move {
        let destinations = sorted(new.destinations)?;
        let act = Act::begin(&admin, by.clone()).await?;
        unless_taken(&act.rows, &new.name)?;
        let id = CredentialId::fresh()?;
        act.note("login begun", &id.to_string(), Some(&new.name)).await?;
        // The turn is not held while a server far away is asked.
        drop(act);
        let redirect = new.redirect.unwrap_or_else(|| redirect(&admin));
        let begun = in_time(admin.custody.begin_login(&new.document, &new.name, id, &redirect)).await;
        let purpose = Purpose::Add { id, name: new.name.clone(), destinations };
        wait(&admin, by, purpose, new.name, begun.map_err(failed)?)
    })
    .await
}

pub(crate) async fn again(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(credential): Path<String>,
    Body(how): Body<LoginAgain>,
) -> Result<Json<LoginView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by.clone()).await?;
        let row = find::credential(&act.rows, &credential)?.clone();
        act.note("login begun", &row.id.to_string(), Some(&row.name)).await?;
        drop(act);
        let redirect = how.redirect.unwrap_or_else(|| redirect(&admin));
        let begun = in_time(admin.custody.begin_login_again(row.id, how.device, &redirect)).await;
        wait(&admin, by, Purpose::Renew { id: row.id }, row.name, begun.map_err(failed)?)
    })
    .await
}

/// What became of it; waits a while for news.
pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<LoginView>, Problem> {
    let id = LoginId::from_str(&id).map_err(|_| gone())?;
    let mut followed = admin.logins.follow(id, Instant::now()).ok_or_else(gone)?;
    let news = followed.wait_for(|view| view.state != WAITING);
    if let Ok(Ok(view)) = tokio::time::timeout(NEWS, news).await {
        return Ok(Json(view.clone()));
    }
    let view = followed.borrow().clone();
    Ok(Json(view))
}

/// What the browser was sent back with, from whoever operates the broker.
pub(crate) async fn answer(
    State(admin): State<Arc<Admin>>,
    Body(said): Body<LoginAnswer>,
) -> Result<Json<LoginView>, Problem> {
    let open = taken(&admin, &said.query)?;
    let followed = admin.logins.follow(open.0.id, Instant::now()).ok_or_else(gone)?;
    // The exchange may take longer than the CLI is patient.
    tokio::spawn(async move { exchange(&admin, open).await });
    let view = followed.borrow().clone();
    Ok(Json(view))
}

/// Takes an answer to the login that it is to, once, and stores what it brings.
pub(crate) async fn answered(admin: &Admin, query: &str) -> Result<LoginView, Problem> {
    let open = taken(admin, query)?;
    let id = open.0.id;
    exchange(admin, open).await;
    let view = admin.logins.follow(id, Instant::now()).map(|followed| followed.borrow().clone());
    view.ok_or_else(gone)
}

/// The login that this is the answer to: from now on it waits for no other.
fn taken(admin: &Admin, query: &str) -> Result<(Open, Answer), Problem> {
    let nobody = || {
        Problem::new(ProblemCode::NotFound, "no login waits for this answer")
            .hinting("it was answered before, has expired, or the broker was restarted: begin again")
    };
    let answer = Answer::read(query).ok_or_else(nobody)?;
    let open = admin.logins.take(&answer, Instant::now()).ok_or_else(nobody)?;
    Ok((open, answer))
}

async fn exchange(admin: &Admin, (open, answer): (Open, Answer)) {
    let Open { id, by, purpose, waiting } = open;
    let brought = admin.custody.redeem(waiting, answer).await;
    end(admin, id, by, purpose, brought).await;
}

/// The CLI waits for the beginning: a server that says nothing must not outlast its patience.
async fn in_time(begun: impl Future<Output = Begun>) -> Begun {
    tokio::time::timeout(BEGINNING, begun).await.unwrap_or(Err(LoginError::SILENT))
}

/// Where the console takes answers, as a redirect URI.
fn redirect(admin: &Admin) -> String {
    format!("{}{CALLBACK}", admin.ballots.party.origin())
}

/// Keeps a login that was begun. By device nobody answers: the broker asks until it knows.
fn wait(
    admin: &Arc<Admin>,
    by: Peer,
    purpose: Purpose,
    name: Name,
    (waiting, invitation): (Waiting, Invitation),
) -> Result<LoginView, Problem> {
    let full = |Full| {
        Problem::new(ProblemCode::Conflict, "too many logins wait already")
            .hinting("finish those, or wait ten minutes until they expire")
    };
    let id = LoginId::fresh()?;
    let view = invited(id, name, invitation);
    let now = Instant::now();
    if waiting.is_for_browsers() {
        admin.logins.open(Open { id, by, purpose, waiting }, view.clone(), now).map_err(full)?;
        return Ok(view);
    }
    admin.logins.watch_over(view.clone(), now).map_err(full)?;
    let admin = Arc::clone(admin);
    tokio::spawn(async move {
        let brought = admin.custody.poll(waiting).await;
        end(&admin, id, by, purpose, brought).await;
    });
    Ok(view)
}

fn invited(id: LoginId, name: Name, invitation: Invitation) -> LoginView {
    let (mut url, mut user_code, mut uri, mut complete, mut within) = (None, None, None, None, PATIENCE);
    match invitation {
        Invitation::Browser { url: opened } => url = Some(opened),
        Invitation::Device { user_code: code, verification_uri, complete: with_code, within: left } => {
            (user_code, uri, complete, within) = (Some(code), Some(verification_uri), with_code, left);
        }
    }
    LoginView {
        id,
        state: WAITING.into(),
        name,
        url,
        user_code,
        verification_uri: uri,
        verification_uri_complete: complete,
        expires: Timestamp::now().plus(within).to_string(),
        code: None,
        reason: None,
        hint: None,
        credential: None,
    }
}

/// Stores what a login brought, and tells those who wait for it.
async fn end(admin: &Admin, id: LoginId, by: Peer, purpose: Purpose, brought: Result<LoggedIn, LoginError>) {
    let ended = match brought {
        Ok(logged_in) => store(admin, by, purpose, logged_in).await,
        Err(error) => {
            tracing::warn!(login = %id, code = error.code().as_str(), "a login came to nothing: {error}");
            note_failure(admin, by, &purpose).await;
            admin.logins.tell(id, |view| view.fail(error));
            return;
        }
    };
    admin.logins.tell(id, |view| match ended {
        Ok(credential) => {
            view.state = "done".into();
            view.credential = Some(credential);
        }
        Err(problem) => {
            let document = problem.document();
            view.state = "failed".into();
            (view.code, view.reason) = (Some(document.code), Some(document.detail));
            view.hint = Some(document.hint);
        }
    });
}

async fn note_failure(admin: &Admin, by: Peer, purpose: &Purpose) {
    let (id, name) = match purpose {
        Purpose::Add { id, name, .. } => (id, Some(name)),
        Purpose::Renew { id } => (id, None),
    };
    let noted = match Act::begin(admin, by).await {
        Ok(act) => act.note("login failed", &id.to_string(), name).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = noted {
        tracing::error!(%problem, "a failed login is not on record");
    }
}

async fn store(
    admin: &Admin,
    by: Peer,
    purpose: Purpose,
    logged_in: LoggedIn,
) -> Result<CredentialView, Problem> {
    let act = Act::begin(admin, by).await?;
    match purpose {
        Purpose::Add { id, name, destinations } => {
            unless_taken(&act.rows, &name)?;
            let accepted =
                admin.custody.accept_login(logged_in, id, &destinations, 1).map_err(not_accepted)?;
            let fresh = Fresh { id, name, kind: CredentialKind::Oauth, destinations };
            store_new(admin, act, fresh, accepted).await
        }
        Purpose::Renew { id } => {
            let live = act.rows.credentials.iter().find(|row| row.id == id && row.removed.is_none());
            let gone = || Problem::new(ProblemCode::Conflict, "the credential was removed meanwhile");
            let row = live.ok_or_else(gone)?.clone();
            let generation = row.generation.checked_add(1).ok_or_else(|| {
                Problem::new(ProblemCode::Conflict, "this credential cannot be renewed any more")
            })?;
            let accepted = admin
                .custody
                .accept_login(logged_in, id, &row.destinations, generation)
                .map_err(not_accepted)?;
            let now = Timestamp::now();
            let stored =
                || admin.store.rotate_credential(id, generation, accepted.sealed, accepted.shape, now);
            let rows =
                act.carry_out("credential logged in again", id.to_string(), Some(&row.name), stored).await?;
            Ok(view::credential(find::credential(&rows, &id.to_string())?, &*rows))
        }
    }
}

fn failed(error: LoginError) -> Problem {
    Problem::new(ProblemCode::LoginFailed, format!("{error} ({})", error.code().as_str()))
        .hinting(error.hint())
}

fn gone() -> Problem {
    Problem::new(ProblemCode::NotFound, "the broker does not know this login")
        .hinting("it has expired, or the broker was restarted: begin again")
}
