//! Real clients, unmodified, with the usual settings only: a proxy and a certificate file, or a base URL.

use crate::support::{policy, setup};
use cloakroom_testkit::{Broker, GitServer, Received, Reply, Setup, TAIL, TlsUpstream, Workload, shaped};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where `cargo xtask clients` put them; `None` where the run leaves them out knowingly.
pub(crate) fn installed() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients");
    let directory = std::env::var_os("CLOAKROOM_CLIENTS").map_or(here, PathBuf::from);
    if directory.as_os_str() == "left-out" {
        eprintln!("LEFT OUT by --no-clients");
        return None;
    }
    for file in ["venv/bin/python", "node/node_modules"] {
        assert!(directory.join(file).exists(), "{file} is missing: run cargo xtask clients");
    }
    Some(directory)
}

/// Where the Python of the virtual environment has its own files: below a home directory, with some ways to install it.
pub(crate) fn python_files(clients: &Path) -> String {
    let mut command = Command::new(clients.join("venv/bin/python"));
    let output = command.args(["-c", "import sys; print(sys.base_prefix, end='')"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(name).canonicalize().unwrap()
}

/// A service that demands the real credential and speaks enough of four vendors' dialects.
pub(crate) fn service(request: &Received) -> Reply {
    let secret = shaped("sk-");
    let presented = request.header("x-api-key").or_else(|| {
        let value = request.header("authorization")?;
        value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("token "))
    });
    if presented != Some(secret.as_str()) {
        let body = json!({"error": {"message": "no such key", "type": "authentication_error"}});
        return Reply::status("401 Unauthorized")
            .with("content-type", "application/json")
            .with_body(body.to_string());
    }
    let json = |value: serde_json::Value| Reply::ok("application/json", value.to_string());
    let path = request.target.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("GET", "/v1/whoami") => json(json!({"you_sent": presented, "ok": true})),
        ("POST", "/v1/chat/completions")
            if String::from_utf8_lossy(&request.body).contains("\"stream\":true") =>
        {
            let chunk = |text: &str| {
                let value = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "small",
                    "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
                format!("data: {value}\n\n")
            };
            let events = [chunk("your key is "), chunk(&secret), "data: [DONE]\n\n".into()];
            Reply::ok("text/event-stream", events.concat()).in_chunks_of(11)
        }
        ("POST", "/v1/chat/completions") => json(json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "small",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": format!("your key is {secret}")},
                "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        })),
        ("POST", "/v1/messages") => json(json!({
            "id": "m1", "type": "message", "role": "assistant", "model": "small",
            "content": [{"type": "text", "text": format!("your key is {secret}")}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}
        })),
        ("POST", "/v1/customers") => json(json!({
            "id": "cus_1", "object": "customer", "email": "ann@example.com", "description": secret
        })),
        ("POST", "/v1/echo") => Reply::ok("application/octet-stream", request.body.clone()),
        ("GET", "/user") => json(json!({"login": "ann", "id": 1, "bio": secret})),
        _ => Reply::status("404 Not Found").with("content-type", "application/json").with_body("{}"),
    }
}

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    placeholder: String,
    clients: PathBuf,
}

impl Stage {
    fn new(kind: &str, call: &str, place: &str) -> Option<Self> {
        let clients = installed()?;
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, service);
        setup.broker.deposit("c", kind, &[&upstream.url()], &shaped("sk-"));
        let permit = policy(&upstream.url(), call, place, "");
        let placeholder = setup.broker.permit("c", "robot", &permit, &[]).text;
        Some(Self { setup, upstream, placeholder, clients })
    }

    /// Runs a script in both usual settings: it exits with 0 when each call did what it should.
    fn run(&self, program: &Path, script: &Path) {
        for mode in ["proxy", "base-url"] {
            self.run_in(program, script, mode);
        }
    }

    fn run_in(&self, program: &Path, script: &Path, mode: &str) {
        let name = script.display();
        let before = self.upstream.requests().len();
        let mut command = Command::new(program);
        command.arg(script).arg(mode);
        surroundings(&mut command, &self.setup.broker, &self.setup.robot);
        command
            .env("DESTINATION", self.upstream.url())
            .env("BASE", format!("http://{}/to/{}", self.setup.broker.listen(), self.upstream.authority()))
            .env("PLACEHOLDER", &self.placeholder);
        if mode == "base-url" {
            command.env_remove("HTTPS_PROXY");
        }
        let told = run(&self.setup.broker, command);
        assert!(told.contains(&self.placeholder), "{name} by {mode} saw no placeholder in the reply: {told}");
        assert!(self.upstream.requests().len() > before, "{name} by {mode} never reached the upstream");
    }
}

/// A program that serves until it is dropped, and says its port in the first line that it writes.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
}

impl Peer {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|error| panic!("{command:?}: {error}: {line}"));
        Self { child, port }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings that any program takes from its surroundings.
pub(crate) fn surroundings(command: &mut Command, broker: &Broker, robot: &Workload) {
    let ca = broker.ca_file();
    command
        .env("HTTPS_PROXY", format!("http://{}:{}@{}", robot.name, robot.key, broker.listen()))
        .env("WORKLOAD", format!("{}:{}", robot.name, robot.key))
        .env("CURL_CA_BUNDLE", &ca)
        .env("GIT_SSL_CAINFO", &ca)
        .env("REQUESTS_CA_BUNDLE", &ca)
        .env("SSL_CERT_FILE", &ca)
        .env("NODE_EXTRA_CA_CERTS", &ca)
        .env("NODE_NO_WARNINGS", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for name in ["https_proxy", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"]
    {
        command.env_remove(name);
    }
}

/// Runs a client that has to succeed; gives what it told, which the hunt will see too.
pub(crate) fn run(broker: &Broker, mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = [&output.stdout[..], &output.stderr].concat();
    broker.log().lock().unwrap().push(told.clone());
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{command:?} failed: {}\n{told}\n{}", output.status, broker.output());
    told
}

fn python(script: &str, kind: &str, call: &str, place: &str) {
    if let Some(stage) = Stage::new(kind, call, place) {
        stage.run(&stage.clients.join("venv/bin/python"), &self::script(script));
    }
}

fn node(script: &str, kind: &str, call: &str, place: &str) {
    if let Some(stage) = Stage::new(kind, call, place) {
        // Node looks for modules upwards from the script.
        let directory = tempfile::tempdir_in(stage.clients.join("node")).unwrap();
        for file in ["common.mjs", script] {
            std::fs::copy(self::script(file), directory.path().join(file)).unwrap();
        }
        stage.run(Path::new("node"), &directory.path().join(script));
    }
}

pub(crate) const BEARER: &str = "header authorization bearer";

#[test]
fn requests_works_unmodified() {
    python("use_requests.py", "bearer", "GET /v1/whoami", BEARER);
}

#[test]
fn httpx_works_unmodified() {
    python("use_httpx.py", "bearer", "GET /v1/whoami", BEARER);
}

#[test]
fn the_openai_sdk_works_unmodified_streaming_included() {
    python("use_openai.py", "bearer", "POST /v1/chat/completions", BEARER);
}

#[test]
fn the_anthropic_sdk_works_unmodified() {
    python("use_anthropic.py", "bearer", "POST /v1/messages", BEARER);
}

#[test]
fn the_stripe_sdk_works_unmodified() {
    python("use_stripe.py", "bearer", "POST /v1/customers", BEARER);
}

#[test]
fn the_fetch_of_node_works_unmodified() {
    node("use_fetch.mjs", "bearer", "GET /v1/whoami", BEARER);
}

#[test]
fn octokit_works_unmodified() {
    node("use_octokit.mjs", "bearer", "GET /user", BEARER);
}

#[test]
fn curl_works_in_each_way_in() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, service);
    let (broker, robot) = (&setup.broker, &setup.robot);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk-"));
    let permit = policy(&upstream.url(), "GET /v1/whoami", BEARER, "");
    let placeholder = broker.permit("c", "robot", &permit, &[]).text;
    let authorization = format!("Authorization: Bearer {placeholder}");
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        surroundings(&mut command, broker, robot);
        command
            .args(["-q", "--silent", "--show-error", "--fail-with-body", "-H", &authorization])
            .args(arguments);
        command
    };
    let proxy = format!("http://{}:{}@{}", robot.name, robot.key, broker.listen());
    let workload = format!("Cloakroom-Workload: {}:{}", robot.name, robot.key);
    let base = format!("http://{}/to/{}/v1/whoami", broker.listen(), upstream.authority());
    let plain = format!("http://{}/v1/whoami", upstream.authority());
    let direct = format!("{}/v1/whoami", upstream.url());
    for arguments in [
        &[direct.as_str()][..],
        &["--http2", &direct],
        &["--proxy", &proxy, &plain],
        &["--noproxy", "*", "-H", &workload, &base],
    ] {
        let told = run(broker, curl(arguments));
        assert!(told.contains(&placeholder) && told.contains("\"ok\":true"), "{arguments:?}: {told}");
    }
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn git_clones_and_pushes_through_the_proxy_and_through_a_base_url() {
    let setup = setup();
    let (broker, robot) = (&setup.broker, &setup.robot);
    let server = GitServer::start(&setup.authority, "robot", &shaped("ghp_"));
    let to = server.upstream().url();
    broker.deposit("git", "basic", &[&to], &shaped("ghp_"));
    let permit = format!(
        "version = 1\n[[permit]]\nname = \"use the demo repository\"\nto = \"{to}\"\n\
         call = [\"GET /demo.git/info/refs\", \"POST /demo.git/git-upload-pack\", \"POST /demo.git/git-receive-pack\"]\n\
         place = \"header authorization basic-password\"\nquery = {{ allow = [\"service\"] }}\n"
    );
    let placeholder = broker.permit("git", "robot", &permit, &[]).text;
    let through_proxy = to.replace("https://", &format!("https://robot:{placeholder}@")) + "/demo.git";
    let through_base = format!(
        "http://robot:{placeholder}@{}/to/{}/demo.git",
        broker.listen(),
        server.upstream().authority()
    );
    let header = format!("http.extraHeader=Cloakroom-Workload: {}:{}", robot.name, robot.key);
    let directory = tempfile::tempdir().unwrap();
    for (name, url) in [("proxied", through_proxy), ("based", through_base)] {
        let work = directory.path().join(name);
        let git = |folder: &Path, arguments: &[&str]| {
            let mut command = Command::new("git");
            surroundings(&mut command, broker, robot);
            command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
            command.env("GIT_TERMINAL_PROMPT", "0").args([
                "-c",
                "user.name=Test",
                "-c",
                "user.email=t@example.com",
            ]);
            if name == "based" {
                command.env_remove("HTTPS_PROXY").args(["-c", &header]);
            }
            command.args(arguments);
            run(broker, command)
        };
        git(directory.path(), &["clone", "--quiet", &url, name]);
        assert!(work.join("README").is_file());
        std::fs::write(work.join(name), "more\n").unwrap();
        git(&work, &["add", name]);
        git(&work, &["commit", "--quiet", "-m", name]);
        git(&work, &["push", "--quiet", "origin", "HEAD:main"]);
        assert!(server.subjects().starts_with(name), "{}", server.subjects());
    }
    let sent = server.upstream().requests();
    assert!(sent.iter().all(|request| !String::from_utf8_lossy(&request.head).contains(&placeholder)));
    assert!(!placeholder.contains(TAIL));
}
