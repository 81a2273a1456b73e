//! The variables that the command gets: a few of the caller's, the proxy, the authority, the placeholders. No more.

use super::kit::Kit;
use super::{DIRECT, PORT};
use crate::catalogue;
use crate::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Where the authority's certificate lies in the command's file system.
pub(crate) const AUTHORITY: &str = "/run/cloakroom/ca.pem";
/// The same for Java.
pub(crate) const KEY_STORE: &str = "/run/cloakroom/ca.jks";

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
pub(crate) const AWS_TICKET: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

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
    let leading = Leading {
        workload: Some(kit.workload.to_string()),
        key: Some(kit.key.clone()),
        authority: AUTHORITY.into(),
    };
    leading.fill(&mut variables)?;
    variables.insert("JAVA_TOOL_OPTIONS".into(), java().into());
    variables.extend(kit.variables.iter().map(|(name, value)| (name.into(), value.into())));
    if let Some(placeholder) = kit.variables.get(AWS_TICKET) {
        container_credentials(&mut variables, Some(&kit.key), placeholder);
    }
    Ok(variables)
}

/// Java reads none of the variables above. What is said here every start of it prints, so there is no key among it: a program shows it in
/// `Proxy-Authorization`, and Java has to be told that it may.
fn java() -> String {
    let store = format!("-Djavax.net.ssl.trustStore={KEY_STORE} -Djavax.net.ssl.trustStoreType=JKS");
    let proxies =
        ["http", "https"].map(|scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={PORT}"));
    format!(
        "{store} {} -Dhttp.nonProxyHosts={DIRECT} -Djdk.http.auth.tunneling.disabledSchemes=",
        proxies.join(" ")
    )
}

/// What leads a program to the broker.
pub(crate) struct Leading {
    /// The workload's name and key. Where the connection itself says who calls, there are none.
    pub(crate) workload: Option<String>,
    pub(crate) key: Option<String>,
    /// The broker's certificate authority, as the program names the file.
    pub(crate) authority: PathBuf,
}

impl Leading {
    /// Adds the variables.
    ///
    /// # Errors
    /// Where name or key are none: they would be read as something else in a URL.
    pub(crate) fn fill(&self, variables: &mut BTreeMap<OsString, OsString>) -> Result<(), Failure> {
        let mut set = |name: &str, value: &OsStr| drop(variables.insert(name.into(), value.into()));
        let whom = match (&self.workload, &self.key) {
            (Some(workload), Some(key)) if is_plain(workload) && is_plain(key) => {
                format!("{workload}:{key}@")
            }
            (None, None) => String::new(),
            _ => {
                return Err(Failure::bad_input("the workload's name and key do not fit together")
                    .hinting("give both, as \"cloakroom workload add\" printed them, or neither where the connection says who calls"));
            }
        };
        let proxy = format!("http://{whom}127.0.0.1:{PORT}");
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"] {
            set(name, proxy.as_ref());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            set(name, DIRECT.to_string().as_ref());
        }
        set("CLOAKROOM_URL", format!("http://{DIRECT}:{PORT}").as_ref());
        // Without it Node's own fetch passes by the proxy, and finds nothing there.
        set("NODE_USE_ENV_PROXY", "1".as_ref());
        TRUST.iter().for_each(|name| set(name, self.authority.as_os_str()));
        for (name, value) in [("CLOAKROOM_WORKLOAD", &self.workload), ("CLOAKROOM_KEY", &self.key)] {
            value.iter().for_each(|value| set(name, value.as_ref()));
        }
        Ok(())
    }
}

/// Nothing that ends a part of a URL.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Where AWS SDKs fetch keys that are this placeholder, and what they show for it.
pub(crate) fn container_credentials(
    variables: &mut BTreeMap<OsString, OsString>,
    key: Option<&str>,
    placeholder: &str,
) {
    let ticket = key.map_or_else(|| placeholder.to_owned(), |key| format!("{key}.{placeholder}"));
    variables.insert(AWS_TICKET.into(), ticket.into());
    // SDKs look here first, and would find the cloud's own.
    variables.remove(OsStr::new("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    let keys = format!("http://{DIRECT}:{PORT}/.cloakroom/aws/credentials");
    variables.insert("AWS_CONTAINER_CREDENTIALS_FULL_URI".into(), keys.into());
}

/// Takes away what is for `cloakroom init` alone.
pub(crate) fn forget_own(variables: &mut BTreeMap<OsString, OsString>) {
    for name in ["CLOAKROOM_BROKER", "CLOAKROOM_CA", "CLOAKROOM_BOOT_FILE", "CLOAKROOM_AWS_PLACEHOLDER_FILE"]
    {
        variables.remove(OsStr::new(name));
    }
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
        let java = value("JAVA_TOOL_OPTIONS").unwrap();
        assert!(java.contains("trustStore=/run/cloakroom/ca.jks ") && !java.contains("the-key"), "{java}");
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
    fn a_key_that_would_end_a_url_is_refused_and_without_one_the_connection_says_who_calls() {
        let leading = |workload: Option<&str>, key: Option<&str>| {
            let mut variables = BTreeMap::new();
            let (workload, key) = (workload.map(str::to_owned), key.map(str::to_owned));
            let filled = Leading { workload, key, authority: "/ca".into() }.fill(&mut variables);
            filled.map(|()| variables[OsStr::new("HTTPS_PROXY")].clone())
        };
        assert_eq!(leading(None, None).unwrap(), "http://127.0.0.1:8480");
        assert_eq!(leading(Some("a"), Some("cwk_b")).unwrap(), "http://a:cwk_b@127.0.0.1:8480");
        for (workload, key) in
            [(None, Some("k")), (Some("a"), None), (Some("a"), Some("k@evil/")), (Some(""), Some("k"))]
        {
            assert!(leading(workload, key).is_err(), "{workload:?} {key:?}");
        }
    }

    #[test]
    fn a_variable_is_passed_on_when_asked_for_unless_it_holds_credentials() {
        let asked = of(&kit(), &["CARGO_MANIFEST_DIR".into()]).unwrap();
        assert!(asked.contains_key(&OsString::from("CARGO_MANIFEST_DIR")));
        let refused = of(&kit(), &["OPENAI_API_KEY".into()]).err().unwrap();
        assert!(refused.hint().unwrap().contains("--variable OPENAI_API_KEY"));
    }
}
