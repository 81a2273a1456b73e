//! The console's listener: TLS but on loopback, and the origin at which passkeys are good.

use super::acme::Acme;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::settings::{CertificateSetting, Settings};
use cloakroom_admin::TlsSettings;
use cloakroom_model::Host;
use cloakroom_policy::RelyingParty;
use cloakroom_proxy::{Authority, BesideTls};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// SECURITY: whoever logs in sends a cookie with every request.
pub(super) fn require_private(console: SocketAddr, speaks_tls: bool) -> Result<(), Failure> {
    if speaks_tls || console.ip().is_loopback() {
        return Ok(());
    }
    Err(Failure::bad_input(format!("the console would answer on {console} without TLS"))
        .hinting("set [console.tls] certificate = \"own\", or listen on 127.0.0.1 and let something in front speak TLS"))
}

/// TLS for the console, where the settings say so.
pub(super) fn tls(data: &DataDir, settings: &Settings) -> Result<Option<Arc<BesideTls>>, Failure> {
    let Some(setting) = &settings.console_certificate else { return Ok(None) };
    let failed = |error: cloakroom_proxy::ProxyError| Failure::failed(super::open::chain(&error));
    let certificate = super::heard::certificate(setting, super::heard::CONSOLE)?;
    let authority = Authority::load_or_create(data.path()).map_err(failed)?;
    Ok(Some(Arc::new(BesideTls::new(certificate, authority).map_err(failed)?)))
}

/// What sees to the console's certificate, where an ACME server gives it.
pub(super) fn acme(
    data: &DataDir,
    settings: &Settings,
    tls: Option<&Arc<BesideTls>>,
) -> Result<Option<Acme>, Failure> {
    let (Some(CertificateSetting::Acme(setting)), Some(shown)) =
        (&settings.console_certificate, tls.and_then(|tls| tls.renewed()))
    else {
        return Ok(None);
    };
    Acme::open(setting, data, Arc::clone(shown), &settings.upstream).map(Some)
}

/// The settings for each connection, as the listener asks for them.
pub(super) fn for_connections(tls: &Arc<BesideTls>) -> TlsSettings {
    let tls = Arc::clone(tls);
    Arc::new(move |local| tls.settings(local).map_err(io::Error::other))
}

/// Where passkeys are good: what is written, or the console's port under the first name of its certificate; without TLS under the only name
/// that browsers trust then.
pub(super) fn party(settings: &Settings, console: SocketAddr) -> Result<RelyingParty, Failure> {
    if let Some(written) = &settings.party {
        return Ok(written.clone());
    }
    let (scheme, usual, host) = match &settings.console_certificate {
        None => ("http", 80, "localhost".to_owned()),
        Some(CertificateSetting::Own(names)) => ("https", 443, first_name(names)),
        Some(CertificateSetting::Acme(acme)) => {
            ("https", 443, acme.names.first().cloned().unwrap_or_default())
        }
        Some(CertificateSetting::Given { .. }) => {
            return Err(Failure::bad_input(
                "[console.tls] has a certificate, and nothing says the console's origin",
            )
            .hinting(
                "write [console] origin = \"https://cloakroom.example.com\": passkeys are good there only",
            ));
        }
    };
    let port = if console.port() == usual { String::new() } else { format!(":{}", console.port()) };
    RelyingParty::new(&format!("{scheme}://{host}{port}"), None).map_err(Failure::failed)
}

fn first_name(names: &[Host]) -> String {
    let mut named = names.iter().filter(|host| matches!(host, Host::Name(_)));
    named.next().map_or_else(|| "localhost".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::require_private;

    #[test]
    fn t82_without_tls_the_console_answers_on_loopback_only() {
        for (address, speaks_tls, may) in [
            ("127.0.0.1:8481", false, true),
            ("[::1]:8481", false, true),
            ("0.0.0.0:8481", false, false),
            ("10.0.0.5:8481", false, false),
            ("[::]:8481", false, false),
            ("0.0.0.0:8481", true, true),
        ] {
            assert_eq!(require_private(address.parse().unwrap(), speaks_tls).is_ok(), may, "{address}");
        }
    }
}
