//! The issuer's listener: two public documents, for anybody who asks, and nothing else.
//!
//! Relying parties reach it by the issuer's URL, usually through something that speaks TLS in front of it.

use crate::admin::AdminError;
use crate::listen::{self, Arrived};
use crate::tls::accepted;
use crate::{Problem, ProblemCode};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cloakroom_egress::issuer::Issuer;
use cloakroom_model::Timestamp;
use http::header;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Shorter than a new key is announced before it signs, unless the operator is in a hurry.
const CACHED: &str = "public, max-age=300";

/// Serves the documents until `shutdown` resolves.
///
/// # Errors
/// None at present; a listener that fails for good will be one.
pub async fn serve_issuer(
    issuer: Arc<Issuer>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), AdminError> {
    let router = router(issuer);
    let accept = || async {
        let (stream, ends) = accepted(&listener).await?;
        Ok(Arrived { stream, router: router.clone(), from: Some(ends.remote.ip()) })
    };
    listen::serve(accept, shutdown).await;
    Ok(())
}

/// Below the path of the issuer's URL, as relying parties ask for them.
fn router(issuer: Arc<Issuer>) -> Router {
    let path = path_of(issuer.url()).to_owned();
    Router::new()
        .route(&format!("{path}/.well-known/openid-configuration"), get(discovery))
        .route(&format!("{path}/jwks.json"), get(key_set))
        .fallback(async || Problem::new(ProblemCode::NoSuchRoute, "the issuer has no such document"))
        .with_state(issuer)
}

fn path_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    url[authority..].find('/').map_or("", |at| &url[authority + at..])
}

async fn discovery(State(issuer): State<Arc<Issuer>>) -> Response {
    document(issuer.discovery())
}

async fn key_set(State(issuer): State<Arc<Issuer>>) -> Response {
    match issuer.key_set(Timestamp::now()) {
        Ok(set) => document(set),
        Err(_) => {
            Problem::new(ProblemCode::BrokerSealed, "the issuer's keys are not open yet").into_response()
        }
    }
}

fn document(text: String) -> Response {
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, CACHED),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn the_documents_are_below_the_path_of_the_url() {
        for (url, path) in [
            ("https://id.example.com", ""),
            ("https://id.example.com:8443", ""),
            ("https://example.com/cloakroom", "/cloakroom"),
            ("http://127.0.0.1:1/a/b", "/a/b"),
        ] {
            assert_eq!(path_of(url), path);
        }
    }
}
