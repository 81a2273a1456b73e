//! What a data directory holds, opened in order: the root key, approvers, journal, rows, certificate authorities. A first start makes what is
//! missing.

use super::certify::WorkloadCertifier;
use super::open::{chain, of_store};
use super::{custody, uses};
use crate::approver::{self, Trusted};
use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use crate::settings::{IssuerSetting, Settings};
use arc_swap::ArcSwap;
use cloakroom_admin::in_force;
use cloakroom_egress::UpstreamSettings;
use cloakroom_egress::custody::Custody;
use cloakroom_egress::issuer::{Issuer, IssuerSettings};
use cloakroom_model::{LookupKey, Rows, Timestamp};
use cloakroom_policy::{Approvers, PolicySet};
use cloakroom_proxy::Authority;
use cloakroom_store::journal::{Entry, Journal};
use cloakroom_store::{Recounted, SqliteStore, Store};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Opened, and nothing written but what a first start makes.
pub(super) struct Stock {
    pub(super) custody: Arc<Custody>,
    pub(super) issuer: Option<Arc<Issuer>>,
    pub(super) lookup_key: Arc<LookupKey>,
    pub(super) journal: Arc<Journal>,
    pub(super) store: Arc<dyn Store>,
    pub(super) authority: Authority,
    pub(super) certifier: Arc<WorkloadCertifier>,
}

/// What a start has to settle, as the directory has it.
pub(super) struct Found {
    /// How often placeholders were used, as the journal has it.
    pub(super) recounted: Recounted,
    pub(super) epoch: uses::Kept,
    rows: Rows,
    enrolled: Approvers,
}

/// Whose signatures count, and the policies that they have signed: none is in force before the rows are read.
pub(super) struct Trust {
    pub(super) trusted: Trusted,
    pub(super) policies: Arc<ArcSwap<PolicySet>>,
}

impl Stock {
    /// `token`: what reaches a PKCS#11 token, where there is one.
    ///
    /// # Errors
    /// Where something is missing that a start must not make anew, is damaged, or another broker has it open.
    pub(super) async fn open(
        data: &DataDir,
        settings: &Settings,
        token: Option<UnixStream>,
        out: &UpstreamSettings,
    ) -> Result<(Self, Found), Failure> {
        let custody = Arc::new(custody::open(data, &settings.kek, token, out)?);
        custody::begin(&custody).await?;
        let issuer = settings.issuer.as_ref().map(|setting| issuer(data, setting, &custody)).transpose()?;
        approver::create_if_missing(data)?;
        let enrolled = approver::enrolled(data)?.with_rules(settings.approval.clone());
        let lookup_key = Arc::new(lookup_key(data)?);
        let (journal, recovery) =
            Journal::open(&data.journal(), &data.key("journal"), settings.journal.clone())?;
        if recovery.truncated_bytes > 0 {
            let bytes = recovery.truncated_bytes;
            tracing::warn!(bytes, "removed a journal record that a crash cut short");
        }
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data.database()).map_err(of_store)?);
        let rows = store.load().await.map_err(of_store)?;
        let recounted = uses::recount(data, &journal, &*store, &rows).await?;
        let epoch = uses::epoch(data, settings.epoch.as_deref(), &journal, &recounted)?;
        let of_authority = |error| Failure::failed(chain(&error));
        let authority = Authority::load_or_create(data.path()).map_err(of_authority)?;
        let of_workloads = Authority::of_workloads(data.path()).map_err(of_authority)?;
        let certifier = Arc::new(WorkloadCertifier { authority: of_workloads });
        let found = Found { recounted, epoch, rows, enrolled };
        Ok((Self { custody, issuer, lookup_key, journal, store, authority, certifier }, found))
    }

    /// Begins the record of this start: that it began, and whose signatures count.
    pub(super) async fn trust(
        &self,
        data: &DataDir,
        settings: &Settings,
        found: &mut Found,
    ) -> Result<Trust, Failure> {
        let journal = &self.journal;
        let (enrolled, recorded) = (found.enrolled.clone(), journal.records());
        let trusted = approver::trusted(data, enrolled, &found.rows, recorded, settings.trust_approvers)?;
        let changes = std::mem::take(&mut found.rows.approver_changes);
        let only = Rows { approver_changes: changes, ..Rows::default() };
        let key = Arc::clone(&self.lookup_key);
        let (nothing, _) = PolicySet::assert_active(&only, &trusted.approvers, key, None);
        let approvers = Arc::clone(nothing.approvers());
        if let Some(shortfall) = approvers.shortfall_of_rules() {
            tracing::warn!("{shortfall}");
        }
        let start = Entry::Start { at: Timestamp::now(), version: env!("CARGO_PKG_VERSION").into() };
        journal.written(journal.append(&start)?).await?;
        if let Some(how) = trusted.anew {
            journal.append(&approver::trusted_on_record(&approvers, how))?;
        }
        journal.durable(journal.append(&in_force(&approvers, Timestamp::now()))?).await?;
        // After the record: what was trusted without one would never be found.
        approver::keep(data, trusted.pin)?;
        if trusted.anew == Some(approver::ON_FIRST_USE) {
            warn_of_first_use(data);
        }
        Ok(Trust { trusted, policies: Arc::new(ArcSwap::from_pointee(nothing)) })
    }
}

fn issuer(data: &DataDir, setting: &IssuerSetting, custody: &Custody) -> Result<Arc<Issuer>, Failure> {
    let file = data.key("issuer.json");
    let IssuerSetting { url, audiences, lifetime, .. } = setting.clone();
    let settings = IssuerSettings { url, audiences, lifetime, file };
    let issuer = Issuer::open(settings, custody);
    issuer.map(Arc::new).map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))
}

/// Said by the start that trusts, whichever start made the key: one that failed before may have.
fn warn_of_first_use(data: &DataDir) {
    let (key, keys) = (data.approver_key(), data.approver_keys());
    if key.exists() {
        tracing::warn!(key = %key.display(), "trust on first use: made the first approver's key; whoever can read it approves");
    } else {
        tracing::warn!(keys = %keys.display(), "trust on first use: whoever holds a key of this file approves");
    }
}

/// The lookup key: 32 random bytes. Without it no placeholder and no workload key would be recognised any more, so a
/// missing one is made only where there is nothing to recognise.
fn lookup_key(data: &DataDir) -> Result<LookupKey, Failure> {
    let path = data.key("lookup");
    if let Some(bytes) = read_if_there(&path)? {
        let bytes = Zeroizing::new(bytes.as_slice().try_into().map_err(|_| {
            Failure::failed(format!("{} is not a lookup key", path.display()))
                .hinting("restore it from a backup")
        })?);
        return Ok(LookupKey::from_bytes(&bytes));
    }
    data.require_first_start(&path)?;
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(bytes.as_mut())
        .map_err(|_| Failure::failed("the operating system gives no random bytes"))?;
    write_private(&path, bytes.as_ref())?;
    Ok(LookupKey::from_bytes(&bytes))
}
