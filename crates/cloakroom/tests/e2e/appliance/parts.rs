//! What images are made of, and an image with its operator.

use crate::support::{BINARY, policy};
use cloakroom_testkit::{TestAuthority, shaped};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What `cargo xtask appliance` made.
pub(crate) struct Parts(PathBuf);

impl Parts {
    /// `None` where the run leaves them out knowingly.
    pub(crate) fn find() -> Option<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/appliance");
        let directory = std::env::var_os("CLOAKROOM_APPLIANCE").map_or(here, PathBuf::from);
        if directory.as_os_str() == "left-out" {
            eprintln!("LEFT OUT: no appliance is built on this kind of machine");
            return None;
        }
        for file in [
            "cloakroom",
            "robot",
            "kernel/vmlinuz",
            "kernel/modules",
            "workload/kernel/modules",
            "vhost-device-vsock",
        ] {
            assert!(directory.join(file).exists(), "{file} is missing: run cargo xtask appliance");
        }
        Some(Self(directory.canonicalize().unwrap()))
    }

    /// The program without libraries.
    pub(crate) fn program(&self) -> PathBuf {
        self.0.join("cloakroom")
    }

    /// The hostile guest's program.
    pub(crate) fn robot(&self) -> PathBuf {
        self.0.join("robot")
    }

    /// The device that joins guests by vsock.
    pub(crate) fn vsock_device(&self) -> PathBuf {
        self.0.join("vhost-device-vsock")
    }

    /// What the machine of a workload is made of.
    pub(crate) fn workload(&self) -> PathBuf {
        self.0.join("workload")
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.0.join("kernel/vmlinuz")
    }

    pub(crate) fn modules(&self) -> PathBuf {
        self.0.join("kernel/modules")
    }
}

/// Runs the command line.
pub(crate) fn cloakroom(arguments: &[&str]) -> Output {
    cloakroom_in(Path::new("/"), arguments)
}

pub(crate) fn cloakroom_in(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory).env_remove("CLOAKROOM_DATA").env("NO_COLOR", "1");
    command.output().unwrap()
}

/// Runs a command line that has to succeed; its data.
pub(crate) fn done(arguments: &[&str]) -> String {
    let output = cloakroom(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A built image, its operator's directory, and the authority of the destinations.
pub(crate) struct Image {
    pub(crate) parts: Parts,
    pub(crate) authority: TestAuthority,
    pub(crate) directory: TempDir,
}

/// The destinations are on this machine, which QEMU's user network shows as this address.
pub(crate) const HOST: &str = "10.0.2.2";

impl Image {
    /// Built from this machine's parts, with these settings.
    pub(crate) fn build(parts: Parts, settings: &str) -> Self {
        let image = Self { parts, authority: TestAuthority::new(), directory: tempfile::tempdir().unwrap() };
        done(&["--data", &image.path("ops"), "image", "operator"]);
        image.build_as("image", settings);
        image
    }

    /// One more image of the same operator, with other settings.
    pub(crate) fn build_as(&self, name: &str, settings: &str) {
        std::fs::write(self.path("settings.toml"), settings).unwrap();
        let (program, kernel, modules) = (self.parts.program(), self.parts.kernel(), self.parts.modules());
        done(&[
            "--data",
            &self.path("ops"),
            "image",
            "build",
            "--out",
            &self.path(name),
            "--executable",
            text(&program),
            "--kernel",
            text(&kernel),
            "--modules",
            text(&modules),
            "--settings",
            &self.path("settings.toml"),
            "--trust",
            text(&self.authority.file()),
        ]);
    }

    /// A path below this image's own directory.
    pub(crate) fn path(&self, name: &str) -> String {
        text(&self.directory.path().join(name)).to_owned()
    }

    /// A command on the operator's directory that has to succeed; its data as JSON.
    pub(crate) fn operate(&self, arguments: &[&str], input: &str) -> serde_json::Value {
        let output = self.try_to_operate("ops", arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Deposits the canary for this destination, as the credential `c`.
    pub(crate) fn deposit(&self, to: &str) {
        self.operate(&["credential", "add", "c", "--kind", "bearer", "--to", to], &shaped("sk_live_"));
    }

    /// An approved placeholder of this workload for the items of this destination.
    pub(crate) fn permit(&self, to: &str, workload: &str, more: &[&str]) -> String {
        let file = self.path("policy.toml");
        let text = policy(to, "GET /v1/items/{id}", "header authorization bearer", "");
        std::fs::write(&file, text).unwrap();
        let words = ["placeholder", "issue", "--credential", "c", "--workload", workload, "--policy", &file];
        let issued = self.operate(&[&words[..], more].concat(), "");
        self.operate(&["approval", "grant", issued["approval"].as_str().unwrap(), "--yes"], "");
        issued["placeholder"].as_str().unwrap().to_owned()
    }

    /// A command on this operator's directory.
    pub(crate) fn try_to_operate(&self, operator: &str, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;
        use std::process::Stdio;
        let mut command = Command::new(BINARY);
        command.args(["--json", "--data", &self.path(operator)]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
