//! A real OpenBao server for the tests: in memory, over TLS of the test authority, with all that passes through it on record.

use crate::clients::installed;
use crate::support::eventually;
use cloakroom_testkit::{Broker, Setup, TestAuthority, shaped};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The server. Its root token is shaped like the canary.
pub(crate) struct OpenBao {
    child: Child,
    /// For the broker: TLS.
    tls: u16,
    /// For the test: plain.
    plain: u16,
    directory: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn root() -> String {
    shaped("root-")
}

impl OpenBao {
    /// `None` where the real servers are left out knowingly.
    pub(crate) fn start(setup: &Setup) -> Option<Self> {
        Self::start_for(&setup.authority)
    }

    /// The same for whoever trusts this authority.
    pub(crate) fn start_for(authority: &TestAuthority) -> Option<Self> {
        let program = installed()?.join("venv/bin/bao");
        let directory = tempfile::tempdir().unwrap();
        let [certificate, key] = authority.leaf_files("bao", &["127.0.0.1"]);
        let (tls, plain) = (free_port(), free_port());
        let (audit, anchors) = (directory.path().join("audit"), authority.file());
        let configuration = format!(
            "listener \"tcp\" {{\n address = \"127.0.0.1:{tls}\"\n tls_cert_file = {certificate:?}\n tls_key_file = {key:?}\n \
             tls_client_ca_file = {anchors:?}\n}}\n\
             audit \"file\" \"all\" {{\n options {{\n file_path = {audit:?}\n log_raw = \"true\"\n }}\n}}\n"
        );
        let file = directory.path().join("bao.hcl");
        fs::write(&file, configuration).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={}", root()))
            .arg(format!("-dev-listen-address=127.0.0.1:{plain}"))
            .arg(format!("-config={}", file.display()))
            .env("HOME", directory.path())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, tls, plain, directory };
        eventually("OpenBao is ready", || {
            let (status, _) = server.ask("GET", "sys/mounts/secret", None);
            (status == 200).then_some(())
        });
        Some(server)
    }

    /// As `--server` takes it.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls)
    }

    /// What the server answers to root: status and document.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-X", method, "-w", "\n%{http_code}", "-H", &format!("X-Vault-Token: {}", root())]);
        if let Some(body) = body {
            curl.args(["--data-binary", &body.to_string()]);
        }
        let output = curl.arg(format!("http://127.0.0.1:{}/v1/{path}", self.plain)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (document, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), serde_json::from_str(document).unwrap_or(Value::Null))
    }

    /// The same, where it has to succeed.
    pub(crate) fn set(&self, path: &str, body: Value) -> Value {
        let (status, document) = self.ask("POST", path, Some(body));
        assert!((200..300).contains(&status), "{path}: {status} {document}");
        document
    }

    /// Writes a secret; the next version.
    pub(crate) fn put(&self, path: &str, field: &str, value: &str) {
        self.set(&format!("secret/data/{path}"), json!({ "data": { field: value } }));
    }

    /// A policy `reader` with these capabilities besides those that everybody has.
    pub(crate) fn policy(&self, paths: &[(&str, &str)]) {
        let rule = |(path, can): &(&str, &str)| format!("path \"{path}\" {{ capabilities = [\"{can}\"] }}\n");
        let text: String = paths.iter().map(rule).collect();
        self.set("sys/policies/acl/reader", json!({ "policy": text }));
    }

    /// A login token with that policy.
    pub(crate) fn token(&self, name: &str) -> String {
        let id = shaped(name);
        self.set("auth/token/create", json!({ "id": id, "policies": ["reader"], "period": "1h" }));
        id
    }

    /// An AppRole with that policy; its role id. The secret id is the canary's.
    pub(crate) fn app_role(&self, token_lasts: &str) -> String {
        let (status, _) = self.ask("POST", "sys/auth/approle", Some(json!({ "type": "approle" })));
        assert!(matches!(status, 204 | 400), "{status}");
        let role = json!({ "token_policies": ["reader"], "token_ttl": token_lasts });
        self.set("auth/approle/role/robot", role);
        let secret = json!({ "secret_id": shaped("secret-id-") });
        self.set("auth/approle/role/robot/custom-secret-id", secret);
        let (_, role) = self.ask("GET", "auth/approle/role/robot/role-id", None);
        role["data"]["role_id"].as_str().unwrap().to_owned()
    }

    /// Every request of anybody but root, as `method path`, and every login, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = |entry: &Value| {
            let request = &entry["request"];
            let of_root = request["client_token"].as_str() == Some(&root());
            let line = format!("{} {}", request["operation"].as_str()?, request["path"].as_str()?);
            (entry["type"] == "request" && !of_root).then_some(line)
        };
        self.audit().iter().filter_map(seen).collect()
    }

    /// How many of them are this one.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.requests().iter().filter(|seen| *seen == request).count()
    }

    fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("audit")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Every login token that was handed out, and every user name and password that was leased.
    pub(crate) fn handed_out(&self) -> Vec<String> {
        let mut out = Vec::new();
        // What root has made is the test's own, and shaped like the canary.
        let of_broker = |entry: &&Value| {
            let of_root =
                entry["request"]["path"].as_str().is_some_and(|path| path.starts_with("auth/token/"));
            entry["type"] == "response" && !of_root
        };
        for entry in self.audit().iter().filter(of_broker) {
            let response = &entry["response"];
            for value in [
                &response["auth"]["client_token"],
                &response["data"]["username"],
                &response["data"]["password"],
            ] {
                out.extend(value.as_str().map(str::to_owned));
            }
        }
        out
    }

    /// Seals the server: it answers 503 until it is unsealed.
    pub(crate) fn seal(&self) {
        self.ask("POST", "sys/seal", None);
    }

    /// Unseals it again.
    pub(crate) fn unseal(&self) {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap();
        let key = log.lines().find_map(|line| line.strip_prefix("Unseal Key: ")).unwrap();
        self.set("sys/unseal", json!({ "key": key }));
    }

    /// Stops the server for good.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SECURITY: whatever the server handed out is hunted as the canary is.
    pub(crate) fn hunt(&self, broker: &Broker) {
        hunt_for(broker, &self.handed_out());
    }
}

/// Asserts that none of these is anywhere but where it may be.
pub(crate) fn hunt_for(broker: &Broker, secrets: &[String]) {
    for (place, bytes) in places(broker) {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "what a server handed out is in {place}");
        }
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where nothing secret may be: what was received and printed, and every file of the broker.
fn places(broker: &Broker) -> Vec<(String, Vec<u8>)> {
    let log = broker.log();
    let mut places: Vec<(String, Vec<u8>)> =
        log.lock().unwrap().iter().map(|bytes| ("received".to_owned(), bytes.clone())).collect();
    places.push(("output".into(), broker.output().into_bytes()));
    let mut directories: Vec<PathBuf> = vec![broker.data().to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => directories.push(entry.path()),
                kind if kind.is_file() => {
                    places.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
                }
                _ => {}
            }
        }
    }
    places
}
