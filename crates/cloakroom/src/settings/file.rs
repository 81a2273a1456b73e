//! The settings file as written: TOML, unknown keys refused with the nearest known.

use super::CertificateSetting;
use super::acme::Acme;
use super::custody::Custody;
use super::issuer::Issuer;
use super::notify::Notify;
use super::process::Process;
use super::sign_on::SignOn;
use super::traces::Traces;
use super::unit::{Size, Span};
use super::webhook::Webhook;
use super::witness::Witness;
use crate::failure::Failure;
use cloakroom_admin::Spans;
use cloakroom_admin::{nearest, wire::Complaint};
use cloakroom_egress::UpstreamSettings;
use cloakroom_model::{CredentialKind, Destination, Host, Name};
use cloakroom_policy::{ApprovalRules, RelyingParty};
use cloakroom_proxy::{Durability, Limits};
use cloakroom_store::ParkingBounds;
use cloakroom_store::journal::{JournalSettings, Keep};
use cloakroom_tpm::Address;
use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32};
use std::path::{Component, PathBuf};

/// The whole file. Every section and key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    pub(super) listen: Listen,
    pub(super) limits: Limits,
    pub(super) upstream: Upstream,
    pub(super) journal: Journal,
    pub(super) custody: Custody,
    pub(super) approval: Approval,
    pub(super) console: Console,
    pub(super) events: Events,
    pub(super) traces: Option<Traces>,
    pub(super) issuer: Option<Issuer>,
    pub(super) notify: Option<Notify>,
    pub(super) epoch: Epoch,
    pub(super) attestation: Attestation,
    pub(super) sources: Sources,
    pub(super) process: Process,
}

/// `[sources]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Sources {
    directories: Vec<PathBuf>,
}

impl Sources {
    /// Below which directories secrets may be read from files: whole paths, and not everything.
    pub(super) fn directories(self) -> Result<Vec<PathBuf>, Failure> {
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        let fine =
            |path: &&PathBuf| path.is_absolute() && path.parent().is_some() && path.components().all(plain);
        match self.directories.iter().find(|path| !fine(path)) {
            None => Ok(self.directories),
            Some(path) => Err(Failure::bad_input(format!(
                "[sources] directories: {} is no directory of secrets",
                path.display()
            ))
            .hinting("write absolute paths, such as directories = [\"/run/secrets\"]")),
        }
    }
}

/// `[attestation]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Attestation {
    tpm: Option<String>,
}

impl Attestation {
    /// The TPM that vouches, where one is named.
    pub(super) fn tpm(self) -> Result<Option<Address>, Failure> {
        let read = self.tpm.map(|text| text.parse::<Address>()).transpose();
        read.map_err(|how| Failure::bad_input("[attestation] tpm names no TPM").hinting(how))
    }
}

/// `[epoch]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Epoch {
    pub(super) file: Option<PathBuf>,
}

/// `[listen]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Listen {
    pub(super) workloads: SocketAddr,
    pub(super) console: SocketAddr,
    pub(super) socks5: bool,
    pub(super) proxy_protocol: Vec<IpNet>,
    pub(super) transparent: Option<SocketAddr>,
    pub(super) dns: Option<SocketAddr>,
    pub(super) dns_pool: Ipv4Net,
    pub(super) unix: Option<PathBuf>,
    pub(super) vsock: Option<NonZeroU32>,
    pub(super) require_lock: Vec<Name>,
    pub(super) tls: Option<ListenTls>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            workloads: ([127, 0, 0, 1], 8480).into(),
            console: ([127, 0, 0, 1], 8481).into(),
            socks5: true,
            proxy_protocol: Vec::new(),
            transparent: None,
            dns: None,
            // Set aside for tests of networks (RFC 2544), so nobody answers there.
            dns_pool: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15),
            unix: None,
            vsock: None,
            require_lock: Vec::new(),
            tls: None,
        }
    }
}

/// `[listen.tls]` and `[console.tls]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ListenTls {
    /// `"own"`, or a file.
    certificate: PathBuf,
    key: Option<PathBuf>,
    #[serde(default)]
    names: Vec<String>,
    acme: Option<Acme>,
}

impl ListenTls {
    /// What is meant, where the keys go together.
    pub(super) fn certificate(self, section: &str) -> Result<CertificateSetting, Failure> {
        let wrong =
            |text: &str, hint: &str| Err(Failure::bad_input(format!("{section} {text}")).hinting(hint));
        match (self.certificate.as_os_str() == "acme", self.acme) {
            (true, acme) if section == "[console.tls]" && self.key.is_none() => {
                return Acme::setting(acme, hosts(&self.names, section)?).map(CertificateSetting::Acme);
            }
            (true, _) => {
                return wrong(
                    "has certificate = \"acme\"",
                    "that is for [console.tls], without a key of yours",
                );
            }
            (false, Some(_)) => {
                return wrong(
                    "has acme beside another certificate",
                    "write certificate = \"acme\", or leave it out",
                );
            }
            (false, None) => {}
        }
        match (self.certificate.as_os_str() == "own", self.key) {
            (true, None) => Ok(CertificateSetting::Own(hosts(&self.names, section)?)),
            (true, Some(_)) => wrong(
                "has a key beside certificate = \"own\"",
                "the broker makes its own key; name a file as certificate to use yours",
            ),
            (false, None) => wrong("has no key", "name the file with the certificate's private key"),
            (false, Some(_)) if !self.names.is_empty() => wrong(
                "has names beside a certificate from a file",
                "leave names out: the certificate has its own",
            ),
            (false, Some(key)) => Ok(CertificateSetting::Given { certificate: self.certificate, key }),
        }
    }
}

fn hosts(names: &[String], section: &str) -> Result<Vec<Host>, Failure> {
    let host = |name: &String| {
        Host::parse_written(name).map_err(|error| {
            Failure::bad_input(format!("{section} names: {error}"))
                .hinting("write names = [\"broker.internal\", \"10.0.0.5\"]")
        })
    };
    names.iter().map(host).collect()
}

/// `[upstream]`; what is absent keeps the default of `egress`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Upstream {
    ca: Vec<PathBuf>,
    allow_address: Vec<IpNet>,
    connect_timeout: Option<Span>,
    header_timeout: Option<Span>,
    idle_timeout: Option<Span>,
    pool_idle: Option<Span>,
    pool_per_destination: Option<usize>,
    resolvers: Vec<SocketAddr>,
}

impl Upstream {
    pub(super) fn settings(self) -> UpstreamSettings {
        let default = UpstreamSettings::default();
        let span = |written: Option<Span>, otherwise| written.map_or(otherwise, |span| span.0);
        UpstreamSettings {
            anchors: self.ca,
            allowed: self.allow_address,
            connect_timeout: span(self.connect_timeout, default.connect_timeout),
            header_timeout: span(self.header_timeout, default.header_timeout),
            idle_timeout: span(self.idle_timeout, default.idle_timeout),
            pool_idle: span(self.pool_idle, default.pool_idle),
            pool_per_destination: self.pool_per_destination.unwrap_or(default.pool_per_destination),
            resolvers: self.resolvers,
            own: default.own,
        }
    }
}

/// `[journal]`; what is absent keeps the default of `store`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Journal {
    segment_size: Option<Size>,
    flush_every: Option<Span>,
    checkpoint_every: Option<u64>,
    checkpoint_within: Option<Span>,
    write_timeout: Option<Span>,
    keep_size: Option<Size>,
    keep_age: Option<Span>,
    pub(super) witness: Option<Witness>,
    pub(super) durability: WrittenDurability,
}

impl Journal {
    pub(super) fn settings(&self) -> JournalSettings {
        let default = JournalSettings::default();
        JournalSettings {
            segment_bytes: self.segment_size.map_or(default.segment_bytes, |size| size.0),
            flush_every: self.flush_every.map_or(default.flush_every, |span| span.0),
            checkpoint_every: self.checkpoint_every.unwrap_or(default.checkpoint_every),
            checkpoint_within: self.checkpoint_within.map_or(default.checkpoint_within, |span| span.0),
            write_timeout: self.write_timeout.map_or(default.write_timeout, |span| span.0),
            keep: Keep {
                bytes: self.keep_size.map(|size| size.0),
                age: self.keep_age.map(|span| span.0),
                ..default.keep
            },
        }
    }
}

/// Whether a call waits for the disk.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WrittenDurability {
    #[default]
    Grouped,
    BeforeSend,
}

impl From<WrittenDurability> for Durability {
    fn from(written: WrittenDurability) -> Self {
        match written {
            WrittenDurability::Grouped => Self::Grouped,
            WrittenDurability::BeforeSend => Self::BeforeSend,
        }
    }
}

/// `[approval]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Approval {
    quorum: Option<NonZeroU8>,
    narrower: Option<NonZeroU8>,
    not_requester: bool,
    pub(super) pin_generation: bool,
    pub(super) hold: Option<Span>,
    pub(super) expires: Option<Span>,
    wait: Option<Span>,
    parked: Option<NonZeroU32>,
    parked_per_workload: Option<NonZeroU32>,
    rule: Vec<ApprovalRule>,
}

/// `[[approval.rule]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ApprovalRule {
    to: Option<Destination>,
    credential: Option<Name>,
    kind: Option<CredentialKind>,
    quorum: NonZeroU8,
}

impl Approval {
    pub(super) fn parking(&self) -> ParkingBounds {
        let default = ParkingBounds::default();
        let count = |written: Option<NonZeroU32>, otherwise| {
            written.map_or(otherwise, |count| usize::try_from(count.get()).unwrap_or(usize::MAX))
        };
        ParkingBounds {
            calls: count(self.parked, default.calls),
            calls_per_workload: count(self.parked_per_workload, default.calls_per_workload),
            wait: self.wait.map_or(default.wait, |span| span.0),
            ..default
        }
    }

    pub(super) fn rules(self) -> ApprovalRules {
        let rule = |written: ApprovalRule| cloakroom_policy::ApprovalRule {
            to: written.to,
            credential: written.credential,
            kind: written.kind,
            quorum: written.quorum.get(),
        };
        ApprovalRules {
            quorum: self.quorum.map_or(1, NonZeroU8::get),
            narrower: self.narrower.map(NonZeroU8::get),
            not_requester: self.not_requester,
            rules: self.rule.into_iter().map(rule).collect(),
        }
    }
}

/// `[console]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Console {
    origin: Option<String>,
    rp_id: Option<String>,
    pub(super) tls: Option<ListenTls>,
    pub(super) single_sign_on: Option<SignOn>,
    idle: Option<Span>,
    session: Option<Span>,
}

impl Console {
    /// How long sessions live.
    pub(super) fn sessions(&self) -> Spans {
        let default = Spans::default();
        let span = |written: &Option<Span>, otherwise| written.as_ref().map_or(otherwise, |span| span.0);
        Spans { idle: span(&self.idle, default.idle), whole: span(&self.session, default.whole) }
    }

    /// Where passkeys are good, where that is written.
    pub(super) fn party(self) -> Result<Option<RelyingParty>, Failure> {
        let hint = "write [console] origin = \"https://cloakroom.example.com\", and rp-id only for a domain above it";
        match (self.origin, self.rp_id) {
            (Some(origin), id) => RelyingParty::new(&origin, id.as_deref())
                .map(Some)
                .map_err(|why| Failure::bad_input(format!("[console]: {why}")).hinting(hint)),
            (None, Some(_)) => Err(Failure::bad_input("[console] has an rp-id and no origin").hinting(hint)),
            (None, None) => Ok(None),
        }
    }
}

/// `[events]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Events {
    pub(super) webhook: Option<Webhook>,
}

/// Parses the file; an error names line, column and the nearest known key.
pub(super) fn parse(file: &str, text: &str) -> Result<ConfigFile, Failure> {
    toml::from_str(text).map_err(|error| complaint(file, text, &error))
}

fn complaint(file: &str, text: &str, error: &toml::de::Error) -> Failure {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown").then(|| quoted.split_first()).flatten();
    let hint = unknown.map(|(written, known)| match nearest(written, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known here: {}", known.join(", ")),
    });
    let (written, said) = match unknown {
        Some((written, _)) => (Some((*written).to_owned()), format!("{written:?} is not known here")),
        None => (None, message.lines().next().unwrap_or_default().to_owned()),
    };
    let complaint = Complaint {
        file: file.into(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
        key: written,
        message: said,
        hint: Some(hint.unwrap_or_else(|| remedy(message).into())),
    };
    Failure::bad_settings(complaint)
}

/// What to write instead, by what the parser did not like.
fn remedy(message: &str) -> &'static str {
    let about = |words: &str| message.contains(words);
    if about("socket address") {
        "write an IP address and a port in quotes: \"127.0.0.1:8480\""
    } else if about("IP address") || about("prefix") {
        "write a range as ADDRESS/BITS in quotes: \"10.20.0.0/16\""
    } else if about("expected a sequence") {
        "write a list: [\"…\"]"
    } else if about("expected a string") {
        "write the value in quotes; docs/settings.md lists every setting"
    } else {
        "docs/settings.md lists every setting"
    }
}
