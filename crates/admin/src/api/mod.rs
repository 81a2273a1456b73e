//! The admin API: every route, in one table.

pub(crate) mod approvals;
pub(crate) mod approvers;
pub(crate) mod credentials;
pub(crate) mod custody;
mod drop_off;
mod fit;
pub(crate) mod health;
pub(crate) mod input;
pub(crate) mod issue;
mod issuer;
mod leases;
mod lessons;
pub(crate) mod locks;
pub(crate) mod logins;
mod parked;
pub(crate) mod people;
pub(crate) mod placeholders;
pub(crate) mod proposals;
mod sessions;
mod tokens;
mod tuples;
pub(crate) mod view;
pub(crate) mod workloads;

use crate::admin::Admin;
use crate::handover::take_over;
use crate::identity::{Access, known_caller, known_peer, permit};
use crate::{Problem, ProblemCode};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post};
use std::sync::Arc;

/// No request of this API is larger: a policy file is the largest part of any.
const LARGEST_BODY: usize = 1 << 20;

/// Method, path, who may, handler.
pub(crate) type Route = (&'static str, &'static str, Access, MethodRouter<Arc<Admin>>);

/// Every route.
pub(crate) fn routes() -> Vec<Route> {
    use Access::{Approve, Inspect, Local, Operate, Own, People, Read, Withdraw};
    vec![
        ("GET", "/api/v1/health", Read, get(health::show)),
        ("GET", "/api/v1/explain/{request}", Inspect, get(health::explain)),
        ("POST", "/api/v1/checkpoint", Inspect, post(health::checkpoint)),
        ("POST", "/api/v1/take-over", Local, post(take_over)),
        ("GET", "/api/v1/intake", Operate, get(credentials::intake)),
        ("GET", "/api/v1/credentials", Read, get(credentials::list)),
        ("POST", "/api/v1/credentials", Operate, post(credentials::add)),
        ("GET", "/api/v1/credentials/{credential}", Read, get(credentials::show)),
        ("POST", "/api/v1/credentials/{credential}/rotate", Operate, post(credentials::rotate)),
        ("DELETE", "/api/v1/credentials/{credential}", Operate, delete(credentials::remove)),
        ("POST", "/api/v1/credentials/{credential}/login", Operate, post(logins::again)),
        ("GET", "/api/v1/drop-off", Read, get(drop_off::show)),
        ("POST", "/api/v1/drop-off/rotate", Operate, post(drop_off::rotate)),
        ("POST", "/api/v1/drop-off/evidence", Operate, post(drop_off::evidence)),
        ("POST", "/api/v1/parcels", Operate, post(drop_off::take)),
        ("POST", "/api/v1/logins", Operate, post(logins::begin)),
        ("POST", "/api/v1/logins/answer", Operate, post(logins::answer)),
        ("GET", "/api/v1/logins/{login}", Operate, get(logins::show)),
        ("GET", "/api/v1/custody", Read, get(custody::show)),
        ("POST", "/api/v1/custody/rewrap", Operate, post(custody::rewrap)),
        ("POST", "/api/v1/custody/rotate", Operate, post(custody::rotate)),
        ("POST", "/api/v1/custody/seal", Operate, post(custody::seal)),
        ("POST", "/api/v1/custody/unseal", Operate, post(custody::unseal)),
        ("GET", "/api/v1/issuer", Read, get(issuer::show)),
        ("POST", "/api/v1/issuer/rotate", Operate, post(issuer::rotate)),
        ("GET", "/api/v1/leases", Read, get(leases::list)),
        ("DELETE", "/api/v1/leases/{lease}", Operate, delete(leases::dismiss)),
        ("GET", "/api/v1/workloads", Read, get(workloads::list)),
        ("POST", "/api/v1/workloads", Operate, post(workloads::add)),
        ("GET", "/api/v1/workloads/{workload}", Read, get(workloads::show)),
        ("DELETE", "/api/v1/workloads/{workload}", Operate, delete(workloads::remove)),
        ("GET", "/api/v1/placeholders", Read, get(placeholders::list)),
        ("POST", "/api/v1/placeholders", Operate, post(issue::issue)),
        ("GET", "/api/v1/placeholders/{placeholder}", Read, get(placeholders::show)),
        ("POST", "/api/v1/placeholders/{placeholder}/revoke", Withdraw, post(placeholders::revoke)),
        ("POST", "/api/v1/placeholders/{placeholder}/freeze", Withdraw, post(placeholders::freeze)),
        ("POST", "/api/v1/placeholders/{placeholder}/thaw", Operate, post(placeholders::thaw)),
        ("POST", "/api/v1/revoke", Withdraw, post(placeholders::revoke_many)),
        ("GET", "/api/v1/approvals", Read, get(approvals::list)),
        ("GET", "/api/v1/approvals/{approval}", Inspect, get(approvals::show)),
        ("POST", "/api/v1/approvals/{approval}/grant", Approve, post(approvals::grant)),
        ("POST", "/api/v1/approvals/{approval}/deny", Approve, post(approvals::deny)),
        ("POST", "/api/v1/approvals/{approval}/withdraw", Withdraw, post(approvals::withdraw)),
        ("GET", "/api/v1/proposals", Read, get(proposals::list)),
        ("POST", "/api/v1/proposals/{proposal}/accept", Operate, post(proposals::accept)),
        ("DELETE", "/api/v1/proposals/{proposal}", Operate, delete(proposals::drop)),
        ("GET", "/api/v1/approvers", Read, get(approvers::list)),
        ("POST", "/api/v1/approvers", People, post(approvers::enrol)),
        ("POST", "/api/v1/approvers/passkey", People, post(approvers::invite)),
        ("POST", "/api/v1/approvers/{approver}/remove", People, post(approvers::remove)),
        ("POST", "/api/v1/lessons", Operate, post(lessons::begin)),
        ("GET", "/api/v1/lessons/{workload}", Read, get(lessons::show)),
        ("DELETE", "/api/v1/lessons/{workload}", Operate, delete(lessons::end)),
        ("GET", "/api/v1/locks", Read, get(locks::list)),
        ("POST", "/api/v1/locks", Operate, post(locks::report)),
        ("DELETE", "/api/v1/locks/{lock}", Operate, delete(locks::forget)),
        ("GET", "/api/v1/whoami", Own, get(people::whoami)),
        ("GET", "/api/v1/members", Inspect, get(people::list)),
        ("POST", "/api/v1/members", People, post(people::invite)),
        ("DELETE", "/api/v1/members/{member}", People, delete(people::remove)),
        ("GET", "/api/v1/sessions", Own, get(sessions::list)),
        ("DELETE", "/api/v1/sessions/{session}", Own, delete(sessions::end)),
        ("GET", "/api/v1/tokens", Own, get(tokens::list)),
        ("POST", "/api/v1/tokens", Own, post(tokens::create)),
        ("DELETE", "/api/v1/tokens/{token}", Own, delete(tokens::revoke)),
        ("GET", "/api/v1/tuples", Inspect, get(tuples::list)),
    ]
}

/// The API on the admin socket and the operators' link. Each connection adds its `Peer`.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    table()
        .fallback(async || Problem::new(ProblemCode::NoSuchRoute, "the admin API has no such route"))
        .layer(from_fn(known_peer))
        .with_state(admin)
}

/// The API on the console's listener, for whoever has logged in or holds an API token.
pub(crate) fn open_router(admin: Arc<Admin>) -> Router<Arc<Admin>> {
    table().route_layer(from_fn_with_state(admin, known_caller))
}

/// Every route behind what it asks of its caller.
fn table() -> Router<Arc<Admin>> {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, access, handler)| {
            let guard = from_fn(move |caller, request, next| permit(access, caller, request, next));
            router.route(path, handler.route_layer(guard))
        })
        .method_not_allowed_fallback(async || {
            Problem::new(ProblemCode::MethodNotAllowed, "this route takes another method")
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

#[cfg(test)]
mod tests;
