//! SeaweedFS as peer: S3 that verifies signatures, and where it is told of roles an STS that verifies web identities.

use crate::support::eventually;
use cloakroom_testkit::CANARY;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The access key id of its administrator, whose secret is the canary.
pub(crate) const ID: &str = "AKIAIOSFODNN7EXAMPLE";

/// The administrator's key, as a credentials file has it.
pub(crate) fn access_key() -> String {
    format!("[default]\naws_access_key_id = {ID}\naws_secret_access_key = {CANARY}\n")
}

/// SeaweedFS, which speaks S3 and verifies signatures.
pub(crate) struct SeaweedFs {
    child: Child,
    pub(crate) port: u16,
    _ports: Ports,
    directory: tempfile::TempDir,
}

impl SeaweedFs {
    /// With `iam`, its own STS answers at the same port.
    pub(crate) fn start(clients: &Path, ports: Ports, iam: Option<&Value>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identities = format!(
            r#"{{"identities":[{{"name":"admin","credentials":[{{"accessKey":"{ID}","secretKey":"{CANARY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
        );
        std::fs::write(directory.path().join("s3.json"), identities).unwrap();
        let [master, volume, filer, port, _] = ports.numbers;
        let argument = |name: &str, value: &dyn std::fmt::Display| format!("-{name}={value}");
        let log = File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new(clients.join("venv/bin/weed"));
        let child = command
            .args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            .args(["-volume.max=50", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"])
            // Where these are not left out, no two servers run at once.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(argument("dir", &directory.path().display()))
            .arg(argument("master.port", &master))
            .arg(argument("volume.port", &volume))
            .arg(argument("filer.port", &filer))
            .arg(argument("s3.port", &port))
            .arg(argument("s3.config", &directory.path().join("s3.json").display()))
            .args(iam.map(|iam| {
                let file = directory.path().join("iam.json");
                std::fs::write(&file, iam.to_string()).unwrap();
                argument("s3.iam.config", &file.display())
            }))
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, port, _ports: ports, directory };
        eventually("the S3 server answers", || {
            let ended = server.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(server.directory.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "the S3 server ended: {}", log());
            answers(port).then_some(())
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it has an answer, which comes once what is behind it runs.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut reply = Vec::new();
    asked.is_ok() && stream.read_to_end(&mut reply).is_ok() && reply.starts_with(b"HTTP/1.1 403")
}

/// Five ports that are free, as are those 10,000 above them, which the server takes too. Below the range that the system takes from.
pub(crate) struct Ports {
    pub(crate) numbers: [u16; 5],
    /// While it is locked, no other test on this machine takes them: a server needs a moment until it has its ports.
    _held: File,
}

impl Ports {
    pub(crate) fn take() -> Self {
        let is_free = |port: &u16| {
            [*port, port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        };
        let take = |block: u16| {
            let path = std::env::temp_dir().join(format!("cloakroom-test-ports-{block}"));
            let held = File::options().create(true).truncate(false).write(true).open(path).ok()?;
            held.try_lock().ok()?;
            let numbers: [u16; 5] =
                std::array::from_fn(|at| 12_000 + 10 * block + u16::try_from(at).unwrap());
            numbers.iter().all(is_free).then_some(Self { numbers, _held: held })
        };
        (0..990).find_map(take).expect("five free ports")
    }
}
