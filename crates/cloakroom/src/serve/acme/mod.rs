//! The console's certificate from an ACME server (RFC 8555): asked for, kept, shown, and asked for again before it ends.
//!
//! ```text
//!  keys/acme.pem ─► shown ─► due at two thirds of its life ─► order ─► kept, shown; no connection ends
//!                     ▲                                         │
//!                     └── the former one is shown on ◄── failed ┘   said by event, health and doctor; tried again, ever less often
//! ```
//!
//! That the console answers to its names is checked on its own listener (tls-alpn-01, RFC 8737): no other port is needed. The keys lie in
//! files of the broker's own, as that of its authority does: a sealed broker has to speak TLS with whoever comes to unseal it.

mod order;
mod way;

use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use crate::settings::AcmeSetting;
use cloakroom_admin::Admin;
use cloakroom_admin::wire::CertificateView;
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::{EventKind, SecurityEvent, Timestamp};
use cloakroom_proxy::{RenewedCertificate, Validity};
use cloakroom_store::journal::Entry;
use instant_acme::{Account, Key};
use order::Trouble;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use way::Way;
use zeroize::Zeroizing;

/// No pause between two tries is longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// Each pause after another failure is so many times longer.
const LONGER: u32 = 4;
/// How long one order may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What sees to the certificate.
pub(super) struct Acme {
    setting: AcmeSetting,
    shown: Arc<RenewedCertificate>,
    upstream: Arc<Upstream>,
    account: PathBuf,
    certificate: PathBuf,
    /// Of what is shown; none where nothing is, or nothing that was asked for.
    validity: Option<Validity>,
}

impl Acme {
    /// Shows the certificate that was kept, if there is one.
    pub(super) fn open(
        setting: &AcmeSetting,
        data: &DataDir,
        shown: Arc<RenewedCertificate>,
        calls: &UpstreamSettings,
    ) -> Result<Self, Failure> {
        let mut calls = calls.clone();
        calls.anchors.extend(setting.ca.iter().cloned());
        let upstream = Arc::new(super::carrier::way_out(&calls, &setting.allowed)?);
        let (account, certificate) = (data.key("acme-account.pem"), data.key("acme.pem"));
        let mut acme =
            Self { setting: setting.clone(), shown, upstream, account, certificate, validity: None };
        if let Some(kept) = read_if_there(&acme.certificate)? {
            acme.show_kept(&kept);
        }
        Ok(acme)
    }

    /// One for other names, or of another server, is shown until the one that was asked for is there.
    fn show_kept(&mut self, kept: &[u8]) {
        match self.shown.show(kept, Timestamp::now()) {
            Ok(validity) if kept.starts_with(self.label().as_bytes()) => self.validity = Some(validity),
            Ok(_) => tracing::info!("the console's certificate was for other names, or of another server"),
            Err(error) => tracing::warn!(%error, "the console's certificate that was kept is not shown"),
        }
    }

    /// Sees to it until the broker stops.
    pub(super) async fn run(mut self, admin: Arc<Admin>, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        let (mut trouble, mut pause) = (None, Duration::ZERO);
        loop {
            self.tell(&admin, trouble);
            let wait = if trouble.is_some() { pause } else { self.until_due(Timestamp::now()) };
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(wait) => {}
            }
            match self.renew().await {
                Ok(()) => {
                    trouble = None;
                    self.record(&admin);
                }
                Err(why) => {
                    tracing::warn!(
                        why = why.reason(),
                        "the console's certificate was not renewed; it is tried again"
                    );
                    if trouble.is_none() {
                        admin.events.raise(SecurityEvent::new(EventKind::CertificateNotRenewed));
                    }
                    pause = if trouble.is_none() { why.first_pause() } else { LONGEST.min(pause * LONGER) };
                    trouble = Some(why);
                }
            }
        }
    }

    /// At two thirds of its life: there is time to mend what fails.
    fn due(&self) -> Option<Timestamp> {
        let Validity { begins, ends } = self.validity?;
        let life = ends.millis().saturating_sub(begins.millis());
        Some(begins.plus(Duration::from_millis(life / 3 * 2)))
    }

    fn until_due(&self, now: Timestamp) -> Duration {
        let due = self.due().map_or(0, Timestamp::millis);
        Duration::from_millis(due.saturating_sub(now.millis()))
    }

    async fn renew(&mut self) -> Result<(), Trouble> {
        let asked = tokio::time::timeout(PATIENCE, self.ask());
        let pem = asked.await.unwrap_or(Err(Trouble::Silent))?;
        let kept = Zeroizing::new([self.label().into_bytes(), pem.to_vec()].concat());
        // Before it is kept: what cannot be shown must not take the place of what can.
        self.validity = Some(self.shown.show(&kept, Timestamp::now()).map_err(|_| Trouble::NotUsable)?);
        write_private(&self.certificate, &kept).map_err(|_| Trouble::NotKept)
    }

    async fn ask(&self) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let key = self.key().map_err(|_| Trouble::NotKept)?;
        let pair = Key::from_pkcs8_der(key.clone_key())?;
        let builder = Account::builder_with_http(Box::new(Way(Arc::clone(&self.upstream))));
        // An account that is there already is what comes back for its key (RFC 8555, section 7.3).
        let key = PrivateKeyDer::Pkcs8(key);
        let (account, _) = builder.create_from_key((pair, key), self.setting.directory.clone()).await?;
        order::certificate(&account, &self.setting.names, &self.shown).await
    }

    /// The account's key; the first time, makes one.
    fn key(&self) -> Result<PrivatePkcs8KeyDer<'static>, Failure> {
        let unusable = || Failure::failed(format!("{} holds no key", self.account.display()));
        if let Some(kept) = read_if_there(&self.account)? {
            return PrivatePkcs8KeyDer::from_pem_slice(&kept).map_err(|_| unusable());
        }
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| unusable())?;
        write_private(&self.account, Zeroizing::new(pair.serialize_pem()).as_bytes())?;
        Ok(PrivatePkcs8KeyDer::from(pair.serialize_der()))
    }

    /// The first line of what is kept: who gave it, for what.
    fn label(&self) -> String {
        format!("from {} for {}\n", self.setting.directory, self.setting.names.join(" "))
    }

    fn tell(&self, admin: &Admin, trouble: Option<Trouble>) {
        let view = CertificateView {
            names: self.setting.names.clone(),
            ends: self.validity.map(|validity| validity.ends.to_string()),
            due: self.due().map(|due| due.to_string()),
            trouble: trouble.map(|why| why.reason().to_owned()),
        };
        admin.certificate.store(Some(Arc::new(view)));
    }

    fn record(&self, admin: &Admin) {
        let (act, subject) = ("certificate renewed".into(), self.setting.names.join(" "));
        tracing::info!(names = %subject, ends = ?self.validity.map(|validity| validity.ends), "the console has a new certificate");
        let entry = Entry::Act { at: Timestamp::now(), act, subject, name: None, by: "the broker".into() };
        if let Err(error) = admin.journal.append(&entry) {
            tracing::error!(%error, "the journal cannot be written");
        }
    }
}
