//! The variables that the command gets: a few of the caller's, the proxy, the authority, the placeholders. No more.

use super::kit::Kit;
use super::{DIRECT, PORT};
use crate::catalogue;
use crate::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

/// Where the authority's certificate lies in the command's file system.
pub(super) const AUTHORITY: &str = "/run/cloakroom/ca.pem";

/// What the caller's environment may say to any command: who, where, which language and terminal. None holds a credential by its meaning.
const PASSED: [&str; 17] = [
    "COLORTERM",
    "COLUMNS",
    "EDITOR",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LOGNAME",
    "NO_COLOR",
    "PAGER",
    "PATH",
    "PWD",
    "SHELL",
    "TERM",
    "TZ",
    "USER",
    "VISUAL",
];

/// The variables by which common programs are told which certificate authorities to trust. In the namespace there is no other authority to
/// meet, so this file is the whole bundle: OpenSSL, curl, Python's requests and pip, Node and npm, git, AWS SDKs, cargo, Deno.
const TRUST: [&str; 11] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// With a placeholder kept in it, AWS SDKs fetch container credentials from the broker.
const AWS_TICKET: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// The command's environment.
pub(super) fn of(kit: &Kit, wanted: &[String]) -> Result<BTreeMap<OsString, OsString>, Failure> {
    let mut variables = BTreeMap::new();
    let locale = |name: &str| name.starts_with("LC_");
    for (name, value) in std::env::vars_os() {
        let known = name.to_str().is_some_and(|name| {
            PASSED.contains(&name) || locale(name) || wanted.iter().any(|wanted| wanted == name)
        });
        if known {
            variables.insert(name, value);
        }
    }
    refuse_credentials(wanted)?;
    let proxy = format!("http://{}:{}@127.0.0.1:{PORT}", kit.workload, kit.key);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"] {
        variables.insert(name.into(), proxy.clone().into());
    }
    for name in ["NO_PROXY", "no_proxy"] {
        variables.insert(name.into(), DIRECT.to_string().into());
    }
    variables.insert("CLOAKROOM_URL".into(), format!("http://{DIRECT}:{PORT}").into());
    // Without it Node's own fetch passes by the proxy, and finds nothing there.
    variables.insert("NODE_USE_ENV_PROXY".into(), "1".into());
    variables.extend(TRUST.iter().map(|name| ((*name).into(), AUTHORITY.into())));
    variables.insert("CLOAKROOM_WORKLOAD".into(), kit.workload.to_string().into());
    variables.insert("CLOAKROOM_KEY".into(), kit.key.clone().into());
    variables.extend(kit.variables.iter().map(|(name, value)| (name.into(), value.into())));
    if let Some(placeholder) = kit.variables.get(AWS_TICKET) {
        variables.insert(AWS_TICKET.into(), format!("{}.{placeholder}", kit.key).into());
        let keys = format!("http://{DIRECT}:{PORT}/.cloakroom/aws/credentials");
        variables.insert("AWS_CONTAINER_CREDENTIALS_FULL_URI".into(), keys.into());
    }
    Ok(variables)
}

/// SECURITY: a variable that a known service reads a credential from is filled with a placeholder or not at all; the caller's own may hold
/// the real one.
fn refuse_credentials(wanted: &[String]) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    for name in catalogue::services() {
        known.extend(catalogue::service(name)?.environment);
    }
    match wanted.iter().find(|name| known.contains(*name)) {
        None => Ok(()),
        Some(name) => {
            Err(Failure::bad_input(format!("{name} usually holds a credential; it is not passed on"))
                .hinting(format!(
                    "issue a placeholder for it: cloakroom placeholder issue … --variable {name}"
                )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Kit {
        Kit {
            workload: "robot".parse().unwrap(),
            key: "the-key".into(),
            variables: BTreeMap::from([("STRIPE_API_KEY".into(), "a placeholder".into())]),
        }
    }

    #[test]
    fn the_command_gets_the_proxy_the_authority_and_the_placeholders() {
        let variables = of(&kit(), &[]).unwrap();
        let value = |name: &str| variables.get(&OsString::from(name)).and_then(|value| value.to_str());
        assert_eq!(value("HTTPS_PROXY"), Some("http://robot:the-key@127.0.0.1:8480"));
        assert_eq!((value("NO_PROXY"), value("no_proxy")), (Some("127.0.0.2"), Some("127.0.0.2")));
        assert_eq!(value("CLOAKROOM_URL"), Some("http://127.0.0.2:8480"));
        assert_eq!((value("CLOAKROOM_WORKLOAD"), value("CLOAKROOM_KEY")), (Some("robot"), Some("the-key")));
        assert_eq!(value("STRIPE_API_KEY"), Some("a placeholder"));
        assert_eq!(value("SSL_CERT_FILE"), Some(AUTHORITY));
        assert_eq!(value("PATH"), std::env::var("PATH").ok().as_deref());
        // Cargo sets this one for tests: it stands for whatever else the caller has.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && value("CARGO_MANIFEST_DIR").is_none());
    }

    #[test]
    fn a_placeholder_for_container_credentials_is_shown_with_the_key_and_the_address() {
        let mut kit = kit();
        kit.variables.insert(AWS_TICKET.into(), "ASIA2".into());
        let variables = of(&kit, &[]).unwrap();
        let value = |name: &str| variables.get(&OsString::from(name)).and_then(|value| value.to_str());
        assert_eq!(value(AWS_TICKET), Some("the-key.ASIA2"));
        let uri = "http://127.0.0.2:8480/.cloakroom/aws/credentials";
        assert_eq!(value("AWS_CONTAINER_CREDENTIALS_FULL_URI"), Some(uri));
    }

    #[test]
    fn a_variable_is_passed_on_when_asked_for_unless_it_holds_credentials() {
        let asked = of(&kit(), &["CARGO_MANIFEST_DIR".into()]).unwrap();
        assert!(asked.contains_key(&OsString::from("CARGO_MANIFEST_DIR")));
        let refused = of(&kit(), &["OPENAI_API_KEY".into()]).err().unwrap();
        assert!(refused.hint().unwrap().contains("--variable OPENAI_API_KEY"));
    }
}
