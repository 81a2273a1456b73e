//! The real binary on a directory of its own, driven by its own CLI, and searched for the canary at the end.

use crate::wire::{Log, Request, Way, Wire, Workload};
use crate::{Response, TestAuthority, hunt};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// What a CLI command gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// Its data.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

impl Answer {
    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// An issued placeholder.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// The approval it waits for.
    pub approval: String,
}

/// How a broker is started.
pub struct BrokerBuilder {
    binary: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    ignore_file_size_signal: bool,
    owner: Option<u32>,
}

impl BrokerBuilder {
    /// The binary, trusting `upstreams` and allowing loopback.
    pub fn new(binary: &str, upstreams: &TestAuthority) -> Self {
        Self::bare(binary)
            .argument("--upstream-ca")
            .argument(upstreams.file())
            .argument("--allow-address")
            .argument("127.0.0.0/8")
    }

    /// The binary without extra trust and without allowed ranges.
    pub fn bare(binary: &str) -> Self {
        Self {
            binary: binary.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            ignore_file_size_signal: false,
            owner: None,
        }
    }

    /// Makes a full disk possible: see [`Broker::limit_file_size`].
    #[must_use]
    pub fn with_a_disk_that_can_fill(mut self) -> Self {
        self.ignore_file_size_signal = true;
        self
    }

    /// Gives the data directory to this user, for a broker that becomes it.
    #[must_use]
    pub fn owned_by(mut self, user: u32) -> Self {
        self.owner = Some(user);
        self
    }

    /// Adds an argument of `serve`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable of `serve`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Broker {
        let data = tempfile::tempdir().unwrap();
        if let Some(user) = self.owner {
            std::os::unix::fs::chown(data.path(), Some(user), Some(user)).unwrap();
        }
        let mut broker = Broker {
            builder: self,
            data,
            process: None,
            listen: ([127, 0, 0, 1], 0).into(),
            console: String::new(),
            issuer: String::new(),
            outputs: Arc::default(),
            log: Arc::default(),
        };
        broker.launch();
        broker
    }
}

struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

/// The broker.
pub struct Broker {
    builder: BrokerBuilder,
    data: TempDir,
    process: Option<Process>,
    listen: SocketAddr,
    console: String,
    issuer: String,
    outputs: Arc<Mutex<Vec<u8>>>,
    log: Log,
}

impl Broker {
    /// Where workloads connect to.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// What the ready line calls the console.
    pub fn console(&self) -> &str {
        &self.console
    }

    /// What the ready line calls the issuer's listener; empty where there is none.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The file with the certificate of the broker's authority.
    pub fn ca_file(&self) -> PathBuf {
        self.data.path().join("ca.pem")
    }

    /// The certificate of the broker's authority.
    pub fn ca_pem(&self) -> String {
        std::fs::read_to_string(self.ca_file()).unwrap()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the broker is not running").child.id()
    }

    /// Everything the broker wrote to stdout and stderr.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.outputs.lock().unwrap()).into_owned()
    }

    /// What workloads received; add what clients outside [`Wire`] received.
    pub fn log(&self) -> Log {
        Arc::clone(&self.log)
    }

    /// Starts the process.
    pub fn launch(&mut self) {
        self.launch_with(&[]);
    }

    /// Starts the process with further arguments, this once.
    pub fn launch_with(&mut self, more: &[&str]) {
        assert!(self.process.is_none(), "the broker runs already");
        self.process = Some(self.start_process(more));
    }

    /// Starts another process that takes over from the one that runs, and waits for both: one ready, one ended in order.
    pub fn take_over(&mut self) {
        let former = self.process.take().expect("the broker is not running");
        self.process = Some(self.start_process(&["--take-over"]));
        let mut former = former;
        let status = former.child.wait().unwrap();
        former.readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(status.success(), "the former broker ended with {status}\n{}", self.output());
    }

    fn start_process(&mut self, more: &[&str]) -> Process {
        let mut child = self
            .server_command()
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"])
            .args(&self.builder.arguments)
            .args(more)
            .envs(self.builder.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.builder.binary.display()));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let errors = Arc::clone(&self.outputs);
        let mut readers = vec![std::thread::spawn(move || collect(&mut stderr, &errors))];
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        self.outputs.lock().unwrap().extend_from_slice(line.as_bytes());
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            let status = child.wait();
            for reader in readers {
                let _ = reader.join();
            }
            panic!("the broker did not get ready ({status:?}): {line:?}\n{}", self.output());
        };
        let rest = Arc::clone(&self.outputs);
        readers.push(std::thread::spawn(move || collect(&mut stdout, &rest)));
        self.listen = ready["listen"].as_str().unwrap().parse().unwrap();
        self.console = ready["console"].as_str().unwrap_or_default().to_owned();
        self.issuer = ready["issuer"].as_str().unwrap_or_default().to_owned();
        Process { child, readers }
    }

    /// From the next start on the process dies at this place (`PLACE` or `PLACE:PASSES`), as by SIGKILL; `None`: nowhere.
    /// Only a build with debug assertions has such places.
    pub fn die_at(&mut self, place: Option<&str>) {
        let name = "CLOAKROOM_DIE_AT";
        self.builder.variables.retain(|(other, _)| other != name);
        self.builder.variables.extend(place.map(|place| (name.to_owned(), place.to_owned())));
    }

    /// Waits for a process that dies by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the broker is not running");
        let status = process.child.wait().unwrap();
        process.readers.into_iter().for_each(|reader| reader.join().unwrap());
        status
    }

    /// Kills the process at once (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            process.child.wait().unwrap();
            process.readers.into_iter().for_each(|reader| reader.join().unwrap());
        }
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the broker is not running");
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = process.child.wait().unwrap();
        process.readers.into_iter().for_each(|reader| reader.join().unwrap());
        status
    }

    /// Stops and starts it on the same data.
    pub fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    /// From now on no file of the broker can grow beyond this many bytes, as on a full disk; `None` lifts it.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        assert!(self.builder.ignore_file_size_signal, "start it with a disk that can fill");
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        // The hard limit stays as it is, so that it can be lifted again.
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    }

    fn server_command(&self) -> Command {
        if !self.builder.ignore_file_size_signal {
            return self.command();
        }
        // A signal that is ignored stays ignored over exec: a write that is too long then fails like on a full disk.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(&self.builder.binary);
        self.surround(&mut command);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.builder.binary);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.env("CLOAKROOM_DATA", self.data.path()).env_remove("RUST_LOG").env("NO_COLOR", "1");
    }

    /// Runs a CLI command with this standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Answer {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            self.log.lock().unwrap().push(bytes.clone());
        }
        Answer {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a CLI command.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with(arguments, "")
    }

    /// Runs a CLI command that has to succeed.
    pub fn cli(&self, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert!(answer.status.success(), "{arguments:?}: {answer:?}\n{}", self.output());
        answer
    }

    /// Runs a CLI command with `--json` that has to succeed.
    pub fn cli_json(&self, arguments: &[&str]) -> Value {
        self.cli(&[arguments, &["--json"]].concat()).json()
    }

    /// Deposits a credential.
    pub fn deposit(&self, name: &str, kind: &str, to: &[&str], secret: &str) {
        let mut arguments = vec!["credential", "add", name, "--kind", kind];
        for destination in to {
            arguments.extend(["--to", destination]);
        }
        let answer = self.run_with(&arguments, secret);
        assert!(answer.status.success(), "{answer:?}\n{}", self.output());
    }

    /// Adds a workload.
    pub fn workload(&self, name: &str) -> Workload {
        let added = self.cli_json(&["workload", "add", name]);
        let key = added["key"].as_str().unwrap_or_else(|| panic!("no key in {added}"));
        Workload { name: name.into(), key: key.into() }
    }

    /// Issues a placeholder; it waits for approval.
    pub fn issue(&self, credential: &str, workload: &str, policy: &str, more: &[&str]) -> Issued {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.toml");
        std::fs::write(&file, policy).unwrap();
        let file = file.to_str().unwrap();
        let mut arguments = vec![
            "placeholder",
            "issue",
            "--credential",
            credential,
            "--workload",
            workload,
            "--policy",
            file,
        ];
        arguments.extend(more);
        let issued = self.cli_json(&arguments);
        let text =
            |key: &str| issued[key].as_str().unwrap_or_else(|| panic!("no {key} in {issued}")).to_owned();
        assert_eq!(text("state"), "pending");
        Issued { id: text("id"), text: text("placeholder"), approval: text("approval") }
    }

    /// Issues a placeholder and grants its approval.
    pub fn permit(&self, credential: &str, workload: &str, policy: &str, more: &[&str]) -> Issued {
        let issued = self.issue(credential, workload, policy, more);
        self.cli(&["approval", "grant", &issued.approval, "--yes"]);
        issued
    }

    /// A fresh connection to the workload listener.
    pub fn wire(&self) -> Wire {
        Wire::open(self.listen, self.log())
    }

    /// A tunnel to `authority`, with TLS for its host.
    ///
    /// # Errors
    /// The response, where `CONNECT` is refused.
    pub fn tunnel(&self, authority: &str, workload: Option<&Workload>) -> Result<Wire, Box<Response>> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        self.wire().tunnel(authority, workload, host, &self.ca_pem())
    }

    /// Makes one call on a connection of its own.
    pub fn call(&self, way: Way, workload: Option<&Workload>, request: &Request) -> Response {
        let mut wire = match way {
            Way::Connect => match self.tunnel(&request.authority, workload) {
                Ok(wire) => wire,
                Err(refused) => return *refused,
            },
            Way::Absolute | Way::BaseUrl => self.wire(),
        };
        wire.send(&request.bytes(way, workload));
        wire.receive(&request.method).unwrap_or_else(|error| panic!("{error}\n{}", self.output()))
    }

    /// What is sealed of each credential that there is, oldest first, as it stands in the database.
    pub fn sealed(&self) -> Vec<Vec<u8>> {
        let db = rusqlite::Connection::open(self.data().join("cloakroom.db")).unwrap();
        let mut rows = db.prepare("SELECT sealed FROM credential WHERE removed IS NULL ORDER BY id").unwrap();
        let sealed = rows.query_map([], |row| row.get(0)).unwrap();
        sealed.map(Result::unwrap).collect()
    }

    /// Changes the stopped broker's database behind its back; gives the number of rows changed.
    pub fn tamper(&self, statement: &str, values: impl rusqlite::Params) -> usize {
        assert!(self.process.is_none(), "stop the broker first");
        self.tamper_running(statement, values)
    }

    /// The same, while the broker runs.
    pub fn tamper_running(&self, statement: &str, values: impl rusqlite::Params) -> usize {
        rusqlite::Connection::open(self.data.path().join("cloakroom.db"))
            .unwrap()
            .execute(statement, values)
            .unwrap()
    }

    /// Reads one text or number from the stopped broker's database.
    pub fn peek(&self, query: &str) -> rusqlite::types::Value {
        let connection = rusqlite::Connection::open(self.data.path().join("cloakroom.db")).unwrap();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// Asserts that the journal verifies.
    pub fn verify_journal(&self) -> Value {
        let verdict = self.cli_json(&["journal", "verify"]);
        assert_eq!(verdict["ok"], Value::Bool(true), "{verdict}");
        verdict
    }

    /// The canary, wherever it must not be: the data directory, the outputs, what workloads and operators received.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut look = |place: String, bytes: &[u8]| {
            leaks.extend(
                hunt(bytes).into_iter().map(|hit| format!("{place}: {} at {}", hit.form, hit.offset)),
            );
        };
        look("stdout and stderr".into(), &self.outputs.lock().unwrap());
        for (index, bytes) in self.log.lock().unwrap().iter().enumerate() {
            look(format!("received {index}, {:?}", String::from_utf8_lossy(bytes)), bytes);
        }
        for file in files_under(self.data.path()) {
            look(file.display().to_string(), &std::fs::read(&file).unwrap_or_default());
        }
        leaks
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the broker's output:\n{}", self.output());
            return;
        }
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "the canary escaped: {leaks:#?}");
    }
}

/// A broker, an upstream's authority, and one workload: what most tests begin with.
pub struct Setup {
    /// The broker.
    pub broker: Broker,
    /// Who signs the upstreams.
    pub authority: TestAuthority,
    /// The workload `robot`.
    pub robot: Workload,
}

impl Setup {
    /// Starts a broker with a workload.
    pub fn new(binary: &str) -> Self {
        let authority = TestAuthority::new();
        let broker = BrokerBuilder::new(binary, &authority).start();
        let robot = broker.workload("robot");
        Self { broker, authority, robot }
    }
}

fn collect(from: &mut impl Read, into: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        into.lock().unwrap().extend_from_slice(&buffer[..read]);
    }
}

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_under(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}
