//! HTTP/1.1 messages as bytes: what an upstream got, what a workload got.

use serde_json::Value;
use std::io::{self, BufRead, Read};

/// One request as an upstream got it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which connection brought it, counted from 1.
    pub connection: usize,
    /// The head, byte for byte, with its empty line.
    pub head: Vec<u8>,
    /// The method.
    pub method: String,
    /// The request target as sent.
    pub target: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without framing.
    pub body: Vec<u8>,
    /// The body with its framing, byte for byte.
    pub raw_body: Vec<u8>,
}

impl Received {
    /// The value of the first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// How many headers have this (lower-case) name.
    pub fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(key, _)| key == name).count()
    }
}

/// One response as a workload got it.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The status line.
    pub status_line: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without framing.
    pub body: Vec<u8>,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Everything, byte for byte.
    pub raw: Vec<u8>,
    /// Whether head and framing ended as they should.
    pub complete: bool,
}

impl Response {
    /// The value of the first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The `code` of a refusal.
    pub fn code(&self) -> Option<String> {
        self.json()["code"].as_str().map(str::to_owned)
    }
}

fn first<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Reads one request. `None` at the end of the connection.
///
/// # Errors
/// When the connection breaks inside a request.
pub fn read_request(reader: &mut impl BufRead, connection: usize) -> io::Result<Option<Received>> {
    let Some(head) = read_head(reader)? else { return Ok(None) };
    let (line, headers) = split_head(&head);
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let mut raw_body = Vec::new();
    let body = match Framing::of(&headers, false) {
        Framing::Chunked => read_chunked(reader, &mut raw_body, &mut Vec::new())?,
        Framing::Length(length) => read_exactly(reader, length, &mut raw_body)?,
        Framing::UntilClose => Vec::new(),
    };
    Ok(Some(Received { connection, head, method, target, headers, body, raw_body }))
}

/// Reads one response; `method` is that of its request. Interim responses are passed over but stay in `raw`.
///
/// # Errors
/// When nothing of a response can be read.
pub fn read_response(reader: &mut impl BufRead, method: &str) -> io::Result<Response> {
    let mut raw = Vec::new();
    let (line, headers, status) = loop {
        let head = read_head(reader)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no response before the end"))?;
        raw.extend_from_slice(&head);
        let (line, headers) = split_head(&head);
        let status: u16 = line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        if !(100..200).contains(&status) || status == 101 {
            break (line, headers, status);
        }
    };
    let mut trailers = Vec::new();
    let mut framed = Vec::new();
    let bodiless =
        method == "HEAD" || matches!(status, 101 | 204 | 304) || (method == "CONNECT" && status == 200);
    let read = match Framing::of(&headers, true) {
        _ if bodiless => Ok(Vec::new()),
        Framing::Chunked => read_chunked(reader, &mut framed, &mut trailers),
        Framing::Length(length) => read_exactly(reader, length, &mut framed),
        Framing::UntilClose => {
            reader.read_to_end(&mut framed).or_else(tolerate_unclean_end)?;
            Ok(framed.clone())
        }
    };
    raw.extend_from_slice(&framed);
    let complete = read.is_ok();
    let body = read.unwrap_or(framed);
    Ok(Response { status, status_line: line, headers, body, trailers, raw, complete })
}

/// A peer that closes without a TLS goodbye has still sent what it sent.
fn tolerate_unclean_end(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Ok(0),
        _ => Err(error),
    }
}

enum Framing {
    Chunked,
    Length(usize),
    UntilClose,
}

impl Framing {
    fn of(headers: &[(String, String)], response: bool) -> Self {
        if first(headers, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return Self::Chunked;
        }
        match first(headers, "content-length").and_then(|v| v.parse().ok()) {
            Some(length) => Self::Length(length),
            None if response => Self::UntilClose,
            None => Self::Length(0),
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let read = match reader.read_until(b'\n', &mut head) {
            Err(error) if head.is_empty() => tolerate_unclean_end(error)?,
            other => other?,
        };
        if read == 0 {
            return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        if matches!(&head[before..], b"\r\n" | b"\n") && before > 0 {
            return Ok(Some(head));
        }
    }
}

fn split_head(head: &[u8]) -> (String, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let field = |line: &str| {
        line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    (line, lines.filter_map(field).collect())
}

fn read_exactly(reader: &mut impl BufRead, length: usize, raw: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let from = raw.len();
    let read = reader.take(length as u64).read_to_end(raw)?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(raw[from..].to_vec())
}

fn read_chunked(
    reader: &mut impl BufRead,
    raw: &mut Vec<u8>,
    trailers: &mut Vec<(String, String)>,
) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader, raw)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("not a chunk size: {line:?}")))?;
        if size == 0 {
            break;
        }
        body.extend(read_exactly(reader, size, raw)?);
        read_line(reader, raw)?;
    }
    loop {
        let line = read_line(reader, raw)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(body) };
        trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead, raw: &mut Vec<u8>) -> io::Result<String> {
    let from = raw.len();
    reader.read_until(b'\n', raw)?;
    if raw.last() != Some(&b'\n') || raw.len() == from {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&raw[from..]).trim_end().to_owned())
}
