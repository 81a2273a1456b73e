//! What an upstream answers, byte by byte where that matters.

use std::io::{self, Write};

/// What becomes of the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It waits for the next request.
    Keep,
    /// It is closed.
    Close,
    /// It stays open and silent until the other side closes.
    Hang,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip.
    Gzip,
    /// deflate, with its zlib wrapper (RFC 9110).
    Deflate,
    /// Brotli.
    Brotli,
}

impl Coding {
    /// The name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }

    /// Compresses.
    pub fn encode(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Self::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Self::Brotli => {
                let mut coded = Vec::new();
                brotli::CompressorWriter::new(&mut coded, 4096, 4, 20).write_all(plain).unwrap();
                coded
            }
        }
    }
}

/// A reply: status line, fields and a body, or raw bytes.
#[derive(Clone, Debug)]
pub struct Reply {
    status: String,
    headers: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    body: Vec<u8>,
    pieces: Option<Vec<usize>>,
    raw: Option<Vec<u8>>,
    after: After,
}

impl Reply {
    /// A status and no body.
    pub fn status(status: &str) -> Self {
        Self {
            status: status.into(),
            headers: Vec::new(),
            trailers: Vec::new(),
            body: Vec::new(),
            pieces: None,
            raw: None,
            after: After::Keep,
        }
    }

    /// 200 with this body.
    pub fn ok(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::status("200 OK").with("content-type", content_type).with_body(body)
    }

    /// Exactly these bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>, after: After) -> Self {
        Self { raw: Some(bytes.into()), after, ..Self::status("") }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a trailer; the body goes in chunks.
    #[must_use]
    pub fn with_trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self.pieces.get_or_insert_default();
        self
    }

    /// Compresses the body and says so.
    #[must_use]
    pub fn coded(mut self, coding: Coding) -> Self {
        self.body = coding.encode(&self.body);
        self.with("content-encoding", coding.name())
    }

    /// Sends the body in chunks that end at these offsets, each in a write of its own.
    #[must_use]
    pub fn split_at(mut self, offsets: impl IntoIterator<Item = usize>) -> Self {
        self.pieces = Some(offsets.into_iter().collect());
        self
    }

    /// Sends the body in chunks of this size.
    #[must_use]
    pub fn in_chunks_of(self, size: usize) -> Self {
        let length = self.body.len();
        self.split_at((size..length).step_by(size))
    }

    /// Closes the connection afterwards, or leaves it hanging.
    #[must_use]
    pub fn then(mut self, after: After) -> Self {
        self.after = after;
        self
    }

    /// Writes it. `head_only` for a reply to `HEAD`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write_to(&self, out: &mut dyn Write, head_only: bool) -> io::Result<After> {
        if let Some(raw) = &self.raw {
            out.write_all(raw)?;
            out.flush()?;
            return Ok(self.after);
        }
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.pieces {
            Some(_) => head.push_str("transfer-encoding: chunked\r\n\r\n"),
            None => head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len())),
        }
        out.write_all(head.as_bytes())?;
        match &self.pieces {
            _ if head_only => {}
            Some(offsets) => self.write_chunks(offsets, out)?,
            None => out.write_all(&self.body)?,
        }
        out.flush()?;
        Ok(self.after)
    }

    fn write_chunks(&self, offsets: &[usize], out: &mut dyn Write) -> io::Result<()> {
        let mut from = 0;
        for to in offsets.iter().copied().chain([self.body.len()]) {
            let piece = &self.body[from.min(self.body.len())..to.min(self.body.len())];
            from = to;
            if piece.is_empty() {
                continue;
            }
            let frame = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            out.write_all(&frame)?;
            out.flush()?;
        }
        let mut end = "0\r\n".to_owned();
        for (name, value) in &self.trailers {
            end.push_str(&format!("{name}: {value}\r\n"));
        }
        end.push_str("\r\n");
        out.write_all(end.as_bytes())
    }
}
