//! The listeners of a broker as its runtime hears them: where they are, what they show, and which of them another broker may take over.

use super::acme::Acme;
use super::bound::{Bound, heard};
use super::doors::Doors;
use super::listening::{Listening, WaysIn};
use super::sockets::unix_listener;
use super::steered::{SteeredListeners, SteeredSockets};
use super::{console, link};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::settings::{CertificateSetting, Settings};
use cloakroom_policy::RelyingParty;
use cloakroom_proxy::{BesideTls, Certificate, GivenCertificate, VsockListener};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};

/// The settings of the workload listener's TLS.
const LISTEN: &str = "[listen.tls]";
/// Those of the console's.
pub(super) const CONSOLE: &str = "[console.tls]";

/// Every listener but the admin socket, whose path is taken when all else is open.
pub(super) struct Heard {
    pub(super) workloads: TcpListener,
    /// What it shows, where it speaks TLS.
    pub(super) tls: Option<Certificate>,
    pub(super) unix: Option<UnixListener>,
    pub(super) vsock: Option<VsockListener>,
    pub(super) steered: Option<SteeredListeners>,
    pub(super) console: TcpListener,
    pub(super) console_tls: Option<Arc<BesideTls>>,
    /// What sees to its certificate, where an ACME server gives it.
    pub(super) acme: Option<Acme>,
    /// Where passkeys are good.
    pub(super) party: RelyingParty,
    pub(super) operators: Option<link::Bound>,
    pub(super) issuer: Option<TcpListener>,
    /// The admin socket of a broker that was taken over.
    pub(super) admin: Option<std::os::unix::net::UnixListener>,
}

impl Heard {
    /// # Errors
    /// Where the settings contradict each other, or a certificate cannot be shown.
    pub(super) fn of(data: &DataDir, settings: &Settings, bound: Bound) -> Result<Self, Failure> {
        let Bound { workloads, console, steered, issuer, operators, admin, unix, vsock } = bound;
        let tls = settings.certificate.as_ref().map(|setting| certificate(setting, LISTEN)).transpose()?;
        let steered = steered.map(SteeredSockets::heard).transpose()?;
        let (workloads, console) = (heard(workloads)?, heard(console)?);
        console::require_private(console.local_addr()?, settings.console_certificate.is_some())?;
        let console_tls = console::tls(data, settings)?;
        Ok(Self {
            party: console::party(settings, console.local_addr()?)?,
            acme: console::acme(data, settings, console_tls.as_ref())?,
            console_tls,
            unix: unix_listener(unix, settings.unix.as_deref())?,
            vsock: vsock.map(VsockListener::heard).transpose()?,
            issuer: issuer.map(heard).transpose()?,
            workloads,
            tls,
            steered,
            console,
            operators,
            admin,
        })
    }

    /// What can be wrong with what they show, before anything is touched.
    pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
        settings.certificate.as_ref().map(|setting| certificate(setting, LISTEN)).transpose()?;
        settings.console_certificate.as_ref().map(|setting| certificate(setting, CONSOLE)).transpose()?;
        console::require_private(settings.console, settings.console_certificate.is_some())
    }

    /// SECURITY: where no call may go.
    pub(super) fn own(&self) -> Result<Vec<SocketAddr>, Failure> {
        let mut own = vec![self.workloads.local_addr()?, self.console.local_addr()?];
        let steered = self.steered.as_ref().map(SteeredListeners::addresses).transpose()?;
        own.extend(steered.into_iter().flat_map(|(transparent, names)| [transparent, names]));
        own.extend(self.operators.as_ref().map(link::Bound::address));
        Ok(own)
    }

    /// Where workloads connect.
    pub(super) fn listening(&self) -> Result<Listening, Failure> {
        Ok(Listening { address: self.workloads.local_addr()?, speaks_tls: self.tls.is_some() })
    }

    /// Every way in for workloads, as the health document has them.
    pub(super) fn ways_in(&self, unix: Option<&Path>) -> Result<Vec<String>, Failure> {
        let steered = self.steered.as_ref().map(SteeredListeners::addresses).transpose()?;
        let ways = WaysIn {
            network: self.listening()?,
            unix,
            vsock: self.vsock.as_ref().map(VsockListener::port).transpose()?,
            transparent: steered.map(|(transparent, _)| transparent),
        };
        Ok(ways.words())
    }

    /// What a broker that takes over is passed, beside the admin socket: which is which, it knows by their order and their addresses.
    pub(super) fn offered(&self, admin: &UnixListener) -> Result<Vec<OwnedFd>, Failure> {
        let open = [self.workloads.as_fd(), self.console.as_fd(), admin.as_fd()];
        let further = [self.unix.as_ref().map(AsFd::as_fd), self.vsock.as_ref().map(AsFd::as_fd)];
        let open = open.into_iter().chain(further.into_iter().flatten());
        let mut offered = open.map(|socket| socket.try_clone_to_owned()).collect::<Result<Vec<_>, _>>()?;
        offered
            .extend(self.steered.as_ref().map(SteeredListeners::offered).transpose()?.into_iter().flatten());
        Ok(offered)
    }

    /// Says to the commands where workloads find it.
    pub(super) fn keep(&self, data: &DataDir) -> Result<(), Failure> {
        self.listening()?.keep(data)?;
        let (transparent, dns) = self.steered.as_ref().map(SteeredListeners::addresses).transpose()?.unzip();
        Doors { proxy: Some(self.workloads.local_addr()?), transparent, dns }.keep(data)
    }
}

/// What a listener shows; `section` is that of its settings.
pub(super) fn certificate(setting: &CertificateSetting, section: &str) -> Result<Certificate, Failure> {
    match setting {
        CertificateSetting::Own(names) => Ok(Certificate::Own(names.clone())),
        CertificateSetting::Given { certificate, key } => {
            let given = GivenCertificate::load(certificate, key);
            let given = given.map_err(|error| {
                Failure::bad_input(super::open::chain(&error))
                    .hinting(format!("{section} names a certificate and its key, both in PEM"))
            })?;
            Ok(Certificate::Given(Arc::new(given)))
        }
        CertificateSetting::Acme(_) => Ok(Certificate::Renewed(Arc::default())),
    }
}

/// The admin socket that is open already, or a new one. Whoever holds the lock owns it, so one that is there is stale.
pub(super) fn admin_socket(
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
