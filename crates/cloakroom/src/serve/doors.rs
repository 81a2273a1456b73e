//! Where a data directory's broker can be reached by workloads: written at each start, read by `cloakroom lock`.

use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The listeners that a lock leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doors {
    /// The workload listener.
    pub(crate) proxy: Option<SocketAddr>,
    /// Where connections to ports 80 and 443 are steered.
    pub(crate) transparent: Option<SocketAddr>,
    /// Where questions about names are steered.
    pub(crate) dns: Option<SocketAddr>,
}

impl Doors {
    /// Those of the broker that runs on this data directory, or last did. None at all where no broker ever did.
    pub(crate) fn last(data: &DataDir) -> Result<Self, Failure> {
        let Some(bytes) = read_if_there(&data.path().join("doors"))? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::failed(format!("{}: {error}", data.path().join("doors").display()))
                .hinting("start the broker again: it writes the file")
        })
    }

    /// Says so to the commands.
    pub(super) fn keep(self, data: &DataDir) -> Result<(), Failure> {
        let text = serde_json::to_vec(&self).map_err(|error| Failure::failed(error.to_string()))?;
        write_private(&data.path().join("doors"), &text)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = SocketAddr> {
        [self.proxy, self.transparent, self.dns].into_iter().flatten()
    }
}
