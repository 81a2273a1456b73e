//! `/sign-on` and `/sign-on/callback`: a person is sent to the provider of the single sign-on, comes back with its answer, and gets a session.
//!
//! The browser that begins holds a secret of its own until then, so that nobody has another one's browser finish what they began. Nothing
//! of the answer is shown.

use super::login::{Wanted, own_path, too_many};
use super::page::{Body, onward, refusal};
use crate::act::Act;
use crate::admin::Admin;
use crate::identity::{Begun, Jar, SingleSignOn, TooMany, UnderWay, require_same_origin};
use crate::listen::Ends;
use crate::peer::Peer;
use crate::{Problem, ProblemCode, find, secret_text};
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom_egress::login::{Answer, LoginCode, LoginError, SignedOn};
use cloakroom_model::CredentialId;
use http::{HeaderMap, HeaderValue, Uri, header};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where it begins.
pub(super) const BEGIN: &str = "/sign-on";
/// Where the provider sends browsers back to.
pub(super) const CALLBACK: &str = "/sign-on/callback";
/// How long the provider may take, each time a browser waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn begin(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    // The provider sends browsers back to the origin, and the cookie has to be there then.
    let party = &admin.ballots.party;
    if headers.get(header::HOST).is_none_or(|host| host != party.authority()) {
        return Redirect::to(&format!("{}/login?next={}", party.origin(), own_path(&wanted.next)))
            .into_response();
    }
    match begun(&admin, ends.remote.ip(), own_path(&wanted.next), &headers).await {
        Ok((url, cookie)) => ([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response(),
        Err(problem) => refusal(&problem),
    }
}

async fn begun(
    admin: &Admin,
    from: IpAddr,
    next: &str,
    headers: &HeaderMap,
) -> Result<(String, HeaderValue), Problem> {
    let sign_on = configured(admin)?;
    require_same_origin(headers, &admin.ballots.party)?;
    let now = Instant::now();
    admin.identity.attempts.knock(from, now).map_err(|TooMany| too_many())?;
    let redirect = format!("{}{CALLBACK}", admin.ballots.party.origin());
    let asked = admin.custody.begin_sign_on(&sign_on.provider, secret_of(admin, sign_on).await?, &redirect);
    let (waiting, url) = in_time(asked).await?;
    let browser = secret_text::fresh("")?;
    let cookie = Jar::of_sign_on(&admin.ballots.party).keep(&browser);
    let cookie =
        cookie.ok_or_else(|| Problem::new(ProblemCode::InternalFault, "the cookie cannot be written"))?;
    let former = admin.session_of(headers).await?;
    let until = SingleSignOn::patience(now);
    sign_on.keep(UnderWay { sign_on: waiting, browser, next: next.to_owned(), former, until }, now);
    Ok((url, cookie))
}

pub(super) async fn answered(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    let party = admin.ballots.party.clone();
    let forgotten = Jar::of_sign_on(&party).forget();
    // A browser that hangs up must not leave the person half logged in.
    let ended = tokio::spawn(async move { finish(&admin, ends.remote.ip(), &headers, &query).await });
    let faulty = |_| Err(Problem::new(ProblemCode::InternalFault, "the single sign-on did not finish"));
    match ended.await.unwrap_or_else(faulty) {
        Ok((next, Begun { cookie, half })) => {
            let mut answer = onward("Logged in", &party, half, next);
            // Only here: else any page could have a browser forget what somebody has begun.
            for cookie in [Some(cookie), forgotten].into_iter().flatten() {
                answer.headers_mut().append(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(problem) => refusal(&problem),
    }
}

/// Where the person goes on, and the session.
async fn finish(
    admin: &Arc<Admin>,
    from: IpAddr,
    headers: &HeaderMap,
    query: &str,
) -> Result<(String, Begun), Problem> {
    let sign_on = configured(admin)?;
    let attempts = &admin.identity.attempts;
    if attempts.must_wait(from, Instant::now()) {
        return Err(too_many());
    }
    let browser = Jar::of_sign_on(&admin.ballots.party).read(headers);
    let answered = Answer::read(query);
    let answered = answered.and_then(|answer| Some((sign_on.take(&answer, Instant::now())?, answer)));
    let Some((under_way, answer)) = answered else {
        // SECURITY: any page has a browser on this machine ask for this. Without the secret of one that has begun it is nobody's guess, or
        // a stranger's page would keep the people of this address from logging in.
        if browser.is_some() {
            attempts.failed(from, Instant::now());
        }
        return Err(nothing_waits());
    };
    let entered = enter(admin, sign_on, headers, under_way, answer).await;
    if let Err(problem) = &entered {
        tracing::warn!(peer = %from, code = %problem.code(), "a single sign-on was refused");
        // That the provider is away is nobody's guess.
        if problem.code() != ProblemCode::SignOnUnavailable {
            attempts.failed(from, Instant::now());
        }
    }
    entered
}

/// A session for whom the provider vouches in its answer to what this browser has begun.
async fn enter(
    admin: &Admin,
    sign_on: &SingleSignOn,
    headers: &HeaderMap,
    under_way: UnderWay,
    answer: Answer,
) -> Result<(String, Begun), Problem> {
    if !under_way.is_of(Jar::of_sign_on(&admin.ballots.party).read(headers)) {
        return Err(Problem::new(
            ProblemCode::SignOnFailed,
            "this browser did not begin this single sign-on",
        ));
    }
    let secret = secret_of(admin, sign_on).await?;
    let who = in_time(admin.custody.redeem_sign_on(under_way.sign_on, answer, secret)).await?;
    let newcomer = match admin.newcomer_of(&who).await {
        Ok(newcomer) => newcomer,
        Err(problem) => {
            note(admin, "sign-on of nobody known", &who).await?;
            return Err(problem);
        }
    };
    note(admin, "signed on", &who).await?;
    let begun = admin.begin_session(newcomer, headers).await?;
    if let Some(former) = under_way.former {
        // It may have ended by itself meanwhile.
        let _ = admin.store.end_session(former).await;
    }
    Ok((under_way.next, begun))
}

fn nothing_waits() -> Problem {
    Problem::new(ProblemCode::SignOnFailed, "no single sign-on waits for this answer")
        .hinting("it was answered before, has expired, or the broker was restarted: begin again at /login")
}

async fn in_time<T>(asked: impl Future<Output = Result<T, LoginError>>) -> Result<T, Problem> {
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(LoginError::SILENT)).map_err(failed)
}

fn configured(admin: &Admin) -> Result<&SingleSignOn, Problem> {
    let none = || Problem::new(ProblemCode::NoSuchRoute, "the console knows no provider of single sign-on");
    admin.sign_on.as_ref().ok_or_else(none)
}

/// The credential that is the broker's secret at the provider, by its name as it is now.
async fn secret_of(admin: &Admin, sign_on: &SingleSignOn) -> Result<Option<CredentialId>, Problem> {
    let Some(name) = &sign_on.secret else { return Ok(None) };
    let rows = admin.rows().await?;
    let found = find::credential(&rows, name.as_str()).map(|row| Some(row.id));
    found.map_err(|_| {
        let detail = format!("the credential {:?} with the provider's secret is not there", name.as_str());
        Problem::new(ProblemCode::SignOnFailed, detail)
            .hinting("deposit it: cloakroom credential add NAME --kind bearer --to the provider's origin")
    })
}

/// What strangers are told: fixed words.
fn failed(error: LoginError) -> Problem {
    let code = match error.code() {
        LoginCode::ServerUnavailable => ProblemCode::SignOnUnavailable,
        _ => ProblemCode::SignOnFailed,
    };
    let problem = Problem::new(code, format!("{error} ({})", error.code().as_str()));
    match error.code() {
        LoginCode::NotComplete | LoginCode::MetadataNotUsable | LoginCode::Refused => {
            problem.hinting("an operator mends [console.single-sign-on]: docs/access.md; whoever has a passkey logs in with that")
        }
        _ => problem,
    }
}

async fn note(admin: &Admin, act: &'static str, who: &SignedOn) -> Result<(), Problem> {
    Act::begin(admin, Peer::Console).await?.note(act, &who.subject().to_string(), None).await
}

/// The way to the provider, on the page where people log in.
pub(super) fn offer(admin: &Admin, next: &str, body: Body) -> Body {
    let Some(sign_on) = &admin.sign_on else { return body };
    let to = format!("{BEGIN}?next={next}");
    body.link("sign-on", &to, &format!("Log in by {}", sign_on.host()))
}
