//! Who is told of what the broker does: each by a way out of its own, and none of them waited for by a call.

use super::notify::Notifier;
use super::traces::Traces;
use super::webhook::{self, Webhook};
use super::witness::Witnesses;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::settings::Settings;
use cloakroom_admin::Admin;
use cloakroom_egress::UpstreamSettings;
use cloakroom_model::SecurityEvent;
use cloakroom_proxy::{CallTrace, Tracer};
use cloakroom_store::Events;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

/// Those that the settings name.
pub(super) struct Told {
    webhook: Option<Webhook>,
    traces: Option<Traces>,
    notifier: Option<Notifier>,
    witnesses: Option<Witnesses>,
    share: Option<f64>,
}

/// The same, and what they are to be told.
pub(super) struct Telling {
    webhook: Option<(Webhook, Receiver<SecurityEvent>)>,
    traces: Option<(Traces, Receiver<CallTrace>)>,
    notifier: Option<Notifier>,
    witnesses: Option<Witnesses>,
}

impl Told {
    /// # Errors
    /// Where a setting cannot be followed.
    pub(super) fn open(settings: &Settings, out: &UpstreamSettings, data: &DataDir) -> Result<Self, Failure> {
        let Settings { webhook, traces, notify, witness, .. } = settings;
        Ok(Self {
            webhook: webhook.as_ref().map(|webhook| Webhook::open(webhook, out)).transpose()?,
            share: traces.as_ref().map(|traces| traces.share),
            traces: traces.as_ref().map(|traces| Traces::open(traces, out)).transpose()?,
            notifier: notify.as_ref().map(|notify| Notifier::open(notify, out)).transpose()?,
            witnesses: witness.as_ref().map(|witness| Witnesses::open(witness, out, data)).transpose()?,
        })
    }

    /// What can be wrong with them, before anything is touched.
    pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
        let Settings { webhook, traces, notify, upstream, .. } = settings;
        traces.as_ref().map(|traces| Traces::open(traces, upstream)).transpose()?;
        notify.as_ref().map(|notify| Notifier::open(notify, upstream)).transpose()?;
        webhook.as_ref().map(|webhook| Webhook::open(webhook, upstream)).transpose().map(drop)
    }

    /// From now on what happens is kept for them. Also what draws the spans of calls.
    pub(super) fn listen(self, events: &Arc<Events>) -> (Telling, Option<Tracer>) {
        let Self { webhook, traces, notifier, witnesses, share } = self;
        let (tracer, calls) = share.map(|share| Tracer::new(share, Arc::clone(events.meters()))).unzip();
        let webhook = webhook.map(|webhook| (webhook, events.carry(webhook::QUEUE)));
        (Telling { webhook, traces: traces.zip(calls), notifier, witnesses }, tracer)
    }
}

impl Telling {
    /// Tells, until the runtime ends: the journal has what was not delivered, and what nobody was told of waits in the inbox.
    pub(super) fn begin(self, admin: &Arc<Admin>) {
        let Self { webhook, traces, notifier, witnesses } = self;
        if let Some((webhook, carried)) = webhook {
            drop(tokio::spawn(webhook.run(Arc::clone(&admin.events), carried)));
        }
        if let Some((traces, calls)) = traces {
            drop(tokio::spawn(traces.run(Arc::clone(admin.events.meters()), calls)));
        }
        if let Some(notifier) = notifier {
            drop(tokio::spawn(notifier.run(Arc::clone(admin))));
        }
        if let Some(witnesses) = witnesses {
            drop(tokio::spawn(witnesses.run(Arc::clone(&admin.journal), Arc::clone(&admin.events))));
        }
    }
}
