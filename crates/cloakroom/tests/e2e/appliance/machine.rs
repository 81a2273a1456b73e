//! A running guest: its console, and QEMU's own way to be told things (QMP).

use crate::ladder::Rung;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// QEMU, started.
pub(crate) struct Machine {
    child: Child,
    console: PathBuf,
    talk: PathBuf,
    /// Held: what was written is lost where the one who wrote it is gone.
    talking: Option<UnixStream>,
    qmp: PathBuf,
}

/// Where guests run, unless a test says otherwise: emulated; by KVM where `CLOAKROOM_ACCEL=kvm` asks for it. Asked for and not there is an error,
/// not a weaker test.
pub(crate) fn usual() -> Rung {
    match std::env::var("CLOAKROOM_ACCEL").as_deref() {
        Ok("kvm") => Rung::KvmGuests,
        Ok("tcg") | Err(_) => Rung::EmulatedGuests,
        Ok(other) => panic!("CLOAKROOM_ACCEL={other}: tcg or kvm"),
    }
}

/// What a guest is attached to, and nothing else.
pub(crate) enum Wire<'a> {
    /// A network card, with QEMU's words for the other end.
    Card(&'a str),
    /// The vsock, by this socket of its device; no card.
    Vsock(&'a Path),
}

impl Wire<'_> {
    /// What such a guest has, in MiB: without a card it brings the broker's program along.
    pub(crate) const fn memory(&self) -> u64 {
        match self {
            Self::Card(_) => 128,
            Self::Vsock(_) => 320,
        }
    }

    /// What is said of the machine itself, and of the device.
    fn words(&self) -> (&'static str, Vec<String>) {
        match self {
            Self::Card(end) => (
                "",
                [
                    "-netdev".into(),
                    format!("{end},id=wire"),
                    "-device".into(),
                    "virtio-net-device,netdev=wire".into(),
                ]
                .into(),
            ),
            Self::Vsock(socket) => (
                ",memory-backend=shared",
                [
                    "-object".into(),
                    format!("memory-backend-memfd,id=shared,size={}M,share=on", self.memory()),
                    "-chardev".into(),
                    format!("socket,id=vsock,path={}", socket.display()),
                    "-device".into(),
                    "vhost-user-vsock-device,chardev=vsock".into(),
                ]
                .into(),
            ),
        }
    }
}

impl Machine {
    /// The appliance in `image`, by the script that comes with it.
    pub(crate) fn appliance(image: &str, name: &str, variables: &[(&str, &str)], more: &[&str]) -> Self {
        let mut command = Command::new(format!("{image}/qemu.sh"));
        command.env("ACCEL", usual().accelerator()).env("CONSOLE", "chardev:console");
        command.envs(variables.iter().copied());
        Self::start(command, Path::new(image).parent().unwrap(), name, more)
    }

    /// A guest with this kernel and root, and this wire.
    pub(crate) fn guest(kernel: &Path, root: &Path, wire: &Wire<'_>, name: &str, more: &[&str]) -> Self {
        Self::guest_on(usual(), kernel, root, wire, name, more)
    }

    /// The same, on a rung of its own.
    pub(crate) fn guest_on(
        rung: Rung,
        kernel: &Path,
        root: &Path,
        wire: &Wire<'_>,
        name: &str,
        more: &[&str],
    ) -> Self {
        let (cpu, clock) = match rung {
            Rung::KvmGuests => ("host", ""),
            _ => ("max", " tsc_early_khz=2000000 mitigations=off"),
        };
        let (shared, device) = wire.words();
        let machine = format!("microvm,rtc=on,pit=off,pic=off{shared}");
        let mut command = Command::new("qemu-system-x86_64");
        let memory = wire.memory().to_string();
        command.args(["-M", &machine, "-accel", rung.accelerator(), "-cpu", cpu, "-m", &memory]);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "chardev:console",
        ]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(root);
        command.args(["-append", &format!("console=ttyS0 quiet loglevel=1 reboot=t panic=-1{clock}")]);
        command.args(device);
        Self::start(command, root.parent().unwrap(), name, more)
    }

    fn start(mut command: Command, directory: &Path, name: &str, more: &[&str]) -> Self {
        let at = |end: &str| directory.join(format!("{name}.{end}"));
        let (console, talk, qmp) = (at("log"), at("con"), at("qmp"));
        let chardev = format!(
            "socket,id=console,path={},server=on,wait=off,logfile={}",
            talk.display(),
            console.display()
        );
        command.args(["-chardev", &chardev, "-qmp", &format!("unix:{},server=on,wait=off", qmp.display())]);
        command.args(more).stdin(Stdio::null()).stdout(Stdio::null());
        let errors = std::fs::File::create(at("err")).unwrap();
        let child = command.stderr(errors).spawn().unwrap();
        Self { child, console, talk, talking: None, qmp }
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        let bytes = std::fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// What QEMU itself complained of.
    fn complaints(&self) -> String {
        std::fs::read_to_string(self.console.with_extension("err")).unwrap_or_default()
    }

    /// The first whole line in what it said that `wanted` accepts, once it is there.
    pub(crate) fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        patiently(what, || {
            let said = self.said();
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let line = whole.lines().find(|line| wanted(line)).map(str::to_owned);
            if line.is_none() {
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "it ended before {what}: {ended:?}\n{said}\n{}", self.complaints());
            }
            line
        })
    }

    /// Says a word on its console.
    pub(crate) fn tell(&mut self, word: &str) {
        let talking = self.talking.get_or_insert_with(|| UnixStream::connect(&self.talk).unwrap());
        writeln!(talking, "{word}").unwrap();
    }

    /// Tells QEMU something.
    pub(crate) fn qmp(&self, execute: &str, arguments: Value) {
        let stream = UnixStream::connect(&self.qmp).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut ask = |request: Value| {
            writeln!(&stream, "{request}").unwrap();
            loop {
                let answer: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                assert!(answer.get("error").is_none(), "{request}: {answer}");
                if answer.get("return").is_some() {
                    return;
                }
            }
        };
        ask(json!({ "execute": "qmp_capabilities" }));
        ask(json!({ "execute": execute, "arguments": arguments }));
    }

    /// Writes its memory to a file.
    pub(crate) fn memory(&self, mebibytes: u64, file: &Path) -> Vec<u8> {
        self.qmp("pmemsave", json!({ "val": 0, "size": mebibytes << 20, "filename": file }));
        std::fs::read(file).unwrap()
    }

    /// Waits for it to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        patiently("the machine goes off", || self.child.try_wait().unwrap())
    }

    /// Ends it as a power cut would.
    pub(crate) fn cut(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}\n{}", self.console.display(), self.said(), self.complaints());
        }
    }
}

/// Looks now and then until there is something: guests need the processors more than the one who waits for them.
pub(super) fn patiently<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(100);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within 100 s: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a tool that has to succeed.
pub(crate) fn tool(program: &str, arguments: &[&dyn AsRef<OsStr>]) {
    let output = Command::new(program).args(arguments.iter().map(|one| one.as_ref())).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
}
