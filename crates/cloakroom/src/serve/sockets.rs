//! Listening sockets that are open already: from the broker that this one takes over, or from systemd.

use crate::data_dir::DataDir;
use crate::failure::{Failure, plain};
use cloakroom_admin::handover::{MOST_SOCKETS, PROTOCOL};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, getsockname, recvmsg,
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::Socket;
use std::fs::Permissions;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The running broker answers from memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer that is not the switch is a problem document, of less than this.
const LONGEST_ANSWER: usize = 16 * 1024;
/// The first descriptor that systemd passes (sd_listen_fds(3)).
const FIRST_PASSED: i32 = 3;

/// What is open already.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) workloads: Option<TcpListener>,
    pub(super) console: Option<TcpListener>,
    pub(super) admin: Option<UnixListener>,
    pub(super) unix: Option<UnixListener>,
    pub(super) vsock: Option<Socket>,
    /// Of workloads behind a lock; which is which, their addresses say.
    pub(super) steered: Vec<OwnedFd>,
}

impl Sockets {
    /// Those of the broker that runs on this directory; it ends its calls and then itself. `None` where none runs.
    pub(super) fn taken_over(data: &DataDir) -> Result<Option<Self>, Failure> {
        let broken = |error: io::Error| {
            Failure::failed(format!("the running broker did not hand its sockets over: {}", plain(&error)))
                .hinting("it may be of another version: stop it, then start this one without --take-over")
        };
        let stream = match UnixStream::connect(data.socket()) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Failure::file("connect to", &data.socket(), &error)),
        };
        let received = ask(&stream).map_err(broken)?;
        let mut received = received.into_iter();
        let (Some(workloads), Some(console), Some(admin)) =
            (received.next(), received.next(), received.next())
        else {
            return Err(broken(io::Error::other("it passed too few sockets")));
        };
        let (unix, rest): (Vec<_>, Vec<_>) = received.partition(|socket| is_of(AddressFamily::UNIX, socket));
        let (vsock, steered): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|socket| is_of(AddressFamily::VSOCK, socket));
        Ok(Some(Self {
            workloads: Some(workloads.into()),
            console: Some(console.into()),
            admin: Some(admin.into()),
            unix: unix.into_iter().next().map(Into::into),
            vsock: vsock.into_iter().next().map(Into::into),
            steered,
        }))
    }

    /// Those that systemd passes: by the names `workloads` and `console`, or one without a name for the workloads.
    pub(super) fn passed() -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let own = getpid().as_raw_nonzero().to_string();
        if variable("LISTEN_PID") != own {
            return Ok(Self::default());
        }
        let named = named(&variable("LISTEN_FDS"), &variable("LISTEN_FDNAMES"))?;
        let mut sockets = Self::default();
        for (at, name) in named {
            let socket = take(at).map_err(|error| {
                Failure::failed(format!("a socket that systemd passed cannot be used: {}", plain(&error)))
            })?;
            match name {
                Name::Workloads => sockets.workloads = Some(socket.into()),
                Name::Console => sockets.console = Some(socket.into()),
            }
        }
        Ok(sockets)
    }
}

impl Sockets {
    /// The TCP listener or UDP socket at this address, if it is open already.
    pub(super) fn take_steered(&mut self, kind: SocketType, at: SocketAddr) -> Option<OwnedFd> {
        let is_it = |socket: &OwnedFd| {
            socket_type(socket).is_ok_and(|is| is == kind)
                && getsockname(socket).is_ok_and(|is| SocketAddr::try_from(is) == Ok(at))
        };
        let position = self.steered.iter().position(is_it)?;
        Some(self.steered.swap_remove(position))
    }
}

fn is_of(family: AddressFamily, socket: &OwnedFd) -> bool {
    socket_domain(socket).is_ok_and(|domain| domain == family)
}

/// The Unix listener of workloads: the one that is open already, or a new one where the settings name one.
pub(super) fn unix_listener(
    open: Option<UnixListener>,
    path: Option<&Path>,
) -> Result<Option<tokio::net::UnixListener>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let open = open.filter(|open| is_at(open, path));
    let listener = match open {
        Some(open) => open,
        None => bind(path)?,
    };
    listener.set_nonblocking(true)?;
    Ok(Some(tokio::net::UnixListener::from_std(listener)?))
}

/// The name that the socket is bound to, and keeps in the kernel's eyes.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn is_at(listener: &UnixListener, path: &Path) -> bool {
    listener.local_addr().is_ok_and(|at| at.as_pathname() == Some(&*unfinished(path)))
}

/// Binds beside the path and moves there, so that the path never leads nowhere. Everybody may connect: what a workload may do
/// is decided by who it is.
fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let of_file = |error: io::Error| {
        Failure::file("listen on", path, &error)
            .hinting("[listen] unix names a socket in a directory that the broker may write; its path has at most 100 bytes")
    };
    let kind = std::fs::symlink_metadata(path).map(|found| found.file_type());
    if kind.is_ok_and(|kind| !kind.is_socket()) {
        return Err(of_file(io::ErrorKind::AlreadyExists.into()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(Failure::failed(format!("another process listens on {}", path.display()))
            .hinting("choose another path: [listen] unix"));
    }
    let unfinished = unfinished(path);
    let _ = std::fs::remove_file(&unfinished);
    let listener = UnixListener::bind(&unfinished).map_err(of_file)?;
    std::fs::set_permissions(&unfinished, Permissions::from_mode(0o666)).map_err(of_file)?;
    std::fs::rename(&unfinished, path).map_err(of_file)?;
    Ok(listener)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Workloads,
    Console,
}

/// Which descriptor is which.
fn named(count: &str, names: &str) -> Result<Vec<(i32, Name)>, Failure> {
    let count: usize = count.parse().map_err(|_| Failure::bad_input("LISTEN_FDS is not a number"))?;
    let mut names: Vec<&str> = names.split(':').filter(|name| !name.is_empty()).collect();
    if count == 1 && !names.contains(&"console") {
        // COMPAT: without FileDescriptorName= systemd gives the unit's name.
        names = vec!["workloads"];
    }
    let known = names.iter().map(|name| match *name {
        "workloads" => Ok(Name::Workloads),
        "console" => Ok(Name::Console),
        _ => Err(Failure::bad_input("systemd passes a socket that this broker does not know").hinting(
            "write FileDescriptorName=workloads or FileDescriptorName=console in the socket's unit",
        )),
    });
    let known: Vec<Name> = known.collect::<Result<_, _>>()?;
    let is_twice = known.iter().enumerate().any(|(at, name)| known[..at].contains(name));
    if known.len() != count || is_twice {
        return Err(Failure::bad_input("LISTEN_FDS and LISTEN_FDNAMES do not fit together")
            .hinting("each socket has a name of its own: workloads, console"));
    }
    Ok((FIRST_PASSED..).zip(known).collect())
}

/// A descriptor of this process that came with its start, as one that is owned. Asking the kernel for a duplicate does
/// what only an unsafe call could do here: it fails where there is no such descriptor. SECURITY: the duplicate closes where a program is
/// started (pidfd_getfd(2)); what systemd passed would not, so it goes at once.
fn take(at: RawFd) -> io::Result<OwnedFd> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let taken = pidfd_getfd(own, at, PidfdGetfdFlags::empty())?;
    nix::unistd::close(at)?;
    Ok(taken)
}

/// Switches the connection to the handover, and receives.
fn ask(mut stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "POST /api/v1/take-over HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: {PROTOCOL}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut received) = (Vec::new(), Vec::new());
    while received.is_empty() && answer.len() < LONGEST_ANSWER {
        let bytes = receive(stream, &mut received)?;
        if bytes.is_empty() {
            break;
        }
        answer.extend_from_slice(&bytes);
        let status = answer.get(..12);
        if status.is_some_and(|status| status != b"HTTP/1.1 101") {
            return Err(io::Error::other("it refused"));
        }
    }
    Ok(received)
}

/// Some bytes, and the descriptors that came with them. Any read could be the one, so each has room for them.
fn receive(stream: &UnixStream, received: &mut Vec<OwnedFd>) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            received.extend(descriptors);
        }
    }
    Ok(bytes[..message.bytes].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_socket_that_was_passed_goes_on_here_and_in_no_program_that_is_started() {
        let passed = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = passed.local_addr().unwrap();
        fcntl_setfd(&passed, FdFlags::empty()).unwrap();
        let at = passed.into_raw_fd();
        let taken = take(at).unwrap();
        assert!(fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(TcpListener::from(taken).local_addr().unwrap(), address);
        assert!(take(at).is_err(), "what was passed is closed");
        assert!(take(RawFd::MAX).is_err());
    }

    #[test]
    fn sockets_are_known_by_their_names() {
        let both = vec![(3, Name::Console), (4, Name::Workloads)];
        assert_eq!(named("2", "console:workloads").unwrap(), both);
        assert_eq!(named("1", "cloakroom.socket").unwrap(), [(3, Name::Workloads)]);
        assert_eq!(named("1", "").unwrap(), [(3, Name::Workloads)]);
        assert_eq!(named("1", "console").unwrap(), [(3, Name::Console)]);
        for (count, names) in
            [("2", ""), ("2", "workloads"), ("2", "workloads:workloads"), ("2", "a:b"), ("x", "")]
        {
            assert!(named(count, names).is_err(), "{count} {names}");
        }
    }
}
