//! Keeps a grant whose refresh token was replaced: on record first, then stored.

use cloakroom_egress::Keeper;
use cloakroom_model::{CredentialId, SealedSecret, Timestamp};
use cloakroom_store::Store;
use cloakroom_store::journal::{Entry, Journal};
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
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let entry = Entry::Act {
                at: Timestamp::now(),
                act: "refresh token replaced".into(),
                subject: credential.to_string(),
                name: None,
                by: "the broker".into(),
            };
            // The refresh token is lost if it is not stored; a record that cannot be written must not cause that.
            if let Err(error) = self.journal.append(&entry) {
                tracing::error!(%credential, %error, "a replaced refresh token is not on record");
            }
            self.store
                .reseal_credential(credential, generation, sealed)
                .await
                .map_err(|error| error.to_string())
        })
    }
}
