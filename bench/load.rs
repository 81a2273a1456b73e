//! The load client: a thread a connection, closed loop or open loop.

use cloakroom_testkit::{Request, Way, Workload, client_config};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to reach something, and what to send it.
pub(crate) struct Route {
    address: SocketAddr,
    connect: Option<Vec<u8>>,
    tls: Option<Arc<ClientConfig>>,
    request: Vec<u8>,
}

impl Route {
    /// TLS to a port of this machine.
    pub(crate) fn tls(port: u16, ca: &str, request: Vec<u8>) -> Self {
        Self {
            address: ([127, 0, 0, 1], port).into(),
            connect: None,
            tls: Some(client_config(ca, &[])),
            request,
        }
    }

    /// `CONNECT`, then TLS.
    pub(crate) fn tunnel(address: SocketAddr, ca: &str, who: &Workload, request: &Request) -> Self {
        let target = &request.authority;
        let basic = who.basic();
        let connect =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {basic}\r\n\r\n");
        Self {
            address,
            connect: Some(connect.into_bytes()),
            tls: Some(client_config(ca, &[])),
            request: request.bytes(Way::Connect, None),
        }
    }

    /// Plain HTTP.
    pub(crate) fn plain(address: SocketAddr, request: Vec<u8>) -> Self {
        Self { address, connect: None, tls: None, request }
    }

    fn open(&self) -> io::Result<Connection> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        if let Some(connect) = &self.connect {
            socket.write_all(connect)?;
            let mut answer = [0; 4096];
            let read = socket.read(&mut answer)?;
            if !answer[..read].starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&answer[..read]).into_owned()));
            }
        }
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(socket),
            Some(config) => {
                let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
                let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(tls, socket))
            }
        };
        Ok(Connection { stream: BufReader::with_capacity(16 << 10, stream) })
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

struct Connection {
    stream: BufReader<Box<dyn Stream>>,
}

impl Connection {
    /// One call; the body is read and dropped.
    fn call(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(request)?;
        self.stream.get_mut().flush()?;
        let (mut line, mut length, mut first) = (String::new(), 0, true);
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if first && !line.starts_with("HTTP/1.1 200") {
                return Err(io::Error::other(line));
            }
            first = false;
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut (&mut self.stream).take(length), &mut io::sink()).map(|_| ())
    }
}

/// What a run gave.
pub(crate) struct Load {
    latencies: Vec<Duration>,
    /// Calls that failed.
    pub(crate) errors: usize,
    elapsed: Duration,
}

impl Load {
    /// Each connection sends its next call when it has the answer to the last.
    pub(crate) fn closed(route: &Route, connections: usize, seconds: u64) -> Self {
        Self::run(route, connections, seconds, |_, _, last: Instant| last)
    }

    /// Calls begin at fixed times whether or not earlier ones are done; latency counts from those times.
    pub(crate) fn open(route: &Route, connections: usize, per_second: u32, seconds: u64) -> Self {
        let gap = Duration::from_secs(1) * connections as u32 / per_second;
        let begin = Instant::now() + Duration::from_millis(200);
        Self::run(route, connections, seconds, move |connection, number, _| {
            let due = begin + gap * connection as u32 / connections as u32 + gap * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due
        })
    }

    fn run(
        route: &Route,
        connections: usize,
        seconds: u64,
        pace: impl Fn(usize, u32, Instant) -> Instant + Sync,
    ) -> Self {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds);
        let one = |connection: usize| -> (Vec<Duration>, usize) {
            let (mut latencies, mut errors) = (Vec::new(), 0);
            let mut open = route.open().unwrap_or_else(|error| panic!("cannot connect: {error}"));
            for number in 0.. {
                let from = pace(connection, number, Instant::now());
                if Instant::now() >= end {
                    break;
                }
                match open.call(&route.request) {
                    Ok(()) => latencies.push(from.elapsed()),
                    Err(_) => {
                        errors += 1;
                        open = route.open().unwrap_or_else(|error| panic!("cannot connect again: {error}"));
                    }
                }
            }
            (latencies, errors)
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections)
                .map(|index| {
                    let one = &one;
                    scope.spawn(move || one(index))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut latencies: Vec<Duration> =
            parts.iter().flat_map(|(latencies, _)| latencies.clone()).collect();
        latencies.sort_unstable();
        Self { latencies, errors: parts.iter().map(|(_, errors)| errors).sum(), elapsed: begin.elapsed() }
    }

    /// Calls that worked.
    pub(crate) fn calls(&self) -> usize {
        self.latencies.len()
    }

    /// Calls per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// A percentile, in microseconds.
    pub(crate) fn micros(&self, percent: usize) -> f64 {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}
