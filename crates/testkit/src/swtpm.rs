//! A real TPM 2.0 in software (`swtpm`), and somebody on the bus between it and the program under test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Tag, size and code of a command or response.
const HEADER: usize = 10;

/// The TPM. Its state is on disk, so it can be killed and come back.
pub struct Swtpm {
    state: tempfile::TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl Swtpm {
    /// Makes a new TPM and starts it.
    ///
    /// # Panics
    /// When `swtpm` is not installed: `cargo xtask test` installs it.
    pub fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut swtpm = Self { state: tempfile::tempdir().unwrap(), address: free, process: None };
        swtpm.launch();
        swtpm
    }

    /// Where commands go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it; what it kept is kept.
    pub fn kill(&mut self) {
        end(&mut self.process);
    }

    /// Starts it again, with the state that it had: a machine that was started again.
    pub fn launch(&mut self) {
        let state = self.state.path().display();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={state}"))
            .arg("--server")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.address.port()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={state}/control"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("swtpm is there: cargo xtask test installs it");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "swtpm does not listen");
            thread::yield_now();
        }
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// Somebody on the bus who writes down what passes.
    pub fn tapped(&self) -> Bus {
        Bus::new(self.address, None)
    }

    /// Somebody on the bus who changes the byte `from_end` of the response to each command with this code.
    pub fn changing(&self, code: u32, from_end: usize) -> Bus {
        Bus::new(self.address, Some((code, from_end)))
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The TPM of a virtual machine: what the guest says to its TPM, QEMU hands on to a socket of this one.
pub struct MachineTpm {
    state: tempfile::TempDir,
    process: Option<Child>,
}

impl MachineTpm {
    /// A new one. It runs once a machine is given its [`socket`](Self::plugged).
    #[expect(clippy::new_without_default, reason = "it is a machine's part, not a value")]
    pub fn new() -> Self {
        Self { state: tempfile::tempdir().unwrap(), process: None }
    }

    /// The socket for a machine that starts now: its TPM is reset by that, and has kept what it had.
    ///
    /// # Panics
    /// When `swtpm` is not installed: `cargo xtask test` installs it.
    pub fn plugged(&mut self) -> PathBuf {
        end(&mut self.process);
        let (state, socket) = (self.state.path().display(), self.state.path().join("control"));
        let _ = std::fs::remove_file(&socket);
        let mut swtpm = Command::new("swtpm");
        swtpm.args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate", &format!("dir={state}")]);
        swtpm.args(["--ctrl", &format!("type=unixio,path={state}/control")]);
        let process = swtpm.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        self.process = Some(process.expect("swtpm is there: cargo xtask test installs it"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !socket.exists() {
            assert!(Instant::now() < deadline, "swtpm makes no socket");
            thread::yield_now();
        }
        socket
    }
}

impl Drop for MachineTpm {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn end(process: &mut Option<Child>) {
    if let Some(mut process) = process.take() {
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Somebody on the bus.
pub struct Bus {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Bus {
    fn new(tpm: SocketAddr, change: Option<(u32, usize)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::default());
        let written = Arc::clone(&seen);
        // It ends with the test's process: nobody waits for it.
        thread::spawn(move || {
            for inner in listener.incoming().flatten() {
                let Ok(outer) = TcpStream::connect(tpm) else { return };
                let _ = relay(inner, outer, change, &written);
            }
        });
        Self { address, seen }
    }

    /// Where to send commands instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that passed.
    pub fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }
}

fn relay(
    mut program: TcpStream,
    mut tpm: TcpStream,
    change: Option<(u32, usize)>,
    seen: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    loop {
        let command = message(&mut program)?;
        tpm.write_all(&command)?;
        let mut response = message(&mut tpm)?;
        if let Some((code, from_end)) = change
            && command[6..HEADER] == code.to_be_bytes()
        {
            let at = response.len() - from_end;
            response[at] ^= 1;
        }
        seen.lock().unwrap().extend([command, response.clone()].concat());
        program.write_all(&response)?;
    }
}

fn message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    from.read_exact(&mut bytes)?;
    let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
    bytes.resize(usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut bytes[HEADER..])?;
    Ok(bytes)
}
