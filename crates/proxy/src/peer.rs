//! Who is at the other end of a connection, as far as the connection itself says.

use cloakroom_model::{Fingerprint, Source};
use std::fmt;
use std::net::IpAddr;

/// The other end of a connection. Every request on it comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where it is.
    pub(crate) source: Source,
    /// The certificate that it showed in the TLS handshake with the listener.
    pub(crate) certificate: Option<Fingerprint>,
}

impl Peer {
    /// At this address; a v4 address in its v6 clothes is the v4 address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self { source: Source::Address(address.to_canonical()), certificate: None }
    }

    /// This user of this machine.
    pub(crate) fn user(uid: u32) -> Self {
        Self { source: Source::User(uid), certificate: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
