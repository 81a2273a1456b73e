//! Every page for people who have logged in: its method, its path, who may see it, and the scripts and styles that pages are made with.

use super::frame::{Section, problem};
use super::unchanged::unless_unchanged;
use super::viewer::Viewer;
use super::{
    activity, call, connect, credentials, editor, inbox, live, placeholder, placeholders, policies, status,
    workloads,
};
use crate::admin::Admin;
use crate::identity::{Access, Caller, to_page};
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use http::header;
use std::sync::Arc;

/// No form is longer: a policy is the largest part of any.
const LARGEST_BODY: usize = 1 << 20;

type Page = (&'static str, &'static str, Access, MethodRouter<Arc<Admin>>);

/// Every page.
fn pages() -> Vec<Page> {
    use Access::{Inspect, Operate, Read, Withdraw};
    vec![
        ("GET", "/inbox", Inspect, get(inbox::first)),
        ("GET", "/inbox/{item}", Inspect, get(inbox::item)),
        ("POST", "/inbox/{item}/dismiss", Operate, post(inbox::dismiss)),
        ("GET", "/activity", Inspect, get(activity::show)),
        ("GET", "/activity/{request}", Inspect, get(call::show)),
        ("GET", "/placeholders", Read, get(placeholders::list)),
        ("POST", "/placeholders", Operate, post(editor::issue)),
        ("GET", "/placeholders/{placeholder}", Inspect, get(placeholder::show)),
        ("POST", "/placeholders/{placeholder}/freeze", Withdraw, post(placeholder::freeze)),
        ("POST", "/placeholders/{placeholder}/thaw", Operate, post(placeholder::thaw)),
        ("POST", "/placeholders/{placeholder}/revoke", Withdraw, post(placeholder::revoke)),
        ("GET", "/policies", Inspect, get(policies::list)),
        ("GET", "/policies/new", Inspect, get(editor::show)),
        ("POST", "/policies/check", Inspect, post(editor::check)),
        ("GET", "/credentials", Read, get(credentials::list)),
        ("GET", "/credentials/{credential}", Read, get(credentials::show)),
        ("GET", "/connect", Read, get(connect::list)),
        ("GET", "/connect/{service}", Read, get(connect::show)),
        ("GET", "/workloads", Read, get(workloads::list)),
        ("POST", "/workloads", Operate, post(workloads::add)),
        ("GET", "/workloads/{workload}", Read, get(workloads::show)),
        ("GET", "/status", Read, get(status::show)),
        ("GET", "/live", live::ACCESS, get(live::stream_of)),
    ]
}

/// The pages behind the question who asks, and what they are made with, which anybody may have.
pub(super) fn router(admin: Arc<Admin>) -> Router<Arc<Admin>> {
    // Several methods of one path are one route to axum, each behind what it asks of its caller.
    let pages = pages().into_iter().fold(Router::new(), |router, (_, path, access, handler)| {
        let guard = from_fn_with_state(Arc::clone(&admin), move |caller, viewer, request, next| {
            permit(access, caller, viewer, request, next)
        });
        router.route(path, handler.route_layer(guard))
    });
    pages
        .route_layer(from_fn_with_state(admin, to_page))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .merge(files())
        .layer(from_fn(unless_unchanged))
}

/// As for the admin API; but the *no* is a page.
async fn permit(
    access: Access,
    Extension(caller): Extension<Caller>,
    viewer: Viewer,
    request: Request,
    next: Next,
) -> Response {
    match access.require(&caller) {
        Ok(()) => next.run(request).await,
        Err(no) => problem(&viewer, Section::Health, &no),
    }
}

/// What pages are made with.
const FILES: [(&str, &str, &str); 7] = [
    ("/console.css", "text/css; charset=utf-8", include_str!("console.css")),
    ("/console.js", "text/javascript; charset=utf-8", include_str!("console.js")),
    ("/passkey.js", "text/javascript; charset=utf-8", include_str!("passkey.js")),
    ("/policy.js", "text/javascript; charset=utf-8", include_str!("policy.js")),
    ("/seal.js", "text/javascript; charset=utf-8", include_str!("seal.js")),
    ("/session.js", "text/javascript; charset=utf-8", include_str!("session.js")),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

fn files() -> Router<Arc<Admin>> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        // Kept by browsers, and asked after each time: what a new release brings is there at once.
        let fields = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
        let answer = async move || (fields, text).into_response();
        router.route(path, get(answer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::House;
    use crate::identity::tests::Browser;
    use cloakroom_model::{Role, Roles};

    /// Each page with the roles that may have it.
    const GOLDEN: &str = include_str!("pages.txt");

    /// The path with something that is there in place of its words.
    fn filled(path: &str, issued: &serde_json::Value) -> String {
        let of = |member: &str| issued[member].as_str().unwrap_or_default();
        let words = [
            ("{placeholder}", of("id")),
            ("{item}", of("approval")),
            ("{request}", "00123456789ABCDEFGHJKMNPQR"),
            ("{credential}", "c"),
            ("{workload}", "robot"),
            ("{service}", "by-hand"),
        ];
        words.iter().fold(path.to_owned(), |path, (word, value)| path.replace(word, value))
    }

    #[tokio::test]
    async fn every_page_is_for_the_roles_that_the_golden_file_names_and_for_nobody_else() {
        let (house, issued) = House::granted().await;
        let mut tokens = Vec::new();
        for role in Role::ALL {
            tokens.push((role, house.token(role).await));
        }
        let mut table = String::new();
        // Told of changes is an answer without an end: who may have it is the same as for other pages that are read.
        for (method, path, ..) in pages().iter().filter(|page| page.1 != "/live") {
            let at = filled(path, &issued);
            let form = [("content-type", "application/x-www-form-urlencoded")];
            let stranger = house.ask(method, &at, &form, "").await;
            assert!([303, 401].contains(&stranger.status), "{method} {path}: {}", stranger.status);
            let mut may = Vec::new();
            for (role, token) in &tokens {
                let bearer = format!("Bearer {token}");
                let fields = [form[0], ("authorization", bearer.as_str())];
                let told = house.ask(method, &at, &fields, "").await;
                assert!(told.status < 500, "{method} {path} {role}: {}", told.text);
                if told.status != 403 {
                    may.push(role.as_str());
                }
                let policy = told
                    .headers
                    .get("content-security-policy")
                    .map(|value| value.to_str().unwrap_or_default());
                assert!(policy.is_some_and(|policy| !policy.contains("unsafe")), "{method} {path}");
            }
            table.push_str(&format!("{method} {path}: {}\n", may.join(" ")));
        }
        assert_eq!(table, GOLDEN, "compare with crates/admin/src/console/pages.txt");
    }

    #[tokio::test]
    async fn t82_the_cookie_alone_changes_nothing_on_any_page_and_no_page_has_the_other_half() {
        let (house, issued) = House::granted().await;
        let ann = Browser::with(&house, "ann", Roles::all()).await;
        let before = house.acts();
        for (method, path, ..) in pages().iter().filter(|page| page.1 != "/live") {
            let path = filled(path, &issued);
            let fields = [("cookie", ann.cookie.as_str()), ("origin", "http://localhost:8481")];
            for kind in ["application/x-www-form-urlencoded", "application/json", "text/plain"] {
                let fields = [fields[0], fields[1], ("content-type", kind)];
                let told = house.ask(method, &path, &fields, "name=x&csrf=").await;
                assert!(!told.text.contains(&ann.half), "{method} {path}");
                if *method != "GET" {
                    assert_eq!(told.code(), "cross-site", "{method} {path}: {told:?}");
                }
            }
        }
        assert_eq!(house.acts(), before);
        let held = ann.form(&house, "/workloads", "name=other").await;
        assert_eq!(held.status, 200, "with both halves it is done: {held:?}");
        assert!(house.acts().len() > before.len());
    }

    #[tokio::test]
    async fn t86_no_page_shows_a_secret_a_workload_key_or_a_placeholder_that_was_issued_before() {
        let (house, issued) = House::granted().await;
        let token = house.token(Role::Operator).await;
        let text = issued["placeholder"].as_str().unwrap_or_default();
        assert!(!text.is_empty());
        for (_, path, ..) in pages().iter().filter(|page| page.0 == "GET" && page.1 != "/live") {
            let told = house.ask_with(&token, "GET", &filled(path, &issued), None).await;
            for secret in [crate::house::CANARY, text] {
                assert!(!told.text.contains(secret), "{path}");
            }
        }
    }
}
