//! The texts to copy of a workload's page, as they stand there, run: with the placeholder filled in and the service's own address in place of
//! the example's.

use super::browser::{Browser, enrolled};
use crate::clients::{BEARER, installed, run, service};
use crate::seaweed::{Ports, SeaweedFs, access_key};
use crate::support::{BINARY, policy};
use cloakroom_testkit::{Broker, BrokerBuilder, GitServer, TestAuthority, TlsUpstream, shaped};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Stage {
    authority: TestAuthority,
    broker: Broker,
    browser: Browser,
    clients: PathBuf,
    desk: tempfile::TempDir,
}

impl Stage {
    /// A broker, and in its console the page on which the workload `agent` was just added.
    fn new() -> Option<Self> {
        let clients = installed()?;
        let authority = TestAuthority::new();
        let broker = BrokerBuilder::new(BINARY, &authority).start();
        let mut browser = enrolled(&broker, &[])?;
        browser.open("/workloads");
        browser.fill(json!({ "form.inline [name=name]": "agent" }));
        browser.submit("form.inline button");
        let desk = tempfile::tempdir_in(clients.join("node")).unwrap();
        Some(Self { authority, broker, browser, clients, desk })
    }

    /// A text of the page. The key is in it.
    fn snippet(&mut self, id: &str, words: &[(&str, &str)]) -> String {
        let text = self.browser.text(&format!("#{id}"));
        assert!(text.contains("cwk_"), "{id}: {text}");
        words.iter().fold(text, |text, (word, value)| {
            assert!(text.contains(word), "{id} has no {word}: {text}");
            text.replace(word, value)
        })
    }

    /// Runs a text in a directory of its own, with nothing set but where programs are.
    fn run(&self, program: &str, arguments: &[&str], more: &[(&str, &str)]) -> String {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.clients.join("venv/bin").display(), std::env::var("PATH").unwrap());
        command.args(arguments).current_dir(self.desk.path()).env_clear();
        command.env("PATH", path).env("HOME", self.desk.path()).envs(more.iter().copied());
        run(&self.broker, command)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.desk.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn curl_python_and_node_call_with_the_text_as_it_is_copied() {
    let Some(mut stage) = Stage::new() else { return };
    let upstream = TlsUpstream::start(&stage.authority, service);
    stage.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk-"));
    let permit = policy(&upstream.url(), "GET /v1/whoami", BEARER, "");
    let issued = stage.broker.permit("c", "agent", &permit, &[]).text;
    let (authority, ca) = (upstream.authority(), stage.broker.ca_file());
    let words = [
        ("PLACEHOLDER", issued.as_str()),
        ("api.example.com", authority.as_str()),
        ("/v1/things/1", "/v1/whoami"),
    ];
    let curl = stage.snippet("curl", &words);
    let base = stage.snippet("base-url", &words);
    let python = stage.snippet("python", &words);
    let node = stage.snippet("node", &words);
    let environment = stage.snippet("environment", &[]);
    let plain =
        format!("{environment}\ncurl -H 'Authorization: Bearer {issued}' https://{authority}/v1/whoami");
    let (python, node) = (stage.file("call.py", &python), stage.file("call.mjs", &node));
    let told = [
        stage.run("sh", &["-ec", &curl], &[]),
        stage.run("sh", &["-ec", &base], &[]),
        stage.run("sh", &["-ec", &plain], &[]),
        stage.run("python", &[&python], &[]),
        stage.run("node", &[&node], &[("NODE_EXTRA_CA_CERTS", ca.to_str().unwrap())]),
    ];
    for told in &told {
        assert!(told.contains("\"ok\":true") && told.contains(&issued), "{told}");
    }
    assert_eq!(upstream.requests().len(), told.len());
}

#[test]
fn git_clones_with_the_text_as_it_is_copied() {
    let Some(mut stage) = Stage::new() else { return };
    let server = GitServer::start(&stage.authority, "x-access-token", &shaped("ghp_"));
    let to = server.upstream().url();
    stage.broker.deposit("git", "basic", &[&to], &shaped("ghp_"));
    let permit = format!(
        "version = 1\n[[permit]]\nname = \"clone\"\nto = \"{to}\"\nplace = \"header authorization basic-password\"\n\
         call = [\"GET /demo.git/info/refs\", \"POST /demo.git/git-upload-pack\"]\nquery = {{ allow = [\"service\"] }}\n"
    );
    let issued = stage.broker.permit("git", "agent", &permit, &[]).text;
    let authority = server.upstream().authority();
    let words = [
        ("PLACEHOLDER", issued.as_str()),
        ("github.com", authority.as_str()),
        ("OWNER/REPOSITORY.git", "demo.git"),
    ];
    let text = stage.snippet("git", &words);
    stage.run("sh", &["-ec", &text], &[("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")]);
    assert!(stage.desk.path().join("demo/README").is_file());
}

#[test]
fn boto3_lists_buckets_with_the_text_as_it_is_copied() {
    let Some(mut stage) = Stage::new() else { return };
    let server = SeaweedFs::start(&stage.clients, Ports::take(), None);
    stage.broker.deposit("s3", "aws", &[&server.url()], &access_key());
    let permit = policy(&server.url(), "GET /", "sigv4 us-east-1 s3", "");
    let issued = stage.broker.permit("s3", "agent", &permit, &[]).text;
    let text = stage.snippet("boto3", &[("PLACEHOLDER", &issued)]);
    // The service's own address, as the SDK takes it from its surroundings; this one speaks HTTP.
    let (url, proxy) = (server.url(), proxy_of(&text));
    let told = stage.run("sh", &["-ec", &text], &[("AWS_ENDPOINT_URL", &url), ("HTTP_PROXY", &proxy)]);
    assert!(told.trim_end().ends_with("[]"), "{told}");
}

/// Where the text leads calls.
fn proxy_of(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("export HTTPS_PROXY="));
    line.unwrap().to_owned()
}

#[test]
fn what_is_for_other_machines_is_at_least_well_formed() {
    let Some(mut stage) = Stage::new() else { return };
    let kubernetes = stage.snippet("kubernetes", &[("PLACEHOLDER", "x")]);
    let file = stage.file("pod.yaml", &kubernetes);
    let read = "import sys, yaml; spec = yaml.safe_load(open(sys.argv[1]))['spec']; \
                print([one['name'] for one in spec['containers'][0]['env']])";
    let told = stage.run("python", &["-c", read, &file], &[]);
    assert!(told.contains("HTTPS_PROXY") && told.contains("SSL_CERT_FILE"), "{told}");
    for id in ["docker", "claude-code", "codex"] {
        let text = stage.snippet(id, &[("PLACEHOLDER", "x")]);
        stage.run("sh", &["-n", &stage.file(id, &text)], &[]);
    }
    assert!(Path::new(&file).is_file());
}
