//! What an intruder would try, for tests: a build with debug assertions tries it once it is ready, where `CLOAKROOM_ATTEMPT` says what. Release
//! builds have none of it.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use socket2::{Domain, Socket, Type};
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Tries what the variable names, on a thread that was there before the process was closed, and says what came of it.
pub(crate) fn attempt() {
    let Some(what) = std::env::var("CLOAKROOM_ATTEMPT").ok() else { return };
    drop(tokio::spawn(async move {
        let came = match make(&what) {
            Ok(()) => "it worked".to_owned(),
            Err(error) => format!("refused: {:?}", error.kind()),
        };
        tracing::warn!(what, came, "an attempt");
    }));
}

fn make(what: &str) -> io::Result<()> {
    let nothing = || Command::new("/bin/true");
    match what.split_once(' ').unwrap_or((what, "")) {
        ("become", _) => Err(nothing().exec()),
        ("start", _) => nothing().spawn().map(drop),
        ("read", path) => File::open(path).map(drop),
        ("list", path) => fs::read_dir(path).map(drop),
        ("write", path) => File::create(path).map(drop),
        ("bind", _) => TcpListener::bind("127.0.0.1:0").map(drop),
        ("listen", _) => Socket::new(Domain::IPV4, Type::STREAM, None)?.listen(1),
        ("raw", _) => Socket::new(Domain::IPV4, Type::RAW, Some(socket2::Protocol::ICMPV4)).map(drop),
        ("ask", path) => UnixStream::connect(path).map(drop),
        ("link", path) => symlink("/etc/shadow", path),
        ("vsock", _) => Socket::new(Domain::VSOCK, Type::STREAM, None).map(drop),
        ("dumpable", _) => set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(Into::into),
        ("signal", pid) => {
            let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
            let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
            rustix::process::test_kill_process(pid).map_err(Into::into)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
