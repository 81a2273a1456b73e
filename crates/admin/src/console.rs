//! The console listener: pages for people, and the admin API for whoever has logged in or holds an API token. What needs neither says only
//! that the broker runs, or takes a signature that the data plane verifies, or a link that is good once. It answers only to its own names
//! (T83).

mod activity;
mod approve;
mod board;
mod call;
mod callback;
mod changes;
mod chart;
mod compared;
mod connect;
mod credentials;
mod draft;
mod editor;
mod enrol;
mod first_steps;
mod frame;
mod inbox;
mod index;
mod judgement;
mod live;
mod login;
mod look;
mod offer;
mod page;
mod placeholder;
mod placeholders;
mod policies;
mod records;
mod routes;
mod sign_on;
mod snippets;
mod state;
mod status;
mod unchanged;
mod viewer;
mod waiting;
mod workloads;

pub use offer::{Offer, OfferedLogin, OfferedPolicy};
pub use state::ConsoleState;
pub use waiting::{Waiting, WaitingKind};

use crate::admin::{Admin, AdminError};
use crate::api::{health, logins};
use crate::identity::{from_here_or_known, from_own_page, to_page};
use crate::listen::{Arrived, Ends};
use crate::tls::{Handshakes, TlsSettings, accepted};
use crate::{Problem, ProblemCode, api, listen, metrics, readiness};
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What browsers say about passkeys is shorter.
const LARGEST_BODY: usize = 32 << 10;

/// No body of any route is longer; each has its own, smaller bound.
const LONGEST_BODY: usize = 2 << 20;

/// What every answer says, where it says nothing else itself: no script, no frame, no fetch, nothing kept.
const SECURITY_HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Serves the console until `shutdown` resolves; in TLS where `tls` says how.
///
/// # Errors
/// None at present; a listener that fails for good will be one.
pub async fn serve_console(
    admin: Arc<Admin>,
    listener: TcpListener,
    tls: Option<TlsSettings>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), AdminError> {
    let router = router(admin);
    let Some(tls) = tls else {
        listen::serve(|| async { Ok(arrived(accepted(&listener).await?, &router)) }, shutdown).await;
        return Ok(());
    };
    let handshakes = Handshakes::begin(listener, tls);
    listen::serve(|| async { Ok(arrived(handshakes.next().await?, &router)) }, shutdown).await;
    Ok(())
}

fn arrived<S>((stream, ends): (S, Ends), router: &Router) -> Arrived<S> {
    Arrived { stream, router: router.clone().layer(Extension(ends)), from: Some(ends.remote.ip()) }
}

pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let guarded = from_fn_with_state(Arc::clone(&admin), to_page);
    let figures = from_fn_with_state(Arc::clone(&admin), from_here_or_known);
    let people = Router::new()
        .route("/account", get(login::account))
        .route("/logout", post(login::leave))
        .route_layer(guarded);
    let strangers = Router::new()
        .route("/login", get(login::show).post(login::enter))
        .route("/login/challenge", post(login::challenge))
        .route("/enrol/{code}", get(enrol::show).post(enrol::redeem))
        .route_layer(from_fn_with_state(Arc::clone(&admin), from_own_page));
    Router::new()
        .route("/", get(front))
        .route("/health", get(console_health))
        .route("/metrics", get(metrics::show).route_layer(figures))
        .route("/healthz", get(readiness::alive))
        .route("/readyz", get(readiness::ready))
        .route("/approve/{approval}", get(approve::show))
        .route("/approve/{approval}/grant", post(approve::grant))
        .route("/approve/{approval}/deny", post(approve::deny))
        .route(logins::CALLBACK, get(callback::show))
        .route(sign_on::BEGIN, get(sign_on::begin))
        .route(sign_on::CALLBACK, get(sign_on::answered))
        .merge(strangers)
        .merge(people)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .merge(routes::router(Arc::clone(&admin)))
        .merge(api::open_router(Arc::clone(&admin)))
        .fallback(async || Problem::new(ProblemCode::NoSuchRoute, "the console has no such page"))
        .layer(from_fn_with_state(Arc::clone(&admin), within_time))
        .layer(from_fn_with_state(Arc::clone(&admin), require_own_host))
        .layer(map_response(fenced))
        .with_state(admin)
}

/// Takes the whole body before anybody is asked who sent it, and not for ever: a sender that stops half-way frees its place.
async fn within_time(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let late = || Problem::new(ProblemCode::MalformedRequest, "the body did not come within the time for it");
    let whole = tokio::time::timeout(admin.console.body_time, to_bytes(body, LONGEST_BODY))
        .await
        .map_err(|_| late())?;
    let whole = whole.map_err(|_| {
        Problem::new(ProblemCode::MalformedRequest, "the body cannot be read, or is too long")
    })?;
    Ok(next.run(Request::from_parts(head, Body::from(whole))).await)
}

/// Nothing leaves without these fields, refusals neither.
async fn fenced(mut answer: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// The inbox, by way of the log-in where nobody has logged in.
async fn front() -> Redirect {
    Redirect::to("/inbox")
}

/// Says only that the broker runs: how much it holds is for the socket.
async fn console_health(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
    let health = health::read(&admin).await?;
    let body = serde_json::json!({ "status": health.status, "version": health.version });
    Ok(axum::Json(body).into_response())
}

async fn require_own_host(
    State(admin): State<Arc<Admin>>,
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if host_is_own(request.headers(), request.uri(), ends.local.ip(), admin.ballots.party.authority()) {
        return Ok(next.run(request).await);
    }
    Err(Problem::new(ProblemCode::HostNotPermitted, "the request names another host"))
}

/// SECURITY: a page of another origin reaches a loopback port by rebinding its own name to 127.0.0.1; the name then
/// stands in `Host`. The port says nothing about this and is often mapped, so it is free.
fn host_is_own(headers: &HeaderMap, uri: &Uri, local: IpAddr, configured: &str) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let target_agrees = uri.authority().is_none_or(|authority| authority.as_str() == host);
    target_agrees && (host == configured || is_own(host, local))
}

fn is_own(host: &str, local: IpAddr) -> bool {
    let after_bracket = host.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match host[after_bracket..].find(':') {
        Some(colon) => host.split_at(after_bracket + colon),
        None => (host, ""),
    };
    let port_is_number = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    let bound = match local {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    port_is_number && ["127.0.0.1", "[::1]", "localhost", bound.as_str()].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t83_the_console_answers_only_to_its_own_names() {
        let local = IpAddr::from([10, 0, 0, 7]);
        for host in [
            "127.0.0.1:8481",
            "127.0.0.1",
            "[::1]:8481",
            "[::1]",
            "localhost:8481",
            "localhost",
            "10.0.0.7:8481",
        ] {
            assert!(is_own(host, local), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8481",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0.0.0.0:8481",
            "[::]:8481",
            "[::ffff:127.0.0.1]",
            "10.0.0.8",
            "127.0.0.1:",
            "127.0.0.1:http",
            "127.0.0.1:99999",
            "localhost:8481:8481",
            "user@localhost",
            "localhost/",
            "localhost,evil.example",
            " localhost",
            "::1",
            "[::1",
            "[::1]x",
            "127.0.0.2",
        ] {
            assert!(!is_own(host, local), "{host:?}");
        }
    }

    #[test]
    fn t83_no_host_two_hosts_and_a_disagreeing_target_are_refused() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let mut headers = HeaderMap::new();
        let own = |headers: &HeaderMap, uri| {
            host_is_own(headers, &Uri::from_static(uri), local, "console.example.org")
        };
        assert!(!own(&headers, "/"));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(own(&headers, "/") && own(&headers, "http://localhost/"));
        assert!(!own(&headers, "http://evil.example/"));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(!own(&headers, "/"));
        for (host, is) in
            [("console.example.org", true), ("console.example.org:81", false), ("example.org", false)]
        {
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(own(&headers, "/"), is, "{host}");
        }
    }
}
