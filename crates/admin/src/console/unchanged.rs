//! What a browser has already is not sent again (RFC 9110, section 13.1.2). The tag of a page or a file is one of its bytes.

use crate::api::precondition::Tag;
use crate::{Problem, ProblemCode};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};

/// No page and no file is larger.
const LARGEST: usize = 8 << 20;

/// Gives the answer a tag; where the caller has it already, an answer without a body.
pub(super) async fn unless_unchanged(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = known(request.headers());
    let answer = next.run(request).await;
    if !reads || answer.status() != StatusCode::OK || is_endless(answer.headers()) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return Problem::new(ProblemCode::InternalFault, "the page is too large").into_response();
    };
    let tag = Tag::of_bytes(&bytes);
    let unchanged = known.iter().any(|one| one == "*" || one.trim_start_matches("W/") == tag.text());
    head.headers.extend(tag.value().map(|value| (header::ETAG, value)));
    if !unchanged {
        return Response::from_parts(head, Body::from(bytes));
    }
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::empty())
}

fn known(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    texts.flat_map(|text| text.split(',').map(|tag| tag.trim().to_owned())).collect()
}

/// Whether it goes on as long as somebody listens.
fn is_endless(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use crate::house::House;
    use cloakroom_model::Role;

    #[tokio::test]
    async fn what_a_browser_has_is_not_sent_again_and_what_changed_is() {
        let (house, issued) = House::granted().await;
        let bearer = format!("Bearer {}", house.token(Role::Operator).await);
        let page = format!("/placeholders/{}", issued["id"].as_str().unwrap());
        for path in ["/console.css", "/console.js", "/connect", "/policies/new"] {
            let ask = async |tag: &str| {
                let fields = [("authorization", bearer.as_str()), ("if-none-match", tag)];
                house.ask("GET", path, &fields, "").await
            };
            let first = ask("\"other\"").await;
            let tag = first.headers["etag"].to_str().unwrap().to_owned();
            assert!(first.status == 200 && !first.text.is_empty(), "{path}");
            for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".into()] {
                let again = ask(&known).await;
                assert_eq!((again.status, again.text.as_str()), (304, ""), "{path} {known}");
                assert_eq!(again.headers["etag"].to_str().unwrap(), tag);
                assert_eq!(
                    again.headers["content-security-policy"],
                    first.headers["content-security-policy"]
                );
            }
            assert_eq!(ask(tag.trim_matches('"')).await.status, 200, "a tag has its quotes");
        }
        // Who may not have the page hears nothing of whether it changed.
        let stranger = house.ask("GET", &page, &[("if-none-match", "*")], "").await;
        assert_eq!(stranger.status, 303);
        // What was frozen meanwhile is another page.
        let fields = [("authorization", bearer.as_str())];
        let before = house.ask("GET", &page, &fields, "").await;
        house.ok("POST", &format!("/api/v1{page}/freeze"), None).await;
        let tag = before.headers["etag"].to_str().unwrap();
        let fields = [fields[0], ("if-none-match", tag)];
        let after = house.ask("GET", &page, &fields, "").await;
        assert!(after.status == 200 && after.text.contains("frozen"), "{}", after.status);
    }
}
