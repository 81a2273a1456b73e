//! One order at an ACME server (RFC 8555, section 7.4): the names are checked on the console's listener, and a certificate comes of it.

use cloakroom_proxy::RenewedCertificate;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, OrderStatus, RetryPolicy,
};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the server may take to check, or to sign.
const RETRY: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// Why there is no certificate. Fixed words: nothing that the server says is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not answer.
    Unreached,
    /// It did not finish.
    Silent,
    /// It says no.
    Refused,
    /// It says too much was asked.
    Limited,
    /// It did not find the console under its names.
    NotFound,
    /// It does not check on the listener.
    NoCheck,
    /// What it says is no answer.
    Odd,
    /// What it gave cannot be shown.
    NotUsable,
    /// What it gave cannot be written.
    NotKept,
}

impl Trouble {
    /// For operators.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Unreached => "the ACME server was not reached",
            Self::Silent => "the ACME server did not finish in time",
            Self::Refused => "the ACME server refuses the account or the names",
            Self::Limited => "the ACME server says that too much was asked of it",
            Self::NotFound => "the ACME server did not find the console at port 443 of its names",
            Self::NoCheck => "the ACME server does not check by tls-alpn-01",
            Self::Odd => "the ACME server answers what is no answer",
            Self::NotUsable => "the certificate that came cannot be shown",
            Self::NotKept => "the certificate or the account's key cannot be kept below DIR/keys",
        }
    }

    /// How soon it is tried again: what somebody has to mend is not asked for at once, and servers count refusals.
    pub(super) const fn first_pause(self) -> Duration {
        match self {
            Self::Unreached | Self::Silent => Duration::from_secs(2),
            _ => Duration::from_secs(60),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let Error::Api(problem) = error else {
            return match error {
                Error::Other(_) => Self::Unreached,
                Error::Timeout(_) => Self::Silent,
                _ => Self::Odd,
            };
        };
        let kind =
            problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:"));
        match kind {
            Some("rateLimited") => Self::Limited,
            Some("connection" | "dns" | "tls" | "incorrectResponse" | "unauthorized") => Self::NotFound,
            Some("serverInternal") => Self::Silent,
            _ => Self::Refused,
        }
    }
}

/// The chain and its key, in PEM.
pub(super) async fn certificate(
    account: &Account,
    names: &[String],
    shown: &RenewedCertificate,
) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    // Nobody is answered any more once this is over.
    let checks = shown.checks();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Trouble::Refused),
        }
        let mut challenge = authorization.challenge(ChallengeType::TlsAlpn01).ok_or(Trouble::NoCheck)?;
        let name = challenge.identifier().to_string();
        let digest = challenge.key_authorization().digest();
        checks.answer(&name, digest.as_ref()).map_err(|_| Trouble::NotUsable)?;
        challenge.set_ready().await?;
    }
    if order.poll_ready(&RETRY).await? != OrderStatus::Ready {
        return Err(Trouble::NotFound);
    }
    drop(checks);
    let key = Zeroizing::new(order.finalize().await?);
    let chain = order.poll_certificate(&RETRY).await?;
    Ok(Zeroizing::new([chain.as_bytes(), b"\n", key.as_bytes()].concat()))
}
