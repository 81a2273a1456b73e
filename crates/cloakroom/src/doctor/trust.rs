//! Whether common runtimes, started from this environment, would believe the broker's authority. Each is told by other variables and reads other
//! files; what is looked at here is where its documentation says it looks.

use super::{Finding, Standing, program};
use crate::cli::doctor::DoctorArguments;
use crate::data_dir::DataDir;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// Where `cloakroom run` puts the certificate.
const IN_RUN: &str = "/run/cloakroom/ca.pem";
/// The system's bundle: Debian, Fedora, SUSE, Alpine.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The system's directory of certificates by hash.
const HASHED: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// Files of a directory that are looked at.
const MOST: usize = 2000;

/// How a runtime is told.
struct Runtime {
    name: &'static str,
    /// Its program, where it has one.
    program: Option<&'static str>,
    /// Variables that name the file it believes in, the first that is set counts.
    files: &'static [&'static str],
    /// Variables that name a directory, looked at where no file is.
    directories: &'static [&'static str],
    /// A variable whose file comes on top of what it believes in anyway.
    adds: Option<&'static str>,
    /// Where it looks untold.
    otherwise: Otherwise,
}

/// Where a runtime looks that was told nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    /// The system's files.
    System,
    /// A bundle of its own, which no installation on the system changes.
    Own,
    /// Java's key store.
    KeyStore,
}

/// OpenSSL: SSL_CTX_set_default_verify_paths(3). curl: curl(1). requests: "SSL Cert Verification". httpx: "SSL". Node: node(1). Go: crypto/x509,
/// root_unix.go. Java: "Customizing the Default Keystores and Truststores". git: git-config(1), http.sslCAInfo.
const RUNTIMES: [Runtime; 8] = [
    Runtime {
        name: "OpenSSL",
        program: Some("openssl"),
        files: &["SSL_CERT_FILE"],
        directories: &["SSL_CERT_DIR"],
        adds: None,
        otherwise: Otherwise::System,
    },
    Runtime {
        name: "curl",
        program: Some("curl"),
        files: &["CURL_CA_BUNDLE", "SSL_CERT_FILE"],
        directories: &["SSL_CERT_DIR"],
        adds: None,
        otherwise: Otherwise::System,
    },
    Runtime {
        name: "Python requests",
        program: Some("python3"),
        files: &["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"],
        directories: &[],
        adds: None,
        otherwise: Otherwise::Own,
    },
    Runtime {
        name: "Python httpx",
        program: Some("python3"),
        files: &["SSL_CERT_FILE"],
        directories: &["SSL_CERT_DIR"],
        adds: None,
        otherwise: Otherwise::Own,
    },
    Runtime {
        name: "Node",
        program: Some("node"),
        files: &[],
        directories: &[],
        adds: Some("NODE_EXTRA_CA_CERTS"),
        otherwise: Otherwise::Own,
    },
    Runtime {
        name: "Go",
        program: None,
        files: &["SSL_CERT_FILE"],
        directories: &["SSL_CERT_DIR"],
        adds: None,
        otherwise: Otherwise::System,
    },
    Runtime {
        name: "Java",
        program: Some("java"),
        files: &[],
        directories: &[],
        adds: None,
        otherwise: Otherwise::KeyStore,
    },
    Runtime {
        name: "git",
        program: Some("git"),
        files: &["GIT_SSL_CAINFO"],
        directories: &["GIT_SSL_CAPATH"],
        adds: None,
        otherwise: Otherwise::System,
    },
];

pub(super) fn look(data: &DataDir, options: &DoctorArguments) -> Vec<Finding> {
    let own = data.ca();
    let file = options.ca.clone().unwrap_or_else(|| if own.exists() { own } else { IN_RUN.into() });
    let untrusted = if options.as_workload { Standing::Broken } else { Standing::Note };
    let certificate = match CertificateDer::from_pem_file(&file) {
        Ok(certificate) => certificate,
        Err(error) => {
            return vec![
                Finding::new("trust", untrusted, format!("{} holds no certificate: {error}", file.display()))
                    .remedied_by("name the authority's certificate (cloakroom ca --pem): --ca FILE"),
            ];
        }
    };
    let here = |runtime: &&Runtime| runtime.program.is_none_or(|name| program(name).is_some());
    let finding = |runtime: &Runtime| {
        let check = format!("trust: {}", runtime.name);
        match runtime.believes(&certificate) {
            Ok(place) => Finding::good(check, format!("believes the authority, by {place}")),
            Err(place) => Finding::new(
                check,
                untrusted,
                format!("does not believe the authority: it is not in {place}"),
            )
            .remedied_by(runtime.remedy(&file)),
        }
    };
    RUNTIMES.iter().filter(here).map(finding).collect()
}

impl Runtime {
    /// By what it believes the certificate; `Err`: where it looked.
    fn believes(&self, certificate: &CertificateDer<'_>) -> Result<String, String> {
        if let Some((name, file)) = self.adds.as_slice().iter().find_map(set)
            && bundle_has(&file, certificate)
        {
            return Ok(name.into());
        }
        if let Some((name, file)) = self.files.iter().find_map(set) {
            let has = bundle_has(&file, certificate);
            return if has { Ok(name.into()) } else { Err(format!("{} ({name})", file.display())) };
        }
        if let Some((name, directory)) = self.directories.iter().find_map(set) {
            let has = std::env::split_paths(&directory).any(|one| directory_has(&one, certificate));
            return if has { Ok(name.into()) } else { Err(format!("{} ({name})", directory.display())) };
        }
        match self.otherwise {
            Otherwise::System => system_has(certificate),
            Otherwise::Own => Err("the bundle that it brings".into()),
            Otherwise::KeyStore => java_has(certificate),
        }
    }

    fn remedy(&self, file: &Path) -> String {
        let file = file.display();
        match (self.files.first().or(self.adds.as_ref()), self.otherwise) {
            (_, Otherwise::KeyStore) => format!(
                "keytool -importcert -noprompt -alias cloakroom -file {file} -keystore KEYSTORE; JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=KEYSTORE"
            ),
            (Some(name), Otherwise::Own) => format!("{name}={file}"),
            (Some(name), Otherwise::System) => {
                format!(
                    "{name}={file}; or for all programs: cp {file} /usr/local/share/ca-certificates/cloakroom.crt && update-ca-certificates"
                )
            }
            (None, _) => format!("add {file} to what it believes"),
        }
    }
}

/// A variable that says something, and the path that it names.
fn set(name: &&'static str) -> Option<(&'static str, PathBuf)> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some((*name, PathBuf::from(value)))
}

fn bundle_has(file: &Path, certificate: &CertificateDer<'_>) -> bool {
    let read = CertificateDer::pem_file_iter(file);
    read.is_ok_and(|mut all| all.any(|one| one.is_ok_and(|one| one == *certificate)))
}

fn directory_has(directory: &Path, certificate: &CertificateDer<'_>) -> bool {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten().take(MOST);
    // OpenSSL finds them by the hash of their subject, HHHHHHHH.N, and by no other name.
    let is_hash = |name: &str| {
        name.len() > 9 && name.as_bytes()[8] == b'.' && name[..8].bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut named = files.filter(|entry| entry.file_name().to_str().is_some_and(is_hash));
    named.any(|entry| bundle_has(&entry.path(), certificate))
}

fn system_has(certificate: &CertificateDer<'_>) -> Result<String, String> {
    let there: Vec<&Path> = BUNDLES.iter().map(Path::new).filter(|file| file.exists()).collect();
    let bundle =
        there.iter().find(|file| bundle_has(file, certificate)).map(|file| file.display().to_string());
    let hashed = || {
        HASHED
            .iter()
            .find(|directory| directory_has(Path::new(directory), certificate))
            .map(ToString::to_string)
    };
    bundle.or_else(hashed).ok_or_else(|| {
        there.first().map_or("any bundle of the system".into(), |file| file.display().to_string())
    })
}

/// Key stores without encryption of their certificates, as Java's own are, have them as they are.
fn java_has(certificate: &CertificateDer<'_>) -> Result<String, String> {
    const OPTION: &str = "-Djavax.net.ssl.trustStore=";
    let options =
        ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"].map(|name| std::env::var(name).unwrap_or_default());
    let named = options
        .iter()
        .flat_map(|options| options.split_whitespace())
        .find_map(|word| word.strip_prefix(OPTION));
    let store = named.map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("JAVA_HOME").map(PathBuf::from);
        let home = home
            .or_else(|| std::fs::canonicalize(program("java")?).ok()?.parent()?.parent().map(Path::to_owned));
        Some(home?.join("lib/security/cacerts"))
    });
    let Some(store) = store else { return Err("its key store".into()) };
    let bytes = std::fs::read(&store).unwrap_or_default();
    let has = bytes.windows(certificate.len()).any(|window| window == certificate.as_ref());
    if has { Ok(store.display().to_string()) } else { Err(store.display().to_string()) }
}
