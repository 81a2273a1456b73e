//! A service of AWS as moto plays it: a script that prints one line when it is ready and does what each line on its stdin says.

use crate::clients::{installed, script};
use cloakroom_testkit::{CANARY, TestAuthority};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A service, ended when dropped.
pub(crate) struct Moto {
    child: Child,
    lines: BufReader<ChildStdout>,
    ready: Value,
}

impl Moto {
    /// Starts this script with a certificate of the authority's; nothing without the test clients.
    pub(crate) fn start(name: &str, authority: &TestAuthority) -> Option<Self> {
        let clients = installed()?;
        let mut child = Command::new(clients.join("venv/bin/python"))
            .arg(script(name))
            .args(authority.leaf_files("moto", &["127.0.0.1"]))
            .arg(authority.file())
            .env("SECRET", CANARY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Some(Self { child, lines, ready })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ready["port"])
    }

    /// What it printed under this name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// The access key of this user, as AWS writes one.
    pub(crate) fn access_key(&self, user: &str) -> String {
        self.ready[user].to_string()
    }

    /// The secret half of it.
    pub(crate) fn secret(&self, user: &str) -> String {
        self.ready[user]["SecretAccessKey"].as_str().unwrap().to_owned()
    }

    /// Says a line, and waits until it is done.
    pub(crate) fn does(&mut self, what: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
        self.lines.read_line(&mut String::new()).unwrap();
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
