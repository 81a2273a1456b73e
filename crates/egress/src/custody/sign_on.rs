//! A person's single sign-on: the broker's secret at the provider is a credential, opened for the token endpoint and for nothing else.

use super::login::refused;
use super::{Custody, require_use};
use crate::login::{Answer, LoginError, Provider, SignOn, SignedOn};
use crate::mint::Asker;
use cloakroom_model::{Code, CredentialId, CredentialKind, Destination, Refusal};
use zeroize::Zeroizing;

impl Custody {
    /// Begins a single sign-on: asks the provider what it says of itself. Gives the URL for the browser. `secret` is the credential that is
    /// the client's secret there; a client without one proves itself by PKCE alone.
    ///
    /// # Errors
    /// As [`LoginCode`](crate::login::LoginCode) says.
    pub async fn begin_sign_on(
        &self,
        provider: &Provider,
        secret: Option<CredentialId>,
        redirect: &str,
    ) -> Result<(SignOn, String), LoginError> {
        let credential = match secret {
            Some(id) => id,
            // Connections are kept apart by it, and this one is nobody's.
            None => {
                CredentialId::fresh().map_err(|_| refused("the operating system gives no random bytes"))?
            }
        };
        SignOn::begin(provider, Asker { credential, generation: 1 }, redirect, self.way_out()?).await
    }

    /// Exchanges the code of this answer, once, and verifies for whom the provider vouches.
    ///
    /// # Errors
    /// As [`LoginCode`](crate::login::LoginCode) says.
    pub async fn redeem_sign_on(
        &self,
        sign_on: SignOn,
        answer: Answer,
        secret: Option<CredentialId>,
    ) -> Result<SignedOn, LoginError> {
        let opened = |to: &Destination| secret.map(|id| self.client_secret(id, to)).transpose();
        sign_on.redeem(answer, opened, self.way_out()?).await
    }

    /// SECURITY: the credential's own destinations hold here too, so that whoever edits the settings, or speaks for the provider, sends it
    /// nowhere else.
    fn client_secret(&self, id: CredentialId, to: &Destination) -> Result<Zeroizing<String>, LoginError> {
        let missing = || refused("the credential with the client's secret is not there any more");
        let held = self.held.load().get(&id).cloned().ok_or_else(missing)?;
        require_use(&held.record, to).map_err(|refusal| of_use(&refusal))?;
        if held.record.kind != CredentialKind::Bearer {
            return Err(refused("the credential with the client's secret is not of the kind bearer"));
        }
        let sealed = |_| refused("the broker is sealed, or the client's secret does not open");
        let opened = self.open(id).map_err(sealed)?;
        let text = std::str::from_utf8(opened.secret.expose());
        let text = text.map_err(|_| refused("the client's secret is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

fn of_use(refusal: &Refusal) -> LoginError {
    match refusal.code() {
        Code::DestinationNotPermitted => {
            refused("the credential with the client's secret may not go to the provider's token endpoint")
        }
        _ => refused("the credential with the client's secret was removed"),
    }
}
