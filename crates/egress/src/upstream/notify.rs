//! Messages and questions of the operator's own to a destination that the operator named: no call of a workload, and no secret in them.

use super::{Hints, PoolKey, RawBody, Upstream};
use crate::mint::read;
use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{Code, Destination, Refusal};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};

impl Upstream {
    /// Posts `body` once, and answers with the status. What the destination says beyond that is not read. Under the rules of
    /// every way out: addresses are checked, certificates verified, no redirect is followed.
    ///
    /// # Errors
    /// As a call's: `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, `upstream-timeout`.
    pub async fn notify(
        &self,
        destination: &Destination,
        target: &str,
        fields: HeaderMap,
        body: Bytes,
    ) -> Result<StatusCode, Refusal> {
        let request = Request::builder().method(Method::POST).uri(target).body(());
        let unusable =
            |_| Refusal::new(Code::InternalFault, "the target of a message is no target of a request");
        let (mut head, ()) = request.map_err(unusable)?.into_parts();
        head.headers = fields;
        Ok(self.own(destination, head, body).await?.status())
    }

    /// Sends this once, and answers with the whole reply, of so many bytes at most. By the same rules.
    ///
    /// # Errors
    /// As [`Upstream::notify`]; `upstream-unreachable` also where the reply breaks off or is longer.
    pub async fn inquire(
        &self,
        destination: &Destination,
        head: Parts,
        body: Bytes,
        longest: usize,
    ) -> Result<Response<Bytes>, Refusal> {
        let (head, body) = self.own(destination, head, body).await?.into_parts();
        let broken = || Refusal::new(Code::UpstreamUnreachable, "the reply broke off or is too long");
        let body = read(body, longest).await.ok_or_else(broken)?;
        Ok(Response::from_parts(head, Bytes::copy_from_slice(&body)))
    }

    async fn own(
        &self,
        destination: &Destination,
        head: Parts,
        body: Bytes,
    ) -> Result<Response<RawBody>, Refusal> {
        let key = PoolKey { credentials: Vec::new(), destination: destination.clone() };
        self.send(head, OutBody::whole(body), key, &mut Hints::new(&mut |_, _| {})).await
    }
}
