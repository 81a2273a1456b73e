//! `/oauth/callback`: an authorization server sends a browser back here, with the answer to a login. Nothing of the answer is shown.

use super::frame::Told;
use super::page::{Body, page, refusal};
use crate::admin::Admin;
use crate::api::logins;
use crate::{Problem, ProblemCode};
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::html;
use std::sync::Arc;

pub(super) async fn show(State(admin): State<Arc<Admin>>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    // A browser that hangs up must not lose what the server gives once.
    let answered = tokio::spawn(async move { logins::answered(&admin, &query).await });
    let faulty = |_| Err(Problem::new(ProblemCode::InternalFault, "the login did not finish"));
    match answered.await.unwrap_or_else(faulty) {
        Ok(view) if view.state == "done" => {
            let body = Body::default()
                .labelled("The broker has the credential", "name", view.name.as_str())
                .words("Nothing of the login is kept in this browser but its address, which is worth nothing any more. You can close this page.")
                .and(html! {
                    p .links {
                        a .button href={ "/policies/new?credential=" (view.name) } { "Write a policy for it" }
                        a href="/credentials" { "All credentials" }
                    }
                });
            page("Logged in", Told::default(), body)
        }
        Ok(view) => {
            let problem = Problem::new(ProblemCode::LoginFailed, view.reason.unwrap_or_default());
            refusal(&problem.hinting(view.hint.unwrap_or_default()))
        }
        Err(problem) => refusal(&problem),
    }
}
