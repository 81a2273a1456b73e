//! `[console.tls.acme]`: the ACME server that gives the console its certificate, as written and as meant.

use super::AcmeSetting;
use super::webhook::split;
use crate::failure::Failure;
use cloakroom_model::{Host, Scheme};
use ipnet::IpNet;
use serde::Deserialize;
use std::path::PathBuf;

/// Of Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Acme {
    #[serde(default = "directory")]
    directory: String,
    #[serde(default)]
    agree_to_terms: bool,
    ca: Option<PathBuf>,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

fn directory() -> String {
    DIRECTORY.to_owned()
}

impl Acme {
    /// What is meant, where it can be asked for.
    pub(super) fn setting(written: Option<Self>, names: Vec<Host>) -> Result<AcmeSetting, Failure> {
        let wrong = |why: &str, hint: &str| {
            Failure::bad_input(format!("[console.tls] {why}")).hinting(hint.to_owned())
        };
        let name = |host: &Host| match host {
            Host::Name(_) => Some(host.to_string()),
            Host::V4(_) | Host::V6(_) => None,
        };
        let names: Option<Vec<String>> = names.iter().map(name).collect();
        let names = names.filter(|names| !names.is_empty()).ok_or_else(|| {
            wrong(
                "has certificate = \"acme\" and no names, or addresses",
                "write names = [\"cloakroom.example.com\"]",
            )
        })?;
        let agreed = written.filter(|acme| acme.agree_to_terms).ok_or_else(|| {
            wrong(
                "has certificate = \"acme\", and nobody agrees to the server's terms",
                "read them, and write [console.tls.acme] agree-to-terms = true",
            )
        })?;
        let (to, _) = split(&agreed.directory, "[console.tls.acme] directory, as", DIRECTORY)?;
        if to.scheme() != Scheme::Https {
            return Err(wrong(
                "acme: directory is no https:// URL",
                "without TLS anybody could be the server",
            ));
        }
        Ok(AcmeSetting { directory: agreed.directory, names, ca: agreed.ca, allowed: agreed.allow_address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Destination;

    fn host(name: &str) -> Host {
        Destination::parse(&format!("https://{name}")).unwrap().host().clone()
    }

    #[test]
    fn an_acme_server_is_asked_for_names_once_somebody_agrees_to_its_terms() {
        let names = |all: &[&str]| all.iter().map(|name| host(name)).collect::<Vec<Host>>();
        let of = |text: &str, all: &[&str]| Acme::setting(toml::from_str(text).ok(), names(all));
        let fine = of("agree-to-terms = true", &["a.example", "b.example"]).unwrap();
        assert_eq!(
            (fine.directory.as_str(), fine.names),
            (DIRECTORY, vec!["a.example".to_owned(), "b.example".to_owned()])
        );
        assert!(
            of("agree-to-terms = true\ndirectory = \"https://127.0.0.1:14000/dir\"", &["a.example"]).is_ok()
        );
        for (text, all) in [
            ("agree-to-terms = false", &["a.example"][..]),
            ("", &["a.example"]),
            ("agree-to-terms = true", &[]),
            ("agree-to-terms = true", &["10.0.0.1"]),
            ("agree-to-terms = true\ndirectory = \"http://127.0.0.1/dir\"", &["a.example"]),
            ("agree-to-terms = true\ndirectory = \"acme.example\"", &["a.example"]),
        ] {
            assert!(of(text, all).is_err(), "{text} {all:?}");
        }
        assert!(Acme::setting(None, names(&["a.example"])).is_err());
    }
}
