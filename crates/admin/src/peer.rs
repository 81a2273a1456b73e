//! Who acts, as the record names it: as the kernel says on the admin socket, as TLS has verified on the operators' link, as a log-in or an API token
//! has shown on the console's listener.

use cloakroom_model::{Fingerprint, Name};
use cloakroom_policy::quoted;
use std::sync::Arc;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The user at the other end of a Unix socket.
    User {
        /// As the kernel says.
        uid: u32,
    },
    /// The holder of an operator's certificate, at the other end of the operators' link.
    Operator(Fingerprint),
    /// Whoever signed with a passkey on the console's pages; the signature says who.
    Console,
    /// Somebody who has logged in at the console.
    Person(Arc<str>),
    /// A program with an API token of this name.
    ApiToken(Name),
}

impl Peer {
    /// The kernel's word for who connected.
    pub(crate) fn of(stream: &tokio::net::UnixStream) -> std::io::Result<Self> {
        stream.peer_cred().map(|credentials| Self::User { uid: credentials.uid() })
    }

    #[cfg(test)]
    pub(crate) fn with_uid(uid: u32) -> Self {
        Self::User { uid }
    }

    /// The broker's own user may operate it, and root, who could do so anyway; and the operators whose certificates it was given.
    pub(crate) fn may_operate(&self, own: u32) -> bool {
        match self {
            Self::User { uid } => *uid == own || *uid == 0,
            Self::Operator(_) => true,
            Self::Console | Self::Person(_) | Self::ApiToken(_) => false,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { uid } => write!(f, "uid {uid}"),
            Self::Operator(certificate) => write!(f, "operator {certificate}"),
            Self::Console => f.write_str("console"),
            Self::Person(name) => write!(f, "person {}", quoted(name)),
            Self::ApiToken(name) => write!(f, "API token {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_brokers_user_and_root_may_operate_it() {
        assert!(Peer::with_uid(1000).may_operate(1000));
        assert!(Peer::with_uid(0).may_operate(1000));
        assert!(!Peer::with_uid(1001).may_operate(1000));
        assert!(!Peer::with_uid(1000).may_operate(0));
    }
}
