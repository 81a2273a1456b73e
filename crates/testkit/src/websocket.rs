//! WebSockets frame by frame (RFC 6455, section 5), and a loopback upstream that speaks them after whatever handshake it is told to.

use crate::message::{Received, read_request};
use crate::{TestAuthority, Wire};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MASK: [u8; 4] = [7, 1, 0xff, 0x80];

/// One frame, without its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsFrame {
    /// Whether it ends its message.
    pub fin: bool,
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl WsFrame {
    /// A message in one frame.
    pub fn text(text: &str) -> Self {
        Self::part(true, 1, text.as_bytes())
    }

    /// A frame.
    pub fn part(fin: bool, opcode: u8, payload: &[u8]) -> Self {
        Self { fin, opcode, payload: payload.to_vec() }
    }

    /// A close frame.
    pub fn close(status: u16, reason: &str) -> Self {
        Self::part(true, 8, &[&status.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// Its bytes: masked as a workload's, or not, as an upstream's.
    pub fn bytes(&self, masked: bool) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.opcode];
        let bit = u8::from(masked) << 7;
        match self.payload.len() {
            length @ ..126 => bytes.push(bit | length as u8),
            length @ ..65_536 => {
                bytes.push(bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend(MASK);
        }
        let unmasked = self.payload.iter().zip(MASK.iter().cycle());
        bytes.extend(unmasked.map(|(byte, key)| if masked { byte ^ key } else { *byte }));
        bytes
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the connection ends or breaks first.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let [first, second] = take::<2>(from)?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(take(from)?)),
            127 => u64::from_be_bytes(take(from)?),
            length => u64::from(length),
        };
        let mask = if second & 0x80 == 0 { [0; 4] } else { take(from)? };
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        from.read_exact(&mut payload)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        Ok(Self { fin: first & 0x80 != 0, opcode: first & 0x0f, payload })
    }

    /// The payload as text.
    pub fn as_text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// Status and reason of a close frame.
    pub fn closes(&self) -> Option<(u16, String)> {
        let [a, b, reason @ ..] = self.payload.as_slice() else { return None };
        let status = u16::from_be_bytes([*a, *b]);
        (self.opcode == 8).then(|| (status, String::from_utf8_lossy(reason).into_owned()))
    }
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The value of `Sec-WebSocket-Accept` for a key.
pub fn ws_accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// The fields that ask for a WebSocket over HTTP/1.1.
pub const WS_FIELDS: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

impl Wire {
    /// Sends a frame as a workload does.
    pub fn say(&mut self, frame: &WsFrame) {
        self.send(&frame.bytes(true));
    }

    /// The next frame of the broker.
    ///
    /// # Errors
    /// When the connection ends or breaks first.
    pub fn hear(&mut self) -> io::Result<WsFrame> {
        let frame = WsFrame::read(self)?;
        self.log(&frame.payload);
        Ok(frame)
    }
}

/// What the upstream does: with a handshake (`None`), and with each frame behind it. It closes behind a close frame of its own.
pub type Talk = dyn Fn(&Received, Option<&WsFrame>) -> Vec<WsFrame> + Send + Sync;

struct Shared {
    config: Arc<ServerConfig>,
    talk: Box<Talk>,
    /// Written behind the status line of the answer to a handshake.
    fields: String,
    heard: Mutex<Vec<(Received, Vec<WsFrame>)>>,
}

/// A server that accepts every WebSocket. Its certificate is for `localhost` and `127.0.0.1`.
pub struct WsUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl WsUpstream {
    /// Starts it; `fields` are more lines of its answer to a handshake.
    pub fn start(
        authority: &TestAuthority,
        fields: &str,
        talk: impl Fn(&Received, Option<&WsFrame>) -> Vec<WsFrame> + Send + Sync + 'static,
    ) -> Self {
        let config = authority.server_config(&["localhost", "127.0.0.1"], &[b"http/1.1"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (talk, fields) = (Box::new(talk), fields.to_owned());
        let shared = Arc::new(Shared { config, talk, fields, heard: Mutex::default() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                // A connection that breaks is the business of the test that broke it.
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The handshakes so far, each with the frames that came behind it.
    pub fn heard(&self) -> Vec<(Received, Vec<WsFrame>)> {
        self.shared.heard.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let connection = ServerConnection::new(Arc::clone(&shared.config)).map_err(io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let Some(request) = read_request(&mut reader, 1)? else { return Ok(()) };
    let place = {
        let mut heard = shared.heard.lock().unwrap();
        heard.push((request.clone(), Vec::new()));
        heard.len() - 1
    };
    let accept = ws_accept(request.header("sec-websocket-key").unwrap_or_default());
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let head = format!("{head}Sec-WebSocket-Accept: {accept}\r\n{}\r\n", shared.fields);
    reader.get_mut().write_all(head.as_bytes())?;
    let mut answers = (shared.talk)(&request, None);
    loop {
        for answer in &answers {
            reader.get_mut().write_all(&answer.bytes(false))?;
        }
        reader.get_mut().flush()?;
        if answers.iter().any(|answer| answer.opcode == 8) {
            reader.get_mut().conn.send_close_notify();
            return reader.get_mut().flush();
        }
        let frame = WsFrame::read(&mut reader)?;
        answers = (shared.talk)(&request, Some(&frame));
        shared.heard.lock().unwrap()[place].1.push(frame);
    }
}
