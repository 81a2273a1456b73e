//! Logins: a person logs in at a real authorization server, and the broker has a credential of it; nobody else has anything.

mod again;
mod bound;
mod browser;
mod clients;
mod device;
mod hostile;
mod wrong;

use crate::authorization_server::AuthorizationServer;
use crate::support::{BINARY, item, items, setup};
use cloakroom_testkit::{Answer, Broker, Issued, Received, Reply, Response, Setup, TlsUpstream, Way, shaped};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::NamedTempFile;

/// Says what it got.
fn service(request: &Received) -> Reply {
    let presented = request.header("authorization").unwrap_or_default().to_owned();
    Reply::ok("text/plain", format!("you sent {presented}"))
}

/// A broker, a service, and an authorization server that knows the broker's console.
struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    server: AuthorizationServer,
    secret: NamedTempFile,
}

impl Stage {
    fn new() -> Option<Self> {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Option<Self> {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, service);
        let redirects =
            format!("{} http://127.0.0.1/callback https://localhost/callback", callback(&setup.broker));
        let variables = [&[("REDIRECTS", redirects.as_str())], variables].concat();
        let server = AuthorizationServer::start(&setup.authority, &variables)?;
        let mut secret = NamedTempFile::new().unwrap();
        secret.write_all(shaped("client-").as_bytes()).unwrap();
        Some(Self { setup, upstream, server, secret })
    }

    fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    /// `credential add`, under way.
    fn begin(&self, client: &str, more: &[&str]) -> Login {
        let (to, issuer, secret) =
            (self.upstream.url(), self.server.issuer(), self.secret.path().display().to_string());
        let mut arguments = vec!["credential", "add", "c", "--to", &to, "--client-id", client];
        if ["app", "posting"].contains(&client) {
            arguments.extend(["--client-secret-file", &secret]);
        }
        if !more.contains(&"--token-endpoint") && !more.contains(&"--issuer") {
            arguments.extend(["--issuer", &issuer]);
        }
        arguments.extend(more);
        Login::start(self.broker(), &arguments)
    }

    /// Ann's browser: cookies, redirects, and nothing else. Gives the page where it ends.
    fn browse(&self, url: &str) -> String {
        self.browse_with(url, &["-L"])
    }

    /// As far as the redirect that leads away from the authorization server: its URL.
    fn answer_to(&self, url: &str) -> String {
        let mut next = url.to_owned();
        while next.starts_with(&self.server.issuer()) {
            let told = self.browse_with(&next, &["-w", "\n%{redirect_url}"]);
            next = told.lines().last().unwrap().to_owned();
            assert!(!next.is_empty(), "{told}");
        }
        next
    }

    fn browse_with(&self, url: &str, options: &[&str]) -> String {
        let jar = self.setup.authority.directory().join("cookies");
        let output = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(self.setup.authority.file())
            .arg("-b")
            .arg(&jar)
            .arg("-c")
            .arg(&jar)
            .args(options)
            .arg(url)
            .output()
            .unwrap();
        self.broker().log().lock().unwrap().push(output.stdout.clone());
        String::from_utf8(output.stdout).unwrap()
    }

    fn permit(&self) -> Issued {
        self.broker().permit("c", "robot", &items(&self.upstream), &[])
    }

    fn call(&self, issued: &Issued) -> Response {
        let request = item(&self.upstream, "1", &issued.text);
        self.broker().call(Way::Connect, Some(&self.setup.robot), &request)
    }

    /// What reached the destination last.
    fn presented(&self) -> String {
        self.upstream.last().header("authorization").unwrap().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.hunt(self.broker());
        }
    }
}

/// Where the console takes answers.
fn callback(broker: &Broker) -> String {
    let port = broker.console().rsplit(':').next().unwrap().trim_end_matches('/');
    format!("http://localhost:{port}/oauth/callback")
}

/// A command that waits for a person, with `--json`.
struct Login {
    child: Child,
    says: BufReader<ChildStdout>,
    /// What it asks the person for.
    invitation: Value,
    log: cloakroom_testkit::Log,
}

impl Login {
    fn start(broker: &Broker, arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .arg("--json")
            .env("CLOAKROOM_DATA", broker.data())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        broker.log().lock().unwrap().push(line.clone().into_bytes());
        let invitation = serde_json::from_str(&line).unwrap_or(Value::Null);
        Self { child, says, invitation, log: broker.log() }
    }

    fn url(&self) -> &str {
        self.invitation["url"].as_str().unwrap_or_else(|| panic!("no URL in {}", self.invitation))
    }

    /// Tells the command something.
    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// How it ended, and what it said.
    fn end(mut self) -> Answer {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.says.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        for text in [&stdout, &stderr] {
            self.log.lock().unwrap().push(text.clone().into_bytes());
        }
        Answer { status, stdout, stderr }
    }

    /// The code of its failure.
    fn failure(self) -> String {
        let answer = self.end();
        assert!(!answer.status.success(), "{answer:?}");
        let said: Value =
            serde_json::from_str(&answer.stderr).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        said["error"]["code"].as_str().unwrap().to_owned()
    }
}
