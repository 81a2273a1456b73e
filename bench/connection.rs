//! One connection of the load client: it never blocks, whether through a tunnel, TLS or plain.

use crate::answer::{Answer, Progress};
use cloakroom_testkit::{Request, Way, Workload, client_config};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

const HERE: &str = "127.0.0.1";

/// How to reach something, and what to send it.
#[derive(Clone)]
pub(crate) struct Route {
    address: SocketAddr,
    connect: Option<Vec<u8>>,
    tls: Option<Arc<ClientConfig>>,
    request: Vec<u8>,
    /// Whom the certificate has to name.
    name: &'static str,
}

/// Whether TLS sessions are taken up again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Every handshake is a full one.
    Fresh,
    /// Tickets are used.
    Resumed,
}

impl Route {
    /// TLS to an address of this machine.
    pub(crate) fn tls(address: SocketAddr, ca: &str, request: Vec<u8>) -> Self {
        Self { address, connect: None, tls: Some(client_config(ca, &[])), request, name: HERE }
    }

    /// `CONNECT`, then TLS.
    pub(crate) fn tunnel(address: SocketAddr, ca: &str, who: Option<&Workload>, request: &Request) -> Self {
        let target = &request.authority;
        let mut connect = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(who) = who {
            connect.push_str(&format!("Proxy-Authorization: {}\r\n", who.basic()));
        }
        Self {
            address,
            connect: Some(format!("{connect}\r\n").into_bytes()),
            tls: Some(client_config(ca, &[])),
            request: request.bytes(Way::Connect, None),
            name: HERE,
        }
    }

    /// Plain HTTP.
    pub(crate) fn plain(address: SocketAddr, request: Vec<u8>) -> Self {
        Self { address, connect: None, tls: None, request, name: HERE }
    }

    /// The same, where the certificate names somebody else.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The same with a choice about sessions.
    pub(crate) fn with(&self, sessions: Sessions) -> Self {
        let mut route = self.clone();
        if let Some(tls) = &self.tls {
            let mut tls = ClientConfig::clone(tls);
            tls.resumption =
                if sessions == Sessions::Fresh { Resumption::disabled() } else { Resumption::default() };
            route.tls = Some(Arc::new(tls));
        }
        route
    }
}

/// An open connection.
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    unsent: Vec<u8>,
    /// The answer to `CONNECT`, while it is awaited.
    tunnel: Option<Answer>,
    answer: Option<Answer>,
}

impl Connection {
    /// Connects, and has the first bytes ready.
    pub(crate) fn open(route: &Route) -> io::Result<Self> {
        let socket = TcpStream::connect(route.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let name = ServerName::try_from(route.name).map_err(io::Error::other)?;
        let tls = match &route.tls {
            None => None,
            Some(config) => {
                Some(Box::new(ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?))
            }
        };
        Ok(Self {
            socket,
            tls,
            unsent: route.connect.clone().unwrap_or_default(),
            tunnel: route.connect.as_ref().map(|_| Answer::default()),
            answer: None,
        })
    }

    /// The socket, to be watched.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Has a call ready to be sent. What is written before the handshake is done waits for it.
    pub(crate) fn ask(&mut self, route: &Route) -> io::Result<()> {
        self.answer = Some(Answer::default());
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(&route.request),
            None => {
                self.unsent.extend_from_slice(&route.request);
                Ok(())
            }
        }
    }

    /// Sends and reads what is possible now; `Done` when the answer has come whole.
    ///
    /// # Errors
    /// Where the connection breaks or the answer is not what it should be.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        self.send()?;
        loop {
            let tunnelled = self.tunnel.is_none();
            let (read, through_tls) = match &mut self.tls {
                Some(tls) if tunnelled => match tls.read_tls(&mut self.socket) {
                    Ok(read) => (read, true),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Open),
                    Err(error) => return Err(error),
                },
                _ => match self.socket.read(buffer) {
                    Ok(read) => (read, false),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Open),
                    Err(error) => return Err(error),
                },
            };
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(tunnel) = &mut self.tunnel {
                if tunnel.feed(&buffer[..read])? == Progress::Done {
                    self.tunnel = None;
                    self.send()?;
                }
                continue;
            }
            let progress = if through_tls { self.decrypt(buffer)? } else { self.take(&buffer[..read])? };
            if progress == Progress::Done {
                return Ok(progress);
            }
        }
    }

    fn decrypt(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        let tls = self.tls.as_mut().expect("TLS was read");
        let mut left = tls.process_new_packets().map_err(io::Error::other)?.plaintext_bytes_to_read();
        let mut progress = Progress::Open;
        while left > 0 {
            let tls = self.tls.as_mut().expect("TLS was read");
            let read = tls.reader().read(buffer)?;
            left -= read;
            if self.take(&buffer[..read])? == Progress::Done {
                progress = Progress::Done;
            }
        }
        self.send()?;
        Ok(progress)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<Progress> {
        let answer = self.answer.as_mut().ok_or_else(|| io::Error::other("an answer to no call"))?;
        let progress = answer.feed(bytes)?;
        if progress == Progress::Done {
            self.answer = None;
        }
        Ok(progress)
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if let (Some(tls), None) = (&mut self.tls, &self.tunnel) {
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
