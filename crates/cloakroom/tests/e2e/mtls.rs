//! Client certificates towards destinations: nginx asks for them, and takes only those of its authority.

use crate::clients::installed;
use crate::support::{eventually, policy, setup};
use cloakroom_testkit::{CANARY, Request, Response, Setup, TestAuthority, Way};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// nginx with a certificate of the upstreams' authority, which takes client certificates of another.
struct Nginx {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Nginx {
    fn start(upstreams: &TestAuthority, clients: &TestAuthority) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [certificate, key] = upstreams.leaf_files("nginx", &["127.0.0.1"]);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = directory.path().display();
        let configuration = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; worker_processes 1;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {};\n\
             ssl_verify_client on; ssl_client_certificate {};\n\
             location / {{ return 200 '[$ssl_client_s_dn] [$http_x_client_certificate] [$http_authorization] [$ssl_session_reused] [$connection]'; }} }} }}\n",
            certificate.display(),
            key.display(),
            clients.file().display(),
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port, _directory: directory };
        eventually("nginx listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        server
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self) -> String {
        format!("https://{}", self.authority())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Stage {
    setup: Setup,
    nginx: Nginx,
    clients: TestAuthority,
}

impl Stage {
    fn new() -> Option<Self> {
        installed()?;
        let (setup, clients) = (setup(), TestAuthority::new());
        let nginx = Nginx::start(&setup.authority, &clients);
        Some(Self { setup, nginx, clients })
    }

    /// A placeholder for a client certificate.
    fn placeholder(&self, name: &str, pem: &str) -> String {
        self.setup.broker.deposit(name, "mtls", &[&self.nginx.url()], pem);
        let permit = policy(&self.nginx.url(), "GET /", "mtls x-client-certificate", "");
        self.setup.broker.permit(name, "robot", &permit, &[]).text
    }

    fn get(&self, fields: &[(&str, &str)]) -> Response {
        let request = Request::new("GET", &self.nginx.authority(), "/");
        let request = fields.iter().fold(request, |request, (name, value)| request.with(name, value));
        self.setup.broker.call(Way::Connect, Some(&self.setup.robot), &request)
    }
}

/// The base64 of the private key, as the broker's files could hold it.
fn key_line(pem: &str) -> String {
    let key = pem.split("PRIVATE KEY-----\n").nth(1).unwrap();
    key.lines().next().unwrap().to_owned()
}

fn files_hold(directory: &Path, text: &str) -> bool {
    std::fs::read_dir(directory).unwrap().flatten().any(|entry| {
        if entry.file_type().unwrap().is_dir() {
            return files_hold(&entry.path(), text);
        }
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn a_placeholder_opens_a_connection_with_its_own_certificate_alone() {
    let Some(stage) = Stage::new() else { return };
    let pem = stage.clients.client_pem("robot one", false);
    let one = stage.placeholder("one", &pem);
    let two = stage.placeholder("two", &stage.clients.client_pem("robot two", false));
    assert!(one.starts_with("mtls_"), "{one}");
    for (text, name) in [(&one, "robot one"), (&two, "robot two"), (&one, "robot one")] {
        let answer = stage.get(&[("x-client-certificate", text)]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.text();
        // The header with the placeholder did not go out, and no session was resumed.
        assert!(told.starts_with(&format!("[CN={name}] [] [] [.]")), "{told}");
    }
    let connection = |text: &str| stage.get(&[("x-client-certificate", text)]).text();
    assert_eq!(connection(&one), connection(&one), "connections of one credential are kept");
    assert_ne!(connection(&one), connection(&two), "and never shared");
    assert!(!files_hold(stage.setup.broker.data(), &key_line(&pem)));
    assert!(!stage.setup.broker.output().contains(&key_line(&pem)));
    let shown = stage.setup.broker.cli(&["credential", "show", "one"]).stdout;
    assert!(shown.contains("certificate expires") && shown.contains("4000-01-01"), "{shown}");
}

#[test]
fn a_certificate_and_a_bearer_token_go_out_together_or_not_at_all() {
    let Some(stage) = Stage::new() else { return };
    let certificate = stage.placeholder("one", &stage.clients.client_pem("robot", false));
    stage.setup.broker.deposit("token", "bearer", &[&stage.nginx.url()], CANARY);
    // A token that is bound to a certificate (RFC 8705) is permitted with one only.
    let bound = "headers = { x-client-certificate = { required = true } }";
    let permit = policy(&stage.nginx.url(), "GET /", "header authorization bearer", bound);
    let token = format!("Bearer {}", stage.setup.broker.permit("token", "robot", &permit, &[]).text);
    let both = stage.get(&[("x-client-certificate", &certificate), ("authorization", &token)]);
    assert_eq!(both.status, 200, "{}", both.text());
    assert!(both.text().starts_with(&format!("[CN=robot] [] [{token}]")), "{}", both.text());
    assert_eq!(stage.get(&[("authorization", &token)]).code().as_deref(), Some("call-not-permitted"));
    let stray = stage.get(&[("x-client-certificate", &certificate), ("x-copy", &certificate)]);
    assert_eq!(stray.code().as_deref(), Some("place-not-permitted"));
    let other = stage.get(&[("authorization", &format!("Bearer {certificate}"))]);
    assert_eq!(other.code().as_deref(), Some("place-not-permitted"));
}

#[test]
fn a_certificate_of_another_authority_and_none_are_refused_by_the_destination() {
    let Some(stage) = Stage::new() else { return };
    let wrong = stage.placeholder("wrong", &TestAuthority::new().client_pem("stranger", false));
    let answer = stage.get(&[("x-client-certificate", &wrong)]);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("SSL certificate error"), "{}", answer.text());
    stage.setup.broker.deposit("token", "bearer", &[&stage.nginx.url()], CANARY);
    let permit = policy(&stage.nginx.url(), "GET /", "header authorization bearer", "");
    let token = stage.setup.broker.permit("token", "robot", &permit, &[]).text;
    let answer = stage.get(&[("authorization", &format!("Bearer {token}"))]);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("No required SSL certificate"), "{}", answer.text());
}

#[test]
fn what_is_no_certificate_with_its_key_is_not_deposited() {
    let setup = setup();
    let clients = TestAuthority::new();
    let (one, two) = (clients.client_pem("one", false), clients.client_pem("two", false));
    let (certificate, key) = one.split_at(one.find("-----BEGIN PRIVATE").unwrap());
    let other = &two[two.find("-----BEGIN PRIVATE").unwrap()..];
    for (pem, because) in [
        (certificate.to_owned(), "deposited as PEM"),
        (key.to_owned(), "deposited as PEM"),
        (format!("{certificate}{key}{other}"), "deposited as PEM"),
        (format!("{certificate}{other}"), "not that of the first certificate"),
        (clients.client_pem("old", true), "past its end"),
        (CANARY.to_owned(), "deposited as PEM"),
    ] {
        let add = ["credential", "add", "c", "--kind", "mtls", "--to", "https://api.example.com"];
        let answer = setup.broker.run_with(&add, &pem);
        assert!(!answer.status.success() && answer.stderr.contains(because), "{answer:?}");
    }
    setup.broker.deposit("c", "mtls", &["https://api.example.com"], &one);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    for place in ["header authorization bearer", "sigv4 eu-west-1 s3", "hmac github"] {
        std::fs::write(&file, policy("https://api.example.com", "GET /", place, "")).unwrap();
        let whose = ["placeholder", "issue", "--credential", "c", "--workload", "robot"];
        let issued = setup.broker.run(&[&whose[..], &["--policy", file.to_str().unwrap()]].concat());
        assert!(!issued.status.success() && issued.stderr.contains("mtls HEADER"), "{issued:?}");
    }
    std::fs::write(&file, policy("http://api.example.com", "GET /", "mtls x-certificate", "")).unwrap();
    let checked = setup.broker.run(&["policy", "check", file.to_str().unwrap()]);
    assert!(!checked.status.success() && checked.stderr.contains("plain http"), "{checked:?}");
}
