//! Finding the end of an answer; nothing of it is kept.

use std::io;

/// One answer, as far as it has come.
#[derive(Default)]
pub(crate) struct Answer {
    part: Part,
    line: Vec<u8>,
    chunked: bool,
    length: u64,
    status: bool,
}

#[derive(Default, Clone, Copy)]
enum Part {
    #[default]
    Head,
    Body(u64),
    Size,
    Chunk(u64),
    Trailer,
}

/// Whether there is more to come.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub(crate) enum Progress {
    /// The answer goes on.
    Open,
    /// The answer has ended.
    Done,
}

impl Answer {
    /// Takes what arrived. Nothing may come after the end: calls are not pipelined.
    ///
    /// # Errors
    /// Where the answer is not a 200 with a length or chunks.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> io::Result<Progress> {
        while !bytes.is_empty() {
            if let Part::Body(left) | Part::Chunk(left) = self.part {
                let taken = left.min(bytes.len() as u64);
                bytes = &bytes[taken as usize..];
                let left = left - taken;
                match self.part {
                    Part::Body(_) if left == 0 => return Ok(Progress::Done),
                    Part::Body(_) => self.part = Part::Body(left),
                    _ if left == 0 => self.part = Part::Size,
                    _ => self.part = Part::Chunk(left),
                }
                continue;
            }
            let end = memchr::memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            self.line.extend_from_slice(line);
            bytes = rest;
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                if self.line_ended(line.trim_end())? == Progress::Done {
                    return Ok(Progress::Done);
                }
            }
        }
        Ok(Progress::Open)
    }

    fn line_ended(&mut self, line: &str) -> io::Result<Progress> {
        match self.part {
            Part::Head if !self.status => {
                if !line.starts_with("HTTP/1.1 200") {
                    return Err(io::Error::other(line.to_owned()));
                }
                self.status = true;
            }
            Part::Head if line.is_empty() => {
                self.part = if self.chunked { Part::Size } else { Part::Body(self.length) };
                if !self.chunked && self.length == 0 {
                    return Ok(Progress::Done);
                }
            }
            Part::Head => {
                let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("no field"))?;
                if name.eq_ignore_ascii_case("content-length") {
                    self.length = value.trim().parse().map_err(io::Error::other)?;
                }
                self.chunked |= name.eq_ignore_ascii_case("transfer-encoding");
            }
            // A chunk's own line end is an empty line before the next size.
            Part::Size if line.is_empty() => {}
            Part::Size => match u64::from_str_radix(line, 16).map_err(io::Error::other)? {
                0 => self.part = Part::Trailer,
                size => self.part = Part::Chunk(size),
            },
            Part::Trailer if line.is_empty() => return Ok(Progress::Done),
            Part::Trailer | Part::Body(_) | Part::Chunk(_) => {}
        }
        Ok(Progress::Open)
    }
}
