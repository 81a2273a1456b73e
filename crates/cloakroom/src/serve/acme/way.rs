//! How the ACME server is spoken to: under the rules of every way out.

use bytes::Bytes;
use cloakroom_egress::Upstream;
use cloakroom_model::Destination;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use std::pin::Pin;
use std::sync::Arc;

/// The longest answer, in bytes: a chain of certificates.
const LONGEST: usize = 256 * 1024;

/// The way out.
pub(super) struct Way(pub(super) Arc<Upstream>);

impl HttpClient for Way {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let upstream = Arc::clone(&self.0);
        Box::pin(async move { asked(&upstream, request).await })
    }
}

async fn asked(upstream: &Upstream, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
    let (mut head, body) = request.into_parts();
    let destination = destination(&head.uri).ok_or(Error::Str("an https:// URL"))?;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    head.uri = target.parse()?;
    head.headers.insert(header::USER_AGENT, header::HeaderValue::from_static("cloakroom"));
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let reply = upstream.inquire(&destination, head, body, LONGEST).await;
    let (head, body) = reply.map_err(|refusal| Error::Other(Box::new(refusal)))?.into_parts();
    Ok(BytesResponse::from(Response::from_parts(head, Full::new(body))))
}

/// SECURITY: over TLS only; which addresses may be dialled is the way out's to say.
fn destination(uri: &http::Uri) -> Option<Destination> {
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"))?;
    Destination::parse(&format!("https://{authority}")).ok()
}
