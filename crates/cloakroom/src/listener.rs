//! The workload listener, as a workload calls the broker itself: one request, one answer.

use crate::data_dir::DataDir;
use crate::failure::{Failure, plain};
use crate::serve::Listening;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The broker answers from memory and one disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// Its own answers are shorter: the longest tells of a hundred placeholders.
const LONGEST: u64 = 4 << 20;

/// The variable of an environment file.
const VARIABLE: &str = "CLOAKROOM_WORKLOAD_KEY=";

/// Where the listener is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Http(String),
    Https(String),
    Unix(PathBuf),
}

/// What the workload shows.
pub(crate) struct Proving<'a> {
    /// Its key.
    pub(crate) key: Option<&'a str>,
    /// Its certificate and the private key of that.
    pub(crate) certificate: Option<(&'a Path, &'a Path)>,
    /// Whom it trusts.
    pub(crate) ca: PathBuf,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Listener {
    /// Where it was said to be, else where the broker of this data directory listens.
    pub(crate) fn of(data: &DataDir, said: Option<&str>) -> Result<Self, Failure> {
        let Some(said) = said else {
            let here = Listening::last(data).unwrap_or_default();
            let authority = here.address.to_string();
            return Ok(if here.speaks_tls { Self::Https(authority) } else { Self::Http(authority) });
        };
        Self::parse(said).ok_or_else(|| {
            Failure::bad_input("--broker names no listener")
                .hinting("write http://ADDRESS:PORT, https://NAME:PORT or unix:PATH")
        })
    }

    fn parse(said: &str) -> Option<Self> {
        if let Some(path) = said.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let authority = |rest: &str, port: u16| {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
            let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let fine = !rest.is_empty() && rest.chars().all(plain);
            fine.then(|| if has_port { rest.to_owned() } else { format!("{rest}:{port}") })
        };
        let https = said.strip_prefix("https://").map(|rest| authority(rest, 443).map(Self::Https));
        https
            .or_else(|| said.strip_prefix("http://").map(|rest| authority(rest, 80).map(Self::Http)))
            .flatten()
    }

    /// Sends a document; status and body of the answer.
    pub(crate) fn post(
        &self,
        path: &str,
        document: &str,
        proving: &Proving<'_>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", document.len());
        self.exchange("POST", path, &head, document, proving)
    }

    /// Asks for a document; status and body of the answer.
    pub(crate) fn get(&self, path: &str, proving: &Proving<'_>) -> Result<(u16, Vec<u8>), Failure> {
        self.exchange("GET", path, "Accept: application/json\r\n", "", proving)
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: &str,
        proving: &Proving<'_>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let mut stream = self.open(proving)?;
        let proof = proving.key.map(|key| format!("Cloakroom-Workload: {key}\r\n")).unwrap_or_default();
        let request = zeroize::Zeroizing::new(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{proof}{fields}Connection: close\r\n\r\n{body}"
        ));
        let request = request.as_bytes();
        stream.write_all(request).and_then(|()| stream.flush()).map_err(|error| self.broken(&error))?;
        let mut answer = Vec::new();
        let read = stream.take(LONGEST).read_to_end(&mut answer);
        // A peer that ends TLS without a word has said all that its length announced; what is cut does not parse.
        match (parse(&answer), read) {
            (Some(parsed), _) => Ok(parsed),
            (None, Err(error)) => Err(self.broken(&error)),
            (None, Ok(_)) => Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn open(&self, proving: &Proving<'_>) -> Result<Box<dyn Stream>, Failure> {
        Ok(match self {
            Self::Http(authority) => Box::new(self.connect(authority)?),
            Self::Https(authority) => {
                let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(|_| {
                    Failure::bad_input("--broker names no host that a certificate could be for")
                })?;
                let tls = ClientConnection::new(Arc::new(settings(proving)?), name);
                let tls = tls.map_err(|error| Failure::failed(error.to_string()))?;
                Box::new(StreamOwned::new(tls, self.connect(authority)?))
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(|error| self.broken(&error))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
        })
    }

    fn connect(&self, authority: &str) -> Result<TcpStream, Failure> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in authority.to_socket_addrs().map_err(|error| self.broken(&error))? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(self.broken(&last))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let place = match self {
            Self::Http(authority) | Self::Https(authority) => authority.clone(),
            Self::Unix(path) => path.display().to_string(),
        };
        Failure::no_broker(format!("no broker answers at {place}: {}", plain(error))).hinting(
            "name the workload listener: --broker http://ADDRESS:PORT, https://NAME:PORT or unix:PATH",
        )
    }
}

fn settings(proving: &Proving<'_>) -> Result<ClientConfig, Failure> {
    let unusable = |path: &Path| Failure::bad_input(format!("{} cannot be used", path.display()));
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, Failure> {
        let pem = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| unusable(path))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&proving.ca)? {
        roots.add(certificate).map_err(|_| unusable(&proving.ca))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::failed(error.to_string()))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = proving.certificate else { return Ok(builder.with_no_client_auth()) };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|_| unusable(key))?;
    builder.with_client_auth_cert(certificates(certificate)?, private).map_err(|_| unusable(certificate))
}

/// The workload key in a text: alone, or as an environment file has it.
pub(crate) fn key_in(text: &str) -> Option<zeroize::Zeroizing<String>> {
    let key = text.lines().find_map(|line| line.trim().strip_prefix(VARIABLE)).unwrap_or(text);
    let key = key.trim().trim_matches('"');
    let fine =
        key.starts_with("cwk_") && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fine.then(|| zeroize::Zeroizing::new(key.to_owned()))
}

/// Status and body of a whole answer, whose length is announced.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    let body = answer.get(end + 4..end + 4 + length)?;
    Some((status, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_named_by_its_address() {
        let http = |text: &str| Some(Listener::Http(text.into()));
        assert_eq!(Listener::parse("http://10.0.0.5:8480"), http("10.0.0.5:8480"));
        assert_eq!(Listener::parse("http://[::1]:8480/"), http("[::1]:8480"));
        assert_eq!(Listener::parse("http://broker"), http("broker:80"));
        assert_eq!(Listener::parse("https://broker"), Some(Listener::Https("broker:443".into())));
        assert_eq!(Listener::parse("unix:/run/w.sock"), Some(Listener::Unix("/run/w.sock".into())));
        for wrong in ["", "broker:8480", "http://", "http://u@broker", "http://broker/x", "unix:", "ftp://x"]
        {
            assert_eq!(Listener::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(whole), Some((403, b"{}".to_vec())));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n{}"), None);
    }
}
