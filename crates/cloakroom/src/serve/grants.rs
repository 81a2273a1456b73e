//! Keeps a grant whose refresh token was replaced, and tokens that replies brought: on record first, then stored.

use cloakroom_egress::{Keeper, Kept};
use cloakroom_model::{CapturedRecord, CoreId, CredentialId, SealedSecret, Timestamp, Token};
use cloakroom_store::journal::{Entry, Journal};
use cloakroom_store::{Store, fault};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Keeps grants in the store.
pub(super) struct GrantKeeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) journal: Arc<Journal>,
}

impl Keeper for GrantKeeper {
    fn keep<'a>(
        &'a self,
        credential: CredentialId,
        generation: u32,
        sealed: SealedSecret,
        kept: Kept,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            if kept == Kept::Replaced {
                fault::point("refresh-token-received");
                self.record("refresh token replaced", credential.to_string());
            }
            self.store
                .reseal_credential(credential, generation, sealed)
                .await
                .map_err(|error| error.to_string())?;
            fault::point(if kept == Kept::Asking { "refresh-asked" } else { "refresh-kept" });
            Ok(())
        })
    }

    fn keep_captured(
        &self,
        row: CapturedRecord,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let act = match row.token {
                Token::AccessToken => "access token captured",
                Token::RefreshToken => "refresh token captured",
                Token::IdToken => "ID token captured",
            };
            self.record(act, row.placeholder.to_string());
            self.store.keep_captured(row).await.map_err(|error| error.to_string())
        })
    }

    fn forget_captured(
        &self,
        cores: Vec<CoreId>,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.store.forget_captured(cores).await.map_err(|error| error.to_string()) })
    }
}

impl GrantKeeper {
    /// A token is lost if it is not stored; a record that cannot be written must not cause that.
    fn record(&self, act: &str, subject: String) {
        let (at, by) = (Timestamp::now(), "the broker".into());
        let entry = Entry::Act { at, act: act.into(), subject, name: None, by };
        if let Err(error) = self.journal.append(&entry) {
            tracing::error!(%act, %error, "what became of a token is not on record");
        }
    }
}
