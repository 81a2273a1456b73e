//! A workload that speaks HTTP/2 frame by frame, so that a test says exactly what goes over the wire.

use crate::{Broker, Wire, Workload};

/// What begins a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The type.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The stream.
    pub stream: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// HEADERS with these flags, each field a literal that is not indexed.
    pub fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Self {
        Self::new(1, flags, stream, literals(fields))
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }
}

/// Fields in HPACK, each a literal that is not indexed (RFC 7541, section 6.2.2).
pub fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn put_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// What the broker did about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// GOAWAY with this error.
    GoAway(u32),
    /// The connection ended without one.
    Closed,
    /// RST_STREAM with this error, for the stream.
    Reset(u32, u32),
    /// HEADERS for the stream.
    Answered(u32),
}

/// The connection.
pub struct FrameWire {
    wire: Wire,
    ahead: Vec<u8>,
}

impl FrameWire {
    /// Through CONNECT, inside TLS with ALPN `h2`.
    pub fn tunnel(broker: &Broker, authority: &str, workload: &Workload) -> Self {
        let name = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let wire = broker.wire();
        let wire = wire.tunnel_speaking(authority, Some(workload), name, &broker.ca_pem(), &[b"h2"]);
        Self { wire: wire.unwrap_or_else(|answer| panic!("{answer:?}")), ahead: Vec::new() }
    }

    /// On the listener, with prior knowledge.
    pub fn plain(broker: &Broker) -> Self {
        Self { wire: broker.wire(), ahead: Vec::new() }
    }

    /// Sends the preface and empty SETTINGS.
    #[must_use]
    pub fn greeted(mut self) -> Self {
        self.send(PREFACE);
        self.frame(&RawFrame::new(4, 0, 0, []));
        self
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
    }

    /// Sends a frame.
    pub fn frame(&mut self, frame: &RawFrame) {
        self.wire.send(&frame.bytes());
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next_frame(&mut self) -> Option<RawFrame> {
        while self.ahead.len() < 9 || self.ahead.len() < 9 + length(&self.ahead) {
            let more = self.wire.read_some(16 * 1024).ok().filter(|more| !more.is_empty())?;
            self.ahead.extend(more);
        }
        let payload = self.ahead[9..9 + length(&self.ahead)].to_vec();
        let stream = u32::from_be_bytes([self.ahead[5], self.ahead[6], self.ahead[7], self.ahead[8]]);
        let frame = RawFrame { kind: self.ahead[3], flags: self.ahead[4], stream, payload };
        self.ahead.drain(..9 + frame.payload.len());
        Some(frame)
    }

    /// Reads on until the broker says no, answers or closes.
    pub fn verdict(&mut self) -> Verdict {
        loop {
            match self.next_frame() {
                None => return Verdict::Closed,
                Some(RawFrame { kind: 7, payload, .. }) if code(&payload[4..]) != 0 => {
                    return Verdict::GoAway(code(&payload[4..]));
                }
                Some(RawFrame { kind: 3, payload, stream, .. }) => {
                    return Verdict::Reset(stream, code(&payload));
                }
                Some(RawFrame { kind: 1, stream, .. }) => return Verdict::Answered(stream),
                Some(_) => {}
            }
        }
    }

    /// Reads on until the connection ends; the error of the last GOAWAY, if there was one.
    pub fn end(&mut self) -> Option<u32> {
        let mut last = None;
        while let Some(frame) = self.next_frame() {
            if frame.kind == 7 {
                last = Some(code(&frame.payload[4..]));
            }
        }
        last
    }
}

fn length(head: &[u8]) -> usize {
    head[..3].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn code(payload: &[u8]) -> u32 {
    payload[..4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}
