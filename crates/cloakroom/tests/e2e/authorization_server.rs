//! A real authorization server, and the hunt for what it gave out.

use crate::clients::{installed, script};
use cloakroom_testkit::{Broker, TestAuthority, shaped};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// oidc-provider, in Node.
pub(crate) struct AuthorizationServer {
    child: Child,
    port: u16,
    ca: PathBuf,
}

impl AuthorizationServer {
    /// `None` where the real clients are left out knowingly.
    pub(crate) fn start(authority: &TestAuthority, variables: &[(&str, &str)]) -> Option<Self> {
        let clients = installed()?;
        let files = authority.leaf_files("as", &["127.0.0.1"]);
        // Node looks for packages beside the program.
        let program = clients.join("node/authorization-server.mjs");
        std::fs::copy(script("authorization-server.mjs"), &program).unwrap();
        let mut child = Command::new("node")
            .arg(program)
            .args(&files)
            .env("CLIENT_SECRET", shaped("client-"))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // Warnings may come first.
        let ready: Value = loop {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the authorization server did not start");
            if let Ok(ready) = serde_json::from_str(&line) {
                break ready;
            }
        };
        // It goes on warning: a pipe that nobody reads would end it.
        drop(std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink())));
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        Some(Self { child, port, ca: authority.file() })
    }

    pub(crate) fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}/token", self.issuer())
    }

    pub(crate) fn test(&self, what: &str) -> Value {
        let url = format!("{}/test/{what}", self.issuer());
        let output = Command::new("curl").args(["-sS", "--cacert"]).arg(&self.ca).arg(url).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{what}: {error}: {output:?}"))
    }

    /// How often the token endpoint was asked.
    pub(crate) fn requests(&self) -> u64 {
        self.test("seen")["requests"].as_u64().unwrap()
    }

    /// Every access and refresh token that it gave out.
    pub(crate) fn issued(&self) -> Vec<String> {
        let seen = self.test("seen");
        seen["issued"].as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned()).collect()
    }

    /// SECURITY: each access and refresh token that was issued counts as a canary.
    pub(crate) fn hunt(&self, broker: &Broker) {
        let log = broker.log();
        let mut places: Vec<(String, Vec<u8>)> =
            log.lock().unwrap().iter().map(|bytes| ("received".to_owned(), bytes.clone())).collect();
        places.push(("output".into(), broker.output().into_bytes()));
        let mut directories = vec![broker.data().to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => directories.push(entry.path()),
                    kind if kind.is_file() => {
                        places
                            .push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap()));
                    }
                    _ => {}
                }
            }
        }
        for token in self.issued() {
            for (place, bytes) in &places {
                assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "in {place}");
            }
        }
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
