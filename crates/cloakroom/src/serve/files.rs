//! How many files the process may open: as many as the system lets it, for each connection is one.

use cloakroom_proxy::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Store, journal, listeners, idle connections upstream.
const OTHERS: usize = 256;

/// Raises the bound to what the system allows, and says when the limits promise more than that.
pub(super) fn raise_bound(limits: &Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the bound on open files could not be raised");
    }
    // None means no bound.
    let Some(files) = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok())
    else {
        return;
    };
    let needed = limits.connections.saturating_add(limits.calls).saturating_add(OTHERS);
    if files < needed {
        tracing::warn!(
            files,
            needed,
            "the system lets this process open fewer files than limits.connections and limits.calls need"
        );
    }
}
