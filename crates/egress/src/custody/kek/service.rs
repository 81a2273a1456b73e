//! What the providers share that are services on the network: a way out of their own, and what lets the broker in.

use super::provider::ProviderError;
use super::read_private;
use crate::mint::Failure;
use crate::source::Asker;
use crate::upstream::Upstream;
use cloakroom_model::CredentialId;
use std::path::Path;
use zeroize::Zeroizing;

/// The way out to one service.
///
/// SECURITY: apart from that of calls: the service may stand at an address that no workload may reach, and no connection is shared.
pub(in crate::custody) struct WayOut {
    upstream: Upstream,
    /// Whose connections and logins these are. No credential has this id.
    id: CredentialId,
}

impl WayOut {
    pub(in crate::custody) fn new(upstream: Upstream) -> Self {
        Self { upstream, id: CredentialId::new(cloakroom_model::Timestamp::from_millis(0), [0; 10]) }
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { upstream: &self.upstream, credential: self.id, generation: 0 }
    }
}

/// What lets the broker in, from a file of its owner's alone; one line break at its end is dropped.
pub(super) fn secret_text(path: &Path) -> Result<Zeroizing<String>, ProviderError> {
    const UNREADABLE: ProviderError =
        ProviderError::Refused("the file with what lets the broker in cannot be read, or others can read it");
    let bytes = read_private(path).ok().flatten().map(Zeroizing::new).ok_or(UNREADABLE)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| UNREADABLE)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(UNREADABLE) } else { Ok(Zeroizing::new(text.to_owned())) }
}

/// A service that was not reached, or does not let the broker in: both may pass without the broker being started again.
pub(super) fn of_failure(failure: Failure) -> ProviderError {
    ProviderError::Unavailable(match failure {
        Failure::Unreached(_) => "the server could not be reached",
        Failure::Unavailable(reason, _) if reason.starts_with("the source") => {
            "the server could not be reached, or its answer broke off"
        }
        Failure::Unavailable(reason, _) | Failure::Refused(reason) | Failure::Revoked(reason) => reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_lets_the_broker_in_is_in_a_file_of_its_own_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        assert!(secret_text(&file).is_err());
        std::fs::write(&file, "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(secret_text(&file).is_err(), "others can read it");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret_text(&file).unwrap().as_str(), "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD");
        std::fs::write(&file, "\n").unwrap();
        assert!(secret_text(&file).is_err());
    }
}
