//! The namespaces, made by bubblewrap, and what of the file system is seen in them.

use super::hidden::Hidden;
use super::kit::Kit;
use super::machine::{self, Machine, Wanted};
use super::signals::{Kept, Outside};
use super::{PAUSE, Places, carry, environment, filter, inside, key_store};
use crate::cli::RunArguments;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::guest::Broker;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use tokio::process::Command;

/// The socket, inside, that leads to the broker's workload listener.
pub(super) const RELAY: &str = "/run/cloakroom/relay.sock";
/// The socket, inside, on which signals are passed on.
pub(super) const CONTROL: &str = "/run/cloakroom/control.sock";
/// This program, inside.
const PROGRAM: &str = "/run/cloakroom/cloakroom";

/// A command, and what it will see.
pub(super) struct Sandbox {
    bubblewrap: PathBuf,
    arguments: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    command: Vec<OsString>,
    workload: String,
    directory: PathBuf,
    /// What runs instead of the command where that has a machine of its own.
    machine: Option<Machine>,
    /// The filters of system calls, until bubblewrap has read them.
    filters: Vec<File>,
    /// Where the sockets are made, outside: the caller's alone.
    sockets: tempfile::TempDir,
}

impl Sandbox {
    /// Decides what the command will see. Nothing is started yet.
    ///
    /// # Errors
    /// When bubblewrap is missing, or the present directory would show what must be hidden.
    pub(super) fn plan(data: &DataDir, kit: &Kit, asked: &RunArguments) -> Result<Self, Failure> {
        let directory = std::env::current_dir()?;
        let hidden = Hidden::of(data);
        let mut view = View::new(&hidden);
        let sockets = tempfile::Builder::new()
            .prefix("cloakroom-run-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        for path in &asked.read {
            view.show(path, Right::Read)?;
        }
        for path in std::iter::once(&directory).chain(&asked.write) {
            view.show(path, Right::Write)?;
        }
        view.cover_sockets();
        let variables = environment::of(kit, &asked.pass)?;
        let (mut arguments, shown) = (view.arguments, view.shown);
        let filters = filter::files()?;
        for filter in &filters {
            arguments.extend(["--add-seccomp-fd".into(), filter.as_raw_fd().to_string().into()]);
        }
        arguments.extend(of_broker(data, sockets.path())?);
        let machine = if asked.vm {
            let (hidden, authority) = (&hidden.paths[..], std::fs::read_to_string(data.ca())?);
            let (directory, shown, variables) = (&*directory, &shown[..], &variables);
            let wanted = Wanted { asked, variables, directory, hidden, shown, authority };
            let machine = Machine::plan(&wanted)?;
            arguments.extend(machine.view(hidden));
            Some(machine)
        } else {
            None
        };
        arguments.extend(words(&["--chdir"]));
        arguments.push(directory.clone().into());
        let workload = kit.workload.to_string();
        let command = asked.command.clone();
        Ok(Self {
            bubblewrap: bubblewrap()?,
            arguments,
            variables,
            command,
            workload,
            directory,
            machine,
            filters,
            sockets,
        })
    }

    /// One line: what is isolated, and what is not.
    pub(super) fn says(&self) -> String {
        let (within, kernel, sockets) = match &self.machine {
            None => (
                String::new(),
                "the kernel is shared, and ",
                ", and Unix sockets in it that are made from now on be connected to",
            ),
            Some(machine) => (format!(" in {}", machine::says(machine.accelerator)), "", ""),
        };
        format!(
            "cloakroom: running as workload {}{within}; isolated: network (only the broker), processes, home, /tmp, known brokers' files; \
             writable: {}; not isolated: {kernel}the rest of the file system can be read{sockets}",
            self.workload,
            self.directory.display()
        )
    }

    /// Starts the command and waits for its end.
    pub(super) async fn run(mut self, broker: Broker) -> Result<u8, Failure> {
        let relay = UnixListener::bind(self.sockets.path().join("relay.sock"))?;
        let control = UnixListener::bind(self.sockets.path().join("control.sock"))?;
        let _kept = Kept::alive()?;
        let mut signals = Outside::watch()?;
        let mut command = self.command_line();
        let mut child = command.spawn().map_err(|error| Failure::file("run", &self.bubblewrap, &error))?;
        // Its parts and the filters are in the hands of those who run it.
        self.machine = None;
        self.filters.clear();
        tokio::spawn(carry_to(relay, broker));
        let sockets = self.sockets;
        let pass_on = async {
            // Only the first connection is heard: it is made before the command starts.
            if let Ok((mut inside, _)) = control.accept().await {
                // What is bound inside needs no path outside, and whoever is killed leaves none.
                let _ = sockets.close();
                signals.pass_on(&mut inside).await;
            }
            std::future::pending::<()>().await
        };
        let status = tokio::select! {
            ended = child.wait() => ended?,
            () = pass_on => return Err(Failure::failed("nothing to wait for")),
        };
        Ok(inside::code_of(status))
    }

    fn command_line(&self) -> Command {
        // An ignored signal stays ignored in the programs that are started; a caught one does not. So bubblewrap ignores what the terminal
        // sends, and the program inside catches it, which gives the command the default again. A shell can say so without unsafe code.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' INT QUIT HUP TERM USR1 USR2; exec \"$@\"", "sh"]);
        command.arg(&self.bubblewrap).args(&self.arguments);
        // SECURITY: not as arguments of bubblewrap, which every user of the machine can read.
        command.env_clear();
        match &self.machine {
            None => {
                command.args(["--", PROGRAM, "inside", "--"]).args(&self.command).envs(&self.variables);
            }
            Some(machine) => {
                // The command's variables are in the machine's plan; QEMU needs none.
                command.args(["--", PROGRAM, "inside", "--part", "machine", "--"]).args(machine.command());
                command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            }
        }
        command
    }
}

/// The file system inside, in the order in which bubblewrap makes it.
struct View<'h> {
    hidden: &'h Hidden,
    arguments: Vec<OsString>,
    /// Each directory that is shown, and whether it can be written.
    shown: Vec<(PathBuf, bool)>,
}

/// What the command may do in a directory that is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Read,
    Write,
}

impl<'h> View<'h> {
    fn new(hidden: &'h Hidden) -> Self {
        let mut arguments = words(&[
            "--die-with-parent",
            "--unshare-user",
            // No user namespace inside, where the command would be mighty again.
            "--disable-userns",
            "--cap-drop",
            "ALL",
            "--unshare-ipc",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
        ]);
        // SECURITY: the kernel lets their owner write these whatever the namespace, and the owner is root: `core_pattern` names a program that
        // runs outside. A caller who is root must not hand that on.
        for path in ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"] {
            arguments.extend(words(&["--ro-bind-try", path, path]));
        }
        for path in &hidden.paths {
            arguments.extend(["--tmpfs".into(), path.clone().into_os_string()]);
        }
        Self { hidden, arguments, shown: Vec::new() }
    }

    /// Shows this directory, although what is around it may be hidden.
    fn show(&mut self, path: &Path, right: Right) -> Result<(), Failure> {
        let path = path.canonicalize().map_err(|error| Failure::file("show", path, &error))?;
        // SECURITY: the host's own, in place of the namespace's.
        if ["/proc", "/sys", "/dev"].iter().any(|system| path.starts_with(system)) {
            let text = format!("{} cannot be shown to the command: it is the kernel's", path.display());
            return Err(
                Failure::bad_input(text).hinting("run it in a directory of its own, such as a project's")
            );
        }
        if let Some(hidden) = self.hidden.is_shown_by(&path) {
            let text =
                format!("{} cannot be shown to the command: it holds {}", path.display(), hidden.display());
            return Err(
                Failure::bad_input(text).hinting("run it in a directory of its own, such as a project's")
            );
        }
        let how = if right == Right::Write { "--bind" } else { "--ro-bind" };
        self.arguments.extend([OsString::from(how), path.clone().into(), path.clone().into()]);
        self.shown.push((path, right == Right::Write));
        Ok(())
    }
}

impl View<'_> {
    /// SECURITY: a file that cannot be written does not stop who connects to it; one that is another file does.
    fn cover_sockets(&mut self) {
        for socket in self.hidden.seen_sockets(&self.shown) {
            self.arguments.extend([
                "--ro-bind".into(),
                "/dev/null".into(),
                socket.to_owned().into_os_string(),
            ]);
        }
    }
}

/// What leads to the broker: two sockets, the authority's certificate in two forms, and this program.
fn of_broker(data: &DataDir, sockets: &Path) -> Result<Vec<OsString>, Failure> {
    let program = std::env::current_exe()?;
    let (ca, store) = (data.ca(), sockets.join("ca.jks"));
    let pem = std::fs::read_to_string(&ca).map_err(|error| Failure::file("read", &ca, &error))?;
    std::fs::write(&store, key_store::of(&pem)?).map_err(|error| Failure::file("write", &store, &error))?;
    let mut arguments = words(&["--dir", "/run/cloakroom"]);
    let binds = [
        ("--bind", sockets.join("relay.sock"), RELAY),
        ("--bind", sockets.join("control.sock"), CONTROL),
        ("--ro-bind", ca, environment::AUTHORITY),
        ("--ro-bind", store, environment::KEY_STORE),
        ("--ro-bind", program, PROGRAM),
    ];
    for (how, from, to) in binds {
        arguments.extend([OsString::from(how), from.into(), OsString::from(to)]);
    }
    Ok(arguments)
}

/// Each connection goes to the broker's workload listener, and nowhere else.
async fn carry_to(relay: UnixListener, broker: Broker) {
    let places = Places::new();
    loop {
        let place = places.one().await;
        let Ok((inside, _)) = relay.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let broker = broker.clone();
        tokio::spawn(async move {
            let _place = place;
            if let Ok(connection) = broker.connect().await {
                carry(inside, connection).await;
            }
        });
    }
}

/// SECURITY: there is no fallback: without it the command would run unprotected.
fn bubblewrap() -> Result<PathBuf, Failure> {
    program("bwrap").ok_or_else(|| {
        Failure::failed("bubblewrap (bwrap) is not installed, and nothing runs without it")
            .hinting("install the package bubblewrap")
    })
}

/// Where the caller's `PATH` has this program.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file())
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
