//! A policy in normal form: what it is, and how the store keeps it. Reading the file is left to `file`.

use crate::permit::Permit;
use crate::text;
use cloakroom_model::{CredentialKind, Destination, Place, Signing};
use serde::{Deserialize, Serialize};

/// The complete set of permits of one placeholder, in normal form: two files that mean the same make equal policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    permits: Vec<Permit>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    permits: Vec<Permit>,
}

impl Policy {
    /// Sorts the permits; order has no meaning.
    pub(crate) fn new(mut permits: Vec<Permit>) -> Self {
        // Names nearly always tell permits apart, and are cheap to compare; ten thousand policies are read at start.
        let facts = |one: &Permit, other: &Permit| text::facts(one).cmp(&text::facts(other));
        permits.sort_by(|one, other| one.name.cmp(&other.name).then_with(|| facts(one, other)));
        permits.dedup();
        Self { permits }
    }

    pub(crate) fn permits(&self) -> &[Permit] {
        &self.permits
    }

    /// Normal form as the store keeps it (JSON).
    pub fn to_stored(&self) -> String {
        let stored = Stored { version: 1, permits: self.permits.clone() };
        // INVARIANT: every key of every map is a string, so this has a JSON form; an empty text does not parse back.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads what [`Policy::to_stored`] wrote.
    ///
    /// # Errors
    /// In words, where the text is not a stored policy.
    pub fn from_stored(text: &str) -> Result<Self, String> {
        let stored: Stored = serde_json::from_str(text)
            .map_err(|error| format!("the stored policy does not parse: {error}"))?;
        if stored.version != 1 {
            return Err(format!("the stored policy has version {}, and this broker reads 1", stored.version));
        }
        Ok(Self::new(stored.permits))
    }

    /// Canonical text of the permits for people: ASCII, every tuple spelled out, one fact in a line. Different
    /// policies have different texts.
    pub fn canonical_text(&self) -> String {
        text::policy(self)
    }

    /// The normal form as a policy file: parses back to an equal policy.
    pub fn to_toml(&self) -> String {
        crate::toml_text::policy(self)
    }

    /// The first permit, by its name, with a place where a credential of this kind is never put: a key that signs goes into a
    /// signature, and nothing else does. The data plane refuses such a use whatever the policy says.
    pub fn unfit_place(&self, kind: CredentialKind) -> Option<(&str, &Place)> {
        let unfit = |permit: &&Permit| !fits(kind, &permit.place);
        self.permits.iter().find(unfit).map(|permit| (permit.name.as_str(), &permit.place))
    }

    /// Every destination that some permit names, without repeats.
    pub fn destinations(&self) -> Vec<Destination> {
        let mut all: Vec<Destination> = self.permits.iter().map(|permit| permit.to.clone()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Whether a credential of this kind is ever used at this place.
fn fits(kind: CredentialKind, place: &Place) -> bool {
    match place {
        Place::SigV4 { .. } => matches!(kind, CredentialKind::Aws | CredentialKind::AwsRole),
        Place::Signed(scheme) => match **scheme {
            Signing::Hmac(_) => kind == CredentialKind::Hmac,
            Signing::Message(_) => kind == CredentialKind::HttpSignature,
        },
        Place::Mtls(_) => kind == CredentialKind::Mtls,
        _ => !kind.is_never_sent(),
    }
}
