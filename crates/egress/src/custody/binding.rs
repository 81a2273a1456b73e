//! What a sealed secret is bound to, as unambiguous bytes.
//!
//! ```text
//! "cloakroom sealed v1" | id | kind | count of destinations | destination … | generation
//! text: length (4, big-endian), then UTF-8      numbers: 4, big-endian      destinations: sorted, each once
//! ```

use cloakroom_model::{CredentialId, CredentialKind, CredentialRecord, Destination};

/// The facts that must be the same when a secret is opened as when it was sealed (invariant 3).
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    pub(super) id: CredentialId,
    pub(super) kind: CredentialKind,
    pub(super) destinations: &'a [Destination],
    pub(super) generation: u32,
}

/// A binding as associated data.
pub(crate) struct Bound {
    pub(super) key: Vec<u8>,
    pub(super) secret: Vec<u8>,
}

impl<'a> Binding<'a> {
    pub(super) fn of(record: &'a CredentialRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind,
            destinations: &record.destinations,
            generation: record.generation,
        }
    }

    /// The associated data, written once for a record that is opened often.
    pub(super) fn bound(&self) -> Bound {
        Bound { key: self.for_key(), secret: self.for_secret() }
    }

    /// Associated data of the secret.
    fn for_secret(&self) -> Vec<u8> {
        let mut bytes = b"cloakroom sealed v1".to_vec();
        text(&mut bytes, &self.id.to_string());
        text(&mut bytes, self.kind.as_str());
        destinations(&mut bytes, self.destinations);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes
    }

    /// Associated data of the wrapped key.
    fn for_key(&self) -> Vec<u8> {
        let mut bytes = b"cloakroom key v1".to_vec();
        text(&mut bytes, &self.id.to_string());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes
    }
}

impl Bound {
    /// What is bound to these facts, for what is no credential of its own.
    pub(super) fn of_facts(label: &str, facts: &[String]) -> Self {
        let write = |label: &str| {
            let mut bytes = label.as_bytes().to_vec();
            facts.iter().for_each(|fact| text(&mut bytes, fact));
            bytes
        };
        Self { key: write(&format!("{label} key")), secret: write(label) }
    }
}

/// Their count, then each once: order has no meaning.
pub(super) fn destinations(bytes: &mut Vec<u8>, all: &[Destination]) {
    let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.sort_unstable();
    all.dedup();
    number(bytes, all.len());
    all.iter().for_each(|destination| text(bytes, destination));
}

pub(super) fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, number: usize) {
    // Saturating is unambiguous: nothing here comes near 4 GiB.
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}
