//! A message of the operator's own to a destination that the operator named: no call of a workload, and no secret in it.

use super::{Hints, PoolKey, Upstream};
use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{Code, Destination, Refusal};
use http::{HeaderMap, Method, Request, StatusCode};

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
        let key = PoolKey { credentials: Vec::new(), destination: destination.clone() };
        let reply = self.send(head, OutBody::whole(body), key, &mut Hints::new(&mut |_, _| {})).await?;
        Ok(reply.status())
    }
}
