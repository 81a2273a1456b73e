//! From a host to addresses that may be dialled: resolve, check *all*, and hand on exactly what was checked.
//!
//! There is no second look-up between check and connection, so a name that changes its mind in between (T48) changes
//! nothing: the checked address is dialled, and TLS verifies the name.

use super::settings::{UpstreamError, UpstreamSettings};
use super::special;
use cloakroom_model::{Code, Destination, Host, Refusal};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Resolves and checks.
pub(super) struct Resolve {
    resolver: TokioResolver,
    allowed: Vec<IpNet>,
    own: Vec<SocketAddr>,
}

impl Resolve {
    /// Reads the system's resolver configuration, unless the settings name resolvers.
    ///
    /// # Errors
    /// When the resolver cannot be set up.
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        Ok(Self {
            resolver: resolver(&settings.resolvers)?,
            allowed: settings.allowed.clone(),
            own: settings.own.clone(),
        })
    }

    /// The addresses of the destination, in the order they are worth trying.
    ///
    /// # Errors
    /// `address-not-permitted` when any of them is special-purpose and not allowed, or a listener of ours;
    /// `upstream-unreachable` when there are none.
    pub(super) async fn addresses(&self, destination: &Destination) -> Result<Vec<SocketAddr>, Refusal> {
        let found = match destination.host() {
            Host::V4(address) => vec![IpAddr::V4(*address)],
            Host::V6(address) => vec![IpAddr::V6(*address)],
            Host::Name(name) => self.look_up(name).await?,
        };
        let addresses: Vec<SocketAddr> =
            found.into_iter().map(|ip| SocketAddr::new(ip.to_canonical(), destination.port())).collect();
        // SECURITY: one bad address spoils the answer. Leaving it out would let the attacker choose the moment.
        for address in &addresses {
            if !special::is_permitted(address.ip(), &self.allowed) {
                tracing::warn!(%destination, %address, "a destination resolves to a special-purpose address");
                return Err(Refusal::new(
                    Code::AddressNotPermitted,
                    "an address of the destination is special-purpose and not allowed by the operator",
                ));
            }
            if self.is_own(*address) {
                return Err(Refusal::new(
                    Code::AddressNotPermitted,
                    "the destination is a listener of this broker",
                ));
            }
        }
        if addresses.is_empty() {
            return Err(Refusal::new(Code::UpstreamUnreachable, "the destination's name has no address"));
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Refusal> {
        // The final dot keeps the search list of resolv.conf out: `api` must not become `api.corp.example`.
        let found = self.resolver.lookup_ip(format!("{name}.")).await.map_err(|error| {
            tracing::debug!(name, %error, "a name was not resolved");
            Refusal::new(Code::UpstreamUnreachable, "the destination's name could not be resolved")
        })?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }

    /// Whether dialling `address` would reach a listener of this broker (T51).
    fn is_own(&self, address: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            own.port() == address.port()
                && (own_ip == address.ip() || own_ip.is_unspecified() && is_local(address.ip()))
        })
    }
}

/// Whether the address belongs to this machine: only then can a socket be bound to it.
fn is_local(address: IpAddr) -> bool {
    address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, UpstreamError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "the system names no resolver: only addresses and /etc/hosts will resolve");
            with_servers(&[])
        })
    } else {
        with_servers(servers)
    };
    let options = builder.options_mut();
    // Both families, so that no address escapes the check.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().map_err(|error| UpstreamError::Resolver(error.to_string()))
}

fn with_servers(servers: &[SocketAddr]) -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}
