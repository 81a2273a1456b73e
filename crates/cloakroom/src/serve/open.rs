//! Opens a broker: what the settings and the machine can refuse first, then what the data directory holds, and from both what serves calls and
//! what serves people.

use super::acme::Acme;
use super::bound::Bound;
use super::grants::GrantKeeper;
use super::heard::{Heard, admin_socket};
use super::leases::LeaseKeeper;
use super::link;
use super::stock::{Stock, Trust};
use super::told::{Telling, Told};
use super::uses;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::image::evidence::TpmAttestor;
use crate::settings::Settings;
use arc_swap::ArcSwapOption;
use cloakroom_admin::handover::Handover;
use cloakroom_admin::{
    Admin, Attestor, Ballots, Changes, ConsoleState, Draining, Feeds, Identity, Link, Locks, Logins, Replays,
    Revoker, Rewrap,
};
use cloakroom_egress::Upstream;
use cloakroom_egress::custody::DropBox;
use cloakroom_egress::issuer::Issuer;
use cloakroom_model::RequiredLocks;
use cloakroom_policy::Lessons;
use cloakroom_proxy::{BesideTls, Entrance, Listeners, NameListeners, Proxy, Tracer};
use cloakroom_store::journal::Journal;
use cloakroom_store::{Events, Parking, Proposals, Uses};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use tokio::net::{TcpListener, UnixListener};

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
    pub(super) telling: Telling,
    /// Where the issuer's documents are served.
    pub(super) issuer: Option<(Arc<Issuer>, TcpListener)>,
    /// How often the provider of the root key is asked.
    pub(super) ask_every: std::time::Duration,
}

/// What can be wrong before anything is touched: found while a broker that is to be taken over still runs.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    Heard::check(settings)?;
    Told::check(settings)
}

pub(super) async fn open(
    data: &DataDir,
    mut settings: Settings,
    bound: Bound,
    token: Option<UnixStream>,
) -> Result<Opened, Failure> {
    // What settings and the machine can refuse comes first: a start that failed has made no keys.
    let mut heard = Heard::of(data, &settings, bound)?;
    settings.upstream.own = heard.own()?;
    let out = settings.upstream.clone();
    let (stock, mut found) = Stock::open(data, &settings, token, &out).await?;
    let told = Told::open(&settings, &out, data)?;
    let upstream = Upstream::assert_opened(out)
        .map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))?;
    let trust = stock.trust(data, &settings, &mut found).await?;
    let events = Events::new(Arc::clone(&stock.journal));
    // Before the rows are read: what is found in them is told too.
    let (telling, tracer) = told.listen(&events);
    let uses = uses::begin(found.recounted, found.epoch, &stock.journal, &*stock.store, &events).await?;
    let shared = Shared::new(&settings, trust, events, uses);
    let admin = Arc::new(admin(data, &mut settings, &stock, &shared, &heard)?);
    admin.reload().await.map_err(|error| Failure::failed(error.to_string()))?;
    let captured = stock.store.captured().await.map_err(|error| Failure::failed(error.to_string()))?;
    stock.custody.capture_into(&shared.trust.policies.load(), captured);
    let socket = admin_socket(heard.admin.take(), &data.socket())?;
    admin.handover.offer(heard.offered(&socket)?);
    heard.keep(data)?;
    let listening = heard.listening()?;
    let operators = heard.operators.take();
    let link = operators.map(|wire| wire.with_identity(data, listening, &stock.authority)).transpose()?;
    let upstream = Arc::new(upstream);
    renew_through(&upstream, &stock, &shared, &settings).await?;
    let ask_every = settings.ask_every;
    let (journal, issuer) = (Arc::clone(&stock.journal), stock.issuer.clone());
    let proxy = proxy(settings, stock, shared, &mut heard, &admin, upstream, tracer);
    let Heard {
        workloads, unix, vsock, steered, console, console_tls, acme, issuer: issuer_listener, ..
    } = heard;
    let (transparent, names) = steered.map(|steered| (steered.transparent, steered.names)).unzip();
    Ok(Opened {
        proxy: Arc::new(proxy),
        admin,
        journal,
        workloads: Listeners { network: workloads, unix, vsock, transparent },
        names,
        console,
        console_tls,
        acme,
        socket,
        link,
        telling,
        issuer: issuer.zip(issuer_listener),
        ask_every,
    })
}

/// What serves calls and what serves people look at both.
struct Shared {
    trust: Trust,
    events: Arc<Events>,
    uses: Arc<Uses>,
    parking: Arc<Parking>,
    proposals: Arc<Proposals>,
    lessons: Arc<Lessons>,
    locks: Arc<RequiredLocks>,
}

impl Shared {
    fn new(settings: &Settings, trust: Trust, events: Arc<Events>, uses: Arc<Uses>) -> Self {
        let locks = RequiredLocks::new(settings.required_locks.clone());
        for lock in locks.names() {
            tracing::warn!(%lock, "no call goes out until this lock is proved: cloakroom lock check");
        }
        Self {
            trust,
            events,
            uses,
            parking: Arc::new(Parking::new(settings.parking)),
            proposals: Arc::default(),
            lessons: Arc::default(),
            locks: Arc::new(locks),
        }
    }
}

fn admin(
    data: &DataDir,
    settings: &mut Settings,
    stock: &Stock,
    shared: &Shared,
    heard: &Heard,
) -> Result<Admin, Failure> {
    let listening = heard.listening()?;
    Ok(Admin {
        store: Arc::clone(&stock.store),
        uses: Arc::clone(&shared.uses),
        journal: Arc::clone(&stock.journal),
        custody: Arc::clone(&stock.custody),
        attestor: settings.attestation.clone().map(attestor).transpose()?,
        drop_box: DropBox::of(data.key("drop-off"), &stock.custody),
        policies: Arc::clone(&shared.trust.policies),
        trusted: shared.trust.trusted.approvers.clone(),
        pin: shared.trust.trusted.pin,
        ballots: Ballots::new(heard.party.clone()),
        identity: Identity::new(settings.sessions),
        sign_on: settings.sign_on.take(),
        logins: Logins::default(),
        approval_lifetime: settings.approval_lifetime,
        pin_generation: settings.pin_generation,
        parking: Arc::clone(&shared.parking),
        services: crate::catalogue::known_at,
        proposals: Arc::clone(&shared.proposals),
        lessons: Arc::clone(&shared.lessons),
        lookup_key: Arc::clone(&stock.lookup_key),
        events: Arc::clone(&shared.events),
        data: data.path().to_owned(),
        changes: Changes::default(),
        certifier: Arc::clone(&stock.certifier) as _,
        locks: Locks::requiring(Arc::clone(&shared.locks)),
        issuer: stock.issuer.clone(),
        rewrap: Rewrap::default(),
        console: ConsoleState::new(crate::catalogue::offers, (listening.address, listening.speaks_tls)),
        replays: Replays::default(),
        feeds: Feeds::default(),
        handover: Handover::default(),
        listeners: heard.ways_in(settings.unix.as_deref())?,
        confinement: OnceLock::new(),
        certificate: ArcSwapOption::empty(),
        draining: Draining::default(),
    })
}

/// Lets credentials that live be renewed and leased by the way out of every call.
async fn renew_through(
    upstream: &Arc<Upstream>,
    stock: &Stock,
    shared: &Shared,
    settings: &Settings,
) -> Result<(), Failure> {
    let (store, journal) = (Arc::clone(&stock.store), Arc::clone(&stock.journal));
    let keeper = Arc::new(GrantKeeper { store: Arc::clone(&store), journal: Arc::clone(&journal) });
    stock.custody.mint_through(Arc::clone(upstream), keeper, stock.issuer.clone());
    stock.custody.read_below(settings.source_directories.clone());
    let book = LeaseKeeper { store, journal, events: Arc::clone(&shared.events) };
    stock.custody.lease_through(Arc::new(book)).await.map_err(Failure::failed)
}

fn proxy(
    settings: Settings,
    stock: Stock,
    shared: Shared,
    heard: &mut Heard,
    admin: &Arc<Admin>,
    upstream: Arc<Upstream>,
    tracer: Option<Tracer>,
) -> Proxy {
    Proxy {
        policies: shared.trust.policies,
        custody: stock.custody,
        upstream,
        store: stock.store,
        uses: shared.uses,
        journal: stock.journal,
        events: shared.events,
        warden: Arc::new(Revoker(Arc::clone(admin))),
        authority: stock.authority,
        limits: settings.limits,
        entrance: Entrance {
            tls: heard.tls.take(),
            workloads: Some(stock.certifier.authority.der().clone()),
            socks: settings.socks,
            balancers: settings.balancers,
        },
        durability: settings.durability,
        parking: shared.parking,
        proposals: shared.proposals,
        lessons: shared.lessons,
        names: heard.steered.as_ref().map(|steered| Arc::clone(&steered.pool)),
        hold: settings.hold,
        locks: shared.locks,
        tracer,
        console: heard.party.origin().to_owned(),
    }
}

/// What vouches for this machine.
fn attestor(tpm: cloakroom_tpm::Address) -> Result<Arc<dyn Attestor>, Failure> {
    let command_line = std::fs::read_to_string("/proc/cmdline")?;
    Ok(Arc::new(TpmAttestor { tpm, command_line }))
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
