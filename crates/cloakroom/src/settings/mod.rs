//! Settings: what the operator wrote, overlaid by the command line, and what it means.

mod acme;
mod custody;
mod file;
mod issuer;
mod notify;
mod process;
mod sign_on;
mod traces;
mod unit;
mod webhook;
mod witness;

use crate::cli::ServeArguments;
use crate::failure::Failure;
use cloakroom_admin::{SingleSignOn, Spans};
use cloakroom_egress::UpstreamSettings;
use cloakroom_egress::custody::{AwsKmsSettings, TransitSettings};
use cloakroom_model::{Destination, Host, Name, Severity};
use cloakroom_policy::{ApprovalRules, RelyingParty};
use cloakroom_proxy::{Durability, Limits, Pool};
use cloakroom_store::ParkingBounds;
use cloakroom_store::journal::JournalSettings;
pub(crate) use custody::{PinSetting, TokenSetting};
use file::{ConfigFile, Listen};
use ipnet::{IpNet, Ipv4Net};
use issuer::Issuer;
use notify::Notify;
pub(crate) use notify::{EmailSetting, NotifySetting, url_of_file};
pub(crate) use process::ProcessSetting;
use sign_on::SignOn;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use traces::Traces;
use webhook::Webhook;
use witness::Witness;

/// A provider of the root key that went away is noticed so soon.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What the broker runs with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where workloads connect.
    pub(crate) listen: SocketAddr,
    /// Where connections end that a lock steers here, and what stands for names there.
    pub(crate) steered: Option<Steered>,
    /// Where workloads of this machine connect too.
    pub(crate) unix: Option<PathBuf>,
    /// The port of the vsock where workloads in virtual machines connect.
    pub(crate) vsock: Option<u32>,
    /// Where the console answers.
    pub(crate) console: SocketAddr,
    /// What the workload listener shows in TLS, where it speaks TLS.
    pub(crate) certificate: Option<CertificateSetting>,
    /// What the console shows in TLS, where it speaks TLS.
    pub(crate) console_certificate: Option<CertificateSetting>,
    /// How long sessions at the console live.
    pub(crate) sessions: Spans,
    /// The provider by which people log in at the console besides.
    pub(crate) sign_on: Option<SingleSignOn>,
    /// Whether the workload listener speaks SOCKS5.
    pub(crate) socks: bool,
    /// Balancers that say in the PROXY protocol whom they speak for.
    pub(crate) balancers: Vec<IpNet>,
    /// Bounds on what strangers send.
    pub(crate) limits: Limits,
    /// The way out. `own` is filled in once the listeners are bound.
    pub(crate) upstream: UpstreamSettings,
    /// How the journal is kept.
    pub(crate) journal: JournalSettings,
    /// Whether a call waits for the disk.
    pub(crate) durability: Durability,
    /// Who keeps the journal's checkpoints.
    pub(crate) witness: Option<WitnessSetting>,
    /// Where the key-encryption key comes from.
    pub(crate) kek: KekSetting,
    /// How often a provider of the root key that can go away is asked.
    pub(crate) ask_every: Duration,
    /// How many approvers have to sign.
    pub(crate) approval: ApprovalRules,
    /// How many calls may wait for a human, and for how long.
    pub(crate) parking: ParkingBounds,
    /// How long such a call is held before it is told to come again.
    pub(crate) hold: Duration,
    /// How long an approval counts, where it ends before its placeholder.
    pub(crate) approval_lifetime: Option<Duration>,
    /// Where passkeys are good; absent: at the console's own port on localhost.
    pub(crate) party: Option<RelyingParty>,
    /// Whether `approver.pub` is trusted as it is, whatever was trusted before.
    pub(crate) trust_approvers: bool,
    /// Whether an approval covers one generation of its credential only.
    pub(crate) pin_generation: bool,
    /// Where security events go besides the journal.
    pub(crate) webhook: Option<WebhookSetting>,
    /// The collector that spans of calls go to.
    pub(crate) traces: Option<TracesSetting>,
    /// Who is told of what waits for a human.
    pub(crate) notify: Option<NotifySetting>,
    /// The wires of the appliance that this broker is.
    pub(crate) appliance: Option<crate::serve::Appliance>,
    /// The broker as issuer of tokens, where it is one.
    pub(crate) issuer: Option<IssuerSetting>,
    /// The file outside the data directory that knows how far the journal has come.
    pub(crate) epoch: Option<PathBuf>,
    /// The TPM that vouches for the drop-off key.
    pub(crate) attestation: Option<cloakroom_tpm::Address>,
    /// Below which directories secrets may be read from files.
    pub(crate) source_directories: Vec<PathBuf>,
    /// The locks without which no call goes out.
    pub(crate) required_locks: Vec<Name>,
    /// Who the broker is, and how it is closed in.
    pub(crate) process: ProcessSetting,
}

/// For workloads behind a lock, which know of no broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steered {
    /// Where their connections end.
    pub(crate) transparent: SocketAddr,
    /// Where they ask for names.
    pub(crate) dns: SocketAddr,
    /// The addresses that stand for names.
    pub(crate) pool: Ipv4Net,
}

/// Who keeps the journal's checkpoints where the broker cannot rewrite them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WitnessSetting {
    /// How often they are sent, if there is something new.
    pub(crate) every: Duration,
    /// A file that they are appended to.
    pub(crate) file: Option<PathBuf>,
    /// A git repository that they are committed to.
    pub(crate) git: Option<PathBuf>,
    /// A C2SP witness: scheme, host and port, and the path that ends in `/add-checkpoint`.
    pub(crate) url: Option<(Destination, String)>,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// A collector of spans.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TracesSetting {
    /// Scheme, host and port.
    pub(crate) to: Destination,
    /// Path and query.
    pub(crate) target: String,
    /// Which share of the calls is traced, of those that no trace of the workload's decides about.
    pub(crate) share: f64,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// The operator's own receiver of security events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebhookSetting {
    /// Scheme, host and port.
    pub(crate) to: Destination,
    /// Path and query.
    pub(crate) target: String,
    /// The file with the signing secret.
    pub(crate) secret_file: PathBuf,
    /// What is less grave stays in the journal.
    pub(crate) min_severity: Severity,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// The broker as issuer of OpenID Connect tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerSetting {
    /// Its URL, without a slash at its end.
    pub(crate) url: String,
    /// Whom tokens may be for.
    pub(crate) audiences: Vec<String>,
    /// How long a token counts.
    pub(crate) lifetime: Duration,
    /// Where its documents are served, if the broker serves them itself.
    pub(crate) listen: Option<SocketAddr>,
}

/// What the workload listener shows in TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CertificateSetting {
    /// A leaf of the broker's own authority, for these names and the listener's address.
    Own(Vec<Host>),
    /// These files.
    Given {
        /// The chain (PEM).
        certificate: PathBuf,
        /// Its private key (PEM).
        key: PathBuf,
    },
    /// What an ACME server gives: of the console alone.
    Acme(AcmeSetting),
}

/// An ACME server, and what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcmeSetting {
    /// The URL of its directory.
    pub(crate) directory: String,
    /// The names of the certificate.
    pub(crate) names: Vec<String>,
    /// The authority of the server's own certificate, where the platform does not know it.
    pub(crate) ca: Option<PathBuf>,
    /// Ranges that may be dialled for it although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// Where the key-encryption key comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KekSetting {
    /// A key file in the data directory.
    File,
    /// A passphrase, from this file or from a prompt.
    Passphrase(Option<PathBuf>),
    /// The credential `cloakroom-kek` of the service that systemd starts.
    Systemd,
    /// A key in a PKCS#11 token.
    Pkcs11(TokenSetting),
    /// A key of a transit engine, and the ranges where it may be although they are not public.
    Transit(TransitSettings, Vec<IpNet>),
    /// A key of AWS KMS, and the same.
    AwsKms(AwsKmsSettings, Vec<IpNet>),
    /// A TPM.
    Tpm {
        /// Where it is.
        address: cloakroom_tpm::Address,
        /// What the root key is sealed to besides.
        pcrs: cloakroom_tpm::PcrSelection,
    },
    /// Shares that operators hold; whether each has to come from another one.
    Shares(bool),
}

impl KekSetting {
    /// As it is written in `[custody]`, and in `keys/root.json`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Passphrase(_) => "passphrase",
            Self::Systemd => "systemd",
            Self::Pkcs11(_) => "pkcs11",
            Self::Transit(..) => "transit",
            Self::AwsKms(..) => "aws-kms",
            Self::Tpm { .. } => "tpm",
            Self::Shares(_) => "shares",
        }
    }

    /// The file below `keys` that the first start makes.
    pub(crate) fn file(&self) -> &'static str {
        match self {
            Self::File => "kek",
            Self::Passphrase(_) => "kek.salt",
            Self::Systemd => "kek.handed",
            Self::Pkcs11(_) | Self::Transit(..) | Self::AwsKms(..) | Self::Tpm { .. } | Self::Shares(_) => {
                "root.json"
            }
        }
    }
}

impl Settings {
    /// Reads the settings file, if one is named, and lays the command line over it.
    pub(crate) fn read(options: &ServeArguments) -> Result<Self, Failure> {
        let file = match &options.config {
            Some(path) => read_file(path)?,
            None => ConfigFile::default(),
        };
        Self::from_file(file, options)
    }

    fn from_file(file: ConfigFile, options: &ServeArguments) -> Result<Self, Failure> {
        let ConfigFile {
            listen,
            limits,
            upstream,
            journal,
            custody,
            approval,
            mut console,
            events,
            traces,
            issuer,
            notify,
            epoch,
            attestation,
            sources,
            process,
        } = file;
        let console_tls = console.tls.take();
        let durability = journal.durability.into();
        let journal_settings = journal.settings();
        let mut out = upstream.settings();
        out.anchors.extend(options.upstream_ca.iter().cloned());
        out.allowed.extend(options.allow_address.iter().copied());
        let ask_every = custody.ask_every.as_ref().map_or(ASK_EVERY, |span| span.0);
        let kek = custody.setting(options.passphrase_file.as_deref())?;
        let appliance = options.appliance.as_ref();
        Ok(Self {
            listen: options.listen.unwrap_or(listen.workloads),
            steered: steered(&listen, options)?,
            unix: listen.unix,
            vsock: appliance.and_then(|wires| wires.vsock).or(listen.vsock.map(NonZeroU32::get)),
            console: options.console.unwrap_or(listen.console),
            certificate: listen.tls.map(|tls| tls.certificate("[listen.tls]")).transpose()?,
            socks: listen.socks5,
            balancers: listen.proxy_protocol,
            limits,
            upstream: out,
            journal: journal_settings,
            witness: journal.witness.map(Witness::setting).transpose()?,
            durability,
            kek,
            ask_every,
            pin_generation: approval.pin_generation,
            parking: approval.parking(),
            approval_lifetime: approval.expires.map(|span| span.0),
            sessions: console.sessions(),
            sign_on: console.single_sign_on.take().map(SignOn::setting).transpose()?,
            party: console.party()?,
            console_certificate: console_tls.map(|tls| tls.certificate("[console.tls]")).transpose()?,
            trust_approvers: options.trust_approvers,
            hold: approval.hold.map(|span| span.0).unwrap_or_default(),
            approval: approval.rules(),
            webhook: events.webhook.map(Webhook::setting).transpose()?,
            traces: traces.map(Traces::setting).transpose()?,
            notify: notify.map(Notify::setting).transpose()?,
            appliance: appliance.cloned(),
            issuer: issuer.map(Issuer::setting).transpose()?,
            epoch: epoch.file,
            attestation: match appliance.and_then(|appliance| appliance.tpm.clone()) {
                Some(measured) => Some(measured),
                None => attestation.tpm()?,
            },
            source_directories: sources.directories()?,
            required_locks: listen
                .require_lock
                .into_iter()
                .chain(options.require_lock.iter().cloned())
                .collect(),
            process: process.setting(options.user.as_deref())?,
        })
    }
}

/// SECURITY: the two go together. Names that another server answers could be questions that carry data out, and an address that the
/// broker did not give out stands for no name.
fn steered(listen: &Listen, options: &ServeArguments) -> Result<Option<Steered>, Failure> {
    let transparent = options.transparent.or(listen.transparent);
    match (transparent, options.dns.or(listen.dns)) {
        (None, None) => Ok(None),
        (Some(transparent), Some(dns)) => {
            let pool = listen.dns_pool;
            Pool::new(pool).map_err(|error| {
                Failure::bad_input(format!("[listen] dns-pool: {error}"))
                    .hinting("the default is 198.18.0.0/15")
            })?;
            Ok(Some(Steered { transparent, dns, pool }))
        }
        _ => Err(Failure::bad_input("the transparent listener and the one for names go together")
            .hinting("name both: --transparent ADDR --dns ADDR, or [listen] transparent and dns")),
    }
}

/// Whether a settings file can be read and means something.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    read_file(path).map(drop)
}

/// The name servers that a settings file names.
pub(crate) fn resolvers(path: &Path) -> Result<Vec<SocketAddr>, Failure> {
    Ok(read_file(path)?.upstream.settings().resolvers)
}

fn read_file(path: &Path) -> Result<ConfigFile, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let why = crate::failure::plain(&error);
        Failure::bad_input(format!("cannot read {}: {why}", path.display()))
            .hinting("name a settings file (TOML)")
    })?;
    file::parse(&path.display().to_string(), &text)
}

#[cfg(test)]
mod tests;
