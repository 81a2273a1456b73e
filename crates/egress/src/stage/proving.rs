//! A call whose access token is bound to a key: it goes out with a proof, and once more where the destination only wants a nonce in it
//! (RFC 9449, sections 7 to 9).

use crate::arm::Outgoing;
use crate::mint::{Live, NONCE, PROOF, Prover, hash_of};
use crate::stage::OutBody;
use crate::upstream::{Hints, PoolKey, RawBody, Upstream};
use cloakroom_model::{Call, Code, Destination, HeaderForm, Refusal};
use cloakroom_policy::Spot;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The word before an access token that is bound to a key.
const SCHEME: &str = "DPoP";

/// What proves that whoever sends the call has the key.
pub(super) struct Proving {
    prover: Arc<Prover>,
    access_token: String,
    destination: Destination,
    url: String,
}

impl Proving {
    /// Refuses what could not be proved: a bound access token goes into `Authorization` and nowhere else, and no other goes there as a bound
    /// one.
    pub(super) fn check(call: &Call, spot: &Spot, live: Option<&Arc<Live>>) -> Result<(), Refusal> {
        let refused = |reason| Err(Refusal::new(Code::PlaceNotPermitted, reason));
        let is_bound = live.is_some_and(|live| live.prover().is_some());
        let is_authorization =
            matches!(spot, Spot::Header(name, HeaderForm::Bearer) if *name == header::AUTHORIZATION);
        let value = call.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let says_bound =
            value.get(..SCHEME.len() + 1).is_some_and(|start| start.eq_ignore_ascii_case(b"dpop "));
        match (is_bound, is_authorization) {
            (true, false) => refused("an access token that is bound to a key goes into Authorization only"),
            (false, true) if says_bound => refused("the access token is not bound to a key: write Bearer"),
            _ => Ok(()),
        }
    }

    /// Writes the access token as a bound one, with its first proof. `None` where it is none.
    fn begin(
        live: &Live,
        destination: &Destination,
        outgoing: &mut Outgoing,
    ) -> Result<Option<Self>, Refusal> {
        let Some(prover) = live.prover() else { return Ok(None) };
        let secret = live.open();
        let value = Zeroizing::new([SCHEME.as_bytes(), b" ", secret.expose()].concat());
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| fault())?;
        value.set_sensitive(true);
        outgoing.head.headers.insert(header::AUTHORIZATION, value);
        let proving = Self {
            prover: Arc::clone(prover),
            access_token: hash_of(secret.expose()),
            destination: destination.clone(),
            url: format!("{destination}{}", outgoing.head.uri.path()),
        };
        // What the workload says here is dropped: it has no key.
        proving.prove(&mut outgoing.head)?;
        Ok(Some(proving))
    }

    /// The same for the one among them that is bound, if one is: it signs nothing else, and nothing else is signed.
    pub(super) fn of_all(
        lives: &[Arc<Live>],
        destination: &Destination,
        outgoing: &mut Outgoing,
        is_signed: bool,
    ) -> Result<Option<Self>, Refusal> {
        let Some(live) = lives.iter().find(|live| live.prover().is_some()) else { return Ok(None) };
        if is_signed {
            let reason = "a call is either signed or carries an access token that is bound to a key";
            return Err(Refusal::new(Code::PlaceNotPermitted, reason));
        }
        Self::begin(live, destination, outgoing)
    }

    fn prove(&self, head: &mut Parts) -> Result<(), Refusal> {
        let nonce = self.prover.nonce(&self.destination);
        let proof = self.prover.proof(&head.method, &self.url, Some(&self.access_token), nonce.as_deref());
        head.headers.insert(PROOF, proof.map_err(|_| fault())?);
        Ok(())
    }

    /// Sends the call, and once more where the destination says that it did nothing but miss a nonce. Not where a body went by, nor for
    /// a counted call: then the next call has the nonce.
    pub(super) async fn send(
        &self,
        upstream: &Upstream,
        head: Parts,
        body: OutBody,
        key: PoolKey,
        hints: &mut Hints<'_>,
    ) -> Result<Response<RawBody>, Refusal> {
        let again = body.again().map(|body| (head.clone(), body, key.clone()));
        let reply = upstream.send(head, body, key, hints).await?;
        let has_news = self.prover.hear(&self.destination, reply.headers());
        let reply = match again {
            Some((mut head, body, key)) if has_news && wants_nonce(&reply) => {
                drop(reply);
                self.prove(&mut head)?;
                let second = upstream.send(head, body, key, hints).await.map_err(Refusal::maybe_sent)?;
                self.prover.hear(&self.destination, second.headers());
                second
            }
            _ => reply,
        };
        Ok(without_nonce(reply))
    }
}

/// RFC 9449, section 9.
fn wants_nonce<B>(reply: &Response<B>) -> bool {
    let challenges = reply.headers().get_all(header::WWW_AUTHENTICATE);
    let says = |value: &HeaderValue| value.as_bytes().windows(14).any(|word| word == b"use_dpop_nonce");
    reply.status() == StatusCode::UNAUTHORIZED && challenges.iter().any(says)
}

/// It is between the broker and the destination.
fn without_nonce(mut reply: Response<RawBody>) -> Response<RawBody> {
    reply.headers_mut().remove(NONCE);
    reply
}

fn fault() -> Refusal {
    Refusal::new(Code::InternalFault, "a proof of possession could not be made")
}
