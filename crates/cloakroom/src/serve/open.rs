//! Opens store, keys, journal, authority, listeners and the way out. First start makes what is missing.

use super::acme::Acme;
use super::bound::{Bound, heard};
use super::certify::WorkloadCertifier;
use super::console;
use super::custody;
use super::doors::Doors;
use super::grants::GrantKeeper;
use super::leases::LeaseKeeper;
use super::link;
use super::listening::{Listening, WaysIn};
use super::notify::Notifier;
use super::sockets::unix_listener;
use super::steered::{SteeredListeners, SteeredSockets};
use super::traces::Traces;
use super::uses;
use super::webhook::{self, Webhook};
use super::witness::Witnesses;
use crate::approver;
use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use crate::image::evidence::TpmAttestor;
use crate::settings::{CertificateSetting, IssuerSetting, Settings};
use arc_swap::{ArcSwap, ArcSwapOption};
use cloakroom_admin::handover::Handover;
use cloakroom_admin::{
    Admin, Attestor, Ballots, Changes, ConsoleState, Draining, Feeds, Identity, Link, Locks, Logins, Replays,
    Revoker, Rewrap, in_force,
};
use cloakroom_egress::Upstream;
use cloakroom_egress::custody::{Custody, DropBox};
use cloakroom_egress::issuer::{Issuer, IssuerSettings};
use cloakroom_model::{LookupKey, RequiredLocks, Rows, SecurityEvent, Timestamp};
use cloakroom_policy::{Lessons, PolicySet};
use cloakroom_proxy::{
    Authority, BesideTls, CallTrace, Certificate, Entrance, GivenCertificate, Listeners, NameListeners,
    Proxy, Tracer, VsockListener,
};
use cloakroom_store::journal::{Entry, Journal};
use cloakroom_store::{Events, Parking, Proposals, SqliteStore, Store};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::Receiver;
use zeroize::Zeroizing;

/// The settings of the workload listener's TLS.
const LISTEN: &str = "[listen.tls]";

/// A broker, ready to run.
pub(super) struct Opened {
    pub(super) proxy: Arc<Proxy>,
    pub(super) admin: Arc<Admin>,
    pub(super) journal: Arc<Journal>,
    pub(super) workloads: Listeners,
    pub(super) names: Option<NameListeners>,
    pub(super) console: TcpListener,
    pub(super) console_tls: Option<Arc<BesideTls>>,
    pub(super) acme: Option<Acme>,
    pub(super) socket: UnixListener,
    pub(super) link: Option<(Link, link::Introduction)>,
    pub(super) webhook: Option<(Webhook, Receiver<SecurityEvent>)>,
    pub(super) traces: Option<(Traces, Receiver<CallTrace>)>,
    pub(super) notifier: Option<Notifier>,
    pub(super) witnesses: Option<Witnesses>,
    /// Where the issuer's documents are served.
    pub(super) issuer: Option<(Arc<Issuer>, TcpListener)>,
    /// How often the provider of the root key is asked.
    pub(super) ask_every: std::time::Duration,
}

/// What can be wrong before anything is touched: found while a broker that is to be taken over still runs.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    settings.certificate.as_ref().map(|setting| certificate(setting, LISTEN)).transpose()?;
    settings.console_certificate.as_ref().map(|setting| certificate(setting, "[console.tls]")).transpose()?;
    console::require_private(settings.console, settings.console_certificate.is_some())?;
    settings.traces.as_ref().map(|traces| Traces::open(traces, &settings.upstream)).transpose()?;
    settings.notify.as_ref().map(|notify| Notifier::open(notify, &settings.upstream)).transpose()?;
    settings.webhook.as_ref().map(|webhook| Webhook::open(webhook, &settings.upstream)).transpose().map(drop)
}

pub(super) async fn open(
    data: &DataDir,
    settings: Settings,
    bound: Bound,
    token: Option<UnixStream>,
) -> Result<Opened, Failure> {
    // What settings and the machine can refuse comes first: a start that failed has made no keys.
    let tls = settings.certificate.as_ref().map(|setting| certificate(setting, LISTEN)).transpose()?;
    let steered = bound.steered.map(SteeredSockets::heard).transpose()?;
    let (workloads, console) = (heard(bound.workloads)?, heard(bound.console)?);
    console::require_private(console.local_addr()?, settings.console_certificate.is_some())?;
    let party = console::party(&settings, console.local_addr()?)?;
    let console_tls = console::tls(data, &settings)?;
    let acme = console::acme(data, &settings, console_tls.as_ref())?;
    let unix = unix_listener(bound.unix, settings.unix.as_deref())?;
    let vsock = bound.vsock.map(VsockListener::heard).transpose()?;
    let operators = bound.operators;
    let issuer_listener = bound.issuer.map(heard).transpose()?;
    let ask_every = settings.ask_every;
    let mut out = settings.upstream;
    out.own = vec![workloads.local_addr()?, console.local_addr()?];
    let of_steered = steered.as_ref().map(SteeredListeners::addresses).transpose()?;
    out.own.extend(of_steered.iter().flat_map(|(transparent, names)| [*transparent, *names]));
    out.own.extend(operators.as_ref().map(link::Bound::address));
    let custody = Arc::new(custody::open(data, &settings.kek, token, &out)?);
    custody::begin(&custody).await?;
    let issuer = settings.issuer.as_ref().map(|setting| issuer(data, setting, &custody)).transpose()?;
    approver::create_if_missing(data)?;
    let enrolled = approver::enrolled(data)?.with_rules(settings.approval);
    let lookup_key = Arc::new(lookup_key(data)?);
    let (journal, recovery) = Journal::open(&data.journal(), &data.key("journal"), settings.journal)?;
    if recovery.truncated_bytes > 0 {
        tracing::warn!(bytes = recovery.truncated_bytes, "removed a journal record that a crash cut short");
    }
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data.database()).map_err(of_store)?);
    let rows = store.load().await.map_err(of_store)?;
    let recounted = uses::recount(data, &journal, &*store, &rows).await?;
    let epoch = uses::epoch(data, settings.epoch.as_deref(), &journal, &recounted)?;
    let of_authority = |error| Failure::failed(chain(&error));
    let authority = Authority::load_or_create(data.path()).map_err(of_authority)?;
    let certifier = Arc::new(WorkloadCertifier {
        authority: Authority::of_workloads(data.path()).map_err(of_authority)?,
    });

    let webhook = settings.webhook.as_ref().map(|webhook| Webhook::open(webhook, &out)).transpose()?;
    let traces = settings.traces.as_ref().map(|traces| Traces::open(traces, &out)).transpose()?;
    let notifier = settings.notify.as_ref().map(|notify| Notifier::open(notify, &out)).transpose()?;
    let witnesses =
        settings.witness.as_ref().map(|witness| Witnesses::open(witness, &out, data)).transpose()?;
    let upstream = Upstream::assert_opened(out)
        .map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))?;

    let trusted = approver::trusted(data, enrolled, &rows, journal.records(), settings.trust_approvers)?;
    // Nothing is permitted until the rows are read.
    let only = Rows { approver_changes: rows.approver_changes, ..Rows::default() };
    let (nothing, _) = PolicySet::assert_active(&only, &trusted.approvers, Arc::clone(&lookup_key), None);
    let approvers = Arc::clone(nothing.approvers());
    if let Some(shortfall) = approvers.shortfall_of_rules() {
        tracing::warn!("{shortfall}");
    }
    let policies = Arc::new(ArcSwap::from_pointee(nothing));
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
    let events = Events::new(Arc::clone(&journal));
    let listening = Listening { address: workloads.local_addr()?, speaks_tls: tls.is_some() };
    let ways_in = WaysIn {
        network: listening,
        unix: settings.unix.as_deref(),
        vsock: vsock.as_ref().map(VsockListener::port).transpose()?,
        transparent: of_steered.map(|(transparent, _)| transparent),
    };
    // Before the rows are read: what is found in them is carried too.
    let webhook = webhook.map(|webhook| (webhook, events.carry(webhook::QUEUE)));
    let share = settings.traces.as_ref().map(|traces| traces.share);
    let (tracer, calls) = share.map(|share| Tracer::new(share, Arc::clone(events.meters()))).unzip();
    let uses = uses::begin(recounted, epoch, &journal, &*store, &events).await?;
    let parking = Arc::new(Parking::new(settings.parking));
    let proposals: Arc<Proposals> = Arc::default();
    let origin = party.origin().to_owned();
    let lessons: Arc<Lessons> = Arc::default();
    let required_locks = Arc::new(RequiredLocks::new(settings.required_locks));
    for lock in required_locks.names() {
        tracing::warn!(%lock, "no call goes out until this lock is proved: cloakroom lock check");
    }
    let attestor = settings.attestation.map(attestor).transpose()?;
    let admin = Arc::new(Admin {
        store: Arc::clone(&store),
        uses: Arc::clone(&uses),
        journal: Arc::clone(&journal),
        custody: Arc::clone(&custody),
        attestor,
        drop_box: DropBox::of(data.key("drop-off"), &custody),
        policies: Arc::clone(&policies),
        trusted: trusted.approvers,
        pin: trusted.pin,
        ballots: Ballots::new(party),
        identity: Identity::new(settings.sessions),
        sign_on: settings.sign_on,
        logins: Logins::default(),
        approval_lifetime: settings.approval_lifetime,
        pin_generation: settings.pin_generation,
        parking: Arc::clone(&parking),
        services: crate::catalogue::known_at,
        proposals: Arc::clone(&proposals),
        lessons: Arc::clone(&lessons),
        lookup_key,
        events: Arc::clone(&events),
        data: data.path().to_owned(),
        changes: Changes::default(),
        certifier: Arc::clone(&certifier) as _,
        locks: Locks::requiring(Arc::clone(&required_locks)),
        issuer: issuer.clone(),
        rewrap: Rewrap::default(),
        console: ConsoleState::new(crate::catalogue::offers, (listening.address, listening.speaks_tls)),
        replays: Replays::default(),
        feeds: Feeds::default(),
        handover: Handover::default(),
        listeners: ways_in.words(),
        confinement: OnceLock::new(),
        certificate: ArcSwapOption::empty(),
        draining: Draining::default(),
    });
    admin.reload().await.map_err(|error| Failure::failed(error.to_string()))?;
    let captured = store.captured().await.map_err(|error| Failure::failed(error.to_string()))?;
    custody.capture_into(&policies.load(), captured);
    let socket = admin_socket(bound.admin, &data.socket())?;
    let open = [workloads.as_fd(), console.as_fd(), socket.as_fd()];
    let open = open.into_iter().chain(unix.as_ref().map(AsFd::as_fd)).chain(vsock.as_ref().map(AsFd::as_fd));
    let mut offered = open.map(|socket| socket.try_clone_to_owned()).collect::<Result<Vec<_>, _>>()?;
    if let Some(steered) = &steered {
        offered.extend(steered.offered()?);
    }
    admin.handover.offer(offered);
    listening.keep(data)?;
    let link = operators.map(|operators| operators.with_identity(data, listening, &authority)).transpose()?;
    let (transparent, dns) = of_steered.unzip();
    Doors { proxy: Some(workloads.local_addr()?), transparent, dns }.keep(data)?;
    let upstream = Arc::new(upstream);
    let keeper = Arc::new(GrantKeeper { store: Arc::clone(&store), journal: Arc::clone(&journal) });
    custody.mint_through(Arc::clone(&upstream), keeper, issuer.clone());
    custody.read_below(settings.source_directories);
    let book = Arc::new(LeaseKeeper {
        store: Arc::clone(&store),
        journal: Arc::clone(&journal),
        events: Arc::clone(&events),
    });
    custody.lease_through(book).await.map_err(Failure::failed)?;
    let proxy = Proxy {
        policies,
        custody,
        upstream,
        store,
        uses,
        journal: Arc::clone(&journal),
        events,
        warden: Arc::new(Revoker(Arc::clone(&admin))),
        authority,
        limits: settings.limits,
        entrance: Entrance {
            tls,
            workloads: Some(certifier.authority.der().clone()),
            socks: settings.socks,
            balancers: settings.balancers,
        },
        durability: settings.durability,
        parking,
        proposals,
        lessons,
        names: steered.as_ref().map(|steered| Arc::clone(&steered.pool)),
        hold: settings.hold,
        locks: required_locks,
        tracer,
        console: origin,
    };
    let (transparent, names) = steered.map(|steered| (steered.transparent, steered.names)).unzip();
    let workloads = Listeners { network: workloads, unix, vsock, transparent };
    let (proxy, issuer) = (Arc::new(proxy), issuer.zip(issuer_listener));
    Ok(Opened {
        proxy,
        admin,
        journal,
        workloads,
        names,
        console,
        console_tls,
        acme,
        socket,
        link,
        webhook,
        traces: traces.zip(calls),
        notifier,
        witnesses,
        issuer,
        ask_every,
    })
}

/// What vouches for this machine.
fn attestor(tpm: cloakroom_tpm::Address) -> Result<Arc<dyn Attestor>, Failure> {
    let command_line = std::fs::read_to_string("/proc/cmdline")?;
    Ok(Arc::new(TpmAttestor { tpm, command_line }))
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

/// What a listener shows; `section` is that of its settings.
pub(super) fn certificate(setting: &CertificateSetting, section: &str) -> Result<Certificate, Failure> {
    match setting {
        CertificateSetting::Own(names) => Ok(Certificate::Own(names.clone())),
        CertificateSetting::Given { certificate, key } => {
            let given = GivenCertificate::load(certificate, key);
            let given = given.map_err(|error| {
                Failure::bad_input(chain(&error))
                    .hinting(format!("{section} names a certificate and its key, both in PEM"))
            })?;
            Ok(Certificate::Given(Arc::new(given)))
        }
        CertificateSetting::Acme(_) => Ok(Certificate::Renewed(Arc::default())),
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

/// The admin socket that is open already, or a new one. Whoever holds the lock owns it, so one that is there is stale.
fn admin_socket(
    open: Option<std::os::unix::net::UnixListener>,
    path: &Path,
) -> Result<UnixListener, Failure> {
    if let Some(open) = open {
        open.set_nonblocking(true)?;
        return Ok(UnixListener::from_std(open)?);
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::file("replace", path, &error));
        }
        _ => {}
    }
    let socket = UnixListener::bind(path).map_err(|error| {
        Failure::file("listen on", path, &error)
            .hinting("the path of a socket has at most 107 bytes; use a shorter --data")
    })?;
    // Until here the directory, 0700, keeps others out.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| Failure::file("close to others", path, &error))?;
    Ok(socket)
}

pub(crate) fn of_store(error: cloakroom_store::StoreError) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error.hint() {
        Some(hint) => failure.hinting(hint),
        None => failure,
    }
}

/// The whole chain of an error on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
