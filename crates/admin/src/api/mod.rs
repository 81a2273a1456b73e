//! The admin API: every route, in one table.

pub(crate) mod approvals;
pub(crate) mod approvers;
pub(crate) mod credentials;
pub(crate) mod custody;
mod drop_off;
pub(crate) mod feed;
mod fit;
pub(crate) mod health;
pub(crate) mod input;
pub(crate) mod issue;
mod issuer;
mod leases;
mod lessons;
pub(crate) mod locks;
pub(crate) mod logins;
mod openapi;
mod operation;
mod page;
mod parked;
pub(crate) mod people;
pub(crate) mod placeholders;
pub(crate) mod precondition;
pub(crate) mod proposals;
pub(crate) mod replays;
mod route;
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
pub(crate) use route::Route;
use route::{create, delete, get, post};
use std::sync::Arc;

/// No request of this API is larger: a policy file is the largest part of any.
const LARGEST_BODY: usize = 1 << 20;

/// Every route.
pub(crate) fn routes() -> Vec<Route> {
    use Access::{Approve, Inspect, Local, Operate, Own, People, Read, Withdraw};
    vec![
        get("/api/v1/health", Read, "Whether the broker runs, in figures", health::show),
        get("/api/v1/openapi.json", Read, "This document", openapi::show),
        get(
            "/api/v1/events",
            feed::ACCESS,
            "Approvals as they change and security events, as server-sent events",
            feed::events,
        ),
        get("/api/v1/explain/{request}", Inspect, "What is on record for one call", health::explain),
        post("/api/v1/checkpoint", Inspect, "Signs all that is on record until now", health::checkpoint),
        post("/api/v1/take-over", Local, "Hands the listening sockets to another broker", take_over),
        get(
            "/api/v1/intake",
            Operate,
            "The key that secrets are sealed to on their way in",
            credentials::intake,
        ),
        get("/api/v1/credentials", Read, "Every credential, by name and age", credentials::list),
        create("/api/v1/credentials", Operate, "Deposits a credential", credentials::add),
        get("/api/v1/credentials/{credential}", Read, "One credential, by name and age", credentials::show),
        create(
            "/api/v1/credentials/{credential}/rotate",
            Operate,
            "Replaces the secret of a credential",
            credentials::rotate,
        ),
        delete(
            "/api/v1/credentials/{credential}",
            Operate,
            "Removes a credential; its placeholders stop at once",
            credentials::remove,
        ),
        create(
            "/api/v1/credentials/{credential}/login",
            Operate,
            "Begins another log-in for a credential that came of one",
            logins::again,
        ),
        get("/api/v1/drop-off", Read, "The keys that parcels are sealed to", drop_off::show),
        create("/api/v1/drop-off/rotate", Operate, "Makes another key for parcels", drop_off::rotate),
        post(
            "/api/v1/drop-off/evidence",
            Operate,
            "Has the machine's TPM vouch for the current key for parcels",
            drop_off::evidence,
        ),
        create(
            "/api/v1/parcels",
            Operate,
            "Takes a parcel, once; it becomes the credential that its label says",
            drop_off::take,
        ),
        create("/api/v1/logins", Operate, "Begins a log-in that becomes a credential", logins::begin),
        post("/api/v1/logins/answer", Operate, "Takes what the browser was sent back with", logins::answer),
        get("/api/v1/logins/{login}", Operate, "What became of a log-in", logins::show),
        get(
            "/api/v1/custody",
            Read,
            "Whether the broker is sealed, and by whom its keys are kept",
            custody::show,
        ),
        post(
            "/api/v1/custody/rewrap",
            Operate,
            "Brings every secret under the current root key",
            custody::rewrap,
        ),
        create("/api/v1/custody/rotate", Operate, "Makes another root key", custody::rotate),
        post("/api/v1/custody/seal", Operate, "Seals the broker", custody::seal),
        post("/api/v1/custody/unseal", Operate, "Brings what unseals the broker", custody::unseal),
        get("/api/v1/issuer", Read, "The broker as issuer of tokens", issuer::show),
        create("/api/v1/issuer/rotate", Operate, "Publishes a new key of the issuer", issuer::rotate),
        get("/api/v1/leases", Read, "What sources have lent", leases::list),
        delete(
            "/api/v1/leases/{lease}",
            Operate,
            "Forgets a lease whose end nobody can ask for",
            leases::dismiss,
        ),
        get("/api/v1/workloads", Read, "Every workload", workloads::list),
        create("/api/v1/workloads", Operate, "Adds a workload; its key is shown once", workloads::add),
        get("/api/v1/workloads/{workload}", Read, "One workload", workloads::show),
        delete(
            "/api/v1/workloads/{workload}",
            Operate,
            "Removes a workload; its key and placeholders stop at once",
            workloads::remove,
        ),
        create(
            "/api/v1/workloads/{workload}/boot",
            Operate,
            "Begins a boot of a workload's virtual machine: its new nonce is shown once, the former one stops",
            workloads::boot,
        ),
        get("/api/v1/placeholders", Read, "Every placeholder, without its text", placeholders::list),
        create(
            "/api/v1/placeholders",
            Operate,
            "Issues a placeholder, which waits for approval; its text is shown once",
            issue::issue,
        ),
        get(
            "/api/v1/placeholders/{placeholder}",
            Inspect,
            "One placeholder, with what the journal knows of it",
            placeholders::show,
        ),
        post(
            "/api/v1/placeholders/{placeholder}/revoke",
            Withdraw,
            "Revokes a placeholder and all that descend from it",
            placeholders::revoke,
        ),
        post(
            "/api/v1/placeholders/{placeholder}/freeze",
            Withdraw,
            "Freezes a placeholder",
            placeholders::freeze,
        ),
        post("/api/v1/placeholders/{placeholder}/thaw", Operate, "Thaws a placeholder", placeholders::thaw),
        post(
            "/api/v1/revoke",
            Withdraw,
            "Revokes the placeholders of a credential or a workload, or all",
            placeholders::revoke_many,
        ),
        get(
            "/api/v1/approvals",
            Read,
            "Every approval: of placeholders, of calls that wait, of changes of the approvers",
            approvals::list,
        ),
        get(
            "/api/v1/approvals/{approval}",
            Inspect,
            "One approval, with the text that is signed",
            approvals::show,
        ),
        post(
            "/api/v1/approvals/{approval}/grant",
            Approve,
            "Grants an approval by a signature over its text",
            approvals::grant,
        ),
        post("/api/v1/approvals/{approval}/deny", Approve, "Says no", approvals::deny),
        post(
            "/api/v1/approvals/{approval}/withdraw",
            Withdraw,
            "Takes back what was granted",
            approvals::withdraw,
        ),
        get("/api/v1/proposals", Inspect, "What workloads ask for", proposals::list),
        post(
            "/api/v1/proposals/{proposal}/accept",
            Operate,
            "Takes a proposal off the list as accepted; its workload can hear so",
            proposals::accept,
        ),
        delete("/api/v1/proposals/{proposal}", Operate, "Takes a proposal off the list", proposals::drop),
        get("/api/v1/approvers", Read, "Whose signatures count", approvers::list),
        create("/api/v1/approvers", People, "Asks for a further approver", approvers::enrol),
        create(
            "/api/v1/approvers/passkey",
            People,
            "Makes a link for the passkey of a further approver",
            approvers::invite,
        ),
        post(
            "/api/v1/approvers/{approver}/remove",
            People,
            "Asks for an approver's removal",
            approvers::remove,
        ),
        create(
            "/api/v1/lessons",
            Operate,
            "Begins a lesson: the calls of a workload are refused and looked at",
            lessons::begin,
        ),
        get("/api/v1/lessons/{workload}", Read, "How a lesson goes", lessons::show),
        delete("/api/v1/lessons/{workload}", Operate, "Ends a lesson, and proposes a policy", lessons::end),
        get("/api/v1/locks", Read, "What checks of locks found", locks::list),
        post("/api/v1/locks", Operate, "Keeps what a check of a lock found", locks::report),
        delete("/api/v1/locks/{lock}", Operate, "Forgets a lock", locks::forget),
        get("/api/v1/whoami", Own, "Who the caller is", people::whoami),
        get("/api/v1/members", Inspect, "The people who can log in", people::list),
        create("/api/v1/members", People, "Makes a link by which somebody can log in", people::invite),
        create(
            "/api/v1/members/sign-on",
            People,
            "Lets somebody log in whom the provider of the single sign-on knows",
            people::add,
        ),
        delete(
            "/api/v1/members/{member}",
            People,
            "Removes a member; sessions and API tokens end at once",
            people::remove,
        ),
        get("/api/v1/sessions", Own, "The caller's sessions; everybody's for operators", sessions::list),
        delete("/api/v1/sessions/{session}", Own, "Ends a session", sessions::end),
        get("/api/v1/tokens", Own, "The caller's API tokens; everybody's for operators", tokens::list),
        create("/api/v1/tokens", Own, "Makes an API token; its text is shown once", tokens::create),
        delete("/api/v1/tokens/{token}", Own, "Revokes an API token", tokens::revoke),
        get("/api/v1/tuples", Inspect, "What was granted, tuple by tuple", tuples::list),
    ]
}

/// The API on the admin socket and the operators' link. Each connection adds its `Peer`.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    table(&admin)
        .fallback(async || Problem::new(ProblemCode::NoSuchRoute, "the admin API has no such route"))
        .layer(from_fn(known_peer))
        .with_state(admin)
}

/// The API on the console's listener, for whoever has logged in or holds an API token.
pub(crate) fn open_router(admin: Arc<Admin>) -> Router<Arc<Admin>> {
    table(&admin).route_layer(from_fn_with_state(admin, known_caller))
}

/// Every route behind what it asks of its caller.
fn table(admin: &Arc<Admin>) -> Router<Arc<Admin>> {
    routes()
        .into_iter()
        .fold(Router::new(), |router, Route { path, access, creates, handler, .. }| {
            let once = from_fn_with_state(Arc::clone(admin), replays::once);
            let handler = if creates { handler.route_layer(once) } else { handler };
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
