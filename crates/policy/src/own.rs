//! What of a call belongs to a signature: the broker makes it anew, whatever the workload sent.

use crate::{Spot, sigv4};
use cloakroom_model::Place;

/// Header fields and query keys that belong to signatures.
#[derive(Debug, Default)]
pub(crate) struct Own {
    headers: Vec<String>,
    keys: Vec<String>,
}

impl Own {
    /// Of these spots.
    pub(crate) fn of<'s>(spots: impl Iterator<Item = &'s Spot>) -> Self {
        let mut own = Self::default();
        for spot in spots {
            match spot {
                Spot::SigV4(_) => {
                    own.headers.extend(sigv4::REPLACED.map(str::to_owned));
                    own.keys.extend(sigv4::PRESIGNED.map(str::to_owned));
                }
                Spot::Signed(scheme) => {
                    own.headers.extend(scheme.replaced().iter().map(ToString::to_string));
                    own.keys.extend(scheme.replaced_keys().into_iter().map(str::to_owned));
                }
                _ => {}
            }
        }
        own
    }

    /// Whether the broker makes a signature.
    pub(crate) fn is_signed(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Whether a header of this name, in lower case, is one of them.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|own| own == name)
    }

    /// Whether a query key is one of them.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.keys.iter().any(|own| own == key)
    }
}

/// The query keys that a permit with this place need not list.
pub(crate) fn keys(place: &Place) -> Vec<&str> {
    match place {
        Place::Query(key) => vec![key],
        Place::SigV4 { .. } => sigv4::PRESIGNED.to_vec(),
        Place::Signed(scheme) => scheme.replaced_keys(),
        _ => Vec::new(),
    }
}
