//! Where a head ends, looked for as its bytes arrive.

use crate::Fault;

/// Looks at each byte once, however the head arrives.
#[derive(Debug, Default)]
pub struct HeadEnd {
    /// Where the line begins whose end is looked for.
    line: usize,
    /// Where to look on.
    seen: usize,
}

impl HeadEnd {
    /// How long the head is, its empty line included, once `buffer` holds all of it.
    ///
    /// # Errors
    /// For a line that ends without CR.
    pub fn find(&mut self, buffer: &[u8]) -> Result<Option<usize>, Fault> {
        for at in memchr::memchr_iter(b'\n', &buffer[self.seen..]) {
            let at = self.seen + at;
            // SECURITY: a bare LF ends a line for some programs and not for others (T37).
            if at == self.line || buffer[at - 1] != b'\r' {
                return Err(Fault("a line of the head ends without CR"));
            }
            if at - 1 == self.line {
                return Ok(Some(at + 1));
            }
            self.line = at + 1;
        }
        self.seen = buffer.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks for the end of a head that arrives in pieces.
    fn end(text: &[u8], piece: usize) -> Result<Option<usize>, Fault> {
        let mut head_end = HeadEnd::default();
        let ends = (0..text.len()).step_by(piece).map(|from| (from + piece).min(text.len()));
        for end in ends {
            if let Some(found) = head_end.find(&text[..end])? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_head_ends_with_its_first_empty_line_however_it_arrives() {
        let text = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody\r\n\r\n";
        for piece in 1..=text.len() {
            assert_eq!(end(text, piece), Ok(Some(25)), "{piece}");
            assert_eq!(end(&text[..24], piece), Ok(None), "{piece}");
        }
    }

    #[test]
    fn t37_a_bare_lf_ends_no_line() {
        for text in [&b"HTTP/1.1 200 OK\n\n"[..], b"a\r\nb\n\r\n", b"a\r\n\n", b"\n", b"a\r\nb\r\n\n\r\n"] {
            for piece in 1..=text.len() {
                assert!(end(text, piece).is_err(), "{} {piece}", text.escape_ascii());
            }
        }
    }
}
