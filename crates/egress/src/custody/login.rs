//! Logins: the document is opened here, and what a person's login brought is sealed here.

use super::binding::Binding;
use super::{Accepted, Custody, CustodyError, DropOff, Held, sealed, shape};
use crate::Upstream;
use crate::mint::login::{self, Answer, Flow, Invitation, LoggedIn, LoginCode, LoginError, Origin, Waiting};
use crate::mint::{Asker, Farewell, Health, Recipe, Revocation};
use crate::secret::Secret;
use cloakroom_model::{CredentialId, CredentialKind, Destination, Name};
use zeroize::Zeroizing;

impl Custody {
    /// Begins the login that the document asks for. `redirect` is where the authorization server sends the browser back to.
    ///
    /// # Errors
    /// As [`LoginCode`] says.
    pub async fn begin_login(
        &self,
        document: &DropOff,
        name: &Name,
        id: CredentialId,
        redirect: &str,
    ) -> Result<(Waiting, Invitation), LoginError> {
        let closed = |_| refused("the login was not sealed to this broker: it was restarted in between");
        let document = self.intake.open(document, name).map_err(closed)?;
        let asker = Asker { credential: id, generation: 1 };
        login::begin(Origin::Document(document.expose()), asker, redirect, self.way_out()?).await
    }

    /// Begins a new login for a credential that an earlier one made.
    ///
    /// # Errors
    /// As [`LoginCode`] says.
    pub async fn begin_login_again(
        &self,
        id: CredentialId,
        by_device: bool,
        redirect: &str,
    ) -> Result<(Waiting, Invitation), LoginError> {
        let none = || refused("this credential was not made by a login: deposit a new secret instead");
        let held = self.held.load().get(&id).cloned().ok_or_else(none)?;
        let recipe = self.recipe_of(&held).ok_or_else(none)?;
        let flow = if by_device { Flow::Device } else { Flow::Browser };
        let asker = Asker { credential: id, generation: held.record.generation };
        login::begin(Origin::Recipe(recipe, flow), asker, redirect, self.way_out()?).await
    }

    /// Exchanges the code of this answer, once.
    ///
    /// # Errors
    /// As [`LoginCode`] says.
    pub async fn redeem(&self, waiting: Waiting, answer: Answer) -> Result<LoggedIn, LoginError> {
        waiting.redeem(answer, self.way_out()?).await
    }

    /// Waits until a person typed the device's code in, or did not.
    ///
    /// # Errors
    /// As [`LoginCode`] says.
    pub async fn poll(&self, waiting: Waiting) -> Result<LoggedIn, LoginError> {
        waiting.poll(self.way_out()?).await
    }

    /// Seals what a login brought, bound as any other secret.
    ///
    /// # Errors
    /// When the grant cannot be kept.
    pub fn accept_login(
        &self,
        logged_in: LoggedIn,
        id: CredentialId,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        let written = logged_in.recipe.write().ok_or(CustodyError::Cryptography("write the grant"))?;
        let text = Zeroizing::new(written);
        // What is sealed is read again first, by the rules for what is deposited.
        let recipe = Recipe::read(&text).map_err(CustodyError::Grant)?;
        let binding = Binding { id, kind: CredentialKind::Oauth, destinations, generation };
        let sealed = sealed::seal(self.keys.as_ref(), &binding.bound(), &Secret::new(text))?;
        Ok(Accepted { sealed, shape: shape::learn(&recipe.likeness()) })
    }

    /// What a credential's authorization server is told when the credential is gone: taken before that. `None` where there is nothing to
    /// tell, or nobody.
    pub fn farewell(&self, id: CredentialId) -> Option<Farewell> {
        let held = self.held.load().get(&id).cloned()?;
        if held.record.kind != CredentialKind::Oauth {
            return None;
        }
        let recipe = self.recipe_of(&held)?;
        let farewell =
            Farewell { recipe, asker: Asker { credential: id, generation: held.record.generation } };
        farewell.is_due().then_some(farewell)
    }

    /// Tells it, once.
    pub async fn revoke(&self, farewell: &Farewell) -> Revocation {
        match self.way_out() {
            Ok(upstream) => farewell.say(upstream).await,
            Err(_) => Revocation::Unavailable(None),
        }
    }

    /// How the making of a credential's access tokens goes; `None` where none are made.
    pub fn health(&self, id: CredentialId) -> Option<Health> {
        Some(self.held.load().get(&id)?.mint.as_ref()?.health())
    }

    fn recipe_of(&self, held: &Held) -> Option<Recipe> {
        self.recipe(held, held.mint.as_ref()?).ok()
    }

    pub(super) fn way_out(&self) -> Result<&Upstream, LoginError> {
        let none = || refused("nobody can be asked in this process");
        self.means.get().map(|means| means.upstream.as_ref()).ok_or_else(none)
    }
}

pub(super) fn refused(reason: &'static str) -> LoginError {
    LoginError::new(LoginCode::NotComplete, reason)
}
