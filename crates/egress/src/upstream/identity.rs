//! What a connection shows of itself: a client certificate, for the calls of one credential alone.

use crate::custody::ClientCertificate;
use crate::secret::Secret;
use cloakroom_model::{Refusal, Timestamp};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use std::sync::Arc;

/// A client certificate opened for one call. It is read only where a connection has to be made.
pub(crate) struct Identity(Secret);

impl Identity {
    /// Of a secret of kind `mtls`.
    pub(crate) fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// `plain` with the certificate. Nothing of a session is kept: no other credential could resume it, and this one makes few
    /// connections.
    ///
    /// # Errors
    /// As [`ClientCertificate::read`].
    pub(super) fn over(&self, plain: &ClientConfig) -> Result<Arc<ClientConfig>, Refusal> {
        let certified = ClientCertificate::read(&self.0, Timestamp::now())?.into_certified();
        let mut configuration = plain.clone();
        configuration.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        configuration.resumption = Resumption::disabled();
        Ok(Arc::new(configuration))
    }
}
