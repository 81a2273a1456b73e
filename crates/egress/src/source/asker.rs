//! One question to a source over HTTP: sent to exactly its address, in bounded time, and the answer read to a bounded length.

use crate::mint::{Failure, read};
use crate::stage::OutBody;
use crate::upstream::{Hints, Identity, PoolKey, Upstream};
use bytes::Bytes;
use cloakroom_model::{CredentialId, Destination};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, request};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest answer that is read, in bytes: a secret beside many others.
const LONGEST: usize = 1 << 20;
/// A source that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// On whose behalf a source is asked, and through which way out.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) credential: CredentialId,
    pub(crate) generation: u32,
}

/// What is asked.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What came back, whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// Whether the body has one of these in it: services name their errors in more than one form.
    pub(crate) fn mentions(&self, names: &[&str]) -> bool {
        let is_there = |name: &str| self.body.windows(name.len()).any(|window| window == name.as_bytes());
        names.iter().any(|name| is_there(name))
    }
}

impl Asker<'_> {
    /// Sends the question to this destination and nowhere else: a redirect is an answer like any other.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] where no whole answer comes.
    pub(crate) async fn ask(&self, destination: &Destination, question: Question) -> Result<Reply, Failure> {
        self.ask_as(None, destination, question).await
    }

    /// The same, showing who the broker is, where that is given.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) async fn ask_as(
        &self,
        identity: Option<&Identity>,
        destination: &Destination,
        question: Question,
    ) -> Result<Reply, Failure> {
        let asked = Box::pin(self.exchange(identity, destination, question));
        let silent = |_| Failure::Unavailable("the source did not answer in time", None);
        tokio::time::timeout(PATIENCE, asked).await.map_err(silent)?
    }

    async fn exchange(
        &self,
        identity: Option<&Identity>,
        destination: &Destination,
        question: Question,
    ) -> Result<Reply, Failure> {
        let credential = self.credential;
        let credentials = vec![(credential, self.generation)];
        let key = PoolKey { credentials, destination: destination.clone() };
        let (head, body) = question.parts()?;
        let mut ignore = |_, _| {};
        let (body, mut hints) = (OutBody::whole(body), Hints::new(&mut ignore));
        let sent = self.upstream.send_as(head, body, key, identity, &mut hints).await;
        let reply = sent.map_err(|refusal| {
            tracing::warn!(%credential, %refusal, "a source could not be asked");
            Failure::Unavailable("the source could not be reached", None)
        })?;
        let (head, body) = reply.into_parts();
        let body = read(body, LONGEST).await;
        let body = body.ok_or(Failure::Unavailable("the source's answer broke off or is too long", None))?;
        Ok(Reply { status: head.status, fields: head.headers, body })
    }
}

impl Question {
    fn parts(self) -> Result<(request::Parts, Bytes), Failure> {
        let (mut head, ()) = http::Request::new(()).into_parts();
        let unwritable = |_| Failure::Unavailable("the source's path cannot be written", None);
        head.method = self.method;
        head.uri = self.target.parse().map_err(unwritable)?;
        head.headers = self.fields;
        head.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        head.headers.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
        Ok((head, Bytes::from_owner(self.body)))
    }
}
