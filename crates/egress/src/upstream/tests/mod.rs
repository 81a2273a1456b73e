//! The way out against loopback servers that misbehave on purpose.

mod address;
mod body;
mod duplex;
mod framing;
mod http2;
mod interims;
mod name_server;
mod once;
mod reuse;
mod server;
mod tls;
mod unsent;
mod websocket;

use super::*;
use bytes::Bytes;
use cloakroom_model::{CredentialId, Timestamp};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;

const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

/// Long enough for a loaded machine, short enough for a test that waits for it.
const SHORT: Duration = Duration::from_millis(300);

fn settings() -> UpstreamSettings {
    UpstreamSettings { allowed: vec!["127.0.0.0/8".parse().unwrap()], ..UpstreamSettings::default() }
}

fn open(settings: UpstreamSettings) -> Upstream {
    Upstream::assert_opened(settings).unwrap()
}

fn key(credential: u8, generation: u32, destination: &str) -> PoolKey {
    let id = CredentialId::new(Timestamp::from_millis(1), [credential; 10]);
    PoolKey { credentials: vec![(id, generation)], destination: Destination::parse(destination).unwrap() }
}

/// `GET path` with the canary in `Authorization`, as an armed call would be.
fn head(path: &str) -> Parts {
    let mut secret = HeaderValue::from_str(&format!("Bearer {CANARY}")).unwrap();
    secret.set_sensitive(true);
    Request::builder().uri(path).header(AUTHORIZATION, secret).body(()).unwrap().into_parts().0
}

/// Sends one call of which nobody wants informational replies.
async fn send(
    upstream: &Upstream,
    head: Parts,
    body: OutBody,
    key: PoolKey,
) -> Result<Response<RawBody>, Refusal> {
    upstream.send(head, body, key, &mut Hints::new(&mut |_, _| {})).await
}

async fn get(upstream: &Upstream, key: PoolKey) -> Result<Response<RawBody>, Refusal> {
    send(upstream, head("/v1/things?a=b"), OutBody::whole(Bytes::new()), key).await
}

async fn text(reply: Response<RawBody>) -> Result<String, BodyFault> {
    let bytes = reply.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The code of the refusal of one GET.
async fn refused(upstream: &Upstream, destination: &str) -> Code {
    get(upstream, key(1, 1, destination)).await.map(|_| ()).unwrap_err().code()
}
