//! A loopback TLS server that records every byte it got and counts connections.

use crate::message::{Received, read_request};
use crate::{After, Reply, TestAuthority};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Answers a request by writing to the connection.
pub type Handler = dyn Fn(&Received, &mut dyn Write) -> io::Result<After> + Send + Sync;

struct Shared {
    config: Arc<ServerConfig>,
    handler: Box<Handler>,
    accepted: Mutex<Vec<SocketAddr>>,
    requests: Mutex<Vec<Received>>,
    broken: AtomicUsize,
    closed: AtomicUsize,
    stopping: AtomicBool,
}

/// The server. Its certificate is for `localhost` and `127.0.0.1`.
pub struct TlsUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl TlsUpstream {
    /// Starts one that answers each request with what `answer` returns.
    pub fn start(
        authority: &TestAuthority,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(authority, move |request, out| {
            answer(request).write_to(out, request.method == "HEAD")
        })
    }

    /// Starts one whose handler writes as it likes.
    pub fn start_with(
        authority: &TestAuthority,
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<After> + Send + Sync + 'static,
    ) -> Self {
        let config = authority.server_config(&["localhost", "127.0.0.1"], &[b"http/1.1"]);
        Self::start_configured(config, handler)
    }

    /// Starts one with a TLS configuration of its own.
    pub fn start_configured(
        config: Arc<ServerConfig>,
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<After> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            config,
            handler: Box::new(handler),
            accepted: Mutex::default(),
            requests: Mutex::default(),
            broken: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many TCP connections came in before this call, whether or not they went on to TLS.
    pub fn connections(&self) -> usize {
        // Connections are accepted in order: when our own is seen, every earlier one was.
        let probe = TcpStream::connect(self.address).unwrap();
        let own = probe.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut accepted = self.shared.accepted.lock().unwrap();
            if let Some(position) = accepted.iter().position(|peer| *peer == own) {
                accepted.remove(position);
                return accepted.len();
            }
            drop(accepted);
            assert!(Instant::now() < deadline, "the upstream stopped accepting");
            std::thread::yield_now();
        }
    }

    /// The requests so far, in the order of their ends.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The last request.
    pub fn last(&self) -> Received {
        self.requests().pop().expect("the upstream got no request")
    }

    /// How many connections this side has closed.
    pub fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::SeqCst)
    }

    /// How many connections broke inside a handshake or request.
    pub fn broken(&self) -> usize {
        self.shared.broken.load(Ordering::SeqCst)
    }
}

impl Drop for TlsUpstream {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (index, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(peer) = stream.peer_addr() {
            shared.accepted.lock().unwrap().push(peer);
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            if serve(stream, index + 1, &shared).is_err() {
                shared.broken.fetch_add(1, Ordering::SeqCst);
            }
            shared.closed.fetch_add(1, Ordering::SeqCst);
        });
    }
}

fn serve(stream: TcpStream, index: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let connection = ServerConnection::new(Arc::clone(&shared.config)).map_err(io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = read_request(&mut reader, index)? {
        shared.requests.lock().unwrap().push(request.clone());
        match (shared.handler)(&request, reader.get_mut())? {
            After::Keep => {}
            After::Close => {
                let stream = reader.get_mut();
                stream.conn.send_close_notify();
                return stream.flush();
            }
            After::Hang => {
                while read_request(&mut reader, index)?.is_some() {}
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Answers with what it got, as JSON: every header and the body come back.
pub fn echo(request: &Received) -> Reply {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    let body = json!({
        "method": request.method,
        "target": request.target,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
    });
    Reply::ok("application/json", body.to_string())
}

/// Answers as `then` does, but 401 unless this header has exactly this value.
pub fn demand_header(
    name: &'static str,
    value: String,
    then: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    move |request| {
        if request.header(name) == Some(&value) && request.count(name) == 1 {
            return then(request);
        }
        Reply::status("401 Unauthorized")
            .with("content-type", "application/json")
            .with_body("{\"error\":\"no\"}")
    }
}

/// Answers as `then` does, but 401 without `Authorization: Bearer SECRET`.
pub fn demand_bearer(
    secret: &str,
    then: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    demand_header("authorization", format!("Bearer {secret}"), then)
}
