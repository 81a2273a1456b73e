//! What is said when a broker is ready.

use super::link::Introduction;
use super::open::Opened;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::wire::PasskeyLink;
use cloakroom_proxy::VsockListener;
use serde_json::json;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Where the listeners are.
pub(super) struct Ready {
    scheme: &'static str,
    listen: SocketAddr,
    console: SocketAddr,
    console_scheme: &'static str,
    vsock: Option<u32>,
    transparent: Option<SocketAddr>,
    dns: Option<SocketAddr>,
    issuer: Option<SocketAddr>,
}

impl Ready {
    pub(super) fn of(opened: &Opened) -> Result<Self, Failure> {
        let Opened { proxy, workloads, names, console, console_tls, issuer, .. } = opened;
        let scheme = |speaks_tls| if speaks_tls { "https" } else { "http" };
        Ok(Self {
            scheme: scheme(proxy.entrance.tls.is_some()),
            listen: workloads.network.local_addr()?,
            console: console.local_addr()?,
            console_scheme: scheme(console_tls.is_some()),
            vsock: workloads.vsock.as_ref().map(VsockListener::port).transpose()?,
            transparent: workloads.transparent.as_ref().map(TcpListener::local_addr).transpose()?,
            dns: names.as_ref().map(|names| names.tcp.local_addr()).transpose()?,
            issuer: issuer.as_ref().map(|(_, listener)| listener.local_addr()).transpose()?,
        })
    }

    /// `enrol`: the link of the first person, as long as nobody can log in.
    pub(super) fn say(
        &self,
        data: &DataDir,
        introduction: Option<Introduction>,
        enrol: Option<&PasskeyLink>,
        output: &Output,
    ) -> Result<(), Failure> {
        let Self { scheme, listen, console, console_scheme, vsock, transparent, dns, issuer } = self;
        let ca = data.ca();
        let mut document = json!({
            "ready": true,
            "listen": listen.to_string(),
            "console": console.to_string(),
            "ca": ca,
        });
        if let Some(introduction) = introduction {
            document["operator"] = json!(introduction);
        }
        let mut further = String::new();
        if let Some(port) = vsock {
            document["vsock"] = json!(port);
            further.push_str(&format!("vsock {port}, "));
        }
        for (name, address) in [("transparent", transparent), ("dns", dns)] {
            if let Some(address) = address {
                document[name] = address.to_string().into();
                further.push_str(&format!("{name} {address}, "));
            }
        }
        if let Some(issuer) = issuer {
            document["issuer"] = issuer.to_string().into();
        }
        if let Some(link) = enrol {
            document["enrol"] = link.url.as_str().into();
            output.talk(&format!(
                "nobody can log in at the console yet; the first person makes a passkey within the hour: {}",
                link.url
            ));
        }
        output.data(&document, || {
            format!(
                "cloakroom is ready: workloads {scheme}://{listen}, {further}console {console_scheme}://{console}, ca {}",
                ca.display()
            )
        })
    }
}
