//! The admin API: every route, in one table.

pub(crate) mod approvals;
pub(crate) mod approvers;
mod credentials;
pub(crate) mod custody;
pub(crate) mod health;
pub(crate) mod input;
mod issuer;
mod leases;
mod lessons;
pub(crate) mod locks;
pub(crate) mod logins;
mod parked;
pub(crate) mod placeholders;
mod proposals;
mod tuples;
mod view;
mod workloads;

use crate::admin::Admin;
use crate::handover::take_over;
use crate::peer::require_operator;
use crate::{Problem, ProblemCode};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, delete, get, post};
use std::sync::Arc;

/// No request of this API is larger: a policy file is the largest part of any.
const LARGEST_BODY: usize = 1 << 20;

type Route = (&'static str, &'static str, MethodRouter<Arc<Admin>>);

/// Every route: method, path, handler.
fn routes() -> Vec<Route> {
    vec![
        ("GET", "/api/v1/health", get(health::show)),
        ("GET", "/api/v1/explain/{request}", get(health::explain)),
        ("POST", "/api/v1/checkpoint", post(health::checkpoint)),
        ("POST", "/api/v1/take-over", post(take_over)),
        ("GET", "/api/v1/intake", get(credentials::intake)),
        ("GET", "/api/v1/credentials", get(credentials::list)),
        ("POST", "/api/v1/credentials", post(credentials::add)),
        ("GET", "/api/v1/credentials/{credential}", get(credentials::show)),
        ("POST", "/api/v1/credentials/{credential}/rotate", post(credentials::rotate)),
        ("DELETE", "/api/v1/credentials/{credential}", delete(credentials::remove)),
        ("POST", "/api/v1/credentials/{credential}/login", post(logins::again)),
        ("POST", "/api/v1/logins", post(logins::begin)),
        ("POST", "/api/v1/logins/answer", post(logins::answer)),
        ("GET", "/api/v1/logins/{login}", get(logins::show)),
        ("GET", "/api/v1/custody", get(custody::show)),
        ("POST", "/api/v1/custody/rewrap", post(custody::rewrap)),
        ("POST", "/api/v1/custody/rotate", post(custody::rotate)),
        ("POST", "/api/v1/custody/seal", post(custody::seal)),
        ("POST", "/api/v1/custody/unseal", post(custody::unseal)),
        ("GET", "/api/v1/issuer", get(issuer::show)),
        ("POST", "/api/v1/issuer/rotate", post(issuer::rotate)),
        ("GET", "/api/v1/leases", get(leases::list)),
        ("DELETE", "/api/v1/leases/{lease}", delete(leases::dismiss)),
        ("GET", "/api/v1/workloads", get(workloads::list)),
        ("POST", "/api/v1/workloads", post(workloads::add)),
        ("GET", "/api/v1/workloads/{workload}", get(workloads::show)),
        ("DELETE", "/api/v1/workloads/{workload}", delete(workloads::remove)),
        ("GET", "/api/v1/placeholders", get(placeholders::list)),
        ("POST", "/api/v1/placeholders", post(placeholders::issue)),
        ("GET", "/api/v1/placeholders/{placeholder}", get(placeholders::show)),
        ("POST", "/api/v1/placeholders/{placeholder}/revoke", post(placeholders::revoke)),
        ("POST", "/api/v1/placeholders/{placeholder}/freeze", post(placeholders::freeze)),
        ("POST", "/api/v1/placeholders/{placeholder}/thaw", post(placeholders::thaw)),
        ("POST", "/api/v1/revoke", post(placeholders::revoke_many)),
        ("GET", "/api/v1/approvals", get(approvals::list)),
        ("GET", "/api/v1/approvals/{approval}", get(approvals::show)),
        ("POST", "/api/v1/approvals/{approval}/grant", post(approvals::grant)),
        ("POST", "/api/v1/approvals/{approval}/deny", post(approvals::deny)),
        ("POST", "/api/v1/approvals/{approval}/withdraw", post(approvals::withdraw)),
        ("GET", "/api/v1/proposals", get(proposals::list)),
        ("DELETE", "/api/v1/proposals/{proposal}", delete(proposals::take)),
        ("GET", "/api/v1/approvers", get(approvers::list)),
        ("POST", "/api/v1/approvers", post(approvers::enrol)),
        ("POST", "/api/v1/approvers/passkey", post(approvers::invite)),
        ("POST", "/api/v1/approvers/{approver}/remove", post(approvers::remove)),
        ("POST", "/api/v1/lessons", post(lessons::begin)),
        ("GET", "/api/v1/lessons/{workload}", get(lessons::show)),
        ("DELETE", "/api/v1/lessons/{workload}", delete(lessons::end)),
        ("GET", "/api/v1/locks", get(locks::list)),
        ("POST", "/api/v1/locks", post(locks::report)),
        ("DELETE", "/api/v1/locks/{lock}", delete(locks::forget)),
        ("GET", "/api/v1/tuples", get(tuples::list)),
    ]
}

/// The API, behind the question who asks. Each connection adds its `Peer`.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, handler)| router.route(path, handler))
        .fallback(async || Problem::new(ProblemCode::NoSuchRoute, "the admin API has no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(ProblemCode::MethodNotAllowed, "this route takes another method")
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(require_operator))
        .with_state(admin)
}

#[cfg(test)]
mod tests;
