//! Presets: what is known of services, from the data files in `catalogue/`.

use crate::failure::Failure;
use cloakroom_model::{CredentialKind, Destination, Place};
use serde::Deserialize;

const FILES: [(&str, &str); 6] = [
    ("anthropic", include_str!("../../../catalogue/anthropic.toml")),
    ("github", include_str!("../../../catalogue/github.toml")),
    ("gitlab", include_str!("../../../catalogue/gitlab.toml")),
    ("openai", include_str!("../../../catalogue/openai.toml")),
    ("slack", include_str!("../../../catalogue/slack.toml")),
    ("stripe", include_str!("../../../catalogue/stripe.toml")),
];

/// What is known of one service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// How its credential is usually placed.
    pub(crate) kind: CredentialKind,
    /// Where it goes.
    pub(crate) destinations: Vec<Destination>,
    /// The place for a policy.
    pub(crate) place: Place,
}

/// The preset of this service.
pub(crate) fn preset(service: &str) -> Result<Preset, Failure> {
    let names = FILES.iter().map(|(name, _)| *name);
    let Some((name, text)) = FILES.iter().find(|(name, _)| *name == service) else {
        let hint = match cloakroom_admin::nearest(service, names.clone()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!(
                "known services: {}; for others use --kind and --to",
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        return Err(Failure::bad_input(format!("there is no preset {service:?}")).hinting(hint));
    };
    toml::from_str(text)
        .map_err(|error| Failure::failed(format!("catalogue/{name}.toml: {}", error.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read() {
        for (name, _) in FILES {
            let preset = preset(name).unwrap();
            assert!(!preset.destinations.is_empty() && !preset.place.is_in_url(), "{name}");
        }
        assert_eq!(preset("githbu").unwrap_err().hint(), Some("did you mean \"github\"?"));
    }
}
