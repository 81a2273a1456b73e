//! Who is at the other end of a connection, as far as the connection itself says.

use cloakroom_model::{Fingerprint, KeyedHash, Source};
use std::fmt;
use std::net::IpAddr;

/// The other end of a connection. Every request on it comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where it is.
    pub(crate) source: Source,
    /// What it showed before its first request.
    pub(crate) shown: Shown,
}

/// What the other end of a connection shows beside where it is: one thing at most, for no TLS is spoken on the vsock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    /// A certificate, in the TLS handshake with the listener.
    Certificate(Fingerprint),
    /// The nonce of a guest's boot, as its hash.
    Boot(KeyedHash),
}

impl Peer {
    /// At this address; a v4 address in its v6 clothes is the v4 address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::from(Source::Address(address.to_canonical()))
    }

    /// This user of this machine.
    pub(crate) fn user(uid: u32) -> Self {
        Self::from(Source::User(uid))
    }

    /// Whoever has this number on the vsock.
    pub(crate) fn guest(cid: u32) -> Self {
        Self::from(Source::Guest(cid))
    }

    /// The certificate that it showed.
    pub(crate) fn certificate(&self) -> Option<Fingerprint> {
        if let Shown::Certificate(print) = self.shown { Some(print) } else { None }
    }

    /// The nonce that it showed.
    pub(crate) fn boot(&self) -> Option<KeyedHash> {
        if let Shown::Boot(boot) = self.shown { Some(boot) } else { None }
    }

    pub(crate) fn is_guest(&self) -> bool {
        matches!(self.source, Source::Guest(_))
    }
}

impl From<Source> for Peer {
    fn from(source: Source) -> Self {
        Self { source, shown: Shown::Nothing }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
