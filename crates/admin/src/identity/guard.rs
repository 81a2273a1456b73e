//! The guards in front of every route: who asks, from where, and whether that is enough.

use super::{Access, Caller, Form, require_same_origin};
use crate::admin::Admin;
use crate::listen::Ends;
use crate::peer::Peer;
use crate::places::Known;
use crate::{Problem, ProblemCode};
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom_model::SessionRecord;
use http::{HeaderMap, HeaderName, Method};
use std::sync::Arc;

/// What the pages of a session add to what they send, unless a form has it as a field: no other page, and no server on another port, knows it.
const CSRF: HeaderName = HeaderName::from_static("cloakroom-csrf");
/// The same in a form.
const FIELD: &str = "csrf";
/// No form is longer: a policy is the largest part of any.
const LONGEST_FORM: usize = 1 << 20;

/// On the admin socket and the operators' link: lets nobody past but those who may operate the broker.
pub(crate) async fn known_peer(
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if peer.may_operate(rustix::process::geteuid().as_raw()) {
        let caller = Caller::operating(peer);
        keeps_its_place(&request, &caller);
        request.extensions_mut().insert(caller);
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
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = recognised(&admin, ends, request.headers()).await?;
    if let Some(session) = changing(&caller, &request) {
        require_same_origin(request.headers(), &admin.ballots.party)?;
        admin.require_half(session, header_of(&request))?;
    }
    Ok(pass(caller, request, next).await)
}

/// In front of pages: as [`known_caller`], but a form may have the half of its session as a field, and a reader who is nobody yet is led to
/// the log-in.
pub(crate) async fn to_page(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Response {
    let (reads, path) = (request.method() == Method::GET, request.uri().path().to_owned());
    match known_reader(&admin, ends, request, next).await {
        Err(problem) if problem.code() == ProblemCode::NotAuthenticated && reads => {
            Redirect::to(&format!("/login?next={path}")).into_response()
        }
        answer => answer.into_response(),
    }
}

async fn known_reader(admin: &Admin, ends: Ends, request: Request, next: Next) -> Result<Response, Problem> {
    let caller = recognised(admin, ends, request.headers()).await?;
    let Some(session) = changing(&caller, &request) else { return Ok(pass(caller, request, next).await) };
    require_same_origin(request.headers(), &admin.ballots.party)?;
    if request.headers().contains_key(CSRF) {
        admin.require_half(session, header_of(&request))?;
        return Ok(pass(caller, request, next).await);
    }
    // SECURITY: here and not where the form is read, so that no page can forget it.
    let (head, body) = request.into_parts();
    let unread = |_| Problem::new(ProblemCode::MalformedRequest, "the form is too long");
    let body = to_bytes(body, LONGEST_FORM).await.map_err(unread)?;
    let form = Form::read(&body)?;
    admin.require_half(session, form.field(FIELD).unwrap_or_default().as_bytes())?;
    Ok(pass(caller, Request::from_parts(head, Body::from(body)), next).await)
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

/// In front of figures: whoever is on this machine may have them, as what collects them there does; elsewhere it takes a role.
pub(crate) async fn from_here_or_known(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !ends.remote.ip().to_canonical().is_loopback() {
        Access::Read.require(&recognised(&admin, ends, request.headers()).await?)?;
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

/// Who sent it, where anything in it says so.
async fn recognised(admin: &Admin, ends: Ends, headers: &HeaderMap) -> Result<Caller, Problem> {
    let caller = admin.caller_of(headers, ends.remote.ip()).await?;
    caller.ok_or_else(|| Problem::new(ProblemCode::NotAuthenticated, "nothing in the request says who asks"))
}

/// No stranger takes the place of this connection until a request on it is nobody's.
fn keeps_its_place(request: &Request, caller: &Caller) {
    if let Some(known) = request.extensions().get::<Known>() {
        known.tell(caller.whose());
    }
}

async fn pass(caller: Caller, mut request: Request, next: Next) -> Response {
    keeps_its_place(&request, &caller);
    request.extensions_mut().insert(caller.by().clone());
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The session in which a request would change something.
fn changing<'c>(caller: &'c Caller, request: &Request) -> Option<&'c SessionRecord> {
    caller.session().filter(|_| !is_safe(request.method()))
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn header_of(request: &Request) -> &[u8] {
    request.headers().get(CSRF).map(http::HeaderValue::as_bytes).unwrap_or_default()
}

impl Admin {
    /// Whether this is what the pages of the session hold.
    fn require_half(&self, session: &SessionRecord, sent: &[u8]) -> Result<(), Problem> {
        // A keyed hash: how long the comparison takes says nothing of what was kept.
        if self.half_hash(sent) == session.half {
            return Ok(());
        }
        Err(Problem::new(
            ProblemCode::CrossSite,
            "the request does not say what only pages of this session know",
        )
        .hinting("log in again, in this browser; programs use an API token instead of a session"))
    }
}
