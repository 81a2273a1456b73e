//! The tour's broker: this very program, as a child process on a directory of its own.

use super::service::Service;
use crate::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) struct Stage {
    program: PathBuf,
    directory: PathBuf,
    broker: Child,
    listen: SocketAddr,
}

impl Stage {
    /// Starts the broker and waits until it is ready.
    pub(super) fn open(directory: &Path, service: &Service) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let log = std::fs::File::create(directory.join("serve.log"))?;
        let mut broker = Command::new(&program)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"])
            .args(["--allow-address", "127.0.0.0/8", "--allow-address", "::1/128"])
            .arg("--upstream-ca")
            .arg(service.ca())
            .arg("--data")
            .arg(directory.join("data"))
            .env_remove("CLOAKROOM_PASSPHRASE_FILE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = broker.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        let listen =
            ready.as_ref().and_then(|ready| ready["listen"].as_str()).and_then(|text| text.parse().ok());
        let Some(listen) = listen else {
            let _ = broker.kill();
            let _ = broker.wait();
            let log = std::fs::read_to_string(directory.join("serve.log")).unwrap_or_default();
            return Err(Failure::failed(format!("the tour's broker did not start: {}", log.trim())));
        };
        Ok(Self { program, directory: directory.to_owned(), broker, listen })
    }

    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The certificate that the workload trusts.
    pub(super) fn ca(&self) -> Result<String, Failure> {
        Ok(std::fs::read_to_string(self.directory.join("data/ca.pem"))?)
    }

    /// Writes a file beside the data directory.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<String, Failure> {
        let path = self.directory.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// Runs a command of this program with `--json`; the secret, if any, goes to its stdin.
    pub(super) fn cli(&self, arguments: &[&str], input: &str) -> Result<Value, Failure> {
        let mut child = Command::new(&self.program)
            .arg("--data")
            .arg(self.directory.join("data"))
            .arg("--json")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that takes no input may have ended already.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::failed(format!(
                "cloakroom {} failed: {}",
                arguments.join(" "),
                said.trim()
            )));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| Failure::failed(error.to_string()))
    }

    /// Asks the broker to stop, and sees that it does.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.broker.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        }
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if let Some(status) = self.broker.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(Failure::failed("the broker stopped badly"))
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Failure::failed("the broker did not stop"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Where the tour failed on its way; after `close` there is nothing to kill.
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}
