//! Putting secrets into a call: one file per place, one pass over immutable input.
//!
//! Each place turns one secret into one [`Edit`] of the canonical call; [`outgoing::write`] applies all of them at once, so what
//! was put in is never looked at again (invariant 9).

mod basic;
mod cookie;
mod edit;
mod fields;
mod form;
mod header;
mod json;
mod outgoing;
mod path;
mod query;
mod signed;
mod sigv4;

pub(crate) use basic::{Half, half_of};
pub(crate) use json::write_message;
pub(crate) use outgoing::Outgoing;
use outgoing::write;
pub(crate) use signed::Signature;
pub(crate) use sigv4::{endpoint as aws_endpoint, sign_own};

use crate::secret::Secret;
use crate::upstream::Identity;
use cloakroom_model::{Call, Code, HeaderForm, Refusal, Scheme, Timestamp};
use cloakroom_policy::Spot;
use edit::Edit;

/// One opened secret, the placeholder it replaces, and where that stands.
pub(crate) struct Placing {
    /// Where.
    pub(crate) spot: Spot,
    /// The placeholder as it stands there.
    pub(crate) text: Box<str>,
    /// What takes its place.
    pub(crate) secret: Secret,
    /// The user name that goes with it, where it is the password of a login.
    pub(crate) user: Option<Secret>,
}

impl Placing {
    /// The edit that puts the secret in its place.
    ///
    /// # Errors
    /// `place-not-permitted` where the secret cannot be written there safely.
    fn edit(&self, call: &Call) -> Result<Edit, Refusal> {
        match &self.spot {
            Spot::Header(name, HeaderForm::Raw) => header::raw(self, call, name),
            Spot::Header(name, HeaderForm::Bearer) => header::bearer(self, call, name),
            Spot::Header(name, HeaderForm::BasicUser) => basic::user(self, call, name),
            Spot::Header(name, HeaderForm::BasicPassword) => basic::password(self, call, name),
            Spot::Cookie(name) => cookie::edit(self, call, name),
            Spot::Query(index) => query::edit(self, call, *index),
            Spot::Path(index) => path::edit(self, call, *index),
            Spot::Json(span) => json::edit(self, call, span.clone()),
            Spot::Form(index) => form::edit(self, call, *index),
            // A signature covers the whole call: it is made last.
            Spot::SigV4(_) | Spot::Signed(_) | Spot::Mtls(_) => Err(unwritable()),
        }
    }

    /// Whether it signs instead of being sent.
    fn signs(&self) -> bool {
        matches!(self.spot, Spot::SigV4(_) | Spot::Signed(_))
    }

    /// The secret as text.
    fn secret_text(&self) -> Result<&str, Refusal> {
        std::str::from_utf8(self.secret.expose()).map_err(|_| unwritable())
    }
}

/// Writes the call with every secret in its place, and signs it where one of them signs.
///
/// # Errors
/// `place-not-permitted` where the call cannot be written or signed so that it has one reading; `body-not-permitted` where a body
/// that is signed is larger than what is read.
pub(crate) fn arm(
    call: Call,
    mut placings: Vec<Placing>,
    range_allowed: bool,
    at: Timestamp,
) -> Result<(Outgoing, Option<Signature>), Refusal> {
    let Some(signs) = placings.iter().position(Placing::signs) else {
        return Ok((write(call, &placings, range_allowed)?, None));
    };
    let signer = placings.swap_remove(signs);
    match &signer.spot {
        Spot::SigV4(signature) if placings.is_empty() => {
            let (outgoing, made) = sigv4::sign(call, *signature, &signer.secret, range_allowed, at)?;
            Ok((outgoing, Some(made)))
        }
        Spot::Signed(scheme) => {
            let to = call.destination.clone();
            let mut outgoing = write(call, &placings, range_allowed)?;
            let made = signed::sign(&mut outgoing, &to, scheme, &signer.secret, at)?;
            Ok((outgoing, Some(made)))
        }
        _ => Err(unwritable()),
    }
}

/// Takes the client certificate out of what is placed, and its placeholder out of the call.
///
/// # Errors
/// `place-not-permitted` where there are two, or no TLS.
pub(crate) fn identity(
    call: &mut Call,
    placings: &mut Vec<Placing>,
) -> Result<Option<Box<Identity>>, Refusal> {
    let Some(at) = placings.iter().position(|placing| matches!(placing.spot, Spot::Mtls(_))) else {
        return Ok(None);
    };
    let own = placings.remove(at);
    let again = placings.iter().any(|placing| matches!(placing.spot, Spot::Mtls(_)));
    match &own.spot {
        Spot::Mtls(name) if !again && call.destination.scheme() == Scheme::Https => call.headers.remove(name),
        _ => return Err(unwritable()),
    };
    Ok(Some(Box::new(Identity::new(own.secret))))
}

/// The secret has no safe spelling at its place. Nothing was sent.
fn unwritable() -> Refusal {
    Refusal::new(Code::PlaceNotPermitted, "the credential cannot be written at this place")
}

/// INVARIANT: policy found the placeholder at this very spot of this very call; if it is not there, we have erred.
fn misplaced() -> Refusal {
    Refusal::new(Code::InternalFault, "the placeholder is not where the decision says it is")
}

#[cfg(test)]
mod tests;
