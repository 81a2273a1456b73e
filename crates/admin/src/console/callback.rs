//! `/oauth/callback`: an authorization server sends a browser back here, with the answer to a login. Nothing of the answer is shown.

use super::page::{Body, page, refusal};
use crate::admin::Admin;
use crate::api::logins;
use crate::{Problem, ProblemCode};
use axum::extract::State;
use axum::response::Response;
use http::Uri;
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
                .words("You can close this page. Nothing of the login is kept in this browser but its address, which is worth nothing any more.");
            page("Logged in", &[], &body)
        }
        Ok(view) => {
            let problem = Problem::new(ProblemCode::LoginFailed, view.reason.unwrap_or_default());
            refusal(&problem.hinting(view.hint.unwrap_or_default()))
        }
        Err(problem) => refusal(&problem),
    }
}
