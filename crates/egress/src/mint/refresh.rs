//! One exchange of a grant, such that a crash at any point leaves something to go on with, and says which.
//!
//! ```text
//!  mark "a question is under way" durable ─► ask ─► new refresh token durable, mark gone ─► access token in force
//!                                             └ answered with a refusal, or never sent: mark gone
//! ```
//!
//! Who dies between asking and keeping finds the mark at the next exchange. Where the old refresh token still works, all is well; where it
//! does not, the new one was lost with the answer, which is told from a person's having revoked the grant.

use super::exchange::{self, Failure, Granted};
use super::live::{Kept, Means, Mint, unavailable};
use super::recipe::{Grant, Recipe};
use crate::custody::Envelope;
use crate::secret::Secret;
use cloakroom_model::Refusal;
use zeroize::Zeroizing;

/// Said where the mark was found and the refresh token does not work any more.
pub(super) const LOST: &str = "the authorization server does not take the refresh token any more, and the answer to an earlier refresh was cut off: \
    a new refresh token in it is lost";

/// Why there is no access token, or none that may be used.
pub(super) enum Ended {
    /// The exchange failed.
    Failed(Failure),
    /// What it brought, or that it is made, could not be kept.
    NotKept(Refusal),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Mint {
    /// Exchanges the grant. The recipe that comes back is the one that is kept now.
    pub(super) async fn exchanged(
        &self,
        mut recipe: Recipe,
        means: &Means,
        envelope: &Envelope,
    ) -> Result<(Granted, Recipe), Ended> {
        if self.has_worn_out(&recipe) {
            return Err(Failure::Refused("the destination does not take the access token any more").into());
        }
        // What is asked for with a key can be asked for again: nothing of it is used up.
        let is_used_up = matches!(recipe.grant, Grant::RefreshToken { .. });
        let was_cut_off = recipe.unanswered;
        if is_used_up && !was_cut_off {
            recipe.unanswered = true;
            self.keep(&recipe, Kept::Asking, means, envelope).await.map_err(Ended::NotKept)?;
        }
        let (credential, generation) = (self.credential, self.generation);
        let narrowing = self.narrowing.as_deref();
        match exchange::exchange(&recipe, narrowing, &means.upstream, credential, generation).await {
            Ok(granted) if is_used_up => {
                let recipe =
                    self.replaced(recipe, &granted, means, envelope).await.map_err(Ended::NotKept)?;
                Ok((granted, recipe))
            }
            Ok(granted) => Ok((granted, recipe)),
            Err(Failure::Revoked(_)) if was_cut_off => Err(Failure::Refused(LOST).into()),
            Err(failure) => {
                if is_used_up && !was_cut_off && failure.leaves_the_grant_as_it_was() {
                    recipe.unanswered = false;
                    // Where this fails the mark stays: then a later refusal is told less exactly.
                    let _ = self.keep(&recipe, Kept::Answered, means, envelope).await;
                }
                Err(failure.into())
            }
        }
    }

    /// Whether there is nothing to make another access token of, and the destination does not take the one that there is.
    fn has_worn_out(&self, recipe: &Recipe) -> bool {
        matches!(recipe.grant, Grant::AccessToken { .. }) && self.live().is_some_and(|live| live.is_refused())
    }

    /// INVARIANT: the new refresh token is durable before anything is done with what it came with. Where that fails, the server may take
    /// the old one no more; the new one is kept in memory, so that the next exchange can keep it.
    async fn replaced(
        &self,
        mut recipe: Recipe,
        granted: &Granted,
        means: &Means,
        envelope: &Envelope,
    ) -> Result<Recipe, Refusal> {
        recipe.unanswered = false;
        let fresh = match (&recipe.grant, &granted.refresh_token) {
            (Grant::RefreshToken { refresh_token, .. }, Some(fresh)) if fresh != refresh_token => fresh,
            _ => {
                // Nothing is lost where this fails: a mark that stays makes a later refusal less exact.
                let _ = self.keep(&recipe, Kept::Answered, means, envelope).await;
                return Ok(recipe);
            }
        };
        let recipe = recipe.with_secret(fresh);
        self.keep(&recipe, Kept::Replaced, means, envelope).await?;
        Ok(recipe)
    }

    async fn keep(
        &self,
        recipe: &Recipe,
        kept: Kept,
        means: &Means,
        envelope: &Envelope,
    ) -> Result<(), Refusal> {
        let failed = || unavailable("a refresh token could not be kept", None);
        let text = Secret::new(Zeroizing::new(recipe.write().ok_or_else(failed)?));
        let sealed = envelope.seal(&text).ok_or_else(failed)?;
        self.remember(sealed.clone());
        let stored = means.keeper.keep(self.credential, self.generation, sealed, kept).await;
        stored.map_err(|error| {
            tracing::error!(credential = %self.credential, %error, "a refresh token could not be stored");
            failed()
        })
    }
}

impl Failure {
    /// Whether the server certainly gave nothing new: it said no, or nothing reached it.
    fn leaves_the_grant_as_it_was(self) -> bool {
        matches!(self, Self::Refused(_) | Self::Revoked(_) | Self::Unreached(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::Live;
    use super::super::recipe::tests::REFRESH;
    use super::*;
    use cloakroom_model::CredentialId;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn an_access_token_without_an_end_has_worn_out_where_the_destination_refuses_it() {
        let mint = Mint::new(CredentialId::fresh().unwrap(), 1, Arc::default());
        let refreshed = Recipe::read(REFRESH.as_bytes()).unwrap();
        let client = r#"{"id":"app"}"#;
        let lasting = format!(
            r#"{{"token_endpoint":"https://as.example.com/token","grant":{{"access-token":{{"client":{client},"access_token":"abcdefgh"}}}}}}"#
        );
        let lasting = Recipe::read(lasting.as_bytes()).unwrap();
        let live = || {
            let secret = Secret::new(Zeroizing::new(b"abcdefgh".to_vec()));
            Live::new(secret, Duration::from_secs(60), Vec::new())
        };
        assert!(!mint.has_worn_out(&lasting), "none is there");
        mint.put(live());
        assert!(!mint.has_worn_out(&lasting));
        let refused = live();
        refused.refuse_at_once();
        mint.put(refused);
        assert!(mint.has_worn_out(&lasting));
        assert!(!mint.has_worn_out(&refreshed), "another one can be had");
    }

    #[test]
    fn what_leaves_the_grant_as_it_was_is_told_from_what_may_have_used_it_up() {
        for (failure, leaves) in [
            (Failure::Unreached("x"), true),
            (Failure::Refused("x"), true),
            (Failure::Revoked("x"), true),
            (Failure::Unavailable("x", None), false),
        ] {
            assert_eq!(failure.leaves_the_grant_as_it_was(), leaves, "{failure:?}");
        }
    }
}
