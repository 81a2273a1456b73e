//! The guards in front of every route: who asks, from where, and whether that is enough.

use super::{Access, Caller, require_same_origin};
use crate::admin::Admin;
use crate::listen::Ends;
use crate::peer::Peer;
use crate::{Problem, ProblemCode};
use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, Method, header};
use std::sync::Arc;

/// What pages of a session add to what they send: a page of another site cannot know it.
const CSRF: HeaderName = HeaderName::from_static("cloakroom-csrf");

/// On the admin socket and the operators' link: lets nobody past but those who may operate the broker.
pub(crate) async fn known_peer(
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if peer.may_operate(rustix::process::geteuid().as_raw()) {
        request.extensions_mut().insert(Caller::operating(peer));
        return Ok(next.run(request).await);
    }
    tracing::warn!(%peer, "a user who may not operate the broker called the admin socket");
    Err(Problem::new(ProblemCode::PeerNotPermitted, format!("{peer} may not operate this broker")))
}

/// On the console's listener: lets nobody past but holders of API tokens and people who have logged in, and of these nothing that a page of
/// another site had their browser send.
pub(crate) async fn known_caller(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = admin.caller_of(request.headers(), ends.remote.ip()).await?;
    let caller = caller
        .ok_or_else(|| Problem::new(ProblemCode::NotAuthenticated, "nothing in the request says who asks"))?;
    if caller.session().is_some() && !is_safe(request.method()) {
        require_same_origin(request.headers(), &admin.ballots.party)?;
        require_csrf(request.headers(), &caller)?;
    }
    request.extensions_mut().insert(caller.by().clone());
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// In front of pages: as [`known_caller`], but a reader who is nobody yet is led to the log-in.
pub(crate) async fn to_page(
    admin: State<Arc<Admin>>,
    ends: Extension<Ends>,
    request: Request,
    next: Next,
) -> Response {
    let (reads, path) = (request.method() == Method::GET, request.uri().path().to_owned());
    match known_caller(admin, ends, request, next).await {
        Err(problem) if problem.code() == ProblemCode::NotAuthenticated && reads => {
            Redirect::to(&format!("/login?next={path}")).into_response()
        }
        answer => answer.into_response(),
    }
}

/// In front of what strangers may send: a passkey's signature or a new passkey, and nothing that a page of another site has them send.
pub(crate) async fn from_own_page(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !is_safe(request.method()) {
        require_same_origin(request.headers(), &admin.ballots.party)?;
    }
    Ok(next.run(request).await)
}

/// In front of one route.
pub(crate) async fn permit(
    access: Access,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    access.require(&caller)?;
    Ok(next.run(request).await)
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// SECURITY: in a field of its own, or, from a form, in the form: [`Form`](super::Form) checks it there. No other page can send either with
/// the right value, and none can send JSON with a field of its own without being asked first (CORS), which nothing here answers.
fn require_csrf(headers: &HeaderMap, caller: &Caller) -> Result<(), Problem> {
    let sent = headers.get(CSRF).map(http::HeaderValue::as_bytes);
    let of_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded")
    });
    match sent {
        None if of_form => Ok(()),
        sent => require_token(sent.unwrap_or_default(), caller),
    }
}

/// Whether this is what pages of the caller's session add.
pub(super) fn require_token(sent: &[u8], caller: &Caller) -> Result<(), Problem> {
    let own = caller.csrf().unwrap_or_default().as_bytes();
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(own, sent).is_ok();
    if same && !own.is_empty() {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::CrossSite, "the request does not say what only pages of this session know")
        .hinting("load the page again; programs use an API token instead of a session"))
}
