//! A root key sealed to the TPM of this machine and, where the settings say so, to what was measured into its PCRs.
//!
//! A copy of the data directory opens nothing without this TPM; a machine that was started into something else opens nothing with it. What
//! crosses the bus is encrypted: see [`cloakroom_tpm`].

use super::bound::{bound, unbound};
use super::provider::{Answer, Provider, ProviderError};
use crate::secret::Secret;
use cloakroom_tpm::{Address, PcrSelection, Sealed, Tpm, TpmError};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The TPM at this address.
pub(in crate::custody) struct Tpm2 {
    address: Address,
    pcrs: PcrSelection,
    /// One question at a time: a device that never answers holds one thread, not one for each look.
    turn: Arc<Semaphore>,
}

impl Tpm2 {
    /// A root key is wrapped to what these PCRs are at that moment; which ones it was wrapped to is part of what is wrapped.
    pub(in crate::custody) fn new(address: Address, pcrs: PcrSelection) -> Self {
        Self { address, pcrs, turn: Arc::new(Semaphore::new(1)) }
    }

    /// A TPM answers when it likes, and a device cannot be asked without waiting for it.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Tpm) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let turn = turn
            .map_err(|_| ProviderError::Unavailable("the TPM has not answered what it was asked before"))?;
        let address = self.address.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ask(&mut Tpm::open(&address)?)
        });
        let answer = asked.await.map_err(|_| ProviderError::Unavailable("the TPM was not asked"))?;
        answer.map_err(|error| {
            tracing::warn!(%error, "the TPM did not do what it was asked");
            of_error(&error)
        })
    }
}

impl Provider for Tpm2 {
    fn name(&self) -> &'static str {
        "tpm"
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            let (secret, pcrs) = (bound(context, root), self.pcrs);
            self.ask(move |tpm| {
                let sealed = Sealed::seal(tpm, &secret, pcrs)?;
                // What cannot be opened again is not relied upon: whoever seals with it would lose everything.
                let opened = sealed.unseal(tpm)?;
                bool::from(opened.ct_eq(&secret)).then(|| sealed.to_bytes()).ok_or(TpmError::Damaged)
            })
            .await
        })
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        Box::pin(async move {
            let wrapped = wrapped.to_vec();
            let opened: Zeroizing<Vec<u8>> =
                self.ask(move |tpm| Sealed::from_bytes(&wrapped)?.unseal(tpm)).await?;
            unbound(context, &opened).ok_or(ProviderError::Refused(
                "the TPM sealed it for another data directory, or another version",
            ))
        })
    }
}

/// What nobody has to do anything about is asked again; the rest is for a human.
fn of_error(error: &TpmError) -> ProviderError {
    match error {
        TpmError::Unreachable(_) => ProviderError::Unavailable("the TPM does not answer"),
        TpmError::Busy(_) => ProviderError::Unavailable("the TPM is busy, or locks guesses out"),
        TpmError::Answer(_) => ProviderError::Unavailable("the TPM's answer cannot be relied on"),
        TpmError::Measurements => ProviderError::Refused(
            "the machine's PCRs are not as they were when the root key was sealed: it was started into something else",
        ),
        TpmError::Another => {
            ProviderError::Refused("the root key was sealed by another TPM, or this one was cleared")
        }
        TpmError::OwnerPassword => ProviderError::Refused("the TPM's owner hierarchy has a password"),
        TpmError::Code(_) => ProviderError::Refused("the TPM refuses: its code is in the log"),
        TpmError::Damaged => ProviderError::Refused("what keys/root.json holds is nothing that a TPM sealed"),
        TpmError::Cryptography(_) => ProviderError::Unavailable("the cryptography library failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custody::aead;
    use cloakroom_testkit::Swtpm;

    fn provider(swtpm: &Swtpm, pcrs: &[u8]) -> Tpm2 {
        Tpm2::new(Address::Socket(swtpm.address()), PcrSelection::of(pcrs).unwrap())
    }

    #[tokio::test]
    async fn a_root_key_comes_back_from_its_own_tpm_for_its_own_context_only() {
        let (mut swtpm, other) = (Swtpm::start(), Swtpm::start());
        let root = aead::fresh_key().unwrap();
        let wrapped = provider(&swtpm, &[]).wrap(b"one", &root).await.unwrap();
        let unwrap = async |provider: Tpm2, context: &[u8]| provider.unwrap(context, &wrapped).await;
        assert_eq!(unwrap(provider(&swtpm, &[]), b"one").await.unwrap().expose(), root.expose());
        let refused = unwrap(provider(&swtpm, &[]), b"two").await.map(drop).unwrap_err();
        assert!(matches!(refused, ProviderError::Refused(_)), "{refused}");
        let refused = unwrap(provider(&other, &[]), b"one").await.map(drop).unwrap_err();
        assert!(matches!(refused, ProviderError::Refused(reason) if reason.contains("another TPM")));
        swtpm.kill();
        let away = unwrap(provider(&swtpm, &[]), b"one").await.map(drop).unwrap_err();
        assert_eq!(away, ProviderError::Unavailable("the TPM does not answer"));
        swtpm.launch();
        assert_eq!(unwrap(provider(&swtpm, &[]), b"one").await.unwrap().expose(), root.expose());
    }

    #[tokio::test]
    async fn a_root_key_that_is_sealed_to_pcrs_needs_a_human_once_they_changed() {
        let swtpm = Swtpm::start();
        let root = aead::fresh_key().unwrap();
        let wrapped = provider(&swtpm, &[11]).wrap(b"one", &root).await.unwrap();
        // Which PCRs count stands in what was wrapped, whatever the settings say now.
        assert!(provider(&swtpm, &[]).unwrap(b"one", &wrapped).await.is_ok());
        Tpm::open(&Address::Socket(swtpm.address())).unwrap().extend(11, &[1; 32]).unwrap();
        for pcrs in [&[11][..], &[]] {
            let refused = provider(&swtpm, pcrs).unwrap(b"one", &wrapped).await.map(drop).unwrap_err();
            assert!(
                matches!(refused, ProviderError::Refused(reason) if reason.contains("PCRs")),
                "{refused}"
            );
        }
        let damaged = provider(&swtpm, &[]).unwrap(b"one", &wrapped[1..]).await.map(drop).unwrap_err();
        assert!(matches!(damaged, ProviderError::Refused(reason) if reason.contains("root.json")));
    }
}
